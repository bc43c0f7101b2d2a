"""A two-qubit unitary as local rotations around sum_i u_i s_i ⊗ s_i, s_i in {I, X, Y, Z}, to rounding precision.

The numbers u decide what a cut costs. A gate with one interaction angle is brought to RZZ(θ) instead, with the locals
its structure suggests: diagonal gates keep to phases, controlled gates leave their control in the Z basis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit.synthesis import TwoQubitWeylDecomposition
from scipy.linalg import schur

from hyperfabric_q.cutting.decomposition import Complex
from hyperfabric_q.cutting.paulis import PAULIS
from hyperfabric_q.errors import InternalError

Locals: TypeAlias = tuple[Complex, Complex]
"""2x2 unitaries on the first and on the second operand of a gate."""

EXACT = 1e-14
"""Entries and angles below this are rounding."""

TOLERANCE = 1e-12
"""How far a decomposition may be from the gate."""

HADAMARD: Complex = np.array([[1, 1], [1, -1]], dtype=np.complex128) * (0.5**0.5 + 0j)
HADAMARD.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Share:
    """One term u s ⊗ s of an interaction, u = magnitude · e^{i phase}; the magnitude may be negative.

    Which sign the cosines and sines of an angle take is left in the magnitude, so that the phases of a gate with one
    or two interaction angles are the same quarter turns whatever the angles.
    """

    pauli: int
    magnitude: float
    phase: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interaction:
    """A two-qubit unitary U = after · core · before, up to global phase.

    Attributes:
        before: what the two operands undergo first.
        after: what they undergo last.
        angle: θ when the core is RZZ(θ), else None.
        shares: the terms of the core.
    """

    before: Locals
    after: Locals
    angle: float | None
    shares: tuple[Share, ...]


def interaction(matrix: Complex) -> Interaction:
    """Return the interaction in a unitary 4x4 ``matrix`` (first operand least significant), exact to 1e-12."""
    return _known(np.ascontiguousarray(matrix, dtype=complex).tobytes())


@lru_cache(maxsize=4096)
def _known(data: bytes) -> Interaction:
    matrix = np.frombuffer(data, dtype=complex).reshape(4, 4)
    if np.abs(matrix[~np.eye(4, dtype=bool)]).max() < EXACT:
        found = _diagonal(np.diag(matrix))
    elif (control := _control(matrix)) is not None:
        found = _controlled(matrix, control)
    else:
        found = _general(matrix)
    if deviation(unitary(found), matrix) > TOLERANCE:
        raise InternalError(what="the canonical form of a two-qubit gate is not that gate")
    return found


def rzz_shares(angle: float) -> tuple[Share, Share]:
    """Return the terms of RZZ(θ) = cos(θ/2) I⊗I - i sin(θ/2) Z⊗Z."""
    return Share(0, math.cos(angle / 2), 0.0), Share(3, math.sin(angle / 2), -math.pi / 2)


def unitary(found: Interaction) -> Complex:
    """Return the 4x4 unitary of an interaction, first operand least significant."""
    core = sum(
        share.magnitude * np.exp(1j * share.phase) * np.kron(PAULIS[share.pauli], PAULIS[share.pauli])
        for share in found.shares
    )
    return np.asarray(np.kron(found.after[1], found.after[0]) @ core @ np.kron(found.before[1], found.before[0]))


def deviation(a: Complex, b: Complex) -> float:
    """Return the largest entry of the difference of two unitaries of one size, their global phases aligned."""
    overlap = np.vdot(a, b)
    aligned = a * (overlap / abs(overlap) if abs(overlap) > EXACT else 1.0)
    return float(np.abs(aligned - b).max())


def phase_gate(angle: float) -> Complex:
    """Return diag(1, e^{i angle})."""
    return np.diag([1.0, np.exp(1j * angle)])


def _frozen(pair: tuple[NDArray[np.complex128], NDArray[np.complex128]]) -> Locals:
    first, second = (np.array(each, dtype=complex) for each in pair)
    first.setflags(write=False)
    second.setflags(write=False)
    return first, second


def _rzz(before: Locals, angle: float, after: Locals) -> Interaction:
    return Interaction(before=_frozen(before), after=_frozen(after), angle=angle, shares=rzz_shares(angle))


def _diagonal(entries: NDArray[np.complex128]) -> Interaction:
    """Four phases are RZZ of half of what the outer ones lack to the inner ones, and a phase on each operand."""
    none, first, second, both = (complex(each) for each in entries)
    angle = -float(np.angle(both * none * (first * second).conjugate())) / 2
    # What RZZ(θ) leaves: e^{-iθ} between |00> and either of the inner states.
    after = tuple(phase_gate(float(np.angle(inner * none.conjugate())) - angle) for inner in (first, second))
    return _rzz((np.eye(2, dtype=complex), np.eye(2, dtype=complex)), angle, (after[0], after[1]))


def _control(matrix: Complex) -> int | None:
    """The operand whose Z basis the gate keeps, None when there is none."""
    for operand in (0, 1):
        value = np.arange(4) >> operand & 1
        if np.abs(matrix[value[:, None] != value[None, :]]).max() < EXACT:
            return operand
    return None


def _controlled(matrix: Complex, control: int) -> Interaction:
    """|0><0| ⊗ A + |1><1| ⊗ B: A on the target, then B·A† controlled, which is diagonal in its eigenbasis."""
    target = 1 - control
    value = np.arange(4) >> control & 1
    low = matrix[np.ix_(value == 0, value == 0)]
    relative = matrix[np.ix_(value == 1, value == 1)] @ low.conj().T
    basis = np.asarray(schur(relative, output="complex")[1])
    eigenvalues = np.diag(basis.conj().T @ relative @ basis)
    entries = np.ones(4, dtype=complex)
    entries[value == 1] = eigenvalues
    core = _diagonal(entries)
    before, after = list(core.before), list(core.after)
    before[target] = basis.conj().T @ low
    after[target] = basis @ after[target]
    return Interaction(
        before=_frozen((before[0], before[1])),
        after=_frozen((after[0], after[1])),
        angle=core.angle,
        shares=core.shares,
    )


def _general(matrix: Complex) -> Interaction:
    """exp(i(a XX + b YY + c ZZ)) between locals.

    Qiskit rounds to special gates within 1e-9 of fidelity unless told otherwise, which loses angles of up to 1e-4.
    """
    weyl = TwoQubitWeylDecomposition(matrix, fidelity=None)
    a, b, c = (0.0 if abs(angle) < EXACT else float(angle) for angle in (weyl.a, weyl.b, weyl.c))
    before = _nearest_unitary(weyl.K2r), _nearest_unitary(weyl.K2l)
    after = _nearest_unitary(weyl.K1r), _nearest_unitary(weyl.K1l)
    if b == 0 and c == 0:  # exp(i a XX) = (H ⊗ H) RZZ(-2a) (H ⊗ H)
        turned = HADAMARD @ before[0], HADAMARD @ before[1]
        return _rzz(turned, -2 * a, (after[0] @ HADAMARD, after[1] @ HADAMARD))
    return Interaction(before=_frozen(before), after=_frozen(after), angle=None, shares=_shares(a, b, c))


def _shares(a: float, b: float, c: float) -> tuple[Share, ...]:
    """The product of cos + i sin of the three commuting rotations, with XX·YY = -ZZ and so on."""
    (ca, sa), (cb, sb), (cc, sc) = ((math.cos(each), math.sin(each)) for each in (a, b, c))
    if c == 0:
        quarter = math.pi / 2
        terms: tuple[Share, ...] = (
            Share(0, ca * cb, 0.0),
            Share(1, sa * cb, quarter),
            Share(2, ca * sb, quarter),
            Share(3, sa * sb, 0.0),
        )
    else:
        values = (
            complex(ca * cb * cc, sa * sb * sc),
            complex(ca * sb * sc, sa * cb * cc),
            complex(sa * cb * sc, ca * sb * cc),
            complex(sa * sb * cc, ca * cb * sc),
        )
        terms = tuple(Share(pauli, abs(u), float(np.angle(u))) for pauli, u in enumerate(values))
    return tuple(share for share in terms if abs(share.magnitude) > EXACT)


def _nearest_unitary(matrix: Complex) -> Complex:
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)
