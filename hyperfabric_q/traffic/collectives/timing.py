"""When each rank is done, exactly, as long as nothing else uses its links: one max-plus product per step.

All in int64 picoseconds. A message leaves when its rank's link is free and what it waits for is there; it reaches the
other end as early as it can be taken in without a gap; there it queues for the link. As long as messages come to every
receiver in order of steps, which a ring always does, and equal ends do, whole steps are computed at once; where they
overtake each other, the messages are followed one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.recurrence import LATEST_PS, ratios, serialisation_ps
from hyperfabric_q.traffic.collectives.arrival_order import completion_in_arrival_order
from hyperfabric_q.traffic.collectives.nics import Nics, Service
from hyperfabric_q.traffic.collectives.schedule import Collective, IntArray, Schedule, Step, slice_edges

Ratios: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""Numerators and denominators, as ``hyperfabric_q.scheduling.recurrence.ratios`` returns them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What a collective does to each rank; all arrays have one entry per rank.

    Attributes:
        completion_ps: when all that the rank sends and receives has arrived.
        sent_bytes, received_bytes: payload.
        sending_ps, receiving_ps: how long its link is busy in either direction.
        sends: messages in all.
        exact: whether receivers serve in order of arrival; otherwise they wait for the messages in order of steps.
    """

    completion_ps: IntArray
    sent_bytes: IntArray
    received_bytes: IntArray
    sending_ps: IntArray
    receiving_ps: IntArray
    sends: int
    exact: bool

    def __post_init__(self) -> None:
        columns = (self.completion_ps, self.sent_bytes, self.received_bytes, self.sending_ps, self.receiving_ps)
        for column in columns:
            column.setflags(write=False)

    @property
    def duration_ps(self) -> int:
        """When the last rank is done."""
        return int(self.completion_ps.max())


def schedule_timing(
    schedule: Schedule, nbytes: int, nics: Nics, *, itemsize: int = 1, approximate: bool = False
) -> Timing:
    """Return when each rank is done with a collective on otherwise idle links.

    O(steps · ranks) in NumPy as long as messages do not overtake each other: about 10 ms for a ring of 1024 ranks, and
    about 50 us per step for other schedules; otherwise a few microseconds per message on top.

    Args:
        schedule: what is sent.
        nbytes: size of the vector.
        nics: the ends; one per rank.
        itemsize: no block cuts through an element of so many bytes.
        approximate: where messages overtake each other, leave it at the times that receivers need who wait for them in
            order of steps (``Timing.exact`` is then false).

    Raises:
        InvalidValue: there are not as many ends as ranks, or the times exceed 2**61 ps.
    """
    if len(nics) != schedule.ranks:
        raise InvalidValue(field="nics", value=len(nics), rule=f"the schedule has {schedule.ranks} ranks")
    if schedule.shift is not None and nbytes // itemsize >= schedule.ranks > 1:
        return _ring_timing(schedule, nbytes, nics, itemsize)
    run = _Run(schedule, nbytes, nics, itemsize)
    for step in schedule.steps():
        run.take(step)
    timing = run.timing()
    if timing.exact or approximate:
        return timing
    return replace(timing, completion_ps=completion_in_arrival_order(schedule, nbytes, nics, itemsize), exact=True)


def schedule_ps(schedule: Schedule, nbytes: int, nics: Nics, *, itemsize: int = 1) -> IntArray:
    """Return when each rank is done, in picoseconds; see ``schedule_timing``."""
    return schedule_timing(schedule, nbytes, nics, itemsize=itemsize).completion_ps


class _Run:
    """The state of all ranks between two steps."""

    def __init__(self, schedule: Schedule, nbytes: int, nics: Nics, itemsize: int) -> None:
        self.edges = schedule.edges(nbytes, itemsize)
        self.nics = nics
        self.out, self.into = Service(nics.sending, nics.wire), Service(nics.receiving, nics.wire)
        ranks = schedule.ranks
        self.ready, self.out_free, self.in_free, self.done, self.sending, self.receiving, self.sent, self.received = (
            np.zeros(ranks, dtype=np.int64) for _ in range(8)
        )
        self.last_arrival = np.full(ranks, -1, dtype=np.int64)
        self.coming: list[tuple[IntArray, IntArray] | None] = []
        self.arrived_steps = 0
        self.sends = 0
        self.in_order = True

    def take(self, step: Step) -> None:
        """Carry out the sends of a step; those of empty blocks are none."""
        source, target, first, end = step.sends
        size = self.edges[end] - self.edges[first]
        if not size.all():
            some = np.flatnonzero(size)
            source, target, size = source[some], target[some], size[some]
        for index in range(self.arrived_steps, step.waits):
            arrivals = self.coming[index]
            if arrivals is not None:
                self.ready[arrivals[0]] = np.maximum(self.ready[arrivals[0]], arrivals[1])
                self.coming[index] = None
        self.arrived_steps = max(self.arrived_steps, step.waits)
        self.coming.append(self._carry(source, target, size) if len(source) else None)

    def _carry(self, source: IntArray, target: IntArray, size: IntArray) -> tuple[IntArray, IntArray]:
        out, into = self.out.ps(source, size), self.into.ps(target, size)
        begun = np.maximum(self.out_free[source], self.ready[source])
        left = begun + out
        arrived = np.maximum(begun, left - into)
        taken = np.maximum(arrived, self.in_free[target]) + into
        there = taken + self.nics.latency(source, target)
        self.in_order = self.in_order and bool((arrived > self.last_arrival[target]).all())
        self.last_arrival[target] = arrived
        self.out_free[source] = left
        self.in_free[target] = taken
        self.sending[source] += out
        self.receiving[target] += into
        self.sent[source] += size
        self.received[target] += size
        self.done[source] = np.maximum(self.done[source], there)
        self.done[target] = np.maximum(self.done[target], there)
        self.sends += len(source)
        if int(there.max()) >= LATEST_PS:
            raise InvalidValue(field="nbytes", value=int(size.max()), rule="the collective ends after 2**61 ps")
        return target, there

    def timing(self) -> Timing:
        return Timing(
            completion_ps=self.done,
            sent_bytes=self.sent,
            received_bytes=self.received,
            sending_ps=self.sending,
            receiving_ps=self.receiving,
            sends=self.sends,
            exact=self.in_order,
        )


# ---------------------------------------------------------------------------------------------------------------- ring


def ring_all_reduce_ps(
    nbytes: int, ps_per_byte: Ratios, latency_ps: IntArray, *, itemsize: int = 1, rendezvous: bool = False
) -> IntArray:
    """Return when each rank of a ring is done with an all-reduce, in picoseconds; 2 (N - 1) products of N entries.

    Blocks are the slices ``floor(i * n / N)`` to ``floor((i + 1) * n / N)`` of the vector; slices without elements
    are not sent.

    Args:
        nbytes: size of the vector.
        ps_per_byte: numerators and denominators of the time per byte of the link from each rank to the next.
        latency_ps: (N,) delay of that link.
        itemsize: no block cuts through an element of so many bytes.
        rendezvous: whether a sender is held until its block has arrived; otherwise only until it has left.

    Raises:
        InvalidValue: shapes differ, a value is out of range, or the times exceed 2**61 ps.
    """
    latency = np.asarray(latency_ps, dtype=np.int64)
    count = len(latency)
    if not count or ps_per_byte[0].shape != (count,) or ps_per_byte[1].shape != (count,):
        shapes = (ps_per_byte[0].shape, ps_per_byte[1].shape, latency.shape)
        raise InvalidValue(field="ps_per_byte, latency_ps", value=shapes, rule="there is one entry per rank")
    if ps_per_byte[0].min() < 1 or ps_per_byte[1].min() < 1 or latency.min() < 0:
        raise InvalidValue(
            field="ps_per_byte, latency_ps", value="", rule="rates are positive, and delays not negative"
        )
    ring = _Ring.of(nbytes, count, itemsize, ps_per_byte, latency)
    return ring.completion(2 * (count - 1), -1, rendezvous=rendezvous)


@dataclass(slots=True)
class _Ring:
    """Links of a ring: the time of a small block, the further time of a large one, and which blocks are large."""

    small: IntArray
    extra: IntArray
    large: IntArray
    latency: IntArray
    empty: bool

    @classmethod
    def of(
        cls,
        nbytes: int,
        count: int,
        itemsize: int,
        rates: Ratios,
        latency: IntArray,
        wire: Callable[[int], int] = int,
    ) -> _Ring:
        sizes = np.diff(slice_edges(nbytes, count, itemsize))
        least = int(sizes.min())
        small = serialisation_ps(np.full(count, wire(least)), *rates)
        extra = serialisation_ps(np.full(count, wire(least + itemsize)), *rates) - small
        if 2 * count * int((small + extra).max() + latency.max()) >= LATEST_PS:
            raise InvalidValue(field="nbytes", value=nbytes, rule="the collective ends after 2**61 ps")
        large = (sizes > least).astype(np.int64)
        return cls(small=small, extra=extra, large=large, latency=latency, empty=least == 0)

    def completion(self, steps: int, shift: int, *, rendezvous: bool = False) -> IntArray:
        """When each rank is done with ``steps`` steps in which rank ``i`` sends block ``i + shift - step`` on."""
        count = len(self.small)
        if steps == 0:
            return np.zeros(count, dtype=np.int64)
        held = self.latency if rendezvous else np.zeros_like(self.latency)
        further = self.latency - held
        blocks = np.concatenate([self.large, self.large])
        divides = not self.large.any()
        free = np.zeros(count, dtype=np.int64)
        # Entry i + 1 is when the last block from rank i arrived; entry 0 repeats the last one and closes the ring.
        there = np.zeros(count + 1, dtype=np.int64)
        hold, from_before = self.small + held, there[:-1]
        for step in range(steps):
            if divides:
                time = hold
            else:
                start = (shift - step) % count
                time = hold + self.extra * blocks[start : start + count]
            if self.empty:
                sent = blocks[start : start + count] > 0 if not divides else np.zeros(count, dtype=np.bool_)
                free = np.where(sent, np.maximum(free, from_before) + time, free)
                there[1:] = np.where(sent, free + further, there[1:])
            else:
                np.maximum(free, from_before, out=free)
                free += time
                np.add(free, further, out=there[1:])
            there[0] = there[-1]
        return np.maximum(there[1:], from_before)


def _ring_timing(schedule: Schedule, nbytes: int, nics: Nics, itemsize: int) -> Timing:
    """The timing of a schedule that only turns round: its links are those from each rank to the next.

    Of the two ends of a link the slower one sets the pace at every step, so the two are one link.
    """
    count = schedule.ranks
    shift = schedule.shift or 0
    steps = (count - 1) * (2 if schedule.collective is Collective.ALL_REDUCE else 1)
    source = np.arange(count)
    taking = (*nics.receiving[1:], nics.receiving[0])
    slower = [out if out is into else max(out, into) for out, into in zip(nics.sending, taking, strict=True)]
    latency = nics.latency(source, np.roll(source, -1))
    ring = _Ring.of(nbytes, count, itemsize, ratios(slower), latency, nics.wire_bytes)
    completion = ring.completion(steps, shift)
    # Rank i sends ``steps`` blocks from i + shift downwards, and goes round where that is more than all.
    rounds, rest = divmod(steps, count)
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.tile(ring.large, 3))])
    last = (source + shift) % count + count + 1
    large = rounds * int(ring.large.sum()) + before[last] - before[last - rest]
    received_large = np.roll(large, 1)
    size = nbytes // itemsize // count * itemsize
    sent = steps * size + large * itemsize
    out, into = Service(nics.sending, nics.wire), Service(nics.receiving, nics.wire)
    return Timing(
        completion_ps=completion,
        sent_bytes=sent,
        received_bytes=np.roll(sent, 1),
        sending_ps=(steps - large) * out.all_ranks(size) + large * out.all_ranks(size + itemsize),
        receiving_ps=(steps - received_large) * into.all_ranks(size) + received_large * into.all_ranks(size + itemsize),
        sends=steps * count,
        exact=True,
    )
