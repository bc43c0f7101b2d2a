"""What is done to a payload besides sending it: coded, sealed, streamed in shards; and what all that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyperfabric_q.errors import EntanglementUnavailable, InvalidValue, NotEnoughMemory
from hyperfabric_q.fabric import HardwareType, NodeSignature
from hyperfabric_q.traffic import codecs, sealing
from hyperfabric_q.traffic.codecs import CodecDecision
from hyperfabric_q.traffic.keys import KeyLease, KeyRing
from hyperfabric_q.traffic.payload import Payload
from hyperfabric_q.traffic.request import Kind, Terms
from hyperfabric_q.traffic.sealing import Header, Sealed, sealed_nbytes
from hyperfabric_q.traffic.wiring import BYTES_PER_GB, Way

PLAINTEXT: Final = "none"
AT_HOME: Final = "none needed: it never leaves the node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What is needed to open a sealed message."""

    header: Header
    sealed: Sealed
    lease: KeyLease


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one send asks for besides being sent."""

    compression: bool | str
    encryption: bool
    entanglement: bool

    @classmethod
    def of(cls, compression: object, encryption: object, entanglement: object) -> Wishes:
        """Return the wishes, checked.

        Raises:
            InvalidValue: one is neither True nor False (nor, for compression, the name of a lossy codec).
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
        return cls(compression=compression, encryption=encryption is True, entanglement=entanglement is True)


NO_WISHES: Final = Wishes(compression=False, encryption=False, entanglement=False)


class Keys:
    """What sealing remembers: the key of each pair, how many messages were sealed, and what was opened."""

    def __init__(self, ring: KeyRing) -> None:
        """Start with nothing sealed."""
        self._ring = ring
        self._replays = sealing.ReplayGuard()
        self._sealed: dict[tuple[str, str], int] = {}

    def seal(self, way: Way, payload: Payload, kind: Kind, codec: str) -> Seal:
        """Return ``payload`` sealed for the destination, in the real bytes of ``codec`` where it has bytes."""
        pair = way.source, way.destination
        number = self._sealed[pair] = self._sealed.get(pair, -1) + 1
        zones = way.verdict.zones
        header = Header(
            source=way.source,
            destination=way.destination,
            sequence=number,
            data_type=kind.data_type,
            zone=zones[0] if zones else None,
            codec=codec,
        )
        contents = payload if payload.is_virtual else memoryview(codecs.encode(payload, codec))
        lease = self._ring.lease(*pair, messages=1 + payload.nbytes // sealing.LARGEST_MESSAGE)
        return Seal(header=header, sealed=sealing.seal(header, contents, lease), lease=lease)

    def open(self, seal: Seal, *, corrupted: bool) -> bytes:
        """Return the contents of a sealed message as it came in; of a virtual payload no bytes.

        Raises:
            SealBroken: it was altered on the way.
        """
        sealed = seal.sealed
        if corrupted:
            flipped = bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]
            sealed = Sealed(
                key_id=sealed.key_id, nonce=sealed.nonce, ciphertext=flipped, virtual_nbytes=sealed.virtual_nbytes
            )
        return sealing.open_sealed(seal.header, sealed, seal.lease, self._replays)


def treat(
    way: Way, payload: Payload, kind: Kind, wishes: Wishes, *, terms: Terms, keys: Keys, lacking: str | None = None
) -> tuple[Treatment, int]:
    """Return what is done to a payload, and its bytes on the wire.

    ``lacking`` is why entanglement that was demanded cannot be had; None when none was, or when it can.

    Raises:
        NotEnoughMemory: in strict mode, it does not fit the destination.
        EntanglementUnavailable: in strict mode, entanglement is demanded.
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
    seal, end_ps = None, 0
    if wishes.encryption or way.verdict.must_encrypt:
        seal = keys.seal(way, payload, kind, "none" if decision is None else decision.codec)
        end_ps = terms.cipher.ps(size)
        size = sealed_nbytes(size)
    treatment = Treatment(
        decision=decision,
        codec_ps=encode_ps + decode_ps,
        crypto_ps=2 * end_ps,
        host_ps=profile.message_ps,
        before_ps=encode_ps + end_ps + profile.message_ps,
        after_ps=end_ps + decode_ps,
        encryption=PLAINTEXT if seal is None else sealing.PURPOSE,
        seal=seal,
        shards=shards,
        warnings=tuple(warnings),
    )
    return treatment, profile.wire_bytes(size)


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
