"""The ring: every rank passes blocks to the next; least traffic, most steps (Patarasuk and Yuan 2009)."""

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


def around(members: IntArray, edges: IntArray, shift: int) -> Iterator[Sends]:
    """Yield the steps of rings side by side: in step ``k`` member ``i`` sends its ring's slice ``i + shift - k`` on.

    With ``shift`` -1 and receivers that add, member ``i`` ends with the sum of slice ``i``; with ``shift`` 0 and slice
    ``i`` at member ``i``, every member ends with all slices.

    Args:
        members: (rings, m) ranks in ring order.
        edges: (rings, m + 1) block boundaries of each ring's slices.
        shift: see above.
    """
    count = members.shape[1]
    source, target = members.ravel(), np.roll(members, -1, axis=1).ravel()
    for step in range(count - 1):
        index = (np.arange(count) + shift - step) % count
        yield Sends(source, target, edges[:, index].ravel(), edges[:, index + 1].ravel())


@ALGORITHMS.register("ring")
def ring(collective: Collective, ranks: int, root: int, racks: Racks) -> Schedule:
    """Return the ring schedule; a broadcast goes down the chain from the root, in as many blocks as there are ranks."""
    del racks

    def steps() -> Iterator[Step]:
        members, edges = np.arange(ranks)[None, :], np.arange(ranks + 1)[None, :]
        scatter = adding(around(members, edges, -1))
        gather = copying(around(members, edges, 0))
        if collective is Collective.BROADCAST:
            return in_sequence(copying(_chain(ranks, root)))
        if collective is Collective.REDUCE_SCATTER:
            return in_sequence(scatter)
        if collective is Collective.ALL_GATHER:
            return in_sequence(gather)
        return in_sequence(scatter, gather)

    shift = {Collective.BROADCAST: None, Collective.ALL_GATHER: 0}.get(collective, -1)
    return Schedule(
        collective=collective, algorithm="ring", ranks=ranks, blocks=ranks, root=root, steps=steps, shift=shift
    )


def _chain(ranks: int, root: int) -> Iterator[Sends]:
    """Rank after rank from the root passes on block after block."""
    for step in range(2 * ranks - 2):
        position = np.arange(max(0, step - ranks + 1), min(step, ranks - 2) + 1)
        block = step - position
        yield Sends((root + position) % ranks, (root + position + 1) % ranks, block, block + 1)
