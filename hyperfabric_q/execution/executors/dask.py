"""A Dask cluster, by its address or by a client that is connected to it.

Dask gives the tasks of a dead worker to others by itself, up to a number of times that the cluster decides, and
blames every task the worker held. Here the driver decides both (``drive``): a small plug-in makes the scheduler hand a
task of ours back after the first death. Where a cluster refuses plug-ins, its own rule holds and the driver's comes
on top.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import re
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final

from hyperfabric_q.errors import ExecutorUnreachable, InvalidValue, MissingDependency
from hyperfabric_q.execution.executors.engine import Engine

SCHEME: Final = "dask://"
CONNECT_S: Final = 5.0
"""How long a scheduler may take to answer."""

PATIENCE_S: Final = 60.0
"""How long a cluster may be without any worker while jobs wait: one that grows with its work starts at none."""

LEAST_S: Final = 0.1
"""Work per task: the scheduler takes about 5 ms of its one core for each."""

_PREFIX: Final = "hyperfabric_q"
_ADDRESS: Final = re.compile(r"[\w.\-]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}")


def dask_engine(cluster: Any) -> Engine:
    """Return an engine on a Dask cluster.

    Args:
        cluster: "dask://host:port", a ``distributed.Client`` (which stays open), or what its ``get_executor`` returns.

    Raises:
        MissingDependency: ``distributed`` is not installed.
        InvalidValue: the address is none.
        ExecutorUnreachable: no scheduler answers there within seconds.
    """
    distributed = _distributed()
    if isinstance(cluster, str):
        name, client = cluster, _connect(distributed, cluster)
        close = client.close
    else:
        client = getattr(cluster, "_client", cluster)
        name, close = f"{SCHEME}{client.scheduler.address.rpartition('/')[2]}", None
    try:
        workers = _Workers(client, name)
        _keep_retries_here(distributed, client)
    except BaseException:
        if close is not None:
            close()
        raise
    executor = _DaskExecutor(client)
    return Engine(
        name=name,
        executor=executor,
        slots=workers.slots,
        queued=1,
        least_s=LEAST_S,
        fault=workers.fault,
        close=close or executor.cancel,
    )


def is_dask(executor: Any) -> bool:
    """Return whether something is a Dask client or an executor made by one; does not import Dask."""
    module: str = type(executor).__module__.partition(".")[0]
    return module == "distributed"


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as fault:
        raise MissingDependency(what="running jobs on Dask", package="distributed", extra="dask") from fault


def _connect(distributed: Any, name: str) -> Any:
    address = name.removeprefix(SCHEME).rstrip("/")
    if (
        not name.startswith(SCHEME)
        or not _ADDRESS.fullmatch(address)
        or not 0 < int(address.rpartition(":")[2]) < 65536
    ):
        raise InvalidValue(field="executor", value=name, rule="a Dask scheduler is named as dask://host:port")
    kind = _who_answers(distributed, f"tcp://{address}")
    if kind == "Scheduler":
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            return distributed.Client(f"tcp://{address}", timeout=CONNECT_S, set_as_default=False)
    raise ExecutorUnreachable(
        executor=name,
        reason=f"a Dask {kind} is there, no scheduler"
        if kind
        else f"no Dask scheduler answered within {CONNECT_S:g} s",
        remedy="Start one with `dask scheduler`, or correct the address; nothing was run.",
    )


def _who_answers(distributed: Any, address: str) -> str:
    """Return what Dask process is at an address, or "".

    A client has no limit on how long it waits for the first words of a listener that is no scheduler. This has one,
    and a thread of its own, since the caller's may have an event loop that runs.
    """
    found: list[str] = []

    async def ask() -> None:
        async with distributed.rpc(address) as process:
            answer = await process.identity()
        found.append(str(answer["type"]))

    def limited() -> None:
        with contextlib.suppress(Exception):
            asyncio.run(asyncio.wait_for(ask(), CONNECT_S))

    thread = threading.Thread(target=limited, daemon=True)
    thread.start()
    thread.join(CONNECT_S + 1)
    return found[0] if found else ""


class _DaskExecutor(Executor):
    """Tasks under names of their own, so that the scheduler knows them and never merges two."""

    def __init__(self, client: Any) -> None:
        self._inner = client.get_executor(pure=False)
        self._names = (f"{_PREFIX}-{secrets.token_hex(8)}-{number}" for number in itertools.count())

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._inner.submit(function, *args, key=next(self._names), **kwargs)
        return future

    def cancel(self) -> None:
        # The client is the user's and stays; what was started through it does not.
        with contextlib.suppress(Exception):
            self._inner.shutdown(wait=False)


class _Workers:
    """How many threads the cluster has, asked at most twice a second."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        self._asked, self._seen = float("-inf"), time.monotonic()
        self._threads = 0

    def slots(self) -> int:
        now = time.monotonic()
        if now - self._asked > 0.5 and self._client.status == "running":
            with contextlib.suppress(Exception):
                self._threads = sum(self._client.nthreads().values())
            self._asked = time.monotonic()
            if self._threads:
                self._seen = self._asked
        return self._threads

    def fault(self) -> ExecutorUnreachable | None:
        if self._client.status not in {"running", "connecting"}:
            return self._lost("the connection to the scheduler was lost")
        if not self.slots() and time.monotonic() - self._seen > PATIENCE_S:
            return self._lost(f"the cluster has had no worker for {PATIENCE_S:g} s")
        return None

    def _lost(self, reason: str) -> ExecutorUnreachable:
        return ExecutorUnreachable(
            executor=self._name, reason=reason, remedy="The outcomes so far are kept; a store lets you resume."
        )


def _keep_retries_here(distributed: Any, client: Any) -> None:
    # A class made here travels by value: the scheduler need not have this package.
    class HandBack(distributed.SchedulerPlugin):  # type: ignore[misc]
        name = f"{_PREFIX}-hand-back"
        idempotent = True

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Any, _start: str, finish: str, *_: Any, **__: Any) -> None:
            if finish == "processing" and str(key).startswith(f"{_PREFIX}-"):
                state = self.scheduler.tasks.get(key)
                if state is not None:
                    state.suspicious = max(state.suspicious, self.scheduler.allowed_failures)

    with contextlib.suppress(Exception):
        client.register_plugin(HandBack())
