"""Starts for circuits in which nearly all pairs of qubits share a controlled phase: blocks of qubits around hubs.

Think of the Fourier transform. Each qubit has one break, and a gate joins the part *after* the break of the qubit that
breaks earlier with the part *before* the break of the other. Put the qubits in order of their breaks and cut that order
into blocks, one per node. Choose one block as the hub: every gate between a block on its left and a block on its right,
or with the hub itself, runs at the hub. The left blocks send copies of their later parts, the right blocks copies of
their earlier parts, one for each qubit; then the same is done within the left blocks and within the right blocks.

The hubs then form a binary search tree over the blocks, and a gate runs on the lowest common ancestor of its two
blocks. On an all-to-all network a qubit costs as many e-bits as its block is deep in that tree: T(k) = 0, 1, 2, 4, 6,
8, 10, 13 e-bits for k blocks of one qubit. A range may also do without a hub of its own and run its gates at the next
hub on its left or right, where half of the copies are anyway; then no qubit costs more than two e-bits, those of the
first and of the last block one, which is better from 8 blocks on. On other networks a qubit costs the tree that joins
its home with the hubs it meets blocks on the right at, and another for the left.

Nothing here looks at names or angles; only at which segments share gates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.chapters import Chapters, cost_in_time
from hyperfabric_q.distribution.network import UNREACHABLE, Network
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.distribution.segments import Segments
from hyperfabric_q.distribution.sites import cover_sites

Start: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""Homes of the segments, homes of the qubits without gates (-1 elsewhere), sites of the gates."""

SMALLEST_CORE = 3
"""With fewer qubits there is nothing to arrange."""

DENSITY = 0.5
"""A qubit belongs to the core while it meets at least this share of the others in it."""

CORE_SHARE = 0.5
"""The core must hold this share of the qubits that have gates."""

NODES_IN_ALL_ORDERS = 5
"""Up to so many nodes, all orders of the blocks and all trees are tried on networks that are not all-to-all."""

TREES_IN_SEARCH = 300
"""Trees that the search over orders builds beyond that; each takes the cube of the nodes."""

NODES_IN_SEARCH = 20
"""Beyond so many nodes only the orders along the network are tried."""

KEPT = 3
"""Starts returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Blocks of consecutive qubits on nodes, and the hub of each pair of blocks.

    Attributes:
        nodes: node of each block, in the order of the qubits.
        sizes: qubits of each block.
        hub: number of the block where gates between two blocks run, shape (blocks, blocks); symmetric, and each block
            is its own hub.
    """

    nodes: tuple[int, ...]
    sizes: tuple[int, ...]
    hub: NDArray[np.int64]

    def __post_init__(self) -> None:
        self.hub.setflags(write=False)


def hub_starts(chapters: Chapters, network: Network, capacity: Sequence[int]) -> list[Start]:
    """Return hub constructions, cheapest first; none when the circuit has no dense core, or no layout can be linked.

    No qubit moves. About a second for 100,000 gates on few nodes.

    Args:
        chapters: the circuit in time.
        network: the QPU nodes.
        capacity: data qubits that may be used of each node; together they must hold all qubits.
    """
    segments = chapters.segments
    pairs, first_gate = _meetings(segments)
    active = int(np.count_nonzero(~chapters.idle))
    if len(pairs) < (active * CORE_SHARE - 1) ** 2 * DENSITY / 2:
        return []
    core = _core(segments.qubits, pairs)
    if len(core) < max(SMALLEST_CORE, active * CORE_SHARE) or sum(capacity) < segments.qubits:
        return []
    order = _break_order(segments, core, pairs, first_gate)
    found: dict[bytes, tuple[int, Start]] = {}
    for layout in layouts(network, capacity, len(order)):
        homes = _homes(segments, order, layout, capacity)
        for sites in _sites(segments, order, layout, homes, first_gate):
            start = (*chapters.still(homes), sites)
            price = cost_in_time(chapters, network, start[0], sites)
            if price < UNREACHABLE:
                found.setdefault(start[0].tobytes() + sites.tobytes(), (price, start))
    ranked = sorted(found.values(), key=lambda each: each[0])
    return [start for _, start in ranked[:KEPT]]


# -------------------------------------------------------------------------------------------------- reading the circuit


def _meetings(segments: Segments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of qubits that share a gate, shape (m, 2), and the number of the first gate of each."""
    ends = np.sort(segments.gate_qubits.astype(np.int64), axis=1)
    _, first = np.unique(ends[:, 0] * segments.qubits + ends[:, 1], return_index=True)
    return ends[first], first


def _core(qubits: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the qubits left, ascending, after taking away those that meet too few of the rest, fewest first."""
    met = np.zeros((qubits, qubits), dtype=bool)
    met[pairs[:, 0], pairs[:, 1]] = met[pairs[:, 1], pairs[:, 0]] = True
    inside: NDArray[np.bool_] = np.array(met.any(axis=1))
    degree = met.sum(axis=1)
    while (size := int(inside.sum())) >= SMALLEST_CORE:
        weakest = int(np.argmin(np.where(inside, degree, qubits + 1)))
        if degree[weakest] >= DENSITY * (size - 1):
            break
        inside[weakest] = False
        degree -= met[weakest]
    return np.flatnonzero(inside)


def _break_order(
    segments: Segments, core: NDArray[np.int64], pairs: NDArray[np.int64], first_gate: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the qubits of the core in order of their breaks.

    Only the first gate of each pair counts. Of its two qubits the one that has broken already sits in a later segment;
    the differences, summed, sort the qubits whatever order the gates are in. A qubit whose gates all lie in one segment
    broke before all others (then they meet it in their earlier parts), or after.
    """
    rank = _rank(segments)
    inside = np.isin(pairs, core).all(axis=1)
    ends = segments.gate_segments[first_gate[inside]]
    owner = segments.qubit[ends]
    number = rank[ends].astype(np.float64)
    low = np.full(segments.qubits, np.inf)
    high = np.full(segments.qubits, -np.inf)
    np.minimum.at(low, owner.ravel(), number.ravel())
    np.maximum.at(high, owner.ravel(), number.ravel())
    number -= low[owner]
    score = np.zeros(segments.qubits)
    np.add.at(score, owner.ravel(), (number[:, ::-1] - number).ravel())
    partner = np.zeros(segments.qubits)
    np.add.at(partner, owner.ravel(), number[:, ::-1].ravel())
    count = np.bincount(owner.ravel(), minlength=segments.qubits)
    single = low == high
    score[single] = np.where(partner[single] * 2 < count[single], -np.inf, np.inf)
    if single[core].all():
        score[core] = 0  # no breaks at all: as they come
    rows = np.zeros(segments.qubits)
    np.add.at(rows, owner.ravel(), np.repeat(segments.gate_row[first_gate[inside]], 2))
    return core[np.lexsort((rows[core] / np.maximum(count[core], 1), score[core]))]


def _rank(segments: Segments) -> NDArray[np.int64]:
    """The number of each segment among those of its qubit; segments are numbered in order of time."""
    order = np.argsort(segments.qubit, kind="stable")
    owner = segments.qubit[order]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(owner, owner)
    return rank


# --------------------------------------------------------------------------------------------------- homes and sites


def _homes(segments: Segments, order: NDArray[np.int64], layout: Layout, capacity: Sequence[int]) -> IntArray:
    """Return the home of each qubit: the core by blocks, any other qubit where it has most gates and there is room."""
    homes = np.full(segments.qubits, -1, dtype=np.int32)
    homes[order] = np.repeat(np.array(layout.nodes, dtype=np.int32), layout.sizes)
    room = np.array(capacity, dtype=np.int64)
    np.subtract.at(room, list(layout.nodes), layout.sizes)
    rest = np.flatnonzero(homes < 0)
    near: dict[int, list[int]] = {int(qubit): [] for qubit in rest}
    for a, b in segments.gate_qubits[(homes[segments.gate_qubits] < 0).any(axis=1)].tolist():
        for qubit, other in ((a, b), (b, a)):
            if qubit in near:
                near[qubit].append(other)
    for qubit in sorted(near, key=lambda qubit: (-len(near[qubit]), qubit)):
        there = homes[near[qubit]]
        weight = np.bincount(there[there >= 0], minlength=len(room)).astype(np.int64)
        node = int(np.argmax(np.where(room > 0, weight, -1)))
        homes[qubit] = node
        room[node] -= 1
    return homes


def _sites(
    segments: Segments, order: NDArray[np.int64], layout: Layout, homes: IntArray, first_gate: NDArray[np.int64]
) -> Iterator[IntArray]:
    """Yield sites: all gates of the core at the hubs; and only the first gate of each pair, if there are others."""
    block = np.full(segments.qubits, -1, dtype=np.int64)
    block[order] = np.repeat(np.arange(len(layout.sizes)), layout.sizes)
    ends = block[segments.gate_qubits]
    within = np.flatnonzero((ends >= 0).all(axis=1))
    nodes = np.array(layout.nodes, dtype=np.int32)
    cover = cover_sites(segments, homes)
    hubs = cover.copy()
    hubs[within] = nodes[layout.hub[ends[within, 0], ends[within, 1]]]
    yield hubs
    once = np.intersect1d(within, first_gate)
    if len(once) < len(within):
        mixed = cover.copy()
        mixed[once] = hubs[once]
        yield mixed


# ------------------------------------------------------------------------------------------------------------- layouts


def layouts(network: Network, capacity: Sequence[int], qubits: int) -> list[Layout]:
    """Return layouts of ``qubits`` in blocks, best first by the price of the construction.

    All-to-all: the best tree, and the best with one hub. Up to ``NODES_IN_ALL_ORDERS`` nodes otherwise: the best of all
    orders and trees. Beyond: the best of a search by exchanging blocks, from orders that follow the network.
    """
    if network.complete:
        return [_balanced(capacity, qubits), _star(capacity, qubits)]
    if len(network) <= NODES_IN_ALL_ORDERS:
        orders = [order for order in permutations(range(len(network))) if order[0] <= order[-1]]
        tables = [_hub_table(len(network), shape) for shape in _shapes(0, len(network), len(network))]
        return _best([_filled(network, capacity, qubits, order, hub) for order in orders for hub in tables])
    return _best(_searched(network, capacity, qubits, [node for node, room in enumerate(capacity) if room > 0]))


def _best(priced: Sequence[tuple[int, Layout]]) -> list[Layout]:
    return [layout for _, layout in sorted(priced, key=lambda each: each[0])[:KEPT]]


def _balanced(capacity: Sequence[int], qubits: int) -> Layout:
    """The complete binary tree, level by level from the largest node down, each filled before the next."""
    ranked = sorted(range(len(capacity)), key=lambda node: (-capacity[node], node))
    sizes: list[int] = []
    while sum(sizes) < qubits:
        sizes.append(min(capacity[ranked[len(sizes)]], qubits - sum(sizes)))
    place: list[int] = []  # position in the tree (1 the root, 2i and 2i + 1 below i), from left to right

    def walk(position: int) -> None:
        if position <= len(sizes):
            walk(2 * position)
            place.append(position)
            walk(2 * position + 1)

    walk(1)
    hub = np.zeros((len(place), len(place)), dtype=np.int64)
    where = {position: index for index, position in enumerate(place)}
    for a, b in np.ndindex(hub.shape):
        left, right = place[a], place[b]
        while left != right:
            left, right = (left // 2, right) if left > right else (left, right // 2)
        hub[a, b] = where[left]
    return Layout(
        nodes=tuple(ranked[position - 1] for position in place),
        sizes=tuple(sizes[position - 1] for position in place),
        hub=hub,
    )


def _star(capacity: Sequence[int], qubits: int) -> Layout:
    """One hub for all, the largest node; the next two largest hold the first and the last block."""
    ranked = sorted((node for node, room in enumerate(capacity) if room > 0), key=lambda node: (-capacity[node], node))
    sizes: dict[int, int] = {}
    for node in ranked:
        sizes[node] = min(capacity[node], qubits - sum(sizes.values()))
    top, *others = ranked
    nodes = (*others[:1], *others[2:], top, *others[1:2])
    hub = np.full((len(nodes), len(nodes)), nodes.index(top), dtype=np.int64)
    np.fill_diagonal(hub, np.arange(len(nodes)))
    return Layout(nodes=nodes, sizes=tuple(sizes[node] for node in nodes), hub=hub)


@cache
def _shapes(low: int, high: int, blocks: int) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """All ways to give blocks low..high-1 hubs, each as (low, high, hub) of its ranges, outer ones first."""
    if high - low <= 1:
        return ((),) if high <= low else (((low, high, low),),)
    shared = [((low, high, hub),) for hub in (low - 1, high) if 0 <= hub < blocks]
    return tuple(shared) + tuple(
        ((low, high, hub), *left, *right)
        for hub in range(low, high)
        for left in _shapes(low, hub, blocks)
        for right in _shapes(hub + 1, high, blocks)
    )


def _hub_table(blocks: int, ranges: Sequence[tuple[int, int, int]]) -> NDArray[np.int64]:
    """The hub of each pair of blocks; ``ranges`` lists a range before those inside it."""
    table = np.zeros((blocks, blocks), dtype=np.int64)
    for low, high, hub in ranges:
        table[low:high, low:high] = hub
    np.fill_diagonal(table, np.arange(blocks))
    return table


def _filled(
    network: Network, capacity: Sequence[int], qubits: int, order: Sequence[int], hub: NDArray[np.int64]
) -> tuple[int, Layout]:
    """Return the price and the layout with this order of nodes and this tree: the cheapest blocks filled first."""
    blocks = range(len(order))
    price = []
    for block in blocks:
        met = [order[each] for each in hub[block].tolist()]
        home = order[block]
        price.append(sum(network.spread(home, _mask([home, *side])) for side in (met[:block], met[block + 1 :])))
    sizes = [0] * len(order)
    total, rest = 0, qubits
    for block in sorted(blocks, key=lambda block: (price[block], -capacity[order[block]], block)):
        sizes[block] = min(capacity[order[block]], rest)
        rest -= sizes[block]
        total += sizes[block] * price[block]
    return total, Layout(nodes=tuple(order), sizes=tuple(sizes), hub=hub.copy())


def _mask(nodes: Sequence[int]) -> int:
    mask = 0
    for node in nodes:
        mask |= 1 << node
    return mask


# -------------------------------------------------------------------------------------------------- search over orders


def _searched(network: Network, capacity: Sequence[int], qubits: int, used: Sequence[int]) -> list[tuple[int, Layout]]:
    """Return priced layouts: orders along the network, the best of them improved by exchanging two blocks."""
    hops = np.array([[network.hops(a, b) for b in range(len(network))] for a in range(len(network))], dtype=np.int64)
    starts = dict.fromkeys(_along(hops, start, used) for start in used)
    found = [_grown(network, capacity, qubits, hops, order) for order in list(starts)[:TREES_IN_SEARCH]]
    if len(used) > NODES_IN_SEARCH:
        return found
    best = min(found, key=lambda each: each[0])
    tries = TREES_IN_SEARCH
    improved = True
    while improved and tries > 0:
        improved = False
        for a, b in combinations(range(len(used)), 2):
            order = list(best[1].nodes)
            order[a], order[b] = order[b], order[a]
            candidate = _grown(network, capacity, qubits, hops, order)
            tries -= 1
            if candidate[0] < best[0]:
                best, improved = candidate, True
            if tries == 0:
                break
    return [best, *found]


def _along(hops: NDArray[np.int64], start: int, used: Sequence[int]) -> tuple[int, ...]:
    """The nodes from ``start`` on, each time the nearest one not yet taken."""
    order = [start]
    left = set(used) - {start}
    while left:
        near = min(left, key=lambda node: (hops[order[-1], node], node))
        order.append(near)
        left.remove(near)
    return tuple(order)


def _grown(
    network: Network, capacity: Sequence[int], qubits: int, hops: NDArray[np.int64], order: Sequence[int]
) -> tuple[int, Layout]:
    """Return the price and the layout for an order of nodes: a tree for the sizes, sizes for the tree, twice."""
    room = np.array([capacity[node] for node in order], dtype=np.float64)
    local = hops[np.ix_(order, order)].astype(np.float64)
    sizes = room * (qubits / room.sum())
    best: tuple[int, Layout] | None = None
    for _ in range(2):
        found = _filled(network, capacity, qubits, order, _best_tree(sizes, local))
        best = found if best is None or found[0] < best[0] else best
        sizes = np.array(found[1].sizes, dtype=np.float64)
    assert best is not None  # noqa: S101  the loop ran
    return best


def _best_tree(sizes: NDArray[np.float64], hops: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the hub table of the cheapest tree; O(blocks³).

    A copy on its way from a block to a hub further out passes a hub nearer by for the detour only: exact when the
    blocks stand in the order of a line, and all-to-all.
    """
    blocks = len(sizes)
    sent = np.vstack([np.zeros(blocks), np.cumsum(sizes[:, None] * hops, axis=0)])  # sent[i, h]: from blocks < i to h
    held = np.concatenate([[0.0], np.cumsum(sizes)])

    def to(low: int, high: int, hub: int, past: int) -> float:
        """Blocks low..high-1 send copies to ``hub``, beside those they send to ``past`` anyway."""
        price = sent[high, hub] - sent[low, hub]
        if 0 <= past < blocks:
            price += (held[high] - held[low]) * hops[hub, past] - (sent[high, past] - sent[low, past])
        return float(price)

    price = np.zeros((blocks + 2, blocks + 2))
    chosen = np.zeros((blocks + 1, blocks + 1), dtype=np.int64)
    for length in range(1, blocks + 1):
        for low in range(blocks - length + 1):
            high = low + length
            options = [
                price[low, hub] + price[hub + 1, high] + to(low, hub, hub, high) + to(hub + 1, high, hub, low - 1)
                for hub in range(low, high)
            ]
            hubs = list(range(low, high))
            if length > 1 and high < blocks:  # at the hub on the right: all but the first block send their other copy
                options.append(float(sent[high, high] - sent[low + 1, high]))
                hubs.append(high)
            if length > 1 and low > 0:
                options.append(float(sent[high - 1, low - 1] - sent[low, low - 1]))
                hubs.append(low - 1)
            cheapest = int(np.argmin(options))
            chosen[low, high], price[low, high] = hubs[cheapest], options[cheapest]
    ranges: list[tuple[int, int, int]] = []
    open_ranges = [(0, blocks)]
    while open_ranges:
        low, high = open_ranges.pop()
        if low < high:
            hub = int(chosen[low, high])
            ranges.append((low, high, hub))
            if low <= hub < high:
                open_ranges += [(low, hub), (hub + 1, high)]
    return _hub_table(blocks, ranges)
