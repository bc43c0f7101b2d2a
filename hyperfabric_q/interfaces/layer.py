"""A circuit on a fabric as a function: mean values of observables, and the derivatives of a loss of them.

The torch layer and the PennyLane device stand on it; it knows neither. Without noise and shots, derivatives come from
one adjoint sweep; otherwise from shift rules, of the loss itself as one observable: neither needs the full Jacobian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.expectations import Asked, Expected, expected, lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, binding_seed, structure
from hyperfabric_q.interfaces.job import Steps
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.circuit_form import WIDEST, form_of
from hyperfabric_q.workloads.learning.parameter_shift import shifts_of
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums, sums_of

ADJOINT = "adjoint sweep of the state vector"
SHIFTS = "parameter shift"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """Mean values of m observables at B rows of parameters.

    Attributes:
        values: shape (B, m).
        errors: one standard error of each; 0 where it is exact.
        metadata: as of every front door: nodes, pairs, shots, way, fallbacks, seed and more.
    """

    values: Floats
    errors: Floats
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pulled:
    """The derivatives of a loss by the parameters of each of B rows.

    Attributes:
        gradient: shape (B, P); 0 for parameters that were not wanted.
        errors: one standard error of each entry; 0 where it is exact.
        metadata: as in ``Evaluated``, of all circuits that were evaluated for it.
    """

    gradient: Floats
    errors: Floats
    metadata: dict[str, Any]


class Layer:
    """A circuit with its observables on a fabric, planned once for all values of its parameters."""

    def __init__(
        self, circuit: Any, observables: Any, fabric: FabricLike, *, options: FabricOptions | None = None
    ) -> None:
        """Take them.

        Args:
            circuit: with parameters; measurements at its end are left out.
            observables: one or several SparsePauliOp, Pauli or labels.
            fabric: a fabric, or a protocol, whose fabric counts as it stands at each call.
            options: None = all defaults.

        Raises:
            InvalidValue: something in the circuit has no gradient, the observables are not its own, or these are no
                fabric and options.
        """
        self._front = Front(fabric, options)
        self._form = form_of(circuit)
        self._sums = sums_of(observables, self._form.qubits)
        self._key = structure(self._form.template)
        place = {each.name: number for number, each in enumerate(self._form.own)}
        # Qiskit sorts parameters by name, and the turns are in the order of the circuit.
        self._order = [place[each.name] for each in self._form.template.parameters]

    def __deepcopy__(self, memo: object) -> Layer:
        """Return the layer itself: it has no state but plans that are kept."""
        return self

    @property
    def options(self) -> FabricOptions:
        """The options."""
        return self._front.options

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of a row."""
        return tuple(each.name for each in self._form.parameters)

    @property
    def observables(self) -> int:
        """How many observables there are."""
        return len(self._sums)

    @property
    def swept(self) -> bool:
        """Whether derivatives are exact, by one adjoint sweep."""
        return self.options.noise == "none" and self._asked.exact and self._form.qubits <= WIDEST

    @property
    def _asked(self) -> Asked:
        return Asked(shots=self.options.shots, precision=self.options.precision)

    def values(self, rows: Any, *, seed: int | None = None) -> Evaluated:
        """Return the mean values at rows of parameters, shape (B, P) or (P,).

        Args:
            rows: in the order of ``parameters``.
            seed: of what is drawn; the first row has it. None = that of the options.

        Raises:
            InvalidValue: rows that are no finite numbers, or not as many as there are parameters.
            Infeasible: the fabric has no place for the circuit.
            SimulationRefused: nothing here can compute or sample it.
        """
        bindings = self._form.angles.bindings(rows)
        found, metadata = self._read(self._form.angles.at(bindings), self._sums.operators, self._seed(seed))
        return Evaluated(values=found.values, errors=found.errors, metadata=metadata)

    def pulled(
        self, rows: Any, weights: Any, *, wanted: Sequence[int] | None = None, seed: int | None = None
    ) -> Pulled:
        """Return the derivatives of sum_m weights[b, m] x value[b, m] by the parameters of each row b.

        Args:
            rows: shape (B, P).
            weights: derivatives of a loss by the values, shape (B, m).
            wanted: places of the parameters by which to differentiate; None = all. Shifts of others are left out.
            seed: as in ``values``.

        Raises:
            InvalidValue: rows or weights of another shape, or no finite numbers.
            SimulationRefused: nothing here can compute or sample it.
        """
        bindings = self._form.angles.bindings(rows)
        slopes = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        if slopes.shape != (len(bindings), len(self._sums)) or not np.isfinite(slopes).all():
            rule = f"they are finite numbers of shape {(len(bindings), len(self._sums))}, one for each value"
            raise InvalidValue(field="weights", value=weights, rule=rule)
        columns = np.arange(len(self.parameters)) if wanted is None else np.asarray(wanted, dtype=np.int64)
        if self.swept:
            found = adjoint.pulled_back(self._form, self._sums, bindings, lambda _, part: slopes[part])
            gradient, errors = found.gradient, np.zeros_like(found.gradient)
            metadata = self._facts(None, len(bindings), ADJOINT, self._seed(seed))
        else:
            gradient, errors, metadata = self._shifted(bindings, slopes, columns, self._seed(seed))
        left_out = np.setdiff1d(np.arange(len(self.parameters)), columns)
        gradient[:, left_out] = errors[:, left_out] = 0.0
        return Pulled(gradient=gradient, errors=errors, metadata=metadata)

    def _seed(self, seed: int | None) -> int:
        return self._front.run_seed() if seed is None else seed

    def _shifted(
        self, bindings: Floats, slopes: Floats, columns: NDArray[np.int64], seed: int
    ) -> tuple[Floats, Floats, dict[str, Any]]:
        """Derivatives by shift rules. A row's loss is measured as one observable, so that its bar is that of its shots.

        Values of several observables share shots; the bar of their sum is not to be had from theirs.
        """
        angles, form = self._form.angles, self._form
        shifts = shifts_of(form, angles.turns_of(columns))
        gradient, errors = np.zeros_like(bindings), np.zeros_like(bindings)
        every = Expected.empty(0, 0)
        circuits, shots = 0, 0
        for row in range(len(bindings)):
            operator = _weighted(self._sums, slopes[row])
            if operator is None or not len(shifts):
                continue
            binding = bindings[row : row + 1]
            own = self._found(shifts.angles(angles.at(binding)), [operator], binding_seed(seed, row))
            by_turn, spread = shifts.combined(own.values, own.errors, form)
            gradient[row] = angles.chain(binding, by_turn)[0, 0]
            errors[row] = np.sqrt(angles.chain_variance(binding, spread)[0, 0])
            circuits, shots = circuits + len(shifts), shots + int(own.shots.sum())
            every.ways |= own.ways
            every.fallbacks |= own.fallbacks
            every.approximations |= own.approximations
        way = ", ".join([SHIFTS, *every.ways])
        return gradient, errors, self._facts(shots or None, circuits, way, seed, every)

    def _read(self, angles: Floats, operators: Sequence[SparsePauliOp], seed: int) -> tuple[Expected, dict[str, Any]]:
        found = self._found(angles, operators, seed)
        shots = int(found.shots.sum()) or None
        return found, self._facts(shots, len(angles), ", ".join(found.ways), seed, found)

    def _found(self, angles: Floats, operators: Sequence[SparsePauliOp], seed: int) -> Expected:
        """Mean values at angles of all turns, (R, K)."""
        planned = self._front.planned(self._form.template, self._key)
        lines = lines_of(planned, shots=self.options.shots, precision=self.options.precision, seed=seed)
        return expected(
            planned,
            np.ascontiguousarray(angles[:, self._order]),
            operators,
            self._asked,
            lines=lines,
            seed_of=lambda row: binding_seed(seed, row),
            steps=Steps("layer", len(angles)),
        )

    def _facts(
        self, shots: int | None, circuits: int, way: str, seed: int, found: Expected | None = None
    ) -> dict[str, Any]:
        planned = self._front.planned(self._form.template, self._key)
        lines = lines_of(planned, shots=self.options.shots, precision=self.options.precision, seed=seed)
        own = (f"each binding planned on its own: {planned.unbound}",) if planned.unbound else ()
        return facts_of(planned, lines).metadata(
            shots=shots,
            circuits=circuits,
            way=way,
            noise=self.options.noise,
            seed=seed,
            fallbacks=(*own, *(found.fallbacks if found else ())),
            approximations=tuple(found.approximations) if found else (),
        )


def with_options(
    options: FabricOptions | None, *, shots: int | None = None, noise: str | None = None, seed: int | None = None
) -> FabricOptions:
    """Return options, None being the defaults, with what is given beside them in their place.

    Raises:
        InvalidValue: they are none, or a value is out of range.
    """
    given: object = FabricOptions() if options is None else options
    if not isinstance(given, FabricOptions):
        raise InvalidValue(field="options", value=given, rule="options are a FabricOptions, or None")
    asked: dict[str, Any] = {"shots": shots, "noise": noise, "seed": seed}
    return replace(given, **{name: value for name, value in asked.items() if value is not None})


def _weighted(sums: PauliSums, weights: Floats) -> SparsePauliOp | None:
    """Return the sum of all observables with these weights; None for nothing."""
    parts = [float(weight) * each for weight, each in zip(weights, sums.operators, strict=True) if weight]
    if not parts:
        return None
    total = SparsePauliOp.sum(parts).simplify()
    return total if total.coeffs.any() else None
