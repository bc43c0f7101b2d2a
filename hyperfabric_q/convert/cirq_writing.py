"""Qiskit circuits to Cirq circuits: operation by operation, exact including the global phase and classical control.

Cirq writes the first qubit as the most significant digit, Qiskit as the least; only matrices feel that (``reversed``).
A classical bit becomes a measurement key of its own; a bit that is written again keeps its key, and Cirq's conditions
read the last record of a key, as Qiskit's read the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import cirq
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Clbit

from hyperfabric_q.convert.cirq_angles import NoAngle, expression_of, turns, unit_phase
from hyperfabric_q.convert.cirq_conditions import Case, both, different, equal, written
from hyperfabric_q.convert.cirq_gates import MATRIX_QUBITS
from hyperfabric_q.convert.cirq_names import (
    BARRIER,
    METADATA,
    OVERWRITES,
    PAIR,
    WAIT_DT,
    layout_of,
    qubit_names,
    record_name,
    told_bits,
    told_qubits,
    told_wires,
    wire_names,
)
from hyperfabric_q.convert.cirq_records import slots_of
from hyperfabric_q.convert.conversion_report import Notes, Refused
from hyperfabric_q.errors import InvalidValue

Naming = Literal["auto", "line", "named"]

_MAX_DEPTH = 200
_MAX_CASES = 4096
_PICOS: Final[Mapping[str, int]] = {"s": 10**12, "ms": 10**9, "us": 10**6, "ns": 10**3, "ps": 1}
_OWN: Final = ("qiskit.circuit.library.", "qiskit.circuit.measure", "qiskit.circuit.reset", "qiskit.circuit.barrier")
"""Modules of the instructions that mean what their names say; others are read by their definitions."""


_USUAL_LABELS: Final = ("(XX+YY)", "(XX-YY)")
"""Labels that Qiskit itself gives."""


def to_cirq(circuit: QuantumCircuit, *, qubits: Naming = "auto") -> cirq.Circuit:
    """Return the Cirq circuit that does what ``circuit`` does, global phase included.

    Wires without an operation get an identity, so that none is lost. A measurement into bit i of register ``c`` has the
    key ``c[i]`` (``c`` if the register has one bit; ``clbit[i]`` for a bit outside registers); a bit that is measured
    again keeps its key, and the later measurements carry the tag "overwrites". Registers ``k``, ``k@1``, ... are the
    records of a key ``k``. The body of an if_test is controlled classically; a ``bell_pair`` becomes H and CNOT with
    the tag "bell_pair", a barrier an identity with the tag "barrier", a delay a wait, a parameter a symbol of its name.
    Registers that names of qubits and keys do not tell stand in a tag of the circuit. Names of circuits and of
    composite gates are no part of what is carried over.

    Args:
        circuit: The circuit.
        qubits: "line" for ``cirq.LineQubit`` 0, 1, ...; "named" for ``cirq.NamedQubit`` called after register and
            place, as in ``qpu-0_data[2]``, so that in a distributed circuit the name tells the node; "auto" for the
            names that the circuit had in Cirq, where it comes from there, and otherwise line qubits for a single
            register ``q``, named ones else.

    Raises:
        InvalidValue: ``circuit`` is no Qiskit circuit, or ``qubits`` none of the words.
        ConversionRefused: A loop or switch, a measurement inside an if_test, a condition that is an expression, or an
            instruction without a definition or matrix; its ``report`` lists all with their numbers.

    Cost: linear in the instructions, definitions written out.
    """
    notes = Notes("qiskit")
    result = write_cirq(circuit, qubits, notes)
    notes.check()
    return result


def write_cirq(circuit: QuantumCircuit, qubits: Naming, notes: Notes) -> cirq.Circuit:
    """Return what ``to_cirq`` returns, without what is refused; the notes say what that is.

    Raises:
        InvalidValue: see ``to_cirq``.
    """
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a qiskit.QuantumCircuit")
    if qubits not in ("auto", "line", "named"):
        raise InvalidValue(field="qubits", value=qubits, rule='it is "auto", "line" or "named"')
    known = wire_names(circuit) if qubits == "auto" else None
    wires = known if known is not None else _wires(circuit, qubits)
    writer = _Writer(circuit, notes)
    writer.write(circuit, wires)
    used = {qubit for operation in writer.operations for qubit in operation.qubits}
    result = cirq.Circuit([*(cirq.I(qubit) for qubit in wires if qubit not in used), *writer.operations])
    if set(circuit.metadata or {}) - {METADATA}:
        notes.note("dropped", "metadata", "Cirq has no metadata of circuits")
    return _declared(circuit, result, wires, writer.measured, notes, from_there=known is not None)


def _wires(circuit: QuantumCircuit, qubits: Naming) -> list[cirq.Qid]:
    if qubits == "auto":
        return told_wires(circuit)
    if qubits == "line":
        return [*cirq.LineQubit.range(circuit.num_qubits)]
    return [cirq.NamedQubit(name) for name in qubit_names(circuit)]


def _declared(
    circuit: QuantumCircuit,
    result: cirq.Circuit,
    wires: Sequence[cirq.Qid],
    measured: Mapping[str, int],
    notes: Notes,
    *,
    from_there: bool,
) -> cirq.Circuit:
    """Return the circuit with a tag that declares the registers, where names do not tell them."""
    layout, left = layout_of(circuit)
    for name in left:
        notes.note("dropped", f"register {name}", "it shares bits with another register", "Use its bits one by one.")
    bits = dict.fromkeys((owner, size) for owner, _, size in told_bits(measured).values())
    order = sorted(wires)
    told = from_there or (order == list(wires) and told_qubits(order, (name for name, _ in bits)) == layout.qubits)
    if told and tuple(bits) == layout.bits:
        return result
    if not hasattr(result, "with_tags"):
        notes.note("dropped", "registers", "this version of Cirq has no tags of circuits", "Install Cirq 1.6 or later.")
        return result
    return result.with_tags(layout.tag())


class _Writer:
    """The Cirq operations of one circuit, in order."""

    def __init__(self, circuit: QuantumCircuit, notes: Notes) -> None:
        self.operations: list[cirq.Operation] = []
        self.notes = notes
        self.slots, self.begins = slots_of(circuit, notes)
        self.written: set[int] = set()
        self.latest: dict[str, int] = {}
        self.measured: dict[str, int] = {}
        self.case: Case[int] = ()
        self.cases = 0

    def write(self, circuit: QuantumCircuit, wires: Sequence[cirq.Qid]) -> None:
        """Write the whole circuit; what is refused is left out, and its bits count as written."""
        qubit_of = dict(zip(circuit.qubits, wires, strict=True))
        bit_of = {bit: number for number, bit in enumerate(circuit.clbits)}
        index = 0
        while index < len(circuit.data):
            self.notes.index, self.cases, self.case = index, 0, ()
            size = self.begins.get(index, 1)
            part = circuit.data[index : index + size]
            index += size
            try:
                if size > 1:
                    bits = [bit_of[each.clbits[0]] for each in part]
                    self.measure([qubit_of[each.qubits[0]] for each in part], bits)
                else:
                    self.instruction(part[0], qubit_of, bit_of, (), 0)
            except NoAngle as fault:
                self._left_out(part[0], bit_of, str(fault))
            except Refused:
                self._left_out(part[0], bit_of, "")
        self.notes.index, self.case = None, ()
        try:
            self.phase(circuit.global_phase)
        except NoAngle as fault:
            self.notes.note("refused", "global_phase", str(fault), _BIND)

    def _left_out(self, instruction: Any, bit_of: Mapping[Clbit, int], reason: str) -> None:
        if reason:
            self.notes.note("refused", instruction.operation.name, reason, _BIND)
        self.written.update(bit_of[bit] for bit in instruction.clbits)

    def add(self, *operations: cirq.Operation, tag: str = "") -> None:
        """Append operations, under the conditions that hold here; a tag goes outside, where Cirq does not forget it."""
        if self.case:
            conditions = self._conditions()
            operations = tuple(each.with_classical_controls(*conditions) for each in operations)
        self.operations += [each.with_tags(tag) for each in operations] if tag else operations

    def _conditions(self) -> list[cirq.Condition]:
        digits: dict[tuple[str, int, int], dict[int, int]] = {}
        for bit, value in self.case:
            slot = self.slots[bit]
            digits.setdefault((slot.key, slot.size, slot.record), {})[slot.digit] = value
        found: list[cirq.Condition] = []
        for (key, size, record), values in digits.items():
            last = self.latest.get(key, 0) == record
            found += written(key, values, size, -1 if last else record)
        return found

    def walk(self, circuit: Any, wires: Sequence[cirq.Qid], bits: Sequence[int], case: Case[int], depth: int) -> None:
        """Write the definition or body of an instruction on these wires and bits."""
        if depth > _MAX_DEPTH:
            self.notes.refuse(circuit.name, "its definitions or branches nest too deeply")
        qubit_of = dict(zip(circuit.qubits, wires, strict=True))
        bit_of = dict(zip(circuit.clbits, bits, strict=True))
        for instruction in circuit.data:
            self.instruction(instruction, qubit_of, bit_of, case, depth)
        self.case = case
        self.phase(circuit.global_phase)

    def instruction(
        self,
        instruction: Any,
        qubit_of: Mapping[Any, cirq.Qid],
        bit_of: Mapping[Clbit, int],
        case: Case[int],
        depth: int,
    ) -> None:
        """Write one instruction under ``case``."""
        self.case = case
        operation, name = instruction.operation, instruction.operation.name
        qubits = [qubit_of[bit] for bit in instruction.qubits]
        clbits = [bit_of[bit] for bit in instruction.clbits]
        if getattr(operation, "label", None) and depth == 0 and operation.label not in _USUAL_LABELS:
            self.notes.note("dropped", name, f"Cirq has no labels, such as {operation.label!r}")
        if name == "measure" and _means_its_name(operation):
            self.measure(qubits, clbits)
        elif name == "if_else":
            self.branch(operation, qubits, clbits, bit_of, depth)
        elif getattr(operation, "blocks", None):
            self.notes.refuse(name, "of classical control only if_test is carried over to Cirq", "Write its body out.")
        elif not (_means_its_name(operation) and self.gate(operation, qubits)):
            self.composite(operation, qubits, clbits, depth)

    def phase(self, angle: Any) -> None:
        """Write a global phase."""
        found = expression_of(angle)
        if found != 0:
            self.add(cirq.global_phase_operation(unit_phase(found)))

    def measure(self, wires: Sequence[cirq.Qid], bits: Sequence[int]) -> None:
        """Write one measurement, of one bit or of all bits of a key."""
        if self.case:
            self.notes.refuse("measure", "it stands inside an if_test, and Cirq has no conditional measurement")
        slot = self.slots[bits[0]]
        self.add(
            cirq.measure(*wires, key=cirq.MeasurementKey.parse_serialized(slot.key)),
            tag=OVERWRITES if bits[0] in self.written else "",
        )
        self.written.update(bits)
        self.latest[slot.key] = slot.record
        self.measured[record_name(slot.key, slot.record)] = slot.size

    def branch(
        self, operation: Any, wires: Sequence[cirq.Qid], bits: Sequence[int], bit_of: Mapping[Clbit, int], depth: int
    ) -> None:
        """Write the bodies of an if_test, each once for each case in which it is entered."""
        tested, value = self._tested(operation.condition, bit_of)
        outer = self.case
        for block, compare in zip(operation.blocks, (equal, different), strict=False):
            if block is None:
                continue
            cases = [self._possible(outer, inner) for inner in compare(tested, value)]
            possible = [case for case in cases if case is not None]
            if not possible:
                reason = "a branch that is never entered is left out: a bit is 0 until it is measured"
                self.notes.note("changed", "if_else", reason)
            if len(possible) > 1:
                self.notes.note("changed", "if_else", f"one branch is written for each of {len(possible)} cases")
            for case in possible:
                if not (block.data or block.global_phase != 0):
                    continue
                self.cases += 1
                if self.cases > _MAX_CASES:
                    self.notes.refuse("if_else", f"its else branches come to more than {_MAX_CASES:,} cases")
                self.walk(block, wires, bits, case, depth + 1)

    def _tested(self, condition: Any, bit_of: Mapping[Clbit, int]) -> tuple[list[int], int]:
        if not isinstance(condition, tuple):
            self.notes.refuse("if_else", "only a classical bit or register compared with a number can be tested")
        target, value = condition
        return [bit_of[bit] for bit in ([target] if isinstance(target, Clbit) else target)], int(value)

    def _possible(self, outer: Case[int], inner: Case[int]) -> Case[int] | None:
        """Return the case in which both are met: a bit not written yet reads 0, of which Cirq has no record."""
        if any(value for bit, value in inner if bit not in self.written):
            return None
        return both(outer, tuple((bit, value) for bit, value in inner if bit in self.written))

    def gate(self, operation: Any, wires: Sequence[cirq.Qid]) -> bool:
        """Write an instruction that Cirq knows; return False when it does not."""
        name = operation.name
        make = _GATES.get(name)
        if name == "barrier":
            if wires:
                self.add(cirq.IdentityGate(len(wires)).on(*wires), tag=BARRIER)
        elif name == "delay":
            self._delay(operation, wires[0])
        elif name == "reset":
            self.add(cirq.reset(wires[0]))
        elif name == "global_phase":
            self.phase(operation.params[0])
        elif name in ("u", "u3", "u2"):
            self._u(operation, wires[0])
        elif name == "r":
            self._r(operation, wires[0])
        elif make is not None:
            self.add(make(*(expression_of(each) for each in operation.params)).on(*wires))
        elif name == "unitary" and len(wires) <= MATRIX_QUBITS:
            self.add(cirq.MatrixGate(np.asarray(operation.to_matrix())).on(*reversed(wires)))
        else:
            return False
        return True

    def _u(self, operation: Any, wire: cirq.Qid) -> None:
        angles = [expression_of(each) for each in operation.params]
        theta, phi, lam = angles if len(angles) == 3 else (math.pi / 2, *angles)
        self.notes.note("changed", operation.name, "it is written as three rotations")
        for gate in (cirq.ZPowGate(exponent=turns(lam)), cirq.ry(theta), cirq.ZPowGate(exponent=turns(phi))):
            if gate.exponent != 0:
                self.add(gate(wire))

    def _r(self, operation: Any, wire: cirq.Qid) -> None:
        theta, phi = (expression_of(each) for each in operation.params)
        if isinstance(phi, float):
            gate = cirq.PhasedXPowGate(exponent=turns(theta), phase_exponent=turns(phi), global_shift=-0.5)
            self.add(gate.on(wire))
            return
        # Cirq 1.7 takes a tenth of a second and more to see whether a symbolic phase exponent is a constant.
        around = cirq.ZPowGate(exponent=turns(phi))
        self.notes.note("changed", operation.name, "it is written as three rotations")
        self.add((around**-1).on(wire), cirq.rx(theta).on(wire), around.on(wire))

    def _delay(self, operation: Any, wire: cirq.Qid) -> None:
        unit, value = operation.unit, operation.duration
        if unit == "dt" and isinstance(value, int) and value >= 0:
            self.add(cirq.I(wire), tag=f"{WAIT_DT}{value}")
            return
        if unit not in _PICOS:
            self.notes.refuse("delay", f"its duration in {unit} is no time by itself", "Give it in ns.")
        picos = expression_of(value) * _PICOS[unit]
        self.add(cirq.WaitGate(cirq.Duration(picos=picos)).on(wire))

    def composite(self, operation: Any, wires: Sequence[cirq.Qid], bits: Sequence[int], depth: int) -> None:
        """Write an instruction by its definition, or by its matrix where it has no definition."""
        definition = getattr(operation, "definition", None)
        if definition is None:
            matrix = _matrix(operation) if len(wires) <= MATRIX_QUBITS and not bits else None
            if matrix is None:
                self.notes.refuse(operation.name, "it has no definition in gates")
            self.add(cirq.MatrixGate(matrix).on(*reversed(wires)))
            return
        if operation.name != PAIR:
            self.notes.note("changed", operation.name, "its definition in gates stands in its place")
        before = len(self.operations)
        self.walk(definition, wires, bits, self.case, depth + 1)
        if operation.name == PAIR and not self.case:
            self.operations[before:] = [each.with_tags(PAIR) for each in self.operations[before:]]


_BIND: Final = "Bind it with assign_parameters."


def _means_its_name(operation: Any) -> bool:
    home = getattr(operation, "base_class", type(operation)).__module__ or ""
    return home.startswith(_OWN) or home == "qiskit.circuit.delay"


def _matrix(operation: Any) -> Any:
    try:
        return np.asarray(operation.to_matrix(), dtype=np.complex128)
    except Exception:  # whatever a foreign class raises, it has no matrix then
        return None


def _half(kind: Any) -> Callable[[Any], cirq.Gate]:
    """Return the rotation exp(-i angle/2 P) made of Cirq's power gate of P."""
    return lambda angle: kind(exponent=turns(angle), global_shift=-0.5)


_GATES: Final[Mapping[str, Callable[..., cirq.Gate]]] = {
    "id": lambda: cirq.I,
    "x": lambda: cirq.X,
    "y": lambda: cirq.Y,
    "z": lambda: cirq.Z,
    "h": lambda: cirq.H,
    "s": lambda: cirq.S,
    "sdg": lambda: cirq.ZPowGate(exponent=-0.5),
    "t": lambda: cirq.T,
    "tdg": lambda: cirq.ZPowGate(exponent=-0.25),
    "sx": lambda: cirq.XPowGate(exponent=0.5),
    "sxdg": lambda: cirq.XPowGate(exponent=-0.5),
    "rx": cirq.rx,
    "ry": cirq.ry,
    "rz": cirq.rz,
    "p": lambda angle: cirq.ZPowGate(exponent=turns(angle)),
    "u1": lambda angle: cirq.ZPowGate(exponent=turns(angle)),
    "cx": lambda: cirq.CX,
    "cy": lambda: cirq.ControlledGate(cirq.Y),
    "cz": lambda: cirq.CZ,
    "ch": lambda: cirq.ControlledGate(cirq.H),
    "csx": lambda: cirq.CXPowGate(exponent=0.5),
    "cp": lambda angle: cirq.CZPowGate(exponent=turns(angle)),
    "cu1": lambda angle: cirq.CZPowGate(exponent=turns(angle)),
    "crx": lambda angle: cirq.ControlledGate(cirq.rx(angle)),
    "cry": lambda angle: cirq.ControlledGate(cirq.ry(angle)),
    "crz": lambda angle: cirq.ControlledGate(cirq.rz(angle)),
    "swap": lambda: cirq.SWAP,
    "iswap": lambda: cirq.ISWAP,
    "rxx": _half(cirq.XXPowGate),
    "ryy": _half(cirq.YYPowGate),
    "rzz": _half(cirq.ZZPowGate),
    "ccx": lambda: cirq.CCX,
    "ccz": lambda: cirq.CCZ,
    "cswap": lambda: cirq.CSWAP,
}
