"""The gradient of mean values by a circuit's parameters, with the standard error of each entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue, SimulationRefused, UnknownName
from hyperfabric_q.seeds import resolve, word
from hyperfabric_q.workloads.learning import adjoint, lightning
from hyperfabric_q.workloads.learning.circuit_form import Form
from hyperfabric_q.workloads.learning.parameter_shift import shifts_of
from hyperfabric_q.workloads.learning.sources import Source, checked_shots
from hyperfabric_q.workloads.learning.spsa import check_options, directions_of, slopes_along
from hyperfabric_q.workloads.learning.turns import Floats

Method: TypeAlias = Literal["adjoint", "parameter_shift", "spsa"]
METHODS: Final[tuple[str, ...]] = get_args(Method)
Engine: TypeAlias = Literal["own", "lightning"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gradient:
    """Mean values and their derivatives.

    Of several bindings all arrays have a first axis for these. m observables, P parameters.

    Attributes:
        values: shape (m,).
        value_errors: one standard error of each; 0 where it is exact, as it is without shots and drawn timelines.
        gradient: shape (m, P).
        errors: one standard error of each entry; 0 where it is exact.
        parameters: names, in the order of the last axis.
        method: "adjoint", "parameter_shift" or "spsa".
        evaluations: circuits that were evaluated, an adjoint sweep counting as one.
        shots: of all of them; 0 where values are exact.
        notes: what is not as exact as it may look.
        seed: reproduces it.
    """

    values: Floats
    value_errors: Floats
    gradient: Floats
    errors: Floats
    parameters: tuple[str, ...]
    method: str
    evaluations: int
    shots: int
    notes: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        for array in (self.values, self.value_errors, self.gradient, self.errors):
            array.setflags(write=False)

    def __repr__(self) -> str:
        exact = f"{self.shots:,} shots" if self.shots else "no shots" if self.method == "spsa" else "exact"
        return f"<Gradient: {self.gradient.shape} by {self.method}, {self.evaluations} circuits, {exact}>"


def gradient(
    source: Source,
    parameters: Any,
    *,
    by: Iterable[Any] | None = None,
    method: Method | Literal["auto"] = "auto",
    shots: int | None = None,
    directions: int = 8,
    step: float = 0.1,
    engine: Engine | Literal["auto"] = "auto",
    seed: int | None = None,
) -> Gradient:
    """Return mean values and their derivatives by the parameters of a circuit.

    Args:
        source: the circuit with its observables, and where it runs: ``Ideal``, ``OnFabric`` or ``InParts``.
        parameters: their values: one row, or several, in the order of ``circuit.parameters``; or a mapping.
        by: the parameters, or their names, by which to differentiate; None = all.
        method: "adjoint", exact and by far the quickest, for sources without noise or shots; "parameter_shift", exact
            but for shots; "spsa", few circuits, and errors that say how little; "auto" = the first that is possible.
        shots: of each basis at each shifted angle; None = exact values.
        directions: of SPSA, at random; two circuits each.
        step: of SPSA, in each parameter.
        engine: of the adjoint sweep: "own"; "lightning", that of pennylane-lightning; "auto" = our own, unless it
            refuses the observables as too large and lightning is installed. ``Gradient.notes`` name lightning.
        seed: of everything that is drawn.

    Raises:
        InvalidValue: an option is out of range, or the method needs what the source has not.
        UnknownName: ``by`` names no parameter of the circuit.
        MissingDependency: the engine that was asked for is not installed.
        SimulationRefused: too large for the source.
    """
    taken = checked_shots(shots)
    chosen = _method(source, method, taken)
    _check_engine(engine, chosen)
    seed, form = resolve(seed), source.form
    bindings = form.angles.bindings(parameters)
    wanted = _columns(form, by)
    if chosen == "adjoint":
        parts = _swept(source, bindings, engine)
    elif chosen == "parameter_shift":
        parts = _shifted(source, bindings, wanted, taken, seed)
    else:
        check_options(directions, step)
        parts = _sampled(source, bindings, wanted, taken, directions, step, seed)
    one = isinstance(parameters, Mapping) or np.ndim(parameters) == 1
    return Gradient(
        values=_only(parts.values, one=one),
        value_errors=_only(parts.value_errors, one=one),
        gradient=_only(parts.gradient[:, :, wanted], one=one),
        errors=_only(np.sqrt(parts.variances[:, :, wanted]), one=one),
        parameters=tuple(form.parameters[each].name for each in wanted),
        method=chosen,
        evaluations=parts.evaluations,
        shots=parts.shots,
        notes=parts.notes,
        seed=seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    """What a method found, of all bindings: values (B, m), derivatives (B, m, P) and their variances."""

    values: Floats
    value_errors: Floats
    gradient: Floats
    variances: Floats
    evaluations: int
    shots: int
    notes: tuple[str, ...] = ()


def _swept(source: Source, bindings: Floats, engine: str) -> _Parts:
    by_lightning = engine == "lightning"
    if not by_lightning:
        try:
            found = adjoint.derivatives(source.form, source.sums, bindings)
        except SimulationRefused:
            by_lightning = engine == "auto" and lightning.installed()
            if not by_lightning:
                raise
    if by_lightning:
        found = lightning.derivatives(source.form, source.sums, bindings)
    return _Parts(
        values=found.values,
        value_errors=np.zeros_like(found.values),
        gradient=found.jacobian,
        variances=np.zeros_like(found.jacobian),
        evaluations=len(bindings),
        shots=0,
        notes=("adjoint sweep of pennylane-lightning",) if by_lightning else (),
    )


def _shifted(source: Source, bindings: Floats, wanted: NDArray[np.int64], shots: int | None, seed: int) -> _Parts:
    form = source.form
    angles = form.angles.at(bindings)
    shifts = shifts_of(form, form.angles.turns_of(wanted))
    # The angles themselves come first: parts that no shift touches have then run already.
    found = source.read(np.concatenate([angles, shifts.angles(angles)]), shots=shots, seed=seed)
    rows = len(bindings)
    by_turn, spread = shifts.combined(found.values[rows:], found.errors[rows:], form)
    return _Parts(
        values=found.values[:rows],
        value_errors=found.errors[:rows],
        gradient=form.angles.chain(bindings, by_turn),
        variances=form.angles.chain_variance(bindings, spread),
        evaluations=len(found.values),
        shots=found.shots,
        notes=found.notes,
    )


def _sampled(
    source: Source,
    bindings: Floats,
    wanted: NDArray[np.int64],
    shots: int | None,
    directions: int,
    step: float,
    seed: int,
) -> _Parts:
    form, rows = source.form, len(bindings)
    signs = directions_of(directions, len(form.parameters), wanted, word(seed, "learning", "spsa"))
    moved = bindings[:, None, None] + step * np.stack([signs, -signs], axis=1)
    every = np.concatenate([bindings, moved.reshape(-1, bindings.shape[1])])
    found = source.read(form.angles.at(every), shots=shots, seed=seed)
    ends = found.values[rows:].reshape(rows, directions, 2, -1)
    slopes, variances = slopes_along(ends, signs, step)
    return _Parts(
        values=found.values[:rows],
        value_errors=found.errors[:rows],
        gradient=slopes,
        variances=variances,
        evaluations=len(every),
        shots=found.shots,
        notes=(*found.notes, f"SPSA: a mean over {directions} directions, biased by terms of order step²"),
    )


def _method(source: Source, method: str, shots: int | None) -> str:
    possible = source.adjoint and shots is None
    if method == "auto":
        return "adjoint" if possible else "parameter_shift"
    if method not in METHODS:
        raise InvalidValue(field="method", value=method, rule=f"it is 'auto' or one of {', '.join(map(repr, METHODS))}")
    if method == "adjoint" and not possible:
        rule = "the adjoint sweep needs the noiseless state vector, and takes no shots"
        raise InvalidValue(field="method", value=method, rule=rule, remedy="Use 'parameter_shift'.")
    return method


def _check_engine(engine: str, method: str) -> None:
    if engine not in {"auto", *get_args(Engine)}:
        raise InvalidValue(field="engine", value=engine, rule="it is 'auto', 'own' or 'lightning'")
    if method != "adjoint" and engine != "auto":
        raise InvalidValue(
            field="engine",
            value=engine,
            rule=f"only the adjoint sweep has a choice of engines, and the method is {method!r}",
            remedy="Leave it out.",
        )


def _columns(form: Form, by: Iterable[Any] | None) -> NDArray[np.int64]:
    """Places of the parameters by which to differentiate, in the order in which they were asked for."""
    names = [each.name for each in form.parameters]
    if by is None:
        return np.arange(len(names))
    asked = [getattr(each, "name", each) for each in by]
    for name in asked:
        if name not in names:
            raise UnknownName(kind="parameter", name=str(name), known=tuple(names))
    return np.array([names.index(name) for name in asked], dtype=np.int64)


def _only(array: Floats, *, one: bool) -> Floats:
    return np.ascontiguousarray(array[0] if one else array)
