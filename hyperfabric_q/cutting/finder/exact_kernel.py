"""Branch and bound, the best cut of an order into runs, and the global minimum cut: compiled, on flat arrays.

The arrays that describe the graph are those of ``kernel``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from hyperfabric_q.cutting.finder.kernel import (
    FIXED,
    FLAGS,
    GAP_START,
    GAP_WINDOW,
    INTS,
    JOINS,
    JOINTLY,
    NEAR,
    ROOM,
    START,
    USE_COUNT,
    USE_START,
    USE_WINDOW,
    WEIGHT,
    WINDOWS,
    WIRES,
    compiled,
    pair_price,
)
from hyperfabric_q.cutting.finder.prices import UNIT, WIRE

_I8, _F8 = numba.int64, numba.float64
_FLOATS = _F8[::1]
_TABLE = _F8[:, ::1]
SLACK = 1e-7
"""Branches that promise to gain less than this are not followed."""


@compiled(_I8(FIXED, INTS, INTS, _I8[:, ::1], _I8, _I8))
def _has_room(fixed: Any, part: Any, spare: Any, load: Any, v: Any, a: Any) -> Any:
    """Return whether part ``a`` may take ``v``; vertices to come can give back ``spare`` qubits."""
    ties = 0
    for edge in range(fixed[START][v], fixed[START][v + 1]):
        if part[fixed[NEAR][edge]] == a:
            ties += fixed[WIRES][edge] * fixed[FLAGS][JOINS]
            for gap in range(fixed[GAP_START][edge], fixed[GAP_START][edge + 1]):
                if load[a, fixed[GAP_WINDOW][gap]] >= fixed[ROOM][a]:
                    return 0
    for use in range(fixed[USE_START][v], fixed[USE_START][v + 1]):
        if load[a, fixed[USE_WINDOW][use]] + fixed[USE_COUNT][use] - ties > fixed[ROOM][a] + spare[0]:
            return 0
    return 1


@compiled(numba.void(FIXED, INTS, _I8[:, ::1], _I8[:, ::1], _TABLE, _TABLE, INTS, _I8, _I8, _I8))
def _put(
    fixed: Any, part: Any, load: Any, x: Any, near: Any, extra: Any, counts: Any, v: Any, a: Any, sign: Any
) -> None:
    """Place ``v`` on part ``a`` (sign 1) or take it off again (sign -1).

    ``near[u, a]`` sums the gates (whole units) from u to what lies on a, ``extra`` the wires.
    """
    if sign < 0:
        part[v] = -1
    counts[a] += sign
    for use in range(fixed[USE_START][v], fixed[USE_START][v + 1]):
        load[a, fixed[USE_WINDOW][use]] += sign * fixed[USE_COUNT][use]
    for edge in range(fixed[START][v], fixed[START][v + 1]):
        u = fixed[NEAR][edge]
        near[u, a] += sign * fixed[WEIGHT][edge]
        extra[u, a] += sign * fixed[WIRES][edge]
        b = part[u]
        if b < 0:
            continue
        if b == a:
            load[a, 0] -= sign * fixed[WIRES][edge] * fixed[FLAGS][JOINS]
            for gap in range(fixed[GAP_START][edge], fixed[GAP_START][edge + 1]):
                load[a, fixed[GAP_WINDOW][gap]] += sign
        else:
            x[a, b] += sign * fixed[WEIGHT][edge]
            x[b, a] += sign * fixed[WEIGHT][edge]
            counts[len(counts) - 1] += sign * fixed[WIRES][edge]
    if sign > 0:
        part[v] = a


@compiled(_F8(FIXED, INTS, INTS, _I8[:, ::1], _TABLE, _TABLE, INTS, _I8, _I8))
def _promise(
    fixed: Any, order: Any, full: Any, x: Any, near: Any, extra: Any, counts: Any, depth: Any, wired: Any
) -> Any:
    """Return what any completion costs at least.

    Each vertex to come pays for what it is cut from among those placed. As prices of pairs are concave, all that would
    cost least on top of the dearest pair; where wires are cut as well it costs at least 2 per unit of ln s.
    """
    parts = len(fixed[ROOM])
    jointly = fixed[FLAGS][JOINTLY]
    slope = UNIT * (2.0 if jointly == 1 else 1.0)
    rest = 0.0
    for place in range(depth, len(order)):
        u = order[place]
        total = 0.0
        closest = 0.0
        for a in range(parts):
            linked = near[u, a] * slope + extra[u, a] * WIRE
            total += linked
            if full[a] == 0 and linked > closest:
                closest = linked
        rest += total - closest
    price = WIRE * counts[parts]
    dearest: Any = 0
    for a in range(parts):
        for b in range(a):
            price += pair_price(x[a, b], jointly)
            dearest = max(dearest, x[a, b])
    if wired == 1:
        return price + rest
    return price + pair_price(dearest + np.int64(rest / slope), jointly) - pair_price(dearest, jointly)


@compiled(_I8(FIXED, INTS, _I8))
def _is_twin(fixed: Any, counts: Any, a: Any) -> Any:
    """Return whether part ``a`` is empty and so is one of equal room before it: then either will do."""
    if counts[a] == 0:
        for b in range(a):
            if counts[b] == 0 and fixed[ROOM][b] == fixed[ROOM][a]:
                return 1
    return 0


@compiled(_I8(FIXED, INTS, _I8[:, ::1], _I8))
def _is_valid(fixed: Any, counts: Any, load: Any, keep: Any) -> Any:
    """Return whether a complete assignment fits, and uses all parts if it must."""
    for a in range(len(load)):
        if keep == 1 and counts[a] == 0:
            return 0
        for window in range(load.shape[1]):
            if load[a, window] > fixed[ROOM][a]:
                return 0
    return 1


@compiled(_I8(FIXED, INTS, INTS, _I8, _I8, _FLOATS, INTS))
def branch(fixed: Any, order: Any, spare: Any, keep: Any, budget: Any, best: Any, found: Any) -> Any:
    """Search all assignments in depth; return the nodes looked at, more than ``budget`` when it gave up.

    Args:
        fixed: the graph and the rooms.
        order: vertices in the order of placing.
        spare: (v + 1,) qubits that the vertices from a place in the order on can give back by joining wires.
        keep: 1 when every part must hold a vertex.
        budget: nodes.
        best: (1,) price to beat, replaced by what is found.
        found: (v,) parts, replaced likewise.
    """
    count, parts = len(order), len(fixed[ROOM])
    part = np.full(count, -1, dtype=np.int64)
    load = np.zeros((parts, fixed[FLAGS][WINDOWS]), dtype=np.int64)
    x = np.zeros((parts, parts), dtype=np.int64)
    near = np.zeros((count, parts))
    extra = np.zeros((count, parts))
    counts = np.zeros(parts + 1, dtype=np.int64)
    full = np.zeros(parts, dtype=np.int64)
    tried = np.full(count + 1, -1, dtype=np.int64)
    wired = 1 if len(fixed[WIRES]) > 0 and fixed[WIRES].max() > 0 else 0
    crowds = wired == 0 and fixed[FLAGS][WINDOWS] == 1
    nodes = 0
    depth = 0
    while depth >= 0 and nodes <= budget:
        if depth == count:
            price = _promise(fixed, order, full, x, near, extra, counts, depth, wired)
            if price < best[0] - SLACK and _is_valid(fixed, counts, load, keep) == 1:
                best[0] = price
                found[:] = part
            tried[depth] = parts
        tried[depth] += 1
        a = tried[depth]
        if a >= parts:
            tried[depth] = -1
            depth -= 1
            if depth >= 0:
                _put(fixed, part, load, x, near, extra, counts, order[depth], tried[depth], -1)
            continue
        v = order[depth]
        if _is_twin(fixed, counts, a) == 1 or _has_room(fixed, part, spare[depth + 1 :], load, v, a) == 0:
            continue
        nodes += 1
        _put(fixed, part, load, x, near, extra, counts, v, a, 1)
        for b in range(parts):
            full[b] = 1 if crowds and load[b, 0] >= fixed[ROOM][b] else 0
        if _promise(fixed, order, full, x, near, extra, counts, depth + 1, wired) < best[0] - SLACK:
            depth += 1
        else:
            _put(fixed, part, load, x, near, extra, counts, v, a, -1)
    return nodes


@compiled(_F8(FIXED, INTS, INTS, _I8, _I8, INTS))
def _append(fixed: Any, order: Any, place: Any, begin: Any, index: Any, load: Any) -> Any:
    """Add a vertex to the run that starts at ``begin``; return the price of what joins it to the run."""
    v = order[index]
    slope = UNIT * (2.0 if fixed[FLAGS][JOINTLY] == 1 else 1.0)
    inside = 0.0
    for edge in range(fixed[START][v], fixed[START][v + 1]):
        where = place[fixed[NEAR][edge]]
        if begin <= where < index:
            inside += fixed[WEIGHT][edge] * slope + fixed[WIRES][edge] * WIRE
            load[0] -= fixed[WIRES][edge] * fixed[FLAGS][JOINS]
            for gap in range(fixed[GAP_START][edge], fixed[GAP_START][edge + 1]):
                load[fixed[GAP_WINDOW][gap]] += 1
    for use in range(fixed[USE_START][v], fixed[USE_START][v + 1]):
        load[fixed[USE_WINDOW][use]] += fixed[USE_COUNT][use]
    return inside


@compiled(_F8(FIXED, INTS, _I8, INTS))
def sweep(fixed: Any, order: Any, keep: Any, found: Any) -> Any:
    """Cut an order of the vertices into one run per part, in the order of the parts; return what stays uncut, or -1.

    The runs keep as much price inside as possible (gates at their price far out, wires at theirs), by dynamic
    programming over where a run ends; time grows with the square of the vertices that fit on one part. ``keep`` as in
    ``branch``; -1 means that no runs fit.
    """
    count, parts = len(order), len(fixed[ROOM])
    place = np.zeros(count, dtype=np.int64)
    place[order] = np.arange(count)
    value = np.full((parts + 1, count + 1), -1.0)
    origin = np.zeros((parts + 1, count + 1), dtype=np.int64)
    value[0, 0] = 0.0
    load = np.zeros(fixed[FLAGS][WINDOWS], dtype=np.int64)
    for begin in range(count + 1):
        for a in range(parts if keep == 0 else 0):
            if value[a, begin] > value[a + 1, begin]:
                value[a + 1, begin] = value[a, begin]
                origin[a + 1, begin] = begin
        load[:] = 0
        inside = 0.0
        for index in range(begin, count):
            inside += _append(fixed, order, place, begin, index, load)
            held = load.max()
            if held > 2 * fixed[ROOM].max():
                break
            for a in range(parts):
                if held <= fixed[ROOM][a] and value[a, begin] >= 0:
                    kept = value[a, begin] + inside
                    if kept > value[a + 1, index + 1]:
                        value[a + 1, index + 1] = kept
                        origin[a + 1, index + 1] = begin
    end = count
    for a in range(parts, 0, -1):
        begin = origin[a, end]
        found[order[begin:end]] = a - 1
        end = begin
    return value[parts, count]


@compiled(_I8(_I8[:, ::1]))
def minimum_cut(weights: Any) -> Any:
    """Return the least sum of weights that parts the vertices of a symmetric matrix in two (Stoer and Wagner 1997).

    The matrix is spoiled; time grows with the cube of the vertices, of which there must be two.
    """
    count = len(weights)
    alive = np.arange(count)
    least = np.int64(1) << 62
    while len(alive) > 1:
        joined = weights[alive[0]].copy()
        rest = alive[1:].copy()
        last = alive[0]
        before = last
        cut = np.int64(0)
        for left in range(len(rest), 0, -1):
            top = 0
            for index in range(left):
                if joined[rest[index]] > joined[rest[top]]:
                    top = index
            before = last
            last = rest[top]
            cut = joined[last]
            rest[top] = rest[left - 1]
            for index in range(left - 1):
                joined[rest[index]] += weights[last, rest[index]]
        least = min(least, cut)
        for index in range(count):
            weights[before, index] += weights[last, index]
            weights[index, before] = weights[before, index]
        weights[before, before] = 0
        alive = alive[alive != last]
    return least
