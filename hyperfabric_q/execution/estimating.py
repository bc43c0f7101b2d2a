"""A plan and some observables in, estimates out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.execution.measured import with_measurements
from hyperfabric_q.execution.observables import Tally, estimates_of, further, settings_of
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.execution.timelines import MOST_TIMELINES, Timelines
from hyperfabric_q.seeds import word

if TYPE_CHECKING:
    from qiskit.circuit import ClassicalRegister

    from hyperfabric_q.distribution.plan import Plan

MOST_SHOTS: Final = 100_000_000
PILOT: Final = 1000
_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """Shots of one setting that are wanted.

    Attributes:
        plan: what runs, turned and measured.
        register: that it is measured into.
        shots: of all timelines together.
        seed: of everything that is drawn.
        place: which part of the run it is.
    """

    plan: Plan
    register: ClassicalRegister
    shots: int
    seed: int
    place: tuple[str | int, ...]


Take = Callable[[Sequence[Request], Timelines], list[list[Sample | None]]]
"""(requests, timelines) -> for each request the sample of each timeline, None where the run was ended before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """Estimates of some observables, and what they took.

    Attributes:
        estimates: one per observable.
        settings: how many bases were measured.
        shots: of all of them.
        samples: everything that was taken.
        timelines: all that were simulated.
        notes: what was not reached.
    """

    estimates: tuple[Estimate, ...]
    settings: int
    shots: int
    samples: tuple[Sample, ...]
    timelines: Timelines
    notes: tuple[str, ...]


def estimate(
    plan: Plan,
    observables: Any,
    *,
    shots: int,
    precision: float | None,
    seed: int,
    timelines: Timelines,
    draw: Callable[[int, int], Timelines],
    take: Take,
) -> Estimated | None:
    """Return estimates of observables in the state that a plan's circuit ends in; None if it was ended before any.

    Where timelines are sampled, more shots come with more timelines: shots alone do not reach every precision.

    Args:
        plan: what runs.
        observables: one or several.
        shots: of each setting, or of the first round if there is a ``precision``.
        precision: standard error that every observable is brought to; None = as ``shots`` give.
        seed: of everything that is drawn.
        timelines: of the first round, and of all unless they are sampled.
        draw: (how many, seed) -> further timelines.
        take: how samples are taken.

    Raises:
        InvalidValue: no observables of this circuit, or a precision that needs more shots than are run.
    """
    settings = settings_of(observables, plan.program.qubits)
    tallies = [Tally.empty(setting) for setting in settings.settings]
    asked = [shots if precision is None else min(shots, PILOT)] * len(tallies)
    samples, noises = list[Sample](), list(timelines.noises)
    notes: tuple[str, ...] = ()
    for number in range(_ROUNDS):
        own = word(seed, "round", number)
        wanted = [place for place, more in enumerate(asked) if more]
        requests = [_request(plan, tallies[place], asked[place], own, (number, place)) for place in wanted]
        before = sum(tally.total for tally in tallies)
        for place, every in zip(wanted, take(requests, timelines), strict=True):
            there = [each for each in every if each is not None]
            for found in there:
                tallies[place].add(found.counts, again=number > 0 and timelines.averaging != "sampled")
            samples += there
        if not all(tally.shots for tally in tallies):
            return None
        ended = sum(tally.total for tally in tallies) < before + sum(asked)
        if ended or precision is None or not tallies:
            break
        asked, lines = further(tallies, precision)
        if not any(asked):
            break
        _check_affordable(sum(asked) + sum(tally.total for tally in tallies), precision)
        if timelines.averaging == "sampled":
            timelines = draw(min(max(lines, len(timelines)), MOST_TIMELINES), word(own, "more"))
            noises += timelines.noises
    else:
        notes = (f"a precision of {precision:g} was not reached in {_ROUNDS} rounds: see the bars",)
    return Estimated(
        estimates=estimates_of(settings, tallies),
        settings=len(settings),
        shots=sum(tally.total for tally in tallies),
        samples=tuple(samples),
        timelines=replace(timelines, noises=tuple(noises)),
        notes=notes,
    )


def _request(plan: Plan, tally: Tally, shots: int, seed: int, place: tuple[int, int]) -> Request:
    number, setting = place
    turned, register = with_measurements(plan, tally.setting.bases)
    return Request(
        plan=turned,
        register=register,
        shots=shots,
        seed=word(seed, "setting", setting),
        place=("round", number, "setting", setting),
    )


def wanted_precision(precision: object) -> float | None:
    """Return a precision that was asked for; None for none.

    Raises:
        InvalidValue: it is no number above zero.
    """
    if precision is None:
        return None
    number = isinstance(precision, int | float) and not isinstance(precision, bool)
    if not number or not 0 < float(precision) < math.inf:  # type: ignore[arg-type]
        raise InvalidValue(
            field="precision", value=precision, rule="it is a standard error, a finite number above zero"
        )
    return float(precision)  # type: ignore[arg-type]


def _check_affordable(shots: int, precision: float | None) -> None:
    if shots > MOST_SHOTS:
        raise InvalidValue(
            field="precision",
            value=precision,
            rule=f"it would need about {shots:,} shots, and at most {MOST_SHOTS:,} are run",
            remedy="Ask for less precision, or for fewer observables.",
        )
