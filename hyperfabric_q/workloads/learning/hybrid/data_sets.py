"""Data to learn from: sets that ship with scikit-learn, and tables of numbers in files."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import FileUnreadable, InvalidValue, MissingDependency, UnknownName
from hyperfabric_q.seeds import stream
from hyperfabric_q.workloads.learning.turns import Floats

NAMES: Final = {
    "iris": "load_iris",
    "wine": "load_wine",
    "breast_cancer": "load_breast_cancer",
    "digits": "load_digits",
    "diabetes": "load_diabetes",
}
LARGEST_BYTES: Final = 64 * 1024 * 1024

_SPLIT_SEED: Final = 0
"""Which samples are tested on is part of the data, not of the training: the same for every seed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSet:
    """Samples to learn from and samples to test on; features have mean 0 and variance 1 over the former.

    Attributes:
        rows, labels: to learn from.
        test_rows, test_labels: to test on; none where the share is 0.
    """

    rows: Floats
    labels: NDArray[Any]
    test_rows: Floats
    test_labels: NDArray[Any]


def data_set(
    *,
    name: str | None = None,
    file: str | None = None,
    folder: Path = Path(),
    task: str = "classification",
    classes: Sequence[int] | None = None,
    components: int | None = None,
    samples: int | None = None,
    test_share: float = 0.25,
) -> DataSet:
    """Return a data set, shuffled and split always alike.

    Args:
        name: of a set that ships with scikit-learn.
        file: instead: path of a CSV file with one line of headings; the last column is the label or target.
        folder: that ``file`` is relative to.
        task: "classification" or "regression".
        classes: labels that are kept; None = all.
        components: principal components that are kept instead of the features; None = the features themselves.
        samples: how many are kept; None = all.
        test_share: of them, that is not learnt from.

    Raises:
        UnknownName: there is no such set.
        MissingDependency: it needs scikit-learn.
        FileUnreadable: the file is missing, or no table of numbers.
        InvalidValue: an option is out of range.
    """
    if (name is None) == (file is None):
        raise InvalidValue(field="name", value=name, rule="either a name or a file is given")
    if name is not None:
        rows, labels = _shipped(name)
    else:
        rows, labels = _table(folder / str(file))
    if task == "classification" and file is not None:
        labels = labels.astype(np.int64)
    if classes is not None:
        kept = np.isin(labels, list(classes))
        rows, labels = rows[kept], labels[kept]
        if len(set(labels.tolist())) < 2:
            raise InvalidValue(field="classes", value=list(classes), rule="at least two of the labels are kept")
    if not 0 <= test_share < 1:
        raise InvalidValue(field="test_share", value=test_share, rule="it is from 0 to below 1")
    if samples is not None and not 2 <= samples <= len(rows):
        raise InvalidValue(field="samples", value=samples, rule=f"it is from 2 to {len(rows)}")
    order = stream(_SPLIT_SEED, "hybrid", "data").permutation(len(rows))[:samples]
    held = round(test_share * len(order))
    learnt, tested = order[held:], order[:held]
    fitted = _Scaling.of(rows[learnt], components)
    return DataSet(
        rows=fitted(rows[learnt]),
        labels=labels[learnt],
        test_rows=fitted(rows[tested]) if held else np.zeros((0, 1)),
        test_labels=labels[tested],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scaling:
    """Features to components of mean 0 and variance 1."""

    mean: Floats
    axes: Floats
    unit: Floats

    @classmethod
    def of(cls, rows: Floats, components: int | None) -> _Scaling:
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        scaled = (rows - mean) / np.where(spread > 0, spread, 1.0)
        axes = np.diag(1 / np.where(spread > 0, spread, 1.0))
        if components is not None:
            most = min(rows.shape)
            if not 1 <= components <= most:
                raise InvalidValue(field="components", value=components, rule=f"it is from 1 to {most}")
            turned = np.linalg.svd(scaled, full_matrices=False)[2][:components]
            # An axis has no sign of its own: its largest entry is positive.
            signs = np.sign(turned[np.arange(components), np.abs(turned).argmax(axis=1)])
            axes = axes @ (turned * signs[:, None]).T
        unit = ((rows - mean) @ axes).std(axis=0)
        return cls(mean=mean, axes=axes, unit=np.where(unit > 0, unit, 1.0))

    def __call__(self, rows: Floats) -> Floats:
        return np.asarray((rows - self.mean) @ self.axes / self.unit)


def _shipped(name: str) -> tuple[Floats, NDArray[Any]]:
    if name not in NAMES:
        raise UnknownName(kind="data set", name=name, known=tuple(NAMES))
    try:
        sets: Any = importlib.import_module("sklearn.datasets")
    except ImportError:
        raise MissingDependency(what=f"the data set {name!r}", package="scikit-learn", extra="test") from None
    rows, labels = getattr(sets, NAMES[name])(return_X_y=True)
    return np.asarray(rows, dtype=np.float64), np.asarray(labels)


def _table(path: Path) -> tuple[Floats, NDArray[Any]]:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            reason = "it is no file, or larger than 64 MB"
            raise FileUnreadable(path=str(path), reason=reason, remedy="Name a CSV file.")
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, encoding="utf-8-sig")
    except (OSError, ValueError) as fault:
        if isinstance(fault, FileUnreadable):
            raise
        remedy = "A heading, then numbers with commas between them, the label last."
        raise FileUnreadable(path=str(path), reason=str(fault), remedy=remedy) from None
    if table.shape[1] < 2 or len(table) < 2 or not np.isfinite(table).all():
        raise FileUnreadable(path=str(path), reason="it holds no two finite samples with a feature and a label")
    return table[:, :-1], table[:, -1]
