"""The errors of one run: the state of every Bell pair when it is used, how long qubits are idle, and local errors.

Every way of executing a plan reads this value, so that all of them carry the same errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InternalError


class Idle(NamedTuple):
    """A logical qubit that waits on a wire of the emitted circuit, just before an instruction.

    ``before`` is the index of that instruction in the circuit's data, or its length for the end of the program.
    """

    before: int
    wire: int
    duration_s: float
    t1_s: float
    t2_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunNoise:
    """The errors of one shot, or the mean errors of all.

    Attributes:
        pair_weights: weights (pI, pX, pY, pZ) over (Phi+, Psi+, Psi-, Phi-) of each ``bell_pair`` of the emitted
            circuit, in its order, when it is used, shape (pairs, 4): a Pauli error on the second wire.
        idles: waits of qubits that hold something, by instruction.
        local: whether the nodes' gate and readout errors count (``LocalFigures``).
    """

    pair_weights: NDArray[np.float64]
    idles: tuple[Idle, ...]
    local: bool

    def __post_init__(self) -> None:
        weights = np.array(self.pair_weights, dtype=np.float64).reshape(-1, 4)
        if (weights < -1e-12).any() or not np.allclose(weights.sum(axis=1), 1):
            raise InternalError(what="the weights of a Bell pair are no distribution")
        weights.setflags(write=False)
        object.__setattr__(self, "pair_weights", weights)
        object.__setattr__(self, "idles", tuple(sorted(self.idles)))
