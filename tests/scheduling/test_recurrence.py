from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.recurrence import Channels, ratios, serialisation_ps, serve


def channels_of(rates, forward=0):
    forwards = [forward] * len(rates) if isinstance(forward, int) else forward
    return [
        Channel(source=f"a{i}", target=f"b{i}", ps_per_byte=Fraction(rate), chunk=unit or 1, store_and_forward=unit > 0)
        for i, (rate, unit) in enumerate(zip(rates, forwards, strict=True))
    ]


def kernel_times(channels, release, nbytes, paths, delays):
    """Starts and ends by the event kernel; ranks follow (release, position)."""
    kernel = Kernel()
    for each in channels:
        kernel.add(each)
    messages = []
    for i, (when, size, path, delay) in enumerate(zip(release, nbytes, paths, delays, strict=True)):
        hops = [int(c) for c in path if c >= 0]
        message = Message(
            path=tuple(hops),
            delays=tuple(int(d) for d in delay[: len(hops)]),
            nbytes=int(size),
            release_ps=int(when),
            key=(i,),
            identity=i,
        )
        messages.append(message)
        kernel.submit(message)
    kernel.run()
    return [m.started_ps for m in messages], [m.done_ps for m in messages]


def assert_kernel_agrees(channels, release, nbytes, paths, delays):
    got = serve(Channels.of(channels), release, nbytes, paths, delays)
    started, done = kernel_times(channels, release, nbytes, paths, delays)
    assert got.begun_ps[:, 0].tolist() == started
    assert got.done_ps.tolist() == done


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    size=st.integers(0, 1 << 40),
    top=st.integers(1, (1 << 63) - 1),
    bottom=st.integers(1, (1 << 61) - 1),
)
def test_serialisation_is_the_exact_ceiling(size, top, bottom):
    exact = -(-size * top // bottom)
    numerator, denominator = np.array([top]), np.array([bottom])
    if exact >= 1 << 61:
        with pytest.raises(InvalidValue, match="2\\*\\*61"):
            serialisation_ps([size], numerator, denominator)
    else:
        assert serialisation_ps([size], numerator, denominator).tolist() == [exact]


def test_serialisation_is_exact_at_whole_quotients_and_beside_them():
    rng = np.random.default_rng(5)
    rates = [Fraction(str(g)) for g in rng.uniform(0.1, 900, 200)]
    per_byte = [8000 / rate for rate in rates]
    numerator, denominator = ratios(per_byte)
    for offset in (-1, 0, 1):
        sizes = [max(1, rate.numerator // 10**9 + offset) for rate in rates]
        expected = [-(-s * p.numerator // p.denominator) for s, p in zip(sizes, per_byte, strict=True)]
        assert serialisation_ps(sizes, numerator, denominator).tolist() == expected


def test_ratios_too_large_for_machine_words_stay_exact():
    value = Fraction(20 * 2**64, 2**63 + 12345678901234567)
    numerator, denominator = ratios([value])
    assert serialisation_ps([350_000_000_000], numerator, denominator)[0] == -(-350_000_000_000 * value // 1)


def test_two_messages_on_one_channel_queue():
    (one,) = channels_of([20])
    got = serve(Channels.of([one]), [0, 10], [100, 50], [[0], [0]], 7)
    assert got.begun_ps[:, 0].tolist() == [0, 2000]
    assert got.done_ps.tolist() == [2007, 3007]
    assert got.busy_ps.tolist() == [3000]


def test_an_idle_cut_through_transfer_takes_the_slower_channel_and_the_latency():
    channels = Channels.of(channels_of([20, 160]))
    assert serve(channels, [5], [1000], [[0, 1]], [[0, 100]]).done_ps.tolist() == [5 + 160_000 + 100]
    assert serve(channels, [5], [1000], [[1, 0]], [[0, 100]]).done_ps.tolist() == [5 + 160_000 + 100]


def test_store_and_forward_adds_one_chunk_per_further_hop():
    channels = Channels.of(channels_of([20, 20, 20], forward=64))
    got = serve(channels, [0], [6400], [[0, 1, 2]], [[10, 10, 10]])
    assert got.done_ps.tolist() == [6400 * 20 + 2 * 64 * 20 + 30]


@pytest.mark.parametrize("seed", range(12))
def test_two_hop_paths_equal_the_kernel(seed):
    rng = np.random.default_rng(seed)
    nodes, count = int(rng.integers(2, 7)), 300
    rates = [Fraction(8000, int(g)) for g in rng.choice([25, 100, 400, 7], 2 * nodes)]
    forward = int(rng.choice([0, 64, 1000]))
    channels = channels_of(rates, forward)
    source = rng.integers(0, nodes, count)
    target = (source + rng.integers(1, nodes, count)) % nodes
    paths = np.stack([source, nodes + target], axis=1)
    delays = np.stack([np.zeros(count, dtype=int), rng.choice([0, 100_000, 250_000], count)], axis=1)
    release = rng.integers(0, 4_000_000, count) // 20_000 * 20_000
    assert_kernel_agrees(channels, release, rng.integers(1, 3000, count), paths, delays)


@pytest.mark.parametrize("seed", range(12))
def test_ties_without_delay_equal_the_kernel(seed):
    """Equal sizes, few instants and cut-through without delay: many arrivals fall on one picosecond."""
    rng = np.random.default_rng(100 + seed)
    nodes, count = 4, 250
    channels = channels_of(rng.choice([10, 20, 40], 2 * nodes).tolist())
    source = rng.integers(0, nodes, count)
    target = (source + rng.integers(1, nodes, count)) % nodes
    paths = np.stack([source, nodes + target], axis=1)
    release = rng.integers(0, 300, count) * 500
    assert_kernel_agrees(channels, release, rng.choice([25, 50, 100], count), paths, np.zeros((count, 2), dtype=int))


@pytest.mark.parametrize("seed", range(12))
def test_rack_paths_of_mixed_length_equal_the_kernel(seed):
    rng = np.random.default_rng(200 + seed)
    racks, per_rack, count = 3, 3, 250
    nodes = racks * per_rack
    rates = rng.choice([10, 20, 40, Fraction(50, 3)], 2 * nodes + 2 * racks).tolist()
    forward = rng.choice([0, 0, 64], len(rates)).tolist()
    channels = channels_of(rates, forward)
    source = rng.integers(0, nodes, count)
    target = (source + rng.integers(1, nodes, count)) % nodes
    paths = np.full((count, 4), -1)
    delays = rng.choice([0, 0, 1000], (count, 4))
    for row, (a, b) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        up, down = 2 * nodes + a // per_rack, 2 * nodes + racks + b // per_rack
        hops = [a, nodes + b] if a // per_rack == b // per_rack else [a, up, down, nodes + b]
        paths[row, : len(hops)] = hops
    release = rng.integers(0, 200, count) * 1000
    assert_kernel_agrees(channels, release, rng.choice([25, 50, 100, 333], count), paths, delays)


def test_the_order_in_which_messages_are_given_does_not_matter_when_ranks_are_given():
    rng = np.random.default_rng(3)
    channels = Channels.of(channels_of([20, 10, 30, 20]))
    release = np.sort(rng.integers(0, 50, 200)) * 100
    size, path = rng.integers(1, 90, 200), np.stack([rng.integers(0, 2, 200), rng.integers(2, 4, 200)], axis=1)
    whole = serve(channels, release, size, path, 0, rank=np.arange(200))
    mixed = rng.permutation(200)
    again = serve(channels, release[mixed], size[mixed], path[mixed], 0, rank=mixed)
    assert (again.done_ps == whole.done_ps[mixed]).all()
    assert (again.arrived_ps == whole.arrived_ps[mixed]).all()


def test_channels_whose_offsets_do_not_fit_in_one_scan_are_served_apart():
    count = 3000
    release = np.where(np.arange(count) % 2, 1 << 59, 0)
    got = serve(Channels.of(channels_of([20] * count)), release, np.full(count, 5), np.arange(count)[:, None] // 2, 0)
    assert got.done_ps.tolist() == (release + 100).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_mean_wait_of_a_markovian_queue_with_equal_sizes_is_the_textbook_value(seed):
    """M/D/1: rho / (2 (1 - rho)) service times."""
    rho, count, service = 0.7, 400_000, 20_000
    gaps = np.random.default_rng(seed).exponential(service / rho, count)
    release = np.cumsum(gaps).astype(np.int64)
    got = serve(Channels.of(channels_of([20])), release, np.full(count, 1000), np.zeros((count, 1), dtype=int), 0)
    wait = (got.begun_ps[:, 0] - release).mean() / service
    assert wait == pytest.approx(rho / (2 * (1 - rho)), rel=0.04)


def test_busy_time_is_exact_beyond_the_range_of_doubles():
    size = np.full(9, 123_456_789_012_345 // 9)
    got = serve(Channels.of(channels_of([Fraction(8000, 3)])), np.zeros(9), size, np.zeros((9, 1), dtype=int), 0)
    assert got.busy_ps[0] == 9 * -(-int(size[0]) * 8000 // 3) == got.done_ps.max()


@pytest.mark.parametrize(
    ("release", "nbytes", "path", "delays", "field"),
    [
        ([0], [0], [[0]], 0, "nbytes"),
        ([-1], [1], [[0]], 0, "release_ps"),
        ([0], [1], [[2]], 0, "path"),
        ([0], [1], [[-1]], 0, "path"),
        ([0], [1], [[0]], -1, "delays"),
        ([0, 0], [1], [[0]], 0, "nbytes"),
        ([0], [1], [[0]], [1, 2, 3], "delays"),
        ([0], [1 << 58], [[0]], 0, "2\\*\\*61"),
        ([0, 0], [1, 1], [[0, 1], [1, 0]], 0, "circle"),
    ],
)
def test_wrong_requests_are_refused(release, nbytes, path, delays, field):
    with pytest.raises(InvalidValue, match=field):
        serve(Channels.of(channels_of([20, 20])), release, nbytes, path, delays)


def test_no_messages_are_no_trouble():
    got = serve(Channels.of(channels_of([20])), [], [], np.empty((0, 2), dtype=int), 0)
    assert got.done_ps.shape == (0,)
    assert got.begun_ps.shape == (0, 2)
