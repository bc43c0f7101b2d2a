"""Starts: capacities hold, everything is deterministic, and the partitioner's known traps are avoided."""

import subprocess
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.partitioners.blocks import blocks
from hyperfabric_q.distribution.partitioners.multilevel import multilevel, orders
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import cost, segments_of


def test_blocks_fill_one_node_after_the_other():
    found = dict(blocks(5, (2, 0, 4), ((1, 2), (0, 2), (0, 1))))
    assert found["blocks in order"].tolist() == [0, 0, 2, 2, 2]
    assert found["blocks in order, reversed"].tolist() == [2, 2, 2, 0, 0]


def test_blocks_follow_the_links_whatever_the_nodes_are_called():
    star = ((1, 2, 3), (0,), (0,), (0,))
    found = [homes.tolist() for _, homes in blocks(6, (2, 2, 2, 2), star)]
    assert [1, 1, 0, 0, 2, 2] in found


@pytest.mark.parametrize("starts", [1, 5, 12])
def test_orders_are_different_permutations_and_follow_the_seed(starts, scramble):
    segments = segments_of(rebase(scramble(5, 30, np.random.default_rng(0))))
    vertices = segments.qubits + len(segments.gate_row)
    found = [order.tolist() for order in orders(segments, starts, 7)]
    assert len(found) == starts
    assert all(sorted(order) == list(range(vertices)) for order in found)
    assert len({tuple(order) for order in found}) == starts
    assert found == [order.tolist() for order in orders(segments, starts, 7)]


@pytest.mark.parametrize("seed", range(24))
def test_full_nodes_are_filled_exactly_and_gates_get_a_node(seed, net, scramble):
    rng = np.random.default_rng(seed)
    shape = ["full", "line", "ring", "star"][seed % 4]
    capacity = rng.integers(1, 6, size=int(rng.integers(3, 7))).tolist()
    segments = segments_of(rebase(scramble(sum(capacity), 60, rng)))
    network = net(shape, capacity)
    for order in orders(segments, 3, seed):
        found = multilevel(segments, network, network.capacity, order)
        if found is None:
            continue
        homes, sites = found
        assert np.bincount(homes, minlength=len(capacity)).tolist() == capacity
        assert sites.shape == (len(segments.gate_row),)
        assert cost(segments, network, homes, sites) < 1000
        again = multilevel(segments, network, network.capacity, order)
        assert again is not None
        assert (again[0] == homes).all()
        assert (again[1] == sites).all()


@pytest.mark.parametrize("shape", ["line", "ring"])
def test_a_circuit_without_two_qubit_gates_does_not_end_the_process(shape):
    """On a network that is not all-to-all the partitioner's library calls abort() when no net has two pins."""
    program = (
        "import numpy as np, networkx as nx\n"
        "from qiskit import QuantumCircuit\n"
        "from hyperfabric_q.distribution.network import Network\n"
        "from hyperfabric_q.distribution.place import place\n"
        "from hyperfabric_q.distribution.rebase import rebase\n"
        "from hyperfabric_q.distribution.segments import segments_of\n"
        f"graph = {{'line': nx.path_graph, 'ring': nx.cycle_graph}}['{shape}'](4)\n"
        "network = Network(names=tuple('abcd'), capacity=(1, 2, 1, 1), communication=(None,) * 4,"
        " neighbours=tuple(tuple(sorted(graph[node])) for node in range(4)))\n"
        "circuit = QuantumCircuit(5)\n"
        "circuit.h(range(5))\n"
        "found = place(rebase(circuit), segments_of(rebase(circuit)), network, seed=0)\n"
        "print(np.bincount(found.homes).tolist())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "[1, 2, 1, 1]"), run.stderr


def test_idle_qubits_take_room(net):
    circuit = QuantumCircuit(6)
    circuit.cz(0, 1)
    segments = segments_of(rebase(circuit))
    network = net("full", [2, 2, 2])
    for order in orders(segments, 4, 0):
        found = multilevel(segments, network, network.capacity, order)
        assert found is not None
        assert np.bincount(found[0]).tolist() == [2, 2, 2]
