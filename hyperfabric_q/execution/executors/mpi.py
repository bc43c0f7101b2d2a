"""MPI workers, through ``mpi4py.futures``.

Two ways to start:

* ``mpiexec -n 9 python -m mpi4py.futures script.py``: one client and eight workers, on any MPI;
* ``python script.py`` with ``executor="mpi"``: workers are spawned, where the MPI allows it.

MPI ends the whole program when one of its processes dies. Give such runs a store, and start them again.
"""

from __future__ import annotations

import importlib

from hyperfabric_q.errors import ExecutorUnreachable, MissingDependency
from hyperfabric_q.execution.executors.engine import Engine

LEAST_S = 0.02
"""Work per task: a round trip takes about 0.4 ms."""


def mpi_engine() -> Engine:
    """Return an engine on the MPI processes of this program.

    Raises:
        MissingDependency: ``mpi4py`` is not installed.
        ExecutorUnreachable: ``mpi4py`` finds no MPI library, or MPI gives no workers.
    """
    try:
        futures = importlib.import_module("mpi4py.futures")
    except ImportError as fault:
        raise MissingDependency(what="executor='mpi'", package="mpi4py", extra="mpi") from fault
    try:
        executor = futures.MPIPoolExecutor(main=False)
        executor.bootup(wait=True)
        workers = int(executor.num_workers)
    except Exception as fault:
        raise _unusable(f"MPI did not start ({fault})") from fault
    if not workers:
        raise _unusable("MPI gave no workers")
    return Engine(
        name="mpi",
        executor=executor,
        slots=lambda: workers,
        queued=1,
        least_s=LEAST_S,
        close=lambda: executor.shutdown(wait=False, cancel_futures=True),
    )


def _unusable(reason: str) -> ExecutorUnreachable:
    remedy = "Start the program with `mpiexec -n 3 python -m mpi4py.futures script.py`."
    return ExecutorUnreachable(executor="mpi", reason=reason, remedy=remedy)
