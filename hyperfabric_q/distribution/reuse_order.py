"""In which order should qubits finish, so that few of them are in use at once?

A qubit can finish once everything that it depends on has run, and that puts its causal cone into use: all qubits in
its past. Nothing else about a circuit matters. Finishing in the order s_1, s_2, ... and running only what that needs
takes max_k |cone(s_1) + ... + cone(s_k)| - (k - 1) qubits (+ is the union), and no schedule in which they finish in
that order takes fewer. So the question is one about sets.

The greedy rule (finish next what needs the fewest new qubits; also backwards in time) is DeCross, Chertkov, Kohagen
and Foss-Feig, arXiv:2210.08039. Small parts are then decided by a search over the sets of qubits begun.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.seeds import stream

Cones: TypeAlias = NDArray[np.bool_]

_RESTARTS: Final = 32
"""Greedy orders with other ties, at most."""
_RESTART_WORK: Final = 40_000_000
"""Entries of cones that restarts may touch: about a second."""
_SEARCH_WORK: Final = 3_000_000
"""Sets that one search may compare: about a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order in which qubits finish.

    Attributes:
        order: the qubits.
        width: how many are in use at once, at most.
        fewest: whether no order needs fewer; False also where that is not known.
    """

    order: tuple[int, ...]
    width: int
    fewest: bool


def finishing_order(cones: Cones, *, enough: int = 1, seed: int = 0) -> Order:
    """Return an order that needs few qubits at once; O(qubits²) and a bounded search.

    Parts that share nothing run one after the other, so the widest decides.

    Args:
        cones: whether qubit j is in the causal cone of qubit i, itself included, shape (qubits, qubits).
        enough: no part is searched for fewer.
        seed: of the ties.
    """
    order: list[int] = []
    width, open_width = 0, 0
    for members in _parts(cones):
        found = _part(np.ascontiguousarray(cones[np.ix_(members, members)]), enough, seed)
        order += members[list(found.order)].tolist()
        width = max(width, found.width)
        open_width = max(open_width, 0 if found.fewest else found.width)
    return Order(order=tuple(order), width=width, fewest=open_width < width or width == 0)


def width_of(order: Sequence[int], cones: Cones) -> int:
    """Return how many qubits are in use at once, at most, when they finish in the given order."""
    begun = np.zeros(len(cones), dtype=bool)
    widest = 0
    for finished, each in enumerate(order):
        begun |= cones[each]
        widest = max(widest, int(np.count_nonzero(begun)) - finished)
    return widest


def _parts(cones: Cones) -> Iterator[NDArray[np.intp]]:
    """The qubits that hang together, group by group; each row and column is looked at once."""
    left = np.ones(len(cones), dtype=bool)
    while left.any():
        members = np.zeros(len(cones), dtype=bool)
        new = np.array([left.argmax()])
        while len(new):
            members[new] = True
            left[new] = False
            new = np.flatnonzero((cones[new].any(axis=0) | cones[:, new].any(axis=1)) & left)
        yield np.flatnonzero(members)


def _part(cones: Cones, enough: int, seed: int) -> Order:
    """The order of qubits that all hang together."""
    least = max(enough, int(cones.sum(axis=1).min()))
    best, width = min(
        ((order, width_of(order, cones)) for order in (_greedy(cones), _backwards(cones))), key=lambda pair: pair[1]
    )
    for order in _restarts(cones, seed):
        if width <= least:
            break
        if (other := width_of(order, cones)) < width:
            best, width = order, other
    decided = False
    search = _Search(cones)
    while width > least and not decided:
        narrower = search.order(width - 1)
        if narrower is None:
            decided = search.work > 0
            break
        best, width = narrower, width_of(narrower, cones)
    return Order(order=tuple(best), width=width, fewest=decided or width <= int(cones.sum(axis=1).min()))


# ------------------------------------------------------------------------------------------------------------- greedy


def _greedy(cones: Cones, handicap: NDArray[np.float64] | None = None) -> list[int]:
    """Finish next what needs the fewest new qubits, a handicap added; O(qubits²)."""
    size = len(cones)
    columns = np.ascontiguousarray(cones.T)
    missing = cones.sum(axis=1, dtype=np.float64)
    if handicap is not None:
        missing += handicap
    begun = np.zeros(size, dtype=bool)
    order: list[int] = []
    for _ in range(size):
        each = int(missing.argmin())
        order.append(each)
        new = np.flatnonzero(cones[each] & ~begun)
        if len(new):
            begun[new] = True
            missing -= columns[new].sum(axis=0)
        missing[each] = np.inf
    return order


def _backwards(cones: Cones, handicap: NDArray[np.float64] | None = None) -> list[int]:
    """Greedy on the circuit run backwards, whose cones are the transposed ones, turned around again.

    What begins first backwards finishes last. Of several that begin at once, those with small cones finish first.
    """
    backwards = np.ascontiguousarray(cones.T)
    step = np.zeros(len(cones), dtype=np.int64)
    begun = np.zeros(len(cones), dtype=bool)
    for number, each in enumerate(_greedy(backwards, handicap)):
        new = backwards[each] & ~begun
        step[new] = number
        begun |= new
    order: list[int] = np.lexsort((cones.sum(axis=1), -step)).tolist()
    return order


def _restarts(cones: Cones, seed: int) -> Iterator[list[int]]:
    size = len(cones)
    rng = stream(seed, "reuse", size)
    for number in range(min(_RESTARTS, _RESTART_WORK // size**2)):
        # Below 1 a handicap only decides ties; above, it also lets a cone of one more qubit win.
        handicap = rng.random(size) * (1.0, 1.9)[number // 2 % 2]
        yield (_greedy, _backwards)[number % 2](cones, handicap)


# ------------------------------------------------------------------------------------------------------------- search


class _Search:
    """Depth-first over the sets of qubits begun; sets are the bits of whole numbers.

    A set of qubits begun fixes the state: all that can finish within it has. Two rules cut branches without losing
    an optimum. What needs one new qubit or none is finished at once: it frees as many as it takes. And of two next
    steps whose new qubits contain one another, the smaller is enough, since the larger can follow it.
    """

    def __init__(self, cones: Cones) -> None:
        self._cones = [int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") for row in cones]
        self._all = (1 << len(cones)) - 1
        self.work = _SEARCH_WORK
        """What is left; at 0 or below a search without result decides nothing."""

    def order(self, limit: int) -> list[int] | None:
        """Return an order that needs at most ``limit`` qubits at once; None if there is none, or work ran out."""
        came: dict[int, int] = {0: -1}
        stack = [0]
        while stack:
            begun = stack.pop()
            if begun == self._all:
                return self._read(came)
            for after in self._next(begun, limit):
                if after not in came:
                    came[after] = begun
                    stack.append(after)
            if self.work <= 0:
                return None
        return None

    def _next(self, begun: int, limit: int) -> list[int]:
        """The sets begun after each step worth trying, the largest first."""
        self.work -= len(self._cones)
        rest = {cone & ~begun for cone in self._cones}
        finished = sum(1 for cone in self._cones if not cone & ~begun)
        rest.discard(0)
        room = limit + finished - begun.bit_count()
        fitting = sorted((new for new in rest if new.bit_count() <= room), key=lambda new: (new.bit_count(), new))
        if fitting and fitting[0].bit_count() == 1:
            return [begun | fitting[0]]
        least: list[int] = []
        for new in fitting:
            self.work -= len(least)
            if not any(smaller & ~new == 0 for smaller in least):
                least.append(new)
        return [begun | new for new in reversed(least)]

    def _read(self, came: dict[int, int]) -> list[int]:
        sets = [self._all]
        while came[sets[-1]] >= 0:
            sets.append(came[sets[-1]])
        order: list[int] = []
        waiting = list(range(len(self._cones)))
        for begun in reversed(sets):
            order += [each for each in waiting if not self._cones[each] & ~begun]
            waiting = [each for each in waiting if self._cones[each] & ~begun]
        return order
