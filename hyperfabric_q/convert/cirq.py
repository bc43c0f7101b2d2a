"""Cirq circuits to Qiskit circuits: operation by operation, exact including the global phase and classical control.

Cirq writes the first qubit as the most significant digit, Qiskit as the least; only matrices feel that (``reversed``).
Cirq's OpenQASM importer is never used: it refuses much of what Qiskit writes. The way back is ``cirq_writing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cirq
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Gate

from hyperfabric_q.convert.cirq_angles import NoAngle, vectors_of
from hyperfabric_q.convert.cirq_conditions import Case, all_of, cases_of, tests_of
from hyperfabric_q.convert.cirq_gates import emit
from hyperfabric_q.convert.cirq_names import (
    BARRIER,
    OVERWRITES,
    PAIR,
    WAIT_DT,
    Layout,
    declare,
    declared_layout,
    is_layout,
    key_names,
    qubit_names,
    record_name,
    record_of,
    told_bits,
    told_qubits,
)
from hyperfabric_q.convert.cirq_steps import Step, steps_of
from hyperfabric_q.convert.cirq_writing import to_cirq, write_cirq
from hyperfabric_q.convert.conversion_report import ConversionReport, Notes, Refused
from hyperfabric_q.errors import InvalidValue

__all__ = ["CirqReading", "cirq_report", "from_cirq", "read_cirq", "to_cirq"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CirqReading:
    """A Cirq circuit as a Qiskit circuit.

    Attributes:
        circuit: The Qiskit circuit.
        report: What changed and what was dropped.
        records: Of each measurement key the bits of each of its records, by number in ``circuit.clbits``.
    """

    circuit: QuantumCircuit
    report: ConversionReport
    records: Mapping[str, tuple[tuple[int, ...], ...]]


def from_cirq(circuit: cirq.AbstractCircuit, *, qubit_order: Iterable[cirq.Qid] | None = None) -> QuantumCircuit:
    """Return the Qiskit circuit that does what ``circuit`` does, global phase included.

    Each measurement key becomes a classical register of that name; its bit i holds the i-th qubit measured. Keys of one
    qubit called ``c[0]``, ``c[1]``, ... become the bits of one register ``c``. The second record of a key ``k`` goes to
    a register ``k@1``, the third to ``k@2``. Qubits called ``a[0]``, ``a[1]``, ..., which stand in that order, become a
    register ``a``; otherwise all are one register ``q``, and the metadata hold their names for the way back. Symbols
    become parameters of the same name. Classically controlled operations become if_tests, H and CNOT with the tag
    "bell_pair" a ``bell_pair`` gate, an identity with the tag "barrier" a barrier, a wait a delay.

    Args:
        circuit: The Cirq circuit. Gates without a counterpart are decomposed by Cirq.
        qubit_order: Which Cirq qubit becomes which wire; None for the order that ``to_cirq`` has declared, or else that
            of Cirq. Qubits that the circuit does not use become idle wires.

    Raises:
        InvalidValue: ``circuit`` is no Cirq circuit, or ``qubit_order`` misses a qubit.
        ConversionRefused: A noise channel, a qudit, a symbol where Qiskit has no parameter, a loop until a condition
            holds, a condition on a key that is not measured before; its ``report`` lists all with their moments.

    Cost: linear in the operations, sub-circuits repeated.
    """
    return read_cirq(circuit, qubit_order=qubit_order).circuit


def read_cirq(circuit: cirq.AbstractCircuit, *, qubit_order: Iterable[cirq.Qid] | None = None) -> CirqReading:
    """Return what ``from_cirq`` returns, with the report and the place of each record.

    Raises:
        InvalidValue: see ``from_cirq``.
        ConversionRefused: see ``from_cirq``.
    """
    notes = Notes("cirq")
    result, records = _read(circuit, qubit_order, notes)
    notes.check()
    return CirqReading(circuit=result, report=notes.report, records=records)


def cirq_report(circuit: QuantumCircuit | cirq.AbstractCircuit) -> ConversionReport:
    """Return what converting ``circuit`` changes, drops and refuses, to Cirq from Qiskit and to Qiskit from Cirq.

    Unlike the conversion it raises nothing for what has no counterpart: all of that stands in ``report.refused``.

    Raises:
        InvalidValue: it is no circuit of either.

    Cost: that of the conversion.
    """
    if isinstance(circuit, QuantumCircuit):
        notes = Notes("qiskit")
        write_cirq(circuit, "auto", notes)
        return notes.report
    notes = Notes("cirq")
    _read(circuit, None, notes)
    return notes.report


def _read(
    circuit: cirq.AbstractCircuit, qubit_order: Iterable[cirq.Qid] | None, notes: Notes
) -> tuple[QuantumCircuit, dict[str, tuple[tuple[int, ...], ...]]]:
    if not isinstance(circuit, cirq.AbstractCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a cirq.Circuit or cirq.FrozenCircuit")
    tags = getattr(circuit, "tags", ())  # Cirq 1.5 has none
    for tag in tags:
        if not is_layout(tag):
            notes.note("dropped", repr(tag), "Qiskit has no tags of circuits", "Keep it in circuit.metadata.")
    layout = declared_layout(tags)
    qubits, told = _ordered(circuit, qubit_order, layout)
    steps: list[Step] = []
    for number, moment in enumerate(circuit):
        notes.index = number
        for operation in moment.operations:
            try:
                steps += steps_of(operation, notes)
            except Refused:
                continue
    reader = _Reader(qubits, steps, layout, notes, told=told)
    for step in steps:
        notes.index = step.moment
        try:
            reader.read(step)
        except Refused:
            continue
    notes.index = None
    return reader.finish(qubits), reader.records_by_number()


def _ordered(
    circuit: cirq.AbstractCircuit, qubit_order: Iterable[cirq.Qid] | None, layout: Layout | None
) -> tuple[list[cirq.Qid], bool]:
    """Return the qubits in order, and whether a declaration gave it."""
    if qubit_order is None and layout is not None:
        shell = layout.empty()
        used = circuit.all_qubits()
        for wires in (cirq.LineQubit.range(shell.num_qubits), [cirq.NamedQubit(each) for each in qubit_names(shell)]):
            if used <= set(wires):
                return list(wires), True
    order = cirq.QubitOrder.DEFAULT if qubit_order is None else cirq.QubitOrder.as_qubit_order(tuple(qubit_order))
    try:
        return list(order.order_for(circuit.all_qubits())), False
    except ValueError as fault:
        raise InvalidValue(field="qubit_order", value=qubit_order, rule=f"it must name every qubit ({fault})") from None


# ------------------------------------------------------------------------------------------------------- to registers


def _record_sizes(steps: Iterable[Step], notes: Notes) -> tuple[dict[str, int], dict[str, int]]:
    """Return the qubits of each record by its name, and of each key how many records have a register of their own."""
    width: dict[str, int] = {}
    count: dict[str, int] = {}
    found: dict[str, tuple[int, Step]] = {}
    for step in steps:
        gate = step.operation.gate
        if not isinstance(gate, cirq.MeasurementGate):
            continue
        notes.index = step.moment
        key, size = cirq.measurement_key_name(gate), cirq.num_qubits(gate)
        if width.setdefault(key, size) != size:
            notes.note("refused", step.operation, f"the measurement key {key!r} is used for {width[key]} qubits before")
            continue
        number = count.get(key, 0)
        if number and OVERWRITES in step.tags:
            continue
        name = record_name(key, number)
        if number:
            notes.note(
                "changed", step.operation, f"Qiskit's bits hold one record: record {number} goes to register {name!r}"
            )
        count[key] = number + 1
        found.setdefault(name, (size, step))
    for key in count:
        base, number = record_of(key)
        if number and base in count:
            notes.index = found[key][1].moment
            notes.note(
                "refused",
                found[key][1].operation,
                f"the key {key!r} is the name of a register for a later record of {base!r}",
                "Rename one of the two keys.",
            )
    return {name: size for name, (size, _) in found.items()}, count


class _Reader:
    """The Qiskit circuit of known operations, in order."""

    def __init__(
        self, qubits: Sequence[cirq.Qid], steps: Sequence[Step], layout: Layout | None, notes: Notes, *, told: bool
    ) -> None:
        self.notes = notes
        sizes, self.count = _record_sizes(steps, notes)
        shell = layout.empty() if layout is not None else None
        declared = _declared_bits(shell, sizes) if shell is not None else None
        if shell is not None and declared is not None:
            creg, bits = [*shell.cregs], declared
            loose = [bit for bit in shell.clbits if not shell.find_bit(bit).registers]
        else:
            creg, bits = _told_registers(sizes)
            loose = []
        if shell is not None and told:
            self.result = QuantumCircuit(shell.qubits, *shell.qregs)
        else:
            names = (register.name for register in creg)
            self.result = QuantumCircuit(*(QuantumRegister(size, name) for name, size in told_qubits(qubits, names)))
        if loose and shell is not None:
            self.result.add_bits(shell.clbits)
        self.result.add_register(*creg) if creg else None
        self.bits_of = {
            key: [bits[record_name(key, number)] for number in range(count)] for key, count in self.count.items()
        }
        self.wire_of = {qubit: wire for wire, qubit in enumerate(qubits)}
        self.records: dict[str, list[int]] = {}
        self.halves: set[int] = set()
        self.cases: list[Case[Clbit]] = []
        self.body: list[Step] = []

    def read(self, step: Step) -> None:
        """Append one operation; those under one condition that follow each other become one if_test."""
        wires = self._wires(step)
        if step.conditions:
            cases = all_of(
                cases_of(each, self._record, lambda reason: self.notes.refuse(step.operation, reason))
                for each in step.conditions
            )
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

    def finish(self, qubits: Sequence[cirq.Qid]) -> QuantumCircuit:
        """Return the circuit, after appending what is held back."""
        self._close()
        self._complete_halves(sorted(self.halves))
        vectors = vectors_of(each.name for each in self.result.parameters)
        result = self.result.assign_parameters(vectors) if vectors else self.result
        registers = {register.name: list(register) for register in result.cregs}
        whole = [
            name
            for key, records in self.bits_of.items()
            for number, bits in enumerate(records)
            if len(bits) > 1 and registers.get(name := record_name(key, number)) == bits
        ]
        if not declare(result, qubits, whole):
            self.notes.note(
                "dropped",
                "names of qubits",
                "Cirq cannot write them as text",
                "Use GridQubit, LineQubit or NamedQubit.",
            )
        return result

    def records_by_number(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return the bits of each record of each key, by number."""
        index = {bit: number for number, bit in enumerate(self.result.clbits)}
        return {key: tuple(tuple(index[bit] for bit in bits) for bits in each) for key, each in self.bits_of.items()}

    def _wires(self, step: Step) -> list[int]:
        return [self.wire_of[qubit] for qubit in step.operation.qubits]

    def _append(self, step: Step) -> None:
        gate, wires = step.operation.gate, self._wires(step)
        if isinstance(gate, cirq.MeasurementGate):
            self._measure(step, gate, wires)
        elif isinstance(gate, cirq.ResetChannel):
            self.result.reset(wires[0])
        elif isinstance(gate, cirq.IdentityGate) and (mark := _mark(step)):
            if mark == BARRIER:
                self.result.barrier(wires)
            else:
                self.result.delay(int(mark[len(WAIT_DT) :]), wires, "dt")
        else:
            assert gate is not None  # noqa: S101  # steps_of() has seen it
            try:
                emit(self.result, gate, wires)
            except NoAngle as fault:
                self.notes.refuse(step.operation, str(fault))

    def _measure(self, step: Step, gate: cirq.MeasurementGate, wires: Sequence[int]) -> None:
        key = cirq.measurement_key_name(gate)
        done = self.records.setdefault(key, [])
        number = done[-1] if done and OVERWRITES in step.tags else len(set(done))
        bits = self.bits_of[key][number] if number < len(self.bits_of[key]) else []
        if len(bits) != len(wires):  # of another width than before: that was refused
            raise Refused
        done.append(number)
        inverted = [wire for wire, invert in zip(wires, gate.full_invert_mask(), strict=True) if invert]
        if inverted:
            self.notes.note("changed", step.operation, "a record that is inverted is measured between two X")
        for wire in inverted:
            self.result.x(wire)
        for bit, wire in zip(bits, wires, strict=True):
            self.result.measure(wire, bit)
        for wire in inverted:
            self.result.x(wire)  # only the record is inverted, not the qubit

    # ------------------------------------------------------------------------------------------- classical control

    def _record(self, key: str, index: int) -> Sequence[Clbit] | str:
        """Return the bits of a record so far, or why it cannot be read."""
        done = self.records.get(key)
        if not done:
            return f"it is controlled by the key {key!r}, which is not measured before it"
        if not -len(done) <= index < len(done):
            return f"it is controlled by record {index} of the key {key!r}, which has {len(done)} before it"
        place = index % len(done)
        if done[place] in done[place + 1 :]:
            return f"it is controlled by an earlier record of the key {key!r}, which was overwritten since"
        return self.bits_of[key][done[place]]

    def _close(self) -> None:
        """Append the operations held back, once for each case of their condition."""
        body, self.body = self.body, []
        for case in self.cases if body else ():
            for tests in tests_of(case, self.result.cregs):
                self._nest(tests, body)

    def _nest(self, tests: Sequence[tuple[Any, int]], body: Sequence[Step]) -> None:
        if tests:
            with self.result.if_test(tests[0]):
                self._nest(tests[1:], body)
            return
        for step in body:
            self._append(step)

    # --------------------------------------------------------------------------------------------------- Bell pairs

    def _pair(self, step: Step, wires: list[int]) -> bool:
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


def _mark(step: Step) -> str:
    """Return the tag by which an identity is a barrier or a delay, "" when it is neither."""
    for tag in step.tags:
        if tag == BARRIER or (tag.startswith(WAIT_DT) and tag[len(WAIT_DT) :].isdecimal()):
            return tag
    return ""


def _told_registers(sizes: Mapping[str, int]) -> tuple[list[ClassicalRegister], dict[str, list[Clbit]]]:
    """Return the registers that names of records tell, and the bits of each record in the order measured."""
    registers: dict[str, ClassicalRegister] = {}
    bits: dict[str, list[Clbit]] = {}
    for name, (owner, place, size) in told_bits(sizes).items():
        register = registers.setdefault(owner, ClassicalRegister(size, owner))
        bits[name] = list(register)[place : place + sizes[name]]
    return list(registers.values()), bits


def _declared_bits(shell: QuantumCircuit, sizes: Mapping[str, int]) -> dict[str, list[Clbit]] | None:
    """Return the bits of each record in declared registers, None when the declaration lacks one."""
    single = dict(zip(key_names(shell), shell.clbits, strict=True))
    whole = {register.name: list(register) for register in shell.cregs}
    found: dict[str, list[Clbit]] = {}
    for name, size in sizes.items():
        bits = [single[name]] if size == 1 and name in single else whole.get(name, [])
        if len(bits) != size:
            return None
        found[name] = bits
    taken = [bit for bits in found.values() for bit in bits]
    return found if len(set(taken)) == len(taken) else None


def _bell_pair() -> Gate:
    pair = QuantumCircuit(2, name=PAIR)
    pair.h(0)
    pair.cx(0, 1)
    gate = Gate(PAIR, 2, [])
    gate.definition = pair
    return gate
