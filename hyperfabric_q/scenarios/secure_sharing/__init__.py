"""A model sealed with keys made of Bell pairs, sent over trusted nodes, and opened; or not, where there is no key."""

from hyperfabric_q.scenarios.secure_sharing.pieces import (
    generate_quantum_key_states,
    load_proprietary_ai_model,
    play,
    quantum_encrypt,
)

__all__ = [
    "generate_quantum_key_states",
    "load_proprietary_ai_model",
    "play",
    "quantum_encrypt",
]
