"""The search of one graph: cheap starts, annealing, and branch and bound where the graph is small.

Effort is counted in moves, never in seconds, so that the same seed gives the same cuts on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from hyperfabric_q.cutting.finder.exact_kernel import branch, sweep
from hyperfabric_q.cutting.finder.kernel import anneal
from hyperfabric_q.cutting.finder.orders import nearest_first, orders, strengths
from hyperfabric_q.cutting.finder.slices import Graph, Ints
from hyperfabric_q.seeds import stream

MOVES_PER_SECOND = 1_000_000
"""What a time limit is worth in moves of a graph of degree 3; a modest machine does about as many."""

SHORTEST = 20_000
PATIENCE = 8
"""A search ends when so many times the moves of its last success, and of its first rounds, brought nothing."""

FIRST_ROUNDS = 30
BRANCHED = 64
"""Largest graph that branch and bound is tried on."""

NODES = 100
"""Nodes of branch and bound that take the time of a move, times vertices and parts."""

PENALTIES = (0.5, 1.0, 2.0, 0.5, 1e6)
"""Price of a qubit too many, in typical edges, round by round; most search best through parts that do not quite fit."""

SWEPT = 3000


@dataclass(slots=True, kw_only=True)
class Search:
    """The state of a search over one graph.

    Attributes:
        graph: what is placed.
        rooms: qubits of each part.
        keep: whether all parts must be used.
        best: parts of the vertices, None until some fit.
        price: their ln gamma² (inf).
        floor: what is known of the least price.
        moves: effort so far.
        successes: (moves, parts) of each improvement.
    """

    graph: Graph
    rooms: tuple[int, ...]
    keep: bool
    floor: float
    best: Ints | None = None
    price: float = math.inf
    moves: int = 0
    successes: list[tuple[int, float, Ints]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether nothing cheaper can exist."""
        return self.price <= self.floor + 1e-6

    def offer(self, part: Ints) -> None:
        """Take an assignment as incumbent if it fits and is cheaper."""
        found = np.empty_like(part)
        price = self._anneal(part, found, 0, 1.0, 1.0, 1.0, seed=1)
        if price < self.price - 1e-9 and not (self.keep and len(np.unique(part)) < len(self.rooms)):
            self._take(price, part)

    def _take(self, price: float, part: Ints) -> None:
        self.best, self.price = part.copy(), price
        self.successes.append((self.moves, price, self.best))

    def _fixed(self) -> tuple[Ints, ...]:
        return (*self.graph.arrays, np.array(self.rooms, dtype=np.int64))

    def _anneal(
        self, part: Ints, found: Ints, moves: int, hot: float, cold: float, penalty: float, *, seed: int
    ) -> float:
        parts = len(self.rooms)
        live = (
            part.copy(),
            np.zeros((parts, self.graph.windows), dtype=np.int64),
            np.zeros(parts, dtype=np.int64),
            np.zeros((parts, parts), dtype=np.int64),
            np.zeros(parts, dtype=np.int64),
            np.zeros(parts, dtype=np.int64),
            np.array([seed, 0, 0], dtype=np.int64),
        )
        return float(anneal(self._fixed(), live, found, moves, hot, cold, penalty, int(self.keep)))

    # ------------------------------------------------------------------------------------------------------- searching

    def start(self, begins: Ints) -> None:
        """Look at the best runs of a few orders, the rooms as given and the widest first and last."""
        if len(self.graph) <= SWEPT:
            turns = {tuple(range(len(self.rooms)))}
            turns |= {tuple(np.argsort(sign * np.array(self.rooms), kind="stable").tolist()) for sign in (1, -1)}
            for order in orders(self.graph, begins):
                for turn in sorted(turns):
                    self._sweep(order, turn)
                    if self.done:
                        return
        if self.best is None:
            self.offer(self._packed())

    def _sweep(self, order: Ints, turn: Sequence[int]) -> None:
        found = np.empty(len(order), dtype=np.int64)
        rooms = np.array([self.rooms[slot] for slot in turn], dtype=np.int64)
        kept = sweep((*self.graph.arrays, rooms), order, int(self.keep), found)
        if kept >= 0:
            self.offer(np.array(turn, dtype=np.int64)[found])

    def _packed(self) -> Ints:
        """Put each vertex, large ones first, where most room is left: perhaps too many, annealing then mends it."""
        size = np.zeros(len(self.graph), dtype=np.int64)
        np.add.at(size, np.repeat(np.arange(len(size)), np.diff(self.graph.use_start)), self.graph.use_count)
        left = np.array(self.rooms, dtype=np.int64) * max(1, self.graph.windows)
        part = np.zeros(len(size), dtype=np.int64)
        for vertex in np.argsort(-size, kind="stable").tolist():
            part[vertex] = int(np.argmax(left))
            left[part[vertex]] -= size[vertex]
        return part

    def improve(self, budget: int, seed: int, name: str) -> None:
        """Anneal in rounds of growing length until the budget of moves, or patience, ends."""
        if not len(self.graph.near) or len(self.rooms) < 2:
            return
        prices = strengths(self.graph)
        typical = float(np.median(prices[prices > 0])) if (prices > 0).any() else 1.0
        scale = max(1, math.ceil(len(self.graph.near) / len(self.graph) / 6))  # moves of denser graphs take longer
        first = max(SHORTEST, 50 * len(self.graph))
        begun, success = self.moves, self.moves
        for number in count():
            length = min(first * 2 ** (number // len(PENALTIES)), (budget - (self.moves - begun)) // scale)
            if (
                self.done
                or length < SHORTEST // 4
                or self.moves - success > PATIENCE * (success - begun) + (FIRST_ROUNDS * first * scale)
            ):
                return
            random = stream(seed, "cutting", "find", name, len(self.rooms), number)
            again = number % 2 == 1 and self.best is not None
            part = self.best if again and self.best is not None else self._fresh(random)
            found = np.empty_like(part)
            hot = typical * (1.0 if again else 2.5)
            penalty = typical * PENALTIES[number % len(PENALTIES)]
            price = self._anneal(part, found, length, hot, typical * 0.05, penalty, seed=int(random.integers(1, 2**62)))
            self.moves += length * scale
            if price < self.price - 1e-9:
                self._take(price, found)
                success = self.moves

    def _fresh(self, random: np.random.Generator) -> Ints:
        slots = np.repeat(np.arange(len(self.rooms)), self.rooms)
        drawn = random.permutation(np.resize(slots, max(len(self.graph), len(slots))))[: len(self.graph)]
        drawn = drawn.astype(np.int64)
        if self.keep:
            drawn[random.permutation(len(drawn))[: len(self.rooms)]] = np.arange(len(self.rooms))
        return drawn

    def prove(self, budget: int) -> None:
        """Branch and bound with so many moves' worth of nodes; raises the floor to the price when it gets through."""
        if self.done or len(self.graph) > BRANCHED:
            return
        order = nearest_first(self.graph)
        best = np.array([min(self.price, 1e300)])
        found = np.zeros(len(order), dtype=np.int64)
        nodes = max(1000, budget * NODES // (len(order) * len(self.rooms)))
        used = branch(self._fixed(), order, self._spare(order), int(self.keep), nodes, best, found)
        self.moves += int(used) * len(order) * len(self.rooms) // NODES
        if best[0] < self.price - 1e-9:
            self.offer(found)
        if used <= nodes:
            self.floor = self.price

    def _spare(self, order: Ints) -> Ints:
        """Qubits that the vertices from each place on can give back by joining two pieces of wire."""
        spare = np.zeros(len(order) + 1, dtype=np.int64)
        if not (self.graph.joins and self.graph.has_wires):
            return spare
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        for index in range(len(order) - 1, -1, -1):
            v = order[index]
            entries = slice(self.graph.start[v], self.graph.start[v + 1])
            earlier = int(self.graph.wires[entries][place[self.graph.near[entries]] < index].sum())
            spare[index] = spare[index + 1] + max(0, earlier - int(self.graph.use_count[v]))
        return spare
