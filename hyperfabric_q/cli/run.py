"""``hyperfabric-q run``: plan a circuit and run it, here or on workers, with a store that outlives the process."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperfabric_q.cli import (
    INTERRUPTED,
    Asked,
    Capacity,
    Communication,
    FabricFile,
    File,
    Json,
    Objective,
    PairFidelity,
    Qpus,
    Seed,
    Shape,
    Verify,
    VerifyHow,
    _faults,
    _output,
    _plan,
    _print_json,
    _progress,
)
from hyperfabric_q.errors import EndedEarly, HyperFabricWarning, InvalidValue, SimulationRefused, StoreUnreadable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.compare import Comparison
    from hyperfabric_q.execution.result import Result
    from hyperfabric_q.execution.store import Store

RUN_SCHEMA: Final = "hyperfabric_q/run/2"

Noise = StrEnum("Noise", "fabric links none")
Method = StrEnum("Method", "auto dynamic channel clifford mps exact")


def _where(flags: str, metavar: str, text: str) -> Any:
    return typer.Option(flags, metavar=metavar, help=text, rich_help_panel="Workers and store")


Shots = Annotated[int, typer.Option(min=1, metavar="N", help="How often the circuit is run; per basis of observables.")]
MethodOf = Annotated[Method, typer.Option(help="How to simulate; auto takes what is exact and quick.")]
NoiseOf = Annotated[Noise, typer.Option(help="Imperfect pairs, gates and readout; imperfect pairs only; or nothing.")]
Observables = Annotated[
    list[str] | None,
    typer.Option("--observable", metavar="PAULIS", help='Estimate it, such as "ZZI" or "ZZ@0,1"; may be repeated.'),
]
Precision = Annotated[
    float | None, typer.Option(metavar="P", help="As many shots as bring every observable's standard error to P.")
]
Lines = Annotated[int | None, typer.Option(min=1, metavar="K", help="Timelines that shots share. Default: chosen.")]
Executor = Annotated[
    str | None,
    _where("--executor", "E", "processes[:N], threads[:N], dask://host:port, mpi or serial. Default: what is quicker."),
]
StoreFile = Annotated[
    Path | None, _where("--store", "run.db", "Keep the outcome of every finished part there; take what stands there.")
]
Resume = Annotated[
    bool, _where("--resume", "", "Go on with a run whose store exists; needs the --seed it was begun with.")
]
Compare = Annotated[
    bool | None,
    _output(
        "--compare/--no-compare",
        "Show the ideal and the undistributed run beside it. Default: where the ideal can be computed.",
    ),
]


def run_command(
    *,
    file: File,
    fabric: FabricFile = None,
    qpus: Qpus = None,
    capacity: Capacity = None,
    network: Shape = None,
    communication_qubits: Communication = None,
    pair_fidelity: PairFidelity = None,
    shots: Shots = 4096,
    observable: Observables = None,
    precision: Precision = None,
    noise: NoiseOf = Noise.fabric,
    method: MethodOf = Method.auto,
    timelines: Lines = None,
    objective: Objective = "ebits",
    verify: VerifyHow = Verify.auto,
    executor: Executor = None,
    store: StoreFile = None,
    resume: Resume = False,
    seed: Seed = None,
    compare: Compare = None,
    as_json: Json = False,
) -> None:
    """Plan a circuit, run the distributed circuit, and compare.

    Ctrl-C shows what the finished parts give, and exits with 130.

    Example: hyperfabric-q run circuits/cuccaro_adder_3bit.qasm --fabric examples/fabrics/three_qpus.toml --shots 500
    """
    asked = Asked(fabric, qpus, capacity, network, communication_qubits, pair_fidelity)
    with _faults(file, as_json=as_json), _opened(store, seed, resume=resume) as kept:
        seed = _told(seed, store)
        plan = _plan(file, asked, objective, verify, seed)
        names = observable or []
        operators = _operators(names, plan)
        if not as_json:
            typer.echo(plan.draw() + "\n")
        with _watching(f"running {shots} shots") as tell:
            result = plan.run(
                shots,
                noise=noise.value,
                method=method.value,
                timelines="auto" if timelines is None else timelines,
                observables=operators or None,
                precision=precision,
                store=kept,
                executor=executor,
                progress=tell,
                seed=plan.seed,
            )
        comparison = None
        if not names and not result.interrupted:
            comparison = _comparison(result, asked=compare, as_json=as_json)
        if as_json:
            _print_json(_figures(result, names, comparison))
        else:
            typer.echo(_text(result, names, comparison))
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)


# ------------------------------------------------------------------------------------------------------ before the run


def _opened(path: Path | None, seed: int | None, *, resume: bool) -> AbstractContextManager[Store | None]:
    """Open the store, before anything is computed."""
    if resume and path is None:
        rule = "nothing says which run is meant"
        raise InvalidValue(field="--resume", value=True, rule=rule, remedy="Name its store: --store run.db.")
    if resume and seed is None:
        rule = "a run is gone on with by the seed it was begun with"
        raise InvalidValue(field="--resume", value=True, rule=rule, remedy="Give it: --seed S; it was shown then.")
    if path is None:
        return nullcontext(None)
    if resume and not path.is_file():
        raise StoreUnreadable(
            path=str(path), reason="it does not exist", remedy="Leave out --resume to begin a new run."
        )
    with _progress("loading"):
        from hyperfabric_q.execution.store import Store  # noqa: PLC0415 - keeps --help fast
    return Store(path)


def _told(seed: int | None, store: Path | None) -> int | None:
    """Choose the seed of a run that may have to be resumed now, and tell it while it can be told."""
    if seed is not None or store is None:
        return seed
    from hyperfabric_q.seeds import fresh_seed  # noqa: PLC0415 - keeps --help fast

    seed = fresh_seed()
    typer.echo(f"seed {seed}; --resume needs it", err=True)
    return seed


def _operators(names: Sequence[str], plan: Plan) -> list[Any]:
    from hyperfabric_q.cutting.observables import read_label  # noqa: PLC0415 - keeps --help fast

    return [read_label(each, plan.qubits) for each in names]


# -------------------------------------------------------------------------------------------------------- while it runs


@contextmanager
def _watching(stage: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield what hears of progress: it draws a bar on a terminal, and decides what Ctrl-C does.

    The simulator holds the interpreter: Python's own Ctrl-C waits for the part under way. Where there are several,
    it is short, and what is finished is shown. A single part leaves nothing to show, and the process ends at once.
    """
    shown = _Shown(stage, watched=sys.stderr.isatty())
    at_once = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if at_once else None
    if at_once:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def tell(done: int, total: int, what: str) -> None:
        if at_once and total > 1:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        shown.tell(done, total, what)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HyperFabricWarning)
            warnings.showwarning = _warned
            yield tell
    finally:
        if at_once:
            signal.signal(signal.SIGINT, before)
        shown.clear()


def _warned(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if not issubclass(category, EndedEarly):  # the result says so itself
        typer.echo(f"warning: {message}", err=True)


class _Shown:
    """What a terminal shows of a run: a line, and a bar once there are several parts."""

    def __init__(self, stage: str, *, watched: bool) -> None:
        self._stage, self._watched = stage, watched
        self._bar: Any = None
        if watched:
            sys.stderr.write(f"{stage} ...")
            sys.stderr.flush()

    def tell(self, done: int, total: int, what: str) -> None:
        if not self._watched or total < 2:
            return
        if self._bar is None:
            from rich.console import Console  # noqa: PLC0415 - keeps --help fast
            from rich.progress import Progress  # noqa: PLC0415

            self._erase()
            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.add_task(what)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=f"{self._stage}: {what}")

    def clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._watched:
            self._erase()

    def _erase(self) -> None:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def _comparison(result: Result, *, asked: bool | None, as_json: bool) -> Comparison | None:
    """Compare if asked to; by default, a comparison that is out of reach is left out with a note."""
    if asked is False:
        return None
    try:
        with _watching("comparing with the ideal and the undistributed run"):
            return result.compare()
    except SimulationRefused as fault:
        if asked:
            raise
        if not as_json:
            typer.echo(f"no comparison: {fault}", err=True)
        return None


# ------------------------------------------------------------------------------------------------------- after the run


def _figures(result: Result, names: Sequence[str], comparison: Comparison | None) -> dict[str, Any]:
    """The result as one flat object: what was found, and everything needed to repeat and to judge it."""
    rows = result.to_dict()
    del rows["schema"]
    plan, counts, estimates = rows.pop("plan"), rows.pop("counts"), rows.pop("estimates")
    if names:
        del rows["registers"]
        found = {"estimates": [{"observable": name, **each} for name, each in zip(names, estimates or (), strict=True)]}
    else:
        found = {"counts": counts}
    return {
        "schema": RUN_SCHEMA,
        "method": rows.pop("method"),
        **found,
        "fidelity_predicted": rows.pop("predicted_fidelity"),
        "fidelity_measured": rows.pop("measured_fidelity"),
        **rows,
        "plan": plan,
        "comparison": None if comparison is None else comparison.to_dict(),
    }


def _text(result: Result, names: Sequence[str], comparison: Comparison | None) -> str:
    origin = f"seed {result.seed}; {result.way}, {result.wires} wires, {result.seconds:.1f} s"
    if comparison is not None:
        return f"{comparison}\n{origin}"
    if not names:
        return str(result)
    width = max(len("observable"), *(len(name) for name in names))
    rows = [f"{'observable':<{width}}  value"]
    rows += [f"{name:<{width}}  {each}" for name, each in zip(names, result.estimates or (), strict=True)]
    rows += [f"{result.shots:,} shots of {result.settings} bases", *map("not exact: {}".format, result.approximations)]
    return "\n".join([*rows, origin])
