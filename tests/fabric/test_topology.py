"""Shapes: their links counted by hand, and checked against NetworkX."""

import networkx as nx
import pytest

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric import topology


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shapes_agree_with_networkx(size):
    def edges(graph):
        return {tuple(sorted(edge)) for edge in graph.edges if edge[0] != edge[1]}

    assert set(topology.full(size)) == edges(nx.complete_graph(size))
    assert set(topology.line(size)) == edges(nx.path_graph(size))
    assert set(topology.ring(size)) == edges(nx.cycle_graph(size))
    assert set(topology.star(size)) == edges(nx.star_graph(size - 1))
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(size, 3), ordering="sorted")
    assert set(topology.grid(size, 3)) == edges(grid)
    assert len(topology.grid(size, 3)) == grid.number_of_edges()


def test_shapes_of_absurd_size_are_refused_before_they_are_built():
    for build in (topology.full, topology.line, topology.ring, topology.star):
        with pytest.raises(InvalidValue):
            build(10**12)
        with pytest.raises(InvalidValue):
            build(0)
    with pytest.raises(InvalidValue):
        topology.grid(10**6, 10**6)


def test_an_unknown_shape_names_the_nearest_one():
    with pytest.raises(UnknownName, match="'ring'"):
        topology.shape("rng", 3)


def test_components_follow_the_links():
    groups = topology.components(("a", "b", "c", "d", "e"), [("d", "a"), ("c", "e")])
    assert groups == (("a", "d"), ("b",), ("c", "e"))
