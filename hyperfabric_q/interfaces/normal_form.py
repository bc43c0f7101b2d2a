"""A circuit with parameters as rows in the compiler's basis: turns of one qubit, controlled phases, and what is fixed.

Gates of two qubits that hold a parameter are written by rules that hold for every angle, with one controlled phase
each. What holds no parameter is rebased as ``hq.plan`` rebases it.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp

from hyperfabric_q.distribution.decompose import Entries
from hyperfabric_q.distribution.program import Condition, Kind, Program
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.errors import UnsupportedOperation

DEEPEST: Final = 32
"""Definitions within definitions that are followed."""

Part: TypeAlias = tuple[str, tuple[Any, ...], tuple[int, ...]]
"""A gate's name, its angles and the operands it acts on."""

_H0: Final[Part] = ("h", (), (0,))
_H1: Final[Part] = ("h", (), (1,))
_QUARTER: Final = math.pi / 2


def _zz(angle: Any) -> list[Part]:
    # exp(-i a ZZ / 2) = P(a) on both and CP(-2a), up to a phase.
    return [("p", (angle,), (0,)), ("p", (angle,), (1,)), ("cp", (-2 * angle,), (0, 1))]


def _controlled_z(angle: Any) -> list[Part]:
    return [("p", (-0.5 * angle,), (0,)), ("cp", (angle,), (0, 1))]


_RULES: Final[Mapping[str, Callable[..., list[Part]]]] = {
    "u1": lambda lam: [("p", (lam,), (0,))],
    "u2": lambda phi, lam: [("u", (_QUARTER, phi, lam), (0,))],
    "u3": lambda theta, phi, lam: [("u", (theta, phi, lam), (0,))],
    "cu1": lambda lam: [("cp", (lam,), (0, 1))],
    "rzz": _zz,
    "rxx": lambda angle: [_H0, _H1, *_zz(angle), _H0, _H1],
    "ryy": lambda angle: [
        *(("rx", (_QUARTER,), (each,)) for each in (0, 1)),
        *_zz(angle),
        *(("rx", (-_QUARTER,), (each,)) for each in (0, 1)),
    ],
    "rzx": lambda angle: [_H1, *_zz(angle), _H1],
    "crz": _controlled_z,
    "crx": lambda angle: [_H1, *_controlled_z(angle), _H1],
    "cry": lambda angle: [("sdg", (), (1,)), _H1, *_controlled_z(angle), _H1, ("s", (), (1,))],
}

TURNS: Final = frozenset({"rx", "ry", "rz", "p", "u", "r"})
"""Gates of one qubit that are left as they are."""

_R: Final = 1 / math.sqrt(2)
_FIXED: Final[Mapping[str, Entries]] = {
    "h": (_R, _R, _R, -_R),
    "s": (1.0, 0.0, 0.0, 1j),
    "sdg": (1.0, 0.0, 0.0, -1j),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """A gate of one qubit with angles, numbers or expressions."""

    name: str
    qubit: int
    angles: tuple[Any, ...]
    origin: int


@dataclass(frozen=True, slots=True)
class Interaction:
    """A controlled phase whose angle is an expression."""

    qubits: tuple[int, int]
    angle: Any
    origin: int


@dataclass(frozen=True, slots=True)
class Still:
    """A row without parameters."""

    kind: Kind
    qubits: tuple[int, ...]
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    entries: Entries | None = None
    clbit: int = -1
    condition: Condition | None = None
    origin: int = -1


Item: TypeAlias = Turn | Interaction | Still


def normal_form(circuit: QuantumCircuit) -> Iterator[Item]:
    """Yield the rows of a circuit in order.

    Raises:
        UnsupportedOperation: an instruction cannot be expressed, or holds a parameter under a classical condition.
    """
    index = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    still: list[tuple[int, Any]] = []
    for origin, instruction in enumerate(circuit.data):
        operation = instruction.operation
        holds = bool(_parameters(operation))
        if not holds and operation.name != "barrier":
            still.append((origin, instruction))
            continue
        yield from _rebased(circuit, still)
        still = []
        qubits = tuple(index[qubit] for qubit in instruction.qubits)
        if holds:
            yield from _expanded(operation, qubits, origin, 0)
        else:
            yield Still(Kind.BARRIER, qubits, origin=origin)
    yield from _rebased(circuit, still)


def _parameters(operation: Any) -> set[Any]:
    if isinstance(operation, ControlFlowOp):
        return {parameter for block in operation.blocks for parameter in block.parameters}
    found = {parameter for each in operation.params for parameter in getattr(each, "parameters", ())}
    return found or set(getattr(getattr(operation, "definition", None), "parameters", ()) or ())


def _rebased(circuit: QuantumCircuit, still: Sequence[tuple[int, Any]]) -> Iterator[Still]:
    if not still:
        return
    part = circuit.copy_empty_like()
    part.global_phase = 0.0
    for _, instruction in still:
        part.append(instruction)
    try:
        program = rebase(part)
    except UnsupportedOperation as fault:
        if fault.index is not None:
            fault.index = still[fault.index][0]
        raise
    yield from _rows(program, [origin for origin, _ in still])


def _rows(program: Program, origins: Sequence[int]) -> Iterator[Still]:
    places = program.origin.tolist()
    for number, (kind, first, second, angles, clbit) in enumerate(program.rows()):
        origin = origins[places[number]] if places[number] >= 0 else -1
        theta, phi, lam = angles
        yield Still(
            kind,
            (first,) if second < 0 else (first, second),
            (theta, phi, lam),
            entries=_entries(kind, theta, phi, lam),
            clbit=clbit,
            condition=program.condition_of(number),
            origin=origin,
        )


def _entries(kind: Kind, theta: float, phi: float, lam: float) -> Entries | None:
    if kind is Kind.P:
        return 1.0, 0.0, 0.0, cmath.exp(1j * theta)
    if kind is Kind.X:
        return 0.0, 1.0, 1.0, 0.0
    if kind is not Kind.U:
        return None
    cosine, sine = math.cos(theta / 2), math.sin(theta / 2)
    return cosine, -cmath.exp(1j * lam) * sine, cmath.exp(1j * phi) * sine, cmath.exp(1j * (phi + lam)) * cosine


def _expanded(operation: Any, qubits: tuple[int, ...], origin: int, depth: int) -> Iterator[Item]:
    """Yield the rows of one instruction that holds a parameter, by rule or by definition."""
    name, angles = operation.name, tuple(operation.params)
    plain = getattr(operation, "ctrl_state", 1) in (1, None)
    if isinstance(operation, ControlFlowOp):
        raise UnsupportedOperation(
            operation=name, index=origin, reason="it holds a parameter: bind the circuit before it is distributed"
        )
    if name in TURNS and len(qubits) == 1:
        yield Turn(name, qubits[0], angles, origin)
    elif name == "cp" and plain:
        yield Interaction((qubits[0], qubits[1]), angles[0], origin)
    elif name in _RULES and plain:
        for part, values, operands in _RULES[name](*angles):
            wires = tuple(qubits[each] for each in operands)
            if part in _FIXED:
                yield Still(Kind.U, wires, entries=_FIXED[part], origin=origin)
            elif part == "cp":
                yield Interaction((wires[0], wires[1]), values[0], origin)
            else:
                yield Turn(part, wires[0], values, origin)
    elif name != "global_phase":
        yield from _defined(operation, qubits, origin, depth)


def _defined(operation: Any, qubits: tuple[int, ...], origin: int, depth: int) -> Iterator[Item]:
    definition = getattr(operation, "definition", None)
    if definition is None or depth == DEEPEST:
        raise UnsupportedOperation(
            operation=operation.name,
            index=origin,
            reason="it holds a parameter and has no definition in terms of known gates",
        )
    index = {qubit: qubits[place] for place, qubit in enumerate(definition.qubits)}
    for inner in definition.data:
        wires = tuple(index[qubit] for qubit in inner.qubits)
        if _parameters(inner.operation):
            yield from _expanded(inner.operation, wires, origin, depth + 1)
        elif inner.operation.name == "barrier":
            yield Still(Kind.BARRIER, wires, origin=origin)
        else:
            yield from _alone(inner.operation, wires, origin)


def _alone(operation: Any, wires: tuple[int, ...], origin: int) -> Iterator[Still]:
    """Yield the rows of one gate without parameters, inside a definition."""
    part = QuantumCircuit(len(wires))
    part.append(operation, range(len(wires)))
    try:
        program = rebase(part)
    except UnsupportedOperation as fault:
        fault.index = origin
        raise
    for row in _rows(program, [origin]):
        yield Still(
            row.kind,
            tuple(wires[each] for each in row.qubits),
            row.angles,
            entries=row.entries,
            origin=origin,
        )
