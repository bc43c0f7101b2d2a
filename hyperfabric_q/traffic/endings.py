"""How a send ends: what the kernel calls when it has arrived or was lost, and the error that its caller sees."""

from __future__ import annotations

from typing import Final

from hyperfabric_q.errors import Undeliverable
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.transfer import Sending

AGAIN: Final = "With enable_fault_tolerance=True it is sent again."


def arrived(message: Message) -> None:
    """Wake who waits for a send: it has arrived."""
    assert isinstance(message, Sending)  # noqa: S101
    future, message.future = message.future, None
    if future is not None and not future.done():
        future.set_result(None)


def failed(message: Message) -> None:
    """Wake who waits for a send: it will not arrive."""
    assert isinstance(message, Sending)  # noqa: S101
    future, message.future = message.future, None
    if future is not None and not future.done():
        future.set_exception(undeliverable(message, str(message.failure)))


def undeliverable(sending: Sending, reason: str, remedy: str = AGAIN) -> Undeliverable:
    """Return the error for a send that does not arrive."""
    way = sending.way
    return Undeliverable(source=way.source, destination=way.destination, reason=reason, remedy=remedy)
