"""What physics answers before any attempt is spent: who can be served, how, and what can never be."""

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.entanglement import lanes
from hyperfabric_q.entanglement.request import Request, foresee, request_of
from hyperfabric_q.entanglement.state import fidelity
from hyperfabric_q.errors import (
    DeadlineImpossible,
    FidelityUnreachable,
    HyperFabricError,
    InvalidValue,
    NoQuantumPath,
    NotEnoughCommunicationQubits,
    SimulationRefused,
    UnknownName,
)


def line(count=3, slots=2, rate=100_000.0, fid=0.95, **links):
    fabric = hq.Fabric.line([2] * count, communication_qubits=slots, pair_fidelity=fid)
    return fabric.replace("links.*", pair_rate_hz=rate, latency_ns=1000.0, **links)


def asked(fabric, a="qpu-0", b="qpu-2", now_ps=0, **given):
    return foresee(fabric, request_of(a, b, **given), now_ps)


# -------------------------------------------------------------------------------------------------------------- reading


def test_times_become_picoseconds_and_names_stay():
    request = request_of("a", "b", fidelity=0.9, pairs=2, deadline_ns=1.5, needed_ns=0, cutoff_ns=2, priority_class=3)
    assert request == Request(
        a="a",
        b="b",
        pairs=2,
        min_fidelity=0.9,
        keep=True,
        deadline_ps=1500,
        needed_ps=0,
        priority_class=3,
        policy="swap_asap",
        cutoff_ps=2000,
    )


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"fidelity": 0.24}, InvalidValue),
        ({"fidelity": 1.01}, InvalidValue),
        ({"fidelity": float("nan")}, InvalidValue),
        ({"fidelity": "high"}, InvalidValue),
        ({"fidelity": True}, InvalidValue),
        ({"pairs": 0}, InvalidValue),
        ({"pairs": 1.5}, InvalidValue),
        ({"pairs": 10**6}, InvalidValue),
        ({"deadline_ns": -1}, InvalidValue),
        ({"deadline_ns": float("inf")}, InvalidValue),
        ({"needed_ns": float("nan")}, InvalidValue),
        ({"cutoff_ns": -1e-9}, InvalidValue),
        ({"cutoff_ns": 1e30}, InvalidValue),
        ({"keep": 1}, InvalidValue),
        ({"policy": "later"}, UnknownName),
    ],
)
def test_what_is_out_of_range_is_named(given, fault):
    with pytest.raises(fault):
        request_of("a", "b", **given)


# ------------------------------------------------------------------------------------------------------------- refusing


def test_unknown_nodes_equal_nodes_and_nodes_apart_are_refused():
    with pytest.raises(UnknownName, match="qpu-1"):
        asked(line(), "qpu-0", "qpu-9")
    with pytest.raises(InvalidValue, match="two different nodes"):
        asked(line(), "qpu-0", "qpu-0")
    apart = line().with_node(hq.NodeSignature("far", hq.HardwareType.QUANTUM_QPU, 2, 100, communication_qubits=2))
    with pytest.raises(NoQuantumPath):
        asked(apart, "qpu-0", "far")
    server = line().with_node(hq.NodeSignature("cpu", hq.HardwareType.CPU_SERVER, 2, 100))
    with pytest.raises(HyperFabricError):
        asked(server, "qpu-0", "cpu")


def test_a_fidelity_that_nothing_gives_is_refused_with_what_can_be_had():
    noisy = line(slots=12).replace("nodes.*", gate_error_2q=0.02, readout_error=0.02)
    with pytest.raises(FidelityUnreachable) as caught:
        asked(noisy, fidelity=0.999)
    best = caught.value.reachable
    assert 0.8 < best < 0.999
    assert asked(noisy, fidelity=best - 1e-6).fidelity == pytest.approx(best, abs=1e-4)


def test_memories_that_lose_it_while_they_wait_are_named():
    slow = line(slots=40, rate=1000.0).replace("nodes.*", t1_us=40.0, t2_us=20.0)
    with pytest.raises(FidelityUnreachable, match="none of 512"):
        asked(slow, fidelity=0.9)


@pytest.mark.parametrize(
    ("slots", "given", "needed"),
    [(1, {}, 2), (2, {"pairs": 3}, 3), (2, {"fidelity": 0.93}, 4), (6, {"pairs": 6, "fidelity": 0.93}, 7)],
)
def test_qubits_that_are_never_enough_are_counted(slots, given, needed):
    """Two slots at a repeater, one per kept pair at the ends, and one more per round of purification."""
    with pytest.raises(NotEnoughCommunicationQubits) as caught:
        asked(line(slots=slots), **given)
    assert caught.value.needed == needed
    assert caught.value.available == slots


def test_measured_pairs_need_no_more_qubits_than_one():
    assert asked(line(), pairs=1000, keep=False).slots() == {"qpu-0": 1, "qpu-1": 2, "qpu-2": 1}


def test_deadlines_below_light_are_refused_to_the_picosecond():
    """An attempt of 10 µs, swaps that take nothing, and light's way of 1 µs for the outcome."""
    found = asked(line(rate=None, pair_attempt_ns=10_000.0))
    assert found.least_ps == 11_000_000
    fabric = line(rate=None, pair_attempt_ns=10_000.0)
    assert asked(fabric, deadline_ns=11_000).least_ps == 11_000_000
    with pytest.raises(DeadlineImpossible, match="11000 ns"):
        asked(fabric, deadline_ns=10_999.999)
    with pytest.raises(DeadlineImpossible):
        asked(fabric, deadline_ns=12_000, now_ps=1_000_001)


@pytest.mark.parametrize(
    "build",
    [
        lambda: line(rate=0.0),
        lambda: line(rate=-1.0),
        lambda: line().replace("nodes.*", t1_us=10.0, t2_us=20.1),
        lambda: line(fid=0.2),
        lambda: line().replace("links.*", pair_attempt_ns=0.0),
        lambda: line(rate=2e5, pair_attempt_ns=10_000.0),
    ],
)
def test_impossible_hardware_is_refused_when_it_is_written_down(build):
    with pytest.raises(InvalidValue):
        build()


def test_links_too_slow_for_the_clock_are_refused_and_not_waited_for():
    with pytest.raises(InvalidValue, match="clock"):
        asked(line(rate=1e-6))


def test_a_hopeless_cutoff_is_refused_within_seconds():
    fabric = line().replace("links.qpu-0--qpu-1", pair_attempt_ns=1000.003)
    fabric = fabric.replace("links.qpu-1--qpu-2", pair_attempt_ns=1777.777)
    with pytest.raises(SimulationRefused, match="longer cutoff"):
        asked(fabric, cutoff_ns=0)


# ----------------------------------------------------------------------------------------------------------- foreseeing


def test_foresight_is_the_mean_of_the_lanes():
    fabric = line().replace("nodes.*", t1_us=900.0, t2_us=300.0)
    found = asked(fabric)
    made = lanes.simulate(found.path, runs=40_000, seed=5)
    assert found.rounds == 0
    assert found.share == 1.0
    assert found.fidelity == pytest.approx(made.fidelity_mean(), abs=0.01)
    assert found.delivery_ps == pytest.approx(made.delivery_mean_ps(), rel=0.12)
    late = (made.delivery_ps > found.lead_ps).mean()
    assert 0.002 < late < 0.03
    assert made.delivery_ps.min() >= found.least_ps


@pytest.mark.parametrize(("least", "rounds"), [(None, 0), (0.9, 0), (0.91, 1), (0.96, 2), (0.99, 2)])
def test_as_many_rounds_as_it_takes_and_no_more(least, rounds):
    """Two links of 0.95: .9033 raw, .9311 after one round on each, .9950 after two."""
    found = asked(line(slots=40), fidelity=least)
    assert found.rounds == rounds
    assert found.fidelity >= (least or 0)


def test_the_faster_path_is_taken_and_the_better_one_when_it_must_be():
    ring = hq.Fabric.ring([2] * 4, communication_qubits=8, pair_fidelity=0.99).replace("links.*", pair_rate_hz=1e5)
    ring = ring.replace("links.qpu-0--qpu-1", pair_fidelity=0.9, pair_rate_hz=9e5)
    fast, good = asked(ring, "qpu-0", "qpu-1"), asked(ring, "qpu-0", "qpu-1", fidelity=0.965)
    assert fast.path.hops == 1
    assert good.fidelity >= 0.965
    assert {good.path.hops, good.rounds} in ({3, 0}, {1}, {1, 2})


def test_a_distillable_fidelity_beyond_the_mean_counts_the_share_that_has_it():
    """Memories are so short that only pairs which came nearly together are good enough."""
    fabric = line(slots=2).replace("nodes.*", t1_us=4000.0, t2_us=1000.0)
    found = asked(fabric, fidelity=0.895)
    made = lanes.simulate(found.path, runs=40_000, seed=6)
    assert 0.2 < found.share < 0.99
    assert found.share == pytest.approx(float((fidelity(made.correlators) >= 0.895).mean()), abs=0.08)


def test_qubits_of_a_pair_in_the_making_and_of_those_that_are_kept():
    found = asked(line(slots=40), fidelity=0.99)
    assert found.workshop == {"qpu-0": 2, "qpu-1": 6, "qpu-2": 2}
    assert found.slots(3) == {"qpu-0": 5, "qpu-1": 6, "qpu-2": 5}
    assert asked(line()).workshop == {"qpu-1": 2}
    assert np.isfinite(found.delivery_ps)
