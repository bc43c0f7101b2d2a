"""Plug-ins by name, the conveniences of values that bind late, and public names that load on first use.

Small mechanisms that keep imports pointing down, and short:

* ``Registry`` holds the members of one plug-in kind. Third parties add theirs through the entry-point group
  ``hyperfabric_q.<kind>``, which is read on the first lookup that fails.
* ``late`` resolves the one-line conveniences of a value (``plan.run``, ``plan.draw``), whose code stands in a room
  above the value.
* ``on_first_use`` makes the names of a module load when they are asked for (PEP 562).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Final, Generic, TypeVar

from hyperfabric_q.errors import DuplicateName, UnknownName

Member = TypeVar("Member")


class Registry(Generic[Member]):
    """The members of one plug-in kind, by name, in order of registration."""

    def __init__(self, kind: str) -> None:
        """Start an empty registry of ``kind``."""
        self.kind = kind
        self._members: dict[str, Member] = {}
        self._entry_points_read = False

    def register(self, name: str) -> Callable[[Member], Member]:
        """Return a decorator that adds its subject under ``name``.

        Raises:
            DuplicateName: the name is taken.
        """

        def add(member: Member) -> Member:
            if name in self._members:
                raise DuplicateName(kind=self.kind, name=name)
            self._members[name] = member
            return member

        return add

    def __getitem__(self, name: str) -> Member:
        """Return the member called ``name``.

        Raises:
            UnknownName: there is none; the error lists the names and the nearest match.
        """
        if name not in self._members:
            self._read_entry_points()
        if name not in self._members:
            raise UnknownName(kind=self.kind, name=name, known=tuple(self))
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in order of registration."""
        return iter(tuple(self._members))

    def __len__(self) -> int:
        """Return how many members there are."""
        return len(self._members)

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        self._entry_points_read = True
        for point in entry_points(group=f"hyperfabric_q.{self.kind.replace(' ', '_')}"):
            if point.name not in self._members:
                self._members[point.name] = point.load()


LATE: Final[dict[str, str]] = {
    "cut.draw": "hyperfabric_q.visual.cuts:draw_cut",
    "cut.html": "hyperfabric_q.visual.cuts:cut_html",
    "cut.states": "hyperfabric_q.execution.cut_jobs:states_of",
    "cut_placement.run": "hyperfabric_q.execution.run_cut:run_cut",
    "protocol.plan": "hyperfabric_q.pipeline:plan",
    "plan.mixed": "hyperfabric_q.mixing.plan:plan_mixed",
    "plan.process_fidelity": "hyperfabric_q.execution.process_measured:process_fidelity",
    "plan.run": "hyperfabric_q.execution.run:run",
    "plan.draw": "hyperfabric_q.visual.text:draw_plan",
    "plan.html": "hyperfabric_q.visual.html:plan_html",
    "result.html": "hyperfabric_q.visual.html:result_html",
    "comparison.html": "hyperfabric_q.visual.html:comparison_html",
    "result.compare": "hyperfabric_q.execution.compare:compare",
}
"""Late-bound conveniences: name → "module:function". A test resolves every row."""


def late(name: str) -> Callable[..., Any]:
    """Return the function behind a value's convenience, importing its room on first use."""
    module, _, attribute = LATE[name].partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def on_first_use(module: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a module whose public names load on first use.

    Args:
        module: its name.
        homes: of each public name: "module:attribute", or "module:" where the name is that of a module; relative to
            the package of ``module``, or to itself if it is one.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        own = sys.modules[module]
        home, _, attribute = homes[name].partition(":")
        value: Any = importlib.import_module(f"{own.__package__}.{home}")
        value = getattr(value, attribute) if attribute else value
        setattr(own, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *homes})

    return load, names
