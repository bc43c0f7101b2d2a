"""Numbers and bars of the record, against their definitions and against sampling."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.workloads.qec.loop import replays_for
from hyperfabric_q.workloads.qec.records import (
    Clusters,
    composed,
    fabric_tax,
    jeffreys,
    paired,
    per_round,
    rate_per_round,
    suppression,
)

laws = settings(deadline=None, derandomize=True, max_examples=80)


@laws
@given(st.floats(0, 0.4999), st.integers(1, 200))
def test_rates_compose_round_by_round(failure, rounds):
    rate = per_round(failure, rounds)
    p = 0.0
    for _ in range(rounds):
        p = p * (1 - rate) + (1 - p) * rate
    assert p == pytest.approx(failure, abs=1e-9)
    assert composed(rate, rounds) == pytest.approx(failure, abs=1e-9)


def test_half_is_the_most_that_can_fail():
    assert per_round(0.5, 10) == 0.5
    assert per_round(0.7, 10) == 0.5
    assert rate_per_round(600, 1000, 5).stderr == 0


def test_bars_per_round_follow_those_per_shot():
    low, high = per_round(0.03, 9), per_round(0.0302, 9)
    found = rate_per_round(3000, 100_000, 9)
    assert found.stderr == pytest.approx((high - low) / 0.0002 * math.sqrt(0.03 * 0.97 / 100_000), rel=0.02)


def test_jeffreys_intervals_cover_what_they_should():
    assert jeffreys(0, 50)[0] == 0.0
    assert jeffreys(50, 50)[1] == 1.0
    low, high = jeffreys(3, 100)
    assert beta.cdf(low, 3.5, 97.5) == pytest.approx(0.025)
    assert beta.cdf(high, 3.5, 97.5) == pytest.approx(0.975)
    rng = np.random.default_rng(1)
    hits = rng.binomial(200, 0.05, size=2000)
    intervals = {int(k): jeffreys(int(k), 200) for k in set(hits.tolist())}
    inside = np.mean([intervals[int(k)][0] <= 0.05 <= intervals[int(k)][1] for k in hits])
    assert inside == pytest.approx(0.95, abs=0.02)
    with pytest.raises(InvalidValue):
        jeffreys(5, 4)


def test_paired_comparisons_count_discordant_shots():
    found = paired([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0])
    assert (found.both, found.first, found.second, found.shots) == (1, 3, 1, 6)
    assert found.z == pytest.approx(2 / 2)
    assert found.ratio == pytest.approx(4 / 2)
    assert paired([0, 1], [0, 1]).z == 0
    with pytest.raises(InvalidValue, match="same shots"):
        paired([1], [1, 0])


def test_intervals_of_paired_ratios_cover_the_ratio():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(300):
        common = rng.random(4000) < 0.03
        found = paired(common | (rng.random(4000) < 0.02), common | (rng.random(4000) < 0.01))
        truth = (1 - 0.97 * 0.98) / (1 - 0.97 * 0.99)
        low, high = found.ratio_interval()
        inside += low <= truth <= high
    assert inside / 300 == pytest.approx(0.95, abs=0.035)


def test_ratios_carry_relative_bars():
    a, b = Estimate(value=0.02, stderr=0.001, shots=100), Estimate(value=0.01, stderr=0.001, shots=50)
    assert suppression(a, b).value == pytest.approx(2.0)
    assert fabric_tax(a, b).stderr == pytest.approx(2.0 * math.hypot(0.05, 0.1))
    for bad in (suppression, fabric_tax):
        with pytest.raises(InvalidValue):
            bad(a, Estimate(value=0.0, stderr=0.0, shots=10))


def test_cluster_bars_cover_where_binomial_ones_do_not():
    rng = np.random.default_rng(3)
    inside = naive = 0
    for _ in range(400):
        rates = rng.beta(2, 18, size=24)
        shots = rng.integers(50, 150, size=24)
        errors = rng.binomial(shots, rates)
        found = Clusters.of(shots, errors).estimate()
        inside += abs(found.value - 0.1) < 2.07 * found.stderr
        naive += abs(found.value - 0.1) < 2.07 * math.sqrt(0.09 / shots.sum())
    assert inside / 400 > 0.9
    assert naive / 400 < 0.75


@laws
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=8), st.integers(0, 7))
def test_clusters_survive_a_results_file_and_add_up(rows, split):
    shots = [n for n, _ in rows]
    errors = [min(n, k) for n, k in rows]
    whole = Clusters.of(shots, errors)
    parts = [
        Clusters.of(shots[:split], errors[:split]).to_counts(),
        Clusters.of(shots[split:], errors[split:]).to_counts(),
    ]
    added = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    assert Clusters.from_counts(sum(shots), sum(errors), added) == whole
    # The sandwich estimator by its definition.
    p = sum(errors) / sum(shots)
    found = whole.estimate()
    assert found.value == pytest.approx(p)
    if len(rows) > 1:
        scatter = sum((k - p * n) ** 2 for n, k in zip(shots, errors, strict=True))
        robust = math.sqrt(scatter * len(rows) / (len(rows) - 1)) / sum(shots)
        assert found.stderr >= robust * (1 - 1e-9)


def test_no_shots_no_rate():
    with pytest.raises(InvalidValue, match="at least one shot"):
        Clusters().estimate()


def test_timelines_of_unequal_numbers_of_blocks_are_refused():
    unequal = [SimpleNamespace(blocks=1), SimpleNamespace(blocks=2)]
    with pytest.raises(InvalidValue, match="same number of blocks"):
        replays_for(None, None, 10, unequal, 0)
