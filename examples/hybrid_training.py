"""A circuit between classical layers, trained on two QPU nodes: first in a loop of one's own, then by the pipeline.

Run it from anywhere: ``python examples/hybrid_training.py``.
"""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

import hyperfabric_q as hq


def cluster() -> hq.Fabric:
    """Return a GPU node and two QPU nodes of two data qubits each, linked by Bell pairs."""
    times = {"gate_1q_ns": 30, "gate_2q_ns": 60, "readout_ns": 500, "reset_ns": 300}
    qpus = [
        hq.NodeSignature(
            node_id=f"qpu-{name}",
            hardware_type=hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=10,
            latency_ns=1000,
            compute_units=2,
            communication_qubits=2,
            **times,
        )
        for name in "ab"
    ]
    gpu = hq.NodeSignature("gpu", hq.HardwareType.NVIDIA_A100, 100, 300, metadata={"flops_per_s": 1e13})
    link = hq.Link("qpu-a", "qpu-b", bandwidth_gbps=10, latency_ns=50, pair_fidelity=0.98, pair_rate_hz=1e6)
    return hq.Fabric(nodes=[gpu, *qpus], links=[link])


def own_loop(fabric: hq.Fabric) -> None:
    """Turn four qubits by weights until all of them read 1: three steps of one's own, on the clock."""
    weights = ParameterVector("w", 4)
    circuit = QuantumCircuit(4)
    for qubit, weight in enumerate(weights):
        circuit.ry(weight, qubit)
    for qubit in range(3):
        circuit.cz(qubit, qubit + 1)
    source = hq.learning.OnFabric.of(circuit, [f"Z@{qubit}" for qubit in range(4)], fabric, noise="none", seed=1)
    protocol = hq.HyperFabricProtocol(fabric, seed=1)
    row = np.full(4, 0.5)
    for number in range(3):
        with protocol.step(["gpu", "qpu-a", "qpu-b"]) as step:
            found = hq.learning.gradient(source, row, shots=200, method="parameter_shift", seed=number)
            step.ran(found, plan=source)
            slopes = step.all_reduce(found.gradient.sum(axis=0))
            step.compute("gpu", flops=1e4)
            row = row - 0.5 * slopes
        print(f"sum of Z {found.values.sum():+.3f}  {step.report}")


def pipeline(fabric: hq.Fabric) -> None:
    """Learn two half moons with one circuit over both QPU nodes, and undistributed: step by step the same."""
    angles = np.linspace(0, np.pi, 30)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    noise = 0.15 * np.random.default_rng(1).normal(size=(60, 2))
    rows = np.concatenate([upper, [1.0, 0.5] - upper]) + noise
    labels = np.repeat(["upper", "lower"], 30)
    found = {}
    for parallel in ("model", "none"):
        training = hq.learning.HybridTraining(
            fabric=fabric,
            parallel=parallel,
            hidden=(4,),
            qubits=4,
            layers=1,
            charged_shots=100 if parallel == "model" else None,
            batch_size=20,
            learning_rate=0.1,
            seed=2,
        )
        found[parallel] = training.fit(rows, labels, steps=30)
    out = found["model"]
    print(out.history)
    print(f"right: {out.score(rows, labels):.1%} of {len(rows)}")
    apart = np.abs(out.history.losses - found["none"].history.losses).max()
    print(f"largest difference of the loss from undistributed training: {apart:.1e}")


if __name__ == "__main__":
    own_loop(cluster())
    pipeline(cluster())
