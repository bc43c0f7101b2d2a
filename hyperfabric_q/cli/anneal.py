"""``hyperfabric-q anneal``: a binary quadratic problem solved, and how much better any answer could be at most."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperfabric_q.cli import Json, Seed, _faults, _print_json, _progress
from hyperfabric_q.errors import FileUnreadable, InvalidValue

if TYPE_CHECKING:
    from hyperfabric_q.workloads.annealing.answers import Answer

STDIN: Final = Path("-")
LARGEST_BYTES: Final = 200_000_000

Solver = StrEnum("Solver", "auto exact tree simulated_annealing tabu steepest_descent qaoa")


def _machine(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel="Fabric", show_default=False)


Problem = Annotated[
    Path, typer.Argument(metavar="FILE", help="dimod BQM file, or COO text: 'row column weight' per line; - is stdin.")
]
SolverOf = Annotated[Solver, typer.Option(help="auto is certain where that is cheap, else simulated annealing.")]
Reads = Annotated[int, typer.Option(min=1, metavar="N", help="Independent samples.")]
Sweeps = Annotated[int, typer.Option(min=1, metavar="N", help="Sweeps of one sample of simulated annealing.")]
FabricFile = Annotated[Path | None, _machine("F.toml", "Fabric file: nodes and links.")]
Node = Annotated[str | None, _machine("ID", "Annealer of that fabric: the problem must fit, and takes its time there.")]
Layers = Annotated[int, typer.Option(min=1, metavar="P", help="Layers of QAOA, on the QPU nodes of the fabric.")]


def anneal_command(
    *,
    file: Problem,
    solver: SolverOf = Solver.auto,
    reads: Reads = 100,
    sweeps: Sweeps = 1_000,
    fabric: FabricFile = None,
    node: Node = None,
    layers: Layers = 2,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Solve a binary quadratic problem (QUBO or Ising), and bound how much better any answer could be.

    Example: hyperfabric-q anneal problem.coo --seed 1 --json
    """
    with _faults(None, as_json=as_json):
        if node is not None and fabric is None:
            rule = "nothing says which node that is"
            raise InvalidValue(field="--node", value=node, rule=rule, remedy="Add --fabric FILE.toml.")
        if fabric is not None and node is None and solver is not Solver.qaoa:
            rule = "only --solver qaoa runs on all of a fabric"
            raise InvalidValue(field="--fabric", value=str(fabric), rule=rule, remedy="Add --node ID of an annealer.")
        data = _content(file)
        with _progress("loading"):
            from hyperfabric_q.fabric import Fabric  # noqa: PLC0415 - keeps --help fast
            from hyperfabric_q.workloads.annealing.solving import solve  # noqa: PLC0415
        machines = None if fabric is None else Fabric.from_file(fabric)
        with _progress("annealing"):
            answer = solve(
                _problem(data, file),
                None if machines is None or node is None else machines.node(node),
                solver=solver.value,
                reads=reads,
                sweeps=sweeps,
                fabric=machines,
                layers=layers,
                seed=seed,
            )
        if as_json:
            _print_json(answer.to_dict())
        else:
            typer.echo(_text(answer))


def _content(file: Path) -> bytes:
    """Return what stands in a file, or on stdin."""
    if file == STDIN:
        data = sys.stdin.buffer.read(LARGEST_BYTES + 1)
    else:
        try:
            with file.open("rb") as opened:
                data = opened.read(LARGEST_BYTES + 1)
        except OSError as fault:
            raise FileUnreadable(path=str(file), reason=str(fault.strerror or fault)) from fault
    if len(data) > LARGEST_BYTES:
        raise FileUnreadable(path=str(file), reason=f"it has more than {LARGEST_BYTES:,} bytes")
    return data


def _problem(data: bytes, file: Path) -> bytes | str:
    """Return the bytes of a dimod file as they are, anything else as text."""
    if data.startswith(b"DIMOD"):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        reason = "it is neither a dimod file nor text"
        raise FileUnreadable(path=str(file), reason=reason, remedy="Write it with bqm.to_file(), or as COO.") from fault


def _text(answer: Answer) -> str:
    values = " ".join(f"{name}={value}" for name, value in list(answer.sample.items())[:_SHOWN])
    more = f" ... and {len(answer.sample) - _SHOWN} more (--json shows all)" if len(answer.sample) > _SHOWN else ""
    return "\n".join([str(answer), values + more, *answer.notes, f"seed {answer.seed}"])


_SHOWN: Final = 64
