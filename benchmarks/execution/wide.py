"""Seconds for 2000 noisy qubits on three QPUs: Clifford circuits by stim, a chain that is not by matrix-product states.

    .venv/bin/python benchmarks/execution/wide.py

Writes wide.csv beside this file. Links make Werner pairs of fidelity 0.95; "local" adds gate and readout errors.
Planning is apart: homes are pinned, a third of the qubits each. "check" is the largest deviation from the closed form,
in standard errors, where there is one: for GHZ of the shares of outcomes by the links that they break at, for the chain
(a weighted graph state measured in X) of any qubit's mean, of 1998 of them.
"""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.execution.clifford import sample_clifford
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.mps import sample_mps
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample

QUBITS = 2000
FIDELITY = 0.95
ANGLE = 0.9


def ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(QUBITS, name="ghz")
    circuit.h(0)
    for qubit in range(QUBITS - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def brickwork(layers: int) -> QuantumCircuit:
    rng = np.random.default_rng(1)
    circuit = QuantumCircuit(QUBITS, name="clifford brickwork")
    for layer in range(layers):
        for qubit, gate in enumerate(rng.choice(["h", "s", "sx", "x"], QUBITS)):
            getattr(circuit, gate)(qubit)
        for qubit in range(layer % 2, QUBITS - 1, 2):
            circuit.cz(qubit, qubit + 1)
    return circuit


def phases() -> QuantumCircuit:
    circuit = QuantumCircuit(QUBITS, name="weighted graph chain")
    circuit.h(range(QUBITS))
    for qubit in range(QUBITS - 1):
        circuit.cp(ANGLE, qubit, qubit + 1)
    circuit.h(range(QUBITS))
    return circuit


def ghz_check(sample: Sample) -> float:
    shots, third = sum(sample.counts.values()), -(-QUBITS // 3)
    flip, expected = 2 * (1 - FIDELITY) / 3, {}
    for breaks in range(4):
        pattern = (breaks & 1, breaks >> 1)
        expected[pattern] = math.prod(flip if each else 1 - flip for each in pattern)
    seen = dict.fromkeys(expected, 0)
    for key, hits in sample.counts.items():
        parts = [key[::-1][start : start + third] for start in range(0, QUBITS, third)]
        if any(len(set(part)) > 1 for part in parts):
            return math.inf
        first, second, last = (int(part[0]) for part in parts)
        seen[first ^ second, second ^ last] += hits
    return max(abs(seen[key] - p * shots) / math.sqrt(p * (1 - p) * shots) for key, p in expected.items())


def chain_check(sample: Sample) -> float:
    rows = np.array([np.frombuffer(key[::-1].encode(), dtype=np.uint8) - ord("0") for key in sample.counts])
    hits = np.array(list(sample.counts.values()))
    inner = (1 - math.cos(ANGLE / 2) ** 2 * math.cos(ANGLE)) / 2
    means = (hits @ rows / hits.sum())[1:-1]
    return float(np.abs(means - inner).max() / math.sqrt(inner * (1 - inner) / hits.sum()))


CASES = (
    (ghz, "clifford", "none", 10_000, ghz_check),
    (ghz, "clifford", "links", 10_000, ghz_check),
    (ghz, "clifford", "local", 10_000, None),
    (lambda: brickwork(10), "clifford", "links", 10_000, None),
    (lambda: brickwork(10), "clifford", "local", 10_000, None),
    (lambda: brickwork(40), "clifford", "local", 10_000, None),
    (phases, "mps", "none", 10_000, chain_check),
    (phases, "mps", "links", 10_000, None),
)


def main() -> None:
    third = -(-QUBITS // 3)
    homes = [f"qpu-{qubit // third}" for qubit in range(QUBITS)]
    errors = {"gate_error_1q": 1e-5, "gate_error_2q": 1e-4, "readout_error": 1e-3}
    fabric = hq.Fabric.line([third] * 3, pair_fidelity=FIDELITY).replace("nodes.*", **errors)
    rows = []
    for build, method, noise, shots, check in CASES:
        circuit = build()
        began = time.perf_counter()
        plan, reported = measured(hq.plan(circuit, fabric, homes=homes, time_limit_s=0, seed=1))
        plan_s = time.perf_counter() - began
        fidelity = 1.0 if noise == "none" else FIDELITY
        weights = np.tile([fidelity, *((1 - fidelity) / 3,) * 3], (plan.ebits, 1))
        run = {"clifford": sample_clifford, "mps": sample_mps}[method]
        began = time.perf_counter()
        sample = run(
            plan,
            RunNoise(pair_weights=weights, idles=(), local=noise == "local"),
            shots=shots,
            seed=1,
            reported=reported,
        )
        seconds = time.perf_counter() - began
        closed = not check or noise == "local"
        # Without errors the breaks between nodes never happen: there is no standard error.
        figure = "" if closed or (check is ghz_check and noise == "none") else f"{check(sample):.2f}"
        row = {
            "circuit": circuit.name,
            "two_qubit_gates": plan.two_qubit_gates,
            "ebits": plan.ebits,
            "equivalent": plan.equivalent,
            "method": method,
            "noise": noise,
            "shots": shots,
            "outcomes": len(sample.counts),
            "plan_seconds": f"{plan_s:.1f}",
            "seconds": f"{seconds:.2f}",
            "check": figure,
        }
        rows.append(row)
        print(row, flush=True)
    with (Path(__file__).parent / "wide.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
