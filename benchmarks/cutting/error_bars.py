"""How often do two standard errors either side of an estimate hold the exact value?

    .venv/bin/python benchmarks/cutting/error_bars.py [--small]

Writes error_bars.csv beside this file. 20 small circuits of five kinds, 100 seeds each: 2,000 runs per way of spending
shots, each run with several observables, those whose exact value is beyond ±0.9 left out. Kinds: an ansatz with 1 to 3
cut CX, QAOA on two clusters, random halves joined by RZZ, a chain in three parts, and random gates of which one wire
and one general two-qubit gate are cut. Ways:

* ``uniform``: as many shots for each unique subexperiment;
* ``neyman``: shots in all, after a pilot where they are needed;
* ``precision``: shots until every error bar is below it.

95.4 % is what a normal distribution gives. "inside_pct" counts all intervals of all runs; "least_pct" and "most_pct"
are of one circuit, and "rms_z" is the root mean square of error over standard error.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from problems import ansatz, clusters, pauli, pieces, random_halves, singles, zz
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Pauli, Statevector, random_unitary

from hyperfabric_q.cutting.allocation import estimate
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.prepare import prepare
from hyperfabric_q.cutting.sampling import Laws
from hyperfabric_q.cutting.split import split

HERE = Path(__file__).parent
NEARLY = 0.9
WAYS: dict[str, dict[str, Any]] = {
    "uniform, 1024 each": {"per_variant": 1024},
    "uniform, 100 each": {"per_variant": 100},
    "neyman, 50,000": {"shots": 50_000},
    "neyman, 200,000": {"shots": 200_000},
    "precision 0.02": {"precision": 0.02},
}


class Case(NamedTuple):
    name: str
    cut: CutCircuit
    observables: list[str]
    truth: Any


def gate_and_wire(seed: int) -> tuple[QuantumCircuit, Assignment]:
    """Random gates on qubits 0-2, one on (1, 4) that is cut, then on 2-5; the wire of qubit 2 is cut in between."""
    rng = np.random.default_rng((seed, 6))
    circuit = QuantumCircuit(6)

    def random_gates(pairs: list[tuple[int, int]]) -> None:
        for pair in pairs:
            circuit.append(UnitaryGate(random_unitary(4, seed=rng)), pair)

    random_gates([(0, 1), (1, 2), (3, 4), (4, 5)])
    circuit.cp(float(rng.uniform(0.5, 2.5)), 1, 4)
    random_gates([(0, 1), (0, 2)])
    row = len(circuit.data)
    random_gates([(2, 3), (4, 5), (3, 4)])
    stays = [((0, 0),), ((0, 0),), ((0, 0), (row, 1)), ((0, 1),), ((0, 1),), ((0, 1),)]
    return circuit, Assignment(parts=2, segments=tuple(stays))


def circuits() -> list[tuple[str, QuantumCircuit, Assignment]]:
    found = []
    for seed in range(4):
        layers = 1 + seed % 3
        plain = [
            (f"ansatz_{layers}_{seed}", ansatz(6, layers, seed=seed), 2),
            (f"qaoa_{seed}", clusters(8, 2, seed), 2),
            (f"random_{seed}", random_halves(6, 2, seed), 2),
            (f"chain_{seed}", ansatz(9, 1, seed=seed), 3),
        ]
        found += [(name, each, Assignment.static(pieces(each.num_qubits, parts))) for name, each, parts in plain]
        found.append((f"gate_and_wire_{seed}", *gate_and_wire(seed)))
    return found


def cases() -> list[Case]:
    found = []
    for name, circuit, assignment in circuits():
        n = circuit.num_qubits
        observables = zz(((q, q + 1) for q in range(n - 1)), n) + singles("X", n)[::2]
        observables.append(pauli({0: "Y", n // 2: "Z", n - 1: "X"}, n))
        state = Statevector(circuit)
        truth = np.array([state.expectation_value(Pauli(each)).real for each in observables])
        kept = np.flatnonzero(np.abs(truth) <= NEARLY)
        cut = split(prepare(circuit), assignment)
        found.append(Case(name, cut, [observables[each] for each in kept], truth[kept]))
    return found


def scores(case: Case, laws: Laws, how: dict[str, Any], seeds: int) -> tuple[Any, int]:
    """Return errors over standard errors, (seeds, observables), and the mean number of shots."""
    found, shots = [], 0
    for seed in range(seeds):
        made = estimate(case.cut, case.observables, **how, seed=seed, laws=laws)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (made.reading.values - case.truth) / made.reading.stderr
        # No bar and no error is a value that no shot could change.
        found.append(np.where(np.abs(made.reading.values - case.truth) < 1e-12, 0.0, z))
        shots += made.shots
    return np.array(found), shots // seeds


def coverage(way: str, all_cases: list[tuple[Case, Laws]], seeds: int) -> dict[str, Any]:
    z, shots = zip(*(scores(case, laws, WAYS[way], seeds) for case, laws in all_cases), strict=True)
    each = [100 * float(np.mean(np.abs(own) <= 2)) for own in z]
    together = np.concatenate([own.reshape(-1) for own in z])
    return {
        "way": way,
        "circuits": len(z),
        "runs": len(z) * seeds,
        "intervals": len(together),
        "mean_shots": int(np.mean(shots)),
        "inside_pct": f"{100 * np.mean(np.abs(together) <= 2):.2f}",
        "least_pct": f"{min(each):.2f}",
        "most_pct": f"{max(each):.2f}",
        "rms_z": f"{np.sqrt(np.mean(together**2)):.4f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="ten seeds; writes nothing")
    options = parser.parse_args()
    ready = [(case, Laws(case.cut, measure(case.cut, case.observables))) for case in cases()]
    rows = []
    for way in WAYS:
        rows.append(coverage(way, ready, 10 if options.small else 100))
        print("  ".join(f"{value!s:>12}" for value in rows[-1].values()), flush=True)
    if not options.small:
        with (HERE / "error_bars.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
