"""What goes over the wire: syndrome frames up, correction frames down, and what becomes of each of them.

A frame has a header of 24 bytes, and, in the framing of remote procedure calls, a queue record of 32 bytes; then its
bits, the first of them in the least significant place. The header of CUDA-Q's and NVQLink's messages has these sizes.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import to_ns, to_ps

Framing: TypeAlias = Literal["compact", "rpc", "bare"]

HEADER: Final = struct.Struct("<HBBIIIII")
"""Magic, kind, flags, block, sequence number, round, number of bits, CRC-32: 24 bytes."""

RECORD: Final = struct.Struct("<qqIIQ")
"""Time of emission and deadline in ps, bits per observable word, reserved: 32 bytes."""

MAGIC: Final = 0x5146
SYNDROME: Final = 1
CORRECTION: Final = 2

ETHERNET_OVERHEAD: Final = 38
"""Preamble 8, header 14, check sequence 4, gap 12 (IEEE 802.3)."""

SMALLEST_PAYLOAD: Final = 46
"""Ethernet pads shorter payloads, hence 84 bytes on the wire at least."""

_WORD: Final = 1 << 32


def pack_bits(bits: ArrayLike) -> bytes:
    """Return bits packed eight to a byte, the first in the least significant place."""
    return np.packbits(np.asarray(bits, dtype=np.bool_), bitorder="little").tobytes()


def unpack_bits(packed: bytes, count: int) -> NDArray[np.bool_]:
    """Return the first ``count`` bits of ``packed``.

    Raises:
        InvalidValue: ``packed`` is not as long as ``count`` bits need.
    """
    if count < 0 or len(packed) != (count + 7) // 8:
        raise InvalidValue(
            field="count", value=count, rule=f"{len(packed)} byte(s) hold {8 * len(packed)} bits at most"
        )
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=count, bitorder="little").astype(np.bool_)


def wire_bytes(bits: int, framing: Framing = "compact") -> int:
    """Return what a frame of ``bits`` bits takes on the wire.

    "compact" is the header and the bits in an Ethernet frame; "rpc" adds the queue record; "bare" is header, record
    and bits without Ethernet.

    >>> wire_bytes(48), wire_bytes(48, "rpc"), wire_bytes(48, "bare")
    (84, 100, 62)
    """
    if framing not in get_args(Framing):
        raise InvalidValue(field="framing", value=framing, rule=f"it is one of {get_args(Framing)}")
    if bits < 0:
        raise InvalidValue(field="bits", value=bits, rule="a frame has at least 0 bits")
    payload = HEADER.size + (bits + 7) // 8
    if framing == "compact":
        return ETHERNET_OVERHEAD + max(SMALLEST_PAYLOAD, payload)
    payload += RECORD.size
    return payload if framing == "bare" else ETHERNET_OVERHEAD + max(SMALLEST_PAYLOAD, payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyndromeFrame:
    """The syndrome of one block and round.

    Attributes:
        block_id: number of the block.
        round: number of the round.
        seq: counts the frames of a block, from 0.
        t_emit_ns: when it was sent.
        deadline_ns: when it should have been taken in and decoded.
        bits: the syndrome, packed by ``pack_bits``.
        count: how many bits there are; 8 for each byte unless stated.
        crc: CRC-32 of all the other fields; computed unless stated.

    Raises:
        InvalidValue: a field is out of range.
    """

    block_id: int
    round: int
    seq: int
    t_emit_ns: float
    deadline_ns: float
    bits: bytes
    count: int | None = None
    crc: int | None = None

    def __post_init__(self) -> None:
        _check_words(block_id=self.block_id, round=self.round, seq=self.seq)
        if self.count is None:
            object.__setattr__(self, "count", 8 * len(self.bits))
        if self.count is None or len(self.bits) != (self.count + 7) // 8:
            raise InvalidValue(field="count", value=self.count, rule=f"{len(self.bits)} byte(s) do not hold so many")
        if self.crc is None:
            object.__setattr__(self, "crc", self._crc())

    def _crc(self) -> int:
        head = HEADER.pack(MAGIC, SYNDROME, 0, self.block_id, self.seq, self.round, self.count or 0, 0)
        return zlib.crc32(self.bits, zlib.crc32(self._record(), zlib.crc32(head)))

    def _record(self) -> bytes:
        return RECORD.pack(to_ps(ns=self.t_emit_ns), to_ps(ns=self.deadline_ns), 0, 0, 0)

    @property
    def intact(self) -> bool:
        """Whether the CRC fits the contents."""
        return self.crc == self._crc()

    def to_bytes(self) -> bytes:
        """Return header, record and bits."""
        head = HEADER.pack(MAGIC, SYNDROME, 0, self.block_id, self.seq, self.round, self.count or 0, self.crc or 0)
        return head + self._record() + self.bits

    @classmethod
    def from_bytes(cls, data: bytes) -> SyndromeFrame:
        """Return the frame that ``to_bytes`` wrote; whether it came through unaltered, ``intact`` says.

        Raises:
            InvalidValue: it is no syndrome frame, or is cut short.
        """
        block, seq, number, count, crc = _header(data, SYNDROME, HEADER.size + RECORD.size)
        emit_ps, deadline_ps, *_ = RECORD.unpack_from(data, HEADER.size)
        return cls(
            block_id=block,
            round=number,
            seq=seq,
            t_emit_ns=to_ns(emit_ps),
            deadline_ns=to_ns(deadline_ps),
            bits=data[HEADER.size + RECORD.size :],
            count=count,
            crc=crc,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionFrame:
    """What the decoder has found out about one block up to a round.

    Attributes:
        block_id: number of the block.
        upto_round: the correction covers all rounds before this one.
        pauli_frame_xor: flips of the logical observables since the last correction, packed by ``pack_bits``.
        seq: counts the corrections of a block, from 0.
    """

    block_id: int
    upto_round: int
    pauli_frame_xor: bytes
    seq: int

    def __post_init__(self) -> None:
        _check_words(block_id=self.block_id, upto_round=self.upto_round, seq=self.seq)

    def to_bytes(self) -> bytes:
        """Return header and flips."""
        fields = (MAGIC, CORRECTION, 0, self.block_id, self.seq, self.upto_round, 8 * len(self.pauli_frame_xor))
        crc = zlib.crc32(self.pauli_frame_xor, zlib.crc32(HEADER.pack(*fields, 0)))
        return HEADER.pack(*fields, crc) + self.pauli_frame_xor

    @classmethod
    def from_bytes(cls, data: bytes) -> CorrectionFrame:
        """Return the frame that ``to_bytes`` wrote.

        Raises:
            InvalidValue: it is no correction frame, is cut short, or was altered on the way.
        """
        block, seq, upto, _, crc = _header(data, CORRECTION, HEADER.size)
        frame = cls(block_id=block, upto_round=upto, pauli_frame_xor=data[HEADER.size :], seq=seq)
        if HEADER.unpack_from(frame.to_bytes())[7] != crc:
            raise InvalidValue(field="data", value=data, rule="its checksum does not fit: it was altered on the way")
        return frame


def _check_words(**fields: int) -> None:
    for name, value in fields.items():
        if not 0 <= value < _WORD:
            raise InvalidValue(field=name, value=value, rule="it is a whole number in [0, 2**32)")


def _header(data: bytes, kind: int, least: int) -> tuple[int, int, int, int, int]:
    if len(data) < least:
        raise InvalidValue(field="data", value=len(data), rule=f"a frame has at least {least} bytes")
    magic, found, _, block, seq, number, count, crc = HEADER.unpack_from(data)
    if magic != MAGIC or found != kind:
        raise InvalidValue(field="data", value=data[:4], rule="it does not begin like a frame of this kind")
    if len(data) != least + (count + 7) // 8:
        raise InvalidValue(field="data", value=len(data), rule=f"its header announces {count} bits")
    return block, seq, number, count, crc


# ------------------------------------------------------------------------------------------------------------- receipt


class FrameStatus(StrEnum):
    """What became of a frame."""

    OK = "ok"
    LATE = "late"
    LOST = "lost"
    DUP = "dup"
    REORDERED = "reordered"


class FrameLedger:
    """The frames of one block as its decoder receives them.

    Each sequence number counts once: what comes again is a duplicate and changes nothing else, however often it comes.
    """

    def __init__(self) -> None:
        """Start with nothing received."""
        self._status: dict[int, FrameStatus] = {}
        self._duplicates = 0
        self._latest = -1
        self._next = 0

    def receive(self, frame: SyndromeFrame, now_ns: float) -> FrameStatus:
        """Return what a frame is that comes in at ``now_ns``; one whose checksum does not fit counts as lost."""
        if not frame.intact:
            return FrameStatus.LOST
        return self.note(frame.seq, late=now_ns > frame.deadline_ns)

    def note(self, seq: int, *, late: bool) -> FrameStatus:
        """Return what the frame of a sequence number is, which comes in now."""
        if seq in self._status:
            self._duplicates += 1
            return FrameStatus.DUP
        in_time = FrameStatus.OK if seq > self._latest else FrameStatus.REORDERED
        status = FrameStatus.LATE if late else in_time
        self._status[seq] = status
        self._latest = max(self._latest, seq)
        while self._next in self._status:
            self._next += 1
        return status

    @property
    def complete_until(self) -> int:
        """The first sequence number that has not come in."""
        return self._next

    def gaps(self) -> tuple[int, ...]:
        """Return the sequence numbers that later ones have overtaken."""
        return tuple(seq for seq in range(self._next, self._latest) if seq not in self._status)

    def counts(self, sent: int | None = None) -> dict[FrameStatus, int]:
        """Return how many of the first ``sent`` frames had each status; those that never came are lost."""
        expected = self._latest + 1 if sent is None else sent
        found = Counter(status for seq, status in self._status.items() if seq < expected)
        found[FrameStatus.DUP] = self._duplicates
        found[FrameStatus.LOST] = expected - sum(1 for seq in self._status if seq < expected)
        return {status: found[status] for status in FrameStatus}


def altered(frame: SyndromeFrame, bit: int) -> SyndromeFrame:
    """Return ``frame`` with one bit of its syndrome flipped and its checksum left as it was."""
    bits = bytearray(frame.bits)
    bits[bit // 8] ^= 1 << bit % 8
    return replace(frame, bits=bytes(bits))
