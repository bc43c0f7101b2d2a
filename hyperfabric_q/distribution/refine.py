"""Refine placements in time by simulated annealing: homes that move, sites anywhere, rooms never exceeded.

The moves (Kirkpatrick, Gelatt and Vecchi 1983; Metropolis acceptance, geometric cooling): a gate to another node; a
copy closed, or opened, and the gates of its segment sited anew; a run of segments to another home, alone where there is
room and otherwise in a trade with a qubit that is at home there meanwhile. After a change of homes the gates around it
are sited anew greedily. A first phase moves whole qubits only; the second moves anything. The cheapest placement met is
kept throughout, and what is returned is counted again from plain sets.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hyperfabric_q.distribution import refine_kernel as kernel
from hyperfabric_q.distribution.chapters import Chapters, occupancy
from hyperfabric_q.distribution.copy_prices import CopyPrices, copy_prices
from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.distribution.refine_arrays import Problem
from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.seeds import stream

Start: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""Homes of the segments, homes of the qubits without gates (-1 elsewhere), sites of the gates."""

KEPT_STARTS = 4
"""How many of the cheapest starts are annealed."""

STILL_SHARE = 0.1
"""Share of the moves spent on the first phase, in which qubits keep one home."""

MOVES_PER_PIN = 1000
"""Moves per segment and gate that an annealing from hot to cold needs to end near its best."""

LONGEST = 8
"""Most annealings of the second phase."""

ROUNDS = 8
"""Stretches of an annealing between which the time limit is looked at."""

STILL_HEAT = (1.0, 0.15)
HEAT = (0.6, 0.12)
"""Temperatures at the start and at the end, in links: of the first phase, and of the second."""

THOROUGH = 800
"""Moves per segment and gate below which an annealing starts colder, lest it only undo what the start knows."""

MIX = np.array([300, 400], dtype=np.int64)
"""Of 1024 moves, those of one site, and (less these) of one copy; the rest are of homes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """A placement in time.

    Attributes:
        homes: home of each segment, int32, shape (s,).
        idle_homes: home of each qubit without gates, -1 for the others, int32, shape (qubits,).
        sites: node of each gate, int32, shape (g,).
        cost: price of all copy sets; e-bits when every link costs 1.
        history: (moves made, cheapest cost so far) after each stretch.
        finished: whether all moves were made before the time limit.
    """

    homes: IntArray
    idle_homes: IntArray
    sites: IntArray
    cost: int
    history: tuple[tuple[int, int], ...]
    finished: bool = True

    def __post_init__(self) -> None:
        for array in (self.homes, self.idle_homes, self.sites):
            array.setflags(write=False)


def moves_for(chapters: Chapters, *, most: int = 4_000_000) -> int:
    """Return a number of moves worth making: four annealings where that is below ``most``, some 3 µs each."""
    return min(most, 4 * MOVES_PER_PIN * (len(chapters) + len(chapters.gate_layer)))


def refine(
    chapters: Chapters,
    network: Network | CopyPrices,
    capacity: Sequence[int],
    starts: Sequence[Start],
    *,
    moves: int,
    seed: int,
    time_limit_s: float | None = None,
    still: bool = False,
) -> Refined:
    """Return the cheapest placement met while annealing from ``starts``; never dearer than the cheapest start.

    The answer depends on the seed and the moves alone, unless the time limit ends the search early. Cost: 1 to 5 µs a
    move, more where many gates share a segment.

    Args:
        chapters: the circuit in time.
        network: the nodes, or the prices of copy sets on them.
        capacity: data qubits of each node.
        starts: placements to start from, each within the capacity in every layer.
        moves: how many moves to try in all.
        seed: of the random choices.
        time_limit_s: stop after the stretch that passes it, with the best so far.
        still: whether every qubit must keep one home; then every start must do so.

    Raises:
        InvalidValue: there is no start, or one exceeds the capacity or has homes where there are none.
    """
    clock = time.monotonic()
    prices = copy_prices(network) if isinstance(network, Network) else network
    problem = Problem(chapters, prices, capacity)
    if not starts:
        raise InvalidValue(field="starts", value=(), rule="at least one placement to start from")
    search = _Search(problem, prices.unit, seed, None if time_limit_s is None else clock + time_limit_s)
    search.consider([problem.joined(*start) for start in starts])
    if moves > 0 and prices.nodes > 1:
        search.run(moves, still=still)
    cost, ordered, sites = search.best
    homes, idle_homes = problem.split(ordered)
    _recount(chapters, prices, capacity, homes, idle_homes, sites, cost)
    return Refined(
        homes=homes,
        idle_homes=idle_homes,
        sites=sites,
        cost=cost,
        history=tuple(search.history),
        finished=not search.late,
    )


_Found: TypeAlias = tuple[int, IntArray, IntArray]
"""Cost, homes and sites, in the order of ``Problem``."""


class _Search:
    """The cheapest placements so far, and how far the search has come."""

    def __init__(self, problem: Problem, unit: float, seed: int, deadline: float | None) -> None:
        self._problem = problem
        self._unit = unit
        self._seed = seed
        self._deadline = deadline
        self._made = 0
        self._annealings = 0
        self._ranked: list[_Found] = []
        self.history: list[tuple[int, int]] = []

    @property
    def best(self) -> _Found:
        """The incumbent."""
        return self._ranked[0]

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def consider(self, starts: Sequence[tuple[IntArray, IntArray]]) -> None:
        """Rank the starts; the earlier one first among equals."""
        priced = []
        for homes, sites in starts:
            live = self._problem.live(homes, sites, 1)
            priced.append((int(live[kernel.STATE][kernel.COST]), homes, sites))
        self._ranked = sorted(priced, key=lambda found: found[0])[:KEPT_STARTS]
        self.history.append((0, self.best[0]))

    def run(self, moves: int, *, still: bool) -> None:
        """Spend the moves on both phases, or on the first alone."""
        resting = [found for found in self._ranked if self._problem.still(found[1])]
        share = moves if still else int(moves * STILL_SHARE)
        moving = [found for found in self._ranked if not self._problem.still(found[1])]
        if resting:
            settled = [self._anneal(found, share // len(resting), STILL_HEAT, still=True) for found in resting]
            self._ranked = sorted([*settled, *moving], key=lambda found: found[0])
        if still:
            return
        left = moves - self._made
        annealings = min(LONGEST, max(1, left // (MOVES_PER_PIN * self._problem.pins)))
        starts = list(self._ranked)
        for index in range(annealings):
            self._rank(self._anneal(starts[index % len(starts)], left // annealings, HEAT, still=False))

    def _rank(self, found: _Found) -> None:
        if found[0] < self.best[0]:
            self._ranked.insert(0, found)

    def _anneal(self, start: _Found, moves: int, heat: tuple[float, float], *, still: bool) -> _Found:
        """Return the cheapest placement met in one annealing, which may be the start."""
        problem, best = self._problem, start
        hot, cold = heat
        hot = cold + (hot - cold) * min(1.0, moves / (THOROUGH * problem.pins))
        draw = stream(self._seed, "refine", self._annealings)
        self._annealings += 1
        live = problem.live(start[1], start[2], int(draw.integers(1, 2**62)))
        homes, sites = start[1].copy(), start[2].copy()
        for stretch in range(ROUNDS):
            if self.late:
                break
            step = moves * (stretch + 1) // ROUNDS - moves * stretch // ROUNDS
            here, there = (hot * (cold / hot) ** ((stretch + ends) / ROUNDS) * self._unit for ends in (0, 1))
            cost = int(kernel.anneal(problem.fixed, live, homes, sites, step, here, there, int(still), MIX))
            if cost < best[0]:
                best = cost, homes.copy(), sites.copy()
            self._made += step
            self.history.append((self._made, min(best[0], self.best[0])))
        return best


def _recount(
    chapters: Chapters,
    prices: CopyPrices,
    capacity: Sequence[int],
    homes: IntArray,
    idle_homes: IntArray,
    sites: IntArray,
    cost: int,
) -> None:
    """Count the placement again from plain sets, and the rooms layer by layer."""
    held = [{int(home)} for home in homes]
    for segment, following in enumerate(chapters.next_of.tolist()):
        if following >= 0:
            held[segment].add(int(homes[following]))
    for (a, b), site in zip(chapters.segments.gate_segments.tolist(), sites.tolist(), strict=True):
        held[a].add(site)
        held[b].add(site)
    counted = sum(prices.of(int(home), frozenset(nodes)) for home, nodes in zip(homes, held, strict=True))
    if counted != cost:
        raise InternalError(what=f"a refined placement was thought to cost {cost} and costs {counted}")
    peak = occupancy(chapters, homes, idle_homes, prices.nodes).max(axis=1)
    if (peak > np.array(capacity)).any():
        raise InternalError(what=f"a refined placement holds {peak.tolist()} data qubits of {list(capacity)}")
