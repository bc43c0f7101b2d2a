"""One direction of one link: how long bytes take on it, and how finely it can be interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hyperfabric_q.errors import InvalidValue

BITS_PER_BYTE_IN_PS = 8_000
"""A byte at 1 Gb/s takes 8000 ps."""

SMALLEST_CHUNK = 64
"""Bytes; the smallest fragment of IEEE 802.1Qbu frame preemption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A directed channel, which serves one message at a time.

    Attributes:
        source: node or port it starts at.
        target: node or port it ends at.
        ps_per_byte: exact serialisation time of a byte.
        chunk: bytes after which a message may be interrupted.
        store_and_forward: whether a chunk must be in before it travels on; otherwise each bit does at once
            (cut-through).
    """

    source: str
    target: str
    ps_per_byte: Fraction
    chunk: int
    store_and_forward: bool = True

    def __post_init__(self) -> None:
        if self.ps_per_byte.numerator <= 0:
            raise InvalidValue(field="ps_per_byte", value=self.ps_per_byte, rule="a byte takes some time on a channel")
        if self.chunk < 1:
            raise InvalidValue(field="chunk", value=self.chunk, rule="a chunk has at least one byte")

    def serialisation_ps(self, nbytes: int) -> int:
        """Return the picoseconds that ``nbytes`` take on the channel, rounded up."""
        return -(-nbytes * self.ps_per_byte.numerator // self.ps_per_byte.denominator)


def channel(
    source: str,
    target: str,
    *,
    gbps: float | Fraction,
    chunk_ps: int = 1_000_000,
    store_and_forward: bool = True,
) -> Channel:
    """Return a channel of ``gbps`` gigabits per second that can be interrupted about every ``chunk_ps``.

    The rate is taken as the exact value of the decimal the user wrote, so 0.1 Gb/s is 80,000 ps a byte and not a binary
    neighbour.
    """
    rate = gbps if isinstance(gbps, Fraction) else Fraction(str(gbps))
    per_byte = BITS_PER_BYTE_IN_PS / rate
    return Channel(
        source=source,
        target=target,
        ps_per_byte=per_byte,
        chunk=max(SMALLEST_CHUNK, int(chunk_ps / per_byte)),
        store_and_forward=store_and_forward,
    )
