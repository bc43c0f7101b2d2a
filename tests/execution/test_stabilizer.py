import itertools

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Clifford, Operator

from hyperfabric_q.execution.stabilizer import as_stabilizer

QUARTERS = [k * np.pi / 2 for k in range(-2, 5)]


@pytest.mark.parametrize("theta", QUARTERS)
def test_every_quarter_turn_u_is_rewritten_into_the_same_gate(theta):
    for phi, lam in itertools.product(QUARTERS, repeat=2):
        circuit = QuantumCircuit(1)
        circuit.u(theta, phi, lam, 0)
        rewritten = as_stabilizer(circuit)
        assert Operator(rewritten).equiv(circuit)
        assert "u" not in rewritten.count_ops()


def test_phases_and_controlled_phases_are_rewritten_and_bodies_too():
    circuit = QuantumCircuit(2, 1)
    circuit.p(-np.pi / 2, 0)
    circuit.cp(3 * np.pi, 0, 1)
    circuit.cp(4 * np.pi, 0, 1)
    assert Operator(as_stabilizer(circuit)).equiv(circuit)
    Clifford(as_stabilizer(circuit))
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.u(np.pi, 0, np.pi, 1)
    body = as_stabilizer(circuit).data[-1].operation.blocks[0]
    assert Operator(body).equiv(circuit.data[-1].operation.blocks[0])
    assert "u" not in body.count_ops()


@pytest.mark.parametrize("angle", [1e-6, np.pi / 4, np.pi / 2 + 1e-7, 3.0])
@pytest.mark.parametrize("gate", ["p", "u", "cp"])
def test_what_is_not_clifford_is_not_taken_for_it(gate, angle):
    circuit = QuantumCircuit(2)
    getattr(circuit, gate)(*{"p": (angle, 0), "u": (angle, 0, 0, 0), "cp": (angle, 0, 1)}[gate])
    assert as_stabilizer(circuit) is None


def test_half_a_controlled_turn_is_not_clifford():
    circuit = QuantumCircuit(2)
    circuit.cp(np.pi / 2, 0, 1)
    assert as_stabilizer(circuit) is None
    assert as_stabilizer(random_circuit(3, 5, seed=1)) is None
