"""The quantum network as the compiler sees it: node indices, links, hop counts, and trees that spread copies.

A copy reaches a far node along a chain of e-bits; each node on the way holds a usable copy meanwhile. While a node
passes a copy on it needs two communication qubits, one for the copy and one for the half of the next pair; a node with
fewer can only be an end of a chain.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hyperfabric_q.fabric import Fabric, Link

UNREACHABLE = 1 << 20
"""Hops between nodes that no chain joins: large enough never to be chosen, small enough to be added up."""

MAX_NODES = 62
"""Copy sets are bit masks in a signed 64-bit word."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """QPU nodes by index, with their links and room.

    Attributes:
        names: node id of each index.
        capacity: data qubits of each node.
        communication: communication qubits of each node, None for no limit.
        neighbours: indices linked to each index, ascending; only links whose two ends have a communication qubit.
        prices: whole positive price of a pair by the two indices, shape (n, n), symmetric; None = one each, which
            counts e-bits.
        coupled: indices of the nodes on whose chips only coupled qubits can meet.
    """

    names: tuple[str, ...]
    capacity: tuple[int, ...]
    communication: tuple[int | None, ...]
    neighbours: tuple[tuple[int, ...], ...]
    prices: tuple[tuple[int, ...], ...] | None = None
    coupled: frozenset[int] = frozenset()
    _hops: list[list[int]] = field(init=False, repr=False, compare=False)
    _trees: dict[tuple[int, int], tuple[tuple[int, int], ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    _complete: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        linked = all(len(near) == len(self) - 1 for near in self.neighbours)
        object.__setattr__(self, "_complete", linked and all(self.room(node, 1) for node in range(len(self))))
        object.__setattr__(self, "_hops", [self._hops_from(node) for node in range(len(self))])

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.names)

    @property
    def complete(self) -> bool:
        """Whether every two nodes share a link and can use it."""
        return self._complete

    def room(self, node: int, needed: int) -> bool:
        """Whether ``node`` has at least ``needed`` communication qubits."""
        limit = self.communication[node]
        return limit is None or limit >= needed

    def relays(self, node: int) -> bool:
        """Whether ``node`` can pass a copy on that is not at home there."""
        return self.room(node, 2)

    def hops(self, a: int, b: int) -> int:
        """Return the e-bits of the shortest chain from a qubit at home on ``a`` to a copy on ``b``."""
        return self._hops[a][b]

    def price(self, a: int, b: int) -> int:
        """Return the price of a pair over the link of two nodes."""
        return 1 if self.prices is None else self.prices[a][b]

    def restricted(self, nodes: Sequence[int]) -> Network:
        """Return the network of some of the nodes, in the given order."""
        index = {node: position for position, node in enumerate(nodes)}
        return Network(
            names=tuple(self.names[node] for node in nodes),
            capacity=tuple(self.capacity[node] for node in nodes),
            communication=tuple(self.communication[node] for node in nodes),
            neighbours=tuple(
                tuple(sorted(index[near] for near in self.neighbours[node] if near in index)) for node in nodes
            ),
            prices=None if self.prices is None else tuple(tuple(self.prices[a][b] for b in nodes) for a in nodes),
        )

    def _hops_from(self, source: int) -> list[int]:
        distance = [UNREACHABLE] * len(self)
        distance[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            if not (self.room(node, 1) if node == source else self.relays(node)):
                continue
            for near in self.neighbours[node]:
                if distance[near] == UNREACHABLE and self.room(near, 1):
                    distance[near] = distance[node] + 1
                    queue.append(near)
        return distance

    def spread(self, root: int, mask: int) -> int:
        """Return the price of carrying copies from a home ``root`` to every node of ``mask``: e-bits, without prices.

        All-to-all networks: one less than the nodes. Otherwise the shortest-path heuristic of Takahashi and Matsuyama
        (1980), which is exact on trees and lines and for up to two nodes, and never above twice the optimum.
        """
        if self.complete and self.prices is None:
            return mask.bit_count() - 1
        return sum(self.price(parent, child) if parent >= 0 else UNREACHABLE for parent, child in self.tree(root, mask))

    def tree(self, root: int, mask: int) -> tuple[tuple[int, int], ...]:
        """Return (parent, child) links that carry copies from ``root`` to every node of ``mask``, parents first.

        A node that cannot be reached appears as (-1, node).
        """
        known = self._trees.get((root, mask))
        if known is None:
            known = self._grow(root, mask)
            self._trees[root, mask] = known
        return known

    def _grow(self, root: int, mask: int) -> tuple[tuple[int, int], ...]:
        """Attach the nearest missing node by a shortest chain, until none is missing."""
        inside = {root}
        missing = {node for node in range(len(self)) if mask >> node & 1} - inside
        links: list[tuple[int, int]] = []
        while missing:
            chain = self._nearest(root, inside, missing)
            if not chain:
                return (*links, *((-1, node) for node in sorted(missing)))
            links.extend(pairwise(chain))
            inside.update(chain)
            missing -= inside
        return tuple(links)

    def _nearest(self, root: int, inside: set[int], missing: set[int]) -> list[int]:
        """A cheapest chain from the tree to a missing node; empty when there is none (Dijkstra)."""
        parent = dict.fromkeys(sorted(inside), -1)
        best = dict.fromkeys(parent, 0)
        # Among equals, the node that was met first: then chains without prices are found breadth first.
        queue = [(0, order, node) for order, node in enumerate(parent)]
        met = len(queue)
        while queue:
            cost, _, node = heapq.heappop(queue)
            if cost > best[node]:
                continue
            if node in missing:
                chain = [node]
                while parent[chain[-1]] >= 0:
                    chain.append(parent[chain[-1]])
                return chain[::-1]
            if not (self.room(node, 1) if node == root else self.relays(node)):
                continue
            for near in self.neighbours[node]:
                longer = cost + self.price(node, near)
                if self.room(near, 1) and longer < best.get(near, longer + 1):
                    parent[near], best[near] = node, longer
                    heapq.heappush(queue, (longer, met, near))
                    met += 1
        return []


def network_of(fabric: Fabric, *, prices: Callable[[Link], int] | None = None) -> Network:
    """Return the network of the fabric's QPU nodes; a node without data qubits declared is not part of it.

    Args:
        fabric: nodes and links.
        prices: the whole positive price of a pair over a link; None = one each.
    """
    nodes = [node for node in fabric.qpu_nodes if node.data_qubits is not None]
    index = {node.node_id: position for position, node in enumerate(nodes)}
    linked: list[set[int]] = [set() for _ in nodes]
    priced = [[1] * len(nodes) for _ in nodes]
    for link in fabric.links:
        ends = (link.a, link.b)
        if link.quantum and all(end in index and nodes[index[end]].communication_qubits != 0 for end in ends):
            linked[index[link.a]].add(index[link.b])
            linked[index[link.b]].add(index[link.a])
            if prices is not None:
                a, b = index[link.a], index[link.b]
                priced[a][b] = priced[b][a] = prices(link)
    return Network(
        names=tuple(node.node_id for node in nodes),
        capacity=tuple(node.data_qubits or 0 for node in nodes),
        communication=tuple(node.communication_qubits for node in nodes),
        neighbours=tuple(tuple(sorted(near)) for near in linked),
        prices=None if prices is None else tuple(tuple(row) for row in priced),
        coupled=frozenset(position for position, node in enumerate(nodes) if node.chip is not None),
    )


def components(neighbours: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the connected groups of a graph given by neighbour lists, each ascending, in order of first member."""
    seen: set[int] = set()
    groups: list[list[int]] = []
    for start in range(len(neighbours)):
        if start in seen:
            continue
        seen.add(start)
        group, queue = [], deque([start])
        while queue:
            node = queue.popleft()
            group.append(node)
            for near in neighbours[node]:
                if near not in seen:
                    seen.add(near)
                    queue.append(near)
        groups.append(sorted(group))
    return groups
