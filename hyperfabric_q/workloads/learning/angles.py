"""Which angle does each turn of a circuit have, given the parameters, and how do derivatives pass between them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """An angle that is no affine function of the parameters, with its derivatives by those that it depends on."""

    turn: int
    expression: Any
    derivatives: tuple[tuple[int, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Angles:
    """The angles of K turns as functions of P parameters: slopes and offsets, and curves where those are not enough.

    Attributes:
        parameters: Qiskit's, in the circuit's order.
        slopes: shape (K, P); 0 for curves.
        offsets: shape (K,).
        curves: all others.
    """

    parameters: tuple[Any, ...]
    slopes: Floats
    offsets: Floats
    curves: tuple[Curve, ...]

    @classmethod
    def of(cls, expressions: Sequence[Any], parameters: Sequence[Any]) -> Angles:
        """Return the angles that these expressions spell; O(K x parameters of each)."""
        place = {each: number for number, each in enumerate(parameters)}
        slopes, offsets = np.zeros((len(expressions), len(parameters))), np.zeros(len(expressions))
        curves: list[Curve] = []
        for turn, expression in enumerate(expressions):
            own = sorted(expression.parameters, key=place.__getitem__)
            derivatives = [(place[each], expression.gradient(each)) for each in own]
            if all(_is_number(each) for _, each in derivatives):
                for number, each in derivatives:
                    slopes[turn, number] = _number(each)
                offsets[turn] = _number(expression.bind(dict.fromkeys(own, 0.0)))
            else:
                curves.append(Curve(turn=turn, expression=expression, derivatives=tuple(derivatives)))
        slopes.setflags(write=False)
        offsets.setflags(write=False)
        return cls(parameters=tuple(parameters), slopes=slopes, offsets=offsets, curves=tuple(curves))

    def __len__(self) -> int:
        """Return the number of turns."""
        return len(self.offsets)

    def bindings(self, given: Any) -> Floats:
        """Return parameter values as rows, shape (B, P).

        Args:
            given: one row or several, in the circuit's order of parameters; or one mapping by parameter or name.

        Raises:
            InvalidValue: other parameters than the circuit's, or no finite numbers.
        """
        if isinstance(given, Mapping):
            named = {getattr(key, "name", key): value for key, value in given.items()}
            names = [each.name for each in self.parameters]
            if set(named) != set(names) or len(named) != len(given):
                rule = f"each parameter of the circuit has one value: {', '.join(names[:12]) or 'there is none'}"
                raise InvalidValue(field="parameters", value=sorted(map(str, named)), rule=rule)
            given = [named[name] for name in names]
        rule = f"they are rows of {len(self.parameters)} finite real numbers, one for each parameter of the circuit"
        if np.iscomplexobj(given):
            raise InvalidValue(field="parameters", value=given, rule=rule)
        try:
            rows = np.atleast_2d(np.asarray(given, dtype=np.float64))
        except (TypeError, ValueError):
            raise InvalidValue(field="parameters", value=given, rule=rule) from None
        if rows.ndim != 2 or rows.shape[1] != len(self.parameters) or not np.isfinite(rows).all():
            raise InvalidValue(field="parameters", value=given, rule=rule)
        return np.ascontiguousarray(rows)

    def at(self, bindings: Floats) -> Floats:
        """Return the angles of every row, shape (B, K)."""
        angles: Floats = bindings @ self.slopes.T + self.offsets
        for curve in self.curves:
            angles[:, curve.turn] = self._along(curve.expression, bindings)
        return angles

    def turns_of(self, columns: NDArray[np.int64]) -> list[int]:
        """Return the turns that some of the parameters move, ascending."""
        moved = (self.slopes[:, columns] != 0).any(axis=1)
        wanted = set(columns.tolist())
        for curve in self.curves:
            moved[curve.turn] = any(number in wanted for number, _ in curve.derivatives)
        return [int(turn) for turn in np.flatnonzero(moved)]

    def chain(self, bindings: Floats, by_turn: Floats) -> Floats:
        """Return derivatives by the parameters, (B, m, P), from those by the turns, (B, m, K)."""
        found: Floats = by_turn @ self.slopes
        for curve in self.curves:
            for number, derivative in curve.derivatives:
                found[:, :, number] += by_turn[:, :, curve.turn] * self._along(derivative, bindings)[:, None]
        return found

    def chain_variance(self, bindings: Floats, by_turn: Floats) -> Floats:
        """Return the variances of ``chain``, from those of independent derivatives by the turns, (B, m, K)."""
        found = np.zeros((*by_turn.shape[:2], len(self.parameters)))
        for row in range(len(bindings)):
            slopes = self.slopes.copy()
            for curve in self.curves:
                for number, derivative in curve.derivatives:
                    slopes[curve.turn, number] = self._along(derivative, bindings[row : row + 1])[0]
            found[row] = by_turn[row] @ slopes**2
        return found

    def _along(self, expression: Any, bindings: Floats) -> Floats:
        """Return an expression's value in every row."""
        if _is_number(expression):
            return np.full(len(bindings), _number(expression))
        place = {each: number for number, each in enumerate(self.parameters)}
        own = [(each, place[each]) for each in expression.parameters]
        return np.array([_number(expression.bind({each: row[at] for each, at in own})) for row in bindings])


def _is_number(expression: Any) -> bool:
    return not getattr(expression, "parameters", None)


def _number(expression: Any) -> float:
    """Return a bound expression as a real number.

    Raises:
        InvalidValue: it is not real, or not finite.
    """
    try:
        value = complex(expression)
    except (TypeError, ValueError, ZeroDivisionError):
        value = complex("nan")
    if abs(value.imag) > 1e-12 or not np.isfinite(value.real):
        raise InvalidValue(field="angle", value=str(expression), rule="an angle is a finite real number")
    return float(value.real)
