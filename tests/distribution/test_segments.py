"""Segments and their cost against a recomputation with plain sets."""

from itertools import combinations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import copy_sets, cost, segments_of


def slow_segments(program):
    """[(qubit, [gate numbers])] by cutting each qubit's timeline, in no particular order."""
    found, current, gate = [], {}, 0
    for row in range(len(program)):
        first = int(program.first[row])
        if program.kind[row] == Kind.CP:
            for qubit in (first, int(program.second[row])):
                if qubit not in current:
                    current[qubit] = []
                    found.append((qubit, current[qubit]))
                current[qubit].append(gate)
            gate += 1
        elif program.kind[row] in (Kind.U, Kind.RESET):
            current.pop(first, None)
    return found


def steiner(graph, nodes):
    """Fewest links of a connected subgraph that holds ``nodes``: exhaustive."""
    spare = [node for node in graph if node not in nodes]
    for count in range(len(spare) + 1):
        for extra in combinations(spare, count):
            if nx.is_connected(graph.subgraph({*nodes, *extra})):
                return len(nodes) + count - 1
    raise AssertionError


def slow_cost(program, graph, homes, sites):
    return sum(
        steiner(graph, {homes[qubit], *(sites[gate] for gate in gates)}) for qubit, gates in slow_segments(program)
    )


@st.composite
def placed(draw):
    qubits, nodes = draw(st.integers(2, 6)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    circuit = QuantumCircuit(qubits)
    for _ in range(draw(st.integers(0, 40))):
        a, b = (int(each) for each in rng.permutation(qubits)[:2])
        draw_kind = rng.random()
        if draw_kind < 0.6:
            circuit.cp(float(rng.uniform(0.1, 3)), a, b)
        elif draw_kind < 0.75:
            circuit.h(a)
        elif draw_kind < 0.85:
            circuit.x(a)
        elif draw_kind < 0.95:
            circuit.t(a)
        else:
            circuit.reset(a)
    program = rebase(circuit)
    homes = rng.integers(nodes, size=qubits).astype(np.int32)
    sites = rng.integers(nodes, size=program.two_qubit_gates).astype(np.int32)
    return program, nodes, homes, sites


@settings(deadline=None, derandomize=True, max_examples=60)
@given(case=placed())
def test_segments_are_the_timelines_cut_at_breaks_and_resets(case):
    program, *_ = case
    segments = segments_of(program)
    found = [
        (int(segments.qubit[index]), segments.gates[segments.starts[index] : segments.starts[index + 1]].tolist())
        for index in range(len(segments))
    ]
    assert sorted(found) == sorted(slow_segments(program))
    assert segments.gate_row.tolist() == np.flatnonzero(program.kind == Kind.CP).tolist()
    ends = np.stack([program.first[segments.gate_row], program.second[segments.gate_row]], axis=1)
    assert segments.gate_qubits.tolist() == ends.tolist()
    for gate, pair in enumerate(segments.gate_segments.tolist()):
        assert all(gate in found[segment][1] for segment in pair)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(case=placed())
def test_cost_is_the_sum_of_spanning_trees_of_the_copy_sets(case, net):
    program, nodes, homes, sites = case
    segments = segments_of(program)
    for shape, graph in (
        ("full", nx.complete_graph(nodes)),
        ("line", nx.path_graph(nodes)),
        ("star", nx.star_graph(nodes - 1)),
    ):
        expected = slow_cost(program, graph, homes.tolist(), sites.tolist())
        assert cost(segments, net(shape, [9] * nodes), homes, sites) == expected


@settings(deadline=None, derandomize=True, max_examples=30)
@given(case=placed())
def test_copy_sets_hold_the_home_and_the_sites(case):
    program, _, homes, sites = case
    segments = segments_of(program)
    for index, mask in enumerate(copy_sets(segments, homes, sites).tolist()):
        gates = segments.gates[segments.starts[index] : segments.starts[index + 1]]
        assert mask == sum(1 << node for node in {int(homes[segments.qubit[index]]), *sites[gates].tolist()})


@settings(deadline=None, derandomize=True, max_examples=30)
@given(left=placed(), right=placed())
def test_restricting_to_a_closed_set_gives_the_segments_of_that_part(left, right):
    mine, other = left[0], right[0]
    circuit = QuantumCircuit(other.qubits + mine.qubits)
    parts = [
        (other.to_circuit(), range(other.qubits)),
        (mine.to_circuit(), range(other.qubits, other.qubits + mine.qubits)),
    ]
    for part, wires in parts:
        circuit.compose(part, list(wires), inplace=True)
    whole = segments_of(rebase(circuit))
    part, gates = whole.restricted(np.arange(other.qubits, other.qubits + mine.qubits, dtype=np.int32))
    alone = segments_of(mine)
    assert part.qubits == alone.qubits
    assert part.qubit.tolist() == alone.qubit.tolist()
    assert part.gate_segments.tolist() == alone.gate_segments.tolist()
    assert part.starts.tolist() == alone.starts.tolist()
    assert part.gates.tolist() == alone.gates.tolist()
    assert part.gate_row.tolist() == whole.gate_row[gates].tolist()


def test_measurement_and_flips_do_not_end_a_segment_and_resets_do():
    circuit = QuantumCircuit(2, 1)
    for between in ("x", "measure", "t", "barrier"):
        circuit.cz(0, 1)
        if between == "measure":
            circuit.measure(0, 0)
        else:
            getattr(circuit, between)(0)
    circuit.cz(0, 1)
    assert len(segments_of(rebase(circuit))) == 2
    circuit.reset(0)
    circuit.cz(0, 1)
    assert len(segments_of(rebase(circuit))) == 3


def test_a_circuit_without_gates_costs_nothing(net):
    segments = segments_of(rebase(QuantumCircuit(3)))
    none = np.zeros(0, dtype=np.int32)
    assert len(segments) == 0
    assert cost(segments, net("line", [1, 1, 1]), np.arange(3, dtype=np.int32), none) == 0


def test_a_packet_of_gates_costs_one(net):
    circuit = QuantumCircuit(5)
    for target in range(1, 5):
        circuit.cp(0.1 * target, 0, target)
    segments = segments_of(rebase(circuit))
    homes = np.array([0, 1, 1, 1, 1], dtype=np.int32)
    assert cost(segments, net("full", [1, 4]), homes, np.full(4, 1, dtype=np.int32)) == 1
    assert cost(segments, net("full", [1, 4]), homes, np.full(4, 0, dtype=np.int32)) == 4
