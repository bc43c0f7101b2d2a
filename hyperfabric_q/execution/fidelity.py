"""How close is a sample to a distribution, and how sure is that?

The Hellinger fidelity of two distributions is F(p, q) = (sum_i sqrt(p_i q_i))^2, the square of the Bhattacharyya
coefficient; it is what Qiskit's ``hellinger_fidelity`` returns. Put into that formula, a *sample* of N shots falls
short of its own distribution: the plug-in value of a perfect sampler over k likely outcomes is about 1 - (k - 1) /
(4 N), and far less where k exceeds N. Three numbers are therefore kept apart:

* ``raw``: the plug-in value, comparable with other tools;
* ``perfect``: the mean plug-in value of a perfect sampler at the same number of shots, simulated;
* ``value`` = min(1, raw / perfect): the estimate of F. A perfect sampler scores 1 within the bar, whatever k and N are.

The bar is a parametric bootstrap. The delta method gives sqrt(F (1 - F) / N), which is right away from F = 1 and
degenerates to zero there, exactly where a faithful run ends up. The bootstrap draws instead from the distribution that
lies on the Hellinger arc between the ideal and the observed one at fidelity ``value``. At ``value`` = 1 this is the
ideal itself, so the bar is the scatter of a perfect sampler; far from 1 it is the observed distribution, and the bar
agrees with the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import with_bar
from hyperfabric_q.seeds import stream

Outcome = TypeVar("Outcome", str, int)
Array = npt.NDArray[np.float64]

_MOST_REPLICATES: Final = 400
_LEAST_REPLICATES: Final = 100
_WORK: Final = 1_000_000
"""Categories drawn per bootstrap; 100 replicates fix a bar to 7 %, 400 to 3.5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """A fidelity estimated from a sample, with its kind.

    Attributes:
        value: the estimate, corrected for the finite sample, at most 1.
        stderr: one standard error of ``value``.
        kind: which fidelity this is: "hellinger" of counts, or "process".
        shots: the size of the sample (of the smaller one, for two samples).
        raw: the plug-in value, biased low.
        perfect: the mean plug-in value of a perfect sampler at this number of shots.
    """

    value: float
    stderr: float
    kind: str
    shots: int
    raw: float
    perfect: float

    @property
    def is_perfect(self) -> bool:
        """True when the value is within three standard errors of 1."""
        return self.value + 3 * self.stderr >= 1

    def __str__(self) -> str:
        return f"{with_bar(self.value, self.stderr)} ({self.kind}, {self.shots} shots)"

    def to_dict(self) -> dict[str, float | int | str]:
        """Return the fields, ready for JSON."""
        return {
            "value": self.value,
            "stderr": self.stderr,
            "kind": self.kind,
            "shots": self.shots,
            "raw": self.raw,
            "perfect": self.perfect,
        }


def hellinger_fidelity(counts: Mapping[Outcome, int], ideal: Mapping[Outcome, float], *, seed: int = 0) -> Fidelity:
    """Return the Hellinger fidelity of a sample to an exact distribution, with its bar.

    Args:
        counts: shots per outcome.
        ideal: probability per outcome; outcomes left out have probability 0.
        seed: of the bootstrap; the same arguments give the same bar.

    Raises:
        InvalidValue: no shots, a negative count or probability, or probabilities that do not sum to 1.
    """
    shots = _shots(counts)
    outcomes = [outcome for outcome, chance in ideal.items() if chance > 0]
    q = np.array([ideal[outcome] for outcome in outcomes], dtype=np.float64)
    if any(chance < 0 for chance in ideal.values()) or not math.isclose(float(q.sum()), 1, abs_tol=1e-6):
        raise InvalidValue(field="ideal", value=float(q.sum()), rule="probabilities are >= 0 and sum to 1")
    seen = np.array([counts.get(outcome, 0) for outcome in outcomes], dtype=np.float64)
    # What the ideal never shows is one more category: it adds nothing to the overlap but takes its share of the
    # shots.
    q = np.append(q / q.sum(), 0.0)
    p = np.append(seen, shots - seen.sum()) / shots

    def replicate(model: Array, name: str) -> Array:
        if model is q:
            return _of_perfect_samples(q.tobytes(), shots, seed, name)
        return np.array([_plug_in(drawn, q) for drawn in _samples(stream(seed, "fidelity", name), model, shots)])

    return _estimate(p, q, shots, replicate, null=q)


@lru_cache(maxsize=8)
def _of_perfect_samples(ideal: bytes, shots: int, seed: int, name: str) -> Array:
    """What samples of the ideal distribution itself say: the same for every point of a sweep."""
    q = np.frombuffer(ideal, dtype=np.float64)
    return np.array([_plug_in(drawn, q) for drawn in _samples(stream(seed, "fidelity", name), q, shots)])


def hellinger_range(
    noisy: Array, ideal: Array, shots: int, *, coverage: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Return the mean, the lower and the upper end of what ``hellinger_fidelity`` says of samples of a distribution.

    Args:
        noisy: the distribution that is sampled.
        ideal: the one that it is compared with, over the same outcomes.
        shots: of a sample.
        coverage: share of the samples within both ends.
        seed: of the samples that are drawn.
    """
    seen = ideal > 0
    p, q = np.append(noisy[seen], noisy[~seen].sum()), np.append(ideal[seen], 0.0)
    drawn = _samples(stream(seed, "fidelity", "perfect"), q, shots)
    perfect = float(np.mean([_plug_in(each, q) for each in drawn]))
    found = [min(1.0, _plug_in(each, q) / perfect) for each in _samples(stream(seed, "fidelity", "range"), p, shots)]
    low, high = np.quantile(found, ((1 - coverage) / 2, (1 + coverage) / 2))
    return float(np.mean(found)), float(low), float(high)


def hellinger_fidelity_of_samples(a: Mapping[Outcome, int], b: Mapping[Outcome, int], *, seed: int = 0) -> Fidelity:
    """Return the Hellinger fidelity of the distributions behind two samples, with its bar.

    ``perfect`` is what two samples of these sizes would show if both came from the pooled distribution.

    Raises:
        InvalidValue: a sample without shots, or with a negative count.
    """
    n, m = _shots(a), _shots(b)
    outcomes = sorted(set(a) | set(b))
    p = np.array([a.get(outcome, 0) for outcome in outcomes], dtype=np.float64) / n
    q = np.array([b.get(outcome, 0) for outcome in outcomes], dtype=np.float64) / m
    pooled = (p * n + q * m) / (n + m)

    def replicate(model: Array, name: str) -> Array:
        left = _samples(stream(seed, "fidelity", name, "a"), model, n)
        right = _samples(stream(seed, "fidelity", name, "b"), pooled if model is pooled else q, m)
        return np.array([_plug_in(*drawn) for drawn in zip(left, right, strict=False)])

    return _estimate(p, q, min(n, m), replicate, null=pooled)


def _shots(counts: Mapping[Outcome, int]) -> int:
    total = sum(counts.values())
    if total < 1 or any(count < 0 for count in counts.values()):
        raise InvalidValue(field="counts", value=total, rule="a sample has at least one shot and no negative count")
    return total


def _plug_in(p: Array, q: Array) -> float:
    return min(1.0, float(np.sqrt(p * q).sum()) ** 2)


def _estimate(p: Array, q: Array, shots: int, replicate: Callable[[Array, str], Array], *, null: Array) -> Fidelity:
    raw = _plug_in(p, q)
    nothing_lost = replicate(null, "perfect")
    perfect = float(nothing_lost.mean())
    value = min(1.0, raw / perfect)
    scatter = nothing_lost if value == 1 else replicate(_on_arc(q, p, value), "model")
    # Shots that all agree still leave 1 / shots open: the bar that Jeffreys' prior gives a proportion of 0 or 1.
    stderr = max(float(scatter.std(ddof=1)) / perfect, math.sqrt(0.5) / (shots + 1))
    return Fidelity(value=value, stderr=stderr, kind="hellinger", shots=shots, raw=raw, perfect=perfect)


def _on_arc(q: Array, p: Array, fidelity: float) -> Array:
    """Return the distribution on the Hellinger arc from ``q`` towards ``p`` whose fidelity to ``q`` is given."""
    whole = math.acos(math.sqrt(_plug_in(p, q)))
    part = min(math.acos(math.sqrt(fidelity)), whole)
    if whole < 1e-9:
        return q
    amplitudes = (math.sin(whole - part) * np.sqrt(q) + math.sin(part) * np.sqrt(p)) / math.sin(whole)
    return np.asarray(amplitudes**2 / (amplitudes**2).sum())


def _samples(rng: np.random.Generator, p: Array, shots: int) -> Iterator[Array]:
    """Yield samples of ``shots`` shots from ``p`` as shares, at a cost of min(categories, shots) each."""
    edges = np.cumsum(p)
    edges /= edges[-1]
    for _ in range(min(max(_WORK // min(len(p), shots), _LEAST_REPLICATES), _MOST_REPLICATES)):
        if len(p) <= shots:
            drawn = rng.multinomial(shots, p)
        else:
            drawn = np.bincount(np.searchsorted(edges, rng.random(shots), side="right"), minlength=len(p))
        yield drawn / shots
