"""Finite keys: the published table, limits, and what more errors or fewer bits must do."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd.finite_key import Evidence, deviation, foretell, secret_bits
from hyperfabric_q.workloads.qkd.rates import werner_rate


@pytest.mark.parametrize(
    ("sifted", "rate", "test_share"),
    [(1_000, 0.0, None), (10_000, 0.195, 0.26), (100_000, 0.424, 0.13), (10**6, 0.560, 0.07)],
)
def test_the_table_at_two_per_cent(sifted, rate, test_share):
    found = foretell(sifted, 0.02, eps_secret=1e-10, eps_correct=1e-10)
    assert found.rate == pytest.approx(rate, rel=0.005)
    if test_share is not None:
        assert found.test_fraction == pytest.approx(test_share, abs=0.01)


def test_the_best_split_is_no_worse_than_any_other():
    best = foretell(20_000, 0.03)
    h = -0.03 * math.log2(0.03) - 0.97 * math.log2(0.97)
    for k in range(500, 15_000, 250):
        n = 20_000 - k
        mu = math.sqrt(20_000 * (k + 1) / (n * k * k) * math.log(4e10))
        q = min(0.5, 0.03 + mu)
        wrong = -q * math.log2(q) - (1 - q) * math.log2(1 - q)
        by_hand = n * (1 - wrong) - 1.12 * n * h - math.log2(2e30)
        group = Evidence(key_bits=n, test_bits=k, error_rate=0.03)
        assert secret_bits([group], 1.12 * n * h) == pytest.approx(by_hand, abs=1e-6)
        assert best.secret_bits >= by_hand - 1


def test_endless_strings_reach_the_asymptotic_rate():
    assert foretell(10**13, 0.02).rate == pytest.approx(float(werner_rate(0.97, efficiency=1.12)), rel=2e-3)


counts = st.integers(2, 10**7)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(counts, counts, st.floats(0, 0.3), st.floats(0, 0.1), st.integers(0, 10**6))
def test_more_errors_and_more_leak_never_give_more_key(n, k, q, worse, leak):
    here = secret_bits([Evidence(key_bits=n, test_bits=k, error_rate=q)], leak)
    assert secret_bits([Evidence(key_bits=n, test_bits=k, error_rate=q + worse)], leak) <= here
    assert secret_bits([Evidence(key_bits=n, test_bits=k, error_rate=q)], leak + 1) == pytest.approx(here - 1)
    assert secret_bits([Evidence(key_bits=n, test_bits=k, error_rate=q)], leak, eps_secret=1e-12) < here
    assert here <= n
    assert deviation(n, k, 1e-10) >= deviation(n, k + 1, 1e-10)


def test_without_a_test_nothing_is_secret():
    assert math.isinf(deviation(100, 0, 1e-10))
    assert secret_bits([Evidence(key_bits=10**6, test_bits=0, error_rate=0.0)], 0) < 0
    assert foretell(1, 0.0).secret_bits == foretell(0, 0.0).secret_bits == 0


def test_testing_per_basis_pays_where_the_bases_differ():
    pooled = [Evidence(key_bits=2 * 10**8, test_bits=2 * 10**7, error_rate=0.03)]
    apart = [Evidence(key_bits=10**8, test_bits=10**7, error_rate=q) for q in (0.0, 0.06)]
    assert secret_bits(apart, 0) > secret_bits(pooled, 0)
    alike = [Evidence(key_bits=10**8, test_bits=10**7, error_rate=0.03)] * 2
    assert secret_bits(alike, 0) < secret_bits(pooled, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda: secret_bits([], 0, eps_secret=0.0), "eps_secret"),
        (lambda: secret_bits([], 0, eps_correct=1.0), "eps_correct"),
        (lambda: foretell(-1, 0.1), "sifted_bits"),
        (lambda: foretell(10, math.nan), "error_rate"),
        (lambda: Evidence(key_bits=-1, test_bits=1, error_rate=0.1), "key_bits"),
        (lambda: Evidence(key_bits=1, test_bits=1, error_rate=1.1), "error_rate"),
    ],
)
def test_wrong_numbers_are_refused(change, field):
    with pytest.raises(InvalidValue, match=field):
        change()
