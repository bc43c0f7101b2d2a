"""Who is in a zone: the named, or those its type adopts, within its demands."""

import pytest

from hyperfabric_q.fabric import FabricZone, HardwareType, NodeSignature, ZoneType
from hyperfabric_q.fabric.membership import membership

MACHINES = [NodeSignature(kind.value.replace("_", "-"), kind, 100, 10) for kind in HardwareType]
COHERENT = NodeSignature("photonic-qpu", HardwareType.PHOTONIC_SWITCH, 1000, 10, quantum_coherence_time_us=1000)


def adopted(zone_type, **demands):
    zone = FabricZone(zone_id="z", zone_type=zone_type, **demands)
    return membership(zone, [*MACHINES, COHERENT])


@pytest.mark.parametrize(
    ("zone_type", "members"),
    [
        (ZoneType.COMPUTE_CLUSTER, {"nvidia-h100", "nvidia-a100", "amd-mi300x", "intel-gaudi2", "cpu-server"}),
        (ZoneType.QUANTUM_REALM, {"quantum-qpu", "quantum-annealer", "photonic-qpu"}),
        (ZoneType.NEUROMORPHIC_CLUSTER, {"neuromorphic-chip"}),
        (ZoneType.PHOTONIC_MESH, {"photonic-switch", "photonic-qpu"}),
        (ZoneType.EDGE, set()),
        (ZoneType.STORAGE, set()),
        (ZoneType.HYBRID, {each.node_id for each in MACHINES} - {"software-endpoint"} | {"photonic-qpu"}),
    ],
)
def test_each_type_adopts_its_kinds(zone_type, members):
    found = adopted(zone_type)
    assert set(found.members) == members
    assert found.adopted
    assert found.left_out == {}


def test_named_members_are_the_only_ones():
    zone = FabricZone(zone_id="z", zone_type=ZoneType.COMPUTE_CLUSTER, members=("quantum-qpu",))
    found = membership(zone, MACHINES)
    assert found.members == ("quantum-qpu",)
    assert not found.adopted


def test_demands_leave_nodes_out_and_say_why():
    found = adopted(ZoneType.QUANTUM_REALM, quantum_coherence_required=True)
    assert found.members == ("photonic-qpu",)
    assert set(found.left_out) == {"quantum-qpu", "quantum-annealer"}
    found = adopted(ZoneType.PHOTONIC_MESH, required_bandwidth_gbps=400)
    assert found.members == ("photonic-qpu",)
    assert "400" in found.left_out["photonic-switch"]
    found = adopted(ZoneType.COMPUTE_CLUSTER, max_nodes=2)
    assert found.members == ("nvidia-h100", "nvidia-a100")
    assert len(found.left_out) == 3
