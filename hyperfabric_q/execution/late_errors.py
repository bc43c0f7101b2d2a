"""Errors as late as they can be, and measurements last of all: fewer runs that differ, hence less to simulate.

An error changes nothing until something reads a flip that it changes, or a gate mixes the states of a qubit that it
gives a sign. Up to there it is carried along, added to others that change the same things, and dropped when what it
changes is forgotten. A measured qubit whose bit no condition reads and which only phases touch afterwards is measured
at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hyperfabric_q.execution.logical_ops import (
    ALWAYS,
    NOTHING,
    Assign,
    Chances,
    Decay,
    Draw,
    Effect,
    Logical,
    Measure,
    Not,
    Operation,
    Phase,
    Reset,
    Settle,
    Sign,
    Unitary,
    bits_of,
    both,
    chances_of,
    draw_of,
    mapped,
)

_JOINED: Final = 4
"""Columns and signs that errors of different places may change and still be drawn as one."""

_MOST_EFFECTS: Final = 64


def measured_last(logical: Logical) -> Logical:
    """Return the same with every measurement that may be left to the end among its records; O(operations)."""
    mixed_later = read_later = written_later = 0
    records: list[tuple[int, int]] = []
    reversed_operations: list[Operation] = []
    for operation in reversed(logical.operations):
        found: Operation | None = operation
        if isinstance(operation, Measure):
            bit, qubit = 1 << operation.bit, 1 << operation.qubit
            untouched = not mixed_later & qubit
            if untouched and not read_later & bit:
                if written_later & bit:
                    found = None
                else:
                    records.append((operation.bit, operation.qubit))
                    found = Assign(into=operation.bit, of=_sources(operation.flip))
            written_later |= bit
            read_later &= ~bit
        elif isinstance(operation, Unitary | Reset | Decay | Settle):
            mixed_later |= 1 << operation.qubit
        elif isinstance(operation, Not):
            mixed_later |= 1 << operation.target
        read_later |= operation.tested
        if found is not None:
            reversed_operations.append(found)
    return replace(logical, operations=tuple(reversed(reversed_operations)), records=tuple(sorted(records)))


def _sources(flip: int) -> tuple[int, ...]:
    return () if flip == ALWAYS else (flip,)


def with_late_errors(logical: Logical, user: int, *, to_the_end: bool) -> Logical:
    """Return the same with every error as late as it can be; O(operations x errors under way).

    Args:
        logical: with records, if measurements are to be last.
        user: how many columns are the user's bits.
        to_the_end: whether the state at the end counts, and not only the user's bits.
    """
    delay = _Delay(user)
    for operation in logical.operations:
        delay.take(operation)
    late = delay.rest(to_the_end=to_the_end)
    return replace(logical, operations=tuple(delay.out), late=late, live=delay.live)


@dataclass(slots=True)
class _Error:
    """The chances of an error under way, and masks of all columns and signs that it may change."""

    chances: Chances
    columns: int
    signs: int

    @classmethod
    def of(cls, chances: Chances) -> _Error:
        """Return an error from its chances."""
        columns = signs = 0
        for effect in chances:
            columns |= effect.columns
            signs |= effect.signs
        return cls(chances, columns, signs)

    def size(self, other: _Error | None = None) -> int:
        """Return how many columns and signs it, or it and another one, may change."""
        columns, signs = (other.columns, other.signs) if other is not None else (0, 0)
        return (self.columns | columns).bit_count() + (self.signs | signs).bit_count()

    def meets(self, masks: tuple[int, int]) -> bool:
        """Return whether it may change any of some signs and columns."""
        return bool(self.signs & masks[0] or self.columns & masks[1])


class _Delay:
    """One walk: ``under_way`` are errors not yet written down, ``maybe`` the columns that may be 1."""

    def __init__(self, user: int) -> None:
        self.out: list[Operation] = []
        self.live = 0
        self._under_way: list[_Error] = []
        self._maybe = self._unsettled = 0
        self._user = (1 << user) - 1

    def take(self, operation: Operation) -> None:
        """Write down the errors that cannot wait for longer, and the operation."""
        if isinstance(operation, Draw) and not operation.tests:
            self._join(_Error.of(chances_of(operation)))
            return
        reads, changes = _reads(operation), _changes(operation)
        kept: list[_Error] = []
        for error in self._under_way:
            if error.meets(reads):
                self._write(error.chances)
            elif not error.meets(changes):
                kept.append(error)
            elif (passed := _passed(error.chances, operation)) is not None:
                kept.append(_Error.of(passed))
        self._under_way = kept
        self._append(operation)

    def rest(self, *, to_the_end: bool) -> tuple[Draw, ...]:
        """Write down, or return as far as the user's bits are concerned, what is still under way."""
        late: list[Draw] = []
        for error in self._under_way:
            draw = draw_of(error.chances)
            if draw is None:
                continue
            if to_the_end:
                self._write(error.chances)
                continue
            seen = mapped(draw, {effect: Effect(effect.columns & self._user) for effect, _ in draw.chances})
            late += [seen] if seen is not None else []
        self._under_way = []
        return tuple(late)

    def _join(self, error: _Error) -> None:
        for place, other in enumerate(self._under_way):
            small = other.size(error) <= max(_JOINED, error.size(), other.size())
            if small and len(error.chances) * len(other.chances) <= _MOST_EFFECTS:
                self._under_way[place] = _Error.of(both(other.chances, error.chances))
                return
        self._under_way.append(error)

    def _write(self, chances: Chances) -> None:
        draw = draw_of(chances)
        if draw is not None:
            self.out.append(draw)
            self._set(draw.support.columns)

    def _set(self, columns: int) -> None:
        self._maybe |= columns
        self._unsettled |= columns
        self.live = max(self.live, (self._unsettled & ~self._user).bit_count())

    def _clear(self, columns: int) -> None:
        self._maybe &= ~columns
        self._unsettled &= ~columns

    def _append(self, operation: Operation) -> None:
        """Write an operation down, without the columns that are 0 for sure."""
        if isinstance(operation, Assign):
            self._append_assign(operation)
            return
        if isinstance(operation, Sign) and not self._maybe >> operation.column & 1:
            return
        if isinstance(operation, Unitary):
            flip = 0 if operation.tests else bits_of((operation.flip,))
            operation = replace(operation, flip=self._if_set(operation.flip))
            self._clear(flip)
        elif isinstance(operation, Phase):
            wires = tuple((qubit, self._if_set(flip)) for qubit, flip in operation.wires)
            operation = replace(operation, wires=wires)
        elif isinstance(operation, Measure):
            operation = replace(operation, flip=self._if_set(operation.flip))
            self._set(1 << operation.bit)
        elif isinstance(operation, Decay):
            self._set(1 << operation.flip)
        elif isinstance(operation, Draw):
            self._set(operation.support.columns)
        elif isinstance(operation, Settle):
            # Drawn shots leave it out: for them the column may still be 1.
            if not self._unsettled >> operation.flip & 1:
                return
            self._unsettled &= ~(1 << operation.flip)
        self.out.append(operation)

    def _append_assign(self, operation: Assign) -> None:
        of = tuple(column for column in operation.of if self._maybe >> column & 1)
        into = 1 << operation.into
        stays = of == (operation.into,) or (not of and not self._maybe & into)
        if operation.toggled or not stays:
            self.out.append(replace(operation, of=of))
        if not operation.tests:
            self._clear(into)
        if of or operation.toggled:
            self._set(into)

    def _if_set(self, column: int) -> int:
        return column if column != ALWAYS and self._maybe >> column & 1 else ALWAYS


def _reads(operation: Operation) -> tuple[int, int]:
    """The qubits whose signs and the columns whose flips cannot pass an operation."""
    columns, signs = operation.tested, 0
    if isinstance(operation, Unitary):
        columns |= bits_of((operation.flip,))
        signs = 1 << operation.qubit
    elif isinstance(operation, Phase):
        columns |= bits_of(flip for _, flip in operation.wires)
    elif isinstance(operation, Decay):
        columns |= bits_of((operation.flip,))
    elif isinstance(operation, Assign) and operation.tests and operation.of != (operation.into,):
        columns |= bits_of((operation.into, *operation.of))
    elif operation.tests and isinstance(operation, Sign):
        columns |= 1 << operation.column
    return signs, columns


def _changes(operation: Operation) -> tuple[int, int]:
    """The qubits whose signs and the columns whose flips are something else after an operation."""
    columns = signs = 0
    if operation.tests:
        return signs, columns
    if isinstance(operation, Assign):
        columns = bits_of((operation.into, *operation.of))
    elif isinstance(operation, Sign):
        columns = 1 << operation.column
    elif isinstance(operation, Not):
        signs = 1 << operation.target
    elif isinstance(operation, Measure):
        signs, columns = 1 << operation.qubit, bits_of((operation.bit, operation.flip))
    elif isinstance(operation, Reset):
        signs = 1 << operation.qubit
    return signs, columns


def _passed(chances: Chances, operation: Operation) -> Chances | None:
    """The same error on the other side of an operation; None when it has become no error at all."""
    passed: Chances = {}
    for effect, chance in chances.items():
        after = _effect_after(effect, operation)
        passed[after] = passed.get(after, 0.0) + chance
    return passed if passed.keys() != {NOTHING} else None


def _effect_after(effect: Effect, operation: Operation) -> Effect:
    columns, signs = effect
    if isinstance(operation, Assign):
        odd = sum(columns >> column & 1 for column in operation.of) & 1
        return Effect(columns & ~(1 << operation.into) | odd << operation.into, signs)
    if isinstance(operation, Sign):
        return Effect(columns, signs ^ (columns >> operation.column & 1) << operation.qubit)
    if isinstance(operation, Not):
        return Effect(columns, signs ^ (signs >> operation.target & 1) << operation.control)
    if isinstance(operation, Measure):
        odd = 0 if operation.flip == ALWAYS else columns >> operation.flip & 1
        return Effect(columns & ~(1 << operation.bit) | odd << operation.bit, signs & ~(1 << operation.qubit))
    if isinstance(operation, Reset):
        return Effect(columns, signs & ~(1 << operation.qubit))
    return effect
