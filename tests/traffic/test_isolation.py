"""Zones: judged against an oracle that knows sets and words only."""

import time
from itertools import pairwise

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue, IsolationViolated
from hyperfabric_q.fabric import Fabric, FabricZone, HardwareType, IsolationLevel, NodeSignature, ZoneType
from hyperfabric_q.traffic.endpoints import resolve
from hyperfabric_q.traffic.isolation import OPEN, crossing, enforce, isolation, relays

NONE, LOW, MEDIUM, HIGH, SECURE = IsolationLevel


def node(node_id):
    return NodeSignature(node_id, HardwareType.CPU_SERVER, 10, 10)


def zone(zone_id, level, members, gateways=()):
    return FabricZone(
        zone_id=zone_id,
        zone_type=ZoneType.EDGE,
        isolation_level=level,
        members=tuple(members),
        gateways=tuple(gateways),
    )


def borders(*zones, endpoints=()):
    fabric = Fabric(nodes=tuple(node(each) for each in "abcdefgh"), zones=zones)
    for name in endpoints:
        fabric, _, _ = resolve(fabric, name)
    return isolation(fabric)


# ------------------------------------------------------------------------------------------------------------ levels


def test_without_isolated_zones_everything_is_open():
    assert crossing(borders(), ("a", "b")) is OPEN
    assert crossing(borders(zone("z", NONE, "ab")), ("a", "c"), strict=True) is OPEN


def test_inside_a_zone_everything_is_open():
    for level in IsolationLevel:
        assert crossing(borders(zone("z", level, "abc")), ("a", "b", "c"), strict=True) is OPEN


def test_low_only_lists_the_crossing():
    verdict = crossing(borders(zone("z", LOW, "ab")), ("a", "c"), strict=True)
    assert (verdict.allowed, verdict.zones, verdict.must_encrypt, verdict.gateway) == (True, ("z",), False, None)


@pytest.mark.parametrize("level", [MEDIUM, HIGH])
def test_a_border_opens_at_a_gateway_on_either_side(level):
    closed = borders(zone("z", level, "ab"))
    assert not crossing(closed, ("a", "c")).allowed
    assert not crossing(closed, ("c", "a")).allowed
    inner = borders(zone("z", level, "ab", "b"))
    assert not crossing(inner, ("a", "c")).allowed
    verdict = crossing(inner, ("a", "b", "c"), strict=True)
    assert (verdict.allowed, verdict.gateway, verdict.must_encrypt) == (True, "b", False)
    outer = borders(zone("z", level, "ab", "c"))
    assert crossing(outer, ("a", "c")).gateway == "c"
    assert not crossing(outer, ("a", "d")).allowed
    assert crossing(outer, ("a", "c", "d")).allowed


def test_each_hop_is_judged():
    """Leaving on the way between two members needs a gateway as well."""
    assert not crossing(borders(zone("z", MEDIUM, "ab")), ("a", "c", "b")).allowed
    assert crossing(borders(zone("z", MEDIUM, "ab", "c")), ("a", "c", "b")).allowed


def test_strangers_pass_through_medium_but_not_through_high():
    assert crossing(borders(zone("z", MEDIUM, "b", "b")), ("a", "b", "c")).allowed
    for level in (HIGH, SECURE):
        verdict = crossing(borders(zone("z", level, "b", "b")), ("a", "b", "c"), encrypted=True, quantum_key=True)
        assert not verdict.allowed
        assert "transit" in verdict.reason
    assert crossing(borders(zone("z", HIGH, "bc", "b")), ("a", "b", "c")).allowed


def test_quantum_secure_needs_encryption_and_says_that_the_key_is_no_quantum_key():
    secure = borders(zone("z", SECURE, "ab", "a"))
    verdict = crossing(secure, ("a", "c"))
    assert (verdict.allowed, verdict.must_encrypt, verdict.wants_quantum_key) == (True, True, True)
    assert "switched on" in verdict.warning
    assert "quantum key" in verdict.warning
    assert crossing(secure, ("a", "c"), encrypted=True, quantum_key=True).warning is None
    for encrypted, quantum_key, allowed in ((False, True, False), (True, False, True), (True, True, True)):
        verdict = crossing(secure, ("a", "c"), encrypted=encrypted, quantum_key=quantum_key, strict=True)
        assert verdict.allowed is allowed
    assert not crossing(secure, ("b", "c"), encrypted=True, quantum_key=True).allowed


@pytest.mark.parametrize("level", [MEDIUM, HIGH, SECURE])
def test_an_implicit_endpoint_becomes_an_encrypting_gateway_unless_strict(level):
    found = borders(zone("z", level, "ab"), endpoints=("quantum-controller",))
    for hops in (("quantum-controller", "a"), ("a", "quantum-controller")):
        verdict = crossing(found, hops)
        assert (verdict.allowed, verdict.must_encrypt, verdict.recorded) == (True, True, True)
        assert verdict.gateway == "quantum-controller"
        assert "recorded as a gateway" in verdict.warning
        again = crossing(found, hops, encrypted=True, quantum_key=True, gateways=frozenset({"quantum-controller"}))
        assert (again.allowed, again.must_encrypt, again.warning) == (True, True, None)
        refused = crossing(found, hops, encrypted=True, quantum_key=True, strict=True)
        assert not refused.allowed
        with pytest.raises(IsolationViolated, match="strict mode") as caught:
            enforce(refused, hops)
        assert (caught.value.source, caught.value.destination, caught.value.zone) == (*hops, "z")


def test_a_registered_stranger_does_not_become_a_gateway():
    found = borders(zone("z", MEDIUM, "ab"), endpoints=("controller",))
    assert not crossing(found, ("c", "a"), encrypted=True).allowed
    assert not crossing(found, ("controller", "c", "a")).allowed


def test_an_allowed_verdict_passes_and_a_refusal_says_what_to_do():
    found = borders(zone("z", MEDIUM, "ab", "b"))
    verdict = crossing(found, ("b", "c"))
    assert enforce(verdict, ("b", "c")) is verdict
    with pytest.raises(IsolationViolated, match="by way of a gateway: b"):
        enforce(crossing(found, ("a", "c")), ("a", "c"))
    with pytest.raises(IsolationViolated, match="gateways="):
        enforce(crossing(borders(zone("z", MEDIUM, "ab")), ("a", "c")), ("a", "c"))


def test_an_empty_way_is_refused():
    with pytest.raises(InvalidValue):
        crossing(borders(zone("z", LOW, "a")), ())


def test_adopting_zones_guard_what_they_adopt():
    nodes = (node("a"), NodeSignature("q", HardwareType.QUANTUM_QPU, 1, 1))
    realm = FabricZone(zone_id="realm", zone_type=ZoneType.QUANTUM_REALM, isolation_level=HIGH)
    edge = FabricZone(zone_id="edge", zone_type=ZoneType.EDGE, isolation_level=HIGH)
    found = isolation(Fabric(nodes=nodes, zones=(realm, edge)))
    assert not crossing(found, ("a", "q")).allowed
    assert found.unguarded == ("edge",)


# ------------------------------------------------------------------------------------------------------------ relays


def test_relays_lead_over_the_fewest_gateways():
    found = borders(zone("y", MEDIUM, "ab", "b"), zone("z", SECURE, "cd", "d"), zone("w", HIGH, "e", "e"))
    assert relays(found, "a", "c") == ("a", "b", "d", "c")
    assert relays(found, "a", "h") == ("a", "b", "h")
    assert relays(found, "g", "h") == ("g", "h")
    assert relays(found, "a", "a") == ("a",)
    assert relays(borders(zone("y", MEDIUM, "ab")), "a", "c") is None


# ------------------------------------------------------------------------------------------------------------ oracle


def refusals(zones, implicit, hops, *, encrypted, strict):
    """What is wrong with a packet that goes out exactly so, by sets and words: an independent reading of the rules."""
    wrong = []
    source, destination = hops[0], hops[-1]
    for each in zones:
        members, level = set(each.members), each.isolation_level.name
        crossed = [(a, b) for a, b in pairwise(hops) if (a in members) != (b in members)]
        if level in {"NONE", "LOW"}:
            continue
        for a, b in crossed:
            if {a, b} & set(each.gateways):
                continue
            outside = b if a in members else a
            talks = outside in implicit and outside in {source, destination}
            at_end = (a == source and outside == a) or (b == destination and outside == b)
            if strict or not talks or not at_end:
                wrong.append((each.zone_id, "no gateway"))
            elif not encrypted:
                wrong.append((each.zone_id, "endpoint in plain text"))
        strangers = source not in members and destination not in members
        if level in {"HIGH", "QUANTUM_SECURE"} and strangers and members & set(hops[1:-1]):
            wrong.append((each.zone_id, "transit"))
        if level == "QUANTUM_SECURE" and crossed and not encrypted:
            wrong.append((each.zone_id, "plain text"))
    return wrong


def random_zones(rng, ids):
    zones = []
    for number in range(int(rng.integers(1, 5))):
        members = rng.choice(ids, size=int(rng.integers(1, 5)), replace=False)
        gateways = rng.choice(ids, size=int(rng.integers(0, 4)), replace=False)
        level = list(IsolationLevel)[int(rng.integers(5))]
        zones.append(zone(f"z{number}", level, (str(each) for each in members), (str(each) for each in gateways)))
    return tuple(zones)


def test_no_packet_of_100_000_crosses_a_border_that_the_oracle_closes():
    rng = np.random.default_rng(20_251_122)
    let_through = refused = encrypted_by_us = 0
    for _ in range(250):
        fabric = Fabric(nodes=tuple(node(f"node-{each}") for each in "abcdefgh"))
        for name in ("controller", "dashboard"):
            fabric, _, _ = resolve(fabric, name)
        ids = [each.node_id for each in fabric.nodes]
        zones = random_zones(rng, ids)
        for each in zones:
            fabric = fabric.with_zone(each)
        found = isolation(fabric)
        lengths, flags = rng.integers(1, 5, size=400), rng.random((400, 3)) < (0.4, 0.5, 0.4)
        orders = rng.permuted(np.tile(np.arange(len(ids)), (400, 1)), axis=1)
        for length, order, (asked, quantum_key, strict) in zip(lengths, orders, flags.tolist(), strict=True):
            hops = tuple(ids[each] for each in order[:length])
            verdict = crossing(found, hops, encrypted=asked, quantum_key=quantum_key, strict=strict)
            sealed = asked or (verdict.allowed and verdict.must_encrypt)
            terms = {"strict": strict}
            wrong = refusals(zones, {"controller", "dashboard"}, hops, encrypted=sealed, **terms)
            if verdict.allowed:
                assert not wrong
                let_through += 1
                encrypted_by_us += sealed and not asked
                if sealed and not asked:
                    # Encryption is switched on where it is demanded, and nowhere else.
                    assert not strict
                    assert refusals(zones, {"controller", "dashboard"}, hops, encrypted=False, **terms)
            else:
                # What is refused would have been wrong even when encrypted, unless strict mode declines to repair it.
                assert wrong
                assert strict or refusals(zones, {"controller", "dashboard"}, hops, encrypted=True, **terms)
                refused += 1
    assert let_through + refused == 100_000
    assert min(let_through, refused) > 20_000
    assert encrypted_by_us > 1_000


def test_relays_are_ways_that_are_allowed():
    rng = np.random.default_rng(7)
    led = 0
    for _ in range(150):
        zones = random_zones(rng, list("abcdefgh"))
        found = borders(*zones)
        for _ in range(20):
            source, destination = (str(each) for each in rng.choice(list("abcdefgh"), size=2, replace=False))
            stops = relays(found, source, destination)
            direct = crossing(found, (source, destination)).allowed
            if stops is None:
                assert not direct
            else:
                assert (len(stops) == 2) == direct
                assert crossing(found, stops).allowed
                led += len(stops) > 2
    assert led > 50


def test_a_verdict_given_before_costs_a_look_up():
    found = borders(zone("z", SECURE, "ab", "a"))
    assert crossing(found, ("a", "c")) is crossing(found, ("a", "c"))
    started = time.process_time()
    for _ in range(20_000):
        crossing(found, ("a", "c"))
    assert time.process_time() - started < 0.1
