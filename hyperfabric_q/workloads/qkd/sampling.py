"""What both ends of many pairs measure: bases and bits, drawn from the pairs' Pauli weights all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.state import check_weights
from hyperfabric_q.errors import InvalidValue

Bits: TypeAlias = NDArray[np.uint8]

Z: Final = 0
X: Final = 1
"""Bases, as they stand in arrays."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Measured:
    """Return what the two ends of n pairs have in hand before they talk; arrays are read-only.

    Args:
        alice_basis: (n,) 0 = Z, 1 = X.
        bob_basis: (n,) the same.
        alice: (n,) outcomes.
        bob: (n,) outcomes.
    """

    alice_basis: Bits
    bob_basis: Bits
    alice: Bits
    bob: Bits

    def __post_init__(self) -> None:
        for field in ("alice_basis", "bob_basis", "alice", "bob"):
            array = getattr(self, field)
            if array.dtype != np.uint8 or array.shape != (len(self.alice),) or (array.size and array.max() > 1):
                raise InvalidValue(
                    field=field,
                    value=f"{array.dtype} of shape {array.shape}",
                    rule="four arrays of uint8 are needed, equally long, of zeros and ones",
                )
            view = array.view()
            view.setflags(write=False)
            object.__setattr__(self, field, view)

    def __len__(self) -> int:
        return len(self.alice)

    def __repr__(self) -> str:
        return f"<Measured: {len(self)} pairs>"  # never a bit: some of them become key


def measure(weights: ArrayLike, rng: np.random.Generator, *, pairs: int | None = None) -> Measured:
    """Return what both ends measure, each in a basis drawn evenly for every pair.

    In equal bases Bob's bit is Alice's but for the Pauli error: X and Y flip it in Z, Z and Y flip it in X. In unequal
    bases the two have nothing to do with each other. Exact for Bell-diagonal pairs; a test compares it with Aer.

    Args:
        weights: (pI, pX, pY, pZ) of all pairs alike, (4,), or of each, (n, 4).
        rng: where all is drawn.
        pairs: how many, if the weights are of all alike.

    Raises:
        InvalidValue: weights are no probabilities, or do not say how many pairs there are.
    """
    p = check_weights(weights)
    given = len(p) if p.ndim == 2 else pairs
    if p.ndim > 2 or given is None or given < 0 or pairs not in {None, given}:
        raise InvalidValue(
            field="weights",
            value=p.shape,
            rule="they are (4,) with a number of pairs beside it, or (n, 4), one row per pair",
        )
    limits = np.cumsum(p.clip(min=0.0), axis=-1)
    drawn = rng.random(given)[:, None] * limits[..., -1:]
    pauli = (drawn >= limits[..., :3]).sum(axis=-1)
    alice_basis, bob_basis, alice, stray = (rng.integers(0, 2, given, dtype=np.uint8) for _ in range(4))
    flips_z = (pauli == 1) | (pauli == 2)
    flips_x = pauli >= 2
    flip = np.where(alice_basis == Z, flips_z, flips_x).astype(np.uint8)
    bob = np.where(alice_basis == bob_basis, alice ^ flip, stray).astype(np.uint8)
    return Measured(alice_basis=alice_basis, bob_basis=bob_basis, alice=alice, bob=bob)


def agreement(weights: ArrayLike) -> NDArray[np.float64]:
    """Return how often both bits are equal, (2, 2) by Alice's basis and Bob's: what ``measure`` must reproduce."""
    p = check_weights(weights)
    same_z, same_x = p[..., 0] + p[..., 3], p[..., 0] + p[..., 1]
    half = np.full_like(same_z, 0.5)
    return np.asarray(np.stack([np.stack([same_z, half], axis=-1), np.stack([half, same_x], axis=-1)], axis=-2))


def chsh_sample(weights: ArrayLike, rng: np.random.Generator, *, pairs: int) -> tuple[float, float]:
    """Return the CHSH value that ``pairs`` pairs show, and its standard error: E91's diagnostic, no part of the key.

    Alice measures Z or X, Bob (Z + X)/√2 or (Z - X)/√2; the mean of their outcomes' product is then ±lz/√2 or ±lx/√2
    (Ekert 1991). Each setting has a quarter of the pairs.

    Raises:
        InvalidValue: fewer than 8 pairs, or weights that are no probabilities.
    """
    p = check_weights(weights)
    if pairs < 8:
        raise InvalidValue(field="pairs", value=pairs, rule="four settings need at least two pairs each")
    lx, lz = p[0] + p[1] - p[2] - p[3], p[0] + p[3] - p[1] - p[2]
    each = pairs // 4
    total, variance = 0.0, 0.0
    for sign, mean in ((1, lz), (1, lz), (1, lx), (-1, -lx)):
        equal = rng.binomial(each, (1 + mean / np.sqrt(2)) / 2)
        seen = 2 * equal / each - 1
        total += sign * seen
        variance += (1 - seen**2) / (each - 1)
    return float(total), float(np.sqrt(variance))
