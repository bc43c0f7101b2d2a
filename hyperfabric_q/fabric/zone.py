"""A zone: a named group of nodes and what it demands of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.written import shown


class ZoneType(StrEnum):
    """What a zone is for."""

    COMPUTE_CLUSTER = "compute_cluster"
    QUANTUM_REALM = "quantum_realm"
    NEUROMORPHIC_CLUSTER = "neuromorphic_cluster"
    PHOTONIC_MESH = "photonic_mesh"
    EDGE = "edge"
    STORAGE = "storage"
    HYBRID = "hybrid"


class IsolationLevel(StrEnum):
    """How far a zone's traffic is kept apart, from not at all to keys made by entanglement."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    QUANTUM_SECURE = "quantum_secure"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FabricZone:
    """Return a zone of a fabric.

    Args:
        zone_id: its id, by the rule of node ids.
        zone_type: what it is for.
        isolation_level: how far its traffic is kept apart.
        max_nodes: the most members it may have; None = no limit.
        required_bandwidth_gbps: the least ``bandwidth_gbps`` of a member; None = no demand.
        quantum_coherence_required: whether each member must state a coherence time.
        description: free text.
        members: node ids, in the order given; a fabric checks that they exist and meet the demands. Without any, the
            zone adopts nodes by its type (``hyperfabric_q.fabric.membership``).
        gateways: ids of the nodes, inside or outside, through which traffic may cross the zone's border.

    Raises:
        InvalidValue: a field breaks its rule.
    """

    zone_id: str
    zone_type: ZoneType
    isolation_level: IsolationLevel = IsolationLevel.NONE
    max_nodes: int | None = None
    required_bandwidth_gbps: float | None = None
    quantum_coherence_required: bool = False
    description: str = ""
    members: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "zone_id", fields.identifier("zone_id", self.zone_id))
        owner = f"zone {self.zone_id!r}"
        put(self, "zone_type", fields.member("zone_type", self.zone_type, ZoneType, owner))
        put(self, "isolation_level", fields.member("isolation_level", self.isolation_level, IsolationLevel, owner))
        if self.max_nodes is not None:
            put(self, "max_nodes", fields.count("max_nodes", self.max_nodes, owner, least=1, what="nodes"))
        if self.required_bandwidth_gbps is not None:
            gbps = fields.number(
                "required_bandwidth_gbps", self.required_bandwidth_gbps, owner, most=fields.FASTEST_GBPS, unit="Gb/s"
            )
            put(self, "required_bandwidth_gbps", gbps)
        if not isinstance(self.quantum_coherence_required, bool):
            raise InvalidValue(
                field="quantum_coherence_required",
                value=self.quantum_coherence_required,
                rule=f"{owner} needs True or False",
            )
        put(self, "description", fields.text("description", self.description, owner))
        most = self.max_nodes if self.max_nodes is not None else fields.LARGEST_COUNT
        put(self, "members", fields.identifiers("members", self.members, owner, most=most))
        put(self, "gateways", fields.identifiers("gateways", self.gateways, owner, most=fields.LARGEST_COUNT))

    def __repr__(self) -> str:
        return shown(self)

    @property
    def filled_in(self) -> frozenset[str]:
        """The fields that hold what would be filled in anyway: none of a zone's."""
        return frozenset()
