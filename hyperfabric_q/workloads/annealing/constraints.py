"""Constraints as penalties that are large enough, and whether they are kept.

A constrained problem is dimod's ``ConstrainedQuadraticModel``: a quadratic objective of binary variables, and linear
constraints. An annealer takes none, so each constraint becomes a square that is added to the objective with a weight.
The weight is derived, not guessed:

* Every constraint one-hot, no variable in two of them: a weight above the largest change that one flip can make to the
  objective. From any assignment that breaks a constraint, one flip then leads downhill, so no minimum breaks one.
* Whole coefficients otherwise: a weight above the range of the objective, since what is broken is broken by at least 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import dimod
import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.workloads.annealing.problems import BQM, read_problem

_MARGIN: Final = 1.001
"""How much above the least sufficient weight the one that is used stands."""

_TOLERANCE: Final = 1e-6
LARGEST: Final = 1e12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Penalised:
    """A constrained problem as one without constraints.

    Attributes:
        bqm: objective and penalties.
        objective: alone.
        constrained: the problem as it was stated.
        penalty: weight of the squares; 0 without constraints.
        sufficient: whether no minimum of ``bqm`` breaks a constraint, provided some assignment keeps them all.
    """

    bqm: BQM
    objective: BQM
    constrained: dimod.ConstrainedQuadraticModel
    penalty: float
    sufficient: bool

    def broken(self, samples: dimod.SampleSet) -> NDArray[np.bool_]:
        """Return whether each sample breaks each constraint, shape (samples, constraints)."""
        own = [column for column, name in enumerate(samples.variables) if name in self.objective.variables]
        chosen = (samples.record.sample[:, own], [samples.variables[column] for column in own])
        rows = [_breaks(each, chosen) for each in self.constrained.constraints.values()]
        return np.array(rows, dtype=bool).reshape(len(rows), len(samples)).T


def _breaks(constraint: Any, chosen: Any) -> NDArray[np.bool_]:
    values = constraint.lhs.energies(chosen)
    slack = _TOLERANCE * max(1.0, abs(constraint.rhs))
    if constraint.sense is dimod.sym.Sense.Eq:
        return np.asarray(np.abs(values - constraint.rhs) > slack)
    over = values - constraint.rhs if constraint.sense is dimod.sym.Sense.Le else constraint.rhs - values
    return np.asarray(over > slack)


def with_one_hot(objective: object, groups: Iterable[Iterable[Hashable]]) -> dimod.ConstrainedQuadraticModel:
    """Return the problem of minimising ``objective`` with exactly one variable of each group set.

    Raises:
        InvalidValue: the objective is none of what ``read_problem`` reads, is not binary, or a group is empty, names a
            variable twice, or names one that the objective does not have.
    """
    bqm = read_problem(objective)
    if bqm.vartype is not dimod.BINARY:
        raise InvalidValue(field="problem", value="spins", rule="one-hot constraints are for variables 0 and 1")
    model = dimod.ConstrainedQuadraticModel.from_bqm(bqm)
    for number, group in enumerate(groups):
        names = [group] if isinstance(group, str) else list(group)
        unknown = [name for name in names if name not in bqm.variables]
        if unknown or not names or len({*names}) < len(names):
            rule = f"the problem has no {unknown[0]!r}" if unknown else "a group names one or more variables, each once"
            raise InvalidValue(field="one_hot", value=names, rule=rule)
        model.add_constraint_from_iterable([(name, 1.0) for name in names], "==", 1, label=f"one-hot {number}")
    return model


def penalised(model: dimod.ConstrainedQuadraticModel, penalty: float | None = None) -> Penalised:
    """Return the constrained problem as one without constraints.

    Args:
        model: binary variables, a quadratic objective, hard linear constraints.
        penalty: weight of the squares; None derives one that is sufficient.

    Raises:
        InvalidValue: a variable is not binary, a constraint is quadratic or soft, or none is one-hot of its own and a
            coefficient is not whole (then no weight can be derived, nor slack be written in bits).
    """
    other = next((name for name in model.variables if model.vartype(name) is not dimod.BINARY), None)
    if other is not None:
        rule = f"{other!r} is not binary, and only binary variables are annealed here"
        raise InvalidValue(field="problem", value="a constrained problem", rule=rule)
    objective = read_problem(_objective(model))
    if penalty is not None:
        penalty = fields.number("penalty", penalty, "a constrained problem", above=True, most=LARGEST)
    for label, each in model.constraints.items():
        _check(label, each)
    least = _sufficient(model, objective)
    weight = least * _MARGIN if penalty is None else penalty
    bqm = objective.copy()
    for label, each in model.constraints.items():
        _add(bqm, label, each, weight)
    return Penalised(
        bqm=bqm,
        objective=objective,
        constrained=model,
        penalty=weight if model.constraints else 0.0,
        sufficient=weight > least or not model.constraints,
    )


def _objective(model: dimod.ConstrainedQuadraticModel) -> BQM:
    """Return the objective alone, over all variables, those included that only constraints name."""
    bqm = BQM("BINARY", dtype=np.float64)
    for name in model.variables:
        bqm.add_variable(name)
    for name, weight in model.objective.linear.items():
        bqm.add_linear(name, weight)
    for (a, b), weight in model.objective.quadratic.items():
        bqm.add_quadratic(a, b, weight)
    bqm.offset += float(model.objective.offset)
    return bqm


def _check(label: Hashable, constraint: Any) -> None:
    fault = ""
    if not constraint.lhs.is_linear():
        fault = "it is quadratic, and a penalty would be of fourth order"
    elif constraint.lhs.is_soft():
        fault = "it is soft; state it as a part of the objective"
    elif any(float(each) != round(float(each)) for each in _numbers(constraint)):
        fault = "it has coefficients that are not whole; multiply it by their common denominator"
    if fault:
        raise InvalidValue(field="problem", value="a constrained problem", rule=f"constraint {label!r}: {fault}")


def _numbers(constraint: Any) -> list[float]:
    return [*constraint.lhs.linear.values(), constraint.lhs.offset, constraint.rhs]


def _sufficient(model: dimod.ConstrainedQuadraticModel, objective: BQM) -> float:
    """Return a weight above which no minimum breaks a constraint; above 0."""
    names = [name for each in model.constraints.values() for name in each.lhs.variables]
    if len({*names}) == len(names) and all(_is_one_hot(each) for each in model.constraints.values()):
        return max((_largest_change(objective, name) for name in names), default=0.0) or 1.0
    vectors = objective.to_numpy_vectors()
    weights = np.concatenate([vectors.linear_biases, vectors.quadratic.biases])
    return float(np.abs(weights).sum()) or 1.0


def _is_one_hot(constraint: Any) -> bool:
    ones = all(weight == 1 for weight in constraint.lhs.linear.values())
    return ones and constraint.sense is dimod.sym.Sense.Eq and constraint.rhs - constraint.lhs.offset == 1


def _largest_change(objective: BQM, name: Hashable) -> float:
    """Return the most that setting or clearing one variable can change the objective."""
    weights = [weight for _, weight in objective.iter_neighborhood(name)]
    own = objective.get_linear(name)
    up = own + sum(weight for weight in weights if weight > 0)
    down = own + sum(weight for weight in weights if weight < 0)
    return float(max(abs(up), abs(down)))


def _add(bqm: BQM, label: Hashable, constraint: Any, weight: float) -> None:
    terms = [(name, float(value)) for name, value in constraint.lhs.linear.items()]
    if constraint.sense is dimod.sym.Sense.Eq:
        bqm.add_linear_equality_constraint(terms, weight, constraint.lhs.offset - constraint.rhs)
        return
    least = sum(value for _, value in terms if value < 0)
    most = sum(value for _, value in terms if value > 0)
    room = round(constraint.rhs - constraint.lhs.offset)
    low, high = (round(least), room) if constraint.sense is dimod.sym.Sense.Le else (room, round(most))
    if low > high or low > round(most) or high < round(least):
        rule = f"constraint {label!r} cannot be kept by any assignment"
        raise InvalidValue(field="problem", value="a constrained problem", rule=rule)
    whole = [(name, round(value)) for name, value in terms]
    bqm.add_linear_inequality_constraint(whole, weight, f"slack of {label}", lb=low, ub=high)
