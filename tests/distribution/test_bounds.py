"""Lower bounds and the exact solver against all placements, and against known optima."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2

from hyperfabric_q.distribution.bounds import Bound, lower_bound, two_sided, window
from hyperfabric_q.distribution.chapters import chapters_of, cost_in_time
from hyperfabric_q.distribution.families import _common, _connectivity, families, links_to_hold, tree_table
from hyperfabric_q.distribution.hub import hub_starts
from hyperfabric_q.distribution.partitioners.exact import exact
from hyperfabric_q.distribution.partitioners.kind import partition
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.families.qft import qft

CIRCUITS = Path(__file__).parents[2] / "circuits"


def in_time(circuit):
    program = rebase(circuit)
    return chapters_of(program, segments_of(program))


def peer(name):
    return in_time(qasm2.load(CIRCUITS / f"{name}.qasm", custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS))


def graph_of(network):
    graph = nx.Graph([(a, b) for a, near in enumerate(network.neighbours) for b in near])
    graph.add_nodes_from(range(len(network)))
    return graph


def trees(network):
    """Links of a smallest tree around each set of nodes, from all connected sets of nodes."""
    graph, nodes = graph_of(network), range(len(network))
    sets = [frozenset(n for n in nodes if mask >> n & 1) for mask in range(1 << len(network))]
    joined = [each for each in sets if each and nx.is_connected(graph.subgraph(each))]
    return {each: min((len(wide) - 1 for wide in joined if each <= wide), default=10**6) for each in sets}


def copies_of(chapters, homes, sites):
    copies = [{home} for home in homes]
    for segment, after in enumerate(chapters.next_of.tolist()):
        if after >= 0:
            copies[segment].add(homes[after])
    for (a, b), site in zip(chapters.segments.gate_segments.tolist(), sites, strict=True):
        copies[a].add(site)
        copies[b].add(site)
    return [frozenset(each) for each in copies]


def fits(chapters, homes, idle, capacity):
    """Whether no layer holds more than the capacities, with the idle qubits wherever there is room all the time."""
    room = list(capacity)
    spans = list(zip(chapters.begins.tolist(), chapters.ends.tolist(), homes, strict=True))
    peak = [
        max(sum(b <= t < e and h == node for b, e, h in spans) for t in range(chapters.layers))
        for node in range(len(room))
    ]
    return all(p <= r for p, r in zip(peak, room, strict=True)) and sum(room) - sum(peak) >= idle


def priced_trees(network):
    """Price of a cheapest tree around each set of nodes, from minimum spanning trees of all connected sets."""
    graph, nodes = graph_of(network), range(len(network))
    nx.set_edge_attributes(graph, {each: network.price(*each) for each in graph.edges}, "weight")
    sets = [frozenset(n for n in nodes if mask >> n & 1) for mask in range(1 << len(network))]
    spanned = {
        each: nx.minimum_spanning_tree(graph.subgraph(each)).size(weight="weight")
        for each in sets
        if each and nx.is_connected(graph.subgraph(each))
    }
    return {each: min((cost for wide, cost in spanned.items() if each <= wide), default=10**9) for each in sets}


def cheapest(chapters, network, capacity, links=None):
    """The optimum by trying all homes, and for each all sites."""
    links = trees(network) if links is None else links
    idle = int(chapters.idle.sum())
    nodes = range(len(network))
    best = 10**9
    for homes in product(nodes, repeat=len(chapters)):
        if not fits(chapters, homes, idle, capacity):
            continue
        for sites in product(nodes, repeat=len(chapters.segments.gate_row)):
            best = min(best, sum(links[each] for each in copies_of(chapters, homes, sites)))
    return best


def tiny(seed, scramble, nodes, breaks=0.8):
    """A random circuit small enough for ``cheapest``."""
    rng = np.random.default_rng(seed)
    most = {2: (8, 6), 3: (6, 4), 4: (4, 3)}[nodes]
    while True:
        chapters = in_time(scramble(int(rng.integers(3, 5)), int(rng.integers(6, 14)), rng, breaks=breaks))
        sizes = len(chapters), len(chapters.segments.gate_row)
        if 1 < sizes[1] <= most[1] and most[0] - 3 <= sizes[0] <= most[0]:
            return chapters


CELLS = [(2, "full", [2, 2]), (2, "full", [3, 1]), (3, "full", [2, 1, 1]), (3, "line", [1, 2, 1])]
CELLS += [(4, "ring", [1, 1, 1, 1]), (4, "star", [1, 1, 1, 1]), (4, "full", [1, 1, 1, 1])]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("nodes", "shape", "capacity"), CELLS)
def test_the_program_finds_the_optimum_and_no_bound_exceeds_it(nodes, shape, capacity, seed, net, scramble):
    chapters, network = tiny(100 * nodes + seed, scramble, nodes), net(shape, capacity)
    optimum = cheapest(chapters, network, capacity)
    found = exact(chapters, network, capacity, time_limit_s=20)
    assert found.proved
    assert found.cost == found.bound == optimum
    homes, idle_homes, sites = found.placement
    links = trees(network)
    assert sum(links[each] for each in copies_of(chapters, homes.tolist(), sites.tolist())) == optimum
    assert fits(chapters, homes.tolist(), int(chapters.idle.sum()), capacity)
    assert ((idle_homes >= 0) == chapters.idle).all()
    assert lower_bound(chapters, network, capacity, time_limit_s=0).value <= optimum
    assert lower_bound(chapters, network, capacity, time_limit_s=10).value == optimum
    assert lower_bound(chapters, network, capacity, time_limit_s=10, target=optimum).value == optimum


def with_prices(network, rng, dearest):
    """The network with a random price for each link."""
    prices = np.ones((len(network), len(network)), dtype=int)
    for a, near in enumerate(network.neighbours):
        for b in near:
            prices[a, b] = prices[b, a] = int(rng.integers(1, dearest)) if a < b else prices[a, b]
    return replace(network, prices=tuple(tuple(row) for row in prices.tolist()))


@pytest.mark.parametrize("dearest", [10, 20_000])
@pytest.mark.parametrize(("nodes", "shape", "capacity"), CELLS)
def test_under_prices_the_program_finds_the_optimum_and_no_bound_exceeds_it(
    nodes, shape, capacity, dearest, net, scramble
):
    rng = np.random.default_rng(dearest + nodes)
    chapters, network = tiny(7 * nodes, scramble, nodes), with_prices(net(shape, capacity), rng, dearest)
    links = priced_trees(network)
    optimum = cheapest(chapters, network, capacity, links)
    found = exact(chapters, network, capacity, time_limit_s=20)
    homes, _, sites = found.placement
    assert sum(links[each] for each in copies_of(chapters, homes.tolist(), sites.tolist())) == optimum
    assert fits(chapters, homes.tolist(), int(chapters.idle.sum()), capacity)
    assert found.bound == optimum
    assert lower_bound(chapters, network, capacity, time_limit_s=0).value <= optimum
    assert lower_bound(chapters, network, capacity, time_limit_s=10).value == optimum


@pytest.mark.parametrize("seed", range(8))
def test_under_prices_no_bound_exceeds_the_exact_one_and_no_search_is_below_it(seed, net, scramble):
    rng = np.random.default_rng(seed)
    shape = ("full", "line", "ring", "star")[seed % 4]
    capacity = [2, 2, 2] if seed < 4 else [2, 1, 2, 1]
    network = with_prices(net(shape, capacity), rng, 3_000)
    chapters = in_time(scramble(5, 16, rng, breaks=0.5))
    whole = exact(chapters, network, capacity, time_limit_s=20)
    assert lower_bound(chapters, network, capacity, time_limit_s=0).value <= whole.bound <= whole.cost
    for name in ("search", "multilevel", "blocks"):
        homes, _, sites = partition(name, chapters, network, capacity, seed=seed, moves=20_000)
        assert whole.bound <= cost_in_time(chapters, network, homes, sites)
        if whole.proved:
            assert whole.cost <= cost_in_time(chapters, network, homes, sites)


def test_one_price_for_all_scales_the_bound(net):
    chapters, network = in_time(qft(6)), net("full", [2, 2, 2])
    dear = replace(network, prices=tuple(tuple(3 for _ in range(3)) for _ in range(3)))
    plain, scaled = (exact(chapters, each, [2, 2, 2], time_limit_s=20) for each in (network, dear))
    assert plain.proved
    assert (scaled.cost, scaled.bound) == (3 * plain.cost, 3 * plain.cost)
    bounds = [lower_bound(chapters, each, [2, 2, 2], time_limit_s=0).value for each in (network, dear)]
    assert bounds[1] == 3 * bounds[0] > 0


def test_cuts_price_the_links_of_a_line_one_by_one(net):
    """GHZ on a line needs each link once: the dear one counts in full."""
    chapters, network = peer("peers/ghz_32"), net("line", [11, 11, 11])
    dear = replace(network, prices=((1, 7, 1), (7, 1, 90), (1, 90, 1)))
    found = lower_bound(chapters, dear, [11, 11, 11], time_limit_s=10)
    assert found.value == 97


def test_trees_of_many_unlike_nodes_are_bounded_by_their_cheapest_links(net):
    """Seven nodes, all linked: the program has no table of trees, and its bound must stay below the placement's."""
    rng = np.random.default_rng(3)
    network = with_prices(net("full", [1] * 7), rng, 50)
    circuit = QuantumCircuit(7)
    for qubit in range(6):
        circuit.cz(qubit, qubit + 1)
    chapters = in_time(circuit)
    found = exact(chapters, network, [1] * 7, time_limit_s=3)
    cheap = sorted(min(network.prices[a][b] for b in range(7) if b != a) for a in range(7))
    assert sum(cheap[:3]) <= found.bound <= found.cost


def test_a_bound_says_how_far_the_plan_can_be():
    bound = Bound(value=12, method="cuts", seconds=0.1)
    assert bound.gap is None
    assert str(bound) == "no plan is below 12 e-bits (cuts)"
    beside = bound.beside(15, measure="ebits", unit=1.0)
    assert beside.gap == 3
    assert str(beside) == "no plan is below 12 e-bits (cuts); this one has 15, a gap of 3 (20.0%)"
    assert "which is optimal" in str(bound.beside(12, measure="ebits", unit=1.0))
    priced = bound.beside(15, measure="infidelity", unit=1e-4)
    assert (priced.value, priced.cost) == pytest.approx((12e-4, 15e-4))
    assert "by 'infidelity'" in str(priced)


def test_a_cost_that_cannot_be_beaten_is_proved(net):
    chapters, network = in_time(qft(4)), net("full", [2, 2])
    optimum = exact(chapters, network, [2, 2], time_limit_s=10)
    beaten = exact(chapters, network, [2, 2], time_limit_s=10, beat=optimum.cost)
    assert (beaten.placement, beaten.bound, beaten.proved) == (None, optimum.cost, True)
    better = exact(chapters, network, [2, 2], time_limit_s=10, beat=optimum.cost + 1)
    assert (better.cost, better.proved) == (optimum.cost, True)
    assert exact(chapters, network, [2, 2], time_limit_s=0).placement is None


@pytest.mark.parametrize(
    ("name", "optima"), [("ghz_32", (1, 3, 3)), ("ising1d_t5_32", (5, 15, 15)), ("adder_32", (2, 6, 6))]
)
def test_families_prove_known_optima(name, optima, net):
    chapters = peer(f"peers/{name}")
    for (shape, nodes), optimum in zip((("full", 2), ("full", 4), ("line", 4)), optima, strict=True):
        capacity = [32 // nodes + 1] * nodes
        assert lower_bound(chapters, net(shape, capacity), capacity, time_limit_s=0).value == optimum


@pytest.mark.parametrize("name", ["qft_16", "peers/qft_16", "peers/qft_32", "peers/qft_64"])
@pytest.mark.parametrize(("shape", "nodes"), [("full", 2), ("full", 4), ("line", 4)])
def test_bounds_stay_below_the_hub_construction_and_meet_it_on_two_nodes(name, shape, nodes, net):
    chapters = peer(name)
    width = chapters.segments.qubits
    capacity = [width // nodes + 1] * nodes
    network = net(shape, capacity)
    known = {(16, 2): 7, (32, 2): 15, (64, 2): 31, (16, 4): 12, (32, 4): 28, (64, 4): 60}[width, nodes]
    bound = lower_bound(chapters, network, capacity, time_limit_s=0)
    assert bound.value <= known
    if nodes == 2 and width < 64:
        assert bound.value == known
        assert hub_starts(chapters, network, capacity)


def test_splits_bound_what_families_cannot(net):
    chapters, capacity = peer("peers/qaoa3reg_p1_32"), [17, 17]
    assert lower_bound(chapters, net("full", capacity), capacity, time_limit_s=0).value < 5
    found = lower_bound(chapters, net("full", capacity), capacity, time_limit_s=20)
    assert (found.value, found.method) == (5, "cuts")


# ---------------------------------------------------------------------------------------------------------- the pieces


def wandering(chapters, capacity, rng, steps):
    """A random placement whose homes move, within the capacities; sites prefer nodes that hold copies already."""
    order = rng.permutation(np.repeat(np.arange(len(capacity)), capacity))[: chapters.segments.qubits]
    homes = order[chapters.segments.qubit].tolist()
    for _ in range(steps):
        segment, node = int(rng.integers(len(homes))), int(rng.integers(len(capacity)))
        old, homes[segment] = homes[segment], node
        if not fits(chapters, homes, 0, [room + 1 for room in capacity]):
            homes[segment] = old
    ends = chapters.segments.gate_segments
    return homes, [homes[int(rng.choice(pair))] for pair in ends]


@pytest.mark.parametrize("seed", range(6))
def test_families_windows_and_splits_hold_in_every_placement(seed, net, scramble):
    rng = np.random.default_rng(seed)
    chapters = in_time(scramble(9, 70, rng, breaks=0.5))
    shape = ("full", "line", "ring")[seed % 3]
    capacity = [3, 3, 2, 2]
    generous = [room + 1 for room in capacity]
    network = net(shape, generous)
    links = trees(network)
    known = families(chapters, network, generous)
    assert sum(family.value for family in known) > 0
    used = np.concatenate([family.segments for family in known])
    assert len(used) == len(set(used.tolist())), "families share no segment"
    part = two_sided(chapters, (8, 6), until=0)
    for _ in range(6):
        homes, sites = wandering(chapters, capacity, rng, 60)
        copies = copies_of(chapters, homes, sites)
        for family in known:
            assert sum(links[copies[segment]] for segment in family.segments.tolist()) >= family.value
        assert sum(len({node < 2 for node in each}) == 2 for each in copies) >= part


def test_windows_share_out_the_segments_and_never_cost_more_than_the_whole(net, scramble):
    chapters = in_time(scramble(6, 60, np.random.default_rng(5), breaks=0.5))
    network = net("full", [4, 3])
    parts = [window(chapters, number, 3) for number in range(3)]
    assert sum(len(part) for part in parts) == len(chapters)
    for part in parts:
        assert not part.idle.any()
        ends = part.segments.gate_segments
        assert (part.segments.qubit[ends[:, 0]] != part.segments.qubit[ends[:, 1]]).all()
    whole = exact(chapters, network, [4, 3], time_limit_s=10)
    pieces = [exact(part, network, [4, 3], time_limit_s=10) for part in parts]
    assert whole.proved
    assert all(piece.proved for piece in pieces)
    assert 0 < sum(piece.cost for piece in pieces) <= whole.cost


@pytest.mark.parametrize("seed", range(5))
def test_tree_table_is_the_smallest_tree(seed, net):
    graph = nx.gnp_random_graph(5, 0.5, seed=seed)
    network = net(list(graph.edges), [1] * 5)
    table = tree_table(network)
    for nodes, links in trees(network).items():
        assert not nodes or min(table[sum(1 << node for node in nodes)], 10**6) == links


@pytest.mark.parametrize("seed", range(12))
def test_connectivity_is_that_of_networkx(seed):
    graph = nx.gnp_random_graph(9, 0.3 + 0.05 * seed, seed=seed)
    pairs = np.array(list(graph.edges), dtype=np.int64).reshape(-1, 2)
    assert _connectivity(pairs, 9) == nx.node_connectivity(graph)


def test_common_neighbours_stay_below_the_connectivity():
    met = 0
    for seed in range(12):
        graph = nx.gnp_random_graph(10, 0.4 + 0.05 * seed, seed=seed)
        common = _common(nx.to_numpy_array(graph).astype(bool))
        assert common <= nx.node_connectivity(graph)
        met += common
    assert met > 20
    assert _common(nx.to_numpy_array(nx.complete_bipartite_graph(4, 6)).astype(bool)) == 4
    assert _common(~np.eye(5, dtype=bool)) == 4


def test_a_wide_fourier_transform_is_bounded_by_its_middle(net):
    chapters, capacity = in_time(qft(120)), [40, 50, 45]
    assert 50 <= lower_bound(chapters, net("full", capacity), capacity, time_limit_s=0).value <= 70


def test_links_to_hold_count_the_nodes_on_the_way(net):
    assert links_to_hold(net("full", [3, 2, 4]), [3, 2, 4], 9) == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
    star = net("star", [1, 4, 4, 4])
    assert links_to_hold(star, [1, 4, 4, 4], 9) == [0, 0, 0, 0, 0, 1, 2, 2, 2, 2]
    assert links_to_hold(net("full", [2]), [2], 2) == [0, 0, 0]


@pytest.mark.parametrize("qubits", [1, 3])
def test_circuits_without_gates_cost_nothing(qubits, net):
    chapters, network = in_time(QuantumCircuit(qubits)), net("full", [2, 2])
    assert lower_bound(chapters, network, [2, 2], time_limit_s=1).value == 0
    found = exact(chapters, network, [2, 2], time_limit_s=1)
    assert (found.cost, found.proved) == (0, True)
    assert np.bincount(found.placement[1], minlength=2).max() <= 2
