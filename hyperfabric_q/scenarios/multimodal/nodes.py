"""The nodes of the multimodal scenario, and what answers at each of them."""

from __future__ import annotations

from typing import Final

import hyperfabric_q as hq
from hyperfabric_q.scenarios.multimodal.fusion import QUBITS
from hyperfabric_q.scenarios.multimodal.pieces import models
from hyperfabric_q.scenarios.multimodal.senses import NEURONS
from hyperfabric_q.seeds import word

VISION, LANGUAGE, HEARING = "vision-gpu-01", "nlp-gpu-01", "audio-neuromorphic-01"
FUSION, INPUT = "fusion-quantum-01", "input-node"
SHOTS: Final = 100


def network() -> hq.HyperFabricProtocol:
    """Return a live fabric of one node for each sense, one for language, and a QPU of four qubits."""
    protocol = hq.HyperFabricProtocol()
    protocol.register_node(hq.NodeSignature(VISION, hq.HardwareType.NVIDIA_H100, 400, 100))
    protocol.register_node(hq.NodeSignature(LANGUAGE, hq.HardwareType.NVIDIA_A100, 300, 150))
    protocol.register_node(
        hq.NodeSignature(HEARING, hq.HardwareType.NEUROMORPHIC_CHIP, 50, 80, neuromorphic_neurons=NEURONS)
    )
    protocol.register_node(
        hq.NodeSignature(
            FUSION,
            hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=10,
            latency_ns=50,
            compute_units=QUBITS,
            communication_qubits=0,
            t1_us=100,
            t2_us=100,
            gate_1q_ns=30,
            gate_2q_ns=60,
            readout_ns=500,
            reset_ns=500,
            gate_error_1q=3e-4,
            gate_error_2q=5e-3,
            readout_error=0.01,
        )
    )
    protocol.register_node(hq.NodeSignature(INPUT, hq.HardwareType.SOFTWARE_ENDPOINT, 10, 1000))
    return protocol


def attach_models(protocol: hq.HyperFabricProtocol, seed: int) -> None:
    """Let every node answer what arrives there: the senses with how sure they are, the QPU with its share of yes."""
    own, runs = models(), iter(range(1 << 30))

    async def run(packet: hq.Packet) -> dict[str, float]:
        plan = protocol.plan(packet.data, homes=[FUSION] * QUBITS, time_limit_s=0, verify="skipped", seed=seed)
        result = plan.run(SHOTS, seed=word(seed, "scenarios", "multimodal", next(runs)))
        took_ns = result.job_ns or 0.0
        await protocol.sleep_ns(took_ns)
        return {"yes": result.counts.get("0", 0) / SHOTS, "ns": took_ns}

    protocol.attach_handler(VISION, lambda packet: own.seen(packet.data))
    protocol.attach_handler(HEARING, lambda packet: own.heard(packet.data))
    protocol.attach_handler(LANGUAGE, lambda packet: own.asked(packet.data) if isinstance(packet.data, str) else None)
    protocol.attach_handler(FUSION, run)
