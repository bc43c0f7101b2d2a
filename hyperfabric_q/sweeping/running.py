"""Points are run: where it pays, once each, and what was finished is kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from hyperfabric_q.errors import HyperFabricError
from hyperfabric_q.execution.executors import Driven, drive
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.payload import decode
from hyperfabric_q.execution.progress import Progress, ProgressCall, Report, reporting
from hyperfabric_q.execution.store import Store
from hyperfabric_q.sweeping.point import planned

_TRIED: Final = 3
"""Points that are tried at most before it is decided where the others run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """What became of the jobs of a sweep.

    Attributes:
        columns: of each job; None where there are none.
        seconds: of work for each job; nan where it was not run now.
        faults: the error of each job that has one, by the job's place.
        executor: where they ran.
        interrupted: whether the user ended it.
        stopped: the error that ended it early.
    """

    columns: tuple[Mapping[str, Any] | None, ...]
    seconds: tuple[float, ...]
    faults: Mapping[int, HyperFabricError]
    executor: str
    interrupted: bool
    stopped: HyperFabricError | None


def run_points(jobs: Sequence[Job], *, executor: Any, store: Store | None, progress: Progress) -> Ran:
    """Return the outcomes of the points; Ctrl-C returns those there are.

    Where the executor is left open, one point is run here first: what it takes tells whether processes pay.

    Args:
        jobs: one per point; equal ones are run once.
        executor: see ``open_engine``.
        store: keeps the outcomes.
        progress: see ``progress.reporting``.

    Raises:
        HyperFabricError: as ``drive``.
    """
    kept = _Kept(store)
    keys = [job.key() for job in jobs]
    with reporting(progress, total=len(jobs), what="points") as report:
        told = _telling(report)
        driven, every = None, list(jobs)
        if executor is None:
            found = kept.find(keys)
            missing = list({key: job for key, job in zip(keys, jobs, strict=True) if key not in found}.values())
            if len(missing) > 1:
                driven = _tried(missing, kept, told)
                every = [replace(job, seconds=driven.seconds) for job in jobs]
        if driven is None or not (driven.interrupted or driven.stopped):
            driven = drive(every, executor=executor, store=kept, progress=told, what="points")
    found = kept.find(keys)
    return Ran(
        columns=tuple(dict(decode(found[key])) if key in found else None for key in keys),
        seconds=tuple(kept.seconds.get(key, math.nan) for key in keys),
        faults=driven.faults if len(driven.done) == len(jobs) else {},
        executor=driven.executor,
        interrupted=driven.interrupted,
        stopped=driven.stopped,
    )


def _tried(missing: Sequence[Job], kept: Store, told: ProgressCall) -> Driven:
    """Run one point here, or a few as long as they fail, and return the last of these drives.

    A plan that many share is made before, so that the time of the point is its own.
    """
    shared = Counter(job.arguments["planned_for"] for job in missing)
    step = max(1, len(missing) // _TRIED)
    for job in missing[step // 2 :: step][:_TRIED]:
        given = job.arguments
        if shared[given["planned_for"]] > 1:
            with suppress(HyperFabricError):  # which the job then meets itself
                planned(given["circuit"], given["planned_for"], given["planning"], job.seed)
        driven = drive([job], executor="serial", store=kept, progress=told, what="points")
        if not driven.faults:
            break
    return driven


def _telling(report: Report) -> ProgressCall:
    """What both drives tell, as one count."""
    return lambda done, _total, _what: report.advance(max(0, done - report.done))


class _Kept(Store):
    """The outcomes of this sweep, with the time that each took, before a store or alone."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._outcomes: dict[str, bytes] = {}
        self.seconds: dict[str, float] = {}

    def find(self, keys: Iterable[str]) -> dict[str, bytes]:
        wanted = list(keys)
        found = {key: self._outcomes[key] for key in wanted if key in self._outcomes}
        left = [key for key in wanted if key not in found]
        return found | ({} if self._store is None else self._store.find(left))

    def put(self, job: Job, outcome: bytes, seconds: float) -> bool:
        key = job.key()
        self._outcomes[key], self.seconds[key] = outcome, seconds
        return True if self._store is None else self._store.put(job, outcome, seconds)
