"""A hundred epochs of hybrid training: a loader, a GPU that prepares samples, a QPU whose circuit learns them.

Losses and gradients are really worked out, in play by shots that are drawn one by one; what an epoch takes is the time
of its messages, of its arithmetic, and of every circuit that parameter shifts need.
"""

from __future__ import annotations

from typing import cast

import hyperfabric_q as hq
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.outcome import Outcome
from hyperfabric_q.scenarios.quantum_ml.model import Angles, Model, Samples, Slopes, moons, principal


def current_model() -> Model:
    """Return the model of this world; the first who asks makes it."""
    world = current_world()
    return world.state("quantum_ml", lambda: Model(world.seed, world.stream("quantum_ml")))


def load_quantum_ml_dataset(samples: int = 64) -> Samples:
    """Return samples of two classes that no plane divides: two half moons, turned into eight dimensions with noise.

    What the GPU does to samples, here and later, follows from the first ones that are loaded.
    """
    model = current_model()
    found = moons(samples, model.rotation, model.rng)
    if model.frame is None:
        model.frame = principal(found.rows)
    return found


def extract_features(x: object) -> Angles:
    """Return what goes to the QPU: two angles for each sample, and the model's parameters as they are now.

    The angles are the samples along the two directions in which they differ most, in units of their spread.

    Args:
        x: samples, or the result of sending them.
    """
    given = cast("Samples", x.value if isinstance(x, hq.TransferResult) else x)
    model = current_model()
    mean, directions, widths = principal(given.rows) if model.frame is None else model.frame
    return Angles((given.rows - mean) @ directions / widths, given.labels, model.weights, model.bias)


def evaluate_circuit(angles: Angles, shots: int | None = None) -> tuple[hq.learning.Gradient, Slopes]:
    """Return what the QPU finds: the mean values of its circuit with derivatives, and the slopes of the loss."""
    model = current_model()
    found = model.gradient(angles, shots)
    return found, model.slopes(angles, found)


def update_model_parameters(x: object) -> float:
    """Return the loss before a step of the model's parameters; the step is taken.

    Args:
        x: slopes, or the result of sending them. Where nothing at the QPU has answered, what comes back are the
            angles that went there; their slopes are then worked out here, without noise.
    """
    value = x.value if isinstance(x, hq.TransferResult) else x
    slopes = value if isinstance(value, Slopes) else evaluate_circuit(cast("Angles", value))[1]
    current_model().step(slopes)
    return slopes.loss


def play(*, size: Size) -> Outcome:
    """Return what a hundred epochs learn, and where their time goes."""
    from hyperfabric_q.scenarios.quantum_ml.run import played  # noqa: PLC0415 - it is made of these pieces

    return played(size)
