"""A placement problem as the arrays the annealer works on (see ``refine_kernel`` for what each one holds)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.chapters import Chapters, occupancy
from hyperfabric_q.distribution.copy_prices import CopyPrices
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.distribution.refine_kernel import price
from hyperfabric_q.errors import InvalidValue

LongArray: TypeAlias = NDArray[np.int64]
Fixed: TypeAlias = tuple[
    IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, LongArray, LongArray, LongArray, IntArray
]
Live: TypeAlias = tuple[IntArray, LongArray, IntArray, IntArray, IntArray, IntArray, LongArray]


class Problem:
    """What stays the same during a search.

    Here segments are numbered by (qubit, time), and each qubit without gates has one. Layers in which no segment begins
    are like the one before, so only ``windows`` of unlike layers are kept: no home is lost by that.
    """

    def __init__(self, chapters: Chapters, prices: CopyPrices, capacity: Sequence[int]) -> None:
        """Number the segments and lay the arrays out; O(operations)."""
        self.chapters = chapters
        self.nodes = prices.nodes
        self.capacity = np.array(capacity, dtype=np.int32)
        resting = np.flatnonzero(chapters.idle).astype(np.int32)
        owner = np.concatenate([chapters.segments.qubit, resting])
        begins = np.concatenate([chapters.begins, np.zeros_like(resting)])
        ends = np.concatenate([chapters.ends, np.full_like(resting, chapters.layers)])
        self.order = np.lexsort((begins, owner))
        number = np.empty_like(self.order)
        number[self.order] = np.arange(len(self.order))
        cuts = np.unique(begins)
        self.windows = len(cuts)
        span = np.searchsorted(cuts, np.stack([begins, ends], axis=1)[self.order])
        owner = owner[self.order]
        ends_of = number[chapters.segments.gate_segments]
        flat = ends_of.ravel()
        by_segment = np.argsort(flat, kind="stable")
        self.fixed: Fixed = (
            _ints(ends_of),
            _ints(np.searchsorted(flat[by_segment], np.arange(len(self.order) + 1))),
            _ints(by_segment // 2),
            _ints(span),
            _ints(owner),
            _ints(np.searchsorted(owner, np.arange(chapters.segments.qubits + 1))),
            prices.table.copy(),
            _reach(prices),
            prices.hops.copy(),
            self.capacity,
        )

    @property
    def pins(self) -> int:
        """How many homes and sites there are to choose."""
        return len(self.order) + len(self.chapters.gate_layer)

    def joined(self, homes: IntArray, idle_homes: IntArray, sites: IntArray) -> tuple[IntArray, IntArray]:
        """Return (homes in the order used here, sites) of a placement.

        Raises:
            InvalidValue: some home is no node, or a node holds more data qubits than it has in some layer.
        """
        together = np.concatenate([homes, idle_homes[self.chapters.idle]])
        for name, nodes in (("homes", together), ("sites", sites)):
            if ((nodes < 0) | (nodes >= self.nodes)).any():
                raise InvalidValue(field=name, value=nodes.tolist(), rule=f"nodes are 0 to {self.nodes - 1}")
        peak = occupancy(self.chapters, homes, idle_homes, self.nodes).max(axis=1)
        if (peak > self.capacity).any():
            raise InvalidValue(
                field="starts", value=peak.tolist(), rule=f"the nodes hold {self.capacity.tolist()} data qubits"
            )
        return _ints(together[self.order]), _ints(sites)

    def split(self, homes: IntArray) -> tuple[IntArray, IntArray]:
        """Return (homes of the segments, homes of the qubits without gates) from homes in the order used here."""
        together = np.empty_like(homes)
        together[self.order] = homes
        count = len(self.chapters)
        idle_homes = np.full(self.chapters.segments.qubits, -1, dtype=np.int32)
        idle_homes[self.chapters.idle] = together[count:]
        return together[:count], idle_homes

    def still(self, homes: IntArray) -> bool:
        """Whether every qubit keeps one home."""
        owner = self.fixed[4]
        return bool((homes[1:] == homes[:-1])[owner[1:] == owner[:-1]].all())

    def live(self, homes: IntArray, sites: IntArray, word: int) -> Live:
        """Return the arrays that a search changes, for a placement and a random word."""
        ends_of, _, _, span, owner = self.fixed[:5]
        count = len(homes)
        pins = np.zeros((count, self.nodes), dtype=np.int32)
        pins[np.arange(count), homes] = 1
        follows = np.flatnonzero(owner[1:] == owner[:-1])
        np.add.at(pins, (follows, homes[follows + 1]), 1)
        np.add.at(pins, (ends_of[:, 0], sites), 1)
        np.add.at(pins, (ends_of[:, 1], sites), 1)
        masks = ((pins > 0).astype(np.int64) << np.arange(self.nodes)).sum(axis=1)
        held = np.zeros((self.nodes, self.windows + 1), dtype=np.int32)
        np.add.at(held, (homes, span[:, 0]), 1)
        np.subtract.at(held, (homes, span[:, 1]), 1)
        held = np.cumsum(held, axis=1, dtype=np.int32)[:, :-1]
        log = np.zeros((4 * (count + len(sites)) + 64, 2), dtype=np.int32)
        state = np.array([0, self._cost(homes, masks), word], dtype=np.int64)
        return pins, masks, _ints(homes), _ints(sites), _ints(held), log, state

    def _cost(self, homes: IntArray, masks: LongArray) -> int:
        table = self.fixed[6]
        if len(table):
            return int(table[homes.astype(np.int64) << self.nodes | masks].sum())
        unlike, counts = np.unique(masks, return_counts=True)  # without a table the home does not matter
        return sum(int(price(self.fixed, 0, mask)) * count for mask, count in zip(unlike, counts.tolist(), strict=True))


def _ints(values: NDArray[np.integer]) -> IntArray:
    """A fresh contiguous array, so that a search never writes into its caller's."""
    return np.array(values, dtype=np.int32, order="C")


def _reach(prices: CopyPrices) -> LongArray:
    """For each home and set, the nodes that may be added at no more cost."""
    if not len(prices.table):
        return np.zeros(0, dtype=np.int64)
    table = prices.table.reshape(prices.nodes, -1)
    masks = np.arange(table.shape[1])
    reach = np.zeros_like(table)
    for node in range(prices.nodes):
        reach |= np.where(table[:, masks | 1 << node] == table, 1 << node, 0)
    return reach.ravel()
