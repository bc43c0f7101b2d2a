"""What every generation scheme promises, third parties' included: run over all that are registered."""

import dataclasses
from itertools import pairwise

import pytest

from hyperfabric_q.entanglement.generation import generation_scheme, generation_schemes
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Link
from hyperfabric_q.units import VACUUM_M_PER_S

DISTANCES_M = (100.0, 1e3, 1e4, 5e4, 1.5e5)
SPOILED = {"dark_count_probability": 1e-6, "visibility": 0.9, "reset_ns": 1000.0, "operation_ns": 500.0}

every_scheme = pytest.mark.parametrize("name", list(generation_schemes))


def parameters(name):
    return {field.name for field in dataclasses.fields(generation_scheme(name))}


def efficiencies(name):
    return sorted(field for field in parameters(name) if field.endswith("_efficiency"))


def ideal(name, **fields):
    return generation_scheme(name)(**{"distance_m": 1000.0, **fields})


def spoiled(name, **fields):
    known = parameters(name)
    base = {field: value for field, value in SPOILED.items() if field in known}
    return ideal(name, **{**base, **dict.fromkeys(efficiencies(name), 0.6), **fields})


@every_scheme
@pytest.mark.parametrize("make", [ideal, spoiled])
def test_an_attempt_is_a_probability_two_times_and_a_state(name, make):
    for distance in DISTANCES_M:
        made = make(name, distance_m=distance).attempt()
        assert 0 < made.success <= 1
        assert isinstance(made.attempt_ps, int)
        assert isinstance(made.herald_ps, int)
        assert made.attempt_ps >= 1
        assert len(made.weights) == 4
        assert all(0 <= weight <= 1 for weight in made.weights)
        assert sum(made.weights) == pytest.approx(1, abs=1e-12)
        assert made.fidelity == made.weights[0] == max(made.weights)


@every_scheme
def test_no_herald_is_faster_than_light_and_no_attempt_shorter_than_its_herald(name):
    for distance in DISTANCES_M:
        made = spoiled(name, distance_m=distance).attempt()
        assert made.herald_ps >= distance / VACUUM_M_PER_S * 1e12
        if not generation_scheme(name).pipelined:
            assert made.attempt_ps >= made.herald_ps


@every_scheme
@pytest.mark.parametrize("make", [ideal, spoiled])
def test_distance_never_helps(name, make):
    for near, far in pairwise(make(name, distance_m=distance).attempt() for distance in DISTANCES_M):
        assert far.success <= near.success
        assert far.rate_hz < near.rate_hz
        assert far.herald_ps > near.herald_ps


@every_scheme
def test_efficiency_never_hurts(name):
    for field in efficiencies(name):
        for less, more in pairwise(spoiled(name, **{field: value}).attempt() for value in (0.05, 0.2, 0.5, 0.9, 1.0)):
            assert (more.success, more.fidelity) >= (less.success, less.fidelity), field
            assert (more.attempt_ps, more.herald_ps) == (less.attempt_ps, less.herald_ps)


@every_scheme
def test_dark_counts_only_lower_fidelity(name):
    if "dark_count_probability" not in parameters(name):
        pytest.skip("nothing is detected")
    for less, more in pairwise(
        spoiled(name, distance_m=2e4, dark_count_probability=dark).attempt() for dark in (0.0, 1e-7, 1e-5, 1e-3, 1e-2)
    ):
        assert more.fidelity < less.fidelity
        assert more.success >= less.success * (1 - 0.04)  # a dark count may also veto a good click


@every_scheme
def test_visibility_never_hurts_fidelity(name):
    if "visibility" not in parameters(name):
        pytest.skip("nothing interferes")
    for less, more in pairwise(spoiled(name, visibility=value).attempt() for value in (0.2, 0.5, 0.9, 1.0)):
        assert more.fidelity >= less.fidelity


@every_scheme
def test_multiplexing_raises_success_and_leaves_the_state(name):
    if "modes" not in parameters(name):
        pytest.skip("one pair at a time")
    for fewer, more in pairwise(spoiled(name, modes=modes).attempt() for modes in (1, 2, 10, 100)):
        assert more.success > fewer.success or fewer.success == 1
        assert more.weights == fewer.weights
        assert more.attempt_ps == fewer.attempt_ps


@every_scheme
def test_its_fields_make_a_link_of_the_same_state_and_rate(name):
    scheme = spoiled(name)
    made, link = scheme.attempt(), Link("a", "b", **scheme.link_fields())
    assert link.pair_weights == pytest.approx(made.weights, abs=1e-12)
    assert link.pair_rate_hz == pytest.approx(made.rate_hz)
    assert link.pair_attempt_ns == pytest.approx(made.attempt_ps / 1000)
    assert link.distance_m == scheme.distance_m


@every_scheme
def test_it_is_a_value(name):
    scheme = spoiled(name)
    assert scheme == spoiled(name)
    assert hash(scheme) == hash(spoiled(name))
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        scheme.distance_m = 5.0
    for field in efficiencies(name):
        for wrong in (0.0, 1.0000001, -0.5, float("nan"), "0.5", True, None):
            with pytest.raises(InvalidValue, match=field):
                ideal(name, **{field: wrong})
    for wrong in (-1.0, float("inf"), float("nan"), None):
        with pytest.raises(InvalidValue, match="distance_m"):
            ideal(name, distance_m=wrong)
