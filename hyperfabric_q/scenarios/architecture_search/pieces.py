"""A neural architecture by annealing: some networks are trained, a model of their scores is annealed, one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import dimod
import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.scenarios.architecture_search.networks import USUAL, WHOLE, Bench
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.outcome import Outcome
from hyperfabric_q.seeds import word
from hyperfabric_q.workloads.annealing import public as annealing

__all__ = [
    "ChosenArchitecture",
    "convert_to_qubo",
    "decode_quantum_solution",
    "define_neural_architecture_space",
    "measure_architecture",
    "play",
    "serialize_qubo",
]

STATE: Final = "architecture_search"
MEASURED: Final = 48
"""Architectures that are trained before the first model of their scores."""

EPOCHS: Final = 8
READS: Final = 200
_CLIP: Final = 0.005


@dataclass(slots=True, eq=False)
class Search:
    """What was measured in this world, and the models made of it.

    Attributes:
        bench: trains networks.
        scores: accuracy of each architecture that was trained, by its options as text.
        models: the latest model for each set of variables.
    """

    bench: Bench
    scores: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict)
    models: dict[frozenset[object], annealing.Surrogate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChosenArchitecture:
    """An architecture that annealing chose.

    Attributes:
        architecture: an option for each decision; None if the lowest sample leaves some undecided.
        undecided: those.
        expected: accuracy that the model expects of it.
        answer: of the annealer.
        annealed_at: its node; None = nobody answered there, and it was annealed here, in no time on the clock.
    """

    architecture: dict[str, Any] | None
    undecided: tuple[str, ...]
    expected: float
    answer: annealing.Answer
    annealed_at: str | None

    def __str__(self) -> str:
        where = f"at {self.annealed_at}" if self.annealed_at else "here: nobody answered at the annealer"
        if self.architecture is None:
            return f"undecided: {', '.join(self.undecided)}; annealed {where}"
        told = ", ".join(f"{name} {option}" for name, option in self.architecture.items())
        return f"{told}; expected accuracy {self.expected:.3f}; annealed {where}"


def search() -> Search:
    """Return the search of this world."""
    world = current_world()
    return world.state(STATE, lambda: Search(Bench(word(world.seed, STATE))))


def define_neural_architecture_space() -> annealing.SearchSpace:
    """Return eight decisions about a small network and its training: 25,920 architectures."""
    return annealing.SearchSpace(WHOLE)


def measure_architecture(architecture: Mapping[str, Any], epochs: int = EPOCHS) -> float:
    """Return the accuracy of a network that is trained briefly; the next ``convert_to_qubo`` takes it into account."""
    found = search()
    score = found.bench.score(architecture, epochs).choosing
    found.scores[_name(architecture)] = dict(architecture), score
    return score


def known_score(architecture: Mapping[str, Any]) -> float | None:
    """Return the accuracy of an architecture that was measured in this world; None of others."""
    found = search().scores.get(_name(architecture))
    return None if found is None else found[1]


def _name(architecture: Mapping[str, Any]) -> str:
    return repr(sorted(architecture.items()))


def convert_to_qubo(
    space: annealing.SearchSpace, *, measured: int = MEASURED, epochs: int = EPOCHS
) -> dimod.BinaryQuadraticModel:
    """Return the search for the best architecture as a QUBO: a variable per option, with penalties for none and two.

    Its energy models minus the log odds of right answers: odds, because effects add up in them and not in shares.

    Args:
        space: decisions about which the networks of this scenario know.
        measured: how many architectures are known before it is modelled; those that are missing are drawn and trained.
        epochs: of their training.

    Raises:
        InvalidValue: the space has another decision, or a number is out of range.

    Cost: 10 to 40 ms for each architecture that is trained.
    """
    measured = fields.count("measured", measured, "a search", least=1, what="architectures")
    if unknown := [name for name in space.decisions if name not in USUAL]:
        rule = f"networks are described by {', '.join(USUAL)}"
        raise InvalidValue(field="space", value=unknown[0], rule=rule)
    found, rng = search(), current_world().stream(STATE)
    known = _known(found, space)
    for each in space.drawn(min(space.size, max(0, measured - len(known))), rng) if measured > len(known) else ():
        measure_architecture(each, epochs)
    known = _known(found, space)
    model = annealing.fitted(space, [each for each, _ in known], [log_odds(score) for _, score in known])
    bqm: dimod.BinaryQuadraticModel = annealing.penalised(model.problem()).bqm
    found.models[frozenset(bqm.variables)] = model
    return bqm


def _known(found: Search, space: annealing.SearchSpace) -> list[tuple[dict[str, Any], float]]:
    inside = set(space.decisions)
    return [
        (each, score)
        for each, score in found.scores.values()
        if set(each) == inside and all(each[name] in options for name, options in space.decisions.items())
    ]


def log_odds(share: float) -> float:
    """Return the logarithm of the odds of right answers, which is finite at 0 and 1 too."""
    return float(np.log((share + _CLIP) / (1 + _CLIP - share)))


def serialize_qubo(qubo: dimod.BinaryQuadraticModel) -> bytes:
    """Return a QUBO as dimod's file: what an annealer's service reads."""
    return annealing.file_bytes(annealing.read_problem(qubo))


def decode_quantum_solution(answer: object) -> ChosenArchitecture:
    """Return the architecture that an annealer chose.

    A problem that nobody answered, since no service is attached at the annealer, is annealed here.

    Args:
        answer: the result of sending a serialised QUBO to an annealer, its ``Answer``, or the problem itself.

    Raises:
        InvalidValue: it is no answer and no problem, or none that ``convert_to_qubo`` made in this world.
    """
    given = answer.value if isinstance(answer, hq.TransferResult) else answer
    if isinstance(given, annealing.Answer):
        solved = given
    else:
        solved = annealing.solve(given, reads=READS, solver="simulated_annealing", seed=current_world().seed)
    model = search().models.get(frozenset(solved.sample))
    if model is None:
        rule = "only a problem that convert_to_qubo made in this world can be decoded"
        raise InvalidValue(field="answer", value=f"{len(solved.sample)} variables", rule=rule)
    found = annealing.decoded(model.space, solved)
    expected = float("nan") if found.architecture is None else 1 / (1 + np.exp(-model.score(found.architecture)))
    return ChosenArchitecture(
        architecture=found.architecture,
        undecided=found.undecided,
        expected=float(expected),
        answer=solved,
        annealed_at=solved.node,
    )


def play(*, size: Size) -> Outcome:
    """Return what an annealer chooses, how good that is, and what it does not help with."""
    from hyperfabric_q.scenarios.architecture_search.run import played  # noqa: PLC0415 - it is made of these pieces

    return played(size)
