"""The table that a sweep returns: one row per point."""

from __future__ import annotations

import csv
import html
import importlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import HyperFabricError, InvalidValue, MissingDependency, UnknownName

SCHEMA: Final = "hyperfabric_q/sweep/1"
NOT_RUN: Final = "not run"

_SHOWN: Final = 40
_NUMBERS: Final = (int, float)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sweep:
    """One row per point, in the order of the points.

    Attributes:
        paths: what was varied; the first columns.
        columns: names of all columns: ``paths``, those of the metrics, then "ebits", "makespan_ns", "method",
            "timelines", "notes", "plan" (the hash of the emitted circuit), "seed", "seconds" (of work; nan where the
            row came from the store) and "error".
        rows: values by column; what a point does not have is None.
        failed: the error of each point that has one, by row.
        seed: of every plan and of every run.
        executor: where the points ran; "store" if none had to.
        seconds: from start to end.
        interrupted: whether it was ended early; rows that are left say "not run".
    """

    paths: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    failed: Mapping[int, HyperFabricError]
    seed: int
    executor: str
    seconds: float
    interrupted: bool = False

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        """Return one row."""
        return self.rows[place]

    @property
    def complete(self) -> bool:
        """Whether every point was measured."""
        return all(row["error"] is None for row in self.rows)

    def is_missing(self, place: int) -> bool:
        """Return whether a point was not run, because the sweep ended early."""
        return bool(self.rows[place]["error"] == NOT_RUN)

    @property
    def plans(self) -> int:
        """How many different plans there are."""
        return len({row.get("plan") for row in self.rows} - {None})

    def column(self, name: str) -> NDArray[Any]:
        """Return one column: whole numbers, floats with nan for what is missing, or objects.

        Raises:
            UnknownName: there is no such column; the error lists them.
        """
        if name not in self.columns:
            raise UnknownName(kind="column", name=str(name)[:200], known=self.columns)
        values = [row[name] for row in self.rows]
        if all(type(value) is int for value in values):
            return np.array(values)
        if all(value is None or type(value) in _NUMBERS for value in values) and name != "error":
            return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table to a file, replacing what is there; numbers with all their digits, nothing for None.

        Raises:
            InvalidValue: the file cannot be written.
        """
        try:
            with Path(path).open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(self.columns)
                table.writerows([row[name] for name in self.columns] for row in self.rows)
        except OSError as fault:
            rule = f"it cannot be written: {fault.strerror}"
            raise InvalidValue(field="path", value=str(path), rule=rule) from fault

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON-ready values, schema ``hyperfabric_q/sweep/1``; nan becomes None."""
        return {
            "schema": SCHEMA,
            "paths": list(self.paths),
            "columns": list(self.columns),
            "rows": [[_plain(row[name]) for name in self.columns] for row in self.rows],
            "seed": self.seed,
            "executor": self.executor,
            "seconds": round(self.seconds, 6),
            "interrupted": self.interrupted,
        }

    def frame(self) -> Any:
        """Return the table as a pandas ``DataFrame``.

        Raises:
            MissingDependency: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as fault:
            raise MissingDependency(what="Sweep.frame()", package="pandas", extra="pandas") from fault
        return pandas.DataFrame({name: self.column(name) for name in self.columns})

    def __repr__(self) -> str:
        missing = sum(map(self.is_missing, range(len(self))))
        parts = [f"{len(self)} points over {', '.join(self.paths) or 'nothing'}"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{missing} not run"] if missing else []
        return f"<Sweep: {', '.join(parts)}; {self.plans} plan{'' if self.plans == 1 else 's'}, seed {self.seed}>"

    def __str__(self) -> str:
        head, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, *rows)
        ]
        left = len(self) - len(rows)
        return "\n".join([*lines, *([f"... and {left} more"] if left else [])])

    def _repr_html_(self) -> str:
        head, rows = self._cells()
        top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        left = len(self) - len(rows)
        more = f"<p>and {left} more</p>" if left else ""
        return (
            f"<p><b>{html.escape(repr(self)[1:-1])}</b></p>"
            f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}"
        )

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """The first rows as text, without columns that say nothing."""
        told = [name for name in self.columns if any(row[name] not in (None, "") for row in self.rows)]
        return told, [[_shown(row[name]) for name in told] for row in self.rows[:_SHOWN]]


def rows_of(
    points: Sequence[Mapping[str, Any]],
    measured: Mapping[int, tuple[Mapping[str, Any] | None, float]],
    failed: Mapping[int, HyperFabricError],
    *,
    paths: Sequence[str],
    seed: int,
) -> tuple[tuple[str, ...], tuple[dict[str, Any], ...]]:
    """Return the names of the columns, and the rows.

    Args:
        points: the value of each path that a point sets.
        measured: columns and seconds of work by the point's place; None for columns that are not known.
        failed: the error of each point that has one, by its place.
        paths: the first columns.
        seed: of all points.
    """
    names = dict.fromkeys(paths)
    names |= dict.fromkeys(name for columns, _ in measured.values() for name in columns or ())
    names |= dict.fromkeys(("seed", "seconds", "error"))
    rows = []
    for place, point in enumerate(points):
        columns, seconds = measured.get(place, (None, math.nan))
        error = str(failed[place]) if place in failed else NOT_RUN if columns is None else None
        told = {"seed": seed, "seconds": seconds, "error": error}
        rows.append(dict.fromkeys(names) | dict(columns or {}) | dict(point) | told)
    return tuple(names), tuple(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
