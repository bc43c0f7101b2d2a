"""The exact mean over all errors and outcomes: one density matrix for each value of the columns.

Each row is a density matrix, weighted by the chance of its columns; rows whose columns become equal are added. Errors
that are common to several places stay common: what ties them is in the columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.execution import row_kernels
from hyperfabric_q.execution.logical_ops import (
    ALWAYS,
    Assign,
    Decay,
    Logical,
    Measure,
    Not,
    Phase,
    Reset,
    Settle,
    Sign,
    Unitary,
)
from hyperfabric_q.execution.trajectories import (
    Bits,
    Floats,
    Rows,
    States,
    Step,
    Table,
    assign,
    chosen,
    flips_of,
    phase,
    prepared,
    unflipped,
)

_LONG_ROW: Final = 256
"""Entries of a row from which rows are added one by one, which is quicker than ``np.add.at``."""


class Mixture:
    """Rows: ``states`` (rows, 4^qubits), the qubits of the density matrix's columns above; and ``columns``."""

    def __init__(self, logical: Logical) -> None:
        """Run the operations; O(rows x 4^qubits x operations), rows up to 2^(live columns and measured bits)."""
        self.qubits = logical.qubits
        self.states: States = np.zeros((1, 4**logical.qubits), dtype=np.complex128)
        self.states[0, 0] = 1.0
        self.columns: Bits = np.zeros((1, logical.columns), dtype=np.uint8)
        for step in prepared(logical):
            rows = chosen(step.operation if isinstance(step, Table) else step, self.columns)
            if len(rows) == len(self.columns):
                self._step(step)
            elif len(rows):
                self._step_some(step, rows)

    @property
    def chances(self) -> Floats:
        """The chance of each basis state of the qubits, shape (rows, 2^qubits)."""
        size = 1 << self.qubits
        diagonal = self.states.reshape(-1, size, size).diagonal(axis1=1, axis2=2)
        clipped: Floats = diagonal.real.clip(min=0.0)
        return clipped

    def at_end(self, ends: tuple[int, ...], flips: tuple[int, ...]) -> tuple[NDArray[np.complex128], Bits]:
        """Return the density matrices of the user's qubits, shape (rows, 2^qubits, 2^qubits), and the columns.

        Args:
            ends: where each of the user's qubits is.
            flips: the column of its flip, which is undone.
        """
        states, columns = self.states.copy(), self.columns.copy()
        for qubit, column in zip(ends, flips, strict=True):
            self._both(states, qubit, np.eye(2, dtype=np.complex128), flips_of(columns, column))
            columns[:, column] = 0
        states, columns = _merged(states, columns)
        # The last axis is qubit 0; the qubits above belong to the columns of the matrix, hence to its last index.
        count, size = self.qubits, 1 << self.qubits
        upper = [count - qubit for qubit in reversed(ends)]
        axes = [0, *(count + axis for axis in upper), *upper]
        return states.reshape(-1, *(2,) * (2 * count)).transpose(axes).reshape(-1, size, size), columns

    def _step_some(self, step: Step, rows: Rows) -> None:
        others = np.setdiff1d(np.arange(len(self.columns)), rows)
        apart = self.states[others], self.columns[others]
        self.states, self.columns = self.states[rows], self.columns[rows]
        self._step(step)
        self._set(np.concatenate([self.states, apart[0]]), np.concatenate([self.columns, apart[1]]))

    def _step(self, step: Step) -> None:
        if isinstance(step, Table):
            self._draw(step)
        elif isinstance(step, Unitary):
            self._both(self.states, step.qubit, step.matrix, flips_of(self.columns, step.flip))
            if step.flip != ALWAYS:
                self.columns[:, step.flip] = 0
                self._set(self.states, self.columns)
        elif isinstance(step, Settle):
            self._both(self.states, step.qubit, np.eye(2, dtype=np.complex128), flips_of(self.columns, step.flip))
            self.columns[:, step.flip] = 0
            self._set(self.states, self.columns)
        elif isinstance(step, Phase):
            self._phase(step)
        elif isinstance(step, Not):
            for shift in (0, self.qubits):
                row_kernels.flip_if(self.states, step.control + shift, step.target + shift)
        elif isinstance(step, Assign):
            assign(replace(step, tests=()), self.columns)
            self._set(self.states, self.columns)
        elif isinstance(step, Sign):
            rows = np.flatnonzero(self.columns[:, step.column])
            self._sign(self.states, rows, np.full(len(rows), 1 << step.qubit, dtype=np.int64))
        elif isinstance(step, Decay):
            self._decay(step)
        elif isinstance(step, Measure | Reset):
            self._measure(step)

    def _both(self, states: States, qubit: int, matrix: NDArray[np.complex128], flipped: Bits) -> None:
        row_kernels.unitary(states, qubit, matrix, flipped)
        row_kernels.unitary(states, qubit + self.qubits, matrix.conj(), flipped)

    def _phase(self, step: Phase) -> None:
        wanted = [(qubit, unflipped(self.columns, flip)) for qubit, flip in step.wires]
        for shift, factor in ((0, np.exp(1j * step.angle)), (self.qubits, np.exp(-1j * step.angle))):
            phase(self.states, [(qubit + shift, wish) for qubit, wish in wanted], factor)

    def _sign(self, states: States, rows: Rows, masks: Rows) -> None:
        row_kernels.sign(states, rows, masks | masks << self.qubits)

    def _draw(self, table: Table) -> None:
        total = float(sum(chance for _, chance in table.operation.chances))
        parts, columns = [self.states * (1 - total)], [self.columns]
        for (_, chance), flips, mask in zip(table.operation.chances, table.columns, table.signs, strict=True):
            part = self.states * chance
            self._sign(part, np.arange(len(part)), np.full(len(part), mask))
            parts.append(part)
            columns.append(self.columns ^ flips)
        self._set(np.concatenate(parts), np.concatenate(columns))

    def _decay(self, step: Decay) -> None:
        up = unflipped(self.columns, step.flip)
        fallen, flipped = self._projected(step.qubit, up) * step.share, self.columns.copy()
        flipped[:, step.flip] ^= 1
        for shift in (0, self.qubits):
            row_kernels.scale_one(self.states, step.qubit + shift, up, (1 - step.share) ** 0.5)
        self._set(np.concatenate([self.states, fallen]), np.concatenate([self.columns, flipped]))

    def _measure(self, step: Measure | Reset) -> None:
        parts, columns = [], []
        for value in (0, 1):
            part = self._projected(step.qubit, np.full(len(self.states), value, dtype=np.uint8))
            own = self.columns.copy()
            if isinstance(step, Measure):
                own[:, step.bit] = value ^ flips_of(own, step.flip)
            elif value:
                for shift in (0, self.qubits):
                    row_kernels.lower(part, np.arange(len(part)), step.qubit + shift)
            parts.append(part)
            columns.append(own)
        self._set(np.concatenate(parts), np.concatenate(columns))

    def _projected(self, qubit: int, values: Bits) -> States:
        part = self.states.copy()
        for shift in (0, self.qubits):
            row_kernels.project(part, np.arange(len(part)), qubit + shift, values, np.ones(len(part)))
        return part

    def _set(self, states: States, columns: Bits) -> None:
        self.states, self.columns = _merged(states, columns)


def _merged(states: States, columns: Bits) -> tuple[States, Bits]:
    """Return the rows with those of equal columns added."""
    distinct, place = np.unique(columns, axis=0, return_inverse=True)
    if len(distinct) == len(columns):
        return states, columns
    total = np.zeros((len(distinct), states.shape[1]), dtype=np.complex128)
    if states.shape[1] < _LONG_ROW:
        np.add.at(total, place.ravel(), states)
    else:
        for row, into in enumerate(place.ravel().tolist()):
            total[into] += states[row]
    kept = np.abs(total).max(axis=1) > 0
    return total[kept], distinct[kept]
