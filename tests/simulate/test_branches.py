"""The branching state vector against Qiskit's own simulators and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import DensityMatrix, Operator, Statevector, random_statevector, random_unitary

from hyperfabric_q.convert.operations import read
from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.simulate.branches import apply_gate, branches


def only(found):
    assert len(found) == 1
    return found[0]


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_unitary_circuits_agree_with_qiskit(seed, qubits):
    circuit = random_circuit(qubits, 6, max_operands=3, seed=seed)
    state = random_statevector(2**qubits, seed=seed)
    branch = only(branches(read(circuit), state=state.data, wires=range(qubits), outputs=range(qubits)))
    assert branch.infidelity(state.evolve(circuit).data) < 1e-12
    assert branch.probability == pytest.approx(1)


@pytest.mark.parametrize("operands", [1, 2, 3])
def test_a_gate_acts_on_its_axes_as_the_operator_does(operands):
    rng = np.random.default_rng(operands)
    qubits = 5
    state = random_statevector(2**qubits, seed=1)
    for seed in range(6):
        wires = [int(each) for each in rng.permutation(qubits)[:operands]]
        matrix = random_unitary(2**operands, seed=seed).data
        array = state.data.copy().reshape((2,) * qubits)
        apply_gate(array, matrix, [qubits - 1 - wire for wire in wires])
        circuit = QuantumCircuit(qubits)
        circuit.append(UnitaryGate(matrix), wires)
        assert np.allclose(array.reshape(-1), state.evolve(Operator(circuit)).data)


def teleport(*, correct_x=True, correct_z=True, bit=0):
    circuit = QuantumCircuit(3, 2)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.measure(1, 0)
    if correct_x:
        with circuit.if_test((bit, 1)):
            circuit.x(2)
    circuit.h(0)
    circuit.measure(0, 1)
    if correct_z:
        with circuit.if_test((1, 1)):
            circuit.z(2)
    return circuit


def test_teleportation_merges_its_four_branches_into_one():
    state = random_statevector(2, seed=3).data
    branch = only(branches(read(teleport()), state=state, wires=[0], outputs=[2]))
    assert branch.probability == pytest.approx(1)
    assert branch.infidelity(state) < 1e-13


@pytest.mark.parametrize("fault", [{"correct_x": False}, {"correct_z": False}, {"bit": 1}])
def test_a_missing_or_misread_correction_leaves_a_wrong_branch(fault):
    state = random_statevector(2, seed=3).data
    found = branches(read(teleport(**fault)), state=state, wires=[0], outputs=[2])
    assert len(found) > 1
    assert sum(branch.probability for branch in found) == pytest.approx(1)
    assert max(branch.infidelity(state) for branch in found) > 0.01


def test_kept_bits_keep_outcomes_apart_with_their_probabilities():
    circuit = QuantumCircuit(2, 2)
    circuit.ry(2 * np.arcsin(np.sqrt(0.3)), 0)
    circuit.cx(0, 1)
    circuit.measure(0, 1)
    found = {branch.bits: branch for branch in branches(read(circuit), outputs=[1], keep_bits=[1, 0])}
    assert found.keys() == {(0, 0), (1, 0)}
    assert found[1, 0].probability == pytest.approx(0.3)
    assert found[1, 0].infidelity([0, 1]) < 1e-13


def test_a_measured_wire_can_be_used_again():
    circuit = QuantumCircuit(1, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    found = branches(read(circuit), outputs=[0], keep_bits=[0, 1])
    assert {branch.bits: round(branch.probability, 12) for branch in found} == {(0, 1): 0.5, (1, 0): 0.5}
    for branch in found:
        assert branch.infidelity(np.eye(2)[branch.bits[1]]) < 1e-13


def test_a_left_over_entangled_copy_lowers_the_fidelity():
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    branch = only(branches(read(circuit), state=[np.sqrt(0.5), np.sqrt(0.5)], wires=[0], outputs=[0]))
    assert branch.state.shape == (2, 2)
    assert branch.infidelity([np.sqrt(0.5), np.sqrt(0.5)]) == pytest.approx(0.5)


def test_reset_of_an_entangled_wire_leaves_the_mixture_qiskit_computes():
    circuit = QuantumCircuit(2)
    circuit.ry(0.8, 0)
    circuit.cx(0, 1)
    circuit.reset(0)
    circuit.ry(0.4, 1)
    found = branches(read(circuit), outputs=[0, 1])
    rho = sum(branch.probability * branch.state @ branch.state.conj().T for branch in found)
    assert np.allclose(rho, DensityMatrix.from_int(0, 4).evolve(circuit).data)


def test_a_pair_on_used_wires_is_not_a_clean_pair():
    pair = QuantumCircuit(2, name="bell_pair")
    pair.h(0)
    pair.cx(0, 1)
    circuit = QuantumCircuit(2)
    circuit.x(1)
    circuit.append(pair.to_gate(), [0, 1])
    branch = only(branches(read(circuit), outputs=[0, 1]))
    assert branch.infidelity(Statevector(circuit).data) < 1e-13
    assert branch.infidelity(Statevector(pair).data) == pytest.approx(1)


def test_else_branches_and_register_conditions_act_as_written():
    circuit = QuantumCircuit(3, 2)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.cregs[0], 2)) as otherwise:
        circuit.x(2)
    with otherwise:
        circuit.h(2)
    with circuit.if_test((0, 1)) as otherwise:
        circuit.h(2)
    with otherwise:
        circuit.z(2)
    assert only(branches(read(circuit), outputs=[2])).infidelity([0, 1]) < 1e-13


def test_too_many_wires_are_refused_before_anything_is_computed():
    circuit = QuantumCircuit(60)
    circuit.h(range(60))
    with pytest.raises(SimulationRefused, match="60 qubits"):
        branches(read(circuit))


def test_too_many_branches_are_refused():
    circuit = QuantumCircuit(20, 20)
    for qubit in range(20):
        circuit.h(qubit)
        circuit.measure(qubit, qubit)
    with pytest.raises(SimulationRefused, match="branches"):
        branches(read(circuit), keep_bits=range(20), max_branches=1000)


def test_measured_wires_make_room_for_others():
    circuit = QuantumCircuit(60, 60)
    for qubit in range(60):
        circuit.h(qubit)
        circuit.measure(qubit, qubit)
    assert only(branches(read(circuit), max_wires=1)).probability == pytest.approx(1)


def test_an_input_of_the_wrong_length_is_refused():
    with pytest.raises(InvalidValue, match="amplitudes"):
        branches((), state=[1, 0, 0], wires=[0])
