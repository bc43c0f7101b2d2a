"""Zones: the promised members exist and every field is judged."""

import pytest

from hyperfabric_q.errors import FabricRejected, InvalidValue, UnknownName
from hyperfabric_q.fabric import Fabric, FabricZone, HardwareType, IsolationLevel, NodeSignature, ZoneType


def zone(**changes):
    return FabricZone(**({"zone_id": "z", "zone_type": ZoneType.QUANTUM_REALM} | changes))


def test_the_promised_call_works():
    built = FabricZone(
        zone_id="llm-training-cluster",
        zone_type=ZoneType.COMPUTE_CLUSTER,
        isolation_level=IsolationLevel.MEDIUM,
        max_nodes=2000,
        required_bandwidth_gbps=400.0,
        quantum_coherence_required=False,
        description="a cluster",
    )
    assert eval(repr(built)) == built  # noqa: S307
    assert [each.name for each in IsolationLevel] == ["NONE", "LOW", "MEDIUM", "HIGH", "QUANTUM_SECURE"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("max_nodes", each) for each in (float("nan"), float("inf"), -1, 0, 2.0, True, "3", 10**400)],
        *[("required_bandwidth_gbps", each) for each in (float("nan"), float("inf"), -1, True, "3", 10**400)],
        *[("quantum_coherence_required", each) for each in (1, 0, None, "yes")],
        *[("members", each) for each in ("ab", 7, ["a", "a"], ["a b"], [1], None)],
        ("zone_type", "quantum_realm"),
        ("isolation_level", 3),
        ("description", 3),
        ("zone_id", "a/b"),
    ],
)
def test_values_that_break_the_rule_are_refused(field, value):
    with pytest.raises(InvalidValue) as caught:
        zone(**{field: value})
    assert caught.value.field == field


def test_a_zone_holds_at_most_max_nodes_members():
    assert zone(members=["a", "b"], max_nodes=2).members == ("a", "b")
    with pytest.raises(InvalidValue, match="at most 1"):
        zone(members=["a", "b"], max_nodes=1)


def test_gateways_are_nodes_inside_or_outside():
    nodes = tuple(NodeSignature(each, HardwareType.CPU_SERVER, 1, 1) for each in "abc")
    fabric = Fabric(nodes=nodes, zones=(zone(members=["a"], gateways=["a", "c"]),))
    assert fabric.zones[0].gateways == ("a", "c")
    assert Fabric.from_toml(fabric.to_toml()) == fabric
    assert eval(repr(fabric.zones[0])) == fabric.zones[0]  # noqa: S307
    with pytest.raises(UnknownName, match="'d'"):
        Fabric(nodes=nodes, zones=(zone(members=["a"], gateways=["d"]),))
    for bad in ("ab", ["a", "a"], ["a b"], None):
        with pytest.raises(InvalidValue) as caught:
            zone(gateways=bad)
        assert caught.value.field == "gateways"


def test_a_gateway_that_is_missing_from_a_file_is_named_with_its_line():
    nodes = (NodeSignature("a", HardwareType.CPU_SERVER, 1, 1),)
    text = Fabric(nodes=nodes, zones=(zone(members=["a"]),)).to_toml() + 'gateways = ["b"]\n'
    with pytest.raises(FabricRejected) as caught:
        Fabric.from_toml(text)
    assert caught.value.where == "zones[0].gateways"
    assert caught.value.line == len(text.splitlines())
