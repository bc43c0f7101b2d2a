"""Frames on the wire, and what becomes of them at the receiver."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.frames import (
    CorrectionFrame,
    FrameLedger,
    FrameStatus,
    SyndromeFrame,
    altered,
    pack_bits,
    unpack_bits,
    wire_bytes,
)

laws = settings(deadline=None, derandomize=True, max_examples=60)


def frame(seq=0, bits=b"\x05", count=3, deadline_ns=10_000.0):
    return SyndromeFrame(
        block_id=7, round=seq, seq=seq, t_emit_ns=1100.0 * seq, deadline_ns=deadline_ns, bits=bits, count=count
    )


@laws
@given(st.lists(st.booleans(), max_size=70))
def test_bits_are_packed_least_significant_first(bits):
    packed = pack_bits(bits)
    assert int.from_bytes(packed, "little") == sum(bit << place for place, bit in enumerate(bits))
    assert unpack_bits(packed, len(bits)).tolist() == bits


@laws
@given(
    st.lists(st.booleans(), max_size=60), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 10**12)
)
def test_frames_survive_their_bytes(bits, block, seq, emit_ps):
    sent = SyndromeFrame(
        block_id=block,
        round=seq,
        seq=seq,
        t_emit_ns=emit_ps / 1000,
        deadline_ns=emit_ps / 1000 + 10,
        bits=pack_bits(bits),
        count=len(bits),
    )
    assert SyndromeFrame.from_bytes(sent.to_bytes()) == sent
    assert len(sent.to_bytes()) == 24 + 32 + -(-len(bits) // 8) == wire_bytes(len(bits), "bare")
    back = CorrectionFrame(block_id=block, upto_round=seq, pauli_frame_xor=b"\x03", seq=seq)
    assert CorrectionFrame.from_bytes(back.to_bytes()) == back


def test_the_checksum_is_crc32_of_all_other_fields():
    sent = frame()
    data = bytearray(sent.to_bytes())
    data[20:24] = bytes(4)
    assert sent.crc == zlib.crc32(bytes(data))
    assert sent.intact
    for bit in range(3):
        assert not altered(sent, bit).intact
    assert not replace(sent, deadline_ns=1.0).intact
    wrong = bytearray(CorrectionFrame(block_id=1, upto_round=2, pauli_frame_xor=b"\x01", seq=0).to_bytes())
    wrong[-1] ^= 1
    with pytest.raises(InvalidValue, match="altered"):
        CorrectionFrame.from_bytes(bytes(wrong))


def test_wire_sizes_are_those_of_ethernet_and_of_the_records():
    assert [wire_bytes(bits) for bits in (8, 24, 48, 176, 177)] == [84, 84, 84, 84, 85]
    assert wire_bytes(48, "rpc") == 62 + 38
    # Ten blocks of minimum frames every 1.1 µs.
    assert 10 * wire_bytes(48) * 8 / 1.1e-6 / 1e9 == pytest.approx(6.1, abs=0.02)


def test_bad_frames_are_refused():
    with pytest.raises(InvalidValue, match="begin like"):
        SyndromeFrame.from_bytes(bytes(64))
    with pytest.raises(InvalidValue, match="at least 56 bytes"):
        SyndromeFrame.from_bytes(b"abc")
    with pytest.raises(InvalidValue, match="announces"):
        SyndromeFrame.from_bytes(frame().to_bytes() + b"x")
    with pytest.raises(InvalidValue, match="count"):
        frame(count=9)
    with pytest.raises(InvalidValue, match="framing"):
        wire_bytes(3, "token-ring")
    with pytest.raises(InvalidValue, match="round = -1"):
        frame(seq=-1)


@laws
@given(st.lists(st.integers(0, 12), max_size=40), st.sets(st.integers(0, 12)))
def test_receiving_again_changes_nothing_but_the_count_of_duplicates(order, late):
    ledger = FrameLedger()
    statuses = [ledger.receive(frame(seq), 20_000.0 if seq in late else 0.0) for seq in order]
    first = {seq: order.index(seq) for seq in set(order)}
    for place, (seq, status) in enumerate(zip(order, statuses, strict=True)):
        if first[seq] != place:
            assert status is FrameStatus.DUP
        elif seq in late:
            assert status is FrameStatus.LATE
        else:
            overtaken = any(other > seq for other in order[:place])
            assert status is (FrameStatus.REORDERED if overtaken else FrameStatus.OK)
    counts = ledger.counts(13)
    assert counts[FrameStatus.DUP] == len(order) - len(first)
    assert counts[FrameStatus.LOST] == 13 - len(first)
    assert sum(counts.values()) - counts[FrameStatus.DUP] == 13
    assert ledger.gaps() == tuple(seq for seq in range(max(order, default=0)) if seq not in first)
    assert ledger.complete_until == next(seq for seq in range(14) if seq not in first)


def test_an_altered_frame_counts_as_lost_until_it_comes_again():
    ledger = FrameLedger()
    assert ledger.receive(altered(frame(0), 1), 0.0) is FrameStatus.LOST
    assert ledger.counts(1)[FrameStatus.LOST] == 1
    assert ledger.receive(frame(0), 0.0) is FrameStatus.OK
    assert ledger.counts(1)[FrameStatus.LOST] == 0


def test_packing_arrays_equals_packing_lists():
    bits = np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], dtype=np.uint8)
    assert pack_bits(bits) == b"\x0d\x01"
    with pytest.raises(InvalidValue):
        unpack_bits(b"\x01\x02", 7)
