"""Gates and states teleported over imperfect pairs, against the explicit circuits on Aer."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import DensityMatrix, partial_trace
from qiskit_aer import AerSimulator
from qiskit_aer.noise import pauli_error
from scipy.stats import chi2

from hyperfabric_q.entanglement import gates
from hyperfabric_q.entanglement.state import correlators, werner
from hyperfabric_q.errors import InvalidValue

SIMULATOR = AerSimulator(method="density_matrix")
P = [0.85, 0.07, 0.03, 0.05]

# Qubits: 0 control, 1 its node's half, 2 the other half, 3 target; 4 and 5 are references of control and target.


def noisy_pair(circuit, p, a, b):
    circuit.h(a)
    circuit.cx(a, b)
    circuit.append(pauli_error(list(zip("IXYZ", p, strict=True))).to_instruction(), [b])


def teleported(circuit, p, gate):
    """Cat-entangler, gate, disentangler, with measurements deferred."""
    noisy_pair(circuit, p, 1, 2)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    getattr(circuit, gate)(2, 3)
    circuit.h(2)
    circuit.cz(2, 0)


def direct(circuit, terms, gate):
    getattr(circuit, gate)(0, 3)
    circuit.append(pauli_error(terms).to_instruction(), [0, 3])


def kept(circuit, discarded):
    circuit.save_density_matrix()
    rho = DensityMatrix(np.asarray(SIMULATOR.run(circuit).result().data()["density_matrix"]))
    return partial_trace(rho, discarded)


def choi(build):
    circuit = QuantumCircuit(6)
    for qubit, reference in ((0, 4), (3, 5)):
        circuit.h(reference)
        circuit.cx(reference, qubit)
    build(circuit)
    return kept(circuit, [1, 2])


CASES = [("cx", gates.cnot_error_terms), ("cz", gates.cz_error_terms)]


@pytest.mark.parametrize(("gate", "terms"), CASES)
def test_V11_teleported_gate_is_the_ideal_gate_with_a_pauli_channel(gate, terms):
    for p in np.random.default_rng(1).dirichlet([3, 1, 1, 1], 6):
        explicit = choi(lambda circuit, p=p: teleported(circuit, p, gate))
        fast = choi(lambda circuit, p=p: direct(circuit, terms(correlators(p)), gate))
        assert np.abs(explicit.data - fast.data).max() < 1e-12


@pytest.mark.parametrize("gate", ["cx", "cz"])
def test_V11_process_fidelity_is_that_of_the_pair(gate):
    ideal = choi(lambda circuit: getattr(circuit, gate)(0, 3))
    for p in np.random.default_rng(2).dirichlet([3, 1, 1, 1], 6):
        explicit = choi(lambda circuit, p=p: teleported(circuit, p, gate))
        # The ideal gate's Choi state is pure, so fidelity is an overlap.
        found = np.trace(ideal.data @ explicit.data).real
        assert abs(found - gates.process_fidelity(correlators(p))) < 1e-12
        assert abs(found - p[0]) < 1e-12


def test_V11_error_terms_of_the_two_gates_are_told_apart():
    wrong = choi(lambda circuit: direct(circuit, gates.cz_error_terms(correlators(P)), "cx"))
    explicit = choi(lambda circuit: teleported(circuit, P, "cx"))
    assert np.abs(explicit.data - wrong.data).max() > 1e-2
    swapped = [(label[::-1], p) for label, p in gates.cnot_error_terms(correlators(P))]
    assert np.abs(explicit.data - choi(lambda circuit: direct(circuit, swapped, "cx")).data).max() > 1e-2


def test_V11_counts_of_the_measured_circuit_follow_the_channel():
    """With real measurements and feed-forward, from |+>|0>, read in the basis in which all four errors differ."""
    circuit = QuantumCircuit(4, 4)
    circuit.h(0)
    noisy_pair(circuit, P, 1, 2)
    circuit.cx(0, 1)
    circuit.measure(1, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(2)
    circuit.cx(2, 3)
    circuit.h(2)
    circuit.measure(2, 1)
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.z(0)
    circuit.cx(0, 3)
    circuit.h(0)
    circuit.measure([0, 3], [2, 3])
    counts = SIMULATOR.run(transpile(circuit, SIMULATOR), shots=20_000, seed_simulator=5).result().get_counts()
    found = {}
    for bits, count in counts.items():
        found[bits[:2]] = found.get(bits[:2], 0) + count
    # Undoing the CNOT takes X on the target to itself and Z on the control to itself: bits are (target X, control Z).
    expected = {"00": P[0], "10": P[1], "11": P[2], "01": P[3]}
    statistic = sum((found.get(key, 0) - 20_000 * p) ** 2 / (20_000 * p) for key, p in expected.items())
    assert statistic < chi2.ppf(0.999, 3)
    shuffled = {"00": P[0], "01": P[1], "11": P[2], "10": P[3]}
    assert sum((found.get(k, 0) - 20_000 * p) ** 2 / (20_000 * p) for k, p in shuffled.items()) > chi2.ppf(0.999, 3)


def averaged_over_design(build, qubits):
    """Average fidelity over all products of the six axis states, a 2-design for one qubit."""
    axes = [[], ["x"], ["h"], ["x", "h"], ["h", "s"], ["x", "h", "s"]]
    total = []
    for names in axes:
        ideal, noisy = QuantumCircuit(1), QuantumCircuit(qubits)
        for name in names:
            getattr(ideal, name)(0)
            getattr(noisy, name)(0)
        build(noisy)
        # The ideal state is pure, so fidelity is an overlap: no matrix square root and its rounding.
        rho = kept(noisy, list(range(qubits - 1))).data
        total.append(np.trace(DensityMatrix(ideal).data @ rho).real)
    return np.mean(total)


def teleport(circuit, p=P):
    noisy_pair(circuit, p, 1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.cx(1, 2)
    circuit.cz(0, 2)


def test_teleported_state_carries_the_paulis_of_the_pair():
    rng = np.random.default_rng(3)
    for p in rng.dirichlet([3, 1, 1, 1], 5):
        angles = rng.uniform(0, np.pi, 3)
        circuit, fast = QuantumCircuit(3), QuantumCircuit(1)
        for each in (circuit, fast):
            each.u(*angles, 0)
        teleport(circuit, p)
        fast.append(pauli_error(gates.state_error_terms(correlators(p))).to_instruction(), [0])
        fast.save_density_matrix()
        expected = np.asarray(SIMULATOR.run(fast).result().data()["density_matrix"])
        assert np.abs(kept(circuit, [0, 1]).data - expected).max() < 1e-12


def test_average_fidelity_of_a_teleported_state():
    assert averaged_over_design(teleport, 3) == pytest.approx(
        float(gates.average_state_fidelity(correlators(P))), abs=1e-12
    )


def test_average_fidelity_of_a_gate_follows_from_its_process_fidelity():
    good = np.array([0.25, 0.9689, 1.0])
    assert gates.average_gate_fidelity(werner(good)) == pytest.approx((4 * good + 1) / 5, abs=1e-15)
    assert gates.average_gate_fidelity(werner(1.0)) == 1


@pytest.mark.parametrize("terms", [gates.cnot_error_terms, gates.cz_error_terms, gates.state_error_terms])
@pytest.mark.parametrize("wrong", [[np.nan, 0, 0], [1, 1, -1], [0.9, 0.9], [[1, 1, 1]]])
def test_pairs_that_are_none_are_refused(terms, wrong):
    with pytest.raises(InvalidValue, match="correlators"):
        terms(wrong)
