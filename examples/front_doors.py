"""One circuit over two nodes through five doors: own interface, sampler, estimator, backend and Cirq.

Run it from anywhere: ``python examples/front_doors.py``, with ``--shots 200`` for a quick look.
"""

from __future__ import annotations

import argparse
import asyncio

import cirq
import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter

import hyperfabric_q as hq
from hyperfabric_q.interfaces import FabricBackend, FabricCirqSampler, FabricEstimator, FabricOptions, FabricSampler

SEED = 7
ANGLE = 1.1


def entangled(angle: Parameter | float) -> QuantumCircuit:
    """Return four qubits in cos(angle / 2)|0000> + sin(angle / 2)|1111>."""
    circuit = QuantumCircuit(4, name="entangled")
    circuit.ry(angle, 0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    return circuit


def in_cirq(angle: float) -> cirq.Circuit:
    """Return the same program in Cirq, measured."""
    wires = cirq.LineQubit.range(4)
    chain = [cirq.CNOT(wires[place], wires[place + 1]) for place in range(3)]
    return cirq.Circuit(cirq.ry(angle)(wires[0]), chain, cirq.measure(*wires, key="meas"))


async def side_by_side(estimator: FabricEstimator, circuit: QuantumCircuit, angles: np.ndarray) -> list[float]:
    """Return <Z> of the last qubit at each angle, from jobs that are awaited together."""
    jobs = [estimator.run([(circuit, "ZIII", [angle])]) for angle in angles]
    return [float(result[0].data.evs) for result in await asyncio.gather(*jobs)]


def main() -> None:
    """Print the share of 1111 through each door, and a curve of expectation values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=2000, help="shots of each door (default: 2000)")
    shots = parser.parse_args().shots

    fabric = hq.Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.97)
    options = FabricOptions(time_limit_s=0.5, seed=SEED)
    measured = entangled(ANGLE).measure_all(inplace=False)

    plan = hq.plan(measured, fabric, time_limit_s=0.5, seed=SEED)
    shares = {"hq.plan(...).run()": plan.run(shots, seed=SEED).counts.get("1111", 0) / shots}

    sampled = FabricSampler(fabric, options=options).run([measured], shots=shots).result()[0]
    shares["FabricSampler"] = sampled.data.meas.get_counts().get("1111", 0) / shots

    backend = FabricBackend(fabric, options=options)
    compiled = transpile(measured, backend, optimization_level=1, seed_transpiler=SEED)
    shares["FabricBackend"] = backend.run(compiled, shots=shots).result().get_counts().get("1111", 0) / shots

    records = FabricCirqSampler(fabric, options=options).run(in_cirq(ANGLE), repetitions=shots)
    shares["FabricCirqSampler"] = float(records.measurements["meas"].all(axis=1).mean())

    angle = Parameter("angle")
    estimator = FabricEstimator(fabric, options=options)
    ones = {"1111": 1.0}  # a projector
    exact = estimator.run([(entangled(angle), ones, [ANGLE])]).result()[0]
    shares["FabricEstimator (exact)"] = float(exact.data.evs)

    print(f"share of 1111 in {shots} shots; without errors it is {np.sin(ANGLE / 2) ** 2:.4f}")
    for door, share in shares.items():
        print(f"  {door:<24} {share:.4f}")
    used = {key: sampled.metadata[key] for key in ("bell_pairs_used", "est_fidelity", "makespan_ns", "plan_hash")}
    print("the sampler used", ", ".join(f"{key} {value}" for key, value in used.items()))

    angles = np.linspace(0, np.pi, 5)
    curve = asyncio.run(side_by_side(estimator, entangled(angle), angles))
    print(
        "<Z> of the last qubit at",
        ", ".join(f"{each:.2f}: {value:+.4f}" for each, value in zip(angles, curve, strict=True)),
    )


if __name__ == "__main__":
    main()
