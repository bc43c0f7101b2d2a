"""The loop of Cascade, compiled: block parities, bisection of all odd blocks in lockstep, and back-tracking.

Runs unchanged as plain Python (``NUMBA_DISABLE_JIT=1``); its test has a twin on whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_I8, _I4, _U1 = numba.int64, numba.int32, numba.uint8
_TUPLE: Any = numba.types.Tuple
_TWO, _THREE = _TUPLE((_I8, _I8)), _TUPLE((_I8, _I8, _I8))


def _compiled(signature: Any) -> Callable[[Kernel], Kernel]:
    """Compile before the first call, and keep the machine code on disk where there is a place for it."""
    njit: Any = numba.njit

    def compile_it(function: Kernel) -> Kernel:
        try:
            kernel: Kernel = njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:
            kernel = njit(signature, nogil=True)(function)
        return kernel

    return compile_it


@_compiled(_U1(_U1[::1], _I4[::1], _I8, _I8))
def parity_of(both: Any, order: Any, begin: Any, end: Any) -> Any:
    """Return the parities of Alice's bits and of the differences over some places of an order, as in ``both``."""
    parity = np.uint8(0)
    for place in range(begin, end):
        parity ^= both[order[place]]
    return parity


@_compiled(_TWO(_U1[::1], _I4[::1], _I8[::1], _I8[::1], _I8, _U1[::1], _I8[::1], _I8, _I8))
def bisect(
    both: Any, order: Any, low: Any, high: Any, found: Any, told: Any, ends: Any, bits: Any, messages: Any
) -> Any:
    """Narrow ``found`` odd blocks down to one place each, in lockstep; return (bits told, messages) so far."""
    longest = 0
    for each in range(found):
        longest = max(longest, high[each] - low[each])
    while longest > 1:
        longest = 0
        for each in range(found):
            if high[each] - low[each] > 1:
                middle = (low[each] + high[each]) // 2
                parity = parity_of(both, order, low[each], middle)
                told[bits] = parity
                bits += 1
                if parity >> 1:
                    high[each] = middle
                else:
                    low[each] = middle
                longest = max(longest, high[each] - low[each])
        ends[messages] = bits
        messages += 1
    return bits, messages


@_compiled(_THREE(_U1[::1], _I4[:, ::1], _I4[:, ::1], _I8[::1], _U1[::1], _I8[::1]))
def reconcile(both: Any, orders: Any, places: Any, sizes: Any, told: Any, ends: Any) -> Any:
    """Remove the differences of two strings from ``both``; return (bits told, messages, bits flipped).

    Each bisection works on the odd blocks of the earliest pass that has any, and every one of its steps is one message
    for all of them. A block ends at a position where the strings do differ, so no flip is ever wrong.

    Args:
        both: (n,) bit 0 = Alice's bit, bit 1 = whether Bob's is different; the latter is cleared where it is corrected.
        orders: (passes, n) position of each place in the order of that pass.
        places: (passes, n) the inverse.
        sizes: (passes,) of the blocks.
        told: out: parities, as in ``both``, in the order in which they are told.
        ends: out: for each message how many parities were told up to its end.
    """
    n, passes = both.shape[0], sizes.shape[0]
    counts = (n + sizes - 1) // sizes
    most = counts.max()
    odd = np.zeros((passes, most), dtype=np.uint8)
    odd_blocks = np.zeros(passes, dtype=np.int64)
    low, high = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    bits = messages = flips = 0
    for number in range(passes):
        for block in range(counts[number]):
            end = min((block + 1) * sizes[number], n)
            parity = parity_of(both, orders[number], block * sizes[number], end)
            told[bits] = parity
            bits += 1
            odd[number, block] = parity >> 1
            odd_blocks[number] += parity >> 1
        ends[messages] = bits
        messages += 1
        earliest = 0
        while earliest <= number:
            if odd_blocks[earliest] == 0:
                earliest += 1
                continue
            found = 0
            for block in range(counts[earliest]):
                if odd[earliest, block]:
                    low[found] = block * sizes[earliest]
                    high[found] = min((block + 1) * sizes[earliest], n)
                    found += 1
            bits, messages = bisect(both, orders[earliest], low, high, found, told, ends, bits, messages)
            for each in range(found):
                position = orders[earliest, low[each]]
                both[position] ^= np.uint8(2)
                flips += 1
                for opened in range(number + 1):
                    block = places[opened, position] // sizes[opened]
                    odd[opened, block] ^= np.uint8(1)
                    odd_blocks[opened] += 1 if odd[opened, block] else -1
            earliest = 0
    return bits, messages, flips
