"""How many jobs make one task?

Handing a task to a worker costs time that does no work, from 0.3 ms (a process) to 20 ms (Dask). So jobs are put
together until a task is worth it, by what jobs of the same kind were seen to take. While there is much to do, tasks
are larger still; towards the end they shrink, so that no worker is left with a long last task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from hyperfabric_q.execution.jobs import Job

MOST_JOBS: Final = 512
"""Jobs in one task, however short they are; no more need to be looked at."""

_LARGER: Final = 10
_SHARE: Final = 8


class Costs:
    """What jobs take, learnt from those that have run: their guesses are scaled by kind, or replaced by the mean."""

    def __init__(self) -> None:
        """Know nothing."""
        self._guessed: dict[str, float] = defaultdict(float)
        self._took_of_guessed: dict[str, float] = defaultdict(float)
        self._took: dict[str, float] = defaultdict(float)
        self._count: dict[str, int] = defaultdict(int)

    def learn(self, job: Job, seconds: float) -> None:
        """Take note that a job took ``seconds``."""
        self._took[job.kind] += seconds
        self._count[job.kind] += 1
        if job.seconds is not None:
            self._guessed[job.kind] += job.seconds
            self._took_of_guessed[job.kind] += seconds

    def predict(self, job: Job) -> float | None:
        """Return the seconds a job will take; None when nothing is known."""
        if job.seconds is not None:
            guessed = self._guessed[job.kind]
            return job.seconds * (self._took_of_guessed[job.kind] / guessed if guessed else 1.0)
        count = self._count[job.kind]
        return self._took[job.kind] / count if count else None


def batch_size(predicted: Sequence[float | None], *, least_s: float, slots: int) -> int:
    """Return how many of the waiting jobs, taken from the front, make the next task; at least 1.

    Args:
        predicted: seconds of each waiting job, None = unknown; a job of unknown length is a task of its own.
        least_s: work that a task should hold.
        slots: tasks that run at once.
    """
    known = sum(seconds for seconds in predicted if seconds is not None)
    wanted = max(least_s, min(_LARGER * least_s, known / (_SHARE * max(1, slots))))
    held = 0.0
    for place, seconds in enumerate(predicted[:MOST_JOBS]):
        if seconds is None:
            return max(1, place)
        if place and held + seconds > wanted * 1.5:
            return place
        held += seconds
        if held >= wanted:
            return place + 1
    return max(1, min(len(predicted), MOST_JOBS))
