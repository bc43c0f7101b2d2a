"""The annealer's hot loops, on flat arrays, compiled.

Segments are numbered qubit by qubit in time order here, so the next segment of a qubit is the next number; a qubit
without gates has one segment that no gate touches. Arrays that never change travel as one tuple, those that do as
another:

* fixed: ``ends_of`` (g, 2) the two segments of each gate; ``starts`` and ``gates``: the gates of each segment; ``span``
  (s, 2) half-open interval of windows; ``owner`` (s,) qubit; ``first`` (n + 1,) first segment of each qubit; ``prices``
  (k 2^k,) of each home and copy set, or empty; ``reach`` (k 2^k,) the nodes these take in at no more cost; ``hops``
  (k, k) distances, for networks too large for a table, or empty for all-to-all; ``room`` (k,) data qubits;
* live: ``pins`` (s, k) how many pins of each segment lie on each node; ``masks`` (s,) its copy set; ``homes`` (s,);
  ``sites`` (g,); ``held`` (k, w) data qubits taken per node and window; ``log`` (., 2) what to undo; ``state``: length
  of the log, cost, and the random generator's 64 bits.

Every function runs unchanged as plain Python (``NUMBA_DISABLE_JIT=1``) and then makes the same moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_I4, _I8, _F8 = numba.int32, numba.int64, numba.float64
_tuple: Any = numba.types.Tuple
_FIXED = _tuple((
    _I4[:, ::1], _I4[::1], _I4[::1], _I4[:, ::1], _I4[::1], _I4[::1], _I8[::1], _I8[::1], _I8[:, ::1], _I4[::1],
))  # fmt: skip
_LIVE = _tuple((_I4[:, ::1], _I8[::1], _I4[::1], _I4[::1], _I4[:, ::1], _I4[:, ::1], _I8[::1]))

ENDS_OF, STARTS, GATES, SPAN, OWNER, FIRST, PRICES, REACH, HOPS, ROOM = range(10)
PINS, MASKS, HOMES, SITES, HELD, LOG, STATE = range(7)
LENGTH, COST, RANDOM = range(3)
RESEATED = 64  # longest run of segments whose gates are sited anew after a move


def _compiled(signature: Any, *, inner: bool = True) -> Callable[[Kernel], Kernel]:
    """Compile ahead of the first call, and keep the machine code on disk where there is a place for it.

    Nothing here allocates, so reference counting is off (twice as fast). An ``inner`` function has no Python entry:
    only compiled code may call it.
    """
    options = {
        "nogil": True,
        "error_model": "numpy",
        "_nrt": False,
        "no_cfunc_wrapper": True,
        "no_cpython_wrapper": inner,
    }
    njit: Any = numba.njit

    def compile_it(function: Kernel) -> Kernel:
        try:
            kernel: Kernel = njit(signature, cache=True, **options)(function)
        except RuntimeError:
            kernel = njit(signature, **options)(function)
        return kernel

    return compile_it


# ------------------------------------------------------------------------------------------------------------ numbers


@_compiled(_I8(_I8[::1], _I8))
def below(state: Any, bound: Any) -> Any:
    """Return a random number in [0, bound), bound < 2^31 (xorshift64, Marsaglia 2003)."""
    x = state[RANDOM]
    x = x ^ (x << 13)
    x = x ^ ((x >> 7) & 0x01FFFFFFFFFFFFFF)
    x = x ^ (x << 17)
    state[RANDOM] = x
    return (((x >> 20) & 0xFFFFFFFF) * bound) >> 32


@_compiled(_I8(_I8[::1], _I8, _I8))
def pick(state: Any, mask: Any, nodes: Any) -> Any:
    """Return a random member of a set of nodes, any node when it is empty."""
    members = 0
    rest = mask
    while rest != 0:
        rest &= rest - 1
        members += 1
    if members == 0:
        return below(state, nodes)
    skip = below(state, members)
    for node in range(nodes):
        if mask >> node & 1:
            if skip == 0:
                return node
            skip -= 1
    return 0


@_compiled(_I8(_FIXED, _I8, _I8), inner=False)
def price(fixed: Any, home: Any, mask: Any) -> Any:
    """Return the cost of a copy set; without a table that of a spanning tree over the distances."""
    prices, hops = fixed[PRICES], fixed[HOPS]
    nodes = len(fixed[ROOM])
    if len(prices) > 0:
        return prices[home << nodes | mask]
    total: Any = 0
    if len(hops) == 0:
        while mask != 0:
            mask &= mask - 1
            total += 1
        return total - 1
    inside = mask & -mask
    rest = mask ^ inside
    while rest != 0:
        nearest = np.int64(1 << 40)
        joined: Any = 0
        for a in range(nodes):
            if inside >> a & 1:
                for b in range(nodes):
                    if rest >> b & 1 and hops[a, b] < nearest:
                        nearest = hops[a, b]
                        joined = b
        total += nearest
        inside |= np.int64(1) << joined
        rest &= ~(np.int64(1) << joined)
    return total


# --------------------------------------------------------------------------------------------------- moves of one pin


@_compiled(numba.void(_FIXED, _LIVE, _I8, _I8, _I8))
def shift(fixed: Any, live: Any, segment: Any, old: Any, new: Any) -> None:
    """Move one pin of a segment from node ``old`` to another node ``new``."""
    pins, masks = live[PINS], live[MASKS]
    pins[segment, old] -= 1
    pins[segment, new] += 1
    before = masks[segment]
    after = before | (np.int64(1) << new)
    if pins[segment, old] == 0:
        after &= ~(np.int64(1) << old)
    if after != before:
        home = live[HOMES][segment]
        live[STATE][COST] += price(fixed, home, after) - price(fixed, home, before)
        masks[segment] = after


@_compiled(numba.void(_FIXED, _LIVE, _I8, _I8))
def set_site(fixed: Any, live: Any, gate: Any, node: Any) -> None:
    """Run a gate on another node; logged."""
    old = live[SITES][gate]
    shift(fixed, live, fixed[ENDS_OF][gate, 0], old, node)
    shift(fixed, live, fixed[ENDS_OF][gate, 1], old, node)
    live[SITES][gate] = node
    length = live[STATE][LENGTH]
    live[LOG][length, 0] = gate
    live[LOG][length, 1] = old
    live[STATE][LENGTH] = length + 1


@_compiled(numba.void(_FIXED, _LIVE, _I8, _I8))
def set_home(fixed: Any, live: Any, segment: Any, node: Any) -> None:
    """Give a segment another home; logged. The room there is the caller's business."""
    old, mask = live[HOMES][segment], live[MASKS][segment]
    if len(fixed[PRICES]) > 0:
        live[STATE][COST] += price(fixed, node, mask) - price(fixed, old, mask)
    live[HOMES][segment] = node
    shift(fixed, live, segment, old, node)
    if segment > fixed[FIRST][fixed[OWNER][segment]]:
        shift(fixed, live, segment - 1, old, node)
    held = live[HELD]
    for window in range(fixed[SPAN][segment, 0], fixed[SPAN][segment, 1]):
        held[old, window] -= 1
        held[node, window] += 1
    length = live[STATE][LENGTH]
    live[LOG][length, 0] = -1 - segment
    live[LOG][length, 1] = old
    live[STATE][LENGTH] = length + 1


@_compiled(numba.void(_FIXED, _LIVE))
def undo(fixed: Any, live: Any) -> None:
    """Take back everything in the log, last first."""
    state, log = live[STATE], live[LOG]
    for entry in range(state[LENGTH] - 1, -1, -1):
        what, old = log[entry, 0], log[entry, 1]
        state[LENGTH] = entry
        if what >= 0:
            set_site(fixed, live, what, old)
        else:
            set_home(fixed, live, -1 - what, old)
    state[LENGTH] = 0


@_compiled(numba.void(_FIXED, _LIVE, _I8, _I8))
def settle(fixed: Any, live: Any, gate: Any, avoid: Any) -> None:
    """Run a gate where that is cheapest now, ties at random; not on node ``avoid`` unless nothing else is in reach."""
    pins, masks, state = live[PINS], live[MASKS], live[STATE]
    a, b, old = fixed[ENDS_OF][gate, 0], fixed[ENDS_OF][gate, 1], live[SITES][gate]
    left, right = masks[a], masks[b]
    if left == right and left & (left - 1) == 0:
        return
    bit = np.int64(1) << old
    if pins[a, old] == 1:
        left &= ~bit
    if pins[b, old] == 1:
        right &= ~bit
    nodes = len(fixed[ROOM])
    here, there = live[HOMES][a], live[HOMES][b]
    options = left | right
    if len(fixed[PRICES]) > 0:
        options = fixed[REACH][here << nodes | left] | fixed[REACH][there << nodes | right]
    if avoid >= 0 and options & ~(np.int64(1) << avoid) != 0:
        options &= ~(np.int64(1) << avoid)
    least = np.int64(1) << 60
    best = old
    node = below(state, nodes)
    for _ in range(nodes):
        if options >> node & 1:
            bit = np.int64(1) << node
            cost = price(fixed, here, left | bit) + price(fixed, there, right | bit)
            if cost < least:
                least = cost
                best = node
        node += 1
        if node == nodes:
            node = 0
    if best != old:
        set_site(fixed, live, gate, best)


@_compiled(numba.void(_FIXED, _LIVE, _I8, _I8, _I8))
def settle_run(fixed: Any, live: Any, low: Any, high: Any, avoid: Any) -> None:
    """Settle every gate of the segments ``low`` to ``high`` (excluded)."""
    starts, gates = fixed[STARTS], fixed[GATES]
    for segment in range(low, min(high, low + RESEATED)):
        for index in range(starts[segment], starts[segment + 1]):
            settle(fixed, live, gates[index], avoid)


# ------------------------------------------------------------------------------------------------------ compound moves


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8, _I8))
def fits(fixed: Any, live: Any, low: Any, high: Any, node: Any) -> Any:
    """Whether ``node`` has room for the segments ``low`` to ``high`` (excluded) that are not at home there."""
    held, room = live[HELD], fixed[ROOM][node]
    for segment in range(low, high):
        if live[HOMES][segment] != node:
            for window in range(fixed[SPAN][segment, 0], fixed[SPAN][segment, 1]):
                if held[node, window] >= room:
                    return 0
    return 1


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8))
def resident(fixed: Any, live: Any, node: Any, window: Any) -> Any:
    """Return a random segment at home on ``node`` in a window, -1 when a few tries find none."""
    state, span, first = live[STATE], fixed[SPAN], fixed[FIRST]
    for _ in range(4 * len(fixed[ROOM])):
        qubit = below(state, len(first) - 1)
        left, right = first[qubit], first[qubit + 1] - 1
        while left < right:
            middle = (left + right) >> 1
            if span[middle, 1] > window:
                right = middle
            else:
                left = middle + 1
        if live[HOMES][left] == node:
            return left
    return -1


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8, _I8))
def overfull(fixed: Any, live: Any, node: Any, begin: Any, end: Any) -> Any:
    """Whether ``node`` holds more than it has room for in some window of [begin, end)."""
    held, room = live[HELD], fixed[ROOM][node]
    for window in range(begin, end):
        if held[node, window] > room:
            return 1
    return 0


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8, _I8))
def trade(fixed: Any, live: Any, low: Any, high: Any, node: Any) -> Any:
    """Swap a run of segments, all at one home, with a qubit at home on ``node`` meanwhile; return whether it fitted."""
    state, homes, span, first = live[STATE], live[HOMES], fixed[SPAN], fixed[FIRST]
    old = homes[low]
    begin, end = span[low, 0], span[high - 1, 1]
    found = resident(fixed, live, node, begin + below(state, end - begin))
    if found < 0:
        return 0
    start, stop = first[fixed[OWNER][found]], first[fixed[OWNER][found] + 1]
    left, right = found, found + 1
    if below(state, 2) == 0:  # all of the partner's segments that overlap the interval go the other way
        while left > start and homes[left - 1] == node and span[left, 0] > begin:
            left -= 1
        while right < stop and homes[right] == node and span[right, 0] < end:
            right += 1
    else:  # only those inside it
        while left > start and homes[left - 1] == node and span[left - 1, 0] >= begin:
            left -= 1
        while right < stop and homes[right] == node and span[right, 1] <= end:
            right += 1
    for segment in range(low, high):
        set_home(fixed, live, segment, node)
    for segment in range(left, right):
        set_home(fixed, live, segment, old)
    if overfull(fixed, live, node, begin, end) or overfull(fixed, live, old, span[left, 0], span[right - 1, 1]):
        return 0
    if below(state, 8) != 0:
        settle_run(fixed, live, max(start, left - 1), right, -1)
    return 1


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8, _I8))
def run_start(fixed: Any, live: Any, segment: Any, how: Any, still: Any) -> Any:
    """Return the first segment of a run around ``segment``, drawn by ``how`` of 20 (see ``run_stop``)."""
    start, low = fixed[FIRST][fixed[OWNER][segment]], segment
    if still:
        return start
    if 8 <= how < 11:
        while low > start and live[HOMES][low - 1] == live[HOMES][segment]:
            low -= 1
    return low


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8, _I8))
def run_stop(fixed: Any, live: Any, segment: Any, how: Any, still: Any) -> Any:
    """Return where the run ends: within 8 segments, at the last one, where the home changes, or at once."""
    stop, high = fixed[FIRST][fixed[OWNER][segment] + 1], segment + 1
    if still or 6 <= how < 8:
        return stop
    if how < 6:
        return min(stop, segment + 1 + below(live[STATE], 8))
    if how < 14:
        while high < stop and live[HOMES][high] == live[HOMES][segment]:
            high += 1
    return high


@_compiled(_I8(_FIXED, _LIVE, _I8, _I8))
def rehome(fixed: Any, live: Any, segment: Any, still: Any) -> Any:
    """Move a run of segments around ``segment`` to another node, by itself or in a trade; return whether it fitted."""
    state, homes, nodes = live[STATE], live[HOMES], len(fixed[ROOM])
    start, old = fixed[FIRST][fixed[OWNER][segment]], homes[segment]
    how = below(state, 20)
    low, high = run_start(fixed, live, segment, how, still), run_stop(fixed, live, segment, how, still)
    union = np.int64(0)
    if below(state, 5) != 0:
        for each in range(max(start, low - 1), min(high, low + RESEATED)):
            union |= live[MASKS][each]
    node = pick(state, union & ~(np.int64(1) << old), nodes)
    if node == old:
        return 0
    if fits(fixed, live, low, high, node):
        for each in range(low, high):
            if homes[each] != node:
                set_home(fixed, live, each, node)
    else:
        stop = low
        while stop < high and homes[stop] == old:
            stop += 1
        high = stop
        if high == low or trade(fixed, live, low, high, node) == 0:
            return 0
    if below(state, 8) != 0:
        settle_run(fixed, live, max(start, low - 1), high, -1)
    return 1


@_compiled(numba.void(_FIXED, _LIVE, _I8))
def recopy(fixed: Any, live: Any, segment: Any) -> None:
    """Close one copy of a segment, or open another, and settle its gates."""
    state, nodes = live[STATE], len(fixed[ROOM])
    node = pick(state, live[MASKS][segment], nodes)
    if below(state, 2) == 0 and node != live[HOMES][segment]:
        settle_run(fixed, live, segment, segment + 1, node)
        return
    node = below(state, nodes)
    # A pin that is not there draws the gates to the node while they settle.
    home = live[HOMES][segment]
    if home == node:
        return
    live[PINS][segment, home] += 1
    shift(fixed, live, segment, home, node)
    settle_run(fixed, live, segment, segment + 1, -1)
    shift(fixed, live, segment, node, home)
    live[PINS][segment, home] -= 1


@_compiled(numba.void(_LIVE, _I4[::1], _I4[::1]))
def keep(live: Any, best_homes: Any, best_sites: Any) -> None:
    """Copy the placement."""
    for segment in range(len(best_homes)):
        best_homes[segment] = live[HOMES][segment]
    for gate in range(len(best_sites)):
        best_sites[gate] = live[SITES][gate]


@_compiled(_I8(_FIXED, _LIVE, _I4[::1], _I4[::1], _I8, _F8, _F8, _I8, _I8[::1]), inner=False)
def anneal(
    fixed: Any, live: Any, best_homes: Any, best_sites: Any, moves: Any, hot: Any, cold: Any, still: Any, mix: Any
) -> Any:
    """Anneal from ``hot`` to ``cold``; write the cheapest placement met into ``best_*`` and return its cost.

    ``mix`` is how many moves of 1024 are of one gate's site, and how many of one copy; the rest are of homes.
    """
    state, homes, sites, masks = live[STATE], live[HOMES], live[SITES], live[MASKS]
    gates, segments, nodes = len(sites), len(homes), len(fixed[ROOM])
    best = state[COST]
    keep(live, best_homes, best_sites)
    cool = (cold / hot) ** (64.0 / max(moves, 64))
    heat = hot
    for move in range(moves):
        if move & 63 == 63:
            heat *= cool
        before = state[COST]
        state[LENGTH] = 0
        fitted = 1
        kind = below(state, 1024)
        if kind < mix[0] and gates > 0:
            gate = below(state, gates)
            options = masks[fixed[ENDS_OF][gate, 0]] | masks[fixed[ENDS_OF][gate, 1]]
            options &= ~(np.int64(1) << sites[gate])
            if options == 0:
                continue
            set_site(fixed, live, gate, pick(state, options, nodes))
        elif kind < mix[1]:
            recopy(fixed, live, below(state, segments))
        else:
            fitted = rehome(fixed, live, below(state, segments), still)
        rise = state[COST] - before
        if not fitted or (rise > 0 and below(state, 1 << 30) >= math.exp(-rise / heat) * (1 << 30)):
            undo(fixed, live)
        elif state[COST] < best:
            best = state[COST]
            keep(live, best_homes, best_sites)
    return best
