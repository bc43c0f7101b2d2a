"""``hq.cut``: from a circuit to numbers, whoever decides where it is cut."""

import math

import cirq
import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm2
from qiskit.circuit import Instruction, Parameter
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary

import hyperfabric_q as hq
from hyperfabric_q.cutting.answers import label_of
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.observables import read_label
from hyperfabric_q.errors import HyperFabricWarning, InvalidValue, NoCutFound, OverheadTooHigh, UnsupportedOperation


def ansatz(qubits, reps, seed=0):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(reps + 1):
        for qubit in range(qubits):
            circuit.ry(float(rng.uniform(0, 6)), qubit)
            circuit.rz(float(rng.uniform(0, 6)), qubit)
        for qubit in range(qubits - 1 if layer < reps else 0):
            circuit.cx(qubit, qubit + 1)
    return circuit


def ring(qubits, angle=0.7, turn=1.1):
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for qubit in range(qubits):
        circuit.rzz(2 * angle, qubit, (qubit + 1) % qubits)
    circuit.rx(2 * turn, range(qubits))
    return circuit


def truth_of(circuit, observables):
    state = Statevector(circuit)
    return np.array([state.expectation_value(SparsePauliOp(each)).real for each in observables])


# ------------------------------------------------------------------------------------------------------ where to cut


def test_a_ring_falls_into_three_at_three_gates():
    plan = hq.cut(ring(30), max_qubits=10, seed=1)
    assert plan.widths == (10, 10, 10)
    assert (len(plan.gate_cuts), len(plan.wire_cuts)) == (3, 0)
    assert plan.gamma == pytest.approx((1 + 2 * math.sin(1.4)) ** 3)
    assert plan.overhead == pytest.approx(plan.gamma**2)
    assert plan.optimal
    assert plan.bound == plan.overhead
    found = plan.exact([SparsePauliOp.from_sparse_list([("ZZ", [9, 10], 1)], 30)])
    assert found[0].value == pytest.approx(math.sin(4.4) * math.sin(2.8) / 2, abs=1e-10)
    assert (found[0].stderr, found[0].shots, found.seed) == (0.0, 0, None)


def test_all_ways_to_say_where_give_the_exact_values():
    circuit = ansatz(6, 1)
    observables = ["ZZZZZZ", "IXYIII", SparsePauliOp(["IIZZII", "XIIIIX"], [0.5, -2.0])]
    moved = Assignment(parts=2, segments=(((0, 0),),) * 3 + (((0, 0), (15, 1)),) + (((0, 1),),) * 2)
    plans = [
        hq.cut(circuit, max_qubits=3, seed=1),
        hq.cut(circuit, 4, methods=["wire_cut"], seed=1),
        hq.cut(circuit, widths=[4, 2], seed=1),
        hq.cut(circuit, max_qubits=6, parts=2, seed=1),
        hq.cut(circuit, assignment="AAABBB"),
        hq.cut(circuit, assignment=["left"] * 2 + ["right"] * 4, max_qubits=4),
        hq.cut(circuit, assignment={5: "b", 4: "b", 3: "b", 2: "a", 1: "a", 0: "a"}),
        hq.cut(circuit, assignment=moved),
        hq.cut(circuit, max_qubits=6, seed=1),
    ]
    for plan in plans:
        np.testing.assert_allclose(plan.exact(observables).evs, truth_of(circuit, observables), atol=1e-12)
    assert plans[1].wire_cuts
    assert not plans[1].gate_cuts
    assert sorted(plans[2].widths) == [2, 4]
    assert plans[-1].widths == (6,)
    assert plans[-1].gamma == 1.0
    for plan in plans[4:8]:
        assert plan.bound is None
        assert not plan.optimal
    assert plans[4].gamma == pytest.approx(3)
    assert plans[7].gamma == pytest.approx(4)


def test_given_cuts_cost_what_the_finder_says_they_cost():
    for circuit in (ring(12), ansatz(8, 2)):
        found = hq.cut(circuit, max_qubits=circuit.num_qubits // 2, seed=1)
        given = hq.cut(circuit, assignment=found.cut.assignment)
        assert given.gamma == pytest.approx(found.gamma)
        assert given.widths == found.widths
        assert given.gate_cuts == found.gate_cuts
        assert found.gamma <= found.gamma_separate * (1 + 1e-12)
    again = hq.cut(circuit, max_qubits=4, seed=found.seed)
    assert again.to_dict() == found.to_dict()


def test_marked_wires_are_cut_and_moves_keep_the_names_of_qubits():
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(0.3 + qubit, qubit)
    circuit.cx(0, 1)
    circuit.append(Instruction("cut_wire", 1, 0, []), [1])
    circuit.cx(1, 2)
    circuit.cx(2, 3)
    plain = QuantumCircuit(4)
    for instruction in circuit.data:
        if instruction.name != "cut_wire":
            plain.append(instruction)
    plan = hq.cut(circuit)
    assert plan.wire_cuts == ((1, 5),)
    assert sorted(plan.widths) == [2, 3]
    observables = ["ZZZZ", "IXXI"]
    np.testing.assert_allclose(plan.exact(observables).evs, truth_of(plain, observables), atol=1e-12)
    assert hq.cut(circuit, max_qubits=3).widths == plan.widths
    with pytest.raises(NoCutFound, match="3, 2"):
        hq.cut(circuit, max_qubits=2)
    with pytest.raises(InvalidValue, match="itself marks 1 wire cuts"):
        hq.cut(circuit, assignment="AABB")

    moved = QuantumCircuit(3)
    moved.ry(0.4, 0)
    moved.cx(0, 1)
    moved.append(Instruction("move", 2, 0, []), [1, 2])
    moved.rx(0.9, 2)
    direct = QuantumCircuit(2)
    direct.ry(0.4, 0)
    direct.cx(0, 1)
    direct.rx(0.9, 1)
    plan = hq.cut(moved)
    expected = truth_of(direct, ["ZZ", "YI"])
    np.testing.assert_allclose(plan.exact(["ZIZ", "YII"]).evs, expected, atol=1e-12)
    made = plan.estimate(["ZIZ", "YII"], shots=40_000, seed=3)
    assert (np.abs(made.evs - expected) < 4 * made.stds).all()
    assert {key[1] for key in plan.distribution().probabilities} == {"0"}  # what Move leaves behind is empty


def test_any_form_of_circuit_is_taken(tmp_path):
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    a, b, c = cirq.LineQubit.range(3)
    text = qasm2.dumps(circuit)
    path = tmp_path / "ghz.qasm"
    path.write_text(text)
    for form in (circuit, cirq.Circuit(cirq.H(a), cirq.CNOT(a, b), cirq.CNOT(b, c)), text, path, str(path)):
        plan = hq.cut(form, max_qubits=2, seed=1)
        np.testing.assert_allclose(plan.exact(["XXX", "ZIZ", "IIZ"]).evs, [1, 1, 0], atol=1e-12)


def test_what_does_not_say_how_to_cut_is_refused():
    circuit = ansatz(4, 1)
    for options in (
        {},
        {"max_qubits": 2, "widths": [2, 2]},
        {"max_qubits": 0},
        {"max_qubits": 2, "methods": ["teleport"]},
        {"assignment": "AAB"},
        {"assignment": 7},
        {"assignment": {0: "a"}},
        {"assignment": "AABB", "parts": 3},
        {"assignment": Assignment.static("AB")},
        {"max_qubits": 2, "seed": -1},
    ):
        with pytest.raises(InvalidValue):
            hq.cut(circuit, **options)
    with pytest.raises(NoCutFound):
        hq.cut(circuit, assignment="AAAB", max_qubits=2)
    with pytest.raises(NoCutFound):
        hq.cut(circuit, widths=[2, 1])
    measured = QuantumCircuit(2, 1)
    measured.h(0)
    measured.measure(0, 0)
    with measured.if_test((0, 1)):
        measured.x(1)
    with pytest.raises(UnsupportedOperation, match="if_else"):
        hq.cut(measured, assignment="AB")


# --------------------------------------------------------------------------------------------------------- estimates


def test_estimates_have_error_bars_and_repeat_with_their_seed():
    circuit = ansatz(6, 2, seed=1)
    observables = ["ZZZZZZ", "IIZZII", "XIIIIX"]
    plan = hq.cut(circuit, max_qubits=3, seed=1)
    truth = truth_of(circuit, observables)
    for allocation in ("neyman", "uniform"):
        made = plan.estimate(observables, shots=60_000, seed=5, allocation=allocation)
        assert made.shots == 60_000
        assert made.variants == plan.unique_subexperiments(observables) == 100
        assert (np.abs(made.evs - truth) < 4 * made.stds).all()
    again = plan.estimate(observables, shots=60_000, seed=made.seed, allocation="uniform")
    assert [each.value for each in again] == [each.value for each in made]
    assert (
        plan.run(observables, shots=60_000, seed=5).evs.tolist()
        == plan.estimate(observables, shots=60_000, seed=5).evs.tolist()
    )
    assert plan.run(observables).evs.tolist() == plan.exact(observables).evs.tolist()
    close = plan.estimate(observables, precision=0.02, seed=2)
    assert close.stds.max() <= 0.02
    rows = made.to_dict()
    assert rows["estimates"][1] == {"observable": "ZZ@2,3", **made[1].to_dict()}
    assert "60,000 shots of 100 circuits" in str(made)


def test_a_hopeless_precision_is_refused_with_what_it_would_take():
    plan = hq.cut(ansatz(6, 4), max_qubits=3, seed=1)
    with pytest.raises(OverheadTooHigh) as refused:
        plan.estimate("IIZZII", precision=1e-5)
    assert refused.value.gamma == pytest.approx(3**4)
    assert refused.value.needed > refused.value.allowed
    assert "gamma² of 6,561" in str(refused.value)
    with pytest.warns(HyperFabricWarning, match="shots would bring it"):
        plan.estimate("IIZZII", shots=plan.unique_subexperiments("IIZZII") * 2, seed=1)


def test_what_needs_no_measurement_is_exact():
    plan = hq.cut(ansatz(4, 1), max_qubits=2, seed=1)
    made = plan.estimate(SparsePauliOp("IIII", 3.0), shots=100)
    assert (made[0].value, made[0].stderr) == (3.0, 0.0)
    assert plan.subexperiments("IIII").reconstruct({})[0].value == 1.0


def test_observables_and_shots_that_do_not_fit_are_refused():
    plan = hq.cut(ansatz(4, 1), max_qubits=2, seed=1)
    for bad in ("ZZ", 5, SparsePauliOp("ZZZZ", 1j)):
        for method in (plan.exact, plan.subexperiments, plan.run):
            with pytest.raises(InvalidValue):
                method(bad)
    for options in ({}, {"shots": 3}, {"shots": 100, "precision": 0.1}, {"precision": -1.0}):
        with pytest.raises(InvalidValue):
            plan.estimate("ZZZZ", **options)


def test_parameters_stay_symbolic_until_they_are_bound():
    inner, outer = Parameter("inner"), Parameter("outer")
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    circuit.rx(inner, 0)
    circuit.cx(0, 1)
    circuit.rzz(outer, 1, 2)
    circuit.cx(2, 3)
    plan = hq.cut(circuit, max_qubits=2, seed=1)
    assert plan.gamma == pytest.approx(3)  # the worst angle
    with pytest.raises(InvalidValue, match="every parameter needs a value"):
        plan.exact("ZZZZ")
    observables = ["ZYYZ", "XIIX"]
    bench = plan.workbench(observables)
    for values in ({inner: 0.3, outer: 0.9}, {inner: 0.3, outer: -0.4}):
        expected = truth_of(circuit.assign_parameters(values), observables)
        np.testing.assert_allclose(plan.bind(values).exact(observables).evs, expected, atol=1e-12)
        np.testing.assert_allclose(bench.exact(values), expected, atol=1e-12)
    assert bench.runs.fragments == 2
    bound = plan.bind({"inner": 0.3, "outer": 0.9})
    assert bound.gamma_separate == pytest.approx(1 + 2 * math.sin(0.9))
    assert not bound.circuit.parameters
    with pytest.raises(InvalidValue, match="no such parameter"):
        plan.bind({"middle": 1.0})


# ------------------------------------------------------------------------------------------------------ distributions


def test_distributions_are_those_of_the_whole_circuit():
    circuit = ansatz(6, 1, seed=2)
    plan = hq.cut(circuit, max_qubits=3, seed=1)
    expected = Statevector(circuit).probabilities_dict()
    exact = plan.distribution()
    assert (exact.shots, exact.complete, exact.bits) == (0, True, 6)
    for text, share in exact.probabilities.items():
        assert share == pytest.approx(expected[text], abs=1e-12)
    some = plan.distribution(qubits=[4, 0]).probabilities
    for text, share in Statevector(circuit).probabilities_dict([4, 0]).items():
        assert some[text] == pytest.approx(share, abs=1e-12)
    noisy = plan.distribution(shots=200_000, seed=3)
    assert noisy.shots == 200_000
    assert min(noisy.quasi) < 0 <= min(noisy.probabilities.values())
    assert sum(noisy.probabilities.values()) == pytest.approx(1)
    assert sum(abs(noisy.probabilities.get(text, 0) - share) for text, share in expected.items()) / 2 < 0.1
    assert sum(noisy.sample(500, seed=1).values()) == 500
    for bad in ({"qubits": [0, 0]}, {"qubits": [9]}, {"shots": 3}):
        with pytest.raises(InvalidValue):
            plan.distribution(**bad)


def test_samples_follow_the_whole_circuit():
    circuit = ansatz(5, 1, seed=4)
    plan = hq.cut(circuit, max_qubits=3, seed=1)
    shots = 50_000
    counts = plan.sample(shots, seed=2)
    expected = Statevector(circuit).probabilities_dict()
    assert sum(counts.values()) == shots
    chi = sum((counts.get(text, 0) - shots * share) ** 2 / (shots * share) for text, share in expected.items())
    assert chi < len(expected) + 4 * math.sqrt(2 * len(expected))
    assert counts == plan.sample(shots, seed=2)
    with pytest.raises(InvalidValue):
        plan.sample(0)


def test_measured_circuits_give_their_own_bits_in_qiskits_order():
    circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(2, "a"), ClassicalRegister(3, "b"))
    circuit.x([0, 3])
    circuit.cx(0, 1)
    circuit.cz(1, 2)
    circuit.measure([0, 1, 3], [0, 1, 3])
    plan = hq.cut(circuit, assignment="AABB")
    assert plan.distribution().probabilities == pytest.approx({"010 11": 1.0})
    assert plan.sample(7, seed=1) == {"010 11": 7}
    assert plan.distribution(qubits=[2, 3]).probabilities == pytest.approx({"10": 1.0})


def test_wide_circuits_show_their_heaviest_outcomes_and_can_be_sampled():
    qubits = 60
    circuit = QuantumCircuit(qubits)
    circuit.ry(1.0, 0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    plan = hq.cut(circuit, assignment=[qubit // 10 for qubit in range(qubits)])
    found = plan.distribution(bins=4)
    assert not found.complete
    zero, one = "0" * qubits, "1" * qubits
    assert found.probabilities == pytest.approx({zero: math.cos(0.5) ** 2, one: math.sin(0.5) ** 2})
    counts = plan.sample(10_000, seed=1)
    assert set(counts) == {zero, one}
    assert counts[one] / 10_000 == pytest.approx(math.sin(0.5) ** 2, abs=0.02)


# ------------------------------------------------------------------------------------------------------------ showing


def test_plans_are_drawn():
    circuit = ansatz(6, 1)
    circuit.append(UnitaryGate(random_unitary(4, seed=1)), [1, 3])
    circuit.name = "two <parts>"
    who = Assignment(parts=2, segments=(((0, 0),),) * 3 + (((0, 1), (30, 0)),) + (((0, 1),),) * 2)
    plan = hq.cut(circuit, assignment=who)
    assert repr(plan).startswith("<CutPlan: 6 qubits on 4 + 3, 2 gate cuts, 1 wire cuts, gamma")
    drawn = plan.draw()
    for told in ("two <parts>: 6 qubits in 2 parts", "the cuts were given", "cx 2,3 (instruction", "part 1 > part 0"):
        assert told in drawn
    assert "wire of qubit 3" in drawn
    assert "+ 1 ancilla" in drawn
    assert max(len(line) for line in drawn.splitlines()) <= 100
    page = plan._repr_html_()
    assert "two &lt;parts&gt;" in page
    assert "wire of qubit 3" in page
    assert "proven least" in hq.cut(ansatz(4, 1), max_qubits=2, seed=1).draw()
    rows = plan.to_dict()
    assert rows["ancillas"] == list(plan.ancillas)
    assert rows["gate_cuts"] == list(plan.gate_cuts)


def test_observables_have_short_names():
    assert label_of(SparsePauliOp("IZZI")) == "ZZ@1,2"
    assert label_of(SparsePauliOp(["IIII", "XIIY"], [0.5, -2])) == "0.5 I + -2 YX@0,3"
    assert label_of(SparsePauliOp(["ZIII", "IZII", "IIZI", "IIIZ"])).endswith("+ 1 more")
    assert read_label("ZX@3,0", 4) == SparsePauliOp("ZIIX")
    assert read_label(" zz@0,1 ", 3) == SparsePauliOp("IZZ")
    assert read_label("ZIIX", 4) == SparsePauliOp("ZIIX")
    for bad in ("ZZ", "ZZ@0", "ZZ@0,0", "ZZ@0,4", "Q@0", "@", "", "Z@", "Z@-1", "Z@a"):
        with pytest.raises(InvalidValue, match="observable"):
            read_label(bad, 4)
