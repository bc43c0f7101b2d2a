"""The estimator of qiskit-addon-cutting as arrays: what it estimates, and its exact variance.

Its estimate of a Pauli string is a sum over joint terms, one choice of a product of local operations for each cut, of
the term's weight times the product over parts of a mean of ±1 outcomes. Every term, part and measurement basis is a
circuit of its own with its own shots, so all these means are independent, and the variance has a closed form. Circuits
that are the same in several terms are run again in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from qiskit.quantum_info import PauliList

from hyperfabric_q.cutting.branches import branches
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.tensors import exact_tensor


class Shaped(NamedTuple):
    """Weights (terms,), and means (observables, parts, terms) of the outcomes of one shot."""

    weights: Any
    means: Any

    @property
    def values(self) -> Any:
        return self.means.prod(axis=1) @ self.weights

    def variances(self, shots: int) -> Any:
        """Return the variance of every estimate with this many shots of each circuit."""
        squares = self.means**2
        second = squares + (1 - squares) / shots
        return (second.prod(axis=1) - squares.prod(axis=1)) @ self.weights**2


def shaped(cut: CutCircuit, observables: Sequence[str]) -> Shaped:
    """Return the terms of a circuit whose cuts are CX or RZZ, one Pauli string per observable."""
    measured = measure(cut, observables)
    matrices = [each.decomposition.weights for each in cut.cuts]
    chosen = [np.argwhere(np.abs(each) > 1e-14) for each in matrices]
    terms = np.array(list(product(*(range(len(each)) for each in chosen))))
    weights = np.ones(len(terms))
    for number, (matrix, entries) in enumerate(zip(matrices, chosen, strict=True)):
        weights *= matrix[tuple(entries[terms[:, number]].T)]
    means = np.empty((measured.count, len(cut.fragments), len(terms)))
    for number, (fragment, strings) in enumerate(zip(cut.fragments, measured.strings, strict=True)):
        tensor = exact_tensor(branches(fragment), fragment.sides, strings.x, strings.z)
        own = tuple(chosen[each.cut][terms[:, each.cut], each.side] for each in fragment.markers)
        means[:, number] = tensor[(slice(None), *own)][measured.index[measured.term, number]]
    return Shaped(weights, means)


def circuits(cut: CutCircuit, labels: Sequence[int], observables: Sequence[str], terms: int) -> int:
    """Return the number of circuits that the addon runs: terms × groups of qubit-wise commuting strings, over parts."""
    if len(cut.fragments) != len(set(labels)):
        raise ValueError("every part hangs together, or its fragments would share shots")
    paulis = PauliList(list(observables))
    groups = 0
    for part in sorted(set(labels)):
        qubits = [qubit for qubit, label in enumerate(labels) if label == part]
        local = PauliList.from_symplectic(paulis.z[:, qubits], paulis.x[:, qubits])
        groups += len(local.unique().group_commuting(qubit_wise=True))
    return terms * groups
