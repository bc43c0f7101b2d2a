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
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.subexperiments import make_subexperiments
from hyperfabric_q.cutting.trim import trimmed
from hyperfabric_q.errors import BudgetTooSmall, Infeasible, InvalidValue, SimulationRefused
from hyperfabric_q.mixing.forecast import Forecast, gamma_of, modelled, rehearsed
from hyperfabric_q.mixing.laws import Cast, NodeLaws
from hyperfabric_q.mixing.stage import Stage
from hyperfabric_q.mixing.ways import Impossible, Way, Ways, corrections
from hyperfabric_q.seeds import word

OBJECTIVES: Final = ("mse", "shots", "ebits", "fidelity", "makespan")

BY_ERROR: Final = ("mse", "shots")
"""Those by which a way of a large error is never best."""

USUAL_SHOTS: Final = 4096

_DIGITS: Final = 9
"""Of figures that are compared: beyond is rounding."""

MOST_REHEARSED: Final = 500
"""Circuits of all mixed ways together whose laws are worked out."""

MOST_PURE: Final = 2000
"""Circuits of one way of a single method whose laws are worked out."""

MODEST: Final = 0.1
"""Of the variance that gamma² says, what cuts are taken to have at least."""


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
    laws: NodeLaws
    forecast: Forecast
    excluded: str | None

    @property
    def name(self) -> str:
        """In words."""
        links = ", ".join("--".join(ends) for ends in sorted(self.laws.cast.assisted))
        return f"{self.way.name}, pairs corrected on {links}" if links else self.way.name

    def cast_of(self, pieces: CutCircuit) -> Cast:
        """Return who runs what of the fragments for other observables."""
        return replace(_cast(self.way, pieces), assisted=self.laws.cast.assisted)


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
    score = _score(objective, budget)
    ways = Ways(circuit, stage.fabric, methods, time_limit_s, word(seed, "ways"), [])
    ready = []
    for way in ways.found():
        ready += _prepared(way, stage, observables, labels, methods, ways.impossible, seed=word(seed, "laws"))
    candidates = _forecasts(ready, observables, objective, budget, ways.impossible)
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
    *,
    seed: int,
) -> list[tuple[Way, NodeLaws]]:
    """A way with every choice of links that are corrected, put on its islands; empty where it does not fit."""
    pieces, measured = trimmed(way.cut, measure(way.cut, observables, wires=way.wires))
    try:
        wanted = make_subexperiments(pieces, measured, labels)
    except SimulationRefused as fault:
        impossible.append(Impossible(name=way.name, reason=str(fault)))
        return []
    laws = NodeLaws(pieces, wanted, stage, _cast(way, pieces), seed=seed)
    try:
        links = sorted({link for each in laws.first_staged() for link in each.links})
    except (Infeasible, InvalidValue) as fault:  # it does not fit, or the clock refuses its pairs
        impossible.append(Impossible(name=way.name, reason=str(fault)))
        return []
    choices = corrections(links, stage.fabric, methods)
    return [(way, NodeLaws(pieces, wanted, stage, replace(laws.cast, assisted=each), seed=seed)) for each in choices]


def _cast(way: Way, pieces: CutCircuit) -> Cast:
    one = len(pieces.fragments) == 1
    return Cast(
        nodes=way.nodes,
        assisted=frozenset(),
        plan=way.plan if one else None,
        outputs=pieces.fragments[0].outputs if one else (),
    )


def _forecasts(
    ready: Sequence[tuple[Way, NodeLaws]],
    observables: Sequence[object],
    objective: str,
    budget: Budget,
    impossible: list[Impossible],
) -> list[Candidate]:
    """What is expected of each way, all by rehearsal or all by the model: forecasts of two kinds cannot be compared.

    Ways of one method come first. Of the mixed ones, those are not rehearsed whose gamma says that they are far off,
    nor those whose circuits are too many.
    """
    ready = sorted(ready, key=lambda each: (not each[0].is_pure, each[0].gamma))
    narrow = all(laws.is_listed(member) for _, laws in ready for member in laws.wanted)
    rehearses = narrow and any(laws.work <= MOST_PURE for _, laws in ready)
    ideal = _ideal([way for way, _ in ready], observables) if rehearses else None
    left = MOST_REHEARSED
    candidates: list[Candidate] = []
    for way, laws in ready:
        try:
            if ideal is None:
                forecast = modelled(laws, shots=budget.planned)
            elif (why_not := _why_not(way, laws, left, objective, budget, candidates)) is not None:
                impossible.append(Impossible(name=way.name, reason=why_not))
                continue
            else:
                forecast = rehearsed(laws, ideal, shots=budget.planned)
                left -= 0 if way.is_pure else laws.work
        except (Infeasible, InvalidValue, SimulationRefused) as fault:  # pairs whose errors nothing undoes, say
            impossible.append(Impossible(name=way.name, reason=str(fault)))
            continue
        candidates.append(Candidate(way=way, laws=laws, forecast=forecast, excluded=budget.why_not(forecast)))
    return candidates


def _why_not(
    way: Way, laws: NodeLaws, left: int, objective: str, budget: Budget, known: Sequence[Candidate]
) -> str | None:
    """Why a way is not worth a rehearsal; None if it is."""
    if laws.work > (MOST_PURE if way.is_pure else left):
        return f"its {laws.work:,} circuits take too long to look at"
    within = [each.forecast for each in known if each.excluded is None]
    if way.is_pure or not within or objective not in BY_ERROR:
        return None
    gamma = gamma_of(laws, laws.first_staged())
    least = MODEST * gamma**2 * min(each.forecast.variance for each in known) / budget.planned
    enough = max(min(each.mse for each in within), (budget.precision or 0.0) ** 2)
    return f"gamma {gamma:.3g} takes too many shots" if least > enough else None


def _ideal(found: Sequence[Way], observables: Sequence[object]) -> Real:
    """The exact values; any cut gives them, one with narrow fragments soonest."""
    way = min(found, key=lambda each: each.width)
    return np.asarray(exact(way.cut, observables, wires=way.wires))


def _score(objective: str, budget: Budget) -> Callable[[Forecast], tuple[float, ...]]:
    """What is least for the best: by the objective, and among equals by the mean square error."""

    def error(forecast: Forecast) -> float:
        if budget.shots is None and budget.precision is not None:
            return _rounded(forecast.shots_for(budget.precision))
        return _rounded(forecast.mse)

    if objective == "shots":
        if budget.precision is None:
            rule = 'the fewest shots are fewest for a precision: give one with the objective "shots"'
            raise InvalidValue(field="precision", value=None, rule=rule)
        precision = budget.precision
        return lambda each: (_rounded(each.shots_for(precision)), each.ebits)
    if objective == "ebits":
        return lambda each: (each.ebits, error(each))
    if objective == "fidelity":
        return lambda each: (round(each.bias, _DIGITS), error(each))
    if objective == "makespan":
        return lambda each: (math.inf if each.makespan_ns is None else each.makespan_ns, error(each))
    return lambda each: (error(each), each.ebits)


def _rounded(figure: float) -> float:
    """A figure without what rounding makes of equal ones; among these the first stays first."""
    return float(f"{figure:.{_DIGITS}g}")


def _nothing(
    circuit: QuantumCircuit, budget: Budget, ranked: Sequence[Candidate], impossible: Sequence[Impossible]
) -> BudgetTooSmall:
    asked = f"{circuit.name} ({circuit.num_qubits} qubits) was to run within {budget}"
    if ranked:
        precision = budget.precision
        if precision is not None:  # more shots may do for some, and for others nothing
            ranked = sorted(ranked, key=lambda each: _rounded(each.forecast.shots_for(precision)))
        nearest = "; ".join(f"{each.name} {each.excluded}" for each in ranked[:3])
        remedy = "Allow more of what they exceed, or other methods."
    else:
        nearest = "; ".join(f"{each.name}: {each.reason}" for each in impossible[:3]) or "there is no way at all"
        remedy = "Use wider nodes, add links, or allow other methods."
    return BudgetTooSmall(asked=asked, nearest=nearest, remedy=remedy)
