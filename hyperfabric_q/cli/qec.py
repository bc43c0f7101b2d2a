"""``hyperfabric-q qec collect``: logical error rates over a grid, in a results file that sinter reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from hyperfabric_q.cli import Json, Seed, _faults, _print_json, _progress
from hyperfabric_q.errors import HyperFabricWarning, InvalidValue

if TYPE_CHECKING:
    from hyperfabric_q.workloads.qec.collecting import Job
    from hyperfabric_q.workloads.qec.loop import Loop
    from hyperfabric_q.workloads.qec.memories import Memory
    from hyperfabric_q.workloads.qec.outcomes import Outcome, Tax

QEC_SCHEMA: Final = "hyperfabric_q/qec/1"

LISTS: Final = frozenset({"--distance", "--p", "--bell-fidelity", "--load"})
"""Options that take several values after one flag."""

Code = StrEnum("Code", "rotated_surface repetition")
Basis = StrEnum("Basis", {"X": "X", "Z": "Z"})
Crossing = StrEnum("Crossing", "direct teleported cat")
Backend = StrEnum("Backend", "frame closed aer")
LinkPolicy = StrEnum("LinkPolicy", "fabric fifo")
OnMiss = StrEnum("OnMiss", "wait shrink_buffer speculate drop_frame shed")


class Lists(TyperCommand):
    """A command whose ``LISTS`` read ``--distance 3 5 7`` as sinter's own options do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of ``args`` after every further value has been given its flag."""
        spread: list[str] = []
        flag, fresh = "", False
        for word in args:
            if word.startswith("--"):
                name, stated, _ = word.partition("=")
                flag, fresh = name if name in LISTS else "", not stated
                spread.append(word)
            elif flag and not fresh:
                spread += [flag, word]
            else:
                spread.append(word)
                fresh = False
        return super().parse_args(ctx, spread)


def _in(panel: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, metavar=metavar)


Distances = Annotated[list[int], _in("Experiment", "Code distances.", "D [D...]")]
Ps = Annotated[list[float], _in("Experiment", "Parameters of the noise model.", "P [P...]")]
CodeOf = Annotated[Code, _in("Experiment", "The code.")]
RoundsPer = Annotated[float, _in("Experiment", "Rounds are that many times the distance.", "R")]
NoiseOf = Annotated[str, _in("Experiment", "Noise model: stim4, uniform-idle, si1000 or none.", "NAME")]
BasisOf = Annotated[Basis, _in("Experiment", "Which logical value is kept.")]
Cycle = Annotated[float, _in("Experiment", "Duration of a round.", "NS")]
Fidelities = Annotated[
    list[float] | None, _in("Experiment", "Cut the code in two, over Bell pairs of these fidelities.", "F [F...]")
]
CrossingOf = Annotated[Crossing, _in("Experiment", "How gates cross the cut.")]
Gbps = Annotated[
    float | None, _in("Loop", "Bandwidth of the link to the decoder. Default: the decoder is at the QPU.", "G")
]
Latency = Annotated[float, _in("Loop", "Latency of the link.", "NS")]
Blocks = Annotated[int, typer.Option(min=1, metavar="N", help="Logical qubits on the link.", rich_help_panel="Loop")]
Loads = Annotated[list[float] | None, _in("Loop", "Shares of the link that gradients take.", "L [L...]")]
PolicyOf = Annotated[LinkPolicy, _in("Loop", "Who goes first on the link.")]
Deadline = Annotated[float | None, _in("Loop", "Deadline of a frame, decoding included. Default: none.", "US")]
OnMissOf = Annotated[OnMiss, _in("Loop", "What happens on a miss.")]
Service = Annotated[float, _in("Loop", "Time that decoding a window takes.", "US")]
Servers = Annotated[int, typer.Option(min=1, metavar="N", help="Windows decoded at a time.", rich_help_panel="Loop")]
Timelines = Annotated[
    int, typer.Option(min=1, metavar="K", help="Replays of the link per 65,536 shots.", rich_help_panel="Loop")
]
Ideal = Annotated[bool, _in("Loop", "Run everything without the link as well, for the tax.")]
DecoderOf = Annotated[str, _in("Run", "Decoder: matching, correlated_matching, lookup, ...", "NAME")]
WindowOf = Annotated[
    tuple[int, int] | None, _in("Run", "Decode in windows: rounds to commit and to look ahead.", "C B")
]
BackendOf = Annotated[Backend, _in("Run", "Sampled frames, stim in a closed loop, or dynamic circuits on Aer.")]
Shots = Annotated[int, typer.Option(min=1, metavar="N", help="Shots per point.", rich_help_panel="Run")]
Workers = Annotated[int, typer.Option(min=1, metavar="W", help="Processes.", rich_help_panel="Run")]
Out = Annotated[
    Path | None, _in("Run", "Results file for sinter combine and sinter plot; continued if it exists.", "F.csv")
]

app = typer.Typer(name="qec", help="Error correction whose syndromes travel over the fabric.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Link:
    """The options that say how syndromes get to the decoder."""

    gbps: float | None
    latency_ns: float
    blocks: int
    loads: tuple[float, ...]
    policy: LinkPolicy
    deadline_us: float | None
    on_miss: OnMiss
    service_us: float
    servers: int


@app.command("collect", cls=Lists)
def collect_command(
    *,
    distance: Distances,
    p: Ps,
    code: CodeOf = Code.rotated_surface,
    rounds_per_distance: RoundsPer = 3.0,
    noise: NoiseOf = "stim4",
    basis: BasisOf = Basis.Z,
    cycle_ns: Cycle = 1100.0,
    bell_fidelity: Fidelities = None,
    crossing: CrossingOf = Crossing.teleported,
    link_gbps: Gbps = None,
    latency_ns: Latency = 0.0,
    blocks: Blocks = 1,
    load: Loads = None,
    policy: PolicyOf = LinkPolicy.fabric,
    deadline_us: Deadline = None,
    on_miss: OnMissOf = OnMiss.wait,
    decoder_us: Service = 0.0,
    servers: Servers = 1,
    timelines: Timelines = 16,
    ideal: Ideal = True,
    decoder: DecoderOf = "matching",
    window: WindowOf = None,
    backend: BackendOf = Backend.frame,
    shots: Shots = 10_000,
    workers: Workers = 1,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Measure logical error rates, over distances, noise, Bell pairs and the load of the link to the decoder.

    Example: hyperfabric-q qec collect --distance 3 5 --p 0.002 0.004 --shots 100000 --out memory.csv
    """
    loads = tuple(load or ())
    link = _Link(link_gbps, latency_ns, blocks, loads, policy, deadline_us, on_miss, decoder_us, servers)
    with _faults(None, as_json=as_json), _telling():
        with _progress("loading"):
            from hyperfabric_q.seeds import resolve  # noqa: PLC0415 - keeps --help fast
            from hyperfabric_q.workloads.qec.memories import Memory, memories  # noqa: PLC0415
        like = Memory(
            code=code.value,
            rounds_per_distance=rounds_per_distance,
            noise=noise,
            basis=basis.value,
            link=crossing.value,  # type: ignore[arg-type]  # the names of the enumeration are those of the kind
            cycle_ns=cycle_ns,
        )
        grid = memories(
            distances=tuple(distance), ps=tuple(p), bell_fidelities=tuple(bell_fidelity or (None,)), like=like
        )
        with _progress("preparing"):
            jobs = _jobs(grid, _loops(link, decoder, window, ideal=ideal), backend.value, timelines)
        chosen = resolve(seed)
        rows = _rows(jobs, shots, out, chosen, workers)
        if as_json:
            _print_json({"schema": QEC_SCHEMA, "seed": chosen, "out": None if out is None else str(out), "rows": rows})
        else:
            typer.echo(_text(rows, chosen))


@contextmanager
def _telling() -> Iterator[None]:
    """Show what the package warns of once, in one line each, on stderr."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", HyperFabricWarning)
        try:
            yield
        finally:
            for message in dict.fromkeys(str(each.message) for each in told):
                typer.echo(f"warning: {message}", err=True)


def _loops(link: _Link, decoder: str, window: tuple[int, int] | None, *, ideal: bool) -> list[Loop]:
    """The loops to run: one per load, before them the one without a link."""
    from hyperfabric_q.workloads.qec.decoders import Fixed  # noqa: PLC0415 - keeps --help fast
    from hyperfabric_q.workloads.qec.loop import Loop  # noqa: PLC0415
    from hyperfabric_q.workloads.qec.one_link import one_link  # noqa: PLC0415
    from hyperfabric_q.workloads.qec.transport import Transport  # noqa: PLC0415

    plain = Loop(decoder=decoder, window=window)
    service = Fixed(1000 * link.service_us)
    if link.gbps is None:
        for option, value in (("--load", link.loads), ("--deadline-us", link.deadline_us)):
            if value:
                raise InvalidValue(
                    field=option,
                    value=str(value),
                    rule="it is about the link to the decoder, and there is none",
                    remedy="Give the link a bandwidth, for example --link-gbps 100.",
                )
        if not link.service_us:
            return [plain]
        ways = [Transport(blocks=("",) * link.blocks)]
    else:
        ways = [
            one_link(
                link.gbps,
                latency_ns=link.latency_ns,
                blocks=link.blocks,
                load=load,
                policy=link.policy.value,
                deadline_us=link.deadline_us,
            )
            for load in link.loads or (0.0,)
        ]
    over = [
        Loop(
            transport=way,
            decoder=decoder,
            window=window,
            service=service,
            servers=link.servers,
            policy=link.on_miss.value,
        )
        for way in ways
    ]
    return [plain, *over] if ideal else over


def _jobs(grid: Sequence[Memory], loops: Sequence[Loop], backend: str, timelines: int) -> list[Job]:
    from hyperfabric_q.workloads.qec.collecting import Job  # noqa: PLC0415 - keeps --help fast

    jobs = []
    for memory in grid:
        experiment = memory.experiment()
        jobs += [
            Job(
                experiment=experiment,
                loop=loop,
                backend=backend,  # type: ignore[arg-type]  # an enumeration's value
                timelines=timelines,
                lengthen=memory.experiment,
            )
            for loop in loops
        ]
    return jobs


def _rows(jobs: Sequence[Job], shots: int, out: Path | None, seed: int, workers: int) -> list[dict[str, Any]]:
    """Run the jobs, and return one row of the answer for each."""
    from hyperfabric_q.workloads.qec.collecting import collect  # noqa: PLC0415 - keeps --help fast
    from hyperfabric_q.workloads.qec.outcomes import Outcome, taxes  # noqa: PLC0415

    stats = collect(jobs, shots=shots, out=out, seed=seed, workers=workers, progress=True)
    found = [Outcome.of(each) for each in stats]
    dues = {id(tax.loaded): tax for tax in taxes(found)}
    with _progress("timing"):
        return [_row(job, each, dues.get(id(each)), seed) for job, each in zip(jobs, found, strict=True)]


def _row(job: Job, outcome: Outcome, tax: Tax | None, seed: int) -> dict[str, Any]:
    """One row of the answer: the outcome, the tax, and where the time goes."""
    from hyperfabric_q.workloads.qec.latencies import latencies  # noqa: PLC0415 - keeps --help fast

    found = outcome.to_dict()
    found["tax"] = None if tax is None else {**tax.ratio.to_dict(), "interval": _finite(tax.interval())}
    found["latency"] = None
    if job.loop.transport.fabric is not None:
        found["latency"] = latencies(job.experiment, job.loop, timelines=job.timelines, seed=seed).to_dict()
    return found


def _finite(interval: tuple[float, float]) -> list[float | None]:
    return [each if each < float("inf") else None for each in interval]


# --------------------------------------------------------------------------------------------------------------- text


def _text(rows: Sequence[dict[str, Any]], seed: int) -> str:
    table: list[tuple[str, ...]] = [
        ("d", "p", "F", "load", "shots", "errors", "per round", "95 % interval", "missed", "p99, µs", "tax")
    ]
    table += [_cells(row) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    # A column that says nothing in any row is left out.
    shown = [column for column in range(len(widths)) if any(row[column] != "-" for row in table[1:])]
    lines = ["  ".join(row[column].rjust(widths[column]) for column in shown).rstrip() for row in table]
    first = rows[0]
    head = f"{first['code']}, basis {first['basis']}, {first['noise']} noise, {first['backend']}, {first['decoder']}"
    return "\n".join([f"{head}, seed {seed}", *lines])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["per_round"]["interval"]
    stages = (row["latency"] or {}).get("stages_us", {}).get("one_way")
    return (
        str(row["d"]),
        f"{row['p']:g}",
        f"{row['F']:g}" if "F" in row else "-",
        f"{row['load']:g}" if row["link_gbps"] is not None else "-",
        f"{row['shots']:,}",
        f"{row['errors']:,}",
        f"{row['per_round']['value']:.3e}",
        f"{low:.2e} to {high:.2e}",
        "-" if row["deadline_missed"] is None else f"{row['deadline_missed']:.2%}",
        f"{stages['p99']:.3g}" if stages and stages["p99"] is not None else "-",
        "-" if row["tax"] is None else f"{row['tax']['value']:.3f} ± {row['tax']['stderr']:.3f}",
    )
