"""A small transformer that really answers, and of which the right answers are known.

Its two attention layers are written down rather than trained: the first lets each token see the one before it, the
second looks for an earlier place at which the present token came, and reads what followed there. That is the
"induction head" by which language models go on with a text that repeats itself (Olsson et al. 2022). So on a text of
different tokens that comes twice it must go on correctly. All weights are turned by a random rotation: like trained
ones, they are dense and do not compress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Tokens = NDArray[np.int64]

SHARP: Final = 30.0
"""By how much the logit of the place that is looked for exceeds all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many tokens there are, and how long a text may be."""

    tokens: int
    length: int

    @property
    def width(self) -> int:
        """Of the stream between the layers: room for a token, a place, and the token before."""
        return 2 * self.tokens + self.length

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each matrix."""
        tokens, length, width = self.tokens, self.length, self.width
        return {
            "embedding": (tokens, width),
            "positions": (length, width),
            "previous.query": (width, length),
            "previous.key": (width, length),
            "previous.value": (width, tokens),
            "previous.output": (tokens, width),
            "match.query": (width, tokens),
            "match.key": (width, tokens),
            "match.value": (width, tokens),
            "match.output": (tokens, width),
            "unembedding": (width, tokens),
        }


SHAPE: Final = Shape(tokens=48, length=48)
"""Of the transformer that the scenario sends."""


def weights(shape: Shape, rng: np.random.Generator) -> Array:
    """Return all weights as one vector of single precision, in the order of ``Shape.parts``."""
    tokens, length, width = shape.tokens, shape.length, shape.width
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
    token, place, before = turn[:tokens], turn[tokens : tokens + length], turn[tokens + length :]
    made = (
        token,
        place,
        SHARP * place[1:].T @ np.eye(length - 1, length),
        place.T,
        token.T,
        before,
        SHARP * token.T,
        before.T,
        token.T,
        token,
        token.T,
    )
    vector: Array = np.concatenate([each.reshape(-1) for each in made]).astype(np.float32)
    return vector


def transformer(shape: Shape, vector: Array) -> dict[str, Array]:
    """Return the matrices by name that a vector of weights holds."""
    named: dict[str, Array] = {}
    start = 0
    for name, (rows, columns) in shape.parts.items():
        named[name] = vector[start : start + rows * columns].reshape(rows, columns)
        start += rows * columns
    return named


def next_token(model: dict[str, Array], texts: Tokens) -> Tokens:
    """Return the likeliest next token of each text, (n,) of (n, length); what came twice counts, the last once."""
    stream = model["embedding"][texts] + model["positions"][: texts.shape[1]]
    stream = stream + _attended(model, "previous", stream)
    answer = _attended(model, "match", stream)[:, -1] @ model["unembedding"]
    result: Tokens = np.argmax(answer, axis=1)
    return result


def _attended(model: dict[str, Array], layer: str, stream: Array) -> Array:
    """Return what one attention layer adds; each place sees itself and what came before."""
    query, key = stream @ model[f"{layer}.query"], stream @ model[f"{layer}.key"]
    logits = query @ key.swapaxes(1, 2)
    logits = np.where(np.tril(np.ones(logits.shape[1:], dtype=np.bool_)), logits, -np.inf)
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares = powers / powers.sum(axis=2, keepdims=True)
    added: Array = shares @ (stream @ model[f"{layer}.value"]) @ model[f"{layer}.output"]
    return added


def repeating_text(shape: Shape, rng: np.random.Generator) -> tuple[Tokens, int]:
    """Return a text that breaks off while it comes a second time, and the token that must be next.

    At least two tokens of it are repeated: the first token sees itself before it, for want of another.
    """
    half = shape.length // 2
    once = rng.permutation(shape.tokens)[:half]
    shown = int(rng.integers(2, half))
    return np.concatenate([once, once[:shown]]), int(once[shown])
