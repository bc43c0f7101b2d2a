"""What an emitted circuit does to the logical qubits, with its errors: a short list of operations.

Beside the state of the logical qubits there are *columns*, bits that every run has for itself: the user's classical
bits, and one for each wire that holds a logical qubit, its *flip*. The wires of a run are in the state in which each
logical basis state is written into all wires of its qubit, with an X on every wire whose flip is 1. A Z on a wire is a
Z on its logical qubit. So every Pauli error on a wire is an ``Effect``: some columns flip, some logical qubits get a Z.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.complex128]

ALWAYS: Final = -1
"""The column of a flip that is 0 in every run."""


class Effect(NamedTuple):
    """What a Pauli error does: bit masks of the columns that flip and of the logical qubits that get a Z."""

    columns: int = 0
    signs: int = 0

    def __xor__(self, other: Effect) -> Effect:
        """Return the effect of both, one after the other: they commute, up to a global sign."""
        return Effect(self.columns ^ other.columns, self.signs ^ other.signs)


NOTHING: Final = Effect()


class Test(NamedTuple):
    """A condition: the number that columns spell, the first the lowest digit, is ``value``, or is not."""

    columns: tuple[int, ...]
    value: int
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """One step; it happens in the runs that pass all ``tests``."""

    tests: tuple[Test, ...] = ()

    @property
    def tested(self) -> int:
        """Mask of the columns that the tests read."""
        return bits_of(column for test in self.tests for column in test.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unitary(_Operation):
    """A one-qubit gate on the only wire of ``qubit``: X first where ``flip`` is 1, which is then 0."""

    qubit: int
    matrix: Matrix
    flip: int = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase(_Operation):
    """exp(i ``angle``) where all ``wires``, given as (qubit, column of its flip), are 1."""

    angle: float
    wires: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(_Operation):
    """A CNOT between logical qubits."""

    control: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(_Operation):
    """Column ``into`` becomes the sum modulo 2 of columns ``of``, and 1 more if ``toggled``."""

    into: int
    of: tuple[int, ...] = ()
    toggled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign(_Operation):
    """Z on ``qubit`` where ``column`` is 1."""

    qubit: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw(_Operation):
    """One of several effects by chance, nothing with the chance that is left.

    Everything that one cause does is one effect: what is common to several wires is drawn jointly.
    """

    chances: tuple[tuple[Effect, float], ...]

    @property
    def support(self) -> Effect:
        """Everything that some effect changes."""
        effects = [effect for effect, _ in self.chances]
        return Effect(
            reduce(or_, (each.columns for each in effects), 0), reduce(or_, (each.signs for each in effects), 0)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(_Operation):
    """Measure ``qubit`` into column ``bit``, read on a wire with that ``flip``."""

    qubit: int
    bit: int
    flip: int = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(_Operation):
    """Turn ``qubit`` to |0>."""

    qubit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay(_Operation):
    """Amplitude damping by ``share`` of the wire of ``qubit`` with that ``flip``."""

    qubit: int
    flip: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(_Operation):
    """X on the only wire of ``qubit`` where ``flip`` is 1, which is then 0: another way to write the same state.

    Density matrices take it, since rows whose columns are then equal are added. Drawn shots leave it out.
    """

    qubit: int
    flip: int


Operation: TypeAlias = Unitary | Phase | Not | Assign | Sign | Draw | Measure | Reset | Decay | Settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Logical:
    """An emitted circuit on its logical qubits.

    Attributes:
        qubits: how many.
        columns: how many; all are 0 at first.
        operations: in order.
        records: (column, qubit) of what is measured last of all: the outcome is the column plus the qubit, modulo 2.
        late: errors that only change outcomes; they happen to every outcome by chance.
        ends: where each of the user's qubits is at the end: those that were exchanged hold each other's states.
        flips: column of the flip of each of the user's qubits at the end.
        live: the most columns, the user's bits aside, that may be 1 at once.
        twirled: waits of which only the Pauli twirl is in the operations.
    """

    qubits: int
    columns: int
    operations: tuple[Operation, ...]
    records: tuple[tuple[int, int], ...] = ()
    late: tuple[Draw, ...] = ()
    ends: tuple[int, ...] = ()
    flips: tuple[int, ...] = ()
    live: int = 0
    twirled: int = 0


def bits_of(places: Iterable[int]) -> int:
    """Return the number with those bits, ``ALWAYS`` left out."""
    return sum({1 << place for place in places if place != ALWAYS})


def places_of(mask: int) -> Iterator[int]:
    """Yield the bits of a number, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


# ------------------------------------------------------------------------------------------------------------- chances

Chances: TypeAlias = dict[Effect, float]
"""Effects and their chances, ``NOTHING`` included: they sum to 1."""


def chances_of(draw: Draw) -> Chances:
    """Return the chances of a draw, nothing included."""
    chances = {NOTHING: 1.0 - sum(chance for _, chance in draw.chances)}
    for effect, chance in draw.chances:
        chances[effect] = chances.get(effect, 0.0) + chance
    return chances


def draw_of(chances: Chances) -> Draw | None:
    """Return the draw of some chances; None when nothing can happen."""
    real = tuple((effect, chance) for effect, chance in chances.items() if effect != NOTHING and chance > 0)
    return Draw(chances=real) if real else None


def both(first: Chances, second: Chances) -> Chances:
    """Return the chances of the joint effect of two independent causes."""
    joint: Chances = {}
    for one, p in first.items():
        for other, q in second.items():
            joint[one ^ other] = joint.get(one ^ other, 0.0) + p * q
    return joint


def mixed(parts: Iterable[tuple[float, Chances]]) -> Chances:
    """Return the chances of one of several causes, by weight."""
    total: Chances = {}
    for weight, chances in parts:
        for effect, chance in chances.items():
            total[effect] = total.get(effect, 0.0) + weight * chance
    return total


def pauli_chances(weights: Iterable[float], x: Effect, z: Effect) -> Chances:
    """Return the chances of a Pauli error of given weights (I, X, Y, Z), from the effects of X and of Z."""
    return mixed((weight, {effect: 1.0}) for weight, effect in zip(weights, (NOTHING, x, x ^ z, z), strict=True))


def mapped(draw: Draw, change: dict[Effect, Effect]) -> Draw | None:
    """Return a draw with its effects replaced; None when nothing is left of it."""
    chances: Chances = {}
    for effect, chance in draw.chances:
        chances[change[effect]] = chances.get(change[effect], 0.0) + chance
    found = draw_of(chances)
    return None if found is None else replace(found, tests=draw.tests)
