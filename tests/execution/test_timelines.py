"""Which timelines a run sees: constant, their mean, or several."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.background import BackgroundPairs
from hyperfabric_q.distribution.schedule import schedule
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import proportion
from hyperfabric_q.execution.channel import outcome_chances
from hyperfabric_q.execution.clock_noise import clock_noises
from hyperfabric_q.execution.clusters import proportion_over
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.prediction import mean_distribution
from hyperfabric_q.execution.timelines import correlation_bound, drawn_timetable, strata, timelines_of
from hyperfabric_q.fabric import Fabric

TIMES = {"gate_1q_ns": 100.0, "gate_2q_ns": 300.0, "readout_ns": 1000.0, "reset_ns": 500.0}


def chain(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.ry(0.4, 1)
    return circuit


def fabric_of(*, rate=None, **figures):
    fabric = Fabric.line([1, 1, 1], communication_qubits=2, pair_fidelity=0.95).replace("nodes.*", **TIMES, **figures)
    return fabric.replace("links.*", latency_ns=500.0, **({} if rate is None else {"pair_rate_hz": rate}))


@pytest.fixture(scope="module")
def plans(plan_of):
    homes = ["qpu-0", "qpu-1", "qpu-2"]

    def make(**figures):
        return plan_of(chain(3), fabric_of(**figures), homes)

    return make


def lines(plan, *, wanted="auto", shots=4000, kind=Noise.FABRIC, seed=5):
    return timelines_of(plan, kind, wanted=wanted, shots=shots, seed=seed)


def test_time_passes_only_where_it_harms(plans):
    assert lines(plans(rate=1e4)).averaging == "none"
    assert lines(plans(rate=1e4, t2_us=100.0), kind=Noise.LINKS).averaging == "none"
    assert lines(plans(t2_us=100.0)).averaging == "constant"
    assert lines(plans(rate=1e5, t2_us=1e5)).averaging == "mean"
    assert lines(plans(rate=1e4, t2_us=300.0)).averaging == "sampled"


def test_counts_without_memories_are_those_of_before_time_passed(plans):
    plan = plans(rate=1e4)
    assert plan.run(300, seed=4).averaging == "none"
    assert plan.run(300, seed=4).counts == plan.run(300, seed=4, noise="links").counts


@pytest.mark.parametrize(("rate", "t2"), [(1e5, 1e5), (1e4, 2e3), (1e4, 200.0)])
def test_what_the_mean_neglects_is_below_its_bound(plans, rate, t2):
    plan = plans(rate=rate, t2_us=t2)
    complete, reported = measured(plan)
    timetable = plan.schedule(mode="sampled", runs=40, seed=6)
    noises = clock_noises(plan, Noise.FABRIC, timetable, [*range(40), None])
    true = mean_distribution(complete, noises[:-1], reported)
    of_mean = mean_distribution(complete, noises[-1:], reported)
    apart = sum(abs(true.get(key, 0) - of_mean.get(key, 0)) for key in {*true, *of_mean}) / 2
    assert apart <= correlation_bound(plan, timetable, significant=0) + 1e-12
    # Two waits for the same pairs are far from independent where they matter.
    assert (apart > 1e-3) == (t2 < 300)


def test_shots_are_shared_out_evenly(plans):
    sampled = lines(plans(rate=1e4, t2_us=300.0), wanted=7)
    shares = [share for _, share in sampled.shares(100)]
    assert (len(sampled), sum(shares), max(shares) - min(shares)) == (7, 100, 1)
    assert len(lines(plans(rate=1e4, t2_us=300.0), shots=10)) == 10


def test_timelines_are_those_of_the_seed(plans):
    plan = plans(rate=1e4, t2_us=300.0)
    one, again, other = lines(plan, wanted=4), lines(plan, wanted=4), lines(plan, wanted=4, seed=6)
    assert [each.idles for each in one.noises] == [each.idles for each in again.noises]
    assert one.noises[0].idles != other.noises[0].idles


@pytest.mark.parametrize(("values", "count"), [(16, 16), (64, 8), (65, 7), (20, 3), (9, 2), (9, 1)])
def test_every_run_is_as_likely_to_be_taken(values, count):
    rng, hits = np.random.default_rng(count), np.zeros(values)
    for _ in range(3000):
        taken = strata(np.arange(values)[::-1], count, rng)
        assert len(taken) == count
        hits[taken] += 1
    expected = 3000 * count / values
    assert np.abs(hits - expected).max() < 5 * np.sqrt(expected)


def test_strata_are_pairs_of_like_size_and_all_is_all():
    rng, sizes = np.random.default_rng(1), np.random.default_rng(2).exponential(size=800)
    taken = strata(sizes, 8, rng)
    ranks = np.argsort(np.argsort(sizes))[taken] // 200
    assert (ranks[::2] == ranks[1::2]).all()
    assert sorted(ranks[::2]) == [0, 1, 2, 3]
    assert sorted(strata(sizes, 800, rng)) == list(range(800))


@pytest.fixture(scope="module")
def real(plans):
    """The estimated infidelity of 512 runs of a plan, and the exact chance of an outcome in each."""
    plan = plans(rate=1e4, t2_us=300.0)
    complete, reported = measured(plan)
    timetable = drawn_timetable(plan, 3)
    every = clock_noises(plan, Noise.FABRIC, timetable, range(512))
    chances = np.array([outcome_chances(complete, noise, reported=reported)["000"] for noise in every])
    return timetable.infidelity[:512], chances


def test_strata_of_real_timelines_scatter_less_than_independent_ones(real):
    sizes, chances = real
    rng = np.random.default_rng(5)
    drawn = np.array([chances[strata(sizes, 8, rng)].mean() for _ in range(1000)])
    assert drawn.mean() == pytest.approx(chances.mean(), abs=5 * drawn.std() / np.sqrt(1000))
    assert drawn.std() < 0.6 * chances.std() / np.sqrt(8)


@pytest.mark.parametrize(("shots", "naive_at_most"), [(8000, 0.8), (800_000, 0.3)])
def test_bars_over_eight_real_timelines_cover_where_naive_ones_fail(real, shots, naive_at_most):
    sizes, chances = real
    rng, trials = np.random.default_rng(6), 1500
    inside, naive = 0, 0
    for _ in range(trials):
        hits = rng.binomial(shots // 8, chances[strata(sizes, 8, rng)]).tolist()
        found, alone = proportion_over(hits, [shots // 8] * 8), proportion(sum(hits), shots)
        inside += abs(found.value - chances.mean()) <= 1.96 * found.stderr
        naive += abs(alone.value - chances.mean()) <= 1.96 * alone.stderr
    assert 0.925 < inside / trials < 0.98
    assert naive / trials < naive_at_most


def test_luck_that_is_spread_evenly_makes_means_scatter_less(plans):
    plan = plans(rate=1e4)
    spread, plain = (
        [
            schedule(plan.routed, plan.fabric, mode="sampled", runs=64, seed=seed, stratified=each).makespan_ps.mean()
            for seed in range(40)
        ]
        for each in (True, False)
    )
    assert np.std(spread) < 0.6 * np.std(plain)
    assert np.mean(spread) == pytest.approx(np.mean(plain), abs=4 * np.std(plain) / np.sqrt(40))


@pytest.mark.parametrize("rate", [3e3, 1e4, 1e5])
def test_64_timelines_and_one_for_each_shot_take_as_long(plans, rate):
    plan = plans(rate=rate, t2_us=300.0)
    few, every = plan.run(2048, seed=4, timelines=64).shot_ns, lines(plan, wanted=2048, shots=2048, seed=5).makespans_ps
    deviation = float(every.std()) / 1e3
    assert len(every) == 2048
    assert few.mean == pytest.approx(
        every.mean() / 1e3, abs=4 * deviation * np.hypot(1 / np.sqrt(1024), 1 / np.sqrt(2048))
    )
    # Ranks of both p99 among the others' runs are within four standard errors of 99 %.
    above = float((every / 1e3 > few.p99).mean())
    assert above == pytest.approx(0.01, abs=4 * np.sqrt(0.01 * 0.99 * (1 / 1024 + 1 / 2048)))


def test_a_run_says_how_timelines_became_errors(plans):
    plan = plans(rate=1e4, t2_us=300.0)
    result = plan.run(640, seed=2)
    assert (result.averaging, result.timelines, len(result.clusters)) == ("sampled", 64, 64)
    assert sum(sum(cluster.values()) for cluster in result.clusters) == 640
    assert result == plan.run(640, seed=2)
    assert "64 timelines" in str(result)
    one = plan.run(640, seed=2, timelines=1)
    assert (one.timelines, one.averaging) == (1, "sampled")
    assert any("do not hold" in note for note in one.approximations)
    mean = plans(rate=1e5, t2_us=1e5).run(100, seed=1)
    assert (mean.averaging, mean.timelines) == ("mean", 1)


@pytest.mark.parametrize("wanted", [0, -1, 1.5, "many", True, None, 51])
def test_numbers_of_timelines_that_are_none_are_refused(plans, wanted):
    with pytest.raises(InvalidValue, match="timelines"):
        plans(rate=1e4).run(50, timelines=wanted)


def test_shot_times_are_those_of_the_schedule(plans):
    still = plans().run(100, seed=1)
    makespan = float(plans().schedule().makespan_ps) / 1e3
    assert still.shot_ns.mean == still.shot_ns.p50 == still.shot_ns.p99 == pytest.approx(makespan)
    assert still.job_ns == pytest.approx(100 * makespan + 99 * 500.0)
    moving = plans(rate=1e4, t2_us=300.0).run(1000, seed=1).shot_ns
    assert moving.p50 < moving.mean < moving.p99
    # Two links, exponential waits of 100 us at the same time or one after the other: 150 to 200 us, and little else.
    assert 100e3 < moving.mean < 260e3


def test_16_timelines_and_64_agree_within_their_bars(plans):
    plan = plans(rate=1e4, t2_us=300.0)
    few, many = plan.run(640, seed=2, timelines=16), plan.run(640, seed=3, timelines=64)
    for key in ("000", "111"):
        one, other = few.probabilities[key], many.probabilities[key]
        assert one.value == pytest.approx(other.value, abs=4 * np.hypot(one.stderr, other.stderr))


def test_shot_times_of_two_seeds_agree(plans):
    # They are quantiles of all runs drawn, however many of them are simulated.
    plan = plans(rate=1e4, t2_us=300.0)
    one, other = plan.run(64, seed=2, timelines=1).shot_ns, plan.run(64, seed=3, timelines=8).shot_ns
    assert one.runs == other.runs == 1024
    assert one.mean == pytest.approx(other.mean, rel=0.1)
    assert one.p99 == pytest.approx(other.p99, rel=0.25)


def test_pairs_that_the_clock_refuses_have_no_shot_times(plan_of):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.4)
    plan = plan_of(chain(2), fabric, ["qpu-0", "qpu-1"])
    result = plan.run(50, seed=1)
    assert result.shot_ns is None
    assert result.job_ns is None
    with pytest.raises(InvalidValue, match="not entangled"):
        plan_of(chain(2), fabric.replace("nodes.*", t1_us=10.0), ["qpu-0", "qpu-1"]).run(50, seed=1)


@pytest.mark.parametrize("memories", [{}, {"t2_us": 300.0}])
def test_other_traffic_makes_shots_later_and_errors_larger(plans, memories):
    plan = plans(rate=1e4, **memories)
    others = [BackgroundPairs(a="qpu-0", b="qpu-1", rate_hz=7e3), BackgroundPairs(a="qpu-1", b="qpu-2", rate_hz=7e3)]
    alone, beside = plan.run(200, seed=3), plan.run(200, seed=3, background=others)
    # At load 0.7, a request finds 0.7 / 0.3 mean services before it: 233 us on each link.
    assert 100e3 < beside.shot_ns.mean - alone.shot_ns.mean < 600e3
    assert beside.job_ns > alone.job_ns
    assert beside.shot_ns == plan.run(200, seed=3, background=others).shot_ns
    assert (beside.attribution.infidelity > alone.attribution.infidelity) == bool(memories)


def test_other_traffic_needs_a_clock(plans):
    plan, others = plans(rate=1e4), [BackgroundPairs(a="qpu-0", b="qpu-1", rate_hz=1.0)]
    with pytest.raises(InvalidValue, match="clock"):
        timelines_of(plan, Noise.LINKS, wanted="auto", shots=10, seed=1, background=others)
