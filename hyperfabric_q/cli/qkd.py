"""``hyperfabric-q qkd simulate``: the key that a number of Bell pairs gives, or why they give none."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from hyperfabric_q.cli import Json, Seed, _faults, _print_json, _progress

QKD_SCHEMA: Final = "hyperfabric_q/qkd/1"

app = typer.Typer(
    name="qkd",
    help="Keys from Bell pairs: measured, reconciled, verified and amplified, or refused.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Fidelity = Annotated[float, typer.Option(metavar="F", help="Fidelity of the pairs, Werner states.")]
Pairs = Annotated[int, typer.Option(metavar="N", help="Pairs that are measured.")]
Eavesdrop = Annotated[
    float, typer.Option(metavar="FRACTION", help="Share of the pairs that someone measures on the way.")
]


@app.callback()
def _root() -> None:
    pass


@app.command("simulate")
def simulate_command(
    *,
    fidelity: Fidelity = 0.97,
    pairs: Pairs = 100_000,
    eavesdrop: Eavesdrop = 0.0,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Distil a key from N pairs. It is simulated, not secret, and is not shown.

    A session that is given up is an answer too: the exit code is 0, and "aborted" and "reason" say so.

    Example: hyperfabric-q qkd simulate --fidelity 0.97 --pairs 100000 --eavesdrop 0.1
    """
    with _faults(None, as_json=as_json):
        with _progress("loading"):
            from hyperfabric_q.workloads.qkd.attacks import InterceptResend  # noqa: PLC0415 - keeps --help fast
            from hyperfabric_q.workloads.qkd.simulated import simulate  # noqa: PLC0415
        attack = InterceptResend(eavesdrop)
        begun = time.perf_counter()
        with _progress("distilling"):
            report = simulate(fidelity, pairs, attack=attack, seed=seed)
        seconds = time.perf_counter() - begun
        if as_json:
            answer: dict[str, Any] = {
                "schema": QKD_SCHEMA,
                "qber": report.qber,
                "sifted_bits": report.sifted_bits,
                "key_bits": report.key_bits,
                "leak_bits": report.leak_bits,
                "aborted": report.aborted,
                "reason": report.reason,
                "seconds": seconds,
                "seed": report.seed,
            }
            _print_json(answer)
        else:
            typer.echo(f"{report}, seed {report.seed}")
