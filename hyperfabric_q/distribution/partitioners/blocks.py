"""Placements that fill the nodes with consecutive qubits: hard to beat for chains and for block-ordered circuits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hyperfabric_q.distribution.program import IntArray


def blocks(qubits: int, capacity: tuple[int, ...]) -> Iterator[tuple[str, IntArray]]:
    """Yield (name, homes) for the qubits in order and in reverse, each node filled before the next; O(qubits).

    The capacities must hold all qubits.
    """
    filled = np.repeat(np.arange(len(capacity), dtype=np.int32), capacity)[:qubits]
    yield "blocks in order", filled
    yield "blocks in reverse", filled[::-1].copy()
