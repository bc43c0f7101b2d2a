"""First-come-first-served service of many messages at once: the kernel's answer without its events.

As long as every message is of one class and none has a deadline, a channel serves in order of arrival, and the whole
history is a recurrence over sorted arrays: with arrivals ``r`` and service times ``s``, the i-th message leaves at
``f_i = max(r_i, f_{i-1}) + s_i``, which is ``cumsum(s) + running maximum of (r - (cumsum(s) - s))``. All channels of
one level are solved by one such scan.

The answer equals the kernel's to the picosecond, ties included: what arrives at a channel at the same picosecond is
served by rank; only, an idle channel takes what was already under way before what began to be sent in that very
instant (cut-through without delay).

Arithmetic is in int64 picoseconds and refuses what could overflow it: instants stay below 2**61, about 26 days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import Channel

IntArray: TypeAlias = NDArray[np.int64]

_Where: TypeAlias = tuple[IntArray, IntArray] | tuple[int, slice]

LATEST_PS: Final = 1 << 61
_EXACT_FLOAT: Final = float(1 << 50)


def ratios(values: Sequence[Fraction | int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (numerators, denominators) of ``values``: in int64, or as Python integers where those are too large."""
    pairs = [(value.numerator, value.denominator) for value in values]
    small = all(top < 1 << 63 and bottom < 1 << 61 for top, bottom in pairs)
    kind: Any = np.int64 if small else object
    return np.array([top for top, _ in pairs], dtype=kind), np.array([bottom for _, bottom in pairs], dtype=kind)


def serialisation_ps(nbytes: ArrayLike, numerator: NDArray[Any], denominator: NDArray[Any]) -> IntArray:
    """Return ``ceil(nbytes * numerator / denominator)`` exactly, elementwise, O(n).

    Below 2**50 a floating-point quotient is off by less than 2; the remainder it leaves, taken modulo 2**64, is then
    exact and puts it right. Beyond, Python integers do the work.

    Raises:
        InvalidValue: a result is not below ``LATEST_PS``.
    """
    size = np.asarray(nbytes, dtype=np.int64)
    result: IntArray = np.empty(np.broadcast_shapes(size.shape, numerator.shape), dtype=np.int64)
    if result.size == 0:
        return result
    if numerator.dtype != object:
        if denominator.max() == 1 and int(size.max()) * int(numerator.max()) < LATEST_PS:
            np.multiply(size, numerator, out=result)
            return result
        estimate = size * (numerator / denominator)
        if estimate.max() < _EXACT_FLOAT:
            quotient = estimate.astype(np.int64)
            rest = size * numerator - quotient * denominator
            result[...] = quotient - (-rest // denominator)
            return result
    exact = -(-size.astype(object) * numerator // denominator)
    if exact.max() >= LATEST_PS:
        raise InvalidValue(field="nbytes", value=int(size.max()), rule="its time on the channel must be below 2**61 ps")
    result[...] = exact
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Directed channels as columns; a channel's number is its row.

    Attributes:
        numerator, denominator: picoseconds per byte, as an exact ratio.
        forward: bytes that must have been sent before the beginning of a message travels on to the next channel: the
            chunk of a store-and-forward channel, 0 for cut-through.
    """

    numerator: NDArray[Any]
    denominator: NDArray[Any]
    forward: IntArray

    def __post_init__(self) -> None:
        for name, least in (("numerator", 1), ("denominator", 1), ("forward", 0)):
            column = getattr(self, name)
            if column.shape != (len(self),):
                raise InvalidValue(field=name, value=column.shape, rule="all columns have one row per channel")
            if len(self) and column.min() < least:
                raise InvalidValue(field=name, value=int(column.min()), rule=f"it must be at least {least}")
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.numerator)

    @classmethod
    def of(cls, channels: Sequence[Channel]) -> Channels:
        """Return the columns of the kernel's ``channels``, in their order."""
        numerator, denominator = ratios([each.ps_per_byte for each in channels])
        forward = np.array([each.chunk if each.store_and_forward else 0 for each in channels], dtype=np.int64)
        return cls(numerator=numerator, denominator=denominator, forward=forward)

    def service_ps(self, channel: IntArray, nbytes: IntArray) -> IntArray:
        """Return how long each size takes on its channel."""
        return serialisation_ps(nbytes, self.numerator[channel], self.denominator[channel])


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What happened to each message, in the order in which the messages were given.

    Attributes:
        arrived_ps: (messages, hops) when it could have started on each channel of its path; -1 past the end of a path.
        begun_ps: (messages, hops) when it started; -1 past the end of a path.
        done_ps: (messages,) when its last byte had arrived.
        busy_ps: (channels,) how long each channel was sending.
    """

    arrived_ps: IntArray
    begun_ps: IntArray
    done_ps: IntArray
    busy_ps: IntArray

    def __post_init__(self) -> None:
        for column in (self.arrived_ps, self.begun_ps, self.done_ps, self.busy_ps):
            column.setflags(write=False)


def serve(
    channels: Channels,
    release_ps: ArrayLike,
    nbytes: ArrayLike,
    path: ArrayLike,
    delays: ArrayLike,
    rank: ArrayLike | None = None,
) -> Service:
    """Return when every message starts on each of its channels and when it arrives, first come first served.

    O(hops · n log n); a million messages over two hops take 0.6 to 1.4 s, least when sorted by release.

    Args:
        channels: the channels that ``path`` numbers.
        release_ps: (n,) not before this time.
        nbytes: (n,) sizes, at least 1.
        path: (n, hops) channel numbers in order; shorter paths end in -1.
        delays: propagation after each channel in picoseconds, of the shape of ``path`` or broadcast to it.
        rank: (n,) order of what arrives somewhere at the same instant, and so in line with ``release_ps``; without it,
            by release and then by position.

    Raises:
        InvalidValue: shapes or ranges are wrong, an instant could pass ``LATEST_PS``, or the paths go round in a circle
            of channels, which only the kernel can follow.
    """
    asked = _Asked.of(channels, release_ps, nbytes, path, delays)
    order = _ranked(asked.release, rank)
    level = _levels(asked.route, len(channels))
    state = _State.start(channels, asked, order)
    for step in range(int(level.max(initial=-1)) + 1):
        state.serve_level([np.flatnonzero((column >= 0) & (level[column] == step)) for column in state.route])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return Service(
        arrived_ps=state.arrived.T[back], begun_ps=state.begun.T[back], done_ps=state.done[back], busy_ps=state.busy
    )


@dataclass(slots=True)
class _State:
    """Messages in order of rank, half way through their paths.

    Columns of hops have the shape (hops, messages) here. ``turn`` counts, for each message and its present hop, how
    many channels it has already entered in the same instant.
    """

    channels: Channels
    size: IntArray
    route: IntArray
    delays: IntArray
    arrived: IntArray
    begun: IntArray
    turn: IntArray
    done: IntArray
    busy: IntArray

    @classmethod
    def start(cls, channels: Channels, asked: _Asked, order: IntArray) -> _State:
        shape = asked.route.shape[::-1]
        arrived = np.full(shape, -1, dtype=np.int64)
        arrived[0] = asked.release[order]
        return cls(
            channels=channels,
            size=asked.size[order],
            route=np.ascontiguousarray(asked.route.T[:, order]),
            delays=asked.delays.T[:, order],
            arrived=arrived,
            begun=np.full(shape, -1, dtype=np.int64),
            turn=np.zeros(len(order), dtype=np.int64),
            done=np.zeros(len(order), dtype=np.int64),
            busy=np.zeros(len(channels), dtype=np.int64),
        )

    def serve_level(self, rows_of_hop: list[IntArray]) -> None:
        """Serve on the channels of one level all the messages that pass them, at whatever hop of their paths."""
        used = [(hop, rows) for hop, rows in enumerate(rows_of_hop) if len(rows)]
        if not used:
            return
        rows = np.concatenate([rows for _, rows in used])
        hops = np.repeat([hop for hop, _ in used], [len(rows) for _, rows in used])
        if len(used) > 1:
            by_rank = np.argsort(rows, kind="stable")
            rows, hops = rows[by_rank], hops[by_rank]
        whole = len(used) == 1 and len(rows) == len(self.size)
        where: _Where = (used[0][0], slice(None)) if whole else (hops, rows)
        channel, arrived, turn = self.route[where], self.arrived[where], self.turn[where[1]]
        service = self.channels.service_ps(channel, self.size[where[1]])
        self.busy += _totals(channel, service, len(self.channels))
        begun = first_come_first_served(channel, arrived, service, turn)
        self.begun[where] = begun
        self.done[where[1]] = begun + service + self.delays[where]
        onward = np.flatnonzero(hops + 1 < len(self.route))
        onward = onward[self.route[hops[onward] + 1, rows[onward]] >= 0]
        if len(onward) == len(self.size) and whole:
            self._pass_on(slice(None), used[0][0], arrived, service)
        elif len(onward):
            self._pass_on(rows[onward], hops[onward], arrived[onward], service[onward])

    def _pass_on(self, rows: IntArray | slice, hops: IntArray | int, arrived: IntArray, service: IntArray) -> None:
        """Find when messages can start on their next channels."""
        channel, following = self.route[hops, rows], self.route[hops + 1, rows]
        begun = self.begun[hops, rows]
        ready = released_ps(self.channels, channel, following, self.size[rows], begun, begun + service)
        ready = ready + self.delays[hops, rows]
        self.arrived[hops + 1, rows] = ready
        self.turn[rows] = np.where(ready == begun, np.where(begun == arrived, self.turn[rows], 0) + 1, 0)


def released_ps(
    channels: Channels, channel: IntArray, following: IntArray, nbytes: IntArray, begun_ps: IntArray, ended_ps: IntArray
) -> IntArray:
    """Return the first instants from which messages can be sent on ``following`` without a gap, before propagation.

    Behind a cut-through channel a message is there bit by bit, behind another one by units of ``forward`` bytes. The
    first unit, the last full one and the last one, which may be short, decide.
    """
    forward = channels.forward[channel]
    if not forward.any():
        return _later(begun_ps, ended_ps - channels.service_ps(following, nbytes))
    unit = np.minimum(forward, nbytes)
    by_units = unit > 0
    before_last = np.where(by_units, (nbytes - 1) // np.maximum(unit, 1) * unit, nbytes)
    first = begun_ps + channels.service_ps(channel, unit)
    last = ended_ps - channels.service_ps(following, before_last)
    result = _later(first, last)
    several = np.flatnonzero(by_units & (before_last > unit))
    if len(several):
        done, ahead = before_last[several], before_last[several] - unit[several]
        full = begun_ps[several] + channels.service_ps(channel[several], done)
        full -= channels.service_ps(following[several], ahead)
        result[several] = _later(result[several], full)
    return result


def _later(a: IntArray, b: IntArray) -> IntArray:
    result: IntArray = np.maximum(a, b)
    return result


def first_come_first_served(channel: IntArray, arrived_ps: IntArray, service_ps: IntArray, turn: IntArray) -> IntArray:
    """Return when each message starts on its channel, served in order of arrival and then of position.

    One sort and one scan over all channels, O(n log n). Of what arrives at an idle channel in one instant, the least
    ``turn`` goes first: it was there before the others began to be sent.
    """
    picked = _sorted_by(channel, arrived_ps)
    begun = _scan(channel, arrived_ps, service_ps, picked)
    if turn.min() == turn.max():
        return begun
    # Whether a channel is idle at an instant does not depend on the order of service, so one correction is enough.
    opens = np.flatnonzero(_changes(channel[picked]) | _changes(arrived_ps[picked]))
    lengths = np.diff(opens, append=len(picked))
    shared = np.flatnonzero(lengths > 1)
    for open_, length in zip(opens[shared].tolist(), lengths[shared].tolist(), strict=True):
        group = picked[open_ : open_ + length]
        if begun[group[0]] == arrived_ps[group[0]]:
            first = int(np.argmin(turn[group]))
            group[: first + 1] = np.roll(group[: first + 1], 1)
    return _scan(channel, arrived_ps, service_ps, picked) if len(shared) else begun


def _changes(column: IntArray) -> NDArray[np.bool_]:
    """Where an entry differs from the one before it; the first always does."""
    result = np.ones(len(column), dtype=np.bool_)
    np.not_equal(column[1:], column[:-1], out=result[1:])
    return result


def _scan(channel: IntArray, arrived_ps: IntArray, service_ps: IntArray, picked: IntArray) -> IntArray:
    """Service in the given order, in which the messages of a channel are consecutive."""
    arrived, service = arrived_ps[picked], service_ps[picked]
    starts = np.flatnonzero(_changes(channel[picked]))
    lengths = np.diff(starts, append=len(picked))
    before = np.cumsum(service) - service
    before -= np.repeat(before[starts], lengths)
    slack = arrived - before
    low = int(slack.min())
    span = int(slack.max()) - low + 1
    if span * len(starts) < LATEST_PS:
        # Every channel is lifted clear of the ones before it, so one running maximum serves them all.
        lift = np.repeat(np.arange(len(starts)) * span - low, lengths)
        slack = np.maximum.accumulate(slack + lift) - lift
    else:
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            np.maximum.accumulate(slack[start : start + length], out=slack[start : start + length])
    begun = np.empty_like(slack)
    begun[picked] = slack + before
    return begun


def _sorted_by(channel: IntArray, key: IntArray) -> IntArray:
    """The stable order by (channel, key); narrow channel numbers are sorted by radix, and sorted keys not at all."""
    few = channel.astype(np.uint16) if channel.max() < 1 << 16 else channel
    if bool((key[1:] >= key[:-1]).all()):
        return np.argsort(few, kind="stable")
    by_key = np.argsort(key, kind="stable")
    return by_key[np.argsort(few[by_key], kind="stable")]


def _totals(channel: IntArray, amount: IntArray, count: int) -> IntArray:
    """Exact sums of ``amount`` per channel; bincount adds doubles, exact up to 2**53, so halves are added apart."""
    low = np.bincount(channel, weights=amount & 0xFFFFFF, minlength=count)
    high = np.bincount(channel, weights=amount >> 24, minlength=count)
    return (high.astype(np.int64) << 24) + low.astype(np.int64)


def _levels(route: IntArray, count: int) -> IntArray:
    """A level for every channel such that every path climbs.

    Raises:
        InvalidValue: there is none.
    """
    level = np.full(count, -1, dtype=np.int64)
    disjoint = True
    for hop, column in enumerate(route.T):
        used = np.flatnonzero(np.bincount(column[column >= 0], minlength=count))
        disjoint = disjoint and not (level[used] >= 0).any()
        level[used] = hop
    if disjoint:
        return level
    steps = [route[route[:, hop + 1] >= 0][:, hop : hop + 2] for hop in range(route.shape[1] - 1)]
    pairs = np.unique(np.concatenate([a[:, 0] * count + a[:, 1] for a in steps]))
    source, target = pairs // count, pairs % count
    level = np.zeros(count, dtype=np.int64)
    for _ in range(count):
        wanted = level[source] + 1
        if (level[target] >= wanted).all():
            return level
        np.maximum.at(level, target, wanted)
    raise InvalidValue(
        field="path", value=route.shape, rule="the paths go round in a circle of channels", remedy="Use the kernel."
    )


@dataclass(slots=True)
class _Asked:
    """The columns of a request, checked."""

    release: IntArray
    size: IntArray
    route: IntArray
    delays: IntArray

    @classmethod
    def of(
        cls, channels: Channels, release_ps: ArrayLike, nbytes: ArrayLike, path: ArrayLike, delays: ArrayLike
    ) -> _Asked:
        release, size = np.asarray(release_ps, dtype=np.int64), np.asarray(nbytes, dtype=np.int64)
        route, delay = np.asarray(path, dtype=np.int64), np.asarray(delays, dtype=np.int64)
        count = len(release)
        if release.ndim != 1 or size.shape != (count,) or route.ndim != 2 or len(route) != count or not route.shape[1]:
            shapes = (release.shape, size.shape, route.shape)
            raise InvalidValue(field="release_ps, nbytes, path", value=shapes, rule="they are (n,), (n,) and (n, hops)")
        try:
            delay = np.broadcast_to(delay, route.shape)
        except ValueError:
            raise InvalidValue(field="delays", value=delay.shape, rule=f"they have the shape {route.shape}") from None
        asked = cls(release=release, size=size, route=route, delays=delay)
        if count:
            asked._check(channels)
        return asked

    def _check(self, channels: Channels) -> None:
        route = self.route
        for name, column, least in (
            ("nbytes", self.size, 1),
            ("release_ps", self.release, 0),
            ("delays", self.delays, 0),
        ):
            if column.min() < least:
                raise InvalidValue(field=name, value=int(column.min()), rule=f"it must be at least {least}")
        if route.min() < -1 or route.max() >= len(channels) or route[:, 0].min() < 0:
            rule = f"channel numbers run from 0 to {len(channels) - 1}, and -1 ends a path"
            raise InvalidValue(field="path", value=(int(route.min()), int(route.max())), rule=rule)
        if bool(((route[:, :-1] < 0) & (route[:, 1:] >= 0)).any()):
            raise InvalidValue(field="path", value=-1, rule="-1 may only follow the last channel of a path")
        slowest = float(np.max(channels.numerator / channels.denominator))
        work = float(self.size.astype(np.float64).sum()) * slowest + len(self.size)
        latest = float(self.release.max()) + route.shape[1] * (work + float(self.delays.max()))
        if latest >= LATEST_PS:
            rule = "the messages could end after 2**61 ps"
            raise InvalidValue(field="nbytes", value=int(self.size.max()), rule=rule, remedy="Send fewer at once.")


def _ranked(release: IntArray, rank: ArrayLike | None) -> IntArray:
    """The positions of the messages in order of rank."""
    if rank is None:
        in_order = bool((release[1:] >= release[:-1]).all())
        return np.arange(len(release)) if in_order else np.argsort(release, kind="stable")
    ranks = np.asarray(rank, dtype=np.int64)
    if ranks.shape != release.shape:
        raise InvalidValue(field="rank", value=ranks.shape, rule="one rank per message")
    return np.argsort(ranks, kind="stable")
