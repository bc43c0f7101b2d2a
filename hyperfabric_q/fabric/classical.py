"""Which directed channels a fabric's classical traffic runs on.

**Declared links.** A link is a classical one when it states ``bandwidth_gbps`` or a ``latency_ns`` of its own, or
makes no Bell pairs. It is a channel in each direction, at the least of its own bandwidth and that of both ends' ports,
with its latency, or else the larger of both ends' latency plus fibre between their places. Each declared link is a port
of its own at both ends. Bytes that travel on from the end of such a channel are stored and forwarded, chunk by chunk. A
link that states nothing but Bell pairs (and perhaps a length) carries no bytes.

**The ideal switch** joins what declared links leave apart: nodes that declared links hold together are a group, a node
without any is a group of one, and two nodes of different groups talk over the switch. Each node has one channel into it
and one out of it, at its ``bandwidth_gbps``. The switch cuts through: S bytes on an idle fabric take the serialisation
time of the slower port plus the pair's latency, which is the larger of both ends' ``latency_ns`` plus fibre between
their places, and is charged on the last channel. A fabric without declared links is all switch; a fabric whose declared
links hold everything together has none.

**Racks.** Nodes that state a rack share a switch in it. A rack of m nodes has ceil(m / ``oversubscription``) lanes up
and as many down, at most m each way. The i-th lane belongs to the i-th node of the rack by node id, has its bandwidth
and bears its name; the i-th node takes the lane i modulo the number of lanes. What leaves a rack takes its source's
lane up, what enters one its destination's lane down, and ``core_latency_ns`` is added once. Nodes without a rack stand
beside the racks' lanes. All of these switches cut through.

Without oversubscription each node has lanes of its own, racks block nothing, and S bytes between any two nodes take
what they take over one switch. With it, nodes of equal bandwidth still get their full rate while their lanes are idle.
Where bandwidths differ, a shared lane may be slower than the ports, and then limits the rate, or faster than the ports
around it: a message goes over a channel without gaps, so such a lane starts late, to end with the bytes that come in,
and the slow port behind it begins later still. Racks that mix bandwidths are exact only without oversubscription. A
node that joins an oversubscribed rack may change which lanes the others take from then on.

**Light.** A declared link between located nodes that claims to be faster than light in vacuum is reported, and the
propagation time in fibre is added to its latency; in strict mode it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields, topology
from hyperfabric_q.fabric.fabric import Fabric
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.location import Place, Unresolved, bound_ns, fibre_ns, resolve
from hyperfabric_q.fabric.racks import Rack, rack_of
from hyperfabric_q.fabric.route import RouteMemory
from hyperfabric_q.units import PS_PER_NS, to_ps

Forwards = Literal["cut-through", "store-and-forward"]

SWITCH: Final = "(switch)"
"""The ideal switch as an end of channels; no node can have that id."""

REFERENCE_BYTES: Final = 4096
"""The message that routes over declared links are shortest for: one RDMA packet of the largest path MTU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """Return a directed channel; what it is stays the same value as long as nothing about it changes.

    Args:
        source: node or switch where it starts.
        target: node or switch where it ends.
        gbps: its bandwidth, exactly the decimal that was written.
        propagation_ps: its own delay; that of a switched pair is charged by the route instead.
        forwards: how bytes that travel on leave ``target``: while they arrive, or once a chunk is there.
        label: unique in a network, and the same in every network that has this channel.
    """

    source: str
    target: str
    gbps: Fraction
    propagation_ps: int
    forwards: Forwards
    label: str

    @property
    def ps_per_byte(self) -> Fraction:
        """The exact serialisation time of a byte."""
        return 8 * PS_PER_NS / self.gbps

    def serialisation_ps(self, nbytes: int) -> int:
        """Return the time that ``nbytes`` take, rounded up to a picosecond."""
        return math.ceil(nbytes * self.ps_per_byte)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpossibleLatency:
    """Return the finding that a declared link is faster than light: its ends, what it states and what light needs."""

    a: str
    b: str
    declared_ns: float
    bound_ns: float
    used_ns: float

    def __str__(self) -> str:
        return (
            f"link '{self.a}--{self.b}' states {self.declared_ns:g} ns, and light in vacuum takes at least "
            f"{self.bound_ns:.6g} ns between the two places: {self.used_ns:.6g} ns is used, with fibre added."
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassicalNetwork:
    """Return the channels of a fabric and what joins them; ``classical_network`` builds it, ``routing`` reads it.

    Args:
        fabric: the fabric.
        channels: the channels; their positions are the numbers that routes are made of.
        number_of: channel label → number.
        links_from: node id → (neighbour, channel) over declared links, by neighbour id.
        group_of: node id → number of the group that declared links hold together.
        rack_of: node id → rack, of the nodes on the switch that state one.
        lane_of: node id → the node of its rack whose lanes it takes, itself without oversubscription.
        switched: whether the ideal switch joins the groups.
        core_latency_ps: added where a path leaves its rack.
        reference_bytes: the message that routes are shortest for.
        findings: declared latencies that are faster than light.
        unread_racks: nodes whose ``rack_position`` could not be read; they count as without a rack.
        memory: what ``routing`` has found out already; it never changes an answer.
    """

    fabric: Fabric
    channels: tuple[ChannelSpec, ...]
    number_of: Mapping[str, int]
    links_from: Mapping[str, tuple[tuple[str, int], ...]]
    group_of: Mapping[str, int]
    rack_of: Mapping[str, Rack]
    lane_of: Mapping[str, str]
    switched: bool
    core_latency_ps: int
    reference_bytes: int
    findings: tuple[ImpossibleLatency, ...]
    unread_racks: tuple[str, ...]
    memory: RouteMemory = field(default_factory=RouteMemory, repr=False)

    def place(self, node_id: str) -> Place | Unresolved | None:
        """Return where a node stands, why that is not known, or None when it states no place.

        Raises:
            UnknownName: there is no such node.
        """
        text = self.fabric.node(node_id).physical_location
        return None if text is None else resolve(text)

    def unresolved(self) -> dict[str, Unresolved]:
        """Return the nodes whose ``physical_location`` names no place that can be found, and why."""
        rows = {node.node_id: self.place(node.node_id) for node in self.fabric.nodes if node.physical_location}
        return {node_id: found for node_id, found in rows.items() if isinstance(found, Unresolved)}

    def ambiguous(self) -> dict[str, Place]:
        """Return the nodes whose ``physical_location`` could mean other places too, with the one that was taken."""
        rows = {node.node_id: self.place(node.node_id) for node in self.fabric.nodes if node.physical_location}
        return {node_id: found for node_id, found in rows.items() if isinstance(found, Place) and found.alternatives}

    def pair_latency_ps(self, a: str, b: str) -> int:
        """Return the latency between two nodes on the switch: the larger of both, plus fibre between their places.

        Raises:
            UnknownName: there is no such node.
        """
        return _pair_latency_ps(self.fabric, a, b)


def is_classical(link: Link) -> bool:
    """Return whether bytes travel over ``link``: see the rules of this module."""
    own_latency = link.latency_ns is not None and "latency_ns" not in link.filled_in
    return not link.quantum or link.bandwidth_gbps is not None or own_latency


def classical_network(
    fabric: Fabric,
    *,
    ideal_switch: bool = True,
    oversubscription: float = 1,
    core_latency_ns: float = 0,
    reference_bytes: int = REFERENCE_BYTES,
    strict: bool = False,
    after: ClassicalNetwork | None = None,
) -> ClassicalNetwork:
    """Return the directed channels of ``fabric``; O(nodes + links), 2048 channels in about 10 ms.

    Args:
        fabric: the fabric.
        ideal_switch: whether a switch joins what declared links leave apart; without it there is no route.
        oversubscription: nodes of a rack per lane up and per lane down, at most on average; below 1 is like 1.
        core_latency_ns: added once where a path leaves its rack. 0 by default: ``latency_ns`` is end to end.
        reference_bytes: the message that routes over declared links are shortest for.
        strict: refuse a declared latency that is faster than light, instead of reporting it.
        after: a network before a change. Channels of the same label keep their numbers, and those that are gone keep
            theirs too, so that what is under way on them is not disturbed.

    Raises:
        InvalidValue: an option is out of range, or in strict mode a declared latency is faster than light.
    """
    ratio = fields.number("oversubscription", oversubscription, "a rack", above=True, most=1e6)
    core_ns = fields.number("core_latency_ns", core_latency_ns, "a core switch", most=fields.LONGEST_NS, unit="ns")
    reference = fields.count("reference_bytes", reference_bytes, "routing", least=0, what="bytes")
    links = [link for link in fabric.links if is_classical(link)]
    ids = tuple(node.node_id for node in fabric.nodes)
    groups = topology.components(ids, (link.ends for link in links))
    group_of = {each: number for number, group in enumerate(groups) for each in group}
    findings = tuple(found for link in links if (found := _too_fast(fabric, link, strict=strict)) is not None)
    slowed = {(found.a, found.b): found.used_ns for found in findings}
    channels = [spec for link in links for spec in _link_channels(fabric, link, slowed.get(link.ends))]
    switched = ideal_switch and len(groups) > 1
    read = _racks(fabric)
    racks = read if switched else {}
    lanes = _lanes(racks, Fraction(str(ratio)))
    if switched:
        channels += _port_channels(fabric, racks)
        channels += _lane_channels(fabric, racks, lanes)
    kept, number_of = _numbered(channels, after)
    return ClassicalNetwork(
        fabric=fabric,
        channels=kept,
        number_of=MappingProxyType(number_of),
        links_from=MappingProxyType(_links_from(links, number_of)),
        group_of=MappingProxyType(group_of),
        rack_of=MappingProxyType(racks),
        lane_of=MappingProxyType(lanes),
        switched=switched,
        core_latency_ps=to_ps(ns=core_ns),
        reference_bytes=reference,
        findings=findings,
        unread_racks=tuple(each.node_id for each in fabric.nodes if each.rack_position and each.node_id not in read),
    )


# ----------------------------------------------------------------------------------------------------------- labels


def link_label(source: str, target: str) -> str:
    """Return the label of the channel over a declared link."""
    return f"link:{source}>{target}"


def egress_label(node_id: str) -> str:
    """Return the label of a node's channel into the switch."""
    return f"egress:{node_id}"


def ingress_label(node_id: str) -> str:
    """Return the label of a node's channel out of the switch."""
    return f"ingress:{node_id}"


def uplink_label(node_id: str) -> str:
    """Return the label of the lane out of a rack that belongs to a node."""
    return f"uplink:{node_id}"


def downlink_label(node_id: str) -> str:
    """Return the label of the lane into a rack that belongs to a node."""
    return f"downlink:{node_id}"


# --------------------------------------------------------------------------------------------------------- channels


@cache
def _exact(gbps: float) -> Fraction:
    """Return the decimal that the user wrote: 0.1 is one tenth, not its binary neighbour."""
    return Fraction(str(gbps))


def _link_channels(fabric: Fabric, link: Link, used_ns: float | None) -> tuple[ChannelSpec, ChannelSpec]:
    ports = [fabric.node(end).bandwidth_gbps for end in link.ends]
    gbps = _exact(min(ports if link.bandwidth_gbps is None else [*ports, link.bandwidth_gbps]))
    stated = used_ns if used_ns is not None else link.latency_ns
    ps = to_ps(ns=stated) if stated is not None else _pair_latency_ps(fabric, link.a, link.b)
    ahead, back = (
        ChannelSpec(
            source=source,
            target=target,
            gbps=gbps,
            propagation_ps=ps,
            forwards="store-and-forward",
            label=link_label(source, target),
        )
        for source, target in ((link.a, link.b), (link.b, link.a))
    )
    return ahead, back


def _port_channels(fabric: Fabric, racks: Mapping[str, Rack]) -> list[ChannelSpec]:
    channels = []
    for node in fabric.nodes:
        node_id, gbps = node.node_id, _exact(node.bandwidth_gbps)
        rack = racks.get(node_id)
        switch = SWITCH if rack is None else rack.label
        channels.append(
            ChannelSpec(
                source=node_id,
                target=switch,
                gbps=gbps,
                propagation_ps=0,
                forwards="cut-through",
                label=egress_label(node_id),
            )
        )
        channels.append(
            ChannelSpec(
                source=switch,
                target=node_id,
                gbps=gbps,
                propagation_ps=0,
                forwards="store-and-forward",
                label=ingress_label(node_id),
            )
        )
    return channels


def _lanes(racks: Mapping[str, Rack], oversubscription: Fraction) -> dict[str, str]:
    """Return whose lanes each node takes; the order of the nodes' ids decides, not that of the fabric."""
    members: dict[Rack, list[str]] = {}
    for node_id in sorted(racks):
        members.setdefault(racks[node_id], []).append(node_id)
    lane_of = {}
    for ids in members.values():
        lanes = min(len(ids), math.ceil(len(ids) / oversubscription))
        lane_of.update({node_id: ids[place % lanes] for place, node_id in enumerate(ids)})
    return lane_of


def _lane_channels(fabric: Fabric, racks: Mapping[str, Rack], lane_of: Mapping[str, str]) -> list[ChannelSpec]:
    channels = []
    for node_id, owner in lane_of.items():
        if node_id != owner:
            continue
        rack, gbps = racks[owner].label, _exact(fabric.node(owner).bandwidth_gbps)
        for source, target, label in (
            (rack, SWITCH, uplink_label(owner)),
            (SWITCH, rack, downlink_label(owner)),
        ):
            channels.append(
                ChannelSpec(
                    source=source,
                    target=target,
                    gbps=gbps,
                    propagation_ps=0,
                    forwards="cut-through",
                    label=label,
                )
            )
    return channels


def _racks(fabric: Fabric) -> dict[str, Rack]:
    found = ((node.node_id, rack_of(node)) for node in fabric.nodes)
    return {node_id: rack for node_id, rack in found if rack is not None}


def _numbered(
    channels: list[ChannelSpec], after: ClassicalNetwork | None
) -> tuple[tuple[ChannelSpec, ...], dict[str, int]]:
    if after is None:
        return tuple(channels), {spec.label: number for number, spec in enumerate(channels)}
    kept = list(after.channels)
    number_of = dict(after.number_of)
    for spec in channels:
        number = number_of.get(spec.label)
        if number is None:
            number_of[spec.label] = len(kept)
            kept.append(spec)
        elif kept[number] != spec:
            kept[number] = spec
    return tuple(kept), number_of


def _links_from(links: list[Link], number_of: Mapping[str, int]) -> dict[str, tuple[tuple[str, int], ...]]:
    rows: dict[str, list[tuple[str, int]]] = {}
    for link in links:
        for source, target in ((link.a, link.b), (link.b, link.a)):
            rows.setdefault(source, []).append((target, number_of[link_label(source, target)]))
    return {node_id: tuple(sorted(found)) for node_id, found in rows.items()}


# ---------------------------------------------------------------------------------------------------------- latency


def _places(fabric: Fabric, a: str, b: str) -> tuple[Place, Place] | None:
    """Return where both nodes stand; None unless both places are known."""
    texts = fabric.node(a).physical_location, fabric.node(b).physical_location
    if texts[0] is None or texts[1] is None:
        return None
    first, second = resolve(texts[0]), resolve(texts[1])
    return (first, second) if isinstance(first, Place) and isinstance(second, Place) else None


def _pair_latency_ps(fabric: Fabric, a: str, b: str) -> int:
    ns = max(fabric.node(a).latency_ns, fabric.node(b).latency_ns)
    places = _places(fabric, a, b)
    return to_ps(ns=ns) + (to_ps(ns=fibre_ns(*places)) if places is not None else 0)


def _too_fast(fabric: Fabric, link: Link, *, strict: bool) -> ImpossibleLatency | None:
    """Return the finding that ``link`` is faster than light between its ends' places; None when it is not."""
    if link.latency_ns is None:
        return None
    places = _places(fabric, link.a, link.b)
    if places is None or link.latency_ns >= (bound := bound_ns(*places)):
        return None
    if strict:
        raise InvalidValue(
            field="latency_ns",
            value=link.latency_ns,
            rule=f"link {link.label!r} joins {places[0].name} and {places[1].name}, "
            f"and light in vacuum takes at least {bound:.6g} ns for that",
            remedy=f"Give at least {bound:.6g} ns ({fibre_ns(*places):.6g} ns in fibre), or correct the places.",
        )
    return ImpossibleLatency(
        a=link.a,
        b=link.b,
        declared_ns=link.latency_ns,
        bound_ns=bound,
        used_ns=link.latency_ns + fibre_ns(*places),
    )
