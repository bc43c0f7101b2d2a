"""A fabric that is built while it is used: register nodes, connect them, plan and run, connect another, plan again."""

from __future__ import annotations

import hyperfabric_q as hq


def qpu(node_id: str, data_qubits: int) -> hq.NodeSignature:
    """Return a QPU node with one communication qubit."""
    return hq.NodeSignature(
        node_id=node_id,
        hardware_type=hq.HardwareType.QUANTUM_QPU,
        bandwidth_gbps=10,
        latency_ns=100,
        compute_units=data_qubits,
        communication_qubits=1,
        gate_error_2q=0.002,
        readout_error=0.005,
    )


def main() -> None:
    """Let a fabric grow from two QPUs to three."""
    protocol = hq.HyperFabricProtocol(seed=3)
    protocol.register_node(qpu("ion-a", 3))
    protocol.register_node(qpu("ion-b", 3))
    protocol.connect("ion-a", "ion-b", distance_m=2, pair_fidelity=0.97)
    print(protocol)

    small = hq.families.qft_roundtrip(6, value=42)
    plan = protocol.plan(small)
    print(plan)
    print(plan.run(500, seed=3))
    print(f"42 reads {42:06b}\n")

    # Eight qubits do not fit on six. A third node makes room; the plan above keeps the fabric it was made for.
    protocol.register_node(qpu("ion-c", 3))
    protocol.connect("ion-b", "ion-c", distance_m=2, pair_fidelity=0.94)
    print(protocol)
    print(protocol.plan(hq.families.ghz(8)).draw())


if __name__ == "__main__":
    main()
