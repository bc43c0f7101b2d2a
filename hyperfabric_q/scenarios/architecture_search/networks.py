"""Small networks of every shape that a search may ask for, really trained: arms of a spiral are to be told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q import seeds

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

WHOLE: Final = {
    "layers": (1, 2, 3, 4),
    "width": (4, 8, 16, 32),
    "activation": ("relu", "tanh", "sine", "logistic"),
    "rate": (0.01, 0.03, 0.1, 0.3, 1.0),
    "momentum": (0.0, 0.5, 0.9),
    "batch": (16, 32, 64),
    "gain": (0.5, 1.0, 2.0),
    "decay": (0.0, 0.0003, 0.001),
}
"""Decisions, and the options of each: what a network looks like, and how it is trained."""

ARMS: Final = 3
TURNS: Final = 1.0
BLUR: Final = 0.45
POINTS: Final = (300, 600, 2000)
"""For training, for choosing, and for the last word."""

_UNITS: Final[dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats, Floats], Floats]]]] = {
    "relu": (lambda x: np.maximum(x, 0.0), lambda _, y: (y > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda _, y: 1 - y * y),
    "sine": (np.sin, lambda x, _: np.cos(x)),
    "logistic": (lambda x: 0.5 + 0.5 * np.tanh(x / 2), lambda _, y: y * (1 - y)),
}
"""By name: the function, and its slope from what went in and what came out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Shares of right answers: among points for choosing, and among those for the last word."""

    choosing: float
    last_word: float


class Bench:
    """Points to learn from, and a place to train networks on them; the same seed gives the same scores."""

    def __init__(self, seed: int) -> None:
        """Draw the points."""
        rng = seeds.stream(seed, "architecture_search", "points")
        self._seed = seed
        self._parts = [_points(count, rng) for count in POINTS]

    def score(self, architecture: Mapping[str, Any], epochs: int, *, again: int = 0) -> Score:
        """Return how well a network of this architecture does after so many epochs.

        Args:
            architecture: options of decisions of ``WHOLE``; what is left open is decided as in ``USUAL``.
            epochs: passes over the points for training.
            again: another number draws other initial weights and another order.

        Cost: some 0.1 ms per layer and batch.
        """
        chosen = {**USUAL, **architecture}
        rng = seeds.stream(self._seed, "architecture_search", "weights", again)
        with np.errstate(over="ignore", invalid="ignore"):  # some architectures diverge, and score accordingly
            weights = _trained(chosen, epochs, *self._parts[0], rng)
            right = [float(np.mean(_answers(weights, chosen, x) == y)) for x, y in self._parts[1:]]
        return Score(choosing=right[0], last_word=right[1])


USUAL: Final = {
    "layers": 2,
    "width": 16,
    "activation": "relu",
    "rate": 0.1,
    "momentum": 0.0,
    "batch": 32,
    "gain": 1.0,
    "decay": 0.0,
}


def _points(count: int, rng: np.random.Generator) -> tuple[Floats, Labels]:
    arm, along = rng.integers(0, ARMS, count), rng.uniform(0.1, 1.0, count)
    angle = 2 * math.pi * (arm / ARMS + TURNS * along) + rng.normal(0.0, BLUR, count)
    return 2 * along[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), arm


def _forward(weights: list[Floats], chosen: Mapping[str, Any], x: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return what goes into each layer, with a column of ones, and what the layers make of it before their units."""
    unit, _ = _UNITS[chosen["activation"]]
    inputs, sums = [_with_ones(x)], [_with_ones(x) @ weights[0]]
    for matrix in weights[1:]:
        inputs.append(_with_ones(unit(sums[-1])))
        sums.append(inputs[-1] @ matrix)
    return inputs, sums


def _answers(weights: list[Floats], chosen: Mapping[str, Any], x: Floats) -> Labels:
    found: Labels = np.argmax(_forward(weights, chosen, x)[1][-1], axis=1)
    return found


def _trained(chosen: Mapping[str, Any], epochs: int, x: Floats, y: Labels, rng: np.random.Generator) -> list[Floats]:
    """Return the weights after stochastic gradient descent on the cross-entropy, with momentum and weight decay."""
    sizes = [2, *([chosen["width"]] * chosen["layers"]), ARMS]
    weights = [
        chosen["gain"] * rng.normal(0.0, 1 / math.sqrt(rows), (rows + 1, columns)) for rows, columns in pairwise(sizes)
    ]
    moving = [np.zeros_like(each) for each in weights]
    targets, step = np.eye(ARMS)[y], (1 - chosen["momentum"]) * chosen["rate"]
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for begin in range(0, len(y), chosen["batch"]):
            batch = order[begin : begin + chosen["batch"]]
            slopes = _slopes(weights, chosen, x[batch], targets[batch])
            for layer, slope in enumerate(slopes):
                moving[layer] *= chosen["momentum"]
                moving[layer] -= step * (slope + chosen["decay"] * weights[layer])
                weights[layer] += moving[layer]
    return weights


def _slopes(weights: list[Floats], chosen: Mapping[str, Any], x: Floats, targets: Floats) -> list[Floats]:
    """Return the gradient of the mean cross-entropy with regard to each matrix."""
    _, slope_of = _UNITS[chosen["activation"]]
    inputs, sums = _forward(weights, chosen, x)
    shares = np.exp(sums[-1] - sums[-1].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    back = (shares - targets) / len(x)
    found = [inputs[-1].T @ back]
    for layer in range(len(weights) - 2, -1, -1):
        back = (back @ weights[layer + 1][:-1].T) * slope_of(sums[layer], inputs[layer + 1][:, :-1])
        found.append(inputs[layer].T @ back)
    return found[::-1]


def _with_ones(x: Floats) -> Floats:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
