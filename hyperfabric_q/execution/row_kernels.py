"""Gates on many states at once, compiled: each row of an array is one state, qubit 0 the lowest bit of its index.

A density matrix is a row too, of twice as many qubits: those above the first n belong to its columns.

Every function runs unchanged as plain Python (``NUMBA_DISABLE_JIT=1``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_U1, _I8, _F8, _C16 = numba.uint8, numba.int64, numba.float64, numba.complex128
_STATES = _C16[:, ::1]
_BITS = _U1[::1]
_ROWS = _I8[::1]


def _compiled(signature: Any) -> Callable[[Kernel], Kernel]:
    """Compile before the first call, and keep the machine code on disk where there is a place for it."""
    njit: Any = numba.njit
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}

    def compile_it(function: Kernel) -> Kernel:
        try:
            kernel: Kernel = njit(signature, cache=True, **options)(function)
        except RuntimeError:
            kernel = njit(signature, **options)(function)
        return kernel

    return compile_it


@_compiled(numba.void(_STATES, _I8, _C16[:, ::1], _BITS))
def unitary(states: Any, bit: Any, matrix: Any, flipped: Any) -> None:
    """Apply a 2 x 2 matrix to one qubit, after an X in the rows that are ``flipped``."""
    block = 1 << bit
    for row in range(states.shape[0]):
        state = states[row]
        turn = flipped[row]
        a, b = matrix[0, turn], matrix[0, 1 - turn]
        c, d = matrix[1, turn], matrix[1, 1 - turn]
        for start in range(0, state.shape[0], 2 * block):
            for zero in range(start, start + block):
                low, high = state[zero], state[zero + block]
                state[zero] = a * low + b * high
                state[zero + block] = c * low + d * high


@_compiled(numba.void(_STATES, _I8, _BITS, _C16))
def scale_one(states: Any, bit: Any, wanted: Any, factor: Any) -> None:
    """Multiply the amplitudes in which a qubit is as ``wanted`` in that row."""
    block = 1 << bit
    for row in range(states.shape[0]):
        state = states[row]
        for start in range(wanted[row] * block, state.shape[0], 2 * block):
            for index in range(start, start + block):
                state[index] *= factor


@_compiled(numba.void(_STATES, _I8, _I8, _BITS, _BITS, _C16))
def scale_both(states: Any, low: Any, high: Any, low_wanted: Any, high_wanted: Any, factor: Any) -> None:
    """Multiply the amplitudes in which two qubits, ``low`` below ``high``, are as wanted in that row."""
    small, large = 1 << low, 1 << high
    for row in range(states.shape[0]):
        state = states[row]
        for outer in range(high_wanted[row] * large, state.shape[0], 2 * large):
            for start in range(outer + low_wanted[row] * small, outer + large, 2 * small):
                for index in range(start, start + small):
                    state[index] *= factor


@_compiled(numba.void(_STATES, _I8, _I8))
def flip_if(states: Any, control: Any, target: Any) -> None:
    """Apply a CNOT."""
    asked, other = 1 << control, 1 << target
    for row in range(states.shape[0]):
        state = states[row]
        for index in range(state.shape[0]):
            if index & asked and not index & other:
                state[index], state[index | other] = state[index | other], state[index]


@_compiled(numba.void(_STATES, _ROWS, _ROWS))
def sign(states: Any, rows: Any, masks: Any) -> None:
    """Apply a Z to the qubits of a bit mask, one mask for each of some rows."""
    for place in range(rows.shape[0]):
        state, mask = states[rows[place]], masks[place]
        for index in range(state.shape[0]):
            odd = index & mask
            odd ^= odd >> 32
            odd ^= odd >> 16
            odd ^= odd >> 8
            odd ^= odd >> 4
            odd ^= odd >> 2
            odd ^= odd >> 1
            if odd & 1:
                state[index] = -state[index]


@_compiled(numba.void(_STATES, _I8, _F8[:, ::1]))
def weigh(states: Any, bit: Any, weights: Any) -> None:
    """Write the weight of 0 and of 1 on one qubit into ``weights``, shape (rows, 2)."""
    block = 1 << bit
    for row in range(states.shape[0]):
        state = states[row]
        zero = one = 0.0
        for start in range(0, state.shape[0], 2 * block):
            for index in range(start, start + block):
                low, high = state[index], state[index + block]
                zero += low.real * low.real + low.imag * low.imag
                one += high.real * high.real + high.imag * high.imag
        weights[row, 0], weights[row, 1] = zero, one


@_compiled(numba.void(_STATES, _ROWS, _I8, _BITS, _F8[::1]))
def project(states: Any, rows: Any, bit: Any, values: Any, scales: Any) -> None:
    """Keep, scaled, only the amplitudes in which a qubit has a value, one value for each of some rows."""
    block = 1 << bit
    for place in range(rows.shape[0]):
        state, scale = states[rows[place]], scales[place]
        kept = values[place] * block
        for start in range(0, state.shape[0], 2 * block):
            for index in range(start, start + block):
                state[index + kept] *= scale
                state[index + block - kept] = 0.0


@_compiled(numba.void(_STATES, _ROWS, _I8))
def lower(states: Any, rows: Any, bit: Any) -> None:
    """Move what one qubit holds at 1 to 0, in some rows; nothing may be there."""
    block = 1 << bit
    for place in range(rows.shape[0]):
        state = states[rows[place]]
        for start in range(0, state.shape[0], 2 * block):
            for index in range(start, start + block):
                state[index] = state[index + block]
                state[index + block] = 0.0


@_compiled(numba.void(_F8[:, ::1], _ROWS, _F8[::1], _ROWS))
def pick(chances: Any, starts: Any, uniforms: Any, found: Any) -> None:
    """Draw an index by the chances of each row, which need not sum to 1.

    ``uniforms[starts[row] : starts[row + 1]]``, ascending, are the draws from row ``row``.
    """
    size = chances.shape[1]
    for row in range(chances.shape[0]):
        total = 0.0
        for index in range(size):
            total += chances[row, index]
        index, reached = 0, chances[row, 0]
        for draw in range(starts[row], starts[row + 1]):
            goal = uniforms[draw] * total
            while reached <= goal and index < size - 1:
                index += 1
                reached += chances[row, index]
            found[draw] = index
