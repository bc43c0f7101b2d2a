"""Ten blocks of logical qubits, their syndromes to one processor, and corrections back before the qubits forget."""

from hyperfabric_q.scenarios.error_correction.pieces import (
    calculate_error_corrections,
    measure_syndrome_data,
    play,
    serialize_corrections,
)

__all__ = [
    "calculate_error_corrections",
    "measure_syndrome_data",
    "play",
    "serialize_corrections",
]
