"""Any Qiskit circuit as a ``Program``: unroll to {one-qubit unitary, controlled phase}, then merge what merges.

The rewriting is local, gate by gate, so its correctness at any width follows from that of each distinct gate, which is
checked as it is met. Merging never crosses a barrier: in a mirror circuit the middle barrier is what keeps the two
halves from annihilating.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, ControlFlowOp, ControlledGate, IfElseOp
from qiskit.transpiler import PassManager
from qiskit.transpiler.exceptions import TranspilerError
from qiskit.transpiler.passes import HighLevelSynthesis

from hyperfabric_q.distribution.decompose import (
    TOLERANCE,
    Interaction,
    Local,
    Matrix,
    Step,
    deviation,
    product,
    two_qubit,
)
from hyperfabric_q.distribution.merge import Row, merged
from hyperfabric_q.distribution.program import Condition, Kind, Program
from hyperfabric_q.errors import InternalError, InvalidValue, UnsupportedOperation

MAX_OPERATIONS = 2_000_000
"""Bound on the unrolled circuit, so that a small file of nested definitions cannot fill the memory."""


_PLAIN = {"barrier": Kind.BARRIER, "measure": Kind.MEASURE, "reset": Kind.RESET}
_REFUSED = {"delay": "timing is the fabric's to decide; remove the delay"}
_CONTROL_FLOW = "of classical control only if_test with unitary bodies is distributed"


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
    return _freeze(circuit, merged(_unroll(circuit), circuit.num_qubits))


# ------------------------------------------------------------------------------------------------------------ unroll


def _unroll(circuit: QuantumCircuit) -> list[Row]:
    decompositions = _Decompositions()
    rows: list[Row] = []
    qubit_of = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_of = {bit: index for index, bit in enumerate(circuit.clbits)}
    for origin, instruction in enumerate(circuit.data):
        qubits = tuple(qubit_of[bit] for bit in instruction.qubits)
        clbits = tuple(clbit_of[bit] for bit in instruction.clbits)
        if isinstance(instruction.operation, IfElseOp):
            source = _conditional(circuit, instruction.operation, qubits, origin, clbit_of, decompositions)
        else:
            source = _expand(instruction.operation, qubits, clbits, origin, decompositions)
        for row in source:
            row.origin = origin
            rows.append(row)
    return rows


def _expand(
    operation: Any, qubits: tuple[int, ...], clbits: tuple[int, ...], origin: int, known: _Decompositions
) -> Iterator[Row]:
    """Yield the rows of one instruction, following definitions as far as needed."""
    name = operation.name
    known.visit(name, origin)
    if any(isinstance(each, float) and not math.isfinite(each) for each in getattr(operation, "params", ())):
        raise UnsupportedOperation(operation=name, index=origin, reason="its angle is not a finite number")
    if name in _PLAIN:
        yield Row(_PLAIN[name], qubits, clbit=clbits[0] if clbits else -1)
    elif name == "global_phase":
        return
    elif name in _REFUSED or isinstance(operation, ControlFlowOp):
        raise UnsupportedOperation(operation=name, index=origin, reason=_REFUSED.get(name, _CONTROL_FLOW))
    elif len(qubits) <= 2 and not clbits and (steps := known.steps(operation)) is not None:
        for step in steps:
            if isinstance(step, Interaction):
                yield Row(Kind.CP, qubits, angles=(step.angle, 0.0, 0.0))
            else:
                yield Row(Kind.U, (qubits[step.operand],), matrix=step.entries)
    elif (definition := _definition(operation)) is not None:
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


def _definition(operation: Any) -> QuantumCircuit | None:
    """An operation in terms of simpler ones, None when it has no such form.

    What has no definition of its own (annotated operations, permutations, Cliffords) is left to Qiskit's synthesis.
    """
    definition: QuantumCircuit | None = getattr(operation, "definition", None)
    if definition is not None or operation.num_clbits:
        return definition
    alone = QuantumCircuit(operation.num_qubits)
    alone.append(operation, alone.qubits)
    try:
        built: QuantumCircuit = PassManager([HighLevelSynthesis()]).run(alone)
    except TranspilerError:
        return None
    return None if any(each.operation.name == operation.name for each in built.data) else built


class _Decompositions:
    """Steps of each distinct gate, worked out and checked once."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[Step, ...]] = {}
        self._visited = 0

    def visit(self, name: str, origin: int) -> None:
        """Count an instruction met while unrolling, also one that comes to nothing: empty definitions nest too."""
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
        matrix = _matrix_of(operation)
        if matrix is None:
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


def _matrix_of(operation: Any) -> Matrix | None:
    """The matrix of a one- or two-qubit gate, None when Qiskit knows none."""
    try:
        if type(operation) is ControlledGate and operation.num_qubits == 2:
            # Qiskit has a definition for a general controlled gate but no matrix, and the definition has two crossings.
            matrix = np.eye(4, dtype=complex)
            active = np.flatnonzero(np.arange(4) % 2 == operation.ctrl_state)
            matrix[np.ix_(active, active)] = operation.base_gate.to_matrix()
            return matrix
        return np.asarray(operation.to_matrix(), dtype=complex)
    except Exception:  # Qiskit raises several types, some private, when a gate has no matrix
        return None


def _local(matrix: Matrix) -> tuple[Step, ...]:
    return (Local.of(0, matrix),)


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
) -> Iterator[Row]:
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


# ------------------------------------------------------------------------------------------------------------ freeze


def _freeze(circuit: QuantumCircuit, rows: list[Row]) -> Program:
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
