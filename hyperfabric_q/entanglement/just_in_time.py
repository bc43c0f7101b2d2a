"""When to begin with pairs that are needed later: as late as they can still be expected in time.

A pair that is made early ages in memory. A request that is due at ``needed`` therefore waits until ``needed`` minus the
time in which 99 % of such pairs come; and earlier by what the requests after it take of the same links, so that the
last of a burst is in time as well: latest starts are passed backwards from the last request to the first, as in
scheduling with due dates (Jackson 1955).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

from hyperfabric_q.entanglement.elementary import Elementary
from hyperfabric_q.scheduling.kernel import Kernel


@dataclass(order=True, slots=True)
class Waiting:
    """A request that has not begun.

    Attributes:
        needed_ps: when its pairs will be used.
        rank: tells equals apart.
        links: what it takes.
        lead_ps: the time in which nearly all such requests are served, on an idle fabric.
        mean_ps: the time that it keeps its links busy.
        begin: called when it is time.
        gone: whether it was withdrawn.
    """

    needed_ps: int
    rank: int
    links: tuple[Elementary, ...] = field(compare=False)
    lead_ps: int = field(compare=False)
    mean_ps: int = field(compare=False)
    begin: Callable[[], object] = field(compare=False)
    gone: bool = field(default=False, compare=False)


class JustInTime:
    """The requests of one kernel that wait for their time."""

    def __init__(self, kernel: Kernel) -> None:
        """Start with none."""
        self._kernel = kernel
        self._waiting: list[Waiting] = []
        self._alarm_ps = -1

    def add(self, entry: Waiting) -> None:
        """Let a request begin when it is time; O(requests that wait)."""
        insort(self._waiting, entry)
        self._due()

    def _due(self) -> None:
        """Begin what must begin now, and come back when the next one must."""
        now = self._kernel.now_ps
        self._alarm_ps = -1
        begun: list[Waiting] = []
        still: list[Waiting] = []
        latest: dict[Elementary, int] = {}
        first = None
        for entry in reversed([each for each in self._waiting if not each.gone]):
            start = entry.needed_ps - entry.lead_ps
            for link in entry.links:
                start = min(start, latest.get(link, start + entry.mean_ps) - entry.mean_ps)
            for link in entry.links:
                latest[link] = start
            if start <= now:
                begun.append(entry)
            else:
                still.append(entry)
                first = start if first is None else min(first, start)
        self._waiting = still[::-1]
        for entry in reversed(begun):
            entry.begin()
        if first is not None:
            self._alarm_ps = first
            self._kernel.at(first, lambda: self._due() if self._alarm_ps == first else None)
