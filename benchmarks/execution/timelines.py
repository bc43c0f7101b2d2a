"""Do 64 timelines say what one timeline for each shot says? Shot times of 20 cells, and bars over eight timelines.

Run ``python benchmarks/execution/timelines.py``; one row per cell goes to timelines.csv. "apart" is the relative
difference between K = 64 and K = shots, "sigmas" the same in standard errors; of p99, in standard errors of the rank.
"covered" is the share of 1000 draws in which the bar over eight timelines holds the mean over all runs, "naive" the
same of the bar of independent shots.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.estimate import proportion
from hyperfabric_q.execution.channel import outcome_chances
from hyperfabric_q.execution.clock_noise import clock_noises
from hyperfabric_q.execution.clusters import proportion_over
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.timelines import drawn_timetable, strata, timelines_of

SHOTS = 4096
BAR_SHOTS = 8000
RUNS = 256
CELLS = 20
BAR_CELLS = 8
COLUMNS = (
    "cell", "qubits", "nodes", "rate_hz", "ebits", "mean_64_ns", "mean_all_ns", "mean_apart", "mean_sigmas",
    "p99_64_ns", "p99_all_ns", "p99_apart", "p99_sigmas", "covered", "naive",
)  # fmt: skip


def plan_of(number: int) -> tuple[hq.Plan, int, float]:
    """Return the plan of a cell, how many nodes it has and their pair rate."""
    rng = np.random.default_rng(number)
    qubits, rate = int(rng.integers(3, 6)), float(10 ** rng.uniform(3.5, 5.5))
    nodes = int(rng.integers(2, min(4, qubits) + 1))
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    for qubit in range(int(rng.integers(0, qubits - 1))):
        circuit.ry(0.4, qubit)
        circuit.cx(qubit + 1, qubit)
    fabric = hq.Fabric.line([-(-qubits // nodes)] * nodes, communication_qubits=2, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", gate_1q_ns=100.0, gate_2q_ns=300.0, readout_ns=1000.0, reset_ns=500.0)
    fabric = fabric.replace("nodes.*", t2_us=float(rng.uniform(2, 10) / rate * 1e6))
    fabric = fabric.replace("links.*", latency_ns=500.0, pair_rate_hz=rate)
    return hq.plan(circuit, fabric, time_limit_s=0, verify="skipped", seed=number), nodes, rate


def times(plan: hq.Plan, number: int) -> dict[str, float]:
    """Return the columns of the shot times."""
    few = plan.run(SHOTS, timelines=64, seed=number, method="channel").shot_ns
    every = timelines_of(plan, Noise.FABRIC, wanted=SHOTS, shots=SHOTS, seed=1000 + number).makespans_ps / 1e3
    mean, p99 = float(every.mean()), float(np.quantile(every, 0.99, method="inverted_cdf"))
    scale = np.sqrt(1 / few.runs + 1 / SHOTS)
    rank = float((every > few.p99).mean()) - 0.01
    return {
        "mean_64_ns": round(few.mean, 1),
        "mean_all_ns": round(mean, 1),
        "mean_apart": round(few.mean / mean - 1, 5),
        "mean_sigmas": round((few.mean - mean) / float(every.std() * scale), 2),
        "p99_64_ns": round(few.p99, 1),
        "p99_all_ns": round(p99, 1),
        "p99_apart": round(few.p99 / p99 - 1, 5),
        "p99_sigmas": round(-rank / float(np.sqrt(0.01 * 0.99) * scale), 2),
    }


def coverage(plan: hq.Plan, number: int) -> dict[str, float]:
    """Return how often bars over eight timelines hold the mean, with clusters and without."""
    complete, reported = measured(plan)
    timetable = drawn_timetable(plan, number)
    noises = clock_noises(plan, Noise.FABRIC, timetable, range(RUNS))
    laws = [outcome_chances(complete, noise, reported=reported) for noise in noises]
    key = max(laws[0], key=laws[0].__getitem__)
    chances = np.array([law.get(key, 0.0) for law in laws])
    sizes, rng = timetable.infidelity[:RUNS], np.random.default_rng(number)
    covered = naive = 0
    for _ in range(1000):
        hits = rng.binomial(BAR_SHOTS // 8, chances[strata(sizes, 8, rng)]).tolist()
        bar, alone = proportion_over(hits, [BAR_SHOTS // 8] * 8), proportion(sum(hits), BAR_SHOTS)
        covered += abs(bar.value - chances.mean()) <= 1.96 * bar.stderr
        naive += abs(alone.value - chances.mean()) <= 1.96 * alone.stderr
    return {"covered": covered / 1000, "naive": naive / 1000}


def main() -> None:
    """Write the table; say what it comes to."""
    rows = []
    for number in range(CELLS):
        plan, nodes, rate = plan_of(number)
        row = {"cell": number, "qubits": plan.qubits, "nodes": nodes, "rate_hz": round(rate), "ebits": plan.ebits}
        row |= times(plan, number)
        if number < BAR_CELLS:
            row |= coverage(plan, number)
        rows.append(row)
    with Path(__file__).with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    for name in ("mean", "p99"):
        apart = np.abs([row[f"{name}_apart"] for row in rows])
        sigmas = np.abs([row[f"{name}_sigmas"] for row in rows])
        print(
            f"{name}: {apart.mean():.2%} apart on average, {apart.max():.2%} at most, {sigmas.max():.1f} sigmas at most"
        )
    bars = [row for row in rows if "covered" in row]
    print("covered", [row["covered"] for row in bars], "naive", [row["naive"] for row in bars])


if __name__ == "__main__":
    main()
