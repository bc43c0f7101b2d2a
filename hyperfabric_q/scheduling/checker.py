"""Does a timeline obey the laws of the fabric? An independent judge of the kernel, which shares no code with it.

It takes the log alone: what was submitted, which bytes were on which channel when, what arrived. From these it works
out anew when bytes must have been where, and lists every law that is broken:

* ``identity``, ``route``, ``class``: a message is itself, on its way, in its class.
* ``conservation``: at every hop a message's bytes pass once, in order, and no more than passed the hop before.
* ``capacity``: a channel sends one thing at a time, for exactly as long as its bytes take; nothing while it is down.
* ``causality``: nothing is sent on before it was there, by whole chunks or, on cut-through channels, bit by bit.
* ``arrival``, ``bound``: delivered once, when the last byte is in, no sooner than physics allows; or given up.
* ``boundary``, ``priority``, ``deadline``, ``order``, ``delay``, ``idle``, ``grant``, ``starved``, ``share``: see
  ``queue_checker``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.queue_checker import Violation, Waiting, boundary, ceil, channel_violations
from hyperfabric_q.scheduling.timeline import Delivery, Ending, Service, Submission, Timeline


def violations(timeline: Timeline) -> tuple[Violation, ...]:
    """Return every law that ``timeline`` breaks, in order of time; empty for a true history.

    The log must be whole: of a recorder with ``keep=None``, taken when nothing was under way any more. O(n log n) in
    the number of services.

    Raises:
        InvalidValue: something was still under way.
    """
    if not timeline.complete:
        raise InvalidValue(
            field="timeline",
            value=f"a log until {timeline.until_ps} ps",
            rule="something is still under way at its end",
        )
    evidence = _Evidence(timeline)
    found = [
        *_identities(evidence),
        *_capacity(evidence),
        *(each for case in evidence.cases.values() for each in _message(evidence, case)),
    ]
    if not found:
        waits = _waits(evidence)
        for index, channel in enumerate(timeline.channels):
            found += channel_violations(
                index,
                channel,
                timeline.policy,
                waits[index],
                evidence.outages[index],
                timeline.until_ps,
            )
    return tuple(sorted(found, key=lambda each: (each.time_ps, each.law)))


@dataclass(slots=True)
class _Case:
    """All that is known of one message: its services by hop, and how it ended.

    Of a message that is ``torn``, bytes in the middle may have been lost: it failed, or was cancelled and then met a
    channel that was down.
    """

    facts: Submission
    hops: list[list[Service]]
    deliveries: list[Delivery] = field(default_factory=list)
    duplicates: list[Delivery] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    torn: bool = False


class _Evidence:
    """The log, sorted by message and by channel."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.channels = timeline.channels
        self.cases: dict[int, _Case] = {}
        self.strays: list[tuple[int, int, str]] = []
        for each in timeline.submissions:
            if each.message in self.cases:
                self.strays.append((each.time_ps, each.message, "is submitted twice"))
            else:
                self.cases[each.message] = _Case(each, [[] for _ in each.path])
        self.by_channel: dict[int, list[Service]] = defaultdict(list)
        for service in timeline.services:
            self.by_channel[service.channel].append(service)
            case = self.cases.get(service.message)
            if case is None or service.hop >= len(case.hops):
                self.strays.append((service.begun_ps, service.message, f"has no hop {service.hop}"))
            else:
                case.hops[service.hop].append(service)
        for case in self.cases.values():
            for hop in case.hops:
                hop.sort(key=lambda each: (each.first, each.begun_ps))
        for services in self.by_channel.values():
            services.sort(key=lambda each: (each.begun_ps, each.order))
        self._sort_endings()
        self.outages = defaultdict(list)
        for outage in timeline.outages:
            self.outages[outage.channel].append(outage)
        for case in self.cases.values():
            failed = any(each.reason != "cancelled" for each in case.endings)
            case.torn = failed or (bool(case.endings) and any(self.outages[at] for at in case.facts.path))

    def _sort_endings(self) -> None:
        for delivery in self.timeline.deliveries:
            case = self.cases.get(delivery.message)
            if case is None:
                self.strays.append((delivery.time_ps, delivery.message, "arrives but was never submitted"))
            else:
                (case.duplicates if delivery.duplicate else case.deliveries).append(delivery)
        for ending in self.timeline.endings:
            # A message that is given up before it is admitted has left no other trace.
            if ending.message in self.cases:
                self.cases[ending.message].endings.append(ending)


# --------------------------------------------------------------------------------------------------- simple counting


def _identities(evidence: _Evidence) -> Iterator[Violation]:
    for time_ps, message, what in evidence.strays:
        yield Violation("identity", time_ps, f"message {message} {what}", message=message)
    for case in evidence.cases.values():
        for hop, services in enumerate(case.hops):
            for each in services:
                if each.channel != case.facts.path[hop]:
                    yield _of(each, "route", f"hop {hop} of the path is channel {case.facts.path[hop]}")
                if each.priority_class != case.facts.priority_class:
                    yield _of(each, "class", f"submitted in class {case.facts.priority_class}")
                if each.begun_ps < case.facts.time_ps:
                    yield _of(each, "causality", "it is sent before it is submitted")


def _of(service: Service, law: str, what: str) -> Violation:
    text = f"message {service.message}, bytes {service.first}-{service.end}, on channel {service.channel}: {what}"
    return Violation(law, service.begun_ps, text, service.channel, service.message)


def _cut_before(evidence: _Evidence, service: Service) -> bool:
    """Whether a cut on the way here ended a service within a byte."""
    case = evidence.cases.get(service.message) if evidence.timeline.outages else None
    hops = case.hops[: service.hop] if case else []
    return any(each.cut and each.end == service.end for hop in hops for each in hop)


def _capacity(evidence: _Evidence) -> Iterator[Violation]:
    """One at a time, each for as long as its bytes take, none while the channel is down."""
    for index, services in evidence.by_channel.items():
        channel = evidence.channels[index]
        rate = channel.ps_per_byte
        for each in services:
            lasted, size = each.ended_ps - each.begun_ps, each.end - each.first
            if each.cut or _cut_before(evidence, each):
                fits = size >= 0 and size * rate <= lasted < (size + 1) * rate
            else:
                # An end that was brought forward may be rounded twice.
                late = lasted - ceil(channel, size)
                fits = size > 0 and 0 <= late <= (rate.denominator > 1)
            if not fits:
                yield _of(each, "capacity", f"{size} bytes took {lasted} ps")
        for one, other in pairwise(services):
            if other.begun_ps < one.ended_ps:
                yield _of(other, "capacity", f"the channel was sending message {one.message} until {one.ended_ps}")
        for outage in evidence.outages[index]:
            end_ps = evidence.timeline.until_ps if outage.to_ps is None else outage.to_ps
            for each in services:
                if outage.from_ps < each.ended_ps and each.begun_ps < end_ps:
                    yield _of(each, "capacity", f"the channel was down from {outage.from_ps} to {end_ps}")


# ------------------------------------------------------------------------------------------------- one message's way


def _message(evidence: _Evidence, case: _Case) -> Iterator[Violation]:
    yield from _conservation(case)
    for hop in range(1, len(case.hops)):
        yield from _causality(evidence, case, hop)
    yield from _arrival(evidence, case)
    yield from _given_up(evidence, case)


def _conservation(case: _Case) -> Iterator[Violation]:
    """The services of a hop are a prefix of the message without gap or overlap, sent in order.

    Of a message that a fault struck, some bytes in the middle may be missing.
    """
    whole = case.facts.nbytes
    before = whole
    for hop, services in enumerate(case.hops):
        reached, time_ps = 0, -1
        for each in services:
            if each.first < reached or (each.first > reached and (hop == 0 or not case.torn)):
                yield _of(each, "conservation", f"byte {reached} should be next at hop {hop}")
            if each.begun_ps < time_ps:
                yield _of(each, "conservation", "it overtakes earlier bytes of its own message")
            reached, time_ps = each.end, each.ended_ps
        if reached > before:
            yield _of(services[-1], "conservation", f"only {before} bytes had passed the hop before")
        if reached != whole and case.deliveries:
            text = f"message {case.facts.message} arrives though {whole - reached} bytes did not pass hop {hop}"
            yield Violation("conservation", case.deliveries[0].time_ps, text, message=case.facts.message)
        before = reached


def _causality(evidence: _Evidence, case: _Case, hop: int) -> Iterator[Violation]:
    """Nothing is sent on before it is there.

    Within a train of chunks both clocks are linear, so the first two and the last two chunks decide.
    """
    inbound = evidence.channels[case.facts.path[hop - 1]]
    outbound = evidence.channels[case.facts.path[hop]]
    delay = case.facts.delays[hop - 1]
    exact = inbound.ps_per_byte.denominator == outbound.ps_per_byte.denominator == 1
    for each in case.hops[hop]:
        for source in case.hops[hop - 1]:
            first, end = max(each.first, source.first), min(each.end, source.end)
            if first >= end:
                continue
            if each.first == source.first and source.end == case.facts.nbytes:
                early, _, _ = _reached(evidence, case, hop, source)
                if each.begun_ps < early:
                    yield _of(each, "causality", f"it can be sent on without a gap from {early} ps")
                    continue
            for needed, start in _decisive(inbound, source, first, end):
                there = source.begun_ps + delay + (needed - source.first) * inbound.ps_per_byte
                sent = each.begun_ps + (start - each.first) * outbound.ps_per_byte
                if sent < there if exact else sent <= there - 1:
                    yield _of(each, "causality", f"byte {start} leaves {float(there - sent)} ps before it is there")
                    break
        covered = sum(
            max(0, min(each.end, source.end) - max(each.first, source.first)) for source in case.hops[hop - 1]
        )
        if covered != each.end - each.first:
            yield _of(each, "causality", f"only {covered} of its bytes ever passed hop {hop - 1}")


def _decisive(inbound: Channel, source: Service, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Pairs (byte up to which must be in, byte that can then be sent)."""
    if not inbound.store_and_forward:
        yield first, first
        yield end, end
        return
    unit = inbound.chunk
    least, last = (first - source.first) // unit, (end - 1 - source.first) // unit
    for number in {least, min(least + 1, last), max(last - 1, least), last}:
        start = source.first + number * unit
        yield min(start + unit, source.end), max(start, first)


def _arrival(evidence: _Evidence, case: _Case) -> Iterator[Violation]:
    """Delivered once and on time, or given up, or still under way."""
    facts = case.facts
    services = case.hops[-1]
    complete = sum(each.end - each.first for each in services) == facts.nbytes
    last_in = max((each.ended_ps for each in services), default=0) + facts.delays[-1]
    ends = len(case.deliveries) + len(case.endings)
    time_ps = (case.deliveries or case.endings or [Ending(facts.message, evidence.timeline.until_ps, "")])[0].time_ps

    def fault(law: str, what: str) -> Violation:
        return Violation(law, time_ps, f"message {facts.message} {what}", message=facts.message)

    if ends > 1:
        reasons = Counter(each.reason for each in case.endings)
        yield fault("arrival", f"has {ends} ends: delivered {len(case.deliveries)} times, {dict(reasons)}")
    if complete and not ends and last_in < evidence.timeline.until_ps:
        yield fault("arrival", f"was all in at {last_in} and is not delivered")
    for each in case.deliveries:
        if not complete:
            yield fault("arrival", "is delivered before it is all in")
        elif each.late_ps < 0 or each.time_ps != last_in + each.late_ps:
            yield fault("arrival", f"was all in at {last_in} and is delivered at {each.time_ps}, {each.late_ps} late")
        least = sum(facts.delays) + max(ceil(evidence.channels[at], facts.nbytes) for at in facts.path)
        if each.time_ps - facts.time_ps < least:
            yield fault("bound", f"took {each.time_ps - facts.time_ps} ps; no message can take less than {least}")
    for each in case.duplicates:
        if not case.deliveries or each.time_ps < case.deliveries[0].time_ps:
            yield fault("arrival", "arrives once more before it arrives")


def _given_up(evidence: _Evidence, case: _Case) -> Iterator[Violation]:
    """What is given up stops at its first channel at the next boundary, or is at its end before that."""
    if not case.endings:
        return
    channel = evidence.channels[case.facts.path[0]]
    unit = _unit(evidence, case, 0)
    time_ps = case.endings[0].time_ps
    for each in case.hops[0]:
        size = each.end - each.first
        if each.begun_ps > time_ps:
            yield _of(each, "conservation", f"it was given up at {time_ps}")
        elif time_ps < each.ended_ps and size > boundary(channel, each, unit, time_ps):
            yield _of(each, "boundary", f"it was given up at {time_ps} and goes on past the next boundary")
        elif time_ps < each.ended_ps and size % unit and each.end < case.facts.nbytes and not each.cut:
            yield _of(each, "boundary", f"it was given up at {time_ps} and stops before the next boundary")


def _unit(evidence: _Evidence, case: _Case, hop: int) -> int:
    """After how many bytes a message may be interrupted at a hop."""
    return case.facts.grain or evidence.channels[case.facts.path[hop]].chunk


# --------------------------------------------------------------------------------------------------- what waited when


def _waits(evidence: _Evidence) -> dict[int, list[Waiting]]:
    """For every channel, what waited there from when to when."""
    waits: dict[int, list[Waiting]] = defaultdict(list)
    for case in evidence.cases.values():
        for hop, services in enumerate(case.hops):
            for before, each in zip([None, *services], [*services, None], strict=True):
                wait = _wait(evidence, case, hop, before, each)
                if wait is not None:
                    waits[case.facts.path[hop]].append(wait)
    return waits


def _wait(evidence: _Evidence, case: _Case, hop: int, before: Service | None, served: Service | None) -> Waiting | None:
    """What ended in ``served``, or never ended, and follows ``before`` of its message at the same hop."""
    facts = case.facts
    first = before.end if before else 0
    until_ps = served.begun_ps if served else None
    ended_ps = case.endings[0].time_ps if case.endings else None
    source: Service | None = None
    if served is None:
        limit = facts.nbytes if hop == 0 else max((each.end for each in case.hops[hop - 1]), default=0)
        stopped = hop == 0 and before is not None and ended_ps is not None and before.ended_ps >= ended_ps
        gone = stopped or (case.torn and hop > 0)
        if first >= limit or gone:
            return None
        until_ps = ended_ps if hop == 0 else None
    if hop == 0:
        early = late = facts.time_ps
        tie, order = 1, facts.order
    else:
        if served is not None:
            first = served.first
        source = next((each for each in case.hops[hop - 1] if each.first <= first < each.end), None)
        if source is None:
            return None
        early, late, at_once = _reached(evidence, case, hop, source)
        tie, order = (2 if at_once else 0), 0
    since = late
    if source is not None and source.first != first and (before is None or before.end != first):
        # Bytes just before these were lost: when these had their turn cannot be told.
        since, tie = until_ps or 0, 2
    elif before is not None and (source is None or source.first != first):
        since, tie = before.ended_ps, 0
    # What was interrupted before it was cancelled was interrupted for something else.
    given_up = served is not None and ended_ps is not None and (case.torn or ended_ps <= served.ended_ps)
    fragment = source is not None and served is not None and source.end == served.end
    return Waiting(
        message=facts.message,
        priority_class=facts.priority_class,
        early=(facts.deadline_ps, early, facts.rank, first),
        late=(facts.deadline_ps, late, facts.rank, first),
        since=(since, tie, order),
        until_ps=until_ps,
        served=served,
        whole=served is not None and (served.end == facts.nbytes or fragment or given_up),
        unit=_unit(evidence, case, hop),
    )


def _reached(evidence: _Evidence, case: _Case, hop: int, source: Service) -> tuple[int, int, bool]:
    """The earliest and latest time at which the bytes of ``source`` may have been queued at ``hop``.

    They are queued when they can be sent on in one go. What was shortened on the way may have been queued later, by the
    time it was shortened; whether the true time may share an instant with the next channel's choice comes third.
    """
    inbound = evidence.channels[case.facts.path[hop - 1]]
    outbound = evidence.channels[case.facts.path[hop]]
    delay = case.facts.delays[hop - 1]
    size = source.end - source.first
    start = [0]
    for needed, byte in _decisive(inbound, source, source.first, source.end):
        start.append(ceil(inbound, needed - source.first) - ceil(outbound, byte - source.first))
    early = source.begun_ps + max(start) + delay
    slower = outbound.ps_per_byte >= inbound.ps_per_byte
    steady = slower and (size >= inbound.chunk or not inbound.store_and_forward)
    late = early if source.end == case.facts.nbytes or steady else max(early, source.ended_ps)
    return early, late, early == source.begun_ps or late > early
