"""Qiskit to stim: the same unitaries and the same measurement statistics, or a refusal that names the gate."""

import numpy as np
import pytest
import stim
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Clifford, Operator, random_clifford

from hyperfabric_q.convert.operations import read
from hyperfabric_q.convert.stim import is_clifford, to_stim
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation


def same_unitary(circuit, converted):
    converted = converted.copy()
    converted.append("I", [circuit.num_qubits - 1])
    unitary = converted.to_tableau().to_unitary_matrix(endian="little")
    return abs(np.trace(unitary.conj().T @ Operator(circuit).data)) == pytest.approx(2**circuit.num_qubits, rel=1e-4)


@pytest.mark.parametrize(
    "name", ["h", "x", "y", "z", "s", "sdg", "sx", "sxdg", "cx", "cy", "cz", "swap", "iswap", "ecr", "dcx"]
)
def test_every_clifford_gate_of_qiskit_converts(name):
    gate = get_standard_gate_name_mapping()[name]
    circuit = QuantumCircuit(3)
    circuit.append(gate, [2, 0][: gate.num_qubits])
    assert is_clifford(circuit)
    assert same_unitary(circuit, to_stim(circuit))


@pytest.mark.parametrize("seed", range(5))
def test_random_clifford_circuits_convert(seed):
    circuit = random_clifford(4, seed=seed).to_circuit()
    converted = to_stim(circuit)
    converted.append("I", [3])
    assert str(Clifford(circuit).symplectic_matrix.astype(int).sum()) == str(
        sum(part.astype(int).sum() for part in converted.to_tableau().to_numpy()[:4])
    )
    assert same_unitary(circuit, converted)


def test_angles_are_recognised_by_their_matrix():
    circuit = QuantumCircuit(2)
    circuit.u(np.pi / 2, 0.0, np.pi, 0)
    circuit.p(-np.pi / 2, 1)
    circuit.rx(5 * np.pi / 2, 0)
    circuit.cp(np.pi, 0, 1)
    circuit.cp(2 * np.pi, 0, 1)
    circuit.rzz(np.pi / 2, 0, 1)
    circuit.unitary(Operator.from_label("H"), [1])
    assert is_clifford(circuit)
    assert same_unitary(circuit, to_stim(circuit))


@pytest.mark.parametrize(("gate", "angle"), [("p", np.pi / 4), ("cp", np.pi / 2), ("rz", 0.3), ("p", np.pi / 2 + 1e-6)])
def test_other_angles_are_refused_by_name(gate, angle):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    getattr(circuit, gate)(angle, *range(2 if gate == "cp" else 1))
    assert not is_clifford(circuit)
    with pytest.raises(UnsupportedOperation, match=f"'{gate}' .instruction 1"):
        to_stim(circuit)


def test_feed_forward_reads_the_right_record():
    circuit = QuantumCircuit(4, 2)
    circuit.x(0)
    circuit.measure(0, 1)
    circuit.measure(1, 0)
    with circuit.if_test((1, 1)):
        circuit.x(2)
    with circuit.if_test((0, 1)) as otherwise:
        circuit.x(3)
    with otherwise:
        circuit.y(3)
    circuit.measure([2, 3], [0, 1])
    circuit.reset(2)
    circuit.measure(2, 0)
    assert to_stim(circuit).reference_sample().astype(int).tolist() == [1, 0, 1, 1, 0]


def test_an_overwritten_bit_feeds_its_last_value():
    circuit = QuantumCircuit(3, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    with circuit.if_test((0, 1)):
        circuit.x(2)
    circuit.measure(2, 0)
    assert to_stim(circuit).reference_sample().astype(int).tolist() == [1, 0, 0]


def test_conditions_stim_cannot_hold_are_refused():
    register = QuantumCircuit(1, 2)
    with register.if_test((register.cregs[0], 3)):
        register.x(0)
    gate = QuantumCircuit(1, 1)
    with gate.if_test((0, 1)):
        gate.h(0)
    for circuit in (register, gate):
        assert not is_clifford(circuit)
        with pytest.raises(UnsupportedOperation, match="stim"):
            to_stim(circuit)


def test_a_bell_pair_becomes_a_pair():
    pair = QuantumCircuit(2, name="bell_pair")
    pair.h(0)
    pair.cx(0, 1)
    circuit = QuantumCircuit(2)
    circuit.append(pair.to_gate(), [1, 0])
    assert to_stim(circuit) == stim.Circuit("H 1\nCX 1 0")


# The reader under it.


def test_composite_gates_are_followed_to_their_parts():
    inner = QuantumCircuit(2, 1, name="inner")
    inner.h(0)
    inner.measure(0, 0)
    circuit = QuantumCircuit(3, 2)
    circuit.append(inner.to_instruction(), [2, 1], [1])
    circuit.ccx(0, 1, 2)
    circuit.barrier()
    operations = read(circuit)
    assert [(each.name, each.wires, each.bit) for each in operations[:2]] == [("h", (2,), None), ("measure", (2,), 1)]
    assert all(len(each.wires) <= 2 for each in operations)
    assert {each.index for each in operations} == {0, 1}


def test_a_gate_that_only_borrows_a_name_keeps_its_own_meaning():
    impostor = QuantumCircuit(1, name="h")
    impostor.x(0)
    circuit = QuantumCircuit(1)
    circuit.append(impostor.to_gate(), [0])
    assert [each.name for each in read(circuit)] == ["x"]
    pair = QuantumCircuit(2, name="bell_pair")
    pair.cx(0, 1)
    circuit = QuantumCircuit(2)
    circuit.append(pair.to_gate(), [0, 1])
    assert [each.name for each in read(circuit)] == ["cx"]


def test_nested_conditions_all_have_to_be_met():
    circuit = QuantumCircuit(1, 2)
    with circuit.if_test((0, 1)), circuit.if_test((circuit.cregs[0], 3)):
        circuit.x(0)
    (operation,) = read(circuit)
    met = [all(clause.met({0: a, 1: b}) for clause in operation.condition) for a in (0, 1) for b in (0, 1)]
    assert met == [False, False, False, True]


def test_loops_and_measurements_under_a_condition_are_refused():
    loop = QuantumCircuit(1, 1)
    with loop.while_loop((0, 1)):
        loop.x(0)
    inside = QuantumCircuit(1, 1)
    with inside.if_test((0, 1)):
        inside.measure(0, 0)
    for circuit in (loop, inside):
        with pytest.raises(UnsupportedOperation, match="if_test"):
            read(circuit)


def test_unbound_and_infinite_angles_are_refused():
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("t"), 0)
    with pytest.raises(InvalidValue, match="bound"):
        read(circuit)
    circuit = QuantumCircuit(1)
    circuit.rx(float("inf"), 0)
    with pytest.raises(InvalidValue, match="finite"):
        read(circuit)
