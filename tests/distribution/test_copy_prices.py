"""Prices of copy sets against an exhaustive search over trees."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.distribution.copy_prices import TABLE_NODES, copy_prices
from hyperfabric_q.distribution.network import UNREACHABLE
from hyperfabric_q.errors import InvalidValue


def cheapest_tree(graph, limits, root, wanted):
    """Every subgraph with the wanted nodes and any others; nodes with one communication qubit must be leaves."""
    best = UNREACHABLE
    spare = [node for node in graph if node not in wanted]
    for count in range(len(spare) + 1):
        for extra in combinations(spare, count):
            nodes = {*wanted, *extra}
            links = [link for link in graph.edges if set(link) <= nodes]
            for chosen in combinations(links, len(nodes) - 1):
                tree = nx.Graph(chosen)
                tree.add_nodes_from(nodes)
                leaf_only = (tree.degree[node] > 1 and limits[node] == 1 and node != root for node in nodes)
                if nx.is_connected(tree) and not any(leaf_only):
                    best = min(best, sum(graph.edges[link]["weight"] for link in chosen))
    return best


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_the_table_holds_the_cheapest_tree_from_every_home(net, seed):
    rng = np.random.default_rng(seed)
    nodes = 4
    links = [pair for pair in combinations(range(nodes), 2) if rng.random() < 0.7]
    limits = [int(rng.choice([1, 2, 2])) for _ in range(nodes)]
    weights = rng.integers(1, 9, size=(nodes, nodes))
    weights = np.triu(weights) + np.triu(weights, 1).T
    graph = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from((a, b, {"weight": int(weights[a, b])}) for a, b in links)
    prices = copy_prices(net(links, [9] * nodes, limits), weights)
    for root in range(nodes):
        for others in range(1 << nodes):
            wanted = {root, *(node for node in range(nodes) if others >> node & 1)}
            expected = cheapest_tree(graph, limits, root, wanted)
            assert min(prices.of(root, frozenset(wanted)), UNREACHABLE) == expected


def test_e_bits_agree_with_the_network_on_lines_and_full_networks(net):
    for shape in ("line", "full", "star"):
        network = net(shape, [9] * 6)
        prices = copy_prices(network)
        for root in range(6):
            for others in range(1 << 6):
                mask = others | 1 << root
                wanted = frozenset(node for node in range(6) if mask >> node & 1)
                assert prices.of(root, wanted) == network.spread(root, mask)


def test_large_networks_are_priced_without_a_table(net):
    size = TABLE_NODES + 2
    full, line = copy_prices(net("full", [9] * size)), copy_prices(net("line", [9] * size))
    assert len(full.table) == len(line.table) == 0
    assert full.of(3, frozenset({0, 3, 13})) == 2
    assert line.of(3, frozenset({0, 3, 13})) == 13


def test_prices_must_be_a_symmetric_positive_matrix(net):
    network = net("full", [9] * 3)
    for wrong in (np.ones((2, 2)), np.zeros((3, 3)), np.arange(9).reshape(3, 3) + 1):
        with pytest.raises(InvalidValue, match="symmetric matrix of positive"):
            copy_prices(network, wrong.astype(np.int64))
