"""Is a channel's order of service the one its policy promises? The part of the independent checker about queues.

* ``boundary``: a message is interrupted only at a boundary of chunks, or of grains if it has its own, and only for
  something else.
* ``priority``: nothing begins while something of a more urgent strict class waits, unless bulk is owed a ``grant``.
* ``delay``: what is more urgent has the line at the next such boundary.
* ``deadline``, ``order``: inside a class the earliest deadline goes first, then what was queued first.
* ``idle``: no channel is idle while something waits for it.
* ``starved``: bulk gets its grant when capped classes have been served for long enough.
* ``share``: bulk classes that both wait get service in proportion to their weights, up to a few quanta.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.policy import CLASSES, Policy
from hyperfabric_q.scheduling.timeline import Outage, Service

Key: TypeAlias = tuple[int, int, int, int]
"""Deadline, time queued, rank, first byte."""

_MAY_WAIT, _WITHDRAWN, _WAITS, _BEGINS = range(4)


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that a timeline breaks, when, and how."""

    law: str
    time_ps: int
    what: str
    channel: int | None = None
    message: int | None = None


def ceil(channel: Channel, nbytes: int) -> int:
    """Return the whole picoseconds within which ``nbytes`` pass a channel."""
    rate = channel.ps_per_byte
    return -((-nbytes * rate.numerator) // rate.denominator)


def boundary(channel: Channel, service: Service, unit: int, time_ps: int) -> int:
    """Return the bytes up to the first boundary of ``service`` at or after ``time_ps``, even past its end.

    Boundaries come every ``unit`` bytes.
    """
    elapsed = time_ps - service.begun_ps
    count = max(1, -(-elapsed // (unit * channel.ps_per_byte)))
    # The instants of boundaries are rounded up, so that the one before may do.
    if count > 1 and ceil(channel, (count - 1) * unit) >= elapsed:
        count -= 1
    return count * unit


@dataclass(eq=False, slots=True, kw_only=True)
class Waiting:
    """Bytes of a message in the queue of a channel.

    Attributes:
        early, late: bounds of what orders them within their class.
        since: (time, tie, order); of one instant, tie 0 waited before any choice, tie 1 from ``order`` in the log on,
            and tie 2 after all choices.
        until_ps: when they were sent or withdrawn; None if they still wait.
        served: the service that ended the wait.
        whole: whether that service's end needs no reason of this channel's.
        unit: bytes after which it may be interrupted.
    """

    message: int
    priority_class: int
    early: Key
    late: Key
    since: tuple[int, int, int]
    until_ps: int | None
    served: Service | None
    whole: bool
    unit: int


def channel_violations(
    index: int,
    channel: Channel,
    policy: Policy,
    waits: Iterable[Waiting],
    outages: Sequence[Outage],
    until_ps: int,
) -> list[Violation]:
    """Return what one channel's queue did wrong, from all that ever waited there."""
    waits = tuple(waits)
    largest = max((each.unit for each in waits), default=0)
    queue = _Queue(index, channel, policy, outages, largest)
    events: list[tuple[int, int, int, int, Waiting]] = []
    for each in waits:
        time_ps, tie, order = each.since
        events.append((time_ps, tie, order, _WAITS, each))
        if each.early[1] < time_ps or tie > 1:
            events.append((each.early[1], 0, 0, _MAY_WAIT, each))
        if each.served is not None:
            events.append((each.served.begun_ps, 1, each.served.order, _BEGINS, each))
        elif each.until_ps is not None:
            events.append((each.until_ps, -1, 0, _WITHDRAWN, each))
    for time_ps, _, _, kind, each in sorted(events, key=lambda event: event[:4]):
        if time_ps > until_ps:
            break
        if kind == _WAITS:
            queue.waits(each, time_ps)
        elif kind == _MAY_WAIT:
            queue.possible[each.priority_class].add(id(each))
        elif kind == _WITHDRAWN:
            queue.withdrawn(each, time_ps)
        elif each.served is not None:
            queue.begins(each, each.served)
    queue.closes(until_ps)
    return queue.found


@dataclass(slots=True)
class _Bulk:
    """Joint backlog of two bulk classes: normalised service of one less that of the other, and its range."""

    balance: Fraction = Fraction(0)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def add(self, amount: Fraction) -> Fraction:
        self.balance += amount
        self.low, self.high = min(self.low, self.balance), max(self.high, self.balance)
        return self.high - self.low


@dataclass(slots=True)
class _Queue:
    """A channel while its history is gone through in order."""

    index: int
    channel: Channel
    policy: Policy
    outages: Sequence[Outage]
    largest: int
    found: list[Violation] = field(default_factory=list)
    heaps: dict[int, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    present: dict[int, Waiting] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0] * CLASSES)
    possible: list[set[int]] = field(default_factory=lambda: [set() for _ in range(CLASSES)])
    gone: set[int] = field(default_factory=set)
    current: Service | None = None
    unit: int = 0
    protected: bool = False
    interrupted: bool = False
    free_ps: int = 0
    waiting_ps: int = 0
    run_ps: int = 0
    starved_ps: int = 0
    grant_ps: int = 0
    rivals: set[int] = field(default_factory=set)
    pairs: dict[tuple[int, int], _Bulk] = field(default_factory=dict)

    # -------------------------------------------------------------------------------------------------------- events

    def waits(self, each: Waiting, time_ps: int) -> None:
        """Something joins the queue."""
        if id(each) in self.gone:
            return
        if not self.present:
            self.waiting_ps = time_ps
        self.present[id(each)] = each
        self.counts[each.priority_class] += 1
        heapq.heappush(self.heaps[self._kind(each)], (each.late, each.message, id(each), each))
        self._must_give_way(each, time_ps)

    def withdrawn(self, each: Waiting, time_ps: int) -> None:
        """Something is taken out of the queue unserved."""
        self._idle_until(time_ps)
        self._remove(each)
        if not self.counts[each.priority_class]:
            self.rivals.discard(each.priority_class)

    def begins(self, each: Waiting, service: Service) -> None:
        """Something is sent."""
        self._idle_until(service.begun_ps)
        if self.interrupted:
            self._for_something(service)
        if self.current is not None and not self.policy.fifo and self.current.priority_class >= self._first_bulk:
            self._shares(self.current, service)
        self._remove(each)
        self.rivals = {other for other in range(self._first_bulk, CLASSES) if self.counts[other]}
        self.protected = False
        self._in_order(each, service)
        if not self.policy.fifo:
            self._credit(service)
        self._boundary(each, service)
        self.current = service
        self.unit = each.unit
        self.free_ps = service.ended_ps

    def closes(self, until_ps: int) -> None:
        """The log ends."""
        self._idle_until(until_ps)

    def _remove(self, each: Waiting) -> None:
        self.gone.add(id(each))
        self.possible[each.priority_class].discard(id(each))
        if self.present.pop(id(each), None) is not None:
            self.counts[each.priority_class] -= 1

    def _kind(self, each: Waiting) -> int:
        return 0 if self.policy.fifo else each.priority_class

    def _head(self, kind: int) -> Waiting | None:
        heap = self.heaps[kind]
        while heap and heap[0][2] not in self.present:
            heapq.heappop(heap)
        head: Waiting | None = heap[0][3] if heap else None
        return head

    def _break(self, law: str, service: Service, what: str) -> None:
        text = f"message {service.message} begins on channel {self.index} at {service.begun_ps}: {what}"
        self.found.append(Violation(law, service.begun_ps, text, self.index, service.message))

    # ---------------------------------------------------------------------------------------------------------- laws

    def _idle_until(self, time_ps: int) -> None:
        if not self.present:
            return
        since_ps = max(self.free_ps, self.waiting_ps)
        for outage in self.outages:
            if outage.from_ps <= since_ps:
                since_ps = max(since_ps, time_ps if outage.to_ps is None else outage.to_ps)
        if since_ps < time_ps:
            one = next(iter(self.present.values()))
            text = f"channel {self.index} is idle from {since_ps} to {time_ps} while message {one.message} waits"
            self.found.append(Violation("idle", since_ps, text, self.index, one.message))

    def _in_order(self, each: Waiting, service: Service) -> None:
        """Nothing more urgent, or earlier in its class, is left behind."""
        kind = self._kind(each)
        for other in range(kind if kind < self._first_bulk else self._first_bulk):
            head = self._head(other)
            if head is not None:
                if kind >= self._first_bulk and self._capped_waits(other) and self._granted(service):
                    self.protected = True
                else:
                    self._break("priority", service, f"message {head.message} of class {other} waits")
                break
        head = self._head(kind)
        if head is not None:
            late = (0, *head.late[1:]) if self.policy.fifo else head.late
            early = (0, *each.early[1:]) if self.policy.fifo else each.early
            if late < early:
                law = "deadline" if late[0] < early[0] else "order"
                self._break(law, service, f"message {head.message} is before it in its class")

    @property
    def _first_bulk(self) -> int:
        return 0 if self.policy.fifo else self.policy.first_bulk

    def _most_urgent(self) -> int:
        return next((kind for kind, count in enumerate(self.counts) if count), CLASSES)

    def _capped_waits(self, kind: int) -> bool:
        """Whether what waits, of class ``kind`` or just possibly of a more urgent one, is of a capped class."""
        last = self.policy.last_capped
        return kind <= last or any(self.possible[: last + 1])

    def _granted(self, service: Service) -> bool:
        """Whether bulk may go before capped classes."""
        if self.grant_ps <= 0:
            if self.run_ps < self.policy.cap_ps:
                return False
            self.grant_ps = self.policy.grant_ps
        self.grant_ps -= service.ended_ps - service.begun_ps
        return True

    def _credit(self, service: Service) -> None:
        """Keep count of the service that capped and bulk classes get."""
        kind, lasted = service.priority_class, service.ended_ps - service.begun_ps
        if kind >= self._first_bulk:
            self.run_ps = self.starved_ps = 0
            if not self.protected:
                self.grant_ps = 0
            return
        bulk = any(self.counts[each] for each in range(self._first_bulk, CLASSES))
        if not bulk:
            self.starved_ps = 0
        if kind <= self.policy.last_capped:
            self.grant_ps = 0
            if self.starved_ps >= self.policy.cap_ps:
                self._break("starved", service, f"capped classes had {self.starved_ps} ps while bulk waited")
            self.run_ps += lasted
            if bulk:
                self.starved_ps += lasted

    def _shares(self, service: Service, following: Service) -> None:
        """Compare what bulk classes get while each of them always has something to send."""
        kind, policy = service.priority_class, self.policy
        amount = Fraction(service.ended_ps - service.begun_ps, policy.weight(kind))
        most_at_once = self.largest * self.channel.ps_per_byte
        for other in range(self._first_bulk, CLASSES):
            pair = (min(kind, other), max(kind, other))
            if other == kind:
                continue
            if other not in self.rivals or not self.counts[other]:
                for third in range(CLASSES):
                    self.pairs.pop((min(other, third), max(other, third)), None)
                continue
            spread = self.pairs.setdefault(pair, _Bulk()).add(amount if kind < other else -amount)
            if spread > 4 * policy.quantum_ps + 4 * most_at_once:
                self._break("share", following, f"classes {pair} are {float(spread)} ps from their shares")
                self.pairs.pop(pair)

    def _must_give_way(self, each: Waiting, time_ps: int) -> None:
        """What is less urgent and on the line now must leave it at the next boundary."""
        service, kind = self.current, each.priority_class
        if service is None or self.policy.fifo or service.ended_ps <= time_ps or kind >= self._first_bulk:
            return
        # A grant holds as long as something capped waits that could take the line.
        if service.priority_class <= kind or (self.protected and self._capped_waits(self._most_urgent())):
            return
        boundary_ps = service.begun_ps + ceil(self.channel, boundary(self.channel, service, self.unit, time_ps))
        withdrawn = each.served is None and each.until_ps is not None and each.until_ps <= boundary_ps
        if (
            service.ended_ps > boundary_ps + (self.channel.ps_per_byte.denominator > 1)
            and not withdrawn
            and not service.cut
        ):
            self._break("delay", service, f"message {each.message} of class {kind} came at {time_ps} and had to wait")

    def _boundary(self, each: Waiting, service: Service) -> None:
        """An interruption comes at a boundary."""
        self.interrupted = not each.whole and not service.cut
        if self.interrupted and (self.policy.fifo or (service.end - service.first) % each.unit):
            self._break("boundary", service, f"it is interrupted after {service.end - service.first} bytes")

    def _for_something(self, service: Service) -> None:
        """After an interruption something else is sent, or would have been if its bulk class were not in debt."""
        before = self.current
        if before is None or before.message != service.message or before.ended_ps != service.begun_ps:
            return
        bulk = set(range(self._first_bulk, CLASSES))
        others = bulk - {service.priority_class}
        if service.priority_class not in bulk or not any(
            self.counts[other] or self.possible[other] for other in others
        ):
            self._break("boundary", before, "it is interrupted for nothing")
