"""What is done to a payload besides sending it: coded, sealed, streamed in shards; and what all that costs.

**Keys of quantum key distribution.** A send that asks for one (``request.quantum_wish``), or that crosses the border of
a ``QUANTUM_SECURE`` zone while there is a source of such keys, takes a key of its own from that source and is sealed
with it. What is tried, in this order: a key that only the two ends hold, as a one-time pad if the payload is small,
then for AES-256-GCM; then the same with keys that declared trusted nodes relay. When there is none, strict mode
refuses; otherwise the ordinary seal is used, and the receipt says that and why. Every other send has ordinary keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from hyperfabric_q.errors import EntanglementUnavailable, InvalidValue, NotEnoughMemory, QuantumKeyUnavailable
from hyperfabric_q.fabric import HardwareType, NodeSignature
from hyperfabric_q.traffic import codecs, sealing
from hyperfabric_q.traffic.codecs import CodecDecision
from hyperfabric_q.traffic.keys import NOT_SECRET, KeyLease, KeyRing, OperatingSystemKeys, QuantumKeySource
from hyperfabric_q.traffic.payload import Payload
from hyperfabric_q.traffic.request import Kind, QuantumWish, Terms, quantum_wish
from hyperfabric_q.traffic.sealing import ONE_TIME_PAD, QUANTUM_GCM, Header, Sealed, sealed_nbytes
from hyperfabric_q.traffic.wiring import BYTES_PER_GB, Way

PLAINTEXT: Final = "none"
AT_HOME: Final = "none needed: it never leaves the node"

PAD_LIMIT: Final = 1024
"""Bytes up to which a payload gets a one-time pad when nobody says which mode: 8448 bits of key."""

_MODES: Final = {"otp": (ONE_TIME_PAD,), "aes-256-gcm": (QUANTUM_GCM,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What is needed to open a sealed message."""

    header: Header
    sealed: Sealed
    lease: KeyLease

    @property
    def is_quantum(self) -> bool:
        """Whether its key came from quantum key distribution and served this message alone."""
        return self.sealed.mode in {ONE_TIME_PAD, QUANTUM_GCM} and self.lease.is_quantum


@dataclass(frozen=True, slots=True, kw_only=True)
class Entanglement:
    """Return the Bell pairs that a teleportation used.

    Attributes:
        pairs: their ids in the ledger, one per qubit.
        attempts: made for them, on all links.
        shared_ns: from asking until the last Bell measurement.
        fidelities: of each when it was used: measured at the source, corrected at the destination.
        ages_ns: of each at its correction.
    """

    pairs: tuple[int, ...]
    attempts: int
    shared_ns: float
    fidelities: tuple[float, ...] = ()
    ages_ns: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done to a payload besides sending it.

    Attributes:
        decision: of the codec; None when compression was not asked for.
        codec_ps, crypto_ps, host_ps, entangling_ps: at both ends together.
        waited_ps: what of the entangling was waiting, so that a better day would have spared it.
        before_ps: what of these comes before the first byte.
        after_ps: what comes after the last.
        encryption: the cipher, "none", or why none is needed.
        seal: how the message is sealed; None when it is not.
        shards: pieces that fit the destination's memory.
        entanglement: the pairs that carried it; None when it travels classically.
        warnings: what the receipt says about it.
        fell_back: why it has an ordinary key though one of quantum key distribution was asked for; else None.
    """

    decision: CodecDecision | None = None
    codec_ps: int = 0
    crypto_ps: int = 0
    host_ps: int = 0
    entangling_ps: int = 0
    waited_ps: int = 0
    before_ps: int = 0
    after_ps: int = 0
    encryption: str = PLAINTEXT
    seal: Seal | None = None
    shards: int = 1
    entanglement: Entanglement | None = None
    warnings: tuple[str, ...] = ()
    fell_back: str | None = None

    @property
    def quantum_secured(self) -> bool:
        """Whether it is sealed under a key of quantum key distribution."""
        return self.seal is not None and self.seal.is_quantum


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one send asks for besides being sent; a ``quantum`` key implies encryption."""

    compression: bool | str
    encryption: bool
    entanglement: bool
    quantum: QuantumWish | None = None

    @classmethod
    def of(cls, compression: object, encryption: object, entanglement: object, metadata: object = None) -> Wishes:
        """Return the wishes, checked.

        Raises:
            InvalidValue: one is neither True nor False (nor, for compression, the name of a lossy codec), or as in
                ``quantum_wish``.
        """
        if not isinstance(compression, bool | str) or compression == "":
            raise InvalidValue(
                field="compression_enabled",
                value=compression,
                rule="it is True, False, or the name of a lossy codec that may be used",
            )
        for field, given in (
            ("encryption_enabled", encryption),
            ("requires_quantum_entanglement", entanglement),
        ):
            if not isinstance(given, bool):
                raise InvalidValue(field=field, value=given, rule="it is True or False")
        quantum = quantum_wish(metadata)
        return cls(
            compression=compression,
            encryption=encryption is True or quantum is not None,
            entanglement=entanglement is True,
            quantum=quantum,
        )


NO_WISHES: Final = Wishes(compression=False, encryption=False, entanglement=False)


class Keys:
    """What sealing remembers: the key of each pair, how many messages were sealed, and what was opened."""

    def __init__(self, ring: KeyRing) -> None:
        """Start with nothing sealed; a source of quantum keys serves only those that ask for one."""
        self._quantum = ring.source if isinstance(ring.source, QuantumKeySource) else None
        self._ring = ring if self._quantum is None else KeyRing(OperatingSystemKeys())
        self._replays = sealing.ReplayGuard()
        self._sealed: dict[tuple[str, str], int] = {}

    @property
    def has_quantum(self) -> bool:
        """Whether there is a source of quantum keys."""
        return self._quantum is not None

    def seal(self, way: Way, payload: Payload, kind: Kind, codec: str) -> Seal:
        """Return ``payload`` sealed for the destination, in the real bytes of ``codec`` where it has bytes."""
        header, contents = self._header(way, kind, codec), _contents(payload, codec)
        messages = 1 + payload.nbytes // sealing.LARGEST_MESSAGE
        lease = self._ring.lease(way.source, way.destination, messages=messages)
        return Seal(header=header, sealed=sealing.seal(header, contents, lease), lease=lease)

    def seal_quantum(
        self, way: Way, payload: Payload, kind: Kind, codec: str, *, wish: QuantumWish, nbytes: int
    ) -> Seal | tuple[str, ...]:
        """Return ``payload`` sealed under a quantum key of its own; or all that was tried, when there is none.

        ``nbytes`` is the size of what is sealed; of a virtual payload, too, as much key is spent as that takes.
        """
        tried: list[str] = []
        contents = _contents(payload, codec)
        for lease, mode in self._found(way, contents, wish, nbytes, tried):
            header = self._header(way, kind, codec)
            return Seal(header=header, sealed=sealing.seal_once(header, contents, lease, mode=mode), lease=lease)
        return tuple(tried)

    def _found(
        self, way: Way, contents: Payload | memoryview, wish: QuantumWish, nbytes: int, tried: list[str]
    ) -> Iterator[tuple[KeyLease, str]]:
        """Yield the keys that may be had, each reserved when it is reached; note what could not be had."""
        source = self._quantum
        if source is None:
            tried.append("no source of quantum keys was given as key_source")
            return
        small = (ONE_TIME_PAD, QUANTUM_GCM) if nbytes <= PAD_LIMIT else (QUANTUM_GCM,)
        size = max(nbytes, contents.nbytes)
        for relayed in (False, True):
            for mode in _MODES.get(wish.mode, small):
                bits = sealing.key_bits(mode, size)
                try:
                    if relayed:
                        lease = source.reserve_relayed(way.source, way.destination, bits, wish.trusted)
                    else:
                        lease = source.reserve(way.source, way.destination, bits)
                except QuantumKeyUnavailable as fault:
                    tried.append(f"{mode}: {fault.reason}")
                    continue
                if lease.is_quantum:
                    yield lease, mode
                tried.append(f"{mode}: the source leased {lease.key_id!r}, which is no quantum key")

    def _header(self, way: Way, kind: Kind, codec: str) -> Header:
        pair = way.source, way.destination
        number = self._sealed[pair] = self._sealed.get(pair, -1) + 1
        zones = way.verdict.zones
        return Header(
            source=way.source,
            destination=way.destination,
            sequence=number,
            data_type=kind.data_type,
            zone=zones[0] if zones else None,
            codec=codec,
        )

    def open(self, seal: Seal, *, corrupted: bool) -> bytes:
        """Return the contents of a sealed message as it came in; of a virtual payload no bytes.

        A key that serves one message is overwritten then, whether the message was authentic or not.

        Raises:
            SealBroken: it was altered on the way.
        """
        sealed = seal.sealed
        if corrupted:
            sealed = replace(sealed, ciphertext=bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:])
        if not seal.is_quantum:
            return sealing.open_sealed(seal.header, sealed, seal.lease, self._replays)
        with seal.lease:
            return sealing.open_once(seal.header, sealed, seal.lease, self._replays)


def _contents(payload: Payload, codec: str) -> Payload | memoryview:
    return payload if payload.is_virtual else memoryview(codecs.encode(payload, codec))


def treat(
    way: Way, payload: Payload, kind: Kind, wishes: Wishes, *, terms: Terms, keys: Keys, lacking: str | None = None
) -> tuple[Treatment, int]:
    """Return what is done to a payload, and its bytes on the wire.

    ``lacking`` is why entanglement that was demanded cannot be had; None when none was, or when it can.

    Raises:
        NotEnoughMemory: in strict mode, it does not fit the destination.
        EntanglementUnavailable: in strict mode, entanglement is demanded.
        QuantumKeyUnavailable: in strict mode, a quantum key is demanded.
        UnknownName, InvalidValue: of ``codecs.decide`` and ``sealing.seal``.
    """
    warnings: list[str] = []
    shards = _shards(way, payload, warnings, strict=terms.strict)
    if lacking is not None:
        warnings.append(_without_entanglement(way, lacking, strict=terms.strict))
    if not way.path:
        sealed = AT_HOME if wishes.encryption else PLAINTEXT
        return Treatment(encryption=sealed, shards=shards, warnings=tuple(warnings)), max(1, payload.nbytes)
    decision = _decision(way, payload, wishes.compression) if wishes.compression else None
    size = payload.nbytes if decision is None else decision.wire_bytes
    profile = terms.transport
    encode_ps, decode_ps = (0, 0) if decision is None else (decision.encode_ps, decision.decode_ps)
    seal, end_ps, fell_back = None, 0, None
    if wishes.encryption or way.verdict.must_encrypt:
        codec = "none" if decision is None else decision.codec
        seal, fell_back = _sealed(way, payload, kind, codec, wishes, size=size, keys=keys, strict=terms.strict)
        warnings += _told(seal, fell_back)
        end_ps = terms.cipher.ps(size)
        size = sealed_nbytes(size, seal.sealed.mode)
    treatment = Treatment(
        decision=decision,
        codec_ps=encode_ps + decode_ps,
        crypto_ps=2 * end_ps,
        host_ps=profile.message_ps,
        before_ps=encode_ps + end_ps + profile.message_ps,
        after_ps=end_ps + decode_ps,
        encryption=PLAINTEXT if seal is None else seal.sealed.mode,
        seal=seal,
        shards=shards,
        warnings=tuple(warnings),
        fell_back=fell_back,
    )
    return treatment, profile.wire_bytes(size)


def _sealed(
    way: Way, payload: Payload, kind: Kind, codec: str, wishes: Wishes, *, size: int, keys: Keys, strict: bool
) -> tuple[Seal, str | None]:
    """Return a payload sealed as it was asked for; or with an ordinary key, and why it has no better one."""
    wish = wishes.quantum
    if wish is None and way.verdict.wants_quantum_key and keys.has_quantum:
        wish = QuantumWish(zone=True)
    if wish is None:
        return keys.seal(way, payload, kind, codec), None
    found = keys.seal_quantum(way, payload, kind, codec, wish=wish, nbytes=size)
    if isinstance(found, Seal):
        return found, None
    if strict:
        raise QuantumKeyUnavailable(
            what=f"sending {size} bytes from {way.source!r} to {way.destination!r} under a quantum key",
            reason="they share none, and strict mode takes no other",
            source=way.source,
            destination=way.destination,
            tried=found,
            remedy="Distil key for the two nodes, or declare who may relay it: metadata={'trusted_nodes': [...]}.",
        )
    return keys.seal(way, payload, kind, codec), "; ".join(found)


def _told(seal: Seal, fell_back: str | None) -> list[str]:
    """Return what the receipt says of a key that was asked to come from quantum key distribution."""
    if fell_back is not None:
        origin = f"{seal.sealed.mode} with a key from {seal.lease.origin}"
        return [f"A quantum key was demanded and there is none ({fell_back}): it was sealed by {origin} instead."]
    if not seal.is_quantum:
        return []
    said = [f"Its key: {seal.lease.origin}."] if NOT_SECRET in seal.lease.origin else []
    if seal.lease.trusted:
        said.append(f"Its key was relayed by {', '.join(seal.lease.trusted)}, who can read it.")
    if seal.sealed.virtual_nbytes is not None:
        said.append(f"The payload is virtual: {seal.lease.bits} bits of key were spent on a size without contents.")
    return said


def _decision(way: Way, payload: Payload, compression: bool | str) -> CodecDecision:  # noqa: FBT001 - as the caller wrote it
    lossy = compression if isinstance(compression, str) else None
    return codecs.decide(payload, way.slowest.gbps, lossy=lossy)


def _shards(way: Way, payload: Payload, warnings: list[str], *, strict: bool) -> int:
    if payload.nbytes <= way.room:
        return 1
    needed, room = payload.nbytes / BYTES_PER_GB, way.room / BYTES_PER_GB
    if strict or not way.room:
        raise NotEnoughMemory(node=way.destination, needed_gb=needed, memory_gb=room)
    shards = -(-payload.nbytes // way.room)
    warnings.append(
        f"{needed:.12g} GB do not fit the {room:.12g} GB of {way.destination!r}: streamed in {shards} shards, "
        "each of which must be consumed before the next is in."
    )
    return shards


def _without_entanglement(way: Way, reason: str, *, strict: bool) -> str:
    """Return what the receipt says of a payload that travels classically although entanglement was demanded."""
    if strict:
        raise EntanglementUnavailable(source=way.source, destination=way.destination, reason=reason)
    return f"Entanglement was demanded, and {reason}: the payload travelled classically, without entanglement."


def holds_qubits(node: NodeSignature) -> bool:
    """Return whether a node can hold half of a Bell pair: a QPU, or whatever states communication qubits or T2."""
    if node.hardware_type is HardwareType.QUANTUM_ANNEALER:
        return False
    return node.hardware_type is HardwareType.QUANTUM_QPU or bool(node.communication_qubits) or node.t2_us is not None
