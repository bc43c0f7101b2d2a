"""The cut finder against all assignments of tiny circuits, and against known minima of large ones."""

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter

from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.finder import find_cuts
from hyperfabric_q.cutting.gates import schmidt_sum
from hyperfabric_q.errors import InvalidValue, NoCutFound

GATES = ["cx", "cz", "rzz", "cp", "swap", "iswap"]


def random_circuit(qubits, gates, seed):
    random = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(gates):
        a, b = (int(each) for each in random.permutation(qubits)[:2])
        circuit.ry(0.3, a)
        name = GATES[int(random.integers(len(GATES)))]
        angles = [float(random.uniform(0.3, 2.5))] if name in {"rzz", "cp"} else []
        getattr(circuit, name)(*angles, a, b)
    return circuit


def three_regular(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for a, b in nx.random_regular_graph(3, qubits, seed=3).edges:
        circuit.rzz(0.7, a, b)
    circuit.rx(0.9, range(qubits))
    return circuit


def ring(qubits, layers=1):
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for _ in range(layers):
        for qubit in range(qubits):
            circuit.rzz(1.42, qubit, (qubit + 1) % qubits)
        circuit.rx(0.9, range(qubits))
    return circuit


def chain(qubits, layers=1):
    circuit = QuantumCircuit(qubits)
    for _ in range(layers):
        circuit.ry(0.3, range(qubits))
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
    circuit.ry(0.2, range(qubits))
    return circuit


def overhead_of(circuit, assignment, *, jointly):
    """gamma² by its definition, from the assignment alone."""
    index = {bit: place for place, bit in enumerate(circuit.qubits)}
    pairs = {}
    for row in assignment.gate_cuts(circuit):
        ends = (assignment.part_at(index[bit], row) for bit in circuit.data[row].qubits)
        pairs.setdefault(tuple(sorted(ends)), []).append(schmidt_sum(circuit.data[row].operation))
    gammas = [2 * math.prod(each) - 1 if jointly else math.prod(2 * s - 1 for s in each) for each in pairs.values()]
    return math.prod(gammas) ** 2 * 16 ** len(assignment.wire_cuts())


def cheapest(circuit, rooms, *, methods, keep=False, jointly=True, reuse=False):
    """Least overhead over every choice of a part for every operand of every two-qubit gate; inf when none fits."""
    index = {bit: place for place, bit in enumerate(circuit.qubits)}
    rows = [[0] for _ in circuit.qubits]
    seen = set()
    for row, entry in enumerate(circuit.data):
        for bit in entry.qubits if len(entry.qubits) == 2 else ():
            qubit = index[bit]
            if qubit in seen:
                rows[qubit].append(row)
            seen.add(qubit)
    if "wire_cut" not in methods:
        rows = [[0] for _ in rows]
    count = sum(map(len, rows))
    least = math.inf
    for flat in itertools.product(range(len(rooms)), repeat=count):
        labels = iter(flat)
        segments = tuple(tuple((row, next(labels)) for row in each) for each in rows)
        assignment = Assignment(parts=len(rooms), segments=segments)
        widths = assignment.widths(circuit, reuse=reuse)
        if any(width > room for width, room in zip(widths, rooms, strict=True)) or (keep and 0 in widths):
            continue
        if "gate_cut" not in methods and assignment.gate_cuts(circuit):
            continue
        least = min(least, overhead_of(circuit, assignment, jointly=jointly))
    return least


def check(found, rooms, least, *, jointly=True, reuse=False):
    """The result is what it says, no better than the best and no worse than its bound allows."""
    told = overhead_of(found.circuit, found.assignment, jointly=jointly)
    assert found.overhead == pytest.approx(told, rel=1e-9)
    assert found.gamma**2 == pytest.approx(found.overhead, rel=1e-9)
    assert found.gate_cuts == found.assignment.gate_cuts(found.circuit)
    assert found.wire_cuts == found.assignment.wire_cuts()
    widths = found.assignment.widths(found.circuit, reuse=reuse)
    assert widths == found.widths
    assert all(width <= rooms[qpu] for width, qpu in zip(widths, found.qpus, strict=True))
    assert found.bound <= least * (1 + 1e-6)
    assert found.overhead == pytest.approx(least, rel=1e-6)
    if found.optimal:
        assert found.bound == pytest.approx(found.overhead)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("jointly", [True, False])
def test_gate_cuts_into_two_are_the_cheapest_of_all(seed, jointly):
    circuit = random_circuit(6, 9, seed)
    rooms = [(3, 3), (4, 3), (5, 5)][seed % 3]
    least = cheapest(circuit, rooms, methods=("gate_cut",), keep=False, jointly=jointly)
    found = find_cuts(circuit, list(rooms), methods=("gate_cut",), jointly=jointly)
    check(found, rooms, least, jointly=jointly)
    assert found.optimal


@pytest.mark.parametrize("seed", range(6))
def test_gate_cuts_into_three_are_the_cheapest_of_all(seed):
    circuit = random_circuit(6, 10, 100 + seed)
    rooms = [(2, 2, 2), (3, 2, 2), (4, 1, 3)][seed % 3]
    least = cheapest(circuit, rooms, methods=("gate_cut",), keep=True, jointly=True)
    found = find_cuts(circuit, list(rooms), parts=3, methods=("gate_cut",))
    check(found, rooms, least)
    assert found.optimal


@pytest.mark.parametrize("seed", range(10))
def test_cuts_of_both_kinds_are_the_cheapest_of_all(seed):
    circuit = random_circuit(4, 5, 200 + seed)
    rooms = [(3, 2), (3, 3), (2, 3)][seed % 3]
    least = cheapest(circuit, rooms, methods=("gate_cut", "wire_cut"), keep=False, jointly=True)
    check(find_cuts(circuit, list(rooms)), rooms, least)


@pytest.mark.parametrize("seed", range(4))
def test_cuts_of_both_kinds_into_three_are_the_cheapest_of_all(seed):
    circuit = random_circuit(4, 3 + seed % 2, 400 + seed)
    given = seed % 2 == 1
    least = cheapest(circuit, (2, 2, 2), methods=("gate_cut", "wire_cut"), keep=given)
    check(find_cuts(circuit, 2, parts=3 if given else None), (2, 2, 2), least)


@pytest.mark.parametrize("seed", range(10))
def test_wire_cuts_are_the_cheapest_of_all(seed):
    circuit = random_circuit(4, 5, 300 + seed)
    rooms = (3, 2 + seed % 2)
    least = cheapest(circuit, rooms, methods=("wire_cut",))
    if math.isinf(least):
        with pytest.raises(NoCutFound):
            find_cuts(circuit, list(rooms), methods=("wire_cut",))
    else:
        check(find_cuts(circuit, list(rooms), methods=("wire_cut",)), rooms, least)


@pytest.mark.parametrize("seed", range(10))
def test_cuts_with_reuse_are_the_cheapest_of_all(seed):
    circuit = random_circuit(4, 5, 500 + seed)
    rooms = [(3, 2), (2, 2)][seed % 2]
    methods = [("gate_cut", "wire_cut"), ("wire_cut",)][seed % 3 == 0]
    least = cheapest(circuit, rooms, methods=methods, reuse=True)
    if math.isinf(least):
        with pytest.raises(NoCutFound):
            find_cuts(circuit, list(rooms), methods=methods, reuse=True)
    else:
        check(find_cuts(circuit, list(rooms), methods=methods, reuse=True), rooms, least, reuse=True)


def test_free_number_of_parts_is_no_dearer_than_any_given_number():
    # Three groups of four in a row: two parts would have to cut a group.
    circuit = QuantumCircuit(12)
    for first in (0, 4, 8):
        for a, b in itertools.combinations(range(first, first + 4), 2):
            circuit.rzz(1.0, a, b)
    circuit.rzz(1.0, 3, 4)
    circuit.rzz(1.0, 7, 8)
    free = find_cuts(circuit, 7)
    assert free.assignment.parts == 3
    assert len(free.gate_cuts) == 2
    assert free.optimal
    assert free.overhead < find_cuts(circuit, 7, parts=2).overhead


@pytest.mark.parametrize(
    ("circuit", "width", "parts", "cuts"),
    [
        (chain(20), 10, 2, 1),
        (chain(200), 100, 2, 1),
        (chain(50, 2), 25, 2, 2),
        (ring(30), 10, 3, 3),
        (ring(20, 2), 10, 2, 4),
        (ring(50, 2), 25, 2, 4),
        (ring(100), 20, 5, 5),
        (ring(200), 100, 2, 2),
        (three_regular(12), 6, 2, 4),
        (three_regular(20), 10, 2, 6),
        (three_regular(30), 15, 2, 7),
    ],
)
def test_known_minima_are_reached_and_proven(circuit, width, parts, cuts):
    found = find_cuts(circuit, width)
    assert found.assignment.parts == parts
    assert (len(found.gate_cuts), found.wire_cuts) == (cuts, ())
    assert found.optimal
    assert found.gap == 0


def test_names_of_the_qubits_do_not_matter():
    shuffled = QuantumCircuit(60)
    order = np.random.default_rng(5).permutation(60).tolist()
    for place in range(60):
        shuffled.rzz(1.42, order[place], order[(place + 1) % 60])
    found = find_cuts(shuffled, 20)
    assert len(found.gate_cuts) == 3
    assert found.optimal


def test_one_wire_is_cut_where_gates_must_not_be():
    found = find_cuts(chain(12), 7, methods=("wire_cut",))
    assert (found.gate_cuts, len(found.wire_cuts)) == ((), 1)
    assert found.overhead == pytest.approx(16)
    assert sorted(found.widths) == [6, 7]
    assert found.optimal


def test_a_wire_is_cut_where_that_is_cheaper():
    # Both halves act on qubit 2 many times, first one and then the other.
    circuit = QuantumCircuit(5)
    for pairs in (((0, 2), (1, 2), (0, 1)), ((3, 2), (4, 2), (3, 4))):
        for a, b in pairs * 2:
            circuit.cx(a, b)
            circuit.ry(0.4, b)
    found = find_cuts(circuit, 3)
    assert (found.gate_cuts, len(found.wire_cuts)) == ((), 1)
    assert found.optimal
    assert find_cuts(circuit, 3, methods=("gate_cut",)).overhead > 16


def test_many_cut_edges_are_far_below_those_of_kernighan_and_lin():
    circuit = three_regular(200)
    graph = nx.Graph()
    graph.add_edges_from(nx.random_regular_graph(3, 200, seed=3).edges)
    halves = nx.algorithms.community.kernighan_lin_bisection(graph, seed=0)
    found = find_cuts(circuit, 100, parts=2, time_limit_s=1.0)
    assert len(found.gate_cuts) <= 0.8 * nx.cut_size(graph, *halves)
    assert 1 < found.bound < found.overhead
    assert found.gap > 0


def test_same_seed_same_cuts():
    circuit = three_regular(60)
    first, again = (find_cuts(circuit, 30, time_limit_s=0.3, seed=4) for _ in range(2))
    assert first.assignment == again.assignment
    assert first.history == again.history


def test_no_time_still_finds_and_time_improves_on_it():
    circuit = three_regular(80)
    costs = [find_cuts(circuit, 40, parts=2, time_limit_s=limit).overhead for limit in (0.0, 0.5, 2.0)]
    assert costs == sorted(costs, reverse=True)


def test_history_falls_and_ends_at_the_result():
    found = find_cuts(three_regular(60), 30, parts=2, time_limit_s=0.5)
    moves, costs = zip(*found.history, strict=True)
    assert moves[0] == 0
    assert list(moves) == sorted(moves)
    assert list(costs) == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(found.overhead)


def test_circuit_that_fits_is_not_cut():
    found = find_cuts(ring(6), 6)
    assert (found.assignment.parts, found.overhead, found.bound, found.optimal) == (1, 1.0, 1.0, True)
    assert (found.gate_cuts, found.wire_cuts, found.subexperiments) == ((), (), 1)


def test_narrowest_qpu_that_holds_the_circuit_takes_it():
    assert find_cuts(ring(6), [9, 4, 7]).qpus == (2,)


def test_unlike_qpus_are_filled_to_their_widths():
    found = find_cuts(chain(12), [3, 9])
    assert found.widths == tuple({0: 3, 1: 9}[qpu] for qpu in found.qpus)
    assert found.overhead == pytest.approx(9)


def test_of_more_qpus_than_parts_the_widest_serve():
    found = find_cuts(chain(12), [2, 6, 1, 8], parts=2)
    assert found.qpus == (1, 3)


def test_given_number_of_parts_is_met_even_if_one_would_do():
    found = find_cuts(chain(6), 6, parts=3)
    assert found.assignment.parts == 3
    assert all(found.widths)
    assert found.overhead == pytest.approx(81)


def test_unconnected_circuits_need_no_cuts():
    circuit = QuantumCircuit(12)
    for first in range(0, 12, 3):
        circuit.cx(first, first + 1)
        circuit.cx(first + 1, first + 2)
    found = find_cuts(circuit, 7)
    assert (found.overhead, found.optimal, found.assignment.parts) == (1.0, True, 2)


def test_gates_of_three_qubits_are_decomposed_and_identities_cost_nothing():
    circuit = QuantumCircuit(4)
    circuit.ccx(0, 1, 2)
    circuit.rzz(0.0, 2, 3)
    circuit.rzz(math.pi, 1, 3)  # a product of two Z
    found = find_cuts(circuit, 3)
    assert found.overhead == pytest.approx(1)
    assert found.optimal


def test_unbound_angle_is_priced_at_its_worst():
    circuit = QuantumCircuit(2)
    circuit.rzz(Parameter("t"), 0, 1)
    assert find_cuts(circuit, 1).overhead == pytest.approx(9)


def test_bits_of_a_condition_stay_with_what_reads_them():
    circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(1))
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(3)
    for a, b in ((0, 1), (2, 3), (0, 1), (2, 3)):
        circuit.cx(a, b)
        circuit.ry(0.3, b)
    found = find_cuts(circuit, 2, methods=("gate_cut",))
    assert found.assignment.part_at(0, 1) == found.assignment.part_at(3, 2)
    assert len(found.gate_cuts) == 4


def test_joint_and_separate_prices_differ_as_the_theory_says():
    found = find_cuts(chain(10, 2), 5)
    assert found.gamma_joint == pytest.approx(7)
    assert found.gamma_separate == pytest.approx(9)
    alone = find_cuts(chain(10, 2), 5, jointly=False)
    assert alone.gamma == pytest.approx(9)
    assert alone.optimal


def test_subexperiments_of_two_cut_rotations_in_halves():
    assert find_cuts(ring(10), 5).subexperiments == 2 * 5**2


def test_reuse_spares_gate_cuts():
    # Qubits 1 to 3 pass one after the other by qubit 0, then meet elsewhere: one qubit can stand for all of them there.
    circuit = QuantumCircuit(4)
    for a, b in [(0, 1), (0, 2), (0, 3), (1, 2), (2, 3), (1, 3)]:
        for _ in range(8):
            circuit.cx(a, b)
            circuit.ry(0.3, b)
    plain = find_cuts(circuit, [2, 3])
    reused = find_cuts(circuit, [2, 3], reuse=True)
    assert (reused.gate_cuts, len(reused.wire_cuts)) == ((), 2)
    assert reused.optimal
    assert plain.gate_cuts
    assert reused.overhead < plain.overhead


@pytest.mark.parametrize(
    ("widths", "options", "told"),
    [
        ([4, 5], {}, "9 qubits, 3 too few"),
        (4, {"parts": 2}, "8 qubits, 4 too few"),
        (12, {"parts": 13, "methods": ("gate_cut",)}, "13 parts cannot all hold a qubit"),
        (1, {"methods": ("wire_cut",)}, "held together"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_numbers(widths, options, told):
    with pytest.raises(NoCutFound, match=told):
        find_cuts(chain(12), widths, **options)


@pytest.mark.parametrize(
    ("widths", "options"),
    [
        ([], {}),
        (0, {}),
        (2.5, {}),
        (True, {}),
        ([3, "x"], {}),
        (6, {"parts": 0}),
        ([6, 6], {"parts": 3}),
        (6, {"methods": ()}),
        (6, {"methods": ("saw",)}),
        (6, {"time_limit_s": -1.0}),
        (6, {"time_limit_s": math.nan}),
        (6, {"seed": -1}),
    ],
)
def test_senseless_arguments_are_refused(widths, options):
    with pytest.raises(InvalidValue):
        find_cuts(chain(12), widths, **options)
