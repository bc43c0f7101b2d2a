"""Cirq circuits to Qiskit circuits: operation by operation, exact including the global phase and classical control.

Cirq writes the first qubit as the most significant digit, Qiskit as the least; only matrices feel that (``reversed``).
Cirq's OpenQASM importer is never used: it refuses much of what Qiskit writes. The way back is ``cirq_writing``.
"""

from __future__ import annotations

import cmath
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

import cirq
import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Gate

from hyperfabric_q.convert.cirq_conditions import Case, all_of, cases_of, tests_of
from hyperfabric_q.convert.cirq_gates import MATRIX_QUBITS, emit, knows
from hyperfabric_q.convert.cirq_writing import OVERWRITES, PAIR, to_cirq
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

__all__ = ["from_cirq", "to_cirq"]

_PLACE: Final = re.compile(r"(.+)\[(0|[1-9][0-9]{0,4})\]", re.DOTALL)
"""A bit of a register, as ``to_cirq`` names it."""


def from_cirq(circuit: cirq.AbstractCircuit, *, qubit_order: Iterable[cirq.Qid] | None = None) -> QuantumCircuit:
    """Return the Qiskit circuit that does what ``circuit`` does, global phase included.

    Each measurement key becomes a classical register of that name; its bit i holds the i-th qubit measured. Keys of one
    qubit called ``c[0]``, ``c[1]``, ... become the bits of one register ``c``. Qubits called ``a[0]``, ``a[1]``, ...,
    which stand in that order, become a register ``a``; otherwise all are one register ``q``. Classically controlled
    operations become if_tests; H and CNOT with the tag "bell_pair" become a ``bell_pair`` gate.

    Args:
        circuit: The Cirq circuit. Gates without a counterpart are decomposed by Cirq.
        qubit_order: Which Cirq qubit becomes which wire; None for the order of Cirq. Qubits that the circuit does not
            use become idle wires.

    Raises:
        InvalidValue: ``circuit`` is no Cirq circuit, or ``qubit_order`` misses a qubit.
        UnsupportedOperation: A noise channel, an unresolved parameter, a qudit, a loop until a condition holds, a
            condition on a key that is not measured before, or a measurement key used twice without the tag
            "overwrites", which says that only its last record is meant; names the operation and its moment.
    """
    if not isinstance(circuit, cirq.AbstractCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a cirq.Circuit or cirq.FrozenCircuit")
    order = cirq.QubitOrder.DEFAULT if qubit_order is None else cirq.QubitOrder.as_qubit_order(tuple(qubit_order))
    try:
        qubits = order.order_for(circuit.all_qubits())
    except ValueError as fault:
        raise InvalidValue(field="qubit_order", value=qubit_order, rule=f"it must name every qubit ({fault})") from None
    steps = [
        step
        for number, moment in enumerate(circuit)
        for operation in moment.operations
        for step in _steps(operation, number)
    ]
    reader = _Reader(qubits, steps)
    for step in steps:
        reader.read(step)
    reader.finish()
    return reader.result


# ------------------------------------------------------------------------------------------------- to known operations


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One operation without tags and conditions, whose gate is a measurement, a reset or known to ``emit``."""

    operation: cirq.Operation
    conditions: tuple[cirq.Condition, ...]
    tags: frozenset[str]
    moment: int

    def refuse(self, reason: str) -> NoReturn:
        _refuse(self.operation, self.moment, reason)


def _refuse(operation: cirq.Operation, moment: int, reason: str) -> NoReturn:
    raise UnsupportedOperation(operation=str(operation)[:120], reason=f"{reason} (moment {moment})")


def _steps(operation: cirq.Operation, moment: int) -> list[_Step]:
    """Return ``operation`` as known operations, in order."""
    conditions = tuple(sorted(operation.classical_controls, key=repr))
    tags = frozenset(tag for tag in operation.tags if isinstance(tag, str))
    bare = operation.without_classical_controls().untagged
    if isinstance(bare, cirq.CircuitOperation) and bare.repeat_until is not None:
        _refuse(operation, moment, "it is repeated until a classical condition holds")
    if not _plain(bare):
        _refuse(operation, moment, _why_not(bare))
    if isinstance(bare, cirq.CircuitOperation):
        inner = [step for each in cirq.decompose_once(bare) for step in _steps(each, moment)]
        return [replace(step, conditions=(*conditions, *step.conditions)) for step in inner]
    result: list[_Step] = []
    for each in _decomposed(bare):
        under = (*conditions, *sorted(each.classical_controls, key=repr))
        known = _carried(each.without_classical_controls().untagged, moment)
        result.append(_Step(operation=known, conditions=under, tags=tags, moment=moment))
    return result


def _carried(operation: cirq.Operation, moment: int) -> cirq.Operation:
    """Return a known operation as it is, and another by its matrix."""
    if getattr(operation.gate, "confusion_map", None):
        _refuse(operation, moment, "a measurement with a confusion map is a noise channel")
    if _known(operation):
        return operation
    if _plain(operation) and len(operation.qubits) <= MATRIX_QUBITS and cirq.has_unitary(operation):
        return cirq.MatrixGate(cirq.unitary(operation)).on(*operation.qubits)
    _refuse(operation, moment, _why_not(operation))


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
    """Return whether ``operation`` is free of parameters and qudits."""
    return not (cirq.is_parameterized(operation) or any(each.dimension != 2 for each in operation.qubits))


def _known(operation: cirq.Operation) -> bool:
    gate = operation.without_classical_controls().untagged.gate if _plain(operation) else None
    if gate is None:
        return False
    return isinstance(gate, cirq.MeasurementGate | cirq.ResetChannel) or knows(gate)


def _why_not(operation: cirq.Operation) -> str:
    if cirq.is_parameterized(operation):
        return "it holds an unresolved parameter; resolve it with cirq.resolve_parameters"
    if any(each.dimension != 2 for each in operation.qubits):
        return "it acts on a qudit"
    if cirq.has_kraus(operation) and not cirq.has_unitary(operation):
        return "it is a noise channel; noise belongs to the fabric's links and nodes"
    return "Cirq gives no decomposition of it into gates that are known here"


# ------------------------------------------------------------------------------------------------------- to registers


def _clbits(steps: Iterable[_Step]) -> tuple[list[ClassicalRegister], dict[str, list[Clbit]]]:
    """Return the classical registers, and the bits of each measurement key in the order measured."""
    sizes = _key_sizes(steps)
    places: dict[str, tuple[str, int]] = {}
    for key, size in sizes.items():
        match = _PLACE.fullmatch(key)
        if match and size == 1:
            places[key] = (match[1], int(match[2]))
    last = {name: max(place for base, place in places.values() if base == name) for name, _ in places.values()}
    registers: dict[str, ClassicalRegister] = {}
    bits_of: dict[str, list[Clbit]] = {}
    for key, size in sizes.items():
        name, place = places.get(key, (key, 0))
        if name not in sizes and last.get(name):
            registers.setdefault(name, ClassicalRegister(last[name] + 1, name))
            bits_of[key] = [registers[name][place]]
        else:
            registers[key] = ClassicalRegister(size, key)
            bits_of[key] = list(registers[key])
    return list(registers.values()), bits_of


def _key_sizes(steps: Iterable[_Step]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for step in steps:
        if isinstance(step.operation.gate, cirq.MeasurementGate):
            key = cirq.measurement_key_name(step.operation)
            if key in sizes and OVERWRITES not in step.tags:
                step.refuse(
                    f"the measurement key {key!r} is used twice: Cirq keeps every record, a classical bit only the "
                    f"last. Give each measurement a key of its own, or the tag {OVERWRITES!r} where only the last "
                    "record counts"
                )
            if sizes.setdefault(key, len(step.operation.qubits)) != len(step.operation.qubits):
                step.refuse(f"the measurement key {key!r} is used for {sizes[key]} qubits before")
    return sizes


def _quantum_registers(qubits: Sequence[cirq.Qid], taken: Iterable[str]) -> list[QuantumRegister]:
    """Return the registers that the names of ``qubits`` tell, or one for all."""
    names = set(taken)
    matches = [_PLACE.fullmatch(each.name) if isinstance(each, cirq.NamedQubit) else None for each in qubits]
    places = [(match[1], int(match[2])) for match in matches if match]
    groups = [(name, [place for _, place in each]) for name, each in itertools.groupby(places, lambda each: each[0])]
    told = len(places) == len(qubits) and all(found == list(range(len(found))) for _, found in groups)
    if told and len({name for name, _ in groups} - names) == len(groups):
        return [QuantumRegister(len(found), name) for name, found in groups]
    name = "q"
    while name in names:
        name += "_"
    return [QuantumRegister(len(qubits), name)] if qubits else []


class _Reader:
    """The Qiskit circuit of known operations, in order."""

    def __init__(self, qubits: Sequence[cirq.Qid], steps: Sequence[_Step]) -> None:
        registers, self.bits_of = _clbits(steps)
        wires = _quantum_registers(qubits, (register.name for register in registers))
        self.result = QuantumCircuit(*wires, *registers)
        self.wire_of = {qubit: wire for wire, qubit in enumerate(qubits)}
        self.records: Counter[str] = Counter()
        self.halves: set[int] = set()
        self.cases: list[Case[Clbit]] = []
        self.body: list[_Step] = []

    def read(self, step: _Step) -> None:
        """Append one operation; those under one condition that follow each other become one if_test."""
        wires = self._wires(step)
        if step.conditions:
            cases = all_of(cases_of(each, self.bits_of, self.records, step.refuse) for each in step.conditions)
            if cases != self.cases:
                self._close()
            self.cases = cases
            self._complete_halves(wires)
            self.body.append(step)
            return
        self._close()
        if not self._pair(step, wires):
            self._complete_halves(wires)
            self._append(step)

    def finish(self) -> None:
        """Append what is held back."""
        self._close()
        self._complete_halves(sorted(self.halves))

    def _wires(self, step: _Step) -> list[int]:
        return [self.wire_of[qubit] for qubit in step.operation.qubits]

    def _append(self, step: _Step) -> None:
        gate, wires = step.operation.gate, self._wires(step)
        if isinstance(gate, cirq.MeasurementGate):
            self._measure(gate, wires)
        elif isinstance(gate, cirq.ResetChannel):
            self.result.reset(wires[0])
        else:
            assert gate is not None  # noqa: S101  # _known() has seen it
            emit(self.result, gate, wires)

    def _measure(self, gate: cirq.MeasurementGate, wires: Sequence[int]) -> None:
        key = cirq.measurement_key_name(gate)
        self.records[key] += 1
        for bit, wire, inverted in zip(self.bits_of[key], wires, gate.full_invert_mask(), strict=True):
            if inverted:
                self.result.x(wire)
            self.result.measure(wire, bit)
            if inverted:
                self.result.x(wire)  # only the record is inverted, not the qubit

    # ------------------------------------------------------------------------------------------- classical control

    def _close(self) -> None:
        """Append the operations held back, once for each case of their condition."""
        for case in self.cases if self.body else ():
            for tests in tests_of(case, self.result.cregs):
                self._nest(tests)
        self.body = []

    def _nest(self, tests: Sequence[tuple[Any, int]]) -> None:
        if tests:
            with self.result.if_test(tests[0]):
                self._nest(tests[1:])
            return
        for step in self.body:
            self._append(step)

    # --------------------------------------------------------------------------------------------------- Bell pairs

    def _pair(self, step: _Step, wires: list[int]) -> bool:
        """Take a half of a Bell pair: its H is held back until its CNOT follows or another operation meets the wire."""
        if PAIR not in step.tags:
            return False
        if step.operation.gate == cirq.H and wires[0] not in self.halves:
            self.halves.add(wires[0])
            return True
        if step.operation.gate == cirq.CNOT and wires[0] in self.halves:
            self.halves.remove(wires[0])
            self._complete_halves(wires[1:])
            self.result.append(_bell_pair(), wires)
            return True
        return False

    def _complete_halves(self, wires: Iterable[int]) -> None:
        for wire in wires:
            if wire in self.halves:
                self.halves.remove(wire)
                self.result.h(wire)


def _bell_pair() -> Gate:
    pair = QuantumCircuit(2, name=PAIR)
    pair.h(0)
    pair.cx(0, 1)
    gate = Gate(PAIR, 2, [])
    gate.definition = pair
    return gate
