"""Which nodes a zone holds: those it names, or those it adopts by its type.

A zone without members adopts, in the order of the fabric, the nodes that its type stands for and that meet its demands,
until it holds ``max_nodes``:

========================  ============================================================================
``COMPUTE_CLUSTER``       accelerators and CPU servers
``QUANTUM_REALM``         QPUs, annealers, and any other machine that states a coherence time
``NEUROMORPHIC_CLUSTER``  neuromorphic chips
``PHOTONIC_MESH``         photonic switches
``HYBRID``                every machine
``EDGE``, ``STORAGE``     none: no hardware type says that a node stands at the edge, or stores
========================  ============================================================================

Software endpoints are no machines, and are never adopted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hyperfabric_q.fabric.node import HardwareType, NodeSignature
from hyperfabric_q.fabric.zone import FabricZone, ZoneType

_COMPUTE: Final = frozenset(
    {
        HardwareType.NVIDIA_H100,
        HardwareType.NVIDIA_A100,
        HardwareType.AMD_MI300X,
        HardwareType.INTEL_GAUDI2,
        HardwareType.CPU_SERVER,
    }
)
_QUANTUM: Final = frozenset({HardwareType.QUANTUM_QPU, HardwareType.QUANTUM_ANNEALER})

_ADOPTS: Final[Mapping[ZoneType, Callable[[NodeSignature], bool]]] = {
    ZoneType.COMPUTE_CLUSTER: lambda node: node.hardware_type in _COMPUTE,
    ZoneType.QUANTUM_REALM: lambda node: node.hardware_type in _QUANTUM or node.t2_us is not None,
    ZoneType.NEUROMORPHIC_CLUSTER: lambda node: node.hardware_type is HardwareType.NEUROMORPHIC_CHIP,
    ZoneType.PHOTONIC_MESH: lambda node: node.hardware_type is HardwareType.PHOTONIC_SWITCH,
    ZoneType.HYBRID: lambda node: node.hardware_type is not HardwareType.SOFTWARE_ENDPOINT,
    ZoneType.EDGE: lambda node: False,  # noqa: ARG005 - no hardware type says so
    ZoneType.STORAGE: lambda node: False,  # noqa: ARG005 - no hardware type says so
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Return who is in a zone, and who is not though the zone's type stands for it.

    Args:
        members: node ids.
        adopted: whether the zone's type brought them, and not a list of names.
        left_out: node id → the demand of the zone that it does not meet.
    """

    members: tuple[str, ...]
    adopted: bool
    left_out: Mapping[str, str]


def membership(zone: FabricZone, nodes: Iterable[NodeSignature]) -> Membership:
    """Return who of ``nodes`` is in ``zone``, by the rules of this module; O(nodes)."""
    if zone.members:
        return Membership(members=zone.members, adopted=False, left_out={})
    adopts = _ADOPTS[zone.zone_type]
    members: list[str] = []
    left_out: dict[str, str] = {}
    for node in nodes:
        if node.hardware_type is HardwareType.SOFTWARE_ENDPOINT or not adopts(node):
            continue
        unmet = _unmet(zone, node)
        if unmet is None and zone.max_nodes is not None and len(members) >= zone.max_nodes:
            unmet = f"the zone is full with max_nodes = {zone.max_nodes}"
        if unmet is None:
            members.append(node.node_id)
        else:
            left_out[node.node_id] = unmet
    return Membership(members=tuple(members), adopted=True, left_out=left_out)


def _unmet(zone: FabricZone, node: NodeSignature) -> str | None:
    """Return the demand that ``node`` does not meet, or None."""
    least = zone.required_bandwidth_gbps
    if least is not None and node.bandwidth_gbps < least:
        return f"the zone requires {least:g} Gb/s, and it has {node.bandwidth_gbps:g}"
    if zone.quantum_coherence_required and node.t2_us is None:
        return "the zone requires quantum coherence, and it states none"
    return None
