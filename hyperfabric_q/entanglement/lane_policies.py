"""When the stations of many runs swap, and what a cutoff throws away; the order of events is that of ``lanes``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.lane_pairs import Heralds, Source, States, Times
from hyperfabric_q.entanglement.policies import SwapPolicy, spans
from hyperfabric_q.errors import SimulationRefused

PATIENCE: Final = 20_000
"""Passes of few lanes before the rejection loop is given up: seconds."""

_WORK_PER_PASS: Final = 50_000
"""What a pass counts at least, in pairs thrown away: larger ones cost more."""

_MOST_IN_VAIN: Final = 20_000_000
"""Pairs thrown away before the loop is given up when no lane has finished at all: seconds."""


@dataclass(slots=True)
class Batch:
    """The pairs that some lanes deliver from: one row of lanes per link, states (lanes, 3) or (3,), and their cost."""

    ready_ps: Sequence[Times] | Times
    born_ps: Sequence[Times] | Times
    correlators: list[States]
    attempts: Times
    raw_pairs: Times | int

    @classmethod
    def of(cls, heralds: Sequence[Heralds]) -> Batch:
        """Return the pairs of all links, the first one of each."""
        return cls(
            [each.ready_ps for each in heralds],
            [each.born_ps for each in heralds],
            [each.correlators for each in heralds],
            sum((each.attempts for each in heralds[1:]), heralds[0].attempts),
            sum((each.raw_pairs for each in heralds[1:]), heralds[0].raw_pairs),
        )


def reach(policy: SwapPolicy, hops: int) -> tuple[tuple[int, int], ...]:
    """Return the first and the last link that each inner station waits for, from left to right.

    Raises:
        UnknownName: there is no such policy.
    """
    rules = spans(policy, hops)
    if rules.waits_for_all:
        return ((0, hops - 1),) * (hops - 1)
    return tuple(rules.wanted[1:hops]) or tuple((station - 1, station) for station in range(1, hops))


def swap_times(ready_ps: Sequence[Times] | Times, waits_for: Sequence[tuple[int, int]]) -> list[Times]:
    """Return when each inner station begins its Bell measurement: when the last link it waits for has its pair."""
    known: dict[tuple[int, int], Times] = {}
    for first, last in waits_for:
        if (first, last) not in known:
            latest = np.maximum(ready_ps[first], ready_ps[last])
            for link in range(first + 1, last):
                np.maximum(latest, ready_ps[link], out=latest)
            known[first, last] = latest
    return [known[each] for each in waits_for]


def with_cutoff(
    sources: Sequence[Source], waits_for: Sequence[tuple[int, int]], cutoff_ps: int, patience: int, lanes: int
) -> Batch:
    """Return the pairs that are there together when every station has swapped, none older than the cutoff by then.

    Each pass takes the lanes that are not finished and throws away the segment of each one's oldest pair.

    Raises:
        SimulationRefused: the cutoff is so short that hardly any lane ever finishes.
    """
    first = Batch.of([source.draw(0, lanes) for source in sources])
    ready, born = np.array(first.ready_ps), np.array(first.born_ps)
    uniform = first.correlators[0].ndim == 1
    states = None if uniform else np.array(first.correlators)
    attempts, raw_pairs = first.attempts, first.raw_pairs + np.zeros(lanes, np.int64)
    done = ready.copy(), born.copy(), None if states is None else states.copy()
    live = np.arange(lanes)
    work = lost_segments = 0
    while True:
        limit = ready.min(axis=0) + cutoff_ps
        late = ready.max(axis=0) > limit
        over = live[~late]
        done[0][:, over], done[1][:, over] = ready[:, ~late], born[:, ~late]
        if states is not None and done[2] is not None:
            done[2][:, over] = states[:, ~late]
            states = states[:, late]
        live, ready, born, limit = live[late], ready[:, late], born[:, late], limit[late]
        if not live.size:
            break
        work += live.size + _WORK_PER_PASS
        lost_segments += live.size
        if work > patience * _WORK_PER_PASS or (live.size == lanes and lost_segments > _MOST_IN_VAIN):
            raise SimulationRefused(
                asked=f"{lanes} pairs end to end with a cutoff of {cutoff_ps} ps",
                found=f"{lanes - live.size} were there after {lost_segments} times that pairs had been thrown away",
                remedy="Give a longer cutoff_ps, or fewer runs.",
            )
        for link, lost in enumerate(_oldest_segment(ready, limit, waits_for)):
            again = sources[link].draw(limit[lost], lost.size)
            ready[link, lost], born[link, lost] = again.ready_ps, again.born_ps
            if states is not None:
                states[link, lost] = again.correlators
            attempts[live[lost]] += again.attempts
            raw_pairs[live[lost]] += again.raw_pairs
    shown = first.correlators if done[2] is None else list(done[2])
    return Batch(done[0], done[1], shown, attempts, raw_pairs)


def _oldest_segment(ready: Times, limit: Times, waits_for: Sequence[tuple[int, int]]) -> list[NDArray[np.intp]]:
    """Return, per link, the lanes in which it is part of what the oldest pair belongs to when it reaches its cutoff."""
    hops = len(ready)
    oldest = ready.argmin(axis=0)
    lost = [oldest == link for link in range(hops)]
    joined = [swapped <= limit for swapped in swap_times(ready, waits_for)]
    for station in range(1, hops):
        lost[station] |= lost[station - 1] & joined[station - 1]
    for station in range(hops - 1, 0, -1):
        lost[station - 1] |= lost[station] & joined[station - 1]
    return [np.flatnonzero(each) for each in lost]
