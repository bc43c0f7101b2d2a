"""The circuit that fuses what is seen, heard and asked, and what does so without a circuit."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from qiskit import QuantumCircuit
from scipy import optimize

import hyperfabric_q as hq
from hyperfabric_q.scenarios.multimodal.senses import (
    ASKED,
    QUESTIONS,
    THINGS,
    Array,
    Frame,
    Spikes,
    chances,
    cochlea,
    directions,
    learned,
    loudness,
    picture,
    sound,
    trigrams,
)

QUBITS: Final = 4
LAYERS: Final = 7
EXAMPLES: Final = 120

_PLACE: Final = {"see": (1.0, 0.0), "hear": (0.0, 1.0), "both": (1.0, 1.0)}
"""Whether what is seen counts, and what is heard."""


class Models:
    """The models of all nodes, learnt when they are made."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Learn from pictures, sounds and questions that are made for it."""
        kinds = np.arange(EXAMPLES) % 2
        self.vision = learned(np.array([directions(picture(THINGS[kind], rng)) for kind in kinds]), kinds, decay=1e-5)
        self.hearing = learned(np.array([loudness(cochlea(sound(THINGS[kind], rng))) for kind in kinds]), kinds)
        texts = [(trigrams(text), number) for number, kind in enumerate(ASKED) for text in QUESTIONS[kind][:-2]]
        self.language = learned(np.array([row for row, _ in texts]), np.array([number for _, number in texts]))
        self.ansatz = hq.learning.reuploading(QUBITS, qubits=QUBITS, layers=LAYERS)
        self.weights = self._fused(rng)

    def seen(self, frame: Frame) -> float:
        """Return how sure a picture shows a bell: 1 = sure, -1 = surely a drum."""
        return float(chances(self.vision, directions(frame)) @ [1, -1])

    def heard(self, spikes: Spikes) -> float:
        """Return how sure spikes are those of a bell."""
        return float(chances(self.hearing, loudness(spikes)) @ [1, -1])

    def asked(self, text: str) -> str:
        """Return what a question is about: "see", "hear" or "both"."""
        return ASKED[int(chances(self.language, trigrams(text)).argmax())]

    def circuit(self, seen: float, heard: float, asked: str) -> QuantumCircuit:
        """Return the circuit of four angles whose measured bit is the answer: 0 = yes."""
        values = dict(zip(self.ansatz.inputs, features(seen, heard, asked), strict=True))
        values |= dict(zip(self.ansatz.weights, self.weights, strict=True))
        found = QuantumCircuit(QUBITS, 1, name="fusion")
        found.compose(self.ansatz.circuit.assign_parameters(values), inplace=True)
        found.measure(0, 0)
        return found

    def _fused(self, rng: np.random.Generator) -> Array:
        """Learn the weights of the circuit: its Z should be 1 where the answer is yes, and -1 where it is no."""
        cases = list(product((1.0, -1.0), (1.0, -1.0), ASKED)) * 3
        doubts = [1.0] * 12 + rng.uniform(0.7, 1.0, 24).tolist()
        rows = np.array([features(a * one, b * one, q) for (a, b, q), one in zip(cases, doubts, strict=True)])
        wanted = np.array([answer(a, b, q) for a, b, q in cases])
        source = hq.learning.Ideal.of(self.ansatz.circuit, ["Z@0"])
        names = [parameter.name for parameter in self.ansatz.circuit.parameters]
        inputs = [names.index(each.name) for each in self.ansatz.inputs]
        weights = [names.index(each.name) for each in self.ansatz.weights]
        binding = np.empty((len(rows), len(names)))
        binding[:, inputs] = rows

        def loss(point: Array) -> tuple[float, Array]:
            binding[:, weights] = point
            found = hq.learning.gradient(source, binding, by=self.ansatz.weights)
            left = found.values[:, 0] - wanted
            return float((left**2).mean()), 2 * left @ found.gradient[:, 0] / len(left)

        tried = [
            optimize.minimize(
                loss, rng.uniform(-0.5, 0.5, len(weights)), jac=True, method="L-BFGS-B", options={"maxiter": 150}
            )
            for _ in range(3)
        ]
        return np.asarray(min(tried, key=lambda each: each.fun).x)


def features(seen: float, heard: float, asked: str) -> Array:
    """Return four angles: 0 for a bell to pi for a drum, seen and heard; then pi for each that counts."""
    return np.pi * np.array([(1 - seen) / 2, (1 - heard) / 2, *_PLACE[asked]])


def answer(seen: float, heard: float, asked: str) -> float:
    """Return 1 for yes, -1 for no: is it a bell that is seen, or heard, or is it the same thing that is both."""
    return float(np.sign({"see": seen, "hear": heard, "both": seen * heard}[asked]))


def right_of_planes(cases: list[tuple[float, float, str]], truths: list[float]) -> float:
    """Return the share of cases that the best linear function of the four angles gets right (least squares)."""
    rows = np.array([[*features(*case), 1.0] for case in cases])
    plane = np.linalg.lstsq(rows, np.array(truths), rcond=None)[0]
    return float(np.mean((rows @ plane > 0) == (np.array(truths) > 0)))
