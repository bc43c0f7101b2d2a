"""Bars over timelines cover; bars that take shots for independent do not."""

import numpy as np
import pytest

from hyperfabric_q.estimate import proportion
from hyperfabric_q.execution.clusters import fidelity_over, jackknife, mean_error, proportion_over, widening

K, EACH, TRIALS = 8, 500, 1500


@pytest.fixture(scope="module")
def hits():
    """Hits of K timelines whose own chances scatter around 0.4 by 0.08: Beta-binomial."""
    rng = np.random.default_rng(3)
    n = 0.4 * 0.6 / 0.08**2 - 1
    return rng.binomial(EACH, rng.beta(0.4 * n, 0.6 * n, size=(TRIALS, K)))


def coverage(estimates, true):
    return np.mean([abs(each.value - true) <= 1.96 * each.stderr for each in estimates])


def test_cluster_robust_bars_cover_where_naive_ones_fail(hits):
    robust = coverage([proportion_over(row.tolist(), [EACH] * K) for row in hits], 0.4)
    naive = coverage([proportion(int(row.sum()), EACH * K) for row in hits], 0.4)
    assert naive < 0.6
    assert 0.93 < robust < 0.975


def test_bars_of_unequal_timelines_cover_as_well():
    rng = np.random.default_rng(5)
    shots = [100, 300, 300, 500, 500, 500, 700, 900]
    found = []
    for _ in range(600):
        hits = rng.binomial(shots, np.clip(rng.normal(0.4, 0.08, K), 0, 1)).tolist()
        found.append(proportion_over(hits, shots))
    assert 0.9 < coverage(found, 0.4) < 0.985


def test_timelines_that_agree_leave_the_bar_of_independent_shots():
    assert proportion_over([50] * K, [100] * K) == proportion(400, 800)
    assert proportion_over([7], [20]) == proportion(7, 20)
    assert proportion_over([0] * K, [100] * K).stderr == proportion(0, 800).stderr


def test_one_shot_per_timeline_is_independent_shots():
    bits = np.random.default_rng(2).permutation([1] * 300 + [0] * 700)
    assert mean_error(bits, [1] * 1000) == pytest.approx(proportion(300, 1000).stderr, rel=0.1)


def test_few_timelines_are_widened_as_students_quantile_says():
    assert widening(7) == pytest.approx(2.3646 / 1.95996, rel=1e-4)
    assert widening(1) == pytest.approx(12.706 / 1.95996, rel=1e-4)
    assert widening(0) == 1
    assert widening(5000) == pytest.approx(1, abs=1e-3)


def test_bar_of_a_fidelity_holds_what_timelines_differ_by(hits):
    # Two outcomes, the ideal always shows the first: the Hellinger fidelity is its share.
    found = []
    for row in hits[:150]:
        clusters = [{"0": int(hit), "1": EACH - int(hit)} for hit in row]
        counts = {key: sum(cluster[key] for cluster in clusters) for key in "01"}
        found.append(fidelity_over(counts, clusters, {"0": 1.0}, seed=1))
    assert 0.9 < coverage(found, 0.4) < 0.99
    plain = fidelity_over(counts, (), {"0": 1.0}, seed=1)
    assert plain.stderr < found[-1].stderr
    assert plain.value == found[-1].value


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9])
def test_pairs_of_like_timelines_know_nothing_of_what_pairs_differ_by(count):
    rng = np.random.default_rng(count)
    levels = np.repeat(rng.normal(size=count), 2)[:count]
    levels[-1] = levels[-2] if count % 2 == 0 else levels[-1]
    levels[count - 2 - count % 2 :] = levels[count - 2 - count % 2]
    assert mean_error(levels * 100, np.full(count, 100)) == pytest.approx(0, abs=1e-9)
    assert count < 4 or mean_error(levels * 100, np.full(count, 100), paired=False) > 0.05


def test_paired_error_is_the_scatter_of_a_stratified_mean():
    # Three strata of their own means, two draws from each: the mean square of the error without its widening is right.
    rng = np.random.default_rng(4)
    means, deviations = np.repeat([0.0, 3.0, 9.0], 2), np.repeat([1.0, 0.5, 2.0], 2)
    draws = rng.normal(means, deviations, size=(20_000, 6))
    found = np.mean([(mean_error(row, np.ones(6)) / widening(3)) ** 2 for row in draws[:4000]])
    assert found == pytest.approx(draws.mean(axis=1).var(), rel=0.05)


def test_jackknife_of_a_mean_is_the_error_of_the_mean():
    rng = np.random.default_rng(8)
    values = rng.normal(size=9)
    without = (values.sum() - values) / 8
    for paired in (True, False):
        assert jackknife(without, paired=paired) == pytest.approx(mean_error(values, np.ones(9), paired=paired))
