"""Solvers by name: each returns a sample set of a problem without constraints.

Others register theirs through the entry-point group ``hyperfabric_q.annealing_solver``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import dimod
from dwave.samplers import SimulatedAnnealingSampler, SteepestDescentSampler, TabuSampler

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.registry import Registry
from hyperfabric_q.seeds import word
from hyperfabric_q.workloads.annealing.exact import by_tree, enumerated
from hyperfabric_q.workloads.annealing.problems import BQM

MOST_WORK: Final = 50_000_000_000
"""Reads x sweeps x terms that simulated annealing may take: half a minute."""

MOST_MOVES: Final = 500_000_000
"""Reads x variables that tabu search and descent may take."""

_TABU_MOVES: Final = 50_000
_NO_TIMEOUT_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a problem is to be solved.

    Attributes:
        reads: independent attempts.
        sweeps: of simulated annealing: updates of each variable in one read.
        layers: of QAOA.
        fabric: that QAOA runs on; None for the others.
        noise: of that fabric, as for ``Plan.run``.
        seed: of everything drawn.
    """

    reads: int
    sweeps: int
    layers: int
    fabric: Fabric | None
    noise: str
    seed: int


Solver: TypeAlias = Callable[[BQM, Asked], tuple[dimod.SampleSet, tuple[str, ...]]]
"""Returns samples, and notes for the answer."""

solvers: Final[Registry[Solver]] = Registry("annealing solver")
"""Every solver, by name."""

CERTAIN: Final = {"exact": "enumeration", "tree": "tree decomposition"}
"""Solvers whose best sample is the optimum, and why."""


@solvers.register("exact")
def exact(bqm: BQM, asked: Asked) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the lowest assignments of all there are."""
    del asked
    return enumerated(bqm), ()


@solvers.register("tree")
def tree(bqm: BQM, asked: Asked) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the optimum of a sparse problem."""
    del asked
    found = by_tree(bqm)
    if found is None:
        raise SimulationRefused(
            asked="a tree decomposition",
            found=f"{bqm.num_variables:,} variables with {bqm.num_interactions:,} couplings are too entangled for one",
            remedy='Use solver="simulated_annealing", whose answer is bounded.',
        )
    return found, ()


@solvers.register("simulated_annealing")
def simulated_annealing(bqm: BQM, asked: Asked) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return what single flips find while it cools, by ``dwave-samplers``."""
    terms = bqm.num_variables + 2 * bqm.num_interactions
    _refuse("simulated annealing", asked.reads * asked.sweeps * terms, MOST_WORK, "reads x sweeps x terms")
    flat = not (bqm.linear.max() or bqm.linear.min() or any(bqm.quadratic.values()))
    found = SimulatedAnnealingSampler().sample(
        bqm,
        num_reads=asked.reads,
        num_sweeps=asked.sweeps,
        seed=word(asked.seed, "annealing", "simulated"),
        beta_range=[0.1, 1.0] if flat else None,  # where all weights are 0 nothing says how hot to begin
    )
    return found, ()


@solvers.register("tabu")
def tabu(bqm: BQM, asked: Asked) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return what tabu search finds, by ``dwave-samplers``: as many moves as stated, whatever the machine's speed."""
    _refuse("tabu search", asked.reads * max(bqm.num_variables, 100), MOST_MOVES // 1000, "reads x variables")
    if bqm.num_variables == 1:  # its tenure would be 0
        return exact(bqm, asked)
    found = TabuSampler().sample(
        bqm,
        num_reads=asked.reads,
        seed=word(asked.seed, "annealing", "tabu"),
        timeout=_NO_TIMEOUT_MS,
        num_restarts=3,
        lower_bound_z=_TABU_MOVES,
        coefficient_z_first=2_000,
        coefficient_z_restart=500,
    )
    return found, ()


@solvers.register("steepest_descent")
def steepest_descent(bqm: BQM, asked: Asked) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the local minima below random assignments, by ``dwave-samplers``."""
    _refuse("steepest descent", asked.reads * bqm.num_variables, MOST_MOVES, "reads x variables")
    found = SteepestDescentSampler().sample(
        bqm, num_reads=asked.reads, seed=word(asked.seed, "annealing", "descent"), large_sparse_opt=True
    )
    return found, ()


@solvers.register("qaoa")
def qaoa(bqm: BQM, asked: Asked) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the shots of a QAOA circuit that is distributed over the QPU nodes of a fabric."""
    from hyperfabric_q.workloads.annealing.qaoa import sampled  # noqa: PLC0415 - loads Qiskit

    if asked.fabric is None:
        rule = "QAOA runs on the QPU nodes of a fabric"
        raise InvalidValue(field="fabric", value=None, rule=rule, remedy="Give fabric=, for example Fabric.line(...).")
    return sampled(bqm, asked.fabric, shots=asked.reads, layers=asked.layers, noise=asked.noise, seed=asked.seed)


def _refuse(what: str, work: int, most: int, unit: str) -> None:
    if work > most:
        raise SimulationRefused(
            asked=what,
            found=f"it would take {work:,} {unit}, and {most:,} are allowed",
            remedy="Ask for fewer reads or sweeps.",
        )
