"""Whether nodes, links and zones fit together: names are taken once, and every name that is used exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from hyperfabric_q.errors import DuplicateName, InvalidValue, UnknownName
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import NodeSignature
from hyperfabric_q.fabric.zone import FabricZone

PartType = TypeVar("PartType")


def parts(field: str, value: object, kind: type[PartType]) -> tuple[PartType, ...]:
    """Return ``value`` as a tuple of ``kind``.

    Raises:
        InvalidValue: it cannot be iterated over, or holds something else.
    """
    rule = f"a fabric's {field} are a sequence of {kind.__name__}"
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidValue(field=field, value=value, rule=rule)
    found = tuple(value)
    for each in found:
        if not isinstance(each, kind):
            raise InvalidValue(field=field, value=each, rule=rule)
    return found


def nodes_by_id(nodes: Iterable[NodeSignature]) -> dict[str, NodeSignature]:
    """Return the nodes by id.

    Raises:
        DuplicateName: two share an id.
    """
    found: dict[str, NodeSignature] = {}
    for node in nodes:
        if node.node_id in found:
            raise DuplicateName(kind="node", name=node.node_id)
        found[node.node_id] = node
    return found


def links_by_ends(links: Iterable[Link], nodes: Mapping[str, NodeSignature]) -> dict[tuple[str, str], Link]:
    """Return the links by their two ends, in alphabetical order.

    Raises:
        UnknownName: an end is no node.
        DuplicateName: two links join the same nodes.
    """
    found: dict[tuple[str, str], Link] = {}
    for link in links:
        for end in link.ends:
            if end not in nodes:
                raise UnknownName(kind="node", name=end, known=tuple(nodes))
        if link.ends in found:
            raise DuplicateName(kind="link", name=link.label)
        found[link.ends] = link
    return found


def check_zones(zones: Iterable[FabricZone], nodes: Mapping[str, NodeSignature]) -> None:
    """Check that the ids of ``zones`` differ, members and gateways exist, and members meet their zone's demands.

    Raises:
        DuplicateName: two zones share an id.
        UnknownName: a member or gateway is no node.
        InvalidValue: a member has too little bandwidth, or no coherence time where one is required.
    """
    seen: set[str] = set()
    for zone in zones:
        if zone.zone_id in seen:
            raise DuplicateName(kind="zone", name=zone.zone_id)
        seen.add(zone.zone_id)
        for member in zone.members:
            if member not in nodes:
                raise UnknownName(kind="node", name=member, known=tuple(nodes))
            _check_member(zone, nodes[member])
        for gateway in zone.gateways:
            if gateway not in nodes:
                raise UnknownName(kind="node", name=gateway, known=tuple(nodes))


def _check_member(zone: FabricZone, node: NodeSignature) -> None:
    least, found = zone.required_bandwidth_gbps, node.bandwidth_gbps
    if least is not None and found < least:
        raise InvalidValue(
            field="members",
            value=node.node_id,
            rule=f"zone {zone.zone_id!r} requires {least:g} Gb/s of its members, and this one has {found:g}",
            remedy="Raise its bandwidth_gbps, or lower required_bandwidth_gbps.",
        )
    if zone.quantum_coherence_required and node.t2_us is None:
        raise InvalidValue(
            field="members",
            value=node.node_id,
            rule=f"zone {zone.zone_id!r} requires quantum coherence of its members, and this one states none",
            remedy="Give the node a quantum_coherence_time_us, or set quantum_coherence_required to False.",
        )
