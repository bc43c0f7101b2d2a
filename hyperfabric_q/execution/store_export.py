"""A store as text, for other programs: JSON with everything, CSV with one row per outcome."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.store import Store, StoredOutcome

SCHEMA: Final = "hyperfabric_q/store/1"

COLUMNS: Final = ("key", "kind", "version", "seed", "path", "arguments", "outcome", "seconds", "written")


def export(store: Store, path: str | Path) -> int:
    """Write a store's outcomes to a file, replacing what is there; return how many.

    Args:
        store: what is written.
        path: ends with .json or .csv. Circuits and long arguments stand by their hashes. In CSV, path, arguments and
            outcome are JSON.

    Raises:
        InvalidValue: the suffix says no format, or the file cannot be written.
        StoreUnreadable: an outcome is damaged.
    """
    target = Path(path)
    if target.suffix not in _WRITERS:
        raise InvalidValue(field="path", value=str(path), rule="the suffix says the format: .json or .csv")
    with _replaced(target) as file:
        return int(_WRITERS[target.suffix](store, file))


def _as_json(store: Store, file: TextIO) -> int:
    # Row by row: a store may be larger than memory.
    count = 0
    file.write(f'{{"schema": {json.dumps(SCHEMA)}, "outcomes": [')
    for count, row in enumerate(store.rows(), start=1):
        file.write((",\n" if count > 1 else "\n") + json.dumps(dict(zip(COLUMNS, _cells(row), strict=True))))
    file.write("\n]}\n")
    return count


def _as_csv(store: Store, file: TextIO) -> int:
    count = 0
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in store.rows():
        cells = [each if isinstance(each, str | int | float) else json.dumps(each) for each in _cells(row)]
        count += 1
        table.writerow(cells)
    return count


def _cells(row: StoredOutcome) -> tuple[Any, ...]:
    arguments, outcome = json.loads(row.arguments), json.loads(row.outcome)
    return row.key, row.kind, row.version, row.seed, list(row.path), arguments, outcome, row.seconds, row.written


_WRITERS: Final = {".json": _as_json, ".csv": _as_csv}


@contextmanager
def _replaced(target: Path) -> Iterator[TextIO]:
    part = target.with_name(target.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(target)
    except OSError as fault:
        raise InvalidValue(field="path", value=str(target), rule=f"it cannot be written: {fault.strerror}") from fault
    finally:
        part.unlink(missing_ok=True)
