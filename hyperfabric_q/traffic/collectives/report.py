"""How well a collective used its links: four measures, since no single one is "the utilisation".

* wire efficiency: payload against payload and headers (``Framing.efficiency``);
* busy fraction: how much of the time each link was sending or receiving;
* algorithm efficiency: the least time that the ends allow against the time taken, and the bus bandwidth;
* goodput: bytes that came in time against the bytes that the links could have taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic.collectives.schedule import Collective
from hyperfabric_q.traffic.collectives.timing import Timing
from hyperfabric_q.units import PS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a protocol cuts payload into frames: bytes of payload in a full one, and what each frame adds."""

    payload: int
    overhead: int

    def __post_init__(self) -> None:
        if self.payload < 1 or self.overhead < 0:
            found = (self.payload, self.overhead)
            raise InvalidValue(field="framing", value=found, rule="a frame carries payload and adds bytes")

    def wire_bytes(self, nbytes: int) -> int:
        """Return the bytes on the wire for a message of ``nbytes``, its last frame as short as it is."""
        return nbytes + -(-nbytes // self.payload) * self.overhead

    def efficiency(self, nbytes: int | None = None) -> float:
        """Return payload / wire bytes of a message; of full frames without a size."""
        size = self.payload if nbytes is None else nbytes
        return size / self.wire_bytes(size) if size else 1.0


_ETHERNET = 7 + 1 + 14 + 4 + 12
"""Preamble, start of frame, header, check sequence and inter-frame gap (IEEE 802.3)."""

FRAMINGS: Final[dict[str, Framing]] = {
    "tcp_1500": Framing(payload=1460, overhead=_ETHERNET + 20 + 20),
    "tcp_1500_timestamps": Framing(payload=1448, overhead=_ETHERNET + 20 + 32),
    "tcp_9000": Framing(payload=8960, overhead=_ETHERNET + 20 + 20),
    "rocev2_1024": Framing(payload=1024, overhead=_ETHERNET + 20 + 8 + 12 + 4),
    "rocev2_4096": Framing(payload=4096, overhead=_ETHERNET + 20 + 8 + 12 + 4),
}
"""Common framings over Ethernet and IPv4; RoCEv2 adds UDP, the base transport header and its check sum."""


class Prediction(NamedTuple):
    """The time of a collective by one algorithm, and whether it is exact (see ``Timing``)."""

    algorithm: str
    duration_ps: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveReport:
    """A collective and how well it used its links.

    Attributes:
        collective, algorithm: what was achieved, and how.
        ranks, nbytes: how many took part, and the size of the vector.
        timing: times, bytes and busy times of each rank.
        bound_ps: the least time that the rates of the ends allow.
        predictions: time by each algorithm that was considered, best first.
        capacity_bytes: what all ends together could have received until the end.
    """

    collective: Collective
    algorithm: str
    ranks: int
    nbytes: int
    timing: Timing
    bound_ps: int
    predictions: tuple[Prediction, ...]
    capacity_bytes: float

    @property
    def duration_ps(self) -> int:
        """When the last rank was done."""
        return self.timing.duration_ps

    @property
    def efficiency(self) -> float:
        """Least possible time / time taken; 1 when there was nothing to do."""
        return self.bound_ps / self.duration_ps if self.duration_ps else 1.0

    @property
    def bus_bandwidth(self) -> float:
        """Bytes per second that each link would carry at the least possible traffic (the "busbw" of NCCL tests)."""
        share = (self.ranks - 1) / self.ranks
        factor = {
            Collective.ALL_REDUCE: 2 * share,
            Collective.REDUCE_SCATTER: share,
            Collective.ALL_GATHER: share,
            Collective.BROADCAST: 1.0,
        }[self.collective]
        return self.nbytes / self.duration_ps * PS_PER_S * factor if self.duration_ps else 0.0

    @property
    def sending_fraction(self) -> NDArray[np.float64]:
        """How much of the time each rank was sending."""
        return self.timing.sending_ps / max(1, self.duration_ps)

    @property
    def receiving_fraction(self) -> NDArray[np.float64]:
        """How much of the time each rank was receiving."""
        return self.timing.receiving_ps / max(1, self.duration_ps)

    def goodput(self, deadline_ps: int) -> float:
        """Return the bytes received by ranks done by ``deadline_ps``, against what all ranks could have received."""
        met = self.timing.completion_ps <= deadline_ps
        return int(self.timing.received_bytes[met].sum()) / self.capacity_bytes if self.capacity_bytes else 0.0
