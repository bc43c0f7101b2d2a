"""What pairs are worth as key: published thresholds, closed forms, and Aer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.entanglement.state import correlators, weights, werner
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd.on_aer import aer_agreement, measure_on_aer
from hyperfabric_q.workloads.qkd.rates import (
    asymptotic_rate,
    binary_entropy,
    chsh,
    error_rates,
    largest_error,
    least_fidelity,
    werner_error,
    werner_rate,
)
from hyperfabric_q.workloads.qkd.sampling import Measured, agreement, chsh_sample, measure


def test_no_key_is_left_at_eleven_per_cent():
    assert largest_error() == pytest.approx(0.110028, abs=5e-7)
    assert least_fidelity() == pytest.approx(0.834958, abs=5e-7)
    assert werner_rate(0.8349) == 0
    assert werner_rate(0.8351) > 0


@pytest.mark.parametrize(
    ("fidelity", "ideal", "real"),
    [(0.85, 0.062, 0.006), (0.9, 0.293, 0.251), (0.95, 0.578, 0.553), (0.97, 0.717, 0.700), (0.99, 0.884, 0.878)],
)
def test_rates_of_werner_states_are_those_of_the_table(fidelity, ideal, real):
    assert werner_rate(fidelity) == pytest.approx(ideal, abs=6e-4)
    assert werner_rate(fidelity, efficiency=1.12) == pytest.approx(real, abs=6e-4)


@pytest.mark.parametrize(("hops", "fidelity"), [(2, 0.9980), (5, 0.9950), (10, 0.9901), (20, 0.9802)])
def test_swapped_werner_links_have_the_error_rate_of_their_product(hops, fidelity):
    x, z = error_rates(np.prod(werner([0.999] * hops), axis=0))
    assert x == pytest.approx(z)
    assert x == pytest.approx(float(werner_error(fidelity)), abs=4e-5)


def test_dephased_pairs_are_worth_more_than_their_mean_error_says():
    x, z = error_rates(correlators([0.9, 0.0, 0.0, 0.1]))
    assert (x, z) == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-15))
    mean = (x + z) / 2
    both = (asymptotic_rate(x, z) + asymptotic_rate(z, x)) / 2
    assert both == pytest.approx(1 - 0.4689955935892812)
    assert both > asymptotic_rate(mean, mean)


def test_entropy_is_known_at_its_ends_and_in_between():
    assert np.array_equal(binary_entropy([0, 0.5, 1]), [0, 1, 0])
    assert binary_entropy(0.11) == pytest.approx(0.499916, abs=1e-6)


def test_chsh_of_werner_states_crosses_two_at_0_7803():
    assert chsh(werner(1.0)) == pytest.approx(2 * math.sqrt(2))
    assert chsh(werner((3 / math.sqrt(2) + 1) / 4)) == pytest.approx(2)
    assert (3 / math.sqrt(2) + 1) / 4 == pytest.approx(0.780, abs=5e-4)


def test_chsh_as_measured_agrees_with_its_state():
    state = np.array([0.8, 0.7, 0.8])
    value, bar = chsh_sample(weights(state), np.random.default_rng(1), pairs=400_000)
    assert bar < 0.006
    assert abs(value - chsh(state)) < 4 * bar


@pytest.mark.parametrize("wrong", [[0.5, 0.5], [1.2, -0.2, 0, 0], [math.nan, 0, 0, 1]])
def test_weights_that_are_none_are_refused(wrong):
    with pytest.raises(InvalidValue, match="weights"):
        measure(wrong, np.random.default_rng(0), pairs=3)


def test_wrong_numbers_are_refused():
    with pytest.raises(InvalidValue, match="efficiency"):
        asymptotic_rate(0.1, 0.1, efficiency=0.9)
    with pytest.raises(InvalidValue, match="fidelity"):
        werner_rate(1.1)
    with pytest.raises(InvalidValue, match="pairs"):
        chsh_sample([1, 0, 0, 0], np.random.default_rng(0), pairs=7)
    with pytest.raises(InvalidValue, match="weights"):
        measure([[1, 0, 0, 0]], np.random.default_rng(0), pairs=2)
    bits = np.zeros(3, dtype=np.uint8)
    with pytest.raises(InvalidValue, match="bob"):
        Measured(alice_basis=bits, bob_basis=bits, alice=bits, bob=bits + 2)


# ------------------------------------------------------------------------------------------------------------ sampling

simplex = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda each: sum(each) > 0.1)


@settings(deadline=None, derandomize=True, max_examples=8)
@given(simplex)
def test_exact_statistics_are_those_of_aers_density_matrices(drawn):
    p = np.array(drawn) / sum(drawn)
    assert aer_agreement(p) == pytest.approx(agreement(p), abs=1e-9)


def shares(measured):
    """How often both bits are equal, and Alice's bit is one, with the number of pairs, by both bases."""
    rows = {}
    for hers in (0, 1):
        for his in (0, 1):
            here = (measured.alice_basis == hers) & (measured.bob_basis == his)
            rows[hers, his] = (
                (measured.alice[here] == measured.bob[here]).mean(),
                measured.alice[here].mean(),
                here.sum(),
            )
    return rows


@pytest.mark.parametrize("how", ["sampled", "on aer"])
def test_drawn_statistics_are_the_exact_ones(how):
    p = np.array([0.7, 0.12, 0.05, 0.13])
    pairs = 200_000 if how == "sampled" else 4_000
    found = measure(p, np.random.default_rng(3), pairs=pairs) if how == "sampled" else measure_on_aer(p, pairs, seed=3)
    for bases, (equal, ones, count) in shares(found).items():
        assert abs(count / pairs - 0.25) < 5 * math.sqrt(0.1875 / pairs)
        bar = 0.5 / math.sqrt(count)
        assert abs(equal - agreement(p)[bases]) < 5 * bar
        assert abs(ones - 0.5) < 5 * bar


def test_each_pair_has_the_errors_of_its_own_state():
    rows = np.tile([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]], (500, 1))
    found = measure(rows, np.random.default_rng(4))
    same = found.alice_basis == found.bob_basis
    wrong = found.alice != found.bob
    for kind, basis, expected in [
        (1, 0, 1),
        (1, 1, 0),
        (2, 0, 1),
        (2, 1, 1),
        (3, 0, 0),
        (3, 1, 1),
        (0, 0, 0),
        (0, 1, 0),
    ]:
        here = same & (np.arange(2000) % 4 == kind) & (found.alice_basis == basis)
        assert here.sum() > 50
        assert np.all(wrong[here] == expected)


def test_bits_do_not_show():
    found = measure([1, 0, 0, 0], np.random.default_rng(5), pairs=40)
    assert repr(found) == "<Measured: 40 pairs>"
    with pytest.raises(ValueError, match="read-only"):
        found.alice[0] = 1
