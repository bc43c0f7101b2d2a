"""Where each gate runs, given the homes of the qubits.

For fixed homes on an all-to-all network, and gates kept on the home of one of their qubits, the best sites are exact
and cheap: between two nodes each gate joins one packet of either side (all gates of a segment that would run on the
other node), and the packets to open are a minimum vertex cover of that bipartite graph (König 1931). A sweep then lets
gates move to third nodes where that helps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.distribution.segments import Segments


def cover_sites(segments: Segments, homes: IntArray) -> IntArray:
    """Return the site of each gate, shape (g,): its qubits' common home, or the end that a minimum cover opens.

    Cost O(g sqrt(s)) in all (Hopcroft and Karp 1973).
    """
    ends = homes[segments.gate_qubits]
    sites = ends[:, 0].copy()
    crossing = np.flatnonzero(ends[:, 0] != ends[:, 1])
    low, high = np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])
    pair = low[crossing].astype(np.int64) << 32 | high[crossing].astype(np.int64)
    order = np.argsort(pair, kind="stable")
    for gates in np.split(crossing[order], np.flatnonzero(np.diff(pair[order])) + 1):
        if len(gates):
            _cover_pair(segments, ends, gates, int(low[gates[0]]), int(high[gates[0]]), sites)
    return sites


def _cover_pair(
    segments: Segments, ends: IntArray, gates: NDArray[np.int64], low: int, high: int, sites: IntArray
) -> None:
    """Write the sites of the gates between nodes ``low`` and ``high`` into ``sites``."""
    first_low = ends[gates, 0] == low
    left, left_of = np.unique(
        np.where(first_low, segments.gate_segments[gates, 0], segments.gate_segments[gates, 1]), return_inverse=True
    )
    right, right_of = np.unique(
        np.where(first_low, segments.gate_segments[gates, 1], segments.gate_segments[gates, 0]), return_inverse=True
    )
    graph = csr_matrix((np.ones(len(gates)), (left_of, right_of)), shape=(len(left), len(right)))
    opened = _cover(graph)
    # A covered left packet carries its qubit from `low` to `high`: the gate runs there. Otherwise the right one is
    # covered.
    sites[gates] = np.where(opened[left_of], high, low)


def _cover(graph: csr_matrix[np.float64]) -> NDArray[np.bool_]:
    """Return which left vertices a minimum cover takes: those that no alternating path from a free one reaches."""
    match = maximum_bipartite_matching(graph, perm_type="column")
    matched_left = {int(right): left for left, right in enumerate(match) if right >= 0}
    reached = match < 0
    frontier = [int(left) for left in np.flatnonzero(reached)]
    seen_right: set[int] = set()
    while frontier:
        left = frontier.pop()
        for right in graph.indices[graph.indptr[left] : graph.indptr[left + 1]].tolist():
            if right in seen_right:
                continue
            seen_right.add(right)
            partner = matched_left.get(right)
            if partner is not None and not reached[partner]:
                reached[partner] = True
                frontier.append(partner)
    return np.asarray(~reached)


def allowed_sites(segments: Segments, network: Network, homes: IntArray, sites: IntArray) -> IntArray:
    """Return ``sites`` with every gate that its site cannot serve moved to the home of one of its qubits.

    A gate away from both homes needs two communication qubits there and chains from both homes.
    """
    hops = np.array([[network.hops(a, b) for b in range(len(network))] for a in range(len(network))])
    third = np.array([network.room(node, 2) for node in range(len(network))])
    ends = homes[segments.gate_qubits]
    away = (sites != ends[:, 0]) & (sites != ends[:, 1])
    reachable = (hops[ends[:, 0], sites] < len(network)) & (hops[ends[:, 1], sites] < len(network))
    return np.where(reachable & (third[sites] | ~away), sites, ends[:, 0]).astype(np.int32)


def improve_sites(
    segments: Segments, network: Network, homes: IntArray, sites: IntArray, *, sweeps: int = 3
) -> IntArray:
    """Return sites after greedy sweeps: each gate moves to the node that adds the fewest e-bits.

    What its two segments need there for other gates is shared. Cost O(sweeps x g x nodes). The cost never rises.
    """
    counts = _pin_counts(segments, homes, sites)
    masks = [sum(1 << node for node in row) for row in counts]
    root = homes[segments.qubit].tolist()
    pairs = segments.gate_segments.tolist()
    placed = sites.tolist()
    homes_of = homes[segments.gate_qubits].tolist()
    third = [node for node in range(len(network)) if network.room(node, 2)]
    for _ in range(sweeps):
        moved = False
        for gate, (a, b) in enumerate(pairs):
            old = placed[gate]
            union = masks[a] | masks[b]
            if union & (union - 1) == 0:
                continue
            for segment in (a, b):
                _drop(counts[segment], masks, segment, old)
            options = {*homes_of[gate], *(node for node in third if union >> node & 1), old}
            best = min(
                options,
                key=lambda node: (
                    network.spread(root[a], masks[a] | 1 << node) + network.spread(root[b], masks[b] | 1 << node),
                    node != old,
                    node,
                ),
            )
            for segment in (a, b):
                counts[segment][best] = counts[segment].get(best, 0) + 1
                masks[segment] |= 1 << best
            placed[gate] = best
            moved |= best != old
        if not moved:
            break
    return np.array(placed, dtype=np.int32)


def _drop(count: dict[int, int], masks: list[int], segment: int, node: int) -> None:
    count[node] -= 1
    if count[node] == 0:
        del count[node]
        masks[segment] &= ~(1 << node)


def _pin_counts(segments: Segments, homes: IntArray, sites: IntArray) -> list[dict[int, int]]:
    """For each segment, how many pins (its home and its gates' sites) lie on each node."""
    counts: list[dict[int, int]] = [{int(home): 1} for home in homes[segments.qubit]]
    for (a, b), site in zip(segments.gate_segments.tolist(), sites.tolist(), strict=True):
        for segment in (a, b):
            counts[segment][site] = counts[segment].get(site, 0) + 1
    return counts
