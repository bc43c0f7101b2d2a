"""In which order each link makes its pairs.

Wires and bits order instructions by themselves; only the links are contended for. The list scheduler runs through the
program on the clock, with mean durations, and gives a free link to the pair that waits for it and has most still to
come after it (critical path first; Graham 1969, Adam, Chandy and Dickson 1974). Lists have anomalies: a faster link may
change the order for the worse. The order of the circuit has none, since then every instant is a maximum of sums.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from hyperfabric_q.distribution.operations import Operations


@dataclass(frozen=True, slots=True)
class Order:
    """An order of instructions that keeps wires and bits.

    Attributes:
        sequence: the instructions.
        link_before: for each instruction the pair that its link makes before it; -1 for none, or no pair.
    """

    sequence: tuple[int, ...]
    link_before: tuple[int, ...]


def program_order(operations: Operations) -> Order:
    """Return the order of the circuit; O(instructions)."""
    return _order(operations, range(len(operations)))


def critical_order(operations: Operations, made_ps: Sequence[int]) -> Order:
    """Return the order in which the list scheduler starts the instructions; O(n log n).

    Args:
        operations: the instructions.
        made_ps: how long attempts for each pair take, (pairs,).
    """
    return _order(operations, _List(operations, made_ps).run())


def _order(operations: Operations, sequence: Sequence[int]) -> Order:
    link = dict(zip(operations.pairs.tolist(), operations.pair_link.tolist(), strict=True))
    before = [-1] * len(operations)
    latest = [-1] * len(operations.links)
    for each in sequence:
        if each in link:
            before[each] = latest[link[each]]
            latest[link[each]] = each
    return Order(tuple(sequence), tuple(before))


class _List:
    """One run of the list scheduler; ``missing`` counts what an instruction still waits for."""

    def __init__(self, operations: Operations, made_ps: Sequence[int]) -> None:
        self._link = dict(zip(operations.pairs.tolist(), operations.pair_link.tolist(), strict=True))
        self._made = dict(zip(operations.pairs.tolist(), made_ps, strict=True))
        self._tail = [link.tail_ps for link in operations.links]
        self._duration = operations.duration_ps.tolist()
        for pair, made in self._made.items():
            self._duration[pair] = made + self._tail[self._link[pair]]
        self._then: list[list[tuple[int, int]]] = [[] for _ in self._duration]
        self._missing = [len(waits) for waits in operations.waits]
        for each, waits in enumerate(operations.waits):
            for after, lag, _ in waits:
                self._then[after].append((each, lag))
        self._ready = [0] * len(self._duration)
        self._rest = self._remaining()
        self._arrivals: list[tuple[int, int]] = []
        self._sequence: list[int] = []

    def _remaining(self) -> list[int]:
        """Longest way from the start of each instruction to the end of the program, links aside."""
        rest = list(self._duration)
        for each in range(len(rest) - 1, -1, -1):
            after = max((lag + rest[later] for later, lag in self._then[each]), default=0)
            rest[each] += after
        return rest

    def run(self) -> list[int]:
        """Return the instructions as they start."""
        for each in [each for each, missing in enumerate(self._missing) if not missing]:
            self._arrive(each)
        queues: list[list[tuple[int, int]]] = [[] for _ in self._tail]
        free = [0] * len(queues)
        while self._arrivals:
            now = self._arrivals[0][0]
            links = set()
            while self._arrivals and self._arrivals[0][0] == now:
                _, each = heapq.heappop(self._arrivals)
                if each < 0:
                    links.add(-1 - each)
                else:
                    heapq.heappush(queues[self._link[each]], (-self._rest[each], each))
                    links.add(self._link[each])
            for link in sorted(links):
                if queues[link] and free[link] <= now:
                    _, pair = heapq.heappop(queues[link])
                    free[link] = now + self._made[pair]
                    heapq.heappush(self._arrivals, (free[link], -1 - link))
                    self._start(pair, now)
        return self._sequence

    def _arrive(self, each: int) -> None:
        if each in self._link:
            heapq.heappush(self._arrivals, (self._ready[each], each))
        else:
            self._start(each, self._ready[each])

    def _start(self, first: int, start: int) -> None:
        """Start an instruction, and all that wait for nothing else and need no link."""
        stack = [(first, start)]
        while stack:
            each, start = stack.pop()
            self._sequence.append(each)
            end = start + self._duration[each]
            for later, lag in self._then[each]:
                self._ready[later] = max(self._ready[later], end + lag)
                self._missing[later] -= 1
                if not self._missing[later]:
                    if later in self._link:
                        heapq.heappush(self._arrivals, (self._ready[later], later))
                    else:
                        stack.append((later, self._ready[later]))
