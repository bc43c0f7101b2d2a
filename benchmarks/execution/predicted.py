"""Does the predicted fidelity hold what is measured? Random noisy cells: circuits, fabrics, memories, gates, readout.

Up to eight qubits the prediction is a process fidelity, and what is measured are shots of the emitted circuit on Aer
between perfect preparations and measurements; from nine on it is the Hellinger fidelity of the counts of a run.

Run ``python benchmarks/execution/predicted.py [PROCESS_CELLS HELLINGER_CELLS]``; one row per cell goes to
predicted.csv, coverage and median miss to the terminal.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.execution.process_measured import process_fidelity

SHOTS = {"process": 2048, "hellinger": 8192}
INPUTS = 32
COLUMNS = (
    "cell", "kind", "qubits", "ebits", "averaging", "shots", "predicted", "low", "high", "measured", "stderr", "inside",
    "miss", "seconds",
)  # fmt: skip


def circuit_of(qubits: int, rng: np.random.Generator) -> QuantumCircuit:
    """Return one of: gates at random, a GHZ state with turns, a shallow chain."""
    circuit, kind = QuantumCircuit(qubits), rng.integers(3)
    if kind == 0:
        for _ in range(int(rng.integers(qubits, 2 * qubits + 1))):
            a, b = rng.choice(qubits, 2, replace=False).tolist()
            circuit.u(*rng.uniform(0, 3, 3), a)
            circuit.cp(float(rng.uniform(0.3, 3)), a, b)
    elif kind == 1:
        circuit.h(0)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
        for qubit in range(qubits):
            circuit.ry(float(rng.uniform(0, 0.6)), qubit)
    else:
        for qubit in range(qubits):
            circuit.u(*rng.uniform(0, 3, 3), qubit)
        for qubit in range(qubits - 1):
            circuit.cp(float(rng.uniform(0.3, 3)), qubit, qubit + 1)
        for qubit in range(qubits):
            circuit.rx(float(rng.uniform(0, 1)), qubit)
    return circuit


def fabric_of(qubits: int, rng: np.random.Generator) -> hq.Fabric:
    """Return two or three nodes with errors of all kinds; two cells in three have memories that decay."""
    nodes = int(rng.integers(2, 4)) if qubits > 2 else 2
    make = (hq.Fabric.full, hq.Fabric.line)[rng.integers(2)]
    fidelity = float(rng.uniform(0.96, 1))
    fabric = make([-(-qubits // nodes)] * nodes, communication_qubits=2, pair_fidelity=fidelity)
    figures = {
        "gate_error_1q": float(rng.uniform(0, 0.0005)),
        "gate_error_2q": float(rng.uniform(0, 0.004)),
        "readout_error": float(rng.uniform(0, 0.01)),
        "gate_1q_ns": 50.0,
        "gate_2q_ns": 300.0,
        "readout_ns": 1000.0,
        "reset_ns": 500.0,
    }
    if rng.random() < 2 / 3:
        figures["t1_us"] = float(rng.uniform(2e3, 2e4))
        # With T2 > T1 beside depolarising errors, Aer 0.18 crashes in one circuit of ten.
        figures["t2_us"] = figures["t1_us"] * float(rng.uniform(0.3, 1))
    fabric = fabric.replace("nodes.*", **figures)
    rate = float(10 ** rng.uniform(4.3, 6))
    return fabric.replace("links.*", latency_ns=float(rng.uniform(100, 2000)), pair_rate_hz=rate)


def cell(kind: str, number: int) -> dict[str, object]:
    """Return one row."""
    rng = np.random.default_rng([number, len(kind)])
    qubits = int(rng.integers(2, 9) if kind == "process" else rng.integers(9, 13))
    plan = hq.plan(circuit_of(qubits, rng), fabric_of(qubits, rng), time_limit_s=0, verify="skipped", seed=number)
    began, shots = time.perf_counter(), SHOTS[kind]
    result = plan.run(shots, seed=number)
    predicted = result.predicted_fidelity
    seconds = time.perf_counter() - began
    if kind == "process":
        found = process_fidelity(plan, shots, inputs=INPUTS, seed=number + 1)
    else:
        found = result.measured_fidelity
    if predicted.kind != kind or found.kind != kind:
        raise RuntimeError(f"cell {number} is {predicted.kind}, {found.kind}")
    return {
        "cell": number,
        "kind": kind,
        "qubits": qubits,
        "ebits": plan.ebits,
        "averaging": result.averaging,
        "shots": shots,
        "predicted": round(predicted.value, 6),
        "low": round(predicted.low, 6),
        "high": round(predicted.high, 6),
        "measured": round(found.value, 6),
        "stderr": round(found.stderr, 6),
        "inside": int(predicted.low <= found.value <= predicted.high),
        "miss": round(abs(predicted.value - found.value), 6),
        "seconds": round(seconds, 3),
    }


def main() -> None:
    """Write the table; say what it comes to."""
    wanted = [int(text) for text in sys.argv[1:]] or [210, 200]
    rows = []
    path = Path(__file__).with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for kind, cells in zip(("process", "hellinger"), wanted, strict=True):
            for number in range(cells):
                rows.append(cell(kind, number))
                table.writerow(rows[-1])
                file.flush()
    for kind in ("process", "hellinger"):
        some = [row for row in rows if row["kind"] == kind]
        if some:
            inside = statistics.mean(row["inside"] for row in some)
            miss = statistics.median(row["miss"] for row in some)
            print(f"{kind}: {len(some)} cells, {inside:.1%} inside, median miss {miss:.4f}")


if __name__ == "__main__":
    main()
