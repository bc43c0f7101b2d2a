"""``hyperfabric-q cut``: a circuit in parts that share no entanglement, and what observables are then worth."""

from __future__ import annotations

import time
import warnings
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperfabric_q.cli import File, Json, Seed, _faults, _print_json, _progress
from hyperfabric_q.errors import HyperFabricWarning, InvalidValue

if TYPE_CHECKING:
    from hyperfabric_q.cutting.answers import Answers
    from hyperfabric_q.cutting.plan import CutPlan

Method = StrEnum("Method", "gate_cut wire_cut")


def _values(flags: str, metavar: str, text: str) -> Any:
    return typer.Option(flags, metavar=metavar, help=text, rich_help_panel="Observables")


MaxQubits = Annotated[
    str | None, typer.Option(metavar="N[,N...]", help="Qubits of every QPU, or of each of several that differ.")
]
Parts = Annotated[int | None, typer.Option(min=1, metavar="K", help="Number of parts. Default: as many as serve best.")]
Methods = Annotated[
    list[Method] | None, typer.Option("--method", help="What may be cut; may be given twice. Default: both.")
]
Reuse = Annotated[bool, typer.Option("--reuse", help="Reset and use again the qubit of a wire that ended.")]
TimeLimit = Annotated[float, typer.Option("--time-limit", metavar="S", help="Seconds for the search, about.")]
Observables = Annotated[
    list[str] | None, _values("--observable", "PAULIS@QUBITS", 'What to measure, such as "ZZ@0,1"; may be repeated.')
]
Shots = Annotated[int | None, _values("--shots", "S", "Shots over all circuits. Default: exact values.")]
Exact = Annotated[bool, typer.Option("--exact", help="Exact values, no shots.", rich_help_panel="Observables")]
Precision = Annotated[float | None, _values("--precision", "P", "As many shots as bring every standard error to P.")]


def cut_command(
    *,
    file: File,
    max_qubits: MaxQubits = None,
    parts: Parts = None,
    method: Methods = None,
    reuse: Reuse = False,
    time_limit: TimeLimit = 5.0,
    observable: Observables = None,
    shots: Shots = None,
    exact: Exact = False,
    precision: Precision = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Cut a circuit into parts that run without entanglement between them, and put observables together.

    Example: hyperfabric-q cut circuits/ising_12.qasm --max-qubits 6 --observable ZZ@0,1 --shots 100000
    """
    with _faults(file, as_json=as_json):
        before = time.perf_counter()
        _check(shots, precision, observable, exact=exact)
        with _progress("loading"):
            from hyperfabric_q.convert import accept  # noqa: PLC0415 - keeps --help fast
            from hyperfabric_q.cutting.observables import read_label  # noqa: PLC0415
            from hyperfabric_q.cutting.plan import cut  # noqa: PLC0415
        circuit = accept(file)
        circuit.name = file.stem
        operators = [read_label(each, circuit.num_qubits) for each in observable or ()]
        widths = _widths(max_qubits)
        with _progress("looking for cuts"):
            plan = cut(
                circuit,
                widths[0] if len(widths) == 1 else None,
                widths=widths if len(widths) > 1 else None,
                parts=parts,
                methods=[each.value for each in method or Method],
                reuse=reuse,
                time_limit_s=time_limit,
                seed=seed,
            )
        answers = _answers(plan, operators, shots, precision)
        seconds = time.perf_counter() - before
        if as_json:
            _print_json(_figures(plan, operators, observable or [], answers, seconds))
        else:
            typer.echo(_text(plan, operators, observable or [], answers, seconds))


def _check(shots: int | None, precision: float | None, observable: list[str] | None, *, exact: bool) -> None:
    given = {"--exact": exact or None, "--shots": shots, "--precision": precision}
    asked = [name for name, value in given.items() if value is not None]
    if len(asked) > 1:
        rule = f"{asked[0]} says already how observables are worked out"
        raise InvalidValue(field=asked[1], value=given[asked[1]], rule=rule, remedy="Give one of them.")
    if asked and not observable:
        rule = "there is nothing to work out"
        raise InvalidValue(field=asked[0], value=given[asked[0]], rule=rule, remedy='Add --observable "ZZ@0,1".')


def _widths(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        rule = "it is one whole number, or several with commas between them, such as 5,5,4"
        raise InvalidValue(field="--max-qubits", value=text, rule=rule) from None


def _answers(plan: CutPlan, operators: list[Any], shots: int | None, precision: float | None) -> Answers | None:
    """Work the observables out; warnings go to stderr in one line each."""
    if not operators:
        return None
    with warnings.catch_warnings(record=True) as told, _progress("running the parts"):
        warnings.simplefilter("always", HyperFabricWarning)
        if shots is None and precision is None:
            answers = plan.exact(operators)
        else:
            answers = plan.estimate(operators, shots, precision, seed=plan.seed)
    for each in told:
        typer.echo(f"warning: {each.message}", err=True)
    return answers


def _figures(
    plan: CutPlan, operators: list[Any], names: list[str], answers: Answers | None, seconds: float
) -> dict[str, Any]:
    rows = plan.to_dict()
    values = () if answers is None else answers
    return {
        "widths": rows["widths"],
        "gate_cuts": len(plan.gate_cuts),
        "wire_cuts": len(plan.wire_cuts),
        "gamma": rows["gamma"],
        "overhead": rows["overhead"],
        "bound": rows["bound"],
        "optimal": rows["optimal"],
        "unique_subexperiments": plan.unique_subexperiments(operators or None),
        "estimates": [{"observable": name, **each.to_dict()} for name, each in zip(names, values, strict=True)],
        "seconds": seconds,
    }


def _text(plan: CutPlan, operators: list[Any], names: list[str], answers: Answers | None, seconds: float) -> str:
    lines = [plan.draw(), ""]
    count = plan.unique_subexperiments(operators or None)
    if answers is not None:
        width = max(len("observable"), *(len(name) for name in names))
        lines.append(f"{'observable':<{width}}  value")
        lines += [f"{name:<{width}}  {each}" for name, each in zip(names, answers, strict=True)]
        spent = f"{answers.shots:,} shots of {count:,} circuits" if answers.shots else f"exact, of {count:,} circuits"
        lines += ["", f"{spent}; seed {plan.seed}; {seconds:.2f} s"]
    else:
        lines.append(f"{count:,} circuits per measurement basis; seed {plan.seed}; {seconds:.2f} s")
    return "\n".join(lines)
