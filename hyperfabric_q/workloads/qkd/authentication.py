"""Who says so: one-time tags over all that was said in a session, paid for with key that both ends share beforehand.

Each end keeps every message, those it sent and those it heard, in order; at the end of the session each sends one tag
over all of them, and checks the other's. A message that was changed, left out, put in, replayed or moved makes the two
records differ, and no key of the session is used before both tags have been checked. One tag for many messages costs
the same key as one for a single message.

The tags are Poly1305 of ``cryptography`` under a fresh 256-bit key each: a polynomial hash plus a one-time pad, that is
Wegman and Carter's construction. A forgery succeeds with probability at most 8 ceil(bytes / 16) / 2^106 (Bernstein
2005), whatever the computing power. "Quantum" replaces none of this: without key to begin with there is no
authentication, and without authentication no key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from hyperfabric_q.errors import InvalidValue, KeySpent, SealBroken

End: TypeAlias = Literal["alice", "bob"]

TAG_KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
_SERIAL_BYTES: Final = 8
_LABEL: Final = b"hyperfabric_q qkd session 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Return a tag and the serial number of the one-time key that it was made with."""

    serial: int
    mac: bytes

    @property
    def nbytes(self) -> int:
        """What it takes on the wire."""
        return len(self.mac) + _SERIAL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Return who sent a message, and its size; the contents are public and nobody's business later."""

    sender: End
    nbytes: int


def forgery_bound(nbytes: int) -> float:
    """Return the most probable a forged tag over so many bytes can be: 8 ceil(n / 16) / 2^106."""
    return 8 * -(-nbytes // 16) / 2**106


class AuthenticationKeys:
    """One end's store of one-time keys for tags, in order; the other end holds a copy. Each serves once.

    Attributes:
        serial: number of the next key; never goes back.
    """

    __slots__ = ("_key", "serial")

    def __init__(self, key: bytes | bytearray) -> None:
        """Take a copy of ``key``; the caller overwrites its own.

        Raises:
            InvalidValue: it is not made of whole keys of 32 bytes.
        """
        self.serial = 0
        self._key = bytearray()
        self.refill(key)

    @property
    def remaining(self) -> int:
        """How many tags can be made or checked."""
        return len(self._key) // TAG_KEY_BYTES

    @property
    def bits(self) -> int:
        """Length of what is left."""
        return 8 * len(self._key)

    def refill(self, key: bytes | bytearray | memoryview) -> None:
        """Append fresh key; both ends must append the same.

        Raises:
            InvalidValue: it is not made of whole keys of 32 bytes.
        """
        if len(key) % TAG_KEY_BYTES:
            raise InvalidValue(
                field="key", value=f"{len(key)} bytes", rule=f"a tag takes {TAG_KEY_BYTES} bytes of key, all of them"
            )
        grown = bytearray(len(self._key) + len(key))
        grown[: len(self._key)] = self._key
        grown[len(self._key) :] = key
        self._overwrite()
        self._key = grown

    def tag(self, record: Iterable[bytes]) -> Tag:
        """Return the tag over a record, under the next key.

        Raises:
            KeySpent: no key is left.
        """
        serial, mac = self._spend(record)
        return Tag(serial=serial, mac=mac.finalize())

    def check(self, record: Iterable[bytes], tag: Tag) -> None:
        """Do nothing if ``tag`` is what the next key makes of the record; that key is spent in any case.

        Raises:
            KeySpent: no key is left, or the tag was made with one that has served before.
            SealBroken: the record is not the sender's.
        """
        serial, mac = self._spend(record)
        if tag.serial < serial:
            reason = f"it was made with key {tag.serial}, which has served; key {serial} is the next"
            raise KeySpent(what="a tag", reason=reason, remedy="Nothing of this session may be used.")
        try:
            if tag.serial != serial:
                raise InvalidSignature
            mac.verify(tag.mac)
        except InvalidSignature:
            raise SealBroken(
                what="the record of a session",
                reason="its tag does not fit: a message was changed, or is not the other end's",
                remedy="Nothing of this session may be used.",
            ) from None

    def close(self) -> None:
        """Overwrite what is left."""
        self._overwrite()
        self._key = bytearray()

    def _spend(self, record: Iterable[bytes]) -> tuple[int, Poly1305]:
        if not self._key:
            reason = f"all {self.serial} keys are spent"
            raise KeySpent(what="authentication", reason=reason, remedy="Give both ends fresh key with refill.")
        serial, self.serial = self.serial, self.serial + 1
        mac = Poly1305(bytes(self._key[:TAG_KEY_BYTES]))
        self._key[:TAG_KEY_BYTES] = bytes(TAG_KEY_BYTES)
        del self._key[:TAG_KEY_BYTES]
        mac.update(_LABEL + serial.to_bytes(_SERIAL_BYTES, "big"))
        for each in record:
            mac.update(each)
        return serial, mac

    def _overwrite(self) -> None:
        self._key[:] = bytes(len(self._key))

    def __repr__(self) -> str:
        return f"<AuthenticationKeys: {self.remaining} left, {self.serial} spent>"

    def __reduce__(self) -> NoReturn:
        raise KeySpent(what="authentication keys", reason="they are never copied, pickled or sent to another process")


class Record:
    """One end's record of a session: every message with its sender and length, in order."""

    __slots__ = ("_parts", "nbytes")

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[bytes] = []
        self.nbytes = 0

    def add(self, sender: End, data: bytes) -> None:
        """Note a message; sender and length make two different records differ wherever their messages begin."""
        head = (b"A" if sender == "alice" else b"B") + len(data).to_bytes(_SERIAL_BYTES, "big")
        self._parts += (head, data)
        self.nbytes += len(head) + len(data)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the pieces that are tagged."""
        return iter(self._parts)
