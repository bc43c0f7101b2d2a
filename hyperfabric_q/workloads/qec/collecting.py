"""Logical error rates of many experiments in one results file, in the format of sinter.

The shots of an experiment are taken in parts of fixed size. A part is named by its first shot, and its seed follows
from that name; so one seed gives the same rows with any number of workers, and after any interruption. The file grows
by one line per part, always in order: what stands in it counts when the same command is given again.

``sinter.collect`` does the same with ``custom_decoders={"loop": sampler(...)}``, in batches that depend on the clock.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import signal
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TextIO, TypeAlias, get_args

import sinter

from hyperfabric_q import seeds
from hyperfabric_q.errors import BacklogWarning, InvalidValue, JobPoisoned
from hyperfabric_q.workloads.qec.closed_loop import run_closed
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.frame_loop import Lengthen, Workshop, run_frame
from hyperfabric_q.workloads.qec.loop import USUAL_TIMELINES, Loop, LoopResult, check, defects_per_round
from hyperfabric_q.workloads.qec.sampler import MOST_CIRCUITS, task

if TYPE_CHECKING:
    from hyperfabric_q.execution.progress import Progress

Backend: TypeAlias = Literal["frame", "closed", "aer"]

PART: Final = 1 << 16
"""Shots of a part."""

PART_ON_AER: Final = 1 << 12

Stats: TypeAlias = list[sinter.TaskStats]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """Return an experiment with the loop it is run under.

    Args:
        experiment: what is run.
        loop: decoder, transport and policy.
        backend: "frame", "closed" or "aer".
        timelines: replays of the fabric in each part, where replays can differ.
        lengthen: makes the experiment with another number of rounds, where Aer has to wait.
        metadata: more of the record that tells experiments apart.

    Raises:
        InvalidValue: the backend is none of the three, or there is no timeline.
    """

    experiment: Experiment
    loop: Loop
    backend: Backend = "frame"
    timelines: int = USUAL_TIMELINES
    lengthen: Lengthen | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise InvalidValue(field="backend", value=self.backend, rule=f"it is one of {get_args(Backend)}")
        if self.timelines < 1:
            raise InvalidValue(field="timelines", value=self.timelines, rule="there is at least one")

    @property
    def part(self) -> int:
        """Shots of a part."""
        return PART_ON_AER if self.backend == "aer" else PART

    def task(self) -> sinter.Task:
        """Return the job as a task of sinter, with its error model, which sinter puts into its identity."""
        loop = self.loop
        made = task(
            self.experiment,
            loop=loop,
            backend=self.backend,
            decoder=loop.decoder_name,
            metadata=self.metadata,
        )
        model = made.circuit.detector_error_model(decompose_errors=True, ignore_decomposition_failures=True)
        return sinter.Task(
            circuit=made.circuit, decoder=made.decoder, detector_error_model=model, json_metadata=made.json_metadata
        )


def collect(
    jobs: Sequence[Job],
    *,
    shots: int,
    out: str | Path | None = None,
    seed: int | None = None,
    workers: int = 1,
    progress: Progress = None,
) -> Stats:
    """Return the statistics of each job, at least ``shots`` of each, in the order of the jobs.

    Args:
        jobs: what is run.
        shots: of each; those that stand in the file already count.
        out: results file, which is made or continued; None keeps the results in memory.
        seed: fixes all rows but their seconds; None takes a fresh one.
        workers: processes; 1 stays in this one.
        progress: see ``hyperfabric_q.execution.progress``.

    Raises:
        InvalidValue: numbers out of range, a file that is not of sinter's format, two jobs with the same record, and
            what makes a loop impossible.
        DeadlineImpossible, SimulationRefused: a loop cannot work.
        JobPoisoned: a worker process ended. What was finished stands in the file.

    Warns:
        BacklogWarning: a decoder is slower than the rounds.
    """
    from hyperfabric_q.execution.progress import reporting  # noqa: PLC0415 - Qiskit comes along, and workers need none

    if shots < 1 or workers < 1:
        raise InvalidValue(field="shots, workers", value=(shots, workers), rule="there is at least one of each")
    chosen = seeds.resolve(seed)
    for job in jobs:
        events = defects_per_round(job.experiment, chosen) if job.loop.by_defects else 0.0
        check(job.experiment, job.loop, job.loop.decoding(events))
    tasks = [job.task() for job in jobs]
    names = [each.strong_id() for each in tasks]
    if len(set(names)) < len(names):
        rule = "two jobs are the same, and would share their rows"
        raise InvalidValue(field="jobs", value=len(names), rule=rule, remedy="Tell them apart by their metadata.")
    found = {name: _empty(each, name) for name, each in zip(names, tasks, strict=True)}
    file = None if out is None else Path(out)
    if file is not None:
        for row in known(file):
            if row.strong_id in found:
                found[row.strong_id] += row
    parts = [
        _Part(number, first, size, seeds.word(chosen, "part", name, first))
        for number, (job, name) in enumerate(zip(jobs, names, strict=True))
        for first, size in _parts(found[name].shots, shots, job.part)
    ]
    total = sum(part.shots for part in parts)
    with reporting(progress, total=total, what="shots") as report, _opened(file) as sink:
        for part, done in _done(jobs, parts, workers):
            name = names[part.job]
            row = _row(tasks[part.job], name, done)
            found[name] += row
            if sink is not None:
                sink.write(row.to_csv_line() + "\n")
                sink.flush()
            report.advance(part.shots)
    return [found[name] for name in names]


class _Part(NamedTuple):
    job: int
    first: int
    shots: int
    seed: int


class _Done(NamedTuple):
    """What comes back from a worker."""

    shots: int
    errors: int
    seconds: float
    counts: dict[str, int]


def _parts(have: int, wanted: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the first shot and the shots of each part that is missing; parts end at multiples of ``size``."""
    while have < wanted:
        step = min(size - have % size, wanted - have)
        yield have, step
        have += step


# ------------------------------------------------------------------------------------------------------------ workers


class _Bench:
    """A job at work in one process, with the circuits and decoders that its parts share."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._workshop = Workshop(job.experiment, job.loop)

    def run(self, part: _Part) -> _Done:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BacklogWarning)  # said once, before the first part
            result = self._result(part)
        counts = result.counts.copy()
        if self._job.loop.chancy:  # otherwise all timelines are one, and shots share nothing
            counts.update(result.clusters.to_counts())
        if self._job.experiment.links:
            counts["bell_used"] = len(self._job.experiment.links) * result.shots
        return _Done(result.shots, result.errors, result.seconds, {name: int(n) for name, n in counts.items() if n})

    def _result(self, part: _Part) -> LoopResult:
        job = self._job
        if job.backend == "aer":
            from hyperfabric_q.workloads.qec.aer_loop import run_aer  # noqa: PLC0415 - Qiskit takes long to load

            return run_aer(
                job.experiment,
                job.loop,
                part.shots,
                seed=part.seed,
                timelines=job.timelines,
                lengthen=job.lengthen,
            )
        if self._workshop.kept > MOST_CIRCUITS:
            self._workshop = Workshop(job.experiment, job.loop)
        run = run_closed if job.backend == "closed" else run_frame
        return run(
            job.experiment,
            job.loop,
            part.shots,
            seed=part.seed,
            timelines=job.timelines,
            workshop=self._workshop,
        )


class _Benches:
    """The jobs of a process, each set up when its first part comes, one at a time."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._at, self._bench = -1, None if not jobs else _Bench(jobs[0])

    def run(self, part: _Part) -> _Done:
        if self._bench is None or self._at != part.job:
            self._at, self._bench = part.job, _Bench(self._jobs[part.job])
        return self._bench.run(part)


_here: list[_Benches] = []
"""In a worker process: what it was started with."""


def _begin(jobs: Sequence[Job]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which lets parts finish
    _here[:] = [_Benches(jobs)]


def _run_here(part: _Part) -> _Done:
    return _here[0].run(part)


def _done(jobs: Sequence[Job], parts: Sequence[_Part], workers: int) -> Iterator[tuple[_Part, _Done]]:
    """Yield parts with what they gave, in their order."""
    count = min(workers, len(parts))
    if count <= 1:
        benches = _Benches(jobs)
        for part in parts:
            yield part, benches.run(part)
        return
    pool = ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(list(jobs),)
    )
    try:
        # Rows are written in order, so a short queue ahead of the writer keeps all workers busy.
        waiting: list[tuple[_Part, Future[_Done]]] = []
        for part in parts:
            waiting.append((part, pool.submit(_run_here, part)))
            if len(waiting) >= 4 * count:
                yield _finished(*waiting.pop(0))
        for each in waiting:
            yield _finished(*each)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(part: _Part, future: Future[_Done]) -> tuple[_Part, _Done]:
    try:
        return part, future.result()
    except BrokenProcessPool:
        name = f"shots {part.first} to {part.first + part.shots - 1} of experiment {part.job}"
        raise JobPoisoned(job=name, key=f"{part.seed:x}", deaths=1, executor="processes") from None


# --------------------------------------------------------------------------------------------------------------- file


def _empty(given: sinter.Task, name: str) -> sinter.TaskStats:
    return sinter.TaskStats(strong_id=name, decoder=given.decoder, json_metadata=given.json_metadata)


def _row(given: sinter.Task, name: str, done: _Done) -> sinter.TaskStats:
    return sinter.TaskStats(
        strong_id=name,
        decoder=given.decoder,
        json_metadata=given.json_metadata,
        shots=done.shots,
        errors=done.errors,
        seconds=done.seconds,
        custom_counts=Counter(done.counts),
    )


def known(file: str | Path) -> Stats:
    """Return the statistics that a results file holds, one per experiment; none if there is no such file.

    A last line that a crash left unfinished is not read.

    Raises:
        InvalidValue: it is not a results file of sinter.
    """
    place = Path(file)
    if not place.exists():
        return []
    try:
        text = place.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        heads = {each.strip() for each in next(csv.reader([whole.split("\n", 1)[0]]), [])}
        if text and not {"shots", "errors", "strong_id", "json_metadata"} <= heads:
            raise ValueError("its first line does not name sinter's columns")
        return list(sinter.read_stats_from_csv_files(io.StringIO(whole))) if whole else []
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InvalidValue(
            field="out",
            value=str(place),
            rule=f"a file that exists must hold results of sinter, and this one cannot be read as such ({fault})",
            remedy="Name another file.",
        ) from fault


@contextmanager
def _opened(file: Path | None) -> Iterator[TextIO | None]:
    """Yield a results file that rows are added to, made if need be; an unfinished last line is cut off."""
    if file is None:
        yield None
        return
    if not file.absolute().parent.is_dir():
        rule = f"there is no folder {str(file.parent)!r}"
        raise InvalidValue(field="out", value=str(file), rule=rule, remedy="Name a file in a folder that exists.")
    if file.exists():
        content = file.read_bytes()
        with file.open("r+b") as torn:
            torn.truncate(content.rfind(b"\n") + 1)
    with file.open("a", encoding="utf-8", newline="") as sink:
        if not file.stat().st_size:
            sink.write(sinter.CSV_HEADER + "\n")
            sink.flush()
        yield sink
