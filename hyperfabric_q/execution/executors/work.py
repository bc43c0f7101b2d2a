"""What a worker does with a batch of jobs; the one function that is sent to executors."""

from __future__ import annotations

import importlib
import time
from contextvars import ContextVar
from multiprocessing.reduction import ForkingPickler
from typing import NamedTuple

from hyperfabric_q.errors import HyperFabricError, InternalError, SimulationRefused
from hyperfabric_q.execution.jobs import Job, task_named
from hyperfabric_q.execution.payload import encode

_INSIDE: ContextVar[bool] = ContextVar("inside a job", default=False)


def inside_a_job() -> bool:
    """Return whether a job is being run here: what it calls must not start workers of its own."""
    return _INSIDE.get()


class Landed(NamedTuple):
    """How one job ended: with the bytes of its outcome, or with a fault."""

    outcome: bytes | None
    fault: HyperFabricError | None
    seconds: float


class WrongVersion(Exception):
    """The worker's task is not the one that the job was made for."""


def work(batch: tuple[tuple[str, bytes], ...]) -> list[tuple[bytes | None, HyperFabricError | None, float]]:
    """Return how each job of a batch ended, in order.

    Outcomes are encoded here, on the worker: an outcome that no pipe can carry is then a fault of its job instead of a
    future that never ends.

    Args:
        batch: for each job the module of its task, and the job's bytes.

    Raises:
        WrongVersion: this process has another version of a task.
        ImportError: this process has not the module of a task.
    """
    ended: list[tuple[bytes | None, HyperFabricError | None, float]] = []
    for module, data in batch:
        importlib.import_module(module)
        job = Job.from_bytes(data)
        here = task_named(job.kind)
        if here.version != job.version:
            text = f"task {job.kind!r} has version {here.version} on the worker, the job was made for {job.version}"
            raise WrongVersion(text)
        started, outside = time.perf_counter(), _INSIDE.set(True)
        try:
            outcome, fault = encode(here.function(job)), None
        except Exception as raised:  # every fault goes home
            outcome, fault = None, _typed(raised, job)
        finally:
            _INSIDE.reset(outside)
        ended.append((outcome, fault, time.perf_counter() - started))
    return ended


def _typed(raised: Exception, job: Job) -> HyperFabricError:
    if isinstance(raised, MemoryError):
        return SimulationRefused(
            asked=f"running job {job}",
            found="the worker has not enough memory",
            remedy="Use fewer qubits at once, or workers with more memory.",
        )
    if isinstance(raised, HyperFabricError):
        try:
            ForkingPickler.dumps(raised)
        except Exception:  # a field that cannot travel; its text can
            return InternalError(what=f"job {job} failed: {raised}", seed=job.seed)
        return raised
    return InternalError(what=f"job {job} failed: {type(raised).__name__}: {raised}", seed=job.seed)
