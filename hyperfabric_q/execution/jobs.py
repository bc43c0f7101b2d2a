"""What is to be computed, said in plain values: a job is a task's name, arguments and a place among the random streams.

A job is a pure function of what it says, so any process may run it, twice if need be, with the same outcome. A task is
a module's top-level function that is registered under a name::

    @task("parity", version=1)
    def parity(job: Job) -> object:
        return sum(job.arguments["bits"]) % 2

    Job(kind="parity", arguments={"bits": [1, 0, 1]}, seed=7)

Workers import the module of the task, so it must be a module they can import.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.payload import decode, encode, identify
from hyperfabric_q.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A registered function of a job.

    Attributes:
        function: returns a plain value (see ``payload``), the same for the same job.
        version: raised whenever the outcomes change; outcomes of other versions are not taken from a store.
        module: where the function is defined.
    """

    function: Callable[[Job], Any]
    version: int
    module: str


TASKS: Final[Registry[Task]] = Registry("task")
"""Every task by name; third parties add theirs by ``task`` or the entry-point group ``hyperfabric_q.task``."""

_OURS: Final = MappingProxyType(
    {
        "aer_sample": "hyperfabric_q.execution.tasks",
        "plan_sample": "hyperfabric_q.execution.parts",
        "node_sample": "hyperfabric_q.execution.cut_jobs",
        "fragment_states": "hyperfabric_q.execution.cut_jobs",
    }
)
"""Where the tasks of this package are defined, so that naming one is enough."""

JobFunction = Callable[["Job"], Any]


def task(kind: str, *, version: int) -> Callable[[JobFunction], JobFunction]:
    """Return a decorator that registers a function of a job under ``kind``.

    Raises:
        DuplicateName: the name is taken.
    """

    def add(function: JobFunction) -> JobFunction:
        TASKS.register(kind)(Task(function=function, version=version, module=function.__module__))
        return function

    return add


def task_named(kind: str) -> Task:
    """Return the task called ``kind``.

    Raises:
        UnknownName: there is none; the error lists the names.
    """
    if kind in _OURS and kind not in tuple(TASKS):
        importlib.import_module(_OURS[kind])
    return TASKS[kind]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One piece of work.

    Attributes:
        kind: the task's name.
        arguments: plain values by name (see ``payload``); a circuit is given as ``pack(circuit)``.
        seed: of the whole run.
        path: of this job's random stream under the seed; jobs that must not share random numbers have different ones.
        version: of the task; 0 = the one that is registered here.
        seconds: a guess of the time it takes, which decides how jobs are put together; None = no idea. Not part of
            what the job is.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    path: tuple[str | int, ...] = ()
    version: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        seeds.resolve(self.seed)
        path: tuple[object, ...] = tuple(self.path)
        if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in path):
            raise InvalidValue(field="path", value=path, rule="a stream is named by texts and whole numbers")
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise InvalidValue(field="seconds", value=self.seconds, rule="a guess of a time is at least 0 and finite")
        object.__setattr__(self, "path", path)
        if not self.version:
            object.__setattr__(self, "version", task_named(self.kind).version)

    def stream(self, *path: str | int) -> np.random.Generator:
        """Return the job's random stream, or the one named ``path`` below it."""
        return seeds.stream(self.seed, *self.path, *path)

    def subseed(self, *path: str | int) -> int:
        """Return a seed of 63 bits that is the job's own, for functions that want one."""
        return int(self.stream("subseed", *path).integers(2**seeds.SEED_BITS))

    def identity(self) -> str:
        """Return everything that decides the outcome, as JSON; circuits and long arguments by their hashes.

        Raises:
            InvalidValue: an argument is not plain.
        """
        said = [self.kind, self.version, self.seed, list(self.path), dict(self.arguments)]
        return identify(said)

    def key(self) -> str:
        """Return the content hash of the job, 64 hexadecimal digits; its outcome is stored under it."""
        return hashlib.blake2b(self.identity().encode(), digest_size=32).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the job as bytes, for the way to a worker."""
        return encode([self.kind, self.version, self.seed, list(self.path), dict(self.arguments)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Job:
        """Return the job that ``to_bytes`` wrote."""
        kind, version, seed, path, arguments = decode(data)
        return cls(kind=kind, arguments=arguments, seed=seed, path=tuple(path), version=version)

    def __str__(self) -> str:
        place = "/".join(str(part) for part in self.path)
        return f"{self.kind}({place})" if place else self.kind
