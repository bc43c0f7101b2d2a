"""Classical channels: the ideal switch, declared links, racks, and light as the judge."""

import time
from fractions import Fraction

import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.fabric.classical import classical_network, is_classical
from hyperfabric_q.fabric.location import Unresolved
from hyperfabric_q.fabric.racks import RACK_POSITION, rack_of
from hyperfabric_q.fabric.routing import route

NYC, CHICAGO = "40.71427, -74.00597", "41.85003, -87.65005"


def node(node_id, gbps=10.0, ns=100.0, **more):
    return NodeSignature(node_id, HardwareType.CPU_SERVER, gbps, ns, **more)


def labels(network):
    return [spec.label for spec in network.channels]


# -------------------------------------------------------------------------------------------------------- the switch


def test_nodes_without_links_hang_on_one_switch_by_two_channels_each():
    network = classical_network(Fabric(nodes=(node("a", 0.1), node("b", 40))))
    assert labels(network) == ["egress:a", "ingress:a", "egress:b", "ingress:b"]
    assert [spec.gbps for spec in network.channels] == [Fraction(1, 10)] * 2 + [40] * 2
    assert network.channels[0].ps_per_byte == 80_000
    assert {spec.propagation_ps for spec in network.channels} == {0}
    assert network.channels[0].forwards == "cut-through"
    assert network.channels[1].forwards == "store-and-forward"


def test_the_latency_of_a_pair_is_the_larger_one_plus_fibre_between_known_places():
    fabric = Fabric(
        nodes=(
            node("a", ns=50, physical_location=NYC),
            node("b", ns=200, physical_location=CHICAGO),
            node("c", ns=70),
            node("d", ns=10, physical_location="nowhere in particular"),
        )
    )
    network = classical_network(fabric)
    assert network.pair_latency_ps("a", "b") == pytest.approx(5.60e9, rel=0.01)
    assert network.pair_latency_ps("a", "b") == network.pair_latency_ps("b", "a")
    assert network.pair_latency_ps("a", "c") == 70_000
    assert network.pair_latency_ps("a", "d") == 50_000
    assert network.findings == ()
    assert list(network.unresolved()) == ["d"]
    assert isinstance(network.place("d"), Unresolved)
    assert network.place("c") is None


def test_two_thousand_channels_are_built_in_twenty_milliseconds():
    fabric = Fabric(nodes=tuple(node(f"gpu-{number:04d}", 400) for number in range(1024)))
    seconds = []
    for _ in range(5):
        started = time.process_time()
        network = classical_network(fabric)
        seconds.append(time.process_time() - started)
    assert len(network.channels) == 2048
    assert min(seconds) < 0.020
    assert network.memory.routes == {}


def test_a_thousand_nodes_in_racks_are_four_thousand_channels_in_twenty_five_milliseconds():
    fabric = Fabric(
        nodes=tuple(node(f"n{number:04d}", 400, rack_position=f"rack-{number // 32}-slot-1") for number in range(1024))
    )
    seconds = []
    for _ in range(5):
        started = time.process_time()
        network = classical_network(fabric)
        seconds.append(time.process_time() - started)
    assert len(network.channels) == 4096
    assert min(seconds) < 0.025


# ------------------------------------------------------------------------------------------------------------- links


def test_a_declared_link_is_a_channel_each_way_at_the_least_bandwidth():
    fabric = Fabric(nodes=(node("a", 100), node("b", 25)), links=(Link("a", "b", bandwidth_gbps=50, latency_ns=7),))
    network = classical_network(fabric)
    assert labels(network) == ["link:a>b", "link:b>a"]
    assert not network.switched
    for spec in network.channels:
        assert (spec.gbps, spec.propagation_ps, spec.forwards) == (25, 7_000, "store-and-forward")


@pytest.mark.parametrize(
    ("fields", "latency_ns"),
    [
        ({"bandwidth_gbps": 1}, 90),
        ({"latency_ns": 5}, 5),
        ({"distance_m": 299_792.458}, 1468),
        ({}, 90),
        ({"bandwidth_gbps": 1, "pair_fidelity": 0.9}, 90),
        ({"bandwidth_gbps": 1, "pair_fidelity": 0.9, "distance_m": 299_792.458}, 1468000),
        ({"latency_ns": 5, "pair_fidelity": 0.9}, 5),
    ],
)
def test_what_a_classical_link_leaves_open_comes_from_its_ends(fields, latency_ns):
    link = Link("a", "b", **fields)
    network = classical_network(Fabric(nodes=(node("a", ns=40), node("b", ns=90)), links=(link,)))
    assert is_classical(link)
    expected = 1468e6 if "distance_m" in fields else latency_ns * 1e3
    assert [spec.propagation_ps for spec in network.channels] == [expected, expected]


@pytest.mark.parametrize(
    "fields", [{"pair_fidelity": 0.9}, {"preset": "ion_oxford_2025"}, {"pair_fidelity": 1.0, "distance_m": 5}]
)
def test_a_link_that_states_only_bell_pairs_carries_no_bytes(fields):
    link = Link("a", "b", **fields)
    network = classical_network(Fabric(nodes=(node("a"), node("b")), links=(link,)))
    assert not is_classical(link)
    assert labels(network) == ["egress:a", "ingress:a", "egress:b", "ingress:b"]


def test_the_switch_joins_what_declared_links_leave_apart():
    fabric = Fabric(nodes=(node("a"), node("b"), node("c")), links=(Link("a", "b", bandwidth_gbps=1),))
    network = classical_network(fabric)
    assert route(network, "a", "b").channels == (network.number_of["link:a>b"],)
    assert route(network, "a", "c").channels == (network.number_of["egress:a"], network.number_of["ingress:c"])
    assert not classical_network(fabric, ideal_switch=False).switched


# ------------------------------------------------------------------------------------------------------------- light


def located(ns):
    nodes = (node("a", physical_location=NYC), node("b", physical_location=CHICAGO))
    return Fabric(nodes=nodes, links=(Link("a", "b", bandwidth_gbps=10, latency_ns=ns),))


def test_a_link_faster_than_light_is_reported_and_slowed_down():
    network = classical_network(located(1_000))
    (found,) = network.findings
    assert (found.a, found.b, found.declared_ns) == ("a", "b", 1_000)
    assert found.bound_ns == pytest.approx(3.815e6, rel=0.01)
    assert found.used_ns == pytest.approx(5.60e6, rel=0.01)
    assert all(spec.propagation_ps == pytest.approx(found.used_ns * 1000, abs=1) for spec in network.channels)
    assert "a--b" in str(found)


def test_strict_refuses_a_link_faster_than_light():
    with pytest.raises(InvalidValue, match="light in vacuum") as caught:
        classical_network(located(1_000), strict=True)
    assert caught.value.field == "latency_ns"


def test_a_possible_latency_is_taken_as_it_is():
    network = classical_network(located(4e6), strict=True)
    assert network.findings == ()
    assert network.channels[0].propagation_ps == 4_000_000_000


# ------------------------------------------------------------------------------------------------------------- racks


@pytest.mark.parametrize(
    ("text", "rack", "slot"),
    [
        ("rack-03-slot-12", "03", "12"),
        ("Rack 7 Slot 1", "7", "1"),
        ("rack_a.2_slot_b", "a.2", "b"),
        ("rack-b-07-slot-1", "b-07", "1"),
        ("RACK1SLOT2", "1", "2"),
    ],
)
def test_rack_positions_are_read(text, rack, slot):
    match = RACK_POSITION.fullmatch(text.casefold())
    assert (match["rack"], match["slot"]) == (rack, slot)
    assert rack_of(node("a", rack_position=text)).name == rack


@pytest.mark.parametrize("text", ["third floor", "rack-3", "slot-1-rack-2", "", "rack--slot-1" * 150])
def test_other_positions_are_listed_and_count_as_none(text):
    network = classical_network(Fabric(nodes=(node("a", rack_position=text), node("b"))))
    assert network.rack_of == {}
    assert network.unread_racks == (("a",) if text else ())


@pytest.mark.parametrize(
    ("oversubscription", "owners"),
    [(0.5, "012345"), (1, "012345"), (1.5, "0134"), (2, "0134"), (2.9, "0134"), (3, "03"), (1000, "03")],
)
def test_racks_have_a_lane_each_way_per_so_many_nodes(oversubscription, owners):
    nodes = [node(f"n{number}", 0.1 * 2**number, rack_position=f"rack-{number // 3}-slot-1") for number in range(6)]
    fabric = Fabric(nodes=(*nodes, node("loose", 5)))
    network = classical_network(fabric, oversubscription=oversubscription)
    by_label = {spec.label: spec for spec in network.channels}
    assert len(by_label) == 2 * 7 + 2 * len(owners)
    for number in map(int, owners):
        up, down = by_label[f"uplink:n{number}"], by_label[f"downlink:n{number}"]
        assert (up.source, up.target) == (down.target, down.source) == (f"(rack-{number // 3})", "(switch)")
        assert up.gbps == down.gbps == Fraction(2**number, 10)
        assert up.forwards == down.forwards == "cut-through"
    assert by_label["egress:n0"].target == "(rack-0)"
    assert by_label["egress:loose"].target == "(switch)"
    assert {f"n{number}" for number in owners} == set(network.lane_of.values())


def test_lanes_follow_the_ids_of_the_nodes_and_not_their_order():
    nodes = tuple(node(f"n{number}", 1 + number, rack_position=f"rack-{number % 2}-slot-1") for number in range(10))
    some, other = (classical_network(Fabric(nodes=each), oversubscription=2) for each in (nodes, nodes[::-1]))
    assert some.lane_of == other.lane_of
    assert [some.lane_of[f"n{number}"] for number in (0, 2, 4, 6, 8)] == ["n0", "n2", "n4", "n0", "n2"]
    assert set(some.channels) == set(other.channels)


def test_racks_of_one_name_in_two_places_are_two():
    nodes = (
        node("a", rack_position="rack-1-slot-1", physical_location=NYC),
        node("b", rack_position="rack-1-slot-1", physical_location=CHICAGO),
    )
    network = classical_network(Fabric(nodes=nodes))
    assert len({spec.label for spec in network.channels if spec.label.startswith("uplink")}) == 2
    assert {network.channels[number].source for number in route(network, "a", "b").channels[1:2]} == {f"({NYC}/rack-1)"}


def test_a_changed_fabric_keeps_the_numbers_of_its_channels():
    before = classical_network(Fabric(nodes=(node("a"), node("b", rack_position="rack-1-slot-1"))))
    grown = Fabric(
        nodes=(node("c"), node("b", 20, rack_position="rack-1-slot-1"), node("d", rack_position="rack-1-slot-2"))
    )
    network = classical_network(grown, after=before)
    for label, number in before.number_of.items():
        assert network.number_of[label] == number
        assert network.channels[number].label == label
    assert [spec.label for spec in network.channels] == list(network.number_of)
    assert network.channels[network.number_of["uplink:b"]].gbps == 20
    assert network.channels[network.number_of["downlink:d"]].gbps == 10
    assert network.channels[route(network, "c", "d").channels[0]].label == "egress:c"


@pytest.mark.parametrize(
    "options",
    [{"oversubscription": 0}, {"oversubscription": float("nan")}, {"core_latency_ns": -1}, {"reference_bytes": 1.5}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InvalidValue):
        classical_network(Fabric(nodes=(node("a"),)), **options)
