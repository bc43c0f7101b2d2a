"""``hyperfabric-q bench``: what this installation does on this machine, measured by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import typer

from hyperfabric_q.cli import Json, _faults, _print_json, _progress

BENCH_SCHEMA: Final = "hyperfabric_q/bench/1"

app = typer.Typer(name="bench", help="Measure this installation on this machine.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@app.command("execution")
def execution_command(*, as_json: Json = False) -> None:
    """Measure every method on a small circuit, and what workers cost; takes less than a minute.

    Example: hyperfabric-q bench execution --json
    """
    with _faults(None, as_json=as_json):
        with _progress("measuring"):
            from hyperfabric_q.cli.bench_execution import measure_execution  # noqa: PLC0415 - keeps --help fast

            found = measure_execution()
        if as_json:
            _print_json({"schema": BENCH_SCHEMA, "what": "execution", **found})
        else:
            typer.echo(_text(found))


def _text(found: dict[str, Any]) -> str:
    methods = [("method", "circuit", "shots", "seconds", "shots/s")]
    methods += [
        (each["method"], each["circuit"], f"{each['shots']:,}", f"{each['seconds']:.3f}", f"{each['shots_per_s']:,.0f}")
        for each in found["methods"]
    ]
    executors = [("executor", "start, s", "per job, ms", "20 longer jobs, s")]
    executors += [
        (each["executor"], f"{each['start_s']:.2f}", f"{each['per_job_ms']:.2f}", f"{each['work_took_s']:.2f}")
        for each in found["executors"]
    ]
    return "\n".join(
        [*_table(methods), "", *_table(executors), "", f"{found['cores']} cores, {found['seconds']:.1f} s"]
    )


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
