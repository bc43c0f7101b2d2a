"""Known answers of ring timing, the equality of its short way with the long one, and bounds, metrics and choice."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.recurrence import ratios
from hyperfabric_q.traffic.collectives import (
    FRAMINGS,
    Collective,
    Framing,
    Nics,
    Running,
    endpoint_bound_ps,
    predict,
    ring_all_reduce_ps,
    schedule_of,
    schedule_ps,
    schedule_timing,
)

GB350 = 350_000_000_000


def factors(ranks):
    """Pairs of numbers in [0.5, 1.5) from the Mersenne twister with the classic seeding, seed 1, as exact ratios."""
    bits = np.random.MT19937()
    bits._legacy_seeding(1)
    words = [int(word) for word in bits.random_raw(4 * ranks)]
    values = [
        Fraction((1 << 63) + low + (high << 32), 1 << 64) for low, high in zip(words[::2], words[1::2], strict=True)
    ]
    return values[::2], values[1::2]


def test_a_ring_of_1024_equal_links_takes_exactly_the_known_time_and_little_of_ours():
    rates = np.full(1024, 20), np.ones(1024, dtype=np.int64)
    latency = np.full(1024, 100_000)
    best = float("inf")
    for _ in range(5):
        before = time.process_time()
        completion = ring_all_reduce_ps(GB350, rates, latency)
        best = min(best, time.process_time() - before)
    assert set(completion.tolist()) == {13_986_532_725_000}
    assert best < 0.05


def test_a_ring_of_16_links_takes_the_time_that_another_simulator_finds():
    rates = np.full(16, 20), np.ones(16, dtype=np.int64)
    assert ring_all_reduce_ps(GB350, rates, np.full(16, 100_000)).max() / 1e12 == pytest.approx(13.125003, abs=1e-6)


def test_a_rendezvous_ring_of_64_different_links_takes_the_known_time():
    bandwidth, latency = factors(64)
    delays = np.array([round(100_000 * each) for each in latency])
    completion = ring_all_reduce_ps(GB350, ratios([20 / each for each in bandwidth]), delays, rendezvous=True)
    assert completion.max() / 1e12 == pytest.approx(26.01212504393, abs=2e-10)


@pytest.mark.parametrize(("ranks", "seconds"), [(64, 26.01210775486), (1024, 27.93973768165)])
def test_store_and_forward_rings_of_different_links_take_the_known_times(ranks, seconds):
    bandwidth, latency = factors(ranks)
    delays = np.array([round(100_000 * each) for each in latency])
    completion = ring_all_reduce_ps(GB350, ratios([20 / each for each in bandwidth]), delays)
    assert completion.max() / 1e12 == pytest.approx(seconds, abs=2e-9)


@pytest.mark.parametrize(
    ("ranks", "seconds", "tolerance"), [(64, 25.215300, 1e-6), (256, 25.922635, 1e-6), (1024, 25.998878036, 3e-9)]
)
def test_rings_in_binary_gigabytes_take_the_known_times(ranks, seconds, tolerance):
    """The unit in which another simulator reads GB/s; the order of its random factors is the other one."""
    latency, bandwidth = factors(ranks)
    per_byte = Fraction(10**12, 50 * 2**30)
    delays = np.array([round(100_000 * each) for each in latency])
    completion = ring_all_reduce_ps(GB350, ratios([per_byte / each for each in bandwidth]), delays)
    assert completion.max() / 1e12 == pytest.approx(seconds, abs=tolerance)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    ranks=st.integers(1, 12),
    nbytes=st.integers(0, 500),
    itemsize=st.sampled_from([1, 4]),
    seed=st.integers(0, 10**6),
    collective=st.sampled_from([Collective.ALL_REDUCE, Collective.REDUCE_SCATTER, Collective.ALL_GATHER]),
)
def test_the_short_way_through_a_ring_equals_the_steps_one_by_one(ranks, nbytes, itemsize, seed, collective):
    rng = np.random.default_rng(seed)
    rates = [Fraction(int(a), int(b)) for a, b in rng.integers(1, 90, (2 * ranks, 2))]
    nics = Nics.of(rates[:ranks], rates[ranks:], latency_ps=rng.integers(0, 300, ranks))
    plan = schedule_of(collective, "ring", ranks)
    short = schedule_timing(plan, nbytes * itemsize, nics, itemsize=itemsize)
    long = schedule_timing(replace(plan, shift=None), nbytes * itemsize, nics, itemsize=itemsize)
    for column in ("completion_ps", "sent_bytes", "received_bytes", "sending_ps", "receiving_ps"):
        assert getattr(short, column).tolist() == getattr(long, column).tolist(), column
    assert short.sends == long.sends or nbytes < ranks


@pytest.mark.parametrize(("ranks", "nbytes"), [(7, 100_003), (12, 5), (2, 1), (16, 16_000)])
def test_a_ring_of_different_links_equals_the_kernel_to_the_picosecond(ranks, nbytes):
    """One channel per link, with the kernel's own queues; also when there are fewer bytes than ranks."""
    rng = np.random.default_rng(ranks)
    rates = [8000 / Fraction(str(g)) for g in rng.uniform(50, 400, ranks)]
    latency = rng.integers(0, 200_000, ranks)
    kernel = Kernel()
    for rate in rates:
        kernel.add(Channel(source="a", target="b", ps_per_byte=rate, chunk=64))
    plan = schedule_of("all_reduce", "ring", ranks)
    running = Running(kernel, plan, nbytes, lambda a, _: ((a,), (int(latency[a]),)))
    kernel.run()
    assert ring_all_reduce_ps(nbytes, ratios(rates), latency).tolist() == running.completion_ps


def test_kernel_and_recurrence_also_agree_when_the_collective_starts_later():
    kernel = Kernel()
    for _ in range(8):
        kernel.add(Channel(source="a", target="b", ps_per_byte=Fraction(20), chunk=64, store_and_forward=False))
    nics = Nics.of([20] * 4, latency_ps=500)
    plan = schedule_of("all_reduce", "halving_doubling", 4)
    done = []
    kernel.at(
        12_345,
        lambda: Running(kernel, plan, 1000, lambda a, b: ((a, 4 + b), (0, 500)), on_done=done.append),
    )
    kernel.run()
    assert [at - 12_345 for at in done[0].completion_ps] == schedule_ps(plan, 1000, nics).tolist()


def test_a_collective_of_one_rank_is_done_at_once_and_says_so():
    done = []
    kernel = Kernel()
    Running(kernel, schedule_of("all_reduce", "ring", 1), 100, lambda a, b: ((0,), (0,)), on_done=done.append)
    assert done[0].completion_ps == [0]
    assert ring_all_reduce_ps(100, (np.array([20]), np.array([1])), np.array([5])).tolist() == [0]


def test_the_bound_of_equal_ends_is_the_textbook_one():
    nics = Nics.of([20] * 1024, latency_ps=100_000)
    assert endpoint_bound_ps(Collective.ALL_REDUCE, GB350, nics) == 2 * 1023 * GB350 * 20 // 1024
    assert endpoint_bound_ps(Collective.ALL_GATHER, GB350, nics) == 1023 * GB350 * 20 // 1024
    assert endpoint_bound_ps(Collective.REDUCE_SCATTER, GB350, nics) == 1023 * GB350 * 20 // 1024
    assert endpoint_bound_ps(Collective.BROADCAST, GB350, nics) == GB350 * 20


def test_the_bound_of_one_slow_end_is_its_own_traffic():
    nics = Nics.of([20, 20, 20, 2000], latency_ps=0)
    assert endpoint_bound_ps(Collective.ALL_REDUCE, 1000, nics) == 1000 * 2000
    assert endpoint_bound_ps(Collective.BROADCAST, 1000, nics, root=3) == 1000 * 2000


def test_many_different_rates_give_a_bound_that_is_low_by_less_than_a_picosecond():
    rates = [8000 / Fraction(str(g)) for g in np.random.default_rng(0).uniform(390, 400, 40)]
    exact = 2 * 39 * 10**9 / sum(1 / rate for rate in rates)
    assert 0 <= exact - endpoint_bound_ps(Collective.ALL_REDUCE, 10**9, Nics.of(rates, latency_ps=0)) < 1


def test_the_efficiency_of_a_ring_follows_its_formula():
    """1 / (1 + N alpha B / S), and 95 % needs 97 MB on 1024 ranks at 50 GB/s and 100 ns."""
    nics = Nics.of([20] * 1024, latency_ps=100_000)
    for nbytes in (97_000_000, GB350):
        report = predict("all_reduce", nbytes, nics, algorithm="ring")
        assert report.efficiency == pytest.approx(1 / (1 + 1024 * 100e-9 * 50e9 / nbytes), rel=1e-3)
    assert predict("all_reduce", 97_000_000, nics, algorithm="ring").efficiency == pytest.approx(0.95, abs=1e-3)
    assert report.bus_bandwidth == pytest.approx(50e9, rel=1e-4)
    assert report.sending_fraction == pytest.approx(report.efficiency)


def test_goodput_counts_only_ranks_that_are_done_in_time():
    nics = Nics.of([20, 20, 20], latency_ps=0)
    report = predict("broadcast", 1000, nics, algorithm="tree", root=0)
    assert report.duration_ps == 40_000
    assert report.timing.completion_ps.tolist() == [40_000, 40_000, 20_000]
    assert report.goodput(40_000) == pytest.approx(2 * 1000 / (3 * 2000))
    assert report.goodput(39_999) == pytest.approx(1000 / (3 * 2000))
    assert report.goodput(0) == 0.0


@pytest.mark.parametrize(
    ("framing", "percent"),
    [
        ("tcp_1500", 94.93),
        ("tcp_1500_timestamps", 94.15),
        ("tcp_9000", 99.14),
        ("rocev2_1024", 92.59),
        ("rocev2_4096", 98.04),
    ],
)
def test_wire_efficiency_of_full_frames_is_the_known_one(framing, percent):
    assert 100 * FRAMINGS[framing].efficiency() == pytest.approx(percent, abs=0.005)


def test_short_messages_pay_for_a_whole_header():
    framing = Framing(payload=1000, overhead=80)
    assert framing.wire_bytes(1001) == 1001 + 160
    assert framing.efficiency(20) == 0.2
    assert framing.efficiency(0) == 1.0
    with pytest.raises(InvalidValue, match="framing"):
        Framing(payload=0, overhead=1)


def test_auto_takes_the_fastest_and_shows_all_predictions():
    nics = Nics.of([20] * 64, latency_ps=100_000)
    small, large = predict("all_reduce", 64, nics), predict("all_reduce", 10**9, nics)
    assert small.algorithm in {"tree", "halving_doubling"}
    assert large.algorithm == "halving_doubling"
    assert {row.algorithm for row in large.predictions} == {"ring", "tree", "halving_doubling", "hierarchical"}
    times = [row.duration_ps for row in large.predictions]
    assert times == sorted(times)
    assert large.duration_ps == times[0] >= large.bound_ps
    assert predict("all_reduce", 10**9, nics, candidates=("ring", "direct")).algorithm == "direct"
    with pytest.raises(UnknownName, match="halving_doubling"):
        predict("all_reduce", 10, nics, algorithm="halving")


@pytest.mark.parametrize("seed", range(6))
def test_auto_never_rests_on_an_inexact_prediction(seed):
    """Where messages overtake each other, a prediction in order of steps can be far too good."""
    rng = np.random.default_rng(seed)
    rates = [8000 / Fraction(str(g)) for g in rng.uniform(50, 400, 12)]
    nics = Nics.of(rates, latency_ps=rng.integers(0, 200_000, 12))
    report = predict("all_reduce", int(rng.integers(1, 3_000_000)), nics)
    assert report.timing.exact
    assert report.predictions[0] == (report.algorithm, report.duration_ps, True)
    for row in report.predictions:
        if row.exact:
            assert predict("all_reduce", report.nbytes, nics, algorithm=row.algorithm).duration_ps == row.duration_ps


def test_racks_make_the_hierarchical_way_short_when_other_racks_are_far():
    racks = [list(range(rack, 64, 8)) for rack in range(8)]
    far = np.full((64, 64), 1_000_000)
    for rack in racks:
        far[np.ix_(rack, rack)] = 10_000
    report = predict(
        "all_reduce", 100_000, Nics.of([20] * 64, latency_ps=far), racks=racks, candidates=("ring", "hierarchical")
    )
    assert report.algorithm == "hierarchical"
    assert report.predictions[1].duration_ps > 5 * report.duration_ps


def test_halving_doubling_takes_its_textbook_time_for_powers_of_two():
    nics = Nics.of([20] * 1024, latency_ps=100_000)
    report = predict("all_reduce", GB350, nics, algorithm="halving_doubling")
    assert report.duration_ps == 20 * 100_000 + report.bound_ps
    assert report.duration_ps / 1e12 == pytest.approx(13.986330, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"nbytes": -1}, "nbytes"),
        ({"nbytes": 10, "itemsize": 4}, "nbytes"),
        ({"nbytes": 1 << 61}, "nbytes"),
        ({"ps_per_byte": (np.array([20]), np.array([1]))}, "ps_per_byte"),
        ({"ps_per_byte": (np.array([20, 0]), np.array([1, 1]))}, "ps_per_byte"),
        ({"latency_ps": np.array([1, -1])}, "latency_ps"),
    ],
)
def test_impossible_rings_are_refused(change, field):
    given = {
        "nbytes": 100,
        "ps_per_byte": (np.array([20, 20]), np.array([1, 1])),
        "latency_ps": np.array([1, 1]),
        **change,
    }
    with pytest.raises(InvalidValue, match=field):
        ring_all_reduce_ps(**given)


def test_ends_that_do_not_match_the_ranks_are_refused():
    with pytest.raises(InvalidValue, match="4 ranks"):
        schedule_ps(schedule_of("all_reduce", "ring", 4), 10, Nics.of([20] * 3, latency_ps=1))
    with pytest.raises(InvalidValue, match="latency"):
        Nics.of([20, 20], latency_ps=[1, -1])
    with pytest.raises(InvalidValue, match="nics"):
        Nics.of([20, 20], latency_ps=[1, 1, 1])
    with pytest.raises(InvalidValue, match="sending"):
        Nics.of([20, 0], latency_ps=1)
