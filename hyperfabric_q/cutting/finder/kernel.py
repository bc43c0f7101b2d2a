"""The annealer on flat arrays, compiled.

Arrays that never change travel as one tuple: those of ``Graph`` and ``room`` (k,), the qubits of each part. Those that
do travel as another: ``part`` (v,); ``load`` (k, windows) qubits in use; ``held`` (k,) vertices per part; ``x`` (k, k)
summed price of the gates between two parts; ``links`` and ``ties`` (k,) scratch, zero between calls; ``state``: the
random generator's 64 bits, the wires that are cut, and by how many qubits parts exceed their room.

Every function runs unchanged as plain Python (``NUMBA_DISABLE_JIT=1``) and then makes the same moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba

from hyperfabric_q.cutting.finder.prices import UNIT, WIRE

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_I8, _F8 = numba.int64, numba.float64
_tuple: Any = numba.types.Tuple
INTS = _I8[::1]
FIXED = _tuple((INTS,) * 11)
LIVE = _tuple((INTS, _I8[:, ::1], INTS, _I8[:, ::1], INTS, INTS, INTS))

START, NEAR, WEIGHT, WIRES, USE_START, USE_WINDOW, USE_COUNT, GAP_START, GAP_WINDOW, FLAGS, ROOM = range(11)
WINDOWS, JOINS, JOINTLY = range(3)
PART, LOAD, HELD, X, LINKS, TIES, STATE = range(7)
RANDOM, CUT_WIRES, OVER = range(3)
TRIES = 12
EPSILON = 1e-9


def compiled(signature: Any) -> Callable[[Kernel], Kernel]:
    """Compile before the first call, and keep the machine code on disk where there is a place for it."""
    njit: Any = numba.njit

    def compile_it(function: Kernel) -> Kernel:
        try:
            kernel: Kernel = njit(signature, cache=True, nogil=True, error_model="numpy")(function)
        except RuntimeError:
            kernel = njit(signature, nogil=True, error_model="numpy")(function)
        return kernel

    return compile_it


@compiled(_I8(INTS, _I8))
def below(state: Any, bound: Any) -> Any:
    """Return a random number in [0, bound), bound < 2^31 (xorshift64, Marsaglia 2003)."""
    x = state[RANDOM]
    x = x ^ (x << 13)
    x = x ^ ((x >> 7) & 0x01FFFFFFFFFFFFFF)
    x = x ^ (x << 17)
    state[RANDOM] = x
    return (((x >> 20) & 0xFFFFFFFF) * bound) >> 32


@compiled(_F8(_I8, _I8))
def pair_price(x: Any, jointly: Any) -> Any:
    """Return ln gamma² of the gates between two parts, from their summed prices in whole units."""
    if x == 0:
        return 0.0
    price = x * UNIT
    if jointly == 0:
        return price
    return 2.0 * (price + math.log(2.0 - math.exp(-price)))


@compiled(_F8(FIXED, LIVE))
def price_of_all(fixed: Any, live: Any) -> Any:
    """Return ln gamma² of the whole assignment."""
    x = live[X]
    total = WIRE * live[STATE][CUT_WIRES]
    for a in range(len(x)):
        for b in range(a):
            total += pair_price(x[a, b], fixed[FLAGS][JOINTLY])
    return total


@compiled(numba.void(FIXED, LIVE, _I8, _I8, _I8))
def add_to(fixed: Any, live: Any, a: Any, window: Any, more: Any) -> None:
    """Let part ``a`` hold so many more qubits in a window."""
    before = live[LOAD][a, window]
    live[LOAD][a, window] = before + more
    room = fixed[ROOM][a]
    live[STATE][OVER] += max(0, before + more - room) - max(0, before - room)


@compiled(numba.void(FIXED, LIVE, _I8, _I8, _I8))
def occupy(fixed: Any, live: Any, v: Any, a: Any, sign: Any) -> None:
    """Let part ``a`` hold the qubits of ``v`` (sign 1) or give them back (-1), as its other vertices lie."""
    for use in range(fixed[USE_START][v], fixed[USE_START][v + 1]):
        add_to(fixed, live, a, fixed[USE_WINDOW][use], sign * fixed[USE_COUNT][use])
    for edge in range(fixed[START][v], fixed[START][v + 1]):
        u = fixed[NEAR][edge]
        if live[PART][u] == a and u != v:
            if fixed[FLAGS][JOINS] == 1:
                add_to(fixed, live, a, 0, -sign * fixed[WIRES][edge])
            for gap in range(fixed[GAP_START][edge], fixed[GAP_START][edge + 1]):
                add_to(fixed, live, a, fixed[GAP_WINDOW][gap], sign)


@compiled(numba.void(FIXED, LIVE))
def recount(fixed: Any, live: Any) -> None:
    """Set loads and prices from the parts."""
    part, held, x = live[PART], live[HELD], live[X]
    live[LOAD][:] = 0
    held[:] = 0
    x[:] = 0
    live[STATE][CUT_WIRES] = 0
    live[STATE][OVER] = 0
    wanted = part.copy()
    part[:] = -1
    for v in range(len(part)):
        a = wanted[v]
        held[a] += 1
        occupy(fixed, live, v, a, 1)
        part[v] = a
        for edge in range(fixed[START][v], fixed[START][v + 1]):
            b = part[fixed[NEAR][edge]]
            if b not in (-1, a):
                x[a, b] += fixed[WEIGHT][edge]
                x[b, a] += fixed[WEIGHT][edge]
                live[STATE][CUT_WIRES] += fixed[WIRES][edge]


@compiled(numba.void(FIXED, LIVE, _I8))
def gather(fixed: Any, live: Any, v: Any) -> None:
    """Sum what joins ``v`` to each part into ``links`` (gates) and ``ties`` (wires)."""
    for edge in range(fixed[START][v], fixed[START][v + 1]):
        b = live[PART][fixed[NEAR][edge]]
        live[LINKS][b] += fixed[WEIGHT][edge]
        live[TIES][b] += fixed[WIRES][edge]


@compiled(numba.void(LIVE))
def forget(live: Any) -> None:
    """Clear what ``gather`` summed."""
    live[LINKS][:] = 0
    live[TIES][:] = 0


@compiled(_F8(FIXED, LIVE, _I8, _I8))
def change(fixed: Any, live: Any, v: Any, b: Any) -> Any:
    """Return what moving ``v`` to another part ``b`` adds to the price; ``gather`` has been called."""
    x, links, jointly = live[X], live[LINKS], fixed[FLAGS][JOINTLY]
    a = live[PART][v]
    moved = x[a, b] + links[a] - links[b]
    delta = pair_price(moved, jointly) - pair_price(x[a, b], jointly)
    for c in range(len(x)):
        if links[c] != 0 and c not in (a, b):
            delta += pair_price(x[a, c] - links[c], jointly) - pair_price(x[a, c], jointly)
            delta += pair_price(x[b, c] + links[c], jointly) - pair_price(x[b, c], jointly)
    return delta + WIRE * (live[TIES][a] - live[TIES][b])


@compiled(_I8(FIXED, LIVE, _I8, _I8))
def crowding(fixed: Any, live: Any, v: Any, b: Any) -> Any:
    """Return by how many qubits more the parts exceed their room when ``v`` moves to ``b``; ``gather`` has been called.

    A vertex that joined pieces of wire may leave its old part in need of more.
    """
    load, room = live[LOAD], fixed[ROOM]
    a = live[PART][v]
    if fixed[FLAGS][JOINS] == 1:
        count = fixed[USE_COUNT][v]
        less = load[a, 0] - count + live[TIES][a]
        grown = load[b, 0] + count - live[TIES][b]
        more = max(0, less - room[a]) - max(0, load[a, 0] - room[a])
        return more + max(0, grown - room[b]) - max(0, load[b, 0] - room[b])
    before = live[STATE][OVER]
    occupy(fixed, live, v, a, -1)
    occupy(fixed, live, v, b, 1)
    more = live[STATE][OVER] - before
    occupy(fixed, live, v, b, -1)
    occupy(fixed, live, v, a, 1)
    return more


@compiled(numba.void(FIXED, LIVE, _I8, _I8))
def move(fixed: Any, live: Any, v: Any, b: Any) -> None:
    """Move ``v`` to another part ``b``; ``gather`` has been called and stays valid."""
    x, links, ties = live[X], live[LINKS], live[TIES]
    a = live[PART][v]
    for c in range(len(x)):
        if links[c] != 0:
            if c != a:
                x[a, c] -= links[c]
                x[c, a] -= links[c]
            if c != b:
                x[b, c] += links[c]
                x[c, b] += links[c]
    occupy(fixed, live, v, a, -1)
    occupy(fixed, live, v, b, 1)
    live[STATE][CUT_WIRES] += ties[a] - ties[b]
    live[HELD][a] -= 1
    live[HELD][b] += 1
    live[PART][v] = b


@compiled(_I8(FIXED, LIVE, _I8))
def partner(fixed: Any, live: Any, b: Any) -> Any:
    """Return a random vertex of part ``b`` for an exchange, one at the border if it is soon found, or -1."""
    part = live[PART]
    found = -1
    for _ in range(TRIES):
        u = below(live[STATE], len(part))
        if part[u] == b:
            found = u
            for edge in range(fixed[START][u], fixed[START][u + 1]):
                if part[fixed[NEAR][edge]] != b:
                    return u
    return found


@compiled(_I8(FIXED, LIVE, _I8))
def target(fixed: Any, live: Any, v: Any) -> Any:
    """Return a part for ``v`` to move to: that of a random neighbour, now and then any; its own for none."""
    parts, degree = len(fixed[ROOM]), fixed[START][v + 1] - fixed[START][v]
    if degree == 0 or below(live[STATE], 16) == 0:
        return below(live[STATE], parts)
    return live[PART][fixed[NEAR][fixed[START][v] + below(live[STATE], degree)]]


@compiled(_I8(LIVE, _F8, _F8))
def accepted(live: Any, delta: Any, heat: Any) -> Any:
    """Return whether a change of price is taken at this temperature (Metropolis)."""
    if delta <= 0.0:
        return 1
    if delta > 30.0 * heat:
        return 0
    return 1 if below(live[STATE], 1 << 30) < math.exp(-delta / heat) * (1 << 30) else 0


@compiled(_F8(FIXED, LIVE, _I8, _I8, _F8, _F8))
def exchange(fixed: Any, live: Any, v: Any, u: Any, heat: Any, penalty: Any) -> Any:
    """Let ``v`` and ``u`` change places if that is accepted; return what it adds to the price."""
    a, b = live[PART][v], live[PART][u]
    over = live[STATE][OVER]
    gather(fixed, live, v)
    delta = change(fixed, live, v, b)
    move(fixed, live, v, b)
    forget(live)
    gather(fixed, live, u)
    delta += change(fixed, live, u, a)
    move(fixed, live, u, a)
    forget(live)
    if accepted(live, delta + penalty * (live[STATE][OVER] - over), heat) == 1:
        return delta
    gather(fixed, live, u)
    move(fixed, live, u, b)
    forget(live)
    gather(fixed, live, v)
    move(fixed, live, v, a)
    forget(live)
    return 0.0


@compiled(_F8(FIXED, LIVE, INTS, _I8, _F8, _F8, _F8, _I8))
def anneal(fixed: Any, live: Any, best: Any, moves: Any, hot: Any, cold: Any, penalty: Any, keep: Any) -> Any:
    """Try so many moves while the temperature falls; return the least price of parts that fit, inf when none did.

    Args:
        fixed: the graph and the rooms.
        live: where to start.
        best: (v,) replaced by the parts of the least price.
        moves: how many.
        hot: temperature at the start.
        cold: temperature at the end.
        penalty: price of each qubit that exceeds its part's room.
        keep: 1 when no part may be emptied.
    """
    part = live[PART]
    recount(fixed, live)
    price = price_of_all(fixed, live)
    least = math.inf
    if live[STATE][OVER] == 0:
        least = price
        best[:] = part
    heat = hot
    falling = (cold / hot) ** (64.0 / max(moves, 64))
    for number in range(moves):
        if number & 63 == 63:
            heat *= falling
        v = below(live[STATE], len(part))
        a = part[v]
        b = target(fixed, live, v)
        if a == b:
            continue
        gather(fixed, live, v)
        more = crowding(fixed, live, v, b)
        if (more <= 0 or below(live[STATE], 2) == 0) and (keep == 0 or live[HELD][a] > 1):
            delta = change(fixed, live, v, b)
            if accepted(live, delta + penalty * more, heat) == 1:
                move(fixed, live, v, b)
                price += delta
            forget(live)
        else:
            forget(live)
            u = partner(fixed, live, b)
            if u >= 0:
                price += exchange(fixed, live, v, u, heat, penalty)
        if price < least - EPSILON and live[STATE][OVER] == 0:
            price = price_of_all(fixed, live)
            if price < least - EPSILON:
                least = price
                best[:] = part
    return least
