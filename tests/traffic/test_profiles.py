"""Bytes on the wire are those of the packets, built one by one; efficiencies are the published ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.traffic.profiles import profiles

TCP, RDMA, FABRIC = (profiles[name] for name in ("tcp", "rdma", "fabric"))


def tcp_frames(nbytes, mtu):
    """Build each frame of a TCP transfer, field by field."""
    sizes = []
    while True:
        segment = min(nbytes, mtu - 40)
        frame = 7 + 1 + 6 + 6 + 2 + max(46, 20 + 20 + segment) + 4 + 12
        sizes.append(frame)
        nbytes -= segment
        if not nbytes:
            return sum(sizes)


def roce_frames(nbytes, mtu):
    """Build each frame of an RDMA SEND over RoCEv2, field by field."""
    sizes = []
    while True:
        part = min(nbytes, mtu)
        pad = -part % 4
        frame = 7 + 1 + 6 + 6 + 2 + max(46, 20 + 8 + 12 + part + pad + 4) + 4 + 12
        sizes.append(frame)
        nbytes -= part
        if not nbytes:
            return sum(sizes)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.integers(0, 60_000), st.sampled_from([576, 1500, 9000]))
def test_tcp_is_the_sum_of_its_frames(nbytes, mtu):
    assert TCP.with_mtu(mtu).wire_bytes(nbytes) == tcp_frames(nbytes, mtu)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.integers(0, 60_000), st.sampled_from([256, 1024, 4096]))
def test_rdma_is_the_sum_of_its_frames(nbytes, mtu):
    assert RDMA.with_mtu(mtu).wire_bytes(nbytes) == roce_frames(nbytes, mtu)


@pytest.mark.parametrize(
    ("profile", "percent"),
    [
        (TCP, 94.93),
        (TCP.with_mtu(9000), 99.14),
        (RDMA.with_mtu(1024), 92.59),
        (RDMA, 98.04),
        (FABRIC, 100.0),
    ],
    ids=["tcp 1500", "tcp 9000", "rdma 1024", "rdma 4096", "fabric"],
)
def test_published_efficiencies(profile, percent):
    assert round(100 * profile.efficiency(350_000_000_000), 2) == percent


@pytest.mark.parametrize(
    ("profile", "nbytes", "wire"),
    [
        (TCP, 0, 84),
        (TCP, 1, 84),
        (TCP, 6, 84),
        (TCP, 7, 85),
        (TCP, 1460, 1538),
        (TCP, 1461, 1538 + 84),
        (RDMA, 0, 84),
        (RDMA, 1, 86),
        (RDMA, 4096, 4178),
        (FABRIC, 0, 1),
        (FABRIC, 12345, 12345),
    ],
)
def test_known_messages(profile, nbytes, wire):
    assert profile.wire_bytes(nbytes) == wire


@pytest.mark.parametrize("profile", [TCP, RDMA, FABRIC], ids=lambda each: each.name)
def test_arrays_of_sizes_give_the_same(profile):
    sizes = np.concatenate([np.arange(5000), np.random.default_rng(4).integers(0, 2**40, 200)])
    assert profile.wire_bytes_of(sizes).tolist() == [profile.wire_bytes(int(each)) for each in sizes]
    assert profile.wire_bytes_of(np.array([], dtype=int)).size == 0


@pytest.mark.parametrize("profile", [TCP, RDMA, FABRIC], ids=lambda each: each.name)
def test_sizes_are_exact_beyond_64_bits_and_never_negative(profile):
    huge = 10**25
    assert profile.wire_bytes(huge) >= huge
    assert profile.wire_bytes(huge + 1) > profile.wire_bytes(huge)
    for attempt in (lambda: profile.wire_bytes(-1), lambda: profile.wire_bytes_of(np.array([3, -1]))):
        with pytest.raises(InvalidValue, match="nbytes"):
            attempt()


def test_tcp_waits_200_ms_then_doubles_up_to_two_minutes():
    waits = [TCP.retransmission_ps(10**8, each) for each in range(1, 16)]
    assert waits[:3] == [200 * 10**9, 400 * 10**9, 800 * 10**9]
    assert waits[-1] == 120 * 10**12
    # tcp_retries2 = 15: Linux gives up after 924.6 s, the 15 waits and a 16th.
    assert sum(waits) + 120 * 10**12 == pytest.approx(924.6e12)


def test_a_long_path_has_a_longer_timeout():
    assert TCP.retransmission_ps(10**12) == 10**12


def test_rdma_waits_67_ms_each_time():
    assert {RDMA.retransmission_ps(10**6, each) for each in range(1, 8)} == {67_108_864_000}


def test_the_ideal_fabric_waits_one_round_trip():
    assert FABRIC.retransmission_ps(12_345) == 12_345


@pytest.mark.parametrize("attempt", [0, 8])
def test_after_the_last_attempt_there_is_no_timeout(attempt):
    with pytest.raises(InvalidValue, match="gives up"):
        RDMA.retransmission_ps(1, attempt)


def test_every_profile_names_its_source():
    assert list(profiles) == ["tcp", "rdma", "fabric"]
    assert all(profiles[name].source for name in profiles)
    assert [profiles[name].message_ps for name in profiles] == [24_000_000, 1_000_000, 0]


def test_impossible_profiles_are_refused():
    with pytest.raises(UnknownName, match="tcp"):
        profiles["tpc"]
    for mtu in (0, 40, 65_536):
        with pytest.raises(InvalidValue, match="mtu"):
            TCP.with_mtu(mtu)
    with pytest.raises(InvalidValue, match="no packets"):
        FABRIC.with_mtu(1500)
