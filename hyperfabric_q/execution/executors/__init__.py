"""Where jobs run: in this process, in a pool of processes, on a Dask cluster, under MPI, or on your own executor."""

from hyperfabric_q.execution.executors.drive import Driven, drive
from hyperfabric_q.execution.executors.engine import Engine
from hyperfabric_q.execution.executors.opening import open_engine

__all__ = ["Driven", "Engine", "drive", "open_engine"]
