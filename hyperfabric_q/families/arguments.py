"""Which sizes and options a circuit family accepts: the checks that every generator starts with.

A generator must never hang on a slip of the keyboard, so each one that could says how many gates it is about to emit
before it emits them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np

from hyperfabric_q.errors import InvalidValue, nearest

MAX_QUBITS: Final = 100_000
"""Widest circuit that a family writes."""

MAX_GATES: Final = 3_000_000
"""Longest circuit that a family writes, in instructions: some twenty seconds of work."""


def whole(field: str, value: object, *, least: int, most: int = MAX_QUBITS) -> int:
    """Return ``value`` as an int in [least, most].

    Raises:
        InvalidValue: it is not a whole number, or lies outside.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    raise InvalidValue(field=field, value=_shown(value), rule=f"{field} must be a whole number from {least} to {most}")


def basis_number(field: str, value: object, *, bits: int) -> int:
    """Return ``value`` as an int that fits into ``bits`` bits.

    Raises:
        InvalidValue: it is not a whole number, is negative, or needs more bits.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if number >= 0 and number.bit_length() <= bits:
            return number
    raise InvalidValue(
        field=field, value=_shown(value), rule=f"{field} must be a whole number that fits into {bits} bits"
    )


def real(field: str, value: object, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Return ``value`` as a finite float in [least, most].

    Raises:
        InvalidValue: it is not a finite number, or lies outside.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        number: Any = value
        if abs(number) <= sys.float_info.max and least <= number <= most:
            return float(number)
    bounds = "" if math.isinf(least) else f" from {least:g} to {most:g}"
    raise InvalidValue(field=field, value=_shown(value), rule=f"{field} must be a finite number{bounds}")


def _shown(value: object) -> object:
    """Return ``value``, or a stand-in for a number so long that Python refuses to print it."""
    if isinstance(value, int) and value.bit_length() > 4096:
        return f"a number of {value.bit_length()} bits"
    return value


def angles(field: str, value: object, *, count: int | None = None) -> tuple[float, ...]:
    """Return ``value`` as finite angles in radians, ``count`` of them unless that is None.

    Raises:
        InvalidValue: there are more or fewer, or one is not a finite number.
    """
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        found = tuple(real(f"{field}[{place}]", angle) for place, angle in enumerate(value))
        if count is None or len(found) == count:
            return found
    many = "" if count is None else f"{count} "
    raise InvalidValue(field=field, value=value, rule=f"{field} must be a sequence of {many}angles in radians")


def one_of(field: str, value: str, known: Collection[str]) -> str:
    """Return ``value`` if it is one of the ``known`` words.

    Raises:
        InvalidValue: it is not; the error lists the words and the nearest match.
    """
    if value not in known:
        close = nearest(str(value), known)
        listed = ", ".join(repr(each) for each in known)
        remedy = f"Did you mean {close!r}?" if close else ""
        raise InvalidValue(field=field, value=value, rule=f"{field} must be one of {listed}", remedy=remedy)
    return value


def affordable(field: str, value: object, gates: int) -> None:
    """Refuse a circuit of more than ``MAX_GATES`` instructions before it is written.

    Raises:
        InvalidValue: ``field`` = ``value`` would need that many.
    """
    if gates > MAX_GATES:
        raise InvalidValue(
            field=field,
            value=value,
            rule=f"this circuit would hold about {gates} gates, and a family writes at most {MAX_GATES}",
            remedy=f"Lower {field}.",
        )


def simple_edges(field: str, value: object, *, qubits: int) -> tuple[tuple[int, int], ...]:
    """Return ``value`` as the edges (a < b) of a simple graph on ``qubits`` vertices, in the order given.

    Raises:
        InvalidValue: an edge is not a pair of two different vertices, or occurs twice.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidValue(field=field, value=value, rule=f"{field} must be a sequence of pairs of qubit numbers")
    seen: dict[tuple[int, int], None] = {}
    for place, edge in enumerate(value):
        here = f"{field}[{place}]"
        if isinstance(edge, str) or not isinstance(edge, Sequence) or len(edge) != 2:
            raise InvalidValue(field=here, value=edge, rule="an edge is a pair of qubit numbers")
        a, b = sorted(whole(here, end, least=0, most=qubits - 1) for end in edge)
        if a == b or (a, b) in seen:
            raise InvalidValue(field=here, value=edge, rule="an edge joins two different qubits, and occurs once")
        seen[a, b] = None
    return tuple(seen)
