"""What the driver must know of an executor: how many jobs it runs at once, what a task costs, and how it comes back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from hyperfabric_q.errors import HyperFabricError


def nothing() -> None:
    """Do nothing, and find no fault."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """An executor that is open.

    Attributes:
        name: for messages.
        executor: anything with the semantics of ``concurrent.futures.Executor``; workers import this package.
        slots: returns how many tasks run at once, now.
        queued: tasks beyond the running ones that are handed over ahead of time, per slot; 0 where a worker that dies
            takes all tasks that were handed over with it.
        least_s: work below which a task is not worth its overhead.
        renew: makes a new executor after the old one broke; None = one that breaks stays broken.
        fault: what keeps the executor from going on, or None.
        close: ends what was started for the engine, at once, whatever it does.
    """

    name: str
    executor: Executor
    slots: Callable[[], int]
    queued: int = 0
    least_s: float = 0.0
    renew: Callable[[], Executor] | None = None
    fault: Callable[[], HyperFabricError | None] = nothing
    close: Callable[[], None] = nothing


class InThisProcess(Executor):
    """An executor whose ``submit`` does the work before it returns: no workers, no copies, no start-up."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done; interruptions go through to the caller."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as fault:  # what an executor does: the fault is the future's
            future.set_exception(fault)
        return future


def serial_engine() -> Engine:
    """Return an engine that runs every job in this process, one after the other."""
    return Engine(name="serial", executor=InThisProcess(), slots=lambda: 1)
