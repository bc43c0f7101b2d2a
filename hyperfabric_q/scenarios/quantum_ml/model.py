"""The circuit that is trained, the data it is trained with, and the classical models it has to stand up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

import hyperfabric_q as hq
from hyperfabric_q.seeds import word

Array = NDArray[np.float64]

RAW: Final = 8
"""Numbers that were measured of a sample; two of their combinations tell something, the others are noise."""

FEATURES: Final = 2
LAYERS: Final = 4
RATE: Final = 0.1
SCALE: Final = 3.0
"""What the mean value of Z is multiplied by to become the logarithm of odds; the bias is learnt."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Rows of measured numbers, shape (N, 8), and the class of each, 0 or 1."""

    rows: Array
    labels: Array


@dataclass(frozen=True, slots=True, eq=False)
class Angles:
    """What the QPU needs: two angles for each sample, their classes, and the parameters of the model."""

    rows: Array
    labels: Array
    weights: Array
    bias: float


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """The loss, its derivatives by the weights and by the bias, and one standard error of each derivative."""

    loss: float
    by_weight: Array
    by_bias: float
    errors: Array


def moons(count: int, rotation: Array, rng: np.random.Generator) -> Samples:
    """Return samples on two half moons that interlock, turned into eight dimensions and blurred there."""
    labels = np.arange(count) % 2
    turn = rng.uniform(0, np.pi, count)
    flat = np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.where(labels, -1, 1)[:, None]
    flat += np.where(labels[:, None], [1.0, 0.5], [0.0, 0.0]) + 0.12 * rng.normal(size=flat.shape)
    rest = 0.1 * rng.normal(size=(count, RAW - FEATURES))
    return Samples(np.concatenate([flat, rest], axis=1) @ rotation, labels.astype(np.float64))


def rotation(rng: np.random.Generator) -> Array:
    """Return a random rotation of eight dimensions."""
    found, signs = np.linalg.qr(rng.normal(size=(RAW, RAW)))
    return np.asarray(found * np.sign(np.diag(signs)))


def principal(rows: Array) -> tuple[Array, Array, Array]:
    """Return mean, directions (8, 2) and widths (2,) of the two directions in which rows differ most."""
    mean = rows.mean(axis=0)
    _, widths, directions = np.linalg.svd(rows - mean, full_matrices=False)
    signs = np.sign(directions[:FEATURES, np.abs(directions[:FEATURES]).argmax(axis=1)].diagonal())
    return mean, (directions[:FEATURES] * signs[:, None]).T, widths[:FEATURES] / np.sqrt(len(rows))


class Model:
    """The circuit, its parameters as they are now, and what the optimiser remembers."""

    def __init__(self, seed: int, rng: np.random.Generator) -> None:
        """Begin near the identity, as gradients vanish far from it."""
        self.ansatz = hq.learning.reuploading(FEATURES, qubits=FEATURES, layers=LAYERS)
        self.source = hq.learning.Ideal.of(self.ansatz.circuit, ["Z@0"])
        self.rotation, self.rng, self.seed = rotation(rng), rng, seed
        self.frame: tuple[Array, Array, Array] | None = None
        self.optimiser = hq.learning.Adam(learning_rate=RATE)
        count = len(self.ansatz.weights)
        self.point = np.concatenate([rng.uniform(-0.5, 0.5, count), [0.0]])
        self.state = self.optimiser.begun(count + 1)
        self.losses: list[float] = []

    @property
    def weights(self) -> Array:
        """The angles that are learnt."""
        return self.point[:-1]

    @property
    def bias(self) -> float:
        """What is added to the logarithm of odds."""
        return float(self.point[-1])

    def binding(self, rows: Array, weights: Array) -> Array:
        """Return the circuit's parameters of all samples, shape (N, P), in the order of the circuit."""
        places = {parameter.name: place for place, parameter in enumerate(self.ansatz.circuit.parameters)}
        found = np.empty((len(rows), len(places)))
        found[:, [places[each.name] for each in self.ansatz.inputs]] = rows
        found[:, [places[each.name] for each in self.ansatz.weights]] = weights
        return found

    def gradient(self, asked: Angles, shots: int | None) -> hq.learning.Gradient:
        """Return mean values of Z and their derivatives, exactly or by so many shots of each circuit."""
        return hq.learning.gradient(
            self.source,
            self.binding(asked.rows, asked.weights),
            by=self.ansatz.weights,
            shots=shots,
            seed=word(self.seed, "scenarios", "quantum_ml", len(self.losses)),
        )

    def slopes(self, asked: Angles, found: hq.learning.Gradient) -> Slopes:
        """Return the mean cross-entropy of samples, and where it goes down."""
        odds = SCALE * found.values[:, 0] + asked.bias
        loss = np.logaddexp(0, odds) - asked.labels * odds
        by_odds = (1 / (1 + np.exp(-odds)) - asked.labels) / len(odds)
        by_value = SCALE * by_odds
        return Slopes(
            loss=float(loss.mean()),
            by_weight=by_value @ found.gradient[:, 0],
            by_bias=float(by_odds.sum()),
            errors=np.sqrt(by_value**2 @ found.errors[:, 0] ** 2),
        )

    def step(self, slopes: Slopes) -> None:
        """Take a step down."""
        gradient = np.append(slopes.by_weight, slopes.by_bias)
        self.losses.append(slopes.loss)
        self.point, self.state = self.optimiser.moved(self.point, gradient, self.state, len(self.losses))


def right_linear(train: Angles, test: Angles) -> float:
    """Return the share of test samples that the best plane between the classes gets right (least squares)."""
    ones = np.ones((len(train.rows), 1))
    plane = np.linalg.lstsq(np.hstack([train.rows, ones]), 2 * train.labels - 1, rcond=None)[0]
    return float(np.mean((test.rows @ plane[:-1] + plane[-1] > 0) == test.labels))


def right_kernel(train: Angles, test: Angles, *, width: float = 0.5, ridge: float = 0.1) -> float:
    """Return the same of ridge regression with a Gaussian kernel."""

    def kernel(a: Array, b: Array) -> Array:
        return np.asarray(np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / (2 * width**2)))

    inner = kernel(train.rows, train.rows) + ridge * np.eye(len(train.rows))
    return float(
        np.mean((kernel(test.rows, train.rows) @ np.linalg.solve(inner, 2 * train.labels - 1) > 0) == test.labels)
    )
