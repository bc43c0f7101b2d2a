"""Angles with symbols: sympy expressions as Qiskit's parameter expressions, and back.

Cirq's symbols are equal when their names are, Qiskit's parameters when their identities are. So the identity of a
parameter made here follows from its name: circuits that come from Cirq share parameters as they shared symbols.
"""

from __future__ import annotations

import cmath
import math
import operator
import re
import uuid
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, Final

import sympy  # type: ignore[import-untyped]  # it comes with Cirq
from qiskit.circuit import Parameter, ParameterVector

_NAMES: Final = uuid.UUID("5d1c4f0e-7f0b-5f0e-9d0f-2f5a3c1b7e60")
_ELEMENT: Final = re.compile(r"(.+)\[(0|[1-9][0-9]{0,3})\]", re.DOTALL)
_FUNCTIONS: Final[Mapping[Any, str]] = {
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.asin: "arcsin",
    sympy.acos: "arccos",
    sympy.atan: "arctan",
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.Abs: "abs",
    sympy.sign: "sign",
}


class NoAngle(Exception):  # whoever converts says where it stands
    """An expression that is no angle on the other side; the text says why."""


def parameter(name: str) -> Parameter:
    """Return the parameter of that name, the same one each time."""
    return Parameter(name, uuid=uuid.uuid5(_NAMES, name))


# ------------------------------------------------------------------------------------------------------- from sympy


def angle_of(value: Any, scale: Any = 1) -> Any:
    """Return a number or sympy expression, times ``scale``, as a float or a ``ParameterExpression``.

    Raises:
        NoAngle: it is not real, not finite, or holds a function that Qiskit does not know.
    """
    if isinstance(value, sympy.Basic) or isinstance(scale, sympy.Basic):
        whole = sympy.sympify(value) * sympy.sympify(scale)
        return _parameters(whole) if whole.free_symbols else _real(whole)
    return _real(value) * scale


def half_turns(value: Any) -> Any:
    """Return pi times an exponent, as a float or a ``ParameterExpression``."""
    return angle_of(value, sympy.pi if isinstance(value, sympy.Basic) else math.pi)


def _real(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise NoAngle(f"{value} is no real number") from None
    if not math.isfinite(number):
        raise NoAngle(f"{value} is not finite")
    return number


def _parameters(expression: Any) -> Any:
    if not expression.free_symbols:
        return _real(expression)
    if isinstance(expression, sympy.Symbol):
        return parameter(expression.name)
    if isinstance(expression, sympy.Add | sympy.Mul):
        parts = [_parameters(each) for each in expression.args]
        return reduce(operator.add if isinstance(expression, sympy.Add) else operator.mul, parts)
    if isinstance(expression, sympy.Pow):
        base, exponent = (_parameters(each) for each in expression.args)
        return 1.0 / base if exponent == -1.0 else base**exponent
    name = _FUNCTIONS.get(expression.func)
    if name is None or len(expression.args) != 1:
        raise NoAngle(f"Qiskit's parameters know no {expression.func}")
    inner = _parameters(expression.args[0])
    return getattr(inner, name)()


def phase_angle(coefficient: Any) -> Any:
    """Return the angle of a unit coefficient, a complex number or such an expression as exp(I*t).

    Raises:
        NoAngle: it is not plainly of modulus one.
    """
    if not isinstance(coefficient, sympy.Basic):
        return cmath.phase(complex(coefficient))
    total: Any = 0.0
    for factor in sympy.Mul.make_args(coefficient):
        total = total + _one_phase(factor)
    return total


def _one_phase(factor: Any) -> Any:
    if not factor.free_symbols:
        number = complex(factor)
        if abs(abs(number) - 1) > 1e-8:
            raise NoAngle(f"{factor} is not of modulus one")
        return cmath.phase(number)
    base, exponent = factor.as_base_exp()
    if base == sympy.E:
        angle = sympy.expand(exponent / sympy.I)
        if angle.has(sympy.I):
            raise NoAngle(f"{factor} is not plainly of modulus one")
        return angle_of(angle)
    if not base.free_symbols and abs(abs(complex(base)) - 1) < 1e-8 and not exponent.has(sympy.I):
        return angle_of(exponent) * cmath.phase(complex(base))
    raise NoAngle(f"{factor} is not plainly of modulus one")


def vectors_of(names: Iterable[str]) -> dict[Parameter, Any]:
    """Return, for parameters called ``v[0]``, ``v[1]``, ..., the elements of one vector v in their place.

    Qiskit orders elements by number and other parameters by name, and so the values that are bound in that order.
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        if match := _ELEMENT.fullmatch(name):
            found.setdefault(match[1], {})[int(match[2])] = name
    return {
        parameter(name): vector[place]
        for base, places in found.items()
        for vector in (ParameterVector(base, max(places) + 1),)
        for place, name in places.items()
    }


# --------------------------------------------------------------------------------------------------------- to sympy


def expression_of(value: Any) -> Any:
    """Return a number or ``ParameterExpression`` as a float or a sympy expression.

    Raises:
        NoAngle: it is not real, or no expression of numbers.
    """
    if not getattr(value, "parameters", None):
        return _real(value)
    found = value.sympify()
    return found if found.free_symbols else _real(found)


def turns(value: Any) -> Any:
    """Return an angle over pi, as a float or an expression."""
    return value / (sympy.pi if isinstance(value, sympy.Basic) else math.pi)


def unit_phase(angle: Any) -> Any:
    """Return exp(i angle) of a number or a sympy expression."""
    return sympy.exp(sympy.I * angle) if isinstance(angle, sympy.Basic) else cmath.exp(1j * angle)
