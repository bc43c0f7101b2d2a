"""Which points does a sweep have, and which fabric does each mean?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, product
from typing import Any, Final, TypeAlias

import numpy as np

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric import Fabric

Point: TypeAlias = dict[str, Any]
"""Path -> value."""

WantedPoints: TypeAlias = Mapping[str, Sequence[Any] | np.ndarray] | Sequence[Mapping[str, Any]]
"""Values by path, of which the product is taken; or the points themselves."""

RUN_OPTIONS: Final = ("shots", "method", "noise", "timelines")
"""Paths that are no part of the fabric."""

MOST_POINTS: Final = 100_000

_EXAMPLE: Final = 'Write {"links.*.pair_fidelity": [0.9, 0.95], "nodes.qpu-0.t1_us": [100, 200]}.'


def points_of(wanted: object) -> tuple[tuple[str, ...], tuple[Point, ...]]:
    """Return the paths, and the points in order: of a product, the last path varies fastest.

    Args:
        wanted: see ``WantedPoints``.

    Raises:
        InvalidValue: it is no such thing, a path has no values, or there are more than ``MOST_POINTS`` points.
        UnknownName: a path names neither a part of a fabric nor an option of a run.
    """
    if isinstance(wanted, Mapping):
        lists = {_path(path): _values(path, values) for path, values in wanted.items()}
        _check_count(math.prod(len(values) for values in lists.values()) if lists else 0)
        paths = tuple(lists)
        return paths, tuple(dict(zip(paths, row, strict=True)) for row in product(*lists.values()))
    if not isinstance(wanted, Sequence) or isinstance(wanted, str | bytes):
        raise _refusal(wanted, "it is a mapping of paths to values, or a sequence of points")
    _check_count(len(wanted))
    points = []
    for given in wanted:
        if not isinstance(given, Mapping):
            raise _refusal(given, "each point is a mapping of paths to values")
        points.append({_path(path): _plain(value) for path, value in given.items()})
    return tuple(dict.fromkeys(path for point in points for path in point)), tuple(points)


def changed(fabric: Fabric, point: Mapping[str, Any]) -> Fabric:
    """Return the fabric that a point means; options of the run are passed over.

    Neighbouring paths to fields of the same parts are set together, for the sake of fields that limit one another.

    Raises:
        UnknownName: nothing matches a path, or there is no such field.
        InvalidValue: a value breaks its field's rule.
    """
    split = ((*path.rpartition(".")[::2], value) for path, value in point.items() if path not in RUN_OPTIONS)
    for pattern, rows in groupby(split, key=lambda row: row[0]):
        fabric = fabric.replace(pattern, **{field: value for _, field, value in rows})
    return fabric


def _path(path: object) -> str:
    if not isinstance(path, str):
        raise _refusal(path, "a path is text")
    if path not in RUN_OPTIONS and path.count(".") < 2:
        kinds = ("nodes.<id>.<field>", "links.<a>--<b>.<field>", "zones.<id>.<field>")
        raise UnknownName(kind="path", name=path[:200], known=(*RUN_OPTIONS, *kinds))
    return path


def _values(path: object, values: object) -> tuple[Any, ...]:
    if isinstance(values, np.ndarray) and values.ndim:
        values = list(values)
    if not isinstance(values, Sequence) or isinstance(values, str | bytes) or not values:
        raise InvalidValue(
            field=f"values of {path!r}", value=values, rule="they are a sequence of at least one value", remedy=_EXAMPLE
        )
    return tuple(_plain(value) for value in values)


def _plain(value: Any) -> Any:
    """The value as a job can carry it and a field of the fabric takes it."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(value.tolist()) if isinstance(value, np.ndarray) else value


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_POINTS:
        raise _refusal(count, f"a sweep has 1 to {MOST_POINTS:,} points")


def _refusal(value: object, rule: str) -> InvalidValue:
    return InvalidValue(field="points", value=value, rule=rule, remedy=_EXAMPLE)
