"""Optimisers that take one step at a time.

Those of SciPy run from start to end and hide their state, and PyTorch is an extra: neither can be saved after every
step and go on to the last bit from there. So these two, of a few lines each, are our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.workloads.learning.turns import Floats


class Optimiser(Protocol):
    """What turns gradients into steps; its state is arrays that the caller keeps."""

    def begun(self, size: int) -> dict[str, Floats]:
        """Return the state before the first step."""
        ...

    def moved(
        self, row: Floats, gradient: Floats, state: Mapping[str, Floats], count: int
    ) -> tuple[Floats, dict[str, Floats]]:
        """Return the parameters after step ``count``, the first being 1, and the new state."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd:
    """Return gradient descent with momentum.

    Args:
        learning_rate: of each step.
        momentum: share of the last step that is taken again.
    """

    learning_rate: float = 0.1
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _positive("learning_rate", self.learning_rate)
        _share("momentum", self.momentum)

    def begun(self, size: int) -> dict[str, Floats]:
        """Return the state before the first step."""
        return {"velocity": np.zeros(size)}

    def moved(
        self, row: Floats, gradient: Floats, state: Mapping[str, Floats], count: int
    ) -> tuple[Floats, dict[str, Floats]]:
        """Return the parameters after a step, and the new state."""
        del count
        velocity = self.momentum * state["velocity"] - self.learning_rate * gradient
        return row + velocity, {"velocity": velocity}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    """Return Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1).

    Args:
        learning_rate: of each step.
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of their squares.
        epsilon: keeps the quotient finite.
    """

    learning_rate: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _positive("learning_rate", self.learning_rate)
        _positive("epsilon", self.epsilon)
        _share("beta1", self.beta1)
        _share("beta2", self.beta2)

    def begun(self, size: int) -> dict[str, Floats]:
        """Return the state before the first step."""
        return {"mean": np.zeros(size), "square": np.zeros(size)}

    def moved(
        self, row: Floats, gradient: Floats, state: Mapping[str, Floats], count: int
    ) -> tuple[Floats, dict[str, Floats]]:
        """Return the parameters after step ``count``, the first being 1, and the new state."""
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * state["square"] + (1 - self.beta2) * gradient**2
        scale = self.learning_rate * math.sqrt(1 - self.beta2**count) / (1 - self.beta1**count)
        # As in the paper's remark: the bias of both means in one factor, epsilon scaled with it.
        moved = row - scale * mean / (np.sqrt(square) + self.epsilon * math.sqrt(1 - self.beta2**count))
        return moved, {"mean": mean, "square": square}


OPTIMISERS: Final[dict[str, type[Sgd | Adam]]] = {"sgd": Sgd, "adam": Adam}


def optimiser(given: object, learning_rate: float | None = None) -> Sgd | Adam:
    """Return an optimiser by its name, or the one that is given.

    Raises:
        UnknownName: there is none of that name.
        InvalidValue: it is neither, or a number is out of range.
    """
    if isinstance(given, Sgd | Adam):
        return given
    if not isinstance(given, str):
        raise InvalidValue(field="optimizer", value=given, rule="it is 'adam', 'sgd', Adam(...) or Sgd(...)")
    if given not in OPTIMISERS:
        raise UnknownName(kind="optimizer", name=given, known=tuple(OPTIMISERS))
    made = OPTIMISERS[given]
    return made() if learning_rate is None else made(learning_rate=learning_rate)


def _positive(name: str, value: object) -> None:
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:  # type: ignore[operator]
        raise InvalidValue(field=name, value=value, rule="it is a finite number above zero")


def _share(name: str, value: object) -> None:
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not number or not 0 <= value < 1:  # type: ignore[operator]
        raise InvalidValue(field=name, value=value, rule="it is from 0 to below 1")
