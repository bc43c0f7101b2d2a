"""Preparing keeps what a circuit does, and reads the markers of qiskit-addon-cutting."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.engine import exact
from hyperfabric_q.cutting.prepare import prepare, read_marked
from hyperfabric_q.cutting.split import split
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation


def test_wide_gates_are_decomposed_and_identities_dropped():
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    circuit.rzz(0, 0, 3)
    circuit.barrier()
    circuit.mcx([0, 1, 2], 3)
    circuit.ccz(0, 1, 2)
    circuit.delay(5, 0)
    plain = prepare(circuit)
    assert max(len(each.qubits) for each in plain.data) == 2
    assert {"barrier", "rzz", "delay"}.isdisjoint(each.name for each in plain.data)
    circuit.data = [each for each in circuit.data if each.name != "delay"]
    assert Operator(plain).equiv(Operator(circuit))


def test_a_loop_and_an_expression_are_refused_by_name():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(3)):
        circuit.x(0)
    with pytest.raises(UnsupportedOperation, match="for_loop"):
        prepare(circuit)


def test_cut_wire_markers_cut_exactly_there():
    circuit = QuantumCircuit(3)
    circuit.ry(0.4, 0)
    circuit.cx(0, 1)
    circuit.append(Instruction("cut_wire", 1, 0, []), [1])
    circuit.cx(1, 2)
    circuit.ry(0.3, range(3))
    ready = read_marked(circuit)
    assert ready.marks == ((1, 2),)
    assignment = ready.marked()
    assert assignment.parts == 2
    assert assignment.widths(ready.circuit) == (2, 2)
    cut = split(ready.circuit, assignment)
    assert cut.gamma == pytest.approx(4)
    state = Statevector(ready.circuit)
    labels = ["ZZZ", "XIX", "IYY"]
    np.testing.assert_allclose(
        exact(cut, labels), [state.expectation_value(SparsePauliOp(each)).real for each in labels], atol=1e-12
    )


def test_a_move_hands_the_wire_over_and_leaves_zero():
    marked, plain = QuantumCircuit(4), QuantumCircuit(4)
    for circuit in (marked, plain):
        circuit.ry(0.7, 0)
        circuit.cx(0, 1)
    marked.append(Instruction("move", 2, 0, []), [1, 2])
    plain.swap(1, 2)
    for circuit in (marked, plain):
        circuit.cx(2, 3)
        circuit.rx(0.9, 2)
        circuit.h(1)
    ready = read_marked(marked)
    assert ready.wires == (0, 2, 1, 3)
    cut = split(ready.circuit, ready.marked())
    assert len(cut.cuts) == 1
    labels = ["ZZXZ", "IYIZ", "XXIX", "ZIIZ"]
    state = Statevector(plain)
    np.testing.assert_allclose(
        exact(cut, labels, wires=ready.wires),
        [state.expectation_value(SparsePauliOp(each)).real for each in labels],
        atol=1e-12,
    )


def test_a_qubit_that_ended_is_used_again_when_asked():
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)  # 0: part 0
    circuit.cx(1, 2)  # 1: qubit 1 has gone to part 1
    circuit.h(2)
    circuit.cx(0, 2)  # 3: qubit 2 comes to part 0
    assignment = Assignment(parts=2, segments=(((0, 0),), ((0, 0), (1, 1)), ((0, 1), (3, 0))))
    assert assignment.wire_cuts() == ((1, 1), (2, 3))
    assert assignment.gate_cuts(circuit) == ()
    assert assignment.widths(circuit) == (3, 2)
    assert assignment.widths(circuit, reuse=True) == (2, 2)
    with pytest.raises(InvalidValue, match="ascend"):
        Assignment(parts=2, segments=(((1, 0),),))
