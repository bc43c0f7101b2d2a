"""One test per field of FabricZone: the same send with and without it, and what differs."""

import pytest

import hyperfabric_q as hq
from hyperfabric_q import errors

GPU, QPU = hq.HardwareType.NVIDIA_H100, hq.HardwareType.QUANTUM_QPU


def node(name, kind=GPU, gbps=8, **fields):
    return hq.NodeSignature(name, kind, gbps, 100, **fields)


NODES = (node("a"), node("b"), node("q", QPU, t2_us=100.0), node("r", QPU))


def zone(**fields):
    given = {
        "zone_id": "realm",
        "zone_type": hq.ZoneType.COMPUTE_CLUSTER,
        "isolation_level": hq.IsolationLevel.MEDIUM,
    } | fields
    return hq.FabricZone(**given)


def sent(source, destination, *zones, nodes=NODES):
    """The receipt of one send, or None where a zone forbids it."""

    async def main():
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=nodes, zones=zones))
        try:
            return (await protocol.send_data(source=source, destination=destination, data=bytes(10))).receipt
        except errors.IsolationViolated:
            return None

    return hq.run(main())


def test_zone_id_is_the_name_that_receipts_list():
    low = hq.IsolationLevel.LOW
    assert sent("a", "q", zone(isolation_level=low)).zones == ("realm",)
    assert sent("a", "q", zone(isolation_level=low, zone_id="hall")).zones == ("hall",)
    with pytest.raises(errors.DuplicateName):
        hq.Fabric(nodes=NODES, zones=(zone(), zone()))


def test_zone_type_decides_who_is_in_it():
    assert sent("a", "q", zone()) is None
    assert sent("a", "q", zone(zone_type=hq.ZoneType.HYBRID)) is not None


def test_isolation_level_decides_what_a_crossing_takes():
    assert sent("a", "q", zone()) is None
    assert sent("a", "q", zone(isolation_level=hq.IsolationLevel.NONE)).zones == ()


def test_max_nodes_ends_adoption_and_bounds_the_members():
    assert sent("a", "b", zone()) is not None
    assert sent("a", "b", zone(max_nodes=1)) is None
    assert zone(max_nodes=2, members=("a", "b")).members == ("a", "b")
    with pytest.raises(errors.InvalidValue, match="at most 1"):
        zone(max_nodes=1, members=("a", "b"))


def test_required_bandwidth_gbps_leaves_slow_nodes_out_and_refuses_them_by_name():
    nodes = (node("a", gbps=100), node("b"))
    assert sent("a", "b", zone(), nodes=nodes) is not None
    assert sent("a", "b", zone(required_bandwidth_gbps=50), nodes=nodes) is None
    with pytest.raises(errors.InvalidValue, match="50 Gb/s"):
        hq.Fabric(nodes=nodes, zones=(zone(required_bandwidth_gbps=50, members=("a", "b")),))


def test_quantum_coherence_required_leaves_out_who_states_none_and_refuses_them_by_name():
    realm = hq.ZoneType.QUANTUM_REALM
    assert sent("q", "r", zone(zone_type=realm)) is not None
    assert sent("q", "r", zone(zone_type=realm, quantum_coherence_required=True)) is None
    with pytest.raises(errors.InvalidValue, match="coherence"):
        hq.Fabric(nodes=NODES, zones=(zone(quantum_coherence_required=True, members=("r",)),))


def test_description_is_kept_in_the_fabric_file_and_changes_nothing_else():
    told = hq.Fabric(nodes=NODES, zones=(zone(description="the hall on the left"),))
    assert 'description = "the hall on the left"' in told.to_toml()
    assert hq.Fabric.from_toml(told.to_toml()).zones[0].description == "the hall on the left"
    assert sent("a", "b", zone()) == sent("a", "b", zone(description="the hall on the left"))


def test_members_are_the_only_ones_in_it():
    assert sent("a", "q", zone()) is None
    assert sent("a", "q", zone(members=("b",))) is not None
    assert sent("a", "b", zone(members=("b",))) is None


def test_gateways_let_traffic_out():
    assert sent("a", "q", zone()) is None
    receipt = sent("a", "q", zone(gateways=("b",)))
    assert (receipt.path, receipt.gateway) == (("a", "b", "q"), "b")
