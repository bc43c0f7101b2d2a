"""Which engine does ``executor=`` mean?"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.executors.dask import SCHEME, dask_engine, is_dask
from hyperfabric_q.execution.executors.engine import Engine, serial_engine
from hyperfabric_q.execution.executors.local import cores, local_engine, thread_engine
from hyperfabric_q.execution.executors.mpi import mpi_engine
from hyperfabric_q.execution.executors.work import inside_a_job
from hyperfabric_q.execution.jobs import Job

WORTH_A_POOL_S: Final = 6.0
"""Predicted work below which starting processes takes longer than it saves."""

_LOCAL: Final = re.compile(r"(local|processes|threads)(?::(\d{1,9}))?")
_BY_NAME: Final = {"serial": serial_engine, "mpi": mpi_engine}
_KNOWN: Final = (
    'None, "serial", "processes", "processes:4", "threads", "dask://host:port", "mpi", a Dask client, or an Executor'
)


def open_engine(executor: Any = None, *, jobs: Sequence[Job] = ()) -> Engine:
    """Return the engine that ``executor`` means; whoever opens it closes it.

    Args:
        executor: None = this process for little work and one core, else a pool of processes, one per core;
            "serial" = this process; "processes" or "processes:N" = a pool of N processes, also called "local";
            "threads" or "threads:N"; "dask://host:port"; "mpi"; a Dask client; or anything with the semantics of
            ``concurrent.futures.Executor``, which stays open.
        jobs: what is to be run, for the choice that None leaves open.

    Raises:
        InvalidValue: it means nothing.
        MissingDependency: the package for it is not installed.
        ExecutorUnreachable: it does not answer.
    """
    if executor is None:
        return _by_work(jobs)
    if isinstance(executor, str):
        return _named(executor)
    if is_dask(executor):
        return dask_engine(executor)
    if isinstance(executor, Executor) or callable(getattr(executor, "submit", None)):
        return _given(executor)
    raise _means_nothing(executor)


def _named(name: str) -> Engine:
    local = _LOCAL.fullmatch(name)
    if local is not None:
        workers = None if local[2] is None else int(local[2])
        return thread_engine(workers) if local[1] == "threads" else local_engine(workers)
    if name.startswith(SCHEME):
        return dask_engine(name)
    if name not in _BY_NAME:
        raise _means_nothing(name)
    return _BY_NAME[name]()


def _means_nothing(executor: Any) -> InvalidValue:
    return InvalidValue(field="executor", value=executor, rule="it names no executor", remedy=f"Give {_KNOWN}.")


def _by_work(jobs: Sequence[Job]) -> Engine:
    guesses = [job.seconds for job in jobs]
    known = [guess for guess in guesses if guess is not None]
    little = len(jobs) < 2 or (len(known) == len(guesses) and sum(known) < WORTH_A_POOL_S)
    if little or cores() == 1 or multiprocessing.current_process().daemon or inside_a_job():
        return serial_engine()
    return local_engine()


def _given(executor: Any) -> Engine:
    workers = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)
    count = workers if isinstance(workers, int) and workers > 0 else cores()
    return Engine(name=type(executor).__name__, executor=executor, slots=lambda: count, least_s=0.02)
