"""Placements that fill the nodes with consecutive qubits: hard to beat for chains and for block-ordered circuits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from hyperfabric_q.distribution.program import IntArray

MANY_NODES = 12
"""Beyond so many nodes only the given order of the nodes is tried."""


def blocks(
    qubits: int, capacity: Sequence[int], neighbours: Sequence[Sequence[int]], *, along_links: bool = True
) -> Iterator[tuple[str, IntArray]]:
    """Yield (name, homes) for the qubits in order and in reverse, each node filled before the next.

    The nodes are taken in the given order, and with ``along_links`` along the network from each node in turn, breadth
    first and depth first, so that consecutive blocks tend to stand on linked nodes. The capacities must hold all.
    """
    nodes = len(capacity)
    orders = {tuple(range(nodes)): "in order"}
    if along_links and nodes <= MANY_NODES:
        for start in range(nodes):
            for walk in (_breadth_first, _depth_first):
                orders.setdefault(walk(neighbours, start), f"from node {start}")
    for order, name in orders.items():
        if len(order) == nodes:
            filled = np.repeat(np.array(order, dtype=np.int32), [capacity[node] for node in order])[:qubits]
            yield f"blocks {name}", filled
            yield f"blocks {name}, reversed", filled[::-1].copy()


def _breadth_first(neighbours: Sequence[Sequence[int]], start: int) -> tuple[int, ...]:
    found, queue = [start], deque([start])
    while queue:
        for near in neighbours[queue.popleft()]:
            if near not in found:
                found.append(near)
                queue.append(near)
    return tuple(found)


def _depth_first(neighbours: Sequence[Sequence[int]], start: int) -> tuple[int, ...]:
    found: list[int] = []
    stack = [start]
    while stack:
        node = stack.pop()
        if node not in found:
            found.append(node)
            stack.extend(reversed(neighbours[node]))
    return tuple(found)
