"""The file of a key store: is it ours, is this its key, and how are bytes encrypted at rest?

One SQLite database. Key material stands in it in grains of 32 bytes, one copy per end, each encrypted with AES-256-GCM
under the store key and bound to its place, its pair and its label: no grain can be moved, and none relabelled. Grains
that were handed out are deleted, and SQLite overwrites what it deletes (``secure_delete``).

A commit is on the disk when it returns, also after a power cut (``synchronous = FULL``): a key that was handed out once
is never there again. One process has the file open at a time, so that whatever it finds half-done when it opens it was
left behind by one that died.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hyperfabric_q.errors import InvalidValue, StoreUnreadable

APPLICATION_ID: Final = 0x4846514B
"""What SQLite's header says of our files: "HFQK"."""

SCHEMA_VERSION: Final = 1
GRAIN_BYTES: Final = 32
STORE_KEY_BYTES: Final = 32
BUSY_S: Final = 1.0

SCRYPT_N: Final = 2**17
"""Cost of a passphrase: 128 MiB and about 0.4 s (OWASP's choice for scrypt, with r = 8 and p = 1)."""

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SALT_BYTES: Final = 16
_HIDDEN: Final = "a value that is not shown"
_PROOF: Final = b"hyperfabric_q key store 1"

_TABLES: Final = (
    "CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB NOT NULL, proof BLOB NOT NULL) STRICT",
    """CREATE TABLE block (
        id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT NOT NULL, b TEXT NOT NULL, label TEXT NOT NULL,
        epsilon REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX block_of_pair ON block (a, b)",
    """CREATE TABLE grain (
        block INTEGER NOT NULL, place INTEGER NOT NULL, end INTEGER NOT NULL, key INTEGER, sealed BLOB NOT NULL,
        PRIMARY KEY (block, place, end)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX grain_of_key ON grain (key, end, block, place)",
    """CREATE TABLE key (
        id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT NOT NULL, b TEXT NOT NULL, bits INTEGER NOT NULL,
        origin TEXT NOT NULL, epsilon REAL NOT NULL, state_a TEXT NOT NULL, state_b TEXT NOT NULL
    ) STRICT""",
)


def wipe(*buffers: bytearray) -> None:
    """Overwrite bytes with zeros, in place."""
    for each in buffers:
        each[:] = bytes(len(each))


class Unlocking:
    """What opens a file: its key, or a passphrase. It never shows either."""

    __slots__ = ("_key", "_passphrase")

    def __init__(self, key: bytes | bytearray | None, passphrase: str | None) -> None:
        """Hold them, unchecked."""
        self._key: object = key
        self._passphrase: object = passphrase

    def check(self) -> None:
        """Do nothing if they have the right form.

        Raises:
            InvalidValue: they have not, or both are there; the error does not show them.
        """
        if self._key is not None and self._passphrase is not None:
            raise InvalidValue(field="key, passphrase", value="both", rule="a store has one of them, and one only")
        whole = isinstance(self._key, bytes | bytearray) and len(self._key) == STORE_KEY_BYTES
        if self._key is not None and not whole:
            raise InvalidValue(field="key", value=_HIDDEN, rule=f"it is {STORE_KEY_BYTES} bytes")
        if self._passphrase is not None and (not isinstance(self._passphrase, str) or not self._passphrase):
            raise InvalidValue(field="passphrase", value=_HIDDEN, rule="it is text, and not empty")

    @property
    def is_missing(self) -> bool:
        """Whether there is neither."""
        return self._key is None and self._passphrase is None

    def store_key(self, salt: bytes) -> bytearray:
        """Return the store key: the given one, or the passphrase's, or else a new one."""
        key = bytearray(STORE_KEY_BYTES)
        if isinstance(self._passphrase, str):
            kdf = Scrypt(salt=salt, length=STORE_KEY_BYTES, n=SCRYPT_N, r=8, p=1)
            kdf.derive_into(self._passphrase.encode("utf-8", "surrogatepass"), key)
        elif isinstance(self._key, bytes | bytearray):
            key[:] = self._key
        else:
            key[:] = secrets.token_bytes(STORE_KEY_BYTES)
        return key


class Vault:
    """An open database and the key that its grains are encrypted with.

    Attributes:
        path: of the file; ":memory:" when there is none.
        connection: in autocommit mode; transactions are begun by hand.
    """

    def __init__(self, path: str | Path | None, unlocking: Unlocking) -> None:
        """Open the file, or make it, readable by its owner alone; see ``KeyStore``."""
        self.path = ":memory:" if path is None else str(path)
        self._key = bytearray()
        if path is not None and unlocking.is_missing:
            raise InvalidValue(field="key, passphrase", value=None, rule="a store in a file has one of them")
        self.connection = _connected(self.path)
        try:
            self._open(unlocking)
        except BaseException as fault:
            self.close()
            if isinstance(fault, sqlite3.Error):
                raise self.unreadable(fault) from fault
            raise

    def _open(self, unlocking: Unlocking) -> None:
        ask = self.connection.execute
        new = not ask("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not new and ask("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreUnreadable(
                path=self.path, reason="it is a database of another program", remedy="Name another file."
            )
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            ask(f"PRAGMA {pragma}").fetchall()
        ask("BEGIN IMMEDIATE")
        try:
            new = not ask("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if new:
                for table in _TABLES:
                    ask(table)
                ask(f"PRAGMA application_id = {APPLICATION_ID}")
                ask(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif (found := ask("PRAGMA user_version").fetchone()[0]) != SCHEMA_VERSION:
                raise StoreUnreadable(
                    path=self.path, reason=f"it has version {found}, this package knows version {SCHEMA_VERSION}"
                )
            self._unlock(unlocking, new=new)
            ask("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                ask("ROLLBACK")
            raise

    def _unlock(self, unlocking: Unlocking, *, new: bool) -> None:
        ask = self.connection.execute
        if new:
            salt = secrets.token_bytes(_SALT_BYTES)
        else:
            row = ask("SELECT salt, proof FROM store").fetchone()
            if row is None:
                raise StoreUnreadable(path=self.path, reason="it is damaged (it has no salt)")
            salt, proof = row
        self._key = unlocking.store_key(salt)
        if new:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            proof = nonce + AESGCM(self._key).encrypt(nonce, _PROOF, salt)
            ask("INSERT INTO store VALUES (1, ?, ?)", (salt, proof))
            return
        try:
            AESGCM(self._key).decrypt(proof[:_NONCE_BYTES], proof[_NONCE_BYTES:], salt)
        except (InvalidTag, ValueError):
            raise StoreUnreadable(
                path=self.path, reason="its key or passphrase is another one", remedy="Give the one it was made with."
            ) from None

    def sealed(self, grains: Iterable[tuple[memoryview, bytes]]) -> list[bytes]:
        """Return grains encrypted, each bound to what comes with it."""
        cipher = AESGCM(self._key)
        found = []
        for grain, bound in grains:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            found.append(nonce + cipher.encrypt(nonce, grain, bound))
        return found

    def opened(self, rows: Iterable[tuple[bytes, bytes]], into: bytearray) -> None:
        """Write grains, given encrypted and with what they are bound to, one behind the other into a buffer.

        Raises:
            StoreUnreadable: one is damaged, moved or relabelled.
        """
        cipher, place = AESGCM(self._key), 0
        with memoryview(into) as view:
            for sealed, bound in rows:
                target = view[place : place + GRAIN_BYTES]
                try:
                    cipher.decrypt_into(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound, target)
                except (InvalidTag, ValueError):
                    raise StoreUnreadable(
                        path=self.path, reason="a key in it is damaged or was altered", remedy="Distil new keys."
                    ) from None
                place += GRAIN_BYTES

    def unreadable(self, fault: sqlite3.Error) -> StoreUnreadable:
        """Return our error for one of SQLite's, which never holds a value of a row."""
        reason = str(fault)
        if "locked" in reason:
            reason = "another KeyStore, in this process or in another one, has it open"
        return StoreUnreadable(path=self.path, reason=reason)

    def close(self) -> None:
        """Empty the write-ahead log, close the file and overwrite the store key."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.connection.close()
        wipe(self._key)


def bound_to(a: str, b: str, label: str, epsilon: float, place: tuple[int, int, int]) -> bytes:
    """Return what a grain is bound to: its pair, label and epsilon, and its block, place in it and end."""
    return "|".join((a, b, epsilon.hex(), *map(str, place), label)).encode()


def _connected(path: str) -> sqlite3.Connection:
    try:
        if path == ":memory:":
            return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        if 0 < Path(path).stat().st_size < 512:
            raise StoreUnreadable(path=path, reason="it is not an SQLite file", remedy="Name another file.")
        return sqlite3.connect(
            f"file:{quote(path)}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
    except (OSError, ValueError, sqlite3.Error) as fault:
        raise StoreUnreadable(path=path, reason=str(fault), remedy="Name a file in a folder that exists.") from fault
