"""What a collective returns: what each node has, when, and how well the links were used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hyperfabric_q.traffic.collectives.report import CollectiveReport
from hyperfabric_q.units import PS_PER_S, to_ns

Engine = Literal["recurrence", "kernel"]


class Utilisation(NamedTuple):
    """Four measures of how well the links were used, each from 0 to 1, since no single one is "the utilisation".

    Attributes:
        wire: payload bytes per byte on the wire.
        busy: how much of the time a link was sending or receiving, on average over the nodes.
        algorithm: the least time that the ends allow / the time taken.
        goodput: bytes received by nodes that were done in time / what all ends could have received until the end.
    """

    wire: float
    busy: float
    algorithm: float
    goodput: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CollectiveResult:
    """Return what a collective brought; times are whole picoseconds of the virtual clock.

    Attributes:
        payloads: what each node has in the end, by node id; ``result[node_id]`` is the same.
        report: times and bytes of each node from the start, the bound, the algorithm, and the time that each algorithm
            considered would take if nothing else were sent.
        start_ps: when it was asked for.
        done_ps: when the last node was done.
        constraint_ps: the latency constraint; None = none.
        engine: "recurrence" when nothing else came near its links, otherwise "kernel"; the times are the same.
        profile: name of the transport.
        wire_efficiency: payload bytes per byte on the wire.
        warnings: what a careful reader would want to know.
    """

    payloads: Mapping[str, object] = field(repr=False)
    report: CollectiveReport
    start_ps: int
    done_ps: int
    constraint_ps: int | None
    engine: Engine
    profile: str
    wire_efficiency: float
    warnings: tuple[str, ...] = ()

    def __getitem__(self, node_id: str) -> object:
        """Return what a node has in the end."""
        return self.payloads[node_id]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes in order of their ranks."""
        return tuple(self.payloads)

    @property
    def algorithm(self) -> str:
        """The algorithm that was used."""
        return self.report.algorithm

    @property
    def latency_ps(self) -> int:
        """From the call until the last node was done."""
        return self.done_ps - self.start_ps

    @property
    def latency_ns(self) -> float:
        """The same in nanoseconds."""
        return to_ns(self.latency_ps)

    @property
    def bound_ps(self) -> int:
        """The endpoint bound: what the rates of the ends take at least, by any algorithm, latency left out."""
        return self.report.bound_ps

    @property
    def constraint_met(self) -> bool | None:
        """Whether all nodes were done in time; None when nothing was asked."""
        return None if self.constraint_ps is None else self.latency_ps <= self.constraint_ps

    @property
    def utilisation(self) -> Utilisation:
        """Four measures of how well the links were used."""
        report = self.report
        busy = (report.sending_fraction.mean() + report.receiving_fraction.mean()) / 2
        deadline = report.duration_ps if self.constraint_ps is None else self.constraint_ps
        return Utilisation(self.wire_efficiency, float(busy), report.efficiency, report.goodput(deadline))

    def summary(self) -> str:
        """Return the outcome in a few lines of text."""
        report = self.report
        lines = [
            f"{report.collective.value} of {report.nbytes} bytes over {report.ranks} nodes by {report.algorithm}: "
            f"{self.latency_ps / PS_PER_S:.12g} s",
            f"endpoint bound, by any algorithm and without latency: {self.bound_ps / PS_PER_S:.12g} s",
        ]
        if self.constraint_ps is not None:
            met = "met" if self.constraint_met else "not met"
            lines.append(f"latency constraint: {self.constraint_ps / PS_PER_S:.12g} s, {met}")
        for row in report.predictions:
            about = "" if row.exact else "about "
            lines.append(f"  {row.algorithm} on idle links: {about}{row.duration_ps / PS_PER_S:.12g} s")
        parts = ", ".join(f"{name} {value:.4f}" for name, value in self.utilisation._asdict().items())
        return "\n".join([*lines, f"utilisation: {parts}"])

    def __repr__(self) -> str:
        report = self.report
        return (
            f"<CollectiveResult {report.collective.value} over {report.ranks} nodes by {report.algorithm}: "
            f"{report.nbytes} bytes in {self.latency_ns:.12g} ns>"
        )
