"""Pairs for rounds: closed forms of what is missing and how old pairs are, rules of stores, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, nbinom

from hyperfabric_q.errors import (
    BacklogWarning,
    InvalidValue,
    NoQuantumPath,
    NotEnoughCommunicationQubits,
    SimulationRefused,
)
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.supply import BellSupply, slots_of
from hyperfabric_q.workloads.qec.supply_groups import PairSlot, slots_between
from hyperfabric_q.workloads.qec.transport import Transport


def qpu(name, *, t1_us=None, t2_us=None, qubits=None):
    return NodeSignature(
        name,
        hardware_type=HardwareType.QUANTUM_QPU,
        compute_units=40,
        communication_qubits=qubits,
        t1_us=t1_us,
        t2_us=t2_us,
        bandwidth_gbps=100.0,
        latency_ns=50.0,
    )


def link(a="a", b="b", *, success=0.2, attempt_ns=100.0, fidelity=0.95, latency_ns=50.0):
    return Link(
        a,
        b,
        bandwidth_gbps=100.0,
        latency_ns=latency_ns,
        pair_fidelity=fidelity,
        pair_rate_hz=success / attempt_ns * 1e9,
        pair_attempt_ns=attempt_ns,
    )


def two(t1_us=None, t2_us=None, qubits=None, **of_link):
    nodes = [qpu(name, t1_us=t1_us, t2_us=t2_us, qubits=qubits) for name in ("a", "b")]
    return Fabric(nodes=nodes, links=[link(**of_link)])


def supply(fabric, pairs=1, **more):
    return BellSupply(fabric=fabric, slots=slots_between("a", "b", pairs), **more)


def close(found, expected, stderr):
    assert abs(found - expected) < 4.5 * stderr, (found, expected, stderr)


# -------------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(("latency_ns", "attempts"), [(50.0, 11), (250.0, 10)])
def test_what_is_missing_follows_the_binomial_law_of_the_attempts_of_a_round(latency_ns: float, attempts: int) -> None:
    # A herald that takes 250 ns leaves 900 of 1150 ns for the ends of attempts, and the first ends after 100.
    made = supply(two(latency_ns=latency_ns), 3, cycle_ns=1150.0, keep=False).timelines(8, 4000, seed=1)
    lacking = made.missing.sum(axis=2)
    for number in range(4):
        expected = binom.sf(2, attempts, 0.2) if number == 0 else binom.pmf(3 - number, attempts, 0.2)
        close((lacking == number).mean(), expected, math.sqrt(expected * (1 - expected) / lacking.size))


def test_one_pair_is_missing_with_the_chance_that_all_attempts_fail() -> None:
    made = supply(two(success=0.1), cycle_ns=1150.0, keep=False).timelines(8, 4000, seed=2)
    close(made.missing.mean(), 0.9**11, math.sqrt(0.9**11 * (1 - 0.9**11) / made.missing.size))


def test_mean_weights_are_those_of_truncated_exponential_ages() -> None:
    # Attempts of 1 ns are as good as a Poisson process of rate 1/τ; dephasing leaves <ZZ> alone.
    cycle, rate, t2 = 1000.0, 1 / 700.0, 4000.0
    fabric = two(t2_us=t2 / 1000, success=rate, attempt_ns=1.0, latency_ns=0.0)
    made = supply(fabric, cycle_ns=cycle, keep=False).timelines(10, 4000, seed=3)
    gamma = 2 / t2
    there = 1 - math.exp(-rate * cycle)
    kept = rate * (math.exp(-rate * cycle) - math.exp(-gamma * cycle)) / (gamma - rate) / there
    fresh = (4 * 0.95 - 1) / 3
    expected = (1 + fresh + 2 * fresh * kept) / 4
    found = made.weights[~made.missing]
    close(found[:, 0].mean(), expected, found[:, 0].std() / math.sqrt(len(found)))
    close(made.missing.mean(), 1 - there, math.sqrt(there * (1 - there) / made.missing.size))
    assert np.allclose(found[:, 0] + found[:, 3], (1 + fresh) / 2)
    assert np.array_equal(made.mean_weights, found.mean(axis=0))


def test_each_pair_decays_by_its_own_age() -> None:
    # On demand: 300 ns per pair, so that the pairs of a round are 700, 400 and 100 ns old, plus 50 ns of light.
    fabric = two(t1_us=20.0, t2_us=15.0, success=1.0, attempt_ns=300.0)
    made = supply(fabric, 3, cycle_ns=1000.0, keep=False, use_ns=40.0).timelines(2, 1, seed=0)
    ages = made.age_ps[0, 0]
    assert sorted(ages.tolist()) == [190_000, 490_000, 790_000]
    for age, row in zip(ages / 1000, made.weights[0, 0], strict=True):
        w = (4 * 0.95 - 1) / 3
        xx = w * math.exp(-2 * age / 15_000)
        zz = w * math.exp(-2 * age / 20_000) + (1 - math.exp(-age / 20_000)) ** 2
        assert np.allclose(row, [(1 + 2 * xx + zz) / 4, (1 - zz) / 4, (1 - zz) / 4, (1 - 2 * xx + zz) / 4])


def test_a_slow_link_is_never_idle_and_all_its_pairs_are_used() -> None:
    made = supply(two(success=0.1), 4, cycle_ns=1000.0, buffer=8).timelines(200, 200, seed=4)
    used = (~made.missing).sum(axis=2).mean()
    assert used == pytest.approx(0.1 * 10, rel=0.02)


def test_rounds_that_wait_go_at_the_pace_of_the_link() -> None:
    slow = two(t2_us=100.0, success=0.1)
    with pytest.warns(BacklogWarning, match="2 times as long"):
        made = supply(slow, 2, cycle_ns=1000.0, buffer=2, policy="wait")
    assert made.utilisation == pytest.approx(2.0)
    got = made.timelines(200, 100, seed=5)
    assert not got.missing.any()
    # Two free rooms when a round begins: the next takes the longer of a cycle and of both pairs' attempts.
    failures = np.arange(2000)
    expected = (np.maximum(10, failures + 2) * nbinom.pmf(failures, 2, 0.1)).sum() * 100
    found = np.diff(got.begin_ps, axis=1) / 1000
    close(found.mean(), expected, found.std() / math.sqrt(found.size))
    assert np.array_equal(np.diff(got.begin_ps, axis=1), 1_000_000 + got.wait_ps[:, 1:])


def test_a_round_waits_for_exactly_what_its_pairs_still_take() -> None:
    with pytest.warns(BacklogWarning):
        made = supply(two(success=1.0, attempt_ns=300.0), 5, cycle_ns=1100.0, policy="wait").timelines(4, 2, seed=0)
    assert (made.wait_ns == 400.0).all()
    assert made.counts([3, 1]) == {"bell_used": 80, "bell_missing": 0, "bell_wait": 16, "bell_wait_ns": 6400}


# --------------------------------------------------------------------------------------------------------------- rules


def test_a_check_gets_all_its_pairs_or_none_and_every_check_goes_without_in_its_turn() -> None:
    # Two pairs come per round, which serve one check of two or two of one.
    fabric = two(success=1.0, attempt_ns=500.0)
    slots = (PairSlot(("a", "b"), 1), PairSlot(("b", "a"), 1), PairSlot(("a", "b"), 2), PairSlot(("a", "b"), 3))
    made = BellSupply(fabric=fabric, slots=slots, cycle_ns=1000.0, keep=False).timelines(30, 1, seed=0)
    gone = made.missing[0]
    assert np.array_equal(gone[:, 0], gone[:, 1])
    assert (gone.sum(axis=1) == 2).all()
    assert gone.mean(axis=0).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3])


def test_what_a_round_does_not_use_is_there_for_the_next_one() -> None:
    fabric = two(success=0.2)
    kept = supply(fabric, 2, cycle_ns=1150.0, buffer=6).timelines(50, 400, seed=6)
    fresh = supply(fabric, 2, cycle_ns=1150.0, buffer=6, keep=False).timelines(50, 400, seed=6)
    assert kept.missing.mean() < 0.7 * fresh.missing.mean()
    assert kept.age_ps[~kept.missing].mean() > fresh.age_ps[~fresh.missing].mean()


def switched(good, poor, **of_node):
    """A good link of its own, and another through a switch, of two arms."""
    switch = NodeSignature("s", hardware_type=HardwareType.PHOTONIC_SWITCH, latency_ns=10.0, bandwidth_gbps=100.0)
    arms = [link(name, "s", success=1.0, fidelity=poor, latency_ns=20.0) for name in ("a", "b")]
    nodes = [qpu("a", **of_node), qpu("b", **of_node), switch]
    return Fabric(nodes=nodes, links=[link(success=0.3, fidelity=good), *arms])


def test_several_paths_make_pairs_at_once_and_the_best_can_go_first() -> None:
    fabric = switched(0.99, 0.92)
    one = supply(fabric, 3, cycle_ns=1150.0).timelines(20, 300, seed=7)
    both = supply(fabric, 3, cycle_ns=1150.0, paths=2, buffer=3).timelines(20, 300, seed=7)
    best = supply(fabric, 3, cycle_ns=1150.0, paths=2, buffer=3, first="best").timelines(20, 300, seed=7)
    poor = 0.92**2 + 0.08**2 / 3
    assert np.allclose(one.weights[~one.missing][:, 0], poor)
    assert both.missing.mean() < one.missing.mean()
    assert set(np.unique(both.weights[~both.missing][:, 0]).round(6)) == {0.99, round(poor, 6)}
    assert best.mean_weights[0] > both.mean_weights[0] + 0.01


def test_purification_trades_pairs_for_fidelity() -> None:
    fabric = two(success=0.9, fidelity=0.85)
    raw, better = (supply(fabric, 3, cycle_ns=1150.0, purify=rounds).timelines(20, 200, seed=8) for rounds in (0, 1))
    # DEJMPS on Werner pairs of F = 0.85: F' = (F² + e²) / (F² + 2 F e + 5 e²) with e = (1 - F)/3, its first round.
    e = 0.05
    assert better.mean_weights[0] == pytest.approx((0.85**2 + e**2) / (0.85**2 + 2 * 0.85 * e + 5 * e**2))
    assert better.missing.mean() > raw.missing.mean() + 0.05


def test_pairs_may_come_over_a_repeater() -> None:
    nodes = [qpu("a"), qpu("m"), qpu("b")]
    fabric = Fabric(nodes=nodes, links=[link("a", "m", success=0.5), link("m", "b", success=0.5)])
    made = supply(fabric, 2, cycle_ns=1150.0).timelines(20, 200, seed=9)
    joined = 0.95**2 + 0.05**2 / 3
    assert np.allclose(made.weights[~made.missing][:, 0], joined)


def test_one_seed_is_one_supply() -> None:
    made = supply(two(t2_us=50.0), 3)
    first, again, other = (made.timelines(10, 20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)
    assert (first.weights[first.missing] == 0.25).all()
    assert np.allclose(first.weights.sum(axis=-1), 1)
    with pytest.raises(ValueError, match="read-only"):
        first.weights[0] = 0


def test_the_mean_of_each_slot_leaves_missing_pairs_out() -> None:
    made = supply(two(t2_us=20.0), 3, cycle_ns=1150.0).timelines(10, 50, seed=3)
    for slot in range(3):
        there = ~made.missing[:, :, slot]
        assert np.allclose(made.slot_weights[slot], made.weights[:, :, slot][there].mean(axis=0))


def test_the_slots_of_a_code_are_its_crossings_with_their_checks() -> None:
    code = DistributedSurfaceCode(distance=3)
    slots = slots_of(code)
    assert [slot.nodes for slot in slots] == [tuple(code.placement[qubit] for qubit in pair) for pair in code.crossings]
    assert all(slot.check in pair for slot, pair in zip(slots, code.crossings, strict=True))
    assert len(slots) == 5


# ------------------------------------------------------------------------------------------------------------ refusals


def test_nodes_without_a_quantum_link_get_no_pairs() -> None:
    nodes = [qpu("a"), qpu("b")]
    with pytest.raises(NoQuantumPath):
        supply(Fabric(nodes=nodes, links=[Link("a", "b", bandwidth_gbps=100.0, latency_ns=50.0)]))


def test_pairs_that_come_more_slowly_than_rounds_are_refused_in_strict_mode() -> None:
    with pytest.raises(InvalidValue, match=r"1.1e\+04 ns, 10 times as long"):
        supply(two(success=0.1), 11, cycle_ns=1100.0, policy="wait", strict=True)
    supply(two(success=0.1), 11, cycle_ns=1100.0, policy="skip", strict=True)


def test_memories_that_decay_within_a_round_are_refused() -> None:
    with pytest.raises(InvalidValue, match="keep a pair for 1000 ns, less than a round"):
        supply(two(t2_us=1.0), cycle_ns=1100.0)


def test_what_cannot_be_is_refused() -> None:
    fabric = two(qubits=4)
    with pytest.raises(NotEnoughCommunicationQubits, match=r"needs 5 .* it has 4"):
        supply(fabric, 5)
    with pytest.raises(NotEnoughCommunicationQubits, match="needs 5"):
        supply(fabric, 4, purify=1)
    with pytest.raises(InvalidValue, match="takes 3 pairs"):
        supply(fabric, 3, buffer=2)
    for wrong in (
        {"policy": "hurry"}, {"first": "last"}, {"cycle_ns": 0.0}, {"lead_ns": -1.0}, {"use_ns": 1100.0},
        {"purify": 11}, {"beside": Transport()},
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            supply(fabric, 2, **wrong)
    with pytest.raises(InvalidValue):
        BellSupply(fabric=fabric, slots=())
    with pytest.raises(InvalidValue):
        slots_between("a", "b", 0)
    good = supply(fabric, 2)
    with pytest.raises(InvalidValue):
        good.timelines(0, 1)
    with pytest.raises(SimulationRefused, match="fewer timelines"):
        good.timelines(1000, 100_000, seed=0)
    assert replace(good, policy="wait").policy == "wait"
