"""Which way of running a circuit is best within a budget of shots, pairs and time?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.engine import exact
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.subexperiments import Subexperiments, make_subexperiments
from hyperfabric_q.cutting.trim import trimmed
from hyperfabric_q.errors import BudgetTooSmall, Infeasible, InvalidValue, SimulationRefused
from hyperfabric_q.mixing.forecast import Forecast, modelled, rehearsed
from hyperfabric_q.mixing.laws import Cast, NodeLaws
from hyperfabric_q.mixing.stage import Stage
from hyperfabric_q.mixing.ways import Impossible, Way, Ways, corrections
from hyperfabric_q.seeds import word

OBJECTIVES: Final = ("mse", "shots", "ebits", "fidelity", "makespan")

USUAL_SHOTS: Final = 4096

_DIGITS: Final = 9
"""Of biases that are compared: beyond is rounding."""

MOST_REHEARSED: Final = 1000
"""Circuits of all ways together whose laws are worked out; a way of more than is left is modelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may take.

    Attributes:
        shots: in all, over all circuits; None where the precision says how many.
        precision: root mean square error of the observables that is wanted; None for the best that the shots give.
        max_pairs: Bell pairs of one shot of any circuit.
        deadline_ns: time of one shot of any circuit on the clock of the fabric.
    """

    shots: int | None = None
    precision: float | None = None
    max_pairs: int | None = None
    deadline_ns: float | None = None

    @property
    def planned(self) -> int:
        """The shots that are reckoned with."""
        return USUAL_SHOTS if self.shots is None else self.shots

    def why_not(self, forecast: Forecast) -> str | None:
        """Return why a forecast is beyond the budget; None if it is within."""
        if self.max_pairs is not None and forecast.ebits > self.max_pairs:
            return f"takes {forecast.ebits} Bell pairs"
        if self.deadline_ns is not None and (forecast.makespan_ns is None or forecast.makespan_ns > self.deadline_ns):
            time = forecast.makespan_ns
            return "is refused by the clock" if time is None else f"takes {time:,.0f} ns"
        if self.shots is not None and forecast.circuits > self.shots:
            return f"has {forecast.circuits:,} circuits"
        return None if self.precision is None else self._why_not_precise(forecast, self.precision)

    def _why_not_precise(self, forecast: Forecast, precision: float) -> str | None:
        needed = forecast.shots_for(precision)
        if math.isinf(needed):
            return f"has a bias of {forecast.bias:.3g}"
        return f"needs {needed:,.0f} shots" if self.shots is not None and needed > self.shots else None

    def __str__(self) -> str:
        told = [
            f"{self.shots:,} shots" if self.shots is not None else "",
            f"precision {self.precision:g}" if self.precision is not None else "",
            f"{self.max_pairs} Bell pairs a shot" if self.max_pairs is not None else "",
            f"{self.deadline_ns:,.0f} ns a shot" if self.deadline_ns is not None else "",
        ]
        return ", ".join(each for each in told if each) or "any budget"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A way with its corrections, its circuits and what is expected of it."""

    way: Way
    cast: Cast
    wanted: Subexperiments
    forecast: Forecast
    excluded: str | None

    @property
    def name(self) -> str:
        """In words."""
        links = ", ".join("--".join(ends) for ends in sorted(self.cast.assisted))
        return f"{self.way.name}, pairs corrected on {links}" if links else self.way.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """Everything that was looked at, best first.

    Attributes:
        candidates: the first is chosen; those beyond the budget stand last.
        impossible: what there is no way to do, and why.
        stage: holds their plans.
    """

    candidates: tuple[Candidate, ...]
    impossible: tuple[Impossible, ...]
    stage: Stage


def choose(
    circuit: QuantumCircuit,
    stage: Stage,
    *,
    observables: Sequence[object],
    labels: Sequence[str],
    methods: tuple[str, ...],
    objective: str,
    budget: Budget,
    time_limit_s: float,
    seed: int,
) -> Choice:
    """Return all ways, ranked by an objective within a budget.

    Args:
        circuit: what runs.
        stage: the fabric, with the errors that count.
        observables: what is estimated.
        labels: the same in short.
        methods: names in ``ways.METHODS``.
        objective: a name in ``OBJECTIVES``.
        budget: what it may take.
        time_limit_s: of the searches.
        seed: of searches and forecasts.

    Raises:
        Infeasible: there is no way at all, or none within the budget.
    """
    ways = Ways(circuit, stage.fabric, methods, time_limit_s, word(seed, "ways"), [])
    found = list(ways.found())
    casts = [_prepared(way, stage, observables, labels, methods, ways.impossible) for way in found]
    ready = [(way, *cast) for way, cast in zip(found, casts, strict=True) if cast is not None]
    ideal = _ideal([way for way, *_ in ready], observables) if ready and _all_narrow(ready, stage) else None
    left = MOST_REHEARSED
    candidates: list[Candidate] = []
    for way, plain, wanted, choices in ready:
        for assisted in choices:
            cast = replace(plain, assisted=assisted)
            laws = NodeLaws(wanted, stage, cast, seed=word(seed, "laws"))
            rehearses = ideal is not None and len(wanted) <= left
            try:
                forecast = (
                    rehearsed(laws, ideal, shots=budget.planned)
                    if rehearses and ideal is not None
                    else modelled(laws, shots=budget.planned)
                )
            except (Infeasible, InvalidValue, SimulationRefused) as fault:  # pairs whose errors nothing undoes, say
                ways.impossible.append(Impossible(name=way.name, reason=str(fault)))
                continue
            left -= len(wanted) if rehearses else 0
            candidates.append(
                Candidate(way=way, cast=cast, wanted=wanted, forecast=forecast, excluded=budget.why_not(forecast))
            )
    score = _score(objective, budget)
    ranked = sorted(candidates, key=lambda each: (each.excluded is not None, *score(each.forecast)))
    if not ranked or ranked[0].excluded is not None:
        raise _nothing(circuit, budget, ranked, ways.impossible)
    return Choice(candidates=tuple(ranked), impossible=tuple(ways.impossible), stage=stage)


def _prepared(
    way: Way,
    stage: Stage,
    observables: Sequence[object],
    labels: Sequence[str],
    methods: tuple[str, ...],
    impossible: list[Impossible],
) -> tuple[Cast, Subexperiments, list[frozenset[tuple[str, str]]]] | None:
    """The islands and circuits of a way, and the choices of links that are corrected; None where it does not fit."""
    pieces, measured = trimmed(way.cut, measure(way.cut, observables, wires=way.wires))
    one = len(pieces.fragments) == 1
    cast = Cast(
        nodes=way.nodes,
        assisted=frozenset(),
        plan=way.plan if one else None,
        outputs=pieces.fragments[0].outputs if one else (),
    )
    try:
        wanted = make_subexperiments(pieces, measured, labels)
    except SimulationRefused as fault:
        impossible.append(Impossible(name=way.name, reason=str(fault)))
        return None
    laws = NodeLaws(wanted, stage, cast)
    first = {member.variants[0].fragment: member for member in reversed(wanted.members)}
    try:
        links = sorted({link for member in first.values() for link in laws.staged(member).links})
    except (Infeasible, InvalidValue) as fault:  # it does not fit, or the clock refuses its pairs
        impossible.append(Impossible(name=way.name, reason=str(fault)))
        return None
    return cast, wanted, corrections(links, stage.fabric, methods)


def _all_narrow(ready: Sequence[tuple[Way, Cast, Subexperiments, object]], stage: Stage) -> bool:
    """Whether every circuit of every way is narrow: forecasts of two kinds cannot be compared."""
    laws = [NodeLaws(wanted, stage, cast) for _, cast, wanted, _ in ready]
    return all(each.is_listed(member) for each in laws for member in each.wanted)


def _ideal(found: Sequence[Way], observables: Sequence[object]) -> Real:
    """The exact values; any cut gives them, one with narrow fragments soonest."""
    way = min(found, key=lambda each: max(len(fragment.wires) for fragment in each.cut.fragments))
    return np.asarray(exact(way.cut, observables, wires=way.wires))


def _score(objective: str, budget: Budget) -> Callable[[Forecast], tuple[float, ...]]:
    """What is least for the best: by the objective, and among equals by the mean square error."""

    def error(forecast: Forecast) -> float:
        if budget.shots is None and budget.precision is not None:
            return forecast.shots_for(budget.precision)
        return forecast.mse

    if objective == "shots":
        if budget.precision is None:
            rule = 'the fewest shots are fewest for a precision: give one with the objective "shots"'
            raise InvalidValue(field="precision", value=None, rule=rule)
        precision = budget.precision
        return lambda each: (each.shots_for(precision), each.ebits)
    if objective == "ebits":
        return lambda each: (each.ebits, error(each))
    if objective == "fidelity":
        return lambda each: (round(each.bias, _DIGITS), error(each))
    if objective == "makespan":
        return lambda each: (math.inf if each.makespan_ns is None else each.makespan_ns, error(each))
    return lambda each: (error(each), each.ebits)


def _nothing(
    circuit: QuantumCircuit, budget: Budget, ranked: Sequence[Candidate], impossible: Sequence[Impossible]
) -> BudgetTooSmall:
    asked = f"{circuit.name} ({circuit.num_qubits} qubits) was to run within {budget}"
    if ranked:
        nearest = "; ".join(f"{each.name} {each.excluded}" for each in ranked[:3])
        remedy = "Allow more of what they exceed, or other methods."
    else:
        nearest = "; ".join(f"{each.name}: {each.reason}" for each in impossible[:3]) or "there is no way at all"
        remedy = "Use wider nodes, add links, or allow other methods."
    return BudgetTooSmall(asked=asked, nearest=nearest, remedy=remedy)
