"""The pieces a circuit is cut into for a proof by strands, and the names under which two circuits are compared."""

from __future__ import annotations

import cmath
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from hyperfabric_q.convert.operations import Kind, Operation

TOLERANCE = 1e-12
"""Largest difference of two angles (radians), or of two matrix entries, that counts as rounding."""

Label: TypeAlias = tuple[object, ...]


class CannotCut(Exception):
    """The circuit does not come apart into strands. It never leaves ``strands.prove``: a verdict, not a fault."""


@dataclass(frozen=True, slots=True)
class Port:
    """A place where a phase, a measurement or a condition reads the Z-basis value of a wire."""

    label: Label
    life: int


@dataclass(frozen=True, slots=True)
class Flip:
    """A logical X; ``control`` is the user's condition, () for none."""

    control: Label
    life: int


@dataclass(frozen=True, slots=True)
class Break:
    """A gate that neither is diagonal nor flips, or a reset: only one wire may hold the qubit there."""

    operation: Operation
    control: Label
    life: int


@dataclass(frozen=True, slots=True)
class Protocol:
    """A step of a protocol; its wires are lives."""

    operation: Operation


Piece: TypeAlias = Port | Flip | Break | Protocol


@dataclass(slots=True)
class Strand:
    """All that happens to one logical qubit, in order, from the life it enters on to the life it leaves on."""

    pieces: list[Piece] = field(default_factory=list)
    entry: int = 0
    exit: int = 0


class Angles:
    """Gives angles that differ by rounding only one representative."""

    def __init__(self) -> None:
        """Start with no angle known."""
        self._known: dict[int, float] = {}

    def __call__(self, angle: float) -> float:
        """Return the representative of ``angle`` modulo 2π; exactly 0.0 for no phase at all."""
        angle %= 2 * math.pi
        if min(angle, 2 * math.pi - angle) < TOLERANCE:
            return 0.0
        bucket = round(angle / TOLERANCE)
        for near in (bucket, bucket - 1, bucket + 1):
            if near in self._known and abs(self._known[near] - angle) <= TOLERANCE:
                return self._known[near]
        self._known[bucket] = angle
        return angle


class Labels:
    """Names ports and conditions: equal names mean equal operations, in the program and in the emitted circuit."""

    def __init__(self, angles: Angles) -> None:
        """Start counting; ``angles`` is shared between the two circuits that are compared."""
        self._angles = angles
        self._count: dict[Label, int] = defaultdict(int)
        self._writes: dict[int, int] = defaultdict(int)

    def condition(self, operation: Operation, bits: Mapping[int, int] | None = None) -> Label:
        """Return the condition with each bit told apart by how often it was written; () for none."""
        return tuple(
            (
                tuple((bit, self._writes[bit]) for bit in (self._named(each, bits) for each in clause.bits)),
                clause.value,
                clause.holds,
            )
            for clause in operation.condition
        )

    def measurement(self, bit: int) -> Label:
        """Return the name of the next write of ``bit``."""
        self._writes[bit] += 1
        return ("measure", bit, self._writes[bit])

    def phase(self, qubits: tuple[int, ...], angle: float, control: Label) -> Label | None:
        """Return the name of the next phase of this angle on these qubits, None when it is no phase at all."""
        if (value := self._angles(angle)) == 0.0:
            return None
        name = ("phase", tuple(sorted(qubits)), value, control)
        self._count[name] += 1
        return (*name, self._count[name])

    @staticmethod
    def _named(bit: int, bits: Mapping[int, int] | None) -> int:
        return bit if bits is None else bits[bit]

    def one_qubit(self, operation: Operation, qubit: int, control: Label, life: int) -> list[Piece]:
        """Return the pieces of a one-qubit gate: a phase, a flip and a phase, or a break."""
        (a, b), (c, d) = operation.matrix().tolist()
        pieces: list[Piece] = []
        if abs(b) < TOLERANCE and abs(c) < TOLERANCE:
            angle = cmath.phase(d / a)
        elif abs(a) < TOLERANCE and abs(d) < TOLERANCE:
            angle = cmath.phase(c / b)
            pieces.append(Flip(control, life))
        else:
            return [Break(operation, control, life)]
        if (label := self.phase((qubit,), angle, control)) is not None:
            pieces.append(Port(label, life))
        return pieces


def is_controlled_phase(operation: Operation) -> bool:
    """Return whether the operation is a ``cz`` or ``cp``."""
    return operation.gate is None and operation.name in ("cz", "cp", "cu1")


def phase_of(operation: Operation) -> float:
    """Return the angle of a controlled phase, in radians."""
    return math.pi if operation.name == "cz" else operation.params[0]


def program_strands(program: Sequence[Operation], qubits: int, angles: Angles) -> list[list[Piece]]:
    """Return the pieces of each logical qubit, in order; raises ``CannotCut`` for other two-qubit gates."""
    labels = Labels(angles)
    strands: list[list[Piece]] = [[] for _ in range(qubits)]
    for operation in program:
        control = labels.condition(operation)
        if operation.kind is Kind.MEASURE and operation.bit is not None:
            strands[operation.wires[0]].append(Port(labels.measurement(operation.bit), 0))
        elif operation.kind is Kind.RESET:
            strands[operation.wires[0]].append(Break(operation, (), 0))
        elif is_controlled_phase(operation):
            if (label := labels.phase(operation.wires, phase_of(operation), control)) is not None:
                for qubit in operation.wires:
                    strands[qubit].append(Port(label, 0))
        elif len(operation.wires) == 1:
            qubit = operation.wires[0]
            strands[qubit] += labels.one_qubit(operation, qubit, control, 0)
        else:
            raise CannotCut(f"the program holds {operation.name!r}, which is not a controlled phase")
    return strands
