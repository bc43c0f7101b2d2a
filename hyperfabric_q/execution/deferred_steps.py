"""An emitted circuit as gates alone, its measurements deferred to the end and its errors a list of chances.

A measurement that something reads becomes the control of what reads it (deferred measurement), and a wire that is reset
goes on as a fresh one. What is left is a unitary on more wires, of which few are entangled with anything at a time: in
a packet that goes right, the measured wires end in |+>. So a matrix-product state holds it, and one state serves every
shot with the same errors.

Wires stand in the order of the logical qubits, both halves of a pair beside the qubit that it copies: the protocol then
entangles neighbours only, and gates between nodes are as long as the user's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.convert.operations import Kind, Operation, read
from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.pauli_errors import (
    check_pairs,
    decays,
    gate_error,
    named,
    pair_error,
    tests_of,
    twirled,
)
from hyperfabric_q.execution.run_noise import RunNoise

REMEDY: Final = "Let method='auto' choose, or take 'dynamic' or 'channel'."

_CONTROLLED: Final = {"x": "cx", "y": "cy", "z": "cz"}


class Step(NamedTuple):
    """A unitary gate on wires; ``matrix`` where the name does not say it."""

    name: str
    wires: tuple[int, ...]
    params: tuple[float, ...] = ()
    matrix: Any = None


class Slot(NamedTuple):
    """A place where a Pauli error may happen.

    Attributes:
        at: before this step.
        wires: one or two.
        chances: of each Pauli: x of each wire are the low bits of its number, z the high ones.
        control: the wire of the bit under which it happens, and the value the bit must have; None = always.
    """

    at: int
    wires: tuple[int, ...]
    chances: tuple[float, ...]
    control: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """What a circuit is without measurements, resets and conditions.

    Attributes:
        steps: the gates.
        slots: where errors may happen, by step.
        order: the wires from left to right.
        outcome: the wire that each classical bit is read from at the end; bits never written are missing.
        misread: the chance to read the other value at the end, where that is not in ``slots``.
        decays: waits whose energy relaxation is not a Pauli channel, and stands here as its twirl.
    """

    steps: tuple[Step, ...]
    slots: tuple[Slot, ...]
    order: tuple[int, ...]
    outcome: dict[int, int]
    misread: dict[int, float]
    decays: int


def deferred_steps(circuit: QuantumCircuit, noise: RunNoise, figures: LocalFigures, entry: Sequence[int]) -> Deferred:
    """Return an emitted circuit with its errors as gates and slots; O(instructions).

    Args:
        circuit: what runs.
        noise: its errors.
        figures: the nodes' errors, used when ``noise.local``.
        entry: the wire of each logical qubit at the start.

    Raises:
        InvalidValue: a condition reads several bits, or a gate on several qubits other than cz, cp and cx stands under
            one; it is named.
    """
    operations = read(circuit)
    reader = _Reader(
        circuit=circuit,
        noise=noise,
        figures=figures,
        again=_used_on(operations),
        decides=frozenset(bit for operation in operations for bit in operation.reads),
        piece=list(range(circuit.num_qubits)),
        pieces=circuit.num_qubits,
    )
    for number, operation in enumerate(operations):
        reader.read(number, operation)
    return reader.finished(len(circuit.data), entry)


def _used_on(operations: Sequence[Operation]) -> frozenset[int]:
    """The measurements after which their wire is used again before a reset, by their number."""
    measured: dict[int, int] = {}
    found: set[int] = set()
    for number, operation in enumerate(operations):
        for wire in operation.wires:
            before = measured.pop(wire, None)
            if before is not None and operation.kind is not Kind.RESET:
                found.add(before)
        if operation.kind is Kind.MEASURE:
            measured[operation.wires[0]] = number
    return frozenset(found)


@dataclass(slots=True, kw_only=True)
class _Reader:
    circuit: QuantumCircuit
    noise: RunNoise
    figures: LocalFigures
    again: frozenset[int]
    decides: frozenset[int]
    piece: list[int]
    pieces: int
    touched: set[int] = field(default_factory=set)
    halves: list[tuple[int, int]] = field(default_factory=list)
    meetings: list[tuple[int, int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)
    misread: dict[int, float] = field(default_factory=dict)
    pairs: int = 0
    waits: int = 0
    decays: int = 0

    def read(self, number: int, operation: Operation) -> None:
        self._wait(operation.index)
        wires = tuple(self.piece[wire] for wire in operation.wires)
        if operation.kind is Kind.RESET:
            if wires[0] in self.touched:
                self.piece[operation.wires[0]] = self._fresh()
        elif operation.kind is Kind.MEASURE and operation.bit is not None:
            self._measure(operation.wires[0], operation.bit, goes_on=number in self.again)
        elif operation.kind is Kind.PAIR:
            self._add("h", wires[:1])
            self._add("cx", wires)
            self.halves.append((wires[0], wires[1]))
            self._error(wires[1:], pair_error(self.noise, self.pairs))
            self.pairs += 1
        elif operation.name == "swap" and not operation.condition:
            a, b = operation.wires
            self.piece[a], self.piece[b] = self.piece[b], self.piece[a]
            self._gate_error(operation, wires, None)
        elif not operation.condition:
            matrix = None if operation.gate is None else operation.matrix()
            self._add(operation.name, wires, operation.params, matrix)
            self.meetings += itertools.pairwise(wires)
            self._gate_error(operation, wires, None)
        else:
            self._conditional(operation, wires)

    def finished(self, instructions: int, entry: Sequence[int]) -> Deferred:
        self._wait(instructions)
        check_pairs(self.noise, self.pairs)
        return Deferred(
            steps=tuple(self.steps),
            slots=tuple(self.slots),
            order=_order(entry, self.touched, self.halves, self.meetings),
            outcome={bit: self.records[record] for bit, record in self.place.items()},
            misread=self.misread,
            decays=self.decays,
        )

    def _fresh(self) -> int:
        self.pieces += 1
        return self.pieces - 1

    def _add(self, name: str, wires: Sequence[int], params: tuple[float, ...] = (), matrix: Any = None) -> None:
        self.touched.update(wires)
        self.steps.append(Step(name, tuple(wires), params, matrix))

    def _error(self, wires: tuple[int, ...], chances: Sequence[float], control: tuple[int, int] | None = None) -> None:
        if any(chances[1:]):
            if len(wires) == 1:
                i, x, y, z = chances
                chances = (i, x, z, y)
            self.touched.update(wires)
            self.slots.append(Slot(len(self.steps), wires, tuple(chances), control))

    def _gate_error(self, operation: Operation, wires: tuple[int, ...], control: tuple[int, int] | None) -> None:
        error = gate_error(operation, self.figures) if self.noise.local else 0.0
        others = 4 ** len(wires) - 1
        self._error(wires, (1 - error, *(error / others,) * others), control)

    def _wait(self, instruction: int) -> None:
        while self.waits < len(self.noise.idles) and self.noise.idles[self.waits].before <= instruction:
            idle = self.noise.idles[self.waits]
            self.waits += 1
            self._error((self.piece[idle.wire],), twirled(idle))
            self.decays += decays(idle)

    def _measure(self, wire: int, bit: int, *, goes_on: bool) -> None:
        record = self.piece[wire]
        self.touched.add(record)
        if goes_on:
            record = self._fresh()
            self.meetings.append((self.piece[wire], record))
            self._add("cx", (self.piece[wire], record))
        self.place[bit] = len(self.records)
        self.records.append(record)
        self.misread.pop(bit, None)
        wrong = self.figures.readout_error(wire) if self.noise.local else 0.0
        if wrong and bit in self.decides:
            self._error((record,), (1 - wrong, wrong, 0.0, 0.0))
        elif wrong:
            self.misread[bit] = wrong

    def _conditional(self, operation: Operation, wires: tuple[int, ...]) -> None:
        tests = tests_of(operation.condition, self.place)
        if tests is None:
            return
        if not tests:
            self._add(operation.name, wires, operation.params, None if operation.gate is None else operation.matrix())
            self._gate_error(operation, wires, None)
            return
        if len(tests) > 1 or len(tests[0].records) > 1:
            raise self._refused(operation, "is controlled by several bits")
        control = self.records[tests[0].records[0]]
        value = int(tests[0].values[0] == tests[0].holds)
        flip = [Step("x", (control,))] * (not value)
        controlled = self._controlled(operation, control, wires)
        self.meetings += [(control, wire) for wire in wires]
        self.touched.update((control, *wires))
        self.steps += [*flip, *controlled, *flip]
        self._gate_error(operation, wires, (control, value))

    def _controlled(self, operation: Operation, control: int, wires: tuple[int, ...]) -> list[Step]:
        """The steps of a gate that happens where ``control`` is 1."""
        if len(wires) == 1:
            if operation.name in _CONTROLLED and operation.gate is None:
                return [Step(_CONTROLLED[operation.name], (control, *wires))]
            # The first wire is the lowest bit of the index.
            both = np.kron(np.eye(2), np.diag([1, 0])) + np.kron(operation.matrix(), np.diag([0, 1]))
            return [Step("unitary", (control, *wires), (), both)]
        a, b = wires
        if operation.name == "cx":
            h = Step("h", (b,))
            return [h, *_doubly(control, a, b, np.pi), h]
        if operation.name in ("cz", "cp") and operation.gate is None:
            return _doubly(control, a, b, operation.params[0] if operation.params else np.pi)
        raise self._refused(operation, "is not a gate that can be put under a condition")

    def _refused(self, operation: Operation, reason: str) -> InvalidValue:
        rule = f"it defers measurements, and {named(self.circuit, operation)} {reason}"
        return InvalidValue(field="method", value="mps", rule=rule, remedy=REMEDY)


def _doubly(a: int, b: int, c: int, angle: float) -> list[Step]:
    """A phase where three wires are 1."""
    half = angle / 2
    return [
        Step("cp", (b, c), (half,)),
        Step("cx", (a, b)),
        Step("cp", (b, c), (-half,)),
        Step("cx", (a, b)),
        Step("cp", (a, c), (half,)),
    ]


def _order(
    entry: Sequence[int],
    touched: AbstractSet[int],
    pairs: Sequence[tuple[int, int]],
    meetings: Sequence[tuple[int, int]],
) -> tuple[int, ...]:
    """The wires from left to right: by logical qubit, each other wire beside the one it meets first.

    Args:
        entry: the wire of each logical qubit.
        touched: all wires that matter.
        pairs: the halves of Bell pairs: what one of them meets first, the other one stands beside as well.
        meetings: wires that gates join, in time.
    """
    key = {wire: (position, 0) for position, wire in enumerate(entry)}
    other = {half: twin for a, b in pairs for half, twin in ((a, b), (b, a))}
    before = -1
    while before != len(key):
        before = len(key)
        for a, b in meetings:
            if (a in key) != (b in key):
                known, new = (a, b) if a in key else (b, a)
                for wire in (new, other.get(new, new)):
                    key.setdefault(wire, (key[known][0], len(key)))
    last = (len(entry), 0)
    return tuple(sorted(touched, key=lambda wire: (key.get(wire, last), wire)))
