"""What a plan is chosen by: measures of it, one alone, weighted, or one after the other.

The measures are the cost models by name ("ebits", "infidelity" and registered ones: what the pairs of a plan cost,
fresh) and two that the clock of the fabric says: "fidelity", the -ln F of the whole program, and "makespan".

In a weighted sum each measure counts as a share of what the plan of fewest e-bits has of it, so that weights need no
units: with ``{"fidelity": 1.0, "makespan": 0.2}``, one percent of infidelity outweighs four percent of time. In a
sequence, the later ones decide among what is equal by the earlier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from hyperfabric_q.distribution.cost_models import cost_models
from hyperfabric_q.distribution.timetable import Timetable
from hyperfabric_q.errors import InvalidValue, UnknownName

CLOCKED: Final = ("fidelity", "makespan")
"""Measures that need the plan on the clock."""

MOST_MEASURES: Final = 16

MOST_WEIGHT: Final = 1e9

SLACK: Final = 1e-9
"""Relative; measures this close are equal: they differ by rounding."""

LEAST: Final = 1e-300

EXAMPLES: Final = (
    'Write "fidelity", {"fidelity": 1.0, "makespan": 0.2} or ("ebits", "makespan"); as text, '
    '"fidelity+0.2*makespan" or "ebits,makespan".'
)


class Term(NamedTuple):
    """A measure and its weight."""

    measure: str
    weight: float = 1.0

    def __str__(self) -> str:
        return self.measure if self.weight == 1 else f"{self.weight!r}".removesuffix(".0") + f"*{self.measure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a plan is chosen by.

    Attributes:
        levels: weighted sums of measures, the one that decides first; each a tuple of terms.
    """

    levels: tuple[tuple[Term, ...], ...]

    def __post_init__(self) -> None:
        terms = [term for level in self.levels for term in level]
        if not all(self.levels) or not 0 < len(terms) <= MOST_MEASURES:
            raise _refusal(str(self), f"it has {len(terms)} measures, of 1 to {MOST_MEASURES}, and no empty level")
        for term in terms:
            _check_measure(term.measure)
            _check_weight(term)
        levels = tuple(tuple(Term(measure, float(weight)) for measure, weight in level) for level in self.levels)
        object.__setattr__(self, "levels", levels)
        names = [term.measure for term in terms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise _refusal(str(self), f"{twice!r} is named twice")

    @property
    def measures(self) -> tuple[str, ...]:
        """Every measure, in order."""
        return tuple(term.measure for level in self.levels for term in level)

    @property
    def clocked(self) -> bool:
        """Whether plans must be put on the clock."""
        return any(measure in CLOCKED for measure in self.measures)

    @property
    def leading(self) -> str:
        """The measure of largest weight, the earlier of equals, among those that decide first."""
        return max(self.levels[0], key=lambda term: term.weight).measure

    def best(self, found: Sequence[Mapping[str, float]], ties: Sequence[float] = ()) -> int:
        """Return which of several plans is best, the earliest of equals; the first is what shares refer to.

        Args:
            found: every measure of each plan.
            ties: decides among equals, less is better.
        """
        left = list(range(len(found)))
        for level in self.levels:
            scores = {each: self._score(level, found[each], found[0]) for each in left}
            most = min(scores.values())
            left = [each for each in left if scores[each] <= most + SLACK * abs(most)]
        return min(left, key=lambda each: ties[each]) if ties else left[0]

    @staticmethod
    def _score(level: Sequence[Term], measured: Mapping[str, float], first: Mapping[str, float]) -> float:
        if len(level) == 1:
            return measured[level[0].measure]
        return math.fsum(weight * measured[name] / (first[name] or 1.0) for name, weight in level)

    def __str__(self) -> str:
        return ",".join("+".join(str(term) for term in level) for level in self.levels)


Wanted: TypeAlias = Objective | str | Mapping[str, float] | Sequence[str | Mapping[str, float]]
"""How callers say it: a measure, weights, a sequence of these, or the same as text ("ebits,fidelity+0.2*makespan")."""


def objective_of(wanted: object) -> Objective:
    """Return what is meant by a measure, weights, a sequence of both, or text; see ``Wanted``.

    Raises:
        UnknownName: there is no such measure.
        InvalidValue: it is no objective.
    """
    if isinstance(wanted, Objective):
        return wanted
    if isinstance(wanted, str):
        levels = [_read(level) for level in wanted.split(",")]
    elif isinstance(wanted, Mapping):
        levels = [_weighted(wanted)]
    elif isinstance(wanted, Sequence) and not isinstance(wanted, bytes | bytearray):
        levels = [_level(each) for each in wanted]
    else:
        raise _refusal(wanted, "it is a measure, weights of measures, or a sequence of these")
    return Objective(levels=tuple(levels))


def _level(wanted: object) -> tuple[Term, ...]:
    if isinstance(wanted, str):
        return _read(wanted)
    if isinstance(wanted, Mapping):
        return _weighted(wanted)
    raise _refusal(wanted, "each part of the sequence is a measure or weights of measures")


def _weighted(wanted: Mapping[Any, Any]) -> tuple[Term, ...]:
    return tuple(Term(name, weight) for name, weight in wanted.items())


def _read(text: str) -> tuple[Term, ...]:
    """Read "fidelity+0.2*makespan"."""
    found = []
    for part in text.split("+"):
        factor, star, name = part.rpartition("*")
        try:
            weight = float(factor) if star else 1.0
        except ValueError:
            raise _refusal(text, f"{factor!r} is no number to weigh {name.strip()!r} by") from None
        found.append(Term(name.strip(), weight))
    return tuple(found)


def _check_measure(name: object) -> None:
    if not isinstance(name, str):
        raise _refusal(name, "a measure is named by text")
    if name in CLOCKED:
        return
    try:
        cost_models[name]
    except UnknownName:
        known = dict.fromkeys(("ebits", *CLOCKED, *cost_models))
        raise UnknownName(kind="objective", name=name[:200], known=tuple(known)) from None


def _check_weight(term: Term) -> None:
    weight: object = term.weight
    if isinstance(weight, bool) or not isinstance(weight, int | float | np.integer) or not 0 < weight <= MOST_WEIGHT:
        rule = f"a weight is a positive number up to {MOST_WEIGHT:g}, and of every measure less is better"
        raise _refusal({term.measure: weight}, rule)


def _refusal(value: object, rule: str) -> InvalidValue:
    return InvalidValue(field="objective", value=value, rule=rule, remedy=EXAMPLES)


def clocked_measures(table: Timetable) -> dict[str, float]:
    """Return what the clock says of a plan, less is better: -ln F and seconds."""
    kept = [np.log(np.maximum(each, LEAST)).sum() for each in (table.pairs.fidelity, table.idle_fidelity)]
    lost = -float(sum(kept)) / table.runs - math.log(max(table.gate_fidelity, LEAST))
    return {"fidelity": lost, "makespan": float(table.makespan_ps.mean()) / 1e12}
