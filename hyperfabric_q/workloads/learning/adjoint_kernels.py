"""The sweeps of the adjoint gradient, compiled: each row of an array is one state, qubit 0 the lowest bit of its index.

``adjoint_plain`` does the same in NumPy alone. Every function runs unchanged as plain Python (``NUMBA_DISABLE_JIT=1``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_I8, _C16, _B1 = numba.int64, numba.complex128, numba.boolean
_STATES = _C16[:, ::1]
_STEPS = _I8[:, ::1]
_MATRICES = _C16[:, :, :, ::1]
_OVERLAPS = _C16[:, :, :, :, ::1]

_ONE, _CX, _DIAGONAL = 0, 1, 2


def _compiled(signature: Any) -> Callable[[Kernel], Kernel]:
    """Compile before the first call, and keep the machine code on disk where there is a place for it."""
    njit: Any = numba.njit
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}

    def compile_it(function: Kernel) -> Kernel:
        try:
            kernel: Kernel = njit(signature, cache=True, **options)(function)
        except RuntimeError:
            kernel = njit(signature, **options)(function)
        return kernel

    return compile_it


@_compiled(numba.void(_C16[::1], _I8, _C16, _C16, _C16, _C16))
def _one(state: Any, qubit: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Apply ((a, b), (c, d)) to one qubit."""
    block = 1 << qubit
    for start in range(0, state.shape[0], 2 * block):
        for zero in range(start, start + block):
            low, high = state[zero], state[zero + block]
            state[zero] = a * low + b * high
            state[zero + block] = c * low + d * high


@_compiled(numba.void(_C16[::1], _I8, _I8))
def _cx(state: Any, control: Any, target: Any) -> None:
    """Apply a CNOT."""
    small, large = 1 << min(control, target), 1 << max(control, target)
    asked, other = 1 << control, 1 << target
    for outer in range(0, state.shape[0], 2 * large):
        for middle in range(outer, outer + large, 2 * small):
            for index in range(middle + asked, middle + asked + small):
                state[index], state[index + other] = state[index + other], state[index]


@_compiled(numba.void(_C16[::1], _I8, _I8, _C16, _C16, _C16, _C16))
def _phases(state: Any, first: Any, second: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Multiply by a factor where (second, first) are 00, 01, 10 and 11; factors of 1 cost nothing."""
    small, large = 1 << min(first, second), 1 << max(first, second)
    one, two = 1 << first, 1 << second
    for factor, shift in ((a, 0), (b, one), (c, two), (d, one + two)):
        if factor == 1.0:
            continue
        for outer in range(shift, state.shape[0], 2 * large):
            for middle in range(outer, outer + large, 2 * small):
                for index in range(middle, middle + small):
                    state[index] *= factor


@_compiled(numba.void(_C16[::1], _I8, _I8, _C16[:, :]))
def _two(state: Any, first: Any, second: Any, matrix: Any) -> None:
    """Apply a 4 x 4 matrix to two qubits, ``first`` the lower digit of its index."""
    small, large = 1 << min(first, second), 1 << max(first, second)
    one, two = 1 << first, 1 << second
    for outer in range(0, state.shape[0], 2 * large):
        for middle in range(outer, outer + large, 2 * small):
            for index in range(middle, middle + small):
                p, q = state[index], state[index + one]
                r, s = state[index + two], state[index + one + two]
                state[index] = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + matrix[0, 3] * s
                state[index + one] = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + matrix[1, 3] * s
                state[index + two] = matrix[2, 0] * p + matrix[2, 1] * q + matrix[2, 2] * r + matrix[2, 3] * s
                state[index + one + two] = matrix[3, 0] * p + matrix[3, 1] * q + matrix[3, 2] * r + matrix[3, 3] * s


@_compiled(numba.void(_C16[::1], _C16[::1], _I8, _C16[:, ::1]))
def _overlap_one(bra: Any, ket: Any, qubit: Any, found: Any) -> None:
    """Write the sum of conj(bra_a) ket_b over all other qubits into ``found``, shape (2, 2)."""
    block = 1 << qubit
    aa = ab = ba = bb = 0.0 + 0.0j
    for start in range(0, bra.shape[0], 2 * block):
        for zero in range(start, start + block):
            left, right = bra[zero].conjugate(), bra[zero + block].conjugate()
            low, high = ket[zero], ket[zero + block]
            aa += left * low
            ab += left * high
            ba += right * low
            bb += right * high
    found[0, 0], found[0, 1], found[1, 0], found[1, 1] = aa, ab, ba, bb


@_compiled(numba.void(_C16[::1], _C16[::1], _I8, _I8, _C16[:, ::1]))
def _overlap_two(bra: Any, ket: Any, first: Any, second: Any, found: Any) -> None:
    """The same for two qubits, ``found`` of shape (4, 4), which is 0 at first."""
    small, large = 1 << min(first, second), 1 << max(first, second)
    for row in range(4):
        left = (row & 1) << first | (row >> 1) << second
        for column in range(4):
            right = (column & 1) << first | (column >> 1) << second
            total = 0.0 + 0.0j
            for outer in range(0, bra.shape[0], 2 * large):
                for middle in range(outer, outer + large, 2 * small):
                    for index in range(middle, middle + small):
                        total += bra[index + left].conjugate() * ket[index + right]
            found[row, column] = total


@_compiled(numba.void(_STEPS, _MATRICES, _MATRICES, _STATES))
def forward(steps: Any, ones: Any, twos: Any, states: Any) -> None:
    """Carry every row through all steps, each with matrices of its own."""
    for row in range(states.shape[0]):
        state = states[row]
        for step in range(steps.shape[0]):
            kind, first, second, block = steps[step, 0], steps[step, 1], steps[step, 2], steps[step, 3]
            if kind == _ONE:
                m = ones[row, block]
                _one(state, first, m[0, 0], m[0, 1], m[1, 0], m[1, 1])
            elif kind == _CX:
                _cx(state, first, second)
            elif kind == _DIAGONAL:
                m = twos[row, block]
                _phases(state, first, second, m[0, 0], m[1, 1], m[2, 2], m[3, 3])
            else:
                _two(state, first, second, twos[row, block])


@_compiled(numba.void(_STEPS, _MATRICES, _MATRICES, _B1[::1], _B1[::1], _STATES, _C16[:, :, ::1], _OVERLAPS, _OVERLAPS))
def backward(
    steps: Any, ones: Any, twos: Any, asked_one: Any, asked_two: Any, kets: Any, bras: Any, one: Any, two: Any
) -> None:
    """Undo all steps on kets and bras, and note their overlaps after each block that is asked for.

    ``ones`` and ``twos`` are the inverse matrices, ``bras`` has shape (rows, m, 2^n), ``one`` and ``two`` take the
    overlaps, shapes (rows, m, blocks, 2, 2) and (rows, m, blocks, 4, 4). It ends at the first block asked for.
    """
    last = steps.shape[0]
    for step in range(steps.shape[0]):
        kind, block = steps[step, 0], steps[step, 3]
        if (kind == _ONE and asked_one[block]) or (kind > _CX and asked_two[block]):
            last = step
            break
    for row in range(kets.shape[0]):
        ket = kets[row]
        for step in range(steps.shape[0] - 1, last - 1, -1):
            kind, first, second, block = steps[step, 0], steps[step, 1], steps[step, 2], steps[step, 3]
            for each in range(bras.shape[1]):
                if kind == _ONE and asked_one[block]:
                    _overlap_one(bras[row, each], ket, first, one[row, each, block])
                elif kind > _CX and asked_two[block]:
                    _overlap_two(bras[row, each], ket, first, second, two[row, each, block])
            for each in range(-1, bras.shape[1]):
                state = ket if each < 0 else bras[row, each]
                if kind == _ONE:
                    m = ones[row, block]
                    _one(state, first, m[0, 0], m[0, 1], m[1, 0], m[1, 1])
                elif kind == _CX:
                    _cx(state, first, second)
                elif kind == _DIAGONAL:
                    m = twos[row, block]
                    _phases(state, first, second, m[0, 0], m[1, 1], m[2, 2], m[3, 3])
                else:
                    _two(state, first, second, twos[row, block])
