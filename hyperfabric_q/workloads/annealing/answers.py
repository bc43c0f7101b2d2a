"""What a solver found: the samples, the best of them, how much better it could be at most, and what it took."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dimod
import numpy as np

from hyperfabric_q.errors import InternalError
from hyperfabric_q.workloads.annealing.machines import Embedding, Times

SCHEMA: Final = "hyperfabric_q/anneal/1"

_ROUNDING: Final = 1e-9
"""Of bounds, as a part of the sum of all weights' magnitudes."""

_EXACT: Final = 1e-12
"""Of energies, likewise: no more than rounding makes of equal ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """The answer to a binary quadratic problem.

    Attributes:
        samples: every read, as dimod's sample set.
        sample: values of the best one, 0 and 1 or -1 and 1 as the problem has them; without slack. Best is lowest,
            among those that keep the constraints if there are any.
        energy: of it, penalties included.
        objective: of it, penalties left out: the energy where constraints are kept.
        bound: no assignment has a lower energy.
        bound_by: by which argument: "enumeration" and "tree decomposition" are the optimum itself, "spectral", "roof
            dual" and "split" may be below it.
        scale: sum of the magnitudes of all weights, penalties included: what rounding is measured by.
        feasible: whether it keeps every constraint; True where there are none.
        violated: names of the constraints that it breaks.
        feasible_share: share of the reads that keep them all.
        penalty: weight of the constraints.
        penalty_sufficient: whether that is enough for every minimum to keep them.
        solver: what found it.
        variables, couplings: size of what was solved, slack included.
        times: how long the annealer was busy, None without one.
        queued_ns: how long the problem waited for others on its annealer.
        embedding: whether the problem fits the annealer's couplers, None without one.
        node: id of the annealer, None without one.
        seed: gives the same answer again.
        notes: what else must be said of it.
    """

    samples: dimod.SampleSet
    sample: Mapping[Hashable, int]
    energy: float
    objective: float
    bound: float
    bound_by: str
    feasible: bool
    violated: tuple[str, ...] = ()
    feasible_share: float
    penalty: float = 0.0
    penalty_sufficient: bool = True
    solver: str
    variables: int
    couplings: int
    scale: float
    times: Times | None = None
    queued_ns: float = 0.0
    embedding: Embedding | None = None
    node: str | None = None
    seed: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        slack = _ROUNDING * self.scale
        if self.bound > self.energy + slack:
            what = f"a bound of {self.bound!r} ({self.bound_by}) above an energy of {self.energy!r} that was found"
            raise InternalError(what=what)
        object.__setattr__(self, "bound", min(self.bound, self.energy))

    @property
    def gap(self) -> float:
        """How much lower the optimum can be at most; 0 for what is proved."""
        return self.energy - self.bound

    @property
    def optimal(self) -> bool:
        """Whether it is proved that nothing is lower, up to rounding."""
        return self.gap <= _EXACT * self.scale

    @property
    def best_share(self) -> float:
        """Share of the reads that have the lowest energy found."""
        energies, counts = self.samples.record.energy, self.samples.record.num_occurrences
        lowest = energies.min()
        hits = counts[energies <= lowest + _ROUNDING * max(1.0, abs(lowest))].sum()
        return float(hits / counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Return the answer without its samples, ready for JSON; names of variables as text."""
        return {
            "schema": SCHEMA,
            "energy": self.energy,
            "sample": {str(name): value for name, value in self.sample.items()},
            "bound": self.bound,
            "gap": self.gap,
            "feasible": self.feasible,
            "solver": self.solver,
            "bound_by": self.bound_by,
            "optimal": self.optimal,
            "objective": self.objective,
            "violated": list(self.violated),
            "feasible_share": self.feasible_share,
            "best_share": self.best_share,
            "penalty": self.penalty,
            "penalty_sufficient": self.penalty_sufficient,
            "variables": self.variables,
            "couplings": self.couplings,
            "reads": int(self.samples.record.num_occurrences.sum()),
            "times": None if self.times is None else self.times.to_dict(),
            "queued_ns": self.queued_ns,
            "embedding": None if self.embedding is None else self.embedding.to_dict(),
            "node": self.node,
            "seed": self.seed,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        proved = "the optimum" if self.optimal else f"at most {self.gap:.6g} above the optimum"
        kept = "" if not self.penalty else ", feasible" if self.feasible else ", NOT feasible"
        size = f"{self.variables} variables, {self.couplings} couplings"
        busy = "" if self.times is None else f"; {self.node} busy for {self.times.total_ns / 1e6:.6g} ms"
        found = f"energy {self.energy:.9g} by {self.solver}"
        return f"{found}, {proved} ({self.bound_by}: {self.bound:.9g}){kept}; {size}{busy}"

    def __repr__(self) -> str:
        return f"<Answer: {self}>"


def lowest(found: dimod.SampleSet, broken: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """Return the row of the best sample: one that breaks least goes before lower energy."""
    breaches = broken.sum(axis=1) if broken.size else np.zeros(len(found))
    return int(np.lexsort((found.record.energy, breaches > 0))[0])
