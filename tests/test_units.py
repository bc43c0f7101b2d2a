"""The integer-picosecond clock and the speed of light."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q import units
from hyperfabric_q.errors import InvalidValue


def test_known_durations():
    assert units.to_ps(ns=1) == 1_000
    assert units.to_ps(us=1) == 1_000_000
    assert units.to_ps(s=1) == 10**12
    assert units.to_ps(ns=1.5, us=2, s=3) == 3 * 10**12 + 2_001_500
    assert units.to_ps() == 0
    assert units.to_ns(1_500) == 1.5


@settings(deadline=None, derandomize=True, max_examples=200)
@given(ns=st.floats(0, 1e9), us=st.integers(0, 10**9), s=st.integers(0, 10**12))
def test_durations_are_exact_to_the_picosecond(ns, us, s):
    exact = Fraction(ns) * 1_000 + us * 10**6 + s * 10**12
    assert isinstance(units.to_ps(ns=ns, us=us, s=s), int)
    assert abs(units.to_ps(ns=ns, us=us, s=s) - exact) <= Fraction(1, 2) + exact / 2**52


def test_whole_numbers_never_pass_through_floating_point():
    assert units.to_ps(s=10**9 + 1, ns=1) == (10**9 + 1) * 10**12 + 1_000


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), float("-inf")])
def test_a_duration_is_finite(amount):
    with pytest.raises(InvalidValue, match="us"):
        units.to_ps(us=amount)


def test_light_needs_3_3_microseconds_per_kilometre_and_longer_in_fibre():
    assert units.shortest_latency_ns(299_792_458) == pytest.approx(1e9, rel=1e-15)
    assert units.shortest_latency_ns(1000) == pytest.approx(3335.64, abs=0.01)
    assert units.fibre_latency_ns(1000) == pytest.approx(4896.7, abs=0.1)
