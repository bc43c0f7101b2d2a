"""What a decoder believes beforehand: the state of each Bell pair, and which pairs never came.

A decoder weighs errors by how likely they are. Pairs of a fabric are not alike: some links are better than others,
pairs age, and some never come, which the link announces. Here a model is made that knows all that, pair by pair.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.state import check_weights
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.links import with_weights

ERASED: Final = (0.25, 0.25, 0.25, 0.25)
"""Weights of a pair that is not there: whatever stands in for it carries no correlation."""


def with_missing(weights: ArrayLike, missing: ArrayLike) -> NDArray[np.float64]:
    """Return pair weights in which the pairs that did not come are erased.

    Args:
        weights: shape (pairs, 4), or (4,) for all alike.
        missing: whether each pair is missing, shape (pairs,).

    Raises:
        InvalidValue: the shapes do not fit each other, or weights are no probabilities.
    """
    rows, gone = check_weights(weights), np.asarray(missing, dtype=bool)
    if gone.ndim != 1 or rows.shape not in ((4,), (len(gone), 4)):
        rule = f"each of the {rows.shape[0] if rows.ndim == 2 else 'pairs'} is there or missing: one truth value each"
        raise InvalidValue(field="missing", value=gone.shape, rule=rule)
    return np.where(gone[:, None], ERASED, rows)


def mean_weights(weights: ArrayLike) -> NDArray[np.float64]:
    """Return the mean state for every pair, shape as given: what a decoder knows that does not look at its links.

    Args:
        weights: shape (pairs, 4).

    Raises:
        InvalidValue: weights are no probabilities.
    """
    rows = check_weights(weights)
    return np.broadcast_to(rows.mean(axis=0), rows.shape).copy() if rows.size else rows


def with_priors(
    experiment: Experiment, weights: ArrayLike | None = None, *, missing: ArrayLike | None = None
) -> stim.DetectorErrorModel:
    """Return the detector error model of an experiment with the state of each of its pairs.

    Compile a decoder for it to decode shots of the experiment with what the links told about their pairs. An erased
    pair costs a matching nothing.

    Args:
        experiment: with uses of links.
        weights: (pI, pX, pY, pZ) of each use, shape (uses, 4), or (4,) for all; None keeps those of the experiment.
        missing: whether each pair was announced missing, shape (uses,); such a pair is erased.

    Raises:
        InvalidValue: an array has another shape, or weights that are no probabilities.

    Cost: one analysis of the circuit by stim, tens of milliseconds at distance 5.
    """
    uses = len(experiment.links)
    rows = np.array([use.weights for use in experiment.links], dtype=np.float64).reshape(uses, 4)
    if weights is not None:
        rows = check_weights(weights)
        if rows.shape not in ((4,), (uses, 4)):
            rule = f"the experiment uses {uses} pairs, and each has four weights"
            raise InvalidValue(field="weights", value=rows.shape, rule=rule)
        rows = np.broadcast_to(rows, (uses, 4))
    if missing is not None:
        if np.shape(missing) != (uses,):
            rule = f"the experiment uses {uses} pairs, and each is there or missing"
            raise InvalidValue(field="missing", value=np.shape(missing), rule=rule)
        rows = with_missing(rows, missing)
    circuit = (with_weights(experiment, rows) if uses else experiment).circuit
    try:
        return circuit.detector_error_model(decompose_errors=True, approximate_disjoint_errors=True)
    except ValueError:  # Errors of this code are no edges: it is not for matching.
        return circuit.detector_error_model(approximate_disjoint_errors=True)
