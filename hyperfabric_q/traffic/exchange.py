"""The exchange: a live fabric whose nodes send each other payloads on one virtual clock.

Sends of one instant are gathered and admitted together, in an order that follows from what they are. Two sends that
are equal in everything the fabric looks at are told apart by their contents, and those are read in no other case. So
neither the order of the arguments of ``gather`` nor the driver changes who goes first, or any time.

A send from a node to itself crosses no channel: it is delivered in the same instant, and leaves no trace in the
timeline.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from numpy.typing import ArrayLike

from hyperfabric_q.errors import BusyFabric, HyperFabricError, InvalidValue, Undeliverable
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import classical_network
from hyperfabric_q.scheduling import faults
from hyperfabric_q.scheduling.drivers import Clock, clock
from hyperfabric_q.scheduling.faults import Fault
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy
from hyperfabric_q.scheduling.timeline import Recorder, Timeline
from hyperfabric_q.traffic import bulk, codecs, handlers
from hyperfabric_q.traffic.adaptive import LearnedRouting
from hyperfabric_q.traffic.bulk import Bulk, Names, Transfers
from hyperfabric_q.traffic.collectives.live import Collectives
from hyperfabric_q.traffic.deadlines import missed, vet
from hyperfabric_q.traffic.handlers import Handler, Packet
from hyperfabric_q.traffic.keys import KeyRing, KeySource, OperatingSystemKeys
from hyperfabric_q.traffic.named_faults import placed
from hyperfabric_q.traffic.payload import Payload, payload_of
from hyperfabric_q.traffic.recovery import Recovery
from hyperfabric_q.traffic.request import KINDS, Kind, Terms, checked_metadata, kind_of, read_constraint
from hyperfabric_q.traffic.transfer import CORRUPTED, Sending, TransferResult
from hyperfabric_q.traffic.treatment import Keys, Treatment, Wishes, treat
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import to_ns, to_ps

T = TypeVar("T")

Fields = tuple[str, Kind, int, int, int]
"""What the fabric looks at in a send, apart from the instant: both ends, kind, size, size on the wire, deadline."""


class Exchange:
    """A fabric that may grow, what its nodes send, and what runs at them.

    It belongs to the event loop on which it was last used; on another one it starts anew at that loop's time.
    """

    def __init__(self, fabric: Fabric, terms: Terms, *, key_source: KeySource | None = None) -> None:
        """Start from ``fabric``; nothing is wired before the first send."""
        self.ways = Ways(fabric, strict=terms.strict, chunk_ps=terms.chunk_ps)
        self.terms = terms
        self._handlers: dict[str, Handler] = {}
        self._keys = Keys(KeyRing(OperatingSystemKeys() if key_source is None else key_source))
        profile = terms.transport
        self._bare = profile.packet_payload is None
        self._plain = Treatment(host_ps=profile.message_ps, before_ps=profile.message_ps)
        self._constraint_ps = terms.constraint_ps
        self._vets = terms.strict or terms.on_violation == "raise"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Clock | None = None
        self._kernel: Kernel | None = None
        self._batch: list[Sending] = []
        self._counts: dict[Fields, int] = {}
        self._counted_ps = -1
        self._on_paper: Bulk | None = None
        self.collectives = Collectives(self.ways, terms, attached=self.attached, join=self.join, alone=self._is_alone)
        self._withdrew = False
        self._learned: LearnedRouting | None = None
        self._recovery: Recovery | None = None
        self._faults: list[tuple[Fault, str]] = []
        self._again: set[asyncio.Task[object]] = set()

    def attach_handler(self, node_id: str, handler: object) -> None:
        """Let ``handler`` answer what arrives at a node; None lets nobody answer.

        Raises:
            UnknownName, InvalidValue: as in ``Ways.known``, or the handler cannot be called.
        """
        if handler is None:
            self._handlers.pop(self.ways.known(node_id), None)
        else:
            self._handlers[self.ways.known(node_id)] = handlers.checked(handler)

    # ------------------------------------------------------------------------------------------------------ the clock

    @property
    def now_ps(self) -> int:
        """The virtual time; 0 before the first use."""
        return 0 if self._kernel is None else self._kernel.now_ps

    @property
    def digest(self) -> str:
        """A hash over everything delivered so far on this clock."""
        return (Recorder() if self._kernel is None else self._kernel.recorder).digest

    @property
    def timeline(self) -> Timeline:
        """What happened on this clock, as far as it was kept."""
        kernel = self._made_kernel() if self._kernel is None else self._kernel
        return kernel.timeline()

    def attached(self) -> Clock:
        """Return the clock of the running event loop.

        Raises:
            BusyFabric: the loop's clock keeps less than asked, or serves in another order.
        """
        loop = asyncio.get_running_loop()
        if self._clock is not None and loop is self._loop:
            return self._clock
        found = clock(self._made_kernel)
        kernel, terms = found.kernel, self.terms
        if kernel.policy != (terms.policy or Policy()):
            raise BusyFabric(
                asked="a policy of its own",
                found="this event loop's clock, which another protocol started, serves by another policy",
                remedy="Give all protocols of a program the same policy.",
            )
        if terms.keep_events != 0 and not kernel.recorder.keeps:
            raise BusyFabric(
                asked="keep_events",
                found="this event loop's clock was started by a protocol that keeps no events",
                remedy="Give it to the protocol that is used first.",
            )
        self._loop, self._clock, self._kernel = loop, found, kernel
        self._batch, self._counts, self._counted_ps = [], {}, -1
        self._on_paper, self._withdrew = None, False
        self.collectives.reset()
        self.ways.wire(kernel)
        users = _USERS.setdefault(kernel, WeakSet())
        for other in users:
            other.join()
        users.add(self)
        self._learned = LearnedRouting(kernel) if terms.enable_ml_routing else None
        self._recovery = Recovery(kernel, self.ways, terms.transport) if terms.enable_fault_tolerance else None
        self._strike(kernel, self._faults)
        return found

    def _made_kernel(self) -> Kernel:
        return Kernel(policy=self.terms.policy, recorder=Recorder(keep=self.terms.keep_events))

    def inject(self, given: Sequence[Fault], seed: int) -> None:
        """Let faults happen, on this clock and on any that it moves to; see ``HyperFabricProtocol.inject``."""
        named = [(each, f"{seed}|{len(self._faults) + place}") for place, each in enumerate(given)]
        if self._kernel is None:
            network = classical_network(self.ways.fabric)
            for fault, name in named:
                placed(fault, network, tuple, name)
        else:
            self._strike(self._kernel, named)
        self._faults += named

    def _strike(self, kernel: Kernel, named: Sequence[tuple[Fault, str]]) -> None:
        """Give a kernel the faults, with the numbers of its channels in them."""
        users = sorted(_USERS[kernel], key=lambda each: each is not self)
        if named:
            found = [placed(fault, self.ways.network(), self.ways.numbers, name) for fault, name in named]
            for each in users:
                each.join()
            faults.schedule(kernel).extend(found)
        if kernel.faults is not None:
            told = faults.schedule(kernel).on_down
            told += [
                each._recovery.went_down
                for each in users
                if each._recovery is not None and each._recovery.went_down not in told
            ]

    async def sleep(self, duration_ns: float) -> None:
        """Wait until so many virtual nanoseconds have passed."""
        await self.attached().sleep_ps(_duration_ps(duration_ns))

    async def compute(self, work: Callable[[], T], duration_ns: float, executor: Executor | None) -> T:
        """Return what ``work`` returns, run for real while exactly ``duration_ns`` of virtual time pass."""
        if not callable(work):
            raise InvalidValue(field="fn", value=work, rule="it is a function without arguments")
        return await self.attached().hold(work, _duration_ps(duration_ns), executor)

    # ----------------------------------------------------------------------------------------------------------- sends

    async def send(
        self,
        source: str,
        destination: str,
        data: object,
        data_type: object,
        priority: object,
        latency_constraint_ns: float | None,
        compression: bool | str,  # noqa: FBT001 - names stand in the protocol
        encryption: bool,  # noqa: FBT001
        entanglement: bool,  # noqa: FBT001
        metadata: Mapping[str, Any] | None,
    ) -> TransferResult:
        """Return the result of one transfer; see ``HyperFabricProtocol.send_data``."""
        clock = self._clock
        if clock is None or asyncio.get_running_loop() is not self._loop:
            clock = self.attached()
        asked_ps = clock.kernel.now_ps
        try:
            way = (self.ways.sealed if encryption else self.ways.plain).get((source, destination))
            kind = KINDS.get((data_type, priority))
        except TypeError:
            found = (source, destination, data_type, priority)
            raise InvalidValue(field="source, destination, data_type, priority", value=found, rule="names") from None
        if way is None:
            way = self.ways.find(source, destination, encrypted=bool(encryption))
        if kind is None:
            kind = kind_of(data_type, priority)
        if type(data) is TransferResult:
            data = data.value
        payload = payload_of(data, kind.data_type, neurons=way.neurons)
        if metadata is not None:
            metadata = checked_metadata(metadata)
        size = payload.nbytes
        if way.plain and size <= way.room and not (compression or encryption or entanglement):
            treatment = self._plain
            nbytes = (size or 1) if self._bare else self.terms.transport.wire_bytes(size)
        else:
            treatment, nbytes = self._treated(way, payload, kind, compression, encryption, entanglement)
        constraint = read_constraint(latency_constraint_ns, self._constraint_ps)
        deadline = NO_DEADLINE
        if constraint is not None:
            deadline = min(asked_ps + constraint - treatment.after_ps, NO_DEADLINE)
            if self._vets:
                vet(way, nbytes, treatment, constraint)
        sending = Sending(way, payload, kind, treatment, asked_ps, constraint, deadline, nbytes, metadata)
        if self._recovery is None:
            await self._carried(sending, clock)
        else:
            sending = await self._recovery.carried(sending, clock, self._carried)
        return await self._received(sending, clock)

    async def _carried(self, sending: Sending, clock: Clock) -> None:
        """Wait until the last byte has arrived."""
        if not sending.way.path:
            sending.started_ps = sending.done_ps = clock.kernel.now_ps
            await asyncio.sleep(0)
            return
        sending.on_done = _arrived
        sending.on_failed = _failed
        if clock.kernel.faults is not None:
            sending.on_duplicate = self._duplicated
        future = sending.future = asyncio.get_running_loop().create_future()
        if self._on_paper is not None or self._learned is not None or self._recovery is not None:
            self.join()
        else:
            self.collectives.make_way(sending.way.path)
        batch = self._batch
        batch.append(sending)
        if len(batch) == 1:
            kernel = clock.kernel
            kernel.at(kernel.now_ps, self._admit)
        clock.wake()
        try:
            await future
        except asyncio.CancelledError:
            self._withdraw(sending, clock)
            raise

    async def _received(self, sending: Sending, clock: Clock) -> TransferResult:
        """Hand over what has arrived: open, decode, let the handler answer."""
        payload, treatment, way = sending.payload, sending.treatment, sending.way
        content = payload.content
        if treatment.after_ps:
            await clock.sleep_ps(treatment.after_ps)
        if treatment.seal is not None:
            self._keys.open(treatment.seal, corrupted=CORRUPTED in sending.marks)
        elif CORRUPTED in sending.marks:
            raise _undeliverable(sending, CORRUPTED)
        if treatment.decision is not None:
            content = codecs.delivered(payload, treatment.decision)
        handler = self._handlers.get(way.destination)
        response = None
        if handler is not None:
            response = await handlers.answer(handler, _packet(sending, content))
        result = TransferResult(sending, content, response, self.terms.transport.name)
        if self._vets and sending.constraint_met is False and self.terms.on_violation == "raise":
            raise missed(sending, result)
        clock.wake()
        return result

    def _duplicated(self, message: Message) -> None:
        """A copy of a send arrives: without fault tolerance the handler gets it as if it were another one."""
        assert isinstance(message, Sending)  # noqa: S101
        handler = self._handlers.get(message.way.destination)
        refused = CORRUPTED in message.marks or message.treatment.seal is not None
        if self._recovery is not None:
            self._recovery.suppressed += 1
        elif handler is not None and self._loop is not None and not refused:
            copy = handlers.answer(handler, _packet(message, message.payload.content))
            task: asyncio.Task[object] = self._loop.create_task(copy)
            self._again.add(task)
            task.add_done_callback(self._again.discard)

    def _withdraw(self, sending: Sending, clock: Clock) -> None:
        """Take back what has not been sent of a send whose task was cancelled."""
        sending.future = None
        if sending.rank < 0 and sending in self._batch:
            self._batch.remove(sending)
        elif clock.kernel.cancel(sending):
            self._withdrew = True
            clock.wake()

    # ------------------------------------------------------------------------------------------------------ many sends

    async def send_many(
        self,
        sources: Names,
        destinations: Names,
        nbytes: ArrayLike,
        release_ns: ArrayLike,
        data_type: object,
        priority: object,
    ) -> Transfers:
        """Return what became of many sends; see ``HyperFabricProtocol.send_many``."""
        clock = self.attached()
        self.join()
        for name in (*bulk.missing(self.ways.fabric, sources), *bulk.missing(self.ways.fabric, destinations)):
            self.ways.known(name)
        asked = bulk.columns(
            self.ways.fabric,
            sources,
            destinations,
            nbytes,
            release_ns,
            now_ps=clock.kernel.now_ps,
            kind=KINDS.get((data_type, priority)) or kind_of(data_type, priority),
            profile=self.terms.transport,
            way_of=lambda source, destination: self.ways.find(source, destination, encrypted=False),
        )
        if not len(asked.way):
            return Transfers(asked_ps=asked.asked_ps, done_ps=asked.asked_ps, wire_bytes=asked.nbytes, engine="kernel")
        again = None if self._recovery is None else self._recovery.next_way
        many = Bulk(clock.kernel, asked, alone=self._is_alone(clock.kernel), again=again)
        if many.on_paper:
            self._on_paper = many
        clock.wake()
        try:
            await many.future
        except asyncio.CancelledError:
            many.withdraw()
            self._withdrew = True
            raise
        finally:
            if self._on_paper is many:
                self._on_paper = None
            clock.wake()
        return many.transfers()

    def _is_alone(self, kernel: Kernel) -> bool:
        """Whether nothing else is under way, so that many sends may be reckoned on paper."""
        withdrew = self._withdrew or self.collectives.withdrew
        empty = kernel.pending == 0 and not self._batch and (not withdrew or kernel.next_ps is None)
        unseen = kernel.faults is None and not kernel.recorder.keeps and len(_USERS.get(kernel, ())) == 1
        return empty and unseen and not self.collectives.waiting

    def join(self) -> None:
        """Put into the kernel what was reckoned without it; whoever else submits to the kernel calls this before."""
        many, self._on_paper = self._on_paper, None
        if many is not None:
            many.join()
        self.collectives.join()

    # ------------------------------------------------------------------------------------------------------- admission

    def _admit(self) -> None:
        """Give the sends of this instant their identities, and pass them to the kernel, which orders them."""
        kernel = self._kernel
        batch, self._batch = self._batch, []
        if kernel is None:
            return
        now = kernel.now_ps
        if now != self._counted_ps:
            self._counts.clear()
            self._counted_ps = now
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
                    self._name(each, fields, now)
            else:
                self._name(sending, fields, now)
        if self._learned is not None:
            self._learned.choose(batch, self._open_ways)
        elif self._recovery is not None:
            self._recovery.choose(batch)
        for sending in batch:
            kernel.submit(sending)

    def _open_ways(self, sending: Sending) -> Sequence[Way]:
        if self._recovery is not None:
            return self._recovery.open_ways(sending)
        return self.ways.choices(sending.way, encrypted=sending.treatment.seal is not None)

    def _name(self, sending: Sending, fields: Fields, now: int) -> None:
        """Give a send its identity and its place among those of the same instant, class and deadline."""
        counts = self._counts
        count = counts.get(fields, 0)
        counts[fields] = count + 1
        ends, kind, nbytes, wire_bytes, deadline = fields
        text = f"{ends}|{kind.text}|{nbytes}|{wire_bytes}|{deadline}|{now}|{count}"
        sending.identity = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        sending.key = ("send", ends, kind.text, nbytes, wire_bytes, count)

    def _treated(
        self, way: Way, payload: Payload, kind: Kind, compression: object, encryption: object, entanglement: object
    ) -> tuple[Treatment, int]:
        wishes = Wishes.of(compression, encryption, entanglement)
        found = treat(way, payload, kind, wishes, terms=self.terms, fabric=self.ways.fabric, keys=self._keys)
        if found[0].shards > 1 or wishes.entanglement:
            for text in found[0].warnings:
                self.ways.notice(text, (way.source, way.destination, found[0].shards > 1, wishes.entanglement))
        return found


_USERS: WeakKeyDictionary[Kernel, WeakSet[Exchange]] = WeakKeyDictionary()
"""Who uses which kernel."""


# ------------------------------------------------------------------------------------------------- what a kernel calls


def _arrived(message: Message) -> None:
    assert isinstance(message, Sending)  # noqa: S101
    future, message.future = message.future, None
    if future is not None and not future.done():
        future.set_result(None)


def _failed(message: Message) -> None:
    assert isinstance(message, Sending)  # noqa: S101
    future, message.future = message.future, None
    if future is not None and not future.done():
        future.set_exception(_undeliverable(message, str(message.failure)))


def _undeliverable(sending: Sending, reason: str) -> Undeliverable:
    way, remedy = sending.way, "With enable_fault_tolerance=True it is sent again."
    return Undeliverable(source=way.source, destination=way.destination, reason=reason, remedy=remedy)


def _content(sending: Sending) -> str:
    """The hash of what is sent; empty when it cannot be read any more."""
    try:
        return sending.payload.content_hash()
    except (HyperFabricError, ValueError, BufferError, TypeError):
        return ""


def _packet(sending: Sending, content: object) -> Packet:
    way, kind = sending.way, sending.kind
    return Packet(
        data=content,
        source=way.source,
        destination=way.destination,
        data_type=kind.data_type,
        priority=kind.priority,
        metadata=handlers.metadata_of(sending.metadata),
        sent_ns=to_ns(sending.asked_ps),
        arrived_ns=to_ns(sending.asked_ps + sending.latency_ps),
        key=sending.origin,
    )


def _duration_ps(duration_ns: object) -> int:
    if isinstance(duration_ns, bool) or not hasattr(duration_ns, "__float__"):
        raise InvalidValue(field="duration_ns", value=duration_ns, rule="it is a number of nanoseconds")
    return to_ps(ns=duration_ns if isinstance(duration_ns, int) else float(duration_ns))
