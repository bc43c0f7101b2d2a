"""Hub constructions against known answers, with a cost computed from sets."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2

from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.hub import _best_tree, _filled, _hub_table, _shapes, hub_starts, layouts
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.families.qft import qft, qft_roundtrip

CIRCUITS = Path(__file__).parents[2] / "circuits"


def read(path):
    return qasm2.load(CIRCUITS / path, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)


def in_time(circuit):
    program = rebase(circuit)
    return chapters_of(program, segments_of(program))


def price(chapters, network, start, capacity):
    """E-bits of a start from sets of nodes, after checking that it is a placement; links of lines and full graphs."""
    homes, idle_homes, sites = (each.tolist() for each in start)
    segments = chapters.segments
    held = [set() for _ in capacity]
    for segment, home in enumerate(homes):
        held[home].add(int(segments.qubit[segment]))
    for qubit, home in enumerate(idle_homes):
        assert (home >= 0) == (qubit not in set(segments.qubit.tolist()))
        if home >= 0:
            held[home].add(qubit)
    assert sum(len(each) for each in held) == segments.qubits, "no qubit moves"
    assert all(len(each) <= room for each, room in zip(held, capacity, strict=True))
    copies = [{home} for home in homes]
    for (a, b), site in zip(segments.gate_segments.tolist(), sites, strict=True):
        copies[a].add(site)
        copies[b].add(site)
    graph = nx.Graph([(a, b) for a, near in enumerate(network.neighbours) for b in near])
    if network.complete:
        return sum(len(each) - 1 for each in copies)
    tree = {each: nx.algorithms.approximation.steiner_tree(graph, each) for each in {frozenset(c) for c in copies}}
    return sum(tree[frozenset(each)].number_of_edges() for each in copies)


@pytest.mark.parametrize("path", ["", "peers/"])
@pytest.mark.parametrize(
    ("width", "shape", "nodes", "known"),
    [(16, "full", 2, 7), (16, "full", 4, 12), (32, "full", 2, 15), (32, "full", 4, 28), (32, "line", 4, 28)],
)
def test_the_fourier_transform_in_both_gate_orders_costs_the_known_number(path, width, shape, nodes, known, net):
    capacity = [width // nodes + 1] * nodes
    network = net(shape, capacity)
    chapters = in_time(read(f"{path}qft_{width}.qasm"))
    assert price(chapters, network, hub_starts(chapters, network, capacity)[0], capacity) == known


@pytest.mark.parametrize(("nodes", "known"), [(4, 60), (8, 92)])
def test_the_wide_fourier_transform(nodes, known, net):
    capacity = [64 // nodes + 1] * nodes
    chapters = in_time(read("peers/qft_64.qasm"))
    start = hub_starts(chapters, net("full", capacity), capacity)[0]
    assert price(chapters, net("full", capacity), start, capacity) == known


@pytest.mark.parametrize(("nodes", "known"), list(enumerate([0, 1, 2, 4, 6, 8, 10, 13], start=1)))
def test_blocks_of_one_qubit_cost_the_depths_of_a_balanced_tree(nodes, known, net):
    network = net("full", [1] * nodes)
    tree = layouts(network, [1] * nodes, nodes)[0]
    met = sum(len({*tree.hub[block].tolist()} - {block}) for block in range(nodes))
    assert met == known
    if nodes > 2:
        chapters = in_time(qft(nodes))
        assert price(chapters, network, hub_starts(chapters, network, [1] * nodes)[0], [1] * nodes) == min(known, 12)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_the_gates_and_any_names_of_the_qubits_cost_the_same(seed, net):
    rng = np.random.default_rng(seed)
    names = rng.permutation(12).tolist()
    circuit, broken, done = QuantumCircuit(12), 0, set()
    while broken < 12 or len(done) < 66:
        ready = [(a, b) for b in range(12) for a in range(min(b, broken)) if (a, b) not in done and b >= broken]
        if broken < 12 and all((a, broken) in done for a in range(broken)) and (not ready or rng.random() < 0.2):
            circuit.h(names[broken])
            broken += 1
            continue
        pair = ready[int(rng.integers(len(ready)))]
        done.add(pair)
        circuit.cp(0.3, *(names[each] for each in pair))
    capacity = [4, 4, 4, 1]
    chapters = in_time(circuit)
    assert (
        price(chapters, net("full", capacity), hub_starts(chapters, net("full", capacity), capacity)[0], capacity) == 8
    )


@pytest.mark.parametrize("shape", ["full", "line", "ring", "star"])
@pytest.mark.parametrize("capacity", [[9, 2, 7, 4], [1, 5, 5, 5, 3, 2], [30, 1, 1], [3, 0, 8, 8]])
def test_unlike_nodes_are_filled_within_their_room(shape, capacity, net):
    network = net(shape, capacity)
    circuit = qft(min(sum(capacity), 19))
    chapters = in_time(circuit)
    for start in hub_starts(chapters, network, capacity):
        found = price(chapters, network, start, capacity)
        if shape == "full":
            ranked = sorted(capacity, reverse=True)
            depth = [0, 1, 1, 2, 2, 2]
            sizes = np.diff([0, *np.minimum(np.cumsum(ranked), circuit.num_qubits)])
            assert found <= int(sizes @ depth[: len(sizes)])


def test_a_partly_filled_machine_and_qubits_without_gates(net):
    circuit = QuantumCircuit(14)
    circuit.compose(qft(9), range(2, 11), inplace=True)
    circuit.cx(11, 4)
    capacity = [5, 5, 5]
    chapters = in_time(circuit)
    starts = hub_starts(chapters, net("full", capacity), capacity)
    assert price(chapters, net("full", capacity), starts[0], capacity) <= 5


@pytest.mark.parametrize("circuit", [qft(16, swaps=True), qft_roundtrip(16)], ids=["swaps", "roundtrip"])
def test_gates_beside_the_core_are_placed_too(circuit, net):
    capacity = [5, 5, 5, 5]
    chapters = in_time(circuit)
    start = hub_starts(chapters, net("full", capacity), capacity)[0]
    extra = 3 * 8 if circuit.name == "qft" else 12
    assert price(chapters, net("full", capacity), start, capacity) <= 12 + extra


@pytest.mark.parametrize("path", ["peers/ghz_32.qasm", "peers/ising1d_t5_32.qasm", "peers/qaoa3reg_p1_32.qasm"])
def test_sparse_circuits_have_no_hub(path, net):
    assert hub_starts(in_time(read(path)), net("full", [9] * 4), [9] * 4) == []


def test_too_little_room_or_no_link_gives_no_start(net):
    chapters = in_time(qft(8))
    assert hub_starts(chapters, net("full", [3, 3]), [3, 3]) == []
    assert hub_starts(chapters, net("none", [4, 4]), [4, 4]) == []
    assert hub_starts(in_time(QuantumCircuit(3)), net("full", [2, 2]), [2, 2]) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_tree_for_blocks_on_a_line_is_the_best_of_all(seed, net):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, size=5)
    network = net("line", sizes.tolist())
    hops = np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
    found = _filled(network, sizes.tolist(), int(sizes.sum()), range(5), _best_tree(sizes.astype(float), hops))[0]
    tables = [_hub_table(5, shape) for shape in _shapes(0, 5, 5)]
    assert found == min(_filled(network, sizes.tolist(), int(sizes.sum()), range(5), table)[0] for table in tables)


def test_the_search_over_orders_finds_what_trying_all_finds(net, monkeypatch):
    capacity = [4, 2, 5, 3, 4]
    network = net([(0, 3), (3, 1), (1, 4), (4, 2)], capacity)  # a line in another order
    everything = layouts(network, capacity, 16)[0]
    monkeypatch.setattr("hyperfabric_q.distribution.hub.NODES_IN_ALL_ORDERS", 0)
    searched = layouts(network, capacity, 16)[0]
    prices = [_filled(network, capacity, 16, each.nodes, each.hub)[0] for each in (everything, searched)]
    assert prices[1] <= prices[0] + 1


def test_a_wide_transform_on_unlike_nodes_pays_for_all_but_the_largest(net):
    """The construction takes a fraction of a second; the rebase of so many gates takes longer."""
    capacity = [100, 40, 60]
    chapters = in_time(qft(160))
    start = hub_starts(chapters, net("full", capacity), capacity)[0]
    assert price(chapters, net("full", capacity), start, capacity) == 60
