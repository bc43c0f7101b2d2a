"""What runs at a node when something arrives there: a function makes a node a service."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.metadata import Metadata
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.transfer import Sending
from hyperfabric_q.units import to_ns

_NOTHING = Metadata()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Return what a handler gets.

    Attributes:
        data: the payload.
        source, destination: node ids.
        data_type, priority: as sent.
        metadata: as sent; empty when nothing was.
        sent_ns, arrived_ns: on the virtual clock.
        key: idempotency key: the same for all attempts at one send and all copies of it, and for no other send.
    """

    data: Any
    source: str
    destination: str
    data_type: DataType
    priority: PacketPriority
    metadata: Mapping[str, Any] = field(default_factory=Metadata)
    sent_ns: float
    arrived_ns: float
    key: int = 0


Handler: TypeAlias = Callable[[Packet], object]
"""Anything that takes a packet; what it returns, awaited if it can be, becomes ``TransferResult.response``."""


def checked(handler: object) -> Handler:
    """Return ``handler``.

    Raises:
        InvalidValue: it cannot be called.
    """
    if not callable(handler):
        raise InvalidValue(
            field="handler", value=handler, rule="a handler is a function of one packet, or None to detach it"
        )
    return handler


async def answer(handler: Handler, packet: Packet) -> object:
    """Return what ``handler`` makes of ``packet``; virtual time passes only while it awaits the fabric."""
    response = handler(packet)
    return await response if inspect.isawaitable(response) else response


def packet_of(sending: Sending, content: object) -> Packet:
    """Return what the destination's handler gets of a send that brought ``content``."""
    way, kind, metadata = sending.way, sending.kind, sending.metadata
    return Packet(
        data=content,
        source=way.source,
        destination=way.destination,
        data_type=kind.data_type,
        priority=kind.priority,
        metadata=_NOTHING if metadata is None else metadata,
        sent_ns=to_ns(sending.asked_ps),
        arrived_ns=to_ns(sending.asked_ps + sending.latency_ps),
        key=sending.origin,
    )
