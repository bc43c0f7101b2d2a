"""Passes over the program in a fixed order: as soon as possible, and as late as nothing is delayed.

With the order of every link fixed, an instruction starts at the maximum of sums: the end of what it waits for plus a
lag. So starts are monotone in every duration, and a pass costs one step per wait. All runs go side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.link_order import Order
from hyperfabric_q.distribution.operations import MESSAGE, Instants, Operations

if TYPE_CHECKING:
    from hyperfabric_q.distribution.background import Beside

LINK: Final = 2
"""A wait for the pair that the link makes before; the other kinds are those of ``operations``."""


class Requests(NamedTuple):
    """When to request each pair: ``offset_ps`` after the end of instruction ``anchor``; -1 is the program's start."""

    anchor: Instants
    offset_ps: Instants


class Late(NamedTuple):
    """Latest starts of all instructions, and the one after each that keeps it from being later; -1 for none."""

    starts: Instants
    bound_by: Instants


def earliest(
    operations: Operations,
    order: Order,
    made_ps: Instants,
    requests: Requests | None = None,
    beside: Beside | None = None,
) -> Instants:
    """Return the earliest starts, (instructions, runs); O(waits x runs).

    Args:
        operations: the instructions.
        order: of the instructions.
        made_ps: how long the attempts for each pair take, (pairs, runs).
        requests: when to request the pairs; None is as soon as their wires and their link are free.
        beside: traffic of others, which messages and pairs have to wait for.
    """
    asked = _asked(operations, requests)
    if made_ps.shape[1] == 1 and beside is None:
        return np.array(_earliest(operations, order, made_ps[:, 0].tolist(), asked), dtype=np.int64)[:, None]
    starts = np.zeros((len(operations), made_ps.shape[1]), dtype=np.int64)
    ends = np.zeros_like(starts)
    duration, tails = operations.duration_ps.tolist(), _tails(operations)
    pair_at = {pair: place for place, pair in enumerate(operations.pairs.tolist())}
    ready = np.empty(made_ps.shape[1], dtype=np.int64)
    for each in order.sequence:
        start = starts[each]
        for after, lag, kind in operations.waits[each]:
            if lag or kind == MESSAGE:
                np.add(ends[after], lag, out=ready)
                if beside is not None and kind == MESSAGE:
                    source, target = (
                        operations.nodes[operations.node_of[operations.wires[at][0]]] for at in (after, each)
                    )
                    waited = beside.wait_ps(source, target, ends[after])
                    if waited is not None:
                        ready += waited
                np.maximum(start, ready, out=start)
            else:
                np.maximum(start, ends[after], out=start)
        place = pair_at.get(each)
        if place is None:
            np.add(start, duration[each], out=ends[each])
            continue
        before = order.link_before[each]
        if before >= 0:
            np.maximum(start, ends[before] - tails[place], out=start)
        anchor, offset = asked[place]
        np.maximum(start, offset if anchor < 0 else ends[anchor] + offset, out=start)
        if beside is not None:
            start[:] = beside.begin_ps(int(operations.pair_link[place]), start, made_ps[place])
        np.add(start, made_ps[place] + tails[place], out=ends[each])
    return starts


def _earliest(operations: Operations, order: Order, made: list[int], asked: list[tuple[int, int]]) -> list[int]:
    """The same of one run, on plain numbers, which is several times as fast."""
    ends = operations.duration_ps.tolist()
    starts = [0] * len(ends)
    tails = _tails(operations)
    pair_at = {pair: place for place, pair in enumerate(operations.pairs.tolist())}
    waits = operations.waits
    for each in order.sequence:
        start = 0
        for after, lag, _ in waits[each]:
            ready = ends[after] + lag
            start = max(start, ready)
        place = pair_at.get(each)
        if place is not None:
            before = order.link_before[each]
            if before >= 0:
                start = max(start, ends[before] - tails[place])
            anchor, offset = asked[place]
            start = max(start, offset if anchor < 0 else ends[anchor] + offset)
            ends[each] = made[place] + tails[place]
        starts[each] = start
        ends[each] += start
    return starts


def ends_of(operations: Operations, starts: Instants, made_ps: Instants) -> Instants:
    """Return the ends of instructions that begin at ``starts``, both (instructions, runs); of pairs, the heralds."""
    ends = starts + operations.duration_ps[:, None]
    tails = np.array(_tails(operations), dtype=np.int64)
    ends[operations.pairs] += made_ps + tails[:, None]
    return np.asarray(ends)


def latest(operations: Operations, order: Order, starts: Instants, lead_ps: Instants, free: NDArray[np.bool_]) -> Late:
    """Return the latest starts with which no instruction outside ``free`` is delayed; O(waits).

    Args:
        operations: the instructions.
        order: of the instructions.
        starts: when each instruction starts at the earliest, (instructions,).
        lead_ps: how long to allow the attempts for each pair, (pairs,).
        free: which instructions may start later, (instructions,).
    """
    late, duration = starts.tolist(), operations.duration_ps.tolist()
    moves, tails = free.tolist(), _tails(operations)
    tail_of = dict(zip(operations.pairs.tolist(), tails, strict=True))
    for pair, lead, tail in zip(operations.pairs.tolist(), lead_ps.tolist(), tails, strict=True):
        duration[pair] = lead + tail
    bounds: list[int] = [0] * len(late)
    bound_by = [-1] * len(late)
    for each in reversed(order.sequence):
        if moves[each] and bound_by[each] >= 0:
            late[each] = max(late[each], bounds[each] - duration[each])
        start = late[each]
        for after, lag, _ in operations.waits[each]:
            if bound_by[after] < 0 or bounds[after] > start - lag:
                bounds[after], bound_by[after] = start - lag, each
        before = order.link_before[each]
        if before >= 0:
            free_at = start + tail_of[before]
            if bound_by[before] < 0 or bounds[before] > free_at:
                bounds[before], bound_by[before] = free_at, each
    return Late(np.array(late, dtype=np.int64), np.array(bound_by, dtype=np.int64))


def by_start(order: Order, starts: Instants) -> Order:
    """Return the same order of links, with the instructions in the order of ``starts``, (instructions,).

    What waits starts no earlier than what it waits for, so all waits are kept.
    """
    sequence = np.array(order.sequence, dtype=np.int64)
    ranked = sequence[np.argsort(starts[sequence], kind="stable")]
    return Order(tuple(ranked.tolist()), order.link_before)


def bindings(operations: Operations, order: Order, starts: Instants, ends: Instants) -> list[tuple[int, int, int]]:
    """Return what each instruction waited for last, as (instruction, lag, kind); (-1, 0, -1) for nothing; O(waits).

    Args:
        operations: the instructions.
        order: of the instructions.
        starts: the earliest starts, (instructions,).
        ends: the ends, (instructions,).
    """
    begun, ended = starts.tolist(), ends.tolist()
    tail_of = dict(zip(operations.pairs.tolist(), _tails(operations), strict=True))
    found: list[tuple[int, int, int]] = []
    for each, start in enumerate(begun):
        before = order.link_before[each]
        if before >= 0 and ended[before] - tail_of[before] == start:
            found.append((before, -tail_of[before], LINK))
            continue
        tight = (wait for wait in operations.waits[each] if ended[wait.after] + wait.lag_ps == start)
        found.append(next(tight, (-1, 0, -1)))
    return found


def _asked(operations: Operations, requests: Requests | None) -> list[tuple[int, int]]:
    if requests is None:
        return [(-1, 0)] * len(operations.pairs)
    return list(zip(requests.anchor.tolist(), requests.offset_ps.tolist(), strict=True))


def _tails(operations: Operations) -> list[int]:
    """From the last attempt to the herald, of each pair."""
    return [operations.links[link].tail_ps for link in operations.pair_link.tolist()]
