"""Families of segments that must cost e-bits in every placement: combinatorial lower bounds.

Segments that share a gate share a node (the site), and so do successive segments of one qubit (the home of the later
one). The copies of a connected family hence span one connected part of the network, and if some layer sees ``m`` of its
segments at home, that part holds nodes with room for ``m``: the family costs at least the links that join such nodes.
Families without a common segment add up.

In a family that is hard to cut there is more to say. Two segments with a single copy each that share a gate are on the
same node. So either all segments with a single copy are on one node, which cannot hold more than its capacity of them
in any layer; or those with several copies separate the family, and there are at least as many of them as its vertex
connectivity. A family therefore costs at least the smaller of the two numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, maximum_flow

from hyperfabric_q.distribution.chapters import Chapters
from hyperfabric_q.distribution.network import UNREACHABLE, Network
from hyperfabric_q.distribution.program import IntArray

MAX_TABLE_NODES = 12
"""Trees are tabulated for all sets of so many nodes; beyond, a tree counts as one link less than it has nodes."""

MAX_FLOW_SEGMENTS = 80
"""The vertex connectivity of larger families is bounded by common neighbours."""

MAX_SEPARATED_QUBITS = 1024
"""Beyond so many qubits no family is searched for separators."""

SNAPSHOTS = 24
"""Layers whose living segments are looked at for families that are hard to separate."""

CONNECTIVITIES = 3
"""The most promising of them, whose vertex connectivity is computed."""

ROUNDS = 12
"""Such families taken at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Segments (ascending), and the e-bits they cost at least, together, in every placement."""

    segments: IntArray
    value: int

    def __post_init__(self) -> None:
        self.segments.setflags(write=False)


def tree_table(network: Network) -> NDArray[np.int64]:
    """Return the links of a smallest tree that joins the nodes of each bit mask, shape (2^k,); O(k 2^k).

    A smallest connected set of nodes around them has one link less than nodes. Limits of communication qubits are left
    out, so the table never exceeds what a plan pays.
    """
    nodes = len(network)
    around = [sum(1 << near for near in network.neighbours[node]) for node in range(nodes)]
    links = np.full(1 << nodes, UNREACHABLE, dtype=np.int64)
    links[0] = 0
    for mask in range(1, 1 << nodes):
        reached = mask & -mask
        while grown := _grow(reached, around) & mask & ~reached:
            reached |= grown
        if reached == mask:
            links[mask] = mask.bit_count() - 1
    for node in range(nodes):
        without = np.flatnonzero(np.arange(1 << nodes) >> node & 1 == 0)
        links[without] = np.minimum(links[without], links[without | 1 << node])
    return links


def _grow(mask: int, around: Sequence[int]) -> int:
    grown = 0
    while mask:
        grown |= around[(mask & -mask).bit_length() - 1]
        mask &= mask - 1
    return grown


def links_to_hold(network: Network, capacity: Sequence[int], most: int) -> list[int]:
    """Return for m = 0..most the fewest links of a tree whose nodes have room for m qubits."""
    if len(network) <= MAX_TABLE_NODES and not network.complete:
        links = tree_table(network)
        room = np.zeros(1 << len(network), dtype=np.int64)
        for node, size in enumerate(capacity):
            room[np.arange(1 << len(network)) >> node & 1 == 1] += size
    else:
        room = np.cumsum([0, *sorted(capacity, reverse=True)])
        links = np.maximum(np.arange(len(room)) - 1, 0)
    best = np.full(most + 2, UNREACHABLE, dtype=np.int64)
    np.minimum.at(best, np.minimum(room, most), links)
    return [int(value) for value in np.minimum.accumulate(best[most::-1])[::-1]]


def families(chapters: Chapters, network: Network, capacity: Sequence[int]) -> tuple[Family, ...]:
    """Return disjoint families whose values add up to the best sum found; about a second for 20,000 gates.

    Args:
        chapters: the circuit in time.
        network: the QPU nodes.
        capacity: data qubits of each node.
    """
    needed = links_to_hold(network, capacity, chapters.segments.qubits)
    pairs = joins(chapters)
    free = np.ones(len(chapters), dtype=bool)
    best = _connected(chapters, pairs, free, needed)
    dense: list[Family] = []
    while (found := _separated(chapters, pairs, free, max(capacity, default=0))) is not None and len(dense) < ROUNDS:
        dense.append(found)
        free[found.segments] = False
        option = (*dense, *_connected(chapters, pairs, free, needed))
        best = max(best, option, key=_worth)
    return best


def _worth(found: Sequence[Family]) -> int:
    return sum(family.value for family in found)


def _connected(
    chapters: Chapters, pairs: NDArray[np.int64], free: NDArray[np.bool_], needed: Sequence[int]
) -> tuple[Family, ...]:
    """Return connected families of free segments, small ones or large ones, whichever add up to more."""
    options = [_swept(chapters, pairs, free, needed, target) for target in sorted({1, max(needed[-1], 1)})]
    return max(options, key=_worth)


def joins(chapters: Chapters) -> NDArray[np.int64]:
    """Return the pairs of segments that share a node in every placement: by a gate, or as successors; shape (j, 2)."""
    after = np.flatnonzero(chapters.next_of >= 0)
    successors = np.stack([after, chapters.next_of[after]], axis=1)
    both = np.concatenate([chapters.segments.gate_segments, successors]).astype(np.int64)
    return np.unique(np.sort(both, axis=1), axis=0)


# ------------------------------------------------------------------------------------------------- connected families


def _swept(
    chapters: Chapters, pairs: NDArray[np.int64], free: NDArray[np.bool_], needed: Sequence[int], target: int
) -> tuple[Family, ...]:
    """Take segments as they end; close a connected family as soon as it costs ``target`` links, and begin anew.

    What is left at the end, connected as it is, counts for what it still costs.
    """
    near: list[list[int]] = [[] for _ in range(len(chapters))]
    for a, b in pairs[free[pairs].all(axis=1)].tolist():
        near[a].append(b)
        near[b].append(a)
    smallest = next((m for m, links in enumerate(needed) if links >= target), len(needed))
    root = list(range(len(chapters)))
    members: dict[int, list[int]] = {}
    apart = [0] * len(chapters)  # so many of a family's members, at least, are not alive when most of them are
    found: list[Family] = []

    def find(segment: int) -> int:
        while root[segment] != segment:
            root[segment] = root[root[segment]]
            segment = root[segment]
        return segment

    for segment in np.lexsort((chapters.begins, chapters.ends)).tolist():
        if not free[segment]:
            continue
        members[segment] = [segment]
        top = segment
        for other in near[segment]:
            joined = find(other)
            if joined == top or joined not in members:
                continue
            if len(members[joined]) > len(members[top]):
                top, joined = joined, top
            root[joined] = top
            members[top] += members.pop(joined)
            apart[top] += apart[joined]
        if len(members[top]) - apart[top] < smallest:
            continue
        most = _most_at_once(chapters, members[top])
        if needed[most] >= target:
            found.append(_family(members.pop(top), needed[most]))
        else:
            apart[top] = len(members[top]) - most
    rest = [_family(part, needed[_most_at_once(chapters, part)]) for part in members.values()]
    return (*found, *(family for family in rest if family.value > 0))


def _family(members: Sequence[int], value: int) -> Family:
    return Family(segments=np.array(sorted(members), dtype=np.int32), value=value)


def _most_at_once(chapters: Chapters, members: Sequence[int]) -> int:
    """Return the largest number of the segments at home in one layer."""
    begins, ends = np.sort(chapters.begins[members]), np.sort(chapters.ends[members])
    living = np.arange(1, len(begins) + 1) - np.searchsorted(ends, begins, side="right")
    return int(living.max(initial=0))


# ------------------------------------------------------------------------------------------------- separators


def _separated(chapters: Chapters, pairs: NDArray[np.int64], free: NDArray[np.bool_], largest: int) -> Family | None:
    """Return the family of free segments, all alive in one layer, that is hardest to separate; None below 2 e-bits."""
    if not 0 < chapters.segments.qubits <= MAX_SEPARATED_QUBITS:
        return None
    options: list[tuple[int, NDArray[np.int64]]] = []
    for layer in np.unique(np.linspace(0, chapters.layers - 1, SNAPSHOTS).astype(np.int64)).tolist():
        alive = np.flatnonzero((chapters.begins <= layer) & (layer < chapters.ends) & free)
        options.append(_hardest_core(alive, pairs, largest))
    options.sort(key=lambda option: -option[0])
    best: Family | None = None
    for most, core in options[:CONNECTIVITIES]:
        if most <= (1 if best is None else best.value):
            break
        inside = pairs[np.isin(pairs, core).all(axis=1)]
        value = min(len(core) - largest, _connectivity(np.searchsorted(core, inside), len(core)))
        if value > (1 if best is None else best.value):
            best = _family(core.tolist(), value)
    return best


def _hardest_core(alive: NDArray[np.int64], pairs: NDArray[np.int64], largest: int) -> tuple[int, NDArray[np.int64]]:
    """Return (its worth at most, segments) of the best set left after taking away those with fewest joins one by one.

    The vertex connectivity is at most the smallest degree.
    """
    inside = np.searchsorted(alive, pairs[np.isin(pairs, alive).all(axis=1)])
    adjacent = np.zeros((len(alive), len(alive)), dtype=bool)
    adjacent[inside[:, 0], inside[:, 1]] = adjacent[inside[:, 1], inside[:, 0]] = True
    degree = adjacent.sum(axis=1)
    left = np.ones(len(alive), dtype=bool)
    best, core = 0, left.copy()
    for size in range(len(alive), largest, -1):
        weakest = int(np.argmin(np.where(left, degree, len(alive))))
        worth = min(size - largest, int(degree[weakest]))
        if worth > best:
            best, core = worth, left.copy()
        left[weakest] = False
        degree = degree - adjacent[weakest]
    return best, alive[core]


def _connectivity(pairs: NDArray[np.int64], vertices: int) -> int:
    """Return the vertex connectivity of a graph (one less than its vertices when it is complete); less for large ones.

    The smallest cut between any of the first c + 1 vertices, c the best cut so far, and any vertex not next to it
    (Even and Tarjan 1975): one of them lies outside a smallest separator.
    """
    adjacent = np.zeros((vertices, vertices), dtype=bool)
    adjacent[pairs[:, 0], pairs[:, 1]] = adjacent[pairs[:, 1], pairs[:, 0]] = True
    if vertices > MAX_FLOW_SEGMENTS:
        return _common(adjacent)
    best = min(vertices - 1, int(adjacent.sum(axis=1).min(initial=vertices)))
    if vertices == 0 or connected_components(csr_array(adjacent), directed=False)[0] > 1:
        return 0
    # Vertex v becomes an arc 2v -> 2v + 1 of capacity 1.
    tail, head = np.nonzero(adjacent)
    rows = np.concatenate([2 * np.arange(vertices), 2 * tail + 1])
    columns = np.concatenate([2 * np.arange(vertices) + 1, 2 * head])
    room = np.concatenate([np.ones(vertices), np.full(len(tail), vertices)]).astype(np.int32)
    arcs = csr_array(coo_array((room, (rows, columns)), shape=(2 * vertices, 2 * vertices)))
    source = 0
    while source <= best and source < vertices:
        for sink in np.flatnonzero(~adjacent[source]).tolist():
            if sink > source:
                best = min(best, int(maximum_flow(arcs, 2 * source + 1, 2 * sink).flow_value))
        source += 1
    return best


def _common(adjacent: NDArray[np.bool_]) -> int:
    """Return the fewest common neighbours of two vertices that are not adjacent: all of them separate the two."""
    shared = adjacent.astype(np.float32) @ adjacent.astype(np.float32)
    apart = ~adjacent
    np.fill_diagonal(apart, val=False)
    return int(shared[apart].min()) if apart.any() else len(adjacent) - 1
