"""Orders of a graph's vertices in which neighbours stand close, so that cutting an order into runs cuts little."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.linalg import eigh

from hyperfabric_q.cutting.finder.prices import UNIT, WIRE
from hyperfabric_q.cutting.finder.slices import Graph, Ints

DENSE = 600
"""Largest graph whose eigenvectors are taken."""


def orders(graph: Graph, begins: Ints) -> Iterator[Ints]:
    """Yield orders of the vertices: as numbered, in time, depth first, nearest first, along the slowest vibration.

    Args:
        graph: what is to be ordered.
        begins: (v,) the row in which each vertex begins.
    """
    yield np.arange(len(graph))
    if graph.has_wires:
        yield np.argsort(begins, kind="stable")
    yield depth_first(graph)
    yield nearest_first(graph)
    if 2 < len(graph) <= DENSE:
        yield np.argsort(vibration(graph), kind="stable")


def strengths(graph: Graph) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the price of each entry of ``graph.near``, gates at 2 ln s."""
    factor = 2 * UNIT if graph.priced_jointly else UNIT
    return graph.weight * factor + graph.wires * WIRE


def depth_first(graph: Graph) -> Ints:
    """Return the vertices depth first from one of least degree, strong neighbours before weak ones."""
    strength = strengths(graph)
    near = [graph.near[a:b][np.argsort(strength[a:b], kind="stable")].tolist() for a, b in _spans(graph)]
    seen = [False] * len(graph)
    found: list[int] = []
    for root in np.argsort(np.diff(graph.start), kind="stable").tolist():
        stack = [root]
        while stack:
            vertex = stack.pop()
            if not seen[vertex]:
                seen[vertex] = True
                found.append(vertex)
                stack.extend(near[vertex])
    return np.array(found, dtype=np.int64)


def nearest_first(graph: Graph) -> Ints:
    """Return the vertices so that each is, of those left, the one most strongly joined to those before it."""
    strength = strengths(graph)
    joined = np.zeros(len(graph))
    degree = np.diff(graph.start) * 1e-6
    found = np.empty(len(graph), dtype=np.int64)
    for place in range(len(graph)):
        vertex = int(np.argmax(joined + degree))
        found[place] = vertex
        joined[vertex] = -np.inf
        entries = slice(graph.start[vertex], graph.start[vertex + 1])
        joined[graph.near[entries]] += strength[entries]
    return found


def vibration(graph: Graph) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the second eigenvector of the graph's Laplacian (Fiedler 1973), to six digits and with a fixed sign."""
    _, vectors = eigh(laplacian(graph), subset_by_index=[0, 1])
    vector = np.asarray(vectors[:, 1])
    lead = vector[int(np.argmax(np.abs(np.round(vector, 6))))]
    return np.round(vector * (1.0 if lead >= 0 else -1.0), 6)


def laplacian(graph: Graph) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the matrix of ``strengths``' Laplacian."""
    matrix = np.zeros((len(graph), len(graph)))
    matrix[np.repeat(np.arange(len(graph)), np.diff(graph.start)), graph.near] = -strengths(graph)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def _spans(graph: Graph) -> list[tuple[int, int]]:
    bounds = graph.start.tolist()
    return list(pairwise(bounds))
