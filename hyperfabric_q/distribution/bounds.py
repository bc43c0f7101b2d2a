"""Lower bounds: how far any plan, by any method, can be below the one at hand, in e-bits or in prices of the links.

Three bounds, the largest counts:

* **families**: connected families of segments that do not fit one node (``families``), each link at the lowest price;
* **cuts**: split the nodes in two and ask how many segments must have copies on both sides. That problem has two nodes
  only, and a mixed-integer program settles it for far larger circuits, whole or in windows of time. A tree of links
  crosses a split at one of the links that the split separates, so any weights of splits under which no link carries
  more than its price (1 for e-bits) add up to a bound on the whole; the best are a small linear program. On a line they
  belong to its links, one by one; of four equal nodes, all-to-all, the three ways to pair them count one half each;
* **program**: the bound of the exact solver.

All hold for movable homes and third-party sites, with any number of communication qubits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from hyperfabric_q.distribution.chapters import Chapters
from hyperfabric_q.distribution.families import families
from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.partitioners.exact import (
    exact,
    highest_price,
    least_price,
    link_sides,
    links_of,
    rounded_up,
)
from hyperfabric_q.distribution.segments import Segments

MAX_SPLIT_NODES = 8
"""All ways to split so many nodes in two are considered; of larger networks each node against the rest, and halves."""

MAX_ROOMS = 8
"""Splits with more different capacities than this are left at 0, the lopsided ones first."""

WINDOW_SEGMENTS = (40, 160)
"""Segments of the windows of time a large circuit is cut into for the two-sided program, one size after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What no placement goes below, and how that was found.

    Attributes:
        value: the bound: whole e-bits, or a cost by ``measure``.
        method: what found it.
        seconds: time taken.
        measure: the cost model that is bounded.
        cost: what the plan at hand costs by the same measure, None without one.
    """

    value: float
    method: str
    seconds: float
    measure: str = "ebits"
    cost: float | None = None

    @property
    def gap(self) -> float | None:
        """How far the plan at hand can be from the best, at most; 0 proves it optimal, None without a plan."""
        return None if self.cost is None else self.cost - self.value

    def beside(self, cost: int, *, measure: str, unit: float) -> Bound:
        """Return the bound beside what a plan costs; both were counted in whole prices, of ``unit`` each.

        E-bits stay whole numbers.
        """
        if measure == "ebits":
            return replace(self, cost=cost)
        return replace(self, value=unit * self.value, cost=unit * cost, measure=measure)

    def __str__(self) -> str:
        unit = "e-bits" if self.measure == "ebits" else f"by {self.measure!r}"
        text = f"no plan is below {self.value:.6g} {unit} ({self.method})"
        if self.cost is None or self.gap is None:
            return text
        if self.gap <= 0:
            return f"{text}; this one has {self.cost:.6g}, which is optimal"
        return f"{text}; this one has {self.cost:.6g}, a gap of {self.gap:.6g} ({self.gap / self.cost:.1%})"


def lower_bound(
    chapters: Chapters,
    network: Network,
    capacity: Sequence[int],
    *,
    time_limit_s: float,
    target: int | None = None,
) -> Bound:
    """Return the best lower bound found in about ``time_limit_s`` seconds, in prices of the network.

    With a limit of 0 no program is solved, and the bound does not depend on the machine.

    Args:
        chapters: the circuit in time.
        network: the QPU nodes.
        capacity: data qubits that may be used of each node; together they must hold all qubits.
        time_limit_s: seconds for the solver.
        target: the cost of a placement at hand; the search ends when the bound reaches it.
    """
    began = time.perf_counter()
    deadline = began + time_limit_s
    known = families(chapters, network, capacity)
    best = (least_price(network) * sum(family.value for family in known), "families")

    def reached() -> bool:
        return target is not None and best[0] >= target

    if not reached() and len(network) > 1:
        by_cuts = _by_cuts(chapters, network, capacity, began + time_limit_s / 2)
        best = max(best, (by_cuts, "cuts"), key=lambda each: each[0])
    if not reached() and (left := deadline - time.perf_counter()) > 0:
        solved = exact(chapters, network, capacity, time_limit_s=left, beat=target, known=known, floor=best[0])
        best = max(best, (solved.bound, "program"), key=lambda each: each[0])
    return Bound(value=best[0], method=best[1], seconds=time.perf_counter() - began)


# ---------------------------------------------------------------------------------------------------------------- cuts


def _by_cuts(chapters: Chapters, network: Network, capacity: Sequence[int], deadline: float) -> int:
    """Return the bound from weighted splits of the nodes."""
    splits = _splits(network)
    rooms = [_room(split, capacity) for split in splits]
    # Those with least room first: they cost most.
    ranked = sorted(set(rooms), key=lambda room: (room[1], room))[:MAX_ROOMS]
    value = dict.fromkeys(rooms, 0)
    for number, room in enumerate(ranked):
        now = time.perf_counter()
        value[room] = two_sided(chapters, room, until=now + max(0.0, deadline - now) / (len(ranked) - number))
    links = links_of(network)
    if not links:
        return 0
    crossed = np.array([[split[a] != split[b] for split in splits] for a, b in links], dtype=np.float64)
    worth = np.array([value[room] for room in rooms], dtype=np.float64)
    scale = highest_price(network)
    most = np.array([network.price(a, b) for a, b in links]) / scale
    result = linprog(-worth, A_ub=crossed, b_ub=most, bounds=(0, 1))
    return rounded_up(-float(result.fun), scale) if result.success and result.fun is not None else 0


def _room(split: NDArray[np.bool_], capacity: Sequence[int]) -> tuple[int, int]:
    """Data qubits on the smaller and on the larger side."""
    there = int(np.array(capacity)[split].sum())
    return min(there, sum(capacity) - there), max(there, sum(capacity) - there)


def _splits(network: Network) -> list[NDArray[np.bool_]]:
    """Ways to split the nodes in two; where they are many, single nodes, runs of nodes, and the two sides of links."""
    nodes = len(network)
    if nodes <= MAX_SPLIT_NODES:
        return [np.array([False, *sides]) for sides in product((False, True), repeat=nodes - 1) if any(sides)]
    index = np.arange(nodes)
    return [index == node for node in range(nodes)] + [index >= node for node in range(1, nodes)] + link_sides(network)


def two_sided(chapters: Chapters, room: tuple[int, int], *, until: float) -> int:
    """Return a lower bound on the segments with copies on both of two sides.

    Args:
        chapters: the circuit in time.
        room: data qubits of each side.
        until: when to stop, by ``time.perf_counter``; windows of time then count for what is known of them.
    """
    if max(room) >= chapters.segments.qubits:
        return 0
    pair = Network(names=("one", "other"), capacity=room, communication=(None, None), neighbours=((1,), (0,)))
    known = families(chapters, pair, room)
    best = sum(family.value for family in known)
    counts = sorted({-(-len(chapters) // size) for size in WINDOW_SEGMENTS}, reverse=True)
    for index, windows in enumerate(counts):
        now = time.perf_counter()
        share = now + (until - now) / (len(counts) - index)
        best = max(best, _windowed(chapters, pair, windows, share))
    return best


def _windowed(chapters: Chapters, pair: Network, windows: int, until: float) -> int:
    """Return the sum of the bounds of the windows, each with its share of the time; only what fits into it counts."""
    total = 0
    for number in range(windows):
        left = until - time.perf_counter()
        if left <= 0:
            break
        part = chapters if windows == 1 else window(chapters, number, windows)
        total += exact(part, pair, pair.capacity, time_limit_s=left / (windows - number)).bound
    return total


def window(chapters: Chapters, number: int, windows: int) -> Chapters:
    """Return one of ``windows`` equal shares of the segments, in order of their ends, with the gates among them.

    What they cost by themselves is no more than what they cost in a placement of the whole.
    """
    segments = chapters.segments
    order = np.lexsort((chapters.begins, chapters.ends))
    low, high = number * len(order) // windows, (number + 1) * len(order) // windows
    kept = np.sort(order[low:high])
    spot = np.full(len(chapters) + 1, -1, dtype=np.int32)
    spot[kept] = np.arange(len(kept), dtype=np.int32)
    gates = np.flatnonzero((spot[segments.gate_segments] >= 0).all(axis=1))
    owners, owner = np.unique(segments.qubit[kept], return_inverse=True)
    first = np.full(len(owners), -1, dtype=np.int32)
    first[owner[::-1]] = np.arange(len(kept), dtype=np.int32)[::-1]
    ends = spot[segments.gate_segments[gates]]
    by_segment = np.argsort(ends.ravel(), kind="stable")
    return Chapters(
        segments=Segments(
            qubits=len(owners),
            qubit=owner.astype(np.int32),
            gate_row=segments.gate_row[gates],
            gate_segments=ends,
            starts=np.searchsorted(ends.ravel()[by_segment], np.arange(len(kept) + 1)).astype(np.int32),
            gates=(by_segment // 2).astype(np.int32),
        ),
        next_of=spot[chapters.next_of[kept]],
        first_of=first,
        begins=chapters.begins[kept],
        ends=chapters.ends[kept],
        layers=chapters.layers,
        gate_layer=chapters.gate_layer[gates],
        row_layer=chapters.row_layer,
    )
