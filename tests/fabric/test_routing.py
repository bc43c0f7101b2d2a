"""Routes: shortest by an independent measure, the same every time, and honest when there is none."""

import asyncio
import itertools
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, NoRoute, UnknownName
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature, fat_tree
from hyperfabric_q.fabric.classical import classical_network
from hyperfabric_q.fabric.routing import alternatives, idle_cost_ps, route, through


def node(node_id, gbps=10.0, ns=100.0, **more):
    return NodeSignature(node_id, HardwareType.CPU_SERVER, gbps, ns, **more)


def switched(**options):
    nodes = [
        node(f"n{number}", ns=100 + number, rack_position=f"rack-{number // 2}-slot-{number}") for number in range(4)
    ]
    return classical_network(Fabric(nodes=(*nodes, node("loose", ns=5))), **options)


def names(network, way):
    return [network.channels[number].label for number in way.channels]


# -------------------------------------------------------------------------------------------------------- the switch


def test_routes_over_the_switch_charge_the_pair_on_the_last_channel():
    network = switched(core_latency_ns=30)
    expected = {
        ("n0", "n1"): (["egress:n0", "ingress:n1"], 101_000),
        ("n0", "n3"): (["egress:n0", "uplink:n0", "downlink:n3", "ingress:n3"], 133_000),
        ("n0", "loose"): (["egress:n0", "uplink:n0", "ingress:loose"], 130_000),
        ("loose", "n2"): (["egress:loose", "downlink:n2", "ingress:n2"], 132_000),
    }
    for (a, b), (path, latency) in expected.items():
        way = route(network, a, b)
        assert names(network, way) == path
        assert way.propagation_ps == (0,) * (len(path) - 1) + (latency,)
        assert way.hops == (a, b)
        assert way.latency_ps == latency


def test_oversubscribed_racks_share_lanes_in_turn():
    network = switched(oversubscription=2)
    assert names(network, route(network, "n0", "n3")) == ["egress:n0", "uplink:n0", "downlink:n2", "ingress:n3"]
    assert names(network, route(network, "n1", "n2")) == ["egress:n1", "uplink:n0", "downlink:n2", "ingress:n2"]
    assert names(network, route(network, "n3", "loose")) == ["egress:n3", "uplink:n2", "ingress:loose"]
    assert names(network, route(network, "n0", "n1")) == ["egress:n0", "ingress:n1"]


@pytest.mark.parametrize("rates", [(10, 10), (0.1, 40), (40, 0.1)])
@pytest.mark.parametrize("nbytes", [1, 4096, 350_000_000_001])
def test_racks_cost_no_time_without_oversubscription(rates, nbytes):
    async def main():
        protocol = hq.HyperFabricProtocol()
        for place, gbps in enumerate(rates):
            protocol.register_node(node(f"n{place}", gbps, 0, rack_position=f"rack-{place}-slot-1"))
        protocol.register_node(node("a-slow-neighbour", 0.01, 0, rack_position="rack-0-slot-2"))
        return await protocol.send_data(source="n0", destination="n1", data=hq.VirtualTensor((nbytes,), "int8"))

    assert hq.run(main()).latency_ps == nbytes * 8000 / Fraction(str(min(rates)))


def test_a_node_reaches_itself_over_no_channel():
    way = route(switched(), "n0", "n0")
    assert (way.channels, way.propagation_ps, way.hops) == ((), (), ("n0",))


def test_a_route_is_found_once():
    network = switched()
    assert route(network, "n0", "n3") is route(network, "n0", "n3")
    assert alternatives(network, "n0", "n3") == (route(network, "n0", "n3"),)


def test_unknown_nodes_are_named():
    with pytest.raises(UnknownName):
        route(switched(), "n0", "n9")
    with pytest.raises(UnknownName):
        alternatives(switched(), "m0", "n1")


# ---------------------------------------------------------------------------------------------------- declared links


def random_fabric(seed, size=12, chance=0.3):
    rng = np.random.default_rng(seed)
    nodes = tuple(node(f"n{number}", float(rng.choice([1, 10, 100]))) for number in range(size))
    links = tuple(
        Link(
            a.node_id,
            b.node_id,
            bandwidth_gbps=float(rng.choice([1, 10, 40])),
            latency_ns=float(rng.integers(0, 9) * 500),
        )
        for a, b in itertools.combinations(nodes, 2)
        if rng.random() < chance
    )
    return Fabric(nodes=nodes, links=links)


def weighted(network, *, without=frozenset()):
    graph = nx.DiGraph()
    graph.add_nodes_from(network.group_of)
    for number, spec in enumerate(network.channels):
        if spec.label.startswith("link:") and number not in without:
            weight = spec.propagation_ps + -(
                -network.reference_bytes * 8000 * spec.gbps.denominator // spec.gbps.numerator
            )
            graph.add_edge(spec.source, spec.target, weight=weight)
    return graph


@pytest.mark.parametrize("seed", range(8))
def test_costs_agree_with_networkx(seed):
    network = classical_network(random_fabric(seed))
    graph = weighted(network)
    for a, b in itertools.permutations(network.group_of, 2):
        if nx.has_path(graph, a, b):
            way = route(network, a, b)
            assert idle_cost_ps(network, way) == nx.shortest_path_length(graph, a, b, weight="weight")
            assert [network.channels[each].source for each in way.channels] == list(way.hops[:-1])
            assert [network.channels[each].target for each in way.channels] == list(way.hops[1:])
            assert way.propagation_ps == tuple(network.channels[each].propagation_ps for each in way.channels)
        else:
            assert names(network, route(network, a, b)) == [f"egress:{a}", f"ingress:{b}"]


@pytest.mark.parametrize("seed", range(4))
def test_alternatives_are_the_cheapest_simple_paths_in_order(seed):
    network = classical_network(random_fabric(seed, size=7, chance=0.5))
    graph = weighted(network)
    for a, b in itertools.permutations(network.group_of, 2):
        if not nx.has_path(graph, a, b):
            continue
        costs = {tuple(path): nx.path_weight(graph, path, "weight") for path in nx.all_simple_paths(graph, a, b)}
        least = min(costs.values())
        for slack in (1.0, 1.5, 3.0):
            allowed = [path for path in costs if costs[path] <= least * slack]
            allowed.sort(key=lambda path: (costs[path], len(path), path))
            found = alternatives(network, a, b, 5, slack=slack)
            assert [way.hops for way in found] == allowed[:5]
            assert found[0] == route(network, a, b)


def test_ties_go_to_the_fewest_hops_and_then_the_alphabet():
    links = [Link(a, b, latency_ns=0, bandwidth_gbps=10) for a, b in (("s", "y"), ("y", "t"), ("s", "x"), ("x", "t"))]
    links.append(Link("s", "t", latency_ns=3276.8, bandwidth_gbps=10))
    fabric = Fabric(nodes=tuple(node(each) for each in "tsyx"), links=tuple(links))
    network = classical_network(fabric)
    assert [way.hops for way in alternatives(network, "s", "t")] == [("s", "t"), ("s", "x", "t"), ("s", "y", "t")]
    shuffled = classical_network(Fabric(nodes=fabric.nodes[::-1], links=fabric.links[::-1]))
    assert [way.hops for way in alternatives(shuffled, "s", "t")] == [("s", "t"), ("s", "x", "t"), ("s", "y", "t")]


def test_the_reference_size_decides_between_near_and_wide():
    links = (
        Link("a", "b", bandwidth_gbps=1, latency_ns=100),
        Link("a", "c", bandwidth_gbps=100, latency_ns=1000),
        Link("b", "c", bandwidth_gbps=100, latency_ns=1000),
    )
    fabric = Fabric(nodes=tuple(node(each, 100) for each in "abc"), links=links)
    assert route(classical_network(fabric, reference_bytes=64), "a", "b").hops == ("a", "b")
    assert route(classical_network(fabric), "a", "b").hops == ("a", "c", "b")


def test_channels_that_are_down_are_avoided_and_not_remembered():
    fabric = Fabric(
        nodes=tuple(node(each) for each in "abcd"), links=tuple(Link(a, b) for a, b in ("ab", "bc", "cd", "ad"))
    )
    network = classical_network(fabric)
    assert route(network, "a", "b").hops == ("a", "b")
    down = frozenset({network.number_of["link:a>b"]})
    assert route(network, "a", "b", without=down).hops == ("a", "d", "c", "b")
    assert route(network, "b", "a", without=down).hops == ("b", "a")
    assert route(network, "a", "b").hops == ("a", "b")
    both = down | {network.number_of["link:a>d"]}
    with pytest.raises(NoRoute) as caught:
        route(network, "a", "b", without=both)
    assert (caught.value.a, caught.value.b) == (("a",), ("b", "c", "d"))
    assert "link:a>b" in str(caught.value)


def test_without_a_switch_two_groups_have_no_route():
    fabric = Fabric(nodes=tuple(node(each) for each in "abcd"), links=(Link("a", "b"), Link("c", "d")))
    network = classical_network(fabric, ideal_switch=False)
    with pytest.raises(NoRoute, match="connect") as caught:
        route(network, "a", "d")
    assert (caught.value.a, caught.value.b) == (("a", "b"), ("c", "d"))
    with pytest.raises(NoRoute):
        alternatives(network, "a", "d")


def test_a_port_that_is_down_leaves_no_route_over_the_switch():
    network = switched()
    with pytest.raises(NoRoute, match="ingress:n1"):
        route(network, "n0", "n1", without=frozenset({network.number_of["ingress:n1"]}))


def test_stops_are_visited_in_turn():
    network = switched()
    way = through(network, ("n0", "loose", "n3"))
    assert way.hops == ("n0", "loose", "n3")
    assert way.channels == route(network, "n0", "loose").channels + route(network, "loose", "n3").channels
    assert through(network, ("n0",)).hops == ("n0",)


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 1.5}, {"slack": 0.5}, {"slack": float("nan")}])
def test_bad_options_are_refused(options):
    with pytest.raises(InvalidValue):
        alternatives(switched(), "n0", "n1", **options)


# ---------------------------------------------------------------------------------------------------------- fat tree


@pytest.mark.parametrize("k", [2, 4, 6])
def test_a_fat_tree_has_the_published_counts_and_path_diversity(k):
    fabric = fat_tree(k, bandwidth_gbps=100, latency_ns=50)
    half = k // 2
    assert len(fabric.nodes) == k**3 // 4 + 5 * k * k // 4
    assert len(fabric.links) == 3 * k**3 // 4
    degree = {}
    for link in fabric.links:
        for end in link.ends:
            degree[end] = degree.get(end, 0) + 1
    assert {degree[each.node_id] for each in fabric.nodes if each.node_id.startswith("host")} == {1}
    assert {degree[each.node_id] for each in fabric.nodes if not each.node_id.startswith("host")} == {k}
    network = classical_network(fabric)
    assert not network.switched
    far = alternatives(network, "host-0", f"host-{k**3 // 4 - 1}", 1000)
    assert len(far) == half**2
    assert {len(way.channels) for way in far} == {6}
    assert len({way.hops[3] for way in far}) == half**2
    if k > 2:
        near = alternatives(network, "host-0", f"host-{half}", 1000)
        assert len(near) == half
        assert {len(way.channels) for way in near} == {4}
        assert len(alternatives(network, "host-0", "host-1", 1000)) == 1


@pytest.mark.parametrize("k", [0, 3, 5, 50, 2.0])
def test_impossible_fat_trees_are_refused(k):
    with pytest.raises(InvalidValue):
        fat_tree(k)


def test_a_thousand_nodes_in_racks_of_32_send_to_their_neighbours_in_seven_seconds():
    async def main():
        protocol = hq.HyperFabricProtocol()
        for number in range(1024):
            position = f"rack-{number // 32}-slot-{number % 32}"
            protocol.register_node(node(f"gpu-{number:04d}", 400, 100, rack_position=position))
        gradient = hq.VirtualTensor((175_000_000_000,), "float16")
        return await asyncio.gather(
            *[
                protocol.send_data(
                    source=f"gpu-{number:04d}", destination=f"gpu-{(number + 1) % 1024:04d}", data=gradient
                )
                for number in range(1024)
            ]
        )

    results = hq.run(main())
    assert len(results) == 1024
    assert {each.latency_ps for each in results} == {7_000_000_100_000}
