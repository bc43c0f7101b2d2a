"""What is drawn for one request: Philox keyed by seed and identity, so that no other request matters."""

from __future__ import annotations

import math

import numpy as np

_BLOCK = 64


class Draws:
    """Uniform and geometric numbers of one request, in the order of its own events."""

    __slots__ = ("_block", "_generator")

    def __init__(self, seed: int, identity: int) -> None:
        """Start the stream of a request; both are taken modulo 2^64."""
        mask = (1 << 64) - 1
        self._generator = np.random.Generator(np.random.Philox(key=[seed & mask, identity & mask]))
        self._block: list[float] = []

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def attempts(self, success: float) -> int:
        """Return how many attempts it takes to succeed, at least 1: the geometric law by inversion."""
        if success >= 1:
            return 1
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return 1 + int(math.log1p(-self._block.pop()) / math.log1p(-success))
