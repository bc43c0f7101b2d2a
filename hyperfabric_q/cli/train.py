"""``hyperfabric-q train``: hybrid training from a file, with a state on disk that outlives the process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperfabric_q.cli import INTERRUPTED, Json, Seed, _faults, _print_json, _progress
from hyperfabric_q.errors import EndedEarly, HyperFabricWarning

if TYPE_CHECKING:
    from hyperfabric_q.workloads.learning.hybrid.history import TrainingHistory, TrainingRow
    from hyperfabric_q.workloads.learning.hybrid.training import Trained

TRAIN_SCHEMA: Final = "hyperfabric_q/train/1"
SHOWN_ROWS: Final = 12

TrainingPath = Annotated[Path, typer.Argument(metavar="FILE.toml", help="Training file: fabric, data, model, nodes.")]
StepsOf = Annotated[
    int | None, typer.Option("--steps", min=1, metavar="N", help="Steps in all, instead of the file's.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="DIR", help="Keep the state there after every step, and go on from it."),
]


def train_command(
    *,
    file: TrainingPath,
    steps: StepsOf = None,
    checkpoint: Folder = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Train classical layers and circuits on a fabric: where the time goes, step by step.

    Ctrl-C shows what there is, and exits with 130; with --checkpoint the next call goes on from there.

    Example: hyperfabric-q train examples/train/iris_data_parallel.toml --checkpoint state
    """
    with _faults(None, as_json=as_json):
        with _progress("loading"):
            from hyperfabric_q.workloads.learning.hybrid.config import read_file  # noqa: PLC0415 - keeps --help fast
        asked = read_file(file, seed=seed)
        with _telling():
            trained = asked.training.fit(
                asked.data.rows,
                asked.data.labels,
                steps=asked.steps if steps is None else steps,
                checkpoint=checkpoint,
                progress=True,
            )
        scores = _scores(trained, asked.data)
        if as_json:
            _print_json({"schema": TRAIN_SCHEMA, "file": str(file), "scores": scores, **_told(trained.history)})
        else:
            typer.echo(_text(trained.history, scores))
        if trained.history.stopped == "interrupted":
            raise typer.Exit(INTERRUPTED)


def _told(history: TrainingHistory) -> dict[str, Any]:
    found = history.to_dict()
    found.pop("schema")
    return found


def _scores(trained: Trained, data: Any) -> dict[str, float | None]:
    """The score on samples that were learnt from, and on the others: the share that is right, or R^2."""
    tested = trained.score(data.test_rows, data.test_labels) if len(data.test_labels) else None
    return {"train": trained.score(data.rows, data.labels), "test": tested}


@contextmanager
def _telling() -> Iterator[None]:
    """Show what the package warns of once, in one line each, on stderr; that it ended early is in the result."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", HyperFabricWarning)
        try:
            yield
        finally:
            kept = [each for each in told if not issubclass(each.category, EndedEarly)]
            for message in dict.fromkeys(str(each.message) for each in kept):
                typer.echo(f"warning: {message}", err=True)


# --------------------------------------------------------------------------------------------------------------- text


def _text(history: TrainingHistory, scores: dict[str, float | None]) -> str:
    table: list[tuple[str, ...]] = [
        ("step", "loss", "step, ms", "quantum", "network", "classical", "waiting", "pairs", "shots", "bytes")
    ]
    table += [_cells(row) for row in _chosen(history)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    said = [f"{name} score {value:.4f}" for name, value in scores.items() if value is not None]
    return "\n".join([*lines, str(history), ", ".join(said), *(f"note: {each}" for each in history.notes)])


def _chosen(history: TrainingHistory) -> list[TrainingRow]:
    """As many steps as fit on a screen, evenly spread, the first and the last among them."""
    count = len(history)
    if count <= SHOWN_ROWS:
        return list(history)
    places = sorted({round(place * (count - 1) / (SHOWN_ROWS - 1)) for place in range(SHOWN_ROWS)})
    return [history.rows[place] for place in places]


def _cells(row: TrainingRow) -> tuple[str, ...]:
    lasts = row.end_ns - row.start_ns
    loss = f"{row.loss:.4f}" if not row.loss_error else f"{row.loss:.4f} ± {row.loss_error:.4f}"
    parts = (row.quantum_ns, row.network_ns, row.classical_ns, row.waiting_ns)
    shares = (f"{part / lasts:.3%}" if lasts else "-" for part in parts)
    counts = (f"{count:,}" for count in (row.pairs, row.shots, row.nbytes))
    return (str(row.step), loss, f"{lasts / 1e6:.4g}", *shares, *counts)
