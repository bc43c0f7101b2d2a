"""What a transport adds to a payload: bytes on the wire, time per message, time to notice a loss.

| profile | wire efficiency, long messages | per message | loss noticed after |
|---|---|---|---|
| ``tcp`` | 94.93 % (MTU 1500), 99.14 % (9000) | 24 µs | 200 ms or more, doubled each time |
| ``rdma`` | 98.04 % (MTU 4096), 92.59 % (1024) | 1 µs | 67.1 ms each time |
| ``fabric`` | 100 % | none | one round trip |

``fabric`` is the ideal that the other two are compared with. Acknowledgements, which travel the other way, are not
counted, and neither is congestion control: contention is the business of the channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import Registry

ETHERNET_BYTES: Final = 8 + 14 + 4 + 12
"""Preamble, header, checksum and gap of a frame, IEEE 802.3."""

SMALLEST_FRAME_PAYLOAD: Final = 46
"""Bytes that a frame is padded to between header and checksum, IEEE 802.3."""

_LARGEST_MTU: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A transport as a cost model.

    Attributes:
        name: what it is called.
        mtu: what its specification calls so, bytes; None = no packets and no headers.
        headers_in_mtu: bytes of network and transport headers that count towards the MTU.
        headers_beyond_mtu: the same for headers that do not.
        alignment: the payload of a packet is padded to a multiple of this.
        message_ps: processor time of both ends per message, picoseconds, before its first byte leaves.
        timeout_ps: least time after which a loss is noticed.
        round_trips: the timeout is no less than so many round trips.
        backoff: factor from one timeout to the next.
        longest_timeout_ps: no timeout is longer; None = no limit.
        attempts: retransmissions before the transfer is given up.
        source: where the figures come from.
    """

    name: str
    mtu: int | None
    headers_in_mtu: int = 0
    headers_beyond_mtu: int = 0
    alignment: int = 1
    message_ps: int
    timeout_ps: int
    round_trips: int
    backoff: int
    longest_timeout_ps: int | None = None
    attempts: int
    source: str

    def __post_init__(self) -> None:
        if self.mtu is not None and not self.headers_in_mtu < self.mtu <= _LARGEST_MTU:
            raise InvalidValue(
                field="mtu",
                value=self.mtu,
                rule=f"an MTU of {self.name} is above {self.headers_in_mtu} and at most {_LARGEST_MTU} bytes",
            )

    @property
    def packet_payload(self) -> int | None:
        """Payload bytes of a full packet; None when there are no packets."""
        return None if self.mtu is None else self.mtu - self.headers_in_mtu

    def packets(self, nbytes: int) -> int:
        """Return how many packets ``nbytes`` take: at least one, for an empty message has a header too."""
        return 1 if self.packet_payload is None else max(1, -(-nbytes // self.packet_payload))

    def wire_bytes(self, nbytes: int) -> int:
        """Return the bytes that ``nbytes`` of payload take on the wire, exactly; at least 1.

        Every packet has its headers and its frame; the last one is padded to the alignment and to the smallest frame.

        Raises:
            InvalidValue: ``nbytes`` is negative.

        >>> profiles["tcp"].wire_bytes(1460)
        1538
        """
        if nbytes < 0:
            raise InvalidValue(field="nbytes", value=nbytes, rule="a payload has at least 0 bytes")
        if self.packet_payload is None:
            return max(1, nbytes)
        full = self.packets(nbytes) - 1
        headers = self.headers_in_mtu + self.headers_beyond_mtu
        last = nbytes - full * self.packet_payload
        padded = max(SMALLEST_FRAME_PAYLOAD, headers + -(-last // self.alignment) * self.alignment)
        return full * (ETHERNET_BYTES + headers + self.packet_payload) + ETHERNET_BYTES + padded

    def wire_bytes_of(self, nbytes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return ``wire_bytes`` of each element, as int64 of the same shape.

        Raises:
            InvalidValue: a size is negative.
        """
        sizes = np.asarray(nbytes, dtype=np.int64)
        if sizes.size and sizes.min() < 0:
            raise InvalidValue(field="nbytes", value=int(sizes.min()), rule="a payload has at least 0 bytes")
        if self.packet_payload is None:
            return np.maximum(sizes, 1)
        full = np.maximum(-(-sizes // self.packet_payload), 1) - 1
        headers = self.headers_in_mtu + self.headers_beyond_mtu
        last = sizes - full * self.packet_payload
        padded = np.maximum(SMALLEST_FRAME_PAYLOAD, headers + -(-last // self.alignment) * self.alignment)
        wire: np.ndarray[Any, np.dtype[np.int64]] = (
            full * (ETHERNET_BYTES + headers + self.packet_payload) + ETHERNET_BYTES + padded
        )
        return wire

    def efficiency(self, nbytes: int) -> float:
        """Return payload bytes per byte on the wire, in [0, 1]."""
        return nbytes / self.wire_bytes(nbytes)

    def retransmission_ps(self, round_trip_ps: int, attempt: int = 1) -> int:
        """Return how long after sending the loss of a message is noticed, at its ``attempt``-th loss in a row.

        Raises:
            InvalidValue: ``attempt`` is not in [1, ``attempts``]: after that the transfer is given up.
        """
        if not 1 <= attempt <= self.attempts:
            raise InvalidValue(
                field="attempt",
                value=attempt,
                rule=f"{self.name} retransmits 1 to {self.attempts} times, then gives up",
            )
        timeout = max(self.timeout_ps, self.round_trips * round_trip_ps) * int(self.backoff ** (attempt - 1))
        return timeout if self.longest_timeout_ps is None else min(timeout, self.longest_timeout_ps)

    def with_mtu(self, mtu: int) -> Self:
        """Return the same transport with another MTU, such as 9000 for TCP over jumbo frames.

        Raises:
            InvalidValue: the transport has no packets, or the MTU is out of range.
        """
        if self.mtu is None:
            raise InvalidValue(field="mtu", value=mtu, rule=f"the profile {self.name!r} has no packets")
        return replace(self, mtu=mtu)


profiles: Final[Registry[Profile]] = Registry("profile")
"""Every transport, by name."""

profiles.register("tcp")(
    Profile(
        name="tcp",
        mtu=1500,
        headers_in_mtu=20 + 20,
        message_ps=24_000_000,
        timeout_ps=200_000_000_000,
        round_trips=1,
        backoff=2,
        longest_timeout_ps=120_000_000_000_000,
        attempts=15,
        source=(
            "headers of IPv4 (RFC 791) and TCP (RFC 9293) without options; one way of a 64-byte message through the "
            "Linux kernel: Belay et al., IX, OSDI 2014; timeouts: RFC 6298 with the TCP_RTO_MIN, TCP_RTO_MAX and "
            "tcp_retries2 of Linux"
        ),
    )
)
profiles.register("rdma")(
    Profile(
        name="rdma",
        mtu=4096,
        headers_beyond_mtu=20 + 8 + 12 + 4,
        alignment=4,
        message_ps=1_000_000,
        timeout_ps=4_096_000 * 2**14,
        round_trips=1,
        backoff=1,
        attempts=7,
        source=(
            "RoCEv2 SEND: IPv4, UDP, base transport header and invariant checksum (InfiniBand Architecture "
            "Specification, annex A17); network overhead per message: the tuning model of NCCL on Intel hosts; local "
            "acknowledgement timeout 4.096 µs × 2^14 and 7 retries: the values that Gloo sets for its queue pairs"
        ),
    )
)
profiles.register("fabric")(
    Profile(
        name="fabric",
        mtu=None,
        message_ps=0,
        timeout_ps=1,
        round_trips=1,
        backoff=1,
        attempts=7,
        source="the ideal: no headers, no processor time, a loss is noticed after one round trip",
    )
)
