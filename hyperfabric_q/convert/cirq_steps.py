"""One Cirq operation as operations that Qiskit has a counterpart for, exact: decomposed, written out, or its matrix."""

from __future__ import annotations

import cmath
from dataclasses import dataclass, replace
from typing import Any, Final

import cirq
import numpy as np

from hyperfabric_q.convert.cirq_gates import MATRIX_QUBITS, knows
from hyperfabric_q.convert.cirq_names import OWN_TAGS, WAIT_DT
from hyperfabric_q.convert.conversion_report import Notes

MOST_OPERATIONS: Final = 1_000_000
"""What a sub-circuit may come to when its repetitions are written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation without tags and conditions, whose gate is a measurement, a reset or known to ``emit``."""

    operation: cirq.Operation
    conditions: tuple[cirq.Condition, ...]
    tags: frozenset[str]
    moment: int


def steps_of(operation: cirq.Operation, notes: Notes) -> list[Step]:
    """Return ``operation`` as known operations, in order.

    Raises:
        Refused: it has no counterpart; the notes say why.
    """
    bare, under, tags = _unwrapped(operation)
    if isinstance(bare, cirq.CircuitOperation):
        _check_loop(bare, notes)
        notes.note("changed", _SUB, "it is written out, repetitions and mapped keys included")
        inner = [step for each in cirq.decompose_once(bare) for step in steps_of(each, notes)]
        return [replace(step, conditions=(*under, *step.conditions)) for step in inner]
    own = frozenset(tag for tag in tags if isinstance(tag, str) and (tag in OWN_TAGS or tag.startswith(WAIT_DT)))
    for tag in tags:
        if not (isinstance(tag, str) and tag in own):
            notes.note("dropped", bare, f"Qiskit has no tags, such as {tag!r}")
    if any(each.dimension != 2 for each in bare.qubits):
        notes.refuse(bare, "it acts on a qudit")
    result: list[Step] = []
    parts = _decomposed(bare)
    if len(parts) != 1 or parts[0] is not bare:
        notes.note("changed", bare, "Cirq's decomposition of it, or its matrix, stands in its place")
    for each in parts:
        part, more, _ = _unwrapped(each)
        known = _carried(part, notes)
        conditions = (*under, *(condition for condition in more if condition not in under))
        result.append(Step(operation=known, conditions=conditions, tags=own, moment=notes.index or 0))
    return result


def _unwrapped(operation: cirq.Operation) -> tuple[cirq.Operation, tuple[cirq.Condition, ...], list[Any]]:
    """Return the operation without tags and conditions, the conditions and the tags."""
    conditions = tuple(sorted(operation.classical_controls, key=repr))
    tags: list[Any] = []
    while True:
        tags += operation.tags
        operation = operation.untagged
        if not isinstance(operation, cirq.ClassicallyControlledOperation):
            return operation, conditions, tags
        # Cirq's own without_classical_controls() forgets the tags inside.
        operation = getattr(operation, "_sub_operation", None) or operation.without_classical_controls()


_SUB: Final = "CircuitOperation"
"""Its diagram, which is its text, would be many lines."""


def _check_loop(operation: cirq.CircuitOperation, notes: Notes) -> None:
    if operation.repeat_until is not None:
        notes.refuse(_SUB, "it is repeated until a classical condition holds")
    if not isinstance(operation.repetitions, int | np.integer):
        notes.refuse(_SUB, "the number of its repetitions is no number", "Resolve it with cirq.resolve_parameters.")
    if _size(operation, {}) > MOST_OPERATIONS:
        notes.refuse(_SUB, f"its repetitions come to more than {MOST_OPERATIONS:,} operations")


def _size(operation: cirq.CircuitOperation, known: dict[int, int]) -> int:
    """Return how many operations a sub-circuit comes to; loops in it that do not end are refused later."""
    inner = known.get(id(operation.circuit))
    if inner is None:
        inner = sum(
            _size(bare, known) if isinstance(bare := _unwrapped(each)[0], cirq.CircuitOperation) else 1
            for each in operation.circuit.all_operations()
        )
        known[id(operation.circuit)] = inner
    count = operation.repetitions
    return inner * abs(int(count)) if isinstance(count, int | np.integer) else inner


def _carried(operation: cirq.Operation, notes: Notes) -> cirq.Operation:
    """Return a known operation as it is, and another by its matrix."""
    if getattr(operation.gate, "confusion_map", None):
        notes.refuse(operation, "a measurement with a confusion map is a noise channel", _NOISE)
    if _known(operation):
        return operation
    plain = not cirq.is_parameterized(operation) and all(each.dimension == 2 for each in operation.qubits)
    if not (plain and len(operation.qubits) <= MATRIX_QUBITS and cirq.has_unitary(operation)):
        notes.refuse(operation, *_why_not(operation))
    return cirq.MatrixGate(cirq.unitary(operation)).on(*operation.qubits)


def _decomposed(operation: cirq.Operation) -> list[cirq.Operation]:
    """Return Cirq's decomposition, or the operation's matrix where the two differ.

    They do: Cirq 1.7 decomposes ``ThreeQubitDiagonalGate`` on wires that are not neighbours into another gate. With
    symbols, they are compared at values like no other.
    """
    if _known(operation):
        return [operation]
    parts: list[cirq.Operation] = cirq.decompose(operation, keep=_known, on_stuck_raise=None)
    names = sorted(cirq.parameter_names(operation))
    values = {name: 0.377 + 0.219 * place for place, name in enumerate(names)}
    try:
        at = cirq.resolve_parameters(operation, values)
    except ValueError:  # a coefficient that is no phase at these values
        return [operation]
    if operation.gate is None or len(operation.qubits) > MATRIX_QUBITS or not cirq.has_unitary(at):
        return parts
    whole = cirq.unitary(at)
    idle = [cirq.I(qubit) for qubit in operation.qubits]
    built = cirq.resolve_parameters(cirq.Circuit(idle, parts), values).unitary(qubit_order=operation.qubits)
    same = cirq.equal_up_to_global_phase(built, whole, atol=1e-6)
    phase = cmath.phase(np.vdot(built, whole)) if same else 0.0
    if same and abs(phase) < 1e-9:
        return parts
    if same and not names:
        return [*parts, cirq.global_phase_operation(cmath.exp(1j * phase))]
    # The phase may depend on symbols in any way: then only numbers can be carried over.
    return [operation] if names else [cirq.MatrixGate(whole).on(*operation.qubits)]


def _known(operation: cirq.Operation) -> bool:
    if isinstance(operation, cirq.ClassicallyControlledOperation) or any(
        each.dimension != 2 for each in operation.qubits
    ):
        operation = _unwrapped(operation)[0]
        if any(each.dimension != 2 for each in operation.qubits):
            return False
    gate = operation.untagged.gate
    if gate is None:
        return False
    return isinstance(gate, cirq.MeasurementGate | cirq.ResetChannel) or knows(gate)


_NOISE: Final = "Leave it out: noise belongs to the fabric's links and nodes."


def _why_not(operation: cirq.Operation) -> tuple[str, str]:
    if any(each.dimension != 2 for each in operation.qubits):
        return "it acts on a qudit", ""
    if cirq.is_parameterized(operation):
        return (
            "it holds an unresolved parameter where Qiskit has none, or in a function that Qiskit does not know",
            "Resolve it with cirq.resolve_parameters.",
        )
    if cirq.has_kraus(operation) and not cirq.has_unitary(operation):
        return "it is a noise channel", _NOISE
    return "Cirq gives no decomposition of it into gates that are known here", ""
