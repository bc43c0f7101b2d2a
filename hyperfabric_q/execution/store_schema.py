"""Is this file a store of ours, whole and of a version that is known here? Opening, making and migrating."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from hyperfabric_q.errors import StoreUnreadable

APPLICATION_ID: Final = 0x48465153
"""What SQLite's header says of our files: "HFQS"."""

SCHEMA_VERSION: Final = 1

_MAGIC: Final = b"SQLite format 3\x00"

BUSY_S: Final = 30.0
"""How long a write waits for other processes' writes."""

_CHECKED_BYTES: Final = 64 << 20
"""Files up to this size are checked whole when they are opened (0.1 s); larger ones row by row, as they are read."""

_TABLE: Final = """
CREATE TABLE outcome (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    path TEXT NOT NULL,
    arguments TEXT NOT NULL,
    outcome BLOB NOT NULL,
    checksum BLOB NOT NULL,
    seconds REAL NOT NULL,
    written TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""

MIGRATIONS: Mapping[int, tuple[str, ...]] = MappingProxyType({})
"""Statements that make version n + 1 of version n. There has been one version only."""


def connect(path: str) -> sqlite3.Connection:
    """Return a connection to the store at ``path``, which is made where there is none.

    Raises:
        StoreUnreadable: it is no store, is damaged, is newer than this package, or cannot be written.
    """
    if "\0" in path:
        raise StoreUnreadable(path=path, reason="no file has a name like that")
    file = Path(path)
    if file.is_dir() or not file.parent.is_dir():
        raise StoreUnreadable(
            path=path,
            reason="it is a folder" if file.is_dir() else f"there is no folder {str(file.parent)!r}",
            remedy="Name a file in a folder that exists.",
        )
    connection = None
    try:
        if not _may_be_sqlite(file):
            raise sqlite3.DatabaseError("it is not an SQLite file")
        connection = sqlite3.connect(f"file:{quote(str(file))}", uri=True, timeout=BUSY_S, isolation_level="IMMEDIATE")
        _open(connection, path, new=not file.stat().st_size)
    except sqlite3.DatabaseError as fault:
        _close(connection)
        raise StoreUnreadable(
            path=path, reason=_told(fault), remedy="Name another file; this one is left as it is."
        ) from fault
    except (OSError, ValueError) as fault:
        _close(connection)
        raise StoreUnreadable(path=path, reason=str(fault)) from fault
    except BaseException:
        _close(connection)
        raise
    return connection


def _may_be_sqlite(file: Path) -> bool:
    # SQLite takes a very short file for an empty one, and would write over it.
    if not file.exists():
        return True
    with file.open("rb") as opened:
        return opened.read(len(_MAGIC)) in {_MAGIC, b""}


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


def _told(fault: sqlite3.DatabaseError) -> str:
    return "it is not an SQLite file" if "not a database" in str(fault) else str(fault)


def _open(connection: sqlite3.Connection, path: str, *, new: bool) -> None:
    if not new and _number(connection, "application_id") != APPLICATION_ID and _tables(connection):
        raise StoreUnreadable(
            path=path,
            reason="it is a database of another program",
            remedy="Name another file; this one is left as it is.",
        )
    _write_ahead(connection, path)
    # In this mode a killed process loses nothing that was committed; a power cut may lose the last outcomes.
    connection.execute("PRAGMA synchronous = NORMAL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if not _tables(connection):
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        _migrate(connection, path)
    if not new and Path(path).stat().st_size <= _CHECKED_BYTES:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreUnreadable(
                path=path, reason=f"it is damaged ({verdict})", remedy="Move it away; a new store is filled again."
            )


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    found = _number(connection, "user_version")
    if found > SCHEMA_VERSION:
        raise StoreUnreadable(
            path=path,
            reason=f"it has version {found}, this package knows version {SCHEMA_VERSION}",
            remedy="Use the hyperfabric_q that wrote it, or a newer one.",
        )
    while found < SCHEMA_VERSION:
        if found not in MIGRATIONS:
            raise StoreUnreadable(path=path, reason=f"nothing leads from its version {found} to {SCHEMA_VERSION}")
        for statement in MIGRATIONS[found]:
            connection.execute(statement)
        found += 1
        connection.execute(f"PRAGMA user_version = {found}")
    if "outcome" not in _tables(connection):
        raise StoreUnreadable(path=path, reason="it has no table of outcomes")


def _write_ahead(connection: sqlite3.Connection, path: str) -> None:
    until = time.monotonic() + BUSY_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as fault:
            # Two processes that make the same store: here SQLite does not wait by itself.
            if "locked" not in str(fault) or time.monotonic() > until:
                raise
            time.sleep(0.02)
    if mode != "wal":
        raise StoreUnreadable(
            path=path,
            reason=f"its file system allows no write-ahead log (journal mode {mode})",
            remedy="Put the store on a local disk.",
        )


def _number(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
