"""Observables as what they do to state vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.cutting.observables import read_observables
from hyperfabric_q.errors import InvalidValue, SimulationRefused

States = NDArray[np.complex128]
Floats = NDArray[np.float64]

MOST_ENTRIES: Final = 1 << 24
"""Entries of all diagonals: 256 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PauliSums:
    """m observables on n qubits: what each does is a sum of diagonals, each behind a flip of some qubits.

    Attributes:
        qubits: n.
        operators: as they were given.
    """

    qubits: int
    operators: tuple[SparsePauliOp, ...]

    def __len__(self) -> int:
        """Return the number of observables."""
        return len(self.operators)

    def apply(self, number: int, states: States) -> States:
        """Return observable ``number`` times each row, shape (rows, 2^n).

        Raises:
            SimulationRefused: the diagonals of the observables do not fit.
        """
        found = np.zeros_like(states)
        places = np.arange(states.shape[1])
        for flips, diagonal in _parts(self)[number]:
            found += diagonal * (states[:, places ^ flips] if flips else states)
        return found


def sums_of(observables: Any, qubits: int) -> PauliSums:
    """Return observables; what they do is worked out when it is first needed.

    Args:
        observables: one or several SparsePauliOp, Pauli or labels.
        qubits: of the circuit.

    Raises:
        InvalidValue: none, or no real Pauli operators on these qubits.
    """
    operators = tuple(read_observables(observables, qubits))
    if not operators:
        raise InvalidValue(field="observables", value=observables, rule="at least one observable is needed")
    return PauliSums(qubits=qubits, operators=operators)


@lru_cache(maxsize=16)
def _parts(sums: PauliSums) -> tuple[tuple[tuple[int, States], ...], ...]:
    """(mask of the qubits that flip, diagonal of 2^n) of each observable; O(strings x 2^n).

    (P psi)_j = i^|x & z| (-1)^|z & (j ^ x)| psi_(j ^ x) for a string of masks x (X or Y) and z (Z or Y).
    """
    masks = []
    for operator in sums.operators:
        strings = zip(operator.paulis.x, operator.paulis.z, operator.coeffs, strict=True)
        masks.append([(_mask(x), _mask(z), float(weight.real)) for x, z, weight in strings])
    entries = sum(len({x for x, _, _ in each}) for each in masks) << sums.qubits
    if entries > MOST_ENTRIES:
        raise SimulationRefused(
            asked=f"observables of {sum(map(len, masks)):,} Pauli strings on {sums.qubits} qubits",
            found=f"{entries:,} entries of diagonals; at most {MOST_ENTRIES:,} are held",
            remedy="Give fewer observables at once.",
        )
    places = np.arange(1 << sums.qubits, dtype=np.int64)
    return tuple(tuple(_diagonals(each, places).items()) for each in masks)


def _mask(bits: NDArray[np.bool_]) -> int:
    return sum(1 << qubit for qubit in np.flatnonzero(bits).tolist())


def _diagonals(strings: list[tuple[int, int, float]], places: NDArray[np.int64]) -> dict[int, States]:
    found: dict[int, States] = {}
    for x, z, weight in strings:
        signs = 1.0 - 2.0 * (np.bitwise_count((places ^ x) & z) & 1)
        diagonal = found.setdefault(x, np.zeros(len(places), dtype=np.complex128))
        diagonal += weight * 1j ** ((x & z).bit_count() % 4) * signs
    return found
