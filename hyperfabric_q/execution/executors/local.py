"""A pool of processes on this machine, its cores divided among them.

Three things differ from a bare ``ProcessPoolExecutor``:

* Workers do not import the caller's script. Jobs are plain values, so nothing of it is needed, and a script without
  ``if __name__ == "__main__":`` works like any other.
* Each worker may use cores / workers threads: Aer, BLAS and numba read the limit from their environment.
* Workers never outlive their client, not even one that was killed: they hold a leash, the reading end of a pipe.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.executors.engine import Engine

THREAD_LIMITS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)

LEAST_S: Final = 0.02
"""Work per task: a round trip to a process takes about 0.3 ms."""

MOST_WORKERS: Final = 1024

_SPAWNING = threading.Lock()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_engine(workers: int | None = None) -> Engine:
    """Return an engine of worker processes on this machine.

    Args:
        workers: how many; None = one per core.

    Raises:
        InvalidValue: the number is not from 1 to 1024.

    Cost: about 2 s until the first outcome, and 150 MB per worker: each imports Qiskit and Aer.
    """
    workers = _counted(workers)
    pool = _Pool(workers)
    return Engine(
        name="local" if workers == cores() else f"local:{workers}",
        executor=pool.renew(),
        slots=lambda: workers,
        least_s=LEAST_S,
        renew=pool.renew,
        close=pool.close,
    )


def thread_engine(workers: int | None = None) -> Engine:
    """Return an engine of threads of this process: no start-up and no copies, but one interpreter for all of them.

    Args:
        workers: how many; None = one per core.

    Raises:
        InvalidValue: the number is not from 1 to 1024.
    """
    workers = _counted(workers)
    pool = ThreadPoolExecutor(workers)
    return Engine(
        name="threads" if workers == cores() else f"threads:{workers}",
        executor=pool,
        slots=lambda: workers,
        close=lambda: pool.shutdown(wait=False, cancel_futures=True),
    )


def _counted(workers: object) -> int:
    if workers is None:
        return cores()
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST_WORKERS:
        raise InvalidValue(field="workers", value=workers, rule=f"a pool has 1 to {MOST_WORKERS} workers")
    return workers


class _Pool:
    """The processes of one pool, and of the ones that took its place after a worker died."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._limits = dict.fromkeys(THREAD_LIMITS, str(max(1, cores() // workers)))
        self._executor: ProcessPoolExecutor | None = None
        self._context: _Context | None = None
        self._leash: Connection | None = None

    def renew(self) -> Executor:
        self.close()
        self._context = _Context(self._limits)
        held, self._leash = self._context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            self._workers, mp_context=self._context, initializer=_start_worker, initargs=(held,)
        )
        return self._executor

    def close(self) -> None:
        if self._executor is None or self._context is None or self._leash is None:
            return
        for process in self._context.started:
            if process.is_alive():
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._leash.close()
        self._executor = None


def _start_worker(leash: Connection) -> None:
    """Make this process a worker: deaf to Ctrl-C, which is for the client, and gone when the client is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(leash,), daemon=True).start()


def _follow(leash: Connection) -> None:
    with contextlib.suppress(OSError):
        leash.poll(None)
    os._exit(0)


class _Context(SpawnContext):
    """The spawn context, with processes as above; it remembers them, so that they can be ended."""

    def __init__(self, limits: Mapping[str, str]) -> None:
        super().__init__()
        self._limits = limits
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = _Process(self._limits, *args, **kwargs)
        self.started.append(process)
        return process


class _Process(SpawnProcess):
    def __init__(self, limits: Mapping[str, str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = dict(limits)

    def start(self) -> None:
        with _SPAWNING, _environment(self._limits), _no_script(), _no_interrupts():
            super().start()


@contextlib.contextmanager
def _environment(limits: Mapping[str, str]) -> Iterator[None]:
    # Libraries read these when they are loaded, before any code of ours runs in the worker.
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_script() -> Iterator[None]:
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    # A child inherits what is blocked: Ctrl-C must not reach it while it still imports, either.
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
