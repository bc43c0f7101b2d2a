"""Layers, intervals and the cost in time, against plain loops, Qiskit's depth and exact simulation."""

from itertools import combinations, pairwise

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from hyperfabric_q.distribution.chapters import chapters_of, copy_sets_in_time, cost_in_time, occupancy
from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import copy_sets, cost, segments_of

SEEDS = st.integers(0, 2**32)


def random_case(scramble, seed, clbits=3, nodes=4):
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(2, 7))
    program = rebase(scramble(qubits, int(rng.integers(0, 60)), rng, clbits=clbits))
    segments = segments_of(program)
    chapters = chapters_of(program, segments)
    homes = rng.integers(nodes, size=len(segments)).astype(np.int32)
    sites = rng.integers(nodes, size=len(segments.gate_row)).astype(np.int32)
    idle_homes = np.where(chapters.idle, rng.integers(nodes, size=qubits), -1).astype(np.int32)
    return program, chapters, homes, idle_homes, sites


def touched(program, row):
    """The wires of a row: its qubits, and the classical bits it writes or reads."""
    wires = {("q", int(program.first[row]))}
    if program.second[row] >= 0:
        wires.add(("q", int(program.second[row])))
    if program.clbit[row] >= 0:
        wires.add(("c", int(program.clbit[row])))
    condition = program.condition_of(row)
    if condition is not None:
        target = condition.target(program.classical)
        bits = [target] if condition.bit is not None else list(target)
        wires |= {("c", program.classical.find_bit(bit).index) for bit in bits}
    return wires


def by_layer(program, chapters):
    return sorted(range(len(program)), key=lambda row: (int(chapters.row_layer[row]), row))


def steiner(graph, nodes):
    spare = [node for node in graph if node not in nodes]
    for count in range(len(spare) + 1):
        for extra in combinations(spare, count):
            if nx.is_connected(graph.subgraph({*nodes, *extra})):
                return len(nodes) + count - 1
    raise AssertionError


@settings(deadline=None, derandomize=True, max_examples=60)
@given(seed=SEEDS)
def test_rows_by_layer_keep_the_order_on_every_wire_and_bit(scramble, seed):
    program, chapters, *_ = random_case(scramble, seed)
    order = by_layer(program, chapters)
    for wire in {wire for row in range(len(program)) for wire in touched(program, row)}:
        rows = [row for row in order if wire in touched(program, row)]
        assert rows == sorted(rows)


def test_a_condition_waits_for_the_bit_and_for_a_whole_register():
    circuit = QuantumCircuit(3, 2)
    for _ in range(3):
        circuit.cp(0.3, 0, 1)
        circuit.h(0)
    circuit.measure(0, 1)
    with circuit.if_test((circuit.cregs[0], 2)):
        circuit.h(2)
    program = rebase(circuit)
    chapters = chapters_of(program, segments_of(program))
    waiting = int(np.flatnonzero(program.first == 2)[0])
    assert chapters.row_layer[waiting] == 3


@settings(deadline=None, derandomize=True, max_examples=15)
@given(seed=SEEDS)
def test_rows_by_layer_are_the_same_unitary(scramble, seed):
    rng = np.random.default_rng(seed)
    program = rebase(scramble(4, 30, rng))
    chapters = chapters_of(program, segments_of(program))
    circuit = program.to_circuit()
    other = circuit.copy_empty_like()
    for row in by_layer(program, chapters):
        other.append(circuit.data[row])
    assert np.allclose(Operator(circuit).data, Operator(other).data)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=SEEDS)
def test_layers_are_the_depth_in_two_qubit_gates(scramble, seed):
    rng = np.random.default_rng(seed)
    program = rebase(scramble(5, 40, rng))
    chapters = chapters_of(program, segments_of(program))
    depth = program.to_circuit().depth(lambda instruction: len(instruction.qubits) == 2)
    gates = int(chapters.gate_layer.max(initial=-1)) + 1
    assert gates == depth
    assert chapters.layers in {max(1, depth), depth + 1}  # one more when a break follows the last gate


@settings(deadline=None, derandomize=True, max_examples=60)
@given(seed=SEEDS)
def test_in_each_layer_each_qubit_is_in_one_segment_and_its_gates_in_theirs(scramble, seed):
    program, chapters, *_ = random_case(scramble, seed)
    segments = chapters.segments
    assert (chapters.begins < chapters.ends).all()
    for qubit in range(program.qubits):
        mine = [index for index in range(len(segments)) if segments.qubit[index] == qubit]
        assert (chapters.first_of[qubit] == -1) == (not mine)
        if mine:
            assert chapters.first_of[qubit] == mine[0]
            assert chapters.begins[mine[0]] == 0
            assert chapters.ends[mine[-1]] == chapters.layers
            assert chapters.next_of[mine[-1]] == -1
        for before, after in pairwise(mine):
            assert chapters.next_of[before] == after
            assert chapters.ends[before] == chapters.begins[after]
    for gate, pair in enumerate(segments.gate_segments.tolist()):
        layer = chapters.gate_layer[gate]
        assert layer == chapters.row_layer[segments.gate_row[gate]]
        for segment in pair:
            assert chapters.begins[segment] <= layer < chapters.ends[segment]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(seed=SEEDS)
def test_a_break_runs_in_the_first_layer_of_its_segment_or_later(scramble, seed):
    program, chapters, *_ = random_case(scramble, seed)
    current = [-1] * program.qubits
    gate = 0
    for row in range(len(program)):
        kind, first = Kind(int(program.kind[row])), int(program.first[row])
        if kind == Kind.CP:
            for segment in chapters.segments.gate_segments[gate].tolist():
                current[int(chapters.segments.qubit[segment])] = segment
            gate += 1
        elif kind in (Kind.U, Kind.RESET) and current[first] >= 0:
            following = int(chapters.next_of[current[first]])
            if following >= 0:
                assert chapters.row_layer[row] >= chapters.begins[following]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(seed=SEEDS)
def test_occupancy_counts_homes_layer_by_layer(scramble, seed):
    program, chapters, homes, idle_homes, _ = random_case(scramble, seed)
    held = occupancy(chapters, homes, idle_homes, 4)
    slow = np.zeros((4, chapters.layers), dtype=int)
    for segment, home in enumerate(homes.tolist()):
        for layer in range(chapters.begins[segment], chapters.ends[segment]):
            slow[home, layer] += 1
    for home in idle_homes[chapters.idle].tolist():
        slow[home] += 1
    assert held.tolist() == slow.tolist()
    assert (held.sum(axis=0) == program.qubits).all()


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=SEEDS)
def test_cost_counts_the_home_of_the_next_segment_too(scramble, net, seed):
    _, chapters, homes, _, sites = random_case(scramble, seed)
    sets = [{int(home)} for home in homes]
    for segment, following in enumerate(chapters.next_of.tolist()):
        if following >= 0:
            sets[segment].add(int(homes[following]))
    for gate, pair in enumerate(chapters.segments.gate_segments.tolist()):
        for segment in pair:
            sets[segment].add(int(sites[gate]))
    assert copy_sets_in_time(chapters, homes, sites).tolist() == [sum(1 << node for node in each) for each in sets]
    for shape, graph in (("full", nx.complete_graph(4)), ("line", nx.path_graph(4)), ("star", nx.star_graph(3))):
        assert cost_in_time(chapters, net(shape, [9] * 4), homes, sites) == sum(steiner(graph, each) for each in sets)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=SEEDS)
def test_homes_that_stay_cost_what_the_model_without_time_says(scramble, net, seed):
    program, chapters, *_, sites = random_case(scramble, seed)
    rng = np.random.default_rng(seed)
    qubit_homes = rng.integers(4, size=program.qubits).astype(np.int32)
    homes, idle_homes = chapters.still(qubit_homes)
    segments = chapters.segments
    assert copy_sets_in_time(chapters, homes, sites).tolist() == copy_sets(segments, qubit_homes, sites).tolist()
    assert cost_in_time(chapters, net("line", [9] * 4), homes, sites) == cost(
        segments, net("line", [9] * 4), qubit_homes, sites
    )
    assert chapters.moves(homes) == 0
    assert chapters.entry_homes(homes, idle_homes).tolist() == qubit_homes.tolist()
    assert chapters.exit_homes(homes, idle_homes).tolist() == qubit_homes.tolist()


def test_homes_at_entry_and_exit_follow_a_moving_qubit():
    circuit = QuantumCircuit(3)
    circuit.cp(0.3, 0, 1)
    circuit.h(1)
    circuit.cp(0.4, 0, 1)
    program = rebase(circuit)
    chapters = chapters_of(program, segments_of(program))
    homes = np.where(chapters.segments.qubit == 1, 1, 0).astype(np.int32)
    homes[chapters.next_of[chapters.first_of[1]]] = 2
    idle_homes = np.array([-1, -1, 3], dtype=np.int32)
    assert chapters.entry_homes(homes, idle_homes).tolist() == [0, 1, 3]
    assert chapters.exit_homes(homes, idle_homes).tolist() == [0, 2, 3]
    assert chapters.moves(homes) == 1
    assert repr(chapters) == "<Chapters: 3 segments, 2 gates, 2 layers>"


def test_a_program_without_gates_has_one_layer_and_only_idle_qubits():
    program = rebase(QuantumCircuit(2))
    chapters = chapters_of(program, segments_of(program))
    none = np.zeros(0, dtype=np.int32)
    homes = np.array([1, 0], dtype=np.int32)
    assert chapters.layers == 1
    assert chapters.still(homes)[1].tolist() == [1, 0]
    assert chapters.entry_homes(none, homes).tolist() == [1, 0]
    assert occupancy(chapters, none, homes, 2).tolist() == [[1], [1]]


@settings(deadline=None, derandomize=True, max_examples=30)
@given(seed=SEEDS)
def test_restricting_to_a_closed_set_keeps_intervals_and_order(scramble, seed):
    rng = np.random.default_rng(seed)
    left, right = scramble(3, 20, rng), scramble(4, 20, rng)
    circuit = QuantumCircuit(7)
    circuit.compose(left, range(3), inplace=True)
    circuit.compose(right, range(3, 7), inplace=True)
    program = rebase(circuit)
    whole = chapters_of(program, segments_of(program))
    chosen = np.array([5, 3, 6, 4], dtype=np.int32)
    part, kept, gates = whole.restricted(chosen)
    assert part.begins.tolist() == whole.begins[kept].tolist()
    assert part.ends.tolist() == whole.ends[kept].tolist()
    assert part.gate_layer.tolist() == whole.gate_layer[gates].tolist()
    assert chosen[part.segments.qubit].tolist() == whole.segments.qubit[kept].tolist()
    following = [int(kept[each]) if each >= 0 else -1 for each in part.next_of.tolist()]
    assert following == whole.next_of[kept].tolist()
    first = [int(kept[each]) if each >= 0 else -1 for each in part.first_of.tolist()]
    assert first == whole.first_of[chosen].tolist()
