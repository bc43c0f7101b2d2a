"""When a station of a chain may swap: at once, by halves, or when every link is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hyperfabric_q.errors import UnknownName

SwapPolicy = Literal["swap_asap", "nested", "wait_for_all"]

POLICIES: tuple[SwapPolicy, ...] = ("swap_asap", "nested", "wait_for_all")


@dataclass(frozen=True, slots=True)
class Spans:
    """Return which segments each station waits for.

    Args:
        wanted: per station, the first and the last link of the segments that it may join; empty = any.
        waits_for_all: whether no station swaps before every link is there.
    """

    wanted: tuple[tuple[int, int], ...] = ()
    waits_for_all: bool = False

    def allow(self, station: int, first: int, last: int) -> bool:
        """Whether ``station`` may join segments that reach from link ``first`` to link ``last``."""
        return not self.wanted or self.wanted[station] == (first, last)


def spans(policy: SwapPolicy, hops: int) -> Spans:
    """Return when the stations of a path of ``hops`` links swap under a policy.

    "swap_asap": as soon as both neighbours are there. "nested": the middle station of a path swaps last, and each half
    is made in the same way (Briegel, Dür, Cirac and Zoller 1998). "wait_for_all": all at once, when every link is
    there.

    Raises:
        UnknownName: there is no such policy.
    """
    if policy == "swap_asap":
        return Spans()
    if policy == "wait_for_all":
        return Spans(waits_for_all=True)
    if policy != "nested":
        raise UnknownName(kind="swap policy", name=str(policy), known=POLICIES)
    wanted = [(0, 0)] * (hops + 1)
    halves = [(0, hops)]
    for first, end in halves:
        if end - first > 1:
            middle = (first + end) // 2
            wanted[middle] = (first, end - 1)
            halves += [(first, middle), (middle, end)]
    return Spans(wanted=tuple(wanted))
