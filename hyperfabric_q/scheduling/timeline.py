"""What happened: an append-only log, and a running digest of the deliveries.

The log is complete enough for an independent checker (``checker.violations``): it needs nothing of the kernel.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Final

from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.message import Message, Part
from hyperfabric_q.scheduling.policy import Policy


@dataclass(frozen=True, slots=True)
class Submission:
    """The static facts of a message, when it was admitted.

    ``order`` is the position of the entry in the log. ``grain`` is after how many bytes the message may be
    interrupted; 0 stands for the channel's chunk.
    """

    message: int
    time_ps: int
    path: tuple[int, ...]
    delays: tuple[int, ...]
    nbytes: int
    priority_class: int
    deadline_ps: int
    rank: int
    order: int
    grain: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """Bytes ``first`` to ``end`` of a message on a channel, from ``begun_ps`` to ``ended_ps``.

    ``order`` is the position in the log at which the service began. ``cut`` services ended because the link went down.
    """

    channel: int
    message: int
    priority_class: int
    hop: int
    first: int
    end: int
    begun_ps: int
    ended_ps: int
    order: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message had arrived whole; ``late_ps`` of that is a fault's doing, and a ``duplicate`` is not the first."""

    message: int
    time_ps: int
    late_ps: int = 0
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """A message was given up: the reason is "cancelled" or why it failed."""

    message: int
    time_ps: int
    reason: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A channel was down; ``to_ps`` is None when it still is."""

    channel: int
    from_ps: int
    to_ps: int | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Timeline:
    """Everything that happened until ``until_ps``, as values; ``complete`` if nothing is under way any more."""

    channels: tuple[Channel, ...]
    policy: Policy
    submissions: tuple[Submission, ...]
    services: tuple[Service, ...]
    deliveries: tuple[Delivery, ...]
    endings: tuple[Ending, ...]
    outages: tuple[Outage, ...]
    until_ps: int
    complete: bool
    digest: str

    def __repr__(self) -> str:
        kept = f"{len(self.submissions)} submissions, {len(self.services)} services, {len(self.deliveries)} deliveries"
        more = f"{len(self.endings)} endings, {len(self.outages)} outages on {len(self.channels)} channels"
        state = "complete" if self.complete else "under way"
        return f"<Timeline until {self.until_ps} ps, {state}: {kept}, {more}>"


_BLOCK: Final = 4096
"""Deliveries that are hashed at once; a block ends with an instant."""


def _line(deliveries: Iterable[tuple[int, int]]) -> bytes:
    """What is hashed of deliveries (time, identity), given in any order within an instant."""
    each = sorted(deliveries)
    return ("%d:%d;" * len(each) % tuple(chain.from_iterable(each))).encode()


class Recorder:
    """Keeps the digest always, and the last ``keep`` entries of each kind."""

    def __init__(self, *, keep: int | None = 0) -> None:
        """Start empty; ``keep`` None keeps everything, 0 nothing but the digest."""
        self.keeps = keep is None or keep > 0
        self.submissions: deque[Submission] = deque(maxlen=keep)
        self.services: deque[Service] = deque(maxlen=keep)
        self.deliveries: deque[Delivery] = deque(maxlen=keep)
        self.endings: deque[Ending] = deque(maxlen=keep)
        self.outages: deque[Outage] = deque(maxlen=keep)
        self.delivered_count = 0
        self._order = 0
        self._begun: dict[int, int] = {}
        self._down: dict[int, int] = {}
        self._hash = hashlib.blake2b(digest_size=16)
        self._recent: list[tuple[int, int]] = []

    # ------------------------------------------------------------------------------ entries, only asked for if it keeps

    def submitted(self, message: Message) -> None:
        """Note that a message was admitted."""
        self._order += 1
        self.submissions.append(
            Submission(
                message.identity,
                message.submitted_ps,
                message.path,
                message.delays,
                message.nbytes,
                message.priority_class,
                message.deadline_ps,
                message.rank,
                self._order,
                message.grain,
            )
        )

    def began(self, channel: int) -> None:
        """Note that a channel starts to send."""
        self._order += 1
        self._begun[channel] = self._order

    def service(self, channel: int, part: Part, ended_ps: int, *, cut: bool = False) -> None:
        """Note that a channel has sent a part."""
        message = part.message
        self.services.append(
            Service(
                channel,
                message.identity,
                message.priority_class,
                part.hop,
                part.first,
                part.end,
                part.begun_ps,
                ended_ps,
                self._begun[channel],
                cut,
            )
        )

    def duplicated(self, message: Message, time_ps: int) -> None:
        """Note that a message has arrived once more."""
        self.deliveries.append(Delivery(message.identity, time_ps, duplicate=True))

    def ended(self, message: Message, time_ps: int, reason: str) -> None:
        """Note that a message was given up."""
        self.endings.append(Ending(message.identity, time_ps, reason))

    def switched(self, channel: int, time_ps: int, *, up: bool) -> None:
        """Note that a channel went down or came up."""
        if not up:
            self._down[channel] = time_ps
        else:
            self.outages.append(Outage(channel, self._down.pop(channel), time_ps))

    # --------------------------------------------------------------------------------------------- deliveries, always

    def delivered(self, message: Message, late_ps: int = 0) -> None:
        """Note that a message has arrived whole."""
        recent = self._recent
        recent.append((message.done_ps, message.identity))
        if len(recent) >= _BLOCK and recent[-2][0] != message.done_ps:
            latest = recent.pop()
            self._hash.update(_line(recent))
            recent[:] = [latest]
        self.delivered_count += 1
        if self.keeps:
            self.deliveries.append(Delivery(message.identity, message.done_ps, late_ps))

    @property
    def digest(self) -> str:
        """A hash over the sorted (identity, time) of everything delivered before the present instant, and in it so far.

        Reading it does not change it.
        """
        hashed = self._hash.copy()
        hashed.update(_line(self._recent))
        return hashed.hexdigest()

    def timeline(self, channels: Iterable[Channel], policy: Policy, until_ps: int, *, complete: bool) -> Timeline:
        """Return everything kept so far as one value."""
        still = tuple(Outage(channel, since, None) for channel, since in self._down.items())
        return Timeline(
            channels=tuple(channels),
            policy=policy,
            submissions=tuple(self.submissions),
            services=tuple(self.services),
            deliveries=tuple(self.deliveries),
            endings=tuple(self.endings),
            outages=(*self.outages, *still),
            until_ps=until_ps,
            complete=complete,
            digest=self.digest,
        )
