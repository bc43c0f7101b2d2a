"""Pauli strings as digits: their matrices, products and names."""

from __future__ import annotations

from functools import reduce
from typing import TypeAlias

import numpy as np

from hyperfabric_q.cutting.decomposition import Complex

Label: TypeAlias = tuple[int, ...]
"""One digit per qubit, first qubit first: 0, 1, 2, 3 for I, X, Y, Z. Digits multiply by exclusive or."""

LETTERS = "IXYZ"

PAULIS: Complex = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)
PAULIS.setflags(write=False)

# X·Y = iZ, Y·Z = iX, Z·X = iY, and the other way round -i; in quarter turns.
_TURNS = ((0, 0, 0, 0), (0, 0, 1, 3), (0, 3, 0, 1), (0, 1, 3, 0))


def matrix_of(label: Label) -> Complex:
    """Return the matrix of a Pauli string; the first qubit is the least significant."""
    return np.asarray(reduce(np.kron, (PAULIS[digit] for digit in reversed(label))), dtype=complex)


def name_of(label: Label) -> str:
    """Return the string as Qiskit writes it: the first qubit is the rightmost letter."""
    return "".join(LETTERS[digit] for digit in reversed(label))


def product(a: Label, b: Label) -> tuple[int, Label]:
    """Return (k, c) with A·B = i^k C."""
    turns = sum(_TURNS[x][y] for x, y in zip(a, b, strict=True))
    return turns % 4, tuple(x ^ y for x, y in zip(a, b, strict=True))


def coefficients(operator: Complex) -> Complex:
    """Return tr(P† K)/2^n for every string P as an array of shape (4,)*n, first qubit first; O(n 4^n)."""
    qubits = int(operator.shape[0]).bit_length() - 1
    tensor = operator.reshape((2,) * (2 * qubits))
    for qubit in range(qubits):  # the axes of the last qubit come first, in rows and in columns
        row, column = qubits - 1 - qubit, 2 * (qubits - 1 - qubit) + 1
        tensor = np.tensordot(PAULIS.conj() / 2, tensor, axes=([1, 2], [row, column]))
        tensor = np.moveaxis(tensor, 0, -1)
    return np.asarray(tensor)
