"""Outcomes on disk, by the content hash of their jobs: what was finished once is not run again.

One SQLite file with a write-ahead log. An outcome is there as soon as ``put`` returns, also when the process is killed
right after. Several processes may use one store at a time; the first outcome of a job is the one that stays. Every
outcome has a check sum, and a file that is damaged, or is not ours, is refused and left as it is.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hyperfabric_q.errors import StoreUnreadable
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.payload import decode
from hyperfabric_q.execution.store_schema import connect

_MOST_KEYS: Final = 500
"""Keys in one question; SQLite allows about a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutcome:
    """One row of a store.

    Attributes:
        key: content hash of the job.
        kind: the job's task.
        version: of the task.
        seed: of the run.
        path: of the job's random stream.
        arguments: of the job, as JSON; circuits and long arguments by their hashes.
        outcome: as ``encode`` wrote it.
        seconds: it took.
        written: when, in UTC.
    """

    key: str
    kind: str
    version: int
    seed: int
    path: tuple[str | int, ...]
    arguments: str
    outcome: bytes
    seconds: float
    written: str

    def value(self) -> Any:
        """Return the outcome itself."""
        return decode(self.outcome)


class Store:
    """A store of outcomes, open."""

    def __init__(self, path: str | Path) -> None:
        """Open the store at ``path``, or make a new one there.

        Raises:
            StoreUnreadable: the file is damaged, or another program's, or of a newer version, or cannot be written.
        """
        self.path = str(path)
        self._connection = connect(self.path)

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be asked afterwards."""
        self._connection.close()

    def __len__(self) -> int:
        """Return how many outcomes there are."""
        with self._guard():
            return int(self._connection.execute("SELECT count(*) FROM outcome").fetchone()[0])

    def find(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the outcomes that stand under some keys, encoded.

        Raises:
            StoreUnreadable: an outcome is damaged.
        """
        wanted, found = list(keys), {}
        for start in range(0, len(wanted), _MOST_KEYS):
            part = wanted[start : start + _MOST_KEYS]
            marks = ",".join("?" * len(part))
            with self._guard():
                question = f"SELECT key, outcome, checksum FROM outcome WHERE key IN ({marks})"  # noqa: S608  # marks
                rows = self._connection.execute(question, part).fetchall()
            for key, outcome, checksum in rows:
                found[str(key)] = self._sound(key, outcome, checksum)
        return found

    def put(self, job: Job, outcome: bytes, seconds: float) -> bool:
        """Keep the outcome of a job; return False when another outcome stood there before, which stays.

        Raises:
            StoreUnreadable: the file cannot be written.
        """
        kind, version, seed, path, arguments = json.loads(identity := job.identity())
        key = hashlib.blake2b(identity.encode(), digest_size=32).hexdigest()
        row = (
            key,
            kind,
            version,
            seed,
            json.dumps(path),
            json.dumps(arguments, sort_keys=True),
            outcome,
            _checksum(key, outcome),
            seconds,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._guard(), self._connection:
            made = self._connection.execute(
                "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING", row
            )
        return made.rowcount == 1 or self.find([key])[key] == outcome

    def rows(self) -> Iterator[StoredOutcome]:
        """Yield every outcome, by kind and then in the order of their keys.

        Raises:
            StoreUnreadable: an outcome is damaged.
        """
        question = (
            "SELECT key, kind, version, seed, path, arguments, outcome, seconds, written, checksum "
            "FROM outcome ORDER BY kind, key"
        )
        with self._guard():
            for (
                key,
                kind,
                version,
                seed,
                path,
                arguments,
                outcome,
                seconds,
                written,
                checksum,
            ) in self._connection.execute(question):
                yield StoredOutcome(
                    key=key,
                    kind=kind,
                    version=version,
                    seed=seed,
                    path=tuple(json.loads(path)),
                    arguments=arguments,
                    outcome=self._sound(key, outcome, checksum),
                    seconds=seconds,
                    written=written,
                )

    def _sound(self, key: str, outcome: object, checksum: object) -> bytes:
        if not isinstance(outcome, bytes) or _checksum(str(key), outcome) != checksum:
            raise StoreUnreadable(
                path=self.path,
                reason=f"the outcome of job {str(key)[:12]} is damaged",
                remedy="Move the file away; a new store is filled again.",
            )
        return outcome

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as fault:
            raise StoreUnreadable(path=self.path, reason=str(fault)) from fault


def _checksum(key: str, outcome: bytes) -> bytes:
    return hashlib.blake2b(outcome, digest_size=16, key=key.encode()[:64]).digest()
