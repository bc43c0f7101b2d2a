"""What does an unmodified EstimatorQNN cost on our estimator, beside Aer's, and is it the same?

    .venv/bin/python benchmarks/learning/estimator_qnn.py

Writes estimator_qnn.csv beside this file. The network of qiskit-machine-learning is a feature map of RY by the inputs
and L layers of RY and RZ with a ladder of CX; the outputs are Z_0 Z_1 and X_0. One forward pass and one backward pass
are timed, of a batch, with the network's own parameter-shift gradient, a PUB for each shifted binding and each output,
and with precision 0, exact values; "both" is their sum. "cpu ms" is the processor time of all threads, the least of a
few runs; "ratio" is Aer's time over ours. "deviation" is the largest difference from Aer's values and gradients. Ours
runs on two nodes, with the circuit planned once, in the first pass, which is not counted. "links" are the exact mean
values with imperfect pairs, which Aer's estimator does not have.
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
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2

import hyperfabric_q as hq

CASES = ((4, 1, 3), (4, 2, 8), (8, 1, 2))
REPEATS = 3
COLUMNS = ["qubits", "weights", "samples", "estimator", "pass", "cpu ms", "ratio", "deviation", "load"]


def network(qubits: int, layers: int, estimator: Any) -> Any:
    from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient  # noqa: PLC0415 - an extra
    from qiskit_machine_learning.neural_networks import EstimatorQNN  # noqa: PLC0415

    inputs, weights = ParameterVector("x", qubits), ParameterVector("w", 2 * qubits * layers)
    made, theta = QuantumCircuit(qubits), iter(weights)
    for qubit in range(qubits):
        made.ry(inputs[qubit], qubit)
    for _ in range(layers):
        for qubit in range(qubits):
            made.ry(next(theta), qubit)
            made.rz(next(theta), qubit)
        for qubit in range(qubits - 1):
            made.cx(qubit, qubit + 1)
    seen = [SparsePauliOp.from_sparse_list([(text, list(range(len(text))), 1.0)], qubits) for text in ("ZZ", "X")]
    return EstimatorQNN(
        circuit=made,
        observables=seen,
        input_params=list(inputs),
        weight_params=list(weights),
        estimator=estimator,
        gradient=ParamShiftEstimatorGradient(estimator),
        default_precision=0.0,
    )


def least(work: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """The least processor time in ms of a few runs, and what the last of them gave."""
    best, found = float("inf"), None
    for _ in range(repeats):
        began = time.process_time()
        found = work()
        best = min(best, time.process_time() - began)
    return 1e3 * best, found


def estimators(qubits: int, weights: int) -> Iterator[tuple[str, Any]]:
    single = {"method": "statevector", "max_parallel_threads": 1}
    yield "Aer EstimatorV2", EstimatorV2(options={"backend_options": single, "default_precision": 0.0})
    fabric = hq.Fabric.line([qubits // 2, qubits // 2], communication_qubits=2, pair_fidelity=0.95)
    for noise in ("none", "links") if weights <= 8 else ("none",):
        yield f"FabricEstimator, {noise}", hq.FabricEstimator(fabric, options=hq.FabricOptions(noise=noise, seed=1))


def measured(qubits: int, layers: int, samples: int) -> Iterator[list[Any]]:
    rng = np.random.default_rng(qubits)
    weights = 2 * qubits * layers
    inputs, values = rng.uniform(-2, 2, (samples, qubits)), rng.uniform(-3, 3, weights)
    firsts: dict[str, tuple[float, Any]] = {}
    for name, estimator in estimators(qubits, weights):
        net = network(qubits, layers, estimator)
        total = 0.0
        for step in ("forward", "backward", "both"):
            if step != "both":
                work = getattr(net, step)
                work(inputs[:1], values)
                cost, found = least(lambda work=work: work(inputs, values))
                found = found if step == "forward" else found[1]
                total += cost
            else:
                cost = total
            first, same = firsts.setdefault(step, (cost, found))
            away = float(np.abs(found - same).max())
            known = [qubits, weights, samples, name, step]
            yield [*known, f"{cost:.2f}", f"{first / cost:.1f}", f"{away:.1e}", round(os.getloadavg()[0], 1)]


def main() -> None:
    if importlib.util.find_spec("qiskit_machine_learning") is None:
        raise SystemExit("qiskit-machine-learning is not installed")
    rows = []
    for case in CASES:
        for row in measured(*case):
            rows.append(row)
            print(*row)
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
