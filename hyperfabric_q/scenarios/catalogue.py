"""Which scenarios there are, and playing one of them at a size."""

from __future__ import annotations

import importlib
from typing import Final, Literal, Protocol, cast, get_args

from hyperfabric_q.errors import UnknownName
from hyperfabric_q.scenarios.context import world
from hyperfabric_q.scenarios.outcome import Outcome

Size = Literal["small", "full"]
SIZES: Final[tuple[str, ...]] = get_args(Size)

SCENARIOS: Final = {
    "llm_training": "gradients of 175 billion parameters over 1024 GPUs",
    "realtime_inference": "model weights to edge nodes, then requests with deadlines",
    "multimodal": "vision, language and sound, fused by a circuit",
    "circuit_optimization": "a circuit of 2000 qubits on QPUs that are too small for it",
    "error_correction": "syndromes of ten blocks to one processor, and corrections back in time",
    "quantum_ml": "a hundred epochs from loader to GPU to QPU and back",
    "architecture_search": "a network's shape as a QUBO on an annealer",
    "secure_sharing": "a model sealed with keys made of Bell pairs",
    "climate": "four centres around the world, one forecast",
    "vehicle_swarm": "a thousand vehicles, a hundred edge servers, ten milliseconds",
}
"""Name of each scenario, and what it is about; the room of that name plays it."""


class _Playable(Protocol):
    def play(self, *, size: Size) -> Outcome: ...


def play(name: str, *, size: str = "full", seed: int = 0) -> Outcome:
    """Return what a scenario finds; it runs on a clock and in a world of its own.

    Args:
        name: see ``SCENARIOS``.
        size: "full", or "small" for a look that takes a second or two.
        seed: the same seed gives the same digest.

    Raises:
        UnknownName: there is no such scenario, or no such size.
    """
    if name not in SCENARIOS:
        raise UnknownName(kind="scenario", name=name, known=tuple(SCENARIOS))
    if size not in SIZES:
        raise UnknownName(kind="size", name=size, known=SIZES)
    module = cast("_Playable", importlib.import_module(f"{__package__}.{name}.pieces"))
    with world(seed=seed):
        return module.play(size=cast("Size", size))
