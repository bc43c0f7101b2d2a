"""Pairs for the rounds of many timelines at once, as arrays: what is in store, what is taken, how long a round waits.

Every timeline is a lane, and lanes know nothing of each other. A path makes its pairs one after the other, as long as
there is room for one more; how long each takes is drawn beforehand for all lanes. A loop over rounds then says when a
room is given free again, and with it when the next pair begins. Heralds travel with light and nothing else is on the
line; with other traffic on the channels see ``supply_events``, which has the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.entanglement import lanes
from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.lane_pairs import Source
from hyperfabric_q.entanglement.memory import wait
from hyperfabric_q.entanglement.state import fidelity
from hyperfabric_q.entanglement.state import weights as weights_of
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.workloads.qec.supply_groups import Flags, Group, IntArray, served

FloatArray = NDArray[np.float64]

MOST_PAIRS: Final = 20_000_000
"""Pairs of one path in all lanes: a gigabyte."""

ABSENT: Final = 0.25
"""Each weight of a pair that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What lanes and events are run by; times in ps.

    Attributes:
        groups: who shares pairs, and over which paths.
        slots: pairs of a round.
        cycle_ps: duration of a round.
        lead_ps: how long pairs are made before the first round.
        use_ps: from the beginning of a round to the use of its pairs.
        waits: whether a round waits until all its pairs are there.
        keep: whether pairs that a round did not use are there for the next one.
        best_first: whether the best pairs are taken first, instead of the oldest.
        purify: rounds of nested purification.
    """

    groups: tuple[Group, ...]
    slots: int
    cycle_ps: int
    lead_ps: int
    use_ps: int
    waits: bool
    keep: bool
    best_first: bool
    purify: int


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What the rounds of some lanes got.

    Attributes:
        weights: (lanes, rounds, slots, 4), a quarter each where there is no pair.
        missing: (lanes, rounds, slots).
        age_ps: at the use, (lanes, rounds, slots), -1 where there is no pair.
        wait_ps: of each round, (lanes, rounds).
        begin_ps: of each round, since the first pair was begun, (lanes, rounds).
    """

    weights: FloatArray
    missing: Flags
    age_ps: IntArray
    wait_ps: IntArray
    begin_ps: IntArray

    @classmethod
    def empty(cls, count: int, rounds: int, slots: int) -> Rows:
        """Return rows without any pair."""
        return cls(
            np.full((count, rounds, slots, 4), ABSENT),
            np.ones((count, rounds, slots), dtype=np.bool_),
            np.full((count, rounds, slots), -1, dtype=np.int64),
            np.zeros((count, rounds), dtype=np.int64),
            np.zeros((count, rounds), dtype=np.int64),
        )


def run(plan: Plan, rounds: int, count: int, seed: int) -> Rows:
    """Return what so many rounds of so many lanes get; about 10 µs per round and room, and 0.1 µs per pair of a lane.

    Raises:
        SimulationRefused: there would be too many pairs for the memory.
    """
    pools = [_Pool(plan, group, rounds, count, seed) for group in plan.groups]
    rows = Rows.empty(count, rounds, plan.slots)
    begin = np.full(count, plan.lead_ps, dtype=np.int64)
    for number in range(rounds):
        due = begin
        if plan.waits:
            for pool in pools:
                begin = np.maximum(begin, pool.complete())
        rows.begin_ps[:, number], rows.wait_ps[:, number] = begin, begin - due
        for pool in pools:
            pool.serve(number, begin, rows)
        begin = begin + plan.cycle_ps
    return rows


class _Maker:
    """The pairs of one path in all lanes, in the order in which they are made."""

    def __init__(self, path: Path, purify: int, pairs: int, count: int, seed: int) -> None:
        self.left, self.right = path.stations[0].memory, path.stations[-1].memory
        shape = (pairs, count)
        if path.hops == 1:
            made = Source(path, 0, rounds=purify, seed=seed).draw(0, pairs * count)
            ready, states = made.ready_ps, made.correlators
            self.age = (ready - made.born_ps).reshape(shape)
            # Attempts at the next pair follow those at this one while word of it is on its way, unless they take a
            # device of a switch, which is held until then.
            self.gap = 0 if purify or path.links[0].via is not None else path.links[0].tail_ps
        else:
            # Both ends twirl what is delivered, so that a second wait is exact; see ``memory``.
            chains = lanes.simulate(path, runs=pairs * count, rounds=purify, seed=seed)
            ready, states = chains.delivery_ps, chains.correlators
            self.age, self.gap = np.zeros(shape, dtype=np.int64), 0
        self.duration: IntArray = ready.reshape(shape)
        self.states: FloatArray = np.broadcast_to(states, (pairs * count, 3)).reshape(*shape, 3)
        self.made = np.zeros(count, dtype=np.int64)
        self.line = np.zeros(count, dtype=np.int64)


class _Pool:
    """The pairs of two nodes, in store and in the making: one row per room, one column per lane."""

    def __init__(self, plan: Plan, group: Group, rounds: int, count: int, seed: int) -> None:
        self._plan, self._group = plan, group
        rooms = group.rooms
        # What is not kept is made anew for each round; otherwise a path makes at most what is used and what is left.
        pairs = rooms * (rounds + 1) if not plan.keep else rooms + rounds * min(rooms, group.pairs)
        if pairs * count > MOST_PAIRS:
            raise SimulationRefused(
                asked=f"{rounds} rounds of {count} timelines",
                found=f"{pairs * count} pairs between {group.nodes[0]!r} and {group.nodes[1]!r}",
                remedy=f"Ask for fewer timelines: at most {MOST_PAIRS:,} pairs are drawn at a time.",
            )
        self._makers = [
            _Maker(path, plan.purify, pairs, count, seeds.word(seed, "supply", *group.nodes, number))
            for number, path in enumerate(group.paths)
        ]
        shape = (rooms * len(self._makers), count)
        self._ready = np.zeros(shape, dtype=np.int64)
        self._since = np.zeros(shape, dtype=np.int64)
        self._states = np.zeros((*shape, 3))
        self._fill(np.ones(shape, dtype=np.bool_), np.zeros(count, dtype=np.int64))

    def complete(self) -> IntArray:
        """Return when a round's pairs are all there."""
        pairs = self._group.pairs
        found: IntArray = np.partition(self._ready, pairs - 1, axis=0)[pairs - 1]
        return found

    def serve(self, number: int, begin: IntArray, rows: Rows) -> None:
        """Hand out pairs for a round, and begin new ones in their rooms."""
        there = self._ready <= begin
        use = begin + self._plan.use_ps
        states = self._at(np.maximum(use, self._ready))
        rank = -fidelity(states) if self._plan.best_first else self._ready.astype(np.float64)
        order = np.argsort(np.where(there, rank, np.inf), axis=0, kind="stable")
        which, used = served(self._group.turn(number), there.sum(axis=0))
        lane = np.arange(len(begin))
        for slot, (got, place) in which.items():
            lanes_got = lane[got]
            rooms = order[place[got], lanes_got]
            rows.weights[lanes_got, number, slot] = np.clip(weights_of(states[rooms, lanes_got]), 0.0, 1.0)
            rows.age_ps[lanes_got, number, slot] = use[lanes_got] - self._since[rooms, lanes_got]
            rows.missing[lanes_got, number, slot] = False
        freed = np.zeros(there.shape, dtype=np.bool_)
        np.put_along_axis(freed, order, np.arange(len(order))[:, None] < used, axis=0)
        if not self._plan.keep:
            freed[:] = True
            for maker in self._makers:
                maker.line[:] = use
        self._fill(freed, use)

    def _at(self, when: IntArray) -> FloatArray:
        """The correlators of the pair in each room at these times."""
        states = np.empty_like(self._states)
        for number, maker in enumerate(self._makers):
            rooms = self._rooms(number)
            stored = when[rooms] - self._since[rooms]
            states[rooms] = wait(self._states[rooms], maker.left, stored, maker.right, stored)
        return states

    def _rooms(self, number: int) -> slice:
        return slice(number * self._group.rooms, (number + 1) * self._group.rooms)

    def _fill(self, freed: Flags, when: IntArray) -> None:
        """Begin a new pair in every room that is free from ``when`` on."""
        for number, maker in enumerate(self._makers):
            for room in range(*self._rooms(number).indices(len(freed))):
                lane = np.flatnonzero(freed[room])
                if not lane.size:
                    continue
                pair = maker.made[lane]
                ready = np.maximum(maker.line[lane], when[lane]) + maker.duration[pair, lane]
                maker.line[lane] = ready - maker.gap
                maker.made[lane] += 1
                self._ready[room, lane] = ready
                self._since[room, lane] = ready - maker.age[pair, lane]
                self._states[room, lane] = maker.states[pair, lane]
