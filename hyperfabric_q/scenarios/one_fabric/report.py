"""What tenants of one fabric got under several policies and loads, and what each of them costs the others."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.workloads.qkd.finite_key import foretell

Row: TypeAlias = dict[str, str | float | int | None]

FIGURES: Final = {
    "circuit_fidelity": "process fidelity of the circuit",
    "errors_per_round": "logical errors per round",
    "step_ms": "time of a training step, ms",
    "key_bits_per_s": "bits of key per second",
}

BLOCK_S: Final = 60.0
"""Keys are distilled from the pairs of so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """Return what several independent runs under one policy and load gave.

    Args:
        policy: its name.
        load: of the fibre by others.
        off: the tenant that was turned off; "" for none.
        figures: of each run, by a key of ``FIGURES``.
        pairs: how many were made, used, expired and left, in all runs.
        bytes_sent: handed to the fabric, in all runs.
        bytes_delivered: that it handed over.
        digests: of each run.

    Raises:
        InvalidValue: a figure does not come from at least two runs, so that it has no bar.
    """

    policy: str
    load: float
    off: str
    figures: Mapping[str, Sequence[float]]
    pairs: Mapping[str, int]
    bytes_sent: int
    bytes_delivered: int
    digests: tuple[str, ...]

    def __post_init__(self) -> None:
        if any(len(each) < 2 for each in self.figures.values()):
            raise InvalidValue(field="figures", value=self.figures, rule="error bars rest on at least two runs")

    @property
    def reconciled(self) -> bool:
        """Whether every pair that was made was used, expired or is left, and every byte that was sent arrived."""
        ended = sum(number for name, number in self.pairs.items() if name != "made")
        return self.pairs["made"] == ended and self.bytes_sent == self.bytes_delivered


def key_rate(weights: Sequence[tuple[float, ...]], seconds: float) -> float:
    """Return the bits of key per second that blocks of a minute give, finite-key bounds included.

    Args:
        weights: Bell-diagonal weights of pairs when they were measured.
        seconds: in which they were.
    """
    if not len(weights):
        return 0.0
    _, x, y, z = np.mean(weights, axis=0).tolist()
    # Of two bases, chosen evenly, half agree.
    return foretell(int(len(weights) / seconds * BLOCK_S / 2), (x + 2 * y + z) / 2).secret_bits / BLOCK_S


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean of independent runs with its standard error."""
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(value=float(np.mean(values)), stderr=spread, shots=len(values))


def change(point: Point, whole: Point, name: str) -> Estimate:
    """Return by how much a figure changes from ``whole`` to ``point``, whose runs had the same seeds, one by one."""
    return mean([a - b for a, b in zip(point.figures[name], whole.figures[name], strict=True)])


def rows_of(points: Sequence[Point]) -> list[Row]:
    """Return a row per point: figures with their bars, changes where a tenant is off, and the books.

    What a tenant that is off would have had is None.
    """
    whole = {(each.policy, each.load): each for each in points if not each.off}
    rows: list[Row] = []
    for each in points:
        row: Row = {"policy": each.policy, "load": each.load, "off": each.off}
        for name in FIGURES:
            found = mean(each.figures[name]) if name in each.figures else None
            row[name], row[f"{name}_stderr"] = (found.value, found.stderr) if found else (None, None)
        for name in FIGURES:
            told = each.off and name in each.figures
            found = change(each, whole[each.policy, each.load], name) if told else None
            row[f"{name}_change"], row[f"{name}_change_stderr"] = (found.value, found.stderr) if found else (None, None)
        row |= {f"pairs_{name}": number for name, number in each.pairs.items()}
        row |= {"bytes_sent": each.bytes_sent, "bytes_delivered": each.bytes_delivered}
        row["digest"] = hashlib.blake2b("".join(each.digests).encode(), digest_size=8).hexdigest()
        rows.append(row)
    return rows


def written(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            shown = {name: f"{each:.6g}" if isinstance(each, float) else each for name, each in row.items()}
            writer.writerow(shown)


def told(rows: Sequence[Row]) -> str:
    """Return rows as two tables of text, the figures and what changes without a tenant, and the sums of the books."""
    heads = "".join(f"{name:>24}" for name in FIGURES)
    lines = [f"{'policy':12} {'load':>8}  {heads}"]
    lines += [_line(row, row["load"], "") for row in rows if not row["off"]]
    lines += ["", f"{'policy':12} {'without':>8}  {heads}"]
    lines += [_line(row, row["off"], "_change") for row in rows if row["off"]]
    books = [name for name in rows[0] if name.startswith(("pairs_", "bytes_"))]
    sums = {name: sum(int(row[name] or 0) for row in rows) for name in books}
    return "\n".join([*lines, "", ", ".join(f"{name.replace('_', ' ')} {total:,}" for name, total in sums.items())])


def _line(row: Row, what: object, kind: str) -> str:
    cells = []
    for name in FIGURES:
        value, bar = row[f"{name}{kind}"], row[f"{name}{kind}_stderr"]
        cells.append("-" if value is None else f"{value:{'+' if kind else ''}.4g} ± {bar:.2g}")
    return f"{row['policy']:12} {what!s:>8}  " + "".join(f"{cell:>24}" for cell in cells)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the four figures over the load, one curve per policy, with bars of one standard error."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws waits for it

    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    policies = list(dict.fromkeys(str(row["policy"]) for row in rows))
    for axes, (name, label) in zip(figure.subplots(2, 2).flat, FIGURES.items(), strict=True):
        for policy, marker in zip(policies, "osD^vP*X", strict=False):
            mine = [row for row in rows if row["policy"] == policy and not row["off"]]
            columns = [[row[each] for row in mine] for each in ("load", name, f"{name}_stderr")]
            axes.errorbar(*columns, marker=marker, markersize=4, capsize=3, label=policy)
        axes.set_xlabel("load of the fibre by others")
        axes.set_ylabel(label)
        if name in {"errors_per_round", "step_ms"}:
            axes.set_yscale("log")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)
