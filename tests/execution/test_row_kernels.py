"""The compiled gates against matrices on the whole space, written with ``np.kron``."""

import numpy as np
import pytest

from hyperfabric_q.execution import row_kernels

QUBITS, ROWS = 4, 3
X = np.array([[0, 1], [1, 0]], dtype=complex)
Z = np.diag([1.0, -1.0]).astype(complex)
UP = (np.diag([1.0, 0.0]).astype(complex), np.diag([0.0, 1.0]).astype(complex))


def on(**factors):
    """Matrices on named qubits (q0, q1, ...), qubit 0 the lowest bit."""
    whole = np.eye(1)
    for qubit in reversed(range(QUBITS)):
        whole = np.kron(whole, factors.get(f"q{qubit}", np.eye(2)))
    return whole


@pytest.fixture
def states():
    rng = np.random.default_rng(3)
    return rng.normal(size=(ROWS, 2**QUBITS)) + 1j * rng.normal(size=(ROWS, 2**QUBITS))


def bits(*values):
    return np.array(values, dtype=np.uint8)


@pytest.mark.parametrize("qubit", range(QUBITS))
def test_one_qubit_gates_after_a_flip(states, qubit):
    rng = np.random.default_rng(qubit)
    matrix = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
    expected = [
        on(**{f"q{qubit}": matrix @ (X if flip else np.eye(2))}) @ row
        for row, flip in zip(states, (0, 1, 0), strict=True)
    ]
    row_kernels.unitary(states, qubit, matrix, bits(0, 1, 0))
    assert np.allclose(states, expected)


@pytest.mark.parametrize("qubit", range(QUBITS))
def test_scaling_where_one_qubit_is_as_wanted(states, qubit):
    expected = [
        row + on(**{f"q{qubit}": UP[want] * (0.3j - 1)}) @ row for row, want in zip(states, (1, 0, 1), strict=True)
    ]
    row_kernels.scale_one(states, qubit, bits(1, 0, 1), 0.3j)
    assert np.allclose(states, expected)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 3), (1, 2), (2, 3), (1, 3)])
def test_scaling_where_two_qubits_are_as_wanted(states, low, high):
    wanted = [(1, 1), (0, 1), (1, 0)]
    expected = [
        row + on(**{f"q{low}": UP[a] * (0.3j - 1), f"q{high}": UP[b]}) @ row
        for row, (a, b) in zip(states, wanted, strict=True)
    ]
    row_kernels.scale_both(states, low, high, bits(1, 0, 1), bits(1, 1, 0), 0.3j)
    assert np.allclose(states, expected)


@pytest.mark.parametrize(("control", "target"), [(0, 1), (3, 0), (1, 2), (2, 1)])
def test_cnot(states, control, target):
    whole = on(**{f"q{control}": UP[0]}) + on(**{f"q{control}": UP[1], f"q{target}": X})
    expected = states @ whole.T
    row_kernels.flip_if(states, control, target)
    assert np.allclose(states, expected)


def test_signs_of_some_rows(states):
    expected = np.array([on(q0=Z, q2=Z) @ states[0], states[1], on(q3=Z) @ states[2]])
    row_kernels.sign(states, np.array([0, 2]), np.array([0b101, 0b1000]))
    assert np.allclose(states, expected)


@pytest.mark.parametrize("qubit", range(QUBITS))
def test_weights_projections_and_lowering(states, qubit):
    weights = np.empty((ROWS, 2))
    row_kernels.weigh(states, qubit, weights)
    parts = [[on(**{f"q{qubit}": UP[value]}) @ row for value in (0, 1)] for row in states]
    assert np.allclose(weights, [[np.linalg.norm(part) ** 2 for part in row] for row in parts])
    before = states.copy()
    row_kernels.project(states, np.array([2, 0]), qubit, bits(1, 0), np.array([0.5, 2.0]))
    assert np.allclose(states, [2 * parts[0][0], before[1], 0.5 * parts[2][1]])
    row_kernels.lower(states, np.array([2]), qubit)
    assert np.allclose(states[2], on(**{f"q{qubit}": X}) @ (0.5 * parts[2][1]))


def test_picking_follows_the_chances_of_each_row():
    chances = np.array([[0.0, 2.0, 0.0, 2.0], [1.0, 0.0, 3.0, 0.0]])
    uniforms = np.array([0.0, 0.49, 0.5, 0.999, 0.1, 0.25, 0.9])
    found = np.empty(7, dtype=np.int64)
    row_kernels.pick(chances, np.array([0, 4, 7]), uniforms, found)
    assert found.tolist() == [1, 1, 3, 3, 0, 2, 2]
