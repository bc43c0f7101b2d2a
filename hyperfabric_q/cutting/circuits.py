"""What circuit does a device run for one variant of a fragment?

The fragment's steps in order, with what each marker's setting does in place of its cut, then the outputs in the basis
of one group of observables. A wire that ends is measured right after its last gate, so that its qubit is free early.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import (
    CXGate,
    CYGate,
    CZGate,
    DCXGate,
    ECRGate,
    SwapGate,
    UGate,
    UnitaryGate,
    iSwapGate,
)
from qiskit.synthesis import OneQubitEulerDecomposer

from hyperfabric_q.cutting.decomposition import Complex, Instrument
from hyperfabric_q.cutting.emit import bits_of, emit, needs_ancilla
from hyperfabric_q.cutting.fragments import Condition, CutCircuit, Fragment, Gate, Marker, Measure, Reset, Step
from hyperfabric_q.cutting.kak import deviation
from hyperfabric_q.cutting.observables import Ints
from hyperfabric_q.cutting.settings import SAME, Side
from hyperfabric_q.errors import InternalError

REGISTER: Final = "c"
"""The classical register of every emitted circuit: outputs first, then the bits of markers, then the user's own."""

_EULER: Any = OneQubitEulerDecomposer("U")
_PLAIN: Final[tuple[tuple[Any, tuple[int, int]], ...]] = tuple(
    (gate, order)
    for gate in (CXGate(), CZGate(), SwapGate(), iSwapGate(), ECRGate(), DCXGate(), CYGate())
    for order in ((0, 1), (1, 0))
)
_EXACT = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """What a marker does at one setting.

    Attributes:
        steps: (operation, qubits, bits), numbered within the marker; the ancilla comes after its qubits.
        ancilla: whether it needs one.
        outcomes: which outcome of the setting each value of its bits is, shape (2^bits,).
    """

    steps: tuple[tuple[Any, tuple[int, ...], tuple[int, ...]], ...]
    ancilla: bool
    outcomes: Ints


class Script:
    """A fragment, ready to be written out variant by variant.

    Args:
        cut: the fragments, with all parameters bound.
        number: which of them.
        reuse: whether the qubit of a wire that ended is reset and used again.
    """

    def __init__(self, cut: CutCircuit, number: int, *, reuse: bool) -> None:  # noqa: D107 - the class says it
        fragment = cut.fragments[number]
        self.fragment = fragment
        sides = [(cut.cuts[each.cut].decomposition, each.side) for each in fragment.markers]
        self.plays = [
            plays_of(side, whole.right if which else whole.left)
            for side, (whole, which) in zip(fragment.sides, sides, strict=True)
        ]
        self.tables = tuple(_table(plays) for plays in self.plays)
        self.steps = _early_ends(fragment)
        self.qubit, self.width = _places(fragment, self.steps, reuse=reuse)
        starts = np.cumsum([len(fragment.outputs), *(_bits(table) for table in self.tables)])
        self.starts = [int(each) for each in starts]
        self.clbit = {bit: self.starts[-1] + place for place, bit in enumerate(_clbits(self.steps))}
        self.size = self.starts[-1] + len(self.clbit)
        self.axis = {id(marker): axis for axis, marker in enumerate(fragment.markers)}
        self.ready = {id(step): _named(step) for step in _all(self.steps) if isinstance(step, Gate)}

    def circuit(self, settings: Sequence[int], basis: tuple[int, int]) -> QuantumCircuit:
        """Return the circuit of one variant, measured in one basis; masks (x, z) over the outputs."""
        chosen = [plays[j] for plays, j in zip(self.plays, settings, strict=True)]
        width = self.width + any(play.ancilla for play in chosen)
        circuit = QuantumCircuit(QuantumRegister(width, "q"), ClassicalRegister(self.size, REGISTER))
        used: set[int] = set()
        held: dict[int, int] = {}
        for step in self.steps:
            for wire in _wires(step):
                qubit = self.qubit[wire]
                if held.get(qubit, wire) != wire:  # another wire has ended here
                    circuit.reset(qubit)
                held[qubit] = wire
            if isinstance(step, Marker):
                self._play(circuit, step, chosen[self.axis[id(step)]])
            else:
                self._append(circuit, step, used)
            used.update(self.qubit[wire] for wire in _wires(step))
        x, z = basis
        for place, wire in enumerate(self.fragment.outputs):
            qubit = self.qubit[wire]
            if held.get(qubit, wire) != wire:
                circuit.reset(qubit)
            held[qubit] = wire
            if x >> place & 1:
                if z >> place & 1:
                    circuit.sdg(qubit)
                circuit.h(qubit)
            circuit.measure(qubit, place)
        return circuit

    def _play(self, circuit: QuantumCircuit, marker: Marker, play: Play) -> None:
        qubits = [*(self.qubit[wire] for wire in marker.qubits), self.width]
        start = self.starts[self.axis[id(marker)]]
        for operation, places, bits in play.steps:
            circuit.append(operation, [qubits[place] for place in places], [start + bit for bit in bits])

    def _append(self, circuit: QuantumCircuit, step: Step, used: set[int]) -> None:
        if isinstance(step, Gate):
            used.update(self.qubit[wire] for wire in step.qubits)
            operation, order = self.ready[id(step)]
            circuit.append(operation, [self.qubit[step.qubits[place]] for place in order])
        elif isinstance(step, Measure):
            circuit.measure(self.qubit[step.qubit], self.clbit[step.clbit])
        elif isinstance(step, Reset):
            if self.qubit[step.qubit] in used:
                circuit.reset(self.qubit[step.qubit])
        elif isinstance(step, Condition):
            bits = [(self.clbit[bit], step.value >> place & 1) for place, bit in enumerate(step.clbits)]
            self._branch(circuit, bits, step, used)

    def _branch(self, circuit: QuantumCircuit, bits: list[tuple[int, int]], step: Condition, used: set[int]) -> None:
        """One test per bit, each inside the one before; whichever fails, the other steps are taken."""
        if not bits:
            for inner in step.then:
                self._append(circuit, inner, used)
            return
        (bit, value), *rest = bits
        with circuit.if_test((circuit.clbits[bit], value)) as otherwise:
            self._branch(circuit, rest, step, used)
        if step.otherwise:
            with otherwise:
                for inner in step.otherwise:
                    self._append(circuit, inner, used)


def digest(circuit: QuantumCircuit, *told: object) -> str:
    """Return a hash of the operations of a circuit, and of what else is told; 24 hexadecimal digits.

    Angles count to 10 digits, so that another machine's rounding gives the same hash.
    """
    text = json.dumps([told, _written(circuit)], separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _written(circuit: QuantumCircuit) -> list[Any]:
    qubit = {each: place for place, each in enumerate(circuit.qubits)}
    clbit = {each: place for place, each in enumerate(circuit.clbits)}
    rows: list[Any] = []
    for item in circuit.data:
        told: list[Any] = [_rounded(each) for each in item.params if not isinstance(each, QuantumCircuit)]
        if item.name == "if_else":
            target, value = item.operation.condition
            told = [clbit[target], int(value), *(_written(block) for block in item.operation.blocks)]
        rows.append([item.name, told, [qubit[each] for each in item.qubits], [clbit[each] for each in item.clbits]])
    return rows


def _rounded(value: Any) -> Any:
    array = np.round(np.asarray(value, dtype=complex), 10) + 0.0
    pairs = np.stack([array.real, array.imag], axis=-1) + 0.0
    return pairs.tolist()


# ---------------------------------------------------------------------------------------------------------- markers


def plays_of(side: Side, instruments: Sequence[Instrument]) -> list[Play]:
    """Return what one side of a cut does at each of its settings."""
    return [_play_of(_instrument(side, j, instruments)) for j in range(len(side.settings))]


def _instrument(side: Side, j: int, instruments: Sequence[Instrument]) -> Instrument:
    """The instrument that has the outcomes of setting j, with signs 1, 2, ... that number them.

    Where there is one in the decomposition it is taken: the phases between its Kraus operators are those that ``emit``
    knows how to run.
    """
    operators = side.operators[side.settings[j][side.settings[j] >= 0]]
    for each in instruments:
        order = _order(each.kraus, operators)
        if order is not None:
            return Instrument(name=each.name, signs=np.array(order) + 1.0, kraus=each.kraus)
    return Instrument(name=f"setting {j}", signs=np.arange(1.0, len(operators) + 1), kraus=operators)


def _order(kraus: Complex, operators: Complex) -> list[int] | None:
    if len(kraus) != len(operators):
        return None
    order = []
    for own in kraus:
        for place, other in enumerate(operators):
            norms = float(np.vdot(own, own).real), float(np.vdot(other, other).real)
            if abs(norms[0] - norms[1]) < 10 * SAME and abs(abs(np.vdot(own, other)) - norms[0]) < 10 * SAME:
                order.append(place)
                break
    return order if sorted(order) == list(range(len(operators))) else None


def _play_of(instrument: Instrument) -> Play:
    width = max(instrument.kraus.shape[1:]).bit_length() - 1
    scratch = QuantumCircuit(width + 1, bits_of(instrument))
    values = emit(instrument, scratch, range(width), list(range(scratch.num_clbits)), width)
    index = {bit: place for place, bit in enumerate((*scratch.qubits, *scratch.clbits))}
    steps = tuple(
        (
            item.operation,
            tuple(index[each] for each in item.qubits),
            tuple(index[each] - width - 1 for each in item.clbits),
        )
        for item in scratch.data
    )
    return Play(steps, needs_ancilla(instrument), np.rint(values).astype(np.int64) - 1)


def _table(plays: Sequence[Play]) -> Ints:
    """The outcome of each setting for each value of the marker's bits, -1 where that cannot be; (settings, 2^bits)."""
    table = np.full((len(plays), max(len(play.outcomes) for play in plays)), -1, dtype=np.int64)
    for j, play in enumerate(plays):
        table[j, : len(play.outcomes)] = play.outcomes
    return table


def _bits(table: Ints) -> int:
    return int(table.shape[1]).bit_length() - 1


# ------------------------------------------------------------------------------------------------------------ steps


def _named(step: Gate) -> tuple[Any, tuple[int, ...]]:
    """The operation of a gate and the order of its qubits: its own, one of Qiskit's that equals it, or a unitary."""
    order = tuple(range(len(step.qubits)))
    if step.operation is not None:
        return step.operation, order
    if step.matrix is None:
        raise InternalError(what="a gate was written out with unbound parameters")
    if len(step.qubits) == 1:
        return UGate(*(float(angle) for angle in _EULER.angles(step.matrix))), order
    swapped = step.matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
    for gate, places in _PLAIN:
        matrix = step.matrix if places == order else swapped
        if deviation(np.asarray(gate.to_matrix()), matrix) < _EXACT:
            return gate, places
    return UnitaryGate(step.matrix), order


def _early_ends(fragment: Fragment) -> list[Step]:
    """The steps, with the end of each wire right after the last step that touches it."""
    ends = {
        id(marker)
        for marker, side in zip(fragment.markers, fragment.sides, strict=True)
        if side.basis.shape[1] == 1 and side.basis.shape[2] > 1
    }
    steps: list[Step] = []
    for step in fragment.steps:
        if id(step) not in ends:
            steps.append(step)
            continue
        own = set(_wires(step))
        last = max((place for place, each in enumerate(steps) if own & set(_wires(each))), default=-1)
        steps.insert(last + 1, step)
    return steps


def _places(fragment: Fragment, steps: Sequence[Step], *, reuse: bool) -> tuple[list[int], int]:
    """The qubit of each wire and how many there are; with ``reuse`` the free one of least index is taken."""
    count = len(fragment.wires)
    if not reuse:
        return list(range(count)), count
    first, last = [0] * count, [len(steps)] * count
    touched: set[int] = set()
    for time, step in enumerate(steps):
        for wire in _wires(step):
            if wire not in touched:
                first[wire] = time
                touched.add(wire)
            if wire not in fragment.outputs:
                last[wire] = time
    places = [0] * count
    ends: list[int] = []
    for wire in sorted(range(count), key=first.__getitem__):
        free = next((slot for slot, end in enumerate(ends) if end < first[wire]), len(ends))
        ends[free:] = [last[wire], *ends[free + 1 :]]
        places[wire] = free
    return places, len(ends)


def _wires(step: Step) -> tuple[int, ...]:
    if isinstance(step, Gate | Marker):
        return step.qubits
    if isinstance(step, Condition):
        return tuple(sorted({wire for inner in (*step.then, *step.otherwise) for wire in _wires(inner)}))
    return (step.qubit,)


def _all(steps: Iterable[Step]) -> Iterable[Step]:
    for step in steps:
        yield step
        if isinstance(step, Condition):
            yield from _all((*step.then, *step.otherwise))


def _clbits(steps: Iterable[Step]) -> list[int]:
    found: set[int] = set()
    for step in _all(steps):
        if isinstance(step, Measure):
            found.add(step.clbit)
        elif isinstance(step, Condition):
            found |= set(step.clbits)
    return sorted(found)
