"""The command line: ``hyperfabric-q plan``, ``run``, ``cut``, ``entangle``, ``qec``, ``train`` and the other verbs.

Results go to stdout and everything else to stderr, so that a pipe holds nothing but the result.
Exit codes: 0 done, 1 a failed check or a crash, 2 wrong input, 3 no solution or too large to simulate,
4 a failed verification, 130 interrupted.
Only typer is imported here: whatever a verb needs is imported inside it, which keeps ``--help`` fast.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

import hyperfabric_q
from hyperfabric_q.errors import (
    HyperFabricError,
    Infeasible,
    InputError,
    InvalidValue,
    SimulationRefused,
    UnsupportedOperation,
    VerificationFailed,
)

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.fabric import Fabric

ERROR_SCHEMA: Final = "hyperfabric_q/error/1"
DOCTOR_SCHEMA: Final = "hyperfabric_q/doctor/1"

CRASHED, WRONG_INPUT, NO_SOLUTION, WRONG_CIRCUIT, INTERRUPTED = 1, 2, 3, 4, 130
MIXED_OBJECTIVES: Final = ("mse", "shots")
TRACEBACK: Final = "HYPERFABRIC_Q_TRACEBACK"


Network = StrEnum("Network", "full line ring star grid")
Verify = StrEnum("Verify", "auto proved skeleton sampled skipped")


# ------------------------------------------------------------------------------------------------------------ options


def _nodes(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel="Nodes")


def _output(flags: str, text: str) -> Any:
    return typer.Option(flags, help=text, rich_help_panel="Output", show_default=False)


_BUDGET: Final = "Budget (each crossing is then teleported, corrected or cut)"


def _budget(metavar: str, text: str, *flags: str) -> Any:
    return typer.Option(*flags, metavar=metavar, help=text, rich_help_panel=_BUDGET, show_default=False)


File = Annotated[Path, typer.Argument(metavar="FILE", help="Circuit: OpenQASM 2 or 3, or QPY.")]
FabricFile = Annotated[Path | None, _nodes("F.toml", "Fabric file: the nodes and links.")]
Qpus = Annotated[
    int | None, typer.Option(min=1, max=512, metavar="K", help="Make K QPU nodes instead.", rich_help_panel="Nodes")
]
Capacity = Annotated[
    str | None, _nodes("N[,N...]", "Data qubits of the K nodes; one number counts for all. Default: circuit/K + 1.")
]
Shape = Annotated[Network | None, _nodes("full|line|ring|star|grid", "How the K nodes are linked. Default: full.")]
Communication = Annotated[
    str | None, _nodes("C[,C...]", "Communication qubits of the K nodes; one number counts for all. Default: no limit.")
]
PairFidelity = Annotated[float | None, _nodes("F", "Fidelity of the Bell pairs between the K nodes. Default: 1.")]
VerifyHow = Annotated[Verify, typer.Option(help="How strongly the distributed circuit is checked.")]
Seed = Annotated[int | None, typer.Option(metavar="S", help="Repeats a run exactly. Default: a new one, shown.")]
Objective = Annotated[
    str,
    typer.Option(
        metavar="O",
        help="What the plan is chosen by: ebits, fidelity, makespan or a cost model; weights as in "
        "'fidelity+0.2*makespan'; 'ebits,makespan' breaks ties by the second.",
    ),
]
Shots = Annotated[int | None, _budget("N", "Of the whole run, for estimates.")]
Precision = Annotated[float | None, _budget("E", "Root mean square error that is wanted.")]
MaxPairs = Annotated[int | None, _budget("N", "Bell pairs of one shot.")]
DeadlineNs = Annotated[float | None, _budget("T", "Time of one shot in nanoseconds.")]
Observables = Annotated[
    list[str] | None, _budget("P", "What is estimated, as in ZZ@0,1; may be repeated.", "--observable")
]
Output = Annotated[Path | None, _output("--output", "Write the emitted circuit: OpenQASM 3 (.qasm) or QPY (.qpy).")]
Json = Annotated[bool, _output("--json", "One JSON object on stdout, nothing else.")]

app = typer.Typer(
    name="hyperfabric-q",
    help="Distribute a quantum circuit over several QPUs, count every Bell pair, verify it and run it.",
    epilog="Exit codes: 0 done, 1 failed check or crash, 2 wrong input, 3 no solution, 4 verification failed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows "?" rather than a crash
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hyperfabric_q {hyperfabric_q.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    del version


# -------------------------------------------------------------------------------------------------------------- verbs


@app.command("plan")
def plan_command(
    file: File,
    fabric: FabricFile = None,
    qpus: Qpus = None,
    capacity: Capacity = None,
    network: Shape = None,
    communication_qubits: Communication = None,
    pair_fidelity: PairFidelity = None,
    objective: Objective | None = None,
    verify: VerifyHow = Verify.auto,
    shots: Shots = None,
    precision: Precision = None,
    max_pairs: MaxPairs = None,
    deadline_ns: DeadlineNs = None,
    observable: Observables = None,
    seed: Seed = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Plan a circuit: which qubit lives where, and what the Bell pairs serve.

    Example: hyperfabric-q plan circuits/qft_16.qasm --qpus 4 --network ring
    """
    asked = Asked(fabric, qpus, capacity, network, communication_qubits, pair_fidelity)
    budget = Budget(shots, precision, max_pairs, deadline_ns, observable or None)
    with _faults(file, as_json=as_json):
        with _progress("loading"):
            from hyperfabric_q.cli.output import check_target, write_circuit
        check_target(output)
        if budget.given or objective in MIXED_OBJECTIVES:
            _plan_within(budget, file, asked, objective, output=output, seed=seed, as_json=as_json)
            return
        plan = _plan(file, asked, objective or "ebits", verify, seed)
        if output is not None:
            write_circuit(plan.distributed_circuit, output)
        if as_json:
            _print_json(plan.to_dict())
        else:
            typer.echo(plan.draw())


@app.command("doctor")
def doctor_command(as_json: Json = False) -> None:
    """Check that everything this package needs works here.

    Example: hyperfabric-q doctor
    """
    with _faults(None, as_json=as_json), _progress("checking"):
        from hyperfabric_q.cli.doctor import checks

        found = checks()
    healthy = all(check.ok for check in found)
    if as_json:
        rows = [{"name": each.name, "ok": each.ok, "found": each.found, "remedy": each.remedy} for each in found]
        _print_json({"schema": DOCTOR_SCHEMA, "ok": healthy, "checks": rows})
    else:
        width = max(len(check.name) for check in found)
        for check in found:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.found}")
            if not check.ok:
                typer.echo(f"      {'':<{width}}  {check.remedy}")
        typer.echo("everything works" if healthy else f"{sum(not check.ok for check in found)} checks failed")
    if not healthy:
        raise typer.Exit(CRASHED)


# ----------------------------------------------------------------------------------------------- from options to a plan


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that say which nodes there are."""

    fabric: Path | None
    qpus: int | None
    capacity: str | None
    network: Network | None
    communication_qubits: str | None
    pair_fidelity: float | None


@dataclass(frozen=True, slots=True)
class Budget:
    """The options that say what a run may take."""

    shots: int | None
    precision: float | None
    max_pairs: int | None
    deadline_ns: float | None
    observables: list[str] | None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        each = (self.shots, self.precision, self.max_pairs, self.deadline_ns, self.observables)
        return any(value is not None for value in each)


def _plan_within(
    budget: Budget,
    file: Path,
    asked: Asked,
    objective: str | None,
    *,
    output: Path | None,
    seed: int | None,
    as_json: bool,
) -> None:
    if output is not None:
        rule = "a plan within a budget is many circuits; only one of Bell pairs alone is written"
        raise InvalidValue(field="--output", value=str(output), rule=rule)
    circuit, fabric = _read(file, asked)
    with _progress("planning"):
        from hyperfabric_q.mixing.plan import plan_mixed

        plan = plan_mixed(
            circuit,
            fabric,
            objective=objective or "mse",
            shots=budget.shots,
            precision=budget.precision,
            max_pairs=budget.max_pairs,
            deadline_ns=budget.deadline_ns,
            observables=budget.observables,
            seed=seed,
        )
    if as_json:
        _print_json(plan.to_dict())
    else:
        typer.echo(plan.explain())


def _plan(file: Path, asked: Asked, objective: str, verify: Verify, seed: int | None) -> Plan:
    circuit, fabric = _read(file, asked)
    with _progress("planning and verifying"):
        from hyperfabric_q import pipeline

        return pipeline.plan(circuit, fabric, objective=objective, verify=verify.value, seed=seed)


def _read(file: Path, asked: Asked) -> tuple[QuantumCircuit, Fabric]:
    with _progress("loading"):
        from hyperfabric_q.convert import accept
    _check_options(asked)
    with _progress("reading"):
        circuit = accept(file)
        circuit.name = file.stem
        return circuit, _fabric(asked, circuit)


def _check_options(asked: Asked) -> None:
    if asked.fabric is None and asked.qpus is None:
        raise InvalidValue(
            field="--fabric",
            value=None,
            rule="nothing says which QPU nodes there are",
            remedy="Write --fabric FILE.toml, or for example --qpus 3 --capacity 4 --network line.",
        )
    if asked.fabric is None:
        return
    clashing = {
        "--qpus": asked.qpus,
        "--capacity": asked.capacity,
        "--network": asked.network,
        "--communication-qubits": asked.communication_qubits,
        "--pair-fidelity": asked.pair_fidelity,
    }
    for option, value in clashing.items():
        if value is not None:
            raise InvalidValue(
                field=option,
                value=str(value),
                rule="a fabric file states the nodes and links already",
                remedy=f"Leave out either {option} or --fabric.",
            )


def _fabric(asked: Asked, circuit: QuantumCircuit) -> Fabric:
    from hyperfabric_q.fabric import Fabric

    if asked.fabric is not None:
        return Fabric.from_file(asked.fabric)
    count = asked.qpus or 1
    capacities = (circuit.num_qubits // count + 1,) * count
    if asked.capacity is not None:
        capacities = _per_node("--capacity", asked.capacity, count)
    communication = None
    if asked.communication_qubits is not None:
        communication = _per_node("--communication-qubits", asked.communication_qubits, count)
    network = asked.network or Network.full
    if network is Network.grid:
        rows = max(each for each in range(1, int(count**0.5) + 1) if count % each == 0)
        return Fabric.grid(
            rows, count // rows, capacities, communication_qubits=communication, pair_fidelity=asked.pair_fidelity
        )
    shape = {Network.full: Fabric.full, Network.line: Fabric.line, Network.ring: Fabric.ring, Network.star: Fabric.star}
    return shape[network](capacities, communication_qubits=communication, pair_fidelity=asked.pair_fidelity)


def _per_node(option: str, text: str, count: int) -> tuple[int, ...]:
    """Read one whole number for all nodes, or one per node."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidValue(
            field=option, value=text, rule="it is one whole number, or several with commas between them, such as 4,4,3"
        ) from None
    if len(numbers) not in {1, count}:
        raise InvalidValue(
            field=option,
            value=text,
            rule=f"these are {len(numbers)} numbers for {count} QPU nodes",
            remedy=f"Give one number for all, or {count} of them.",
        )
    return numbers * count if len(numbers) == 1 else numbers


# ------------------------------------------------------------------------------------------------------------- output


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def _progress(stage: str) -> Iterator[None]:
    """Show a spinner on stderr while ``stage`` lasts, and only where a person is watching."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{stage} ..."):
        yield


# ------------------------------------------------------------------------------------------------------------- faults


@contextmanager
def _faults(file: Path | None, *, as_json: bool) -> Iterator[None]:
    """Turn whatever goes wrong into one message on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except HyperFabricError as fault:
        placed = _with_line(fault, file)
        _report(type(placed).__name__, str(placed), as_json=as_json)
        raise typer.Exit(_exit_code(placed)) from None
    except Exception as fault:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        message = (
            f"unexpected {type(fault).__name__}: {fault}. This is a bug in hyperfabric_q or in a library it uses: "
            f"please report it. {TRACEBACK}=1 shows where it happened."
        )
        _report(type(fault).__name__, message, as_json=as_json)
        raise typer.Exit(CRASHED) from None


def _exit_code(fault: HyperFabricError) -> int:
    if isinstance(fault, InputError):
        return WRONG_INPUT
    if isinstance(fault, Infeasible | SimulationRefused):
        return NO_SOLUTION
    return WRONG_CIRCUIT if isinstance(fault, VerificationFailed) else CRASHED


def _report(kind: str, message: str, *, as_json: bool) -> None:
    typer.echo(f"error: {message}", err=True)
    if as_json:
        typer.echo(json.dumps({"schema": ERROR_SCHEMA, "error": kind, "message": message}), err=True)


def _with_line(fault: HyperFabricError, file: Path | None) -> HyperFabricError:
    """Say where in the circuit file an unsupported operation stands, when the file is text."""
    if not isinstance(fault, UnsupportedOperation) or fault.index is None or fault.line is not None or file is None:
        return fault
    from hyperfabric_q.convert import locate

    try:
        place = locate(file.read_text(encoding="utf-8"), fault.index)
    except (OSError, UnicodeDecodeError, InputError):
        return fault
    if place is None:
        return fault
    line, column = place
    return UnsupportedOperation(
        operation=fault.operation, reason=fault.reason, index=fault.index, line=line, column=column
    )


# --------------------------------------------------------------------------------------------------- groups of verbs

from hyperfabric_q.cli.anneal import anneal_command  # noqa: E402 - needs everything above
from hyperfabric_q.cli.bench import app as _bench  # noqa: E402
from hyperfabric_q.cli.cut import cut_command  # noqa: E402
from hyperfabric_q.cli.entangle import app as _entangle  # noqa: E402
from hyperfabric_q.cli.qec import app as _qec  # noqa: E402
from hyperfabric_q.cli.qkd import app as _qkd  # noqa: E402
from hyperfabric_q.cli.run import run_command  # noqa: E402
from hyperfabric_q.cli.scenario import scenario_command  # noqa: E402
from hyperfabric_q.cli.train import train_command  # noqa: E402

app.command("run")(run_command)
app.command("cut")(cut_command)
app.command("train")(train_command)
app.command("anneal")(anneal_command)
app.add_typer(_entangle)
app.add_typer(_bench)
app.add_typer(_qec)
app.add_typer(_qkd)
app.command("scenario")(scenario_command)
