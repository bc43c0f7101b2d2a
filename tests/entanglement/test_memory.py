"""Storage of Bell pairs against Aer's density matrix with thermal relaxation, and against a master equation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import PTM, DensityMatrix, partial_trace
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error, pauli_error, phase_damping_error, thermal_relaxation_error
from scipy.linalg import expm

from hyperfabric_q.entanglement.memory import (
    Carried,
    Memory,
    relaxed_z,
    swap_carried,
    twirl,
    twirled_channel,
    twirled_error_bound,
    wait,
    wait_carried,
)
from hyperfabric_q.entanglement.state import correlators, fidelity, weights, werner
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import HardwareType, NodeSignature

US = 10**6
A, B = [0.85, 0.07, 0.03, 0.05], [0.8, 0.02, 0.08, 0.1]
SIMULATOR = AerSimulator(method="density_matrix")
LAWS = settings(deadline=None, derandomize=True, max_examples=80)
TIMES = st.integers(0, 10**9)
PARTS = st.lists(st.floats(1e-6, 1), min_size=4, max_size=4)
X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1.0 + 0j, -1])


def pair(circuit, p, a, b):
    circuit.h(a)
    circuit.cx(a, b)
    circuit.append(pauli_error(list(zip("IXYZ", p, strict=True))).to_instruction(), [b])


def store(circuit, qubit, t1, t2, t, excited=0.0):
    circuit.append(thermal_relaxation_error(t1, t2, t, excited).to_instruction(), [qubit])


def kept(circuit, qubits):
    circuit.save_density_matrix()
    rho = DensityMatrix(np.asarray(SIMULATOR.run(circuit).result().data()["density_matrix"]))
    others = [each for each in range(circuit.num_qubits) if each not in qubits]
    return np.asarray(partial_trace(rho, others)) if others else rho.data


def expectations(rho):
    """lx, ly, lz, za, zb of a density matrix whose qubit 0 is half a."""
    one = np.eye(2)
    ops = (np.kron(X, X), -np.kron(Y, Y), np.kron(Z, Z), np.kron(one, Z), np.kron(Z, one))
    return np.array([np.trace(rho @ op).real for op in ops])


def five(state):
    return np.array([state.lx, state.ly, state.lz, state.za, state.zb])


def random_times(rng):
    t1 = rng.uniform(10, 100)
    return t1, rng.uniform(0.05, 2) * t1


def test_V1_memory_map_agrees_with_aer():
    rng = np.random.default_rng(11)
    worst = 0.0
    for _ in range(25):
        p = rng.dirichlet([2, 1, 1, 1])
        (t1a, t2a), (t1b, t2b) = random_times(rng), random_times(rng)
        qa, qb, ta, tb = rng.uniform(0, 0.5), rng.uniform(0, 0.5), *rng.integers(0, 120 * US, 2).tolist()
        circuit = QuantumCircuit(2)
        pair(circuit, p, 0, 1)
        store(circuit, 0, t1a, t2a, ta / US, qa)
        store(circuit, 1, t1b, t2b, tb / US, qb)
        a = Memory(t1_ps=t1a * US, t2_ps=t2a * US, excited=qa)
        b = Memory(t1_ps=t1b * US, t2_ps=t2b * US, excited=qb)
        rho = kept(circuit, [0, 1])
        carried = wait_carried(Carried.of(correlators(p)), a, ta, b, tb)
        worst = max(worst, np.abs(carried.density_matrix() - rho).max())
        worst = max(worst, np.abs(wait(correlators(p), a, ta, b, tb) - expectations(rho)[:3]).max())
    assert worst < 1e-12


def test_depolarising_and_dephasing_agree_with_aer():
    p, ta, tb = np.array(A), 7 * US, 3 * US
    memory = Memory(depolarising_ps=40 * US, dephasing_ps=25 * US)
    circuit = QuantumCircuit(2)
    pair(circuit, p, 0, 1)
    for qubit, t in ((0, ta), (1, tb)):
        circuit.append(depolarizing_error(1 - math.exp(-t / (40 * US)), 1).to_instruction(), [qubit])
        circuit.append(phase_damping_error(1 - math.exp(-2 * t / (25 * US))).to_instruction(), [qubit])
    found = wait(correlators(p), memory, ta, memory, tb)
    assert np.abs(found - expectations(kept(circuit, [0, 1]))[:3]).max() < 1e-12


def liouvillian(memory):
    """Rates on the Bloch vector (1, x, y, z), everything at once."""
    t1, tau = memory.t1_ps, memory.depolarising_ps
    r2 = 1 / memory.t2_ps + 1 / memory.dephasing_ps + 1 / tau
    generator = np.diag([0, -r2, -r2, -1 / t1 - 1 / tau])
    generator[3, 0] = (1 - 2 * memory.excited) / t1
    return generator


def test_all_decays_at_once_solve_the_master_equation():
    rng = np.random.default_rng(5)
    for _ in range(15):
        t1, t2 = random_times(rng)
        tau, phi = rng.uniform(10, 300, 2)
        q = rng.uniform(0, 1)
        a = Memory(t1_ps=t1 * US, t2_ps=t2 * US, depolarising_ps=tau * US, dephasing_ps=phi * US, excited=q)
        b = Memory(t1_ps=2 * t1 * US, t2_ps=t2 * US)
        ta, tb = rng.integers(0, 100 * US, 2)
        lam = correlators(rng.dirichlet([2, 1, 1, 1]))
        table = np.diag([1, lam[0], -lam[1], lam[2]])
        after = expm(liouvillian(a) * ta) @ table @ expm(liouvillian(b) * tb).T
        expected = [after[1, 1], -after[2, 2], after[3, 3], after[3, 0], after[0, 3]]
        assert np.abs(five(wait_carried(Carried.of(lam), a, ta, b, tb)) - expected).max() < 1e-12


def test_V2_exact_fidelity_and_the_error_of_the_twirl():
    memory, t1 = Memory(t1_ps=50 * US, t2_ps=30 * US), 50 * US
    t = np.array([0.01, 0.04, 0.14, 0.4]) * t1
    exact = fidelity(wait(correlators(A), memory, t, memory, t / 2))
    assert np.abs(exact - [0.83715876, 0.80048198, 0.69620013, 0.52185431]).max() < 5e-9
    channel = [correlators(twirled_channel(memory, each)) for each in (t, t / 2)]
    error = fidelity(correlators(A) * channel[0] * channel[1]) - exact
    assert error == pytest.approx([-1.2e-5, -1.9e-4, -2.2e-3, -1.5e-2], rel=0.04)
    assert np.abs(error + relaxed_z(memory, t) * relaxed_z(memory, t / 2) / 4).max() < 1e-15


def test_twirled_channel_is_the_diagonal_of_aers_channel():
    for t1, t2, t in ((50, 30, 7), (50, 100, 20), (10, 3, 40)):
        diagonal = np.diag(PTM(thermal_relaxation_error(t1, t2, t).to_quantumchannel()).data).real
        found = correlators(twirled_channel(Memory(t1_ps=t1 * US, t2_ps=t2 * US), t * US))
        # A single-qubit Pauli channel scales X, Y, Z by what a pair with that error has as correlators.
        assert np.abs(found - diagonal[1:]).max() < 1e-12


def e3_circuit(*, immediate):
    circuit = QuantumCircuit(4)
    pair(circuit, A, 0, 1)
    pair(circuit, B, 2, 3)
    for qubit, t in ((0, 7), (1, 7), (2, 3), (3, 3)):
        store(circuit, qubit, 50, 30, t)
    circuit.cx(1, 2)
    circuit.h(1)

    def correct():
        circuit.cx(2, 3)
        circuit.cz(1, 3)

    if immediate:
        correct()
    for qubit in (0, 3):
        store(circuit, qubit, 50, 30, 9)
    if not immediate:
        correct()
    return fidelity(expectations(kept(circuit, [0, 3]))[:3])


def test_E3_storage_around_a_swap_for_both_kinds_of_correction():
    memory = Memory(t1_ps=50 * US, t2_ps=30 * US)
    a, b = correlators(A), correlators(B)
    deferred = swap(wait(a, memory, 16 * US, memory, 7 * US), wait(b, memory, 3 * US, memory, 12 * US))
    assert fidelity(deferred) == pytest.approx(0.41036465, abs=5e-9)
    assert abs(fidelity(deferred) - e3_circuit(immediate=False)) < 1e-12
    left = wait_carried(Carried.of(a), memory, 7 * US, memory, 7 * US)
    right = wait_carried(Carried.of(b), memory, 3 * US, memory, 3 * US)
    at_once = wait_carried(swap_carried(left, right), memory, 9 * US, memory, 9 * US).correlators
    assert fidelity(at_once) == pytest.approx(0.4203455, abs=5e-8)
    assert abs(fidelity(at_once) - e3_circuit(immediate=True)) < 1e-12


def test_E3_the_lazy_map_applied_twice_is_visibly_wrong():
    memory = Memory(t1_ps=50 * US, t2_ps=30 * US)
    left = wait(correlators(A), memory, 7 * US, memory, 7 * US)
    right = wait(correlators(B), memory, 3 * US, memory, 3 * US)
    wrong = fidelity(wait(swap(left, right), memory, 9 * US, memory, 9 * US))
    assert wrong - 0.41036465 == pytest.approx(2.3e-3, abs=5e-5)
    assert wrong - 0.4203455 == pytest.approx(-7.7e-3, abs=5e-5)


def test_swap_of_stored_pairs_with_noise_agrees_with_aer():
    rng = np.random.default_rng(3)
    for _ in range(8):
        p, q = rng.dirichlet([3, 1, 1, 1], 2)
        t1, t2 = random_times(rng)
        waits = rng.uniform(0, 40, 6)
        loss, ex, ez = rng.uniform(0, 0.3), *rng.uniform(0, 0.3, 2)
        circuit = QuantumCircuit(4)
        pair(circuit, p, 0, 1)
        pair(circuit, q, 2, 3)
        for qubit in range(4):
            store(circuit, qubit, t1, t2, waits[qubit])
        circuit.cx(1, 2)
        circuit.append(depolarizing_error(loss, 2).to_instruction(), [1, 2])
        circuit.h(1)
        for qubit, flip in ((1, ex), (2, ez)):
            circuit.append(pauli_error([("I", 1 - flip), ("X", flip)]).to_instruction(), [qubit])
        circuit.cx(2, 3)
        circuit.cz(1, 3)
        store(circuit, 0, t1, t2, waits[4])
        store(circuit, 3, t1, t2, waits[5])
        m, w = Memory(t1_ps=t1 * US, t2_ps=t2 * US), waits * US
        left = wait_carried(Carried.of(correlators(p)), m, w[0], m, w[1])
        right = wait_carried(Carried.of(correlators(q)), m, w[2], m, w[3])
        joined = swap_carried(left, right, depolarising=loss, readout_x=ex, readout_z=ez)
        found = wait_carried(joined, m, w[4], m, w[5])
        assert np.abs(five(found) - expectations(kept(circuit, [0, 3]))).max() < 1e-12


def test_correction_on_the_other_side_is_the_mirror_image():
    memory = Memory(t1_ps=50 * US, t2_ps=30 * US)
    left = wait_carried(Carried.of(correlators(A)), memory, 9 * US, memory, 4 * US)
    right = wait_carried(Carried.of(correlators(B)), memory, 2 * US, memory, 6 * US)
    other = swap_carried(right.mirrored, left.mirrored).mirrored
    assert other.zb == right.zb
    assert other.za == pytest.approx(float(right.za * left.lz))


@given(PARTS, TIMES, TIMES, TIMES, TIMES)
@LAWS
def test_carried_waits_may_be_split(parts, ta, tb, more_a, more_b):
    lam = correlators(np.array(parts) / sum(parts))
    a = Memory(t1_ps=3e8, t2_ps=2e8, depolarising_ps=9e8, excited=0.1)
    b = Memory(t1_ps=1e9, t2_ps=2e9, dephasing_ps=5e8)
    once = wait_carried(Carried.of(lam), a, ta + more_a, b, tb + more_b)
    twice = wait_carried(wait_carried(Carried.of(lam), a, ta, b, tb), a, more_a, b, more_b)
    assert np.abs(five(once) - five(twice)).max() < 1e-12
    assert np.abs(once.correlators - wait(lam, a, ta + more_a, b, tb + more_b)).max() < 1e-12


def test_lazy_waits_must_not_be_split():
    m = Memory(t1_ps=50 * US, t2_ps=30 * US)
    twice = wait(wait(werner(0.95), m, 10 * US, m, 10 * US), m, 10 * US, m, 10 * US)
    assert abs(fidelity(twice) - fidelity(wait(werner(0.95), m, 20 * US, m, 20 * US))) > 5e-3


@given(PARTS, st.floats(1e7, 1e10), st.floats(0.01, 2), st.floats(0, 1), TIMES, TIMES)
@LAWS
def test_V15_stored_pairs_stay_states(parts, t1, ratio, excited, ta, tb):
    a, b = Memory(t1_ps=t1, t2_ps=ratio * t1, excited=excited), Memory(t1_ps=2 * t1)
    stored = wait_carried(Carried.of(correlators(np.array(parts) / sum(parts))), a, ta, b, tb)
    assert weights(stored.correlators).min() >= -1e-14
    assert np.linalg.eigvalsh(stored.density_matrix()).min() >= -1e-14


@given(st.floats(0.25, 1), st.floats(1e6, 1e12), TIMES, TIMES)
@LAWS
def test_V15_fidelity_of_a_werner_pair_never_grows_without_relaxation(good, t2, t, more):
    memory = Memory(t2_ps=t2, depolarising_ps=2 * t2)
    early, late = (fidelity(wait(werner(good), memory, each, memory, each)) for each in (t, t + more))
    assert late <= early + 1e-15


def test_twirl_bound_holds_and_is_reached():
    rng = np.random.default_rng(2)
    for _ in range(30):
        t1, t2 = random_times(rng)
        a, b = Memory(t1_ps=t1 * US, t2_ps=t2 * US, excited=rng.uniform(0, 1)), Memory(t1_ps=30 * US)
        ta, tb, sa, sb = rng.uniform(0, 60 * US, 4)
        first = wait_carried(Carried.of(werner(0.9)), a, ta, b, tb)
        untwirled = wait_carried(first, a, sa, b, sb).correlators
        gap = abs(fidelity(untwirled) - fidelity(wait(twirl(first), a, sa, b, sb)))
        bound = twirled_error_bound(a, sa, b, sb, za=first.za, zb=first.zb)
        assert gap <= bound + 1e-15
        assert bound <= twirled_error_bound(a, sa, b, sb) + 1e-15
        if a.excited < 0.5:
            assert gap == pytest.approx(float(bound), rel=1e-9, abs=1e-15)


def test_twirl_bound_vanishes_without_relaxation():
    memory = Memory(t2_ps=1e6, depolarising_ps=1e7)
    assert twirled_error_bound(memory, 10**6, memory, 10**6) == 0


def test_one_figure_per_lane_equals_lane_by_lane():
    t1, t2, times = np.array([5e7, 9e7, np.inf]), np.array([3e7, 1e8, 2e7]), np.array([10**6, 10**7, 3 * 10**7])
    found = wait(werner(0.95), Memory(t1_ps=t1, t2_ps=t2), times, Memory(t2_ps=4e7), 2 * times)
    for lane in range(3):
        memory = Memory(t1_ps=t1[lane], t2_ps=t2[lane])
        alone = wait(werner(0.95), memory, times[lane], Memory(t2_ps=4e7), 2 * times[lane])
        assert np.abs(alone - found[lane]).max() < 1e-15


def test_coherence_that_is_not_stated_is_what_relaxation_allows():
    assert Memory(t1_ps=5.0).t2_ps == 10
    assert Memory().t2_ps == math.inf
    assert np.array_equal(wait(werner(0.9), Memory(), 10**15, Memory(), 10**15), werner(0.9))


def test_memory_of_a_node_has_its_figures():
    node = NodeSignature("a", HardwareType.QUANTUM_QPU, 100, 0, compute_units=2, t1_us=50, t2_us=30)
    assert Memory.of(node) == Memory(t1_ps=50e6, t2_ps=30e6)
    assert hash(Memory.of(node)) == hash(Memory(t1_ps=50e6, t2_ps=30e6))
    assert Memory.of(NodeSignature("b", HardwareType.QUANTUM_QPU, 100, 0, compute_units=2)) == Memory()


def test_values_are_read_only_and_the_callers_arrays_are_not():
    mine = np.array([0.9, 0.8])
    state = Carried(lx=mine, ly=mine, lz=mine, za=0 * mine, zb=0 * mine)
    memory = Memory(t1_ps=np.array([1e6, 2e6]))
    for array in (state.lx, memory.t1_ps):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    mine[0] = 0.5


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"t1_ps": 10, "t2_ps": 21}, "t2_ps"),
        ({"t1_ps": [10, 10], "t2_ps": [20, 21]}, "t2_ps"),
        ({"t1_ps": 0}, "t1_ps"),
        ({"t2_ps": -1}, "t2_ps"),
        ({"depolarising_ps": math.nan}, "depolarising_ps"),
        ({"dephasing_ps": "long"}, "dephasing_ps"),
        ({"excited": 1.1}, "excited"),
        ({"excited": math.nan}, "excited"),
    ],
)
def test_impossible_memories_are_refused(fields, name):
    with pytest.raises(InvalidValue) as caught:
        Memory(**fields)
    assert caught.value.field == name


@pytest.mark.parametrize("time", [-1, math.nan, math.inf, [0, -5], "soon"])
@pytest.mark.parametrize("store_pair", [wait, lambda lam, *rest: wait_carried(Carried.of(lam), *rest)])
def test_impossible_waits_are_refused(store_pair, time):
    with pytest.raises(InvalidValue, match="wait_b_ps"):
        store_pair(werner(0.9), Memory(), 0, Memory(), time)


def test_pairs_that_are_none_are_refused():
    for wrong in ([np.nan, 0, 0], [0, 0], [1.5, 0, 0]):
        with pytest.raises(InvalidValue, match="correlators"):
            wait(wrong, Memory(), 0, Memory(), 0)
