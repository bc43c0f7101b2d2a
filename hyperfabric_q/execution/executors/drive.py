"""Jobs over an executor, to the end: every outcome is kept, whatever becomes of workers, and is the same anywhere.

* Outcomes do not depend on order or place: jobs are pure, seeds stand in their arguments, outcomes cross as bytes.
* A job whose worker dies runs again, first in company, then alone. One that ends its workers to the last try is set
  aside with its name (``JobPoisoned``); no job is given away more than retries + 1 times.
* A job that raises is not tried again, it would raise again; its error is kept in its place.
* Only a few tasks are handed over ahead of time, so an interruption loses little, and memory does not fill.
* With a store, each outcome is written as it arrives, and jobs that stand in it are not run.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from hyperfabric_q.errors import (
    ExecutorUnreachable,
    HyperFabricError,
    HyperFabricWarning,
    InvalidValue,
    JobPoisoned,
    StoreUnreadable,
)
from hyperfabric_q.execution.executors.batching import MOST_JOBS, Costs, batch_size
from hyperfabric_q.execution.executors.engine import Engine
from hyperfabric_q.execution.executors.opening import open_engine
from hyperfabric_q.execution.executors.work import work
from hyperfabric_q.execution.jobs import Job, task_named
from hyperfabric_q.execution.payload import decode
from hyperfabric_q.execution.progress import Progress, Report, reporting
from hyperfabric_q.execution.store import Store

RETRIES: Final = 3
MOST_RETRIES: Final = 100

_IN_COMPANY: Final = 2
"""Deaths after which a job runs alone, where it can be told from innocent neighbours."""

_POLL_S: Final = 0.5
_RENEWALS_WITHOUT_OUTCOME: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Driven:
    """What became of some jobs.

    Attributes:
        outcomes: of each job, in the order of the jobs; None where there is none (see ``done``).
        done: for each job whether it has an outcome.
        faults: the error of each job that has one, by the job's place.
        stopped: the error that ended the whole drive early; None where there is none.
        interrupted: whether the user did (Ctrl-C).
        tries: how often each job was given to a worker now; 0 = its outcome came from the store or from an equal job.
        executor: where they ran.
        seconds: from start to end.
    """

    outcomes: tuple[Any, ...]
    done: tuple[bool, ...]
    faults: Mapping[int, HyperFabricError]
    stopped: HyperFabricError | None
    interrupted: bool
    tries: tuple[int, ...]
    executor: str
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every job has its outcome."""
        return all(self.done)

    def require(self) -> tuple[Any, ...]:
        """Return all outcomes.

        Raises:
            HyperFabricError: what ended the drive, or the error of the first job that has one.
            KeyboardInterrupt: the user ended it.
        """
        if self.complete:
            return self.outcomes
        if self.stopped is not None:
            raise self.stopped
        if self.faults:
            raise self.faults[min(self.faults)]
        raise KeyboardInterrupt


def drive(
    jobs: Iterable[Job],
    *,
    executor: Any = None,
    store: Store | None = None,
    retries: int = RETRIES,
    progress: Progress = None,
    what: str = "jobs",
) -> Driven:
    """Return the outcomes of jobs, run where ``executor`` says; Ctrl-C returns those there are.

    Args:
        jobs: equal ones are run once.
        executor: see ``open_engine``; an ``Engine`` is used and left open.
        store: outcomes that stand in it are taken from it, new ones are written to it as they arrive.
        retries: how often a job may run again after its worker died, 1 to 100.
        progress: see ``progress.reporting``.
        what: what the jobs are, for the progress bar.

    Raises:
        InvalidValue: an argument of a job is not plain, or ``executor``, ``retries`` or ``progress`` is wrong.
        UnknownName: no task is called like that.
        MissingDependency: the executor's package is not installed.
        ExecutorUnreachable: nothing answers there; raised before anything runs.
        StoreUnreadable: the store cannot be read; raised before anything runs.
    """
    given: object = retries
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= retries <= MOST_RETRIES:
        raise InvalidValue(field="retries", value=given, rule=f"retries is a whole number from 1 to {MOST_RETRIES}")
    started, asked = time.monotonic(), tuple(jobs)
    ledger = _Ledger(asked, store)
    with reporting(progress, total=len(asked), what=what) as report:
        ledger.recall()
        report.advance(ledger.ended)
        stopped, interrupted, name = None, False, "store"
        if ledger.missing:
            engine = executor if isinstance(executor, Engine) else open_engine(executor, jobs=ledger.missing)
            name = engine.name
            try:
                _Drive(engine, ledger, retries, report).run()
            except KeyboardInterrupt:
                interrupted = True
            except (ExecutorUnreachable, StoreUnreadable) as fault:
                stopped = fault
            finally:
                if engine is not executor:
                    engine.close()
            if interrupted:
                stopped = ledger.write()
    return ledger.result(stopped=stopped, interrupted=interrupted, executor=name, seconds=time.monotonic() - started)


class _Ledger:
    """Which jobs there are, and how each ended; equal jobs share one row."""

    def __init__(self, jobs: Sequence[Job], store: Store | None) -> None:
        self._asked = [job.key() for job in jobs]
        self.jobs: dict[str, Job] = {}
        for key, job in zip(self._asked, jobs, strict=True):
            self.jobs.setdefault(key, job)
        self._times: dict[str, int] = {}
        for key in self._asked:
            self._times[key] = self._times.get(key, 0) + 1
        self._store = store
        self._outcomes: dict[str, bytes] = {}
        self._unwritten: dict[str, float] = {}
        self._faults: dict[str, HyperFabricError] = {}
        self.tries = dict.fromkeys(self.jobs, 0)
        self.ended = 0

    @property
    def missing(self) -> list[Job]:
        return [job for key, job in self.jobs.items() if key not in self._outcomes and key not in self._faults]

    def recall(self, keys: Sequence[str] | None = None) -> set[str]:
        """Take what stands in the store; return whose outcomes that were."""
        if self._store is None:
            return set()
        found = self._store.find(tuple(self.jobs) if keys is None else keys)
        for key, outcome in found.items():
            self._end(key, outcome, None)
        return set(found)

    def end(self, key: str, outcome: bytes | None, fault: HyperFabricError | None, seconds: float) -> None:
        """Take the end of a job that ran; the outcome is kept here before the store is asked to keep it too."""
        if outcome is not None:
            self._unwritten[key] = seconds
        self._end(key, outcome, fault)
        self._write()

    def write(self) -> StoreUnreadable | None:
        """Bring to the store what Ctrl-C kept from it, so that it holds all that is returned; return why it did not."""
        try:
            self._write()
        except StoreUnreadable as fault:
            return fault
        return None

    def _write(self) -> None:
        for key, seconds in tuple(self._unwritten.items()):
            outcome = self._outcomes.get(key)
            kept = self._store is None or outcome is None or self._store.put(self.jobs[key], outcome, seconds)
            if not kept:
                ran = f"job {self.jobs[key]} [{key[:12]}]"
                text = f"{ran} had another outcome before: it is not a function of its arguments"
                warnings.warn(HyperFabricWarning(text), stacklevel=3)
            del self._unwritten[key]

    def _end(self, key: str, outcome: bytes | None, fault: HyperFabricError | None) -> None:
        if outcome is not None:
            self._outcomes[key] = outcome
        elif fault is not None:
            self._faults[key] = fault
        self.ended += self._times[key]

    def result(self, *, stopped: HyperFabricError | None, interrupted: bool, executor: str, seconds: float) -> Driven:
        # Each place gets a value of its own: no two jobs share what a caller may change.
        outcomes = [decode(self._outcomes[key]) if key in self._outcomes else None for key in self._asked]
        first = {key: place for place, key in reversed(list(enumerate(self._asked)))}
        return Driven(
            outcomes=tuple(outcomes),
            done=tuple(key in self._outcomes for key in self._asked),
            faults={place: self._faults[key] for place, key in enumerate(self._asked) if key in self._faults},
            stopped=stopped,
            interrupted=interrupted,
            tries=tuple(self.tries[key] if first[key] == place else 0 for place, key in enumerate(self._asked)),
            executor=executor,
            seconds=seconds,
        )


class _Drive:
    """One drive under way: jobs that wait, tasks that fly, and how often the worker of each job died."""

    def __init__(self, engine: Engine, ledger: _Ledger, retries: int, report: Report) -> None:
        self._engine, self._executor = engine, engine.executor
        self._ledger, self._retries, self._report = ledger, retries, report
        self._reported = ledger.ended
        self._waiting = deque(job.key() for job in ledger.missing)
        self._suspects: deque[str] = deque()
        self._flights: dict[Future[Any], tuple[str, ...]] = {}
        self._deaths = dict.fromkeys(self._waiting, 0)
        self._modules: dict[str, str] = {}
        self._costs = Costs()
        self._broken = False
        self._fruitless = 0

    def run(self) -> None:
        try:
            while self._waiting or self._suspects or self._flights:
                self._launch()
                self._report_ended()
                landed, _ = wait(self._flights, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                if not landed:
                    self._check()
                for future in landed:
                    self._land(future)
                self._report_ended()
        finally:
            for future in self._flights:
                future.cancel()

    def _report_ended(self) -> None:
        self._report.advance(self._ledger.ended - self._reported)
        self._reported = self._ledger.ended

    def _check(self) -> None:
        fault = self._engine.fault()
        if fault is not None:
            raise fault

    def _launch(self) -> None:
        if self._broken:
            if self._flights:
                return
            self._renew()
        slots = max(1, self._engine.slots())
        while self._waiting and len(self._flights) < slots * (1 + self._engine.queued) and not self._broken:
            self._submit(self._next_batch(slots))
        # Alone, so that its death is its own; last, so that nobody waits for it.
        if self._suspects and not self._waiting and not self._flights and not self._broken:
            self._submit((self._suspects.popleft(),))

    def _next_batch(self, slots: int) -> tuple[str, ...]:
        first = self._waiting[0]
        if self._deaths[first]:
            return (self._waiting.popleft(),)
        ahead = [key for key in islice(self._waiting, MOST_JOBS) if not self._deaths[key]]
        predicted = [self._costs.predict(self._ledger.jobs[key]) for key in ahead]
        size = batch_size(predicted, least_s=self._engine.least_s, slots=slots)
        return tuple(self._waiting.popleft() for _ in range(min(size, len(ahead))))

    def _submit(self, keys: tuple[str, ...]) -> None:
        # Another process that shares the store may have been quicker.
        known = self._ledger.recall(keys)
        keys = tuple(key for key in keys if key not in known)
        if not keys:
            return
        batch = tuple((self._module(self._ledger.jobs[key]), self._ledger.jobs[key].to_bytes()) for key in keys)
        try:
            future = self._executor.submit(work, batch)
        except BrokenExecutor:
            self._broken = True
            self._put_back(keys)
            return
        except RuntimeError as fault:
            self._put_back(keys)
            raise self._unusable(f"it takes no more tasks ({fault})") from fault
        for key in keys:
            self._ledger.tries[key] += 1
        self._flights[future] = keys

    def _module(self, job: Job) -> str:
        if job.kind not in self._modules:
            self._modules[job.kind] = task_named(job.kind).module
        return self._modules[job.kind]

    def _put_back(self, keys: tuple[str, ...]) -> None:
        for key in reversed(keys):
            (self._suspects if self._is_suspect(key) else self._waiting).appendleft(key)

    def _land(self, future: Future[Any]) -> None:
        keys = self._flights.pop(future)
        try:
            ended = future.result()
        except Exception as fault:
            if isinstance(fault, BrokenExecutor):
                self._broken = True
            elif not isinstance(fault, CancelledError) and type(fault).__name__ != "KilledWorker":
                self._put_back(keys)
                raise self._unusable(f"its workers cannot run jobs ({type(fault).__name__}: {fault})") from fault
            self._bury(keys)
            return
        self._fruitless = 0
        for key, (outcome, failure, seconds) in zip(keys, ended, strict=True):
            self._costs.learn(self._ledger.jobs[key], seconds)
            self._ledger.end(key, outcome, failure, seconds)

    def _bury(self, keys: tuple[str, ...]) -> None:
        """Let the jobs of a dead worker wait again, or suspect them, or give up those whose last try this was."""
        self._check()
        for key in keys:
            self._deaths[key] += 1
            if self._ledger.tries[key] <= self._retries:
                (self._suspects if self._is_suspect(key) else self._waiting).append(key)
                continue
            job = self._ledger.jobs[key]
            fault = JobPoisoned(job=str(job), key=key, deaths=self._deaths[key], executor=self._engine.name)
            self._ledger.end(key, None, fault, 0.0)

    def _is_suspect(self, key: str) -> bool:
        return self._deaths[key] >= min(_IN_COMPANY, self._retries)

    def _renew(self) -> None:
        self._fruitless += 1
        if self._engine.renew is None or self._fruitless > _RENEWALS_WITHOUT_OUTCOME + self._retries:
            raise self._unusable("a worker died and took the pool with it")
        with suppress(Exception):
            self._executor.shutdown(wait=False)
        self._executor = self._engine.renew()
        self._broken = False

    def _unusable(self, reason: str) -> ExecutorUnreachable:
        remedy = "The outcomes so far are kept; a store lets you resume."
        return ExecutorUnreachable(executor=self._engine.name, reason=reason, remedy=remedy)
