"""A JSON-able mapping that nobody can change: what a node's ``metadata`` is kept in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields

DEEPEST: Final = 8
MOST_ENTRIES: Final = 10_000
_RULE = "metadata holds text, booleans, finite numbers, and sequences or mappings of these, under text keys"


class Metadata(Mapping[str, object]):
    """Return an immutable, hashable and picklable deep copy of a JSON-able mapping; its lists become tuples.

    ``None`` is refused, since a fabric file cannot hold it: leave the key out instead.

    Raises:
        InvalidValue: something in it is not JSON-able, it is nested deeper than 8 levels, or it has more than 10,000
            entries.
    """

    __slots__ = ("_items",)

    def __init__(self, items: object = None) -> None:
        """Copy ``items``; without it the mapping is empty."""
        self._items: dict[str, object]
        if isinstance(items, Metadata):
            self._items = items._items
            return
        if items is not None and not isinstance(items, Mapping):
            raise InvalidValue(field="metadata", value=items, rule="metadata is a mapping from text to JSON values")
        self._items = _frozen_items(items or {}, depth=1, budget=_Budget(), where="metadata")

    def __getitem__(self, key: str) -> object:
        """Return the value under ``key``."""
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in the order given."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type[Metadata], tuple[dict[str, object]]]:
        return Metadata, (self.plain(),)

    def plain(self) -> dict[str, object]:
        """Return a fresh copy made of plain dicts and lists."""
        return {key: _plain(value) for key, value in self._items.items()}


class _Budget:
    """How many entries are left; it bounds a structure that contains itself."""

    def __init__(self) -> None:
        self.left = MOST_ENTRIES

    def spend(self, where: str, value: object) -> None:
        self.left -= 1
        if self.left < 0:
            rule = f"metadata holds at most {MOST_ENTRIES} entries, and there are more at {where}"
            raise InvalidValue(field="metadata", value=type(value).__name__, rule=rule)


def _frozen_items(items: Mapping[str, object], *, depth: int, budget: _Budget, where: str) -> dict[str, object]:
    frozen: dict[str, object] = {}
    for key, value in items.items():
        if not isinstance(key, str):
            raise InvalidValue(field="metadata", value=key, rule=f"{_RULE}; a key of {where} is no text")
        name = fields.text("metadata", key, f"a key of {where}", most=200)
        frozen[name] = _frozen(value, depth=depth, budget=budget, where=f"{where}.{name}"[:200])
    return frozen


def _frozen(value: object, *, depth: int, budget: _Budget, where: str) -> object:
    budget.spend(where, value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return fields.text("metadata", value, where, most=100_000)
    if fields.is_whole(value):
        if -(2**63) <= value < 2**63:
            return int(value)
        raise InvalidValue(field="metadata", value=value, rule=f"{where} needs a whole number of at most 64 bits")
    if fields.is_number(value):
        return fields.number("metadata", value, where, least=-sys.float_info.max, most=sys.float_info.max)
    if not isinstance(value, Mapping | list | tuple):
        raise InvalidValue(field="metadata", value=value, rule=f"{_RULE}; {where} is {type(value).__name__}")
    if depth >= DEEPEST:
        rule = f"metadata is nested at most {DEEPEST} levels deep"
        raise InvalidValue(field="metadata", value=type(value).__name__, rule=f"{rule}, and {where} goes on")
    if isinstance(value, Mapping):
        inner = Metadata()
        inner._items = _frozen_items(value, depth=depth + 1, budget=budget, where=where)
        return inner
    return tuple(_frozen(each, depth=depth + 1, budget=budget, where=where) for each in value)


def _plain(value: object) -> object:
    if isinstance(value, Metadata):
        return value.plain()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
