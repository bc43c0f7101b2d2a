"""Which send is which: identities that follow from what is sent and when, never from the order of the program.

Sends of one instant that are equal in everything the fabric looks at are told apart by the hashes of their contents and
metadata, which are read in no other case.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

from hyperfabric_q.errors import HyperFabricError
from hyperfabric_q.traffic.payload import payload_of
from hyperfabric_q.traffic.request import Kind
from hyperfabric_q.traffic.transfer import Sending

Fields: TypeAlias = tuple[str, Kind, int, int, int]
"""What the fabric looks at in a send, apart from the instant: both ends, kind, size, size on the wire, deadline."""


class Identities:
    """Gives sends their identities on one clock; ``_counts`` are those given in the present instant."""

    def __init__(self) -> None:
        """Start with none given."""
        self._counts: dict[Fields, int] = {}
        self._counted_ps = -1

    def give(self, batch: Sequence[Sending], now_ps: int) -> None:
        """Give each send of this instant its identity; a further attempt at one that was lost has it already."""
        if now_ps != self._counted_ps:
            self._counts.clear()
            self._counted_ps = now_ps
        groups: dict[Fields, Sending] = {}
        equals: dict[Fields, list[Sending]] = {}
        for sending in batch:
            if sending.story is not None and sending.story.attempts:
                continue
            fields = (sending.way.text, sending.kind, sending.payload.nbytes, sending.nbytes, sending.deadline_ps)
            first = groups.setdefault(fields, sending)
            if first is not sending:
                equals.setdefault(fields, [first]).append(sending)
        for fields, sending in groups.items():
            if equals and fields in equals:
                for each in sorted(equals[fields], key=_content):
                    self._name(each, fields, now_ps)
            else:
                self._name(sending, fields, now_ps)

    def _name(self, sending: Sending, fields: Fields, now_ps: int) -> None:
        """Give a send its identity and its place among those of the same instant, class and deadline."""
        counts = self._counts
        count = counts.get(fields, 0)
        counts[fields] = count + 1
        ends, kind, nbytes, wire_bytes, deadline = fields
        text = f"{ends}|{kind.text}|{nbytes}|{wire_bytes}|{deadline}|{now_ps}|{count}"
        sending.identity = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        sending.key = ("send", ends, kind.text, nbytes, wire_bytes, count)


def _content(sending: Sending) -> tuple[str, str]:
    """The hashes of what is sent and of its metadata; empty what cannot be read."""
    return _hash(sending.payload), _hash(dict(sending.metadata)) if sending.metadata else ""


def _hash(content: object) -> str:
    try:
        return payload_of(content).content_hash()
    except (HyperFabricError, ValueError, BufferError, TypeError):
        return ""
