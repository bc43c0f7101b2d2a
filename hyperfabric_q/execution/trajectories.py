"""Shots that still have everything in common share one state: they part where an error or an outcome tells them apart.

Each row is one state with the columns of ``logical_ops`` and the number of shots that it stands for. At a draw, a
measurement or a decay, each shot of a row goes its own way by chance, and those that go the same way become one row. So
the shots are independent and exact, and the cost is that of the different histories and not of the shots.

Rows are worked on in groups. When one grows beyond its room the rows of most shots wait, for they have the most
histories still to come: so little waits at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.execution import row_kernels
from hyperfabric_q.execution.logical_ops import (
    ALWAYS,
    Assign,
    Decay,
    Draw,
    Logical,
    Measure,
    Not,
    Operation,
    Phase,
    Reset,
    Sign,
    Unitary,
    places_of,
)

Bits: TypeAlias = NDArray[np.uint8]
Rows: TypeAlias = NDArray[np.int64]
States: TypeAlias = NDArray[np.complex128]
Floats: TypeAlias = NDArray[np.float64]

ROOM: Final = 1 << 19
"""Amplitudes in a group: 8 MiB."""

_BATCH: Final = 1 << 18
"""Shots whose outcomes are held at once."""


def sampled(logical: Logical, *, user: int, shots: int, rng: np.random.Generator, room: int = ROOM) -> Iterator[Bits]:
    """Yield the user's bits of all shots, in batches of shape (some, user), in no order.

    Args:
        logical: with records and late errors.
        user: how many columns are the user's bits.
        shots: how many.
        rng: of everything drawn.
        room: amplitudes in a group of rows.
    """
    steps = prepared(logical)
    first = Group.start(logical, shots)
    waiting = [first]
    most = max(1, room >> logical.qubits)
    while waiting:
        group = waiting.pop()
        while True:
            if len(group) > most:
                group, heavy = group.halves(most)
                waiting.append(heavy)
            if group.at == len(steps):
                break
            group.step(steps[group.at], rng)
            group.at += 1
        yield from outcomes(np.abs(group.states) ** 2, group.columns, group.hits, logical, user=user, rng=rng)


@dataclass(frozen=True, slots=True)
class Table:
    """A draw as arrays: ``chances`` (m,) of each effect, its ``columns`` (m, columns) and ``signs`` (m,)."""

    operation: Draw
    chances: Floats
    columns: Bits
    signs: Rows
    total: float

    @classmethod
    def of(cls, draw: Draw, columns: int) -> Table:
        """Return the table of a draw."""
        chances = np.array([chance for _, chance in draw.chances])
        flips = np.zeros((len(chances), columns), dtype=np.uint8)
        for row, (effect, _) in enumerate(draw.chances):
            flips[row, list(places_of(effect.columns))] = 1
        signs = np.array([effect.signs for effect, _ in draw.chances], dtype=np.int64)
        total = float(chances.sum())
        return cls(draw, chances / total, flips, signs, min(total, 1.0))


Step: TypeAlias = Operation | Table


def prepared(logical: Logical) -> list[Step]:
    """Return the operations, draws as tables."""
    return [Table.of(each, logical.columns) if isinstance(each, Draw) else each for each in logical.operations]


def chosen(operation: Operation, columns: Bits) -> Rows:
    """Return the rows that pass all tests of an operation."""
    passed = np.ones(len(columns), dtype=bool)
    for test in operation.tests:
        equal = np.ones(len(columns), dtype=bool)
        for place, column in enumerate(test.columns):
            equal &= columns[:, column] == (test.value >> place & 1)
        if test.value >> len(test.columns):
            equal[:] = False
        passed &= equal == test.holds
    return np.flatnonzero(passed)


def flips_of(columns: Bits, column: int) -> Bits:
    """Return one column, or zeros for ``ALWAYS``."""
    if column == ALWAYS:
        return np.zeros(len(columns), dtype=np.uint8)
    return np.ascontiguousarray(columns[:, column])


def unflipped(columns: Bits, column: int) -> Bits:
    """Return where the qubit has to be for its wire to be 1: the other value of ``flips_of``."""
    return flips_of(columns, column) ^ np.uint8(1)


class Group:
    """Rows at the same operation ``at``; arrays may have rows to spare."""

    def __init__(self, states: States, columns: Bits, hits: Rows, at: int) -> None:
        """Take rows as they are."""
        self._states, self._columns, self._hits = states, columns, hits
        self._count = len(hits)
        self.at = at

    @classmethod
    def start(cls, logical: Logical, shots: int) -> Group:
        """Return the one row that all shots begin with."""
        states = np.zeros((1, 1 << logical.qubits), dtype=np.complex128)
        states[0, 0] = 1.0
        return cls(states, np.zeros((1, logical.columns), np.uint8), np.array([shots], dtype=np.int64), 0)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    @property
    def states(self) -> States:
        """The states, shape (rows, 2^qubits), of any norm but 0."""
        return self._states[: self._count]

    @property
    def columns(self) -> Bits:
        """The columns, shape (rows, columns)."""
        return self._columns[: self._count]

    @property
    def hits(self) -> Rows:
        """Shots of each row."""
        return self._hits[: self._count]

    def halves(self, most: int) -> tuple[Group, Group]:
        """Return the rows of fewest shots, about half of ``most``, and the others."""
        order = np.argsort(self.hits, kind="stable")
        parts = (order[: max(1, most // 2)], order[max(1, most // 2) :])
        light, heavy = (Group(self._states[part], self._columns[part], self._hits[part], self.at) for part in parts)
        return light, heavy

    def step(self, step: Step, rng: np.random.Generator) -> None:
        """Do one operation."""
        if isinstance(step, Table):
            self._draw(step, rng)
        elif isinstance(step, Measure):
            outcome = self._measure(step.qubit, rng)
            self.columns[:, step.bit] = outcome ^ flips_of(self.columns, step.flip)
        elif isinstance(step, Reset):
            outcome = self._measure(step.qubit, rng)
            row_kernels.lower(self.states, np.flatnonzero(outcome), step.qubit)
        elif isinstance(step, Decay):
            self._decay(step, rng)
        elif isinstance(step, Assign):
            assign(step, self.columns)
        elif isinstance(step, Sign):
            rows = np.flatnonzero(self.columns[:, step.column])
            row_kernels.sign(self.states, rows, np.full(len(rows), 1 << step.qubit, dtype=np.int64))
        elif step.tests:
            rows = chosen(step, self.columns)
            if len(rows):
                states, columns = self.states[rows], self.columns[rows]
                gate(step, states, columns)
                self.states[rows], self.columns[rows] = states, columns
        else:
            gate(step, self.states, self.columns)

    def _draw(self, table: Table, rng: np.random.Generator) -> None:
        rows = chosen(table.operation, self.columns)
        hurt = rng.binomial(self.hits[rows], table.total)
        some = np.flatnonzero(hurt)
        if not len(some):
            return
        shares = rng.multinomial(hurt[some], table.chances)
        which, effect = np.nonzero(shares)
        children = self._part(rows[some][which], shares[which, effect])
        self.columns[children] ^= table.columns[effect]
        signed = table.signs[effect] != 0
        row_kernels.sign(self.states, children[signed], table.signs[effect][signed])

    def _measure(self, qubit: int, rng: np.random.Generator) -> Bits:
        """Measure a qubit in every row; return the outcomes of what are the rows then."""
        weights = self._weights(qubit)
        shots = self.hits.copy()
        ones = rng.binomial(shots, weights[:, 1])
        both = np.flatnonzero((ones > 0) & (ones < shots))
        outcome = np.zeros(len(self) + len(both), dtype=np.uint8)
        outcome[: len(self)] = ones == shots
        outcome[self._part(both, ones[both])] = 1
        likely = np.concatenate([weights, weights[both]])[np.arange(len(outcome)), outcome]
        row_kernels.project(self.states, np.arange(len(self)), qubit, outcome, 1 / np.sqrt(likely))
        return outcome

    def _decay(self, step: Decay, rng: np.random.Generator) -> None:
        """Each shot loses its excitation, or becomes less likely to have one."""
        rows = chosen(step, self.columns)
        up = unflipped(self.columns, step.flip)
        # No more shots fall than would if all were excited: only where some would, the weight of that is needed.
        most = rng.binomial(self.hits[rows], step.share)
        rows_of, most = rows[most > 0], most[most > 0]
        excited = self._weights(step.qubit, rows_of)[np.arange(len(rows_of)), up[rows_of]]
        falls = rng.binomial(most, excited)
        parents, excited = rows_of[falls > 0], excited[falls > 0]
        fallen = self._part(parents, falls[falls > 0])
        row_kernels.project(self.states, fallen, step.qubit, up[parents], 1 / np.sqrt(excited))
        self.columns[fallen, step.flip] ^= 1
        others = np.setdiff1d(rows, fallen)
        kept = self.states if len(others) == len(self) else self.states[others]
        row_kernels.scale_one(kept, step.qubit, up[others], (1 - step.share) ** 0.5)
        if len(others) < len(self):
            self.states[others] = kept

    def _weights(self, qubit: int, rows: Rows | None = None) -> Floats:
        states = self.states if rows is None else self.states[rows]
        weights = np.empty((len(states), 2))
        row_kernels.weigh(states, qubit, weights)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights

    def _part(self, parents: Rows, shots: Rows) -> Rows:
        """Give some shots of rows, ascending and perhaps repeated, rows of their own; return these.

        A row that is left without shots becomes its first child itself.
        """
        np.subtract.at(self._hits, parents, shots)
        first = np.ones(len(parents), dtype=bool)
        first[1:] = parents[1:] != parents[:-1]
        stays = first & (self._hits[parents] == 0)
        children = parents.copy()
        born = int((~stays).sum())
        children[~stays] = np.arange(self._count, self._count + born)
        self._make_room(self._count + born)
        self._states[children[~stays]] = self._states[parents[~stays]]
        self._columns[children[~stays]] = self._columns[parents[~stays]]
        self._count += born
        self._hits[children] = shots
        return children

    def _make_room(self, rows: int) -> None:
        have = len(self._hits)
        if rows <= have:
            return
        size = max(rows, min(2 * have, have + max(1, ROOM // self._states.shape[1])))
        for name in ("_states", "_columns", "_hits"):
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), dtype=old.dtype)
            new[:have] = old
            setattr(self, name, new)


def gate(step: Operation, states: States, columns: Bits) -> None:
    """Apply a gate to rows."""
    if isinstance(step, Unitary):
        row_kernels.unitary(states, step.qubit, step.matrix, flips_of(columns, step.flip))
        if step.flip != ALWAYS:
            columns[:, step.flip] = 0
    elif isinstance(step, Phase):
        phase(states, [(qubit, unflipped(columns, flip)) for qubit, flip in step.wires], np.exp(1j * step.angle))
    elif isinstance(step, Not):
        row_kernels.flip_if(states, step.control, step.target)


def phase(states: States, wires: list[tuple[int, Bits]], factor: complex) -> None:
    """Multiply the amplitudes in which one or two qubits are as wanted, by row."""
    if len(wires) == 1:
        row_kernels.scale_one(states, *wires[0], factor)
    else:
        (low, low_wanted), (high, high_wanted) = sorted(wires, key=lambda wire: wire[0])
        row_kernels.scale_both(states, low, high, low_wanted, high_wanted, factor)


def assign(step: Assign, columns: Bits) -> None:
    """Set a column of rows."""
    rows: Rows | slice = chosen(step, columns) if step.tests else slice(None)
    value = np.bitwise_xor.reduce(columns[rows][:, list(step.of)], axis=1) if step.of else np.uint8(0)
    columns[rows, step.into] = value ^ np.uint8(step.toggled)


# ------------------------------------------------------------------------------------------------------------ outcomes


def outcomes(
    chances: Floats, columns: Bits, hits: Rows, logical: Logical, *, user: int, rng: np.random.Generator
) -> Iterator[Bits]:
    """Yield the user's bits of the shots of some rows at the end, in batches.

    Args:
        chances: of each basis state of the qubits, shape (rows, 2^qubits); a row may have any sum.
        columns: of the rows.
        hits: shots of each row.
        logical: owner of the records and the late errors.
        user: how many columns are the user's bits.
        rng: of everything drawn.
    """
    tables = [Table.of(draw, logical.columns) for draw in logical.late]
    ends = np.cumsum(hits)
    for start in range(0, int(ends[-1]) if len(ends) else 0, _BATCH):
        upto = np.clip(ends - start, 0, _BATCH)
        here = np.diff(upto, prepend=0)
        rows = np.flatnonzero(here)
        number = int(upto[-1])
        row_of = np.repeat(rows, here[rows])
        uniforms = rng.random(number)
        uniforms = uniforms[np.lexsort((uniforms, row_of))]
        found = np.empty(number, dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(here[rows])])
        row_kernels.pick(np.ascontiguousarray(chances[rows]), starts, uniforms, found)
        bits = columns[row_of, :user]
        for column, qubit in logical.records:
            bits[:, column] ^= (found >> qubit & 1).astype(np.uint8)
        for table in tables:
            wrong = rng.choice(number, rng.binomial(number, table.total), replace=False, shuffle=False)
            bits[wrong] ^= table.columns[rng.choice(len(table.chances), len(wrong), p=table.chances), :user]
        yield bits
