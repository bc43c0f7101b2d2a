"""Random families: their counts, their distributions, and that Clifford ones are Clifford."""

import math
import time
from collections import Counter

import numpy as np
import pytest
from qiskit.quantum_info import Clifford, Operator, SparsePauliOp, Statevector

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families import (
    brickwork,
    cp_fraction,
    cz_fraction,
    hardware_efficient_ansatz,
    pauli_gadgets,
    quantum_volume,
    two_qubit_gates,
)
from hyperfabric_q.families.quantum_volume import _haar
from hyperfabric_q.seeds import stream


def couples(circuit):
    return [
        tuple(circuit.find_bit(qubit).index for qubit in step.qubits) for step in circuit.data if len(step.qubits) == 2
    ]


@pytest.mark.parametrize("build", [cz_fraction, cp_fraction])
@pytest.mark.parametrize("fraction", [0.3, 0.7])
def test_fraction_circuits_hold_the_expected_number_of_gates(build, fraction):
    n, depth = 21, 40
    counts = build(n, depth, fraction, seed=8).count_ops()
    weights = [math.comb(n, k) * fraction**k * (1 - fraction) ** (n - k) for k in range(n + 1)]
    pairs = sum(weight * (k // 2) for k, weight in enumerate(weights))
    spread = sum(weight * (k // 2 - pairs) ** 2 for k, weight in enumerate(weights)) ** 0.5
    two = counts["cz" if build is cz_fraction else "cp"]
    assert abs(two - depth * pairs) < 4 * spread * depth**0.5
    one = counts["h" if build is cz_fraction else "u"]
    assert abs(one - depth * n * (1 - fraction)) < 4 * (depth * n * fraction * (1 - fraction)) ** 0.5


@pytest.mark.parametrize("build", [cz_fraction, cp_fraction])
def test_fraction_zero_is_single_gates_and_fraction_one_is_full_pairings(build):
    assert two_qubit_gates(build(7, 3, 0, seed=1)) == 0
    assert build(7, 3, 0, seed=1).size() == 21
    full = build(7, 3, 1, seed=1)
    assert full.size() == two_qubit_gates(full) == 9
    layers = [couples(full)[start : start + 3] for start in (0, 3, 6)]
    assert all(len({qubit for pair in layer for qubit in pair}) == 6 for layer in layers)


def test_depth_defaults_to_the_width():
    assert cp_fraction(6, seed=4) == cp_fraction(6, 6, 0.5, seed=4)


def test_cz_fraction_is_clifford_at_any_width():
    assert Clifford(cz_fraction(30, 10, 0.5, seed=2)).is_unitary()


@pytest.mark.parametrize("weight", [1, 2, 4])
def test_a_pauli_gadget_is_the_exponential_of_one_string(weight):
    for seed in range(6):
        circuit = pauli_gadgets(4, 1, weight, seed=seed)
        theta = next(float(step.operation.params[0]) for step in circuit.data if step.operation.name == "rz")
        matrix = Operator(circuit).data
        string = (matrix - math.cos(theta / 2) * np.eye(16)) / (-1j * math.sin(theta / 2))
        terms = SparsePauliOp.from_operator(Operator(string), atol=1e-9)
        assert len(terms) == 1
        assert terms.coeffs[0] == pytest.approx(1)
        assert len(terms.paulis[0].to_label().replace("I", "")) == weight
        assert two_qubit_gates(circuit) == 2 * (weight - 1)


def test_pauli_gadgets_use_all_letters_and_weights():
    circuit = pauli_gadgets(6, 60, seed=3)
    counts = circuit.count_ops()
    assert counts["rz"] == 60
    assert counts["s"] == counts["sdg"] > 20
    assert counts["h"] > 3 * counts["s"]
    ladders, rungs = Counter(), 0
    for step in circuit.data:
        rungs += step.operation.name == "cx"
        if step.operation.name == "rz":
            ladders[rungs] += 1
            rungs = -rungs  # the way down undoes the way up
    assert set(ladders) == {1, 2, 3, 4, 5}


def test_quarter_turn_gadgets_are_clifford():
    assert Clifford(pauli_gadgets(12, 20, clifford=True, seed=5)).is_unitary()


def test_quantum_volume_has_full_layers_of_three_cx_blocks():
    circuit = quantum_volume(7, 4, seed=1)
    assert circuit.count_ops()["cx"] == 3 * 3 * 4
    assert two_qubit_gates(circuit) == 36
    pairs = [frozenset(pair) for pair in couples(circuit)]
    blocks = [pairs[start : start + 3] for start in range(0, 36, 3)]
    assert all(len(set(block)) == 1 for block in blocks)
    for layer in range(4):
        assert len(frozenset().union(*(block[0] for block in blocks[3 * layer : 3 * layer + 3]))) == 6


def test_heavy_outputs_of_quantum_volume_come_with_their_known_probability():
    # One circuit of 10 qubits spreads by 0.005, and finite depth lifts the mean by some 0.002: Qiskit's own
    # quantum_volume gives 0.8490 over 40 seeds, this one 0.8491.
    shares = []
    for seed in range(12):
        chances = Statevector(quantum_volume(10, seed=seed)).probabilities()
        shares.append(chances[chances > np.median(chances)].sum())
    assert np.mean(shares) == pytest.approx((1 + math.log(2)) / 2, abs=0.01)


def test_blocks_are_haar_random_unitaries():
    blocks = _haar(stream(1, "haar"), 20_000)
    assert np.allclose(blocks @ blocks.conj().transpose(0, 2, 1), np.eye(4), atol=1e-12)
    traces = np.trace(blocks, axis1=1, axis2=2)
    assert abs(np.mean(traces)) < 0.03
    assert np.mean(np.abs(traces) ** 2) == pytest.approx(1, abs=0.04)
    assert np.mean(np.abs(traces) ** 4) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("ring", "per_layer"), [(False, 5), (True, 6)])
def test_the_ansatz_counts_its_gates(ring, per_layer):
    circuit = hardware_efficient_ansatz(6, 3, ring=ring, seed=1)
    assert circuit.count_ops() == {"ry": 18, "rz": 18, "cx": 3 * per_layer}


def test_the_ansatz_applies_its_angles_in_order():
    angles = [0.1, 0.2, 0.3, 0.4]
    state = Statevector(hardware_efficient_ansatz(2, 1, angles))

    def column(theta, phi):
        return np.array([math.cos(theta / 2) * np.exp(-0.5j * phi), math.sin(theta / 2) * np.exp(0.5j * phi)])

    product = np.kron(column(0.3, 0.4), column(0.1, 0.2))
    assert np.allclose(state.data, product[[0, 3, 2, 1]], atol=1e-12)
    assert np.allclose(Statevector(hardware_efficient_ansatz(3, 2, [0.0] * 12)).data, [1, *[0] * 7])
    with pytest.raises(InvalidValue, match=r"seed.*Or give parameters"):
        hardware_efficient_ansatz(2)


@pytest.mark.parametrize(("n", "depth", "pairs"), [(6, 4, 10), (7, 3, 9), (1, 3, 0), (2, 2, 1)])
def test_brickwork_alternates_its_bonds(n, depth, pairs):
    circuit = brickwork(n, depth, seed=2)
    assert two_qubit_gates(circuit) == pairs
    assert circuit.count_ops()["u"] == n * depth
    expected = [(left, left + 1) for layer in range(depth) for left in range(layer % 2, n - 1, 2)]
    assert couples(circuit) == expected


def test_brickwork_on_2000_qubits_takes_less_than_two_seconds():
    start = time.process_time()
    circuit = brickwork(2000, 20, seed=1)
    assert time.process_time() - start < 2
    assert len(circuit.data) == 59_990
