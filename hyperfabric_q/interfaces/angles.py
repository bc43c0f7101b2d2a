"""The angles of a circuit as functions of its parameters, for all bindings at once.

An angle that is a sum of multiples of parameters, as nearly all are, is a row of a matrix. Others are bound one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue

Floats = NDArray[np.float64]


class Angles:
    """Angles by number, in the order they were added."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        """Begin with none.

        Args:
            parameters: of the circuit, in the order in which their values are given.
        """
        self._parameters = tuple(parameters)
        self._index = {parameter: place for place, parameter in enumerate(self._parameters)}
        self._slopes: list[Floats] = []
        self._offsets: list[float] = []
        self._others: dict[int, Any] = {}

    def __len__(self) -> int:
        """Return the number of angles."""
        return len(self._offsets)

    def add(self, angle: Any) -> int:
        """Return the number of a new angle, a number or a ``ParameterExpression``."""
        slopes, offset = np.zeros(len(self._parameters)), 0.0
        names = getattr(angle, "parameters", ())
        gradient = {parameter: angle.gradient(parameter) for parameter in names}
        if all(isinstance(slope, int | float) for slope in gradient.values()):
            for parameter, slope in gradient.items():
                slopes[self._index[parameter]] = slope
            offset = float(angle.bind(dict.fromkeys(names, 0.0)) if names else angle)
        else:
            self._others[len(self)] = angle
        self._slopes.append(slopes)
        self._offsets.append(offset)
        return len(self) - 1

    def values(self, bindings: Floats) -> Floats:
        """Return the angles, shape (bindings, angles), for values of shape (bindings, parameters).

        Raises:
            InvalidValue: a value, or an angle that follows from it, is no finite real number.
        """
        if not np.isfinite(bindings).all():
            raise InvalidValue(field="parameter_values", value=bindings, rule="every value is a finite number")
        slopes = np.array(self._slopes).reshape(len(self), len(self._parameters))
        found: Floats = bindings @ slopes.T + np.array(self._offsets)
        for number, angle in self._others.items():
            names = tuple(angle.parameters)
            columns = [self._index[parameter] for parameter in names]
            for row, values in enumerate(bindings[:, columns].tolist()):
                found[row, number] = _real(angle.bind(dict(zip(names, values, strict=True))))
        return found


def _real(angle: Any) -> float:
    try:
        value = float(angle)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise InvalidValue(field="parameter_values", value=str(angle), rule="an angle is a finite real number")
    return value
