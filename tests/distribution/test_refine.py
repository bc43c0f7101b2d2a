"""The annealer against exhaustive search, plain recounts, and itself without the compiler."""

import json
import os
import subprocess
import sys
from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from hyperfabric_q.distribution import refine as module
from hyperfabric_q.distribution.chapters import chapters_of, cost_in_time, occupancy
from hyperfabric_q.distribution.copy_prices import copy_prices
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.refine import moves_for, refine
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.errors import InternalError, InvalidValue

TWIN = """
import json, sys
import numpy as np
from qiskit import QuantumCircuit
from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.copy_prices import CopyPrices, copy_prices
from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.refine import refine
from hyperfabric_q.distribution.segments import segments_of

def chapters(qubits, gates, seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(gates):
        a, b = (int(each) for each in rng.permutation(qubits - 1)[:2])  # the last qubit stays idle
        circuit.cp(float(rng.uniform(0.1, 3)), a, b)
        if rng.random() < 0.5:
            circuit.h(a)
    program = rebase(circuit)
    return chapters_of(program, segments_of(program))

def line(nodes):
    near = tuple(tuple(each for each in (node - 1, node + 1) if 0 <= each < nodes) for node in range(nodes))
    names = tuple(str(node) for node in range(nodes))
    return Network(names=names, capacity=(2,) * nodes, communication=(None,) * nodes, neighbours=near)

def full(nodes):
    near = tuple(tuple(each for each in range(nodes) if each != node) for node in range(nodes))
    names = tuple(str(node) for node in range(nodes))
    return Network(names=names, capacity=(3,) * nodes, communication=(None,) * nodes, neighbours=near)

found = []
for seed, network in enumerate((full(3), line(4), full(13), line(13))):
    model = chapters(7, 25, seed)
    qubit_homes = (np.arange(7) // 3 if len(network) == 3 else np.arange(7) // 2).astype(np.int32)
    homes, idle_homes = model.still(qubit_homes)
    sites = qubit_homes[model.segments.gate_qubits[:, 0]]
    got = refine(model, network, network.capacity, [(homes, idle_homes, sites)], moves=3000, seed=seed)
    found.append([got.cost, got.homes.tolist(), got.idle_homes.tolist(), got.sites.tolist(), got.history])
print(json.dumps(found))
"""


def modelled(circuit):
    program = rebase(circuit)
    return chapters_of(program, segments_of(program))


def random_model(seed, qubits=6, gates=30, breaks=0.5):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(gates):
        a, b = (int(each) for each in rng.permutation(qubits)[:2])
        circuit.cp(float(rng.uniform(0.1, 3)), a, b)
        if rng.random() < breaks:
            circuit.h(a)
    return modelled(circuit)


def block_start(chapters, capacity):
    qubit_homes = np.repeat(np.arange(len(capacity)), capacity)[: chapters.segments.qubits].astype(np.int32)
    sites = qubit_homes[chapters.segments.gate_qubits[:, 0]].astype(np.int32)
    return *chapters.still(qubit_homes), sites


def plain_cost(graph, chapters, homes, sites):
    """A tree that spans some nodes has one link less than the smallest connected set that holds them."""
    subsets = [{node for node in graph if mask >> node & 1} for mask in range(1, 1 << len(graph))]
    connected = [each for each in subsets if nx.is_connected(graph.subgraph(each))]
    total = 0
    for segment in range(len(chapters)):
        nodes = {int(homes[segment])}
        if chapters.next_of[segment] >= 0:
            nodes.add(int(homes[chapters.next_of[segment]]))
        nodes |= {int(sites[g]) for g, pair in enumerate(chapters.segments.gate_segments) if segment in pair}
        total += min(len(each) - 1 for each in connected if nodes <= each)
    return total


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(["full", "line", "star"]), still=st.booleans())
def test_what_is_returned_is_counted_right_fits_and_is_no_dearer_than_the_start(net, seed, shape, still):
    chapters = random_model(seed)
    capacity = [2, 2, 3]
    network = net(shape, capacity)
    start = block_start(chapters, capacity)
    found = refine(chapters, network, capacity, [start], moves=4000, seed=seed, still=still)
    graph = {"full": nx.complete_graph, "line": nx.path_graph, "star": lambda n: nx.star_graph(n - 1)}[shape](3)
    assert found.cost == plain_cost(graph, chapters, found.homes, found.sites)
    assert found.cost == cost_in_time(chapters, network, found.homes, found.sites)
    assert found.cost <= cost_in_time(chapters, network, start[0], start[2])
    assert (occupancy(chapters, found.homes, found.idle_homes, 3).max(axis=1) <= capacity).all()
    assert found.history[-1][1] == found.cost
    assert [cost for _, cost in found.history] == sorted((cost for _, cost in found.history), reverse=True)
    if still:
        assert chapters.moves(found.homes) == 0


def test_the_compiled_search_makes_the_same_moves_as_plain_python():
    answers = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        run = subprocess.run(
            [sys.executable, "-c", TWIN], env=environment, capture_output=True, text=True, check=True, timeout=300
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1]
    assert all(history[0][1] > cost for cost, *_, history in answers[0])  # the search did something


def test_the_same_seed_gives_the_same_answer_and_another_may_not(net):
    chapters = random_model(5, qubits=8, gates=60)
    network = net("full", [3, 3, 3])
    start = block_start(chapters, [3, 3, 3])
    first, again, other = (
        refine(chapters, network, network.capacity, [start], moves=3000, seed=seed) for seed in (1, 1, 2)
    )
    assert first.homes.tolist() == again.homes.tolist()
    assert first.sites.tolist() == again.sites.tolist()
    assert first.history == again.history
    assert (first.homes.tolist(), first.sites.tolist()) != (other.homes.tolist(), other.sites.tolist())


def exhaustive(chapters, network, capacity, nodes):
    best = None
    for chosen in product(range(nodes), repeat=len(chapters)):
        homes = np.array(chosen, dtype=np.int32)
        idle = np.where(chapters.idle, 0, -1).astype(np.int32)
        if (occupancy(chapters, homes, idle, nodes).max(axis=1) > capacity).any():
            continue
        for sites in product(range(nodes), repeat=len(chapters.gate_layer)):
            cost = cost_in_time(chapters, network, homes, np.array(sites, dtype=np.int32))
            best = cost if best is None else min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_small_cases_reach_the_optimum_over_all_placements_in_time(net, seed):
    chapters = random_model(seed, qubits=3, gates=5, breaks=0.6)
    network = net("full", [2, 2])
    found = refine(chapters, network, [2, 2], [block_start(chapters, [2, 2])], moves=4000, seed=0)
    assert found.cost == exhaustive(chapters, network, [2, 2], 2)


def test_a_qubit_that_changes_partners_moves_once():
    # Qubit 0 works with node 0 first and with node 1 after, with a break before every gate: moving it costs one e-bit,
    # staying costs one for each later gate.
    circuit = QuantumCircuit(5)
    for partner in (1, 2, 1, 2, 3, 4, 3, 4):
        circuit.cp(0.3, 0, partner)
        circuit.h([0, partner])
    circuit.cp(0.3, 1, 2)
    circuit.h([1, 2])
    circuit.cp(0.3, 3, 4)
    chapters = modelled(circuit)
    prices = copy_prices(_pair())
    start = block_start(chapters, [3, 3])
    moving = refine(chapters, prices, [3, 3], [start], moves=5000, seed=0)
    still = refine(chapters, prices, [3, 3], [start], moves=5000, seed=0, still=True)
    assert (moving.cost, chapters.moves(moving.homes)) == (1, 1)
    assert still.cost == 4


def _pair():
    from hyperfabric_q.distribution.network import Network

    return Network(names=("a", "b"), capacity=(3, 3), communication=(None, None), neighbours=((1,), (0,)))


def test_a_chain_of_unlike_links_is_cut_where_it_is_cheap(net):
    # Four qubits in a ring of interactions on two pairs of nodes: weights decide which link carries the cut.
    circuit = QuantumCircuit(4)
    for a, b in ((0, 1), (2, 3), (1, 2)):
        for _ in range(3):
            circuit.cp(0.3, a, b)
            circuit.h([a, b])
    chapters = modelled(circuit)
    network = net("full", [2, 2, 2])
    weights = np.array([[1, 9, 9], [9, 1, 1], [9, 1, 1]], dtype=np.int64)
    prices = copy_prices(network, weights)
    homes, idle_homes = chapters.still(np.array([0, 0, 1, 1], dtype=np.int32))
    start = homes, idle_homes, np.zeros(len(chapters.gate_layer), dtype=np.int32)
    found = refine(chapters, prices, [2, 2, 2], [start], moves=5000, seed=0)
    assert set(found.homes.tolist()) == {1, 2}
    assert found.cost < 9


def test_a_qubit_without_gates_gives_way(net):
    circuit = QuantumCircuit(4)
    for _ in range(4):
        circuit.cp(0.3, 0, 2)
        circuit.h([0, 2])
    chapters = modelled(circuit)
    network = net("full", [2, 2])
    found = refine(chapters, network, [2, 2], [block_start(chapters, [2, 2])], moves=3000, seed=0)
    assert found.cost == 0
    assert sorted(found.idle_homes.tolist())[:2] == [-1, -1]
    assert chapters.entry_homes(found.homes, found.idle_homes)[[0, 2]].tolist() in ([0, 0], [1, 1])


def test_no_time_gives_the_best_start_and_says_so(net):
    chapters = random_model(3)
    network = net("full", [2, 2, 3])
    good = refine(chapters, network, [2, 2, 3], [block_start(chapters, [2, 2, 3])], moves=3000, seed=0)
    starts = [block_start(chapters, [2, 2, 3]), (good.homes, good.idle_homes, good.sites)]
    found = refine(chapters, network, [2, 2, 3], starts, moves=10**9, seed=0, time_limit_s=0.0)
    assert found.cost == good.cost
    assert not found.finished
    assert good.finished


def test_a_program_without_gates_keeps_its_start(net):
    chapters = modelled(QuantumCircuit(3))
    found = refine(chapters, net("full", [2, 2]), [2, 2], [block_start(chapters, [2, 2])], moves=100, seed=0)
    assert found.cost == 0
    assert found.idle_homes.max() <= 1
    assert moves_for(chapters) == 0


def test_starts_that_do_not_fit_are_refused(net):
    chapters = random_model(3)
    network = net("full", [2, 2, 3])
    with pytest.raises(InvalidValue, match="data qubits"):
        refine(chapters, network, [1, 3, 3], [block_start(chapters, [2, 2, 3])], moves=10, seed=0)
    homes, idle_homes, sites = block_start(chapters, [2, 2, 3])
    with pytest.raises(InvalidValue, match="nodes are 0 to 2"):
        refine(chapters, network, [2, 2, 3], [(homes, idle_homes, sites + 3)], moves=10, seed=0)
    with pytest.raises(InvalidValue, match="at least one placement"):
        refine(chapters, network, [2, 2, 3], [], moves=10, seed=0)


def test_a_wrong_count_in_the_search_is_found_out(net, monkeypatch):
    chapters = random_model(3)
    monkeypatch.setattr(module.kernel, "anneal", lambda *_: 1)
    with pytest.raises(InternalError, match="was thought to cost 1"):
        refine(chapters, net("full", [2, 2, 3]), [2, 2, 3], [block_start(chapters, [2, 2, 3])], moves=10, seed=0)
