"""What each node does during a step, and which chain of work and messages its length is due to.

Every node has a line of work of its own: what it is charged with begins when it is free. A message begins when its
sender is free, and the receiver goes on when it is there. So lines meet only in messages, and the length of a step is
that of one chain of work and messages from its start to its end, without gaps but for true waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import to_ns

Kind: TypeAlias = Literal["quantum", "network", "classical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A stretch of virtual time by what it was spent on, in whole picoseconds.

    Attributes:
        quantum_ps: circuits.
        network_ps: messages under way, their queues included.
        classical_ps: charged work of processors.
        waiting_ps: nothing of these.
    """

    quantum_ps: int = 0
    network_ps: int = 0
    classical_ps: int = 0
    waiting_ps: int = 0

    def __post_init__(self) -> None:
        for name in ("quantum_ps", "network_ps", "classical_ps", "waiting_ps"):
            if getattr(self, name) < 0:
                raise InvalidValue(field=name, value=getattr(self, name), rule="time does not run backwards")

    @property
    def total_ps(self) -> int:
        """All of it."""
        return self.quantum_ps + self.network_ps + self.classical_ps + self.waiting_ps

    def to_dict(self) -> dict[str, float]:
        """Return the parts in nanoseconds, ready for JSON."""
        return {
            "quantum_ns": to_ns(self.quantum_ps),
            "network_ns": to_ns(self.network_ps),
            "classical_ns": to_ns(self.classical_ps),
            "waiting_ns": to_ns(self.waiting_ps),
        }


_CLOCK: Final = ""
"""Stands for a node where a mark is an arrival that the clock has got to, whether its receiver was busy or not."""


class Mark(NamedTuple):
    """A point on a node's line: when it was free, after how many pieces of work."""

    node: str
    pieces: int
    time_ps: int


class _Piece(NamedTuple):
    """Work on a node until ``end_ps``; it began at ``since_ps``, when ``origin`` had got there.

    Of a message ``since_ps`` is when it was sent; the node itself was free from ``free_ps`` on.
    """

    kind: Kind
    since_ps: int
    free_ps: int
    end_ps: int
    origin: Mark


class Track:
    """The lines of work of the nodes of a step."""

    def __init__(self, nodes: Iterable[str], start_ps: int) -> None:
        """Start with all of them free."""
        self.start_ps = start_ps
        self._lines: dict[str, list[_Piece]] = {node: [] for node in nodes}
        self._arrivals: list[_Piece] = []

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes, in the order in which they came."""
        return tuple(self._lines)

    def admit(self, node: str) -> None:
        """Let a node take part from now on; it was free until now."""
        self._lines.setdefault(node, [])

    def free_ps(self, node: str) -> int:
        """Return when a node is done with what it was charged with."""
        line = self._lines[node]
        return line[-1].end_ps if line else self.start_ps

    def latest(self, nodes: Iterable[str] | None = None) -> Mark:
        """Return where the last of some nodes, or of all, is free; of equals the first."""
        chosen = max(self._lines if nodes is None else nodes, key=self.free_ps)
        return Mark(chosen, len(self._lines[chosen]), self.free_ps(chosen))

    def holding(self, mark: Mark, now_ps: int) -> Mark:
        """Return what a message that begins now had to wait for: ``mark``, or what ended now where that was before.

        A script's messages begin in the order of its calls, so one may wait for another that its sender has no part in.
        """
        if mark.time_ps >= now_ps:
            return mark
        for place in range(len(self._arrivals), 0, -1):
            if self._arrivals[place - 1].end_ps == now_ps:
                return Mark(_CLOCK, place, now_ps)
        return mark

    def work(self, nodes: Iterable[str], kind: Kind, duration_ps: int) -> int:
        """Charge nodes with work that they do together, from when the last of them is free; return its end."""
        together = tuple(nodes)
        mark = self.latest(together)
        return self.reach(kind, mark, mark.time_ps, dict.fromkeys(together, mark.time_ps + duration_ps))

    def reach(self, kind: Kind, origin: Mark, since_ps: int, ends_ps: Mapping[str, int]) -> int:
        """Note what began at ``since_ps`` because of ``origin`` and keeps each node until its end; return the last."""
        last_ps = max(ends_ps.values(), default=since_ps)
        if kind == "network":
            self._arrivals.append(_Piece(kind, since_ps, since_ps, last_ps, origin))
        for node, end_ps in ends_ps.items():
            free_ps = self.free_ps(node)
            if end_ps > free_ps:
                self._lines[node].append(_Piece(kind, since_ps, free_ps, end_ps, origin))
        return last_ps

    def split(self, node: str, end_ps: int) -> Split:
        """Return what one node did from the start to ``end_ps``."""
        spent: dict[str, int] = {}
        for piece in self._lines[node]:
            own = piece.end_ps - max(piece.since_ps, piece.free_ps)
            spent[piece.kind] = spent.get(piece.kind, 0) + own
        return _split(spent, end_ps - self.start_ps)

    def critical(self, end_ps: int) -> Split:
        """Return what the chain was spent on that ended last, from the start to ``end_ps``; O(pieces)."""
        spent: dict[str, int] = {}
        here = self.holding(self.latest(), end_ps)
        while here.pieces:
            line = self._arrivals if here.node == _CLOCK else self._lines[here.node]
            piece = line[here.pieces - 1]
            spent[piece.kind] = spent.get(piece.kind, 0) + piece.end_ps - piece.since_ps
            here = piece.origin
        return _split(spent, end_ps - self.start_ps)


def _split(spent: Mapping[str, Any], total_ps: int) -> Split:
    return Split(
        quantum_ps=spent.get("quantum", 0),
        network_ps=spent.get("network", 0),
        classical_ps=spent.get("classical", 0),
        waiting_ps=total_ps - sum(spent.values()),
    )
