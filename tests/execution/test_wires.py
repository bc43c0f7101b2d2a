import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.execution.wires import compact, measure_last
from hyperfabric_q.simulate import probabilities


def relay(hops):
    """One qubit's value handed along: wire i is in use only between steps i - 1 and i."""
    circuit = QuantumCircuit(hops + 1, hops + 1)
    circuit.ry(1.1, 0)
    for hop in range(hops):
        circuit.cx(hop, hop + 1)
        circuit.barrier()
        circuit.measure(hop, hop)
    circuit.measure(hops, hops)
    return circuit


def agree(a, b):
    left, right = probabilities(a), probabilities(b)
    return left.keys() == right.keys() and all(np.isclose(left[key], right[key]) for key in left)


def test_wires_in_use_one_after_the_other_share_two():
    circuit = relay(9)
    packed = compact(circuit)
    assert packed.num_qubits == 2
    assert packed.clbits == circuit.clbits
    assert agree(circuit, packed)


def test_without_reuse_no_reset_is_left():
    circuit = QuantumCircuit(2, 3)
    for turn in range(3):
        circuit.reset(0)
        circuit.ry(0.4 + turn, 0)
        circuit.cx(0, 1)
        circuit.measure(0, turn)
    packed = compact(circuit, reuse=False)
    assert "reset" not in packed.count_ops()
    assert packed.num_qubits == 4
    assert agree(circuit, packed)
    assert compact(circuit).num_qubits == 2
    assert agree(circuit, compact(circuit))


def test_idle_wires_vanish_and_fixed_ones_come_first():
    circuit = QuantumCircuit(5, 2)
    circuit.x(4)
    circuit.measure(4, 0)
    circuit.cx(4, 2)
    circuit.measure(2, 1)
    packed = compact(circuit, fixed=[circuit.qubits[2]])
    assert packed.num_qubits == 2
    assert packed.find_bit(packed.data[-1].qubits[0]).index == 0
    assert agree(circuit, packed)


@pytest.mark.parametrize("seed", range(6))
def test_random_circuits_keep_their_distribution(seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(5, 6)
    bit = 0
    for _ in range(40):
        a, b = (int(wire) for wire in rng.choice(5, 2, replace=False))
        kind = rng.integers(5)
        if kind == 0:
            circuit.u(*rng.random(3), a)
        elif kind == 1:
            circuit.cx(a, b)
        elif kind == 2:
            circuit.reset(a)
        elif kind == 3 and bit < 6:
            circuit.measure(a, bit)
            bit += 1
        elif bit:
            with circuit.if_test((circuit.clbits[int(rng.integers(bit))], 1)):
                circuit.x(b)
    assert agree(circuit, compact(circuit))
    assert agree(circuit, compact(circuit, reuse=False))
    assert agree(circuit, compact(circuit, fixed=circuit.qubits[1:3]))


def test_measurements_move_to_the_end_across_resets():
    circuit = QuantumCircuit(2, 3)
    circuit.ry(0.7, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.ry(1.3, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 1)
    circuit.measure(1, 2)
    moved = measure_last(circuit)
    assert [step.operation.name for step in moved.data][-3:] == ["measure"] * 3
    assert "reset" not in moved.count_ops()
    assert agree(circuit, moved)
