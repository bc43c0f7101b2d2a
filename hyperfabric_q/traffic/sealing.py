"""Authenticated encryption of what crosses the fabric, and what it costs in time and bytes.

AES-256-GCM (NIST SP 800-38D) of the ``cryptography`` library. Source, destination, sequence number, data type, zone and
codec travel in the clear and are authenticated. A message is opened once: whatever was altered, repeated or sealed
under another key raises, and there is no way to get at its contents.

The contents of a virtual payload stay virtual; its header and its size are sealed like any other, so tampering and
replays are found, and it costs the same time and bytes.

**Keys of quantum key distribution** seal one message each (``seal_once``), in one of two modes:

=====================  ==============================  =============================================================
``QUANTUM_GCM``        256 bits of key                 AES-256-GCM under HKDF-SHA3-256 (RFC 5869) of the key
``ONE_TIME_PAD``       as long as the contents, + 256  their sum with the pad, and a Poly1305 tag (RFC 8439) under a
                                                       key of its own; a forger succeeds with at most
                                                       8·⌈bytes/16⌉/2¹⁰⁶ (Bernstein 2005)
=====================  ==============================  =============================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.poly1305 import Poly1305

from hyperfabric_q.errors import InvalidValue, KeySpent, ReplayRejected, SealBroken
from hyperfabric_q.traffic.keys import NONCE_BYTES, KeyLease
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.payload import Payload
from hyperfabric_q.units import PS_PER_S

PURPOSE: Final = "aes-256-gcm"
QUANTUM_GCM: Final = "aes-gcm(qkd-key)"
ONE_TIME_PAD: Final = "otp+wegman-carter"
KEY_BITS: Final = 256
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES

LARGEST_MESSAGE: Final = 2**36 - 32
"""Bytes under one nonce, NIST SP 800-38D 5.2.1.1; longer virtual payloads are sealed as several messages."""

LARGEST_REAL_MESSAGE: Final = 2**31 - 1
"""Bytes that one call of the library encrypts."""

REPLAY_WIDTH: Final = 65_536
"""How far a message may be overtaken by others of its sender: bulk is, by everything more urgent."""

MAC_BYTES: Final = 32
"""Key of one Poly1305 tag; no other message may ever be authenticated under it."""

_LARGEST_SEQUENCE: Final = 2**64 - 1
_QUANTUM_LABEL: Final = b"hyperfabric_q message key 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is said of a message in the clear, and cannot be changed unnoticed.

    Raises:
        InvalidValue: ``sequence`` does not fit 64 bits.
    """

    source: str
    destination: str
    sequence: int
    data_type: DataType
    zone: str | None = None
    codec: str = "none"

    def __post_init__(self) -> None:
        if not 0 <= self.sequence <= _LARGEST_SEQUENCE:
            raise InvalidValue(field="sequence", value=self.sequence, rule="a sequence number is in [0, 2**64)")

    def associated_data(self) -> bytes:
        """Return the header as bytes; every field has its length before it, so different headers differ."""
        zone = "-" if self.zone is None else f"+{self.zone}"
        parts = [each.encode() for each in (self.source, self.destination, self.data_type.value, zone, self.codec)]
        return self.sequence.to_bytes(8, "big") + b"".join(len(each).to_bytes(4, "big") + each for each in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed message.

    Attributes:
        key_id: name of the key.
        nonce: 12 bytes, sender and counter; a one-time pad has none.
        ciphertext: encrypted contents and tag; of a virtual payload the tag alone.
        virtual_nbytes: size of a virtual payload; None when the contents are real.
        mode: ``PURPOSE``, ``QUANTUM_GCM`` or ``ONE_TIME_PAD``.
    """

    key_id: str
    nonce: bytes
    ciphertext: bytes = field(repr=False)
    virtual_nbytes: int | None = None
    mode: str = PURPOSE

    @property
    def nbytes(self) -> int:
        """Contents, nonce and tag, in bytes."""
        if self.virtual_nbytes is None:
            return len(self.ciphertext) + len(self.nonce)
        return sealed_nbytes(self.virtual_nbytes, self.mode)


class ReplayGuard:
    """What one receiver has opened already, per key and sender, within a window of the latest counters."""

    def __init__(self, *, width: int = REPLAY_WIDTH) -> None:
        """Remember the last ``width`` counters; what is older is rejected unseen.

        Raises:
            InvalidValue: the width is below 1.
        """
        if width < 1:
            raise InvalidValue(field="width", value=width, rule="a replay window remembers at least one counter")
        self._width = width
        self._newest: dict[tuple[str, int], int] = {}
        self._seen: dict[tuple[str, int], int] = {}

    def check(self, key_id: str, sender: int, counter: int) -> None:
        """Do nothing if a message with this counter may still be opened.

        Raises:
            ReplayRejected: it was opened, or is ``width`` or more behind the newest.
        """
        age = self._newest.get((key_id, sender), -1) - counter
        if age < 0:
            return
        what = f"message {counter} of sender {sender} under key {key_id!r}"
        if age >= self._width:
            raise ReplayRejected(what=what, reason=f"{age} newer messages came first, and {self._width - 1} may")
        if self._seen[key_id, sender] >> age & 1:
            raise ReplayRejected(what=what, reason="it was opened before")

    def mark(self, key_id: str, sender: int, counter: int) -> None:
        """Remember an authentic message; a forged one must never get here, or it would move the window."""
        place = (key_id, sender)
        ahead = counter - self._newest.get(place, -1)
        seen = self._seen.get(place, 0)
        if ahead <= 0:
            self._seen[place] = seen | 1 << -ahead
            return
        moved = seen << ahead | 1 if ahead < self._width else 1
        self._seen[place] = moved if moved.bit_length() <= self._width else moved & (1 << self._width) - 1
        self._newest[place] = counter

    def forget(self, key_id: str) -> None:
        """Drop what is known of a key that was released."""
        for place in [each for each in self._newest if each[0] == key_id]:
            del self._newest[place], self._seen[place]


def seal(header: Header, plaintext: Payload | bytes | bytearray | memoryview, lease: KeyLease) -> Sealed:
    """Return ``plaintext`` encrypted from ``header.source`` to ``header.destination`` under the leased key.

    Raises:
        InvalidValue: the key is not of 256 bits or belongs to other nodes, or real contents exceed 2 GiB.
        KeySpent: the key was released, is used up, or serves something else.
    """
    cipher = _cipher(header, lease)
    if isinstance(plaintext, Payload) and plaintext.is_virtual:
        nonce = lease.nonce(header.source, _messages(plaintext.nbytes))
        tag = cipher.encrypt(nonce, b"", _associated(header, plaintext.nbytes))
        return Sealed(key_id=lease.key_id, nonce=nonce, ciphertext=tag, virtual_nbytes=plaintext.nbytes)
    contents = _real(plaintext)
    nonce = lease.nonce(header.source)
    return Sealed(
        key_id=lease.key_id, nonce=nonce, ciphertext=cipher.encrypt(nonce, contents, _associated(header, None))
    )


def _real(plaintext: Payload | bytes | bytearray | memoryview) -> memoryview:
    contents = plaintext.to_bytes() if isinstance(plaintext, Payload) else memoryview(plaintext)
    if contents.nbytes > LARGEST_REAL_MESSAGE:
        raise InvalidValue(
            field="data",
            value=f"{contents.nbytes} bytes",
            rule=f"at most {LARGEST_REAL_MESSAGE} real bytes are sealed as one message",
            remedy="Send it in parts.",
        )
    return contents


def open_sealed(header: Header, sealed: Sealed, lease: KeyLease, replays: ReplayGuard) -> bytes:
    """Return the contents of an authentic message that was not opened before; of a virtual payload no bytes.

    Args:
        header: as it came with the message.
        sealed: the message.
        lease: the receiver's lease of the key.
        replays: what this receiver has opened.

    Raises:
        SealBroken: header, nonce or contents were altered, or another key sealed it.
        ReplayRejected: it was opened before, or is too old to tell.
        KeySpent: the key was released or serves something else.
    """
    what = _checked_ends(header, sealed, lease)
    sender, counter = int.from_bytes(sealed.nonce[:4], "big"), int.from_bytes(sealed.nonce[4:], "big")
    if len(sealed.nonce) != NONCE_BYTES or sender != lease.sender_id(header.source):
        raise SealBroken(what=what, reason="its nonce is not one of the sender that the header names")
    replays.check(lease.key_id, sender, counter)
    try:
        contents = _cipher(header, lease).decrypt(
            sealed.nonce, sealed.ciphertext, _associated(header, sealed.virtual_nbytes)
        )
    except InvalidTag:
        raise SealBroken(what=what, reason="its tag does not match: header or contents were altered") from None
    replays.mark(lease.key_id, sender, counter)
    return contents


def _checked_ends(header: Header, sealed: Sealed, lease: KeyLease) -> str:
    """Return what a message is called in errors, if the lease is that of its key and its two ends."""
    what = f"message {header.sequence} from {header.source!r} to {header.destination!r}"
    if sealed.key_id != lease.key_id:
        raise SealBroken(what=what, reason=f"key {sealed.key_id!r} sealed it, and key {lease.key_id!r} was to open it")
    if {header.source, header.destination} != set(lease.pair):
        raise SealBroken(what=what, reason=f"key {lease.key_id!r} belongs to other nodes")
    return what


def _cipher(header: Header, lease: KeyLease) -> AESGCM:
    if lease.bits != KEY_BITS:
        raise InvalidValue(field="lease", value=lease, rule=f"AES-256-GCM needs a key of {KEY_BITS} bits")
    _check_pair(header, lease)
    return AESGCM(lease.use(PURPOSE))


def _check_pair(header: Header, lease: KeyLease) -> None:
    if {header.source, header.destination} != set(lease.pair):
        raise InvalidValue(
            field="lease", value=lease, rule=f"it is no key of {header.source!r} and {header.destination!r}"
        )


def _associated(header: Header, virtual_nbytes: int | None) -> bytes:
    contents = b"real" if virtual_nbytes is None else b"virtual %d" % virtual_nbytes
    return contents + b"\0" + header.associated_data()


# ------------------------------------------------------------------------------------------------- one key, one message


def key_bits(mode: str, nbytes: int) -> int:
    """Return how many bits of key a message of ``nbytes`` takes in a mode.

    >>> key_bits(ONE_TIME_PAD, 100), key_bits(QUANTUM_GCM, 100)
    (1056, 256)
    """
    return 8 * (nbytes + MAC_BYTES) if mode == ONE_TIME_PAD else KEY_BITS


def seal_once(
    header: Header, plaintext: Payload | bytes | bytearray | memoryview, lease: KeyLease, *, mode: str
) -> Sealed:
    """Return ``plaintext`` sealed under a key that seals nothing else, before or after.

    Args:
        header: travels in the clear, and cannot be changed unnoticed.
        plaintext: the contents, or a payload.
        lease: a key of the two ends with the bits that ``key_bits`` says, or more.
        mode: ``QUANTUM_GCM`` or ``ONE_TIME_PAD``.

    Raises:
        InvalidValue: the key is too short or belongs to other nodes, there is no such mode, or real contents exceed
            2 GiB.
        KeySpent: the key was released, or was used before.
    """
    if mode not in {QUANTUM_GCM, ONE_TIME_PAD}:
        raise InvalidValue(field="mode", value=mode, rule=f"it is {QUANTUM_GCM!r} or {ONE_TIME_PAD!r}")
    virtual = isinstance(plaintext, Payload) and plaintext.is_virtual
    contents = memoryview(b"") if virtual else _real(plaintext)
    nbytes = plaintext.nbytes if isinstance(plaintext, Payload) else contents.nbytes
    if lease.bits < key_bits(mode, nbytes):
        needed = key_bits(mode, nbytes)
        raise InvalidValue(field="lease", value=lease, rule=f"{nbytes} bytes take a key of {needed} bits as {mode}")
    _check_pair(header, lease)
    size = nbytes if virtual else None
    bound = _bound(header, size, lease, mode)
    key = lease.use(mode, once=True)
    if mode == ONE_TIME_PAD:
        covered = _sum(contents, key[MAC_BYTES:])
        nonce, blob = b"", covered + Poly1305.generate_tag(key[:MAC_BYTES], bound + covered)
    else:
        nonce = lease.nonce(header.source, _messages(nbytes))
        with _derived(key, bound) as cipher:
            blob = cipher.encrypt(nonce, contents, bound)
    return Sealed(key_id=lease.key_id, nonce=nonce, ciphertext=blob, virtual_nbytes=size, mode=mode)


def open_once(header: Header, sealed: Sealed, lease: KeyLease, replays: ReplayGuard) -> bytes:
    """Return the contents of an authentic message of ``seal_once``; of a virtual payload no bytes.

    Raises:
        SealBroken: header or contents were altered, or another key or mode sealed it.
        ReplayRejected: it was opened before.
        KeySpent: the key was released.
    """
    what = _checked_ends(header, sealed, lease)
    sender, counter = lease.sender_id(header.source), 0
    replays.check(lease.key_id, sender, counter)
    bound = _bound(header, sealed.virtual_nbytes, lease, sealed.mode)
    try:
        key = lease.view_to_open(sealed.mode)
        contents = (_opened_pad if sealed.mode == ONE_TIME_PAD else _opened_gcm)(key, sealed, bound)
    except (InvalidTag, InvalidSignature):
        raise SealBroken(what=what, reason="its tag does not match: header or contents were altered") from None
    except KeySpent:
        if lease.is_released:
            raise
        raise SealBroken(what=what, reason=f"its key sealed nothing as {sealed.mode[:40]!r}") from None
    replays.mark(lease.key_id, sender, counter)
    return contents


def _opened_pad(key: memoryview, sealed: Sealed, bound: bytes) -> bytes:
    covered, tag = sealed.ciphertext[:-TAG_BYTES], sealed.ciphertext[-TAG_BYTES:]
    # What is longer than the pad, or has a nonce or contents that the mode has not, was not sealed here.
    room = 0 if sealed.virtual_nbytes is not None else len(key) - MAC_BYTES
    if sealed.nonce or len(tag) != TAG_BYTES or len(covered) > room:
        raise InvalidTag
    Poly1305.verify_tag(key[:MAC_BYTES], bound + covered, tag)
    return _sum(memoryview(covered), key[MAC_BYTES:])


def _opened_gcm(key: memoryview, sealed: Sealed, bound: bytes) -> bytes:
    if len(sealed.nonce) != NONCE_BYTES:
        raise InvalidTag
    with _derived(key, bound) as cipher:
        return cipher.decrypt(sealed.nonce, sealed.ciphertext, bound)


def _sum(contents: memoryview, pad: memoryview) -> bytes:
    """Return the bitwise sum of contents and the first bytes of a pad that is no shorter."""
    data = np.frombuffer(contents, dtype=np.uint8)
    return (data ^ np.frombuffer(pad, dtype=np.uint8, count=len(data))).tobytes()


@contextmanager
def _derived(key: memoryview, bound: bytes) -> Iterator[AESGCM]:
    derived = bytearray(KEY_BITS // 8)
    try:
        HKDF(hashes.SHA3_256(), len(derived), salt=None, info=_QUANTUM_LABEL + bound).derive_into(key, derived)
        yield AESGCM(derived)  # which may read the key when it is used, not before
    finally:
        derived[:] = bytes(len(derived))


def _bound(header: Header, virtual_nbytes: int | None, lease: KeyLease, mode: str) -> bytes:
    """Return all that is authenticated besides the contents, with its length before it."""
    parts = (mode.encode("utf-8", "surrogatepass"), lease.key_id.encode(), _associated(header, virtual_nbytes))
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return len(text).to_bytes(8, "big") + text


# ------------------------------------------------------------------------------------------------------------ costs


def _messages(nbytes: int) -> int:
    return max(1, -(-nbytes // LARGEST_MESSAGE))


def sealed_nbytes(nbytes: int, mode: str = PURPOSE) -> int:
    """Return the bytes on the wire of ``nbytes`` of contents: 28 more for each 64 GiB begun, 16 with a one-time pad.

    >>> sealed_nbytes(1000), sealed_nbytes(1000, ONE_TIME_PAD)
    (1028, 1016)
    """
    if mode == ONE_TIME_PAD:
        return nbytes + TAG_BYTES
    return nbytes + OVERHEAD_BYTES * _messages(nbytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CipherCost:
    """What sealing or opening takes.

    The time adds to that on the wire: nothing is handed over before its tag was checked.

    Attributes:
        name: where it runs.
        rate: bytes per second; None = as fast as the wire.
        fixed_ps: per message, whatever its size.
    """

    name: str
    rate: int | None
    fixed_ps: int

    def ps(self, nbytes: int) -> int:
        """Return the picoseconds that sealing, or opening, ``nbytes`` takes at one end."""
        moving = 0 if self.rate is None else -(-nbytes * PS_PER_S // self.rate)
        return self.fixed_ps * _messages(nbytes) + moving


SOFTWARE: Final = CipherCost(name="one core", rate=1_200_000_000, fixed_ps=1_000_000)
"""AES-256-GCM of ``cryptography`` on one core of a 2-core x86-64 machine: 1.2 GB/s at 16 MB, 1.1 µs for 100 bytes."""

INLINE: Final = CipherCost(name="network card", rate=None, fixed_ps=0)
"""A network card that encrypts at the rate of its port."""
