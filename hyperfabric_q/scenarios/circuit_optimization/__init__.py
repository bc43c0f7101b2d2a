"""A circuit of 2000 qubits on QPUs of 1000 and 500, around a photonic switch that has no qubits at all."""

from hyperfabric_q.scenarios.circuit_optimization.pieces import (
    create_large_quantum_circuit,
    merge_quantum_results,
    partition_circuit,
    play,
    quantum_coherence_time_constraint,
    serialize_quantum_circuit,
)

__all__ = [
    "create_large_quantum_circuit",
    "merge_quantum_results",
    "partition_circuit",
    "play",
    "quantum_coherence_time_constraint",
    "serialize_quantum_circuit",
]
