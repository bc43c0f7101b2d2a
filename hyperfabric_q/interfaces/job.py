"""A job of a front door: Qiskit's handle, which can be awaited and cancelled too."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qiskit.primitives import BasePrimitiveJob
from qiskit.providers import JobStatus

from hyperfabric_q.errors import JobCancelled

Work = Callable[["Steps"], Any]
"""What a job does; it counts its parts in the steps it is given."""


class Steps:
    """How far a job has come (``done`` of ``total`` parts), and whether it shall stop."""

    def __init__(self, job: str, total: int) -> None:
        """Start at nothing done."""
        self.job, self.done, self.total = job, 0, total
        self._stop = threading.Event()

    def check(self) -> None:
        """Go on, unless the job was cancelled.

        Raises:
            JobCancelled: it was.
        """
        if self._stop.is_set():
            raise JobCancelled(job=self.job, done=self.done, total=self.total)

    def stop(self) -> None:
        """Ask the job to stop at its next check."""
        self._stop.set()


class FabricJob(BasePrimitiveJob[Any, JobStatus]):  # type: ignore[misc]  # Qiskit is untyped
    """A job that runs in a thread of its own: ``job.result()``, or ``await job``."""

    def __init__(self, work: Work, *, parts: int) -> None:
        """Start ``work``.

        Args:
            work: called with the job's ``Steps``; what it returns is the result.
            parts: how many parts it has, PUBs or circuits.
        """
        super().__init__(str(uuid.uuid4()))
        self._steps = Steps(self.job_id(), parts)
        self._created, self._seconds, self._cpu_seconds = time.time(), 0.0, 0.0
        self._work = work
        with_context = contextvars.copy_context().run
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hyperfabric-job")
        self._future: Future[Any] = executor.submit(with_context, self._measured)
        executor.shutdown(wait=False)

    def _measured(self) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            self._steps.check()
            return self._work(self._steps)
        finally:
            self._seconds, self._cpu_seconds = time.perf_counter() - wall, time.thread_time() - cpu

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result without holding up the event loop."""
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, and wait for it.

        Args:
            timeout: seconds to wait at most; None = for as long as it takes.

        Raises:
            JobCancelled: the job was cancelled.
            TimeoutError: it takes longer.
            HyperFabricError: what went wrong in the job.
        """
        return self._future.result(timeout)

    def cancel(self) -> bool:
        """Ask the job to stop; return whether it was still under way. It stops between bindings, not in one."""
        self._steps.stop()
        return not self._future.done()

    def status(self) -> JobStatus:
        """Return where the job stands."""
        if not self._future.done():
            return JobStatus.RUNNING if self._future.running() else JobStatus.QUEUED
        fault = self._future.exception()
        if fault is None:
            return JobStatus.DONE
        return JobStatus.CANCELLED if isinstance(fault, JobCancelled) else JobStatus.ERROR

    def done(self) -> bool:
        """Return whether there is a result."""
        return self.status() is JobStatus.DONE

    def running(self) -> bool:
        """Return whether it is under way."""
        return self.status() is JobStatus.RUNNING

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.status() is JobStatus.CANCELLED

    def in_final_state(self) -> bool:
        """Return whether nothing more will happen."""
        return self._future.done()

    def metrics(self) -> dict[str, Any]:
        """Return when it began, how long it took (processor time of its own thread), and how many parts are done."""
        return {
            "created": self._created,
            "seconds": self._seconds,
            "cpu_seconds": self._cpu_seconds,
            "parts_done": self._steps.done,
            "parts": self._steps.total,
            "status": self.status().name,
        }
