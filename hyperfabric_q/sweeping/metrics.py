"""What is measured at a point, by name.

================== ==================================================================================================
fidelity           the measured fidelity where the ideal distribution can be computed, else the predicted one
measured_fidelity  Hellinger fidelity of the counts
predicted_fidelity without shots: from the errors of the timeline
infidelity         1 - the product of the process fidelities of all errors, without shots
attribution        the same by cause
estimates          of the observables
makespan           p50 and p99 of how long a shot takes, beside its mean
ebits              nothing but the plan
================== ==================================================================================================

Only what a metric needs is done: a simulation for counts, one for estimates, the clock alone, or none of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.execution import channel, dynamic
from hyperfabric_q.execution.attribution import CAUSES, Attribution, attribution_of
from hyperfabric_q.execution.clock_noise import fresh_noise
from hyperfabric_q.execution.clusters import fidelity_over
from hyperfabric_q.execution.dispatch import choose_method
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.prediction import predicted_fidelity
from hyperfabric_q.execution.result import Result
from hyperfabric_q.execution.run import MOST_SHOTS, run
from hyperfabric_q.execution.shot_times import ShotTimes, shot_times
from hyperfabric_q.execution.timelines import Timelines, timelines_of

PATIENCE_S: Final = 0.25
"""Predicted seconds up to which "auto" takes the reference at a point: a sweep has less patience than a single run."""

_SETUP_S: Final = 0.02
"""Of the reference, per timeline: its circuit is made noisy and handed to Aer, however small it is."""

Columns = dict[str, Any]

NEED_IDEAL: Final = frozenset({"fidelity", "measured_fidelity", "predicted_fidelity"})
"""Metrics that compare with the exact distribution without errors."""


# Without slots: what costs a computation is kept once computed.
@dataclass(frozen=True, kw_only=True)
class Seen:
    """A plan at one point, looked at no more closely than asked.

    Attributes:
        plan: on the fabric of the point.
        ideal: the exact distribution of its circuit; None where it is too large to compute.
        shots: of each run.
        method: "auto", or as for ``plan.run``.
        noise: as for ``plan.run``.
        timelines: as for ``plan.run``.
        observables: for the estimates.
        seed: of each run, the same at every point.

    Raises:
        InvalidValue: shots or noise are none.
    """

    plan: Plan
    ideal: Mapping[str, float] | None
    shots: int
    method: str
    noise: str
    timelines: str | int
    observables: Any
    seed: int

    def __post_init__(self) -> None:
        given: object = self.shots
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_SHOTS:
            raise InvalidValue(field="shots", value=given, rule=f"shots is a whole number from 1 to {MOST_SHOTS}")
        kinds = [each.value for each in Noise]
        if self.noise not in kinds:
            raise InvalidValue(field="noise", value=self.noise, rule=f"noise is one of {', '.join(map(repr, kinds))}")

    @cached_property
    def lines(self) -> Timelines:
        """The errors of the shots."""
        kind = Noise(self.noise)
        return timelines_of(self.plan, kind, wanted=self.timelines, shots=self.shots, seed=self.seed)

    @cached_property
    def chosen(self) -> str:
        """The method that runs: of two that leave nothing out, the quicker one if both take long."""
        if self.method != "auto":
            return self.method
        complete, reported = measured(self.plan)
        usual = choose_method(complete, self.lines, shots=self.shots, reported=reported)
        if usual != "dynamic":
            return usual
        noise, share = self.lines.shares(self.shots)[0]
        reference_s, other_s = (
            each.predicted_seconds(complete, noise, shots=share, reported=reported) for each in (dynamic, channel)
        )
        reference_s += _SETUP_S
        hasty = len(self.lines) * reference_s > PATIENCE_S and other_s < reference_s
        return channel.METHOD if hasty else usual

    @cached_property
    def counted(self) -> Result:
        """A run that counts."""
        return self._run(None)

    @cached_property
    def estimated(self) -> Result:
        """A run that estimates the observables."""
        return self._run(self.observables)

    @cached_property
    def loss(self) -> Attribution:
        """Where fidelity is lost."""
        complete, _ = measured(self.plan)
        return attribution_of(complete, self.lines.mean, fresh_noise(complete, Noise(self.noise)))

    @cached_property
    def times(self) -> ShotTimes | None:
        """How long shots take; None where the clock refuses the plan."""
        return shot_times(self.plan, self.lines, seed=self.seed)

    def _run(self, observables: Any) -> Result:
        return run(
            self.plan,
            shots=self.shots,
            method=self.chosen,
            noise=self.noise,
            timelines=self.timelines,
            observables=observables,
            seed=self.seed,
        )


def _fidelity(seen: Seen) -> Columns:
    return _predicted(seen, "fidelity") if seen.ideal is None else _measured(seen, "fidelity")


def _measured(seen: Seen, name: str = "measured_fidelity") -> Columns:
    if seen.ideal is None:
        raise InvalidValue(
            field="metric",
            value=name,
            rule=f"the exact distribution of {seen.plan.qubits} qubits, to compare with, is out of reach",
            remedy='Ask for "predicted_fidelity", or for "estimates" of observables.',
        )
    result = seen.counted
    found = fidelity_over(result.counts, result.clusters, seen.ideal, seed=seen.seed)
    reach = 1.96 * found.stderr
    low, high = max(0.0, found.value - reach), min(1.0, found.value + reach)
    return _row(name, found.value, found.stderr, low, high, found.kind)


def _predicted(seen: Seen, name: str = "predicted_fidelity") -> Columns:
    found = predicted_fidelity(seen.plan, seen.lines, seen.ideal, shots=seen.shots, loss=seen.loss, seed=seen.seed)
    return _row(name, found.value, math.nan, found.low, found.high, f"predicted {found.kind}")


def _row(name: str, value: float, stderr: float, low: float, high: float, kind: str) -> Columns:
    return {name: value, f"{name}_stderr": stderr, f"{name}_low": low, f"{name}_high": high, f"{name}_kind": kind}


def _infidelity(seen: Seen) -> Columns:
    return {"infidelity": seen.loss.infidelity}


def _attribution(seen: Seen) -> Columns:
    by_cause = seen.loss.by_cause()
    return {f"infidelity_{cause}": by_cause.get(cause, 0.0) for cause in CAUSES}


def _estimates(seen: Seen) -> Columns:
    columns: Columns = {}
    for place, each in enumerate(seen.estimated.estimates or ()):
        columns |= {f"estimate_{place}": each.value, f"estimate_{place}_stderr": each.stderr}
    return columns


def _makespan(seen: Seen) -> Columns:
    times = seen.times
    if times is None:
        return {"makespan_p50_ns": math.nan, "makespan_p99_ns": math.nan}
    return {"makespan_p50_ns": times.p50, "makespan_p99_ns": times.p99}


def _nothing_more(_: Seen) -> Columns:
    return {}


METRICS: Final[Mapping[str, Callable[[Seen], Columns]]] = {
    "fidelity": _fidelity,
    "measured_fidelity": _measured,
    "predicted_fidelity": _predicted,
    "infidelity": _infidelity,
    "attribution": _attribution,
    "estimates": _estimates,
    "makespan": _makespan,
    "ebits": _nothing_more,
}
"""Name -> columns of a point."""


def metrics_of(wanted: object, *, observables: bool) -> tuple[str, ...]:
    """Return the metrics that are asked for.

    Args:
        wanted: one or several; None = the estimates where there are observables, else the fidelity.
        observables: whether there are some.

    Raises:
        UnknownName: there is no such metric.
        InvalidValue: nothing is asked for, or estimates without observables.
    """
    if wanted is None:
        wanted = "estimates" if observables else "fidelity"
    names = (wanted,) if isinstance(wanted, str) else wanted
    if not isinstance(names, Sequence) or not names:
        raise InvalidValue(field="metric", value=wanted, rule=f"it is one or several of {', '.join(METRICS)}")
    for name in names:
        if not isinstance(name, str) or name not in METRICS:
            raise UnknownName(kind="metric", name=str(name)[:200], known=tuple(METRICS))
    if ("estimates" in names) != observables:
        rule = "estimates are of observables, and observables are for estimates: give both or none"
        raise InvalidValue(field="metric", value=wanted, rule=rule)
    return tuple(dict.fromkeys(names))


def columns_of(seen: Seen, metrics: Sequence[str]) -> Columns:
    """Return the columns of a point: those of its metrics, then what it was measured with.

    Raises:
        HyperFabricError: as ``plan.run``.
    """
    columns: Columns = {}
    for name in metrics:
        columns |= METRICS[name](seen)
    ran = [seen.__dict__[name] for name in ("counted", "estimated") if name in seen.__dict__]
    clocked = set(metrics) != {"ebits"}
    notes = dict.fromkeys(note for each in ran for note in each.approximations)
    return {
        **columns,
        "ebits": seen.plan.ebits,
        "makespan_ns": seen.times.mean if clocked and seen.times is not None else math.nan,
        "method": ran[0].method if ran else "",
        "timelines": len(seen.lines) if clocked else 0,
        "notes": "; ".join(notes),
    }
