"""Entanglement swapping against Aer's density matrix, and against the mistakes of others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import DensityMatrix, partial_trace
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error, pauli_error

from hyperfabric_q.entanglement.state import correlators, density_matrix, fidelity, weights, werner, werner_twirled
from hyperfabric_q.entanglement.swap import chain, swap, werner_chain_fidelity
from hyperfabric_q.errors import InvalidValue

A, B = [0.85, 0.07, 0.03, 0.05], [0.8, 0.02, 0.08, 0.1]
SIMULATOR = AerSimulator(method="density_matrix")
LAWS = settings(deadline=None, derandomize=True, max_examples=80)
PARTS = st.lists(st.floats(1e-6, 1), min_size=4, max_size=4)
ERROR = st.floats(0, 1)


def lam(parts):
    return correlators(np.array(parts) / sum(parts))


def by_aer(p, q, loss, ex, ez):
    circuit = QuantumCircuit(4)
    for a, weight in ((0, p), (2, q)):
        circuit.h(a)
        circuit.cx(a, a + 1)
        circuit.append(pauli_error(list(zip("IXYZ", weight, strict=True))).to_instruction(), [a + 1])
    circuit.cx(1, 2)
    circuit.append(depolarizing_error(loss, 2).to_instruction(), [1, 2])
    circuit.h(1)
    for qubit, flip in ((1, ex), (2, ez)):
        circuit.append(pauli_error([("I", 1 - flip), ("X", flip)]).to_instruction(), [qubit])
    circuit.cx(2, 3)
    circuit.cz(1, 3)
    circuit.save_density_matrix()
    rho = DensityMatrix(np.asarray(SIMULATOR.run(circuit).result().data()["density_matrix"]))
    return partial_trace(rho, [1, 2]).data


def test_V3_swap_agrees_with_aer():
    rng = np.random.default_rng(7)
    for index in range(20):
        p, q = rng.dirichlet([2, 1, 1, 1], 2)
        loss, ex, ez = (0.0, 0.0, 0.0) if index < 5 else rng.uniform(0, 0.4, 3)
        found = swap(correlators(p), correlators(q), depolarising=loss, readout_x=ex, readout_z=ez)
        assert np.abs(density_matrix(found) - by_aer(p, q, loss, ex, ez)).max() < 1e-12


def test_E1_ideal_and_noisy_swap():
    a, b = correlators(A), correlators(B)
    assert np.abs(weights(swap(a, b)) - [0.6888, 0.08, 0.1, 0.1312]).max() < 1e-14
    noisy = weights(swap(a, b, depolarising=0.02, readout_x=0.01, readout_z=0.01))
    assert np.abs(noisy - [0.66864988, 0.08950564, 0.10316636, 0.13867812]).max() < 5e-9


def test_misread_bits_of_either_basis_are_told_apart():
    good = werner(1.0)
    assert np.abs(weights(swap(good, good, readout_x=0.1)) - [0.9, 0, 0, 0.1]).max() < 1e-15
    assert np.abs(weights(swap(good, good, readout_z=0.1)) - [0.9, 0.1, 0, 0]).max() < 1e-15


def test_V6_werner_chain():
    links = np.array([2, 4, 8])
    expected = [0.903333, 0.819126, 0.681872]
    assert werner_chain_fidelity(0.95, links) == pytest.approx(expected, abs=5e-7)
    for count, value in zip(links, expected, strict=True):
        assert fidelity(chain(np.tile(werner(0.95), (count, 1)))) == pytest.approx(value, abs=5e-7)


def test_pitfall_swap_is_not_a_product_of_fidelities():
    for doublings, ours, theirs in ((1, 0.903333, 0.857375), (2, 0.819126, 0.698337)):
        wrong = 0.95
        for _ in range(doublings):
            wrong = wrong * wrong * 0.95
        assert wrong == pytest.approx(theirs, abs=5e-7)
        assert ours - wrong > 0.04


def test_pitfall_swap_does_not_twirl_to_werner():
    biased = correlators([0.9, 0.0, 0.0, 0.1])
    kept, thrown_away = swap(biased, biased), swap(werner_twirled(biased), werner_twirled(biased))
    assert weights(kept) == pytest.approx([0.82, 0, 0, 0.18])
    assert fidelity(kept) - fidelity(thrown_away) > 5e-3


def test_pitfall_noisy_measurement_is_linear_in_the_state():
    for kept, ours, theirs in ((0.99, 0.9925, 0.98058), (0.9, 0.925, 0.84615)):
        found = fidelity(swap(werner(1.0), werner(1.0), depolarising=1 - kept))
        assert found == pytest.approx(ours, abs=1e-12)
        assert found == pytest.approx(kept + (1 - kept) / 4, abs=1e-12)
        assert found - theirs > 0.01


@given(PARTS, PARTS, PARTS, ERROR, ERROR, ERROR)
@LAWS
def test_V15_swap_is_commutative_associative_and_makes_states(p, q, r, loss, ex, ez):
    a, b, c = lam(p), lam(q), lam(r)
    noise = {"depolarising": loss, "readout_x": ex, "readout_z": ez}
    assert np.array_equal(swap(a, b, **noise), swap(b, a, **noise))
    one, other = swap(swap(a, b, **noise), c, **noise), swap(a, swap(b, c, **noise), **noise)
    assert np.abs(one - other).max() < 1e-15
    assert weights(one).min() >= -1e-15


def test_chain_equals_swaps_one_by_one_with_an_error_of_each():
    rng = np.random.default_rng(1)
    links = correlators(rng.dirichlet([5, 1, 1, 1], (6, 5)))
    loss, ex, ez = rng.uniform(0, 0.1, (3, 4))
    step = links[:, 0]
    for index in range(4):
        step = swap(step, links[:, index + 1], depolarising=loss[index], readout_x=ex[index], readout_z=ez[index])
    assert np.abs(chain(links, depolarising=loss, readout_x=ex, readout_z=ez) - step).max() < 1e-15
    same = chain(links, depolarising=0.03, readout_x=0.01)
    assert np.abs(same - chain(links, depolarising=[0.03] * 4, readout_x=0.01)).max() < 1e-15
    assert np.array_equal(chain(links[:, :1]), links[:, 0])


@pytest.mark.parametrize("name", ["depolarising", "readout_x", "readout_z"])
@pytest.mark.parametrize("value", [-0.1, 1.2, np.nan, "low"])
def test_errors_out_of_range_are_refused(name, value):
    with pytest.raises(InvalidValue, match=name):
        swap(werner(0.9), werner(0.9), **{name: value})


@pytest.mark.parametrize("links", [0, -1, 1.5, np.nan])
def test_chains_of_no_whole_length_are_refused(links):
    with pytest.raises(InvalidValue, match="links"):
        werner_chain_fidelity(0.9, links)


def test_chains_that_do_not_fit_are_refused():
    with pytest.raises(InvalidValue, match="shape"):
        chain(werner(0.9))
    with pytest.raises(InvalidValue, match="3 Bell measurement"):
        chain(werner([0.9] * 4), depolarising=[0.1, 0.1])
    with pytest.raises(InvalidValue, match="left"):
        swap([np.nan, 0, 0], werner(0.9))
