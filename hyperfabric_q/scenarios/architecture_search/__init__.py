"""A neural architecture by annealing: some networks are trained, a model of their scores is annealed, one is chosen."""

from hyperfabric_q.scenarios.architecture_search.pieces import (
    convert_to_qubo,
    decode_quantum_solution,
    define_neural_architecture_space,
    play,
    serialize_qubo,
)

__all__ = [
    "convert_to_qubo",
    "decode_quantum_solution",
    "define_neural_architecture_space",
    "play",
    "serialize_qubo",
]
