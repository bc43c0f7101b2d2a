"""A send while it is under way, and what it returns: the result at once, the receipt when it is asked for.

The time from asking to having is split into parts that sum exactly, in picoseconds:

| part | what it is |
|---|---|
| ``codec_ps`` | compressing before the first byte, decompressing after the last |
| ``crypto_ps`` | sealing and opening |
| ``host_ps`` | processor time of the transport at both ends |
| ``entanglement_ps`` | sharing Bell pairs, measuring and correcting, when the payload is teleported |
| ``propagation_ps`` | the delays of all channels on the way |
| ``serialisation_ps`` | what the bytes take on the idle channels, one behind the other |
| ``blocking_ps`` | waiting for less urgent bytes that were on a line already: a chunk, or among bulk classes a turn |
| ``recovery_ps`` | attempts that were lost, and noticing that; 0 without fault tolerance |
| ``queueing_ps`` | all the rest: waiting for others of the same class or a more urgent one |
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.codecs import CodecDecision
from hyperfabric_q.traffic.isolation import with_quantum_key
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.payload import Payload
from hyperfabric_q.traffic.request import Kind
from hyperfabric_q.traffic.treatment import Entanglement, Treatment
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import to_ns

CORRUPTED: Final = "corrupted"
"""The mark on a message of which some bytes arrived changed."""


@dataclass(slots=True, eq=False)
class Story:
    """What became of the attempts at one send so far, under fault tolerance.

    Attributes:
        attempts: that were lost.
        reasons: why, one each.
        suspects: how often it was lost on a way over each channel.
        key: identity of the first attempt.
        noticed: whether the sender knows already that the last one was lost.
    """

    attempts: int = 0
    reasons: list[str] = field(default_factory=list)
    suspects: dict[int, int] = field(default_factory=dict)
    key: int = 0
    noticed: bool = False

    def suffered(self, lost: Sending, reason: str) -> None:
        """Note that an attempt was lost."""
        self.key = self.key or lost.identity
        self.attempts += 1
        self.reasons.append(reason)
        for number in lost.path:
            self.suspects[number] = self.suspects.get(number, 0) + 1


class Sending(Message):
    """A message with what its receipt needs; ``asked_ps`` is when it was asked for, ``future`` who waits for it."""

    __slots__ = ("asked_ps", "constraint_ps", "future", "kind", "metadata", "payload", "story", "treatment", "way")

    def __init__(
        self,
        way: Way,
        payload: Payload,
        kind: Kind,
        treatment: Treatment,
        asked_ps: int,
        constraint_ps: int | None,
        deadline_ps: int,
        nbytes: int,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        """Describe a send; the exchange gives it its identity when it is admitted."""
        super().__init__(
            path=way.path or (0,),  # from a node to itself nothing enters the kernel
            delays=way.delays or (0,),
            nbytes=nbytes,
            priority_class=kind.priority_class,
            deadline_ps=deadline_ps,
            release_ps=asked_ps + treatment.before_ps,
        )
        self.way = way
        self.payload = payload
        self.kind = kind
        self.treatment = treatment
        self.asked_ps = asked_ps
        self.constraint_ps = constraint_ps
        self.metadata = metadata
        self.future: asyncio.Future[None] | None = None
        self.story: Story | None = None

    @property
    def latency_ps(self) -> int:
        """From asking to having."""
        return self.done_ps + self.treatment.after_ps - self.asked_ps

    @property
    def origin(self) -> int:
        """The idempotency key: the same for all attempts at a send, and all copies."""
        return self.identity if self.story is None else self.story.key or self.identity

    @property
    def asks_for_seal(self) -> bool:
        """Whether it is sealed because that was asked for, not because a zone demands it."""
        return self.treatment.seal is not None and not self.way.verdict.switched_on

    @property
    def constraint_met(self) -> bool | None:
        """Whether it came in time; None when nothing was asked."""
        return None if self.constraint_ps is None else self.latency_ps <= self.constraint_ps


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Return what became of a transfer; times are whole picoseconds of the virtual clock.

    Attributes:
        source, destination: node ids.
        data_type, priority: as asked.
        priority_class: 0 (most urgent) to 7, which follows from both.
        path: the nodes that the bytes were on.
        channels: labels of the channels they took.
        nbytes: size of the payload.
        wire_bytes: size on the wire, with headers, coded and sealed.
        submitted_ps: when ``send_data`` was called.
        started_ps: when the first byte was sent.
        done_ps: when the payload was ready at the destination.
        queueing_ps, blocking_ps, serialisation_ps, propagation_ps, codec_ps, crypto_ps, host_ps, recovery_ps: parts
            of the time between; see ``hyperfabric_q.traffic.transfer``.
        lower_bound_ps: what it takes at least on this way, whatever else is sent.
        latency_constraint_ns: what was asked; None = nothing.
        constraint_met: whether that was met; None when nothing was asked.
        compression: what was decided, with the reason; None when it was not asked for.
        encryption: "aes-256-gcm"; under a key of quantum key distribution "aes-gcm(qkd-key)" or "otp+wegman-carter";
            "none", or why none was needed.
        key_origin: where the key came from; None without encryption.
        key_id: name of the key, which is no secret; None without encryption.
        quantum_secured: whether the key came from quantum key distribution and served this message alone.
        trusted_nodes: who relayed that key and can therefore read the message.
        entanglement: what was used; None = the payload travelled classically.
        preemptions: how often it was interrupted.
        retransmissions: how often it was sent again.
        shards: pieces in which it was streamed because the destination's memory holds no more; 1 = in one piece.
        zones: isolated zones whose border it crossed.
        gateway: the gateway it passed; None when it needed none.
        profile: name of the transport.
        warnings: what else a careful reader would want to know.
        identity: 64 bits that follow from what was sent and when.
    """

    source: str
    destination: str
    data_type: DataType
    priority: PacketPriority
    priority_class: int
    path: tuple[str, ...]
    channels: tuple[str, ...]
    nbytes: int
    wire_bytes: int
    submitted_ps: int
    started_ps: int
    done_ps: int
    queueing_ps: int
    blocking_ps: int
    serialisation_ps: int
    propagation_ps: int
    codec_ps: int
    crypto_ps: int
    host_ps: int
    entanglement_ps: int
    recovery_ps: int
    lower_bound_ps: int
    latency_constraint_ns: float | None
    constraint_met: bool | None
    compression: CodecDecision | None
    encryption: str
    key_origin: str | None
    key_id: str | None
    quantum_secured: bool
    trusted_nodes: tuple[str, ...]
    entanglement: Entanglement | None
    preemptions: int
    retransmissions: int
    shards: int
    zones: tuple[str, ...]
    gateway: str | None
    profile: str
    warnings: tuple[str, ...]
    identity: int

    @property
    def hops(self) -> int:
        """From node to node; switches do not count."""
        return len(self.path) - 1

    @property
    def latency_ps(self) -> int:
        """From ``submitted_ps`` to ``done_ps``."""
        return self.done_ps - self.submitted_ps

    @property
    def latency_ns(self) -> float:
        """From ``submitted_ps`` to ``done_ps``, in nanoseconds."""
        return to_ns(self.latency_ps)

    @property
    def lower_bound_ns(self) -> float:
        """``lower_bound_ps`` in nanoseconds."""
        return to_ns(self.lower_bound_ps)

    @property
    def parts_ps(self) -> dict[str, int]:
        """The parts of the time by name; they sum to ``latency_ps``."""
        return {
            "queueing": self.queueing_ps,
            "blocking": self.blocking_ps,
            "serialisation": self.serialisation_ps,
            "propagation": self.propagation_ps,
            "codec": self.codec_ps,
            "crypto": self.crypto_ps,
            "host": self.host_ps,
            "entanglement": self.entanglement_ps,
            "recovery": self.recovery_ps,
        }

    def __str__(self) -> str:
        kind = f"{self.data_type.value}, class {self.priority_class}"
        rows = [f"{' → '.join(self.path)}: {self.nbytes} bytes ({kind}) in {self.latency_ns:.12g} ns"]
        parts = (f"{name} {to_ns(spent):.12g}" for name, spent in self.parts_ps.items() if spent)
        rows.append(f"  ns: {', '.join(parts) or 'none'}; at least {self.lower_bound_ns:.12g}")
        if self.latency_constraint_ns is not None:
            met = "met" if self.constraint_met else "not met"
            rows.append(f"  constraint of {self.latency_constraint_ns:.12g} ns: {met}")
        if self.compression is not None:
            rows.append(f"  compression: {self.compression.codec}, {self.compression.reason}")
        if self.key_origin is not None:
            told = f", key {self.key_id} from {self.key_origin}" if self.quantum_secured else ""
            rows.append(f"  encryption: {self.encryption}{told}")
        if self.entanglement is not None:
            rows.append(f"  entanglement: {len(self.entanglement.pairs)} Bell pair(s)")
        if self.retransmissions:
            rows.append(f"  sent {self.retransmissions + 1} times")
        return "\n".join([*rows, *(f"  ! {each}" for each in self.warnings)])

    @property
    def compression_ratio(self) -> float:
        """Payload bytes per coded byte; 1.0 when nothing was coded."""
        return 1.0 if self.compression is None else self.compression.ratio


def receipt_of(sending: Sending, profile: str) -> Receipt:
    """Return the receipt of a send that has arrived."""
    way, kind, treatment = sending.way, sending.kind, sending.treatment
    elapsed = sending.done_ps - sending.release_ps
    idle, least = way.times_ps(sending.nbytes) if way.path else (0, 0)
    serialisation = min(idle, elapsed) - way.propagation_ps
    blocking = min(sending.blocking_ps, elapsed - way.propagation_ps - serialisation)
    marks = tuple(f"On the way it was {mark}." for mark in sending.marks)
    story, constraint = sending.story, sending.constraint_ps
    lease = None if treatment.seal is None else treatment.seal.lease
    known = with_quantum_key(way.warnings) if treatment.quantum_secured else way.warnings
    lost = () if story is None else tuple(f"An attempt did not arrive: {reason}." for reason in story.reasons)
    return Receipt(
        source=way.source,
        destination=way.destination,
        data_type=kind.data_type,
        priority=kind.priority,
        priority_class=kind.priority_class,
        path=way.hops,
        channels=tuple(spec.label for spec in way.specs),
        nbytes=sending.payload.nbytes,
        wire_bytes=sending.nbytes if way.path else 0,
        submitted_ps=sending.asked_ps,
        started_ps=sending.started_ps,
        done_ps=sending.done_ps + treatment.after_ps,
        queueing_ps=elapsed - way.propagation_ps - serialisation - blocking,
        blocking_ps=blocking,
        serialisation_ps=serialisation,
        propagation_ps=way.propagation_ps,
        codec_ps=treatment.codec_ps,
        crypto_ps=treatment.crypto_ps,
        host_ps=treatment.host_ps,
        entanglement_ps=treatment.entangling_ps,
        recovery_ps=sending.release_ps - sending.asked_ps - treatment.before_ps,
        lower_bound_ps=least + treatment.before_ps - treatment.waited_ps + treatment.after_ps,
        latency_constraint_ns=None if constraint is None else to_ns(constraint),
        constraint_met=sending.constraint_met,
        compression=treatment.decision,
        encryption=treatment.encryption,
        key_origin=None if lease is None else lease.origin,
        key_id=None if lease is None else lease.key_id,
        quantum_secured=treatment.quantum_secured,
        trusted_nodes=() if lease is None else lease.trusted,
        entanglement=treatment.entanglement,
        preemptions=sending.preemptions,
        retransmissions=0 if story is None else story.attempts,
        shards=treatment.shards,
        zones=way.verdict.zones,
        gateway=way.verdict.gateway,
        profile=profile,
        warnings=(*known, *treatment.warnings, *lost, *marks),
        identity=sending.identity,
    )


class TransferResult:
    """Return what a send brought: the payload, the destination's answer, and a receipt.

    Given as ``data`` of another send, alone or in a list, tuple or dict, it stands for its ``value``.

    Attributes:
        payload: what arrived: the very object that was sent, or after a lossy codec a new array.
        response: what the destination's handler returned; None without a handler.
    """

    __slots__ = ("_profile", "_receipt", "_sending", "payload", "response")

    def __init__(self, sending: Sending, payload: object, response: object, profile: str) -> None:
        """Take over a send that has arrived."""
        self._sending = sending
        self._profile = profile
        self._receipt: Receipt | None = None
        self.payload = payload
        self.response = response

    @property
    def receipt(self) -> Receipt:
        """Where the time went and what was done to the payload; made when first asked for."""
        if self._receipt is None:
            self._receipt = receipt_of(self._sending, self._profile)
        return self._receipt

    @property
    def value(self) -> object:
        """The destination's answer, or without one the payload."""
        return self.payload if self.response is None else self.response

    @property
    def latency_ps(self) -> int:
        """From the call of ``send_data`` until the payload was ready, in picoseconds."""
        return self._sending.latency_ps

    @property
    def latency_ns(self) -> float:
        """The same in nanoseconds."""
        return to_ns(self._sending.latency_ps)

    @property
    def constraint_met(self) -> bool | None:
        """Whether the latency constraint was met; None when there was none."""
        return self._sending.constraint_met

    @property
    def quantum_secured(self) -> bool:
        """Whether it was sealed under a key of quantum key distribution."""
        return self._sending.treatment.quantum_secured

    @property
    def entanglement(self) -> Entanglement | None:
        """The Bell pairs that carried it; None when the payload travelled classically."""
        return self._sending.treatment.entanglement

    @property
    def warnings(self) -> tuple[str, ...]:
        """The receipt's warnings."""
        return self.receipt.warnings

    def __repr__(self) -> str:
        way, nbytes = self._sending.way, self._sending.payload.nbytes
        return f"<TransferResult {way.source} → {way.destination}: {nbytes} bytes in {self.latency_ns:.12g} ns>"


MAY_HOLD_RESULTS: Final = frozenset({TransferResult, list, tuple, dict})


def standing_for(data: object) -> object:
    """Return what is sent when ``data`` is given: results of sends, alone or in a list, tuple or dict, are values."""
    if isinstance(data, TransferResult):
        return data.value
    if isinstance(data, dict):
        held = any(type(each) is TransferResult for each in data.values())
        return {name: _value(each) for name, each in data.items()} if held else data
    if isinstance(data, list | tuple) and any(type(each) is TransferResult for each in data):
        return type(data)(map(_value, data))
    return data


def _value(given: object) -> object:
    return given.value if isinstance(given, TransferResult) else given
