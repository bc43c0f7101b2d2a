"""Keys of quantum key distribution, kept for the two nodes that share them, and handed out once.

The methods are those of ETSI GS QKD 014 V1.1.1 (2019), in process: ``get_status``, ``get_key`` for the first of two
ends and ``get_key_with_ids`` for the other. ``reserve`` serves both ends at once and makes the store a ``KeySource``.

Each end's half of a key goes one way:

========== =========================================================================================================
fresh       part of what was deposited; not yet a key
reserved    a key of its own, which this end has not fetched
consumed    fetched: the bytes were deleted here before they were handed out, and stand in the lease alone
destroyed   the lease was released, or the half was thrown away: nobody has the bytes
========== =========================================================================================================

What is handed out was deleted, and the deletion is on the disk, before the caller has it. A process that dies in
between loses the key; nothing brings it back. The store sees to that; against an older copy of its file, put in its
place by whoever may write there, it can do nothing.
"""

from __future__ import annotations

import hmac
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from hyperfabric_q.errors import InvalidValue, KeySpent, QuantumKeyUnavailable, SecurityRefused, UnknownName
from hyperfabric_q.fabric.fields import identifier, is_number, is_whole
from hyperfabric_q.traffic.keys import NOT_SECRET, KeyLease
from hyperfabric_q.workloads.qkd.relay import relayed
from hyperfabric_q.workloads.qkd.store_facts import KeyFacts, StoreStatus
from hyperfabric_q.workloads.qkd.store_file import GRAIN_BYTES, Unlocking, Vault, bound_to, wipe

KEY_BITS: Final = 256
MOST_KEYS: Final = 1_000_000
"""Keys of 256 bits that two nodes may have in store; what ETSI calls max_key_count."""

MOST_PER_REQUEST: Final = 128
SMALLEST_BITS: Final = 64
LARGEST_BITS: Final = 2**20
"""Of a key fetched by ``get_key``; ``reserve`` has no such limit."""

_NAME: Final = "qkd:"
_GRAIN_BITS: Final = 8 * GRAIN_BYTES
_LONGEST_ORIGIN: Final = 100


class KeyStore:
    """A store of quantum keys, open; a context manager that closes it. One object may serve several threads.

    Attributes:
        path: of the file; ":memory:" without one.
    """

    def __init__(
        self, path: str | Path | None = None, *, key: bytes | bytearray | None = None, passphrase: str | None = None
    ) -> None:
        """Open the store at ``path``, or make one there; without a path it is in memory only.

        Args:
            path: a file, which its owner alone can read. Everything secret in it is encrypted.
            key: 32 random bytes that the file is encrypted with, kept elsewhere; or else
            passphrase: text from which scrypt derives them, in about 0.4 s.

        Raises:
            InvalidValue: a file has neither key nor passphrase, or both, or one of a wrong form.
            StoreUnreadable: the file is damaged, another program's, open elsewhere, or encrypted with another key.
        """
        self.path = ":memory:" if path is None else str(path)
        self._is_open = False
        unlocking = Unlocking(key, passphrase)
        del key, passphrase  # so that no traceback with local variables shows them
        unlocking.check()
        self._vault = Vault(path, unlocking)
        self._lock = threading.RLock()
        self._released: deque[tuple[int, str]] = deque()
        self._is_open = True
        with self._changing() as ask:
            # Nobody else has the file open: who fetched these halves is gone, and their bytes with him.
            for end in ("state_a", "state_b"):
                ask(f"UPDATE key SET {end} = 'destroyed' WHERE {end} = 'consumed'")  # noqa: S608 - two literals

    # --------------------------------------------------------------------------------------------------------- deposit

    def deposit(
        self, a: str, b: str, key: bytearray, *, origin: str, other: bytearray | None = None, epsilon: float = 0.0
    ) -> int:
        """Return how many bits of ``key`` were put into the store, at both ends.

        The given bytes are overwritten, whether they were taken or refused.

        Args:
            a: node id of one end.
            b: of the other.
            key: what they distilled; what is left over of 256-bit pieces is dropped.
            origin: of it, in words, "simulated, not secret" if so; it goes wherever the key does, and into receipts.
            other: the key as the end ``b`` has it, if that came separately.
            epsilon: probability that the key is not what it should be; those of keys used together add up.

        Raises:
            InvalidValue: the ids are equal or none, the key is no bytearray or below 256 bits, or the two would have
                more than ``MOST_KEYS``.
            SecurityRefused: the two ends' keys differ.

        Cost: about 10 µs for 256 bits.
        """
        try:
            pair = _pair(a, b)
            _check_deposit(key, origin, other, epsilon)
            if other is not None and not hmac.compare_digest(key, other):
                raise SecurityRefused(
                    what=f"the keys of {a!r} and {b!r}",
                    reason="they differ, so that nothing was deposited",
                    remedy="Distil again; a verification hash should have told.",
                )
            grains = len(key) // GRAIN_BYTES
            with self._changing() as ask, memoryview(key) as view:
                have = self.fresh_bits(*pair) // _GRAIN_BITS
                if have + grains > MOST_KEYS:
                    raise InvalidValue(
                        field="key",
                        value=f"{8 * len(key)} bits",
                        rule=f"two nodes have at most {MOST_KEYS} keys of 256 bits in store, and these have {have}",
                    )
                row = ask("INSERT INTO block (a, b, label, epsilon) VALUES (?, ?, ?, ?)", (*pair, origin, epsilon))
                block = int(row.lastrowid or 0)
                places = [(block, place, end) for place in range(grains) for end in (0, 1)]
                sealed = self._vault.sealed(
                    (view[GRAIN_BYTES * at[1] :][:GRAIN_BYTES], bound_to(*pair, origin, epsilon, at)) for at in places
                )
                rows = ((*at, blob) for at, blob in zip(places, sealed, strict=True))
                self._vault.connection.executemany(
                    "INSERT INTO grain (block, place, end, sealed) VALUES (?, ?, ?, ?)", rows
                )
        finally:
            wipe(*(each for each in (key, other) if isinstance(each, bytearray)))
        return grains * _GRAIN_BITS

    # ------------------------------------------------------------------------------------------------ ETSI GS QKD 014

    def get_status(self, master: str, slave: str) -> StoreStatus:
        """Return how many keys two nodes have, and what may be asked for; O(keys)."""
        _pair(master, slave)
        return StoreStatus(
            source_kme_id=master,
            target_kme_id=slave,
            master_sae_id=master,
            slave_sae_id=slave,
            key_size=KEY_BITS,
            stored_key_count=self.fresh_bits(master, slave) // KEY_BITS,
            max_key_count=MOST_KEYS,
            max_key_per_request=MOST_PER_REQUEST,
            max_key_size=LARGEST_BITS,
            min_key_size=SMALLEST_BITS,
            max_sae_id_count=0,
        )

    def get_key(self, master: str, slave: str, *, number: int = 1, size: int = KEY_BITS) -> tuple[KeyLease, ...]:
        """Return the first end's halves of new keys; tell the other end their ``key_id``.

        Args:
            master: the end that asks.
            slave: the end that will ask by ``get_key_with_ids``.
            number: of keys, all or none.
            size: of each in bits, a multiple of 8; it spends whole pieces of 256 bits.

        Raises:
            InvalidValue: a number is out of range, or the ids are not those of two nodes.
            QuantumKeyUnavailable: they share too little.
        """
        pair = _pair(master, slave)
        if not is_whole(number) or not 1 <= number <= MOST_PER_REQUEST:
            raise InvalidValue(field="number", value=number, rule=f"it is in [1, {MOST_PER_REQUEST}]")
        if not is_whole(size) or size % 8 or not SMALLEST_BITS <= size <= LARGEST_BITS:
            rule = f"it is a multiple of 8 in [{SMALLEST_BITS}, {LARGEST_BITS}]"
            raise InvalidValue(field="size", value=size, rule=rule)
        return self._fetched(
            lambda ask: [(serial, (pair.index(master),)) for serial in self._made(ask, pair, int(size), int(number))]
        )

    def get_key_with_ids(self, slave: str, master: str, key_ids: Sequence[str]) -> tuple[KeyLease, ...]:
        """Return the other end's halves of keys that the first end fetched; all or none.

        Raises:
            UnknownName: these two nodes have no key of that id.
            KeySpent: this end has fetched it before, or it was destroyed.
        """
        pair = _pair(slave, master)
        end = pair.index(slave)
        named = not isinstance(key_ids, str) and all(isinstance(each, str) for each in key_ids)
        if not named or not key_ids or len(set(key_ids)) != len(key_ids):
            raise InvalidValue(field="key_ids", value=key_ids, rule="it is a list of different key ids")

        def chosen(ask: Callable[..., sqlite3.Cursor]) -> list[tuple[int, tuple[int, ...]]]:
            found: list[tuple[int, tuple[int, ...]]] = []
            for key_id in key_ids:
                facts = self._facts(ask, key_id, pair)
                if facts.states[end] != "reserved":
                    raise KeySpent(
                        what=f"key {key_id!r} at {slave!r}",
                        reason=f"it is {facts.states[end]}, and a key is fetched once",
                        remedy="Let the other end get another key.",
                    )
                found.append((_serial(key_id), (end,)))
            return found

        return self._fetched(chosen, opens_only=True)

    # ------------------------------------------------------------------------------------------------------ KeySource

    def reserve(self, a: str, b: str, bits: int) -> KeyLease:
        """Return a key of ``bits`` bits that both ends fetch at once, and that was never handed out before.

        Raises:
            InvalidValue: the ids are not those of two nodes, or the bits no positive multiple of 8.
            QuantumKeyUnavailable: they share too little.
        """
        pair = _pair(a, b)
        if not is_whole(bits) or bits % 8 or not 8 <= bits < 2**63:
            raise InvalidValue(field="bits", value=bits, rule="it is a positive multiple of 8 below 2^63")
        (lease,) = self._fetched(lambda ask: [(serial, (0, 1)) for serial in self._made(ask, pair, int(bits), 1)])
        return lease

    def reserve_relayed(self, a: str, b: str, bits: int, trusted: Collection[str]) -> KeyLease:
        """Return a key that passed over nodes of ``trusted``, which know it; see ``relay.relayed``.

        Raises:
            QuantumKeyUnavailable: no way over them has key enough.
        """
        _pair(a, b)
        with self._lock:
            return relayed(self, a, b, bits, trusted)

    # ---------------------------------------------------------------------------------------------------------- facts

    def fresh_bits(self, a: str, b: str) -> int:
        """Return how many bits two nodes share that were not made into keys; O(keys)."""
        with self._asking() as ask:
            return _GRAIN_BITS * int(ask(_COUNT, _ends(a, b)).fetchone()[0])

    def facts(self, key_id: str) -> KeyFacts:
        """Return what is known of a key, in whatever state it is.

        Raises:
            UnknownName: there is none.
        """
        with self._changing() as ask:
            return self._facts(ask, key_id, None)

    def destroy(self, key_id: str) -> None:
        """Delete the halves of a key that nobody fetched; what was fetched is destroyed by releasing its lease.

        Raises:
            UnknownName: there is no such key.
        """
        with self._changing() as ask:
            facts = self._facts(ask, key_id, None)
            ask("DELETE FROM grain WHERE key = ?", (_serial(key_id),))
            for name, state in zip(("state_a", "state_b"), facts.states, strict=True):
                if state == "reserved":
                    ask(f"UPDATE key SET {name} = 'destroyed' WHERE id = ?", (_serial(key_id),))  # noqa: S608 - literal

    def close(self) -> None:
        """Note what was released, close the file and overwrite the store key; closing twice does nothing."""
        with self._lock:
            if self._is_open:
                with suppress(SecurityRefused), self._changing():
                    pass
                self._is_open = False
                self._vault.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None) -> None:
        """Close the store."""
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):
            self.close()

    def __repr__(self) -> str:
        return f"<KeyStore {self.path!r}, {'open' if self._is_open else 'closed'}>"

    def __reduce__(self) -> NoReturn:
        raise KeySpent(what="a key store", reason="it is never copied, pickled or sent to another process")

    # ---------------------------------------------------------------------------------------------------------- inside

    @contextmanager
    def _asking(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._lock:
            if not self._is_open:
                raise KeySpent(what=f"the key store {self.path!r}", reason="it was closed", remedy="Open it again.")
            try:
                yield self._vault.connection.execute
            except sqlite3.Error as fault:
                raise self._vault.unreadable(fault) from fault

    @contextmanager
    def _changing(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Let everything inside happen, on the disk, or nothing."""
        with self._asking() as ask:
            ask("BEGIN IMMEDIATE")
            try:
                for serial, state in list(self._released):
                    ask(f"UPDATE key SET {state} = 'destroyed' WHERE id = ?", (serial,))  # noqa: S608 - a column's name
                noted = len(self._released)
                yield ask
                ask("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    ask("ROLLBACK")
                raise
            for _ in range(noted):
                self._released.popleft()

    def _made(self, ask: Callable[..., sqlite3.Cursor], pair: tuple[str, str], bits: int, number: int) -> list[int]:
        """Return the serial numbers of new keys, reserved at both ends."""
        each = -(-bits // _GRAIN_BITS)
        rows = ask(f"{_FRESH} LIMIT ?", (*pair, each * number)).fetchall()
        if len(rows) < each * number:
            raise QuantumKeyUnavailable(
                what=f"{number} key(s) of {bits} bits for {pair[0]!r} and {pair[1]!r}",
                reason=f"{pair[0]!r} and {pair[1]!r} share {_GRAIN_BITS * len(rows)} bits, and it takes "
                f"{_GRAIN_BITS * each * number}",
                source=pair[0],
                destination=pair[1],
                remedy="Distil more and deposit it.",
            )
        made = []
        for at in range(number):
            part = rows[at * each : (at + 1) * each]
            blocks = {block: (label, epsilon) for block, _, label, epsilon in part}
            origin, epsilon = _described(blocks)
            row = ask(
                "INSERT INTO key (a, b, bits, origin, epsilon, state_a, state_b) "
                "VALUES (?, ?, ?, ?, ?, 'reserved', 'reserved')",
                (*pair, bits, origin, epsilon),
            )
            made.append(int(row.lastrowid or 0))
            self._vault.connection.executemany(
                "UPDATE grain SET key = ? WHERE block = ? AND place = ?",
                [(made[-1], block, place) for block, place, _, _ in part],
            )
        return made

    def _fetched(
        self,
        choose: Callable[[Callable[..., sqlite3.Cursor]], list[tuple[int, tuple[int, ...]]]],
        *,
        opens_only: bool = False,
    ) -> tuple[KeyLease, ...]:
        """Return leases of the chosen keys' halves, which are gone from the disk by then."""
        found: list[tuple[int, tuple[int, ...], KeyFacts, bytearray]] = []
        try:
            with self._changing() as ask:
                for serial, ends in choose(ask):
                    facts = self._facts(ask, f"{_NAME}{serial}", None)
                    key = bytearray(-(-facts.bits // _GRAIN_BITS) * GRAIN_BYTES)
                    found.append((serial, ends, facts, key))
                    for end in ends:
                        self._taken(ask, serial, end, facts, key)
        except BaseException:
            wipe(*(key for *_, key in found))
            raise
        return tuple(_Lease(self._released, *each, opens_only=opens_only) for each in found)

    def _taken(
        self, ask: Callable[..., sqlite3.Cursor], serial: int, end: int, facts: KeyFacts, key: bytearray
    ) -> None:
        """Read one end's half into a buffer, and delete it."""
        rows = ask(
            "SELECT sealed, a, b, label, epsilon, block, place FROM grain JOIN block ON block.id = grain.block "
            "WHERE key = ? AND end = ? ORDER BY block, place",
            (serial, end),
        ).fetchall()
        if len(rows) * GRAIN_BYTES != len(key):
            raise KeySpent(what=f"key {_NAME}{serial}", reason="one end does not hold it", remedy="Get another key.")
        # What is said of the key stands in the clear; what it was deposited as is bound to the bytes.
        blocks = {row[5]: (row[3], row[4]) for row in rows}
        if {(row[1], row[2]) for row in rows} != {facts.pair} or _described(blocks) != (facts.origin, facts.epsilon):
            raise SecurityRefused(what=f"key {_NAME}{serial}", reason="it is not what was deposited under its name")
        before = bytearray(key)
        try:
            self._vault.opened(((row[0], _bound(row, end)) for row in rows), key)
            if any(before) and not hmac.compare_digest(before, key):
                raise SecurityRefused(what=f"key {_NAME}{serial}", reason="the two ends hold different bytes")
        finally:
            wipe(before)
        ask("DELETE FROM grain WHERE key = ? AND end = ?", (serial, end))
        name = _STATES[end]
        ask(f"UPDATE key SET {name} = 'consumed' WHERE id = ?", (serial,))  # noqa: S608 - one of two literals

    def _facts(self, ask: Callable[..., sqlite3.Cursor], key_id: object, pair: tuple[str, str] | None) -> KeyFacts:
        query = "SELECT a, b, bits, origin, epsilon, state_a, state_b FROM key WHERE id = ?"
        row = ask(query, (_serial(key_id),)).fetchone()
        if row is None or (pair is not None and (row[0], row[1]) != pair):
            raise UnknownName(kind="key id", name=str(key_id)[:80], known=())
        return KeyFacts(
            key_id=str(key_id),
            pair=(row[0], row[1]),
            bits=row[2],
            origin=row[3],
            epsilon=row[4],
            states=(row[5], row[6]),
        )


_STATES: Final = ("state_a", "state_b")

_FRESH: Final = (
    "SELECT one.block, one.place, label, epsilon FROM block JOIN grain one ON one.block = block.id "
    "JOIN grain two ON two.block = one.block AND two.place = one.place "
    "WHERE a = ? AND b = ? AND one.end = 0 AND two.end = 1 AND one.key IS NULL AND two.key IS NULL "
    "ORDER BY one.block, one.place"
)
"""What both ends hold, and nobody has asked for."""

_COUNT: Final = f"SELECT count(*) FROM ({_FRESH})"  # noqa: S608 - a constant


class _Lease(KeyLease):
    """A key out of a store, which hears of it when the key is overwritten."""

    __slots__ = ("_halves", "_released")

    def __init__(
        self,
        released: deque[tuple[int, str]],
        serial: int,
        ends: tuple[int, ...],
        facts: KeyFacts,
        key: bytearray,
        *,
        opens_only: bool,
    ) -> None:
        """Take as much of ``key`` as it has bits, and overwrite the rest."""
        self._halves = tuple((serial, _STATES[end]) for end in ends)
        self._released = released
        cut = bytearray(facts.bits // 8)
        with memoryview(key) as view:
            cut[:] = view[: len(cut)]
        wipe(key)
        super().__init__(
            key_id=facts.key_id,
            a=facts.pair[0],
            b=facts.pair[1],
            key=cut,
            origin=facts.origin,
            is_quantum=True,
            opens_only=opens_only,
        )

    def release(self) -> None:
        """Overwrite the key; the store writes that down with whatever it writes next."""
        if not self.is_released:
            super().release()
            self._released.extend(self._halves)


def _pair(a: str, b: str) -> tuple[str, str]:
    """Return two node ids in order."""
    for given in (a, b):
        identifier("node_id", given)
    if a == b:
        raise InvalidValue(field="node_id", value=a, rule="a key belongs to two different nodes")
    return _ends(a, b)


def _described(blocks: Mapping[int, tuple[str, float]]) -> tuple[str, float]:
    """Return the origin and the epsilon of a key, from the labels and epsilons of the blocks it is part of."""
    labels = dict.fromkeys(label for label, _ in blocks.values())
    told = next((label for label in labels if NOT_SECRET in label), ", ".join(labels))
    return f"quantum key distribution ({told})", float(sum(each for _, each in blocks.values()))


def _bound(row: tuple[Any, ...], end: int) -> bytes:
    _, a, b, label, epsilon, block, place = row
    return bound_to(a, b, label, epsilon, (block, place, end))


def _ends(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a <= b else (b, a)


def _serial(key_id: object) -> int:
    """Return the number of a key; -1 of what is no id of ours."""
    digits = key_id.removeprefix(_NAME) if isinstance(key_id, str) and key_id.startswith(_NAME) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else -1


def _check_deposit(key: object, origin: object, other: object, epsilon: object) -> None:
    for name, given in (("key", key), ("other", other)):
        if not isinstance(given, bytearray) and (name == "key" or given is not None):
            found = type(given).__name__
            raise InvalidValue(field=name, value=found, rule="it is a bytearray, which can be overwritten")
    assert isinstance(key, bytearray)  # noqa: S101 - shown above
    if len(key) < GRAIN_BYTES:
        raise InvalidValue(field="key", value=f"{8 * len(key)} bits", rule="at least 256 bits are deposited")
    if not isinstance(origin, str) or not 0 < len(origin) <= _LONGEST_ORIGIN or not origin.isprintable():
        raise InvalidValue(field="origin", value=origin, rule=f"it is a text of 1 to {_LONGEST_ORIGIN} characters")
    if not is_number(epsilon) or not 0 <= epsilon <= 1:
        raise InvalidValue(field="epsilon", value=epsilon, rule="it is a probability")
