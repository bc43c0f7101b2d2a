"""What an imperfect Bell pair does to the gate or the state that is teleported over it.

With ideal local operations, the Pauli error of the pair becomes a Pauli error after the ideal gate: its X part flips
the copy of the control and so acts at the target, its Z part is read as a wrong phase bit and so acts on the control.
Hence the process fidelity of the gate, and of a teleported state's identity, is the pair's fidelity pI, and the average
fidelity is (d pI + 1) / (d + 1) (Horodecki 1999, Nielsen 2002).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement.state import FloatArray, fidelity, one_state, pauli_terms


def cnot_error_terms(correlators: ArrayLike) -> list[tuple[str, float]]:
    """Return the error of a CNOT teleported over one pair, as the terms of Aer's ``pauli_error`` after the ideal gate.

    Labels are in Qiskit's order: the error goes on the qubits [control, target], and the target's Pauli is the left
    letter. X on the pair: X on the target. Z: Z on the control. Y: both.

    Raises:
        InvalidValue: not exactly one state, or none at all.
    """
    return list(zip(("II", "XI", "XZ", "IZ"), one_state(correlators), strict=True))


def cz_error_terms(correlators: ArrayLike) -> list[tuple[str, float]]:
    """Return the same of a CZ, for the qubits [copied, other]: X on the pair is Z on the qubit that was not copied.

    The copied qubit is the one that a cat-entangler takes to the other node.

    Raises:
        InvalidValue: not exactly one state, or none at all.
    """
    return list(zip(("II", "ZI", "ZZ", "IZ"), one_state(correlators), strict=True))


def state_error_terms(correlators: ArrayLike) -> list[tuple[str, float]]:
    """Return the error of a qubit teleported over one pair, as the terms of Aer's ``pauli_error``.

    Raises:
        InvalidValue: not exactly one state, or none at all.
    """
    return pauli_terms(correlators)


def process_fidelity(correlators: ArrayLike) -> FloatArray:
    """Return the process fidelities (...) of gates, or of the identity, teleported over pairs (..., 3): pI."""
    return fidelity(correlators)


def average_gate_fidelity(correlators: ArrayLike) -> FloatArray:
    """Return the average fidelities (...) of two-qubit gates teleported over pairs (..., 3): (4 pI + 1) / 5."""
    return np.asarray((4 * fidelity(correlators) + 1) / 5)


def average_state_fidelity(correlators: ArrayLike) -> FloatArray:
    """Return the average fidelities (...) of qubits teleported over pairs (..., 3): (2 pI + 1) / 3."""
    return np.asarray((2 * fidelity(correlators) + 1) / 3)
