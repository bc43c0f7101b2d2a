"""The network: hop counts and spreading trees against exhaustive search."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from hyperfabric_q.distribution.network import MAX_NODES, UNREACHABLE, components, network_of
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature

GRID = list(nx.convert_node_labels_to_integers(nx.grid_2d_graph(2, 3)).edges)


def cheapest_tree(network, root, mask):
    """The fewest links that join ``root`` to every node of ``mask``; nodes that cannot relay are leaves. Exhaustive."""
    size = len(network)
    wanted = {node for node in range(size) if mask >> node & 1} | {root}
    relays = {node for node in range(size) if network.communication[node] is None or network.communication[node] >= 2}
    graph = nx.Graph((a, b) for a in range(size) for b in network.neighbours[a])
    graph.add_nodes_from(range(size))
    spare = sorted(relays - wanted)
    for count in range(len(spare) + 1):
        for chosen in combinations(spare, count):
            nodes = wanted | set(chosen)
            inner = (nodes & relays) | {root}
            reached = nx.node_connected_component(graph.subgraph(inner), root)
            if reached == inner and all(set(graph[leaf]) & inner for leaf in nodes - inner):
                return len(nodes) - 1
    return None


def check_tree(network, root, mask):
    links = network.tree(root, mask)
    reached = {root}
    for parent, child in links:
        assert parent in reached
        assert child in network.neighbours[parent]
        assert child not in reached
        assert parent == root or network.relays(parent)
        reached.add(child)
    assert all(node in reached for node in range(len(network)) if mask >> node & 1)
    leaves = reached - {parent for parent, _ in links}
    assert all(mask >> leaf & 1 or leaf == root for leaf in leaves), "a branch that nothing needs"
    return len(links)


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize(
    ("shape", "nodes", "exact"),
    [("line", 6, True), ("star", 6, True), ([(0, 1), (1, 2), (1, 3), (3, 4), (3, 5)], 6, True), ("full", 5, True),
     ("ring", 6, False), (GRID, 6, False)],
    ids=["line", "star", "tree", "full", "ring", "grid"],
)  # fmt: skip
def test_trees_are_as_short_as_promised(net, shape, nodes, exact, limit):
    network = net(shape, [1] * nodes, limit)
    for root in range(nodes):
        for mask in (bits for bits in range(2**nodes) if bits >> root & 1):
            best, used = cheapest_tree(network, root, mask), check_tree(network, root, mask)
            assert network.spread(root, mask) == used
            assert used == best if exact or mask.bit_count() <= 2 else best <= used <= 2 * best


def test_nodes_with_one_communication_qubit_end_chains_and_pass_nothing_on(net):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        graph = nx.gnp_random_graph(6, 0.5, seed=seed)
        network = net(list(graph.edges), [1] * 6, [int(each) for each in rng.integers(0, 4, size=6)])
        for root in range(6):
            for far in range(6):
                best = cheapest_tree(network, root, 1 << far)
                assert network.hops(root, far) == (UNREACHABLE if best is None else best)
                if best is not None:
                    mask = 1 << root | 1 << far
                    assert check_tree(network, root, mask) == network.spread(root, mask) == best
                else:
                    assert network.spread(root, 1 << root | 1 << far) >= UNREACHABLE


def test_hops_on_a_line_with_an_end_only_node(net):
    network = net("line", [1] * 4, [1, 2, 1, 1])
    assert [network.hops(0, far) for far in range(4)] == [0, 1, 2, UNREACHABLE]
    assert network.hops(2, 3) == 1
    assert not network.relays(2)


def test_a_complete_network_needs_no_relay(net):
    network = net("full", [1] * 4, 1)
    assert network.complete
    assert network.spread(2, 0b1111) == 3
    assert {link[0] for link in network.tree(2, 0b1111)} == {2}


def test_a_node_without_communication_qubits_is_not_complete(net):
    network = net("full", [1] * 3, [1, 0, 1])
    assert not network.complete
    assert network.hops(0, 1) == UNREACHABLE
    assert network.spread(0, 0b010 | 1) >= UNREACHABLE


def test_an_unreachable_node_costs_more_than_any_plan(net):
    network = net([(0, 1)], [1] * 3)
    assert network.tree(0, 0b111)[-1] == (-1, 2)
    assert network.spread(0, 0b111) > 10_000


def test_restricting_keeps_links_room_and_limits(net):
    part = net("ring", [1, 2, 3, 4], [5, 6, 7, 8]).restricted([3, 0, 2])
    assert part.names == ("n3", "n0", "n2")
    assert part.capacity == (4, 1, 3)
    assert part.communication == (8, 5, 7)
    assert part.neighbours == ((1, 2), (0,), (0,))


def test_components_against_networkx():
    for seed in range(10):
        graph = nx.gnp_random_graph(12, 0.1, seed=seed)
        found = components([sorted(graph[node]) for node in graph])
        assert found == sorted(map(sorted, nx.connected_components(graph)))
    assert components([]) == []


def test_copy_sets_of_the_largest_network_fit_their_word(net):
    network = net("full", [1] * MAX_NODES)
    assert network.spread(0, 2**MAX_NODES - 1) == MAX_NODES - 1


# ------------------------------------------------------------------------------------------------------ from a fabric


def node(name, **options):
    return NodeSignature(name, options.pop("kind", HardwareType.QUANTUM_QPU), 10.0, 100.0, **options)


def test_a_fabric_becomes_its_qpu_nodes_and_usable_quantum_links():
    fabric = Fabric(
        nodes=(
            node("gpu", kind=HardwareType.NVIDIA_H100, compute_units=8),
            node("a", compute_units=3, communication_qubits=2),
            node("unsized"),
            node("b", compute_units=4),
            node("mute", compute_units=5, communication_qubits=0),
        ),
        links=(
            Link("a", "b", pair_fidelity=0.9),
            Link("a", "gpu", bandwidth_gbps=1.0),
            Link("a", "mute", pair_fidelity=0.9),
            Link("b", "mute", latency_ns=5.0),
            Link("a", "unsized", pair_fidelity=0.9),
        ),
    )
    network = network_of(fabric)
    assert network.names == ("a", "b", "mute")
    assert network.capacity == (3, 4, 5)
    assert network.communication == (2, None, 0)
    assert network.neighbours == ((1,), (0,), ())


def test_an_empty_fabric_is_an_empty_network():
    assert len(network_of(Fabric())) == 0
