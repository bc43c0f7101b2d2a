"""Cirq circuits to Qiskit circuits and back: operation by operation, exact including the global phase.

Cirq writes the first qubit as the most significant digit, Qiskit as the least; only matrices feel that (``reversed``).
Cirq's OpenQASM importer is never used: it refuses much of what Qiskit writes.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

import cirq
import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from hyperfabric_q.convert.cirq_gates import MATRIX_QUBITS, emit, knows
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

# --------------------------------------------------------------------------------------------------- Cirq to Qiskit


def from_cirq(circuit: cirq.AbstractCircuit, *, qubit_order: Iterable[cirq.Qid] | None = None) -> QuantumCircuit:
    """Return the Qiskit circuit that does what ``circuit`` does, global phase included.

    Each measurement key becomes a classical register of that name; its bit i holds the i-th qubit measured.

    Args:
        circuit: The Cirq circuit. Gates without a counterpart are decomposed by Cirq.
        qubit_order: Which Cirq qubit becomes which wire; None for the order of Cirq. Qubits that the circuit does not
            use become idle wires.

    Raises:
        InvalidValue: ``circuit`` is no Cirq circuit, or ``qubit_order`` misses a qubit.
        UnsupportedOperation: A classically controlled operation, a noise channel, an unresolved parameter, a qudit or
            a measurement key used twice; names the operation and its moment.
    """
    if not isinstance(circuit, cirq.AbstractCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a cirq.Circuit or cirq.FrozenCircuit")
    order = cirq.QubitOrder.DEFAULT if qubit_order is None else cirq.QubitOrder.as_qubit_order(tuple(qubit_order))
    try:
        qubits = order.order_for(circuit.all_qubits())
    except ValueError as fault:
        raise InvalidValue(field="qubit_order", value=qubit_order, rule=f"it must name every qubit ({fault})") from None
    operations = [
        (primitive, number)
        for number, moment in enumerate(circuit)
        for operation in moment.operations
        for primitive in _primitives(operation, number)
    ]
    result = _empty(len(qubits), operations)
    wire_of = {qubit: wire for wire, qubit in enumerate(qubits)}
    for operation, _ in operations:
        wires = [wire_of[qubit] for qubit in operation.qubits]
        gate = operation.gate
        if isinstance(gate, cirq.MeasurementGate):
            _measure(result, gate, wires)
        elif isinstance(gate, cirq.ResetChannel):
            result.reset(wires[0])
        else:
            emit(result, gate, wires)
    return result


def _refuse(operation: cirq.Operation, moment: int, reason: str) -> NoReturn:
    raise UnsupportedOperation(operation=str(operation)[:120], reason=f"{reason} (moment {moment})")


def _primitives(operation: cirq.Operation, moment: int) -> list[cirq.Operation]:
    """Return ``operation`` as operations that ``emit`` knows, in order."""
    if isinstance(operation.untagged, cirq.CircuitOperation) and operation.untagged.repeat_until is not None:
        _refuse(operation, moment, "it is repeated until a classical condition holds")
    if not _plain(operation):
        _refuse(operation, moment, _why_not(operation))
    result: list[cirq.Operation] = []
    for each in _decomposed(operation):
        if getattr(each.gate, "confusion_map", None):
            _refuse(each, moment, "a measurement with a confusion map is a noise channel")
        if _known(each):
            result.append(each.untagged)
        elif _plain(each) and len(each.qubits) <= MATRIX_QUBITS and cirq.has_unitary(each):
            result.append(cirq.MatrixGate(cirq.unitary(each)).on(*each.qubits))
        else:
            _refuse(each, moment, _why_not(each))
    return result


def _decomposed(operation: cirq.Operation) -> list[cirq.Operation]:
    """Return Cirq's decomposition, or the operation's matrix where the two differ.

    They do: Cirq 1.7 decomposes ``ThreeQubitDiagonalGate`` on wires that are not neighbours into another gate.
    """
    if _known(operation):
        return [operation]
    parts: list[cirq.Operation] = cirq.decompose(operation, keep=_known, on_stuck_raise=None)
    if operation.gate is None or len(operation.qubits) > MATRIX_QUBITS or not cirq.has_unitary(operation):
        return parts
    whole = cirq.unitary(operation)
    idle = [cirq.I(qubit) for qubit in operation.qubits]
    built = cirq.Circuit(idle, parts).unitary(qubit_order=operation.qubits)
    if cirq.equal_up_to_global_phase(built, whole, atol=1e-6):
        phase = cmath.phase(np.vdot(built, whole))
        return [*parts, cirq.global_phase_operation(cmath.exp(1j * phase))] if abs(phase) > 1e-9 else parts
    return [cirq.MatrixGate(whole).on(*operation.qubits)]


def _plain(operation: cirq.Operation) -> bool:
    """Return whether ``operation`` is free of classical control, parameters and qudits."""
    return not (
        operation.untagged.classical_controls
        or cirq.is_parameterized(operation)
        or any(each.dimension != 2 for each in operation.qubits)
    )


def _known(operation: cirq.Operation) -> bool:
    gate = operation.untagged.gate if _plain(operation) else None
    if gate is None:
        return False
    return isinstance(gate, cirq.MeasurementGate | cirq.ResetChannel) or knows(gate)


def _why_not(operation: cirq.Operation) -> str:
    if operation.untagged.classical_controls:
        return "it is classically controlled; classical control is not carried over from Cirq"
    if cirq.is_parameterized(operation):
        return "it holds an unresolved parameter; resolve it with cirq.resolve_parameters"
    if any(each.dimension != 2 for each in operation.qubits):
        return "it acts on a qudit"
    if cirq.has_kraus(operation) and not cirq.has_unitary(operation):
        return "it is a noise channel; noise belongs to the fabric's links and nodes"
    return "Cirq gives no decomposition of it into gates that are known here"


def _empty(width: int, operations: Iterable[tuple[cirq.Operation, int]]) -> QuantumCircuit:
    sizes: dict[str, int] = {}
    for operation, moment in operations:
        if isinstance(operation.gate, cirq.MeasurementGate):
            key = cirq.measurement_key_name(operation)
            if key in sizes:
                _refuse(operation, moment, f"the measurement key {key!r} is used twice")
            sizes[key] = len(operation.qubits)
    name = "q"
    while name in sizes:
        name += "_"
    return QuantumCircuit(
        *([QuantumRegister(width, name)] if width else []),
        *(ClassicalRegister(size, key) for key, size in sizes.items()),
    )


def _measure(result: QuantumCircuit, gate: cirq.MeasurementGate, wires: Sequence[int]) -> None:
    key = cirq.measurement_key_name(gate)
    register = next(each for each in result.cregs if each.name == key)
    for bit, (wire, inverted) in enumerate(zip(wires, gate.full_invert_mask(), strict=True)):
        if inverted:
            result.x(wire)
        result.measure(wire, register[bit])
        if inverted:
            result.x(wire)  # only the record is inverted, not the qubit


# --------------------------------------------------------------------------------------------------- Qiskit to Cirq


def to_cirq(circuit: QuantumCircuit) -> cirq.Circuit:
    """Return the Cirq circuit that does what ``circuit`` does, global phase included, on ``cirq.LineQubit`` 0, 1, ...

    Wires without an operation get an identity, so that none is lost. A measurement into bit i of register ``c`` has the
    key ``c[i]`` (``c`` if the register has one bit; ``clbit[i]`` for a bit outside registers). Barriers and delays are
    dropped.

    Raises:
        UnsupportedOperation: A branch or loop, an unbound parameter, a bit measured twice, or an instruction without a
            definition or matrix; carries the index of the instruction.
    """
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a qiskit.QuantumCircuit")
    writer = _Writer(circuit)
    for index, instruction in enumerate(circuit.data):
        writer.index = index
        wires = [circuit.find_bit(bit).index for bit in instruction.qubits]
        if instruction.operation.name == "measure":
            writer.measure(wires[0], instruction.clbits[0])
        elif instruction.clbits or getattr(instruction.operation, "blocks", None):
            writer.refuse(instruction.operation.name, "classical control is not carried over to Cirq")
        else:
            writer.gate(instruction.operation, wires)
    writer.phase(float(circuit.global_phase))
    used = {qubit for operation in writer.operations for qubit in operation.qubits}
    idle = [cirq.I(qubit) for qubit in cirq.LineQubit.range(circuit.num_qubits) if qubit not in used]
    return cirq.Circuit([*idle, *writer.operations])


class _Writer:
    """The Cirq operations of one circuit, in order."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self.circuit = circuit
        self.operations: list[cirq.Operation] = []
        self.keys: set[str] = set()
        self.index = 0

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise UnsupportedOperation(operation=name, reason=reason, index=self.index)

    def phase(self, angle: float) -> None:
        if angle:
            self.operations.append(cirq.global_phase_operation(cmath.exp(1j * angle)))

    def measure(self, wire: int, clbit: Any) -> None:
        place = self.circuit.find_bit(clbit)
        if place.registers:
            register, position = place.registers[0]
            key = register.name if len(register) == 1 else f"{register.name}[{position}]"
        else:
            key = f"clbit[{place.index}]"
        if key in self.keys:
            self.refuse("measure", f"the bit {key} is measured twice")
        self.keys.add(key)
        self.operations.append(cirq.measure(cirq.LineQubit(wire), key=key))

    def gate(self, operation: Any, wires: list[int]) -> None:
        name = operation.name
        if name in ("barrier", "delay"):
            return
        if operation.params and any(getattr(each, "parameters", None) for each in operation.params):
            self.refuse(name, "it holds an unbound parameter; bind it with assign_parameters")
        if name == "reset":
            self.operations.append(cirq.reset(cirq.LineQubit(wires[0])))
            return
        if name in ("u", "u3", "u2"):
            self._u(operation, wires[0])
            return
        make = _GATES.get(name)
        if make is not None:
            gate = make(*(float(each) for each in operation.params))
            self.operations.append(gate.on(*(cirq.LineQubit(wire) for wire in wires)))
            return
        self._composite(operation, wires)

    def _u(self, operation: Any, wire: int) -> None:
        angles = [float(each) for each in operation.params]
        theta, phi, lam = angles if len(angles) == 3 else (math.pi / 2, *angles)
        qubit = cirq.LineQubit(wire)
        self.operations += [
            cirq.ZPowGate(exponent=lam / math.pi)(qubit),
            cirq.ry(theta)(qubit),
            cirq.ZPowGate(exponent=phi / math.pi)(qubit),
        ]

    def _composite(self, operation: Any, wires: list[int]) -> None:
        name = operation.name
        if name == "unitary" and len(wires) <= MATRIX_QUBITS:
            self._as_matrix(np.asarray(operation.to_matrix()), wires)
            return
        definition = getattr(operation, "definition", None)
        if definition is None or definition.num_clbits:
            self.refuse(name, "it has no definition in gates")
        for inner in definition.data:
            self.gate(inner.operation, [wires[definition.find_bit(bit).index] for bit in inner.qubits])
        self.phase(float(definition.global_phase))

    def _as_matrix(self, matrix: Any, wires: list[int]) -> None:
        qubits = [cirq.LineQubit(wire) for wire in reversed(wires)]
        self.operations.append(cirq.MatrixGate(matrix).on(*qubits))


def _half(kind: Any) -> Callable[[float], cirq.Gate]:
    """Return the rotation exp(-i angle/2 P) made of Cirq's power gate of P."""
    return lambda angle: kind(exponent=angle / math.pi, global_shift=-0.5)


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
    "p": lambda angle: cirq.ZPowGate(exponent=angle / math.pi),
    "u1": lambda angle: cirq.ZPowGate(exponent=angle / math.pi),
    "r": lambda theta, phi: cirq.PhasedXPowGate(
        exponent=theta / math.pi, phase_exponent=phi / math.pi, global_shift=-0.5
    ),
    "cx": lambda: cirq.CX,
    "cy": lambda: cirq.ControlledGate(cirq.Y),
    "cz": lambda: cirq.CZ,
    "ch": lambda: cirq.ControlledGate(cirq.H),
    "csx": lambda: cirq.CXPowGate(exponent=0.5),
    "cp": lambda angle: cirq.CZPowGate(exponent=angle / math.pi),
    "cu1": lambda angle: cirq.CZPowGate(exponent=angle / math.pi),
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
