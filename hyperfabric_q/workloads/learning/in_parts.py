"""Mean values of a circuit that is cut into parts: an angle that changes makes only its own part run again."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperfabric_q.cutting.engine import Workbench
from hyperfabric_q.cutting.plan import CutPlan, cut
from hyperfabric_q.seeds import resolve, word
from hyperfabric_q.workloads.learning.circuit_form import Form, form_of
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums, sums_of
from hyperfabric_q.workloads.learning.sources import Read
from hyperfabric_q.workloads.learning.turns import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InParts:
    """A cut circuit without noise, exactly or by shots.

    Attributes:
        form: the circuit.
        sums: the observables.
        plan: parts and cuts; each turn has a parameter of its own.
        bench: what parts have given so far; ``bench.runs`` counts how often one had to run.
    """

    form: Form
    sums: PauliSums
    plan: CutPlan
    bench: Workbench

    @classmethod
    def of(
        cls,
        circuit: Any,
        observables: Any,
        max_qubits: int | None = None,
        *,
        assignment: Sequence[Hashable] | Mapping[int, Hashable] | None = None,
        time_limit_s: float = 5.0,
        seed: int | None = None,
    ) -> InParts:
        """Return the source of a circuit in parts of at most ``max_qubits`` qubits, or as ``assignment`` says.

        Args:
            circuit: with parameters; measurements at its end are left out.
            observables: one or several SparsePauliOp, Pauli or labels.
            max_qubits: of each part; see ``hyperfabric_q.cut``.
            assignment: the part of each qubit, such as "AABB".
            time_limit_s: of the search for cuts.
            seed: of the search for cuts.

        Raises:
            InvalidValue: something in the circuit has no gradient, or an option does not fit.
            NoCutFound: no cuts make the parts fit.
        """
        form = form_of(circuit)
        sums = sums_of(observables, form.qubits)
        plan = cut(form.template, max_qubits, assignment=assignment, time_limit_s=time_limit_s, seed=resolve(seed))
        return cls(form=form, sums=sums, plan=plan, bench=plan.workbench(list(sums.operators)))

    @property
    def adjoint(self) -> bool:
        """It is not: parts may be small where the whole is not."""
        return False

    def read(self, angles: Floats, *, shots: int | None, seed: int) -> Read:
        """Return mean values at angles (R, K), from parts that have run before wherever their own angles are the same.

        Shots are drawn anew for every row, so that rows are independent; the laws they are drawn from are kept.
        """
        values = np.empty((len(angles), len(self.sums)))
        errors, taken = np.zeros_like(values), 0
        for row, own in enumerate(angles.tolist()):
            given = dict(zip(self.form.own, own, strict=True))
            if shots is None:
                values[row] = self.bench.exact(given)
            else:
                found = self.bench.estimate(given, shots=shots, seed=word(seed, "learning", "row", row))
                values[row] = [each.value for each in found.estimates]
                errors[row] = [each.stderr for each in found.estimates]
                taken += found.shots
        return Read(values, errors, taken)
