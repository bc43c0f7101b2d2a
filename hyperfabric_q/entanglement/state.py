"""The state of a Bell pair: three correlators, and what follows from them.

A pair is a mixture of the four Bell states (Φ⁺, Ψ⁺, Ψ⁻, Φ⁻), that is Φ⁺ with a Pauli error I, X, Y or Z on one half.
Its weights (pI, pX, pY, pZ) and its correlators (lx, ly, lz) = (<XX>, -<YY>, <ZZ>) are each other's Hadamard transform
over the Pauli group, so Φ⁺ is (1, 1, 1) and every Pauli channel is an elementwise product of correlators.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import InvalidValue

FloatArray: TypeAlias = NDArray[np.float64]

LEAST_FIDELITY: Final = 0.25
"""Fidelity of two unrelated qubits: the pair that carries nothing."""

MOST_DEPOLARISING: Final = 16 / 15
"""Largest parameter of a two-qubit depolarising channel: all fifteen Pauli errors equally often, and no identity."""

TOLERANCE: Final = 1e-9
"""What rounding may add to a weight or to a sum of weights."""

_PAULIS: Final = ("I", "X", "Y", "Z")
_X: Final = np.array([[0, 1], [1, 0]], dtype=np.complex128)
_Y: Final = np.array([[0, -1j], [1j, 0]], dtype=np.complex128)
_Z: Final = np.array([[1, 0], [0, -1]], dtype=np.complex128)
_PRODUCTS: Final = np.stack([np.kron(_X, _X), -np.kron(_Y, _Y), np.kron(_Z, _Z)])


# ---------------------------------------------------------------------------------------------------------- checking


def numbers(field: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as an array of floats.

    Raises:
        InvalidValue: it holds something that is not a real number.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidValue(field=field, value=value, rule="real numbers are needed, in rows of equal length") from None


def check_within(field: str, value: ArrayLike, least: float, most: float, rule: str) -> FloatArray:
    """Return ``value`` as an array of which every entry lies in [``least``, ``most``]; NaN does not.

    Raises:
        InvalidValue: an entry lies outside, with ``rule`` as the reason and the first such entry as the value.
    """
    array = numbers(field, value)
    # Minimum and maximum carry a NaN along, and then both comparisons are false.
    if array.size and not (array.min() >= least and array.max() <= most):
        wrong = array[~((array >= least) & (array <= most))]
        raise InvalidValue(field=field, value=float(wrong.flat[0]), rule=rule)
    return array


def check_probability(field: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as an array of probabilities.

    Raises:
        InvalidValue: an entry is not in [0, 1].
    """
    return check_within(field, value, 0.0, 1.0, "a probability lies in [0, 1]")


def check_depolarising(value: ArrayLike, field: str = "depolarising") -> FloatArray:
    """Return ``value`` as an array of parameters L of two-qubit depolarising channels, rho -> (1 - L) rho + L I/4.

    Raises:
        InvalidValue: an entry is not in [0, 16/15].
    """
    return check_within(
        field, value, 0.0, MOST_DEPOLARISING, "the parameter of a two-qubit depolarising channel lies in [0, 16/15]"
    )


def check_fidelity(fidelity: ArrayLike, field: str = "fidelity") -> FloatArray:
    """Return ``fidelity`` as an array of fidelities of Bell pairs.

    Raises:
        InvalidValue: an entry is not in [0.25, 1].
    """
    return check_within(field, fidelity, LEAST_FIDELITY, 1.0, "the fidelity of a Bell pair lies in [0.25, 1]")


def check_weights(weights: ArrayLike, field: str = "weights") -> FloatArray:
    """Return ``weights``, shape (..., 4), as an array of Bell-diagonal weights (pI, pX, pY, pZ).

    Raises:
        InvalidValue: there are not four of them, one is not in [0, 1], or they do not sum to 1 (within 1e-9).
    """
    array = numbers(field, weights)
    if array.ndim == 0 or array.shape[-1] != 4:
        rule = "four weights (pI, pX, pY, pZ) are needed along the last axis"
        raise InvalidValue(field=field, value=array.shape, rule=f"its shape should end in 4: {rule}")
    check_within(field, array, -TOLERANCE, 1 + TOLERANCE, "a weight is a probability, in [0, 1]")
    total = array.sum(axis=-1)
    wrong = np.abs(total - 1) > TOLERANCE
    if np.any(wrong):
        rule = "the weights of a pair sum to 1"
        raise InvalidValue(field=f"sum of {field}", value=float(total[wrong].flat[0]), rule=rule)
    return array


def check_correlators(correlators: ArrayLike, field: str = "correlators") -> FloatArray:
    """Return ``correlators``, shape (..., 3), as an array of states: all four weights of each are probabilities.

    Raises:
        InvalidValue: there are not three of them, or they belong to no state.
    """
    array = bounded(correlators, field)
    check_within(
        f"weights of {field}", weights(array), -TOLERANCE, 1 + TOLERANCE, "the correlators of a state have weights >= 0"
    )
    return array


def bounded(correlators: ArrayLike, field: str = "correlators") -> FloatArray:
    """Return ``correlators``, shape (..., 3), as an array of numbers in [-1, 1]: the cheap check of every operation.

    Raises:
        InvalidValue: the last axis has not three entries, or one is not in [-1, 1].
    """
    array = numbers(field, correlators)
    if array.ndim == 0 or array.shape[-1] != 3:
        rule = "its shape should end in 3: correlators (lx, ly, lz) along the last axis"
        raise InvalidValue(field=field, value=array.shape, rule=rule)
    return check_within(field, array, -1 - TOLERANCE, 1 + TOLERANCE, "a correlator lies in [-1, 1]")


# --------------------------------------------------------------------------------------------------------- converting


def correlators(weights: ArrayLike) -> FloatArray:
    """Return the correlators (..., 3) of pairs with Bell-diagonal weights (..., 4).

    Raises:
        InvalidValue: see ``check_weights``.
    """
    p = check_weights(weights)
    out = np.empty((*p.shape[:-1], 3))
    out[..., 0] = p[..., 0] + p[..., 1] - p[..., 2] - p[..., 3]
    out[..., 1] = p[..., 0] - p[..., 1] + p[..., 2] - p[..., 3]
    out[..., 2] = p[..., 0] - p[..., 1] - p[..., 2] + p[..., 3]
    return out


def weights(correlators: ArrayLike) -> FloatArray:
    """Return the Bell-diagonal weights (..., 4) = (pI, pX, pY, pZ) of pairs with correlators (..., 3).

    Raises:
        InvalidValue: the last axis has not three entries, or one is not in [-1, 1].
    """
    state = bounded(correlators)
    x, y, z = state[..., 0], state[..., 1], state[..., 2]
    out = np.empty((*state.shape[:-1], 4))
    out[..., 0] = (1 + x + y + z) / 4
    out[..., 1] = (1 + x - y - z) / 4
    out[..., 2] = (1 - x + y - z) / 4
    out[..., 3] = (1 - x - y + z) / 4
    return out


def werner(fidelity: ArrayLike) -> FloatArray:
    """Return the correlators (..., 3) of Werner states: all three are (4F - 1) / 3 (Werner 1989).

    Raises:
        InvalidValue: a fidelity is not in [0.25, 1].
    """
    w = (4 * check_fidelity(fidelity) - 1) / 3
    return np.repeat(w[..., None], 3, axis=-1)


def werner_twirled(correlators: ArrayLike) -> FloatArray:
    """Return the correlators of the Werner state of the same fidelity: what random bilateral rotations leave."""
    mean = bounded(correlators).mean(axis=-1, keepdims=True)
    return np.repeat(mean, 3, axis=-1)


def fidelity(correlators: ArrayLike) -> FloatArray:
    """Return the fidelities <Φ⁺|ρ|Φ⁺> = (1 + lx + ly + lz) / 4 of pairs with correlators (..., 3)."""
    state = bounded(correlators)
    return np.asarray((1 + state[..., 0] + state[..., 1] + state[..., 2]) / 4)


# ----------------------------------------------------------------------------------------------------- figures of merit


def entropy(correlators: ArrayLike) -> FloatArray:
    """Return the von Neumann entropies in bits: that of the four weights."""
    p = weights(correlators)
    return np.asarray((-p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1).clip(min=0.0))


def hashing_yield(correlators: ArrayLike) -> FloatArray:
    """Return the perfect pairs per pair that one-way hashing distils: max(0, 1 - entropy) (Bennett et al. 1996)."""
    return np.asarray(np.maximum(0.0, 1 - entropy(correlators)))


def log_negativity(correlators: ArrayLike) -> FloatArray:
    """Return the logarithmic negativities in bits: log2(2 max p) where a weight exceeds 1/2, else 0 (Plenio 2005)."""
    return np.asarray(np.log2(np.maximum(1.0, 2 * weights(correlators).max(axis=-1))))


# ----------------------------------------------------------------------------------------------------------- one state


def pauli_terms(correlators: ArrayLike) -> list[tuple[str, float]]:
    """Return the Pauli error of one pair on one of its halves, as the terms of Aer's ``pauli_error``.

    The same terms are the error of a qubit that was teleported over the pair.

    Raises:
        InvalidValue: not exactly one state, or none at all.
    """
    return list(zip(_PAULIS, one_state(correlators), strict=True))


def one_state(correlators: ArrayLike) -> tuple[float, float, float, float]:
    """Return the weights of one pair as plain numbers that are not negative and sum to 1.

    Raises:
        InvalidValue: not exactly one state, or none at all.
    """
    array = check_correlators(correlators)
    if array.shape != (3,):
        rule = "one state is needed: three correlators, no further axes"
        raise InvalidValue(field="shape of correlators", value=array.shape, rule=rule)
    p = weights(array).clip(min=0.0)
    p /= p.sum()
    return float(p[0]), float(p[1]), float(p[2]), float(p[3])


def density_matrix(correlators: ArrayLike) -> NDArray[np.complex128]:
    """Return the density matrices (..., 4, 4) in the computational basis; they are the same for either qubit order."""
    state = check_correlators(correlators)
    return np.asarray((np.eye(4) + np.einsum("...k,kij->...ij", state, _PRODUCTS)) / 4)
