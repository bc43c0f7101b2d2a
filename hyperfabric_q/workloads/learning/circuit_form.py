"""A circuit with parameters as what the gradient sweep runs through: blocks of one qubit, and gates of two.

Between two gates of two qubits, all that happens to one qubit is one 2 x 2 matrix, however many angles are in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Parameter, ParameterExpression
from qiskit.circuit.library import PhaseGate, RYGate

from hyperfabric_q.convert import accept
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.learning import turns
from hyperfabric_q.workloads.learning.angles import Angles
from hyperfabric_q.workloads.learning.turns import Floats, Matrix

WIDEST: Final = 22
"""Qubits up to which state vectors are held: 64 MiB each."""

MOST_DEEP: Final = 40
"""Levels of definitions inside definitions."""


class Kind(IntEnum):
    """What one step of the sweep is."""

    ONE = 0
    """A block of one qubit."""
    CX = 1
    DIAGONAL = 2
    """A diagonal gate of two qubits."""
    TWO = 3
    """Any gate of two qubits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """One gate: a fixed matrix, or the turn of a number."""

    matrix: Matrix | None = None
    turn: int = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """A circuit without its measurements at the end, ready to be evaluated at many angles.

    Attributes:
        qubits: how many.
        angles: of the turns, from the circuit's parameters.
        names: gate of each turn, by Qiskit's name.
        steps: (kind, first qubit, second qubit or -1, number of the block), int64, shape (S, 4).
        ones: the pieces of each block of one qubit, in order.
        twos: the piece of each block of two qubits.
        template: the circuit with a parameter of its own for each turn.
        own: these parameters.
    """

    qubits: int
    angles: Angles
    names: tuple[str, ...]
    steps: NDArray[np.int64]
    ones: tuple[tuple[Piece, ...], ...]
    twos: tuple[Piece, ...]
    template: QuantumCircuit
    own: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"<Form: {self.qubits} qubits, {len(self.angles.parameters)} parameters in {len(self.names)} turns>"

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The circuit's parameters, in its order."""
        return self.angles.parameters

    def bound(self, angles: Floats) -> QuantumCircuit:
        """Return the circuit with these angles of its turns, shape (K,)."""
        return self.template.assign_parameters(dict(zip(self.own, angles.tolist(), strict=True)))


def form_of(circuit: Any) -> Form:
    """Return the form of a circuit; O(gates).

    Args:
        circuit: a Qiskit circuit, a ``Form``, or anything else that ``hyperfabric_q.plan`` takes.

    Raises:
        InvalidValue: it measures or resets before its end, has conditions or loops, or a gate without a definition.
    """
    if isinstance(circuit, Form):
        return circuit
    circuit = accept(circuit)
    reader = _Reader(circuit)
    for instruction in circuit.data:
        reader.read(instruction.operation, [circuit.find_bit(each).index for each in instruction.qubits], depth=0)
    return reader.form()


class _Reader:
    """The walk through one circuit; it lives for one call of ``form_of``."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self.circuit = circuit
        self.template = QuantumCircuit(circuit.num_qubits)
        self.measured: set[int] = set()
        self.expressions: list[Any] = []
        self.names: list[str] = []
        self.own: list[Any] = []
        self.pending: dict[int, list[Piece]] = {}
        self.steps: list[tuple[int, int, int, int]] = []
        self.ones: list[tuple[Piece, ...]] = []
        self.twos: list[Piece] = []

    def read(self, operation: Any, qubits: Sequence[int], *, depth: int) -> None:
        name = operation.name
        if name == "barrier":
            self.template.barrier(list(qubits))
            return
        if name == "measure":
            self.measured.update(qubits)
            return
        if isinstance(operation, ControlFlowOp) or name in {"reset", "delay"} or self.measured.intersection(qubits):
            raise InvalidValue(
                field="circuit",
                value=self.circuit.name,
                rule=f"{name!r} after a measurement, or that is no gate, has no gradient: measurements come last",
                remedy="Leave out resets, delays, conditions and measurements in the middle.",
            )
        varies = any(isinstance(each, ParameterExpression) and each.parameters for each in operation.params)
        if varies and name in turns.GENERATORS:
            self._turn(name, operation.params[0], qubits)
        elif varies and name in {"u", "u3"}:
            theta, phi, lam = operation.params
            for gate in (PhaseGate(lam), RYGate(theta), PhaseGate(phi)):
                self.read(gate, qubits, depth=depth + 1)
        elif not varies and len(qubits) <= 2 and (matrix := _matrix(operation)) is not None:
            self.template.append(operation, list(qubits))
            self._place(name, Piece(matrix=matrix), qubits)
        else:
            for inner, wires in self._inside(operation, depth):
                self.read(inner, [qubits[each] for each in wires], depth=depth + 1)

    def _inside(self, operation: Any, depth: int) -> Iterator[tuple[Any, list[int]]]:
        definition = getattr(operation, "definition", None)
        if definition is None or depth > MOST_DEEP:
            rule = f"the gate {operation.name!r} has neither a matrix nor a definition in terms of known gates"
            raise InvalidValue(field="circuit", value=self.circuit.name, rule=rule)
        for instruction in definition.data:
            yield instruction.operation, [definition.find_bit(each).index for each in instruction.qubits]

    def _turn(self, name: str, expression: Any, qubits: Sequence[int]) -> None:
        own = Parameter(f"turn_{len(self.own)}")
        getattr(self.template, name)(own, *qubits)
        self._place(name, Piece(turn=len(self.own)), qubits)
        self.own.append(own)
        self.names.append(name)
        self.expressions.append(expression)

    def _place(self, name: str, piece: Piece, qubits: Sequence[int]) -> None:
        if not qubits:  # a global phase
            return
        if len(qubits) == 1:
            self.pending.setdefault(qubits[0], []).append(piece)
            return
        for qubit in qubits:
            self._flush(qubit)
        if name == "cx":
            self.steps.append((Kind.CX, qubits[0], qubits[1], -1))
            return
        matrix = turns.GENERATORS[name] if piece.matrix is None else piece.matrix
        diagonal = not (matrix - np.diag(np.diag(matrix))).any()
        self.steps.append((Kind.DIAGONAL if diagonal else Kind.TWO, qubits[0], qubits[1], len(self.twos)))
        self.twos.append(piece)

    def _flush(self, qubit: int) -> None:
        pieces = self.pending.pop(qubit, None)
        if pieces:
            self.steps.append((Kind.ONE, qubit, -1, len(self.ones)))
            self.ones.append(tuple(pieces))

    def form(self) -> Form:
        for qubit in sorted(self.pending):
            self._flush(qubit)
        steps = np.array(self.steps, dtype=np.int64).reshape(-1, 4)
        steps.setflags(write=False)
        return Form(
            qubits=self.circuit.num_qubits,
            angles=Angles.of(self.expressions, tuple(self.circuit.parameters)),
            names=tuple(self.names),
            steps=steps,
            ones=tuple(self.ones),
            twos=tuple(self.twos),
            template=self.template,
            own=tuple(self.own),
        )


def _matrix(operation: Any) -> Matrix | None:
    """The matrix of a fixed gate, None when Qiskit knows none."""
    if any(isinstance(each, float) and not math.isfinite(each) for each in operation.params):
        raise InvalidValue(field=operation.name, value=operation.params, rule="an angle is a finite number")
    try:
        matrix = np.asarray(operation.to_matrix(), dtype=np.complex128)
    except Exception:  # Qiskit raises several types, some private, when a gate has no matrix
        return None
    return matrix
