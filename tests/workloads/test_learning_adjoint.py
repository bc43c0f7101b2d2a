"""Exact gradients: against Qiskit's state vectors, finite differences, shift rules, and the twin in NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.library import CUGate, CXGate, RXXGate, zz_feature_map
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.workloads.learning import adjoint, turns
from hyperfabric_q.workloads.learning.circuit_form import form_of
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.pauli_sums import sums_of
from hyperfabric_q.workloads.learning.sources import Ideal

ONE = ["rx", "ry", "rz", "p"]
TWO = ["rxx", "ryy", "rzz", "rzx", "crx", "cry", "crz", "cp"]
FIXED = ["h", "s", "sx", "t", "cx", "cz", "swap", "iswap", "ecr", "ccx"]


def layered(qubits, layers):
    """The circuit of the reference case: RY and RZ on every qubit, then a ladder of CX."""
    theta = iter(ParameterVector("t", 2 * qubits * layers))
    circuit = QuantumCircuit(qubits)
    for _ in range(layers):
        for qubit in range(qubits):
            circuit.ry(next(theta), qubit)
            circuit.rz(next(theta), qubit)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit


def energy(qubits):
    terms = [("Z", [qubit], 1.0) for qubit in range(qubits)]
    return SparsePauliOp.from_sparse_list([*terms, *(("XX", [q, q + 1], 0.5) for q in range(qubits - 1))], qubits)


def of_qiskit(circuit, observable, row):
    return Statevector(circuit.assign_parameters(row)).expectation_value(observable).real


def differences(value, row, step=1e-3):
    """Central differences with an error of order step^4."""
    found = []
    for place in range(len(row)):
        unit = np.eye(len(row))[place] * step
        near, far = value(row + unit) - value(row - unit), value(row + 2 * unit) - value(row - 2 * unit)
        found.append((8 * near - far) / (12 * step))
    return np.array(found)


def random_circuit(rng, qubits, size, parameters):
    """Every gate with angles that are tied, scaled, shifted and multiplied."""
    theta = ParameterVector("t", parameters)
    circuit = QuantumCircuit(qubits)
    for _ in range(size):
        name = str(rng.choice(ONE + TWO + FIXED + ["u", "cu"]))
        wires = [int(each) for each in rng.permutation(qubits)]
        first, second = theta[rng.integers(parameters)], theta[rng.integers(parameters)]
        angle = [first, 0.5 * first + 0.3, first - 2 * second, first * second, 0.7][rng.integers(5)]
        if name in ONE:
            getattr(circuit, name)(angle, wires[0])
        elif name in TWO:
            getattr(circuit, name)(angle, *wires[:2])
        elif name == "u":
            circuit.u(angle, first, 0.2, wires[0])
        elif name == "cu":
            circuit.append(CUGate(angle, 0.3, second, 0.1), wires[:2])
        else:
            count = {"ccx": 3, "cx": 2, "cz": 2, "swap": 2, "iswap": 2, "ecr": 2}.get(name, 1)
            getattr(circuit, name)(*wires[:count])
    for each in theta:
        circuit.ry(each, 0)
    return circuit


@pytest.mark.parametrize("name", list(turns.GENERATORS))
def test_a_turn_is_the_gate_that_qiskit_has_under_its_name(name):
    circuit = QuantumCircuit(1 if name in ONE else 2)
    getattr(circuit, name)(0.73, *circuit.qubits)
    np.testing.assert_allclose(turns.matrices(name, np.array([0.73]))[0], Operator(circuit).data, atol=1e-15)


@pytest.mark.parametrize("name", list(turns.GENERATORS))
def test_a_shift_rule_is_exact_on_its_frequencies(name):
    frequencies = turns.frequencies(name)
    assert len(turns.shift_rule(name)) == 2 * len(frequencies)
    for frequency in frequencies:
        for angle in (0.3, 1.9):
            shifted = sum(weight * math.sin(frequency * (angle + by)) for by, weight in turns.shift_rule(name))
            assert shifted == pytest.approx(frequency * math.cos(frequency * angle), abs=1e-15)


def test_only_controlled_rotations_need_four_terms():
    four = {name for name in turns.GENERATORS if len(turns.shift_rule(name)) == 4}
    assert four == {"crx", "cry", "crz"}


@pytest.mark.parametrize(("qubits", "layers"), [(3, 2), (8, 2)])
def test_the_reference_circuit_agrees_with_qiskit_and_the_shift_rule(qubits, layers):
    circuit = layered(qubits, layers)
    source = Ideal.of(circuit, energy(qubits))
    row = np.random.default_rng(qubits).uniform(-3, 3, circuit.num_parameters)
    swept = gradient(source, row)
    shifted = gradient(source, row, method="parameter_shift")
    assert swept.method == "adjoint"
    assert shifted.evaluations == 1 + 2 * len(row)
    assert swept.values[0] == pytest.approx(of_qiskit(circuit, energy(qubits), row), abs=1e-13)
    np.testing.assert_allclose(swept.gradient, shifted.gradient, atol=1e-13)
    if qubits == 3:
        wanted = differences(lambda each: of_qiskit(circuit, energy(qubits), each), row)
        np.testing.assert_allclose(swept.gradient[0], wanted, atol=1e-9)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 2**31))
def test_any_gates_and_angles_agree_with_qiskit_the_shift_rule_and_the_twin(seed):
    rng = np.random.default_rng(seed)
    qubits, parameters = int(rng.integers(3, 5)), int(rng.integers(1, 4))
    circuit = random_circuit(rng, qubits, 14, parameters)
    observables = [
        SparsePauliOp(["".join(rng.choice(list("IXYZ"), qubits)) for _ in range(3)], rng.normal(size=3))
        for _ in range(2)
    ]
    source = Ideal.of(circuit, observables)
    rows = rng.uniform(-3, 3, (3, parameters))
    found = adjoint.derivatives(source.form, source.sums, rows)
    plain = adjoint.derivatives(source.form, source.sums, rows, compiled=False)
    np.testing.assert_allclose(found.jacobian, plain.jacobian, atol=1e-12)
    np.testing.assert_allclose(found.values, plain.values, atol=1e-13)
    shifted = gradient(source, rows, method="parameter_shift")
    np.testing.assert_allclose(found.jacobian, shifted.gradient, atol=1e-11)
    for number, observable in enumerate(observables):
        for place, row in enumerate(rows):
            assert found.values[place, number] == pytest.approx(of_qiskit(circuit, observable, row), abs=1e-12)
        wanted = differences(lambda each, own=observable: of_qiskit(circuit, own, each), rows[0])
        np.testing.assert_allclose(found.jacobian[0, number], wanted, atol=1e-7)


def test_feature_maps_of_qiskit_with_products_of_features_have_gradients():
    circuit = zz_feature_map(3, reps=2)
    row = np.array([0.3, 1.1, -0.4])
    found = gradient(Ideal.of(circuit, "XYZ"), row)
    wanted = differences(lambda each: of_qiskit(circuit, SparsePauliOp("XYZ"), each), row)
    np.testing.assert_allclose(found.gradient[0], wanted, atol=1e-8)


def test_a_gate_that_is_defined_by_others_has_their_gradient():
    angle = Parameter("a")
    inner = QuantumCircuit(2)
    inner.append(RXXGate(angle), [0, 1])
    inner.append(CXGate(), [1, 0])

    class Own(Gate):
        def _define(self):
            self.definition = inner

    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.append(Own("own", 2, [angle]), [0, 1])
    found = gradient(Ideal.of(circuit, "ZZ"), [0.4])
    wanted = differences(lambda each: of_qiskit(circuit.decompose(), SparsePauliOp("ZZ"), each), np.array([0.4]))
    np.testing.assert_allclose(found.gradient[0], wanted, atol=1e-9)


def test_a_loss_pulled_back_is_its_chain_rule_over_the_whole_jacobian(monkeypatch):
    monkeypatch.setattr(adjoint, "ROOM", 100)  # a few rows at a time
    source = Ideal.of(layered(3, 2), ["ZII", "IXX", "YYI"])
    rng = np.random.default_rng(3)
    rows = rng.uniform(-3, 3, (7, 12))
    derived = adjoint.derivatives(source.form, source.sums, rows)
    pulled = adjoint.pulled_back(source.form, source.sums, rows, lambda values, _: 3 * values**2)
    np.testing.assert_allclose(pulled.values, derived.values, atol=1e-14)
    wanted = np.einsum("bm,bmp->bp", 3 * derived.values**2, derived.jacobian)
    np.testing.assert_allclose(pulled.gradient, wanted, atol=1e-13)


def test_a_circuit_without_parameters_has_values_and_an_empty_gradient():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    found = gradient(Ideal.of(circuit, ["ZZ", "ZI"]), [])
    np.testing.assert_allclose(found.values, [1, 0], atol=1e-15)
    assert found.gradient.shape == (2, 0)


def test_measurements_at_the_end_are_left_out_and_others_are_refused():
    circuit = layered(2, 1)
    bare = gradient(Ideal.of(circuit, "ZX"), np.full(4, 0.4)).gradient
    circuit.measure_all()
    np.testing.assert_array_equal(gradient(Ideal.of(circuit, "ZX"), np.full(4, 0.4)).gradient, bare)
    circuit.h(0)
    with pytest.raises(InvalidValue, match="measurements come last"):
        form_of(circuit)
    reset = QuantumCircuit(1)
    reset.reset(0)
    with pytest.raises(InvalidValue, match="'reset'"):
        form_of(reset)
    looped = QuantumCircuit(1, 1)
    with looped.if_test((looped.clbits[0], 1)):
        looped.x(0)
    with pytest.raises(InvalidValue, match="if_else"):
        form_of(looped)


def test_too_wide_a_circuit_is_refused_before_it_is_simulated():
    circuit = QuantumCircuit(30)
    circuit.ry(Parameter("a"), 0)
    with pytest.raises(SimulationRefused, match="30 qubits"):
        gradient(Ideal.of(circuit, "Z@0"), [0.1])


@pytest.mark.parametrize(
    "wrong", [[0.1], [[0.1, 0.2, 0.3]], [math.nan, 0.1], ["a", "b"], {"t[0]": 0.1}, [[[0.1, 0.2]]]]
)
def test_wrong_parameter_values_are_named(wrong):
    circuit = QuantumCircuit(1)
    for each in ParameterVector("t", 2):
        circuit.rx(each, 0)
    with pytest.raises(InvalidValue, match="parameter"):
        gradient(Ideal.of(circuit, "Z"), wrong)


def test_values_by_name_are_those_by_place():
    circuit = layered(2, 1)
    source = Ideal.of(circuit, "ZX")
    row = np.array([0.1, 0.2, 0.3, 0.4])
    named = gradient(source, {"t[3]": 0.4, circuit.parameters[0]: 0.1, "t[1]": 0.2, "t[2]": 0.3})
    np.testing.assert_array_equal(named.gradient, gradient(source, row).gradient)


@pytest.mark.parametrize("wrong", [[], None, "ZZZ", [1j], SparsePauliOp(["ZZ"], [1j])])
def test_wrong_observables_are_refused(wrong):
    with pytest.raises(InvalidValue, match="observable"):
        sums_of(wrong, 2)
