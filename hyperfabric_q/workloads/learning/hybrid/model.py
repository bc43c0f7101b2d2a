"""Classical layers, a circuit, and classical layers again: one row of parameters, and what each part of it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hyperfabric_q.seeds import stream
from hyperfabric_q.workloads.learning.hybrid.dense import Dense
from hyperfabric_q.workloads.learning.turns import Floats

INITIAL = 0.5
"""Weights of the circuit begin between minus and plus this: circuits near the identity have gradients."""


class Encoded(NamedTuple):
    """Angles of the circuit's inputs (B, inputs), and what the way back needs."""

    angles: Floats
    squashed: Floats
    kept: list[Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the parameters stand in one row: the encoder's, the circuit's, the head's.

    Attributes:
        encoder: from features to as many numbers as the circuit has inputs; these turn by pi times their tanh.
        weights: of the circuit.
        head: from mean values to outputs.
    """

    encoder: Dense
    weights: int
    head: Dense

    @property
    def size(self) -> int:
        """Parameters in all."""
        return self.encoder.size + self.weights + self.head.size

    @property
    def of_circuit(self) -> slice:
        """Where the circuit's weights stand."""
        return slice(self.encoder.size, self.encoder.size + self.weights)

    def parts(self, row: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the parameters of the encoder, the circuit and the head."""
        own = self.of_circuit
        return row[: own.start], row[own], row[own.stop :]

    def first(self, seed: int) -> Floats:
        """Return parameters to begin with."""
        return np.concatenate(
            [
                self.encoder.first(stream(seed, "hybrid", "encoder")),
                stream(seed, "hybrid", "weights").uniform(-INITIAL, INITIAL, self.weights),
                self.head.first(stream(seed, "hybrid", "head")),
            ]
        )

    def encoded(self, row: Floats, samples: Floats) -> Encoded:
        """Return the angles of samples (B, features)."""
        found, kept = self.encoder.forward(self.parts(row)[0], samples)
        squashed = np.tanh(found)
        return Encoded(math.pi * squashed, squashed, kept)

    def decoded(self, row: Floats, encoded: Encoded, slopes: Floats) -> Floats:
        """Return the derivatives of a loss by the encoder's parameters, from those by the angles (B, inputs)."""
        through = math.pi * (1 - encoded.squashed**2) * slopes
        return self.encoder.backward(self.parts(row)[0], encoded.kept, through)[0]
