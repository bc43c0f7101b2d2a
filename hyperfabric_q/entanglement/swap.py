"""What a Bell measurement makes of two pairs: entanglement swapping, ideal and noisy, and chains of it.

Swapping adds the Pauli errors of both pairs, so their correlators multiply (Briegel, Dür, Cirac, Zoller 1998). A wrong
outcome bit means a wrong Pauli correction, and a depolarised gate leaves nothing. All pairs here are Bell-diagonal;
with stored halves this is exact as long as corrections are deferred to the end and each half is charged for its whole
storage time (``memory.wait`` per elementary pair). For corrections applied at once see ``memory.swap_carried``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement.state import (
    FloatArray,
    bounded,
    check_depolarising,
    check_fidelity,
    check_probability,
)
from hyperfabric_q.errors import InvalidValue


def swap(
    left: ArrayLike,
    right: ArrayLike,
    *,
    depolarising: ArrayLike = 0.0,
    readout_x: ArrayLike = 0.0,
    readout_z: ArrayLike = 0.0,
) -> FloatArray:
    """Return the correlators (..., 3) of the pairs that a Bell measurement on one half of each makes.

    Args:
        left: correlators (..., 3).
        right: correlators (..., 3).
        depolarising: parameter of the two-qubit depolarising channel after the measurement's CNOT (Aer's meaning).
        readout_x: probability that the bit of the X-basis qubit is wrong, which misses or adds a Z correction.
        readout_z: the same of the Z-basis qubit, which misses or adds an X correction.

    Raises:
        InvalidValue: an error is out of range, or the pairs are none.
    """
    product = bounded(left, "left") * bounded(right, "right")
    factor = _factor(depolarising, readout_x, readout_z)
    return product if factor is None else product * factor


def chain(
    correlators: ArrayLike,
    *,
    depolarising: ArrayLike = 0.0,
    readout_x: ArrayLike = 0.0,
    readout_z: ArrayLike = 0.0,
) -> FloatArray:
    """Return the correlators (..., 3) of the pairs that join n links end to end by n - 1 Bell measurements.

    The order of the measurements makes no difference.

    Args:
        correlators: the links, (..., n, 3), n >= 1.
        depolarising: see ``swap``: one number for all measurements, or (..., n - 1) of them.
        readout_x: likewise.
        readout_z: likewise.

    Raises:
        InvalidValue: there is no link, an error is out of range, or there are not n - 1 errors.
    """
    links = bounded(correlators)
    if links.ndim < 2 or links.shape[-2] < 1:
        raise InvalidValue(
            field="shape of correlators",
            value=links.shape,
            rule="a chain has shape (..., n, 3), with one row for each of its n >= 1 links",
        )
    swaps = links.shape[-2] - 1
    product = np.asarray(links.prod(axis=-2))
    factor = _factor(depolarising, readout_x, readout_z)
    if factor is None:
        return product
    if factor.ndim == 1:
        return np.asarray(product * factor**swaps)
    if factor.shape[-2] != swaps:
        raise InvalidValue(
            field="errors of the Bell measurements",
            value=factor.shape[-2],
            rule=f"a chain of {swaps + 1} links has {swaps} Bell measurement(s): give one number, or {swaps} of them",
        )
    return np.asarray(product * factor.prod(axis=-2))


def werner_chain_fidelity(fidelity: ArrayLike, links: ArrayLike) -> FloatArray:
    """Return the fidelity of ``links`` equal Werner pairs swapped ideally, (1 + 3 ((4F - 1) / 3)^links) / 4.

    Raises:
        InvalidValue: a fidelity is not in [0.25, 1], or there is no link.
    """
    hops = np.asarray(links)
    if not np.issubdtype(hops.dtype, np.integer) or (hops.size and hops.min() < 1):
        raise InvalidValue(field="links", value=links, rule="a chain has a whole number of links, at least 1")
    w = (4 * check_fidelity(fidelity) - 1) / 3
    return np.asarray((1 + 3 * w**hops) / 4)


def _factor(depolarising: ArrayLike, readout_x: ArrayLike, readout_z: ArrayLike) -> FloatArray | None:
    """Return what one noisy Bell measurement multiplies the correlators by, (..., 3); None = nothing."""
    gate = 1 - check_depolarising(depolarising)
    flip_x = 1 - 2 * check_probability("readout_x", readout_x)
    flip_z = 1 - 2 * check_probability("readout_z", readout_z)
    x, y, z = np.broadcast_arrays(gate * flip_x, gate * flip_x * flip_z, gate * flip_z)
    factor = np.stack([x, y, z], axis=-1)
    return None if np.all(factor == 1) else factor
