"""Steps of last resort, for nodes with few communication qubits: one gate at a time, qubits carried to each other.

A gate between nodes that a chain joins takes one communication qubit at either end and two in between. Where a node in
between has a single one, a qubit is carried there, one chain at a time: by a copy that becomes its home where a data
qubit is free, or is made free by carrying others on, and otherwise in an exchange. That is a SWAP, three CNOTs of which
each takes a copy of its control to its target, and needs no free qubit but the two halves of a pair.

So every circuit runs whose parts fit groups of linked nodes with a communication qubit each. No copy outlives the gates
that it can serve at once, and no more than two communication qubits of a node are taken at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from hyperfabric_q.distribution.network import UNREACHABLE, Network, components
from hyperfabric_q.distribution.program import IntArray, Kind, Program
from hyperfabric_q.distribution.steps import Apply, Promote, Release, Settle, Spread, Step, Toggle, Trade

AHEAD: Final = 8
"""Gates of a qubit that are looked at before it is carried, each of which counts less than the one before."""

FADING: Final = 0.7

PARTNERS: Final = 4
"""Qubits of a full node, those needed latest, that may make room for another."""


def joined_groups(network: Network) -> list[list[int]]:
    """Return the groups of nodes within which any qubit can meet any other, each ascending.

    These are the groups that links join, without the nodes that no qubit can pass: such a node has no data qubit, and
    a single communication qubit. Each of those is a group of its own.
    """
    passed = [room > 0 or network.relays(node) for node, room in enumerate(network.capacity)]
    return components(
        [[other for other in near if passed[other] and passed[node]] for node, near in enumerate(network.neighbours)]
    )


def carried_steps(program: Program, network: Network, homes: IntArray) -> tuple[tuple[Step, ...], IntArray] | None:
    """Return the steps that carry out ``program`` and the node of each gate, shape (g,); None where they cannot.

    Args:
        program: the circuit.
        network: the nodes.
        homes: home of each qubit at the start, shape (qubits,).

    Cost: O(gates x (nodes + qubits on a node)) where qubits have to be carried, 10 to 100 us a gate.
    """
    group = {node: number for number, each in enumerate(joined_groups(network)) for node in each}
    at = homes.tolist()
    gates = np.flatnonzero(program.kind == Kind.CP)
    pairs = zip(program.first[gates].tolist(), program.second[gates].tolist(), strict=True)
    if any(group[at[a]] != group[at[b]] for a, b in pairs):
        return None
    walk = _Walk(program, network, at)
    walk.run()
    return tuple(walk.out), np.array([walk.site[row] for row in gates.tolist()], dtype=np.int32)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a qubit gets to a node: others are carried on to make room first, or one is exchanged for it.

    Attributes:
        cost: e-bits.
        qubit: what is carried.
        node: where it is carried.
        shifts: (qubit, node) that are carried before, in order.
        partner: the qubit that it is exchanged for; -1 for none.
    """

    cost: int
    qubit: int
    node: int
    shifts: tuple[tuple[int, int], ...] = ()
    partner: int = -1


class _Walk:
    """One walk through the program; ``at`` is the home of each qubit, ``held`` the qubits of each node."""

    def __init__(self, program: Program, network: Network, at: list[int]) -> None:
        self._program, self._network, self._at = program, network, at
        self._held: list[set[int]] = [set() for _ in network.names]
        for qubit, node in enumerate(at):
            self._held[node].add(qubit)
        self._near, self._far = _distances(network)
        self._first, self._second = program.first.tolist(), program.second.tolist()
        self._kinds, self._conditions = program.kind.tolist(), program.condition.tolist()
        self._epoch = [0] * program.qubits
        self._epochs: dict[int, tuple[int, int]] = {}
        self._gates: list[list[int]] = [[] for _ in at]
        self._read()
        self.site: dict[int, int] = {}
        self.out: list[Step] = []

    def _read(self) -> None:
        """Note the gates of each qubit, last first, and how many breaks and flips come before each gate."""
        epoch = list(self._epoch)
        for row, kind in enumerate(self._kinds):
            if kind == Kind.CP:
                a, b = self._first[row], self._second[row]
                self._epochs[row] = epoch[a], epoch[b]
                self._gates[a].append(row)
                self._gates[b].append(row)
            elif kind in (Kind.U, Kind.X, Kind.RESET):
                epoch[self._first[row]] += 1
        for rows in self._gates:
            rows.reverse()

    def run(self) -> None:
        for row, kind in enumerate(self._kinds):
            if kind != Kind.CP:
                self.out.append(Apply(row, self._at[self._first[row]]))
                if kind in (Kind.U, Kind.X, Kind.RESET):
                    self._epoch[self._first[row]] += 1
            elif row not in self.site:
                self._gate(row)

    # ------------------------------------------------------------------------------------------------------- gates

    def _gate(self, row: int) -> None:
        a, b = self._first[row], self._second[row]
        while self._network.hops(self._at[a], self._at[b]) >= UNREACHABLE:
            way = min(self._ways(a, b), key=self._worth)
            for qubit, node in way.shifts:
                self._carry(qubit, node)
            if way.partner < 0:
                self._carry(way.qubit, way.node)
            else:
                self._exchange(way.qubit, way.partner)
        if self._at[a] == self._at[b]:
            self._apply(row, self._at[a])
            return
        for_a, for_b = self._served(a, self._at[b]), self._served(b, self._at[a])
        qubit, node, rows = (a, self._at[b], for_a) if len(for_a) >= len(for_b) else (b, self._at[a], for_b)
        self._spread(qubit, node)
        for each in rows:
            self._apply(each, node)
        self.out.append(Release(qubit, node))

    def _served(self, qubit: int, node: int) -> list[int]:
        """The gates that a copy of ``qubit`` on ``node`` can serve now, in order."""
        rows: list[int] = []
        for row in reversed(self._gates[qubit]):
            pair = self._first[row], self._second[row]
            now = self._epochs[row] == (self._epoch[pair[0]], self._epoch[pair[1]])
            if self._epochs[row][pair.index(qubit)] != self._epoch[qubit]:
                break
            # A conditional gate waits for its turn, and so does one that comes after a change of its other qubit.
            if now and (self._conditions[row] < 0 or not rows) and self._at[sum(pair) - qubit] == node:
                rows.append(row)
        return rows

    def _apply(self, row: int, node: int) -> None:
        self.site[row] = node
        self.out.append(Apply(row, node))
        for qubit in (self._first[row], self._second[row]):
            rows = self._gates[qubit]
            rows.remove(row) if rows[-1] != row else rows.pop()

    # ----------------------------------------------------------------------------------------------------- protocols

    def _spread(self, qubit: int, node: int) -> None:
        """Copy a qubit to a node over a chain, of which only the end stays."""
        home = self._at[qubit]
        parents = {child: parent for parent, child in self._network.tree(home, 1 << node)}
        chain = [node]
        while chain[-1] != home:
            chain.append(parents[chain[-1]])
        for target, source in reversed(list(pairwise(chain))):
            self.out.append(Spread(qubit, source, target))
            if source != home:
                self.out.append(Release(qubit, source))

    def _carry(self, qubit: int, node: int) -> None:
        self._spread(qubit, node)
        self.out += [Promote(qubit, node), Settle(qubit, node)]
        self._held[self._at[qubit]].remove(qubit)
        self._held[node].add(qubit)
        self._at[qubit] = node

    def _exchange(self, a: int, b: int) -> None:
        for control, target in ((a, b), (b, a), (a, b)):
            node = self._at[target]
            self._spread(control, node)
            self.out += [Toggle(control, target, node), Release(control, node)]
        self.out.append(Trade(a, b))
        here, there = self._at[a], self._at[b]
        self._held[here] ^= {a, b}
        self._held[there] ^= {a, b}
        self._at[a], self._at[b] = there, here

    # ---------------------------------------------------------------------------------------------------------- ways

    def _ways(self, a: int, b: int) -> Iterator[_Way]:
        """Yield the ways that bring two qubits closer by one carriage of either."""
        for qubit, other in ((a, b), (b, a)):
            here, there = self._at[qubit], self._at[other]
            for node in self._near[here]:
                if node != there and self._far[node][there] < self._far[here][there]:
                    yield from self._into(qubit, node, {qubit, other})

    def _into(self, qubit: int, node: int, fixed: set[int]) -> Iterator[_Way]:
        hops = self._network.hops(self._at[qubit], node)
        shifts = self._shifts(node, fixed)
        if shifts is not None:
            cost = sum(self._network.hops(self._at[each], there) for each, there in shifts)
            yield _Way(cost + hops, qubit, node, tuple(shifts))
        if shifts != []:
            for partner in self._latest(node, fixed):
                yield _Way(3 * hops, qubit, node, partner=partner)

    def _latest(self, node: int, fixed: set[int]) -> Sequence[int]:
        """The qubits at home on a node that may leave it, those needed latest."""
        free = self._held[node] - fixed
        return sorted(free, key=lambda qubit: (-self._next(qubit), qubit))[:PARTNERS]

    def _next(self, qubit: int) -> int:
        rows = self._gates[qubit]
        return rows[-1] if rows else len(self._kinds)

    def _shifts(self, node: int, fixed: set[int]) -> list[tuple[int, int]] | None:
        """What to carry where, last link of the way first, so that ``node`` has a data qubit free; None for no way."""
        came = {node: -1}
        queue = [node]
        for each in queue:
            if len(self._held[each]) < self._network.capacity[each]:
                way = [each]
                while came[way[-1]] >= 0:
                    way.append(came[way[-1]])
                return [(self._latest(source, fixed)[0], target) for target, source in pairwise(way)]
            if not self._latest(each, fixed):
                continue
            for near in self._near[each]:
                if near not in came:
                    came[near] = each
                    queue.append(near)
        return None

    def _worth(self, way: _Way) -> tuple[float, int, int, int]:
        """The price of a way and of what it does to the next gates of all it moves; small is good."""
        moved = dict(way.shifts) | {way.qubit: way.node}
        if way.partner >= 0:
            moved[way.partner] = self._at[way.qubit]
        total = float(way.cost)
        for qubit, node in moved.items():
            share = 1.0
            for row in self._gates[qubit][: -AHEAD - 1 : -1]:
                other = self._first[row] + self._second[row] - qubit
                before = self._far[self._at[qubit]][self._at[other]]
                total += share * (self._far[node][moved.get(other, self._at[other])] - before)
                share *= FADING
        return total, way.qubit, way.node, way.partner


def _distances(network: Network) -> tuple[list[list[int]], list[list[int]]]:
    """The nodes that a qubit can be carried to from each node at once, and the e-bits from each node to each."""
    nodes = range(len(network))
    hops = np.array([[network.hops(a, b) for b in nodes] for a in nodes], dtype=np.int64)
    blocked = np.array(network.capacity) == 0
    hops[blocked, :] = hops[:, blocked] = UNREACHABLE
    np.fill_diagonal(hops, 0)
    near = [[int(b) for b in np.flatnonzero(hops[a] < UNREACHABLE) if b != a] for a in nodes]
    far = hops.copy()
    for middle in nodes:
        np.minimum(far, far[:, middle, None] + far[None, middle, :], out=far)
    return near, far.tolist()
