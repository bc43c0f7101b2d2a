"""Qiskit circuits to Cirq circuits: operation by operation, exact including the global phase and classical control.

Cirq writes the first qubit as the most significant digit, Qiskit as the least; only matrices feel that (``reversed``).
A classical bit becomes a measurement key of its own; a bit that is written again keeps its key, and Cirq's conditions
read the last record of a key, as Qiskit's read the bit.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NoReturn

import cirq
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Clbit

from hyperfabric_q.convert.cirq_conditions import Case, both, different, equal, written
from hyperfabric_q.convert.cirq_gates import MATRIX_QUBITS
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

PAIR: Final = "bell_pair"
"""Tag of the H and the CNOT that stand for a Bell pair."""

OVERWRITES: Final = "overwrites"
"""Tag of a measurement whose key was measured before: of the records of such a key only the last is meant."""

_MAX_DEPTH = 200
_MAX_CASES = 4096


def to_cirq(circuit: QuantumCircuit, *, qubits: Literal["line", "named"] = "line") -> cirq.Circuit:
    """Return the Cirq circuit that does what ``circuit`` does, global phase included.

    Wires without an operation get an identity, so that none is lost. A measurement into bit i of register ``c`` has the
    key ``c[i]`` (``c`` if the register has one bit; ``clbit[i]`` for a bit outside registers); a bit that is measured
    again keeps its key, and the later measurements carry the tag "overwrites". The body of an if_test is controlled
    classically; a ``bell_pair`` becomes H and CNOT with the tag "bell_pair". Barriers and delays are dropped.

    Args:
        circuit: The circuit.
        qubits: "line" for ``cirq.LineQubit`` 0, 1, ...; "named" for ``cirq.NamedQubit`` called after register and
            place, as in ``qpu-0_data[2]``, so that in a distributed circuit the name tells the node.

    Raises:
        InvalidValue: ``circuit`` is no Qiskit circuit, or ``qubits`` neither word.
        UnsupportedOperation: A loop or switch, a measurement inside an if_test, a condition that is an expression, an
            unbound parameter, or an instruction without a definition or matrix; carries the index of the instruction.
    """
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a qiskit.QuantumCircuit")
    if qubits not in ("line", "named"):
        raise InvalidValue(field="qubits", value=qubits, rule='it is "line" or "named"')
    wires: list[cirq.Qid] = [*cirq.LineQubit.range(circuit.num_qubits)]
    if qubits == "named":
        wires = [cirq.NamedQubit(name) for name in _names(circuit, circuit.qubits, "qubit")]
    writer = _Writer(circuit)
    writer.walk(circuit, wires, list(range(circuit.num_clbits)), (), 0)
    used = {qubit for operation in writer.operations for qubit in operation.qubits}
    return cirq.Circuit([*(cirq.I(qubit) for qubit in wires if qubit not in used), *writer.operations])


def _names(circuit: QuantumCircuit, bits: Iterable[Any], loose: str, *, short: bool = False) -> list[str]:
    """Return a name of its own for each bit, after its first register; ``short``: no place where there is but one."""
    result: dict[str, None] = {}
    for bit in bits:
        place = circuit.find_bit(bit)
        name = f"{loose}[{place.index}]"
        if place.registers:
            register, position = place.registers[0]
            name = register.name if short and len(register) == 1 else f"{register.name}[{position}]"
        while name in result:
            name += "_"
        result[name] = None
    return list(result)


class _Writer:
    """The Cirq operations of one circuit, in order."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self.operations: list[cirq.Operation] = []
        names = _names(circuit, circuit.clbits, "clbit", short=True)
        self.keys = [cirq.MeasurementKey.parse_serialized(name) for name in names]
        self.written: set[int] = set()
        self.index: int | None = None
        self.case: Case[int] = ()
        self.cases = 0

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise UnsupportedOperation(operation=name, reason=reason, index=self.index)

    def add(self, *operations: cirq.Operation) -> None:
        """Append operations, under the conditions that hold here."""
        if self.case:
            conditions = [written(self.keys[bit], value) for bit, value in self.case]
            self.operations += [each.with_classical_controls(*conditions) for each in operations]
        else:
            self.operations += operations

    def walk(self, circuit: Any, wires: list[cirq.Qid], bits: list[int], case: Case[int], depth: int) -> None:
        """Write the circuit, or the definition or body of an instruction, on these wires and bits."""
        if depth > _MAX_DEPTH:
            self.refuse(circuit.name, "its definitions or branches nest too deeply")
        qubit_of = dict(zip(circuit.qubits, wires, strict=True))
        bit_of = dict(zip(circuit.clbits, bits, strict=True))
        for index, instruction in enumerate(circuit.data):
            if depth == 0:
                self.index, self.cases = index, 0
            self.case = case
            operation, name = instruction.operation, instruction.operation.name
            qubits = [qubit_of[bit] for bit in instruction.qubits]
            clbits = [bit_of[bit] for bit in instruction.clbits]
            if name == "measure":
                self.measure(qubits[0], clbits[0])
            elif name == "if_else":
                self.branch(operation, qubits, clbits, bit_of, depth)
            elif getattr(operation, "blocks", None):
                self.refuse(name, "of classical control only if_test is carried over to Cirq")
            elif not self.gate(operation, qubits):
                self.composite(operation, qubits, clbits, depth)
        self.case = case
        self.phase(circuit.global_phase)

    def phase(self, angle: Any) -> None:
        if getattr(angle, "parameters", None):
            self.refuse("global_phase", "it holds an unbound parameter; bind it with assign_parameters")
        if float(angle):
            self.add(cirq.global_phase_operation(cmath.exp(1j * float(angle))))

    def measure(self, wire: cirq.Qid, bit: int) -> None:
        if self.case:
            self.refuse("measure", "it stands inside an if_test, and Cirq has no conditional measurement")
        operation: cirq.Operation = cirq.measure(wire, key=self.keys[bit])
        self.add(operation.with_tags(OVERWRITES) if bit in self.written else operation)
        self.written.add(bit)

    def branch(
        self, operation: Any, wires: list[cirq.Qid], bits: list[int], bit_of: Mapping[Clbit, int], depth: int
    ) -> None:
        tested, value = self._tested(operation.condition, bit_of)
        outer = self.case
        for block, compare in zip(operation.blocks, (equal, different), strict=False):
            for inner in compare(tested, value):
                case = self._possible(outer, inner)
                if case is None or not (block.data or block.global_phase):
                    continue
                self.cases += 1
                if self.cases > _MAX_CASES:
                    self.refuse("if_else", f"its else branches come to more than {_MAX_CASES:,} cases")
                self.walk(block, wires, bits, case, depth + 1)

    def _tested(self, condition: Any, bit_of: Mapping[Clbit, int]) -> tuple[list[int], int]:
        if not isinstance(condition, tuple):
            self.refuse("if_else", "only a classical bit or register compared with a number can be tested")
        target, value = condition
        return [bit_of[bit] for bit in ([target] if isinstance(target, Clbit) else target)], int(value)

    def _possible(self, outer: Case[int], inner: Case[int]) -> Case[int] | None:
        """Return the case in which both are met: a bit not written yet reads 0, of which Cirq has no record."""
        if any(value for bit, value in inner if bit not in self.written):
            return None
        return both(outer, tuple((bit, value) for bit, value in inner if bit in self.written))

    def gate(self, operation: Any, wires: list[cirq.Qid]) -> bool:
        """Write an instruction that Cirq knows; return False when it does not."""
        name = operation.name
        if name in ("barrier", "delay"):
            return True
        if operation.params and any(getattr(each, "parameters", None) for each in operation.params):
            self.refuse(name, "it holds an unbound parameter; bind it with assign_parameters")
        make = _GATES.get(name)
        if name == "reset":
            self.add(cirq.reset(wires[0]))
        elif name in ("u", "u3", "u2"):
            self._u(operation, wires[0])
        elif make is not None:
            self.add(make(*(float(each) for each in operation.params)).on(*wires))
        elif name == "unitary" and len(wires) <= MATRIX_QUBITS:
            self.add(cirq.MatrixGate(np.asarray(operation.to_matrix())).on(*reversed(wires)))
        else:
            return False
        return True

    def _u(self, operation: Any, wire: cirq.Qid) -> None:
        angles = [float(each) for each in operation.params]
        theta, phi, lam = angles if len(angles) == 3 else (math.pi / 2, *angles)
        for gate in (cirq.ZPowGate(exponent=lam / math.pi), cirq.ry(theta), cirq.ZPowGate(exponent=phi / math.pi)):
            if gate.exponent:
                self.add(gate(wire))

    def composite(self, operation: Any, wires: list[cirq.Qid], bits: list[int], depth: int) -> None:
        definition = getattr(operation, "definition", None)
        if definition is None:
            self.refuse(operation.name, "it has no definition in gates")
        before = len(self.operations)
        self.walk(definition, wires, bits, self.case, depth + 1)
        if operation.name == PAIR and not self.case:
            self.operations[before:] = [each.with_tags(PAIR) for each in self.operations[before:]]


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
