"""How long Bell pairs keep one waiting: the laws of attempts that succeed independently of one another.

Every function counts attempts, not time, and broadcasts over its arguments. An attempt succeeds with probability p;
the number of attempts until the first success is geometric, and until the k-th negative binomial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from hyperfabric_q.entanglement.state import FloatArray, check_within
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.fields import is_whole

FEW_LINKS: Final = 10
"""Up to here the alternating sum over links loses at most three of sixteen digits."""

RARE: Final = 0.05
"""Below this success probability, more than ``FEW_LINKS`` links obey the integral of the sum, plus 1/2, to rounding."""

MOST_LINKS: Final = 10**6

_LEAST_SUCCESS: Final = 1e-300
_MOST_ATTEMPTS: Final = 2.0**62


# ---------------------------------------------------------------------------------------------------------- one link


def mean_attempts(success: ArrayLike, *, pairs: ArrayLike = 1) -> FloatArray:
    """Return the mean number of attempts until ``pairs`` pairs were made on one link: pairs/p.

    Raises:
        InvalidValue: a success probability is not in (0, 1], or a number of pairs is not a whole number of at least 1.
    """
    return np.asarray(_whole("pairs", pairs) / _success(success))


def probability_within(success: ArrayLike, attempts: ArrayLike, *, pairs: ArrayLike = 1) -> FloatArray:
    """Return the probability that ``attempts`` attempts make at least ``pairs`` pairs on one link.

    For one pair 1 - (1-p)^n; for k the regularised incomplete beta function I_p(k, n-k+1).

    Args:
        success: success probability of an attempt.
        attempts: how many are made; a part of an attempt counts nothing, and infinitely many are allowed.
        pairs: how many pairs are wanted.

    Raises:
        InvalidValue: a success probability is not in (0, 1], a number of attempts is negative or NaN, or a number of
            pairs is not a whole number of at least 1.
    """
    p, k = _success(success), _whole("pairs", pairs)
    n = np.floor(check_within("attempts", attempts, 0.0, np.inf, "a number of attempts is not negative"))
    p, n, k = np.broadcast_arrays(p, n, k)
    one = _within(p, n)
    enough = (n >= k) & np.isfinite(n)
    several = np.where(enough, betainc(k, np.where(enough, n - k + 1, 1.0), p), np.where(n >= k, 1.0, 0.0))
    return np.asarray(np.where(k == 1, one, several))


def quantile_attempts(success: ArrayLike, quantile: ArrayLike, *, pairs: ArrayLike = 1) -> NDArray[np.int64]:
    """Return the least number of attempts that make ``pairs`` pairs with probability ``quantile`` or more.

    For one pair ⌈ln(1-q)/ln(1-p)⌉; for more, by bisection of ``probability_within``.

    Raises:
        InvalidValue: a success probability is not in (0, 1], a quantile is not in [0, 1), a number of pairs is not a
            whole number of at least 1, or more than 2^62 attempts are needed.
    """
    p, k = _success(success), _whole("pairs", pairs)
    q = _quantile(quantile)
    p, q, k = np.broadcast_arrays(p, q, k)
    one = _as_count(np.maximum(_ceil(np.log1p(-q) / _log_fail(p)), 1.0))
    if (k == 1).all():
        return one
    low = k - 1  # too few
    high = np.maximum(2 * k / p, 1.0)
    while (lacking := probability_within(p, high, pairs=k) < q).any():
        low, high = np.where(lacking, np.floor(high), low), np.where(lacking, 2 * high, high)
        _as_count(high)
    high = np.ceil(high)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        lacking = probability_within(p, middle, pairs=k) < q
        low, high = np.where(lacking, middle, low), np.where(lacking, high, np.maximum(middle, low + 1))
    return np.where(k == 1, one, _as_count(np.maximum(high, k)))


# --------------------------------------------------------------------------------------------------------- all links


def all_links_mean(success: ArrayLike, links: int) -> FloatArray:
    """Return the mean number of attempts until each of ``links`` equal links, tried side by side, has made a pair.

    E[max] = sum over k >= 0 of 1 - (1 - (1-p)^k)^n. Few links: the alternating sum over their number. Many links and
    rare success: H_n/λ + 1/2 with λ = -ln(1-p), the Euler-Maclaurin formula, whose further terms vanish as λ^n. Else
    the sum itself, of about (36 + ln n)/p terms.

    Args:
        success: success probability of an attempt on one link.
        links: how many.

    Raises:
        InvalidValue: a success probability is not in (0, 1], or the number of links is not a whole number in [1, 10^6].
    """
    p = _success(success)
    n = _links(links)
    rate = -_log_fail(p)
    if n <= FEW_LINKS:
        total, term = np.zeros_like(p), 1.0
        for j in range(1, n + 1):
            term *= -(n - j + 1) / j
            total += term / np.expm1(-j * rate)
        return np.asarray(total)
    rare = p < RARE
    harmonic = float((1 / np.arange(n, 0, -1.0)).sum())
    fail_once = 1 - np.maximum(p, RARE)
    total, fail = np.ones_like(p), np.ones_like(p)
    for _ in range(int((40 + np.log(n)) / RARE)):
        fail = fail * fail_once
        total = total - np.expm1(n * np.log1p(-fail))
    return np.asarray(np.where(rare, harmonic / rate + 0.5, total))


def all_links_within(success: ArrayLike, links: int, attempts: ArrayLike) -> FloatArray:
    """Return the probability that each of ``links`` equal links has made a pair after ``attempts`` attempts on each.

    Raises:
        InvalidValue: see ``probability_within`` and ``all_links_mean``.
    """
    return np.asarray(probability_within(success, attempts) ** _links(links))


def all_links_quantile(success: ArrayLike, links: int, quantile: ArrayLike) -> NDArray[np.int64]:
    """Return the least number of attempts after which all of ``links`` equal links have a pair with that probability.

    Raises:
        InvalidValue: see ``quantile_attempts`` and ``all_links_mean``.
    """
    p, q = np.broadcast_arrays(_success(success), _quantile(quantile))
    with np.errstate(divide="ignore"):
        miss = np.log(-np.expm1(np.log(q) / _links(links)))  # ln(1 - q^(1/n)), without cancellation near q = 1
    return _as_count(np.maximum(_ceil(miss / _log_fail(p)), 1.0))


def swapped_mean(success: ArrayLike, links: int, swap_success: ArrayLike) -> FloatArray:
    """Return the mean number of attempts when all links wait for the last, swap together, and restart after a failure.

    Args:
        success: success probability of an attempt on one link.
        links: how many equal links are tried side by side.
        swap_success: probability that all Bell measurements of the chain succeed.

    Raises:
        InvalidValue: see ``all_links_mean``.
    """
    return np.asarray(all_links_mean(success, links) / _success(swap_success, "swap_success"))


# --------------------------------------------------------------------------------------------------------- two links


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoffLaw:
    """Return what two equal links cost that wait for one another, but not longer than a cutoff.

    Args:
        attempts: mean number of attempts until both have a pair.
        decay: mean factor exp(-a·age) of a correlator of the pair that waited, at the moment the other one comes.
        success: probability that a round ends with both pairs rather than with the cutoff.
    """

    attempts: FloatArray
    decay: FloatArray
    success: FloatArray


def two_link_cutoff(success: ArrayLike, cutoff_attempts: ArrayLike, decay_per_attempt: ArrayLike) -> CutoffLaw:
    """Return the law of two equal links whose first pair is dropped when the second takes too long; exact.

    A round: both links try until one has a pair, after 1/q0 attempts, q0 = 1 - (1-p)²; with probability s = p²/q0 both
    do at once. Otherwise the other goes on for up to τ attempts; if it fails, both start again.

    Args:
        success: success probability p of an attempt, on either link.
        cutoff_attempts: τ, the oldest age in attempts that a waiting pair may reach; may be infinite.
        decay_per_attempt: a, so that a waiting correlator is multiplied by exp(-a) per attempt.

    Raises:
        InvalidValue: a success probability is not in (0, 1], a cutoff is no whole number (or inf) of at least 0, or a
            decay is negative.
    """
    tau = check_within("cutoff_attempts", cutoff_attempts, 0.0, np.inf, "a cutoff is not negative")
    if (tau != np.floor(tau)).any():
        raise InvalidValue(field="cutoff_attempts", value=cutoff_attempts, rule="a cutoff is a whole number, or inf")
    a = check_within("decay_per_attempt", decay_per_attempt, 0.0, np.inf, "a decay is not negative")
    p, tau, a = np.broadcast_arrays(_success(success), tau, a)
    once = p * (2 - p)
    together = p / (2 - p)
    in_time = _within(p, tau)
    done = together + (1 - together) * in_time
    attempts = (1 / once + (1 - together) * in_time / p) / done
    # x = (1-p) e^-a: the waiting pair is an attempt older, and still alone.
    log_x = _log_fail(p) - a
    ages = -np.expm1(_times(tau, log_x)) / -np.expm1(log_x)
    decay = (together + (1 - together) * p * np.exp(-a) * ages) / done
    return CutoffLaw(attempts=np.asarray(attempts), decay=np.asarray(decay), success=np.asarray(done))


# ---------------------------------------------------------------------------------------------------------- checking


def _success(value: ArrayLike, field: str = "success") -> FloatArray:
    return check_within(field, value, _LEAST_SUCCESS, 1.0, "a success probability lies in (0, 1]")


def _quantile(value: ArrayLike) -> FloatArray:
    return check_within("quantile", value, 0.0, 1 - 2**-53, "a quantile lies in [0, 1)")


def _whole(field: str, value: ArrayLike) -> FloatArray:
    array = check_within(field, value, 1.0, _MOST_ATTEMPTS, "a whole number of at least 1 is needed")
    if (array != np.floor(array)).any():
        raise InvalidValue(field=field, value=value, rule="a whole number of at least 1 is needed")
    return array


def _links(value: object) -> int:
    if not (is_whole(value) and 1 <= value <= MOST_LINKS):
        rule = f"a number of links is a whole number in [1, {MOST_LINKS}]"
        raise InvalidValue(field="links", value=value, rule=rule)
    return int(value)


def _as_count(value: FloatArray) -> NDArray[np.int64]:
    if (value > _MOST_ATTEMPTS).any():
        rule = "more than 2^62 attempts would be needed"
        remedy = "Ask for a smaller quantile, or raise the success probability."
        raise InvalidValue(field="success", value=float(np.max(value)), rule=rule, remedy=remedy)
    return np.asarray(value).astype(np.int64)


# -------------------------------------------------------------------------------------------------------- arithmetic


def _log_fail(p: FloatArray) -> FloatArray:
    """Return ln(1-p), which is -inf at p = 1."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(-p))


def _times(count: FloatArray, log: FloatArray) -> FloatArray:
    """Return count·log, where nothing times infinity is nothing: the 0th power of 0 is 1."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count == 0, 0.0, count * log))


def _within(p: FloatArray, attempts: FloatArray) -> FloatArray:
    """Return 1 - (1-p)^n without cancellation."""
    return np.asarray(-np.expm1(_times(attempts, _log_fail(p))))


def _ceil(value: FloatArray) -> FloatArray:
    """Return the ceiling, where a whole number that rounding lifted by some last digits stays itself."""
    return np.asarray(np.ceil(value * (1 - 8 * np.finfo(float).eps)))
