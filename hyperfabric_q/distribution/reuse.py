"""The same outcomes from fewer qubits: measure, reset, and begin the next qubit on the wire that became free.

Wanted are the classical bits alone. A qubit whose operations have all run is then of no further use, measured or not,
and operations that no measurement depends on are of none at all. Which operations depend on which is read off the
wires and the classical bits. Neighbours on a wire that are both functions of Z there, such as the control of a CX and
a measurement, or both functions of X, commute: neither waits for the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    Barrier,
    CircuitInstruction,
    ControlFlowOp,
    ControlledGate,
    IfElseOp,
    Measure,
    QuantumRegister,
    Qubit,
    Reset,
)
from qiskit.circuit.library import standard_gates as gates

from hyperfabric_q.distribution.reuse_order import Cones, finishing_order
from hyperfabric_q.errors import InvalidValue

MOST_LIVES: Final = 8192
"""Qubits, counted anew at each reset, whose causal cones are compared: 64 MiB. More run in the order given."""

_COMMUTING: Final[dict[type, str]] = {
    **dict.fromkeys((gates.ZGate, gates.SGate, gates.SdgGate, gates.TGate, gates.TdgGate), "Z"),
    **dict.fromkeys((gates.PhaseGate, gates.U1Gate, gates.RZGate, Measure), "Z"),
    **dict.fromkeys((gates.XGate, gates.SXGate, gates.SXdgGate, gates.RXGate), "X"),
    **dict.fromkeys((gates.YGate, gates.RYGate), "Y"),
    **dict.fromkeys((gates.CZGate, gates.CPhaseGate, gates.RZZGate), "ZZ"),
    **dict.fromkeys((gates.CXGate, gates.RZXGate), "ZX"),
    gates.RXXGate: "XX",
    gates.RYYGate: "YY",
}
"""On each wire of a gate, the Pauli that it is a function of: gates that have it in common commute there."""

_STANDARD: Final[dict[str, str]] = {
    name: _COMMUTING[kind]
    for name, gate in gates.get_standard_gate_name_mapping().items()
    if (kind := getattr(gate, "base_class", type(gate))) in _COMMUTING
}
"""The same by name, for instructions that Qiskit holds without an object, which takes longer to build than to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """A circuit with the outcomes of the given one, on fewer qubits.

    Attributes:
        circuit: it, over the classical bits and registers of the given one; the given one itself where nothing is won.
        width: how many qubits it has.
        placed: for each qubit of the given circuit the qubits that hold it one after the other, one for each of its
            lives between resets; those lives that no outcome depends on are left out.
        fewest: whether no order of the operations needs fewer; False also where that is not known.
    """

    circuit: QuantumCircuit
    width: int
    placed: tuple[tuple[int, ...], ...]
    fewest: bool = False


def reuse(circuit: QuantumCircuit, most: int | None = None, *, seed: int = 0) -> Reused:
    """Return a circuit with the same joint distribution of all classical bits on as few qubits as found, or ``most``.

    Operations are reordered and left out, none is changed. A barrier becomes one for each qubit, since one over all of
    them would leave no freedom. O(qubits² + operations) and a bounded search that decides small circuits.

    A circuit that measures nothing is wanted for its state at the end, and returned as it is.

    Args:
        circuit: every qubit starts in |0>.
        most: how many qubits there are. All of them are used then, so that as little as possible waits; if the fewest
            that are found exceed it, they are returned.
        seed: of ties between orders.

    Raises:
        InvalidValue: ``most`` is no positive whole number.
    """
    if most is not None and not _positive(most):
        raise InvalidValue(field="most", value=most, rule="it is a whole number of qubits, at least 1")
    every = tuple((qubit,) for qubit in range(circuit.num_qubits))
    as_it_is = Reused(circuit=circuit, width=circuit.num_qubits, placed=every)
    if circuit.num_qubits <= (most or 1) or not _measures(circuit) or circuit.num_identifiers:
        return as_it_is
    steps = _observed(_steps(circuit, lives=True))
    whole = len(_lives(steps)) <= MOST_LIVES
    if not whole:
        steps = _observed(_steps(circuit, lives=False))
    order, fewest = _order(steps, most, seed)
    fewest = fewest and whole
    lanes, width = _lanes(order, most)
    if width >= circuit.num_qubits:
        return replace(as_it_is, fewest=fewest)
    placed: list[list[int]] = [[] for _ in circuit.qubits]
    for qubit, life in sorted(lanes):
        placed[qubit].append(lanes[qubit, life])
    return Reused(
        circuit=_written(circuit, order, lanes, width), width=width, placed=tuple(map(tuple, placed)), fewest=fewest
    )


def _positive(most: object) -> bool:
    return isinstance(most, int | np.integer) and not isinstance(most, bool) and bool(most >= 1)


# -------------------------------------------------------------------------------------------------------------- steps

Life = tuple[int, int]
"""A qubit, and how many resets it has seen."""


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction, the lives it acts on, and on each the Pauli that it is a function of, or ""."""

    instruction: CircuitInstruction
    lives: tuple[Life, ...]
    paulis: str | tuple[str, ...]
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()


def _steps(circuit: QuantumCircuit, *, lives: bool) -> list[_Step]:
    """The instructions of a circuit; with ``lives`` a reset ends one life of its qubit and is no step itself."""
    qubit_of = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_of = {bit: index for index, bit in enumerate(circuit.clbits)}
    age = [0] * circuit.num_qubits
    steps: list[_Step] = []
    for instruction in circuit.data:
        qubits = [qubit_of[wire] for wire in instruction.qubits]
        held = tuple([(qubit, age[qubit]) for qubit in qubits])
        if instruction.is_standard_gate() and instruction.name in _STANDARD:
            steps.append(_Step(instruction, held, _STANDARD[instruction.name]))
        elif instruction.name == "reset" and lives:
            age[qubits[0]] += 1
        elif instruction.name == "barrier":
            steps += [
                _Step(CircuitInstruction(Barrier(1), [wire]), (life,), ("",))
                for wire, life in zip(instruction.qubits, held, strict=True)
            ]
        else:
            operation = instruction.operation
            bits = tuple(clbit_of[bit] for bit in instruction.clbits)
            reads = bits if isinstance(operation, ControlFlowOp) else ()
            writes = bits if _writes(operation) else ()
            steps.append(_Step(instruction, held, _paulis(operation, len(qubits)), reads, writes))
    return steps


def _measures(circuit: QuantumCircuit) -> bool:
    return any(instruction.clbits and _writes(instruction.operation) for instruction in circuit.data)


def _writes(operation: Any) -> bool:
    """Whether an operation writes classical bits: whatever has some, except branches that only read them."""
    if isinstance(operation, IfElseOp):
        return any(_writes(inner.operation) for body in operation.blocks for inner in body.data)
    return bool(operation.num_clbits > 0)


def _paulis(operation: Any, count: int) -> str | tuple[str, ...]:
    kind = getattr(operation, "base_class", type(operation))
    if kind in _COMMUTING:
        return _COMMUTING[kind]
    if isinstance(operation, IfElseOp):
        return _paulis_inside(operation, count)
    if isinstance(operation, ControlledGate):
        controls: int = operation.num_ctrl_qubits
        return ("Z",) * controls + tuple(_paulis(operation.base_gate, count - controls))
    return ("",) * count


def _paulis_inside(operation: IfElseOp, count: int) -> tuple[str, ...]:
    """On each wire of a branch, the Pauli that all its gates are functions of."""
    met: list[set[str]] = [set() for _ in range(count)]
    for body in operation.blocks:
        place = {wire: index for index, wire in enumerate(body.qubits)}
        for inner in body.data:
            for wire, pauli in zip(inner.qubits, _paulis(inner.operation, len(inner.qubits)), strict=True):
                met[place[wire]].add(pauli)
    return tuple(each.pop() if len(each) == 1 else "" for each in met)


def _lives(steps: Iterable[_Step]) -> list[Life]:
    return list(dict.fromkeys(life for step in steps for life in step.lives))


# ------------------------------------------------------------------------------------------------------------- causes


@dataclass(slots=True)
class _Line:
    """A wire or a classical bit as it is walked along: what came ``before``, and the commuting nodes since."""

    before: int = -1
    pauli: str = ""
    since: list[int] = field(default_factory=list)


class _Causes:
    """What each step waits for. Nodes are the steps, and one more wherever many steps are waited for by many."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self.earlier: list[tuple[int, ...]] = []
        self.step: list[int] = []
        """The step of each node, -1 for those that only join others."""
        self.node: list[int] = []
        """The node of each step."""
        wires: dict[Life, _Line] = {}
        bits: dict[int, _Line] = {}
        for number, step in enumerate(steps):
            lines = [
                self._enter(wires.setdefault(life, _Line()), pauli)
                for life, pauli in zip(step.lives, step.paulis, strict=True)
            ]
            # Readers of a bit commute with each other, writers with nothing.
            lines += [self._enter(bits.setdefault(bit, _Line()), "") for bit in step.writes]
            lines += [
                self._enter(bits.setdefault(bit, _Line()), "read") for bit in step.reads if bit not in step.writes
            ]
            node = self._add(number, [line.before for line in lines])
            self.node.append(node)
            for line in lines:
                line.since.append(node)

    def _enter(self, line: _Line, pauli: str) -> _Line:
        """Return the line, closed and opened anew if what comes does not commute with what came last."""
        if line.since and (not pauli or pauli != line.pauli):
            line.before = line.since[0] if len(line.since) == 1 else self._add(-1, line.since)
            line.since = []
        line.pauli = pauli
        return line

    def _add(self, step: int, earlier: Iterable[int]) -> int:
        self.earlier.append(tuple({node for node in earlier if node >= 0}))
        self.step.append(step)
        return len(self.step) - 1

    def needed(self, nodes: Iterable[int], done: bytearray) -> list[int]:
        """Return the steps of some nodes and of all they wait for, in the given order; those ``done`` are left out."""
        stack = [node for node in nodes if not done[node]]
        found: list[int] = []
        for node in stack:
            done[node] = 1
        while stack:
            node = stack.pop()
            if self.step[node] >= 0:
                found.append(self.step[node])
            for each in self.earlier[node]:
                if not done[each]:
                    done[each] = 1
                    stack.append(each)
        return sorted(found)


def _observed(steps: list[_Step]) -> list[_Step]:
    """The steps that some measurement depends on."""
    causes = _Causes(steps)
    written = [node for node, step in zip(causes.node, steps, strict=True) if step.writes]
    return [steps[number] for number in causes.needed(written, bytearray(len(causes.step)))]


def _order(steps: list[_Step], most: int | None, seed: int) -> tuple[list[_Step], bool]:
    """The steps in an order that needs few qubits at once, and whether none needs fewer.

    The given order is kept if it needs no more than ``most``.
    """
    lives = _lives(steps)
    if len(lives) > MOST_LIVES or (most is not None and _lanes(steps, None)[1] <= most):
        return steps, False
    index = {life: number for number, life in enumerate(lives)}
    causes = _Causes(steps)
    found = finishing_order(_cones(steps, causes, index), enough=most or 1, seed=seed)
    acting: list[list[int]] = [[] for _ in lives]
    for node, step in zip(causes.node, steps, strict=True):
        for life in step.lives:
            acting[index[life]].append(node)
    done = bytearray(len(causes.step))
    order = [number for life in found.order for number in causes.needed(acting[life], done)]
    return [steps[number] for number in order], found.fewest


def _cones(steps: Sequence[_Step], causes: _Causes, index: dict[Life, int]) -> Cones:
    """Whether life j has a step that some step of life i waits for, or shares; sets are bits of whole numbers."""
    cone = [0] * len(index)
    waiting = [0] * len(causes.step)
    for earlier in causes.earlier:
        for node in earlier:
            waiting[node] += 1
    past = [0] * len(causes.step)
    for node, (number, earlier) in enumerate(zip(causes.step, causes.earlier, strict=True)):
        lives = [index[life] for life in steps[number].lives] if number >= 0 else []
        mask = sum(1 << life for life in lives)
        for each in earlier:
            mask |= past[each]
            waiting[each] -= 1
            if not waiting[each]:
                past[each] = 0  # read for the last time; all at once would not fit
        past[node] = mask
        for life in lives:
            cone[life] |= mask
    size = -(-len(index) // 8)
    packed = np.frombuffer(b"".join(mask.to_bytes(size, "little") for mask in cone), dtype=np.uint8)
    return np.unpackbits(packed.reshape(len(index), size), axis=1, count=len(index), bitorder="little").astype(bool)


# ------------------------------------------------------------------------------------------------------------ writing


def _lanes(steps: Sequence[_Step], most: int | None) -> tuple[dict[Life, int], int]:
    """The qubit that holds each life, and how many there are: at least as many as live at once, and up to ``most``."""
    last = {life: number for number, step in enumerate(steps) for life in step.lives}
    lanes: dict[Life, int] = {}
    free: deque[int] = deque()
    width = 0
    for number, step in enumerate(steps):
        for life in step.lives:
            if life in lanes:
                continue
            if free and (most is None or width >= most):
                lanes[life] = free.popleft()
            else:
                lanes[life], width = width, width + 1
        free.extend(lanes[life] for life in step.lives if last[life] == number)
    return lanes, width


def _written(circuit: QuantumCircuit, steps: Sequence[_Step], lanes: dict[Life, int], width: int) -> QuantumCircuit:
    """The steps on their new qubits, with a reset before each qubit is used again."""
    name = "q"
    while any(register.name == name for register in circuit.cregs):
        name += "_"
    written = QuantumCircuit(
        QuantumRegister(width, name), name=circuit.name, global_phase=circuit.global_phase, metadata=circuit.metadata
    )
    written.add_bits(circuit.clbits)
    for register in circuit.cregs:
        written.add_register(register)
    holder: list[Life | None] = [None] * width
    for step in steps:
        wires: list[Qubit] = []
        for life in step.lives:
            wire = written.qubits[lanes[life]]
            if holder[lanes[life]] != life:
                if holder[lanes[life]] is not None:
                    written._append(CircuitInstruction(Reset(), [wire]))
                holder[lanes[life]] = life
            wires.append(wire)
        written._append(step.instruction.replace(qubits=wires))  # Qiskit's fast path
    return written
