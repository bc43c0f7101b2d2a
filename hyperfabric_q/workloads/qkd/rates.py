"""What a Bell pair is worth as key: error rates from its state, and the key per sifted bit of endless strings.

A pair is Φ⁺ with a Pauli error on one half. Measured in Z, its ends differ after X or Y; measured in X, after Z or Y.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from hyperfabric_q.entanglement.state import FloatArray, check_correlators, check_fidelity, check_probability
from hyperfabric_q.errors import InvalidValue

EFFICIENCY: Final = 1.12
"""Bits that reconciliation reveals over Shannon's limit, where a rate has to be foretold; ``cascade`` stays below."""

CHSH_LOCAL: Final = 2.0
"""What no local theory exceeds (Clauser, Horne, Shimony and Holt 1969)."""


def binary_entropy(share: ArrayLike) -> FloatArray:
    """Return h(p) = -p log2 p - (1-p) log2 (1-p) in bits.

    Raises:
        InvalidValue: a share is not in [0, 1].
    """
    p = check_probability("share", share)
    inside = (p > 0) & (p < 1)
    q = np.where(inside, p, 0.5)
    return np.asarray(np.where(inside, -q * np.log2(q) - (1 - q) * np.log2(1 - q), 0.0))


def error_rates(correlators: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return how often the ends differ when both measure X, and when both measure Z: (1 - lx)/2 and (1 - lz)/2.

    Args:
        correlators: (..., 3), as of ``BellPair.correlators``.

    Raises:
        InvalidValue: they belong to no state.
    """
    state = check_correlators(correlators)
    return np.asarray((1 - state[..., 0]) / 2), np.asarray((1 - state[..., 2]) / 2)


def asymptotic_rate(error_x: ArrayLike, error_z: ArrayLike, *, efficiency: float = 1.0) -> FloatArray:
    """Return secret bits per sifted bit that was measured in Z: max(0, 1 - h(Q_X) - f h(Q_Z)).

    One-way distillation of BBM92 and BB84 keys (Shor and Preskill 2000). Of bits measured in X exchange the rates; of
    an even mixture take the mean of both: the rate of the mean error would be wrong for pairs that dephase in memory.

    Args:
        error_x: error rate in X.
        error_z: error rate in Z.
        efficiency: f, bits revealed to reconcile over Shannon's limit.

    Raises:
        InvalidValue: a rate is not in [0, 1], or the efficiency is below 1.
    """
    if not (math.isfinite(efficiency) and efficiency >= 1):
        raise InvalidValue(field="efficiency", value=efficiency, rule="no reconciliation beats Shannon's limit, f = 1")
    # Beyond one half an error rate says that one end should flip its bits, which one-way distillation does not do.
    x, z = (np.minimum(check_probability(name, q), 0.5) for name, q in (("error_x", error_x), ("error_z", error_z)))
    return np.asarray(np.maximum(0.0, 1 - binary_entropy(x) - efficiency * binary_entropy(z)))


def werner_error(fidelity: ArrayLike) -> FloatArray:
    """Return the error rate of a Werner state, the same in every basis: 2(1 - F)/3.

    Raises:
        InvalidValue: a fidelity is not in [0.25, 1].
    """
    return np.asarray(2 * (1 - check_fidelity(fidelity)) / 3)


def werner_rate(fidelity: ArrayLike, *, efficiency: float = 1.0) -> FloatArray:
    """Return secret bits per sifted bit of Werner states; raises as ``asymptotic_rate``."""
    q = werner_error(fidelity)
    return asymptotic_rate(q, q, efficiency=efficiency)


def largest_error(efficiency: float = 1.0) -> float:
    """Return the error rate, the same in X and Z, at which no key is left: 11.0028 % for f = 1."""

    def excess(q: float) -> float:
        return 1 - (1 + efficiency) * float(binary_entropy(q))

    return float(brentq(excess, 1e-9, 0.5, xtol=1e-14))


def least_fidelity(efficiency: float = 1.0) -> float:
    """Return the fidelity of a Werner state at which no key is left: 0.834958 for f = 1."""
    return 1 - 1.5 * largest_error(efficiency)


def chsh(correlators: ArrayLike) -> FloatArray:
    """Return the largest CHSH value of pairs: 2 sqrt(a^2 + b^2) of their two largest correlators, 2√2 w for Werner.

    Above 2 no local theory explains them (Horodecki, Horodecki and Horodecki 1995).

    Raises:
        InvalidValue: they belong to no state.
    """
    squares = np.sort(check_correlators(correlators) ** 2, axis=-1)
    return np.asarray(2 * np.sqrt(squares[..., 1] + squares[..., 2]))
