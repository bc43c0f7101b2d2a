"""Where the parts of a run are run: here one after another, or as jobs wherever an executor has workers.

Ctrl-C, a cluster that is gone and a disk that is full end a run early. What was finished by then is kept, here and in
the store, and the run goes on to make of it what can be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from hyperfabric_q.errors import HyperFabricError, InvalidValue
from hyperfabric_q.execution.executors.drive import Driven, drive
from hyperfabric_q.execution.executors.engine import Engine
from hyperfabric_q.execution.executors.local import cores
from hyperfabric_q.execution.executors.opening import WORTH_A_POOL_S, open_engine
from hyperfabric_q.execution.executors.work import inside_a_job
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.progress import Progress, reporting
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.execution.store import Store


class Piece(Protocol):
    """Something that is sampled here, or elsewhere as a job."""

    @property
    def seconds(self) -> float | None:
        """A guess of what it takes; None = no idea."""
        ...

    def sample(self) -> Sample:
        """Return its sample, taken in this process."""
        ...

    def job(self, written: dict[int, dict[str, Any]]) -> Job:
        """Return the job of taking it; ``written`` keeps what several pieces share."""
        ...

    def read(self, outcome: Any) -> Sample:
        """Return the sample that the job returned."""
        ...


@dataclass(slots=True, eq=False)
class Bench:
    """Where the parts of one run are run; a context that closes what it opened.

    Attributes:
        executor: see ``executors.open_engine``.
        store: a store, its path, or None.
        progress: see ``progress.reporting``.
        interrupted: whether the user ended it; nothing is run afterwards.
        stopped: the error that ended it, if one did.
    """

    executor: Any = None
    store: Store | str | Path | None = None
    progress: Progress = None
    interrupted: bool = field(default=False, init=False)
    stopped: HyperFabricError | None = field(default=None, init=False)
    _open: Store | None = field(default=None, init=False)
    _engine: Engine | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        """Open the store.

        Raises:
            StoreUnreadable: it is none, or cannot be written.
        """
        given: object = self.store
        if given is None or isinstance(given, Store):
            self._open = self.store if isinstance(self.store, Store) else None
        elif isinstance(given, str | Path):
            self._open = Store(given)
        else:
            raise InvalidValue(field="store", value=given, rule="it is a Store, or the path of one")
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None) -> None:
        """Close the store if it was opened here, and the executor."""
        if self._engine is not None and self._engine is not self.executor:
            self._engine.close()
        if self._open is not None and self._open is not self.store:
            self._open.close()

    @property
    def ended(self) -> bool:
        """Whether it ended early."""
        return self.interrupted or self.stopped is not None

    def samples(self, pieces: Sequence[Piece], *, what: str = "timelines") -> list[Sample | None]:
        """Return the sample of each piece; None where the run ended before.

        Args:
            pieces: what is to be sampled.
            what: they are, for the progress bar.

        Raises:
            HyperFabricError: of a piece that failed; the others' outcomes stand in the store.
        """
        if self.ended:
            return [None] * len(pieces)
        if self._stays(pieces):
            return self._here(pieces, what)
        written: dict[int, dict[str, Any]] = {}
        driven = self.drive([piece.job(written) for piece in pieces], what=what)
        return [
            piece.read(outcome) if done else None
            for piece, outcome, done in zip(pieces, driven.outcomes, driven.done, strict=True)
        ]

    def _stays(self, pieces: Sequence[Piece]) -> bool:
        """Whether jobs would only make copies of what runs here anyway."""
        if self.executor is not None or self._open is not None:
            return False
        guesses = [piece.seconds for piece in pieces]
        little = len(pieces) < 2 or sum(WORTH_A_POOL_S if each is None else each for each in guesses) < WORTH_A_POOL_S
        return little or cores() == 1 or inside_a_job()

    def _here(self, pieces: Sequence[Piece], what: str) -> list[Sample | None]:
        found: list[Sample | None] = []
        try:
            with reporting(self.progress, total=len(pieces), what=what) as report:
                for piece in pieces:
                    found.append(piece.sample())
                    report.advance()
        except KeyboardInterrupt:
            # A job that was interrupted has no outcome, least of all a partial one.
            if inside_a_job():
                raise
            self.interrupted = True
        return [*found, *[None] * (len(pieces) - len(found))]

    def drive(self, jobs: Sequence[Job], *, what: str) -> Driven:
        """Return what became of jobs; an executor that was started for them serves later ones too.

        Raises:
            HyperFabricError: of a job that failed.
        """
        driven = drive(jobs, executor=self._engine_for(jobs), store=self._open, progress=self.progress, what=what)
        if driven.faults:
            raise driven.faults[min(driven.faults)]
        if driven.interrupted and inside_a_job():
            raise KeyboardInterrupt
        self.interrupted, self.stopped = driven.interrupted, driven.stopped
        return driven

    def _engine_for(self, jobs: Sequence[Job]) -> Any:
        """The executor to use: one that is open, or what says which; a store that knows all needs none."""
        if self._engine is None and self._missing(jobs):
            engine = self.executor if isinstance(self.executor, Engine) else open_engine(self.executor, jobs=jobs)
            if self.executor is None and engine.name == "serial":
                return engine  # nothing is lost by asking again when there may be more to do
            self._engine = engine
        return self.executor if self._engine is None else self._engine

    def _missing(self, jobs: Sequence[Job]) -> bool:
        keys = {job.key() for job in jobs}
        return self._open is None or len(self._open.find(keys)) < len(keys)
