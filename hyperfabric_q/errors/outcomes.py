"""What was asked for is right and possible, but this time, here, it did not come about."""

from __future__ import annotations

from dataclasses import dataclass

from hyperfabric_q.errors.base import HyperFabricError


@dataclass(eq=False, kw_only=True)
class MissingDependency(HyperFabricError, ImportError):
    """An optional package that is not installed; ``extra`` is what brings it."""

    what: str
    package: str
    extra: str

    def __str__(self) -> str:
        return (
            f"{self.what} needs the package {self.package!r}, which is not installed. "
            f"pip install 'hyperfabric_q[{self.extra}]' brings it."
        )


@dataclass(eq=False, kw_only=True)
class SimulationRefused(HyperFabricError):
    """A simulation whose memory or time is out of reach, refused before it starts."""

    asked: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}: {self.found}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class ExecutorUnreachable(HyperFabricError):
    """An executor that cannot be reached, has no workers, or whose workers cannot run this package's jobs."""

    executor: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"the executor {self.executor!r} cannot be used: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class JobCancelled(HyperFabricError):
    """A job that was cancelled before it had a result; ``done`` of its ``total`` parts were finished."""

    job: str
    done: int
    total: int

    def __str__(self) -> str:
        return (
            f"job {self.job} was cancelled after {self.done} of {self.total} parts. It has no result: run it again, "
            "or wait with job.result() before job.cancel()."
        )


@dataclass(eq=False, kw_only=True)
class JobPoisoned(HyperFabricError):
    """A job during which the worker process ended, again and again, at last while it ran alone."""

    job: str
    key: str
    deaths: int
    executor: str

    def __str__(self) -> str:
        return (
            f"job {self.job} [{self.key[:12]}] was given to {self.executor!r} {self.deaths} time(s), and each time its "
            "worker process ended. It is set aside; all other jobs keep their outcomes. Most often there was not "
            "enough memory: give workers more, or ask for fewer qubits at once."
        )


@dataclass(eq=False, kw_only=True)
class DeadlineMissed(HyperFabricError):
    """Bytes that arrived later than their latency constraint; ``result`` is what the transfer returned otherwise."""

    source: str
    destination: str
    constraint_ns: float
    latency_ns: float
    result: object = None

    def __str__(self) -> str:
        return (
            f"from {self.source!r} to {self.destination!r} within {self.constraint_ns:.12g} ns: it took "
            f"{self.latency_ns:.12g} ns. The attribute 'result' holds the receipt, which says where the time went."
        )


@dataclass(eq=False, kw_only=True)
class EntanglementMissed(HyperFabricError):
    """Bell pairs that were not there by the deadline; ``pairs`` are the ones that were, and are the caller's."""

    a: str
    b: str
    asked: int
    deadline_ns: float
    pairs: tuple[object, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.asked} pair(s) between {self.a!r} and {self.b!r} within {self.deadline_ns:.12g} ns: "
            f"{len(self.pairs)} came in time. Allow more time, ask for less fidelity, or raise the link's rate."
        )


@dataclass(eq=False, kw_only=True)
class Undeliverable(HyperFabricError):
    """Bytes that will not arrive, and why."""

    source: str
    destination: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"what {self.source!r} sent to {self.destination!r} does not arrive: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class VirtualDeadlock(HyperFabricError):
    """Every task waits and nothing is under way; ``tasks`` names them."""

    tasks: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.tasks[:8]) + (f" and {len(self.tasks) - 8} more" if len(self.tasks) > 8 else "")
        return (
            f"{len(self.tasks)} task(s) wait ({shown}), and nothing is under way that could wake them. "
            "Await something the fabric brings about, or give the wait a timeout."
        )
