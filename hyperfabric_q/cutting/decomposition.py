"""A cut as a sum: weights times pairs of local instruments, which together are the channel that was cut.

A *signed instrument* is what one side does: rho -> sum_m s_m K_m rho K_m†, with s_m = ±1 the sign that its measured
outcome lends to the result. A decomposition is a matrix of weights over the instruments of the left and of the right
side, W[l, r]; the cut channel is sum_lr W[l, r] L_l ⊗ R_r.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InternalError

Complex: TypeAlias = NDArray[np.complex128]
Real: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instrument:
    """What one side of a cut does in one term.

    Qubits are in Qiskit's order: the first qubit of the side is the least significant of the matrix. A wire that ends
    has ``d_out = 1``, one that begins has ``d_in = 1``.

    Attributes:
        name: how readers know it, unique within its side: "I", "S", "M", "prepare +", ...
        signs: ±1 of each outcome, shape (m,).
        kraus: Kraus operator of each outcome, shape (m, d_out, d_in).
    """

    name: str
    signs: Real
    kraus: Complex

    def __post_init__(self) -> None:
        for field, dtype in (("signs", np.float64), ("kraus", np.complex128)):
            array = np.array(getattr(self, field), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        if self.kraus.ndim != 3 or self.signs.shape != self.kraus.shape[:1]:
            raise InternalError(what=f"instrument {self.name!r} has signs {self.signs.shape}, Kraus {self.kraus.shape}")

    @property
    def is_unitary(self) -> bool:
        """Whether it is one unitary without a sign, so that it can run as a gate."""
        operator = self.kraus[0]
        square = operator.shape[0] == operator.shape[1]
        if not square or len(self.signs) > 1 or self.signs[0] != 1:
            return False
        return bool(np.allclose(operator.conj().T @ operator, np.eye(len(operator)), atol=1e-12))

    def superoperator(self) -> Complex:
        """Return the matrix on row-stacked density matrices, shape (d_out², d_in²)."""
        d_out, d_in = self.kraus.shape[1:]
        total = np.einsum("m,mij,mkl->ikjl", self.signs, self.kraus, self.kraus.conj())
        return np.asarray(total.reshape(d_out * d_out, d_in * d_in))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decomposition:
    """A channel between two sides as a weighted sum of pairs of local instruments.

    Attributes:
        name: which cut this is, for people: "RZZ(0.7)", "wire (LO)", ...
        left: distinct instruments of the left side (of a wire: where it ends).
        right: the same of the right side (of a wire: where it begins).
        weights: W, shape (len(left), len(right)).
        gamma: square root of the sampling overhead when terms are drawn one shot at a time.
    """

    name: str
    left: tuple[Instrument, ...]
    right: tuple[Instrument, ...]
    weights: Real
    gamma: float

    def __post_init__(self) -> None:
        weights = np.array(self.weights, dtype=np.float64)
        weights.setflags(write=False)
        object.__setattr__(self, "weights", weights)
        if weights.shape != (len(self.left), len(self.right)):
            raise InternalError(what=f"cut {self.name!r} has weights of shape {weights.shape}")

    @property
    def is_wire(self) -> bool:
        """Whether a wire is cut: the left side ends qubits, the right one begins them."""
        return bool(self.left[0].kraus.shape[1] == 1)

    @property
    def terms(self) -> int:
        """Return the number of pairs of instruments that have a weight."""
        return int(np.count_nonzero(self.weights))

    def superoperator(self) -> Complex:
        """Return sum_lr W[l, r] L_l ⊗ R_r as a matrix (left_out² right_out², left_in² right_in²); right is minor."""
        rows = [(w, self.left[i], self.right[j]) for (i, j), w in np.ndenumerate(self.weights) if w]
        return np.asarray(sum(w * np.kron(a.superoperator(), b.superoperator()) for w, a, b in rows))
