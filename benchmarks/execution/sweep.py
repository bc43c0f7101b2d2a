"""Seconds for a sweep of 100 points: 20 pair fidelities x 5 rates, a noisy 16-qubit circuit on a ring of 4 QPUs.

    .venv/bin/python benchmarks/execution/sweep.py

Writes sweep.csv beside this file. The circuit is one layer of QAOA for the maximum cut of a ring, which is no Clifford
circuit. Memories have T1 = 1 s and T2 = 0.5 s, gates and readout err. "fidelity" is the Hellinger fidelity of 1024
counts, "energy" the mean ZZ of neighbours, "infidelity" needs no shots. "cpu_seconds" are those of all processes.
"rms_sigma" and "largest_sigma" are the deviations of ten points of the grid from single runs with other seeds, in
standard errors of the difference.
"""

from __future__ import annotations

import csv
import math
import resource
import time
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

import hyperfabric_q as hq
from hyperfabric_q.execution.executors.local import cores
from hyperfabric_q.sweeping import Sweep, sweep

QUBITS, NODES, SHOTS = 16, 4, 1024
FIDELITY, RATE = "links.*.pair_fidelity", "links.*.pair_rate_hz"
GRID = {FIDELITY: np.linspace(0.8, 0.99, 20), RATE: np.geomspace(1e3, 1e5, 5)}
EDGES = [(qubit, (qubit + 1) % QUBITS) for qubit in range(QUBITS)]
ENERGY = SparsePauliOp.from_sparse_list([("ZZ", list(edge), 1 / QUBITS) for edge in EDGES], QUBITS)


def ring() -> QuantumCircuit:
    circuit = QuantumCircuit(QUBITS, name="qaoa_ring")
    circuit.h(range(QUBITS))
    for edge in EDGES:
        circuit.rzz(0.9, *edge)
    circuit.rx(0.8, range(QUBITS))
    return circuit


def fabric() -> hq.Fabric:
    made = hq.Fabric.ring([QUBITS // NODES] * NODES, communication_qubits=2, pair_fidelity=0.95)
    figures = {"gate_error_1q": 1e-5, "gate_error_2q": 1e-3, "readout_error": 1e-3, "t1_us": 1e6, "t2_us": 5e5}
    return made.replace("nodes.*", **figures).replace("links.*", pair_rate_hz=1e4, distance_m=10.0)


def cpu_seconds() -> float:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def sigmas(table: Sweep, column: str, observables: SparsePauliOp | None) -> np.ndarray:
    misses = []
    for place in np.linspace(0, len(table) - 1, 10).astype(int).tolist():
        row = table[place]
        own = fabric().replace("links.*", pair_fidelity=row[FIDELITY], pair_rate_hz=row[RATE])
        result = hq.plan(ring(), own, seed=100 + place).run(shots=SHOTS, observables=observables, seed=200 + place)
        alone = result.measured_fidelity if result.estimates is None else result.estimates[0]
        misses.append(abs(row[column] - alone.value) / math.hypot(row[f"{column}_stderr"], alone.stderr))
    return np.array(misses)


CASES = (
    ("fidelity", "fidelity", "fidelity", None),
    ("energy", "estimates", "estimate_0", ENERGY),
    ("infidelity", "infidelity", "infidelity", None),
)


def main() -> None:
    rows = []
    for name, metric, column, observables in CASES:
        sampled = name != "infidelity"
        began, worked = time.perf_counter(), cpu_seconds()
        table = sweep(ring(), fabric(), GRID, metric=metric, shots=SHOTS, observables=observables, seed=1)
        seconds, work = time.perf_counter() - began, cpu_seconds() - worked
        off = sigmas(table, column, observables) if sampled else None
        row = {
            "metric": name,
            "points": len(table),
            "failed": len(table.failed),
            "plans": table.plans,
            "ebits": table[0]["ebits"],
            "methods": " ".join(sorted(set(table.column("method")))) or "none",
            "timelines": int(table.column("timelines").max()),
            "shots": SHOTS if sampled else 0,
            "executor": table.executor,
            "cores": cores(),
            "seconds": f"{seconds:.1f}",
            "cpu_seconds": f"{work:.1f}",
            "first": f"{table[0][column]:.4f}",
            "last": f"{table[len(table) - 1][column]:.4f}",
            "rms_sigma": "" if off is None else f"{math.sqrt((off**2).mean()):.2f}",
            "largest_sigma": "" if off is None else f"{off.max():.2f}",
        }
        rows.append(row)
        print(row, flush=True)
    with (Path(__file__).parent / "sweep.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
