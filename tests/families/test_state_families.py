"""Known states: GHZ, W and graph states."""

import numpy as np
import pytest
from qiskit.quantum_info import Pauli, Statevector

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families import ghz, graph_state, two_qubit_gates, w_state


@pytest.mark.parametrize("shape", ["chain", "star"])
@pytest.mark.parametrize("qubits", [1, 2, 7])
def test_ghz_is_half_all_zeros_and_half_all_ones(qubits, shape):
    expected = np.zeros(2**qubits)
    expected[[0, -1]] = 0.5**0.5
    circuit = ghz(qubits, shape)
    assert np.allclose(Statevector(circuit).data, expected, atol=1e-12)
    assert two_qubit_gates(circuit) == qubits - 1


def test_the_ghz_star_has_one_control_and_the_chain_has_neighbours():
    def couples(circuit):
        return [
            tuple(circuit.find_bit(qubit).index for qubit in step.qubits)
            for step in circuit.data
            if step.operation.name == "cx"
        ]

    assert couples(ghz(5, "star")) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert couples(ghz(5)) == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("qubits", [1, 2, 3, 9])
def test_w_state_shares_one_excitation_equally(qubits):
    expected = np.zeros(2**qubits)
    expected[[1 << place for place in range(qubits)]] = qubits**-0.5
    circuit = w_state(qubits)
    assert np.allclose(Statevector(circuit).data, expected, atol=1e-12)
    assert two_qubit_gates(circuit) == 2 * (qubits - 1)


@pytest.mark.parametrize(
    ("qubits", "edges", "seed"), [(40, None, 3), (5, [(0, 1), (1, 4), (4, 0), (2, 1)], None), (3, [], None)]
)
def test_a_graph_state_is_stabilised_by_x_here_and_z_on_the_neighbours(qubits, edges, seed):
    circuit = graph_state(qubits, edges, seed=seed)
    bonds = [
        tuple(circuit.find_bit(qubit).index for qubit in step.qubits)
        for step in circuit.data
        if step.operation.name == "cz"
    ]
    assert len(bonds) == (3 * qubits // 2 if edges is None else len(edges))
    for vertex in range(qubits):
        z = np.zeros(qubits, dtype=bool)
        z[vertex] = True
        stabiliser = Pauli((z, np.zeros(qubits, dtype=bool))).evolve(circuit, frame="s")
        expected_z, expected_x = np.zeros(qubits, dtype=bool), z
        for a, b in bonds:
            if vertex in (a, b):
                expected_z[a + b - vertex] = True
        assert stabiliser == Pauli((expected_z, expected_x))


def test_a_random_graph_state_without_a_seed_is_refused():
    with pytest.raises(InvalidValue, match=r"seed.*Or give edges"):
        graph_state(6)
    with pytest.raises(InvalidValue, match="even number"):
        graph_state(7, seed=1)
    with pytest.raises(InvalidValue, match="edges"):
        graph_state(3, "01")
