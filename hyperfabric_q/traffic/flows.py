"""Registered periodic flows, and what can be promised to each of them before a byte is sent.

Three honest answers: infeasible by physics, with the bound and the smallest fix; guaranteed, by response-time
analysis of the flows that are registered; or best effort. A guarantee holds as long as the registered flows are all
the traffic of their classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import ClassicalNetwork, classical_network
from hyperfabric_q.fabric.routing import route
from hyperfabric_q.scheduling.admission import PeriodicFlow, Verdict, answer
from hyperfabric_q.scheduling.channel import Channel, channel
from hyperfabric_q.scheduling.policy import Policy
from hyperfabric_q.traffic.profiles import Profile
from hyperfabric_q.traffic.request import Kind, constraint_ps
from hyperfabric_q.units import to_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Messages from one node to another that come at least a period apart.

    Attributes:
        source, destination: node ids.
        wire_bytes: the largest message, on the wire.
        period_ps: the k-th message comes k periods after the first could, or up to ``jitter_ps`` later.
        deadline_ps: each must have arrived this long after it comes.
        priority_class: 0 to 7.
        jitter_ps: see ``period_ps``.
    """

    source: str
    destination: str
    wire_bytes: int
    period_ps: int
    deadline_ps: int
    priority_class: int
    jitter_ps: int = 0

    def __str__(self) -> str:
        return f"{self.source} → {self.destination}, {self.wire_bytes} B every {to_ns(self.period_ps):g} ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What can be promised to a flow beside the flows registered before it.

    Attributes:
        flow: what was asked for. verdict: "infeasible", "guaranteed" or "best effort". lower_bound_ns: no message can
        be faster. worst_ns: no message of the flow is slower while the registered flows are all the traffic; None
        when no bound is known. bottleneck: the channel that sets the lower bound; None if it is propagation. fix: if
        infeasible, the smallest change that makes it feasible; otherwise on which condition the verdict holds.
        endangered: flows that had a guarantee and lose it through this one.
    """

    flow: Flow
    verdict: Verdict
    lower_bound_ns: float
    worst_ns: float | None
    bottleneck: str | None
    fix: str
    endangered: tuple[Flow, ...]

    def __str__(self) -> str:
        worst = "" if self.worst_ns is None else f", at most {self.worst_ns:g} ns"
        lost = f"; it takes the guarantee of {len(self.endangered)} other flow(s)" if self.endangered else ""
        return f"{self.flow}: {self.verdict}, at least {self.lower_bound_ns:g} ns{worst}; {self.fix}{lost}"


def flow_of(
    source: str,
    destination: str,
    *,
    nbytes: int,
    period_ns: float,
    deadline_ns: float,
    jitter_ns: float,
    kind: Kind,
    profile: Profile,
) -> Flow:
    """Return a flow from numbers as users write them.

    Raises:
        InvalidValue: one of them is out of range.
    """
    given: object = nbytes
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InvalidValue(field="nbytes", value=nbytes, rule="a message has a whole number of bytes, at least 1")
    return Flow(
        source=source,
        destination=destination,
        wire_bytes=profile.wire_bytes(nbytes),
        period_ps=constraint_ps(period_ns, "period_ns"),
        deadline_ps=constraint_ps(deadline_ns, "deadline_ns"),
        jitter_ps=0 if jitter_ns == 0 else constraint_ps(jitter_ns, "jitter_ns"),
        priority_class=kind.priority_class,
    )


def promise(
    fabric: Fabric, flow: Flow, registered: Sequence[Flow], *, policy: Policy | None = None, chunk_ps: int = 1_000_000
) -> Promise:
    """Return what can be promised to ``flow``; cost grows with the square of the flows that share its channels.

    Raises:
        UnknownName: a node is not registered.
        NoRoute: nothing leads from one end to the other.
    """
    network = classical_network(fabric)
    channels = [
        channel(
            spec.source,
            spec.target,
            gbps=spec.gbps,
            chunk_ps=chunk_ps,
            store_and_forward=spec.forwards == "store-and-forward",
        )
        for spec in network.channels
    ]
    wanted, others = _periodic(network, flow), [_periodic(network, each) for each in registered]
    found = answer(channels, wanted, flow.deadline_ps, others=others, policy=policy)
    endangered = tuple(
        each
        for at, each in enumerate(registered)
        if _is_guaranteed(channels, others[at], each, _without(others, at), policy)
        and not _is_guaranteed(channels, others[at], each, [*_without(others, at), wanted], policy)
    )
    return Promise(
        flow=flow,
        verdict=found.verdict,
        lower_bound_ns=to_ns(found.lower_bound_ps),
        worst_ns=None if found.worst_ps is None else to_ns(found.worst_ps),
        bottleneck=None if found.bottleneck is None else network.channels[found.bottleneck].label,
        fix=found.fix,
        endangered=endangered,
    )


def _periodic(network: ClassicalNetwork, flow: Flow) -> PeriodicFlow:
    way = route(network, flow.source, flow.destination)
    return PeriodicFlow(
        period_ps=flow.period_ps,
        nbytes=flow.wire_bytes,
        priority_class=flow.priority_class,
        deadline_ps=flow.deadline_ps,
        jitter_ps=flow.jitter_ps,
        path=way.channels,
        delays=way.propagation_ps,
    )


def _without(flows: Sequence[PeriodicFlow], at: int) -> list[PeriodicFlow]:
    return [*flows[:at], *flows[at + 1 :]]


def _is_guaranteed(
    channels: Sequence[Channel], flow: PeriodicFlow, asked: Flow, others: Sequence[PeriodicFlow], policy: Policy | None
) -> bool:
    return answer(channels, flow, asked.deadline_ps, others=others, policy=policy).verdict is Verdict.GUARANTEED
