"""Distributions over chosen bits are those of the whole circuit."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from scipy.optimize import minimize

from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.distributions import bit_tensors, nearest_distribution, samples
from hyperfabric_q.cutting.split import split
from hyperfabric_q.errors import InvalidValue


def oracle_distribution(circuit, states, qubits, clbits):
    found = np.zeros(2 ** (len(qubits) + len(clbits)))
    for state, bits in states:
        weights = np.abs(state.data) ** 2
        for place, weight in enumerate(weights):
            outcome = sum((place >> qubit & 1) << position for position, qubit in enumerate(qubits))
            for position, clbit in enumerate(clbits, start=len(qubits)):
                outcome |= bits[circuit.clbits[clbit]] << position
            found[outcome] += weight
    return found


def test_chosen_qubits_and_bits_have_the_distribution_of_the_whole(make_circuit, oracle_rows):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        circuit, assignment = make_circuit(rng, 4, 22, classical=True, parts=2 + seed % 2, wires=seed % 3)
        circuit.measure(1, 0) if not any(each.name == "if_else" for each in circuit.data) else None
        qubits = rng.permutation(4)[: int(rng.integers(1, 5))].tolist()
        clbits = rng.permutation(3)[: int(rng.integers(0, 4))].tolist()
        tensors = bit_tensors(split(circuit, assignment), qubits=qubits, clbits=clbits)
        wanted = oracle_distribution(circuit, oracle_rows(circuit), qubits, clbits)
        np.testing.assert_allclose(tensors.probabilities(), wanted, atol=1e-12)


def test_a_quasi_distribution_from_shots_lies_near_the_truth():
    circuit = QuantumCircuit(5)
    for qubit in range(5):
        circuit.ry(0.5 + qubit, qubit)
    for qubit in range(4):
        circuit.cx(qubit, qubit + 1)
    cut = split(circuit, Assignment.static("AABBB"))
    truth = bit_tensors(cut, qubits=range(5)).probabilities()
    rough = bit_tensors(cut, qubits=range(5), per_variant=20_000, seed=3)
    assert rough.shots == 200_000
    np.testing.assert_allclose(rough.probabilities(), truth, atol=0.02)
    near = nearest_distribution(rough.probabilities())
    assert np.abs(near - truth).sum() <= np.abs(rough.probabilities() - truth).sum() + 1e-12
    counts = samples(truth, 100_000, seed=1)
    assert sum(counts.values()) == 100_000
    np.testing.assert_allclose([counts.get(each, 0) / 100_000 for each in range(32)], truth, atol=0.01)


def test_the_nearest_distribution_is_the_nearest():
    rng = np.random.default_rng(2)
    for _ in range(5):
        quasi = rng.normal(0.2, 0.4, 5)
        near = nearest_distribution(quasi)
        assert near.min() >= 0
        assert near.sum() == pytest.approx(1)
        best = minimize(
            lambda p, goal=quasi: ((p - goal) ** 2).sum(),
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(near, best.x, atol=1e-5)


def test_zooming_finds_the_heavy_outcomes_of_a_wide_circuit():
    # A GHZ-like chain of 40 qubits: two outcomes only, and 2^40 that are never looked at.
    circuit = QuantumCircuit(40)
    circuit.ry(1.0, 0)
    for qubit in range(39):
        circuit.cx(qubit, qubit + 1)
    circuit.x(7)
    cut = split(circuit, Assignment.static([qubit // 10 for qubit in range(40)]))
    tensors = bit_tensors(cut, qubits=range(40))
    found = tensors.heavy(bins=4, least=1e-9)
    ones = (1 << 40) - 1
    assert found == pytest.approx({1 << 7: np.cos(0.5) ** 2, ones ^ (1 << 7): np.sin(0.5) ** 2})
    with pytest.raises(InvalidValue, match="at most 24"):
        tensors.probabilities()


def test_heavy_outcomes_are_in_order_and_those_of_the_full_list():
    rng = np.random.default_rng(8)
    circuit = QuantumCircuit(7)
    for layer in range(2):
        for qubit in range(7):
            circuit.ry(float(rng.uniform(0, 3)), qubit)
        for qubit in range(6 if layer == 0 else 0):
            circuit.cx(qubit, qubit + 1)
    tensors = bit_tensors(split(circuit, Assignment.static("AAABBBB")), qubits=range(7))
    everything = tensors.probabilities()
    found = tensors.heavy(bins=5, step=2)
    assert list(found) == np.argsort(-everything)[:5].tolist()
    np.testing.assert_allclose(list(found.values()), np.sort(everything)[::-1][:5])


def test_a_bit_twice_is_refused():
    cut = split(QuantumCircuit(2), Assignment.static("AB"))
    with pytest.raises(InvalidValue):
        bit_tensors(cut, qubits=[0, 0])
    assert bit_tensors(cut, qubits=[1]).probabilities() == pytest.approx([1, 0])
