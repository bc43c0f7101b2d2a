"""What each copy set costs: a table over all sets of nodes where there are few, distances where there are many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.network import UNREACHABLE, Network
from hyperfabric_q.errors import InvalidValue

Table = NDArray[np.int64]

TABLE_NODES = 12
"""Largest network with a table of every copy set (49,152 entries of (home, set))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPrices:
    """The price of carrying copies from a home to a set of nodes.

    Attributes:
        nodes: how many nodes there are.
        table: price of each home and set, int64, shape (nodes 2^nodes,), entry ``home << nodes | set``; or empty.
        hops: price between every two nodes, int64, shape (nodes, nodes), for sets without a table: they are priced as
            a spanning tree over it; or empty, for one unit per node beyond the first.
        unit: what a typical link costs, by which the annealer's temperatures are scaled.
    """

    nodes: int
    table: Table
    hops: Table
    unit: float = 1.0

    def __post_init__(self) -> None:
        self.table.setflags(write=False)
        self.hops.setflags(write=False)

    def of(self, home: int, nodes: frozenset[int]) -> int:
        """Return the price of copies of a qubit at ``home`` on ``nodes``."""
        if len(self.table):
            return int(self.table[home << self.nodes | sum(1 << node for node in nodes)])
        if not len(self.hops):
            return len(nodes) - 1
        inside, rest, total = {min(nodes)}, set(nodes) - {min(nodes)}, 0
        while rest:
            step, joined = min((int(self.hops[a, b]), b) for a in inside for b in rest)
            inside.add(joined)
            rest.discard(joined)
            total += step
        return total


def copy_prices(network: Network, weights: NDArray[np.int64] | None = None) -> CopyPrices:
    """Return the prices of copy sets on ``network``: exact up to ``TABLE_NODES`` nodes.

    Exact means a cheapest tree from the home (Steiner), found by growing every tree leaf by leaf; only nodes with two
    communication qubits pass copies on, as in ``Network.tree``. O(nodes^2 2^nodes).

    Args:
        network: the nodes.
        weights: whole positive price of each link, shape (nodes, nodes), symmetric; None for one e-bit each.

    Raises:
        InvalidValue: ``weights`` are not such a matrix.
    """
    count = len(network)
    linked = np.zeros((count, count), dtype=bool)
    for node, near in enumerate(network.neighbours):
        linked[node, list(near)] = True
    if weights is None:
        weights = np.ones((count, count), dtype=np.int64)
        if network.complete and count > TABLE_NODES:
            empty = np.zeros(0, dtype=np.int64)
            return CopyPrices(nodes=count, table=empty, hops=empty.reshape(0, 0))
    elif weights.shape != (count, count) or (weights[linked] <= 0).any() or (weights != weights.T).any():
        raise InvalidValue(field="weights", value=weights.tolist(), rule="a symmetric matrix of positive whole numbers")
    room = np.array([network.room(node, 1) for node in range(count)], dtype=bool)
    relays = np.array([network.relays(node) for node in range(count)], dtype=bool)
    link = np.where(linked & room[:, None] & room[None, :], weights, UNREACHABLE).astype(np.int64)
    unit = float(np.median(weights[linked])) if linked.any() else 1.0
    if count > TABLE_NODES:
        empty = np.zeros(0, dtype=np.int64)
        return CopyPrices(nodes=count, table=empty, hops=_distances(link), unit=unit)
    return CopyPrices(nodes=count, table=_trees(link, relays).ravel(), hops=np.zeros((0, 0), dtype=np.int64), unit=unit)


def _distances(link: Table) -> Table:
    """Return the shortest distances (Floyd and Warshall 1962)."""
    hops = link.copy()
    np.fill_diagonal(hops, 0)
    for middle in range(len(hops)):
        np.minimum(hops, hops[:, middle, None] + hops[None, middle, :], out=hops)
    return hops


def _trees(link: Table, relays: NDArray[np.bool_]) -> Table:
    """Return the price of the cheapest tree from each root to each set of nodes, shape (nodes, 2^nodes)."""
    count = len(link)
    masks = np.arange(1 << count)
    sizes = sum((masks >> node & 1 for node in range(count)), np.zeros_like(masks))
    # The cheapest link from a relay of each set to each node.
    nearest = np.full((1 << count, count), UNREACHABLE, dtype=np.int64)
    for node in range(count):
        if relays[node]:
            nearest[1 << node : 2 << node] = np.minimum(nearest[: 1 << node], link[node])
        else:
            nearest[1 << node : 2 << node] = nearest[: 1 << node]
    roots = np.arange(count)
    price = np.full((count, 1 << count), UNREACHABLE * count, dtype=np.int64)
    price[roots, 1 << roots] = 0
    for size in range(2, count + 1):
        for leaf in range(count):
            joined = masks[(sizes == size) & (masks >> leaf & 1 == 1)]
            rest = joined ^ (1 << leaf)
            step = np.minimum(nearest[rest, leaf][None, :], link[:, leaf, None])
            holds = rest[None, :] >> roots[:, None] & 1 == 1
            grown = np.where(holds, price[:, rest] + step, UNREACHABLE * count)
            price[:, joined] = np.minimum(price[:, joined], grown)
    # A larger tree also serves: nodes on the way hold copies nobody asked for.
    for node in range(count):
        without = masks[masks >> node & 1 == 0]
        price[:, without] = np.minimum(price[:, without], price[:, without | 1 << node])
    return price
