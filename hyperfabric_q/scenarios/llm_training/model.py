"""A language model small enough to train for real, on text whose statistics are known.

The text is a Markov chain: the next of ``TOKENS`` tokens depends on the last one. Its transition matrix is the softmax
of a product of two random thin matrices, and the model is one of that very form. So the least loss that any model can
reach is known: the entropy rate of the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue

Array = NDArray[np.float64]

TOKENS: Final = 24
WIDTH: Final = 6
WEIGHTS: Final = 2 * TOKENS * WIDTH
"""An embedding of each token, and a column of the output layer for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A Markov chain over tokens.

    Attributes:
        transitions: (tokens, tokens), rows sum to 1.
        stationary: (tokens,), how often each token comes in the long run.
    """

    transitions: Array
    stationary: Array

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Language:
        """Return a random language."""
        transitions = next_token(rng.normal(size=WEIGHTS) * 1.2)
        flow = np.vstack([transitions.T - np.eye(TOKENS), np.ones(TOKENS)])
        stationary = np.linalg.lstsq(flow, np.append(np.zeros(TOKENS), 1.0), rcond=None)[0]
        return cls(transitions=transitions, stationary=stationary)

    def bigrams(self, tokens: int, rng: np.random.Generator) -> Array:
        """Return how often each token followed each other one in a text of ``tokens`` tokens.

        Pairs are drawn one by one from the long run: a text of which every page is from another book.
        """
        if tokens < 1:
            raise InvalidValue(field="tokens", value=tokens, rule="a text has at least one token")
        joint = (self.stationary[:, None] * self.transitions).reshape(-1)
        counts: Array = rng.multinomial(tokens, joint / joint.sum()).reshape(TOKENS, TOKENS).astype(np.float64)
        return counts

    @property
    def entropy_rate(self) -> float:
        """Nats per token that no model can undercut."""
        return self.loss_of(self.transitions)

    def loss_of(self, predicted: Array) -> float:
        """Return the expected cross-entropy of predictions, nats per token: an exact sum over the chain."""
        return float(-(self.stationary[:, None] * self.transitions * np.log(predicted)).sum())


def next_token(weights: Array) -> Array:
    """Return what the model of these weights predicts: (tokens, tokens), row = last token."""
    embedding, output = _parts(weights)
    logits = embedding @ output
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    predicted: Array = powers / powers.sum(axis=1, keepdims=True)
    return predicted


def gradient(weights: Array, bigrams: Array) -> Array:
    """Return the derivative of the summed cross-entropy of a text by each weight."""
    embedding, output = _parts(weights)
    by_logits = bigrams.sum(axis=1, keepdims=True) * next_token(weights) - bigrams
    return np.concatenate([(by_logits @ output.T).reshape(-1), (embedding.T @ by_logits).reshape(-1)])


def _parts(weights: Array) -> tuple[Array, Array]:
    half = TOKENS * WIDTH
    return weights[:half].reshape(TOKENS, WIDTH), weights[half:].reshape(WIDTH, TOKENS)


class Adam:
    """One GPU's weights, and the running means by which they are moved (Kingma and Ba 2015)."""

    def __init__(self, start: Array, *, rate: float = 0.1) -> None:
        """Start from a copy of ``start``."""
        self.weights = start.copy()
        self._rate = rate
        self._mean = np.zeros_like(start)
        self._square = np.zeros_like(start)
        self._steps = 0

    def step(self, slope: Array) -> None:
        """Move against the mean gradient ``slope``."""
        self._steps += 1
        self._mean += (1 - 0.9) * (slope - self._mean)
        self._square += (1 - 0.99) * (slope**2 - self._square)
        mean, square = self._mean / (1 - 0.9**self._steps), self._square / (1 - 0.99**self._steps)
        self.weights -= self._rate * mean / (np.sqrt(square) + 1e-8)


class Learned(NamedTuple):
    """What training brought: losses in nats per token, and how far the GPUs' weights are from those of one GPU."""

    first: float
    last: float
    least: float
    difference: float
    seconds: float


async def train(
    protocol: hq.HyperFabricProtocol, gpus: list[str], steps: int, tokens: int, rng: np.random.Generator
) -> Learned:
    """Return what data-parallel training of the small model brings, and what one GPU with all the text would have.

    Each GPU has weights of its own and reads a text of its own; what they share is the sum of their gradients.
    """
    language = Language.drawn(rng)
    start = rng.normal(size=WEIGHTS) * 0.3
    replicas = {gpu: Adam(start) for gpu in gpus}
    alone = Adam(start)
    batch, began_ns = tokens * len(gpus), protocol.now_ns
    for _ in range(steps):
        texts = [language.bigrams(tokens, rng) for _ in gpus]
        slopes = [gradient(replicas[gpu].weights, text) for gpu, text in zip(gpus, texts, strict=True)]
        summed = await protocol.all_reduce(gpus, slopes, algorithm="halving_doubling")
        for gpu in gpus:
            replicas[gpu].step(cast("Array", summed[gpu]) / batch)
        alone.step(reduce(np.add, [gradient(alone.weights, text) for text in texts]) / batch)
    return Learned(
        first=language.loss_of(next_token(start)),
        last=language.loss_of(next_token(replicas[gpus[0]].weights)),
        least=language.entropy_rate,
        difference=max(float(np.abs(each.weights - alone.weights).max()) for each in replicas.values()),
        seconds=(protocol.now_ns - began_ns) / 1e9,
    )
