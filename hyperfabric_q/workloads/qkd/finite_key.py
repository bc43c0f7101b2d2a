"""How many secret bits finite strings give: what the test leaves open is paid for with key.

Formula: Tomamichel, Lim, Gisin and Renner, "Tight finite-key analysis for quantum cryptography" (2012), with Serfling's
bound on sampling. The error rate that counts is that of the basis which the key was *not* measured in.

Two ways to test. "pooled": test bits are drawn from all sifted bits. Both ends choose their bases evenly and at random,
so the bits that each key position would have shown in its other basis are a random sample of the same population as the
test. "per basis": key bits in Z answer for the test bits in X and the other way round, each with half of the
failure probability; better where the rates differ much and strings are long. The choice is made before any bit is seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd.rates import EFFICIENCY, binary_entropy

EPS_SECRET: Final = 1e-10
EPS_CORRECT: Final = 1e-10

_COARSE: Final = 48
_LEAST_FRACTION: Final = 1e-4
_MOST_FRACTION: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Return key bits with the test that answers for them.

    Args:
        key_bits: n, how many bits stay secret.
        test_bits: k, how many were published.
        error_rate: of the published ones.
    """

    key_bits: int
    test_bits: int
    error_rate: float

    def __post_init__(self) -> None:
        for field in ("key_bits", "test_bits"):
            if getattr(self, field) < 0:
                raise InvalidValue(field=field, value=getattr(self, field), rule="a number of bits is not negative")
        if not 0 <= self.error_rate <= 1:
            raise InvalidValue(field="error_rate", value=self.error_rate, rule="an error rate lies in [0, 1]")


def check_eps(field: str, value: float) -> float:
    """Return a failure probability.

    Raises:
        InvalidValue: it is not in (0, 1).
    """
    if not 0 < value < 1:
        raise InvalidValue(field=field, value=value, rule="a failure probability lies strictly between 0 and 1")
    return value


def deviation(key_bits: int, test_bits: int, eps: float) -> float:
    """Return mu: by how much the error rate of n key bits may exceed that of k test bits, but for ``eps``.

    mu = sqrt((n + k)(k + 1) / (n k^2) ln(4 / eps)); infinite if either number is 0.
    """
    n, k = key_bits, test_bits
    if n <= 0 or k <= 0:
        return math.inf
    return math.sqrt((n + k) * (k + 1) / (n * k * k) * math.log(4 / eps))


def secret_bits(
    groups: Sequence[Evidence],
    leak_bits: float,
    *,
    eps_secret: float = EPS_SECRET,
    eps_correct: float = EPS_CORRECT,
) -> float:
    """Return the length of key that may be kept; negative if none may, and then by how much it falls short.

    l = sum of n (1 - h(min(1/2, Q + mu))) - leak - log2(2 / (eps_s^2 eps_c)). The verification hash is in the last
    term.

    Args:
        groups: one, or one per basis; each then has an equal share of ``eps_secret``.
        leak_bits: revealed to reconcile.
        eps_secret: the key is distinguishable from a perfect one with at most this advantage.
        eps_correct: the ends' keys differ with at most this probability.

    Raises:
        InvalidValue: a failure probability is not in (0, 1).
    """
    check_eps("eps_secret", eps_secret)
    check_eps("eps_correct", eps_correct)
    kept = 0.0
    for each in groups:
        wrong = each.error_rate + deviation(each.key_bits, each.test_bits, eps_secret / len(groups))
        kept += each.key_bits * (1 - float(binary_entropy(min(0.5, wrong))))
    return kept - leak_bits - (1 - 2 * math.log2(eps_secret) - math.log2(eps_correct))


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """Return what strings of a given length should give.

    Args:
        sifted_bits: N.
        test_bits: how many of them to publish.
        secret_bits: expected length of the key, 0 if there is none.
    """

    sifted_bits: int
    test_bits: int
    secret_bits: int

    @property
    def rate(self) -> float:
        """Secret bits per sifted bit."""
        return self.secret_bits / self.sifted_bits if self.sifted_bits else 0.0

    @property
    def test_fraction(self) -> float:
        """The published share."""
        return self.test_bits / self.sifted_bits if self.sifted_bits else 0.0


def foretell(
    sifted_bits: int,
    error_rate: float,
    *,
    efficiency: float = EFFICIENCY,
    eps_secret: float = EPS_SECRET,
    eps_correct: float = EPS_CORRECT,
) -> Foretold:
    """Return the best split of N sifted bits into test and key, and the key that it gives; pooled test.

    Args:
        sifted_bits: N.
        error_rate: that both bases are expected to show.
        efficiency: f of the reconciliation; the expected leak is f n h(Q).
        eps_secret: see ``secret_bits``.
        eps_correct: see ``secret_bits``.

    Raises:
        InvalidValue: a number is out of range.

    Cost: some hundred evaluations, about 5 ms. Without any key the split is the one that falls short least.
    """
    if sifted_bits < 0:
        raise InvalidValue(field="sifted_bits", value=sifted_bits, rule="a number of bits is not negative")
    if not 0 <= error_rate <= 1:
        raise InvalidValue(field="error_rate", value=error_rate, rule="an error rate lies in [0, 1]")
    shannon = efficiency * float(binary_entropy(error_rate))

    def kept(fraction: float) -> float:
        k = max(1, round(fraction * sifted_bits))
        n = max(0, sifted_bits - k)
        group = Evidence(key_bits=n, test_bits=k, error_rate=error_rate)
        return secret_bits([group], shannon * n, eps_secret=eps_secret, eps_correct=eps_correct)

    if sifted_bits < 2:
        return Foretold(sifted_bits=sifted_bits, test_bits=0, secret_bits=0)
    coarse = np.geomspace(_LEAST_FRACTION, _MOST_FRACTION, _COARSE)
    best = int(np.argmax([kept(float(each)) for each in coarse]))
    low, high = float(coarse[max(best - 1, 0)]), float(coarse[min(best + 1, _COARSE - 1)])
    fine = float(minimize_scalar(lambda each: -kept(each), bounds=(low, high), method="bounded").x)
    fraction = max((fine, float(coarse[best])), key=kept)
    return Foretold(
        sifted_bits=sifted_bits,
        test_bits=max(1, round(fraction * sifted_bits)),
        secret_bits=max(0, math.floor(kept(fraction))),
    )
