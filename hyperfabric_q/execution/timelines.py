"""Which timelines does a run see: one mean of all, or some that are drawn?

Attempts at Bell pairs succeed at random, so every shot has its own timeline: its own ages of pairs and its own waits.
Runs of the schedule are drawn, and then:

* **mean**: each error is replaced by its mean over the runs, and one simulation serves all shots. That is exact if the
  errors of a shot vary independently of one another. How far from it they can be is bounded: to second order, the
  total variation distance of what comes out is at most a quarter of the sum of |Cov(w, w')| over all pairs of weights
  of different errors. What the covariances of a finite number of independent runs scatter by is left out. Where this
  is below a twentieth of what the shots scatter by, the mean serves.
* **sampled**: elsewhere, K runs are simulated, each with an equal share of the shots.

The K are strata of the runs that are drawn: these are sorted by the infidelity that the schedule estimates for each,
cut into K/2 equal parts, and two are taken from each part at random. So every run is as likely to be taken as any
other, and what remains of the scatter is what runs of like infidelity differ by. Two from each part tell how much that
is: ``clusters``. The parts come in random order, so that whatever part of them was simulated is a sample too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.background import Background, checked
from hyperfabric_q.distribution.schedule import MOST_CELLS, schedule
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.clock_noise import clock_noises, fresh_noise, kept, weights_at_use
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.seeds import stream, word

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.distribution.timetable import Timetable

Floats = NDArray[np.float64]
Averaging = Literal["none", "constant", "mean", "sampled"]

USUAL_TIMELINES: Final = 64
MOST_RUNS: Final = 1024
"""Runs that are drawn to average over."""

MOST_TIMELINES: Final = 100_000

_SHARE_OF_SCATTER: Final = 0.05
_CELLS: Final = 5_000_000
"""Instructions x runs that are drawn, as far as ``USUAL_TIMELINES`` are."""

_MOST_WEIGHTS: Final = 2000
_MOST_ERRORS: Final = 4000
_SIGNIFICANT: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timelines:
    """The errors of a run's shots.

    Attributes:
        averaging: "none" = no time passes: fresh pairs, no waits; "constant" = every shot has the same timeline; "mean"
            = one simulation with the mean of each error; "sampled" = several timelines, each for its share of the
            shots.
        noises: errors of each timeline that is simulated.
        mean: the mean of each error over all runs drawn.
        makespans_ps: of all runs drawn; None when no schedule was made.
        neglected: bound on the total variation distance that "mean" makes, 0 for the others.
        background: other traffic that the runs were beside.
    """

    averaging: Averaging
    noises: tuple[RunNoise, ...]
    mean: RunNoise
    makespans_ps: NDArray[np.int64] | None
    neglected: float
    background: tuple[Background, ...] = ()

    def __len__(self) -> int:
        """Return how many timelines are simulated."""
        return len(self.noises)

    def shares(self, shots: int) -> list[tuple[RunNoise, int]]:
        """Return the errors and the number of shots of each timeline, as equal as can be."""
        each, rest = divmod(shots, len(self.noises))
        return [(noise, each + (place < rest)) for place, noise in enumerate(self.noises)]


def timelines_of(
    plan: Plan,
    kind: Noise,
    *,
    wanted: str | int,
    shots: int,
    seed: int,
    scatter: float | None = None,
    background: Sequence[Background] = (),
) -> Timelines:
    """Return the timelines of a run.

    Args:
        plan: what runs.
        kind: only with "fabric" time passes.
        wanted: "auto", or how many timelines are to be drawn.
        shots: of the run.
        seed: of the runs that are drawn.
        scatter: standard error that is aimed at; None = that of a share of the shots.
        background: other traffic beside the run; with errors of kind "fabric" only.

    Raises:
        InvalidValue: not a number of timelines; background without "fabric", or more of it than there is room for; or
            the fabric has decaying memories and pairs that the clock refuses,
            such as ones that are not entangled.
    """
    drawn, others = _wanted(wanted, shots), checked(background)
    if others and kind is not Noise.FABRIC:
        rule = "other traffic takes time, and only noise 'fabric' has a clock"
        raise InvalidValue(field="background", value=kind.value, rule=rule)
    if kind is not Noise.FABRIC or not _decays(plan):
        fresh = fresh_noise(plan, kind)
        late = drawn_timetable(plan, seed, background=others).makespan_ps.reshape(-1) if others else None
        return Timelines(
            averaging="none", noises=(fresh,), mean=fresh, makespans_ps=late, neglected=0.0, background=others
        )
    timetable = drawn_timetable(plan, seed, least=drawn or 1, background=others)
    (mean,) = clock_noises(plan, kind, timetable, [None])
    makespans = timetable.makespan_ps.reshape(-1)
    if drawn is None:
        neglected = correlation_bound(plan, timetable)
        constant = neglected == 0 and bool((timetable.start_ps == timetable.start_ps[0]).all())
        if constant or neglected <= _SHARE_OF_SCATTER * (1 / math.sqrt(shots) if scatter is None else scatter):
            return Timelines(
                averaging="constant" if constant else "mean",
                noises=(mean,),
                mean=mean,
                makespans_ps=makespans,
                neglected=neglected,
                background=others,
            )
        drawn = min(USUAL_TIMELINES, shots)
    chosen = strata(timetable.infidelity.reshape(-1), min(drawn, timetable.runs), stream(seed, "timelines", "strata"))
    noises = clock_noises(plan, kind, timetable, chosen.tolist())
    return Timelines(
        averaging="sampled", noises=noises, mean=mean, makespans_ps=makespans, neglected=0.0, background=others
    )


def strata(sizes: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of some values: two from each of count/2 equal parts of them by size, (count,).

    Every value is as likely to be taken as any other. Those of one part stand side by side; if ``count`` is odd, the
    last part has three.

    Args:
        sizes: the values.
        count: how many are taken, at most all.
        rng: of what is taken, and of the order of the parts.
    """
    takes = np.full(max(1, count // 2), 2)
    takes[-1] += count - takes.sum()
    # Which part lies where among the sizes: one of three is as much longer, wherever it comes to lie.
    layout = rng.permutation(len(takes))
    bounds = np.concatenate([[0], np.cumsum(takes[layout])]) * (len(sizes) / count)
    order = np.argsort(sizes, kind="stable")
    found: list[NDArray[np.int64]] = []
    for take, place in zip(takes.tolist(), np.argsort(layout).tolist(), strict=True):
        low, length = bounds[place], bounds[place + 1] - bounds[place]
        # Points on a circle, at least one value apart: the same chance everywhere, and none is taken twice.
        apart = np.sort(rng.random(take - 1) * max(0.0, length - take)) + np.arange(1, take)
        points = low + (rng.random() * length + np.concatenate([[0.0], apart])) % length
        found.append(order[np.minimum(points.astype(np.int64), len(sizes) - 1)])
    return np.concatenate(found)


def drawn_timetable(plan: Plan, seed: int, *, least: int = 1, background: Sequence[Background] = ()) -> Timetable:
    """Return a schedule with many runs, their luck spread evenly: ``least``, and more for short circuits."""
    size = max(1, len(plan.routed.circuit.data))
    usual = min(MOST_RUNS, max(USUAL_TIMELINES, _CELLS // size), max(1, MOST_CELLS // size))
    return schedule(
        plan.routed,
        plan.fabric,
        mode="sampled",
        runs=max(least, usual),
        seed=word(seed, "timelines"),
        stratified=True,
        background=background,
    )


def _wanted(wanted: object, shots: int) -> int | None:
    if isinstance(wanted, str) and wanted == "auto":
        return None
    most = min(shots, MOST_TIMELINES)
    whole = isinstance(wanted, int | np.integer) and not isinstance(wanted, bool)
    if not whole or not 1 <= int(wanted) <= most:  # type: ignore[call-overload]
        rule = f"timelines is 'auto' or a whole number from 1 to {most}, at most the number of shots"
        raise InvalidValue(field="timelines", value=wanted, rule=rule)
    return int(wanted)  # type: ignore[call-overload,no-any-return]


def _decays(plan: Plan) -> bool:
    """Whether any node that takes part states a T1 or T2."""
    nodes = (plan.fabric.node(node_id) for node_id in dict.fromkeys(plan.routed.node_of))
    return any(node.t1_us is not None or node.t2_us is not None for node in nodes)


def correlation_bound(plan: Plan, timetable: Timetable, *, significant: float = _SIGNIFICANT) -> float:
    """Return how far the product of the mean errors is from the mean of their product, in total variation.

    Args:
        plan: what runs.
        timetable: many runs of it.
        significant: how many standard errors of a covariance between independent errors are left out.
    """
    columns = _varying(plan, timetable)
    runs = timetable.runs
    if columns.shape[1] < 2 or runs < 2:
        return 0.0
    flat = columns - columns.mean(axis=0)
    errors, weights = columns.shape[1:]
    if errors > _MOST_ERRORS:
        # Cauchy-Schwarz: |Cov| is at most the product of both deviations.
        return float(flat.std(axis=0).sum() ** 2 / 4)
    factor = 0.25
    if errors * weights > _MOST_WEIGHTS:
        # Decay takes from the first weight what it gives to the others: four covariances for sixteen.
        flat, weights, factor = flat[:, :, :1], 1, 1.0
    flat = flat.reshape(runs, -1)
    spread = flat.std(axis=0)
    covariance = np.abs(flat.T @ flat) / (runs - 1)
    beyond = np.maximum(0.0, covariance - significant * np.outer(spread, spread) / math.sqrt(runs))
    total = beyond.sum()
    for error in range(errors):
        own = slice(error * weights, (error + 1) * weights)
        total -= beyond[own, own].sum()
    return max(0.0, factor * float(total))


def _varying(plan: Plan, timetable: Timetable) -> Floats:
    """Return the Pauli weights of each error that is not the same in all runs, (runs, errors, 4)."""
    level, coherence = kept(plan, timetable)
    flips = (1 - level) / 4
    waits = np.stack([1 - 2 * flips - (1 + level - 2 * coherence) / 4, flips, flips, (1 + level - 2 * coherence) / 4])
    every = np.concatenate([weights_at_use(timetable), np.moveaxis(waits, 0, -1)], axis=1)
    varies = np.ptp(every, axis=0).max(axis=-1, initial=0) > 0
    return np.asarray(every[:, varies])
