"""The states that a template ends in, for many bindings at once, and what observables and measurements find in them.

Qubit 0 is the lowest bit of an index. Every kernel runs unchanged as plain Python (``NUMBA_DISABLE_JIT=1``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.execution.measured import TO_Z
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.template import Many, Template, phase_of

States = NDArray[np.complex128]
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

WIDEST: Final = 24
"""Qubits of the widest state: 256 MiB, and as much again for an observable."""

ROOM: Final = 1 << 20
"""Amplitudes that are held at once, at least one state: 16 MiB."""

_I8, _F8, _C16 = numba.int64, numba.float64, numba.complex128


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


@_compiled(numba.void(_C16[:, ::1], _I8, _C16[:, ::1]))
def _turn(states: Any, bit: Any, entries: Any) -> None:
    """Apply a 2x2 matrix, its entries in a row of four: one row for all states, or one for each."""
    block = 1 << bit
    for row in range(states.shape[0]):
        state = states[row]
        own = entries[row if entries.shape[0] > 1 else 0]
        a, b, c, d = own[0], own[1], own[2], own[3]
        for start in range(0, state.shape[0], 2 * block):
            for zero in range(start, start + block):
                low, high = state[zero], state[zero + block]
                state[zero] = a * low + b * high
                state[zero + block] = c * low + d * high


@_compiled(numba.void(_C16[:, ::1], _I8, _I8, _C16[::1]))
def _phase(states: Any, low: Any, high: Any, factors: Any) -> None:
    """Multiply the amplitudes in which two qubits, low <= high, are 1 by one factor, or by one for each state."""
    small, large = 1 << low, 1 << high
    for row in range(states.shape[0]):
        state = states[row]
        factor = factors[row if factors.shape[0] > 1 else 0]
        for outer in range(large, state.shape[0], 2 * large):
            if small == large:
                for index in range(outer, outer + large):
                    state[index] *= factor
            else:
                for start in range(outer + small, outer + large, 2 * small):
                    for index in range(start, start + small):
                        state[index] *= factor


@_compiled(numba.void(_C16[:, ::1], _I8, _C16[::1], _F8[::1]))
def _expect(states: Any, flips: Any, diagonal: Any, totals: Any) -> None:
    """Add the real part of <s| D X |s> to the total of each state; X flips the bits of a mask."""
    for row in range(states.shape[0]):
        state = states[row]
        total = 0.0
        for index in range(state.shape[0]):
            other = diagonal[index] * state[index ^ flips]
            total += state[index].real * other.real + state[index].imag * other.imag
        totals[row] += total


def evolved(template: Template, bindings: Floats) -> States:
    """Return the states at the end, shape (bindings, 2^qubits); measurements at the end are left out.

    O(bindings x rows x 2^qubits).

    Args:
        template: without conditions and resets.
        bindings: values of the parameters, shape (bindings, parameters).
    """
    states: States = np.zeros((len(bindings), 1 << template.program.qubits), dtype=np.complex128)
    states[:, 0] = 1.0
    for row, value in zip(template.rows, template.matrices(bindings), strict=True):
        if value is None:
            continue
        low, high = min(row.qubits), max(row.qubits)
        if row.kind is Kind.CP:
            _phase(states, low, high, np.atleast_1d(np.exp(1j * np.asarray(value))))
        elif row.kind is Kind.P and isinstance(value, tuple):
            _phase(states, low, low, np.atleast_1d(np.exp(1j * phase_of(value))))
        elif isinstance(value, tuple):
            _turn(states, low, _packed(value))
    return states


def in_chunks(rows: int, qubits: int) -> Iterator[slice]:
    """Yield slices of bindings whose states fit into ``ROOM``."""
    step = max(1, ROOM >> qubits)
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def _packed(entries: Many) -> States:
    rows = np.broadcast_arrays(*(np.atleast_1d(each) for each in entries))
    return np.ascontiguousarray(np.stack(rows, axis=-1), dtype=np.complex128)


class Observable:
    """A Pauli operator as one diagonal for each pattern of flips."""

    def __init__(self, operator: SparsePauliOp) -> None:
        """Prepare; O(terms x 2^qubits).

        Args:
            operator: with real coefficients.
        """
        weights = 1 << np.arange(operator.num_qubits, dtype=np.int64)
        flips, signs = operator.paulis.x @ weights, operator.paulis.z @ weights
        index = np.arange(1 << operator.num_qubits, dtype=np.int64)
        self._parts: dict[int, States] = {}
        for flip, sign, weight in zip(flips.tolist(), signs.tolist(), operator.coeffs.real.tolist(), strict=True):
            part = self._parts.setdefault(flip, np.zeros(len(index), dtype=np.complex128))
            odd = np.bitwise_count(sign & (index ^ flip)) & 1
            part += weight * 1j ** (flip & sign).bit_count() * (1.0 - 2.0 * odd)

    def values(self, states: States) -> Floats:
        """Return the expectation value in each state, shape (states,)."""
        totals = np.zeros(len(states))
        for flip, diagonal in self._parts.items():
            _expect(states, flip, diagonal, totals)
        return totals


def laws(states: States, bases: Mapping[int, str]) -> Floats:
    """Return the chance of each outcome of measuring some qubits, shape (states, 2^measured).

    Args:
        states: shape (states, 2^qubits).
        bases: "X", "Y" or "Z" by qubit; bit i of an outcome is the i-th of them.
    """
    turned = states.copy()
    for qubit, basis in bases.items():
        if basis in TO_Z:
            _turn(turned, qubit, _to_z(basis))
    chances: Floats = turned.real**2 + turned.imag**2
    return marginal(chances, tuple(bases))


def marginal(chances: Floats, qubits: Sequence[int]) -> Floats:
    """Return the chances of the outcomes of some qubits, bit i the i-th of them, shape (rows, 2^qubits)."""
    width = chances.shape[1].bit_length() - 1
    if tuple(qubits) == tuple(range(width)):
        return chances
    index = np.arange(chances.shape[1], dtype=np.int64)
    code = np.zeros_like(index)
    for place, qubit in enumerate(qubits):
        code |= (index >> qubit & 1) << place
    size = 1 << len(qubits)
    return np.array([np.bincount(code, weights=row, minlength=size) for row in chances])


@cache
def _to_z(basis: str) -> States:
    theta, phi, lam = TO_Z[basis]
    cosine, sine = np.cos(theta / 2), np.sin(theta / 2)
    row = [cosine, -np.exp(1j * lam) * sine, np.exp(1j * phi) * sine, np.exp(1j * (phi + lam)) * cosine]
    return np.array([row], dtype=np.complex128)
