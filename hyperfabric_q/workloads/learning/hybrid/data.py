"""Samples and what is wanted of them, checked, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.learning.training import Loss, cross_entropy, squared_error
from hyperfabric_q.workloads.learning.turns import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Samples with what is wanted of them.

    Attributes:
        rows: shape (N, features).
        wanted: shape (N, outputs): a 1 for the right class, or the target in units of ``unit`` from ``mean``.
        classes: the labels; None for a regression.
        mean: of the targets.
        unit: standard deviation of the targets.
    """

    rows: Floats
    wanted: Floats
    classes: NDArray[Any] | None
    mean: float = 0.0
    unit: float = 1.0

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def loss(self, places: NDArray[np.int64] | slice) -> Loss:
        """Return the loss of the outputs of some samples."""
        chosen = self.wanted[places]
        return squared_error(chosen) if self.classes is None else cross_entropy(chosen)

    def like(self, rows: Any, y: Any) -> Samples:
        """Return other samples of the same kind.

        Raises:
            InvalidValue: they have other features, or labels that these have not.
        """
        found = checked_rows(rows, self.rows.shape[1])
        labels = _column(y, found)
        if self.classes is None:
            wanted = (_numbers(labels) - self.mean) / self.unit
            return Samples(rows=found, wanted=wanted[:, None], classes=None, mean=self.mean, unit=self.unit)
        known = self.classes.tolist()
        strange = [each for each in labels.tolist() if each not in known]
        if strange:
            raise InvalidValue(field="validation", value=strange[0], rule=f"labels are those of training: {known}")
        codes = np.array([known.index(each) for each in labels.tolist()], dtype=np.int64)
        return Samples(rows=found, wanted=np.eye(len(known))[codes], classes=self.classes)


def samples_of(rows: Any, y: Any, *, task: str) -> Samples:
    """Return samples X (N, features) and their labels or targets y (N,).

    Raises:
        InvalidValue: they are no finite numbers, there are not as many labels as samples, or only one class.
    """
    found = checked_rows(rows, None)
    labels = _column(y, found)
    if task == "regression":
        targets = _numbers(labels)
        mean, unit = float(targets.mean()), float(targets.std()) or 1.0
        return Samples(rows=found, wanted=((targets - mean) / unit)[:, None], classes=None, mean=mean, unit=unit)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InvalidValue(field="y", value=len(classes), rule="there are at least two classes")
    return Samples(rows=found, wanted=np.eye(len(classes))[codes.reshape(-1)], classes=classes)


def checked_rows(given: Any, features: int | None) -> Floats:
    """Return samples as an array (N, features).

    Raises:
        InvalidValue: they are no rows of finite numbers, or have other features.
    """
    try:
        rows = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.array(np.nan)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise InvalidValue(field="X", value=np.shape(rows), rule="samples are rows of finite numbers, one per feature")
    if features is not None and rows.shape[1] != features:
        raise InvalidValue(field="X", value=rows.shape, rule=f"samples have the {features} features of training")
    return np.ascontiguousarray(rows)


def _column(given: Any, rows: Floats) -> NDArray[Any]:
    found = np.asarray(given)
    if found.shape != (len(rows),):
        raise InvalidValue(field="y", value=found.shape, rule=f"there is one for each of {len(rows)} samples")
    return found


def _numbers(labels: NDArray[Any]) -> Floats:
    try:
        found = labels.astype(np.float64)
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if not np.isfinite(found).all():
        raise InvalidValue(field="y", value=labels.dtype.name, rule="targets are finite numbers")
    return found
