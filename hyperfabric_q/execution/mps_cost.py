"""What a matrix-product state costs at most, from the gates across each cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.execution.deferred_steps import Deferred
from hyperfabric_q.execution.methods import LONGEST_S

LIMITS: Final = (16, 64, 256, 1024)
"""Bond dimensions that are tried where the bound is out of reach."""

_PATIENCE_S: Final = 60.0
"""Predicted seconds up to which a state is not tried with limited bonds first."""

_TRY_S: Final = 600.0
"""Predicted seconds up to which limited bonds are tried: it may turn out that they do not suffice."""

_BEYOND: Final = 100
"""Power of two that stands for all larger ones: out of reach, and its cube is still a number."""

_LARGEST_BYTES: Final = 4 << 30
_LONGEST_LOG: Final = 2 << 30

GATE_S: Final = 3e-5
_SPLIT_S: Final = 1e-5
_ENTRY_S: Final = 1.6e-8
"""Per cube of the bond dimension: a singular-value decomposition of twice the size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """What a bound on the bonds says about the cost of a state.

    Attributes:
        place: position of each wire from left to right.
        gates: how many gates there are.
        splits: how many singular-value decompositions at each bond of 2**k, by k.
        cuts: how many cuts end with a bond of at most 2**k, by k.
    """

    place: dict[int, int]
    gates: int
    splits: NDArray[np.int64]
    cuts: NDArray[np.int64]

    @classmethod
    def of(cls, program: Deferred) -> Line:
        """Return the bound of a program: every gate across a cut doubles its bond at most; O(spans of gates)."""
        place = {wire: position for position, wire in enumerate(program.order)}
        wires = len(place)
        bits = np.zeros(max(wires - 1, 1), dtype=np.int64)
        most = np.minimum(np.arange(1, wires), np.arange(1, wires)[::-1]) if wires > 1 else np.zeros(1, dtype=np.int64)
        splits = np.zeros(int(most.max()) + 1, dtype=np.int64)
        for step in program.steps:
            if len(step.wires) == 2:
                low, high = sorted(place[wire] for wire in step.wires)
                span = slice(low, high)
                bits[span] = np.minimum(bits[span] + 1, most[span])
                splits += np.bincount(bits[span], minlength=len(splits))
        return cls(place=place, gates=len(program.steps), splits=splits, cuts=np.bincount(bits, minlength=len(splits)))

    @property
    def largest(self) -> int:
        """The bound of the largest bond, as a power of two."""
        return int(np.flatnonzero(self.cuts).max(initial=0))

    def bonds(self, limit: int | None) -> NDArray[np.float64]:
        """Return the bond dimension for each power of two."""
        bonds = np.exp2(np.minimum(np.arange(len(self.splits), dtype=np.float64), _BEYOND))
        return bonds if limit is None else np.minimum(bonds, limit)

    def seconds(self, limit: int | None) -> float:
        """Return the time of one state with such a limit of the bonds, at most."""
        each = _SPLIT_S + _ENTRY_S * self.bonds(limit) ** 3
        return float(self.splits @ each) + GATE_S * self.gates

    def octets(self, limit: int | None) -> float:
        """Return the memory of one state with such a limit of the bonds, at most."""
        return float(self.cuts @ (32 * self.bonds(limit) ** 2))

    def limits(self) -> tuple[int | None, ...]:
        """Return the limits worth trying, in order; None = none."""
        if self.affordable(None) and self.seconds(None) <= _PATIENCE_S:
            return (None,)
        logged = 4 * len(self.place) * int(self.splits.sum()) <= _LONGEST_LOG
        tried = [limit for limit in LIMITS if logged and limit < 2.0**self.largest]
        return tuple(limit for limit in (*tried, None) if self.affordable(limit))

    def affordable(self, limit: int | None) -> bool:
        """Return whether one state fits memory and time."""
        longest = LONGEST_S if limit is None else _TRY_S
        return self.octets(limit) <= _LARGEST_BYTES and self.seconds(limit) <= longest
