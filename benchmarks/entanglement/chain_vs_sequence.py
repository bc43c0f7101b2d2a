"""Chains of 10 km links beside SeQUeNCe 1.x, in one run: CPU time per delivered pair, fidelity against exact algebra.

    .venv/bin/python benchmarks/entanglement/chain_vs_sequence.py [PYTHON_OF_SEQUENCE]

benchmarks/peers/sequence.txt says how SeQUeNCe is installed. Writes chain_vs_sequence.csv beside this file.

F0 = 0.95 (Werner), fibre of 0.2 dB/km, emission and detection of 0.9, linear optics, memories that depolarise as
SeQUeNCe's do with a coherence time of 1 s.

* ``sequence bell_diagonal`` and ``sequence default`` (kets): 0.1 s of simulated time, 4 memories per direction. Its
  messages negotiate every attempt and swap, so that a memory makes a third as many pairs as with attempts back to back.
* ``events``: our event-driven engine, every herald, Bell measurement and delivery an event; one memory per link.
* ``lanes``: the same distribution as arrays. The rows "p = 0.01" have links that succeed once in a hundred attempts.

"without decay" is (1 + 3 ((4 F0 - 1) / 3)^links) / 4, which storage can only lower. CPU time is the least of three runs
(one for SeQUeNCe), of the simulation alone, on one core.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path as File
from typing import Any, NamedTuple

import numpy as np

from hyperfabric_q.entanglement import chain_events, lanes
from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.state import correlators, fidelity, weights, werner
from hyperfabric_q.entanglement.swap import werner_chain_fidelity

HERE = File(__file__).parent
PEER = HERE.parent / "peers" / ".venv" / "bin" / "python"
F0 = 0.95
LIGHT_PS = 50_000_000
SUCCESS = (0.9 * 0.9 * 10**-0.1) ** 2 / 2
SIMULATED_S = 0.1


class Row(NamedTuple):
    engine: str
    nodes: int
    pairs: int
    cpu_us_per_pair: float
    fidelity: float
    pairs_per_simulated_s: float
    events_per_cpu_s: float | None


def chain(nodes: int, success: float) -> Path:
    # Pauli errors of rate 1/T in all, a third each, shrink every correlator of a half by exp(-4/3 t/T).
    memory = Memory(depolarising_ps=0.75e12)
    pair = tuple(weights(werner(F0)).tolist())
    return Path(
        stations=tuple(Station(node_id=f"r{number}", memory=memory) for number in range(nodes)),
        links=tuple(
            Elementary(
                a=f"r{number}",
                b=f"r{number + 1}",
                attempt_ps=LIGHT_PS,
                success=success,
                herald_ps=LIGHT_PS,
                weights=pair,
            )
            for number in range(nodes - 1)
        ),
        delays_ps=(LIGHT_PS,) * (nodes - 1),
    )


def least(action: Callable[[], Any], runs: int) -> tuple[Any, float]:
    best, result = float("inf"), None
    for _ in range(runs):
        before = time.process_time()
        result = action()
        best = min(best, time.process_time() - before)
    return result, best


def by_lanes(nodes: int, success: float = SUCCESS, name: str = "lanes") -> Row:
    count = 500_000
    made, seconds = least(partial(lanes.simulate, chain(nodes, success), runs=count, seed=1), 3)
    return Row(name, nodes, count, 1e6 * seconds / count, made.fidelity_mean(), made.pairs_per_second(), None)


def by_events(nodes: int) -> Row:
    count = 10_000
    made, seconds = least(partial(chain_events.simulate, chain(nodes, SUCCESS), runs=count, seed=1), 3)
    mean = float(np.mean(fidelity(made.correlators)))
    rate = 1e12 / float(made.delivery_ps.mean())
    return Row("events", nodes, count, 1e6 * seconds / count, mean, rate, made.events / seconds)


def by_sequence(python: str, nodes: int, mode: str) -> Row:
    command = [python, str(HERE / "sequence_chain.py"), str(nodes), mode, str(SIMULATED_S)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    pairs = found["pairs"]
    return Row(
        f"sequence {mode}",
        nodes,
        pairs,
        1e6 * found["cpu_s"] / pairs,
        found["fidelity"],
        pairs / found["simulated_s"],
        found["events"] / found["cpu_s"],
    )


def rows(python: str) -> list[Row]:
    assert np.allclose(correlators(weights(werner(F0))), werner(F0))  # noqa: S101 - the chain starts from what it says
    found = []
    for nodes in (3, 5):
        found += [by_sequence(python, nodes, mode) for mode in ("bell_diagonal", "default")]
        found += [by_events(nodes), by_lanes(nodes)]
    return found + [by_lanes(nodes, 0.01, "lanes, p = 0.01") for nodes in (3, 5, 17)]


def main() -> None:
    python = sys.argv[1] if len(sys.argv) > 1 else str(PEER)
    if not File(python).exists():
        sys.exit(f"SeQUeNCe's Python is not at {python}: see benchmarks/peers/sequence.txt")
    with (HERE / "chain_vs_sequence.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        names = ("pairs_per_cpu_s", "fidelity", "fidelity_without_decay", "pairs_per_simulated_s", "events_per_cpu_s")
        writer.writerow(["engine", "nodes", "pairs", "cpu_us_per_pair", *names])
        for row in rows(python):
            exact = float(werner_chain_fidelity(F0, row.nodes - 1))
            rate = 1e6 / row.cpu_us_per_pair
            events = "" if row.events_per_cpu_s is None else f"{row.events_per_cpu_s:.0f}"
            figures = [f"{rate:.0f}", f"{row.fidelity:.6f}", f"{exact:.6f}", f"{row.pairs_per_simulated_s:.0f}", events]
            writer.writerow([row.engine, row.nodes, row.pairs, f"{row.cpu_us_per_pair:.3f}", *figures])
            print(
                f"{row.engine:24}{row.nodes:3} nodes {row.cpu_us_per_pair:12.3f} us/pair {rate:12.0f} pairs/CPU s"
                f"   F {row.fidelity:.6f} (without decay {exact:.6f})   {events:>8} events/CPU s"
            )


if __name__ == "__main__":
    main()
