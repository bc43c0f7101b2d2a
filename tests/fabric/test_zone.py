"""Zones: the promised members exist and every field is judged."""

import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import FabricZone, IsolationLevel, ZoneType


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
