"""Waiting times: closed forms against attempts made one by one, against exact arithmetic, and the sheet's numbers."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import fidelity
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.entanglement.waiting import (
    all_links_mean,
    all_links_quantile,
    all_links_within,
    mean_attempts,
    probability_within,
    quantile_attempts,
    swapped_mean,
    two_link_cutoff,
)
from hyperfabric_q.errors import InvalidValue


def tried(rng, success, runs):
    """The number of the first attempt that succeeds, found by attempting."""
    found, open_runs, attempt = np.zeros(runs, np.int64), np.arange(runs), 0
    while open_runs.size:
        attempt += 1
        hit = rng.random(open_runs.size) < success
        found[open_runs[hit]] = attempt
        open_runs = open_runs[~hit]
    return found


def exact_all_links_mean(success, links):
    """The alternating sum, with digits enough to lose hundreds of them."""
    with localcontext() as context:
        context.prec = 400
        fail = 1 - Decimal(success)
        power, total = Decimal(1), Decimal(0)
        for j in range(1, links + 1):
            power *= fail
            total += (-1) ** (j + 1) * Decimal(math.comb(links, j)) / (1 - power)
        return float(total)


# ------------------------------------------------------------------------------------------------------------ one link


def test_v7_the_first_success_is_geometric():
    """Kolmogorov-Smirnov at 1 % (conservative for a discrete law)."""
    for seed, success in ((1, 0.3), (2, 0.02)):
        seen = tried(np.random.default_rng(seed), success, 20_000)
        grid = np.arange(0, seen.max() + 1)
        empirical = np.searchsorted(np.sort(seen), grid, side="right") / seen.size
        gap = np.abs(empirical - probability_within(success, grid)).max()
        assert gap < 1.628 / math.sqrt(seen.size)
        assert abs(seen.mean() - mean_attempts(success)) < 4 * seen.std() / math.sqrt(seen.size)


def test_k_pairs_obey_the_negative_binomial_law():
    success, pairs = 0.15, 4
    for attempts in (0, 3, 4, 20, 60):
        few = sum(
            math.comb(attempts, j) * success**j * (1 - success) ** (attempts - j)
            for j in range(min(pairs, attempts + 1))
        )
        assert probability_within(success, attempts, pairs=pairs) == pytest.approx(1 - few, abs=1e-13)
    rng = np.random.default_rng(3)
    seen = sum(tried(rng, success, 20_000) for _ in range(pairs))
    assert abs(seen.mean() - mean_attempts(success, pairs=pairs)) < 4 * seen.std() / math.sqrt(seen.size)
    empirical = np.searchsorted(np.sort(seen), np.arange(200), side="right") / seen.size
    gap = np.abs(empirical - probability_within(success, np.arange(200), pairs=pairs)).max()
    assert gap < 1.628 / math.sqrt(seen.size)


@given(
    success=st.floats(1e-9, 1.0),
    quantile=st.floats(0.0, 0.999999),
    pairs=st.sampled_from([1, 1, 2, 7]),
)
@settings(deadline=None, derandomize=True, max_examples=150)
def test_a_quantile_is_the_least_number_that_suffices(success, quantile, pairs):
    least = int(quantile_attempts(success, quantile, pairs=pairs))
    assert least >= pairs
    assert probability_within(success, least, pairs=pairs) >= quantile - 1e-12
    if least > pairs:
        assert probability_within(success, least - 1, pairs=pairs) < quantile + 1e-12


def test_quantiles_that_are_exact_are_not_rounded_up():
    # 1 - (1/2)^k is a float: the k-th attempt reaches that quantile exactly.
    exponents = np.arange(1, 50)
    assert (quantile_attempts(0.5, 1 - 0.5**exponents) == exponents).all()
    assert quantile_attempts(1.0, 0.999) == 1
    assert quantile_attempts(1.0, 0.5, pairs=3) == 3


def test_rare_success_keeps_its_digits():
    assert probability_within(1e-18, 5) == pytest.approx(5e-18, rel=1e-12, abs=0)
    assert quantile_attempts(1e-12, 0.5) == pytest.approx(math.log(2) * 1e12, rel=1e-9)
    assert probability_within(0.3, math.inf) == 1
    assert probability_within(1e-9, math.inf, pairs=5) == 1
    assert probability_within(0.5, 2.9) == 0.75


def test_everything_broadcasts():
    assert probability_within([[0.1], [0.2]], [1, 2, 3]).shape == (2, 3)
    assert quantile_attempts([0.1, 0.2, 1.0], 0.9, pairs=[[1], [3]]).shape == (2, 3)
    assert all_links_mean([0.001, 0.5], 40).shape == (2,)
    assert two_link_cutoff([[0.1], [0.2]], [0, 5, math.inf], 0.1).decay.shape == (2, 3)


# ----------------------------------------------------------------------------------------------------------- all links


def test_v7_mean_of_the_slowest_of_n_links():
    expected = {2: 149.749, 4: 207.790, 16: 336.880}
    for links, value in expected.items():
        assert all_links_mean(0.01, links) == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize("links", [1, 2, 10, 11, 31, 100, 1000])
def test_the_slowest_of_up_to_a_thousand_links_to_twelve_digits(links):
    for success in (1e-6, 0.001, 0.0499, 0.05, 0.3, 0.95, 1.0):
        assert all_links_mean(success, links) == pytest.approx(exact_all_links_mean(success, links), rel=1e-12)


def test_the_slowest_link_in_law_and_in_simulation():
    success, links = 0.2, 5
    rng = np.random.default_rng(4)
    slowest = np.max([tried(rng, success, 20_000) for _ in range(links)], axis=0)
    assert abs(slowest.mean() - all_links_mean(success, links)) < 4 * slowest.std() / math.sqrt(slowest.size)
    for attempts in (1, 5, 15):
        share = (slowest <= attempts).mean()
        law = float(all_links_within(success, links, attempts))
        assert abs(share - law) < 4 * math.sqrt(law * (1 - law) / slowest.size) + 1e-9
    for quantile in (0.0, 0.5, 0.999):
        least = int(all_links_quantile(success, links, quantile))
        assert all_links_within(success, links, least) >= quantile
        assert least == 1 or all_links_within(success, links, least - 1) < quantile


def test_a_failed_swap_starts_all_links_again():
    success, links, swaps = 0.3, 3, 0.4
    rng = np.random.default_rng(5)
    total, open_runs = np.zeros(20_000), np.arange(20_000)
    while open_runs.size:
        total[open_runs] += np.max([tried(rng, success, open_runs.size) for _ in range(links)], axis=0)
        open_runs = open_runs[rng.random(open_runs.size) >= swaps]
    assert abs(total.mean() - swapped_mean(success, links, swaps)) < 4 * total.std() / math.sqrt(total.size)


# ----------------------------------------------------------------------------------------------------------- two links


V8 = [
    (0.01, 50, 0.01, 224.986, 0.80186),
    (0.1, 5, 0.05, 20.7512, 0.88722),
    (0.001, 1000, 0.001, 1790.13, 0.68387),
    (0.3, math.inf, 0.1, 4.70588, 0.78624),
]


@pytest.mark.parametrize(("success", "cutoff", "decay", "attempts", "kept"), V8)
def test_v8_two_links_with_a_cutoff(success, cutoff, decay, attempts, kept):
    law = two_link_cutoff(success, cutoff, decay)
    assert law.attempts == pytest.approx(attempts, rel=3e-6)
    assert law.decay == pytest.approx(kept, abs=6e-6)
    # And by playing rounds.
    rng, runs = np.random.default_rng(8), 60_000
    spent, age, rounds = np.zeros(runs), np.zeros(runs), 0
    open_runs = np.arange(runs)
    while open_runs.size:
        rounds += open_runs.size
        a, b = rng.geometric(success, (2, open_runs.size))
        gap = np.abs(a - b)
        spent[open_runs] += np.minimum(a, b) + np.minimum(gap, cutoff)
        age[open_runs] = gap
        open_runs = open_runs[gap > cutoff]
    factor = np.exp(-decay * age)
    assert abs(spent.mean() - law.attempts) < 4 * spent.std() / math.sqrt(runs)
    assert abs(factor.mean() - law.decay) < 4 * factor.std() / math.sqrt(runs)
    share = runs / rounds
    assert abs(share - law.success) < 4 * math.sqrt(share * (1 - share) / rounds) + 1e-12


def test_the_cutoff_law_at_its_ends():
    at_once = two_link_cutoff(0.2, 0, 0.5)
    assert at_once.decay == 1
    assert at_once.success == pytest.approx(0.2 / 1.8)
    assert at_once.attempts == pytest.approx(1 / 0.2**2)
    sure = two_link_cutoff(1.0, [0, 3, math.inf], 0.5)
    assert (sure.attempts == 1).all()
    assert (sure.decay == 1).all()
    assert (sure.success == 1).all()
    endless = two_link_cutoff([1e-9, 0.01, 0.7], math.inf, 0.0)
    assert endless.attempts == pytest.approx(all_links_mean([1e-9, 0.01, 0.7], 2), rel=1e-12)
    assert endless.decay == pytest.approx(1, abs=1e-12)
    assert two_link_cutoff(0.1, 10**6, 0.3).decay == pytest.approx(two_link_cutoff(0.1, math.inf, 0.3).decay, rel=1e-14)


def test_v10_two_arms_of_20_km_with_one_stored_half_each():
    success, attempt_ms, memory_ms = 0.8 * math.exp(-20 / 22), 0.2, 100.0
    step = attempt_ms / memory_ms
    law = two_link_cutoff(success, math.inf, step)
    assert law.attempts * attempt_ms == pytest.approx(0.87117, abs=5e-6)
    # Either stored half also ages by one attempt while its own photon is under way.
    assert (1 + law.decay * math.exp(-2 * step)) / 2 == pytest.approx(0.9955, abs=1e-4)

    rng, runs = np.random.default_rng(10), 40_000
    a, b = rng.geometric(success, (2, runs))
    attempt_ps = int(attempt_ms * 1e9)
    memory = Memory(dephasing_ps=memory_ms * 1e9)
    perfect = np.ones((runs, 3))
    left, right = (
        wait(perfect, memory, attempt_ps * (1 + np.maximum(a, b) - mine), Memory(), np.zeros(runs, np.int64))
        for mine in (a, b)
    )
    seen = fidelity(swap(left, right))
    exact = (1 + law.decay * math.exp(-2 * step)) / 2
    assert abs(seen.mean() - exact) < 4 * seen.std() / math.sqrt(runs)
    assert np.maximum(a, b).mean() * attempt_ms == pytest.approx(0.8714, rel=0.02)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_attempts(0.0),
        lambda: mean_attempts(1.1),
        lambda: mean_attempts(float("nan")),
        lambda: mean_attempts("half"),
        lambda: mean_attempts(0.5, pairs=0),
        lambda: mean_attempts(0.5, pairs=1.5),
        lambda: probability_within(0.5, -1),
        lambda: probability_within(0.5, float("nan")),
        lambda: quantile_attempts(0.5, 1.0),
        lambda: quantile_attempts(0.5, -0.1),
        lambda: quantile_attempts(1e-30, 0.5),
        lambda: quantile_attempts(1e-30, 0.5, pairs=2),
        lambda: all_links_mean(0.5, 0),
        lambda: all_links_mean(0.5, 2.0),
        lambda: all_links_mean(0.5, links=True),
        lambda: all_links_mean(0.5, 10**7),
        lambda: swapped_mean(0.5, 2, 0.0),
        lambda: two_link_cutoff(0.5, 2.5, 0.1),
        lambda: two_link_cutoff(0.5, -1, 0.1),
        lambda: two_link_cutoff(0.5, 2, -0.1),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidValue):
        call()
