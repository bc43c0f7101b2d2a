"""The engine's exact values are those of the whole circuit, whatever was cut."""

import math
import time

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator

from hyperfabric_q.cutting.allocation import estimate
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.engine import Workbench, bootstrap, exact
from hyperfabric_q.cutting.observables import grouped, measure
from hyperfabric_q.cutting.prepare import prepare
from hyperfabric_q.cutting.split import split
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation


def hea(qubits, reps, seed=0):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(reps + 1):
        for turn in (circuit.ry, circuit.rz):
            for qubit in range(qubits):
                turn(rng.uniform(0, 2 * np.pi), qubit)
        if layer < reps:
            for qubit in range(qubits - 1):
                circuit.cx(qubit, qubit + 1)
    return circuit


def ring(qubits, seed=1):
    rng = np.random.default_rng(seed)
    gamma, beta = rng.uniform(0.2, 1.2), rng.uniform(0.2, 1.2)
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for qubit in range(qubits):
        circuit.rzz(2 * gamma, qubit, (qubit + 1) % qubits)
    circuit.rx(2 * beta, range(qubits))
    return circuit, gamma, beta


def chain(qubits):
    pairs = [SparsePauliOp.from_sparse_list([("ZZ", [q, q + 1], 1)], qubits) for q in range(qubits - 1)]
    return pairs + [SparsePauliOp.from_sparse_list([("X", [q], 1)], qubits) for q in range(qubits)]


def check_random(seed, make_circuit, make_observables, oracle, largest):
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(3, largest + 1))
    parts = int(rng.integers(2, min(4, qubits) + 1))
    circuit, assignment = make_circuit(
        rng, qubits, 25, classical=bool(seed % 2), parts=parts, wires=int(rng.integers(0, 3)), general=seed % 3 == 0
    )
    labels = make_observables(rng, qubits, 4)
    cut = split(circuit, assignment, wire=("lo", "lo_six", "locc")[seed % 3])
    np.testing.assert_allclose(exact(cut, labels), oracle(circuit, labels), atol=1e-9)
    return len(cut.cuts)


def test_random_circuits_are_put_together_exactly(make_circuit, make_observables, oracle):
    cuts = [check_random(seed, make_circuit, make_observables, oracle, 5) for seed in range(36)]
    assert max(cuts) >= 4


@pytest.mark.slow
def test_500_random_circuits_up_to_12_qubits_are_put_together_exactly(make_circuit, make_observables, oracle):
    for seed in range(1000, 1500):
        check_random(seed, make_circuit, make_observables, oracle, 12 if seed % 10 == 0 else 7)


@pytest.mark.parametrize(("reps", "value"), [(1, 0.4818510625806), (2, 0.1779313811657), (3, -0.1167280275727)])
def test_a_hardware_efficient_ansatz_has_its_known_value(reps, value):
    cut = split(prepare(hea(10, reps)), Assignment.static("AAAAABBBBB"))
    middle = SparsePauliOp.from_sparse_list([("ZZ", [4, 5], 1)], 10)
    assert exact(cut, middle)[0] == pytest.approx(value, abs=1e-12)
    assert sum(fragment.variants for fragment in cut.fragments) == 2 * 5**reps
    assert cut.gamma == pytest.approx(3**reps)


@pytest.mark.parametrize("qubits", [30, 36])
def test_a_ring_in_three_parts_has_the_closed_form(qubits):
    circuit, gamma, beta = ring(qubits)
    cut = split(prepare(circuit), Assignment.static(np.repeat(range(3), qubits // 3).tolist()))
    found = exact(cut, chain(qubits))
    np.testing.assert_allclose(found[: qubits - 1], math.sin(4 * beta) * math.sin(4 * gamma) / 2, atol=1e-10)
    np.testing.assert_allclose(found[qubits - 1 :], math.cos(2 * gamma) ** 2, atol=1e-10)


def test_wide_ansatzes_need_few_variants_and_agree_with_the_light_cone():
    for qubits, allowed in ((40, 84), (60, 156), (80, 228)):
        circuit = hea(qubits, 1)
        cut = split(prepare(circuit), Assignment.static([q // 10 for q in range(qubits)]))
        assert sum(fragment.variants for fragment in cut.fragments) <= allowed
        labels = [SparsePauliOp.from_sparse_list([("Z", [q], 1)], qubits) for q in range(qubits)]
        found = exact(cut, labels)
        # Qubit 12 feels the chain before it and the gate to its successor.
        short = circuit_of_first(circuit, 14)
        assert found[12] == pytest.approx(Statevector(short).expectation_value(SparsePauliOp("IZ" + "I" * 12)).real)


def circuit_of_first(circuit, qubits):
    kept = QuantumCircuit(qubits)
    for instruction in circuit.data:
        places = [circuit.find_bit(each).index for each in instruction.qubits]
        if max(places) < qubits:
            kept.append(instruction.operation, places)
    return kept


def test_three_cuts_and_19_observables_take_a_tenth_of_a_second_of_cpu():
    circuit, observables = hea(10, 3), chain(10)
    spent = []
    for _ in range(3):
        start = time.process_time()
        exact(split(prepare(circuit), Assignment.static("AAAAABBBBB")), observables)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.1


def test_gates_of_one_moment_cut_together_cost_less_and_give_the_same():
    circuit = QuantumCircuit(6)
    for qubit in range(6):
        circuit.ry(0.3 + qubit, qubit)
    circuit.cx(0, 3)
    circuit.rzz(0.7, 4, 1)
    circuit.crx(1.1, 2, 5)
    circuit.ry(0.4, range(6))
    rows = Assignment.static("AAABBB").gate_cuts(circuit)
    together = split(circuit, Assignment.static("AAABBB"), joint=[rows[:2]])
    labels = ["ZXIYIZ", "IZZIXX", "XXXXXX"]
    state = Statevector(circuit)
    np.testing.assert_allclose(
        exact(together, labels), [state.expectation_value(SparsePauliOp(each)).real for each in labels], atol=1e-12
    )
    assert together.gamma < split(circuit, Assignment.static("AAABBB")).gamma
    blocked = QuantumCircuit(4)
    blocked.cx(0, 2)
    blocked.cx(0, 1)
    blocked.cx(1, 3)
    with pytest.raises(InvalidValue, match="at one time"):
        split(blocked, Assignment.static("AABB"), joint=[(0, 2)])


def test_a_condition_on_a_bit_of_another_part_is_refused_by_name():
    circuit = QuantumCircuit(4, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(3)
    with pytest.raises(UnsupportedOperation, match=r"if_else.*instruction 2.*part 0"):
        split(circuit, Assignment.static("AABB"))


def test_x_on_a_measured_qubit_is_zero_and_z_is_not():
    circuit = QuantumCircuit(2, 1)
    circuit.ry(0.8, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    cut = split(circuit, Assignment.static("AB"))
    np.testing.assert_allclose(exact(cut, ["IX", "XX", "IZ", "ZZ"]), [0, 0, math.cos(0.8), 1], atol=1e-12)


def test_a_changed_cut_angle_runs_nothing_and_a_changed_fragment_angle_only_its_fragment():
    outer, left, right = Parameter("outer"), Parameter("left"), Parameter("right")
    for name in ("rzz", "cp", "crx", "ryy"):
        circuit = QuantumCircuit(4)
        circuit.h(range(4))
        circuit.rx(left, 0)
        circuit.cx(0, 1)
        getattr(circuit, name)(2 * outer, 1, 2)
        circuit.cx(2, 3)
        circuit.ry(right + 0.2, 3)
        labels = ["ZZZZ", "IXXI", "YIIY"]
        bench = Workbench(split(prepare(circuit), Assignment.static("AABB")), labels)
        runs = []
        for point in ((0.3, 0.4, 0.5), (0.9, 0.4, 0.5), (0.9, 1.4, 0.5), (0.9, 1.4, 0.1), (0.2, 0.4, 0.1)):
            values = dict(zip((outer, left, right), point, strict=True))
            state = Statevector(circuit.assign_parameters(values))
            wanted = [state.expectation_value(SparsePauliOp(each)).real for each in labels]
            np.testing.assert_allclose(bench.exact(values), wanted, atol=1e-12)
            runs.append(bench.runs.fragments)
        assert runs == [2, 2, 3, 4, 4]
        first = bench.resumed(dict(zip((outer, left, right), point, strict=True)), per_variant=200, seed=3)
        ran = bench.runs.variants
        again = bench.resumed({"outer": 1.1, "left": 0.4, "right": 0.1}, per_variant=200, seed=3)
        assert bench.runs.variants == ran
        assert first.shots == again.shots
    with pytest.raises(InvalidValue, match="no such parameter"):
        bench.exact({"middle": 1.0})
    with pytest.raises(InvalidValue, match="every parameter needs a value"):
        bench.exact({"outer": 1.0})


def test_groups_commute_qubit_by_qubit():
    rng = np.random.default_rng(4)
    masks = rng.integers(0, 16, (40, 2))
    group, bases = grouped(masks)
    for (x, z), number in zip(masks, group, strict=True):
        basis_x, basis_z = bases[number]
        for bit in range(4):
            own = (x >> bit & 1, z >> bit & 1)
            assert own in ((0, 0), (basis_x >> bit & 1, basis_z >> bit & 1))


def test_the_bootstrap_agrees_with_the_error_bars():
    cut = split(prepare(hea(6, 2, seed=3)), Assignment.static("AAABBB"))
    observables = [SparsePauliOp("IZZIII"), SparsePauliOp(["IIZZII", "XIIIIX"], [1, -0.5])]
    made = estimate(cut, observables, per_variant=2000, seed=1)
    spread = bootstrap(cut, measure(cut, observables), made.tallies, repeats=300, seed=2)
    np.testing.assert_allclose(spread, made.reading.stderr, rtol=0.15)


def test_observables_are_refused_that_cannot_be_measured():
    cut = split(prepare(hea(4, 1)), Assignment.static("AABB"))
    for bad in (SparsePauliOp("ZZ"), SparsePauliOp("ZZZZ", [1j]), "ZZQZ", 3.0):
        with pytest.raises(InvalidValue):
            exact(cut, [bad])


def test_error_bars_hold_where_one_fragment_ends_several_wires():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cry(0.5, 0, 1)
    cut = split(circuit, Assignment(parts=2, segments=(((0, 0), (2, 1)), ((0, 0), (2, 1)))))
    found = [estimate(cut, "ZI", shots=20_000, seed=seed) for seed in range(80)]
    values = np.array([each.estimates[0].value for each in found])
    told = np.mean([each.estimates[0].stderr for each in found])
    assert 0.8 < values.std(ddof=1) / told < 1.25


@pytest.mark.slow
def test_500_random_circuits_up_to_12_qubits_have_the_values_of_aer(make_circuit):
    simulator = AerSimulator(method="statevector")
    for number in range(500):
        rng = np.random.default_rng(number)
        qubits, parts = int(rng.integers(4, 13)), int(rng.integers(2, 5))
        circuit, assignment = make_circuit(rng, qubits, 3 * qubits // 2, parts=parts, wires=int(rng.integers(0, 2)))
        strings = [SparsePauliOp("".join(rng.choice(list("IXYZ"), qubits))) for _ in range(3)]
        reference = circuit.copy()
        for place, string in enumerate(strings):
            reference.save_expectation_value(string, range(qubits), label=str(place))
        told = simulator.run(transpile(reference, simulator, optimization_level=0)).result().data(0)
        due = [told[str(place)] for place in range(3)]
        assert exact(split(circuit, assignment), strings) == pytest.approx(due, abs=1e-9)
