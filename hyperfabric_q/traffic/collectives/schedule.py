"""What a collective is before it has a size: steps of sends between ranks, over blocks of the vector.

A schedule is static. Its *blocks* cut the vector into nearly equal slices (slice ``i`` of ``B`` runs from ``i * n //
B`` to ``(i + 1) * n // B`` of ``n`` elements), and every send carries consecutive blocks, whatever the size turns out
to be. In one step a rank sends at most once and receives at most once.

The rule of timing is part of the schedule: a rank sends in order of steps, and its send in a step with ``waits = w`` is
ready once all that is sent to it in steps before ``w`` has arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import Registry

IntArray: TypeAlias = NDArray[np.int64]
Racks: TypeAlias = Sequence[Sequence[int]]


class Collective(StrEnum):
    """What a group of ranks ends up with."""

    ALL_REDUCE = "all_reduce"
    """Every rank gets the sum of all vectors."""
    REDUCE_SCATTER = "reduce_scatter"
    """Rank ``r`` gets slice ``r`` of the sum of all vectors."""
    ALL_GATHER = "all_gather"
    """Every rank gets the whole vector, of which rank ``r`` has slice ``r``."""
    BROADCAST = "broadcast"
    """Every rank gets the vector of the root."""


class Sends(NamedTuple):
    """Sends that go out together: arrays of sources, targets, first blocks and end blocks (excluded)."""

    source: IntArray
    target: IntArray
    first: IntArray
    end: IntArray


class Step(NamedTuple):
    """Sends, whether the receivers add them to what they have or take them over, and how many steps they wait for."""

    sends: Sends
    combines: bool
    waits: int


class Phase(NamedTuple):
    """Consecutive steps of one kind; ``chained`` ones wait for each other, others only for the phases before."""

    combines: bool
    sends: Iterable[Sends]
    chained: bool = True


def adding(sends: Iterable[Sends], *, chained: bool = True) -> Phase:
    """Return a phase whose receivers add what they get to what they have."""
    return Phase(combines=True, sends=sends, chained=chained)


def copying(sends: Iterable[Sends], *, chained: bool = True) -> Phase:
    """Return a phase whose receivers take over what they get."""
    return Phase(combines=False, sends=sends, chained=chained)


def in_sequence(*phases: Phase) -> Iterator[Step]:
    """Yield the steps of phases one after another; sends of no rank make no step."""
    count = 0
    for phase in phases:
        before = count
        for sends in phase.sends:
            if len(sends.source):
                yield Step(sends, phase.combines, count if phase.chained else before)
                count += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A collective as an algorithm carries it out, for any size of vector.

    Attributes:
        collective, algorithm: what it achieves, and by which registered algorithm.
        ranks, blocks: how many there are.
        root: rank that has the vector at the start of a broadcast.
        slices: which slice of the vector each block is; in reduce-scatter and all-gather there is one block per rank,
            and slice ``r`` belongs to rank ``r``. Empty means block ``b`` is slice ``b``.
        steps: call it for the steps in order; they are made anew each time, so millions of sends need no memory.
        shift: set when in step ``k`` every rank ``i`` sends block ``(i + shift - k) mod ranks`` to rank
            ``i + 1``, which lets its timing be computed without its steps.
    """

    collective: Collective
    algorithm: str
    ranks: int
    blocks: int
    root: int = 0
    slices: tuple[int, ...] = ()
    steps: Callable[[], Iterator[Step]] = field(repr=False, compare=False)
    shift: int | None = None

    def edges(self, nbytes: int, itemsize: int = 1) -> IntArray:
        """Return where each block begins if blocks are laid side by side, and the end: (blocks + 1,) in bytes.

        Args:
            nbytes: size of the vector.
            itemsize: no block cuts through an element of so many bytes.

        Raises:
            InvalidValue: the size is negative, no multiple of ``itemsize``, or too large to be cut exactly.
        """
        sizes = np.diff(slice_edges(nbytes, self.blocks, itemsize))
        if self.slices:
            sizes = sizes[np.array(self.slices)]
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])


def slice_edges(nbytes: int, parts: int, itemsize: int = 1) -> IntArray:
    """Return the ``parts + 1`` boundaries ``floor(i * n / parts)`` of a vector of ``n`` elements, in bytes.

    Raises:
        InvalidValue: the size is negative, no multiple of ``itemsize``, or too large to be cut exactly.
    """
    if nbytes < 0 or itemsize < 1 or nbytes % itemsize:
        raise InvalidValue(field="nbytes", value=nbytes, rule=f"it must be a whole number of {itemsize}-byte elements")
    if nbytes * parts >= 1 << 62:
        most = ((1 << 62) - 1) // parts
        raise InvalidValue(field="nbytes", value=nbytes, rule=f"with {parts} node(s) or slices at most {most} bytes")
    return np.arange(parts + 1, dtype=np.int64) * (nbytes // itemsize) // parts * itemsize


class Algorithm(Protocol):
    """A collective algorithm, as plug-ins provide it.

    It is called with the collective, the number of ranks, the root, and the racks: groups that share a switch, which
    partition the ranks. It must move what the collective promises; the contract suite replays its schedules.
    """

    def __call__(self, collective: Collective, ranks: int, root: int, racks: Racks) -> Schedule:
        """Return the schedule."""
        ...


ALGORITHMS: Registry[Algorithm] = Registry("collective algorithm")


def schedule_of(
    collective: Collective | str, algorithm: str, ranks: int, *, root: int = 0, racks: Racks | None = None
) -> Schedule:
    """Return the schedule of a collective by a registered algorithm.

    Args:
        collective: what to achieve.
        algorithm: a name in ``ALGORITHMS``.
        ranks: how many take part, at least 1.
        root: rank that has the vector; used by broadcast alone.
        racks: ranks by rack; without them all share one.

    Raises:
        UnknownName: no such algorithm.
        InvalidValue: no such collective, or ranks, root or racks do not fit together.
    """
    try:
        wanted = Collective(collective)
    except ValueError:
        known = ", ".join(each.value for each in Collective)
        raise InvalidValue(field="collective", value=collective, rule=f"known are {known}") from None
    if ranks < 1:
        raise InvalidValue(field="ranks", value=ranks, rule="a collective has at least one rank")
    if not 0 <= root < ranks:
        raise InvalidValue(field="root", value=root, rule=f"ranks run from 0 to {ranks - 1}")
    groups = [list(range(ranks))] if racks is None else [list(rack) for rack in racks if len(rack)]
    if sorted(rank for rack in groups for rank in rack) != list(range(ranks)):
        raise InvalidValue(field="racks", value=racks, rule=f"every rank from 0 to {ranks - 1} stands in one rack")
    return ALGORITHMS[algorithm](wanted, ranks, root, groups)
