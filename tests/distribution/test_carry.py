"""Steps of last resort: any circuit whose parts fit, on any connected network, with one communication qubit a node."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.distribution.carry import carried_steps, joined_groups
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.steps import Promote, Spread, Trade, ebits_of
from hyperfabric_q.distribution.verify import verify

TREES = ["line", "ring", "star"]


def emitted(circuit, network, homes):
    program = rebase(circuit)
    steps, sites = carried_steps(program, network, np.array(homes, dtype=np.int32))
    assert len(sites) == program.two_qubit_gates
    return program, steps, lower(program, network, np.array(homes, dtype=np.int32), steps)


def pair(far):
    """One gate between the first and the last of ``far`` qubits."""
    circuit = QuantumCircuit(far)
    circuit.cp(0.7, 0, far - 1)
    return circuit


@pytest.mark.parametrize(
    ("rooms", "limits", "carried", "exchanged", "ebits"),
    [
        ([1, 1], 1, 0, 0, 1),
        ([1, 1, 1], 2, 0, 0, 2),  # the middle passes a copy on
        ([1, 1, 1], 1, 0, 1, 4),  # an exchange, and the gate
        ([1, 2, 1], 1, 1, 0, 2),  # a data qubit is free in the middle
        ([2, 1, 1], 1, 2, 0, 3),  # one is freed there first
        ([1, 1, 1, 1], 1, 0, 2, 7),
    ],
)
def test_a_gate_along_a_line_costs_what_it_takes(rooms, limits, carried, exchanged, ebits, net, oracle):
    nodes = len(rooms)
    circuit = pair(nodes)
    _, steps, lowered = emitted(circuit, net("line", rooms, limits), range(nodes))
    count = {kind: sum(isinstance(step, kind) for step in steps) for kind in (Promote, Trade, Spread)}
    assert count == {Promote: carried, Trade: exchanged, Spread: ebits}
    vector = oracle.haar(nodes, 0)
    got = oracle.outcomes(lowered.circuit, vector, entry=lowered.entry, exit_wires=lowered.exit, keep=0)
    assert oracle.same(oracle.outcomes(circuit, vector), got)


@pytest.mark.parametrize("seed", range(6))
def test_carried_qubits_do_what_the_circuit_does(seed, net, oracle, scramble):
    """By a simulator of our own, with measurements, resets and conditions in every other case."""
    rng = np.random.default_rng(seed)
    circuit = scramble(4, 16, rng, clbits=2 if seed % 2 else 0)
    rooms = [[1, 1, 1, 1], [2, 1, 1], [1, 1, 1, 2]][seed % 3]
    network = net(TREES[seed % 3] if len(rooms) > 3 else "line", rooms, 1)
    homes = rng.permutation(np.repeat(np.arange(len(rooms)), rooms))[:4]
    _, _, lowered = emitted(circuit, network, homes)
    vector, bits = oracle.haar(4, seed), len(circuit.clbits)
    got = oracle.outcomes(lowered.circuit, vector, entry=lowered.entry, exit_wires=lowered.exit, keep=bits)
    assert oracle.same(oracle.outcomes(circuit, vector), got)


@st.composite
def cells(draw):
    """A random circuit with homes that fill a random connected network, up to a few data qubits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    nodes = draw(st.integers(2, 5))
    graph = nx.random_labeled_tree(nodes, seed=int(rng.integers(2**31)))
    graph.add_edges_from(tuple(rng.choice(nodes, 2, replace=False).tolist()) for _ in range(draw(st.integers(0, 2))))
    rooms = rng.integers(1, 4, size=nodes)
    qubits = max(2, int(rooms.sum()) - draw(st.integers(0, 2)))
    homes = rng.permutation(np.repeat(np.arange(nodes), rooms))[:qubits]
    return graph, rooms.tolist(), draw(st.lists(st.sampled_from([1, 1, 2, None]), min_size=5, max_size=5)), homes, rng


@settings(deadline=None, derandomize=True, max_examples=40)
@given(cell=cells())
def test_every_circuit_runs_on_every_connected_network(cell, scramble):
    graph, rooms, limits, homes, rng = cell
    base = hq.Fabric.line(rooms, communication_qubits=limits[: len(rooms)], pair_fidelity=0.9)
    links = tuple(hq.fabric.Link(a=f"qpu-{a}", b=f"qpu-{b}", pair_fidelity=0.9) for a, b in graph.edges)
    fabric = hq.Fabric(nodes=base.nodes, links=links, name="tree")
    circuit = scramble(len(homes), 25, rng, clbits=2 if rng.random() < 0.3 else 0)
    program, steps, lowered = emitted(circuit, network_of(fabric), homes)
    counted = replay(lowered.circuit, fabric)
    assert counted.ebits == ebits_of(steps)
    assert max(counted.peak_copies.values()) <= 2
    if len(homes) <= 8:
        assert verify(program, lowered, mode="proved", seed=1).label == "proved"


def test_what_a_copy_can_serve_at_once_it_serves():
    circuit = QuantumCircuit(4)
    for partner in (1, 2, 3):
        circuit.cp(0.1 * partner, 0, partner)
    fabric = hq.Fabric.line([1, 3], communication_qubits=1)
    assert ebits_of(emitted(circuit, network_of(fabric), [0, 1, 1, 1])[1]) == 1


def test_a_flip_ends_what_a_copy_can_serve():
    circuit = QuantumCircuit(3)
    circuit.cp(0.1, 0, 1)
    circuit.x(0)
    circuit.cp(0.2, 0, 2)
    fabric = hq.Fabric.line([1, 2], communication_qubits=1)
    assert ebits_of(emitted(circuit, network_of(fabric), [0, 1, 1])[1]) == 2


def test_homes_that_no_chain_joins_have_no_steps(net):
    program = rebase(pair(2))
    apart = np.array([0, 1], dtype=np.int32)
    assert carried_steps(program, net("none", [1, 1], 1), apart) is None
    assert carried_steps(program, net("line", [1, 0, 1], 1), np.array([0, 2], dtype=np.int32)) is None
    assert carried_steps(program, net("line", [1, 0, 1], 2), np.array([0, 2], dtype=np.int32)) is not None


@pytest.mark.parametrize(
    ("rooms", "limit", "groups"),
    [([1, 1, 1], 1, [[0, 1, 2]]), ([1, 0, 1], 1, [[0], [1], [2]]), ([1, 0, 1], 2, [[0, 1, 2]])],
)
def test_groups_are_what_qubits_can_cross(rooms, limit, groups, net):
    assert joined_groups(net("line", rooms, limit)) == groups


def test_a_wide_circuit_with_exchanges_is_checked():
    fabric = hq.Fabric.line([4] * 3, communication_qubits=1, pair_fidelity=0.9)
    plan = hq.plan(hq.families.qft(12), fabric, seed=1, time_limit_s=0)
    assert plan.equivalent in ("proved", "skeleton")
    assert max(plan.peak_copies.values()) == 1


def test_plans_for_one_communication_qubit_are_found_where_they_used_to_be_refused():
    fabric = hq.Fabric.star([2, 2, 2, 1], communication_qubits=1, pair_fidelity=0.9)
    plan = hq.plan(hq.families.brickwork(7, 3, seed=7), fabric, seed=1, time_limit_s=0)
    assert plan.equivalent == "proved"
    assert max(plan.peak_copies.values()) == 1
