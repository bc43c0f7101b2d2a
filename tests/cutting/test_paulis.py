import itertools

import numpy as np
from qiskit.quantum_info import Pauli

from hyperfabric_q.cutting.paulis import coefficients, matrix_of, name_of, product

STRINGS = list(itertools.product(range(4), repeat=2))


def test_names_and_matrices_are_qiskits():
    for label in (*STRINGS, (3,), (1, 2, 3)):
        assert np.array_equal(matrix_of(label), Pauli(name_of(label)).to_matrix())


def test_products_carry_their_phase():
    for one, other in itertools.product(STRINGS, repeat=2):
        turns, label = product(one, other)
        assert np.abs(matrix_of(one) @ matrix_of(other) - 1j**turns * matrix_of(label)).max() < 1e-15


def test_coefficients_rebuild_any_operator():
    rng = np.random.default_rng(2)
    for n in (1, 2, 3):
        operator = rng.normal(size=(2**n, 2**n)) + 1j * rng.normal(size=(2**n, 2**n))
        table = coefficients(operator)
        rebuilt = sum(table[label] * matrix_of(label) for label in np.ndindex(*table.shape))
        assert np.abs(rebuilt - operator).max() < 1e-13
