"""A binary quadratic problem solved, and the answer bounded."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Final

import dimod
import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, NodeSignature, fields
from hyperfabric_q.seeds import resolve
from hyperfabric_q.workloads.annealing.answers import Answer, lowest
from hyperfabric_q.workloads.annealing.bounds import Bound, lower_bound
from hyperfabric_q.workloads.annealing.constraints import Penalised, penalised, with_one_hot
from hyperfabric_q.workloads.annealing.exact import MOST_ENUMERATED, by_tree, enumerated
from hyperfabric_q.workloads.annealing.machines import MOST_READS, Machine, Times, machine_of
from hyperfabric_q.workloads.annealing.problems import BQM, read_problem, refuse_size
from hyperfabric_q.workloads.annealing.solvers import CERTAIN, Asked, solvers

READS: Final = 100
SWEEPS: Final = 1_000
MOST_SWEEPS: Final = 1_000_000
MOST_LAYERS: Final = 12


def solve(
    problem: object,
    node: NodeSignature | None = None,
    *,
    solver: str = "auto",
    reads: int = READS,
    sweeps: int = SWEEPS,
    one_hot: Iterable[Iterable[Hashable]] = (),
    penalty: float | None = None,
    anneal_us: float | None = None,
    fabric: Fabric | None = None,
    layers: int = 2,
    noise: str = "fabric",
    seed: int | None = None,
) -> Answer:
    """Return the answer to a binary quadratic problem: samples, the best of them, a bound, and what it took.

    Args:
        problem: whatever ``read_problem`` reads, or a ``dimod.ConstrainedQuadraticModel`` of binary variables and
            linear constraints.
        node: an annealer: the problem must then fit it, and the answer says how long it is busy. None solves it here.
        solver: "exact" (24 variables at most), "tree" (sparse problems), "simulated_annealing", "tabu",
            "steepest_descent", "qaoa" or a registered one. "auto" is certain where that is cheap, and simulated
            annealing otherwise; on a node it is simulated annealing, which stands in for the machine.
        reads: independent samples; shots of QAOA.
        sweeps: of simulated annealing.
        one_hot: groups of variables of which exactly one is to be set.
        penalty: weight of constraints; None derives one that is sufficient.
        anneal_us: duration of one anneal on the node, in place of the node's own.
        fabric: that QAOA runs on.
        layers: of QAOA.
        noise: of the fabric: "fabric", "links" or "none".
        seed: the same seed gives the same answer.

    Raises:
        InvalidValue: the problem is malformed, or an option is out of range.
        UnknownName: there is no such solver.
        ProblemTooLarge: it does not fit the node.
        SimulationRefused: it is too large to solve here.

    Cost: a second at most for 150 variables at the defaults, of which half is the bound.
    """
    seed = resolve(seed)
    asked = Asked(
        reads=fields.count("reads", reads, "a solver", least=1, most=MOST_READS, what="reads"),
        sweeps=fields.count("sweeps", sweeps, "simulated annealing", least=1, most=MOST_SWEEPS, what="sweeps"),
        layers=fields.count("layers", layers, "QAOA", least=1, most=MOST_LAYERS, what="layers"),
        fabric=fabric,
        noise=noise,
        seed=seed,
    )
    stated = _stated(problem, one_hot, penalty)
    machine = None if node is None else machine_of(node)
    if machine is None and anneal_us is not None:
        rule = "only an annealer takes time to anneal"
        raise InvalidValue(field="anneal_us", value=anneal_us, rule=rule, remedy="Give a node as well.")
    times = None if machine is None else machine.times(reads, anneal_us=anneal_us)
    embedding = None if machine is None else machine.fit(stated.bqm)
    _refuse_drowned(stated)
    name, ready = _chosen(stated.bqm, solver, on_node=machine is not None)
    samples, notes = (ready, ()) if ready is not None else solvers[name](stated.bqm, asked)
    answer = _answer(stated, samples, name, seed)
    return replace(
        answer,
        times=times,
        embedding=embedding,
        node=None if machine is None else machine.node_id,
        notes=(*notes, *_notes(stated, name, machine, times)),
    )


def _answer(stated: Penalised, samples: dimod.SampleSet, solver: str, seed: int) -> Answer:
    """Return what samples say about a problem, and the bound."""
    broken = stated.broken(samples)
    row = lowest(samples, broken)
    bound = _bound(stated.bqm, solver, float(samples.record.energy.min()))
    sample, objective = _best(stated, samples, row)
    labels = zip(stated.constrained.constraints, broken[row], strict=True)
    return Answer(
        samples=samples,
        sample=sample,
        energy=float(samples.record.energy[row]),
        objective=objective,
        bound=bound.value,
        bound_by=bound.by,
        feasible=not broken[row].any(),
        violated=tuple(str(label) for label, breaks in labels if breaks),
        feasible_share=_share(samples, broken),
        penalty=stated.penalty,
        penalty_sufficient=stated.sufficient,
        solver=solver,
        variables=stated.bqm.num_variables,
        couplings=stated.bqm.num_interactions,
        scale=_magnitude(stated.bqm),
        seed=seed,
    )


def _magnitude(bqm: BQM) -> float:
    """Return the sum of the magnitudes of all weights."""
    return float(sum(map(abs, bqm.linear.values())) + sum(map(abs, bqm.quadratic.values())))


def _refuse_drowned(stated: Penalised) -> None:
    """Refuse penalties so large that what they round by is worth more than a millionth of the objective."""
    objective, whole = _magnitude(stated.objective), _magnitude(stated.bqm)
    if stated.constrained.constraints and objective and whole * sys.float_info.epsilon > 1e-6 * objective:
        rule = (
            f"squares of its constraints weigh {whole:.3g}, beside which an objective of {objective:.3g} is rounded off"
        )
        remedy = "Divide constraints by a common factor, or state smaller coefficients."
        raise InvalidValue(field="constraints", value=len(stated.constrained.constraints), rule=rule, remedy=remedy)


def _stated(problem: object, one_hot: Iterable[Iterable[Hashable]], penalty: float | None) -> Penalised:
    groups = [one_hot] if isinstance(one_hot, str) else list(one_hot)
    if isinstance(problem, dimod.ConstrainedQuadraticModel):
        if groups:
            rule = "a constrained problem states its constraints itself"
            raise InvalidValue(field="one_hot", value=groups, rule=rule, remedy="Add them to it.")
        stated = penalised(problem, penalty)
    elif groups:
        stated = penalised(with_one_hot(problem, groups), penalty)
    else:
        if penalty is not None:
            raise InvalidValue(field="penalty", value=penalty, rule="there is no constraint that it could weigh")
        bqm = read_problem(problem)
        none = dimod.ConstrainedQuadraticModel()
        stated = Penalised(bqm=bqm, objective=bqm, constrained=none, penalty=0.0, sufficient=True)
    refuse_size(stated.bqm.num_variables, stated.bqm.num_interactions)
    return stated


def _chosen(bqm: BQM, solver: str, *, on_node: bool) -> tuple[str, dimod.SampleSet | None]:
    """Return the solver's name, and its samples where finding out took solving the problem."""
    if solver != "auto":
        if not isinstance(solver, str):
            raise InvalidValue(field="solver", value=solver, rule="it is the name of a solver")
        return solver, None
    if on_node:
        return "simulated_annealing", None
    if bqm.num_variables <= MOST_ENUMERATED:
        return "exact", None
    sparse = by_tree(bqm)
    return ("simulated_annealing", None) if sparse is None else ("tree", sparse)


def _bound(bqm: BQM, solver: str, energy: float) -> Bound:
    """Return the best bound that is affordable; ``energy`` is the lowest that the solver found."""
    if solver in CERTAIN:
        return Bound(value=energy, by=CERTAIN[solver])
    if bqm.num_variables <= MOST_ENUMERATED:
        return Bound(value=float(enumerated(bqm).record.energy.min()), by=CERTAIN["exact"])
    sparse = by_tree(bqm)
    if sparse is not None:
        return Bound(value=float(sparse.record.energy.min()), by=CERTAIN["tree"])
    return lower_bound(bqm)


def _best(stated: Penalised, samples: dimod.SampleSet, row: int) -> tuple[dict[Hashable, int], float]:
    """Return values of the stated variables in one sample, and the objective of it."""
    values = dict(zip(samples.variables, samples.record.sample[row].tolist(), strict=True))
    sample = {name: int(values[name]) for name in stated.objective.variables}
    return sample, float(stated.objective.energy(sample))


def _share(samples: dimod.SampleSet, broken: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    counts = samples.record.num_occurrences
    return float(counts[~broken.any(axis=1)].sum() / counts.sum())


def _notes(stated: Penalised, solver: str, machine: Machine | None, times: Times | None) -> tuple[str, ...]:
    notes = []
    if machine is not None:
        notes.append(
            f"annealing of kind {machine.kind!r} at {machine.node_id!r} is stood in for by {solver} on the CPU"
        )
    if times is not None and times.assumed:
        notes.append(f"not stated by the node, published of an Advantage system: {', '.join(times.assumed)}")
    if not stated.sufficient:
        notes.append("the penalty that was asked for is not known to be large enough: minima may break constraints")
    return tuple(notes)
