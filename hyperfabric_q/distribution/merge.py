"""Merge what merges: runs of one-qubit gates, and controlled phases that meet with nothing in between.

Diagonal phases commute with everything but breaks and flips, so they are carried along and absorbed by the next break.
Merging never crosses a barrier, a measurement, a reset or a gate under a condition.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperfabric_q.distribution.decompose import Entries, euler, total, wrap
from hyperfabric_q.distribution.program import Condition, Kind

_U, _P, _X, _CP = Kind.U, Kind.P, Kind.X, Kind.CP
_FENCES = frozenset((Kind.MEASURE, Kind.RESET, Kind.BARRIER))


@dataclass(slots=True)
class Row:
    """One operation on its way to the program. ``matrix`` is set for one-qubit unitaries until they are classified."""

    kind: Kind
    qubits: tuple[int, ...]
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    matrix: Entries | None = None
    clbit: int = -1
    condition: Condition | None = None
    origin: int = -1


def merged(rows: Sequence[Row], qubits: int) -> list[Row]:
    """Return the rows with everything merged that can be; each pass is O(rows), and two usually do."""
    rows = _Pass(qubits).run(rows)
    while True:
        shorter = _Pass(qubits).run(rows)
        if len(shorter) == len(rows):
            return shorter
        rows = shorter


class _Pass:
    def __init__(self, qubits: int) -> None:
        self._pending: list[Entries | None] = [None] * qubits
        self._epoch = [0] * qubits
        self._open: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._rows: list[Row] = []

    def run(self, rows: Sequence[Row]) -> list[Row]:
        pending = self._pending
        for row in rows:
            if row.condition is not None or row.kind in _FENCES:
                self._fence(row)
            elif row.kind is _CP:
                self._interact(row)
            else:
                qubit = row.qubits[0]
                before = pending[qubit]
                matrix = _matrix(row)
                pending[qubit] = matrix if before is None else _product(matrix, before)
        for qubit in range(len(pending)):
            self._flush(qubit, origin=-1)
        return [row for row in self._rows if not (row.kind is _CP and row.angles[0] == 0.0)]

    def _fence(self, row: Row) -> None:
        """Pass on a row that nothing may be merged across."""
        for qubit in row.qubits:
            self._flush(qubit, origin=row.origin)
            self._epoch[qubit] += 1
        if row.kind is _U and row.matrix is not None:
            for each in _classify(row.qubits[0], row.matrix, row.origin):
                self._rows.append(replace(each, condition=row.condition))
        elif row.kind is _CP:
            self._rows.append(replace(row, angles=(wrap(row.angles[0]), 0.0, 0.0)))
        else:
            self._rows.append(row)

    def _interact(self, row: Row) -> None:
        for qubit in row.qubits:
            if self._pending[qubit] is not None:
                self._flush_break(qubit, row.origin)
        a, b = row.qubits
        if a > b:
            a, b = b, a
        earlier = self._open.get((a, b))
        if earlier is not None and earlier[1:] == (self._epoch[a], self._epoch[b]):
            kept = self._rows[earlier[0]]
            kept.angles = (total(kept.angles[0], row.angles[0]), 0.0, 0.0)
            return
        self._open[a, b] = (len(self._rows), self._epoch[a], self._epoch[b])
        self._rows.append(Row(_CP, row.qubits, angles=(wrap(row.angles[0]), 0.0, 0.0), origin=row.origin))

    def _flush_break(self, qubit: int, origin: int) -> None:
        """Emit what does not commute with a controlled phase; keep the diagonal rest pending."""
        matrix = self._pending[qubit]
        if matrix is None:
            return
        theta, phi, lam = euler(matrix)
        if theta == 0.0:
            return
        self._epoch[qubit] += 1
        if theta == math.pi:
            self._rows.append(Row(_X, (qubit,), origin=origin))
            self._pending[qubit] = _phase(wrap(phi + math.pi))
        else:
            self._rows.append(Row(_U, (qubit,), angles=(theta, phi, lam), origin=origin))
            self._pending[qubit] = None

    def _flush(self, qubit: int, origin: int) -> None:
        matrix = self._pending[qubit]
        self._pending[qubit] = None
        if matrix is None:
            return
        rows = _classify(qubit, matrix, origin)
        if any(row.kind is not _P for row in rows):
            self._epoch[qubit] += 1
        self._rows.extend(rows)


def _phase(angle: float) -> Entries:
    return 1.0, 0.0, 0.0, cmath.exp(1j * angle)


def _product(left: Entries, right: Entries) -> Entries:
    a, b, c, d = left
    e, f, g, h = right
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def _matrix(row: Row) -> Entries:
    """The 2x2 unitary of a one-qubit row."""
    if row.matrix is not None:
        return row.matrix
    if row.kind is _P:
        return _phase(row.angles[0])
    if row.kind is _X:
        return 0.0, 1.0, 1.0, 0.0
    theta, phi, lam = row.angles
    cosine, sine = math.cos(theta / 2), math.sin(theta / 2)
    return cosine, -cmath.exp(1j * lam) * sine, cmath.exp(1j * phi) * sine, cmath.exp(1j * (phi + lam)) * cosine


def _classify(qubit: int, matrix: Entries, origin: int) -> list[Row]:
    """Return a one-qubit unitary as a break, or as a flip and a phase, dropping what is the identity."""
    theta, phi, lam = euler(matrix)
    if 0.0 < theta < math.pi:
        return [Row(_U, (qubit,), angles=(theta, phi, lam), origin=origin)]
    rows = [Row(_X, (qubit,), origin=origin)] if theta == math.pi else []
    # U(π, φ, 0) = P(φ + π) · X up to global phase
    angle = wrap(phi + math.pi) if theta == math.pi else lam
    if angle != 0.0:
        rows.append(Row(_P, (qubit,), angles=(angle, 0.0, 0.0), origin=origin))
    return rows
