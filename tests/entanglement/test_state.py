"""Correlators, weights and figures of merit of Bell pairs, against explicit matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import pauli_error

from hyperfabric_q.entanglement import state
from hyperfabric_q.errors import InvalidValue

BELL = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, -1, 0], [1, 0, 0, -1]]) / np.sqrt(2)
PROJECTORS = np.einsum("ki,kj->kij", BELL, BELL)
LAWS = settings(deadline=None, derandomize=True, max_examples=60)
PARTS = st.lists(st.floats(1e-6, 1), min_size=4, max_size=4)


def random_weights(count, seed=1):
    return np.random.default_rng(seed).dirichlet([3, 1, 1, 1], count)


def test_correlators_are_the_expectations_of_the_explicit_mixture():
    p = random_weights(20)
    rho = np.einsum("nk,kij->nij", p, PROJECTORS)
    X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
    for index, op in enumerate((np.kron(X, X), -np.kron(Y, Y), np.kron(Z, Z))):
        expected = np.einsum("nij,ji->n", rho, op).real
        assert np.abs(state.correlators(p)[:, index] - expected).max() < 1e-14
    assert np.abs(state.density_matrix(state.correlators(p)) - rho).max() < 1e-14


@given(PARTS)
@LAWS
def test_weights_and_correlators_are_inverse(parts):
    p = np.array(parts) / sum(parts)
    assert np.abs(state.weights(state.correlators(p)) - p).max() < 1e-14


def test_fidelity_is_the_first_weight():
    p = random_weights(50)
    assert np.abs(state.fidelity(state.correlators(p)) - p[:, 0]).max() < 1e-14


def test_werner_state_spreads_its_error_evenly():
    p = state.weights(state.werner([0.25, 0.7, 1.0]))
    assert np.abs(p - [[0.25] * 4, [0.7, 0.1, 0.1, 0.1], [1, 0, 0, 0]]).max() < 1e-15


def test_werner_twirl_keeps_fidelity_and_evens_out_the_rest():
    before = state.correlators(random_weights(20))
    after = state.werner_twirled(before)
    assert np.abs(state.fidelity(after) - state.fidelity(before)).max() < 1e-15
    assert np.ptp(after, axis=-1).max() == 0


def test_entropy_is_that_of_the_eigenvalues():
    lam = state.correlators(random_weights(20))
    values = np.linalg.eigvalsh(state.density_matrix(lam)).clip(1e-300)
    assert np.abs(state.entropy(lam) + (values * np.log2(values)).sum(-1)).max() < 1e-12
    assert state.entropy([1, 1, 1]) == 0
    assert state.entropy([0, 0, 0]) == pytest.approx(2)


def test_hashing_yield_of_werner_pairs_begins_at_its_known_threshold():
    assert state.hashing_yield(state.werner(0.8107)) == 0
    assert 0 < state.hashing_yield(state.werner(0.8108)) < 1e-3
    assert state.hashing_yield(state.werner(1.0)) == 1


def test_log_negativity_is_that_of_the_partial_transpose():
    lam = np.concatenate([state.correlators(random_weights(20)), state.werner([0.3, 0.5, 1.0])])
    transposed = state.density_matrix(lam).reshape(-1, 2, 2, 2, 2).swapaxes(1, 3).reshape(-1, 4, 4)
    expected = np.log2(np.abs(np.linalg.eigvalsh(transposed)).sum(-1))
    assert np.abs(state.log_negativity(lam) - expected).max() < 1e-12


def test_pauli_terms_give_aer_the_same_state():
    simulator = AerSimulator(method="density_matrix")
    for p in random_weights(4):
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.append(pauli_error(state.pauli_terms(state.correlators(p))).to_instruction(), [1])
        circuit.save_density_matrix()
        found = np.asarray(simulator.run(circuit).result().data()["density_matrix"])
        assert np.abs(found - state.density_matrix(state.correlators(p))).max() < 1e-12


def test_leading_axes_broadcast():
    p = random_weights(24).reshape(2, 3, 4, 4)
    assert state.correlators(p).shape == (2, 3, 4, 3)
    assert state.entropy(state.correlators(p)).shape == (2, 3, 4)
    assert state.fidelity(state.correlators(p))[1, 2, 3] == state.fidelity(state.correlators(p[1, 2, 3]))


@pytest.mark.parametrize("fidelity", [0.24, 1.01, np.nan, np.inf, -1, "a", None, [0.9, 0.1]])
def test_fidelity_outside_its_range_is_refused(fidelity):
    with pytest.raises(InvalidValue, match="fidelity"):
        state.werner(fidelity)


@pytest.mark.parametrize(
    "weights",
    [[0.9, 0.1, 0.1, 0], [1.1, -0.1, 0, 0], [1, 0, 0], 1.0, [np.nan, 0.5, 0.5, 0], [[1, 0, 0, 0], [0.9, 0, 0, 0]]],
)
def test_weights_that_are_no_distribution_are_refused(weights):
    with pytest.raises(InvalidValue, match="weights"):
        state.correlators(weights)


@pytest.mark.parametrize("lam", [[1, 1, -1], [-1, -1, -1], [2, 0, 0], [np.nan, 0, 0], [1, 1]])
def test_correlators_of_no_state_are_refused(lam):
    with pytest.raises(InvalidValue, match="correlators"):
        state.check_correlators(lam)


def test_terms_of_several_states_are_refused():
    with pytest.raises(InvalidValue, match="one state"):
        state.pauli_terms(state.werner([0.9, 0.95]))
