import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import hellinger_fidelity as qiskit_hellinger_fidelity

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.fidelity import hellinger_fidelity, hellinger_fidelity_of_samples

OUTCOMES = ["00", "01", "10", "11"]


def sampled(p, shots, seed):
    counts = np.random.default_rng(seed).multinomial(shots, p)
    return {f"{key:b}": int(count) for key, count in enumerate(counts) if count}


def named(p):
    return {f"{key:b}": float(chance) for key, chance in enumerate(p)}


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any),
    st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any),
)
def test_raw_value_is_qiskits(counts, weights):
    counts = dict(zip(OUTCOMES, counts, strict=True))
    ideal = {key: weight / sum(weights) for key, weight in zip(OUTCOMES, weights, strict=True)}
    found = hellinger_fidelity(counts, ideal)
    assert found.raw == pytest.approx(qiskit_hellinger_fidelity(counts, ideal), abs=1e-9)
    assert found.raw <= found.value + 1e-12 <= 1 + 1e-12
    between = hellinger_fidelity_of_samples(counts, dict(zip(OUTCOMES, weights, strict=True)))
    assert between.raw == pytest.approx(found.raw, abs=1e-9)


@pytest.mark.parametrize(("outcomes", "shots"), [(4, 500), (64, 4096), (256, 20_000)])
def test_a_perfect_sampler_loses_the_known_finite_sample_bias(outcomes, shots):
    p = np.full(outcomes, 1 / outcomes)
    found = hellinger_fidelity(sampled(p, shots, 1), named(p))
    assert 1 - found.perfect == pytest.approx((outcomes - 1) / (4 * shots), rel=0.15)


@pytest.mark.parametrize(("outcomes", "shots"), [(2, 1000), (16, 1000), (256, 1000), (4096, 1000)])
def test_a_perfect_sampler_scores_one_within_the_bar_however_few_the_shots(outcomes, shots):
    p = np.random.default_rng(3).dirichlet(np.ones(outcomes))
    found = [hellinger_fidelity(sampled(p, shots, seed), named(p), seed=seed) for seed in range(12)]
    assert all(each.is_perfect and 1 - each.value <= 4 * each.stderr for each in found)
    # The bar must not be won by inflating it: it matches the real scatter of the raw value.
    real = np.std([each.raw / each.perfect for each in found], ddof=1)
    assert 0.4 < np.median([each.stderr for each in found]) / real < 2.5


@pytest.mark.parametrize("mixing", [0.1, 0.5])
def test_estimate_covers_the_true_value_and_its_bar_is_the_delta_method_away_from_one(mixing):
    q = np.random.default_rng(5).dirichlet(np.full(16, 0.3))
    p = (1 - mixing) * q + mixing / 16
    truth, shots = np.sqrt(p * q).sum() ** 2, 4000
    found = [hellinger_fidelity(sampled(p, shots, seed), named(q), seed=seed) for seed in range(30)]
    pulls = np.array([(each.value - truth) / each.stderr for each in found])
    assert abs(pulls.mean()) < 5 / np.sqrt(len(pulls))
    assert 0.6 < pulls.std() < 1.5
    assert found[0].stderr == pytest.approx(np.sqrt(truth * (1 - truth) / shots), rel=0.25)


def test_bar_agrees_with_a_plain_bootstrap():
    q, p, shots = np.array([0.5, 0.0, 0.0, 0.5]), np.array([0.42, 0.09, 0.11, 0.38]), 3000
    counts = sampled(p, shots, 2)
    rng = np.random.default_rng(0)
    observed = np.array([counts.get(f"{key:b}", 0) for key in range(4)]) / shots
    again = np.sqrt(rng.multinomial(shots, observed, size=4000) / shots * q).sum(axis=1) ** 2
    assert hellinger_fidelity(counts, named(q)).stderr == pytest.approx(again.std(), rel=0.15)


def test_wrong_distribution_is_not_called_perfect():
    assert not hellinger_fidelity({"0": 950, "1": 50}, {"0": 1.0}).is_perfect
    assert hellinger_fidelity({"1": 100}, {"0": 1.0}).value == 0


def test_shots_that_all_agree_leave_a_bar():
    found = hellinger_fidelity({"0": 100}, {"0": 1.0})
    assert (found.value, found.raw) == (1, 1)
    assert 0.003 < found.stderr < 0.02


def test_two_samples_of_one_distribution_score_one_within_the_bar_and_of_two_do_not():
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    same = hellinger_fidelity_of_samples(sampled(p, 2000, 1), sampled(p, 3000, 2))
    other = hellinger_fidelity_of_samples(sampled(p, 2000, 1), sampled(q, 3000, 2))
    assert same.is_perfect
    assert same.shots == 2000
    assert abs(other.value - np.sqrt(p * q).sum() ** 2) < 5 * other.stderr < 0.1


def test_same_seed_gives_the_same_bar():
    arguments = {"0": 90, "1": 10}, {"0": 1.0}
    assert hellinger_fidelity(*arguments, seed=4) == hellinger_fidelity(*arguments, seed=4)


@pytest.mark.parametrize(
    ("counts", "ideal"),
    [({}, {"0": 1.0}), ({"0": -1, "1": 5}, {"0": 1.0}), ({"0": 1}, {"0": 0.5}), ({"0": 1}, {"0": 1.5, "1": -0.5})],
)
def test_what_is_no_sample_or_no_distribution_is_refused(counts, ideal):
    with pytest.raises(InvalidValue):
        hellinger_fidelity(counts, ideal)
