"""Classical layers: dense, with tanh between them, their slopes by backpropagation, all on flat rows of parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.learning.turns import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Layers of given widths, from inputs to outputs; the last one is linear.

    Attributes:
        widths: of the inputs, of each layer between, and of the outputs.
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise InvalidValue(
                field="widths", value=self.widths, rule="there are inputs and outputs, at least one each"
            )

    @property
    def size(self) -> int:
        """Parameters in all."""
        return sum((before + 1) * after for before, after in pairwise(self.widths))

    def first(self, rng: np.random.Generator) -> Floats:
        """Return parameters to begin with: normal, their variance one over the inputs of a layer; no bias."""
        row = np.zeros(self.size)
        for weight, _ in self._parts(row):
            weight[...] = rng.normal(scale=1 / math.sqrt(len(weight)), size=weight.shape)
        return row

    def forward(self, row: Floats, inputs: Floats) -> tuple[Floats, list[Floats]]:
        """Return outputs (B, last), and what ``backward`` needs: the inputs of each layer."""
        kept, flow = [], inputs
        last = len(self.widths) - 2
        for number, (weight, bias) in enumerate(self._parts(row)):
            kept.append(flow)
            flow = flow @ weight + bias
            if number < last:
                flow = np.tanh(flow)
        return flow, kept

    def backward(self, row: Floats, kept: list[Floats], slopes: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives of a loss by the parameters, and by the inputs (B, first).

        Args:
            row: the parameters.
            kept: of ``forward``.
            slopes: derivatives of the loss by the outputs, (B, last).
        """
        found = np.zeros_like(row)
        parts, own = list(self._parts(row)), list(self._parts(found))
        for number in range(len(parts) - 1, -1, -1):
            if number < len(parts) - 1:
                slopes = slopes * (1 - kept[number + 1] ** 2)
            own[number][0][...] = kept[number].T @ slopes
            own[number][1][...] = slopes.sum(axis=0)
            slopes = slopes @ parts[number][0].T
        return found, slopes

    def flops(self, rows: int) -> int:
        """Return the floating-point operations of one way through, for so many samples; back takes twice as many."""
        return 2 * rows * sum(before * after for before, after in pairwise(self.widths))

    def _parts(self, row: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Views of the weights and the bias of each layer."""
        start = 0
        for before, after in pairwise(self.widths):
            middle, end = start + before * after, start + (before + 1) * after
            yield row[start:middle].reshape(before, after), row[middle:end]
            start = end
