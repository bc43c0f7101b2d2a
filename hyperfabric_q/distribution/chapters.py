"""The time-expanded model: a home for every segment, and the layers during which it takes up a data qubit.

Between two breaks a qubit may be carried to another node (teleported), so every *segment* has a home of its own. The
copy set of a segment is the set of nodes among its home, the home of the next segment of its qubit, and the sites of
its gates: a move inside a segment that has a copy at the new home anyway costs nothing more.

Layers. Each row of the program gets a layer, as early as the order of the program allows: not before any earlier row
that shares a qubit or a classical bit, and after every earlier controlled phase that shares a qubit. Only controlled
phases take a layer. Rows sorted by (layer, row) are therefore a valid reordering of the program. Segment *s* takes up a
data qubit of its home from the layer after the last gate of its qubit's previous segment up to and with the layer of
its own last gate; the first segment of a qubit begins at layer 0 and the last one ends with the program. The intervals
of a qubit's segments hence tile the program, and a node holds, in each layer, as many data qubits as intervals at home
there contain it. A break is run in the first layer of the segment it opens, at that segment's home.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.program import IntArray, Kind, Program
from hyperfabric_q.distribution.segments import Segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapters:
    """Segments in time.

    Attributes:
        segments: the copy-set hypergraph.
        next_of: the next segment of the same qubit, -1 at the last, int32, shape (s,).
        first_of: the first segment of each qubit, -1 for a qubit without gates, int32, shape (qubits,).
        begins: first layer of the segment's home, int32, shape (s,).
        ends: one past the last layer of the segment's home, int32, shape (s,).
        layers: how many layers there are, at least 1.
        gate_layer: the layer of each gate, int32, shape (g,).
        row_layer: the layer of each row of the program, int32, shape (m,).
    """

    segments: Segments
    next_of: IntArray
    first_of: IntArray
    begins: IntArray
    ends: IntArray
    layers: int
    gate_layer: IntArray
    row_layer: IntArray

    def __post_init__(self) -> None:
        for array in (self.next_of, self.first_of, self.begins, self.ends, self.gate_layer, self.row_layer):
            array.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self.segments)

    def __repr__(self) -> str:
        return f"<Chapters: {len(self)} segments, {len(self.gate_layer)} gates, {self.layers} layers>"

    @property
    def idle(self) -> NDArray[np.bool_]:
        """Which qubits have no gate, shape (qubits,)."""
        return np.asarray(self.first_of < 0)

    def still(self, qubit_homes: IntArray) -> tuple[IntArray, IntArray]:
        """Return (homes, idle_homes) of a placement in which no qubit moves, from one home per qubit."""
        homes = qubit_homes[self.segments.qubit].astype(np.int32)
        return homes, np.where(self.idle, qubit_homes, -1).astype(np.int32)

    def entry_homes(self, homes: IntArray, idle_homes: IntArray) -> IntArray:
        """Return the home of each qubit when the program starts, shape (qubits,)."""
        return np.where(self.idle, idle_homes, _pick(homes, self.first_of)).astype(np.int32)

    def exit_homes(self, homes: IntArray, idle_homes: IntArray) -> IntArray:
        """Return the home of each qubit when the program ends, shape (qubits,)."""
        last = np.full(self.segments.qubits, -1, dtype=np.int32)
        final = np.flatnonzero(self.next_of < 0)
        last[self.segments.qubit[final]] = final
        return np.where(self.idle, idle_homes, _pick(homes, last)).astype(np.int32)

    def moves(self, homes: IntArray) -> int:
        """Return how many times a qubit changes its home."""
        moving = np.flatnonzero(self.next_of >= 0)
        return int(np.count_nonzero(homes[moving] != homes[self.next_of[moving]]))

    def restricted(self, qubits: IntArray) -> tuple[Chapters, IntArray, IntArray]:
        """Return the chapters of ``qubits``, renumbered in that order, and the numbers of their segments and gates.

        The set must be closed: no gate may join it with another qubit. Layers, and the rows they belong to, stay.
        """
        part, gates = self.segments.restricted(qubits)
        inside = np.zeros(self.segments.qubits, dtype=bool)
        inside[qubits] = True
        kept = np.flatnonzero(inside[self.segments.qubit]).astype(np.int32)
        number = np.full(len(self) + 1, -1, dtype=np.int32)  # the spare entry answers for -1
        number[kept] = np.arange(len(kept), dtype=np.int32)
        chapters = Chapters(
            segments=part,
            next_of=number[self.next_of[kept]],
            first_of=number[self.first_of[qubits]],
            begins=self.begins[kept],
            ends=self.ends[kept],
            layers=self.layers,
            gate_layer=self.gate_layer[gates],
            row_layer=self.row_layer,
        )
        return chapters, kept, gates


def _pick(values: IntArray, index: IntArray) -> IntArray:
    """``values[index]``, where -1 gives any number."""
    return values[index] if len(values) else np.zeros(len(index), dtype=np.int32)


def chapters_of(program: Program, segments: Segments) -> Chapters:
    """Return the time-expanded model of ``program`` and its segments; O(operations)."""
    row_layer, layers = _row_layers(program)
    count = len(segments)
    # Segments are numbered by their first gate, so those of one qubit ascend in time.
    order = np.argsort(segments.qubit, kind="stable").astype(np.int32)
    owner = segments.qubit[order]
    follows = owner[1:] == owner[:-1]
    next_of = np.full(count, -1, dtype=np.int32)
    next_of[order[:-1][follows]] = order[1:][follows]
    first_of = np.full(segments.qubits, -1, dtype=np.int32)
    first_of[owner[::-1]] = order[::-1]
    gate_layer = row_layer[segments.gate_row]
    last = np.zeros(count, dtype=np.int32)
    np.maximum.at(last, segments.gate_segments.ravel(), np.repeat(gate_layer, 2))
    ends = np.where(next_of >= 0, last + 1, layers).astype(np.int32)
    begins = np.zeros(count, dtype=np.int32)
    moving = np.flatnonzero(next_of >= 0)
    begins[next_of[moving]] = ends[moving]
    return Chapters(
        segments=segments,
        next_of=next_of,
        first_of=first_of,
        begins=begins,
        ends=ends,
        layers=layers,
        gate_layer=gate_layer,
        row_layer=row_layer,
    )


def _row_layers(program: Program) -> tuple[IntArray, int]:
    """Return the layer of each row, and how many layers there are (at least 1)."""
    classical = program.classical
    registers = {register.name: [classical.find_bit(bit).index for bit in register] for register in classical.cregs}
    reads = [
        [condition.bit] if condition.bit is not None else registers[str(condition.register)]
        for condition in program.conditions
    ]
    free = [0] * program.qubits  # the first layer open to each qubit
    seen = [0] * classical.num_clbits  # the last layer that touched each bit; one layer may touch it twice, by row
    layers: list[int] = []
    conditions = program.condition.tolist()
    for (kind, first, second, _, clbit), condition in zip(program.rows(), conditions, strict=True):
        bits = reads[condition] if condition >= 0 else []
        if clbit >= 0:
            bits = [*bits, clbit]
        layer = max(free[first], free[second] if second >= 0 else 0, *(seen[bit] for bit in bits), 0)
        after = layer + (kind == Kind.CP)
        free[first] = after
        if second >= 0:
            free[second] = after
        for bit in bits:
            seen[bit] = layer
        layers.append(layer)
    return np.array(layers, dtype=np.int32), max(layers, default=0) + 1


def copy_sets_in_time(chapters: Chapters, homes: IntArray, sites: IntArray) -> NDArray[np.int64]:
    """Return the copy set of each segment as a bit mask over nodes, shape (s,).

    Args:
        chapters: the model.
        homes: node index of each segment's home, shape (s,).
        sites: node index of each gate, shape (g,).
    """
    bits = np.int64(1) << homes.astype(np.int64)
    masks: NDArray[np.int64] = bits.copy()
    moving = np.flatnonzero(chapters.next_of >= 0)
    masks[moving] |= bits[chapters.next_of[moving]]
    np.bitwise_or.at(
        masks, chapters.segments.gate_segments.ravel(), np.repeat(np.int64(1) << sites.astype(np.int64), 2)
    )
    return masks


def cost_in_time(chapters: Chapters, network: Network, homes: IntArray, sites: IntArray) -> int:
    """Return the e-bits of a placement in time: the links of a tree that spans each segment's copy set, summed."""
    masks = copy_sets_in_time(chapters, homes, sites)
    keyed, counts = np.unique(np.stack([homes.astype(np.int64), masks]), axis=1, return_counts=True)
    return sum(
        network.spread(int(home), int(mask)) * int(count) for (home, mask), count in zip(keyed.T, counts, strict=True)
    )


def occupancy(chapters: Chapters, homes: IntArray, idle_homes: IntArray, nodes: int) -> IntArray:
    """Return how many data qubits are at home on each node in each layer, shape (nodes, layers)."""
    change = np.zeros((nodes, chapters.layers + 1), dtype=np.int32)
    np.add.at(change, (homes, chapters.begins), 1)
    np.subtract.at(change, (homes, chapters.ends), 1)
    resting = idle_homes[chapters.idle]
    np.add.at(change[:, 0], resting, 1)
    return np.cumsum(change[:, :-1], axis=1, dtype=np.int32)
