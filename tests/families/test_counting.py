"""Two-qubit gate counts after expansion."""

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate
from qiskit.circuit.library import RCCXGate

from hyperfabric_q.errors import UnsupportedOperation
from hyperfabric_q.families import two_qubit_gates


def test_only_two_qubit_gates_count():
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.barrier(0, 1)
    circuit.swap(1, 2)
    circuit.reset(1)
    circuit.measure([0, 1], [0, 1])
    assert two_qubit_gates(circuit) == 2


def test_wider_gates_count_their_definition():
    circuit = QuantumCircuit(4)
    circuit.ccx(0, 1, 2)
    circuit.ccx(1, 2, 3)
    circuit.cswap(0, 1, 2)
    circuit.append(RCCXGate(), [0, 1, 2])
    assert two_qubit_gates(circuit) == 6 + 6 + 8 + 3


def test_conditional_blocks_count():
    circuit = QuantumCircuit(3, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.cx(1, 2)
    with otherwise:
        circuit.ccx(0, 1, 2)
    assert two_qubit_gates(circuit) == 7


def test_user_gates_of_one_name_are_counted_each_by_its_own_definition():
    circuit = QuantumCircuit(3)
    for couples in ([(0, 1)], [(0, 1), (1, 2), (0, 2)]):
        body = QuantumCircuit(3, name="mine")
        for a, b in couples:
            body.cz(a, b)
        circuit.append(body.to_gate(), [0, 1, 2])
    assert two_qubit_gates(circuit) == 4


def test_an_opaque_wide_gate_is_refused():
    circuit = QuantumCircuit(3)
    circuit.append(Gate("opaque", 3, []), [0, 1, 2])
    with pytest.raises(UnsupportedOperation, match="opaque"):
        two_qubit_gates(circuit)
