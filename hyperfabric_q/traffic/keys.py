"""Where keys come from, and how it is made sure that no key and no nonce serves twice.

A ``KeySource`` leases keys to pairs of nodes. A lease is reserved, then used for one purpose, then released, which
overwrites the key; no source leases the same key again. The bytes of a key stand in one place, and never in a repr, a
log, an error, a file or a pickle. They come from the operating system (or from a quantum link), never from ``seed``:
the same program run twice gives the same times, but not the same keys.

Keys of a ``QuantumKeySource`` serve the sends that ask for them, one key per message; see ``treatment``.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Collection
from types import TracebackType
from typing import Final, NoReturn, Protocol, Self, TypeAlias, runtime_checkable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hyperfabric_q.errors import InvalidValue, KeySpent

MESSAGE_LIMIT: Final = 2**32
"""Messages under one key: NIST SP 800-38D 8.3, though it would allow counter nonces more."""

NOT_SECRET: Final = "not secret"  # noqa: S105 - a label, not a password
"""Stands in the origin of every key that others may know, such as "simulated, not secret"."""

NONCE_BYTES: Final = 12
_LAST_COUNTER: Final = 2**64 - 1
_ROOT_BYTES: Final = 32
_SMALLEST_BITS: Final = 128
_LARGEST_BITS: Final = 255 * 256
"""What HKDF derives from a hash of 256 bits (RFC 5869, 2.3)."""

_LABEL: Final = b"hyperfabric_q pair key 1"

PairKey: TypeAlias = tuple[str, str]


class KeySource(Protocol):
    """Anything that leases keys to pairs of nodes."""

    def reserve(self, a: str, b: str, bits: int) -> KeyLease:
        """Return a key of ``bits`` bits that only ``a`` and ``b`` hold and that was never leased before."""


@runtime_checkable
class QuantumKeySource(KeySource, Protocol):
    """A source whose keys come from quantum key distribution, so that pairs of nodes may have none.

    Both methods raise ``QuantumKeyUnavailable`` then, and every lease says ``is_quantum``.
    """

    def reserve_relayed(self, a: str, b: str, bits: int, trusted: Collection[str]) -> KeyLease:
        """Return a key that ``a`` and ``b`` hold, and with them the nodes of ``trusted`` which the lease names."""


class KeyLease:
    """A key that two nodes hold until it is released; a context manager that releases it.

    Attributes:
        key_id: name of the key, which is no secret.
        pair: the two nodes, in order of their ids.
        bits: length of the key.
        origin: where it came from, in words.
        message_limit: messages that may be sealed under it in all.
        is_quantum: whether quantum key distribution made it.
        trusted: nodes that relayed it and therefore know it, in order from the first of the pair that was asked for.
        opens_only: whether the other end seals with it, in a lease of its own: this one opens, and seals nothing.
    """

    __slots__ = (
        "_counters",
        "_is_spent",
        "_key",
        "_process",
        "_purpose",
        "bits",
        "is_quantum",
        "key_id",
        "message_limit",
        "opens_only",
        "origin",
        "pair",
        "trusted",
    )

    def __init__(
        self,
        *,
        key_id: str,
        a: str,
        b: str,
        key: bytearray,
        origin: str,
        message_limit: int = MESSAGE_LIMIT,
        is_quantum: bool = False,
        trusted: tuple[str, ...] = (),
        opens_only: bool = False,
    ) -> None:
        """Take over ``key``: nobody else may keep a copy of it."""
        self.key_id = key_id
        self.pair: PairKey = (a, b) if a <= b else (b, a)
        self.bits = 8 * len(key)
        self.origin = origin
        self.message_limit = message_limit
        self.is_quantum = is_quantum
        self.trusted = trusted
        self.opens_only = opens_only
        self._process = os.getpid()
        self._key = key
        self._purpose: str | None = None
        self._is_spent = False
        self._counters: Counter[int] = Counter()

    @property
    def is_released(self) -> bool:
        """Whether the key is gone."""
        return not self._key

    @property
    def messages(self) -> int:
        """How many nonces were given out, hence messages sealed."""
        return self._counters.total()

    @property
    def remaining(self) -> int:
        """How many messages may still be sealed; 0 once released or spent."""
        return 0 if self.is_released or self._is_spent else self.message_limit - self.messages

    def use(self, purpose: str, *, once: bool = False) -> memoryview:
        """Return a read-only view of the key, which serves ``purpose`` from now on and nothing else.

        Args:
            purpose: the algorithm, such as "aes-256-gcm".
            once: whether this is the only use, as of a one-time pad.

        Raises:
            KeySpent: the key was released, serves another purpose, or had its only use.
        """
        self._check_held()
        if self.opens_only:
            raise self._spent("the other end seals with it, and this half opens what came")
        if self._is_spent:
            raise self._spent(f"its only use was as {self._purpose}")
        if self._purpose not in {None, purpose}:
            raise self._spent(f"it serves as {self._purpose} and cannot serve as {purpose} too")
        if once and self._purpose is not None:
            raise self._spent(f"it has served as {self._purpose}, so this would not be its only use")
        self._purpose = purpose
        self._is_spent = once
        return memoryview(self._key).toreadonly()

    def view_to_open(self, purpose: str) -> memoryview:
        """Return a read-only view to open what was sealed under a key that had its only use; it seals nothing more.

        Raises:
            KeySpent: the key was released, or its only use was not as ``purpose``.
        """
        self._check_held()
        if self.opens_only and self._purpose is None:
            self._purpose, self._is_spent = purpose, True
        if not self._is_spent or self._purpose != purpose:
            raise self._spent(f"nothing was sealed under it as {purpose}")
        return memoryview(self._key).toreadonly()

    def sender_id(self, sender: str) -> int:
        """Return the number of one end within this key: 1 or 2, by the order of the two ids.

        Raises:
            InvalidValue: ``sender`` is not one of the pair.
        """
        if sender not in self.pair:
            raise InvalidValue(
                field="sender",
                value=sender,
                rule=f"the key {self.key_id!r} belongs to {self.pair[0]!r} and {self.pair[1]!r}",
            )
        return self.pair.index(sender) + 1

    def nonce(self, sender: str, messages: int = 1) -> bytes:
        """Return the next nonce of ``sender``: its 32-bit number, then a 64-bit counter that only grows.

        The counter moves by ``messages``, and before the nonce is handed out: a nonce is lost rather than used twice.

        Raises:
            KeySpent: the key was released, or the limit of messages is reached.
        """
        number = self.sender_id(sender)
        self._check_held()
        if messages < 1 or self.opens_only:
            raise self._spent(f"{messages} messages cannot be sealed under it here")
        if messages > self.message_limit - self.messages or self._counters[number] + messages > _LAST_COUNTER:
            raise self._spent(f"{self.messages} messages were sealed under it, and its limit is {self.message_limit}")
        counter = self._counters[number]
        self._counters[number] = counter + messages
        return number.to_bytes(4, "big") + counter.to_bytes(8, "big")

    def release(self) -> None:
        """Overwrite the key with zeros and forget it; releasing twice does nothing."""
        key, self._key = self._key, bytearray()
        key[:] = bytes(len(key))  # of equal length, hence in place

    def _check_held(self) -> None:
        if self.is_released:
            raise self._spent("it was released, and its bytes are overwritten")
        if self._process != os.getpid():
            raise self._spent("it belongs to the process that this one was forked from")

    def _spent(self, reason: str) -> KeySpent:
        return KeySpent(what=f"key {self.key_id!r}", reason=reason, remedy="Reserve another key for the pair.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        key = getattr(self, "_key", None)
        if not key:
            return
        try:
            key.append(0)
        except BufferError:
            return  # Someone holds a view and may encrypt with it yet: zeros would be a key that everyone knows.
        self.release()

    def __repr__(self) -> str:
        state = "released" if self.is_released else f"{self.messages} messages sealed"
        return f"<KeyLease {self.key_id!r}: {self.bits} bits from {self.origin}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise KeySpent(what=f"key {self.key_id!r}", reason="a key is never copied, pickled or sent to another process")


class OperatingSystemKeys:
    """Keys from the operating system's randomness, one HKDF-SHA3-256 derivation per lease.

    Root and salt are fresh; pair, serial number and length go into the derivation. No seed has any influence.
    """

    def __init__(self, *, message_limit: int = MESSAGE_LIMIT) -> None:
        """Draw a root; ``message_limit`` is that of each lease, lowered to rekey sooner.

        Raises:
            InvalidValue: the limit is not in [1, 2**32].
        """
        if isinstance(message_limit, bool) or not 1 <= message_limit <= MESSAGE_LIMIT:
            raise InvalidValue(field="message_limit", value=message_limit, rule="a key seals 1 to 2**32 messages")
        self._message_limit = message_limit
        self._root = bytearray(secrets.token_bytes(_ROOT_BYTES))
        self._leased: Counter[PairKey] = Counter()

    def reserve(self, a: str, b: str, bits: int) -> KeyLease:
        """Return a fresh key of ``bits`` bits for the pair, whichever of the two is named first.

        Raises:
            InvalidValue: ``bits`` is not a multiple of 8 in [128, 65280].
            KeySpent: the source was closed.
        """
        given: object = bits
        whole = isinstance(given, int) and not isinstance(given, bool)
        if not whole or bits % 8 or not _SMALLEST_BITS <= bits <= _LARGEST_BITS:
            raise InvalidValue(
                field="bits", value=bits, rule="a key has a multiple of 8 bits, at least 128 and at most 65280"
            )
        if not self._root:
            raise KeySpent(what="the key source", reason="it was closed", remedy="Make another OperatingSystemKeys.")
        pair: PairKey = (a, b) if a <= b else (b, a)
        serial = self._leased[pair]
        self._leased[pair] = serial + 1
        parts = (*pair, str(serial), str(bits))
        info = _LABEL + b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        lease = KeyLease(
            key_id=f"os:{pair[0]}|{pair[1]}:{serial}",
            a=a,
            b=b,
            key=bytearray(bits // 8),
            origin="the operating system",
            message_limit=self._message_limit,
        )
        derivation = HKDF(hashes.SHA3_256(), bits // 8, salt=secrets.token_bytes(_ROOT_BYTES), info=info)
        derivation.derive_into(self._root, lease._key)
        return lease

    def close(self) -> None:
        """Overwrite the root; keys leased before stay usable until they are released."""
        root, self._root = self._root, bytearray()
        root[:] = bytes(len(root))

    def __repr__(self) -> str:
        return f"<OperatingSystemKeys: {self._leased.total()} keys leased>"

    def __reduce__(self) -> NoReturn:
        raise KeySpent(what="the key source", reason="it is never copied, pickled or sent to another process")


class KeyRing:
    """The key in use of each pair of nodes; replaces a key before its limit of messages is reached.

    Attributes:
        source: where the keys come from.
    """

    def __init__(self, source: KeySource, *, bits: int = 256) -> None:
        """Start without keys; each is reserved from ``source`` when first asked for."""
        self.source = source
        self._bits = bits
        self._current: dict[PairKey, KeyLease] = {}
        self._retired: dict[str, KeyLease] = {}

    def lease(self, a: str, b: str, *, messages: int = 1) -> KeyLease:
        """Return the key under which the pair may seal ``messages`` more; a fresh one if need be."""
        pair: PairKey = (a, b) if a <= b else (b, a)
        lease = self._current.get(pair)
        if lease is not None and lease.remaining >= messages:
            return lease
        if lease is not None and not lease.is_released:
            self._retired[lease.key_id] = lease
        lease = self._current[pair] = self.source.reserve(*pair, self._bits)
        return lease

    def retire(self, key_id: str) -> None:
        """Release a key that was replaced, once all its messages have arrived; unknown ids are ignored."""
        lease = self._retired.pop(key_id, None)
        if lease is not None:
            lease.release()

    def close(self) -> None:
        """Release every key."""
        for lease in (*self._current.values(), *self._retired.values()):
            lease.release()
        self._current.clear()
        self._retired.clear()

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._current)} pairs>"
