"""Recursive halving and doubling: the least traffic in few steps (Thakur, Rabenseifner and Gropp 2005).

It needs a power of two. Of other numbers the largest power of two below takes part, and each rank left over has a
partner among these, who takes its vector before and gives it the result after.
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
from hyperfabric_q.traffic.collectives.tree import descend


def _halving(members: IntArray, edges: IntArray) -> Iterator[Sends]:
    """Partners at half the distance each time exchange the halves that the other one keeps."""
    index = np.arange(len(members))
    distance = len(members) // 2
    while distance:
        kept = index ^ distance
        start = kept // distance * distance
        yield Sends(members, members[kept], edges[start], edges[start + distance])
        distance //= 2


def _doubling(members: IntArray, edges: IntArray) -> Iterator[Sends]:
    """Partners at twice the distance each time exchange all that they have."""
    index = np.arange(len(members))
    distance = 1
    while distance < len(members):
        start = index // distance * distance
        yield Sends(members, members[index ^ distance], edges[start], edges[start + distance])
        distance *= 2


@ALGORITHMS.register("halving_doubling")
def halving_doubling(collective: Collective, ranks: int, root: int, racks: Racks) -> Schedule:
    """Return the schedule by recursive halving and doubling; a broadcast scatters down a tree, then doubles."""
    del racks
    power = 1 << (ranks.bit_length() - 1)
    spare = ranks - power
    # The first 2 * spare positions are pairs of a member and its left-over neighbour, whose slices are adjacent.
    firsts = np.concatenate([np.arange(spare) * 2, np.arange(2 * spare, ranks)])
    by_rank = collective in {Collective.REDUCE_SCATTER, Collective.ALL_GATHER}
    blocks = ranks if by_rank else power
    edges = np.append(firsts, ranks) if by_rank else np.arange(power + 1)

    def steps() -> Iterator[Step]:
        offset = root if collective is Collective.BROADCAST else 0
        members = (firsts + offset) % ranks
        partner, left_over = members[:spare], (firsts[:spare] + 1 + offset) % ranks
        zero, all_ = np.zeros(spare, dtype=np.int64), np.full(spare, blocks, dtype=np.int64)
        own = firsts[:spare] + 1
        vector_in = adding([Sends(left_over, partner, zero, all_)])
        vector_out = copying([Sends(partner, left_over, zero, all_)])
        halve, double = adding(_halving(members, edges)), copying(_doubling(members, edges))
        if collective is Collective.BROADCAST:
            return in_sequence(copying(descend(members, edges, whole=False)), double, vector_out)
        if collective is Collective.REDUCE_SCATTER:
            return in_sequence(vector_in, halve, copying([Sends(partner, left_over, own, own + 1)]))
        if collective is Collective.ALL_GATHER:
            return in_sequence(copying([Sends(left_over, partner, own, own + 1)]), double, vector_out)
        return in_sequence(vector_in, halve, double, vector_out)

    return Schedule(
        collective=collective, algorithm="halving_doubling", ranks=ranks, blocks=blocks, root=root, steps=steps
    )
