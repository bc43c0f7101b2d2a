"""``hyperfabric-q entangle simulate``: how long a pair over several hops takes, and how good it is."""

from __future__ import annotations

import math
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperfabric_q.cli import Json, Seed, _faults, _print_json, _progress

if TYPE_CHECKING:
    from hyperfabric_q.entanglement.lanes import Lanes


Engine = StrEnum("Engine", "lanes events")
Policy = StrEnum("Policy", "swap_asap nested wait_for_all")

FabricFile = Annotated[Path, typer.Option("--fabric", metavar="F.toml", help="Fabric file: the nodes and links.")]
Pair = Annotated[tuple[str, str], typer.Option("--pair", metavar="A B", help="The nodes that are to share the pairs.")]
Runs = Annotated[int, typer.Option(min=1, metavar="N", help="How many pairs are made, each from an idle path.")]
EngineOf = Annotated[Engine, typer.Option(help="Many runs at once as arrays, or one event after another.")]
PolicyOf = Annotated[Policy, typer.Option(help="When stations swap: at once, by halves, or when all links are there.")]
Cutoff = Annotated[
    float | None, typer.Option(metavar="NS", help="Age at which a waiting pair is thrown away. Default: never.")
]
Rounds = Annotated[
    int, typer.Option(min=0, metavar="R", help="Rounds of purification on every link before it is swapped.")
]


def simulate(
    *,
    fabric: FabricFile,
    pair: Pair,
    runs: Runs = 10_000,
    engine: EngineOf = Engine.lanes,
    policy: PolicyOf = Policy.swap_asap,
    cutoff_ns: Cutoff = None,
    rounds: Rounds = 0,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Make pairs along the best path between two nodes, and report fidelity, time and rate.

    Example: hyperfabric-q entangle simulate --fabric examples/fabrics/repeater_chain.toml --pair r0 r4
    """
    with _faults(None, as_json=as_json):
        with _progress("loading"):
            from hyperfabric_q.entanglement.routes import best_path  # noqa: PLC0415 - keeps --help fast
            from hyperfabric_q.fabric import Fabric  # noqa: PLC0415
            from hyperfabric_q.seeds import resolve  # noqa: PLC0415
            from hyperfabric_q.units import to_ps  # noqa: PLC0415

        path = best_path(Fabric.from_file(fabric), *pair)
        asked: dict[str, Any] = {
            "runs": runs,
            "policy": policy.value,
            "cutoff_ps": None if cutoff_ns is None else to_ps(ns=cutoff_ns),
            "rounds": rounds,
            "seed": resolve(seed),
        }
        with _progress(f"making {runs} pairs over {path.hops} links"):
            before = time.perf_counter()
            made = _lanes(engine, path, asked)
            figures = _figures(made, time.perf_counter() - before)
        if as_json:
            _print_json(figures)
        else:
            way = " -- ".join(station.node_id for station in path.stations)
            typer.echo(_text(way, engine, asked, figures))


def _lanes(engine: Engine, path: Any, asked: dict[str, Any]) -> Lanes:
    """Return the deliveries that an engine makes."""
    from hyperfabric_q.entanglement import lanes  # noqa: PLC0415

    if engine is Engine.lanes:
        return lanes.simulate(path, **asked)
    from hyperfabric_q.entanglement import chain_events  # noqa: PLC0415

    found = chain_events.simulate(path, **asked)
    return lanes.Lanes(
        delivery_ps=found.delivery_ps,
        correlators=found.correlators,
        raw_attempts=found.raw_attempts,
        raw_pairs=found.raw_pairs,
    )


def _figures(made: Lanes, seconds: float) -> dict[str, float | None]:
    figures = {
        "fidelity_mean": made.fidelity_mean(),
        "fidelity_stderr": made.fidelity_stderr(),
        "delivery_ns_mean": made.delivery_mean_ps() / 1000,
        "delivery_ns_stderr": made.delivery_stderr_ps() / 1000,
        "pairs_per_second": made.pairs_per_second(),
        "seconds": seconds,
    }
    # A single run has no standard error, and JSON no NaN.
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _text(way: str, engine: Engine, asked: dict[str, Any], figures: dict[str, float | None]) -> str:
    def interval(name: str, scale: float, digits: int) -> str:
        mean, error = figures[f"{name}_mean"], figures[f"{name}_stderr"]
        shown = "" if error is None else f" +- {error * scale:.{digits}f}"
        return f"{(mean or 0) * scale:.{digits}f}{shown}"

    rate = figures["pairs_per_second"]
    return "\n".join(
        (
            f"{way}: {asked['runs']} pairs, {asked['policy']}, {engine.value}, seed {asked['seed']}",
            f"fidelity      {interval('fidelity', 1, 6)}",
            f"delivered in  {interval('delivery_ns', 1e-6, 6)} ms",
            f"rate          {'-' if rate is None else f'{rate:.6g}'} pairs/s, one after another",
            f"simulated in  {figures['seconds']:.3f} s",
        )
    )
