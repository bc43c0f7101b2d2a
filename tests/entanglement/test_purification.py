"""Purification against Aer's density matrix, explicit matrices, and the mistakes of others."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error, pauli_error, thermal_relaxation_error

from hyperfabric_q.entanglement.memory import Carried, Memory, twirl, twirled_error_bound, wait, wait_carried
from hyperfabric_q.entanglement.purification import (
    bbpssw,
    best_dejmps,
    best_permutation,
    dejmps,
    epl,
    single_click,
)
from hyperfabric_q.entanglement.state import correlators, density_matrix, fidelity, weights, werner
from hyperfabric_q.errors import InvalidValue

US = 10**6
A, B = [0.85, 0.07, 0.03, 0.05], [0.8, 0.02, 0.08, 0.1]
SIMULATOR = AerSimulator(method="density_matrix")
LAWS = settings(deadline=None, derandomize=True, max_examples=80)
PARTS = st.lists(st.floats(1e-6, 1), min_size=4, max_size=4)
X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1.0 + 0j, -1])
AGREE = ((0, 0), (1, 1))

# The kept pair is qubits 0 (node a) and 1 (node b), the measured pair is 2 and 3.


def lam(parts):
    return correlators(np.array(parts) / sum(parts))


def two_pairs(p, q):
    circuit = QuantumCircuit(4)
    for a, weight in ((0, p), (2, q)):
        circuit.h(a)
        circuit.cx(a, a + 1)
        circuit.append(pauli_error(list(zip("IXYZ", weight, strict=True))).to_instruction(), [a + 1])
    return circuit


def store(circuit, times, t1, t2):
    for qubit, t in enumerate(times):
        circuit.append(thermal_relaxation_error(t1, t2, t).to_instruction(), [qubit])


def bilateral_twirl(circuit):
    same = pauli_error([(each * 2, 0.25) for each in "IXYZ"]).to_instruction()
    circuit.append(same, [0, 1])
    circuit.append(same, [2, 3])


def rotate(circuit):
    for qubit, sign in ((0, 1), (1, -1), (2, 1), (3, -1)):
        circuit.rx(sign * np.pi / 2, qubit)


def compare(circuit, losses=(0.0, 0.0), flips=(0.0, 0.0)):
    """The round itself, with a bit flip just before where a bit is misread."""
    for side in (0, 1):
        circuit.cx(side, side + 2)
        circuit.append(depolarizing_error(losses[side], 2).to_instruction(), [side, side + 2])
        circuit.append(pauli_error([("I", 1 - flips[side]), ("X", flips[side])]).to_instruction(), [side + 2])


def selected(circuit, outcomes=AGREE):
    """Density matrix of the kept pair and its probability, from the final state: nothing is measured on the way."""
    circuit.save_density_matrix()
    rho = np.asarray(SIMULATOR.run(circuit).result().data()["density_matrix"]).reshape([2] * 8)  # q3 q2 q1 q0 twice
    block = sum(rho[b, a, :, :, b, a, :, :] for a, b in outcomes).reshape(4, 4)
    success = np.trace(block).real
    return block / success, success


def expectations(rho):
    one = np.eye(2)
    ops = (np.kron(X, X), -np.kron(Y, Y), np.kron(Z, Z), np.kron(one, Z), np.kron(Z, one))
    return np.array([np.trace(rho @ op).real for op in ops])


# ------------------------------------------------------------------------------------------------------------ DEJMPS


def test_V4_dejmps_agrees_with_aer_ideal_and_noisy():
    rng = np.random.default_rng(4)
    for index in range(20):
        p, q = rng.dirichlet([2, 1, 1, 1], 2)
        losses, flips = (0.0, 0.0), (0.0, 0.0)
        if index >= 5:
            losses, flips = rng.uniform(0, 0.4, 2), rng.uniform(0, 0.4, 2)
        circuit = two_pairs(p, q)
        rotate(circuit)
        compare(circuit, losses, flips)
        rho, success = selected(circuit)
        found = dejmps(
            correlators(p),
            correlators(q),
            depolarising=losses[0],
            depolarising_b=losses[1],
            readout_error=flips[0],
            readout_error_b=flips[1],
        )
        assert np.abs(density_matrix(found.correlators) - rho).max() < 1e-12
        assert abs(found.success - success) < 1e-12


def test_E2_ideal_and_noisy_dejmps():
    a, b = correlators(A), correlators(B)
    ideal = dejmps(a, b)
    assert np.abs(weights(ideal.correlators) - [0.86511156, 0.00811359, 0.01014199, 0.11663286]).max() < 5e-9
    assert ideal.success == pytest.approx(0.7888, abs=1e-14)
    noisy = dejmps(a, b, depolarising=0.03, readout_error=0.02)
    kept = weights(noisy.correlators) * noisy.success
    assert np.abs(kept - [0.62502618, 0.0153862, 0.01630151, 0.09371425]).max() < 5e-9
    assert noisy.success == pytest.approx(0.75042814, abs=5e-9)


def test_closed_form_of_the_weights_is_the_same_round():
    """The textbook form in weights, with a wrong parity kept as often as bits are misread."""
    rng = np.random.default_rng(9)
    a, b = rng.dirichlet([2, 1, 1, 1], (2, 50))
    loss, flip = 0.07, 0.04
    (aI, aX, aY, aZ), (bI, bX, bY, bZ) = a.T, b.T
    same = np.array([aI * bI + aY * bY, aX * bX + aZ * bZ, aX * bZ + aZ * bX, aI * bY + aY * bI])
    opposite = np.array([aI * bX + aY * bZ, aX * bI + aZ * bY, aX * bY + aZ * bI, aI * bZ + aY * bX])
    gates, wrong = (1 - loss) ** 2, 2 * flip * (1 - flip)
    v = (gates * ((1 - wrong) * same + wrong * opposite) + (1 - gates) / 8).T
    found = dejmps(correlators(a), correlators(b), depolarising=loss, readout_error=flip)
    assert np.abs(found.success - v.sum(-1)).max() < 1e-14
    assert np.abs(weights(found.correlators) - v / v.sum(-1, keepdims=True)).max() < 1e-14


def test_pitfall_without_rotations_iteration_falls_to_one_half():
    """Others leave the rotations out under the same name: Y and Z change roles on the way in only."""
    swapped, ours = werner(0.95), werner(0.95)
    theirs = []
    for _ in range(12):
        x, y, z = swapped
        normal = 1 + z * z
        swapped = np.array([x * x + y * y, 2 * x * y, 2 * z]) / normal
        theirs.append(float(fidelity(swapped)))
        before = fidelity(ours)
        ours = dejmps(ours, ours).correlators
        assert fidelity(ours) > before - 1e-15
    assert theirs[:4] == pytest.approx([0.965, 0.935, 0.878, 0.785], abs=5e-4)
    assert theirs[-1] == pytest.approx(0.5, abs=1e-3)
    assert fidelity(ours) > 0.999999


def test_pitfall_the_circuit_without_rotations_is_told_apart():
    p, q = np.array(A), np.array(B)
    circuit = two_pairs(p, q)
    compare(circuit)
    rho, _ = selected(circuit)
    found = dejmps(correlators(p), correlators(q))
    assert np.abs(density_matrix(found.correlators) - rho).max() > 0.01


def test_a_round_that_never_succeeds_leaves_no_correlation():
    found = dejmps([1, 1, 1], [1, -1, -1])
    assert found.success == 0
    assert np.array_equal(found.correlators, [0, 0, 0])
    mixed = dejmps([[1, 1, 1], [1, 1, 1]], [[1, -1, -1], [1, 1, 1]])
    assert np.array_equal(mixed.correlators, [[0, 0, 0], [1, 1, 1]])


@given(PARTS, PARTS, st.floats(0, 1), st.floats(0, 1))
@LAWS
def test_V15_purified_pairs_are_states(p, q, loss, flip):
    for protocol in (dejmps, bbpssw, best_dejmps):
        found = protocol(lam(p), lam(q), depolarising=loss, readout_error=flip)
        assert weights(found.correlators).min() >= -1e-12
        assert 0 <= found.success <= 1


# ------------------------------------------------------------------------------------------------------ permutations


@given(PARTS, PARTS, st.floats(0, 0.3), st.floats(0, 0.3))
@LAWS
def test_V15_permutations_never_worsen_a_round(p, q, loss, flip):
    noise = {"depolarising": loss, "readout_error": flip}
    best, plain = (protocol(lam(p), lam(q), **noise) for protocol in (best_dejmps, dejmps))
    assert fidelity(best.correlators) >= fidelity(plain.correlators) - 1e-12
    ready = best_permutation(lam(p), **noise)
    assert sorted(ready) == sorted(lam(p))
    alike = [dejmps(each, each, **noise).correlators for each in (ready, lam(p))]
    assert fidelity(alike[0]) >= fidelity(alike[1]) - 1e-12


def test_best_permutations_are_the_best_of_all_thirty_six():
    rng = np.random.default_rng(6)
    a, b = correlators(rng.dirichlet([1, 1, 1, 1], (2, 300)))
    noise = {"depolarising": 0.05, "readout_error": 0.08}
    orders = list(permutations(range(3)))
    every = [fidelity(dejmps(a[:, s], b[:, t], **noise).correlators) for s, t in product(orders, orders)]
    found = fidelity(best_dejmps(a, b, **noise).correlators)
    assert np.abs(found - np.max(every, axis=0)).max() < 1e-11
    alike = [fidelity(dejmps(a[:, s], a[:, s], **noise).correlators) for s in orders]
    ready = best_permutation(a, **noise)
    assert np.abs(fidelity(dejmps(ready, ready, **noise).correlators) - np.max(alike, axis=0)).max() < 1e-11


def test_permutations_gain_much_where_errors_are_biased():
    biased = correlators([0.9, 0.0, 0.0, 0.1])
    assert fidelity(dejmps(biased, biased).correlators) == pytest.approx(0.81 / (0.81 + 0.01), abs=1e-12)
    biased = correlators([0.9, 0.0, 0.1, 0.0])
    assert fidelity(dejmps(biased, biased).correlators) == pytest.approx(0.82, abs=1e-12)
    assert fidelity(best_dejmps(biased, biased).correlators) == pytest.approx(0.81 / 0.82, abs=1e-12)


def test_every_permutation_is_a_local_clifford_on_both_halves():
    h, s = (X + Z) / np.sqrt(2), np.diag([1, 1j])
    state, reached = correlators(A), set()
    for word in product((np.eye(2), h, s), repeat=4):
        gate = np.linalg.multi_dot(word)
        both = np.kron(gate.conj(), gate)
        rho = both @ density_matrix(state) @ both.conj().T
        reached.add(tuple(expectations(rho)[:3].round(12)))
    assert reached == {tuple(np.round(state[list(order)], 12)) for order in permutations(range(3))}


# ------------------------------------------------------------------------------------------------------------ BBPSSW


def test_V5_bbpssw_sequence_and_closed_form():
    state, good = werner(0.9), 0.9
    for expected in (0.9264, 0.94721, 0.96291):
        found = bbpssw(state, state)
        bad = (1 - good) / 3
        normal = good**2 + 2 * good * bad + 5 * bad**2
        good = (good**2 + bad**2) / normal
        assert found.success == pytest.approx(normal, abs=1e-12)
        assert fidelity(found.correlators) == pytest.approx(good, abs=1e-12)
        assert fidelity(found.correlators) == pytest.approx(expected, abs=5e-6)
        state = found.correlators


def test_bbpssw_agrees_with_aer_on_werner_pairs_without_rotations():
    p, q = (weights(werner(each)) for each in (0.83, 0.71))
    circuit = two_pairs(p, q)
    compare(circuit, (0.05, 0.05), (0.02, 0.02))
    rho, success = selected(circuit)
    found = bbpssw(correlators(p), correlators(q), depolarising=0.05, readout_error=0.02)
    assert np.abs(density_matrix(found.correlators) - rho).max() < 1e-12
    assert abs(found.success - success) < 1e-12


# -------------------------------------------------------------------------------------- wait, then purify, then wait


def permuted_x_z(circuit):
    """Exchange the X and Z errors of both pairs, then DEJMPS: this is where local terms survive."""
    for qubit in range(4):
        circuit.h(qubit)


def test_purification_of_stored_pairs_is_exact_with_and_without_a_twirl():
    rng = np.random.default_rng(8)
    for _ in range(8):
        p, q = rng.dirichlet([4, 1, 1, 1], 2)
        times, loss, flip = rng.uniform(0, 40, 4), *rng.uniform(0, 0.2, 2)
        memory = Memory(t1_ps=50 * US, t2_ps=30 * US)
        first = wait(correlators(p), memory, times[0] * US, memory, times[1] * US)
        second = wait(correlators(q), memory, times[2] * US, memory, times[3] * US)
        expected = dejmps(first, second, depolarising=loss, readout_error=flip)
        for twirled in (True, False):
            circuit = two_pairs(p, q)
            store(circuit, times, 50, 30)
            if twirled:
                bilateral_twirl(circuit)
            rotate(circuit)
            compare(circuit, (loss, loss), (flip, flip))
            rho, success = selected(circuit)
            assert abs(expected.success - success) < 1e-12
            # Plain DEJMPS erases local terms by itself: all of the state is right, not its diagonal only.
            assert np.abs(density_matrix(expected.correlators) - rho).max() < 1e-12


def test_permuted_purification_of_stored_pairs_is_exact_after_a_twirl():
    memory, times = Memory(t1_ps=50 * US, t2_ps=30 * US), [20, 15, 9, 30]
    stored = [
        wait(correlators(p), memory, a * US, memory, b * US)[[2, 1, 0]]
        for p, a, b in ((A, times[0], times[1]), (B, times[2], times[3]))
    ]
    expected = dejmps(*stored)
    found = {}
    for twirled in (True, False):
        circuit = two_pairs(A, B)
        store(circuit, times, 50, 30)
        if twirled:
            bilateral_twirl(circuit)
        permuted_x_z(circuit)
        rotate(circuit)
        compare(circuit)
        found[twirled], success = selected(circuit)
        assert abs(expected.success - success) < 1e-12
        assert np.abs(expectations(found[twirled])[:3] - expected.correlators).max() < 1e-12
    assert np.abs(found[True] - density_matrix(expected.correlators)).max() < 1e-12
    assert np.abs(found[False] - density_matrix(expected.correlators)).max() > 1e-3


def test_wait_purify_wait_without_twirl_differs_by_no_more_than_the_bound():
    """Cliffords that keep <Z> local through the round: the later wait feeds on it."""
    memory, more = Memory(t1_ps=50 * US, t2_ps=30 * US), [8, 5]
    gaps = {}
    for twirled in (True, False):
        circuit = two_pairs(A, B)
        store(circuit, [20, 15, 9, 30], 50, 30)
        if twirled:
            bilateral_twirl(circuit)
        # No rotation: Y and Z stay where they are, so local Z terms pass through the CNOTs.
        compare(circuit)
        for qubit, t in enumerate(more):
            circuit.append(thermal_relaxation_error(50, 30, t).to_instruction(), [qubit])
        rho, _ = selected(circuit)
        gaps[twirled] = expectations(rho)
    stored = [wait(correlators(p), memory, a * US, memory, b * US)[[0, 2, 1]] for p, a, b in ((A, 20, 15), (B, 9, 30))]
    kept = dejmps(*stored).correlators
    ours = wait(kept, memory, more[0] * US, memory, more[1] * US)
    assert np.abs(gaps[True][:3] - ours).max() < 1e-12
    gap = abs(fidelity(gaps[False][:3]) - fidelity(ours))
    assert 1e-3 < gap <= twirled_error_bound(memory, more[0] * US, memory, more[1] * US)


# --------------------------------------------------------------------------------------------------------------- EPL


def physical(double, coherence, none):
    """A single-click pair as made, order |b a>; ``coherence`` complex, between |01> and |10>."""
    rho = np.zeros((4, 4), dtype=complex)
    rho[0, 0], rho[3, 3] = none, double
    rho[1, 1] = rho[2, 2] = (1 - none - double) / 2
    rho[1, 2] = (1 - none - double) / 2 * coherence
    rho[2, 1] = np.conj(rho[1, 2])
    return rho


def epl_by_hand(first, second):
    """Both CNOTs as a permutation of 4 qubits' basis states, then the rows in which both targets are 1."""
    rho = np.kron(second, first)
    where = np.array([i ^ ((i & 3) << 2) for i in range(16)])  # bits: target b, target a, b, a
    after = np.zeros_like(rho)
    after[np.ix_(where, where)] = rho
    block = after[12:, 12:]
    success = np.trace(block).real
    return block / success, success


ON_B = np.kron(X, np.eye(2))


def test_epl_agrees_with_an_explicit_four_qubit_calculation():
    rng = np.random.default_rng(12)
    for _ in range(30):
        (w1, d1, _), (w2, d2, _) = rng.dirichlet([1, 1, 2], 2)
        v1, v2 = rng.uniform(-1, 1, 2)
        rho, success = epl_by_hand(physical(w1, v1, d1), physical(w2, v2, d2))
        found = epl(single_click(w1, visibility=v1, none=d1), single_click(w2, visibility=v2, none=d2))
        assert abs(found.success - success) < 1e-14
        assert np.abs(found.state.density_matrix() - ON_B @ rho @ ON_B).max() < 1e-12


def test_epl_fidelity_does_not_depend_on_the_admixture():
    for w1, w2 in ((0.0, 0.0), (0.1, 0.3), (0.7, 0.9)):
        found = epl(single_click(w1, visibility=0.96), single_click(w2, visibility=0.9))
        assert fidelity(found.correlators) == pytest.approx((1 + 0.96 * 0.9) / 2, abs=1e-12)
        assert found.success == pytest.approx((1 - w1) * (1 - w2) / 2, abs=1e-12)
        assert np.abs([found.state.za, found.state.zb]).max() < 1e-12


def test_epl_cancels_a_phase_that_both_pairs_share():
    phase = np.exp(1j * 1.234)
    shared, _ = epl_by_hand(physical(0.2, 0.9 * phase, 0.0), physical(0.3, 0.8 * phase, 0.0))
    found = epl(single_click(0.2, visibility=0.9), single_click(0.3, visibility=0.8))
    assert np.abs(found.state.density_matrix() - ON_B @ shared @ ON_B).max() < 1e-12
    apart, _ = epl_by_hand(physical(0.2, 0.9 * phase, 0.0), physical(0.3, 0.8, 0.0))
    assert np.abs(apart - shared).max() > 0.1


def test_noisy_epl_of_stored_pairs_agrees_with_aer():
    rng = np.random.default_rng(13)
    for _ in range(8):
        inputs = [(w, v, d) for (w, d, _), v in zip(rng.dirichlet([1, 1, 3], 2), rng.uniform(0, 1, 2), strict=True)]
        times, losses, flips = rng.uniform(0, 30, 4), rng.uniform(0, 0.3, 2), rng.uniform(0, 0.3, 2)
        circuit = QuantumCircuit(4)
        start = np.kron(*(ON_B @ physical(*each) @ ON_B for each in reversed(inputs)))
        circuit.set_density_matrix(start)
        store(circuit, times, 50, 30)
        circuit.x(1)
        circuit.x(3)
        compare(circuit, losses, flips)
        circuit.x(1)
        rho, success = selected(circuit, outcomes=((1, 1),))
        memory = Memory(t1_ps=50 * US, t2_ps=30 * US)
        stored = [
            wait_carried(single_click(w, visibility=v, none=d), memory, a * US, memory, b * US)
            for (w, v, d), (a, b) in zip(inputs, times.reshape(2, 2), strict=True)
        ]
        found = epl(
            *stored,
            depolarising=losses[0],
            depolarising_b=losses[1],
            readout_error=flips[0],
            readout_error_b=flips[1],
        )
        assert abs(found.success - success) < 1e-12
        assert np.abs(found.state.density_matrix() - rho).max() < 1e-12


def test_epl_beats_dejmps_on_single_click_pairs_and_not_without_their_local_terms():
    pair = single_click(0.3, visibility=0.98)
    clean = epl(pair, pair).correlators
    assert fidelity(clean) > fidelity(best_dejmps(twirl(pair), twirl(pair)).correlators) + 0.1
    twirled = Carried.of(twirl(pair))
    assert fidelity(epl(twirled, twirled).correlators) < fidelity(clean) - 0.1
    assert np.array_equal(epl(pair, pair).correlators, twirl(epl(pair, pair).state))


def test_single_click_pairs_are_what_they_say():
    for w, v, d in ((0.1, 0.9, 0.02), (0.0, 1.0, 0.0), (0.4, -0.5, 0.1)):
        made = single_click(w, visibility=v, none=d)
        assert np.abs(made.density_matrix() - ON_B @ physical(w, v, d) @ ON_B).max() < 1e-15


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("protocol", [dejmps, bbpssw, best_dejmps])
@pytest.mark.parametrize("name", ["depolarising", "readout_error", "depolarising_b", "readout_error_b"])
@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_errors_out_of_range_are_refused(protocol, name, value):
    with pytest.raises(InvalidValue, match=name):
        protocol(werner(0.9), werner(0.9), **{name: value})


@pytest.mark.parametrize("wrong", [[np.nan, 0, 0], [0, 0], [2, 0, 0], "pair"])
def test_pairs_that_are_none_are_refused(wrong):
    for protocol in (dejmps, bbpssw, best_dejmps):
        with pytest.raises(InvalidValue):
            protocol(wrong, werner(0.9))
        with pytest.raises(InvalidValue):
            protocol(werner(0.9), wrong)
    with pytest.raises(InvalidValue):
        best_permutation(wrong)


@pytest.mark.parametrize("figures", [{"double": 1.2}, {"double": 0.7, "none": 0.4}, {"double": 0.1, "visibility": 2}])
def test_impossible_single_click_pairs_are_refused(figures):
    with pytest.raises(InvalidValue):
        single_click(**figures)


def test_results_are_read_only():
    found = dejmps(werner(0.9), werner(0.9))
    for array in (found.correlators, found.success):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
