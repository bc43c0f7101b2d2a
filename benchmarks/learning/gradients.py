"""What does one full gradient cost, ours beside Qiskit's and Aer's, whole and on two QPU nodes, and is it the same?

    .venv/bin/python benchmarks/learning/gradients.py

Writes gradients.csv beside this file. The circuit has L layers of RY and RZ on n qubits and a ladder of CX, P = 2 n L
parameters; the observable is the sum of Z_i and of X_i X_(i+1) / 2. "cpu ms" is the processor time of all threads, the
least of a few runs. "ratio" is that beside our adjoint sweep of the whole circuit. "deviation" is the largest
difference of an entry from that sweep; of shots, in standard errors. On two nodes, homes are chosen once, in the row
"plan", and serve all gradients; without noise, what is differentiated is the circuit, and not its teleported gates.
Estimators of others get all 2 P shifted bindings at once. pennylane-lightning runs where it is installed: as people
write it, a QNode; its sweep alone, of a tape that was made before; and behind our gradient, with engine="lightning".
The last rows compare the two at larger widths.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2

import hyperfabric_q as hq
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.in_parts import InParts
from hyperfabric_q.workloads.learning.on_fabric import OnFabric
from hyperfabric_q.workloads.learning.sources import Ideal

WHOLE = ((8, 2), (8, 3), (10, 3), (12, 3))
SHARED = ((8, 1), (8, 2), (12, 3))
NOISY = (4, 2)
WIDE = ((14, 3), (16, 2), (18, 2), (19, 1))
REPEATS = 5
SHOTS = 1024
COLUMNS = ["qubits", "layers", "parameters", "where", "way", "cpu ms", "ratio", "deviation", "load"]


def circuit(qubits: int, layers: int) -> QuantumCircuit:
    theta = iter(ParameterVector("t", 2 * qubits * layers))
    made = QuantumCircuit(qubits)
    for _ in range(layers):
        for qubit in range(qubits):
            made.ry(next(theta), qubit)
            made.rz(next(theta), qubit)
        for qubit in range(qubits - 1):
            made.cx(qubit, qubit + 1)
    return made


def observable(qubits: int) -> SparsePauliOp:
    terms = [("Z", [qubit], 1.0) for qubit in range(qubits)]
    return SparsePauliOp.from_sparse_list([*terms, *(("XX", [q, q + 1], 0.5) for q in range(qubits - 1))], qubits)


def least(work: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """The least processor time in ms of a few runs, and what the last of them gave."""
    best, found = float("inf"), None
    for _ in range(repeats):
        began = time.process_time()
        found = work()
        best = min(best, time.process_time() - began)
    return 1e3 * best, found


def by_estimator(estimator: Any, made: QuantumCircuit, seen: SparsePauliOp, row: Any) -> Any:
    moves = np.pi / 2 * np.eye(len(row))
    rows = np.concatenate([row + moves, row - moves])
    values = np.asarray(estimator.run([(made, seen, rows)]).result()[0].data.evs)
    return (values[: len(row)] - values[len(row) :]) / 2


def in_pennylane(qml: Any, qubits: int, layers: int, angles: Any) -> Any:
    """Apply the circuit."""
    for layer in range(layers):
        for qubit in range(qubits):
            qml.RY(angles[2 * (layer * qubits + qubit)], qubit)
            qml.RZ(angles[2 * (layer * qubits + qubit) + 1], qubit)
        for qubit in range(qubits - 1):
            qml.CNOT([qubit, qubit + 1])
    terms = [qml.Z(q) for q in range(qubits)] + [0.5 * qml.X(q) @ qml.X(q + 1) for q in range(qubits - 1)]
    return qml.expval(qml.sum(*terms))


def by_lightning(qubits: int, layers: int, row: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    import pennylane as qml  # noqa: PLC0415 - an extra, slow to import

    device = qml.device("lightning.qubit", wires=qubits)

    @qml.qnode(device, diff_method="adjoint")
    def value(angles: Any) -> Any:
        return in_pennylane(qml, qubits, layers, angles)

    yield "lightning adjoint, QNode", lambda: qml.grad(value)(qml.numpy.array(row, requires_grad=True))
    with qml.queuing.AnnotatedQueue() as queue:
        in_pennylane(qml, qubits, layers, row)
    tape = qml.tape.QuantumScript.from_queue(queue)
    tape.trainable_params = list(range(len(row)))
    yield "lightning adjoint, tape made before", lambda: np.ravel(device.compute_derivatives([tape]))


def whole(qubits: int, layers: int) -> Iterator[tuple[str, str, float, float]]:
    made, seen = circuit(qubits, layers), observable(qubits)
    row = np.random.default_rng(qubits).uniform(-3, 3, made.num_parameters)
    source = Ideal.of(made, seen)
    cost, found = least(lambda: gradient(source, row))
    exact = found.gradient[0]
    yield "whole", "adjoint", cost, 0.0
    cost, found = least(lambda: gradient(source, row, method="parameter_shift"))
    yield "whole", "parameter shift", cost, float(np.abs(found.gradient[0] - exact).max())
    cost, found = least(lambda: gradient(source, row, shots=SHOTS, seed=1))
    yield "whole", f"parameter shift, {SHOTS} shots", cost, float(np.abs((found.gradient - exact) / found.errors).max())
    aer = EstimatorV2(options={"backend_options": {"method": "statevector", "max_parallel_threads": 1}})
    cost, other = least(lambda: by_estimator(aer, made, seen, row), 3)
    yield "whole", "Aer EstimatorV2, one PUB", cost, float(np.abs(other - exact).max())
    cost, other = least(lambda: by_estimator(StatevectorEstimator(), made, seen, row), 2)
    yield "whole", "Qiskit StatevectorEstimator, one PUB", cost, float(np.abs(other - exact).max())
    if importlib.util.find_spec("pennylane_lightning") is not None:
        for way, work in by_lightning(qubits, layers, row):
            cost, other = least(work)
            yield "whole", way, cost, float(np.abs(other - exact).max())


def shared(qubits: int, layers: int) -> Iterator[tuple[str, str, float, float]]:
    made, seen = circuit(qubits, layers), observable(qubits)
    row = np.random.default_rng(qubits).uniform(-3, 3, made.num_parameters)
    alone = Ideal.of(made, seen)
    cost, found = least(lambda: gradient(alone, row))
    exact = found.gradient[0]
    yield "whole", "adjoint", cost, 0.0
    half = qubits // 2
    fabric = hq.Fabric.line([half, half], communication_qubits=2, pair_fidelity=0.95)
    homes = ["qpu-0"] * half + ["qpu-1"] * half
    cost, source = least(lambda: OnFabric.of(made, seen, fabric, homes=homes, noise="none", seed=1), 1)
    yield "two nodes", f"plan, {source.plan.ebits} e-bits a shot", cost, 0.0
    cost, found = least(lambda: gradient(source, row))
    yield "two nodes", "adjoint", cost, float(np.abs(found.gradient[0] - exact).max())
    if (qubits, layers) == SHARED[0]:
        shot_source = OnFabric.of(made, seen, fabric, homes=homes, noise="links", seed=1)
        cost, _ = least(lambda: [gradient(shot_source, row, shots=SHOTS, seed=1)], 1)
        yield "two nodes", f"parameter shift, {SHOTS} noisy shots", cost, float("nan")
        cost, parts = least(lambda: InParts.of(made, seen, assignment=[0] * half + [1] * half, seed=1), 1)
        cost, found = least(lambda: gradient(parts, row), 1)
        yield (
            "two parts",
            f"parameter shift, {parts.bench.runs.fragments} runs of parts",
            cost,
            float(np.abs(found.gradient[0] - exact).max()),
        )


def noisy(qubits: int, layers: int) -> Iterator[tuple[str, str, float, float]]:
    made, seen = circuit(qubits, layers), observable(qubits)
    row = np.random.default_rng(qubits).uniform(-3, 3, made.num_parameters)
    cost, found = least(lambda: gradient(Ideal.of(made, seen), row))
    yield "whole", "adjoint", cost, 0.0
    half = qubits // 2
    fabric = hq.Fabric.line([half, half], communication_qubits=2, pair_fidelity=0.95)
    source = OnFabric.of(made, seen, fabric, homes=["qpu-0"] * half + ["qpu-1"] * half, noise="links", seed=1)
    cost, other = least(lambda: gradient(source, row), 1)
    away = float(np.abs(other.gradient - found.gradient).max())
    yield "two nodes", "parameter shift, exact mean of noise (deviation: by noise)", cost, away


def wide(qubits: int, layers: int) -> Iterator[tuple[str, str, float, float]]:
    made, seen = circuit(qubits, layers), observable(qubits)
    row = np.random.default_rng(qubits).uniform(-3, 3, made.num_parameters)
    source = Ideal.of(made, seen)
    cost, found = least(lambda: gradient(source, row, engine="own"))
    yield "whole", "adjoint", cost, 0.0
    if importlib.util.find_spec("pennylane_lightning") is not None:
        cost, other = least(lambda: gradient(source, row, engine="lightning"))
        yield "whole", "adjoint, engine lightning", cost, float(np.abs(other.gradient - found.gradient).max())


def main() -> None:
    rows: list[list[Any]] = []
    cases = [*((whole, each) for each in WHOLE), *((shared, each) for each in SHARED), (noisy, NOISY)]
    cases += [(wide, each) for each in WIDE]
    for work, (qubits, layers) in cases:
        first = 0.0
        for where, way, cost, away in work(qubits, layers):
            first = first or cost
            load = round(os.getloadavg()[0], 1)
            known = [qubits, layers, 2 * qubits * layers, where, way]
            rows.append([*known, f"{cost:.2f}", f"{cost / first:.2f}", f"{away:.1e}", load])
            print(*rows[-1])
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
