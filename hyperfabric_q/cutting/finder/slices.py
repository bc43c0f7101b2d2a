"""The circuit as a graph to be partitioned: slices of wires, joined by gates and by the wires themselves.

A slice is what a qubit does from one two-qubit gate up to the next. Consecutive gates on the same two qubits share
their slices: a cut between them can be moved outwards at no cost, if a part may be left empty. A gate whose slices lie
on different parts is cut, a wire whose consecutive slices lie on different parts is cut. What one part needs is its
slices less its uncut wires, as every piece of wire takes a qubit; with reuse, the most that it holds at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ControlFlowOp, Gate

from hyperfabric_q.cutting.finder.prices import UNIT, log_schmidt_sum, separate

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slices:
    """A prepared circuit as slices of wires.

    Attributes:
        qubits: number of qubits.
        qubit: (v,) qubit of each slice; slices are numbered qubit by qubit in time order.
        first_row: (v,) row of the instruction that begins the slice, 0 for the first of each qubit.
        begins: (v,) first row in which the slice does something; ``ends``: one after the last. Idle: both 0.
        gates: (g, 2) slices that a gate joins; ``log_s`` (g,) its ln s; ``rows`` (g,) its row.
        glued: (j, 2) slices that must not be parted: what conditions read, and what no cut is known for.
    """

    qubits: int
    qubit: Ints
    first_row: Ints
    begins: Ints
    ends: Ints
    gates: Ints
    log_s: NDArray[np.float64]
    rows: Ints
    glued: Ints

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.qubit)

    @cached_property
    def wires(self) -> Ints:
        """(w, 2) consecutive slices of the same qubit."""
        inner = np.flatnonzero(self.qubit[1:] == self.qubit[:-1])
        return np.stack([inner, inner + 1], axis=1)


class _Reader:
    """Walks the rows once and numbers slices in order of appearance."""

    def __init__(self, circuit: Any, *, shared: bool) -> None:
        self.shared = shared
        self.qubit: list[int] = list(range(circuit.num_qubits))
        self.first_row = [0] * circuit.num_qubits
        self.begins = [-1] * circuit.num_qubits
        self.ends = [0] * circuit.num_qubits
        self.now = list(range(circuit.num_qubits))
        self.fresh = [True] * circuit.num_qubits
        self.gates: list[tuple[int, int]] = []
        self.log_s: list[float] = []
        self.rows: list[int] = []
        self.glued: list[tuple[int, int]] = []
        self.mates: dict[int, int] = {}
        place = {bit: index for index, bit in enumerate(circuit.qubits)}
        read = {bit for entry in circuit.data if isinstance(entry.operation, ControlFlowOp) for bit in entry.clbits}
        holders: dict[Any, int] = {}
        for row, entry in enumerate(circuit.data):
            qubits = [place[bit] for bit in entry.qubits]
            if len(qubits) > 1:
                self._join(row, qubits, entry.operation)
            for qubit in qubits:
                self._touch(self.now[qubit], row)
            for bit in entry.clbits if qubits else ():
                if bit in read:
                    here = self.now[qubits[0]]
                    self.glued.append((holders.setdefault(bit, here), here))

    def _join(self, row: int, qubits: list[int], operation: Any) -> None:
        here = [self.now[qubit] for qubit in qubits]
        pair = len(qubits) == 2
        if not (self.shared and pair and self.mates.get(here[0]) == here[1] and self.mates.get(here[1]) == here[0]):
            for qubit in qubits:
                if not self.fresh[qubit]:
                    self._open(qubit, row)
                self.fresh[qubit] = False
            here = [self.now[qubit] for qubit in qubits]
        log_s = log_schmidt_sum(operation) if pair and isinstance(operation, Gate) else None
        if log_s is not None:
            self.mates[here[0]], self.mates[here[1]] = here[1], here[0]
            self.gates.append((here[0], here[1]))
            self.log_s.append(log_s)
            self.rows.append(row)
        else:
            self.glued.extend((here[0], other) for other in here[1:])

    def _open(self, qubit: int, row: int) -> None:
        self.now[qubit] = len(self.qubit)
        self.qubit.append(qubit)
        self.first_row.append(row)
        self.begins.append(-1)
        self.ends.append(0)

    def _touch(self, piece: int, row: int) -> None:
        if self.begins[piece] < 0:
            self.begins[piece] = row
        self.ends[piece] = row + 1


def read_slices(circuit: Any, *, shared: bool = True) -> Slices:
    """Return the slices of a prepared circuit; linear in its instructions.

    Unless ``shared`` every two-qubit gate has slices of its own.
    """
    reader = _Reader(circuit, shared=shared)
    qubit = np.array(reader.qubit, dtype=np.int64)
    order = np.argsort(qubit, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))

    def pairs(listed: list[tuple[int, int]]) -> Ints:
        return number[np.array(listed, dtype=np.int64).reshape(-1, 2)]

    begins = np.array(reader.begins, dtype=np.int64)[order]
    return Slices(
        qubits=circuit.num_qubits,
        qubit=qubit[order],
        first_row=np.array(reader.first_row, dtype=np.int64)[order],
        begins=np.maximum(begins, 0),
        ends=np.array(reader.ends, dtype=np.int64)[order],
        gates=pairs(reader.gates),
        log_s=np.array(reader.log_s, dtype=np.float64),
        rows=np.array(reader.rows, dtype=np.int64),
        glued=pairs(reader.glued),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Slices put together into the vertices that a search may place.

    Attributes:
        vertex: (slices,) vertex of each slice.
        start, near, weight, wires: neighbours of each vertex (CSR, both ways): price of the gates between the two in
            whole units, and how many wires run between them.
        use_start, use_window, use_count: what each vertex takes of its part in which window of time (CSR).
        gap_start, gap_window: windows in which the wires of each neighbour rest uncut and take a qubit (CSR).
        windows: number of windows; one when pieces of wire keep their qubit for the whole run.
        joins: 1 where two vertices joined by an uncut wire share a qubit: their part needs one less per wire. Else
            qubits are counted window by window.
        priced_jointly: 1 when the weights are ln s and pairs of parts cost ``joint``; 0 when they are ln gamma².
    """

    vertex: Ints
    start: Ints
    near: Ints
    weight: Ints
    wires: Ints
    use_start: Ints
    use_window: Ints
    use_count: Ints
    gap_start: Ints
    gap_window: Ints
    windows: int
    joins: int
    priced_jointly: int

    def __len__(self) -> int:
        """Return the number of vertices."""
        return len(self.start) - 1

    @property
    def has_wires(self) -> bool:
        """Whether any wire may be cut."""
        return bool(self.wires.any())

    @cached_property
    def arrays(self) -> tuple[Ints, ...]:
        """What the kernels read, in their order."""
        flags = np.array([self.windows, self.joins, self.priced_jointly], dtype=np.int64)
        return (
            self.start, self.near, self.weight, self.wires, self.use_start, self.use_window, self.use_count,
            self.gap_start, self.gap_window, flags,
        )  # fmt: skip


def graph_of(slices: Slices, *, cut_gates: bool, cut_wires: bool, reuse: bool, jointly: bool) -> Graph:
    """Return the graph in which only the allowed cuts are possible."""
    merged = [slices.glued]
    if not cut_gates:
        merged.append(slices.gates)
    if not cut_wires:
        merged.append(slices.wires)
    vertex = _components(len(slices), np.concatenate(merged))
    count = int(vertex.max(initial=-1)) + 1
    prices = slices.log_s if jointly else np.array([separate(x) for x in slices.log_s.tolist()])
    whole = np.rint(prices / UNIT).astype(np.int64)
    gate_ends, wire_ends = vertex[slices.gates], vertex[slices.wires]
    ends = np.concatenate([gate_ends, wire_ends])
    weight = np.concatenate([whole, np.zeros(len(wire_ends), dtype=np.int64)])
    wires = np.concatenate([np.zeros(len(gate_ends), dtype=np.int64), np.ones(len(wire_ends), dtype=np.int64)])
    inside = ends[:, 0] == ends[:, 1]
    start, near, sums = _rows(count, ends[~inside], np.stack([weight, wires], axis=1)[~inside])
    if reuse:
        use = _use_over_time(slices, vertex, start, near)
    else:
        use = _use_at_once(count, vertex, ends[inside & (wires > 0), 0], len(near))
    return Graph(
        vertex=vertex,
        start=start,
        near=near,
        weight=np.ascontiguousarray(sums[:, 0]),
        wires=np.ascontiguousarray(sums[:, 1]),
        use_start=use[0],
        use_window=use[1],
        use_count=use[2],
        gap_start=use[3],
        gap_window=use[4],
        windows=max(int(use[1].max(initial=0)), int(use[4].max(initial=0))) + 1,
        joins=int(not reuse),
        priced_jointly=int(jointly),
    )


def _components(count: int, pairs: Ints) -> Ints:
    """Number the classes of joined members by their first member."""
    parent = list(range(count))

    def root(member: int) -> int:
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for a, b in pairs.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return np.unique([root(member) for member in range(count)], return_inverse=True)[1].astype(np.int64).ravel()


def _rows(count: int, ends: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
    """Sum the values of parallel edges and list each edge at both of its ends."""
    both = np.concatenate([ends, ends[:, ::-1]])
    keys, inverse = np.unique(both[:, 0] * max(count, 1) + both[:, 1], return_inverse=True)
    sums = np.zeros((len(keys), values.shape[1]), dtype=np.int64)
    np.add.at(sums, inverse.ravel(), np.concatenate([values, values]))
    start = np.searchsorted(keys // max(count, 1), np.arange(count + 1)).astype(np.int64)
    return start, (keys % max(count, 1)).astype(np.int64), sums


def _use_at_once(count: int, vertex: Ints, inner_wires: Ints, entries: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    size = np.bincount(vertex, minlength=count) - np.bincount(inner_wires, minlength=count)
    none = np.zeros(entries + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.arange(count + 1, dtype=np.int64), np.zeros(count, dtype=np.int64), size.astype(np.int64), *none


def _use_over_time(slices: Slices, vertex: Ints, start: Ints, near: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """What each vertex and each uncut wire holds in each window.

    A window is a row in which some slice begins, as only there more is held. A slice holds its qubit from its first
    instruction to its last, the last one of a qubit to the end; an uncut wire holds it from one slice to the next.
    """
    rows = np.unique(slices.begins)
    last = np.append(slices.qubit[1:] != slices.qubit[:-1], True)
    low = np.searchsorted(rows, slices.begins)
    high = np.where(last, len(rows), np.searchsorted(rows, slices.ends))
    ends = vertex[slices.wires]
    inside = ends[:, 0] == ends[:, 1]
    rests = high[slices.wires[:, 0]], low[slices.wires[:, 1]]
    owner, window = _spread(low, high, vertex)
    within = _spread(rests[0][inside], rests[1][inside], ends[inside, 0])
    count = len(start) - 1
    keys, held = np.unique(
        np.concatenate([owner, within[0]]) * len(rows) + np.concatenate([window, within[1]]), return_counts=True
    )
    use_start = np.searchsorted(keys // len(rows), np.arange(count + 1))
    # Each wire between two vertices is an entry of ``near`` at either end.
    entry = np.repeat(np.arange(count), np.diff(start)) * count + near
    across = ends[~inside]
    places = [np.searchsorted(entry, across[:, side] * count + across[:, 1 - side]) for side in (0, 1)]
    gaps = [_spread(rests[0][~inside], rests[1][~inside], place) for place in places]
    gap_owner, gap_window = (np.concatenate([gap[which] for gap in gaps]) for which in (0, 1))
    order = np.argsort(gap_owner, kind="stable")
    gap_start = np.searchsorted(gap_owner[order], np.arange(len(near) + 1))
    found = use_start, keys % len(rows), held, gap_start, gap_window[order]
    return found[0].astype(np.int64), *(each.astype(np.int64) for each in found[1:])  # type: ignore[return-value]


def _spread(low: Ints, high: Ints, owner: Ints) -> tuple[Ints, Ints]:
    """List (owner, window) for every window of each half-open interval."""
    length = np.maximum(high - low, 0)
    window = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length) + np.repeat(low, length)
    return np.repeat(owner, length), window
