"""Any Qiskit circuit as a ``Program``: unroll to {one-qubit unitary, controlled phase}, then merge what merges.

The rewriting is local, gate by gate, so its correctness at any width follows from that of each distinct gate, which is
checked as it is met. Merging never crosses a barrier: in a mirror circuit the middle barrier is what keeps the two
halves from annihilating.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, ControlFlowOp, IfElseOp

from hyperfabric_q.distribution.decompose import (
    TOLERANCE,
    Interaction,
    Local,
    Matrix,
    Step,
    deviation,
    euler,
    product,
    total,
    two_qubit,
    wrap,
)
from hyperfabric_q.distribution.program import Condition, Kind, Program
from hyperfabric_q.errors import InternalError, InvalidValue, UnsupportedOperation

MAX_OPERATIONS = 10_000_000
"""Bound on the unrolled circuit, so that a small file of nested definitions cannot fill the memory."""


_PLAIN = {"barrier": Kind.BARRIER, "measure": Kind.MEASURE, "reset": Kind.RESET}
_REFUSED = {"delay": "timing is the fabric's to decide; remove the delay"}
_CONTROL_FLOW = "of classical control only if_test with unitary bodies is distributed"


@dataclass(slots=True)
class _Row:
    """One operation on its way to the program. ``matrix`` is set for one-qubit unitaries until they are classified."""

    kind: Kind
    qubits: tuple[int, ...]
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    matrix: Matrix | None = None
    clbit: int = -1
    condition: Condition | None = None
    origin: int = -1


def rebase(circuit: QuantumCircuit) -> Program:
    """Return ``circuit`` as a program over {u, p, x, cp}, with mergeable gates merged; O(operations).

    Raises:
        InvalidValue: the circuit has no qubits, or unbound parameters.
        UnsupportedOperation: an instruction cannot be expressed; it is named with its index.
    """
    if circuit.num_qubits == 0:
        raise InvalidValue(field="circuit", value=circuit.name, rule="it has no qubits, so there is nothing to place")
    if circuit.parameters:
        names = ", ".join(sorted(parameter.name for parameter in circuit.parameters)[:8])
        raise InvalidValue(
            field="circuit",
            value=circuit.name,
            rule=f"it has unbound parameters ({names})",
            remedy="Bind them first: circuit.assign_parameters({...}).",
        )
    rows = _Merge(circuit.num_qubits).run(_unroll(circuit))
    while True:
        merged = _Merge(circuit.num_qubits).run(rows)
        if len(merged) == len(rows):
            return _freeze(circuit, merged)
        rows = merged


# ------------------------------------------------------------------------------------------------------------ unroll


def _unroll(circuit: QuantumCircuit) -> list[_Row]:
    decompositions = _Decompositions()
    rows: list[_Row] = []
    qubit_of = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_of = {bit: index for index, bit in enumerate(circuit.clbits)}
    for origin, instruction in enumerate(circuit.data):
        qubits = tuple(qubit_of[bit] for bit in instruction.qubits)
        clbits = tuple(clbit_of[bit] for bit in instruction.clbits)
        if isinstance(instruction.operation, IfElseOp):
            source = _conditional(circuit, instruction.operation, qubits, origin, clbit_of, decompositions)
        else:
            source = _expand(instruction.operation, qubits, clbits, origin, decompositions)
        rows.extend(replace(row, origin=origin) for row in source)
    return rows


def _expand(
    operation: Any, qubits: tuple[int, ...], clbits: tuple[int, ...], origin: int, known: _Decompositions
) -> Iterator[_Row]:
    """Yield the rows of one instruction, following definitions as far as needed."""
    name = operation.name
    known.visit(name, origin)
    if any(isinstance(each, float) and not math.isfinite(each) for each in getattr(operation, "params", ())):
        raise UnsupportedOperation(operation=name, index=origin, reason="its angle is not a finite number")
    if name in _PLAIN:
        yield _Row(_PLAIN[name], qubits, clbit=clbits[0] if clbits else -1)
    elif name == "global_phase":
        return
    elif name in _REFUSED or isinstance(operation, ControlFlowOp):
        raise UnsupportedOperation(operation=name, index=origin, reason=_REFUSED.get(name, _CONTROL_FLOW))
    elif len(qubits) <= 2 and not clbits and (steps := known.steps(operation)) is not None:
        for step in steps:
            if isinstance(step, Interaction):
                yield _Row(Kind.CP, qubits, angles=(step.angle, 0.0, 0.0))
            else:
                yield _Row(Kind.U, (qubits[step.operand],), matrix=step.matrix)
    elif (definition := getattr(operation, "definition", None)) is not None:
        qubit_of = {bit: qubits[index] for index, bit in enumerate(definition.qubits)}
        clbit_of = {bit: clbits[index] for index, bit in enumerate(definition.clbits)}
        for inner in definition.data:
            wires = tuple(qubit_of[bit] for bit in inner.qubits)
            bits = tuple(clbit_of[bit] for bit in inner.clbits)
            yield from _expand(inner.operation, wires, bits, origin, known)
    else:
        raise UnsupportedOperation(
            operation=name, index=origin, reason="it has neither a matrix nor a definition in terms of known gates"
        )


class _Decompositions:
    """Steps of each distinct gate, worked out and checked once."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[Step, ...]] = {}
        self._visited = 0

    def visit(self, name: str, origin: int) -> None:
        """Count an instruction met while unrolling, also one that comes to nothing: empty definitions may nest deeply."""
        self._visited += 1
        if self._visited > MAX_OPERATIONS:
            raise UnsupportedOperation(
                operation=name, index=origin, reason=f"the circuit expands to more than {MAX_OPERATIONS:,} instructions"
            )

    def steps(self, operation: Any) -> tuple[Step, ...] | None:
        """Return the steps of a one- or two-qubit gate, None when it has no matrix of its own."""
        if operation.name in ("cp", "cu1") and _identity(operation) is not None:
            return (Interaction(float(operation.params[0])),)  # as given: no rounding through a matrix
        key = _identity(operation)
        if key is not None and key in self._known:
            return self._known[key]
        try:
            matrix = np.asarray(operation.to_matrix(), dtype=complex)
        except Exception:  # Qiskit raises several types, some private, when a gate has no matrix
            return None
        steps = _local(matrix) if len(matrix) == 2 else _checked(two_qubit(matrix), matrix, operation.name)
        if key is not None:
            self._known[key] = steps
        return steps


def _identity(operation: Any) -> object | None:
    """A key under which equal gates are equal; None for gates whose class does not fix their matrix."""
    home = getattr(operation, "base_class", type(operation)).__module__
    if home is None or not home.startswith("qiskit.circuit.library.standard_gates"):
        return None
    try:
        parameters = tuple(float(each) for each in operation.params)
    except TypeError:
        return None
    return operation.name, parameters, getattr(operation, "ctrl_state", None)


def _local(matrix: Matrix) -> tuple[Step, ...]:
    return (Local(0, matrix),)


def _checked(steps: tuple[Step, ...], matrix: Matrix, name: str) -> tuple[Step, ...]:
    if deviation(product(steps), matrix) > 100 * TOLERANCE:
        raise InternalError(what=f"the decomposition of the gate {name!r} into controlled phases is not that gate")
    return steps


def _conditional(
    circuit: QuantumCircuit,
    operation: IfElseOp,
    qubits: tuple[int, ...],
    origin: int,
    clbit_of: dict[Clbit, int],
    known: _Decompositions,
) -> Iterator[_Row]:
    """Yield the rows of both branches, each row under its own condition."""
    condition = _condition(circuit, operation, origin, clbit_of)
    branches: list[tuple[QuantumCircuit, Condition]] = [(operation.blocks[0], condition)]
    if len(operation.blocks) > 1 and operation.blocks[1].data:
        if condition.bit is None:
            raise UnsupportedOperation(
                operation="if_else", index=origin, reason="an else branch needs a condition on one bit, not a register"
            )
        branches.append((operation.blocks[1], replace(condition, value=1 - condition.value)))
    for body, active in branches:
        qubit_of = {bit: qubits[index] for index, bit in enumerate(body.qubits)}
        for inner in body.data:
            if inner.clbits or isinstance(inner.operation, ControlFlowOp):
                raise UnsupportedOperation(
                    operation=inner.operation.name, index=origin, reason="the body of an if_test must be unitary"
                )
            wires = tuple(qubit_of[bit] for bit in inner.qubits)
            for row in _expand(inner.operation, wires, (), origin, known):
                if row.kind == Kind.RESET:
                    raise UnsupportedOperation(
                        operation="reset", index=origin, reason="the body of an if_test must be unitary"
                    )
                yield row if row.kind == Kind.BARRIER else replace(row, condition=active)


def _condition(circuit: QuantumCircuit, operation: IfElseOp, origin: int, clbit_of: dict[Clbit, int]) -> Condition:
    condition = operation.condition
    if not isinstance(condition, tuple):
        raise UnsupportedOperation(
            operation="if_else",
            index=origin,
            reason="the condition must compare one bit or one register with a number, not be an expression",
        )
    target, value = condition
    if isinstance(target, ClassicalRegister):
        if target.size == 1:
            return Condition(bit=clbit_of[target[0]], value=int(value))
        if not any(register.name == target.name for register in circuit.cregs):
            raise InvalidValue(field="condition", value=target.name, rule="the circuit has no such classical register")
        return Condition(register=target.name, value=int(value))
    return Condition(bit=clbit_of[target], value=int(value))


# ------------------------------------------------------------------------------------------------------------- merge


class _Merge:
    """One pass that merges one-qubit runs, and controlled phases that meet with nothing non-diagonal in between.

    Diagonal phases commute with everything but breaks and flips, so they are carried along and absorbed by the next
    break.
    """

    def __init__(self, qubits: int) -> None:
        self._pending: list[Matrix | None] = [None] * qubits
        self._epoch = [0] * qubits
        self._open: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._rows: list[_Row] = []

    def run(self, rows: Sequence[_Row]) -> list[_Row]:
        for row in rows:
            if row.condition is not None or row.kind in (Kind.MEASURE, Kind.RESET, Kind.BARRIER):
                self._fence(row)
            elif row.kind == Kind.CP:
                self._interact(row)
            else:
                qubit = row.qubits[0]
                before = self._pending[qubit]
                matrix = _matrix(row)
                self._pending[qubit] = matrix if before is None else matrix @ before
        for qubit in range(len(self._pending)):
            self._flush(qubit, origin=-1)
        return [row for row in self._rows if not (row.kind == Kind.CP and row.angles[0] == 0.0)]

    def _fence(self, row: _Row) -> None:
        """Pass on a row that nothing may be merged across."""
        for qubit in row.qubits:
            self._flush(qubit, origin=row.origin)
            self._epoch[qubit] += 1
        if row.kind == Kind.U and row.matrix is not None:
            for each in _classify(row.qubits[0], row.matrix, row.origin):
                self._rows.append(replace(each, condition=row.condition))
        elif row.kind == Kind.CP:
            self._rows.append(replace(row, angles=(wrap(row.angles[0]), 0.0, 0.0)))
        else:
            self._rows.append(row)

    def _interact(self, row: _Row) -> None:
        for qubit in row.qubits:
            self._flush_break(qubit, row.origin)
        a, b = sorted(row.qubits)
        earlier = self._open.get((a, b))
        if earlier is not None and earlier[1:] == (self._epoch[a], self._epoch[b]):
            kept = self._rows[earlier[0]]
            kept.angles = (total(kept.angles[0], row.angles[0]), 0.0, 0.0)
            return
        self._open[a, b] = (len(self._rows), self._epoch[a], self._epoch[b])
        self._rows.append(replace(row, angles=(wrap(row.angles[0]), 0.0, 0.0)))

    def _flush_break(self, qubit: int, origin: int) -> None:
        """Emit what does not commute with a controlled phase; keep the diagonal rest pending."""
        matrix = self._pending[qubit]
        if matrix is None:
            return
        theta, phi, _ = euler(matrix)
        if theta == 0.0:
            return
        self._epoch[qubit] += 1
        if theta == np.pi:
            self._rows.append(_Row(Kind.X, (qubit,), origin=origin))
            self._pending[qubit] = _phase(wrap(phi + np.pi))
        else:
            self._flush(qubit, origin)

    def _flush(self, qubit: int, origin: int) -> None:
        matrix = self._pending[qubit]
        self._pending[qubit] = None
        if matrix is None:
            return
        rows = _classify(qubit, matrix, origin)
        if any(row.kind != Kind.P for row in rows):
            self._epoch[qubit] += 1
        self._rows.extend(rows)


def _phase(angle: float) -> Matrix:
    return np.diag([1, np.exp(1j * angle)])


def _matrix(row: _Row) -> Matrix:
    """The 2x2 unitary of a one-qubit row."""
    if row.matrix is not None:
        return row.matrix
    if row.kind == Kind.P:
        return _phase(row.angles[0])
    if row.kind == Kind.X:
        return np.array([[0, 1], [1, 0]], dtype=complex)
    theta, phi, lam = row.angles
    cosine, sine = np.cos(theta / 2), np.sin(theta / 2)
    return np.array([[cosine, -np.exp(1j * lam) * sine], [np.exp(1j * phi) * sine, np.exp(1j * (phi + lam)) * cosine]])


def _classify(qubit: int, matrix: Matrix, origin: int) -> list[_Row]:
    """Return a one-qubit unitary as a break, or as a flip and a phase, dropping what is the identity."""
    theta, phi, lam = euler(matrix)
    if 0.0 < theta < np.pi:
        return [_Row(Kind.U, (qubit,), angles=(theta, phi, lam), origin=origin)]
    rows = [_Row(Kind.X, (qubit,), origin=origin)] if theta == np.pi else []
    # U(π, φ, 0) = P(φ + π) · X up to global phase
    angle = wrap(phi + np.pi) if theta == np.pi else lam
    if angle != 0.0:
        rows.append(_Row(Kind.P, (qubit,), angles=(angle, 0.0, 0.0), origin=origin))
    return rows


# ------------------------------------------------------------------------------------------------------------ freeze


def _freeze(circuit: QuantumCircuit, rows: list[_Row]) -> Program:
    rows = [row for row in rows if row.kind != Kind.BARRIER]
    classical = QuantumCircuit()
    classical.add_bits(circuit.clbits)
    for register in circuit.cregs:
        classical.add_register(register)
    conditions = tuple(dict.fromkeys(row.condition for row in rows if row.condition is not None))
    row_of = {condition: index for index, condition in enumerate(conditions)}
    return Program(
        qubits=circuit.num_qubits,
        classical=classical,
        kind=np.array([row.kind for row in rows], dtype=np.int8),
        first=np.array([row.qubits[0] for row in rows], dtype=np.int32),
        second=np.array([row.qubits[1] if row.kind == Kind.CP else -1 for row in rows], dtype=np.int32),
        angles=np.array([row.angles for row in rows], dtype=np.float64).reshape(len(rows), 3),
        clbit=np.array([row.clbit for row in rows], dtype=np.int32),
        condition=np.array([-1 if row.condition is None else row_of[row.condition] for row in rows], dtype=np.int32),
        conditions=conditions,
        origin=np.array([row.origin for row in rows], dtype=np.int32),
    )
