"""Fewer qubits, the same outcomes: distributions before and after, and the fewest by trying every order."""

import itertools
import time

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit
from qiskit.quantum_info import Operator, Pauli

from hyperfabric_q.distribution import reuse as module
from hyperfabric_q.distribution.reuse import reuse
from hyperfabric_q.distribution.reuse_order import _greedy, _Search, finishing_order, width_of
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.simulate import probabilities


def bernstein_vazirani(bits):
    secret = len(bits)
    circuit = QuantumCircuit(secret + 1, secret)
    circuit.x(secret)
    circuit.h(range(secret + 1))
    for qubit, bit in enumerate(bits):
        if bit:
            circuit.cx(qubit, secret)
    circuit.h(range(secret))
    circuit.barrier()
    circuit.measure(range(secret), range(secret))
    return circuit


def ghz_chain(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def brickwork(qubits, layers, seed=0):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            circuit.u(*rng.uniform(0, 6, 3), qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cz(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def random_measured(rng, qubits, steps):
    """Gates of all kinds, measurements into shared bits, resets, barriers, conditions on bits and on a register."""
    first, second = ClassicalRegister(2, "q"), ClassicalRegister(2, "second")
    circuit = QuantumCircuit(QuantumRegister(qubits, "wire"), first, second, [Clbit()])
    for _ in range(steps):
        kind, a = rng.random(), int(rng.integers(qubits))
        b = int((a + 1 + rng.integers(qubits - 1)) % qubits)
        if kind < 0.25:
            (circuit.cx, circuit.cz, circuit.ch, circuit.rxx, circuit.cp)[gate := int(rng.integers(5))](
                *((rng.uniform(0, 3),) if gate > 2 else ()), a, b
            )
        elif kind < 0.5:
            (circuit.h, circuit.t, circuit.sx, circuit.y)[rng.integers(4)](a)
        elif kind < 0.65:
            circuit.measure(a, int(rng.integers(5)))
        elif kind < 0.75:
            circuit.reset(a)
        elif kind < 0.8:
            circuit.barrier(a, b)
        else:
            tested = (circuit.clbits[rng.integers(5)], 1) if rng.random() < 0.6 else (first, int(rng.integers(4)))
            with circuit.if_test(tested):
                (circuit.x, circuit.h, circuit.s)[rng.integers(3)](a)
                if rng.random() < 0.5:
                    circuit.cz(a, b)
    circuit.measure(range(min(qubits, 4)), range(min(qubits, 4)))
    return circuit


# ---------------------------------------------------------------------------------------------------- the same outcomes


def same_distribution(circuit, reused):
    before, after = probabilities(circuit), probabilities(reused)
    return all(before.get(key, 0) == pytest.approx(after.get(key, 0), abs=1e-9) for key in {*before, *after})


@pytest.mark.parametrize("most", [None, 3])
def test_the_joint_distribution_of_all_classical_bits_stays(most):
    fewer = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        circuit = random_measured(rng, int(rng.integers(4, 7)), int(rng.integers(8, 22)))
        found = reuse(circuit, most)
        assert found.circuit.num_qubits == found.width <= circuit.num_qubits
        assert found.circuit.clbits == circuit.clbits
        assert [list(register) for register in found.circuit.cregs] == [list(register) for register in circuit.cregs]
        assert same_distribution(circuit, found.circuit), seed
        fewer += found.width < circuit.num_qubits
    assert fewer >= 30


def test_an_operation_out_of_order_would_be_seen():
    """The test above can fail: the same steps, each qubit's in order, but a condition before its measurement."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    wrong = circuit.copy_empty_like()
    for index in (2, 3, 0, 1):
        wrong.append(circuit.data[index])
    assert not same_distribution(circuit, wrong)
    assert reuse(circuit).width == 1
    assert same_distribution(circuit, reuse(circuit).circuit)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10**6))
def test_the_given_circuit_comes_back_when_each_qubit_gets_its_own_wire(seed):
    """At any width: undone, the steps are those of the given circuit, wire by wire in its order but for what commutes.

    Here no two neighbours on a wire commute by kind, so the order must be the given one.
    """
    rng = np.random.default_rng(seed)
    qubits = 40
    circuit = QuantumCircuit(qubits, qubits)
    for _ in range(150):
        a = int(rng.integers(qubits - 1))
        circuit.ecr(a, min(a + 1 + int(rng.integers(2)), qubits - 1))
    circuit.measure(range(qubits), range(qubits))
    found = reuse(circuit)
    assert found.width < qubits
    measured = [step.clbits[0] for step in found.circuit.data if step.operation.name == "measure"]
    finished = [found.circuit.find_bit(bit).index for bit in measured]  # bit i is measured from qubit i
    queue = [[qubit for qubit in finished if found.placed[qubit] == (wire,)] for wire in range(found.width)]
    held, undone = [-1] * found.width, {}
    for step in found.circuit.data:
        wires = [found.circuit.find_bit(wire).index for wire in step.qubits]
        if step.operation.name == "reset":
            held[wires[0]] = -1
            continue
        for wire in wires:
            if held[wire] < 0:
                held[wire] = queue[wire].pop(0)
        for wire in wires:
            undone.setdefault(held[wire], []).append((step.operation.name, tuple(held[each] for each in wires)))
    expected = {}
    for step in circuit.data:
        wires = tuple(circuit.find_bit(wire).index for wire in step.qubits)
        for wire in wires:
            expected.setdefault(wire, []).append((step.operation.name, wires))
    assert undone == expected


# ----------------------------------------------------------------------------------------------------------- how few


@pytest.mark.parametrize(
    ("circuit", "width"),
    [
        (bernstein_vazirani([1, 0, 1, 1, 1]), 2),
        (bernstein_vazirani([1] * 300), 2),
        (bernstein_vazirani([0] * 7), 1),
        (ghz_chain(12), 2),
        (ghz_chain(300), 2),
        (brickwork(30, 1), 2),
        (brickwork(30, 4), 5),
        (brickwork(30, 7), 8),
    ],
)
def test_known_widths(circuit, width):
    found = reuse(circuit)
    assert (found.width, found.fewest) == (width, True)


def test_bernstein_vazirani_still_finds_its_secret_on_two_qubits():
    found = reuse(bernstein_vazirani([1, 0, 1, 1, 0, 0, 1]))
    assert probabilities(found.circuit) == pytest.approx({"1001101": 1.0})


def test_gates_that_commute_do_not_wait_for_each_other():
    """In any order of its gates a QAOA layer on a ring needs three qubits; read as a chain it would need all."""
    circuit = QuantumCircuit(12)
    circuit.h(range(12))
    edges = [(qubit, (qubit + 1) % 12) for qubit in range(12)]
    for place in np.random.default_rng(3).permutation(12):
        circuit.rzz(0.4, *edges[place])
    circuit.rx(0.7, range(12))
    circuit.measure_all()
    found = reuse(circuit)
    assert (found.width, found.fewest) == (3, True)
    assert same_distribution(circuit, found.circuit)


def test_an_80_qubit_qaoa_needs_at_most_20():
    """The qubits that DeCross et al., arXiv:2210.08039, run such circuits on."""
    circuit = QuantumCircuit(80)
    circuit.h(range(80))
    for edge in nx.random_regular_graph(3, 80, seed=1).edges:
        circuit.rzz(0.3, *edge)
    circuit.rx(0.2, range(80))
    circuit.measure_all()
    assert reuse(circuit).width <= 20


def functions(gate, wires):
    """On each wire the Pauli that a gate's own matrix commutes with, "" if none."""
    if gate.name == "measure":
        return ["Z"]
    matrix = Operator(gate).data
    found = []
    for place in range(len(wires)):
        label = ["I"] * len(wires)
        commuting = []
        for pauli in "XYZ":
            label[place] = pauli
            other = Pauli("".join(reversed(label))).to_matrix()
            if np.allclose(matrix @ other, other @ matrix):
                commuting.append(pauli)
        found.append(commuting[0] if commuting else "")
    return found


def fewest_by_all_orders(circuit):
    """Dijkstra over the sets of operations that have run, with dependencies from the gates' matrices."""
    steps = [
        ([circuit.find_bit(wire).index for wire in each.qubits], each.operation)
        for each in circuit.data
        if each.operation.name != "barrier"
    ]
    kinds = [dict(zip(wires, functions(gate, wires), strict=True)) for wires, gate in steps]
    waits = [set() for _ in steps]
    for later, earlier in itertools.combinations(range(len(steps))[::-1], 2):
        shared = set(kinds[later]) & set(kinds[earlier])
        if any(not kinds[later][wire] or kinds[later][wire] != kinds[earlier][wire] for wire in shared):
            waits[later] |= {earlier} | waits[earlier]
    for later in range(len(steps)):
        for earlier in sorted(waits[later]):
            waits[later] |= waits[earlier]
    seen = {number for number, (_, gate) in enumerate(steps) if gate.name == "measure"}
    seen |= {earlier for number in seen for earlier in waits[number]}
    on = {wire: {number for number in seen if wire in kinds[number]} for wire in range(circuit.num_qubits)}
    best, frontier = {frozenset(): 0}, [[frozenset()]]
    while True:
        width = next(index for index, sets in enumerate(frontier) if sets)
        ran = frontier[width].pop()
        if best[ran] < width:
            continue
        if ran == seen:
            return width
        for step in seen - ran:
            if not waits[step] <= ran:
                continue
            after = ran | {step}
            used = sum(1 for own in on.values() if own & after and not own <= ran)
            widest = max(width, used)
            if widest < best.get(after, 99):
                best[after] = widest
                frontier += [[] for _ in range(widest + 1 - len(frontier))]
                frontier[widest].append(after)


def small_measured(rng):
    qubits = int(rng.integers(3, 6))
    circuit = QuantumCircuit(qubits, qubits)
    for _ in range(int(rng.integers(4, 10))):
        a, b = map(int, rng.choice(qubits, 2, replace=False))
        kind = int(rng.integers(8))
        if kind < 5:
            (circuit.cx, circuit.cz, circuit.ch, circuit.swap, circuit.cy)[kind](a, b)
        elif kind == 5:
            circuit.ryy(0.4, a, b)
        else:
            (circuit.h, circuit.t)[kind - 6](a)
    for qubit in range(qubits):
        if rng.random() < 0.8:
            circuit.measure(qubit, qubit)
    return circuit


def check_fewest(seeds):
    widths = set()
    for seed in seeds:
        circuit = small_measured(np.random.default_rng(seed))
        if not circuit.count_ops().get("measure"):
            continue
        found = reuse(circuit)
        assert found.width == fewest_by_all_orders(circuit), seed
        assert found.fewest
        widths.add((circuit.num_qubits, found.width))
    return widths


def test_small_circuits_get_the_fewest_qubits_that_any_order_needs():
    assert len(check_fewest(range(40))) >= 8


@pytest.mark.slow
def test_400_small_circuits_get_the_fewest_qubits_that_any_order_needs():
    assert len(check_fewest(range(100, 500))) >= 10


def random_cones(seed, size):
    rng = np.random.default_rng(seed)
    return (rng.random((size, size)) < rng.uniform(0.1, 0.7)) | np.eye(size, dtype=bool)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.integers(0, 10**6), st.integers(1, 7))
def test_the_order_is_the_best_of_all_permutations(seed, size):
    cones = random_cones(seed, size)
    best = min(width_of(order, cones) for order in itertools.permutations(range(size)))
    found = finishing_order(cones, seed=seed)
    assert sorted(found.order) == list(range(size))
    assert width_of(found.order, cones) == found.width == best
    assert found.fewest


def test_the_search_alone_decides_what_the_greedy_rule_may_miss():
    missed = 0
    for seed in range(400):
        size = 4 + seed % 3
        cones = random_cones(seed, size)
        best = min(width_of(order, cones) for order in itertools.permutations(range(size)))
        order = _Search(cones).order(best)
        assert sorted(order) == list(range(size))
        assert width_of(order, cones) == best
        assert _Search(cones).order(best - 1) is None
        missed += width_of(_greedy(cones), cones) > best
    assert missed >= 5


# ------------------------------------------------------------------------------------------------------- what is asked


def test_a_circuit_that_measures_nothing_is_returned_as_it_is():
    circuit = QuantumCircuit(3, 1)
    circuit.h(0)
    circuit.cx(0, 1)
    found = reuse(circuit)
    assert found.circuit is circuit
    assert (found.width, found.placed) == (3, ((0,), (1,), (2,)))


def test_a_circuit_that_fits_or_cannot_be_narrower_is_returned_as_it_is():
    chain = ghz_chain(5)
    assert reuse(chain, 5).circuit is chain
    full = QuantumCircuit(3)
    for _ in range(2):
        full.h(range(3))
        full.cz(0, 1)
        full.cz(1, 2)
        full.cz(0, 2)
    full.h(range(3))
    full.measure_all()
    found = reuse(full)
    assert found.circuit is full
    assert found.fewest


def test_all_qubits_that_there_are_get_used():
    assert [reuse(ghz_chain(9), most).width for most in (2, 4, 8, 9)] == [2, 4, 8, 9]
    found = reuse(ghz_chain(9), 4)
    assert found.circuit.count_ops()["reset"] == 5
    assert sorted(wire for (wire,) in found.placed) == [0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_the_order_stays_where_resets_alone_are_enough():
    circuit = QuantumCircuit(4, 2)
    for first in (0, 2):
        circuit.h(first)
        circuit.cx(first, first + 1)
        circuit.measure([first, first + 1], [0, 1])
    found = reuse(circuit, 2)
    names = [step.operation.name for step in found.circuit.data if step.operation.name != "reset"]
    assert names == [step.operation.name for step in circuit.data]
    assert found.width == 2


def test_too_few_qubits_give_the_fewest():
    assert reuse(brickwork(20, 4), 3).width == 5


def test_what_no_outcome_depends_on_is_left_out():
    circuit = QuantumCircuit(4, 1)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(2, 3)
    circuit.measure(1, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    found = reuse(circuit)
    assert [step.operation.name for step in found.circuit.data] == ["h", "cx", "measure"]
    assert found.placed == ((0,), (1,), (), ())


def test_a_users_reset_begins_another_life():
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    found = reuse(circuit)
    assert found.width == 2
    assert len(found.placed[0]) == 2
    assert same_distribution(circuit, found.circuit)


@pytest.mark.parametrize("most", [0, -1, 2.0, True, "2"])
def test_most_is_a_positive_whole_number(most):
    with pytest.raises(InvalidValue, match="most"):
        reuse(ghz_chain(3), most)


def test_same_seed_same_circuit():
    rng = np.random.default_rng(5)
    circuit = random_measured(rng, 9, 40)
    assert reuse(circuit, seed=4).circuit == reuse(circuit, seed=4).circuit


def test_more_lives_than_can_be_compared_run_in_the_given_order(monkeypatch):
    monkeypatch.setattr(module, "MOST_LIVES", 4)
    circuit = QuantumCircuit(6, 6)
    for qubit in range(6):
        circuit.h(qubit)
        circuit.measure(qubit, qubit)
        circuit.reset(qubit)
        circuit.x(qubit)
        circuit.measure(qubit, (qubit + 1) % 6)
    found = reuse(circuit)
    assert (found.width, found.fewest) == (1, False)
    assert same_distribution(circuit, found.circuit)


def test_2000_qubits_take_seconds():
    circuit = brickwork(2000, 6)
    began = time.process_time()
    found = reuse(circuit)
    assert found.width == 7
    assert time.process_time() - began < 10
