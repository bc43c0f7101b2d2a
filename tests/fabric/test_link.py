"""Links: undirected, never faster than light, and with weights that are a state."""

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric import Link, werner

MODEST = settings(deadline=None, derandomize=True, max_examples=150)
NUMERIC = ("bandwidth_gbps", "latency_ns", "distance_m", "pair_fidelity", "pair_rate_hz", "pair_attempt_ns")
NEVER = (float("nan"), float("inf"), float("-inf"), -1, True, "5", [5], 10**400)


def test_a_link_is_the_same_in_both_directions():
    assert Link("b", "a", pair_fidelity=0.9) == Link("a", "b", pair_fidelity=0.9)
    assert Link("b", "a").ends == ("a", "b")
    assert Link("b", "a").label == "a--b"


def test_a_link_from_a_node_to_itself_is_refused():
    with pytest.raises(InvalidValue, match="two different nodes"):
        Link("a", "a")


@pytest.mark.parametrize("field", NUMERIC)
@pytest.mark.parametrize("value", NEVER, ids=lambda value: repr(value)[:12])
def test_no_numeric_field_accepts_what_is_no_finite_number_of_its_range(field, value):
    rows = {"pair_fidelity": 0.9} | {field: value}
    with pytest.raises(InvalidValue) as caught:
        Link("a", "b", **rows)
    assert caught.value.field == field


@pytest.mark.parametrize(("field", "value"), [("latency_ns", 0), ("distance_m", 0)])
def test_zero_latency_and_distance_are_accepted(field, value):
    assert getattr(Link("a", "b", **{field: value}), field) == 0


@pytest.mark.parametrize("fidelity", [0, 0.2499, 1.0001, 2])
def test_fidelities_outside_a_quarter_to_one_are_refused(fidelity):
    with pytest.raises(InvalidValue):
        Link("a", "b", pair_fidelity=fidelity)


def test_light_in_vacuum_bounds_the_latency():
    # 299.792458 m take exactly 1000 ns.
    assert Link("a", "b", distance_m=299.792458, latency_ns=1000).latency_ns == 1000
    with pytest.raises(InvalidValue, match="1000 ns") as caught:
        Link("a", "b", distance_m=299.792458, latency_ns=999)
    assert caught.value.field == "latency_ns"


def test_a_distance_alone_gives_the_latency_of_fibre():
    # Group index 1.468: 1 km takes 4.897 µs.
    assert Link("a", "b", distance_m=1000).latency_ns == pytest.approx(4896.72, abs=0.01)


@MODEST
@given(distance=st.floats(0, 1e9), share=st.floats(0, 2))
def test_no_accepted_link_is_faster_than_light(distance, share):
    bound = distance / 299_792_458 * 1e9
    try:
        link = Link("a", "b", distance_m=distance, latency_ns=bound * share)
    except InvalidValue:
        assert share < 1
    else:
        assert link.latency_ns >= bound * (1 - 1e-8)


def test_without_a_fidelity_there_is_no_quantum_link():
    plain = Link("a", "b", bandwidth_gbps=10)
    assert not plain.quantum
    assert plain.pair_weights is None
    with pytest.raises(InvalidValue, match="pair_fidelity"):
        Link("a", "b", pair_rate_hz=10)


@MODEST
@given(st.floats(0.25, 1))
def test_default_weights_are_the_werner_state(fidelity):
    link = Link("a", "b", pair_fidelity=fidelity)
    assert link.quantum
    assert link.pair_weights == werner(fidelity)
    assert link.pair_weights[0] == fidelity
    assert len(set(link.pair_weights[1:])) == 1
    assert math.fsum(link.pair_weights) == pytest.approx(1, abs=1e-15)


@MODEST
@given(st.floats(0.25, 1), st.tuples(*[st.floats(0.01, 1)] * 3))
def test_given_weights_state_the_fidelity_and_survive_a_second_time(fidelity, errors):
    rest = [(1 - fidelity) * each / sum(errors) for each in errors]
    link = Link("a", "b", pair_weights=(fidelity, *rest))
    assert link.pair_fidelity == link.pair_weights[0] == pytest.approx(fidelity)
    assert Link("a", "b", pair_weights=link.pair_weights) == link
    assert eval(repr(link)) == link  # noqa: S307


@pytest.mark.parametrize(
    "weights",
    [
        (0.9, 0.1, 0.1, 0.1),
        (1.0, 0, 0),
        (1.2, -0.2, 0, 0),
        (0.2, 0.8, 0, 0),
        (float("nan"), 0, 0, 1),
        (True, 0, 0, 0),
        "1000",
        7,
        {1: 2},
        ("1", 0, 0, 0),
    ],
    ids=repr,
)
def test_weights_that_are_no_state_are_refused(weights):
    with pytest.raises(InvalidValue) as caught:
        Link("a", "b", pair_weights=weights)
    assert caught.value.field == "pair_weights"


def test_weights_and_fidelity_must_agree():
    weights = (0.9, 0.05, 0.05, 0)
    assert Link("a", "b", pair_fidelity=0.9, pair_weights=weights).pair_weights == weights
    with pytest.raises(InvalidValue, match="must equal"):
        Link("a", "b", pair_fidelity=0.8, pair_weights=weights)


def test_attempts_belong_to_quantum_links():
    link = Link("a", "b", pair_fidelity=0.9, pair_attempt_ns=5, pair_channel="shared")
    assert (link.pair_attempt_ns, link.pair_channel) == (5, "shared")
    assert eval(repr(link)) == link  # noqa: S307
    assert Link("a", "b", pair_fidelity=0.9).pair_channel == "dedicated"
    for field, value in (("pair_attempt_ns", 5), ("pair_channel", "shared")):
        with pytest.raises(InvalidValue, match="pair_fidelity") as caught:
            Link("a", "b", **{field: value})
        assert caught.value.field == field


@pytest.mark.parametrize("value", ["Shared", "", None, 7, ["shared"], True])
def test_a_pair_channel_is_dedicated_or_shared(value):
    with pytest.raises(InvalidValue) as caught:
        Link("a", "b", pair_fidelity=0.9, pair_channel=value)
    assert caught.value.field == "pair_channel"


def test_no_more_pairs_are_heralded_than_attempts_are_made():
    assert Link("a", "b", pair_fidelity=0.9, pair_rate_hz=182, pair_attempt_ns=1e9 / 182).pair_rate_hz == 182
    with pytest.raises(InvalidValue, match="at most 1000 ns") as caught:
        Link("a", "b", pair_fidelity=0.9, pair_rate_hz=1e6, pair_attempt_ns=1001)
    assert caught.value.field == "pair_attempt_ns"


@pytest.mark.parametrize("attempt", [0, 9.9e-4, 1e17])
def test_an_attempt_takes_at_least_a_picosecond(attempt):
    with pytest.raises(InvalidValue):
        Link("a", "b", pair_fidelity=0.9, pair_attempt_ns=attempt)


def test_a_preset_fills_what_is_not_given():
    link = Link("a", "b", preset="ion_oxford_2025", pair_fidelity=0.99)
    assert (link.pair_fidelity, link.pair_rate_hz, link.distance_m) == (0.99, 9.7, 2)
    assert Link("a", "b", preset="ion_oxford_2025", pair_weights=(0.9, 0.1, 0, 0)).pair_fidelity == 0.9


@pytest.mark.parametrize("name", ["ion_oxfrod_2025", "", 7, float("nan")])
def test_an_unknown_preset_is_an_unknown_name(name):
    with pytest.raises(UnknownName):
        Link("a", "b", preset=name)


def test_a_link_survives_pickle():
    link = Link("a", "b", preset="ideal", distance_m=3)
    assert pickle.loads(pickle.dumps(link)) == link  # noqa: S301
