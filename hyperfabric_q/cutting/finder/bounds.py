"""What any cuts cost at least.

The parts of a connected circuit form a connected graph. If they form a tree, each of its k - 1 edges parts the circuit
in two and carries the circuit's least cut; if not, there are at least k pairs of parts with a cut in between, each of
at least the cheapest gate. Each part is parted from the rest, so that all cuts together weigh half of k least cuts, and
more where eigenvalues show that parts of their size have a wider border. Prices are concave in the weight of a pair:
one pair that takes all that is left over is cheapest. A wire is as dear as a gate of gamma 4 (and dearer than that in
company), so it counts as such a gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from hyperfabric_q.cutting.finder.exact_kernel import minimum_cut
from hyperfabric_q.cutting.finder.prices import UNIT, WIRE, joint, joint_inverse
from hyperfabric_q.cutting.finder.slices import Graph, Ints

CUBIC = 500
"""Up to so many vertices least cuts and eigenvalues are worked out; time grows with their cube."""

ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A connected piece of the circuit.

    Attributes:
        qubits: how many it needs at least when it is parted.
        cheapest: the least weight of an edge; ``cut``: that parts it in two; both in whole units.
        quantum: all weights are multiples of it.
        borders: (qubits + 1,) least weight between m of its qubits and the others; None where wires may be cut.
    """

    qubits: int
    cheapest: int
    cut: int
    quantum: int
    borders: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Lower bounds on ln gamma² of one graph, for any rooms.

    Attributes:
        pieces: connected pieces of several vertices.
        whole: whether one piece is all there is.
        jointly: whether pairs of parts are priced jointly.
    """

    pieces: tuple[Piece, ...]
    whole: bool
    jointly: bool

    def price(self, rooms: Sequence[int], *, keep: bool) -> float:
        """Return what parts of these rooms cost at least; with ``keep`` all of them are used."""
        found = [0.0]
        wide_first = sorted(rooms, reverse=True)
        reach = np.cumsum(wide_first)
        for piece in self.pieces:
            parts = int(np.searchsorted(reach, piece.qubits)) + 1
            if keep and self.whole:
                parts = len(rooms)
            if parts > 1:
                found.append(self._of_piece(piece, parts, wide_first[0]))
        return max(found)

    def _of_piece(self, piece: Piece, parts: int, roomiest: int) -> float:
        total = max(-(-parts * piece.cut // 2), _least_border(piece, roomiest))
        total = -(-total // piece.quantum) * piece.quantum
        tree = (parts - 2) * self._pair(piece.cut) + self._pair(max(piece.cut, total - (parts - 2) * piece.cut))
        if parts == 2:
            return tree
        rest = max(piece.cheapest, total - (parts - 1) * piece.cheapest)
        return min(tree, (parts - 1) * self._pair(piece.cheapest) + self._pair(rest))

    def _pair(self, weight: int) -> float:
        return joint(weight * UNIT) if self.jointly else weight * UNIT


def floor_of(graph: Graph) -> Floor:
    """Return the lower bounds of a graph; cubic in its vertices up to ``CUBIC``, then linear and weaker."""
    # Where only wires can be cut their prices just add up, however many there are between two parts.
    jointly = bool(graph.priced_jointly) and bool(graph.weight.any())
    wire = round((joint_inverse(WIRE) if jointly else WIRE) / UNIT)
    weight = graph.weight + graph.wires * wire
    matrix = csr_array((weight, graph.near, graph.start), shape=(len(graph), len(graph)), copy=True)
    matrix.eliminate_zeros()
    count, label = connected_components(matrix, directed=False)
    pieces = []
    for number in range(count):
        members = np.flatnonzero(label == number)
        if len(members) > 1:
            pieces.append(_piece(graph, matrix[members][:, members], members))
    return Floor(pieces=tuple(pieces), whole=count == 1, jointly=jointly)


def _piece(graph: Graph, matrix: csr_array[np.int64], members: Ints) -> Piece:
    cheapest = int(matrix.data.min())
    inner = np.isin(graph.near, members) & np.isin(np.repeat(np.arange(len(graph)), np.diff(graph.start)), members)
    size = _sizes(graph)[members]
    qubits = int(size.sum()) - (int(graph.wires[inner].sum()) // 2 if graph.joins else 0)
    quantum = int(np.gcd.reduce(matrix.data))
    if len(members) > CUBIC:
        return Piece(qubits=qubits, cheapest=cheapest, cut=cheapest, quantum=quantum, borders=None)
    dense = np.ascontiguousarray(matrix.toarray(), dtype=np.int64)
    plain = not graph.has_wires and graph.windows == 1 and bool((size == 1).all())
    borders = _borders(dense, quantum) if plain else None
    cut = int(minimum_cut(dense.copy()))
    return Piece(qubits=qubits, cheapest=cheapest, cut=cut, quantum=quantum, borders=borders)


def _sizes(graph: Graph) -> Ints:
    """Qubits of each vertex; over time, those that it holds in the end (all last pieces of wires live to the end)."""
    if graph.joins:
        return graph.use_count
    last = graph.use_window == graph.windows - 1
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.use_start))
    return np.bincount(owner[last], weights=graph.use_count[last], minlength=len(graph)).astype(np.int64)


def _borders(weights: Ints, quantum: int) -> tuple[int, ...]:
    """Weight between m vertices and the other n - m: at least the second eigenvalue times m (n - m) / n."""
    count = len(weights)
    scaled = weights * UNIT
    values = eigh(np.diag(scaled.sum(axis=1)) - scaled, subset_by_index=[0, 1], eigvals_only=True)
    m = np.arange(count + 1)
    least = np.maximum(0.0, float(values[1]) - 1e-9) * m * (count - m) / count
    return tuple((np.ceil(least / (quantum * UNIT) - ROUNDING).astype(np.int64) * quantum).tolist())


def _least_border(piece: Piece, roomiest: int) -> int:
    """Half the borders of the parts, summed, at the cheapest sizes that do not exceed the largest room."""
    if piece.borders is None:
        return 0
    border = np.maximum(np.array(piece.borders, dtype=np.int64), piece.cut)[1 : roomiest + 1]
    total = np.zeros(piece.qubits + 1, dtype=np.int64)
    for size in range(1, piece.qubits + 1):
        reach = min(size, len(border))
        total[size] = (border[:reach] + total[size - 1 :: -1][:reach]).min()
    return int(-(-total[piece.qubits] // 2))
