"""Timing of a collective message by message, for ends so unequal that messages overtake each other.

Receivers serve in order of arrival here, as the kernel's channels do; one heap entry per message instead of the
kernel's events.
"""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.recurrence import LATEST_PS
from hyperfabric_q.traffic.collectives.nics import Nics
from hyperfabric_q.traffic.collectives.per_rank import Progress
from hyperfabric_q.traffic.collectives.schedule import IntArray, Schedule


class _Coming(NamedTuple):
    """A message at its receiver; sorted by arrival, and then as the kernel ranks messages of one instant."""

    arrived_ps: int
    target: int
    ready_ps: int
    step: int
    source: int
    nbytes: int
    begun_ps: int


class _Events:
    """Ends, and the messages between them, in order of time."""

    def __init__(self, schedule: Schedule, nbytes: int, nics: Nics, itemsize: int) -> None:
        self.progress = Progress.of(schedule, nbytes, itemsize)
        ranks = range(schedule.ranks)
        self.nics = nics
        self.heap: list[_Coming] = []
        self.out_free, self.in_free, self.ready, self.done = ([0] * schedule.ranks for _ in range(4))
        # There[r][step]: when it arrived; latest[r][j]: when the first j receptions of r had all arrived.
        self.there: list[dict[int, int]] = [{} for _ in ranks]
        self.latest = [[0] for _ in ranks]
        for rank in ranks:
            self.send(rank)

    def send(self, rank: int) -> None:
        """Let a rank send what waits for nothing more."""
        for send in self.progress.ready(rank):
            ready = self.ready[rank] = max(self.ready[rank], self.latest[rank][send.needs])
            begun = max(self.out_free[rank], ready)
            nbytes = self.nics.wire_bytes(send.nbytes)
            left = self.out_free[rank] = begun + _ps(nbytes, self.nics.sending[rank])
            arrived = max(begun, left - _ps(nbytes, self.nics.receiving[send.target]))
            heapq.heappush(self.heap, _Coming(arrived, send.target, ready, send.step, rank, nbytes, begun))

    def run(self) -> IntArray:
        heap = self.heap
        while heap:
            group = [heapq.heappop(heap)]
            now, target = group[0].arrived_ps, group[0].target
            while heap and heap[0].arrived_ps == now and heap[0].target == target:
                group.append(heapq.heappop(heap))
            if len(group) > 1 and self.in_free[target] <= now:
                # An idle receiver takes first what did not only begin to be sent in this very instant.
                first = min(range(len(group)), key=lambda index: (group[index].begun_ps == now, index))
                group.insert(0, group.pop(first))
            for coming in group:
                self.receive(coming)
            self.send(target)
        return np.array(self.done, dtype=np.int64)

    def receive(self, coming: _Coming) -> None:
        source, target = coming.source, coming.target
        taken = max(self.in_free[target], coming.arrived_ps) + _ps(coming.nbytes, self.nics.receiving[target])
        self.in_free[target] = taken
        there = taken + self.nics.latency_of(source, target)
        if there >= LATEST_PS:
            raise InvalidValue(field="nbytes", value=coming.nbytes, rule="the collective ends after 2**61 ps")
        self.done[source] = max(self.done[source], there)
        self.done[target] = max(self.done[target], there)
        self.there[target][coming.step] = there
        for index in self.progress.arrive(target, coming.step):
            arrived = self.there[target].pop(self.progress.receives[target][index])
            self.latest[target].append(max(self.latest[target][-1], arrived))


def _ps(nbytes: int, rate: Fraction) -> int:
    return -(-nbytes * rate.numerator // rate.denominator)


def completion_in_arrival_order(schedule: Schedule, nbytes: int, nics: Nics, itemsize: int) -> IntArray:
    """Return when each rank is done if receivers serve in order of arrival; a few microseconds per message."""
    return _Events(schedule, nbytes, nics, itemsize).run()
