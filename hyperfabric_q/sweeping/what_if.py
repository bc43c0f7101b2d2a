"""A circuit, a fabric and what may change in it, in; a table out."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperfabric_q import seeds
from hyperfabric_q.convert import accept
from hyperfabric_q.cutting.observables import read_observables
from hyperfabric_q.distribution.objectives import Objective, Wanted, objective_of
from hyperfabric_q.errors import EndedEarly, HyperFabricError, InvalidValue, UnknownName
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.payload import pack
from hyperfabric_q.execution.progress import Progress
from hyperfabric_q.execution.store import Store
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.sweeping.metrics import metrics_of
from hyperfabric_q.sweeping.planning import planned_for
from hyperfabric_q.sweeping.point import KIND, observables_said
from hyperfabric_q.sweeping.points import RUN_OPTIONS, Point, WantedPoints, changed, points_of
from hyperfabric_q.sweeping.running import run_points
from hyperfabric_q.sweeping.table import Sweep, rows_of

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from hyperfabric_q.pipeline import Circuit, Homes


def sweep(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    points: WantedPoints,
    *,
    metric: str | Sequence[str] | None = None,
    objective: Wanted = "ebits",
    homes: Homes | None = None,
    partitioner: str | None = None,
    time_limit_s: float = 5.0,
    verify: str = "auto",
    plans: str = "auto",
    shots: int = 1024,
    method: str = "auto",
    noise: str = "fabric",
    timelines: str | int = "auto",
    observables: Any = None,
    executor: Any = None,
    store: Store | str | os.PathLike[str] | None = None,
    progress: Progress = None,
    seed: int | None = None,
) -> Sweep:
    """Return a table of what becomes of a circuit when a fabric changes: one row per point.

    Every point has the seed of the sweep, for its plan and for its run: they share their random numbers, so that what
    points differ by scatters less than the points do, and ``plan(circuit, changed_fabric, seed=seed).run(seed=seed,
    method=...)`` repeats a point.

    Args:
        circuit: as for ``plan``.
        fabric: as for ``plan``; what the points change.
        points: values by path, of which all combinations are taken, or a list of points (path -> value). A path is a
            pattern of ``Fabric.replace`` and a field, as in "links.*.pair_fidelity" or "nodes.qpu-0.t1_us"; or one
            of the options "shots", "method", "noise" and "timelines".
        metric: one or several; see ``sweeping.metrics``. None = "estimates" with observables, else "fidelity".
        objective: of the plans.
        homes: of the plans.
        partitioner: of the plans.
        time_limit_s: of each plan.
        verify: of each plan.
        plans: "auto" = one plan for all points whose changes the objective does not see, "anew" = one for each point,
            "reuse" = the plan for ``fabric`` everywhere.
        shots: of each run, where the metric needs one.
        method: as for ``plan.run``; "auto" is a little less patient with the reference.
        noise: as for ``plan.run``.
        timelines: as for ``plan.run``.
        observables: for the metric "estimates".
        executor: where points are run; None = this process for little work, else one process per core.
        store: a store or its path: points that stand in it are not run again, and new ones are kept there.
        progress: True, or a function of (done, total, what).
        seed: reproduces the table; None draws one.

    A point that fails has its error in the table (``Sweep.failed``), and the others are there. Ctrl-C returns the rows
    that are finished, with a warning; while there is none it is raised. An executor or a store that fails on the way is
    raised, with the finished rows as ``partial``.

    Raises:
        InputError: an argument is wrong, or a path means nothing.
        ExecutorUnreachable: the executor does not answer, or its workers are gone.
        StoreUnreadable: the store is none, or cannot be written.
        HyperFabricError: every point failed; it is the error of the first.
    """
    began = time.perf_counter()
    asked = _Asked(
        circuit=accept(circuit),
        fabric=_fabric(fabric),
        objective=objective_of(objective),
        plans=plans,
        metrics=metrics_of(metric, observables=observables is not None),
        planning={"homes": _pairs(homes), "partitioner": partitioner, "time_limit_s": time_limit_s, "verify": verify},
        running={"shots": shots, "method": method, "noise": noise, "timelines": timelines},
        observables=observables,
        seed=seeds.resolve(seed),
    )
    paths, every = points_of(points)
    jobs, failed = asked.jobs(every)
    with nullcontext(store) if store is None or isinstance(store, Store) else Store(os.fspath(store)) as kept:
        ran = run_points(list(jobs.values()), executor=executor, store=kept, progress=progress)
    failed |= {place: ran.faults[number] for number, place in enumerate(jobs) if number in ran.faults}
    if all(columns is None for columns in ran.columns):
        raise ran.stopped or (KeyboardInterrupt() if ran.interrupted else failed[min(failed)])
    measured = dict(zip(jobs, zip(ran.columns, ran.seconds, strict=True), strict=True))
    columns, rows = rows_of(every, measured, failed, paths=paths, seed=asked.seed)
    table = Sweep(
        paths=paths,
        columns=columns,
        rows=rows,
        failed=dict(sorted(failed.items())),
        seed=asked.seed,
        executor=ran.executor,
        interrupted=ran.interrupted or ran.stopped is not None,
        seconds=time.perf_counter() - began,
    )
    if ran.stopped is not None:
        ran.stopped.partial = table
        raise ran.stopped
    if ran.interrupted:
        warnings.warn(EndedEarly(f"{sum(map(table.is_missing, range(len(table))))} points were not run"), stacklevel=2)
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What all points have in common."""

    circuit: QuantumCircuit
    fabric: Fabric
    objective: Objective
    plans: str
    metrics: tuple[str, ...]
    planning: dict[str, Any]
    running: dict[str, Any]
    observables: Any
    seed: int

    def jobs(self, points: Sequence[Point]) -> tuple[dict[int, Job], dict[int, HyperFabricError]]:
        """Return the job of each point by its place, or the error of a point that no fabric answers to."""
        common = self._common()
        jobs: dict[int, Job] = {}
        failed: dict[int, HyperFabricError] = {}
        for place, point in enumerate(points):
            try:
                served = planned_for(self.fabric, point, self.objective, self.plans)
                own = changed(self.fabric, point)
            except UnknownName:  # a path that means nothing is no matter of one point
                raise
            except HyperFabricError as fault:
                failed[place] = fault
                continue
            options = {path: value for path, value in point.items() if path in RUN_OPTIONS}
            fabrics = {"planned_for": served.to_toml(), "fabric": own.to_toml()}
            jobs[place] = Job(kind=KIND, arguments={**common, **options, **fabrics}, seed=self.seed)
        return jobs, failed

    def _common(self) -> dict[str, Any]:
        observables = None
        if self.observables is not None:
            observables = observables_said(read_observables(self.observables, self.circuit.num_qubits))
        return {
            "circuit": pack(self.circuit),
            "planning": {**self.planning, "objective": str(self.objective)},
            "metrics": list(self.metrics),
            "observables": observables,
            **self.running,
        }


def _fabric(given: object) -> Fabric:
    """The fabric itself, or the one in a file."""
    if isinstance(given, Fabric):
        return given
    if isinstance(given, str | os.PathLike):
        return Fabric.from_file(given)
    raise InvalidValue(field="fabric", value=given, rule="it is a Fabric, or the path of a fabric file")


def _pairs(homes: object) -> list[list[Any]] | None:
    """Homes as a job can carry them."""
    if homes is None:
        return None
    if isinstance(homes, Mapping):
        return [[qubit, node] for qubit, node in homes.items()]
    if isinstance(homes, Iterable) and not isinstance(homes, str):
        return [[qubit, node] for qubit, node in enumerate(homes)]
    raise InvalidValue(field="homes", value=homes, rule="it names one node for each of the qubits")
