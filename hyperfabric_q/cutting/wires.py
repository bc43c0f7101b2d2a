"""Cutting wires: the state of qubits that end on one part, as a sum of measurements there and preparations elsewhere.

Without a message between the parts (LO), a wire costs gamma 4 (Peng et al., arXiv:1904.00102). With the outcome sent
along (LOCC), n wires together cost 2^(n+1) - 1 (Brenner, Piveteau and Sutter, arXiv:2302.03366); the form used here
measures in mutually unbiased bases.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.cutting.decomposition import Complex, Decomposition, Instrument
from hyperfabric_q.errors import InvalidValue

_ROOT = 1 / math.sqrt(2)
_STATES: dict[str, tuple[complex, complex]] = {
    "0": (1, 0),
    "1": (0, 1),
    "+": (_ROOT, _ROOT),
    "-": (_ROOT, -_ROOT),
    "+i": (_ROOT, 1j * _ROOT),
    "-i": (_ROOT, -1j * _ROOT),
}

# The field of 2^n elements, by the polynomial that generates it.
_POLYNOMIALS = {1: 0b11, 2: 0b111, 3: 0b1011, 4: 0b10011, 5: 0b100101}


def wire_cut(kind: Literal["lo", "lo_six", "locc"] = "lo") -> Decomposition:
    """Return the cut of one wire.

    Args:
        kind: "lo": measure X, Y or Z (I reads Z's outcomes) and prepare one of four states, the fewest runs;
            "lo_six": prepare one of six, the least variance without a message; "locc": with a message. The gamma of
            both LO forms is that of their kind, 4; the weights of the one with four states add up to 6.

    Raises:
        InvalidValue: another kind.
    """
    if kind == "locc":
        return wires_jointly(1)
    if kind == "lo":
        states: tuple[str, ...] = ("0", "1", "+", "+i")
        weights = [[1, 1, 0, 0], [-1, -1, 2, 0], [-1, -1, 0, 2], [1, -1, 0, 0]]
    elif kind == "lo_six":
        states = tuple(_STATES)
        weights = [[1, 1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1], [1, -1, 0, 0, 0, 0]]
    else:
        raise InvalidValue(field="kind", value=kind, rule='a wire cut is "lo", "lo_six" or "locc"')
    left = (
        _measure("I", "0", "1", (1, 1)),
        _measure("X", "+", "-", (1, -1)),
        _measure("Y", "+i", "-i", (1, -1)),
        _measure("Z", "0", "1", (1, -1)),
    )
    right = tuple(_prepare(name, np.array(_STATES[name])) for name in states)
    return Decomposition(
        name="wire (LO)" if kind == "lo" else "wire (LO, six states)",
        left=left,
        right=right,
        weights=np.array(weights) / 2,
        gamma=4.0,
    )


def wires_jointly(n: int) -> Decomposition:
    """Return the cut of ``n`` wires together with one message from left to right; gamma 2^(n+1) - 1.

    The left side measures all wires in one of 2^n + 1 mutually unbiased bases, and each outcome is an instrument of
    its own with one Kraus operator <b_j|, called "b:j". In every basis but the computational one the right side
    prepares what was measured; in that one, with weight -1, each of the states that were not. One run with basis b
    serves all its outcomes, so that gamma counts 2^n bases with weight 1 and the computational one with 2^n - 1,
    whereas the weights, which are by outcome, add up to more.

    Args:
        n: from 1 to 5.

    Raises:
        InvalidValue: another n.
    """
    if n not in _POLYNOMIALS:
        raise InvalidValue(field="n", value=n, rule=f"from 1 to {max(_POLYNOMIALS)} wires are cut together")
    size = 2**n
    bases = [(_basis_name(None, n), np.eye(size, dtype=complex))]
    bases += [(_basis_name(element, n), _basis(element, n)) for element in range(size)]
    named = [(f"{name}:{j}", states[:, j]) for name, states in bases for j in range(size)]
    weights = np.eye(len(named))
    weights[:size, :size] = np.eye(size) - 1
    return Decomposition(
        name="wire (LOCC)" if n == 1 else f"{n} wires (LOCC)",
        left=tuple(
            Instrument(name=name, signs=np.ones(1), kraus=state.conj().reshape(1, 1, size)) for name, state in named
        ),
        right=tuple(_prepare(name, state) for name, state in named),
        weights=weights,
        gamma=float(2 ** (n + 1) - 1),
    )


def _measure(name: str, plus: str, minus: str, signs: tuple[int, int]) -> Instrument:
    rows = np.array([_STATES[plus], _STATES[minus]]).conj()
    return Instrument(name=name, signs=np.array(signs), kraus=rows.reshape(2, 1, 2))


def _prepare(name: str, state: Complex) -> Instrument:
    return Instrument(name=f"prepare {name}", signs=np.ones(1), kraus=state.reshape(1, -1, 1))


def _basis_name(element: int | None, n: int) -> str:
    if element is None:
        return "Z" * n
    return ("XY"[element]) if n == 1 else f"B{element}"


def _basis(element: int, n: int) -> Complex:
    """The basis of one element of the field of 2^n, states in columns; unbiased to Z and to that of any other.

    |b_j> = 2^{-n/2} sum_x i^{x·A·x} (-1)^{j·x} |x> with the symmetric matrix A_kl = Tr(element · e_k · e_l). Sums of
    such matrices are such matrices, and none but 0 is singular, which is what makes the bases unbiased.
    """
    matrix = np.array([[_trace(_times(element, 1 << (k + m), n), n) for m in range(n)] for k in range(n)])
    bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    quarter_turns = np.einsum("xk,kl,xl->x", bits, matrix, bits)
    signs = 1 - 2 * (bits @ bits.T % 2)
    states: NDArray[np.complex128] = np.array([1, 1j, -1, -1j])[quarter_turns % 4, None] * signs / math.sqrt(2**n)
    return states


def _times(a: int, b: int, n: int) -> int:
    """Multiply polynomials over bits, ``a`` of degree below n, modulo that of the field."""
    total = 0
    for shift in range(b.bit_length()):
        if b >> shift & 1:
            total ^= a << shift
    for degree in range(total.bit_length() - 1, n - 1, -1):
        if total >> degree & 1:
            total ^= _POLYNOMIALS[n] << (degree - n)
    return total


def _trace(element: int, n: int) -> int:
    """The sum of a, a², a⁴ and so on, which is 0 or 1."""
    total, power = 0, element
    for _ in range(n):
        total ^= power
        power = _times(power, power, n)
    return total
