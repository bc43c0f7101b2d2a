"""The root of all exceptions and warnings of this package, and how they word values and names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``name``, or None when nothing is close or it is no text."""
    if not isinstance(name, str):
        return None
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def short(value: object) -> str:
    """A short repr; Python refuses to write out whole numbers of thousands of digits."""
    try:
        text = repr(value)
    except ValueError:
        return f"a {type(value).__name__} too long to print"
    return text if len(text) <= 120 else text[:117] + "..."


def _rebuild(cls: type[HyperFabricError], fields: dict[str, object]) -> HyperFabricError:
    fault = cls.__new__(cls)
    fault.__dict__.update(fields)
    return fault


class HyperFabricError(Exception):
    """Base of every error raised on purpose by this package.

    Attributes:
        partial: what was finished all the same when a run ended early, as a result with honest bars; None elsewhere.
    """

    partial: Any = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields: keyword-only errors cannot be rebuilt from ``args``."""
        return _rebuild, (type(self), dict(self.__dict__))


class HyperFabricWarning(UserWarning):
    """Base of every warning this package gives, so that one filter reaches them all."""


class EndedEarly(HyperFabricWarning):
    """A run was interrupted: its result is what the finished parts give, with the bars of their shots."""


class ImplicitEndpointWarning(HyperFabricWarning):
    """A name that nobody registered was taken for a classical software endpoint."""


class BacklogWarning(HyperFabricWarning):
    """A decoder that does not keep up: what waits for it grows without end."""
