import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hyperfabric_q.cutting.assisted import assisted, assisted_werner
from hyperfabric_q.errors import InvalidValue

ONE, X, Y, Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1.0, -1.0])
PHI = np.outer([1, 0, 0, 1], [1, 0, 0, 1]) / 2


def pair(weights):
    """Density matrix of the pair, the error on the second half, which is the minor index."""
    return sum(
        w * np.kron(ONE, p) @ PHI @ np.kron(ONE, p).conj().T for w, p in zip(weights, (ONE, X, Y, Z), strict=True)
    )


def teleported(state, resource):
    """Teleport a qubit's matrix through the first half of ``resource``, by its definition: all outcomes, corrected."""
    whole = np.kron(state, resource)  # qubits: state, near, far
    out = np.zeros((2, 2), dtype=complex)
    for a, b in np.ndindex(2, 2):
        bell = (
            np.kron(np.linalg.matrix_power(X, b) @ np.linalg.matrix_power(Z, a), ONE)
            @ np.array([1, 0, 0, 1])
            / np.sqrt(2)
        )
        row = np.kron(bell.conj(), ONE)
        left = row @ whole @ row.conj().T
        # The outcome Z^a X^b leaves the far qubit with X^b Z^a to undo.
        undo = np.linalg.matrix_power(Z, a) @ np.linalg.matrix_power(X, b)
        out += undo @ left @ undo.conj().T
    return out


@pytest.mark.parametrize(
    ("fidelity", "gamma"),
    [(0.6, 2.71), (0.7, 2.00), (0.8, 1.545), (0.9, 1.231), (0.95, 1.107), (0.99, 1.020), (1.0, 1.0)],
)
def test_werner_pairs_cost_the_known_gamma(fidelity, gamma):
    cut = assisted_werner(fidelity)
    assert cut.gamma == pytest.approx(gamma, abs=5e-3)
    assert cut.gamma == pytest.approx((5 - 2 * fidelity) / (4 * fidelity - 1), abs=1e-12)
    assert cut.weights.sum() == pytest.approx(1, abs=1e-12)


def test_teleport_and_correction_are_the_identity():
    rng = np.random.default_rng(4)
    for weights in [(0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3), *rng.dirichlet([8, 1, 1, 1], size=12)]:
        cut = assisted(weights)
        for row, column in np.ndindex(2, 2):
            basis = np.zeros((2, 2), dtype=complex)
            basis[row, column] = 1
            total = np.zeros((2, 2), dtype=complex)
            for q, correction in zip(cut.weights, cut.corrections, strict=True):
                assert correction.is_unitary
                moved = teleported(basis, pair(weights))
                total += q * (correction.superoperator() @ moved.reshape(4)).reshape(2, 2)
            assert np.abs(total - basis).max() < 1e-12


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_the_corrected_pair_is_a_perfect_one(raw):
    assume(sum(raw) > 0.1)
    weights = np.array(raw) / sum(raw)
    i, x, y, z = weights
    assume(min(abs(i + x - y - z), abs(i + y - x - z), abs(i + z - x - y)) > 0.05)
    cut = assisted(weights)
    fixed = sum(
        q * np.kron(ONE, p) @ pair(weights) @ np.kron(ONE, p).conj().T
        for q, p in zip(cut.weights, (ONE, X, Y, Z), strict=True)
    )
    assert np.abs(fixed - PHI).max() < 1e-12
    assert cut.gamma == pytest.approx(np.abs(cut.weights).sum())
    assert cut.gamma >= 1 - 1e-12


def test_a_gate_teleported_over_corrected_pairs_is_the_gate():
    """Cat-entangle, controlled phase with the copy, disentangle; by density matrices, all branches summed."""
    weights = (0.85, 0.07, 0.03, 0.05)
    cut = assisted(weights)
    cp = np.diag([1, 1, 1, np.exp(0.7j)])
    rng = np.random.default_rng(0)
    vector = rng.normal(size=4) + 1j * rng.normal(size=4)
    vector /= np.linalg.norm(vector)
    total = np.zeros((4, 4), dtype=complex)
    for q, correction in zip(cut.weights, (ONE, X, Y, Z), strict=True):
        resource = np.kron(ONE, correction) @ pair(weights) @ np.kron(ONE, correction).conj().T
        whole = np.kron(np.outer(vector, vector.conj()), resource)  # source, target, near, far
        whole = on(whole, np.diag([1, 1, 0, 0]) + np.kron(np.diag([0, 1]), X), (0, 2))
        for m, k in np.ndindex(2, 2):
            branch = on(whole, np.diag([1 - m, m]), (2,))
            branch = on(branch, np.linalg.matrix_power(X, m), (3,))
            branch = on(branch, cp, (3, 1))
            hadamard = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
            branch = on(on(branch, hadamard, (3,)), np.diag([1 - k, k]), (3,))
            branch = on(branch, np.linalg.matrix_power(Z, k), (0,))
            total += q * branch.reshape(4, 4, 4, 4).trace(axis1=1, axis2=3)
    ideal = cp @ vector
    assert np.abs(total - np.outer(ideal, ideal.conj())).max() < 1e-12


def on(density, operator, qubits, width=4):
    """Apply an operator to qubits of a density matrix; the first qubit is the major index, in both."""
    k = len(qubits)
    tensor = operator.reshape((2,) * (2 * k))
    state = density.reshape((2,) * (2 * width))
    for offset, each in ((0, tensor), (width, tensor.conj())):
        axes = [offset + qubit for qubit in qubits]
        state = np.moveaxis(np.tensordot(each, state, axes=(range(k, 2 * k), axes)), range(k), axes)
    return state.reshape(2**width, 2**width)


def test_a_relabelled_perfect_pair_costs_nothing():
    cut = assisted((0, 0, 1, 0))
    assert cut.gamma == pytest.approx(1)
    assert cut.weights == pytest.approx([0, 0, 1, 0])


def test_pairs_that_cannot_be_undone_are_refused():
    for weights in ((0.5, 0.5, 0, 0), (0.25,) * 4, (0.5, 0, 0, 0.5)):
        with pytest.raises(InvalidValue, match="erase"):
            assisted(weights)
    for weights in ((0.5, 0.5), (1.2, -0.2, 0, 0), (0.5, 0.2, 0.1, 0.1), (float("nan"),) * 4):
        with pytest.raises(InvalidValue, match="four probabilities"):
            assisted(weights)
    with pytest.raises(InvalidValue, match="between 0 and 1"):
        assisted_werner(1.5)
    with pytest.raises(InvalidValue, match="erase"):
        assisted_werner(0.25)
