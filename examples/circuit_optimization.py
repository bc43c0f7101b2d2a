"""A circuit that is larger than two QPUs together, sent in parts and run as a whole; a photonic switch relays.

Each part travels to its node as bytes: a line of JSON and OpenQASM 3, or QPY. The whole is put together again, planned
on the QPUs with qubits used again, and run with the noise of gates, Bell pairs and waiting. Run it from anywhere:
``python examples/circuit_optimization.py``; ``--size small`` is a quick look. ``hyperfabric-q scenario
circuit_optimization`` plays the same with all figures and verdicts.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import hyperfabric_q as hq
from hyperfabric_q import scenarios

SIZES = {"small": (24, 200), "full": (2000, 400)}
"""Qubits, and shots."""


def nodes(qubits: int) -> list[hq.NodeSignature]:
    """Return two QPUs that hold three quarters of the qubits, and a switch that holds none."""
    return [
        hq.NodeSignature(
            node_id="ibm-qpu-01",
            hardware_type=hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=10,
            latency_ns=50,
            quantum_coherence_time_us=100.0,
            compute_units=qubits // 2,
            photonic_channels=64,
            gate_error_2q=1e-3,
            gate_2q_ns=50,
            readout_ns=300,
        ),
        hq.NodeSignature(
            node_id="google-qpu-01",
            hardware_type=hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=15,
            latency_ns=30,
            quantum_coherence_time_us=150.0,
            compute_units=qubits // 4,
            photonic_channels=64,
            gate_error_2q=1e-3,
            gate_2q_ns=50,
            readout_ns=300,
        ),
        hq.NodeSignature(
            node_id="photonic-qpu-01",
            hardware_type=hq.HardwareType.PHOTONIC_SWITCH,
            bandwidth_gbps=1000,
            latency_ns=10,
            photonic_channels=128,
            quantum_coherence_time_us=1000.0,
        ),
    ]


async def optimise(qubits: int, shots: int) -> dict:
    """Send the parts of a circuit, run the whole, and return what came of it."""
    protocol = hq.HyperFabricProtocol(enable_quantum_optimization=True, enable_fault_tolerance=True)
    protocol.register_node(hq.NodeSignature("quantum-controller", hq.HardwareType.CPU_SERVER, 10, 100))
    places = nodes(qubits)
    for node in places:
        protocol.register_node(node)
    for qpu in places[:2]:  # fibres into the switch: without them the QPUs share no Bell pairs
        protocol.connect(
            qpu.node_id, "photonic-qpu-01", pair_fidelity=0.995, pair_attempt_ns=100, pair_rate_hz=1_000_000
        )
    circuit = scenarios.create_large_quantum_circuit(qubits=qubits)
    parts = scenarios.partition_circuit(circuit, num_parts=3)
    sends = [
        protocol.send_data(
            source="quantum-controller",
            destination=node.node_id,
            data=scenarios.serialize_quantum_circuit(part),
            latency_constraint_ns=scenarios.quantum_coherence_time_constraint(node),
        )
        for part, node in zip(parts, places, strict=True)
    ]
    results = await asyncio.gather(*sends)
    merged = scenarios.merge_quantum_results(results, fabric=protocol.fabric, shots=shots)
    return {
        "qubits": qubits,
        "places": merged.capacity,
        "shortfall": merged.shortfall,
        "bytes": [each.receipt.nbytes for each in results],
        "upload_us": [each.latency_ns / 1000 for each in results],
        "bell_pairs": merged.plan.ebits,
        "verified": merged.plan.equivalent,
        "shots": merged.result.shots,
        "method": merged.result.method,
        "ones": float(merged.bits.mean()),
        "told": list(merged.told),
    }


def main() -> None:
    """Print what came of the circuit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full", help="24 or 2000 qubits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    with scenarios.world(seed=asked.seed):
        found = hq.run(optimise(*SIZES[asked.size]))
    if asked.json:
        print(json.dumps(found))
        return
    print("\n".join([f"{name}: {value}" for name, value in found.items() if name != "told"] + found["told"]))


if __name__ == "__main__":
    main()
