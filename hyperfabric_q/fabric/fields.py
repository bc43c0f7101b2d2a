"""Which values a field of a fabric may hold: the checks that nodes, links and zones share.

Each function returns the value in its canonical type, or raises ``InvalidValue`` naming the field, its owner and the
rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeGuard, TypeVar

import numpy as np

from hyperfabric_q.errors import InvalidValue, nearest
from hyperfabric_q.units import PS_PER_NS, PS_PER_US

LONGEST_PS: Final = 2**63 - 1
"""What the 64-bit picosecond clock holds, about 106 days."""

LONGEST_NS: Final = LONGEST_PS // PS_PER_NS
LONGEST_US: Final = LONGEST_PS // PS_PER_US
FARTHEST_M: Final = 1e13
FASTEST_GBPS: Final = 1e9
FASTEST_HZ: Final = 1e12
LARGEST_COUNT: Final = 10**9
LONGEST_ID: Final = 64
LONGEST_TEXT: Final = 2_000

ID_RULE: Final = (
    f"an id is 1 to {LONGEST_ID} ASCII letters, digits, '.', '_' or '-', beginning with a letter or digit, without '..'"
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Member = TypeVar("Member", bound=StrEnum)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is a number of Python or NumPy; a bool and a text are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether ``value`` is an integer of Python or NumPy; a bool and 2.0 are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def identifier(field: str, value: object) -> str:
    """Return ``value`` as an id, which is safe as a file name and as part of a register name.

    Raises:
        InvalidValue: it is not text, or breaks the rule stated in the message.
    """
    if not isinstance(value, str) or len(value) > LONGEST_ID or ".." in value or not _ID.fullmatch(value):
        raise InvalidValue(field=field, value=value, rule=ID_RULE)
    return str.__str__(value)


def number(
    field: str,
    value: object,
    owner: str,
    *,
    least: float = 0,
    most: float,
    unit: str = "",
    above: bool = False,
) -> float:
    """Return ``value`` as a finite float in [least, most], or in (least, most] when ``above``.

    Raises:
        InvalidValue: it is no number (a bool and a text are none), not finite, or out of range.
    """
    # A NaN fails each comparison, and an integer too large for a float fails the second one before it is converted.
    if is_number(value) and (least < value if above else least <= value) and value <= most:
        return float(value)
    bounds = f"above {least:g}" if above else f"of at least {least:g}"
    tail = f" {unit}" if unit else ""
    raise InvalidValue(field=field, value=value, rule=f"{owner} needs a number {bounds} and at most {most:g}{tail}")


def count(field: str, value: object, owner: str, *, least: int, most: int = LARGEST_COUNT, what: str) -> int:
    """Return ``value`` as a whole number in [least, most].

    Raises:
        InvalidValue: it is no whole number (a bool, a text and 2.0 are none), or out of range.
    """
    if is_whole(value) and least <= value <= most:
        return int(value)
    raise InvalidValue(
        field=field, value=value, rule=f"{owner} needs a whole number of {what}, at least {least} and at most {most}"
    )


def probability(field: str, value: object, owner: str) -> float:
    """Return ``value`` as a probability.

    Raises:
        InvalidValue: it is not a number in [0, 1].
    """
    if is_number(value) and 0 <= value <= 1:
        return float(value)
    raise InvalidValue(field=field, value=value, rule=f"{owner} needs a probability, a number in [0, 1]")


def text(field: str, value: object, owner: str, *, most: int = LONGEST_TEXT) -> str:
    """Return ``value`` as text that can be written to a UTF-8 file.

    Raises:
        InvalidValue: it is no text, is too long, or holds a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidValue(field=field, value=value, rule=f"{owner} needs text")
    if len(value) > most:
        raise InvalidValue(field=field, value=value, rule=f"{owner} needs text of at most {most} characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidValue(field=field, value=value, rule=f"{owner} needs text without lone surrogates")
    return str.__str__(value)


def member(field: str, value: object, kind: type[Member], owner: str) -> Member:
    """Return ``value``, a member of the enumeration ``kind``.

    Raises:
        InvalidValue: it is none; a text is none either, and the message says which member was probably meant.
    """
    if isinstance(value, kind):
        return value
    names = [each.name for each in kind]
    close = nearest(str(value).upper(), names) if isinstance(value, str) else None
    remedy = f"Did you mean {kind.__name__}.{close}?" if close else f"Members: {', '.join(names)}."
    raise InvalidValue(field=field, value=value, rule=f"{owner} needs a member of {kind.__name__}", remedy=remedy)


def identifiers(field: str, value: object, owner: str, *, most: int) -> tuple[str, ...]:
    """Return ``value`` as a tuple of different ids.

    Raises:
        InvalidValue: it is no sequence of ids, an id comes twice, or there are more than ``most``.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidValue(field=field, value=value, rule=f"{owner} needs a sequence of node ids")
    ids = tuple(identifier(field, each) for each in value)
    if len(set(ids)) < len(ids):
        twice = next(each for each in ids if ids.count(each) > 1)
        raise InvalidValue(field=field, value=value, rule=f"{owner} names {twice!r} twice")
    if len(ids) > most:
        raise InvalidValue(
            field=field, value=value, rule=f"{owner} holds at most {most} nodes, and {len(ids)} are named"
        )
    return ids
