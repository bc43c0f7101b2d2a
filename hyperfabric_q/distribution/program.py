"""The rebased circuit as flat arrays: what every compile pass reads.

A ``Program`` holds the user's circuit in the basis the distribution model works in:

* ``U``: a one-qubit unitary that is neither diagonal nor antidiagonal, the only unitary that ends a copy (a *break*);
* ``P``: a diagonal one-qubit phase; ``X``: a bit flip; neither breaks a copy;
* ``CP``: a controlled phase (``cz`` when the angle is π), the only two-qubit operation;
* ``MEASURE`` and ``RESET``: the user's own.

Any of the gates may carry a classical condition of the user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, IfElseOp, Operation, QuantumRegister, Qubit
from qiskit.circuit.library import CPhaseGate, CZGate, PhaseGate, UGate, XGate

IntArray: TypeAlias = NDArray[np.int32]
FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A classical condition of the user's: one bit, or one whole register, equals ``value``."""

    bit: int | None = None
    register: str | None = None
    value: int

    def target(self, circuit: QuantumCircuit) -> Clbit | ClassicalRegister:
        """Return what is compared, in a circuit that carries the user's classical bits."""
        if self.bit is not None:
            return circuit.clbits[self.bit]
        return next(register for register in circuit.cregs if register.name == self.register)


class Kind(IntEnum):
    """What one operation of a program is."""

    U = 0
    P = 1
    X = 2
    CP = 3
    MEASURE = 4
    RESET = 5
    BARRIER = 6
    """A fence while gates are merged; it does not outlive the rebase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A circuit over {u, p, x, cp} plus measurement, reset and barrier, one row per operation.

    Attributes:
        qubits: how many data qubits there are.
        classical: a gate-free circuit that holds the user's classical bits and registers.
        kind: ``Kind`` of each operation, int8, shape (m,).
        first: its first qubit, int32, shape (m,).
        second: its second qubit, int32, shape (m,); -1 unless ``CP``.
        angles: (θ, φ, λ) of a ``U``; the angle first and zeros after for ``P`` and ``CP``; float64, shape (m, 3).
        clbit: the bit a measurement writes, int32, shape (m,); -1 elsewhere.
        condition: row of ``conditions``, int32, shape (m,); -1 when unconditional.
        conditions: the user's classical conditions.
        origin: index of the user's instruction this came from, int32, shape (m,).
    """

    qubits: int
    classical: QuantumCircuit
    kind: NDArray[np.int8]
    first: IntArray
    second: IntArray
    angles: FloatArray
    clbit: IntArray
    condition: IntArray
    conditions: tuple[Condition, ...]
    origin: IntArray

    def __post_init__(self) -> None:
        for array in (self.kind, self.first, self.second, self.angles, self.clbit, self.condition, self.origin):
            array.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of operations."""
        return len(self.kind)

    def __repr__(self) -> str:
        return f"<Program: {self.qubits} qubits, {len(self)} operations, {self.two_qubit_gates} two-qubit gates>"

    @property
    def two_qubit_gates(self) -> int:
        """How many controlled phases there are."""
        return int(np.count_nonzero(self.kind == Kind.CP))

    def gate(self, index: int) -> Operation:
        """Return the Qiskit instruction of a unitary row, condition aside."""
        return gate(Kind(int(self.kind[index])), self.angles[index])

    def to_circuit(self) -> QuantumCircuit:
        """Return the program as a Qiskit circuit over one register ``q`` and the user's classical bits; O(m)."""
        circuit = QuantumCircuit(QuantumRegister(self.qubits, "q"))
        carry_classical(circuit, self.classical)
        for index in range(len(self)):
            kind = self.kind[index]
            if kind == Kind.MEASURE:
                circuit.measure(int(self.first[index]), int(self.clbit[index]))
            elif kind == Kind.RESET:
                circuit.reset(int(self.first[index]))
            else:
                wires = [circuit.qubits[self.first[index]]]
                if kind == Kind.CP:
                    wires.append(circuit.qubits[self.second[index]])
                append(circuit, self.gate(index), wires, self.condition_of(index))
        return circuit

    def condition_of(self, index: int) -> Condition | None:
        """Return the condition of one operation, None when it has none."""
        row = int(self.condition[index])
        return self.conditions[row] if row >= 0 else None


def gate(kind: Kind, angles: FloatArray) -> Operation:
    """Return the Qiskit gate of a unitary kind; a controlled phase of exactly π is ``cz``."""
    if kind == Kind.U:
        return UGate(float(angles[0]), float(angles[1]), float(angles[2]))
    if kind == Kind.P:
        return PhaseGate(float(angles[0]))
    if kind == Kind.X:
        return XGate()
    return CZGate() if angles[0] == np.pi else CPhaseGate(float(angles[0]))


def carry_classical(circuit: QuantumCircuit, source: QuantumCircuit) -> None:
    """Give ``circuit`` the classical bits of ``source``; bits of no register become the register ``c_loose``."""
    loose = [bit for bit in source.clbits if not source.find_bit(bit).registers]
    circuit.add_bits(source.clbits)
    for register in source.cregs:
        circuit.add_register(register)
    if loose:
        name = "c_loose"
        while any(register.name == name for register in source.cregs):
            name += "_"
        circuit.add_register(ClassicalRegister(name=name, bits=loose))


def append(circuit: QuantumCircuit, operation: Operation, wires: list[Qubit], condition: Condition | None) -> None:
    """Append ``operation``, as the body of an ``if_else`` when it has a condition."""
    if condition is None:
        circuit.append(operation, wires, copy=False)
        return
    target = condition.target(circuit)
    bits = [target] if isinstance(target, Clbit) else list(target)
    body = QuantumCircuit(list(wires), bits)
    if isinstance(target, ClassicalRegister):
        body.add_register(target)
    body.append(operation, wires, copy=False)
    circuit.append(IfElseOp((target, condition.value), body), wires, bits, copy=False)
