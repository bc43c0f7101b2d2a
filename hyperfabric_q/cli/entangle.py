"""``hyperfabric-q entangle``: what Bell pairs over several hops cost."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hyperfabric_q.cli import Json, _faults, _print_json
from hyperfabric_q.cli.entangle_simulate import simulate
from hyperfabric_q.errors import FidelityUnreachable

app = typer.Typer(
    name="entangle",
    help="Bell pairs between QPU nodes: what a fidelity over several hops takes.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("simulate")(simulate)


def _hardware(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel="Hardware")


Fidelity = Annotated[float, typer.Option(metavar="F", help="Fidelity asked from end to end.")]
Hops = Annotated[int, typer.Option(metavar="N", help="Links from end to end.")]
LinkFidelity = Annotated[float, _hardware("F0", "Fidelity of the raw pairs, Werner states.")]
GateError = Annotated[
    float, _hardware("E", "Two-qubit gates: depolarising parameter, that is average infidelity / 0.75.")
]
ReadoutError = Annotated[float, _hardware("E", "Probability that a measured bit is wrong.")]


@app.command("reach")
def reach_command(
    *,
    fidelity: Fidelity = 0.999,
    hops: Hops = 1,
    link_fidelity: LinkFidelity = 0.95,
    gate_error: GateError = 0.0,
    readout_error: ReadoutError = 0.0,
    as_json: Json = False,
) -> None:
    """Say how many rounds of purification and raw pairs a fidelity over N hops takes, or what is in the way.

    Example: hyperfabric-q entangle reach --fidelity 0.999 --hops 4 --gate-error 1e-4 --readout-error 1e-4
    """
    with _faults(None, as_json=as_json):
        from hyperfabric_q.entanglement.reach import reach  # noqa: PLC0415 - keeps --help fast

        try:
            found = reach(
                fidelity, hops, link_fidelity=link_fidelity, gate_error=gate_error, readout_error=readout_error
            )
        except FidelityUnreachable as fault:
            if as_json:
                _print_json(_unreachable(fault))
            raise
        if as_json:
            _print_json(found.to_dict())
        else:
            typer.echo(found.summary())


def _unreachable(fault: FidelityUnreachable) -> dict[str, Any]:
    return {
        "reachable": False,
        "fidelity": fault.reachable,
        "rounds": None,
        "raw_pairs": None,
        "reason": fault.reason,
    }
