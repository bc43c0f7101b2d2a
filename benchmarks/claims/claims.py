"""Seven claims that one reads about such fabrics, each beside what this package computes for it.

    .venv/bin/python benchmarks/claims/claims.py

Prints the comparison of the three transports and the figures without one, and writes comparison.csv and figures.csv
beside this file. A value above its bound (a time below it) would be a fault of the package, and ends the script.
One to two minutes.
"""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import classical
import quantum
from classical import PROFILES, Row

HERE = Path(__file__).parent
TIMES = frozenset({"s", "ms", "us", "Tb/s"})


def possible(row: Row) -> bool:
    """Whether no transport beats the bound; what M/D/1 expects is none."""
    if row.bound is None or "M/D/1" in row.bound_by:
        return True
    slack = 1e-9 * row.bound
    if row.unit in TIMES:
        return min(row.values) >= row.bound - slack
    return max(row.values) <= row.bound + slack


def write(name: str, rows: list[dict[str, object]]) -> None:
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    compared: list[dict[str, object]] = []
    for row in [*classical.rows(), *quantum.transfers()]:
        if not possible(row):
            raise SystemExit(f"{row.quantity}: {row.values} beats {row.bound}")
        by_profile = {name: f"{value:.6g}" for name, value in zip(PROFILES, row.values, strict=True)}
        bound = "" if row.bound is None else f"{row.bound:.6g}"
        compared.append(
            {
                "claim": row.claim,
                "quantity": row.quantity,
                "unit": row.unit,
                **by_profile,
                "tcp/fabric": f"{row.values[0] / row.values[-1]:.4g}" if row.values[-1] else "",
                "rdma/fabric": f"{row.values[1] / row.values[-1]:.4g}" if row.values[-1] else "",
                "bound": bound,
                "bound_by": row.bound_by,
                "parameters": row.parameters,
            }
        )
        print(f"{row.quantity:<62}", *(f"{each:>12}" for each in (*by_profile.values(), bound)), row.unit)
    write("comparison.csv", compared)
    figures = [
        asdict(each) | {"value": each.value if isinstance(each.value, str) else f"{each.value:.6g}"}
        for each in quantum.figures()
    ]
    for figure in figures:
        print(f"{figure['quantity']:<70} {figure['value']:>12} {figure['unit']}")
    write("figures.csv", figures)


if __name__ == "__main__":
    main()
