"""A template is its circuit for every binding: the same state, and the same program as a rebase at any usual one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate, efficient_su2
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary

from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation
from hyperfabric_q.interfaces.states import Observable, evolved, laws
from hyperfabric_q.interfaces.template import template_of

A, B, C = Parameter("a"), Parameter("b"), Parameter("c")
ANGLES = [A, B, C, 2 * A - B, -C / 3 + 0.5, A * B, 0.25, 0.0, np.pi]
SPECIAL = [0.0, np.pi, -np.pi, np.pi / 2, 1e-13, 2 * np.pi]
ONE = ["rx", "ry", "rz", "p"]
TWO = ["cp", "crx", "cry", "crz", "rzz", "rxx", "ryy", "rzx"]
FIXED = ["h", "s", "x", "sx", "t"]


def every_gate():
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    for name in ONE:
        getattr(circuit, name)(A, 0)
    for number, name in enumerate(TWO):
        getattr(circuit, name)(2 * B - A, number % 4, (number + 1) % 4)
    circuit.u(A, B, C, 3)
    circuit.r(A, B, 2)
    circuit.cu(A, B, C, A, 0, 3)
    circuit.ccx(0, 1, 2)
    circuit.append(UnitaryGate(random_unitary(4, seed=3)), [1, 3])
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XYZI", "IZZX"], [0.5, 0.2]), time=C), range(4))
    circuit.barrier()
    circuit.cp(A * B, 0, 2)
    circuit.x(0)
    circuit.cp(C, 2, 0)
    circuit.cp(-C, 2, 0)
    return circuit


@st.composite
def circuits(draw):
    circuit = QuantumCircuit(3)
    for _ in range(draw(st.integers(1, 14))):
        name = draw(st.sampled_from([*ONE, *TWO, *FIXED, "cx", "barrier"]))
        first, second = draw(st.permutations(range(3)))[:2]
        if name in FIXED:
            getattr(circuit, name)(first)
        elif name == "cx":
            circuit.cx(first, second)
        elif name == "barrier":
            circuit.barrier()
        elif name in ONE:
            getattr(circuit, name)(draw(st.sampled_from(ANGLES)), first)
        else:
            getattr(circuit, name)(draw(st.sampled_from(ANGLES)), first, second)
    values = st.one_of(st.sampled_from(SPECIAL), st.floats(-7, 7, allow_nan=False))
    bindings = [[draw(values) for _ in circuit.parameters] for _ in range(2)]
    return circuit, np.array(bindings, dtype=float).reshape(2, circuit.num_parameters)


def at(circuit, values):
    return circuit.assign_parameters(dict(zip(circuit.parameters, values.tolist(), strict=True)))


def overlap(one, other):
    return abs(np.vdot(one, other))


@given(circuits())
@settings(deadline=None, derandomize=True, max_examples=60)
def test_states_and_programs_are_those_of_the_bound_circuit(case):
    circuit, bindings = case
    template = template_of(circuit)
    states = evolved(template, bindings)
    programs = template.programs(bindings)
    for values, state, program in zip(bindings, states, programs, strict=True):
        wanted = Statevector(at(circuit, values)).data
        assert overlap(wanted, state) == pytest.approx(1, abs=1e-12)
        assert overlap(wanted, Statevector(program.to_circuit()).data) == pytest.approx(1, abs=1e-12)


def test_every_gate_at_usual_and_at_special_values():
    circuit = every_gate()
    template = template_of(circuit)
    bindings = np.array([[0.3, -1.2, 2.9], [0, 0, 0], [np.pi, np.pi / 2, -np.pi]])
    plain = circuit.decompose("PauliEvolution")  # its definition is a product formula, its matrix is not
    for values, state in zip(bindings, evolved(template, bindings), strict=True):
        assert overlap(Statevector(at(plain, values)).data, state) == pytest.approx(1, abs=1e-12)


def test_at_a_usual_binding_nothing_more_would_merge_and_angles_are_those_of_the_rebase():
    ansatz = efficient_su2(4, reps=2)
    values = np.random.default_rng(2).uniform(0.2, 1.4, ansatz.num_parameters)
    (program,) = template_of(ansatz).programs(values[None])
    wanted = rebase(at(ansatz, values))
    for name in ("kind", "first", "second", "clbit"):
        assert np.array_equal(getattr(program, name), getattr(wanted, name)), name
    assert np.abs(np.exp(1j * program.angles) - np.exp(1j * wanted.angles)).max() < 1e-9


def test_gates_of_two_qubits_with_a_parameter_take_one_controlled_phase_each():
    for name in TWO:
        circuit = QuantumCircuit(2)
        getattr(circuit, name)(A, 0, 1)
        assert template_of(circuit).program.two_qubit_gates == 1, name


def test_a_barrier_keeps_halves_apart_and_without_it_they_merge():
    for fenced, gates in ((True, 2), (False, 1)):
        circuit = QuantumCircuit(2)
        circuit.cp(A, 0, 1)
        if fenced:
            circuit.barrier()
        circuit.cp(-A, 0, 1)
        template = template_of(circuit)
        assert template.program.two_qubit_gates == gates
        again = rebase(template.circuit)
        assert np.array_equal(again.kind, template.program.kind)


def test_a_control_on_zero_is_not_taken_for_one_on_one():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.crx(A, 0, 1, ctrl_state=0)
    state = evolved(template_of(circuit), np.array([[0.7]]))[0]
    assert overlap(Statevector(at(circuit, np.array([0.7]))).data, state) == pytest.approx(1, abs=1e-12)


def test_measurements_conditions_and_resets_decide_whether_it_is_a_unitary():
    plain = QuantumCircuit(2, 2)
    plain.ry(A, 0)
    plain.measure([1, 0], [0, 1])
    assert template_of(plain).unitary
    assert template_of(plain).measured == {0: 1, 1: 0}
    used = plain.copy()
    used.x(0)
    assert not template_of(used).unitary
    tested = plain.copy()
    with tested.if_test((tested.clbits[0], 1)):
        tested.x(1)
    assert not template_of(tested).unitary
    assert Kind.MEASURE in template_of(tested).program.kind


def test_a_parameter_under_a_condition_and_values_that_are_no_numbers_are_refused():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rx(A, 0)
    with pytest.raises(UnsupportedOperation, match="instruction 1"):
        template_of(circuit)
    turn = QuantumCircuit(1)
    turn.rx(A, 0)
    with pytest.raises(InvalidValue, match="finite"):
        evolved(template_of(turn), np.array([[np.nan]]))


def test_observables_and_laws_are_those_of_the_state():
    rng = np.random.default_rng(5)
    vector = rng.normal(size=16) + 1j * rng.normal(size=16)
    vector /= np.linalg.norm(vector)
    operator = SparsePauliOp(["XYZI", "IIII", "ZIIY", "YYXX"], [0.3, -1.0, 0.7, 2.0])
    state = Statevector(vector)
    states = np.array([vector, vector])
    assert Observable(operator).values(states) == pytest.approx([state.expectation_value(operator).real] * 2, abs=1e-12)
    turned = QuantumCircuit(4)
    turned.h(2)
    turned.sdg(0)
    turned.h(0)
    wanted = state.evolve(turned).probabilities([3, 0, 2])
    assert laws(states, {3: "Z", 0: "Y", 2: "X"})[1] == pytest.approx(wanted, abs=1e-12)
