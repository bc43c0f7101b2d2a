"""An architecture chosen by annealing: decisions with options, a model of their scores, a problem with one-hot groups.

One binary variable stands for one option of one decision. From measured scores of some architectures a model is fitted:
a worth of each option, and of each pair of options of two decisions. Its maximum, with exactly one option per decision,
is a binary quadratic problem; what the annealer returns is decoded into an architecture again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import dimod
import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.workloads.annealing.answers import Answer
from hyperfabric_q.workloads.annealing.problems import BQM

Floats = NDArray[np.float64]

Architecture: TypeAlias = dict[str, Any]
"""One option per decision."""

MOST_OPTIONS: Final = 2_000
_RIDGES: Final = tuple(float(each) for each in np.geomspace(0.01, 100, 13))


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Decisions by name, and the options of each.

    Raises:
        InvalidValue: there is no decision, one has no options, has one twice, or there are more than ``MOST_OPTIONS``.
    """

    decisions: Mapping[str, Sequence[Any]]

    def __post_init__(self) -> None:
        given: object = self.decisions
        if not isinstance(given, Mapping) or not given:
            raise InvalidValue(field="decisions", value=given, rule="a search space maps decisions to their options")
        kept = {str(name): tuple(options) for name, options in given.items()}
        for name, options in kept.items():
            if not options or len({repr(each) for each in options}) < len(options):
                rule = f"decision {name!r} needs one option or more, each of them once"
                raise InvalidValue(field="decisions", value=list(options), rule=rule)
        if (total := sum(len(options) for options in kept.values())) > MOST_OPTIONS:
            rule = f"options become variables, and at most {MOST_OPTIONS:,} are modelled"
            raise InvalidValue(field="decisions", value=f"{total:,} options", rule=rule)
        object.__setattr__(self, "decisions", kept)

    @property
    def size(self) -> int:
        """How many architectures there are."""
        return math.prod(len(options) for options in self.decisions.values())

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The variables of each decision, "decision=option"."""
        return tuple(tuple(f"{name}={option}" for option in options) for name, options in self.decisions.items())

    def __iter__(self) -> Iterator[Architecture]:
        """Iterate over all architectures."""
        for options in itertools.product(*self.decisions.values()):
            yield dict(zip(self.decisions, options, strict=True))

    def places(self, architecture: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the place of the chosen option within each decision.

        Raises:
            InvalidValue: it does not choose one known option for each decision.
        """
        if set(architecture) != set(self.decisions):
            rule = f"an architecture decides {', '.join(self.decisions)}"
            raise InvalidValue(field="architecture", value=dict(architecture), rule=rule)
        found = []
        for name, options in self.decisions.items():
            if architecture[name] not in options:
                rule = f"the options of {name!r} are {', '.join(repr(each) for each in options)}"
                raise InvalidValue(field=name, value=architecture[name], rule=rule)
            found.append(options.index(architecture[name]))
        return tuple(found)

    def drawn(self, count: int, random: np.random.Generator) -> list[Architecture]:
        """Return ``count`` different architectures in which each option comes up about equally often.

        Args:
            count: how many; at most ``size``.
            random: decides which.
        """
        count = fields.count("count", count, "a search space", least=1, most=self.size, what="architectures")
        found: dict[tuple[int, ...], None] = {}
        for _ in range(_PASSES):
            columns = [
                random.permutation(np.resize(random.permutation(len(options)), count))
                for options in self.decisions.values()
            ]
            for row in zip(*(column.tolist() for column in columns), strict=True):
                if len(found) < count:
                    found.setdefault(row)
        names = list(self.decisions)
        if len(found) < count:  # most of the space is wanted: fill up at random
            rest = [
                row for row in itertools.product(*map(range, map(len, self.decisions.values()))) if row not in found
            ]
            for place in random.permutation(len(rest))[: count - len(found)]:
                found.setdefault(rest[int(place)])
        return [{name: self.decisions[name][place] for name, place in zip(names, row, strict=True)} for row in found]


_PASSES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """A model of scores: constant, worth of each option, worth of each pair of options of two decisions.

    Attributes:
        space: the architectures.
        model: the score, negated, as a QUBO without constraints; its energy at an architecture is minus the score.
        error: root mean square of what the model was fitted to and misses, each left out in turn.
    """

    space: SearchSpace
    model: BQM
    error: float

    def score(self, architecture: Mapping[str, Any]) -> float:
        """Return the score that the model expects."""
        chosen = self.space.places(architecture)
        sample = {
            name: int(place == option)
            for group, place in zip(self.space.groups, chosen, strict=True)
            for option, name in enumerate(group)
        }
        return -float(self.model.energy(sample))

    def problem(self) -> dimod.ConstrainedQuadraticModel:
        """Return the search for the best architecture: lowest energy with exactly one option per decision."""
        from hyperfabric_q.workloads.annealing.constraints import with_one_hot  # noqa: PLC0415 - one user

        return with_one_hot(self.model, self.space.groups)


def fitted(
    space: SearchSpace,
    architectures: Sequence[Mapping[str, Any]],
    scores: Sequence[float],
    *,
    ridge: float | None = None,
) -> Surrogate:
    """Return the model of measured scores, fitted by ridge regression.

    Args:
        space: the architectures.
        architectures: the measured ones.
        scores: of each; higher is better.
        ridge: weight of the squares of worths against those of misses; None takes, of 13 from 0.01 to 100, the one
            whose misses are least when each measurement is left out.

    Raises:
        InvalidValue: the lengths differ, a score is not finite, or ``ridge`` is not above 0.

    Cost: cubic in the number of measured architectures or of worths, whichever is smaller.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(architectures) or not len(values) or not np.isfinite(values).all():
        rule = f"there is one finite score for each of {len(architectures)} measured architectures"
        raise InvalidValue(field="scores", value=f"{values.shape} scores", rule=rule)
    ridges = _RIDGES if ridge is None else (fields.number("ridge", ridge, "a model of scores", above=True, most=1e6),)
    names = [name for group in space.groups for name in group]
    starts = np.cumsum([0, *(len(group) for group in space.groups)])
    pairs = [
        (int(starts[a]) + i, int(starts[b]) + j)
        for a, b in itertools.combinations(range(len(space.groups)), 2)
        for i in range(len(space.groups[a]))
        for j in range(len(space.groups[b]))
    ]
    single = np.zeros((len(values), len(names)))
    for row, each in enumerate(architectures):
        single[row, starts[:-1] + np.array(space.places(each))] = 1.0
    design = np.hstack([single, *(single[:, [a]] * single[:, [b]] for a, b in pairs)])
    mean = float(values.mean())
    # Dual form: as many unknowns as measurements, and what each would be without itself comes for free.
    solved = []
    for shrink in ridges:
        inverse = np.linalg.inv(design @ design.T + shrink * np.eye(len(values)))
        dual = inverse @ (values - mean)
        solved.append((float(np.sqrt(np.mean((dual / np.diag(inverse)) ** 2))), design.T @ dual))
    error, worth = min(solved, key=lambda row: row[0])
    model = BQM("BINARY", dtype=np.float64)
    for name, weight in zip(names, worth, strict=False):
        model.add_linear(name, -float(weight))
    for (a, b), weight in zip(pairs, worth[len(names) :], strict=True):
        model.add_quadratic(names[a], names[b], -float(weight))
    model.offset = -mean
    return Surrogate(space=space, model=model, error=error)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a sample says.

    Attributes:
        architecture: one option per decision; None where a decision has none, or several.
        undecided: decisions without exactly one option.
    """

    architecture: Architecture | None
    undecided: tuple[str, ...]


def decoded(space: SearchSpace, answer: Answer | Mapping[Hashable, int]) -> Found:
    """Return the architecture that a sample, or the best sample of an answer, stands for.

    Raises:
        InvalidValue: the sample lacks a variable of the space.
    """
    sample = answer.sample if isinstance(answer, Answer) else answer
    chosen: Architecture = {}
    undecided = []
    for (name, options), group in zip(space.decisions.items(), space.groups, strict=True):
        missing = [each for each in group if each not in sample]
        if missing:
            raise InvalidValue(field="sample", value=missing[0], rule="the sample has no such variable")
        set_here = [option for option, each in zip(options, group, strict=True) if sample[each] == 1]
        if len(set_here) == 1:
            chosen[name] = set_here[0]
        else:
            undecided.append(name)
    return Found(architecture=None if undecided else chosen, undecided=tuple(undecided))
