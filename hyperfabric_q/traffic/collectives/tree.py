"""The binomial tree: fewest steps for what is small; the whole vector moves in every one of them.

Reductions climb to the root, results come down. The double binary tree helps long vectors, but only when its pieces are
pipelined, and these are served better by halving-doubling or a ring; so the tree here is the one for short vectors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hyperfabric_q.traffic.collectives.schedule import (
    ALGORITHMS,
    Collective,
    IntArray,
    Racks,
    Schedule,
    Sends,
    Step,
    adding,
    copying,
    in_sequence,
)


def _distances(count: int) -> list[int]:
    """The powers of two below ``count``."""
    return [1 << bit for bit in range((count - 1).bit_length())]


def climb(members: IntArray, edges: IntArray, *, whole: bool) -> Iterator[Sends]:
    """Yield the steps towards the first member: each passes on everything, or its subtree's slices of ``edges``."""
    count = len(members)
    for distance in _distances(count):
        child = np.arange(distance, count, 2 * distance)
        first, end = _carried(child, distance, edges, whole=whole)
        yield Sends(members[child], members[child - distance], first, end)


def descend(members: IntArray, edges: IntArray, *, whole: bool) -> Iterator[Sends]:
    """Yield the steps away from the first member: each gets everything, or its subtree's slices of ``edges``."""
    count = len(members)
    for distance in reversed(_distances(count)):
        child = np.arange(distance, count, 2 * distance)
        first, end = _carried(child, distance, edges, whole=whole)
        yield Sends(members[child - distance], members[child], first, end)


def _carried(child: IntArray, distance: int, edges: IntArray, *, whole: bool) -> tuple[IntArray, IntArray]:
    if whole:
        return np.full_like(child, edges[0]), np.full_like(child, edges[-1])
    return edges[child], edges[np.minimum(child + distance, len(edges) - 1)]


@ALGORITHMS.register("tree")
def tree(collective: Collective, ranks: int, root: int, racks: Racks) -> Schedule:
    """Return the binomial-tree schedule; reduce-scatter and all-gather go through rank 0."""
    del racks
    by_rank = collective in {Collective.REDUCE_SCATTER, Collective.ALL_GATHER}
    blocks = ranks if by_rank else 1

    def steps() -> Iterator[Step]:
        members = np.arange(ranks)
        edges = np.arange(blocks + 1)
        if collective is Collective.BROADCAST:
            return in_sequence(copying(descend((members + root) % ranks, edges, whole=True)))
        if collective is Collective.REDUCE_SCATTER:
            return in_sequence(adding(climb(members, edges, whole=True)), copying(descend(members, edges, whole=False)))
        if collective is Collective.ALL_GATHER:
            return in_sequence(
                copying(climb(members, edges, whole=False)), copying(descend(members, edges, whole=True))
            )
        return in_sequence(adding(climb(members, edges, whole=True)), copying(descend(members, edges, whole=True)))

    return Schedule(collective=collective, algorithm="tree", ranks=ranks, blocks=blocks, root=root, steps=steps)
