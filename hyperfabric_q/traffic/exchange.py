"""The exchange: a live fabric whose nodes send each other payloads on one virtual clock.

Sends of one instant are gathered and admitted together, in an order that follows from what they are (``identity``). So
neither the order of the arguments of ``gather`` nor the driver changes who goes first, or any time.

A send from a node to itself crosses no channel: it is delivered in the same instant, and leaves no trace in the
timeline.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from numpy.typing import ArrayLike

from hyperfabric_q.errors import BusyFabric, InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import classical_network
from hyperfabric_q.scheduling import faults
from hyperfabric_q.scheduling.drivers import SPINNING, Clock, clock
from hyperfabric_q.scheduling.faults import Fault
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Failure, Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy
from hyperfabric_q.scheduling.timeline import Recorder, Timeline
from hyperfabric_q.traffic import bulk, codecs, handlers
from hyperfabric_q.traffic.adaptive import LearnedRouting
from hyperfabric_q.traffic.bulk import Bulk, Names, Transfers
from hyperfabric_q.traffic.collectives.live import Collectives
from hyperfabric_q.traffic.courier import Courier
from hyperfabric_q.traffic.deadlines import missed, vet
from hyperfabric_q.traffic.endings import arrived, failed, undeliverable
from hyperfabric_q.traffic.handlers import Handler, packet_of
from hyperfabric_q.traffic.identity import Identities
from hyperfabric_q.traffic.keys import KeyRing, KeySource, OperatingSystemKeys
from hyperfabric_q.traffic.named_faults import placed
from hyperfabric_q.traffic.payload import Payload, payload_of
from hyperfabric_q.traffic.recovery import Recovery
from hyperfabric_q.traffic.request import Kind, Terms, checked_metadata, duration_ps, kind_of, read_constraint
from hyperfabric_q.traffic.teleport import PairSource, Teleportation, numbers_of, teleportation
from hyperfabric_q.traffic.transfer import CORRUPTED, MAY_HOLD_RESULTS, Sending, TransferResult, standing_for
from hyperfabric_q.traffic.treatment import NO_WISHES, Keys, Treatment, Wishes, treat
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.traffic.wiring import Way

T = TypeVar("T")


class Exchange:
    """A fabric that may grow, what its nodes send, and what runs at them.

    It belongs to the event loop on which it was last used; on another one it starts anew at that loop's time.
    """

    def __init__(self, fabric: Fabric, terms: Terms, *, key_source: KeySource | None = None) -> None:
        """Start from ``fabric``; nothing is wired before the first send."""
        if not isinstance(fabric, Fabric):
            raise InvalidValue(field="fabric", value=fabric, rule="it is a Fabric")
        if key_source is not None and not hasattr(key_source, "reserve"):
            raise InvalidValue(field="key_source", value=key_source, rule="it leases keys, as a KeySource does")
        self.ways = Ways(fabric, strict=terms.strict, chunk_ps=terms.chunk_ps)
        self.terms = terms
        self._handlers: dict[str, Handler] = {}
        self._keys = Keys(KeyRing(OperatingSystemKeys() if key_source is None else key_source))
        profile = terms.transport
        self._bare = profile.packet_payload is None
        self._plain = Treatment(host_ps=profile.message_ps, before_ps=profile.message_ps)
        self._constraint_ps = terms.constraint_ps
        self._vets = terms.strict or terms.on_violation == "raise"
        self.pairs: PairSource | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Clock | None = None
        self._kernel: Kernel | None = None
        self._batch: list[Sending] = []
        self._identities = Identities()
        self._at_home = 0
        self._on_paper: Bulk | None = None
        self.collectives = Collectives(self.ways, terms, attached=self.attached, join=self.join, alone=self._is_alone)
        self._withdrew = False
        self._learned: LearnedRouting | None = None
        self._recovery: Recovery | None = None
        self._faults: list[tuple[Fault, str]] = []
        self._again: set[asyncio.Task[None]] = set()

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
            BusyFabric: the loop's clock keeps less than asked, or serves in another order, or another loop is not done.
        """
        loop = asyncio.get_running_loop()
        if self._clock is not None and loop is self._loop:
            return self._clock
        self._leave()
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
        self._batch, self._identities = [], Identities()
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

    def _leave(self) -> None:
        """Refuse to leave a loop that may still have something under way."""
        old, kernel = self._loop, self._kernel
        if old is None or kernel is None or old.is_closed():
            return
        if old.is_running() or self._batch or kernel.pending:
            raise BusyFabric(
                asked="another event loop",
                found="this protocol is in use on one that has not ended",
                remedy="End that one first, or make a protocol for each.",
            )

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

    def courier(self) -> Courier:
        """Return who carries control messages on the clock of the running event loop."""
        clock = self.attached()
        self.join()
        return Courier(self.ways, clock.kernel, self.terms.transport)

    async def sleep(self, duration_ns: float) -> None:
        """Wait until so many virtual nanoseconds have passed."""
        await self.attached().sleep_ps(duration_ps(duration_ns))

    async def compute(self, work: Callable[[], T], duration_ns: float, executor: Executor | None) -> T:
        """Return what ``work`` returns, run for real while exactly ``duration_ns`` of virtual time pass."""
        given: object = work
        if not callable(given) or inspect.iscoroutinefunction(given):
            raise InvalidValue(field="fn", value=work, rule="it is a function without arguments, not an async one")
        return await self.attached().hold(work, duration_ps(duration_ns), executor)

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
        wishes = NO_WISHES
        asks = isinstance(metadata, Mapping) and "quantum_secured" in metadata
        if asks or not (compression is False and encryption is False and entanglement is False):
            wishes = Wishes.of(compression, encryption, entanglement, metadata)
        kind = kind_of(data_type, priority)
        try:
            way = (self.ways.sealed if wishes.encryption else self.ways.plain).get((source, destination))
        except TypeError:
            found = (source, destination)
            raise InvalidValue(field="source, destination", value=found, rule="they are node ids") from None
        if way is None:
            way = self.ways.find(source, destination, encrypted=wishes.encryption)
        if type(data) in MAY_HOLD_RESULTS:
            data = standing_for(data)
        if metadata is not None:
            metadata = checked_metadata(metadata)
        constraint = read_constraint(latency_constraint_ns, self._constraint_ps)
        state = None
        if wishes.entanglement:
            sending, state = await self._entangled(way, data, kind, wishes, clock, asked_ps, constraint, metadata)
        else:
            sending = self._prepared(way, data, kind, wishes, asked_ps, constraint, metadata)
        if self._recovery is None:
            await self._carried(sending, clock)
        else:
            sending = await self._recovery.carried(sending, clock, self._carried)
        return await self._received(sending, clock, state)

    def _prepared(
        self,
        way: Way,
        data: object,
        kind: Kind,
        wishes: Wishes,
        asked_ps: int,
        constraint: int | None,
        metadata: Mapping[str, Any] | None,
        lacking: str | None = None,
    ) -> Sending:
        """Return a send of what travels classically; ``lacking`` is why it does though entanglement was demanded."""
        payload = payload_of(data, kind.data_type, neurons=way.neurons)
        size = payload.nbytes
        if wishes is NO_WISHES and way.plain and size <= way.room:
            treatment = self._plain
            nbytes = (size or 1) if self._bare else self.terms.transport.wire_bytes(size)
        else:
            treatment, nbytes = self._treated(way, payload, kind, wishes, lacking)
        deadline = NO_DEADLINE
        if constraint is not None:
            deadline = min(asked_ps + constraint - treatment.after_ps, NO_DEADLINE)
            if self._vets:
                vet(way, nbytes, treatment, constraint)
        if way.verdict.recorded:
            self.ways.record(way)
        return Sending(way, payload, kind, treatment, asked_ps, constraint, deadline, nbytes, metadata)

    async def _entangled(
        self,
        way: Way,
        data: object,
        kind: Kind,
        wishes: Wishes,
        clock: Clock,
        asked_ps: int,
        constraint: int | None,
        metadata: Mapping[str, Any] | None,
    ) -> tuple[Sending, Teleportation | None]:
        """Return the send of a teleportation's classical bits, once its qubits are measured; or of all classically."""
        state = teleportation(self.pairs, way, data, kind, self.ways.fabric)
        if isinstance(state, str):
            numbers = numbers_of(data)
            return self._prepared(way, numbers, kind, wishes, asked_ps, constraint, metadata, lacking=state), None
        bits = state.bits()
        treated = self._treated(way, bits, kind, wishes, None)
        if constraint is not None and self._vets:
            vet(way, treated[1], state.at_best(treated[0]), constraint)
        await state.measured(clock, kind.priority_class)
        return state.sending(bits, kind, treated, clock, asked_ps, constraint, metadata), state

    async def _carried(self, sending: Sending, clock: Clock) -> None:
        """Wait until the last byte has arrived."""
        if not sending.way.path:
            if self._was_down(sending, clock.kernel.now_ps):
                raise undeliverable(sending, str(Failure.NODE_DOWN), "It is sent when the node is up again.")
            sending.started_ps = sending.done_ps = clock.kernel.now_ps
            self._at_home += 1
            await asyncio.sleep(0)
            return
        sending.on_done = arrived
        sending.on_failed = failed
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

    async def _received(self, sending: Sending, clock: Clock, state: Teleportation | None = None) -> TransferResult:
        """Hand over what has arrived: open, decode, let the handler answer."""
        payload, treatment, way = sending.payload, sending.treatment, sending.way
        content = payload.content
        if treatment.after_ps:
            await clock.sleep_ps(treatment.after_ps)
            if self._was_down(sending, sending.done_ps):
                raise undeliverable(sending, str(Failure.NODE_DOWN), "It was in, and not yet opened.")
        if treatment.seal is not None:
            self._keys.open(treatment.seal, corrupted=CORRUPTED in sending.marks)
        elif CORRUPTED in sending.marks:
            raise undeliverable(sending, CORRUPTED)
        if treatment.decision is not None:
            content = codecs.delivered(payload, treatment.decision)
        if state is not None:
            content = state.arrived(sending, clock.kernel.now_ps)
        handler = self._handlers.get(way.destination)
        response = None
        if handler is not None:
            response = await handlers.answer(handler, packet_of(sending, content))
        result = TransferResult(sending, content, response, self.terms.transport.name)
        if self._vets and sending.constraint_met is False and self.terms.on_violation == "raise":
            raise missed(sending, result)
        if way.path or self._at_home < SPINNING:  # A node that talks to itself for ever must not stop the clock.
            clock.wake()
        return result

    def _was_down(self, sending: Sending, since_ps: int) -> bool:
        """Whether the destination of a send was down at any time from then until now."""
        kernel = self._kernel
        if kernel is None or kernel.faults is None:
            return False
        return faults.schedule(kernel).was_down(sending.way.destination, since_ps)

    def _duplicated(self, message: Message) -> None:
        """A copy of a send arrives: without fault tolerance the handler gets it as if it were another one."""
        assert isinstance(message, Sending)  # noqa: S101
        handler = self._handlers.get(message.way.destination)
        refused = CORRUPTED in message.marks or message.treatment.seal is not None
        if self._recovery is not None:
            self._recovery.suppressed += 1
        elif handler is not None and self._loop is not None and not refused:
            task = self._loop.create_task(self._answered_again(handler, message))
            self._again.add(task)
            task.add_done_callback(self._again.discard)

    async def _answered_again(self, handler: Handler, sending: Sending) -> None:
        """Let a handler answer a copy, for which nobody waits who could hear of what it raises."""
        try:
            await handlers.answer(handler, packet_of(sending, sending.payload.content))
        except Exception as fault:  # whatever a user's function raises
            ends = sending.way.text
            self.ways.notice(f"The handler of {sending.way.destination!r} raised on a copy: {fault!r}", ("copy", ends))

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
            kind=kind_of(data_type, priority),
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
        batch, self._batch, self._at_home = self._batch, [], 0
        if kernel is None:
            return
        self._identities.give(batch, kernel.now_ps)
        if self._learned is not None:
            self._learned.choose(batch, self._open_ways)
        elif self._recovery is not None:
            self._recovery.choose(batch)
        for sending in batch:
            kernel.submit(sending)

    def _open_ways(self, sending: Sending) -> Sequence[Way]:
        if self._recovery is not None:
            return self._recovery.open_ways(sending)
        return self.ways.choices(sending.way, encrypted=sending.asks_for_seal)

    def _treated(
        self, way: Way, payload: Payload, kind: Kind, wishes: Wishes, lacking: str | None
    ) -> tuple[Treatment, int]:
        found = treat(way, payload, kind, wishes, terms=self.terms, keys=self._keys, lacking=lacking)
        if found[0].fell_back is not None:
            self.ways.notice(f"{way.source!r} to {way.destination!r}: {found[0].warnings[-1]} {_FURTHER}", way.text)
        if found[0].shards > 1 or lacking is not None:
            reason = "".join((lacking or "").split("'")[::2])  # without the names in it
            for text in found[0].warnings:
                self.ways.notice(f"{text} {_FURTHER}", (found[0].shards > 1, reason))
        return found


_USERS: WeakKeyDictionary[Kernel, WeakSet[Exchange]] = WeakKeyDictionary()
"""Who uses which kernel."""

_FURTHER: Final = "Of further such sends only the receipts will say so."
