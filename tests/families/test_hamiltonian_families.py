"""QAOA against its closed form, Trotter steps against matrix exponentials, and the 3-regular graphs."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector
from scipy.linalg import expm

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families import ising, qaoa_3regular, qaoa_maxcut, two_qubit_gates
from hyperfabric_q.families.qaoa import BEST_BETA, BEST_GAMMA
from hyperfabric_q.families.regular_graph import cubic_edges
from hyperfabric_q.seeds import stream

PRISM = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (0, 3), (1, 4), (2, 5)]
KITE = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4), (4, 5)]


def cut_chance(state, a, b):
    """Return the probability that the bits a and b of a basis state differ."""
    index = np.arange(len(state.data))
    return float(state.probabilities()[(index >> a ^ index >> b) & 1 == 1].sum())


def closed_form(edges, a, b, gamma, beta):
    """Return the mean of (1 - Z_a Z_b)/2 after one round (Wang, Hadfield, Jiang, Rieffel 2018)."""
    around = {v: {x for edge in edges if v in edge for x in edge if x != v} for v in (a, b)}
    d, e, f = len(around[a]) - 1, len(around[b]) - 1, len(around[a] & around[b])
    c = math.cos(gamma)
    lone = math.sin(4 * beta) * math.sin(gamma) * (c**d + c**e) / 4
    shared = math.sin(2 * beta) ** 2 * c ** (d + e - 2 * f) * (1 - math.cos(2 * gamma) ** f) / 4
    return 0.5 + lone - shared


@pytest.mark.parametrize("edges", [PRISM, KITE])
@pytest.mark.parametrize(("gamma", "beta"), [(0.7, 0.3), (2.1, -0.9)])
def test_one_round_of_qaoa_meets_its_closed_form(edges, gamma, beta):
    state = Statevector(qaoa_maxcut(6, edges, [gamma], [beta]))
    for a, b in edges:
        assert cut_chance(state, a, b) == pytest.approx(closed_form(edges, a, b, gamma, beta), abs=1e-12)


def test_the_random_graph_family_is_that_ansatz_on_its_graph():
    circuit = qaoa_3regular(10, gammas=[0.5], betas=[0.2], seed=9)
    edges = [
        tuple(circuit.find_bit(qubit).index for qubit in step.qubits)
        for step in circuit.data
        if step.operation.name == "rzz"
    ]
    assert set(Counter(itertools.chain(*edges)).values()) == {3}
    state = Statevector(circuit)
    for a, b in edges:
        assert cut_chance(state, a, b) == pytest.approx(closed_form(edges, a, b, 0.5, 0.2), abs=1e-12)


def test_default_angles_are_the_best_of_one_round():
    assert math.atan(0.5**0.5) == pytest.approx(BEST_GAMMA, abs=1e-15)
    assert math.pi / 8 == BEST_BETA
    assert qaoa_3regular(8, seed=3) == qaoa_3regular(8, 1, [BEST_GAMMA], [BEST_BETA], seed=3)


@pytest.mark.parametrize(("n", "layers"), [(4, 1), (12, 3)])
def test_qaoa_counts_three_halves_n_per_round(n, layers):
    circuit = qaoa_3regular(n, layers, seed=2)
    assert circuit.count_ops() == {"h": n, "rzz": 3 * n // 2 * layers, "rx": n * layers}


def test_all_rounds_share_one_graph_whatever_the_angles():
    def edges(circuit):
        return [
            [circuit.find_bit(qubit).index for qubit in step.qubits]
            for step in circuit.data
            if step.operation.name == "rzz"
        ]

    two = edges(qaoa_3regular(12, 2, seed=5))
    assert two[:18] == two[18:]
    assert edges(qaoa_3regular(12, gammas=[1.0], betas=[0.1], seed=5)) == two[:18]


@pytest.mark.parametrize(
    ("gammas", "betas"), [([0.1], [0.1, 0.2]), (0.1, 0.1), ("0", "0"), ([math.inf], [0.1]), ([True], [0.1])]
)
def test_qaoa_refuses_angles_that_do_not_match(gammas, betas):
    with pytest.raises(InvalidValue):
        qaoa_maxcut(3, [(0, 1)], gammas, betas)


def test_trotter_steps_are_products_of_matrix_exponentials():
    n, coupling, field, step = 4, 0.7, -1.3, 0.2
    bonds = SparsePauliOp.from_sparse_list([("ZZ", [i, i + 1], coupling) for i in range(n - 1)], n).to_matrix()
    flips = SparsePauliOp.from_sparse_list([("X", [i], field) for i in range(n)], n).to_matrix()
    once = expm(-1j * step * flips) @ expm(-1j * step * bonds)
    circuit = ising(n, 3, coupling, field, step)
    assert np.allclose(Operator(circuit).data, once @ once @ once, atol=1e-12)
    exact = expm(-1j * 0.6 * (bonds + flips))
    coarse = np.linalg.norm(Operator(circuit).data - exact)
    fine = np.linalg.norm(Operator(ising(n, 6, coupling, field, step / 2)).data - exact)
    assert 1.6 < coarse / fine < 2.4


@pytest.mark.parametrize(("n", "steps"), [(1, 2), (2, 1), (9, 4)])
def test_ising_counts_its_bonds(n, steps):
    assert two_qubit_gates(ising(n, steps)) == (n - 1) * steps


@pytest.mark.parametrize("n", [4, 10, 100, 2000])
def test_random_graphs_are_simple_and_3_regular(n):
    edges = cubic_edges(n, stream(1, "graph"))
    assert len(edges) == len(set(edges)) == 3 * n // 2
    assert all(0 <= a < b < n for a, b in edges)
    assert set(Counter(itertools.chain(*edges)).values()) == {3}
    assert list(edges) == sorted(edges)


def test_random_graphs_are_drawn_uniformly():
    rng = stream(2, "graph")
    draws = [cubic_edges(6, rng) for _ in range(1400)]
    seen = Counter(draws)
    assert len(seen) == 70  # 60 labelled prisms and 10 labelled K(3,3)
    bipartite = sum(
        count
        for edges, count in seen.items()
        if not any({(a, b), (b, c), (a, c)} <= set(edges) for a, b, c in itertools.combinations(range(6), 3))
    )
    assert abs(bipartite - 200) < 4 * (1400 * 6 / 49) ** 0.5
    assert sum((count - 20) ** 2 / 20 for count in seen.values()) < 69 + 4 * 138**0.5


@pytest.mark.parametrize("n", [0, 2, 5, 4.0])
def test_sizes_without_a_3_regular_graph_are_refused(n):
    with pytest.raises(InvalidValue):
        cubic_edges(n, stream(1, "graph"))
