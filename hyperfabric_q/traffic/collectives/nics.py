"""The ends of a collective: how fast each rank sends and receives, and how far apart two of them are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.recurrence import ratios, serialisation_ps
from hyperfabric_q.traffic.collectives.schedule import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Nics:
    """The network interfaces of the ranks, on a network that delays but never blocks.

    Each sends one message at a time and receives one at a time, both at once (full duplex). A message is cut through:
    alone on the network it takes the slower of its two ends, and the latency.

    Attributes:
        sending: picoseconds per byte at which each rank sends, exactly.
        receiving: the same for receiving.
        latency_ps: (ranks, ranks) delay from each rank to each other, or (ranks,): then the larger of both ends' holds.
            A fixed time before each message leaves, such as a processor's, is the same as so much more delay.
        wire: bytes on the wire of messages of given sizes; None = as many as there are.
    """

    sending: tuple[Fraction, ...]
    receiving: tuple[Fraction, ...]
    latency_ps: IntArray
    wire: Callable[[IntArray], IntArray] | None = None

    def __post_init__(self) -> None:
        count = len(self.sending)
        if len(self.receiving) != count or self.latency_ps.shape not in {(count,), (count, count)}:
            shapes = (count, len(self.receiving), self.latency_ps.shape)
            raise InvalidValue(field="nics", value=shapes, rule="rates and latencies are given for the same ranks")
        if not count or any(rate.numerator <= 0 for rate in (*self.sending, *self.receiving)):
            raise InvalidValue(field="sending, receiving", value=count, rule="every rank has positive times per byte")
        if self.latency_ps.min() < 0:
            raise InvalidValue(field="latency_ps", value=int(self.latency_ps.min()), rule="no latency is negative")
        self.latency_ps.setflags(write=False)

    def __len__(self) -> int:
        return len(self.sending)

    @classmethod
    def of(
        cls,
        sending: Sequence[Fraction | int],
        receiving: Sequence[Fraction | int] | None = None,
        *,
        latency_ps: ArrayLike,
    ) -> Nics:
        """Return interfaces; without ``receiving`` they are symmetric, and one latency holds for all ranks."""
        out = tuple(Fraction(each) for each in sending)
        into = out if receiving is None else tuple(Fraction(each) for each in receiving)
        latency = np.array(latency_ps, dtype=np.int64)
        return cls(sending=out, receiving=into, latency_ps=latency if latency.ndim else np.full(len(out), latency))

    def latency(self, source: IntArray, target: IntArray) -> IntArray:
        """Return the delays of pairs of ranks."""
        if self.latency_ps.ndim == 2:
            return self.latency_ps[source, target]
        return np.maximum(self.latency_ps[source], self.latency_ps[target])

    def wire_bytes(self, nbytes: int) -> int:
        """Return the bytes on the wire of a message."""
        return nbytes if self.wire is None else int(self.wire(np.array([nbytes]))[0])

    def latency_of(self, source: int, target: int) -> int:
        """Return the delay of one pair of ranks."""
        if self.latency_ps.ndim == 2:
            return int(self.latency_ps[source, target])
        return max(int(self.latency_ps[source]), int(self.latency_ps[target]))


class Service:
    """How long sizes take at each rank in one direction; what was asked once for a size is kept."""

    def __init__(self, ps_per_byte: Sequence[Fraction], wire: Callable[[IntArray], IntArray] | None = None) -> None:
        """Take the rates of the ranks, and what sizes become on the wire."""
        self._wire = wire
        self._numerator, self._denominator = ratios(ps_per_byte)
        self._of_size: dict[int, IntArray] = {}

    def all_ranks(self, nbytes: int) -> IntArray:
        """Return the time that one size takes at every rank."""
        if nbytes not in self._of_size:
            self._of_size[nbytes] = serialisation_ps(
                self._on_wire(np.full(len(self._numerator), nbytes)), self._numerator, self._denominator
            )
        return self._of_size[nbytes]

    def ps(self, rank: IntArray, nbytes: IntArray) -> IntArray:
        """Return the time that each size takes at its rank."""
        least = int(nbytes.min())
        if least == nbytes.max():
            return self.all_ranks(least)[rank]
        return serialisation_ps(self._on_wire(nbytes), self._numerator[rank], self._denominator[rank])

    def _on_wire(self, nbytes: IntArray) -> IntArray:
        return nbytes if self._wire is None else self._wire(nbytes)
