"""Plug-ins by name, and the conveniences of values that bind late.

Two small mechanisms keep imports pointing down:

* ``Registry`` holds the members of one plug-in kind. Third parties add theirs through the entry-point group
  ``hyperfabric_q.<kind>``, which is read on the first lookup that fails.
* ``late`` resolves the one-line conveniences of a value (``plan.run``, ``plan.draw``), whose code stands in a room
  above the value.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
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
