"""What is said of a latency constraint that cannot be met, or was not."""

from __future__ import annotations

from hyperfabric_q.errors import DeadlineImpossible, DeadlineMissed
from hyperfabric_q.scheduling.admission import ONCE, PeriodicFlow, answer
from hyperfabric_q.traffic.transfer import Sending, TransferResult
from hyperfabric_q.traffic.treatment import Treatment
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import to_ns


def vet(way: Way, nbytes: int, treatment: Treatment, constraint_ps: int) -> None:
    """Refuse what no schedule can do.

    Raises:
        DeadlineImpossible: even the idle fabric takes longer than the constraint; it names the smallest remedy.
    """
    _, least = way.times_ps(nbytes)
    fixed = treatment.before_ps + treatment.after_ps
    bound = least + fixed
    if bound <= constraint_ps:
        return
    bottleneck, remedy = "the processing at both ends", ""
    if way.path:
        bottleneck = f"{way.slowest.label} at {float(way.slowest.gbps):.12g} Gb/s"
        flow = PeriodicFlow(
            period_ps=ONCE, nbytes=nbytes, priority_class=0, path=tuple(range(len(way.path))), delays=way.delays
        )
        remedy = f"{answer(way.channels, flow, constraint_ps - fixed).fix} Or"
    raise DeadlineImpossible(
        source=way.source,
        destination=way.destination,
        constraint_ns=to_ns(constraint_ps),
        bound_ns=to_ns(bound),
        bottleneck=bottleneck,
        remedy=f"{remedy} allow {to_ns(bound):.12g} ns.".strip(),
    )


def missed(sending: Sending, result: TransferResult) -> DeadlineMissed:
    """Return the error for bytes that came too late."""
    return DeadlineMissed(
        source=sending.way.source,
        destination=sending.way.destination,
        constraint_ns=to_ns(sending.constraint_ps or 0),
        latency_ns=result.latency_ns,
        result=result,
    )
