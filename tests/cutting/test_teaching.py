"""What is misread, or fails late, is refused early and says what to write instead."""

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorSampler
from qiskit.quantum_info import PauliList

import hyperfabric_q as hq
from hyperfabric_q.cutting.subexperiments import Subexperiments
from hyperfabric_q.errors import InvalidValue, SimulationRefused


def chain(qubits, clbits=0):
    circuit = QuantumCircuit(qubits, clbits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


@pytest.fixture(scope="module")
def plan():
    return hq.cut(chain(4), assignment="AABB")


@pytest.fixture(scope="module")
def turned():
    angle = Parameter("angle")
    circuit = chain(4)
    circuit.ry(angle, 0)
    return hq.cut(circuit, assignment="AABB"), angle


def test_a_measurement_inside_a_condition_makes_the_outcomes_classical_bits():
    circuit = chain(4, 2)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.measure(1, 1)
    plan = hq.cut(circuit, assignment="AABB")
    assert plan.distribution().probabilities == pytest.approx({"00": 0.5, "10": 0.5})
    assert set(plan.sample(200, seed=1)) == {"00", "10"}


def test_a_list_of_paulis_is_several_observables(plan):
    values = plan.exact(PauliList(["ZZII", "ZIII", "XXXX"]))
    assert [each.value for each in values] == pytest.approx([1, 0, 1])


@pytest.mark.parametrize(
    "given",
    [
        {"ZZII": 2.0},
        {"ZZII", "IIZZ"},
        [["ZZII", "IIZZ"]],
        [("ZZII", 2.0)],
        [PauliList(["ZZII", "IIZZ"])],
        iter(["ZZII"]),
    ],
)
def test_sums_in_other_forms_are_refused(plan, given):
    with pytest.raises(InvalidValue, match="SparsePauliOp\\(\\["):
        plan.exact(given)


def test_parts_of_more_than_64_qubits_are_counted_and_not_simulated():
    plan = hq.cut(chain(140), assignment="A" * 70 + "B" * 70)
    both = ["Z" * 140, "I" * 70 + "X" + "I" * 69, "X" + "I" * 139, "Z" * 140]
    assert plan.unique_subexperiments("Z" * 140) == plan.unique_subexperiments()
    small = hq.cut(chain(4), assignment="AABB")
    assert plan.unique_subexperiments(both) == small.unique_subexperiments(["ZZZZ", "IIXI", "XIII", "ZZZZ"])
    for ask in (plan.exact, lambda each: plan.estimate(each, shots=10_000)):
        with pytest.raises(SimulationRefused) as refusal:
            ask(both)
        assert "device" not in str(refusal.value)


def test_a_part_too_wide_to_be_counted_is_refused_before_it_runs():
    class Never:
        def run(self, pubs):
            raise AssertionError(pubs)

    plan = hq.cut(chain(30), assignment="A" * 26 + "B" * 4)
    for ask in (plan.subexperiments, lambda each: plan.run(each, sampler=Never())):
        with pytest.raises(SimulationRefused, match="26 outputs"):
            ask("Z" * 30)
    with pytest.raises(SimulationRefused) as refusal:
        plan.exact("Z" * 30)
    assert "device" not in str(refusal.value)


@pytest.mark.parametrize("how", [{"max_qubits": 4}, {"assignment": []}])
def test_a_circuit_without_qubits_is_refused(how):
    with pytest.raises(InvalidValue, match="no qubits"):
        hq.cut(QuantumCircuit(0), **how)


def test_qubits_are_given_by_number(plan):
    for qubits in (3, [plan.circuit.qubits[0]], [True], "01", [0.0]):
        with pytest.raises(InvalidValue, match="list of qubit numbers"):
            plan.distribution(qubits=qubits)
        with pytest.raises(InvalidValue, match="list of qubit numbers"):
            plan.sample(5, qubits=qubits)


@pytest.mark.parametrize("labels", [[[0], [0], [1], [1]], {0: [0], 1: [0], 2: [1], 3: [1]}])
def test_labels_can_be_keys(labels):
    with pytest.raises(InvalidValue, match="AABB"):
        hq.cut(chain(4), assignment=labels)


def test_methods_are_for_the_search():
    with pytest.raises(InvalidValue, match="nothing is searched"):
        hq.cut(chain(4), assignment="AABB", methods=["wire_cut"])
    assert hq.cut(chain(4), assignment="AABB", methods=["wire_cut", "gate_cut"]).parts == 2


def test_values_of_parameters_are_numbers_in_a_mapping(turned):
    plan, angle = turned
    for given in ([1.0], {angle: Parameter("other")}, {angle: "1"}, {angle: True}, {angle: float("nan")}, {"no": 1.0}):
        with pytest.raises(InvalidValue):
            plan.bind(given)
        with pytest.raises(InvalidValue):
            plan.workbench("ZZII").exact(given)
    assert plan.bind({"angle": 0}).exact("ZZII")[0].value == pytest.approx(1)


def test_a_sampler_is_no_class(plan):
    with pytest.raises(InvalidValue, match=r"StatevectorSampler\(\.\.\.\)"):
        plan.run("ZZII", sampler=StatevectorSampler)


def test_allocation_and_precision_are_what_they_can_be(plan):
    for ask in (plan.run, plan.subexperiments, lambda *a, **more: plan.estimate(*a, shots=1000, **more)):
        with pytest.raises(InvalidValue, match="'uniform' or 'neyman'"):
            ask("ZZII", allocation="foo")
    for precision in (True, "0.1", 0, float("nan")):
        with pytest.raises(InvalidValue, match="positive number"):
            plan.estimate("ZZII", precision=precision)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("value", [-1, 99])
def test_variants_that_there_are_not_are_refused(plan, place, value):
    written = plan.subexperiments("ZZZZ").to_dict()
    assert len(Subexperiments.from_dict(written)) == len(written["members"])
    written["members"][0]["variants"][0][place] = value
    with pytest.raises(InvalidValue, match="that the frame knows"):
        Subexperiments.from_dict(written)


def test_a_gate_of_the_user_with_a_parameter_is_bound(oracle):
    angle, phase = Parameter("angle"), Parameter("phase")
    inner = QuantumCircuit(1)
    inner.ry(angle / 2, 0)
    own = QuantumCircuit(2)
    own.append(inner.to_gate(), [1])
    own.cx(1, 0)
    own.rzz(phase, 0, 1)
    own.ry(angle, 0)
    circuit = QuantumCircuit(4, 1)
    circuit.append(own.to_gate(), [0, 1])
    circuit.append(own.to_gate(), [2, 1])  # across the cut: gate by gate
    circuit.append(own.to_gate(), [2, 3])
    plan = hq.cut(circuit, assignment="AABB")
    values = {angle: 0.7, phase: -0.4}
    found = plan.bind(values).exact(["ZZZZ", "XIYX", "IIZX"])
    expected = oracle(circuit.assign_parameters(values), ["ZZZZ", "XIYX", "IIZX"])
    assert found.evs == pytest.approx(expected, abs=1e-9)
    assert plan.workbench(["ZZZZ", "XIYX", "IIZX"]).exact(values) == pytest.approx(expected, abs=1e-9)


def test_observables_may_name_their_qubits_as_answers_do():
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    plan = hq.cut(circuit, max_qubits=2, seed=1)
    answers = plan.exact(["ZZ@0,3", "ZIIZ"])
    assert answers.evs == pytest.approx([1.0, 1.0])
    assert answers.labels[0] == answers.labels[1] == "ZZ@0,3"
    with pytest.raises(InvalidValue, match="letter"):
        plan.exact("ZZ@0")
