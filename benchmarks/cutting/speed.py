"""Expectation values of cut circuits: our CPU seconds, exactly and from shots, beside qiskit-addon-cutting in one run.

    .venv/bin/python benchmarks/cutting/speed.py [--small] [--addon PYTHON_OF_THE_ADDON]

benchmarks/peers/addon_cutting.txt says how the addon is installed. Writes speed.csv beside this file.

* ``hea10_k``: hardware-efficient ansatz of 10 qubits with k layers of CX, cut in the middle: k cut CX. All Z Z of
  neighbours and all X: 19 observables. Beside it the addon's whole workflow (partition_problem,
  generate_cutting_experiments, its ExactSampler, reconstruct_expectation_values).
* ``ring_n``: QAOA ring of n qubits in 3 parts, all Z Z of its edges and all X.
* ``ansatz_n``: ansatz of n qubits with one layer of CX, in pieces of 10 qubits; all Z Z of neighbours and all Z.
  For networks of 40, 60 and 80 qubits in pieces of 10 the log that comes with qTPU has 84, 156 and 228 subexperiments,
  and 864 of the addon's for 40.

Everything is timed, from the circuit to the values: reading it, decomposing its cuts, simulating, contracting. CPU time
is that of all threads, the least of three runs, after a run of another problem; the first of the three stands beside.
The addon runs once. Our shot mode draws 1024 shots for each unique subexperiment and gives every value its error bar:
``z`` is the root mean square of error over standard error. Errors are against a state vector, against the closed form
of the ring (exact values <Z Z> = sin(4β) sin(4γ) / 2, <X> = cos²(2γ)) and against a matrix product state.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import addon
import numpy as np
from problems import RING_ANGLES, ansatz, pieces, qaoa_ring, singles, zz
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector
from qiskit_aer.primitives import EstimatorV2

from hyperfabric_q.cutting.allocation import Estimated, estimate
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.engine import exact
from hyperfabric_q.cutting.prepare import prepare
from hyperfabric_q.cutting.split import split

HERE = Path(__file__).parent
SHOTS = 1024


class Problem(NamedTuple):
    name: str
    circuit: QuantumCircuit
    labels: list[int]
    observables: list[str]
    truth: Callable[[], Any]
    addon: bool


def by_statevector(circuit: QuantumCircuit, observables: list[str]) -> Any:
    state = Statevector(circuit)
    return np.array([state.expectation_value(Pauli(each)).real for each in observables])


def by_product_state(circuit: QuantumCircuit, observables: list[str]) -> Any:
    options = {"default_precision": 0.0, "backend_options": {"method": "matrix_product_state"}}
    job = EstimatorV2(options=options).run([(circuit, [SparsePauliOp(each) for each in observables])])
    return np.asarray(job.result()[0].data.evs, dtype=float)


def by_formula(qubits: int) -> Any:
    gamma, beta = RING_ANGLES
    edge = math.sin(4 * beta) * math.sin(4 * gamma) / 2
    return np.array([edge] * qubits + [math.cos(2 * gamma) ** 2] * qubits)


def hea(cuts: int) -> Problem:
    circuit = ansatz(10, cuts)
    observables = zz(((q, q + 1) for q in range(9)), 10) + singles("X", 10)
    truth = partial(by_statevector, circuit, observables)
    return Problem(f"hea10_{cuts}", circuit, pieces(10, 2), observables, truth, addon=True)


def ring(qubits: int) -> Problem:
    observables = zz(((q, (q + 1) % qubits) for q in range(qubits)), qubits) + singles("X", qubits)
    truth = partial(by_formula, qubits)
    return Problem(f"ring_{qubits}", qaoa_ring(qubits), pieces(qubits, 3), observables, truth, addon=False)


def wide(qubits: int) -> Problem:
    circuit = ansatz(qubits, 1)
    observables = zz(((q, q + 1) for q in range(qubits - 1)), qubits) + singles("Z", qubits)
    truth = partial(by_product_state, circuit, observables)
    return Problem(f"ansatz_{qubits}", circuit, pieces(qubits, qubits // 10), observables, truth, addon=False)


def our_exact(problem: Problem) -> Any:
    return exact(split(prepare(problem.circuit), Assignment.static(problem.labels)), problem.observables)


def our_shots(problem: Problem) -> Estimated:
    cut = split(prepare(problem.circuit), Assignment.static(problem.labels))
    return estimate(cut, problem.observables, per_variant=SHOTS, seed=1)


def timed(action: Callable[[], Any], runs: int = 3) -> tuple[Any, list[float]]:
    spent, result = [], None
    for _ in range(runs):
        before = time.process_time()
        result = action()
        spent.append(time.process_time() - before)
    return result, spent


def rows_of(problem: Problem, interpreter: str | None) -> list[dict[str, Any]]:
    truth = problem.truth()
    values, spent = timed(partial(our_exact, problem))
    base = {"problem": problem.name, "parts": len(set(problem.labels)), "observables": len(problem.observables)}
    largest = float(np.abs(values - truth).max())
    rows = [{**base, "engine": "exact", "cpu_s": min(spent), "first_cpu_s": spent[0], "max_error": largest}]
    made, shot_spent = timed(partial(our_shots, problem))
    errors = made.reading.values - truth
    bars = np.maximum(made.reading.stderr, 1e-300)
    rows.append(
        {
            **base,
            "engine": f"{SHOTS} shots",
            "cpu_s": min(shot_spent),
            "first_cpu_s": shot_spent[0],
            "max_error": float(np.abs(errors).max()),
            "max_stderr": float(made.reading.stderr.max()),
            "z": float(np.sqrt(np.mean((errors / bars) ** 2))),
            "subexperiments": made.variants,
        }
    )
    if interpreter and problem.addon:
        found = addon.ask(interpreter, "exact", problem.circuit, labels=problem.labels, observables=problem.observables)
        cpu = found["generate_s"] + found["sample_s"] + found["reconstruct_s"]
        rows.append(
            {
                **base,
                "engine": "addon exact",
                "cpu_s": cpu,
                "first_cpu_s": cpu,
                "max_error": float(np.abs(np.array(found["values"]) - truth).max()),
                "subexperiments": found["subexperiments"],
            }
        )
        for row in rows:
            row["addon_over_this"] = cpu / row["cpu_s"]
    return rows


FIELDS = {
    "problem": "",
    "parts": "",
    "observables": "",
    "engine": "",
    "cpu_s": ".4f",
    "first_cpu_s": ".4f",
    "addon_over_this": ".0f",
    "max_error": ".2e",
    "max_stderr": ".4f",
    "z": ".2f",
    "subexperiments": "",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one problem of each kind; writes nothing")
    parser.add_argument("--addon", help="Python of the environment that holds qiskit-addon-cutting")
    options = parser.parse_args()
    interpreter = addon.python(options.addon)
    our_exact(ring(9))
    our_shots(ring(9))
    problems = [hea(1), hea(2), hea(3), ring(30), ring(36), wide(40), wide(60), wide(80)]
    if options.small:
        problems = [hea(1), ring(30), wide(40)]
    written = []
    for problem in problems:
        for row in rows_of(problem, interpreter):
            written.append({name: format(row[name], how) if name in row else "" for name, how in FIELDS.items()})
            print("  ".join(f"{value:>12}" for value in written[-1].values()), flush=True)
    if not options.small:
        with (HERE / "speed.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(FIELDS))
            writer.writeheader()
            writer.writerows(written)


if __name__ == "__main__":
    main()
