"""Everyone to everyone: each rank sends to every other one itself, in turns that never meet at a receiver.

The least traffic and only two latencies, as long as the network between the ranks really joins them all at full rate.
It is the reference that the other algorithms are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hyperfabric_q.traffic.collectives.schedule import (
    ALGORITHMS,
    Collective,
    Racks,
    Schedule,
    Sends,
    Step,
    adding,
    copying,
    in_sequence,
)


def _exchange(ranks: int, *, target_slice: bool) -> Iterator[Sends]:
    """Turn by turn, every rank sends the slice of its target, or its own, to the rank that is one further away."""
    source = np.arange(ranks)
    for distance in range(1, ranks):
        target = (source + distance) % ranks
        block = target if target_slice else source
        yield Sends(source, target, block, block + 1)


def _from_root(ranks: int, root: int) -> Iterator[Sends]:
    one = np.ones(1, dtype=np.int64)
    for distance in range(1, ranks):
        yield Sends(one * root, one * ((root + distance) % ranks), one * 0, one)


@ALGORITHMS.register("direct")
def direct(collective: Collective, ranks: int, root: int, racks: Racks) -> Schedule:
    """Return the schedule in which no rank forwards anything."""
    del racks

    def steps() -> Iterator[Step]:
        scatter = adding(_exchange(ranks, target_slice=True), chained=False)
        gather = copying(_exchange(ranks, target_slice=False), chained=False)
        if collective is Collective.BROADCAST:
            return in_sequence(copying(_from_root(ranks, root), chained=False))
        if collective is Collective.REDUCE_SCATTER:
            return in_sequence(scatter)
        if collective is Collective.ALL_GATHER:
            return in_sequence(gather)
        return in_sequence(scatter, gather)

    blocks = 1 if collective is Collective.BROADCAST else ranks
    return Schedule(collective=collective, algorithm="direct", ranks=ranks, blocks=blocks, root=root, steps=steps)
