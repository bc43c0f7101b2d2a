"""Weights of a network that make a loss small, found by the optimisers of SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from scipy import optimize

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.learning.network import Network
from hyperfabric_q.workloads.learning.turns import Floats

WITHOUT_GRADIENTS: Final = ("COBYLA", "COBYQA", "Nelder-Mead", "Powell")
WITH_GRADIENTS: Final = ("L-BFGS-B", "BFGS", "CG", "SLSQP", "TNC", "Newton-CG", "trust-constr")

Loss: TypeAlias = Callable[[Floats], tuple[float, Floats]]
"""Outputs of all samples, (B, m) -> the loss and its derivatives by them, (B, m)."""

_LIKELY: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """Outputs from mean values: exp(scale) times each, plus a bias of its own; all of them are learnt."""

    scale: float
    bias: Floats

    @classmethod
    def of(cls, outputs: int, *, scale: float) -> Head:
        """Return the head that multiplies by ``scale`` only."""
        return cls(scale=math.log(scale), bias=np.zeros(outputs))

    def outputs(self, values: Floats) -> Floats:
        """Return the outputs of mean values, both of shape (B, m)."""
        return np.asarray(math.exp(self.scale) * values + self.bias)

    def flat(self) -> Floats:
        """Return what is learnt as one row."""
        return np.concatenate([[self.scale], self.bias])

    @classmethod
    def from_flat(cls, row: Floats) -> Head:
        """Return the head of such a row."""
        return cls(scale=float(np.clip(row[0], -20, 20)), bias=row[1:].copy())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What was learnt.

    Attributes:
        weights: of the circuit.
        head: what makes outputs of mean values.
        losses: at each iteration, the first before any.
        evaluations: how often the loss was worked out.
        message: of the optimiser.
    """

    weights: Floats
    head: Head
    losses: tuple[float, ...]
    evaluations: int
    message: str


def minimised(
    network: Network,
    samples: Floats,
    loss: Loss,
    *,
    weights: Floats,
    head: Head,
    optimizer: str,
    max_iter: int,
    tol: float,
    alpha: float,
    seed: int,
) -> Fitted:
    """Return the weights and head that an optimiser of SciPy ends with.

    Args:
        network: the circuit.
        samples: shape (B, features).
        loss: of the outputs.
        weights: to begin with.
        head: to begin with.
        optimizer: one of ``WITH_GRADIENTS`` or ``WITHOUT_GRADIENTS``.
        max_iter: its most iterations.
        tol: its tolerance.
        alpha: weight of the mean square of the weights in the loss.
        seed: of shots: the same draws at every step.

    Raises:
        InvalidValue: an option is out of range.
    """
    _check(optimizer, max_iter, tol, alpha)
    with_slopes = optimizer in WITH_GRADIENTS
    objective = _Objective(network, samples, loss, len(weights), float(alpha), with_slopes, seed, [], 0.0)
    minimize: Any = optimize.minimize
    found = minimize(
        objective.with_slopes if with_slopes else objective.alone,
        np.concatenate([weights, head.flat()]),
        jac=True if with_slopes else None,
        method=optimizer,
        tol=tol,
        callback=objective.noted,
        options={"maxfun" if optimizer == "TNC" else "maxiter": int(max_iter)},
    )
    point = np.asarray(found.x, dtype=np.float64)
    return Fitted(
        weights=point[: len(weights)].copy(),
        head=Head.from_flat(point[len(weights) :]),
        losses=tuple(objective.losses),
        evaluations=int(found.nfev),
        message=str(found.message),
    )


@dataclass(slots=True, eq=False)
class _Objective:
    """The loss as a function of one point: the weights, then the head."""

    network: Network
    samples: Floats
    loss: Loss
    count: int
    alpha: float
    sloped: bool
    seed: int
    losses: list[float]
    last: float

    def with_slopes(self, point: Floats) -> tuple[float, Floats]:
        """Return the loss at a point, and its derivatives, which are 0 by weights where none are wanted."""
        own, head = point[: self.count], Head.from_flat(point[self.count :])
        by_head = np.zeros(1 + len(head.bias))
        factor = math.exp(head.scale)

        def through(values: Floats) -> tuple[float, Floats]:
            value, slopes = self.loss(head.outputs(values))
            by_head[0], by_head[1:] = factor * float((slopes * values).sum()), slopes.sum(axis=0)
            return value, factor * slopes

        if self.sloped:
            value, by_weight, _ = self.network.loss(self.samples, own, through, seed=self.seed)
        else:
            value, by_weight = through(self.network.values(self.samples, own, seed=self.seed))[0], np.zeros(self.count)
        size = max(1, self.count)
        value += self.alpha * float(own @ own) / size
        self.last = value
        if not self.losses:
            self.losses.append(value)
        return value, np.concatenate([by_weight + 2 * self.alpha * own / size, by_head])

    def alone(self, point: Floats) -> float:
        """Return the loss at a point."""
        return self.with_slopes(point)[0]

    def noted(self, *_: Any) -> None:
        """Note an iteration; the point it ends with was the last to be evaluated."""
        self.losses.append(self.last)


def softmax(outputs: Floats) -> Floats:
    """Return chances from outputs, both of shape (B, m)."""
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def cross_entropy(wanted: Floats) -> Loss:
    """Return the mean of -ln of the chance of the right class; ``wanted`` has a 1 for it, shape (B, m)."""

    def loss(outputs: Floats) -> tuple[float, Floats]:
        chances = softmax(outputs)
        right = np.maximum((chances * wanted).sum(axis=1), _LIKELY)
        return float(-np.log(right).mean()), (chances - wanted) / len(wanted)

    return loss


def squared_error(wanted: Floats, *, unit: float = 1.0) -> Loss:
    """Return the mean square of what outputs differ by from targets (B, m), in multiples of ``unit`` squared."""

    def loss(outputs: Floats) -> tuple[float, Floats]:
        left = (outputs - wanted) / unit
        return float((left**2).mean()), 2 * left / (left.size * unit)

    return loss


def _check(optimizer: object, max_iter: object, tol: object, alpha: object) -> None:
    known = (*WITH_GRADIENTS, *WITHOUT_GRADIENTS)
    if optimizer not in known:
        raise InvalidValue(field="optimizer", value=optimizer, rule=f"it is one of {', '.join(known)}")
    whole = isinstance(max_iter, int | np.integer) and not isinstance(max_iter, bool)
    if not whole or not 1 <= max_iter <= 1_000_000:  # type: ignore[operator]
        raise InvalidValue(field="max_iter", value=max_iter, rule="it is a whole number from 1 to a million")
    for name, value in (("tol", tol), ("alpha", alpha)):
        number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:  # type: ignore[operator]
            raise InvalidValue(field=name, value=value, rule="it is a finite number, not below zero")
