"""Numbers that a run of an error-correction experiment ends in, with honest error bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, norm

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate, proportion

Interval: TypeAlias = tuple[float, float]


def jeffreys(errors: int, shots: int, level: float = 0.95) -> Interval:
    """Return the equal-tailed interval of Beta(errors + 1/2, shots - errors + 1/2), closed at 0 and at 1.

    Raises:
        InvalidValue: errors are not a part of shots.
    """
    if not 0 <= errors <= shots or shots < 1:
        raise InvalidValue(field="errors", value=errors, rule=f"there are between 0 and {shots} of them, of some shots")
    tail = (1 - level) / 2
    low = 0.0 if errors == 0 else float(beta.ppf(tail, errors + 0.5, shots - errors + 0.5))
    high = 1.0 if errors == shots else float(beta.ppf(1 - tail, errors + 0.5, shots - errors + 0.5))
    return low, high


def per_round(failure: float, rounds: int) -> float:
    """Return the rate per round that composes to ``failure`` in ``rounds`` rounds; 1/2 where it is 1/2 or more."""
    return 0.5 if failure >= 0.5 else (1 - (1 - 2 * failure) ** (1 / rounds)) / 2


def composed(rate: float, rounds: int) -> float:
    """Return the failure probability after ``rounds`` rounds, each of which flips with probability ``rate``.

    >>> round(composed(per_round(0.03, 15), 15), 12)
    0.03
    """
    return (1 - (1 - 2 * rate) ** rounds) / 2


def rate_per_round(errors: int, shots: int, rounds: int) -> Estimate:
    """Return the error rate per round, its bar carried over from the proportion's."""
    share = proportion(errors, shots)
    value = per_round(share.value, rounds)
    # de/dp of the composition law; at p >= 1/2 nothing is left to tell.
    slope = 0.0 if share.value >= 0.5 else (1 - 2 * share.value) ** (1 / rounds - 1) / rounds
    return Estimate(value=value, stderr=share.stderr * slope, shots=shots)


def suppression(smaller: Estimate, larger: Estimate) -> Estimate:
    """Return Λ, the rate of the smaller distance over that of the larger one.

    Raises:
        InvalidValue: the larger one never failed, so that the ratio has no value.
    """
    if larger.value <= 0 or smaller.value <= 0:
        raise InvalidValue(field="larger", value=larger.value, rule="Λ is a ratio of rates, and needs errors in both")
    value = smaller.value / larger.value
    relative = math.hypot(smaller.stderr / smaller.value, larger.stderr / larger.value)
    return Estimate(value=value, stderr=value * relative, shots=min(smaller.shots, larger.shots))


# ---------------------------------------------------------------------------------------------------------- comparisons


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two ways of decoding the same shots.

    Attributes:
        shots: how many.
        both: shots that both got wrong.
        first, second: shots that only that one got wrong.
    """

    shots: int
    both: int
    first: int
    second: int

    @property
    def z(self) -> float:
        """How many standard deviations the first is worse than the second (McNemar); 0 if they never differ."""
        discordant = self.first + self.second
        return (self.first - self.second) / math.sqrt(discordant) if discordant else 0.0

    @property
    def ratio(self) -> float:
        """Failures of the first over failures of the second."""
        below = self.both + self.second
        return (self.both + self.first) / below if below else math.inf

    def ratio_interval(self, level: float = 0.95) -> Interval:
        """Return an interval for the ratio: normal on its logarithm, by the delta method on paired counts."""
        a, b = self.both + self.first, self.both + self.second
        if not a or not b:
            return 0.0, math.inf
        width = float(norm.ppf((1 + level) / 2)) * math.sqrt(self.first + self.second) / math.sqrt(a * b)
        return self.ratio * math.exp(-width), self.ratio * math.exp(width)


def paired(first: ArrayLike, second: ArrayLike) -> Paired:
    """Return the comparison of two arrays of failures, shot by shot.

    Raises:
        InvalidValue: they are not of the same shots.
    """
    a, b = np.asarray(first, dtype=np.bool_), np.asarray(second, dtype=np.bool_)
    if a.shape != b.shape or a.ndim != 1:
        raise InvalidValue(field="first, second", value=(a.shape, b.shape), rule="both are failures of the same shots")
    both, only_a, only_b = (int(np.count_nonzero(each)) for each in (a & b, a & ~b, b & ~a))
    return Paired(shots=len(a), both=both, first=only_a, second=only_b)


def fabric_tax(loaded: Estimate, ideal: Estimate) -> Estimate:
    """Return the logical error rate over the fabric over that without it, with its standard error.

    Raises:
        InvalidValue: without the fabric nothing failed.
    """
    if ideal.value <= 0:
        raise InvalidValue(field="ideal", value=ideal.value, rule="the tax is a ratio to a rate above 0")
    value = loaded.value / ideal.value
    parts = [each.stderr / each.value for each in (loaded, ideal) if each.value > 0]
    return Estimate(value=value, stderr=value * math.hypot(*parts), shots=min(loaded.shots, ideal.shots))


# ------------------------------------------------------------------------------------------------------------- clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Sums over timelines that a rate and its error bar are made of; those of separate runs can be added.

    Attributes:
        timelines: how many.
        shots, errors: Σ n and Σ k.
        shots_sq, errors_sq, shots_errors: Σ n², Σ k² and Σ n·k.
    """

    timelines: int = 0
    shots: int = 0
    errors: int = 0
    shots_sq: int = 0
    errors_sq: int = 0
    shots_errors: int = 0

    @classmethod
    def of(cls, shots: ArrayLike, errors: ArrayLike) -> Clusters:
        """Return the sums of timelines with so many shots and errors each."""
        n, k = np.asarray(shots, dtype=np.int64), np.asarray(errors, dtype=np.int64)
        sums = [int(each.sum()) for each in (n, k, n * n, k * k, n * k)]
        return cls(
            timelines=len(n),
            shots=sums[0],
            errors=sums[1],
            shots_sq=sums[2],
            errors_sq=sums[3],
            shots_errors=sums[4],
        )

    def to_counts(self) -> dict[str, int]:
        """Return what a results file needs beside shots and errors, as whole numbers that add up."""
        return {
            "timelines": self.timelines,
            "cluster_shots_sq": self.shots_sq,
            "cluster_errors_sq": self.errors_sq,
            "cluster_shots_errors": self.shots_errors,
        }

    @classmethod
    def from_counts(cls, shots: int, errors: int, counts: Mapping[str, int]) -> Clusters:
        """Return the sums from a row of a results file."""
        return cls(
            timelines=counts.get("timelines", 0),
            shots=shots,
            errors=errors,
            shots_sq=counts.get("cluster_shots_sq", 0),
            errors_sq=counts.get("cluster_errors_sq", 0),
            shots_errors=counts.get("cluster_shots_errors", 0),
        )

    def estimate(self) -> Estimate:
        """Return the failure probability per shot with a bar that allows for what shots of one timeline share.

        The sandwich estimator of a ratio, Σ (k - p n)² / N² · T / (T - 1), or the binomial bar where that is larger,
        or where there is one timeline only.

        Raises:
            InvalidValue: there are no shots.
        """
        if self.shots < 1:
            raise InvalidValue(field="shots", value=self.shots, rule="a rate needs at least one shot")
        plain = proportion(self.errors, self.shots)
        if self.timelines < 2:
            return plain
        p = plain.value
        scatter = self.errors_sq - 2 * p * self.shots_errors + p * p * self.shots_sq
        variance = max(0.0, scatter) / self.shots**2 * self.timelines / (self.timelines - 1)
        return Estimate(value=p, stderr=max(plain.stderr, math.sqrt(variance)), shots=self.shots)


def histogram_us(values_ps: NDArray[np.int64], limits_us: tuple[int, ...]) -> dict[str, int]:
    """Return how many times are at most each limit, as counts named ``lat_le_<limit>us``."""
    return {f"lat_le_{limit}us": int(np.count_nonzero(values_ps <= limit * 1_000_000)) for limit in limits_us}
