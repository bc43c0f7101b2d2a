"""The rebased circuit as flat arrays: what every compile pass reads.

A ``Program`` holds the user's circuit in the basis the distribution model works in:

* ``U``: a one-qubit unitary that is neither diagonal nor antidiagonal, the only unitary that ends a copy (a *break*);
* ``P``: a diagonal one-qubit phase; ``X``: a bit flip; neither breaks a copy;
* ``CP``: a controlled phase (``cz`` when the angle is π), the only two-qubit operation;
* ``MEASURE`` and ``RESET``: the user's own.

Any of the gates may carry a classical condition of the user's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, IfElseOp, QuantumRegister, Qubit

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


_KINDS = tuple(Kind)


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

    def rows(self) -> Iterator[tuple[Kind, int, int, list[float], int]]:
        """Yield (kind, first, second, angles, clbit) of each operation as plain numbers, for loops over them."""
        return zip(
            (_KINDS[kind] for kind in self.kind.tolist()),
            self.first.tolist(),
            self.second.tolist(),
            self.angles.tolist(),
            self.clbit.tolist(),
            strict=True,
        )

    def to_circuit(self) -> QuantumCircuit:
        """Return the program as a Qiskit circuit over one register ``q`` and the user's classical bits; O(m)."""
        circuit = QuantumCircuit(QuantumRegister(self.qubits, "q"))
        carry_classical(circuit, self.classical)
        qubits, clbits = circuit.qubits, circuit.clbits
        for index, (kind, first, second, angles, clbit) in enumerate(self.rows()):
            if kind == Kind.MEASURE:
                circuit.measure(qubits[first], clbits[clbit])
            elif kind == Kind.RESET:
                circuit.reset(qubits[first])
            else:
                wires = [qubits[first]] if second < 0 else [qubits[first], qubits[second]]
                append(circuit, kind, angles, wires, self.condition_of(index))
        return circuit

    def condition_of(self, index: int) -> Condition | None:
        """Return the condition of one operation, None when it has none."""
        row = int(self.condition[index])
        return self.conditions[row] if row >= 0 else None


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


def append(
    circuit: QuantumCircuit, kind: Kind, angles: Sequence[float], wires: Sequence[Qubit], condition: Condition | None
) -> None:
    """Append one unitary operation, as the body of an ``if_else`` when it has a condition."""
    if condition is None:
        _append_gate(circuit, kind, angles, wires)
        return
    target = condition.target(circuit)
    bits = [target] if isinstance(target, Clbit) else list(target)
    body = QuantumCircuit(list(wires), bits)
    if isinstance(target, ClassicalRegister):
        body.add_register(target)
    _append_gate(body, kind, angles, wires)
    circuit.append(IfElseOp((target, condition.value), body), wires, bits, copy=False)


def _append_gate(circuit: QuantumCircuit, kind: Kind, angles: Sequence[float], wires: Sequence[Qubit]) -> None:
    """Append a gate by its method, which is several times quicker than building the gate; CP(π) exactly is ``cz``."""
    if kind == Kind.U:
        circuit.u(angles[0], angles[1], angles[2], wires[0])
    elif kind == Kind.P:
        circuit.p(angles[0], wires[0])
    elif kind == Kind.X:
        circuit.x(wires[0])
    elif angles[0] == math.pi:
        circuit.cz(wires[0], wires[1])
    else:
        circuit.cp(angles[0], wires[0], wires[1])
