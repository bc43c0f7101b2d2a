"""A codec is used when, and only when, the payload arrives earlier with it; bytes come back as they were."""

import contextlib
import struct
from fractions import Fraction

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.traffic.codecs import BLOCK_BYTES, CodecDecision, codecs, decide, decode, delivered, encode
from hyperfabric_q.traffic.payload import VirtualTensor, payload_of

ZEROS = payload_of(b"\0" * 4_000_000)
NOISE = payload_of(np.random.default_rng(1).bytes(2_000_000))
GRADIENT = np.random.default_rng(2).standard_t(3, 300_000).astype(np.float32)


def pipeline_ps(nbytes, wire, gbps, codec):
    """Send block after block through encoder, wire and decoder, each busy with one block at a time."""
    count = -(-nbytes // BLOCK_BYTES)
    stages = [
        Fraction(nbytes * 10**12, codec.encode_rate * count),
        wire * Fraction(8000) / gbps / count,
        Fraction(nbytes * 10**12, codec.decode_rate * count),
    ]
    free = [Fraction(0)] * 3
    for _ in range(count):
        ready = Fraction(0)
        for stage, took in enumerate(stages):
            free[stage] = ready = max(free[stage], ready) + took
    return free[-1]


@pytest.mark.parametrize(
    ("nbytes", "gbps"),
    [(30_000, Fraction(1, 10)), (30_000, 1), (500_000, 1), (500_000, 3), (4_000_000, 2), (4_000_000, Fraction(7, 2))],
)
def test_predicted_times_are_those_of_a_pipeline_of_blocks(nbytes, gbps):
    payload = payload_of(b"\0" * nbytes)
    decision = decide(payload, gbps)
    codec = codecs["zstd"]
    line_ps = -(-decision.wire_bytes * 8000 // Fraction(gbps))
    total = decision.encode_ps + line_ps + decision.decode_ps - 2 * codec.call_ps
    assert decision.codec == "zstd"
    assert abs(total - pipeline_ps(nbytes, decision.wire_bytes, Fraction(gbps), codec)) <= 3


def test_compressible_bytes_on_a_slow_link_are_compressed():
    decision = decide(ZEROS, 1)
    assert decision.codec == "zstd"
    assert decision.ratio > 100
    assert decision.encode_ps > 0
    assert decision.decode_ps > 0
    assert decision.relative_error is None


def test_a_link_faster_than_the_codec_is_never_slowed_down():
    decision = decide(ZEROS, 400)
    assert (decision.codec, decision.wire_bytes, decision.ratio) == ("none", ZEROS.nbytes, 1.0)
    assert decision.encode_ps == decision.decode_ps == 0
    assert "50 GB/s" in decision.reason
    assert "0.485 GB/s" in decision.reason


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 200_000), st.integers(1, 200), st.floats(0.001, 10), st.booleans())
def test_a_decision_never_makes_an_idle_transfer_slower(nbytes, period, gbps, lossy):
    data = np.resize(np.random.default_rng(period).standard_normal(period).astype(np.float32), nbytes // 4)
    payload = payload_of(data)
    decision = decide(payload, gbps, lossy="bf16" if lossy else None)
    rate = Fraction(str(gbps))
    line = -(-decision.wire_bytes * 8000 // rate)
    assert decision.encode_ps + line + decision.decode_ps <= -(-payload.nbytes * 8000 // rate)
    assert decision.raw_bytes == payload.nbytes
    assert decision.reason


def test_break_even_is_at_the_slower_of_the_two_rates():
    assert decide(ZEROS, 3.75).codec == "zstd"
    assert decide(ZEROS, 3.88).codec == "none"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (NOISE, "takes longer than it saves (ratio 1,"),
        (payload_of(b"\0" * 400), "before a codec has started"),
        (payload_of(b""), "before a codec has started"),
        (payload_of(VirtualTensor((10**12,))), "contents unknown"),
    ],
    ids=["noise", "short", "empty", "virtual"],
)
def test_what_does_not_gain_is_left_alone_and_says_why(payload, reason):
    decision = decide(payload, 1)
    assert decision.codec == "none"
    assert reason in decision.reason
    assert delivered(payload, decision) is payload.content


def test_small_payloads_have_their_exact_size_and_large_ones_a_sampled_one():
    small = payload_of(np.arange(100_000))
    assert decide(small, 1).wire_bytes == len(encode(small, "zstd"))
    large = payload_of(np.tile(GRADIENT.round(1), 8))
    assert decide(large, 1).wire_bytes == pytest.approx(len(encode(large, "zstd")), rel=0.15)


def test_the_sample_is_spread_over_all_parts_of_a_payload():
    half = bytes(4_000_000)
    mixed = payload_of([half, np.random.default_rng(3).bytes(4_000_000)])
    assert decide(mixed, 1).wire_bytes == pytest.approx(4_000_000, rel=0.1)


def test_virtual_contents_are_coded_only_under_an_assumed_ratio():
    payload = payload_of(VirtualTensor((10**9,), "float32"))
    decision = decide(payload, 1, assumed_ratio=1.25)
    assert decision.wire_bytes == 3_200_000_000
    assert "assumed" in decision.reason


def test_decisions_are_the_same_each_time():
    assert decide(ZEROS, 1.5) == decide(payload_of(bytes(4_000_000)), 1.5)


# -------------------------------------------------------------------------------------------------------- round trips


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.binary(max_size=3000), st.sampled_from(["none", "zstd"]))
def test_lossless_bytes_come_back(data, codec):
    assert bytes(decode(encode(payload_of(data), codec), codec, len(data))) == data


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.binary(min_size=1, max_size=500), st.data())
def test_damaged_frames_never_give_more_bytes_than_expected(data, draw):
    blob = bytearray(encode(payload_of(data), "zstd"))
    blob[draw.draw(st.integers(0, len(blob) - 1))] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(InvalidValue):
        assert decode(bytes(blob), "zstd", len(data)).nbytes == len(data)


def test_a_frame_that_promises_too_much_is_refused_unopened():
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    with pytest.raises(InvalidValue, match="promises 50000000"):
        decode(bomb, "zstd", 100)


@pytest.mark.parametrize("blob", [b"", b"garbage of some length", encode(payload_of(b"abc"), "zstd") + b"tail"])
def test_what_is_no_frame_is_refused(blob):
    with pytest.raises(InvalidValue):
        decode(blob, "zstd", 3)


# --------------------------------------------------------------------------------------------------------------- bf16


def nearest_bf16(value):
    """Round by comparing exact distances to the two neighbours: an oracle without the bit trick."""
    word = struct.unpack("<I", struct.pack("<f", value))[0]
    low, high = (word >> 16) << 16, ((word >> 16) + 1) << 16
    as_float = [struct.unpack("<f", struct.pack("<I", each))[0] for each in (low, high)]
    gaps = [abs(Fraction(each) - Fraction(float(value))) for each in as_float]
    if gaps[0] == gaps[1]:
        return as_float[(low >> 16) & 1]
    return as_float[gaps[1] < gaps[0]]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100))
def test_bf16_is_the_nearest_with_ties_to_even(value):
    payload = payload_of(np.array([value], dtype=np.float32))
    got = np.frombuffer(decode(encode(payload, "bf16"), "bf16", 4), dtype=np.float32)[0]
    assert got == nearest_bf16(np.float32(value))


def test_bf16_rounds_a_tie_to_even():
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8], dtype=np.float32)
    got = np.frombuffer(decode(encode(payload_of(ties), "bf16"), "bf16", 12), dtype=np.float32)
    assert got.tolist() == [1.0, 1 + 2**-6, -1.0]


def test_bf16_keeps_nan_infinity_and_signed_zero():
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype=np.float32)
    special = np.concatenate([special, np.array([0x7F800001, 0xFFFFFFFF], dtype=np.uint32).view(np.float32)])
    got = np.frombuffer(decode(encode(payload_of(special), "bf16"), "bf16", special.nbytes), dtype=np.float32)
    np.testing.assert_array_equal(got, special)
    np.testing.assert_array_equal(np.signbit(got[:5]), np.signbit(special[:5]))


def test_bf16_happens_only_when_named_and_reports_its_error():
    payload = payload_of(GRADIENT.reshape(300, 1000))
    assert decide(payload, 10).codec == "none"
    decision = decide(payload, 10, lossy="bf16")
    arrived = delivered(payload, decision)
    assert (decision.codec, decision.wire_bytes, decision.ratio) == ("bf16", payload.nbytes // 2, 2.0)
    error = np.linalg.norm((arrived - payload.content).astype(np.float64)) / np.linalg.norm(GRADIENT.astype(np.float64))
    assert decision.relative_error == pytest.approx(error, rel=1e-6)
    assert 1e-3 < decision.relative_error < 2**-8
    assert arrived.shape == (300, 1000)
    assert np.shares_memory(payload.content, GRADIENT)


def test_bf16_of_virtual_contents_reports_the_bound():
    decision = decide(payload_of(VirtualTensor((10**11,), "float32")), 10, lossy="bf16")
    assert (decision.codec, decision.wire_bytes, decision.relative_error) == ("bf16", 2 * 10**11, 2**-8)


@pytest.mark.parametrize(
    "data", [b"\0" * 10**6, np.ones(10**5), np.ones(10**5, ">f4"), VirtualTensor((10**9,), "float16")]
)
def test_bf16_takes_nothing_but_float32(data):
    decision = decide(payload_of(data), 10, lossy="bf16")
    assert decision.codec == "none"
    assert "float32" in decision.reason
    if not isinstance(data, VirtualTensor):
        with pytest.raises(InvalidValue, match="float32"):
            encode(payload_of(data), "bf16")


def test_bf16_declines_values_that_would_become_infinite():
    data = np.full(10**5, np.finfo(np.float32).max)
    decision = decide(payload_of(data), 10, lossy="bf16")
    assert decision.codec == "none"
    assert "range" in decision.reason


def test_zeros_have_no_error():
    assert decide(payload_of(np.zeros(10**6, np.float32)), 10, lossy="bf16").relative_error == 0.0


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("gbps", [0, -1, float("nan"), float("inf"), 1e308, "10", True, None, [1]])
def test_impossible_rates_are_refused(gbps):
    with pytest.raises(InvalidValue, match="link_gbps"):
        decide(ZEROS, gbps)


def test_impossible_options_are_refused():
    with pytest.raises(UnknownName, match="zstd"):
        decide(ZEROS, 1, lossy="zst")
    with pytest.raises(InvalidValue, match="lossless"):
        decide(ZEROS, 1, lossy="zstd")
    with pytest.raises(InvalidValue, match="assumed_ratio"):
        decide(ZEROS, 1, assumed_ratio=1)
    with pytest.raises(InvalidValue, match="no bytes"):
        encode(payload_of(VirtualTensor((4,), "float32")), "bf16")


def test_the_ratio_of_nothing_is_one():
    assert CodecDecision(codec="none", raw_bytes=0, wire_bytes=0, reason="").ratio == 1.0
