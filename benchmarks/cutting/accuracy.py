"""Root mean square errors at equal shots in all: ours with shots where they are needed, and qiskit-addon-cutting's way.

    .venv/bin/python benchmarks/cutting/accuracy.py [--small] [--no-anchors] [--addon PYTHON_OF_THE_ADDON]

benchmarks/peers/addon_cutting.txt says how the addon is installed. Writes accuracy.csv and anchors.csv.

24 circuits of 10 qubits in two halves with 2 or 3 cut gates, drawn at random: ansatz (RY, RZ and chains of CX), QAOA on
two clusters with random angles, and Haar-random gates inside halves joined by RZZ of random angles. Six observables at
once on each: Z Z on (4, 5), (0, 9) and (3, 6), X on 4, X X on (4, 5) and (0, 9). 200,000 shots in all.

* ``ours``: two-stage Neyman allocation, 60 seeded runs, errors against the exact value. ``uniform`` the same with equal
  shots for all unique subexperiments, 60 runs.
* ``addon``: the exact standard deviation of the addon's estimator with num_samples = inf, which gives every joint term
  shots of its own and the same number to every circuit (shaped.py).

anchors.csv shows that this is what the addon does: its whole workflow with Aer's SamplerV2 on three small circuits, 500
independent runs with 2 cuts and 200 with 3. Mean against exact value in standard errors (z), sample variance over the
exact one, and the chance of a ratio that far from 1 or farther (two-sided, chi-square).
"""

from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import addon
import numpy as np
from problems import ansatz, clusters, pauli, pieces, random_halves, zz
from qiskit import QuantumCircuit
from scipy.stats import chi2
from shaped import circuits, shaped

from hyperfabric_q.cutting.allocation import estimate
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.prepare import prepare
from hyperfabric_q.cutting.sampling import Laws
from hyperfabric_q.cutting.split import split

HERE = Path(__file__).parent
SHOTS = 200_000
RUNS = 60


class Anchor(NamedTuple):
    name: str
    circuit: QuantumCircuit
    observables: list[str]
    shots: int
    runs: int


def strings(qubits: int) -> list[str]:
    middle, last = qubits // 2, qubits - 1
    near, far = (middle - 1, middle), (0, last)
    found = [*zz((near, far, (middle - 2, middle + 1)), qubits), pauli({near[0]: "X"}, qubits)]
    return found + [pauli({a: "X", b: "X"}, qubits) for a, b in (near, far)]


def cut_in_halves(circuit: QuantumCircuit) -> CutCircuit:
    return split(prepare(circuit), Assignment.static(pieces(circuit.num_qubits, 2)))


def rmse(cut: CutCircuit, observables: list[str], truth: Any, allocation: Any, runs: int) -> Any:
    laws = Laws(cut, measure(cut, observables))
    errors = [
        estimate(cut, observables, shots=SHOTS, allocation=allocation, seed=seed, laws=laws).reading.values - truth
        for seed in range(runs)
    ]
    return np.sqrt(np.mean(np.square(errors), axis=0))


def compare(name: str, circuit: QuantumCircuit, runs: int) -> list[dict[str, Any]]:
    cut, observables = cut_in_halves(circuit), strings(circuit.num_qubits)
    peer = shaped(cut, observables)
    count = circuits(cut, pieces(circuit.num_qubits, 2), observables, len(peer.weights))
    theirs = np.sqrt(peer.variances(SHOTS // count))
    neyman, uniform = (rmse(cut, observables, peer.values, each, runs) for each in ("neyman", "uniform"))
    return [
        {
            "circuit": name,
            "cuts": len(cut.cuts),
            "observable": observable,
            "value": f"{peer.values[number]:.5f}",
            "ours": f"{neyman[number]:.6f}",
            "uniform": f"{uniform[number]:.6f}",
            "addon": f"{theirs[number]:.6f}",
            "ours_over_addon": f"{neyman[number] / theirs[number]:.4f}",
            "uniform_over_addon": f"{uniform[number] / theirs[number]:.4f}",
        }
        for number, observable in enumerate(observables)
    ]


def anchored(anchor: Anchor, interpreter: str) -> list[dict[str, Any]]:
    cut = cut_in_halves(anchor.circuit)
    peer = shaped(cut, anchor.observables)
    labels = pieces(anchor.circuit.num_qubits, 2)
    found = addon.ask(
        interpreter,
        "repeat",
        anchor.circuit,
        labels=labels,
        observables=anchor.observables,
        shots=anchor.shots,
        runs=anchor.runs,
        seed=1,
    )
    if found["subexperiments"] != circuits(cut, labels, anchor.observables, len(peer.weights)):
        raise ValueError(f"{anchor.name}: the addon runs {found['subexperiments']} circuits, the arrays another number")
    values, variances = np.array(found["values"]), peer.variances(anchor.shots)
    ratio = values.var(axis=0, ddof=1) / variances
    below = chi2.cdf(ratio * (anchor.runs - 1), anchor.runs - 1)
    z = (values.mean(axis=0) - peer.values) / np.sqrt(variances / anchor.runs)
    return [
        {
            "circuit": anchor.name,
            "cuts": len(cut.cuts),
            "circuits": found["subexperiments"],
            "shots_each": anchor.shots,
            "runs": anchor.runs,
            "observable": observable,
            "z_of_mean": f"{z[number]:.2f}",
            "variance_over_arrays": f"{ratio[number]:.3f}",
            "chance": f"{2 * min(below[number], 1 - below[number]):.3f}",
        }
        for number, observable in enumerate(anchor.observables)
    ]


def chosen() -> list[tuple[str, QuantumCircuit]]:
    found = []
    for cuts in (2, 3):
        for seed in range(4):
            found.append((f"ansatz_{seed}", ansatz(10, cuts, seed=seed)))
            found.append((f"qaoa_{seed}", clusters(10, cuts, seed)))
            found.append((f"random_{seed}", random_halves(10, cuts, seed)))
    return found


def anchors() -> list[Anchor]:
    two = [*zz(((2, 3),), 6), pauli({2: "X"}, 6)]
    four = [*zz(((1, 2),), 4), pauli({0: "X", 3: "X"}, 4)]
    return [
        Anchor("ansatz_6", ansatz(6, 2), [*two, pauli({0: "Z", 5: "Z"}, 6)], 32, 500),
        Anchor("qaoa_6", clusters(6, 2, 0), [*two, pauli({2: "Y", 3: "Z"}, 6)], 32, 500),
        Anchor("ansatz_4", ansatz(4, 3), four, 32, 200),
    ]


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with (HERE / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        print("  ".join(f"{value!s:>10}" for value in row.values()), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="two circuits, ten runs, the first anchor; writes nothing")
    parser.add_argument("--no-anchors", action="store_true", help="leave the addon's own runs out")
    parser.add_argument("--addon", help="Python of the environment that holds qiskit-addon-cutting")
    options = parser.parse_args()
    interpreter = None if options.no_anchors else addon.python(options.addon)
    rows: list[dict[str, Any]] = []
    for name, circuit in chosen()[:2] if options.small else chosen():
        rows += shown(compare(name, circuit, 10 if options.small else RUNS))
    for cuts in ((2,), (3,), (2, 3)):
        for column in ("ours_over_addon", "uniform_over_addon"):
            ratios = [float(row[column]) for row in rows if row["cuts"] in cuts]
            if ratios:
                print(f"{cuts} cuts, {len(ratios)} values: median {column} {statistics.median(ratios):.3f}")
    found: list[dict[str, Any]] = []
    if interpreter:
        for anchor in anchors()[: 1 if options.small else None]:
            found += shown(anchored(anchor, interpreter))
    if not options.small:
        write("accuracy.csv", rows)
        if found:
            write("anchors.csv", found)


if __name__ == "__main__":
    main()
