"""How far from the truth will a way of running a circuit end, with so many shots?

The mean square error of an estimate is its variance plus the square of its bias. Cuts and corrected pairs cost
variance; noisy pairs, waits and gates cost bias.

* **rehearsed**, where every circuit is narrow: the exact laws of all circuits with their errors give the value that the
  estimate has in the mean, hence the bias, and the variance of every circuit's contribution, hence that of the estimate
  with the shots given out as a run gives them out.
* **modelled**, elsewhere: the signal shrinks by the product of the process fidelities of all errors that are left, of a
  value uniform in [-1, 1]; the variance is gamma² over the shots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hyperfabric_q.cutting.allocation import LEAST, PILOT
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.estimates import evaluate
from hyperfabric_q.execution.attribution import attribution_of
from hyperfabric_q.execution.clock_noise import fresh_noise
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.mixing.laws import Key, Mask, NodeLaws
from hyperfabric_q.mixing.stage import Staged
from hyperfabric_q.seeds import stream

SURE: Final = 1e9
"""Shots of each circuit that stand for infinitely many."""

MORE: Final = 1e5
"""So many times the shots tell the first order of a variance from the second."""

PILOTS: Final = 4
"""Drawn to find how shots will be given out."""

MEAN_SQUARE: Final = 1 / 3
"""Of a value uniform in [-1, 1]: what is taken for that of an observable nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run is expected to end with.

    Attributes:
        kind: "rehearsed" or "modelled".
        bias: root mean square over the observables of the error that shots do not remove.
        variance: mean over the observables of the variance of one shot's worth: of the estimate, times the shots.
        shots: of the run.
        gamma: of cuts and corrections together.
        ebits: Bell pairs of one shot of the circuit that takes most.
        makespan_ns: of the circuit that takes longest; None where the clock refuses.
        circuits: how many are run; one that serves several settings of the cuts counts for each.
    """

    kind: str
    bias: float
    variance: float
    shots: int
    gamma: float
    ebits: int
    makespan_ns: float | None
    circuits: int

    @property
    def stderr(self) -> float:
        """Root mean square standard error of the estimates."""
        return math.sqrt(self.variance / self.shots)

    @property
    def mse(self) -> float:
        """Mean square error."""
        return self.bias**2 + self.variance / self.shots

    def shots_for(self, precision: float) -> float:
        """Return how many shots bring the root mean square error to a precision; infinity where the bias exceeds it."""
        left = precision**2 - self.bias**2
        return self.variance / left if left > 0 else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {
            "kind": self.kind,
            "mse": self.mse,
            "bias": self.bias,
            "stderr": self.stderr,
            "shots": self.shots,
            "gamma": self.gamma,
            "ebits": self.ebits,
            "makespan_ns": self.makespan_ns,
            "circuits": self.circuits,
        }


def rehearsed(laws: NodeLaws, ideal: Real, *, shots: int) -> Forecast:
    """Return the forecast from the laws of all circuits.

    Args:
        laws: of the way.
        ideal: the exact values of the observables, shape (observables,).
        shots: of the run.

    Raises:
        SimulationRefused: a circuit is too wide.
    """
    frame, keys = laws.frame, laws.keys()
    known = {(own.fragment, own.group, own.variant) for each in laws.wanted for own in each.variants}
    needed = {
        key: np.array([(*key, variant) in known for variant in range(frame.layouts[key[0]].variants)]) for key in keys
    }
    variances = _variances(laws, needed, shots) if keys else np.zeros(frame.measured.count)
    values = frame.read([laws.expected(key, SURE * needed[key]) for key in keys]).values
    staged = laws.figures()
    return Forecast(
        kind="rehearsed",
        bias=float(np.sqrt(np.mean((values - ideal) ** 2))),
        variance=float(variances.mean()) * shots,
        shots=shots,
        gamma=gamma_of(laws, staged),
        ebits=max((each.plan.ebits for each in staged), default=0),
        makespan_ns=_longest(staged),
        circuits=laws.wanted_variants,
    )


def modelled(laws: NodeLaws, *, shots: int) -> Forecast:
    """Return the forecast from figures of one circuit of each fragment alone."""
    staged = laws.first_staged()
    kept = math.prod(1 - _loss(laws, each) for each in staged)
    gamma = gamma_of(laws, staged)
    return Forecast(
        kind="modelled",
        bias=(1 - kept) * math.sqrt(MEAN_SQUARE),
        variance=gamma**2,
        shots=shots,
        gamma=gamma,
        ebits=max((each.plan.ebits for each in staged), default=0),
        makespan_ns=_longest(staged),
        circuits=laws.wanted_variants,
    )


def _variances(laws: NodeLaws, needed: Mapping[Key, Mask], shots: int) -> Real:
    """The variance of each observable when shots are given out as ``cutting.allocation`` does: a pilot, then Neyman.

    A few pilots are drawn, since a small one knows only roughly where shots are due.
    """
    frame, rng = laws.frame, stream(laws.seed, "pilots")
    count = int(sum(mask.sum() for mask in needed.values()))
    pilot = min(max(LEAST, int(PILOT * shots / max(count, 1))), max(1, shots // max(count, 1)))
    rest = max(0, shots - pilot * count)
    found = np.zeros(frame.measured.count)
    for _ in range(PILOTS):
        tallies = laws.draw({key: (mask * pilot).astype(np.int64) for key, mask in needed.items()}, rng)
        known = evaluate(frame.network, frame.measured, tallies).wanted
        scores = {key: np.sqrt(known[key].sum(axis=0)) * mask for key, mask in needed.items()}
        total = sum(float(each.sum()) for each in scores.values()) or 1.0
        found += _variance(laws, {key: pilot * needed[key] + rest * score / total for key, score in scores.items()})
    return found / PILOTS


def _variance(laws: NodeLaws, given: Mapping[Key, Real]) -> Real:
    """The variance of each observable with so many shots of each variant.

    To first order it is the sum of what the variants have of it; the values are products of what fragments returned,
    and the second order is the product of their errors. Both follow from the estimator's own account of ``MORE`` times
    as many shots, in which neither a small sample nor a rare outcome plays a part.
    """
    frame = laws.frame
    reading = evaluate(frame.network, frame.measured, [laws.expected(key, MORE * own) for key, own in given.items()])
    first = np.zeros(frame.measured.count)
    for key, own in given.items():
        first += (reading.spending[key][:, own > 0] / own[own > 0]).sum(axis=1)
    second = MORE * (first - MORE * reading.variances)
    return np.asarray(first + np.maximum(second, 0.0))


def gamma_of(laws: NodeLaws, staged: list[Staged]) -> float:
    """Return the gamma of all cuts times that of corrections, of the circuit of most corrections."""
    corrected = max((laws.corrections(each).gamma for each in staged), default=1.0)
    return corrected * laws.pieces.gamma


def _loss(laws: NodeLaws, staged: Staged) -> float:
    """The infidelity of all errors but those of corrected pairs."""
    weights = staged.noise.pair_weights.copy()
    weights[laws.which(staged)] = (1.0, 0.0, 0.0, 0.0)
    fresh = fresh_noise(staged.plan, Noise.FABRIC)
    left = type(staged.noise)(pair_weights=weights, idles=staged.noise.idles, local=staged.noise.local)
    return float(attribution_of(staged.plan, left, fresh).infidelity)


def _longest(staged: list[Staged]) -> float | None:
    if not staged:
        return 0.0  # there is nothing to run
    every = [each.makespan_ns for each in staged]
    known = [each for each in every if each is not None]
    return max(known) if len(known) == len(every) else None
