"""Is the planner that mixes ever worse than the best plan of a single method? Measured errors over a sweep of links.

    .venv/bin/python benchmarks/execution/mixed.py

Writes mixed.csv beside this file: three circuits of six qubits on two or three nodes with decaying memories, six
fidelities and two rates of pairs, two budgets of shots. Each plan runs 1000 times, with other seeds; "mse" is the mean
of squared distances from the exact values of Z of every qubit. A plan whose laws are those of another has its figures.
"worse" counts the standard errors by which the chosen plan is worse than 1.1 times the best single method; where it is
above 3, the forecast was wrong.
"""

from __future__ import annotations

import csv
import hashlib
import math
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.cutting import allocation
from hyperfabric_q.errors import Infeasible
from hyperfabric_q.mixing.plan import MixedPlan

FIDELITIES = (0.6, 0.7, 0.8, 0.9, 0.97, 1.0)
RATES_HZ = (500.0, 20_000.0)
SHOTS = (1_000, 50_000)
TRIALS = 1_000
SINGLE = (("bell",), ("assisted",), ("gate_cut",), ("wire_cut",))
MARGIN = 1.1


class Measured(NamedTuple):
    """The mean square error of a plan, and the standard error of that."""

    mse: float
    stderr: float


def turned(qubits: int, seed: int) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.ry(rng.uniform(0, 3), qubit)
    return circuit


def weak_ring() -> QuantumCircuit:
    """Weak gates, which are cheap to cut."""
    circuit = turned(6, 1)
    for qubit in range(6):
        circuit.rzz(0.25, qubit, (qubit + 1) % 6)
    circuit.compose(turned(6, 2), inplace=True)
    return circuit


def entangled_chain() -> QuantumCircuit:
    """Two layers of CX: strong gates, of which one node less has fewer."""
    circuit = turned(6, 3)
    for seed in (4, 5):
        for qubit in range(5):
            circuit.cx(qubit, qubit + 1)
        circuit.compose(turned(6, seed), inplace=True)
    return circuit


def waist() -> QuantumCircuit:
    """Many gates on either side of one qubit, whose wire may be cut."""
    circuit = turned(6, 6)
    for qubit in range(5):
        circuit.rzz(0.9, qubit, qubit + 1)
        circuit.rxx(0.7, qubit, qubit + 1)
    circuit.compose(turned(6, 7), inplace=True)
    return circuit


CASES = {"weak ring": (weak_ring, (3, 3)), "waist": (waist, (4, 4)), "entangled chain": (entangled_chain, (2, 2, 2))}


def fabric_of(sizes: tuple[int, ...], fidelity: float, rate_hz: float) -> hq.Fabric:
    fabric = hq.Fabric.line(list(sizes), communication_qubits=2, pair_fidelity=fidelity)
    return fabric.replace("links.*", pair_rate_hz=rate_hz).replace("nodes.*", t1_us=100_000, t2_us=20_000)


def planned(circuit: QuantumCircuit, fabric: hq.Fabric, methods: Any, shots: int) -> MixedPlan | None:
    observables = [f"Z@{qubit}" for qubit in range(circuit.num_qubits)]
    try:
        return hq.plan(
            circuit,
            fabric,
            methods=methods,
            objective="mse",
            observables=observables,
            shots=shots,
            time_limit_s=0.5,
            seed=1,
        )
    except Infeasible:
        return None


def print_of(plan: MixedPlan) -> str:
    """The same for plans of the same laws."""
    laws = plan.chosen.laws
    found = hashlib.blake2b(digest_size=12)
    for key in laws.keys():  # noqa: SIM118 - not a mapping
        law, scale = laws.laws(key)
        found.update(np.round(law, 12).tobytes() + scale.tobytes())
    for weights in laws.frame.network.weights:
        found.update(np.round(weights, 12).tobytes())
    return found.hexdigest()


def measured(plan: MixedPlan, shots: int, trials: int) -> Measured:
    """Return the error of a plan over many runs; its laws are worked out once."""
    laws, truth = plan.chosen.laws, plan.exact().evs
    squares = np.empty(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an error bar may be wide
        for seed in range(trials):
            made = allocation.estimate(
                laws.pieces,
                plan.observables,
                shots=shots,
                seed=seed,
                laws=laws,
                measured=laws.frame.measured,
            )
            squares[seed] = np.mean((made.reading.values - truth) ** 2)
    return Measured(float(squares.mean()), float(squares.std(ddof=1) / math.sqrt(trials)))


def cell(
    name: str, fidelity: float, rate_hz: float, shots: int, trials: int, known: dict[str, Measured]
) -> dict[str, Any]:
    """Return one row of the table."""
    build, sizes = CASES[name]
    circuit, fabric = build(), fabric_of(sizes, fidelity, rate_hz)

    def error_of(plan: MixedPlan) -> Measured:
        key = f"{name} {shots} {trials} {print_of(plan)}"
        if key not in known:
            known[key] = measured(plan, shots, trials)
        return known[key]

    began = time.perf_counter()
    mixed = planned(circuit, fabric, "auto", shots)
    seconds = time.perf_counter() - began
    if mixed is None:
        raise AssertionError(f"no way to run {name}")
    own = error_of(mixed)
    single = {methods[0]: planned(circuit, fabric, methods, shots) for methods in SINGLE}
    errors = {method: error_of(plan) for method, plan in single.items() if plan is not None}
    best = min(errors, key=lambda method: errors[method].mse)
    beyond = own.mse - MARGIN * errors[best].mse
    worse = beyond / max(math.hypot(own.stderr, MARGIN * errors[best].stderr), 1e-300)
    return {
        "circuit": name,
        "nodes": len(sizes),
        "fidelity": fidelity,
        "rate_hz": rate_hz,
        "shots": shots,
        "way": mixed.chosen.name,
        "pairs": mixed.ebits,
        "gamma": f"{mixed.gamma:.3f}",
        "forecast": f"{mixed.predicted.mse:.3e}",
        "mse": f"{own.mse:.3e}",
        "mse_stderr": f"{own.stderr:.1e}",
        "best_single": best,
        "best_mse": f"{errors[best].mse:.3e}",
        "best_mse_stderr": f"{errors[best].stderr:.1e}",
        "ratio": f"{own.mse / errors[best].mse:.3f}",
        "worse": f"{worse:.1f}",
        **{f"mse_{methods[0]}": _told(errors.get(methods[0])) for methods in SINGLE},
        "plan_seconds": f"{seconds:.1f}",
    }


def _told(error: Measured | None) -> str:
    return "" if error is None else f"{error.mse:.3e}"


def main() -> None:
    known: dict[str, Measured] = {}
    rows = []
    for name in CASES:
        for rate_hz in RATES_HZ:
            for fidelity in FIDELITIES:
                for shots in SHOTS:
                    rows.append(cell(name, fidelity, rate_hz, shots, TRIALS, known))
                    print(rows[-1], flush=True)
    with (Path(__file__).parent / "mixed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    worst = max(float(row["worse"]) for row in rows)
    print(f"{len(rows)} cells; the chosen plan is at most {worst:.1f} standard errors beyond 1.1 times the best")


if __name__ == "__main__":
    main()
