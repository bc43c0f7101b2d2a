"""How alike are samples, by the overlap of the states that a circuit makes of them? For any kernel method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.seeds import resolve, stream
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.circuit_form import Form, form_of
from hyperfabric_q.workloads.learning.sources import checked_shots
from hyperfabric_q.workloads.learning.turns import Floats


class QuantumKernel:
    """The kernel k(x, y) = |<psi(x)|psi(y)>|^2 of a circuit whose parameters are the features of a sample.

    It is a function of two sets of samples, as ``sklearn.svm.SVC(kernel=...)`` takes one.
    """

    def __init__(self, circuit: Any, *, shots: int | None = None, seed: int | None = None) -> None:
        """Make the kernel of a circuit.

        Args:
            circuit: features are its parameters, in its order.
            shots: of each entry, as the circuit of x followed by the inverse of that of y reads all 0; None = exact.
            seed: of shots.

        Raises:
            InvalidValue: something in the circuit is no gate, or the number of shots is none.
        """
        self.form: Form = form_of(circuit)
        self.shots = checked_shots(shots)
        self.seed = resolve(seed)

    def __repr__(self) -> str:
        return f"<QuantumKernel: {self.form.qubits} qubits, {len(self.form.parameters)} features>"

    def __call__(self, first: Any, second: Any = None) -> Floats:
        """Return the kernel matrix, shape (samples of the first, samples of the second); None = the first again.

        Entries of shots keep the matrix of one set with itself symmetric with 1 on its diagonal.

        Raises:
            InvalidValue: samples with other features, or no finite numbers.
            SimulationRefused: too many qubits.
        """
        left = self._states(first)
        right = left if second is None or second is first else self._states(second)
        overlaps = np.abs(left.conj() @ right.T) ** 2
        if self.shots is None:
            return overlaps
        rng = stream(self.seed, "learning", "kernel")
        drawn = rng.binomial(self.shots, np.clip(overlaps, 0.0, 1.0)) / self.shots
        if right is left:
            upper = np.triu(drawn, 1)
            drawn = upper + upper.T + np.eye(len(drawn))
        return np.asarray(drawn)

    def errors(self, matrix: Floats) -> Floats:
        """Return one standard error of each entry of a matrix that was estimated; 0 where it is exact.

        As ``hyperfabric_q.estimate.proportion`` has it: honest at 0 and 1 too.
        """
        if self.shots is None:
            return np.zeros_like(matrix)
        a, b = matrix * self.shots + 0.5, (1 - matrix) * self.shots + 0.5
        return np.asarray(np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))))

    def _states(self, samples: Any) -> NDArray[np.complex128]:
        rows = self.form.angles.bindings(samples)
        if not len(rows):
            raise InvalidValue(field="samples", value=0, rule="there is at least one sample")
        found = [kets for _, kets in adjoint.states(self.form, self.form.angles.at(rows))]
        return np.concatenate(found)
