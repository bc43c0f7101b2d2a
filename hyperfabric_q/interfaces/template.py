"""A circuit with parameters as one program for all their values.

Where gates merge, which copies break and what is an identity depends on angles, but for all values except a few it is
the same. So the merging of ``hq.plan`` is done once, at angles that are like no other, and what it did is written down:
each row of the program has its factors. Values are put in later, for many bindings at once. At the few values for which
a row could have been left out, such as an angle of 0, it stays, as the identity that it is.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, QuantumRegister

from hyperfabric_q.distribution.decompose import Entries, euler, wrap
from hyperfabric_q.distribution.program import Condition, Kind, Program, append, carry_classical
from hyperfabric_q.interfaces.angles import Angles, Floats
from hyperfabric_q.interfaces.normal_form import Interaction, Item, Still, normal_form
from hyperfabric_q.seeds import stream

Many: TypeAlias = tuple[Any, Any, Any, Any]
"""The entries of 2x2 matrices: numbers, or arrays over bindings."""

Factor: TypeAlias = int | Entries
"""A turn by its number, or a fixed matrix."""

_LOW: Final = 0.4
_HIGH: Final = 2.7
_FENCES: Final = frozenset((Kind.MEASURE, Kind.RESET, Kind.BARRIER))
_FLIP: Final[Entries] = (0.0, 1.0, 1.0, 0.0)


@dataclass(slots=True)
class Row:
    """A row of the program: ``entries`` at the angles of the merging, ``factors`` of that matrix in order.

    A controlled phase has the sum of the angles of numbers ``terms``, and ``constant``.
    """

    kind: Kind
    qubits: tuple[int, ...]
    entries: Entries | None = None
    factors: tuple[Factor, ...] = ()
    angle: float = 0.0
    terms: tuple[int, ...] = ()
    constant: float = 0.0
    clbit: int = -1
    condition: Condition | None = None
    origin: int = -1

    @property
    def varies(self) -> bool:
        """Whether it depends on a parameter."""
        return bool(self.terms) or any(isinstance(factor, int) for factor in self.factors)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """A circuit in the compiler's basis for any values of its parameters.

    Attributes:
        parameters: in the order of their values.
        program: at angles that are like no other.
        rows: of the program, with their factors.
        circuit: the program with the user's barriers, which keep gates apart that would merge.
    """

    parameters: tuple[Any, ...]
    program: Program
    circuit: QuantumCircuit
    rows: tuple[Row, ...]
    _angles: Angles
    _turns: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def unitary(self) -> bool:
        """Whether it is gates without conditions, and then at most measurements of all different bits."""
        measured: set[int] = set()
        bits: set[int] = set()
        for row in self.rows:
            if row.kind is Kind.RESET or row.condition is not None or measured.intersection(row.qubits):
                return False
            if row.kind is Kind.MEASURE:
                if row.clbit in bits:
                    return False
                measured.add(row.qubits[0])
                bits.add(row.clbit)
        return True

    @property
    def measured(self) -> dict[int, int]:
        """The qubit that is measured into each classical bit, both by number."""
        return {row.clbit: row.qubits[0] for row in self.rows if row.kind is Kind.MEASURE}

    def matrices(self, bindings: Floats) -> list[Many | NDArray[np.float64] | float | None]:
        """Return what each row does: entries of a one-qubit gate, the angle of a controlled phase, None else.

        Args:
            bindings: values of the parameters, shape (bindings, parameters).
        """
        angles = self._angles.values(bindings)
        turns = [_turned(name, [angles[:, each] for each in numbers]) for name, numbers in self._turns]
        found: list[Many | NDArray[np.float64] | float | None] = []
        for row in self.rows:
            if row.kind is Kind.CP:
                found.append(row.constant + sum(angles[:, each] for each in row.terms))
            elif row.entries is None:
                found.append(None)
            elif not row.varies:
                found.append(row.entries)
            else:
                whole: Many | None = None
                for factor in row.factors:
                    own = turns[factor] if isinstance(factor, int) else factor
                    whole = own if whole is None else _product(own, whole)
                found.append(whole)
        return found

    def angles(self, bindings: Floats) -> Floats:
        """Return the angles of the program's rows, shape (bindings, rows, 3); arguments as ``matrices``."""
        found = np.repeat(self.program.angles[None], len(bindings), axis=0)
        for number, (row, value) in enumerate(zip(self.rows, self.matrices(bindings), strict=True)):
            if not row.varies:
                continue
            if isinstance(value, tuple):
                own = phase_of(value)[..., None] if row.kind is Kind.P else np.stack(_euler(value), axis=-1)
                found[:, number, : own.shape[-1]] = own
            else:
                found[:, number, 0] = value
        return found

    def programs(self, bindings: Floats) -> list[Program]:
        """Return the program at each binding; arguments as ``matrices``."""
        return [replace(self.program, angles=angles) for angles in self.angles(bindings)]


def template_of(circuit: QuantumCircuit) -> Template:
    """Return the template of a circuit; O(instructions).

    Raises:
        InvalidValue: the circuit has no qubits.
        UnsupportedOperation: an instruction cannot be expressed, or holds a parameter under a classical condition.
    """
    parameters = tuple(circuit.parameters)
    angles = Angles(parameters)
    maker = _Maker(angles)
    rows = [maker.row(item) for item in normal_form(circuit)]
    fenced = _merged(rows, circuit.num_qubits)
    merged = [row for row in fenced if row.kind is not Kind.BARRIER]
    program = _frozen(circuit, merged)
    return Template(
        parameters=parameters,
        program=program,
        circuit=_written(program, fenced, circuit.name),
        rows=tuple(merged),
        _angles=angles,
        _turns=tuple(maker.turns),
    )


class _Maker:
    """Items as rows; each varying angle gets a number and a value for the merging of its own."""

    def __init__(self, angles: Angles) -> None:
        self.turns: list[tuple[str, tuple[int, ...]]] = []
        self._angles = angles
        self._rng = stream(0, "template")

    def row(self, item: Item) -> Row:
        if isinstance(item, Still):
            factors = () if item.entries is None else (item.entries,)
            row = Row(item.kind, item.qubits, item.entries, factors, clbit=item.clbit, origin=item.origin)
            row.condition = item.condition
            row.angle = row.constant = item.angles[0] if item.kind is Kind.CP else 0.0
            return row
        if isinstance(item, Interaction):
            number, value = self._angle(item.angle)
            return Row(Kind.CP, item.qubits, angle=value, terms=(number,), origin=item.origin)
        if not any(getattr(each, "parameters", ()) for each in item.angles):
            fixed = _numbers(_turned(item.name, [float(each) for each in item.angles]))
            return Row(Kind.U, (item.qubit,), fixed, (fixed,), origin=item.origin)
        found = [self._angle(each) for each in item.angles]
        self.turns.append((item.name, tuple(number for number, _ in found)))
        entries = _numbers(_turned(item.name, [value for _, value in found]))
        return Row(Kind.U, (item.qubit,), entries, (len(self.turns) - 1,), origin=item.origin)

    def _angle(self, angle: Any) -> tuple[int, float]:
        number = self._angles.add(angle)
        if getattr(angle, "parameters", ()):
            return number, float(self._rng.uniform(_LOW, _HIGH))
        return number, float(angle)


def _numbers(entries: Many) -> Entries:
    a, b, c, d = (complex(each) for each in entries)
    return a, b, c, d


def _turned(name: str, angles: Sequence[Any]) -> Many:
    """Return the entries of a gate of one qubit, up to a global phase."""
    first = angles[0]
    if name == "rz":
        half = np.exp(0.5j * first)
        return half.conjugate(), 0.0, 0.0, half
    if name == "p":
        return 1.0, 0.0, 0.0, np.exp(1j * first)
    cosine, sine = np.cos(first / 2), np.sin(first / 2)
    if name == "rx":
        return cosine, -1j * sine, -1j * sine, cosine
    if name == "ry":
        return cosine, -sine, sine, cosine
    if name == "r":
        return cosine, -1j * np.exp(-1j * angles[1]) * sine, -1j * np.exp(1j * angles[1]) * sine, cosine
    up, right = np.exp(1j * angles[1]), np.exp(1j * angles[2])
    return cosine, -right * sine, up * sine, up * right * cosine


def _product(left: Many, right: Many) -> Many:
    a, b, c, d = left
    e, f, g, h = right
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def phase_of(entries: Many) -> Any:
    """Return the angle of a diagonal gate."""
    a, _, _, d = entries
    return np.angle(d * np.conj(a))


def _euler(entries: Many) -> tuple[Any, Any, Any]:
    """Return (θ, φ, λ) of matrices, whatever they are: where one of φ and λ is free, their sum or difference is exact.

    Only the sum counts where the matrix is nearly diagonal, and only the difference where it is nearly antidiagonal.
    """
    a, b, c, d = np.broadcast_arrays(*entries)
    theta = 2 * np.arctan2(np.abs(c), np.abs(a))
    phi = np.angle(c * a.conj())
    lam = np.where(np.abs(a) >= np.abs(c), np.angle(d * a.conj()) - phi, phi - np.angle(-c * b.conj()))
    return theta, phi, lam


# ------------------------------------------------------------------------------------------------------------- merging


def _merged(rows: Iterable[Row], qubits: int) -> list[Row]:
    """Return the rows with everything merged that can be, by the rules of ``distribution.merge``."""
    found = _Pass(qubits).run(rows)
    while True:
        shorter = _Pass(qubits).run(found)
        if len(shorter) == len(found):
            return shorter
        found = shorter


@dataclass(slots=True)
class _Pending:
    entries: Entries
    factors: tuple[Factor, ...]

    def then(self, entries: Entries, factors: tuple[Factor, ...]) -> _Pending:
        return _Pending(_product(entries, self.entries), self.factors + factors)

    def after_flip(self, angle: float) -> _Pending:
        """What is left of an antidiagonal gate when a flip goes before it: a phase."""
        return _Pending((1.0, 0.0, 0.0, cmath.exp(1j * angle)), (_FLIP, *self.factors))


class _Pass:
    """One walk: gates of each qubit that wait to be merged, and controlled phases that others may be added to."""

    def __init__(self, qubits: int) -> None:
        self._pending: list[_Pending | None] = [None] * qubits
        self._epoch = [0] * qubits
        self._open: dict[tuple[int, int], tuple[Row, int, int]] = {}
        self._rows: list[Row] = []

    def run(self, rows: Iterable[Row]) -> list[Row]:
        for row in rows:
            if row.condition is not None or row.kind in _FENCES:
                for qubit in row.qubits:
                    self._flush(qubit, row.origin)
                    self._epoch[qubit] += 1
                self._rows.append(row)
            elif row.entries is None:
                self._interact(row)
            else:
                before = self._pending[row.qubits[0]]
                own = _Pending(row.entries, row.factors)
                self._pending[row.qubits[0]] = own if before is None else before.then(row.entries, row.factors)
        for qubit in range(len(self._pending)):
            self._flush(qubit, -1)
        return [row for row in self._rows if row.kind is not Kind.CP or row.terms or row.angle != 0.0]

    def _interact(self, row: Row) -> None:
        for qubit in row.qubits:
            self._flush_break(qubit, row.origin)
        a, b = sorted(row.qubits)
        known = self._open.get((a, b))
        if known is not None and known[1:] == (self._epoch[a], self._epoch[b]):
            kept = known[0]
            kept.angle = wrap(kept.angle + row.angle)
            kept.constant, kept.terms = kept.constant + row.constant, kept.terms + row.terms
            return
        own = replace(row, angle=wrap(row.angle))
        self._open[a, b] = (own, self._epoch[a], self._epoch[b])
        self._rows.append(own)

    def _flush_break(self, qubit: int, origin: int) -> None:
        """Emit what does not commute with a controlled phase; keep the diagonal rest."""
        pending = self._pending[qubit]
        if pending is None:
            return
        theta, phi, _ = euler(pending.entries)
        if theta == 0.0:
            return
        self._epoch[qubit] += 1
        if theta == math.pi:
            self._rows.append(Row(Kind.X, (qubit,), _FLIP, (_FLIP,), origin=origin))
            self._pending[qubit] = pending.after_flip(wrap(phi + math.pi))
        else:
            self._rows.append(Row(Kind.U, (qubit,), pending.entries, pending.factors, origin=origin))
            self._pending[qubit] = None

    def _flush(self, qubit: int, origin: int) -> None:
        self._flush_break(qubit, origin)
        pending, self._pending[qubit] = self._pending[qubit], None
        if pending is not None and euler(pending.entries)[2] != 0.0:
            self._rows.append(Row(Kind.P, (qubit,), pending.entries, pending.factors, origin=origin))


def _frozen(circuit: QuantumCircuit, rows: Sequence[Row]) -> Program:
    classical = QuantumCircuit()
    classical.add_bits(circuit.clbits)
    for register in circuit.cregs:
        classical.add_register(register)
    conditions = tuple(dict.fromkeys(row.condition for row in rows if row.condition is not None))
    place = {condition: number for number, condition in enumerate(conditions)}
    return Program(
        qubits=circuit.num_qubits,
        classical=classical,
        kind=np.array([row.kind for row in rows], dtype=np.int8),
        first=np.array([row.qubits[0] for row in rows], dtype=np.int32),
        second=np.array([row.qubits[1] if row.kind is Kind.CP else -1 for row in rows], dtype=np.int32),
        angles=np.array([_angles_of(row) for row in rows], dtype=np.float64).reshape(len(rows), 3),
        clbit=np.array([row.clbit for row in rows], dtype=np.int32),
        condition=np.array([-1 if row.condition is None else place[row.condition] for row in rows], dtype=np.int32),
        conditions=conditions,
        origin=np.array([row.origin for row in rows], dtype=np.int32),
    )


def _written(program: Program, rows: Sequence[Row], name: str) -> QuantumCircuit:
    """Return rows as a circuit, barriers included."""
    circuit = QuantumCircuit(QuantumRegister(program.qubits, "q"), name=name)
    carry_classical(circuit, program.classical)
    for row in rows:
        wires = [circuit.qubits[each] for each in row.qubits]
        if row.kind is Kind.BARRIER:
            circuit.barrier(wires)
        elif row.kind is Kind.MEASURE:
            circuit.measure(wires[0], circuit.clbits[row.clbit])
        elif row.kind is Kind.RESET:
            circuit.reset(wires[0])
        else:
            append(circuit, row.kind, _angles_of(row), wires, row.condition)
    return circuit


def _angles_of(row: Row) -> tuple[float, float, float]:
    if row.kind is Kind.CP:
        return wrap(row.angle), 0.0, 0.0
    if row.entries is None or row.kind is Kind.X:
        return 0.0, 0.0, 0.0
    found = euler(row.entries)
    return found if row.kind is Kind.U else (found[2], 0.0, 0.0)
