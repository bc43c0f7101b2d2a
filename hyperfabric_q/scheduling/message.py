"""What the kernel moves: messages, and the parts they travel in."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.policy import CLASSES, NO_DEADLINE

Key: TypeAlias = tuple[str | int, ...]


class Stage(IntEnum):
    """Where a part is on its present channel."""

    COMING = 0
    QUEUED = 1
    SENDING = 2
    SENT = 3


class Outcome(StrEnum):
    """What became of a message; every message ends in exactly one of the last three."""

    UNDER_WAY = "under way"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Failure(StrEnum):
    """Why a message did not arrive."""

    LOST = "lost"
    LINK_DOWN = "link down"
    NODE_DOWN = "node down"
    PARTITIONED = "partitioned"


class Message:
    """Bytes on their way along a path of channels.

    What it is stands in the first eight attributes; the others are the kernel's, and may be read.

    Attributes:
        identity: a number derived from what the message is, never from when in the program it was created. Faults are
            drawn by it, so that a second attempt needs another one.
        path: channel numbers, in order.
        delays: propagation after each of them, in picoseconds.
        nbytes: size on the wire, at least 1.
        priority_class: 0 (most urgent) to 7.
        deadline_ps: when it should have arrived.
        release_ps: not before this time.
        grain: bytes between which this message may be interrupted, on the one channel that it then crosses; 0 for the
            channel's chunk.
        key: orders messages of one instant, class and deadline; equal keys must mean interchangeable messages.
        on_done: called with the message when its last byte has arrived.
        on_failed: called with the message when it is certain that it will not arrive.
        on_duplicate: called with the message when it arrives once more.
        rank: position in the canonical order of all messages.
        submitted_ps, started_ps, done_ps: admission, first byte sent, last byte received; -1 until then.
        blocking_ps: waiting for less urgent bytes that were on the line already.
        preemptions: how often it was interrupted.
        missing: bytes that have not arrived.
        failure: why it failed; None unless it did.
        marks: what faults did to it on the way: "delayed", "reordered", "corrupted", "duplicated".
    """

    __slots__ = (
        "blocked_to_ps",
        "blocking_ps",
        "cancelled",
        "deadline_ps",
        "delays",
        "done_ps",
        "failure",
        "grain",
        "head",
        "identity",
        "key",
        "marks",
        "missing",
        "nbytes",
        "on_done",
        "on_duplicate",
        "on_failed",
        "path",
        "preemptions",
        "priority_class",
        "rank",
        "release_ps",
        "started_ps",
        "submitted_ps",
    )

    def __init__(
        self,
        *,
        path: tuple[int, ...],
        delays: tuple[int, ...],
        nbytes: int,
        priority_class: int = 5,
        deadline_ps: int = NO_DEADLINE,
        release_ps: int = 0,
        grain: int = 0,
        key: Key = (),
        identity: int = 0,
        on_done: Callable[[Message], object] | None = None,
        on_failed: Callable[[Message], object] | None = None,
        on_duplicate: Callable[[Message], object] | None = None,
    ) -> None:
        """Describe a message; it enters the kernel by ``Kernel.submit``."""
        if nbytes < 1:
            raise InvalidValue(field="nbytes", value=nbytes, rule="a message has at least one byte on the wire")
        if not path or len(path) != len(delays):
            raise InvalidValue(
                field="path", value=path, rule="a message crosses at least one channel, each with its delay"
            )
        if not 0 <= priority_class < CLASSES:
            raise InvalidValue(
                field="priority_class", value=priority_class, rule=f"classes run from 0 to {CLASSES - 1}"
            )
        if grain and (grain < 0 or len(path) > 1):
            raise InvalidValue(
                field="grain", value=grain, rule="it is a number of bytes, of a message that crosses one channel"
            )
        self.identity = identity
        self.path = path
        self.delays = delays
        self.nbytes = nbytes
        self.priority_class = priority_class
        self.deadline_ps = deadline_ps
        self.release_ps = release_ps
        self.grain = grain
        self.key = key
        self.on_done = on_done
        self.on_failed = on_failed
        self.on_duplicate = on_duplicate
        self.rank = self.submitted_ps = self.started_ps = self.done_ps = -1
        self.blocking_ps = self.blocked_to_ps = self.preemptions = 0
        self.missing = nbytes
        self.head: Part | None = None
        self.cancelled = False
        self.failure: Failure | None = None
        self.marks: tuple[str, ...] = ()

    def canonical(self) -> tuple[int, int, Key]:
        """Return what orders the messages of one instant."""
        return self.priority_class, self.deadline_ps, self.key

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.done_ps >= 0:
            return Outcome.DELIVERED
        if self.failure is not None:
            return Outcome.FAILED
        return Outcome.CANCELLED if self.cancelled else Outcome.UNDER_WAY


class Part:
    """Consecutive bytes of a message at one hop: ``first`` to ``end``, ``end`` excluded.

    ``child`` is the same bytes at the next hop, ``parent`` at the one before; ``generation`` outdates planned arrivals.
    ``part_of`` makes one.
    """

    __slots__ = ("begun_ps", "child", "end", "first", "generation", "hop", "message", "parent", "queued_ps", "stage")

    message: Message
    hop: int
    first: int
    end: int
    stage: Stage
    begun_ps: int
    queued_ps: int
    generation: int
    child: Part | None
    parent: Part | None


_COMING: Final = Stage.COMING
_blank = object.__new__


def part_of(message: Message, hop: int, first: int, end: int) -> Part:
    """Return bytes cut out of a message. A function, because calling a class takes CPython 3.11 twice as long."""
    part = _blank(Part)
    part.message = message
    part.hop = hop
    part.first = first
    part.end = end
    part.stage = _COMING
    part.begun_ps = part.queued_ps = -1
    part.generation = 0
    part.child = part.parent = None
    return part
