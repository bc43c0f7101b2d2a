"""What must be written down of a node, link or zone to get it back: in its ``repr``, in dictionaries and in files."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, ClassVar, Protocol


class Part(Protocol):
    """A dataclass, some of whose fields may hold what would be filled in anyway."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def filled_in(self) -> frozenset[str]:
        """The fields that hold what would be filled in anyway, so that writing them says nothing."""
        ...


def written(part: Part) -> dict[str, Any]:
    """Return the fields that rebuild ``part``: those that differ from their default and are not filled in."""
    rows: dict[str, Any] = {}
    for each in dataclasses.fields(part):
        value = getattr(part, each.name)
        default = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        if value is not None and each.name not in part.filled_in and value != default:
            rows[each.name] = value
    return rows


def shown(part: Part) -> str:
    """Return the text that evaluates back to ``part``, in one line."""
    inside = ", ".join(f"{name}={_shown_value(value)}" for name, value in written(part).items())
    return f"{type(part).__name__}({inside})"


def _shown_value(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)
