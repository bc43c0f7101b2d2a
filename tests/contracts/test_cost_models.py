"""What every cost model promises, third parties' included: run over all that are registered."""

import math
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.cost_models import MOST_PRICE, cost_model, cost_models, priced_network
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.partitioners.kind import partition
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.families import brickwork, qft

SHAPES = {"full": hq.Fabric.full, "line": hq.Fabric.line, "star": hq.Fabric.star}

every_model = pytest.mark.parametrize("name", list(cost_models))
every_shape = pytest.mark.parametrize("shape", SHAPES)


def chapters_for(circuit):
    program = rebase(circuit)
    return chapters_of(program, segments_of(program))


CHAPTERS = [chapters_for(brickwork(6, 3, seed=1)), chapters_for(qft(6))]


def priced(name, shape="full", fidelity=0.95):
    fabric = SHAPES[shape]([3, 3, 2], pair_fidelity=fidelity)
    return network_of(fabric, prices=cost_model(name).prices(fabric))


def scattered(chapters, nodes, seed):
    """Homes and sites at random; nobody asks a cost model for good ones."""
    rng = np.random.default_rng(seed)
    homes = rng.integers(nodes, size=len(chapters)).astype(np.int32)
    return homes, rng.integers(nodes, size=len(chapters.gate_layer)).astype(np.int32)


def by_sets(chapters, network, homes, sites):
    """The prices of all pairs from plain sets; on three nodes the cheapest tree is the cheapest spanning tree."""
    graph = nx.Graph()
    for a, near in enumerate(network.neighbours):
        graph.add_weighted_edges_from((a, b, network.price(a, b)) for b in near)
    between = dict(nx.all_pairs_dijkstra_path_length(graph))
    copies = [{int(home)} for home in homes]
    for segment, following in enumerate(chapters.next_of.tolist()):
        copies[segment] |= {int(homes[following])} if following >= 0 else set()
    for pair, site in zip(chapters.segments.gate_segments.tolist(), sites.tolist(), strict=True):
        for segment in pair:
            copies[segment].add(site)
    total = 0
    for held in copies:
        if len(held) == 2:
            total += between[min(held)][max(held)]
        elif len(held) > 2:
            total += int(nx.minimum_spanning_tree(graph).size(weight="weight"))
    return total


@every_model
@every_shape
def test_a_placement_costs_what_its_pairs_cost(name, shape):
    model, network = cost_model(name), priced(name, shape)
    for chapters in CHAPTERS:
        for seed in range(5):
            homes, sites = scattered(chapters, len(network), seed)
            found = model(chapters, network, homes, sites)
            assert found == pytest.approx(model.unit * by_sets(chapters, network, homes, sites))
            assert found == model(chapters, network, homes, sites)


@every_model
@every_shape
def test_a_placement_on_one_node_is_free_and_no_other_is(name, shape):
    model, network = cost_model(name), priced(name, shape)
    for chapters in CHAPTERS:
        homes, sites = scattered(chapters, 1, 0)
        assert model(chapters, network, homes, sites) == 0
        sites[0] = 1
        assert model(chapters, network, homes, sites) > 0


@every_model
def test_prices_are_whole_and_positive_and_symmetric(name):
    for fidelity in (0.25, 0.6, 0.99, 1.0):
        fabric = SHAPES["full"]([2, 2], pair_fidelity=fidelity)
        prices = cost_model(name).prices(fabric)
        if prices is None:
            continue
        (link,) = fabric.links
        assert type(prices(link)) is int
        assert prices(link) >= 1
        network = priced(name, fidelity=fidelity)
        assert np.array_equal(network.prices, np.array(network.prices).T)


@every_model
def test_better_links_never_cost_more(name):
    model, chapters = cost_model(name), CHAPTERS[0]
    homes, sites = scattered(chapters, 3, 1)
    found = [model(chapters, priced(name, fidelity=each), homes, sites) for each in (0.6, 0.8, 0.9, 0.99, 1.0)]
    assert found == sorted(found, reverse=True)


@every_model
def test_one_gate_elsewhere_changes_the_cost_by_its_pairs_alone(name):
    """All qubits are at home on one node; a gate away from both its qubits costs a pair for each."""
    model, network, chapters = cost_model(name), priced(name), CHAPTERS[0]
    homes, sites = scattered(chapters, 1, 0)
    sites[2] = 1
    once = model(chapters, network, homes, sites)
    assert once == pytest.approx(model.unit * 2 * network.price(0, 1))


@every_model
@pytest.mark.parametrize("partitioner", ["blocks", "multilevel", "search", "exact"])
def test_partitioners_take_its_prices(name, partitioner):
    """Two good links and a bad one: what is found is never dearer than the blocks."""
    fabric = unlike(0.99, 0.99, 0.7)
    model = cost_model(name)
    network = network_of(fabric, prices=model.prices(fabric))
    for chapters in CHAPTERS:
        found, blocks = (
            partition(each, chapters, network, network.capacity, seed=0, moves=5_000)
            for each in (partitioner, "blocks")
        )
        costs = [model(chapters, network, each[0], each[2]) for each in (found, blocks)]
        assert costs[0] <= costs[1]


@every_model
def test_a_plan_is_chosen_by_it_and_bounded(name):
    fabric, model = unlike(0.99, 0.99, 0.7), cost_model(name)
    plan = hq.plan(qft(5), fabric, objective=name, seed=1, time_limit_s=0.2)
    assert plan.objective == name
    prices = model.prices(fabric) or (lambda link: 1)
    spent = sum(prices(fabric.link(*ends)) * count for ends, count in plan.ebits_per_link.items())
    bound = plan.lower_bound()
    assert bound.measure == name
    assert bound.cost == pytest.approx(model.unit * spent)
    assert 0 < bound.value <= bound.cost
    fewest = hq.plan(qft(5), fabric, seed=1, time_limit_s=0.2)
    assert bound.value <= fewest.lower_bound(measure=name, time_limit_s=0).cost >= bound.cost - 1e-12


@every_model
def test_its_prices_reach_the_network_checked(name, monkeypatch):
    fabric = unlike(0.99, 0.9, 0.7)
    assert priced_network(name, fabric) == network_of(fabric, prices=cost_model(name).prices(fabric))
    for wrong in (0, 1.5, True, "2", MOST_PRICE + 1):
        spoiled = SimpleNamespace(unit=1.0, prices=lambda _, wrong=wrong: lambda _: wrong)
        monkeypatch.setitem(cost_models._members, "spoiled", spoiled)
        with pytest.raises(InvalidValue, match="'spoiled' must price each link by a whole number"):
            priced_network("spoiled", fabric)


def unlike(ab, ac, bc):
    """A triangle of three nodes with two, two and two data qubits."""
    nodes = hq.Fabric.full([2, 2, 2], pair_fidelity=0.9).nodes
    ends = {("qpu-0", "qpu-1"): ab, ("qpu-0", "qpu-2"): ac, ("qpu-1", "qpu-2"): bc}
    return hq.Fabric(nodes=nodes, links=[hq.Link(*each, pair_fidelity=ends[each]) for each in ends])


# -------------------------------------------------------------------------------------------------------- our own two


def test_ebits_count_pairs_whatever_the_links():
    chapters = CHAPTERS[1]
    homes, sites = scattered(chapters, 3, 2)
    model = cost_model("ebits")
    plain, dear = priced("ebits"), priced("infidelity")
    assert model(chapters, plain, homes, sites) == model(chapters, dear, homes, sites)
    assert model(chapters, plain, homes, sites) == by_sets(chapters, plain, homes, sites)


def test_infidelity_is_the_sum_of_minus_ln_f():
    chapters = CHAPTERS[1]
    homes, sites = scattered(chapters, 3, 2)
    pairs = cost_model("ebits")(chapters, priced("ebits"), homes, sites)
    found = cost_model("infidelity")(chapters, priced("infidelity", fidelity=0.9), homes, sites)
    assert found == pytest.approx(-pairs * math.log(0.9), rel=2e-3)


def test_infidelity_takes_the_detour_over_good_links():
    fabric, model = unlike(0.99, 0.99, 0.7), cost_model("infidelity")
    network = network_of(fabric, prices=model.prices(fabric))
    chapters = chapters_for(qft(2))
    homes, sites = np.array([1, 2], dtype=np.int32), np.array([2], dtype=np.int32)
    assert len(chapters) == 2
    assert model(chapters, network, homes, sites) == pytest.approx(-2 * math.log(0.99), rel=2e-2)


def test_infidelity_wants_prices_and_unknown_models_are_refused():
    homes, sites = scattered(CHAPTERS[0], 3, 0)
    with pytest.raises(InvalidValue, match=r"network\.prices"):
        cost_model("infidelity")(CHAPTERS[0], priced("ebits"), homes, sites)
    with pytest.raises(UnknownName, match="'infidelity'"):
        cost_model("infidelty")
