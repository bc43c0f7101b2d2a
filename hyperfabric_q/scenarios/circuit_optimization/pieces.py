"""A circuit of 2000 qubits on QPUs of 1000 and 500, around a photonic switch that has no qubits at all."""

from __future__ import annotations

import asyncio
from typing import Final

from qiskit import QuantumCircuit

from hyperfabric_q import (
    DataType,
    FabricZone,
    HardwareType,
    HyperFabricProtocol,
    IsolationLevel,
    NodeSignature,
    ZoneType,
    run,
)
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.circuit_optimization.merge import merge_quantum_results
from hyperfabric_q.scenarios.circuit_optimization.parts import partition_circuit, serialize_quantum_circuit
from hyperfabric_q.scenarios.circuit_optimization.report import BUDGET, Flow, figures_of, verdicts_of
from hyperfabric_q.scenarios.circuit_optimization.setting import checks_of, create_large_quantum_circuit, qpu_fabric
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.outcome import Outcome

__all__ = [
    "checks_of",
    "create_large_quantum_circuit",
    "merge_quantum_results",
    "partition_circuit",
    "play",
    "qpu_fabric",
    "quantum_coherence_time_constraint",
    "serialize_quantum_circuit",
]

CONTROLLER: Final = NodeSignature("quantum-controller", HardwareType.CPU_SERVER, bandwidth_gbps=10, latency_ns=100)

SIZES: Final = {"small": (40, 8, 400), "full": (2000, 60, 400)}
"""Qubits of the cluster state and of the kicked chain, and shots."""


def quantum_coherence_time_constraint(node: NodeSignature) -> int | None:
    """Return a tenth of the coherence time in nanoseconds, for ``latency_constraint_ns``; None where none is stated."""
    return None if node.quantum_coherence_time_us is None else int(1000 * BUDGET * node.quantum_coherence_time_us)


async def _flow(circuit: QuantumCircuit, shots: int) -> Flow:
    """Send a circuit in three parts to QPUs that hold three quarters of it and to a switch, and run the whole."""
    nodes = qpu_fabric((circuit.num_qubits // 2, circuit.num_qubits // 4))
    seed = current_world().seed
    protocol = HyperFabricProtocol(nodes, enable_quantum_optimization=True, enable_fault_tolerance=True, seed=seed)
    protocol.register_node(CONTROLLER)
    realm = FabricZone(
        zone_id="quantum-realm",
        zone_type=ZoneType.QUANTUM_REALM,
        isolation_level=IsolationLevel.QUANTUM_SECURE,
        quantum_coherence_required=True,
        gateways=(CONTROLLER.node_id,),
    )
    protocol.create_zone(realm)
    parts = partition_circuit(circuit, num_parts=3)
    sends = await asyncio.gather(
        *(
            protocol.send_data(
                source=CONTROLLER.node_id,
                destination=node.node_id,
                data=serialize_quantum_circuit(part),
                data_type=DataType.CONTROL_MESSAGE,
                latency_constraint_ns=quantum_coherence_time_constraint(node),
            )
            for part, node in zip(parts, nodes.nodes, strict=True)
        )
    )
    merged = merge_quantum_results(sends, fabric=protocol.fabric, shots=shots, seed=seed)
    return Flow(circuit=circuit, fabric=nodes, parts=parts, sends=list(sends), merged=merged)


def play(*, size: Size) -> Outcome:
    """Return what becomes of two circuits: room, crossings, waiting, and how well what is known of them came out."""
    wide, narrow, shots = SIZES[size]
    circuit, chain = create_large_quantum_circuit(wide), create_large_quantum_circuit(narrow, family="kicked")
    flow, shallow = run(_flow(circuit, shots)), run(_flow(chain, shots))
    budget_ns = min(quantum_coherence_time_constraint(node) or 0 for node in flow.fabric.qpu_nodes)
    figures = figures_of(flow, shallow, budget_ns=budget_ns)
    return Outcome(
        scenario="circuit_optimization",
        size=size,
        seed=current_world().seed,
        figures=figures,
        verdicts=verdicts_of(figures, flow.sends),
        notes=(
            *flow.merged.told,
            "gate times and errors of QPUs and the fibres to the switch are stated in qpu_fabric, not measured",
            "all shots share one timeline of attempts at Bell pairs: bars do not hold what timelines differ by",
            "parts are sealed with keys of the operating system; QUANTUM_SECURE says encrypted, not quantum keys",
        ),
    )
