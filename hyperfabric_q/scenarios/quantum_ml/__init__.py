"""A hundred epochs of hybrid training: a loader, a GPU that prepares samples, a QPU whose circuit learns them."""

from hyperfabric_q.scenarios.quantum_ml.pieces import (
    extract_features,
    load_quantum_ml_dataset,
    play,
    update_model_parameters,
)

__all__ = [
    "extract_features",
    "load_quantum_ml_dataset",
    "play",
    "update_model_parameters",
]
