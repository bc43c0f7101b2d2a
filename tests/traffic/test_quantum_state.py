"""A teleported state: the channel of its pairs, checked against explicit circuits, and sent only once."""

import gc
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import (
    DensityMatrix,
    Pauli,
    Statevector,
    partial_trace,
    random_density_matrix,
    random_statevector,
    state_fidelity,
)
from qiskit_aer import AerSimulator
from qiskit_aer.noise import pauli_error

from hyperfabric_q.errors import InvalidValue, PairSpent
from hyperfabric_q.traffic import quantum_state
from hyperfabric_q.traffic.quantum_state import QuantumState, state_fidelity_expected, state_of, teleported

HADAMARD = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])


def pairs(qubits, seed):
    """Weights (pI, pX, pY, pZ) of as many random pairs, shape (qubits, 4)."""
    return np.random.default_rng(seed).dirichlet([4, 1, 1, 1], qubits)


def correlators(weights):
    return (weights @ HADAMARD)[:, 1:]


def by_circuit(state, weights):
    """The same by an explicit teleportation circuit on Aer, its measurements deferred."""
    qubits = state.num_qubits
    circuit = QuantumCircuit(3 * qubits)
    for qubit in range(qubits):
        near, far = qubits + qubit, 2 * qubits + qubit
        circuit.h(near)
        circuit.cx(near, far)
        circuit.append(pauli_error(list(zip("IXYZ", weights[qubit], strict=True))).to_instruction(), [far])
        circuit.cx(qubit, near)
        circuit.h(qubit)
        circuit.cx(near, far)
        circuit.cz(qubit, far)
    circuit.save_density_matrix(list(range(2 * qubits, 3 * qubits)))
    rest = DensityMatrix.from_label("0" * 2 * qubits)
    whole = QuantumCircuit(3 * qubits)
    whole.set_density_matrix(rest.tensor(DensityMatrix(state)))
    whole.compose(circuit, inplace=True)
    found = AerSimulator(method="density_matrix", max_parallel_threads=1).run(whole).result().data()["density_matrix"]
    return np.asarray(found)


def by_branches(state, weights):
    """One qubit, with real measurements: every outcome, corrected, weighted by its chance."""
    total = np.zeros((2, 2), complex)
    for letter, weight in zip("IXYZ", weights, strict=True):
        bell = Statevector.from_label("00").evolve(two_gates("h", "cx"))
        noisy = bell.evolve(Pauli(letter), [1])
        joint = noisy.tensor(state).evolve(two_gates("cx", "h"), [0, 1])
        for x, z in itertools.product((0, 1), repeat=2):
            amplitudes = joint.data.reshape(2, 2, 2)[:, x, z]
            corrected = np.array([[0, 1], [1, 0]]) @ amplitudes if x else amplitudes
            corrected = np.array([1, -1]) * corrected if z else corrected
            total += weight * np.outer(corrected, corrected.conj())
    return total


def two_gates(*names):
    circuit = QuantumCircuit(2)
    for name in names:
        circuit.h(0) if name == "h" else circuit.cx(0, 1)
    return circuit


@pytest.mark.parametrize("qubits", [1, 2])
@pytest.mark.parametrize("make", [random_statevector, random_density_matrix])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_teleported_state_agrees_with_an_explicit_circuit_on_aer(qubits, make, seed):
    state, weights = make((2,) * qubits, seed=seed), pairs(qubits, seed)
    found = teleported(state_of(state), correlators(weights))
    assert isinstance(found, DensityMatrix)
    assert found.data == pytest.approx(by_circuit(state, weights), abs=1e-12)


@pytest.mark.parametrize("seed", [4, 5])
def test_teleported_state_is_the_mean_over_measured_and_corrected_outcomes(seed):
    state, weights = random_statevector(2, seed=seed), pairs(1, seed)
    found = teleported(state_of(state), correlators(weights))
    assert found.data == pytest.approx(by_branches(state, weights[0]), abs=1e-12)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(qubits=st.integers(1, 4), seed=st.integers(0, 2**20), mixed=st.booleans())
def test_teleported_state_is_the_sum_over_paulis(qubits, seed, mixed):
    make = random_density_matrix if mixed else random_statevector
    state, weights = make((2,) * qubits, seed=seed), pairs(qubits, seed)
    density, total = DensityMatrix(state), 0
    for letters in itertools.product(range(4), repeat=qubits):
        weight = np.prod([weights[qubit, letter] for qubit, letter in enumerate(letters)])
        # Qiskit's label is written from the last qubit to the first.
        pauli = Pauli("".join("IXYZ"[letter] for letter in reversed(letters)))
        total = total + weight * density.evolve(pauli).data
    found = teleported(state_of(state), correlators(weights))
    assert found.data == pytest.approx(total, abs=1e-12)
    assert found.is_valid(atol=1e-10)


def test_each_qubit_takes_the_pair_of_its_row():
    lost, perfect = (0, 0, 0), (1, 1, 1)
    found = teleported(state_of(Statevector.from_label("01")), [perfect, lost])
    assert found.data == pytest.approx(np.diag([0, 0.5, 0, 0.5]), abs=1e-15)


def test_perfect_pairs_deliver_exactly_what_was_sent_as_a_density_matrix():
    sent = random_statevector((2,) * 3, seed=1)
    found = teleported(state_of(sent), np.ones((3, 3)))
    assert (found.data == np.outer(sent.data, sent.data.conj())).all()


def test_entanglement_with_what_stays_at_home_survives_as_the_pair_allows():
    # Half of a Bell state through a pair of fidelity F is a Bell state of fidelity F.
    bell = Statevector(two_gates("h", "cx"))
    found = teleported(state_of(bell), [(1, 1, 1), (0.8, 0.8, 0.8)])
    assert state_fidelity(found, Statevector(two_gates("h", "cx"))) == pytest.approx((3 * 0.8 + 1) / 4, abs=1e-12)
    assert partial_trace(found, [1]).data == pytest.approx(np.eye(2) / 2, abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- fidelity


@pytest.mark.parametrize("make", [random_statevector, random_density_matrix])
def test_expected_fidelity_is_that_of_the_teleported_state(make):
    sent, rows = make((2, 2), seed=3), correlators(pairs(2, 3))
    state = state_of(sent)
    assert state_fidelity_expected(rows, state) == pytest.approx(
        state_fidelity(sent, teleported(state, rows)), abs=1e-9
    )


def test_mean_fidelity_of_one_qubit_is_two_thirds_of_the_pairs_and_a_third():
    rows = correlators(pairs(1, 7))
    axes = [Statevector.from_label(label) for label in "01+-rl"]  # a design: their mean is the mean of all states
    mean = np.mean([state_fidelity_expected(rows, state_of(each)) for each in axes])
    assert state_fidelity_expected(rows) == pytest.approx((2 * pairs(1, 7)[0, 0] + 1) / 3, abs=1e-12)
    assert state_fidelity_expected(rows) == pytest.approx(mean, abs=1e-12)


def test_mean_fidelity_of_two_qubits_is_met_by_random_states():
    rows = correlators(pairs(2, 8))
    each = [state_fidelity_expected(rows, state_of(random_statevector((2, 2), seed=seed))) for seed in range(2000)]
    assert np.mean(each) == pytest.approx(state_fidelity_expected(rows), abs=5 * np.std(each) / np.sqrt(len(each)))


# ------------------------------------------------------------------------------------------------------- spent once


@pytest.mark.parametrize("make", [random_statevector, random_density_matrix])
def test_state_cannot_be_sent_twice(make):
    sent = make(2, seed=1)
    first, second = state_of(sent), state_of(sent)
    first.spend()
    for again in (first.spend, second.spend, lambda: state_of(sent), lambda: state_of(first)):
        with pytest.raises(PairSpent, match=r"state of 1 qubit\(s\) cannot be used again: it was sent"):
            again()
    assert first.is_spent
    assert second.is_spent


def test_equal_state_built_anew_is_another_preparation():
    state_of(Statevector.from_label("+")).spend()
    sent = Statevector.from_label("+")
    state_of(sent).spend()
    state_of(sent.copy()).spend()


def test_recipe_may_be_sent_again_but_what_it_prepared_may_not():
    recipe = two_gates("h", "cx")
    first, second = state_of(recipe), state_of(recipe)
    first.spend()
    second.spend()
    with pytest.raises(PairSpent):
        first.spend()


def test_mark_goes_with_its_object():
    before = len(quantum_state._spent)
    for _ in range(50):
        state_of(Statevector.from_label("0")).spend()
        state_of(two_gates("h")).spend()
    gc.collect()
    assert len(quantum_state._spent) == before


def test_handle_is_frozen_and_keeps_what_it_read():
    sent = Statevector.from_label("0")
    state = state_of(sent)
    sent.data[:] = [0, 1]
    assert state.data.tolist() == [1, 0]
    with pytest.raises(ValueError, match="read-only"):
        state.data[0] = 0
    with pytest.raises(AttributeError):
        state.qubits = 2
    assert state_of(state) is state
    assert repr(state) == "QuantumState(qubits=1)"


def test_teleporting_leaves_the_handle_alone():
    state = state_of(random_density_matrix((2, 2), seed=1))
    before = state.data.copy()
    teleported(state, np.full((2, 3), 0.5))
    assert (state.data == before).all()
    assert not state.is_spent


# ----------------------------------------------------------------------------------------------------------- recipes


def test_recipe_with_a_phase_barriers_unused_bits_and_gates_of_its_own():
    recipe = QuantumCircuit(2, 3, global_phase=0.3)
    recipe.append(two_gates("h", "cx").to_gate(), [1, 0])
    recipe.barrier()
    recipe.append(two_gates("cx").to_instruction(), [0, 1])
    state = state_of(recipe)
    assert state.is_pure
    assert state.data == pytest.approx(np.exp(0.3j) * np.array([1, 1, 0, 0]) / np.sqrt(2), abs=1e-12)


@pytest.mark.parametrize("late", [False, True])
def test_recipe_may_initialize_fresh_qubits_alone(late):
    recipe = QuantumCircuit(2)
    recipe.h(1 if not late else 0)
    recipe.initialize([0.6, 0.8], 0)
    if late:
        with pytest.raises(InvalidValue, match="initialize"):
            state_of(recipe)
    else:
        assert state_of(recipe).data == pytest.approx(np.kron([1, 1], [0.6, 0.8]) / np.sqrt(2), abs=1e-12)


def measured():
    circuit = two_gates("h", "cx")
    circuit.measure_all()
    return circuit


def reset():
    circuit = two_gates("h", "cx")
    circuit.reset(0)
    return circuit


def hidden_reset():
    circuit = QuantumCircuit(2)
    circuit.append(reset().to_instruction(), [0, 1])
    return circuit


def feed_forward():
    circuit = QuantumCircuit(1, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    return circuit


def noisy():
    circuit = QuantumCircuit(1)
    circuit.append(pauli_error([("X", 0.1), ("I", 0.9)]).to_instruction(), [0])
    return circuit


def unbound():
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    return circuit


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (measured, "gates alone"),
        (reset, "gates alone"),
        (hidden_reset, "gates alone"),
        (feed_forward, "gates alone"),
        (noisy, "gates alone"),
        (unbound, "angle have no values"),
        (lambda: QuantumCircuit(13), "1 to 12 qubits"),
        (QuantumCircuit, "1 to 12 qubits"),
        (lambda: Statevector(np.eye(1, 2**13)[0]), "1 to 12 qubits"),
        (lambda: Statevector([1, 0, 0]), "not of larger systems"),
        (lambda: Statevector([1, 1]), "norm 1"),
        (lambda: Statevector([float("nan"), 0]), "norm 1"),
        (lambda: DensityMatrix(np.eye(2)), "trace 1"),
        (lambda: DensityMatrix([[0.5, 0.5], [0, 0.5]]), "Hermitian"),
        (lambda: DensityMatrix([[1.2, 0], [0, -0.2]]), "negative eigenvalue"),
        (lambda: np.array([1, 0]), "Statevector or DensityMatrix"),
        (lambda: "0", "Statevector or DensityMatrix"),
        (lambda: None, "Statevector or DensityMatrix"),
    ],
)
def test_what_is_no_state_is_refused(make, says):
    with pytest.raises(InvalidValue, match=says):
        state_of(make())


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 1, 1]],
        [1, 1, 1, 1, 1, 1],
        [[1, 1], [1, 1]],
        [[1, 1, 1], [1, 1, -1]],
        [[1, 1, 1], [1, float("nan"), 1]],
        [[1, 1, 1], [1.1, 1.1, 1.1]],
        "pairs",
        [[1, 1, 1], [1, 1]],
        None,
    ],
)
def test_correlators_that_no_pairs_have_are_refused(rows):
    state = state_of(Statevector.from_label("00"))
    with pytest.raises(InvalidValue, match="correlators"):
        teleported(state, rows)
    with pytest.raises(InvalidValue, match="correlators"):
        state_fidelity_expected(rows, state)


def test_handles_differ_even_when_their_states_agree():
    assert state_of(two_gates("h")) != state_of(two_gates("h"))
    assert isinstance(state_of(two_gates("h")), QuantumState)
