"""The cheapest placement there is, by a mixed-integer program, with a lower bound when it is not found in time.

Binary variables say which node is the home of each segment and which nodes (or sides of links) its copies reach; the
sites of gates follow and stay continuous. A copy set costs

* on an all-to-all network without prices its nodes less one;
* where the links form a tree, the links with copies on both sides;
* on other networks of few nodes, the cheapest tree around it, chosen among all sets of nodes;
* else, for each node but the home, the cheapest of its links, which is a bound and not the price.

Interchangeable nodes are told apart by the order in which the qubits first use them. The bounds of ``families`` are
given to the solver (HiGHS, Huangfu and Hall 2018), whose own relaxation spreads every qubit over all nodes at no cost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array

from hyperfabric_q.distribution.chapters import Chapters, cost_in_time
from hyperfabric_q.distribution.copy_prices import copy_prices
from hyperfabric_q.distribution.families import Family, families, tree_table
from hyperfabric_q.distribution.network import UNREACHABLE, Network
from hyperfabric_q.distribution.program import IntArray

MAX_VARIABLES = 40_000
"""Larger programs are not given to the solver: it would not get past its first relaxation in useful time."""

TOLERANCE = 1e-4
"""Costs are whole numbers: a bound this little above one is taken for it."""

MAX_SET_NODES = 6
"""Networks that are neither all-to-all nor trees are priced exactly up to so many nodes."""

Column: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """What the solver found.

    Attributes:
        placement: homes of the segments, homes of the qubits without gates (-1 elsewhere), sites of the gates; None
            when nothing was found (in time, or cheaper than asked for).
        cost: price of the placement, without prices its e-bits; None without one.
        bound: price that no placement goes below.
        proved: whether the cheapest is known: the placement, or the cost that was to be beaten.
        seconds: time taken.
    """

    placement: tuple[IntArray, IntArray, IntArray] | None
    cost: int | None
    bound: int
    proved: bool
    seconds: float


def exact(
    chapters: Chapters,
    network: Network,
    capacity: Sequence[int],
    *,
    time_limit_s: float,
    beat: int | None = None,
    known: Sequence[Family] | None = None,
    floor: int = 0,
) -> Exact:
    """Return the cheapest placement in time, or what is known of its cost after ``time_limit_s`` seconds.

    The limit is one of time: where it strikes, the answer depends on the machine. Limits of communication qubits are
    not looked at. Circuits of some ten segments per node are solved in seconds, cf. ``MAX_VARIABLES``.

    Args:
        chapters: the circuit in time.
        network: the QPU nodes.
        capacity: data qubits that may be used of each node.
        time_limit_s: seconds for the solver.
        beat: a cost already at hand; only cheaper placements are sought.
        known: families of segments and what they cost at least; by default those of ``families``.
        floor: a lower bound already known, in prices.
    """
    began = time.perf_counter()
    known = families(chapters, network, capacity) if known is None else known
    floor = max(floor, least_price(network) * sum(family.value for family in known))
    if beat is not None and floor >= beat:
        return Exact(placement=None, cost=None, bound=floor, proved=True, seconds=time.perf_counter() - began)
    if (2 * len(chapters) + len(chapters.gate_layer)) * len(network) > MAX_VARIABLES or time_limit_s <= 0:
        return Exact(placement=None, cost=None, bound=floor, proved=False, seconds=time.perf_counter() - began)
    model = _Model(chapters, network, capacity)
    model.add_families(known)
    highest = np.inf if beat is None else beat - 1
    model.add_price(np.arange(len(chapters)), floor, highest)
    values, bound, impossible = model.solve(time_limit_s)
    if impossible:
        bound = UNREACHABLE if beat is None else beat
    bound = max(bound, floor)
    placement = None if values is None else model.placement(values)
    cost = None if placement is None else cost_in_time(chapters, network, placement[0], placement[2])
    best = min((each for each in (cost, beat) if each is not None), default=None)
    return Exact(
        placement=placement,
        cost=cost,
        bound=bound if best is None else min(bound, best),
        proved=best is not None and bound >= best,
        seconds=time.perf_counter() - began,
    )


class _Model:
    """Variables and rows of the program. Each segment and pair of joined segments has ``k`` columns, one per node."""

    def __init__(self, chapters: Chapters, network: Network, capacity: Sequence[int]) -> None:
        self.chapters = chapters
        self.network = network
        self.nodes = len(network)
        self.segments = len(chapters)
        ends = chapters.segments.gate_segments.astype(np.int64)
        # Gates between the same two segments may as well share a site.
        self.pairs, self.pair_of = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
        self.pair_of = self.pair_of.ravel()
        self.idle = np.flatnonzero(chapters.idle)
        self.home = self._block(0, self.segments)
        self.site = self._block(self.home.size, len(self.pairs))
        self.spare = self._block(self.home.size + self.site.size, 1)[0]  # idle qubits per node
        self.first_price = self.home.size + self.site.size + self.nodes
        self.variables = self.first_price
        self.price: list[tuple[Column, NDArray[np.float64]]] = []
        self.constant = 0  # what a segment's terms add up to beyond its price
        self.scale = highest_price(network)  # the solver's tolerances are made for numbers around 1
        self.upper = np.ones(self.variables)
        self.upper[self.spare] = len(self.idle)
        self.integral = np.ones(self.variables)
        self.integral[self.site.ravel()] = 0
        self.columns: list[Column] = []
        self.weights: list[NDArray[np.float64]] = []
        self.lows: list[float] = []
        self.highs: list[float] = []
        self._add_prices()
        self._add_choices()
        self._add_capacities(capacity)
        self._add_symmetry(capacity)

    def _block(self, start: int, rows: int) -> Column:
        return np.arange(start, start + rows * self.nodes).reshape(rows, self.nodes)

    def _new(self, count: int, *, integral: bool) -> Column:
        """Columns for ``count`` more variables between 0 and 1."""
        start = self.variables
        self.variables += count
        self.upper = np.concatenate([self.upper, np.ones(count)])
        self.integral = np.concatenate([self.integral, np.full(count, float(integral))])
        return np.arange(start, start + count)

    def add(self, terms: tuple[Column, NDArray[np.float64]], low: float, high: float) -> None:
        """Add the row low <= Σ weight · column <= high."""
        self.columns.append(terms[0])
        self.weights.append(terms[1])
        self.lows.append(low)
        self.highs.append(high)

    def _at_least(self, greater: int, lesser: Column) -> None:
        columns = np.append(lesser, greater)
        weights = np.ones(len(columns))
        weights[:-1] = -1
        self.add((columns, weights), 0, np.inf)

    # -------------------------------------------------------------------------------------------- parts of the model

    def _add_choices(self) -> None:
        """One home per segment, one site per pair, and every idle qubit somewhere."""
        for row in (*self.home, *self.site):
            self.add((row, np.ones(self.nodes)), 1, 1)
        self.add((self.spare, np.ones(self.nodes)), len(self.idle), len(self.idle))

    def _add_capacities(self, capacity: Sequence[int]) -> None:
        """Room on each node in each layer in which a segment begins."""
        begins, ends = self.chapters.begins, self.chapters.ends
        for layer in np.unique(begins).tolist() or [0]:
            alive = np.flatnonzero((begins <= layer) & (layer < ends))
            for node, room in enumerate(capacity):
                if room < len(alive) + len(self.idle):
                    columns = np.append(self.home[alive, node], self.spare[node])
                    self.add((columns, np.ones(len(columns))), -np.inf, room)

    def _add_symmetry(self, capacity: Sequence[int]) -> None:
        """Interchangeable nodes are first used, in layer 0, in ascending order by the qubits with most gates."""
        counts = np.bincount(self.chapters.segments.gate_qubits.ravel(), minlength=self.chapters.segments.qubits)
        qubits = [int(each) for each in np.argsort(-counts, kind="stable") if self.chapters.first_of[each] >= 0]
        first = self.chapters.first_of[qubits]
        if not len(first):
            return
        if not self.network.complete or self.network.prices is not None:
            orbits = _orbits(self.network, capacity)
            self.upper[[self.home[first[0], node] for node in range(self.nodes) if orbits[node] != node]] = 0
            return
        for room in set(capacity):
            alike = [node for node in range(self.nodes) if capacity[node] == room]
            for before, node in pairwise(alike):
                self.upper[self.home[first[0], node]] = 0
                for number in range(1, len(first)):
                    columns = np.append(self.home[first[:number], before], self.home[first[number], node])
                    self.add((columns, np.append(np.ones(number), -1.0)), 0, np.inf)

    def _add_prices(self) -> None:
        """Variables for what the copies of each segment reach, and their links."""
        plain = self.network.complete and self.network.prices is None
        tree = [] if plain else link_sides(self.network)
        table = None
        if not plain and not tree and self.nodes <= MAX_SET_NODES:
            table = _price_table(self.network)
        pins = self._pins()
        for segment in range(self.segments):
            if tree:
                self._price_by_sides(pins[segment], tree)
            else:
                self._price_by_nodes(pins[segment], table)

    def _pins(self) -> list[Column]:
        """For each segment the columns of its pins: its home, the next one, its sites; shape (pins, k)."""
        rows: list[list[Column]] = [[self.home[segment]] for segment in range(self.segments)]
        for segment in np.flatnonzero(self.chapters.next_of >= 0).tolist():
            rows[segment].append(self.home[self.chapters.next_of[segment]])
        for pair, ends in enumerate(self.pairs.tolist()):
            for segment in ends:
                rows[segment].append(self.site[pair])
        return [np.array(each) for each in rows]

    def _price_by_sides(self, pins: Column, sides: Sequence[NDArray[np.bool_]]) -> None:
        """A link counts when there are copies on both of its sides."""
        reached = self._new(2 * len(sides), integral=True)
        for number, side in enumerate(sides):
            for half, there in enumerate((side, ~side)):
                for pin in pins:
                    self._at_least(int(reached[2 * number + half]), pin[there])
        prices = [self.network.price(a, b) for a, b in links_of(self.network)]
        self._charge(reached, np.repeat(np.array(prices, dtype=np.int64), 2))
        self.constant = sum(prices)

    def _price_by_nodes(self, pins: Column, table: NDArray[np.int64] | None) -> None:
        reached = self._new(self.nodes, integral=True)
        for node in range(self.nodes):
            for pin in pins:
                self._at_least(int(reached[node]), pin[[node]])
        if table is None and self.network.prices is None:
            self._charge(reached, np.ones(self.nodes, dtype=np.int64))
            self.constant = 1
            return
        if table is None:
            # Each node of a tree but its root joins it by a link of its own.
            each = np.array([_cheapest_link(self.network, node) for node in range(self.nodes)], dtype=np.int64)
            self._charge(np.concatenate([reached, pins[0]]), np.concatenate([each, -each]))
            return
        masks = np.flatnonzero((table < UNREACHABLE) & (np.arange(len(table)) > 0))
        chosen = self._new(len(masks), integral=False)
        self.add((chosen, np.ones(len(masks))), 1, 1)
        for node in range(self.nodes):
            holds = chosen[masks >> node & 1 == 1]
            self.add((np.append(holds, reached[node]), np.append(np.ones(len(holds)), -1.0)), 0, 0)
        self._charge(chosen, table[masks])

    def _charge(self, columns: Column, prices: NDArray[np.int64]) -> None:
        """Say what one more segment costs."""
        self.price.append((columns, prices / self.scale))

    def price_terms(self, segments: NDArray[np.integer]) -> tuple[Column, NDArray[np.float64]]:
        """Return columns and weights: they add up to (price + ``constant``) / ``scale`` over the segments."""
        if not len(segments):
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        chosen = [self.price[int(segment)] for segment in segments]
        return np.concatenate([columns for columns, _ in chosen]), np.concatenate([weights for _, weights in chosen])

    def add_price(self, segments: NDArray[np.integer], low: float, high: float) -> None:
        """Add a row: the segments cost ``low`` to ``high``."""
        beyond = self.constant * len(segments)
        self.add(self.price_terms(segments), (low + beyond) / self.scale, (high + beyond) / self.scale)

    def add_families(self, known: Sequence[Family]) -> None:
        """Add a row for each family."""
        for family in known:
            self.add_price(family.segments, least_price(self.network) * family.value, np.inf)

    # ------------------------------------------------------------------------------------------------------- solving

    def solve(self, time_limit_s: float) -> tuple[NDArray[np.float64] | None, int, bool]:
        """Return (values of the variables or None, lower bound, whether there is no solution)."""
        objective = np.zeros(self.variables)
        columns, weights = self.price_terms(np.arange(self.segments))
        np.add.at(objective, columns, weights)
        result = milp(
            objective,
            integrality=self.integral.astype(np.int64),
            bounds=Bounds(np.zeros(self.variables), self.upper),
            constraints=LinearConstraint(self._matrix(), np.array(self.lows), np.array(self.highs)),
            options={"time_limit": float(time_limit_s), "mip_rel_gap": 0.0},
        )
        dual = result.get("mip_dual_bound")
        if dual is None or not math.isfinite(dual):
            return result.x, 0, result.status == 2
        bound = rounded_up(dual - self.constant * self.segments / self.scale, self.scale)
        return result.x, max(bound, 0), result.status == 2

    def _matrix(self) -> csr_array[np.float64]:
        rows = np.repeat(np.arange(len(self.columns)), [len(each) for each in self.columns])
        data = np.concatenate(self.weights)
        return csr_array(
            coo_array((data, (rows, np.concatenate(self.columns))), shape=(len(self.columns), self.variables))
        )

    def placement(self, values: NDArray[np.float64]) -> tuple[IntArray, IntArray, IntArray]:
        """Return (homes, idle homes, sites): a gate runs on the first node that the solution lets it."""
        homes = np.argmax(values[self.home], axis=1) if self.segments else np.zeros(0)
        # A site may be split between nodes that hold both copies; any of its parts will do.
        sites = np.argmax(values[self.site], axis=1) if len(self.pairs) else np.zeros(0)
        idle_homes = np.full(self.chapters.segments.qubits, -1, dtype=np.int32)
        idle_homes[self.idle] = np.repeat(np.arange(self.nodes), np.rint(values[self.spare]).astype(np.int64))
        return homes.astype(np.int32), idle_homes, sites.astype(np.int32)[self.pair_of]


def links_of(network: Network) -> list[tuple[int, int]]:
    """Return the links, ends and rows ascending."""
    return [(a, b) for a, near in enumerate(network.neighbours) for b in near if a < b]


def least_price(network: Network) -> int:
    """Return the price of the cheapest link; 1 without links."""
    return min((network.price(a, b) for a, b in links_of(network)), default=1)


def highest_price(network: Network) -> int:
    """Return the price of the dearest link; 1 without links."""
    return max((network.price(a, b) for a, b in links_of(network)), default=1)


def rounded_up(value: float, scale: int) -> int:
    """Return the whole number of prices that a bound, given by ``scale``, comes to, up to the solver's tolerance."""
    return math.ceil(value * scale - min(TOLERANCE * scale, 0.499))


def _cheapest_link(network: Network, node: int) -> int:
    return min((network.price(node, near) for near in network.neighbours[node]), default=UNREACHABLE)


def _price_table(network: Network) -> NDArray[np.int64]:
    """Return the price of the cheapest tree around each set of nodes, shape (2^k,).

    Limits of communication qubits are left out, so the table never exceeds what a plan pays.
    """
    if network.prices is None:
        return tree_table(network)
    free = replace(network, communication=(None,) * len(network))
    trees = copy_prices(free, np.array(network.prices, dtype=np.int64)).table
    found: NDArray[np.int64] = trees.reshape(len(network), -1).min(axis=0)
    return found


def link_sides(network: Network) -> list[NDArray[np.bool_]]:
    """Return for each link of a tree which nodes lie on one side of it; nothing when the links are no spanning tree."""
    nodes = len(network)
    links = links_of(network)
    if len(links) != nodes - 1:
        return []
    sides = []
    for cut in links:
        side = {cut[0]}
        while grown := {b for link in links if link != cut for a, b in (link, link[::-1]) if a in side} - side:
            side |= grown
        if cut[1] in side:
            return []  # a cycle: n - 1 links without one would join all nodes
        sides.append(np.isin(np.arange(nodes), list(side)))
    return sides


def _orbits(network: Network, capacity: Sequence[int]) -> list[int]:
    """The smallest node each node can be mapped to by a symmetry of links and capacities."""
    nodes = len(network)
    smallest = list(range(nodes))
    if nodes > MAX_SET_NODES:
        return smallest
    near = [{(each, network.price(node, each)) for each in network.neighbours[node]} for node in range(nodes)]
    for image in permutations(range(nodes)):
        if all(capacity[image[node]] == capacity[node] for node in range(nodes)) and all(
            {(image[each], price) for each, price in near[node]} == near[image[node]] for node in range(nodes)
        ):
            smallest = [min(smallest[node], image[node]) for node in range(nodes)]
    return smallest
