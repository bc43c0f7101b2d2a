"""Exact outcome distributions against Qiskit and against known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Qubit
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.simulate import probabilities


@given(st.integers(0, 10_000))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_terminal_measurements_agree_with_qiskit(seed):
    circuit = random_circuit(4, 4, max_operands=3, seed=seed)
    expected = Statevector(circuit).probabilities_dict()
    circuit.measure_all()
    found = probabilities(circuit)
    assert sum(found.values()) == pytest.approx(1)
    for key in expected.keys() | found.keys():
        assert found.get(key, 0) == pytest.approx(expected.get(key, 0), abs=1e-12)


def test_keys_list_registers_last_first_as_aer_does():
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.x(0)
    circuit.measure([0, 1, 2], [0, 1, 2])
    assert probabilities(circuit) == {"0 01": pytest.approx(1)}
    assert list(AerSimulator().run(circuit, shots=5).result().get_counts()) == ["0 01"]


def test_loose_bits_form_one_more_register():
    circuit = QuantumCircuit([Qubit(), Qubit()], [Clbit(), Clbit()])
    circuit.add_register(ClassicalRegister(1, "c"))
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    assert probabilities(circuit) == {"10 0": pytest.approx(1)}


def test_feed_forward_agrees_with_aer():
    circuit = QuantumCircuit(3, 3)
    circuit.ry(1.1, 0)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)) as otherwise:
        circuit.ry(0.7, 1)
    with otherwise:
        circuit.h(1)
    circuit.measure(1, 1)
    circuit.reset(1)
    circuit.cx(0, 1)
    with circuit.if_test((circuit.cregs[0], 3)):
        circuit.x(2)
    circuit.measure(2, 2)
    circuit.measure(1, 0)
    found = probabilities(circuit)
    shots = 20_000
    counts = AerSimulator(seed_simulator=5).run(circuit, shots=shots).result().get_counts()
    assert counts.keys() <= found.keys()
    for key, value in found.items():
        assert counts.get(key, 0) / shots == pytest.approx(value, abs=5 * np.sqrt(value * (1 - value) / shots) + 1e-9)


def test_a_circuit_without_measurement_reads_zeros():
    assert probabilities(QuantumCircuit(2, 2)) == {"00": pytest.approx(1)}
    assert probabilities(QuantumCircuit(1)) == {"": pytest.approx(1)}


def test_untouched_qubits_cost_nothing():
    circuit = QuantumCircuit(80)
    circuit.h(3)
    circuit.cx(3, 70)
    circuit.measure_all()
    assert sorted(probabilities(circuit).values()) == pytest.approx([0.5, 0.5])


def test_a_ghz_state_of_twenty_qubits_has_two_outcomes():
    circuit = QuantumCircuit(20)
    circuit.h(0)
    for qubit in range(19):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    assert probabilities(circuit) == {"0" * 20: pytest.approx(0.5), "1" * 20: pytest.approx(0.5)}


def test_too_many_qubits_are_refused():
    circuit = QuantumCircuit(30)
    circuit.h(range(30))
    circuit.measure_all()
    with pytest.raises(SimulationRefused):
        probabilities(circuit)
