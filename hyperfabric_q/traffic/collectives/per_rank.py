"""A schedule from the point of view of its ranks: what each sends, one after another, and what each send waits for."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

from hyperfabric_q.traffic.collectives.schedule import Schedule


class Send(NamedTuple):
    """A message of a rank: its step, who gets it, how large it is, and how many receptions must come before."""

    step: int
    target: int
    nbytes: int
    needs: int


@dataclass(slots=True)
class Progress:
    """How far each rank has come.

    Attributes:
        sends: per rank, its messages in order of steps.
        receives: per rank, the steps in which something is sent to it.
        missing: messages that have not arrived.
    """

    sends: list[list[Send]]
    receives: list[list[int]]
    missing: int
    _next_send: list[int]
    _arrived: list[int]
    _early: list[set[int]]

    @classmethod
    def of(cls, schedule: Schedule, nbytes: int, itemsize: int) -> Progress:
        """Return the state before the first step; O(sends), in time and in memory."""
        edges = schedule.edges(nbytes, itemsize)
        sends: list[list[Send]] = [[] for _ in range(schedule.ranks)]
        receives: list[list[int]] = [[] for _ in range(schedule.ranks)]
        for number, step in enumerate(schedule.steps()):
            source, target, first, end = step.sends
            moves = zip(source.tolist(), target.tolist(), (edges[end] - edges[first]).tolist(), strict=True)
            some = [move for move in moves if move[2]]
            for a, b, size in some:
                sends[a].append(Send(number, b, size, bisect_left(receives[a], step.waits)))
            for _, b, _ in some:
                receives[b].append(number)
        count = schedule.ranks
        missing = sum(map(len, sends))
        return cls(sends, receives, missing, [0] * count, [0] * count, [set() for _ in range(count)])

    def ready(self, rank: int) -> list[Send]:
        """Return, and count as sent, the next messages of a rank that wait for nothing more."""
        sends, first, arrived = self.sends[rank], self._next_send[rank], self._arrived[rank]
        end = first
        while end < len(sends) and sends[end].needs <= arrived:
            end += 1
        self._next_send[rank] = end
        return sends[first:end]

    def arrive(self, rank: int, step: int) -> range:
        """Note that a rank has what was sent to it in ``step``; which of its receptions are now complete in order."""
        self.missing -= 1
        receives, before = self.receives[rank], self._arrived[rank]
        early = self._early[rank]
        early.add(step)
        now = before
        while now < len(receives) and receives[now] in early:
            early.discard(receives[now])
            now += 1
        self._arrived[rank] = now
        return range(before, now)
