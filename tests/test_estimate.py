import numpy as np
import pytest
from scipy.stats import beta

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate, proportion, with_bar


@pytest.mark.parametrize(("hits", "shots"), [(0, 1), (0, 1000), (37, 100), (1000, 1000)])
def test_bar_of_a_share_is_the_spread_of_its_jeffreys_posterior(hits, shots):
    assert proportion(hits, shots).stderr == pytest.approx(beta(hits + 0.5, shots - hits + 0.5).std(), rel=1e-12)
    assert proportion(hits, shots).value == hits / shots


def test_bar_of_a_share_is_the_binomial_one_for_many_hits():
    assert proportion(30_000, 100_000).stderr == pytest.approx(np.sqrt(0.3 * 0.7 / 100_000), rel=1e-3)


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.973124, 0.002149, "0.9731 ± 0.0021"),
        (12.3, 4.0, "12.3 ± 4.0"),
        (1, 0.00017, "1.00000 ± 0.00017"),
        (0.5, 0, "0.5000 ± 0"),
    ],
)
def test_text_shows_two_digits_of_the_bar(value, stderr, text):
    assert with_bar(value, stderr) == text


@pytest.mark.parametrize(
    "wrong", [{"value": np.nan}, {"stderr": -1.0}, {"stderr": np.inf}, {"shots": 0}, {"shots": -1}]
)
def test_an_estimate_without_meaning_is_refused(wrong):
    with pytest.raises(InvalidValue):
        Estimate(**({"value": 0.5, "stderr": 0.1, "shots": 10} | wrong))


def test_an_exact_number_has_no_shots_and_no_bar():
    assert str(Estimate(value=0.25, stderr=0.0, shots=0)) == "0.25 (exact)"
