"""Which values a physical parameter of a generation scheme may hold: the type of a field says its range.

A field typed ``Efficiency`` is checked to lie in (0, 1] when its scheme is made, and so are those of a third party's
scheme, which may add types of its own: ``Annotated[float, Range(...)]``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields


@dataclass(frozen=True, slots=True)
class Range:
    """Return the interval [least, most] of a parameter, open at an end that is excluded; whole numbers if ``whole``."""

    least: float
    most: float
    above: bool = False
    below: bool = False
    whole: bool = False

    def holds(self, value: object) -> bool:
        """Return whether ``value`` is a number of this interval; NaN, a bool and a text are none."""
        if not (fields.is_whole(value) if self.whole else fields.is_number(value)):
            return False
        low = self.least < value if self.above else self.least <= value  # type: ignore[operator]
        high = value < self.most if self.below else value <= self.most  # type: ignore[operator]
        return bool(low and high)

    @property
    def rule(self) -> str:
        """What a message says of the interval."""
        kind = "whole number" if self.whole else "number"
        return f"a {kind} in {'(' if self.above else '['}{self.least:g}, {self.most:g}{')' if self.below else ']'}"


Metres: TypeAlias = Annotated[float, Range(0, fields.FARTHEST_M)]
Nanoseconds: TypeAlias = Annotated[float, Range(0, fields.LONGEST_NS)]
Decibels: TypeAlias = Annotated[float, Range(0, 1e6)]
Efficiency: TypeAlias = Annotated[float, Range(0, 1, above=True)]
Chance: TypeAlias = Annotated[float, Range(0, 1, below=True)]
Share: TypeAlias = Annotated[float, Range(0, 1)]
Population: TypeAlias = Annotated[float, Range(0, 1, above=True, below=True)]
Fidelity: TypeAlias = Annotated[float, Range(0.25, 1)]
Radians: TypeAlias = Annotated[float, Range(0, 1e6)]
Photons: TypeAlias = Annotated[float, Range(0, 1e6)]
Index: TypeAlias = Annotated[float, Range(1, 1e6)]
Count: TypeAlias = Annotated[int, Range(1, 10**9, whole=True)]


def check(scheme: Any) -> None:
    """Check each field of a dataclass instance against its type, and keep numbers as plain Python ones.

    Raises:
        InvalidValue: a field holds a value outside its range or its choices.
    """
    kind: Any = type(scheme)
    owner = kind.__name__
    for name, (rule, choices, optional) in _rules(kind).items():
        value = getattr(scheme, name)
        if value is None and optional:
            continue
        if choices:
            if not any(type(value) is type(each) and value == each for each in choices):
                listed = ", ".join(repr(each) for each in choices)
                raise InvalidValue(field=name, value=value, rule=f"{owner} needs one of {listed}")
        elif rule is not None:
            if not rule.holds(value):
                raise InvalidValue(field=name, value=value, rule=f"{owner} needs {rule.rule}")
            object.__setattr__(scheme, name, int(value) if rule.whole else float(value))


@functools.cache
def _rules(kind: type[object]) -> dict[str, tuple[Range | None, tuple[object, ...], bool]]:
    rows: dict[str, tuple[Range | None, tuple[object, ...], bool]] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        options = (hint, *get_args(hint))
        ranges = [mark for each in options for mark in getattr(each, "__metadata__", ()) if isinstance(mark, Range)]
        choices = next((get_args(each) for each in options if get_origin(each) is Literal), ())
        if ranges or choices:
            rows[name] = (ranges[0] if ranges else None, choices, type(None) in options)
    return rows
