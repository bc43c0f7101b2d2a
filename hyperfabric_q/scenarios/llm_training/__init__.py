"""Training a large language model on a thousand GPUs: what moving its gradients takes."""

from hyperfabric_q.scenarios.llm_training.pieces import (
    create_gradient_tensor,
    play,
)

__all__ = [
    "create_gradient_tensor",
    "play",
]
