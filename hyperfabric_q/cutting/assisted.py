"""Joining parts by a noisy Bell pair: teleport, and undo the pair's error on average with signed Pauli corrections.

A Bell-diagonal pair is a perfect pair after a random Pauli on one half. Pauli channels commute and have inverses that
are Pauli channels with negative weights; drawn with those, the pair is a perfect one on average, whatever it is then
used for: teleporting a wire, or a gate. For Werner pairs gamma = (5 - 2F)/(4F - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperfabric_q.cutting.decomposition import Instrument, Real
from hyperfabric_q.cutting.paulis import LETTERS, PAULIS
from hyperfabric_q.errors import InvalidValue

# (-1)^{whether the Pauli of the row and of the column anticommute}, in the order I, X, Y, Z.
_CHARACTERS: Real = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], dtype=np.float64)

_LEAST = 1e-6
"""The least Pauli eigenvalue that is inverted: gamma is then some 10^6, more than any number of shots can carry."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assisted:
    """What makes a perfect Bell pair, on average, of a noisy one.

    The correction goes on the half of the pair at the receiving end before the pair is used, or equally on the qubit
    that was teleported through it: the perfect pair is sum_k weights[k] s_k pair s_k, s_k in I, X, Y, Z.

    Attributes:
        pair_weights: probabilities of the pair's error I, X, Y, Z.
        weights: what the corrections I, X, Y, Z count for; they add up to 1.
        gamma: the sum of their moduli.
    """

    pair_weights: tuple[float, float, float, float]
    weights: Real
    gamma: float

    @property
    def corrections(self) -> tuple[Instrument, ...]:
        """Return the four unitaries that ``weights`` belongs to."""
        return tuple(
            Instrument(name=LETTERS[index], signs=np.ones(1), kraus=PAULIS[index : index + 1]) for index in range(4)
        )


def assisted(pair_weights: Sequence[float]) -> Assisted:
    """Return the cut that uses up one Bell-diagonal pair.

    Args:
        pair_weights: probabilities of the errors I, X, Y, Z of the pair, as ``Link.pair_weights``.

    Raises:
        InvalidValue: not four probabilities, or errors that cannot be undone, such as X and I equally likely.
    """
    probabilities = np.array(pair_weights, dtype=np.float64)
    if probabilities.shape != (4,) or not np.all(probabilities >= 0) or not abs(probabilities.sum() - 1) < 1e-9:
        raise InvalidValue(
            field="pair_weights", value=tuple(pair_weights), rule="four probabilities that add up to 1, for I, X, Y, Z"
        )
    eigenvalues = _CHARACTERS @ (probabilities / probabilities.sum())
    if np.abs(eigenvalues).min() < _LEAST:
        raise InvalidValue(
            field="pair_weights",
            value=tuple(pair_weights),
            rule=f"such errors erase {LETTERS[int(np.abs(eigenvalues).argmin())]} of every state, which nothing undoes",
            remedy="Purify the pair first, or cut without it.",
        )
    weights: Real = _CHARACTERS @ (1 / eigenvalues) / 4
    weights.setflags(write=False)
    i, x, y, z = probabilities.tolist()
    return Assisted(pair_weights=(i, x, y, z), weights=weights, gamma=float(np.abs(weights).sum()))


def assisted_werner(fidelity: float) -> Assisted:
    """Return the cut that uses up one Werner pair; gamma = (5 - 2F)/(4F - 1) for F above 1/4.

    Raises:
        InvalidValue: a fidelity outside [0, 1], or of 1/4, which is no pair at all.
    """
    if not 0 <= fidelity <= 1:
        raise InvalidValue(field="fidelity", value=fidelity, rule="a fidelity is between 0 and 1")
    rest = (1 - fidelity) / 3
    return assisted((fidelity, rest, rest, rest))
