"""Memory slots: the communication qubits of every node, and who waits for them.

A request takes all the slots it needs, at every node, in one step or not at all, so that no two requests can each hold
what the other waits for. Whoever waits keeps those behind from taking slots at the same nodes: a large request is not
starved by small ones.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hyperfabric_q.errors import InternalError, NotEnoughCommunicationQubits

Rank = tuple[int, int, int]
"""Who goes first: class, deadline, position among those that came."""


@dataclass(order=True, slots=True)
class _Waiting:
    rank: Rank
    needs: Mapping[str, int] = field(compare=False)
    granted: Callable[[], object] = field(compare=False)


class Slots:
    """How many slots each node has, and how many of them are taken."""

    def __init__(self) -> None:
        """Start without nodes; ``limit`` states them."""
        self._limit: dict[str, int | None] = {}
        self._taken: dict[str, int] = {}
        self._waiting: list[_Waiting] = []

    def limit(self, node: str, slots: int | None) -> None:
        """State how many slots a node has; None = no limit. What is taken stays taken."""
        self._limit[node] = slots
        self._taken.setdefault(node, 0)

    def taken(self, node: str) -> int:
        """Return how many slots of a node are taken."""
        return self._taken.get(node, 0)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def ask(self, needs: Mapping[str, int], rank: Rank, granted: Callable[[], object]) -> object:
        """Call ``granted`` as soon as all of ``needs`` could be taken, perhaps at once; return what withdraws it.

        Raises:
            NotEnoughCommunicationQubits: a node does not have that many, however long one waits.
        """
        for node, count in needs.items():
            limit = self._limit[node]
            if limit is not None and count > limit:
                raise NotEnoughCommunicationQubits(node=node, needed=count, available=limit, purpose="a Bell pair")
        entry = _Waiting(rank, needs, granted)
        insort(self._waiting, entry)
        self._serve()
        return entry

    def withdraw(self, entry: object) -> bool:
        """Forget who waits; whether it still waited."""
        for place, each in enumerate(self._waiting):
            if each is entry:
                del self._waiting[place]
                self._serve()
                return True
        return False

    def free(self, slots: Mapping[str, int]) -> None:
        """Give slots back, all in one step as they were taken; whoever waits for them may get them at once.

        Raises:
            InternalError: more come back than were taken.
        """
        for node, count in slots.items():
            left = self._taken[node] - count
            if left < 0:
                raise InternalError(what=f"{count} slots of {node!r} came back, and {self._taken[node]} were taken")
            self._taken[node] = left
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        """Grant what can be granted, first come first; nobody overtakes at a node where somebody waits."""
        claimed: set[str] = set()
        granted: list[_Waiting] = []
        still: list[_Waiting] = []
        for entry in self._waiting:
            if claimed.isdisjoint(entry.needs) and self._fits(entry.needs):
                for node, count in entry.needs.items():
                    self._taken[node] += count
                granted.append(entry)
            else:
                claimed.update(entry.needs)
                still.append(entry)
        self._waiting = still
        for entry in granted:
            entry.granted()

    def _fits(self, needs: Mapping[str, int]) -> bool:
        for node, count in needs.items():
            limit = self._limit[node]
            if limit is not None and self._taken[node] + count > limit:
                return False
        return True
