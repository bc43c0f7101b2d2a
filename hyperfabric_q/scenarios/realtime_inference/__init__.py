"""Answers in a millisecond: a model goes from a central store to two edges, and users in six cities ask them."""

from hyperfabric_q.scenarios.realtime_inference.pieces import (
    load_transformer_weights,
    play,
)

__all__ = [
    "load_transformer_weights",
    "play",
]
