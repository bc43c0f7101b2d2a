"""One- and two-qubit unitaries in the basis {u, p, x, cp}, with as few breaks as their structure allows.

A copy of a qubit survives everything diagonal in its Z basis, so the decomposition of a two-qubit gate decides what it
costs to distribute. A controlled gate keeps its control diagonal and costs one controlled phase: CX, CY, CH, CRX and
CU all do, where a textbook expansion of CU has two CX. Interactions with one Weyl coordinate (RXX, RZX, ECR) cost one
as well, SWAP three, iSWAP two.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit.synthesis import TwoQubitWeylDecomposition
from scipy.linalg import schur

Matrix: TypeAlias = NDArray[np.complex128]

Entries: TypeAlias = tuple[complex, complex, complex, complex]
"""A 2x2 matrix row by row: in loops over gates, plain complex numbers are several times faster than arrays."""

TOLERANCE = 1e-9
"""An entry below this counts as zero; the same number decides what breaks a copy."""

SNAP = 1e-12
"""Angles derived from matrices carry rounding of some 1e-16; anything this close to 0 or π was meant to be it."""

HADAMARD: Matrix = np.array([[1, 1], [1, -1]], dtype=complex) / np.sqrt(2)
_X: Matrix = np.array([[0, 1], [1, 0]], dtype=complex)
_Y: Matrix = np.array([[0, -1j], [1j, 0]])
_Z: Matrix = np.diag([1.0 + 0j, -1.0])


@dataclass(frozen=True, slots=True)
class Local:
    """A one-qubit unitary on operand 0 or 1 of a two-qubit gate."""

    operand: int
    entries: Entries

    @classmethod
    def of(cls, operand: int, matrix: Matrix) -> Local:
        """Return the unitary ``matrix`` on ``operand``."""
        (a, b), (c, d) = matrix.tolist()
        return cls(operand, (a, b, c, d))

    @property
    def matrix(self) -> Matrix:
        """The unitary as a 2x2 array."""
        return np.array(self.entries).reshape(2, 2)


@dataclass(frozen=True, slots=True)
class Interaction:
    """A controlled phase between the two operands."""

    angle: float


Step: TypeAlias = Local | Interaction


def two_qubit(matrix: Matrix) -> tuple[Step, ...]:
    """Return steps whose product is the 4x4 ``matrix`` up to global phase; operand 0 is the least significant."""
    if _off(matrix, np.eye(4, dtype=bool)):
        return _diagonal(np.diag(matrix))
    for control in (0, 1):
        block = _controlled_mask(control)
        if _off(matrix, block):
            return _controlled(matrix, control)
    return _weyl(matrix)


def _off(matrix: Matrix, kept: NDArray[np.bool_]) -> bool:
    """Whether everything outside ``kept`` vanishes."""
    return bool(np.abs(matrix[~kept]).max() < TOLERANCE)


def _controlled_mask(control: int) -> NDArray[np.bool_]:
    """The entries a gate may have when it is block diagonal in operand ``control``."""
    index = np.arange(4) >> control & 1
    return np.asarray(index[:, None] == index[None, :])


def _phase(angle: float) -> Matrix:
    return np.diag([1, np.exp(1j * angle)])


def _snapped(angle: float) -> float:
    return 0.0 if abs(angle) < SNAP else angle


def _diagonal(entries: NDArray[np.complex128]) -> tuple[Step, ...]:
    """diag(e^iφ0, e^iφ1, e^iφ2, e^iφ3) = P(φ1-φ0) ⊗ P(φ2-φ0) · CP(φ3-φ1-φ2+φ0)."""
    zero, one, two, three = np.angle(entries)
    return (
        Interaction(_snapped(float(three - one - two + zero))),
        Local.of(0, _phase(one - zero)),
        Local.of(1, _phase(two - zero)),
    )


def _controlled(matrix: Matrix, control: int) -> tuple[Step, ...]:
    """|0><0| ⊗ A + |1><1| ⊗ B: A on the target, then B·A† controlled, diagonalised on the target."""
    target = 1 - control
    values = np.arange(4) >> control & 1
    low = matrix[np.ix_(values == 0, values == 0)]
    high = matrix[np.ix_(values == 1, values == 1)]
    relative = high @ low.conj().T
    if abs(relative[0, 1]) < TOLERANCE and abs(relative[1, 0]) < TOLERANCE:
        eigenvalues, basis = np.diag(relative), np.eye(2, dtype=complex)
    else:
        triangular, basis = schur(relative, output="complex")
        eigenvalues = np.diag(triangular)
    alpha, beta = np.angle(eigenvalues)
    return (
        Local.of(target, basis.conj().T @ low),
        Interaction(_snapped(float(beta - alpha))),
        Local.of(control, _phase(alpha)),
        Local.of(target, basis),
    )


def _weyl(matrix: Matrix) -> tuple[Step, ...]:
    """One controlled phase when only one Weyl coordinate is present, two for two, three for three."""
    weyl = _coordinates(matrix)
    if abs(weyl.b) < TOLERANCE and abs(weyl.c) < TOLERANCE:
        # exp(i a XX) = (H⊗H) exp(i a ZZ) (H⊗H), and exp(i a ZZ) is CP(4a) with P(-2a) on both sides.
        around = HADAMARD @ _phase(-2 * weyl.a)
        return (
            Local.of(0, HADAMARD @ weyl.K2r),
            Local.of(1, HADAMARD @ weyl.K2l),
            Interaction(_snapped(4 * weyl.a)),
            Local.of(0, weyl.K1r @ around),
            Local.of(1, weyl.K1l @ around),
        )
    # With V = RX(π/2) on both sides YY and ZZ trade places, so that the coordinate that may be 0 is that of YY. Then
    # exp(i(a XX + c YY + b ZZ)) = CX · exp(i a X₀) exp(i b Z₁) exp(-i c X₀Z₁) · CX, control 0.
    turn = _rotation_x(np.pi / 2)
    middle: tuple[Step, ...] = ()
    if abs(weyl.c) >= TOLERANCE:
        around = HADAMARD @ _phase(2 * weyl.c)
        middle = (Local.of(0, HADAMARD), Interaction(-4 * weyl.c), Local.of(0, around), Local.of(1, _phase(2 * weyl.c)))
    return (
        Local.of(0, turn.conj().T @ weyl.K2r),
        Local.of(1, HADAMARD @ turn.conj().T @ weyl.K2l),
        Interaction(np.pi),
        Local.of(1, HADAMARD),
        *middle,
        Local.of(0, _rotation_x(-2 * weyl.a)),
        Local.of(1, HADAMARD @ _phase(-2 * weyl.b)),
        Interaction(np.pi),
        Local.of(0, weyl.K1r @ turn),
        Local.of(1, weyl.K1l @ turn @ HADAMARD),
    )


def _coordinates(matrix: Matrix) -> TwoQubitWeylDecomposition:
    """The canonical form of the nearest special gate where that is this gate, otherwise the plain one.

    By default Qiskit rounds to special gates within 1e-9 of fidelity, which loses angles of up to 1e-4.
    """
    weyl = TwoQubitWeylDecomposition(matrix)
    canonical = np.eye(4, dtype=complex)
    for angle, pauli in ((weyl.a, _X), (weyl.b, _Y), (weyl.c, _Z)):
        canonical = canonical @ (np.cos(angle) * np.eye(4) + 1j * np.sin(angle) * np.kron(pauli, pauli))
    if deviation(np.kron(weyl.K1l, weyl.K1r) @ canonical @ np.kron(weyl.K2l, weyl.K2r), matrix) < SNAP:
        return weyl
    return TwoQubitWeylDecomposition(matrix, fidelity=None)


def _rotation_x(angle: float) -> Matrix:
    cosine, sine = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[cosine, -1j * sine], [-1j * sine, cosine]])


def product(steps: tuple[Step, ...]) -> Matrix:
    """Return the 4x4 unitary of ``steps``, for checks."""
    unitary = np.eye(4, dtype=complex)
    for step in steps:
        if isinstance(step, Interaction):
            factor = np.diag([1, 1, 1, np.exp(1j * step.angle)])
        else:
            pair = (np.eye(2), step.matrix) if step.operand == 0 else (step.matrix, np.eye(2))
            factor = np.kron(*pair)
        unitary = factor @ unitary
    return unitary


def deviation(a: Matrix, b: Matrix) -> float:
    """Return the largest entry of the difference of two unitaries after their global phases are aligned."""
    overlap = np.vdot(a, b)
    aligned = a * (overlap / abs(overlap) if abs(overlap) > TOLERANCE else 1.0)
    return float(np.abs(aligned - b).max())


def euler(entries: Entries) -> tuple[float, float, float]:
    """Return (θ, φ, λ) with U(θ, φ, λ) equal to a 2x2 unitary up to global phase, θ in [0, π].

    θ is exactly 0 for a diagonal and exactly π for an antidiagonal matrix, so that structure is told by equality.
    """
    a, b, c, d = entries
    if abs(b) < TOLERANCE:
        return 0.0, 0.0, wrap(_snapped(cmath.phase(d * a.conjugate())))
    if abs(a) < TOLERANCE:
        return math.pi, wrap(_snapped(cmath.phase(-c * b.conjugate()))), 0.0
    theta = 2 * math.atan2(abs(c), abs(a))
    back = a.conjugate()
    return theta, wrap(_snapped(cmath.phase(c * back))), wrap(_snapped(cmath.phase(-b * back)))


def wrap(angle: float) -> float:
    """Return ``angle`` modulo 2π in (-π, π], exactly 0 or π where only rounding separates it from them.

    A small angle given as such is kept: the tail of a QFT has controlled phases of π/2⁶³ that are there on purpose.
    """
    if abs(angle) <= math.pi - SNAP:
        return angle
    reduced = angle % math.tau
    if reduced > math.pi + SNAP:
        reduced -= math.tau
    if abs(reduced) < SNAP:
        return 0.0
    return math.pi if abs(abs(reduced) - math.pi) < SNAP else reduced


def total(a: float, b: float) -> float:
    """Return the wrapped sum of two angles, exactly 0 where they cancel up to rounding."""
    angle = wrap(a + b)
    return 0.0 if abs(angle) < SNAP * max(abs(a), abs(b)) else angle
