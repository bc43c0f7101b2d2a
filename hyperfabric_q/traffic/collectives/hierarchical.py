"""Rack by rack: reduce-scatter inside each rack, all-reduce across racks, all-gather inside; all three by rings.

Of a rack of m ranks each one's share of the traffic between racks is 1/m of the vector. Racks need not be equal: the
smallest decides how many ranks of each rack take part, and the others of a rack hand their vector to one of these
before and get the result after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from hyperfabric_q.traffic.collectives.ring import around
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Who takes part, and which blocks are whose.

    Blocks are sorted by place in the rack, then by rack: a place's blocks are one shard of the vector, cut once per
    rack.

    Attributes:
        members: (racks, places) ranks that take part.
        shards: (places + 1,) block boundaries of the places.
        cuts: (places, racks + 1) block boundaries of the racks in each shard.
        turns: left-over ranks, their members, and the left-over ranks' blocks; in each turn a member occurs once.
        slices: the slice that each block is.
    """

    members: IntArray
    shards: IntArray
    cuts: IntArray
    turns: tuple[tuple[IntArray, IntArray, IntArray], ...]
    slices: tuple[int, ...]


def _layout(racks: Racks, *, by_rank: bool) -> _Layout:
    places = min(len(rack) for rack in racks)
    members = np.array([rack[:places] for rack in racks])
    # Each member stands for itself and every places-th rank after it in its rack.
    stands_for = [[list(rack[place::places]) for rack in racks] for place in range(places)]
    if by_rank:
        counts = np.array([[len(ranks) for ranks in place] for place in stands_for])
        slices = tuple(rank for place in stands_for for ranks in place for rank in ranks)
    else:
        counts, slices = np.ones((places, len(racks)), dtype=np.int64), ()
    ends = np.cumsum(counts).reshape(counts.shape)
    starts = ends - counts
    cuts = np.concatenate([starts, ends[:, -1:]], axis=1)
    block_of = {rank: block for block, rank in enumerate(slices)}
    turns = []
    for turn in range(1, -(-max(len(rack) for rack in racks) // places)):
        pairs = [
            (ranks[turn], ranks[0], block_of.get(ranks[turn], 0))
            for place in stands_for
            for ranks in place
            if turn < len(ranks)
        ]
        left_over, member, block = (np.array(column) for column in zip(*pairs, strict=True))
        turns.append((left_over, member, block))
    shards = np.append(cuts[:, 0], cuts[-1, -1])
    return _Layout(members=members, shards=shards, cuts=cuts, turns=tuple(turns), slices=slices)


@ALGORITHMS.register("hierarchical")
def hierarchical(collective: Collective, ranks: int, root: int, racks: Racks) -> Schedule:
    """Return the schedule by racks; a broadcast goes to one rank of each rack first, then down a tree in each."""
    if collective is Collective.BROADCAST:
        return Schedule(
            collective=collective,
            algorithm="hierarchical",
            ranks=ranks,
            blocks=1,
            root=root,
            steps=lambda: _broadcast(root, racks),
        )
    by_rank = collective is not Collective.ALL_REDUCE
    layout = _layout(racks, by_rank=by_rank)
    return Schedule(
        collective=collective,
        algorithm="hierarchical",
        ranks=ranks,
        blocks=int(layout.shards[-1]),
        root=root,
        slices=layout.slices,
        steps=lambda: _steps(collective, layout),
    )


def _steps(collective: Collective, layout: _Layout) -> Iterator[Step]:
    members = layout.members
    inside = np.broadcast_to(layout.shards, (len(members), len(layout.shards)))
    blocks = layout.shards[-1]
    vectors = [(a, b, np.zeros_like(a), np.full_like(a, blocks)) for a, b, _ in layout.turns]
    own = [(a, b, block, block + 1) for a, b, block in layout.turns]
    scatter = (adding(around(members, inside, -1)), adding(around(members.T, layout.cuts, -1)))
    gather = (copying(around(members.T, layout.cuts, 0)), copying(around(members, inside, 0)))
    vectors_in = adding([Sends(a, b, first, end) for a, b, first, end in vectors])
    vectors_out = copying([Sends(b, a, first, end) for a, b, first, end in vectors])
    if collective is Collective.REDUCE_SCATTER:
        return in_sequence(vectors_in, *scatter, copying([Sends(b, a, first, end) for a, b, first, end in own]))
    if collective is Collective.ALL_GATHER:
        return in_sequence(copying([Sends(a, b, first, end) for a, b, first, end in own]), *gather, vectors_out)
    return in_sequence(vectors_in, *scatter, *gather, vectors_out)


def _broadcast(root: int, racks: Racks) -> Iterator[Step]:
    """The root's rack stands first, and in it the root, so that both trees start from it."""
    sorted_racks = sorted(racks, key=lambda rack: root not in rack)
    ordered = [np.array(sorted(rack, key=lambda rank: rank != root)) for rack in sorted_racks]
    edges = np.arange(2)
    leaders = np.array([rack[0] for rack in ordered])
    inside = zip_longest(*(descend(rack, edges, whole=True) for rack in ordered))
    together = (_merged([sends for sends in step if sends is not None]) for step in inside)
    return in_sequence(copying(descend(leaders, edges, whole=True)), copying(together))


def _merged(parts: list[Sends]) -> Sends:
    return Sends(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
