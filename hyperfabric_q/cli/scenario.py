"""``hyperfabric-q scenario``: a deployment scenario, from end to end."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hyperfabric_q.cli import Json, _faults, _print_json, _progress

Size = StrEnum("Size", "small full")

NameArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The scenario; without it they are listed.", show_default=False)
]
SizeOption = Annotated[Size, typer.Option(metavar="small|full", help="How large it is played.")]
SeedOption = Annotated[int, typer.Option(min=0, metavar="S", help="The same seed gives the same digest.")]


def scenario_command(
    name: NameArgument = None, *, size: SizeOption = Size.full, seed: SeedOption = 0, as_json: Json = False
) -> None:
    """Play a deployment scenario: what is simulated, what is computed, and where physics says no.

    Example: hyperfabric-q scenario vehicle_swarm --size small
    """
    with _faults(None, as_json=as_json):
        from hyperfabric_q.scenarios.catalogue import SCENARIOS, play  # noqa: PLC0415 - keeps --help fast

        if name is None:
            width = max(map(len, SCENARIOS))
            if as_json:
                _print_json({"schema": "hyperfabric_q/scenarios/1", "scenarios": SCENARIOS})
            else:
                typer.echo("\n".join(f"{each.ljust(width)}  {about}" for each, about in SCENARIOS.items()))
            return
        with _progress(name):
            outcome = play(name, size=size.value, seed=seed)
        if as_json:
            _print_json(outcome.to_dict())
        else:
            typer.echo(str(outcome))
