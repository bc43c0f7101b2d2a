"""Matrix-product states against state vectors, the dynamic method and closed forms of weighted graph states."""

import math

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.quantum_info import Statevector

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.execution import mps
from hyperfabric_q.execution.deferred_steps import Slot
from hyperfabric_q.execution.dynamic import sample_dynamic
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.mps import drawn_errors, sample_mps
from hyperfabric_q.execution.mps_state import draw, evolve
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.fabric import Fabric

PERFECT = (1.0, 0.0, 0.0, 0.0)
NOISY = (0.8, 0.1, 0.03, 0.07)


def close(p, shots):
    return pytest.approx(p, abs=5 * math.sqrt(max(p * (1 - p), 1e-4) / shots))


def quiet(plan, *, weights=PERFECT, local=False, idles=()):
    return RunNoise(pair_weights=np.tile(weights, (plan.ebits, 1)), idles=tuple(idles), local=local)


def run(plan, noise, *, shots, seed=5, method=sample_mps):
    plan, reported = measured(plan)
    return method(plan, noise, shots=shots, seed=seed, reported=reported)


def chain(qubits, layers, seed=1):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            circuit.u(*rng.uniform(0, 6, 3), qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cp(rng.uniform(1, 5), qubit, qubit + 1)
    for qubit in range(qubits):
        circuit.u(*rng.uniform(0, 6, 3), qubit)
    return circuit


def weighted_graph(qubits, angle):
    """|+> on a line, a phase on every neighbouring pair, measured in X."""
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for qubit in range(qubits - 1):
        circuit.cp(angle, qubit, qubit + 1)
    circuit.h(range(qubits))
    return circuit


def by_parts(qubits, parts):
    return [f"qpu-{parts * qubit // qubits}" for qubit in range(qubits)]


def marginals(sample, qubits):
    rows = np.array([[int(bit) for bit in key[::-1]] for key in sample.counts])
    assert rows.shape[1] == qubits
    hits = np.array(list(sample.counts.values()))
    return hits @ rows / hits.sum()


def same_distribution(counts, reference):
    """Chi-square of two samples, rare outcomes together."""
    shots, other = sum(counts.values()), sum(reference.values())
    share = shots / (shots + other)
    chi2, cells, rest = 0.0, 0, [0, 0]
    for key in {*counts, *reference}:
        a, b = counts.get(key, 0), reference.get(key, 0)
        if a + b < 20:
            rest[0] += a
            rest[1] += b
            continue
        cells += 1
        chi2 += (a - share * (a + b)) ** 2 / (share * (1 - share) * (a + b))
    if sum(rest):
        cells += 1
        chi2 += (rest[0] - share * sum(rest)) ** 2 / (share * (1 - share) * sum(rest))
    assert cells > 3
    return chi2 < cells - 1 + 4.5 * math.sqrt(2 * cells) + 8


# --------------------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("seed", range(3))
def test_draws_follow_the_state_vector_whatever_the_order_of_its_gates(seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(6)
    for _ in range(25):
        circuit.u(*rng.uniform(0, 6, 3), int(rng.integers(6)))
        circuit.cp(rng.uniform(0, 6), *rng.choice(6, 2, replace=False).tolist())
    state = evolve(circuit, bond=None)
    shots = 40_000
    found = draw(state, {wire: [wire] for wire in range(6)}, 6, shots, np.random.default_rng(1))
    exact = Statevector(circuit).probabilities()
    seen = np.bincount(found @ (1 << np.arange(6)), minlength=64)
    expected = exact * shots
    likely = expected > 5
    assert ((seen - expected)[likely] ** 2 / expected[likely]).sum() < likely.sum() + 4.5 * math.sqrt(2 * likely.sum())
    assert state.discarded < 1e-12


def test_what_a_limit_cuts_off_is_noticed():
    circuit = chain(8, 8)
    assert evolve(circuit, bond=16).discarded < 1e-12
    limited = evolve(circuit, bond=4)
    assert limited.bond == 4
    assert limited.discarded > 1e-3


def test_a_wire_is_written_into_every_column_that_asks_for_it():
    circuit = QuantumCircuit(2)
    circuit.x(1)
    assert draw(evolve(circuit, bond=None), {1: [0, 3]}, 4, 2, np.random.default_rng(0)).tolist() == [[1, 0, 0, 1]] * 2


def test_errors_are_drawn_with_their_chances():
    slots = (Slot(0, (0,), (0.7, 0.1, 0.2, 0.0), None), Slot(0, (1,), (0.5, 0.0, 0.0, 0.5), None))
    drawn = drawn_errors(slots, 100_000, np.random.default_rng(3))
    assert sum(drawn.values()) == 100_000
    for errors, chance in {(): 0.35, ((0, 1),): 0.05, ((0, 2),): 0.1, ((0, 2), (1, 3)): 0.1}.items():
        assert drawn[errors] / 100_000 == close(chance, 100_000)
    assert ((0, 3),) not in drawn


# ---------------------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize("local", [False, True])
def test_noisy_plans_give_the_distribution_of_the_dynamic_method(plan_of, local):
    fabric = Fabric.line([2, 2, 2]).replace("nodes.*", gate_error_1q=0.01, gate_error_2q=0.03, readout_error=0.05)
    plan = plan_of(chain(6, 2), fabric, by_parts(6, 3))
    noise = quiet(plan, weights=NOISY, local=local)
    shots = 1000 if local else 20_000
    found = run(plan, noise, shots=shots)
    assert same_distribution(found.counts, run(plan, noise, shots=20_000, method=sample_dynamic).counts)
    assert found.method == "mps"


def conditional_circuit():
    a, b = ClassicalRegister(2, "a"), ClassicalRegister(3, "b")
    circuit = QuantumCircuit(QuantumRegister(3, "q"), a, b)
    circuit.u(1.1, 0.4, 0.2, 0)
    circuit.u(0.9, 0.3, 2.0, 1)
    circuit.u(0.7, 0.1, 0.3, 2)
    circuit.cp(1.3, 0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((a[0], 0)):
        circuit.u(0.8, 0.2, 0.1, 1)
    with circuit.if_test((a[0], 1)):
        circuit.x(0)
    circuit.u(0.5, 0.3, 0.1, 0)  # the measured qubit goes on
    circuit.measure(1, 1)
    circuit.reset(1)
    circuit.h(1)
    with circuit.if_test((a[1], 1)):
        circuit.cp(2.0, 1, 2)
    circuit.cp(0.7, 1, 2)
    circuit.measure(0, 0)  # written again
    circuit.h(2)
    circuit.measure([0, 1, 2], b)
    return circuit


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.slow
def test_the_users_feed_forward_is_deferred(plan_of, local):
    fabric = Fabric.line([2, 1]).replace("nodes.*", gate_error_1q=0.02, readout_error=0.1)
    plan = plan_of(conditional_circuit(), fabric, ["qpu-0", "qpu-0", "qpu-1"])
    noise = quiet(plan, weights=NOISY, local=local)
    shots = 1500 if local else 30_000
    assert same_distribution(
        run(plan, noise, shots=shots).counts, run(plan, noise, shots=30_000, method=sample_dynamic).counts
    )


@pytest.mark.parametrize("value", [0, 1])
def test_a_conditional_gate_errs_only_when_it_happens(plan_of, value):
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], value)):
        circuit.x(1)
    circuit.measure(1, 1)
    plan = plan_of(circuit, Fabric.line([1, 1]).replace("nodes.qpu-1", gate_error_1q=0.15), ["qpu-0", "qpu-1"])
    counts = run(plan, quiet(plan, local=True), shots=20_000).counts
    assert f"1{1 - value}" not in counts
    assert counts[f"1{value}"] / 20_000 == close((1 - 0.15) / 2, 20_000)


@pytest.mark.parametrize("label", ["skipped", "proved"])
@pytest.mark.parametrize("qubits", [40])
def test_a_line_of_phases_has_its_closed_form(plan_of, qubits, label):
    plan = plan_of(weighted_graph(qubits, 0.9), Fabric.line([14, 14, 14]), by_parts(qubits, 3), label=label)
    found = run(plan, quiet(plan), shots=20_000)
    assert found.wires == (qubits if label == "proved" else qubits + 2 * plan.ebits)
    inner = math.cos(0.45) ** 2 * math.cos(0.9)
    outer = math.cos(0.45) ** 2
    expected = [(1 - (outer if qubit in (0, qubits - 1) else inner)) / 2 for qubit in range(qubits)]
    for mean, due in zip(marginals(found, qubits), expected, strict=True):
        assert mean == close(due, 20_000)


def test_misreads_cost_no_states(plan_of, monkeypatch):
    fabric = Fabric.line([2, 2]).replace("nodes.*", readout_error=0.1)
    circuit = QuantumCircuit(4)
    circuit.x(0)
    plan = plan_of(circuit, fabric, by_parts(4, 2))
    states = []
    monkeypatch.setattr(mps, "evolve", lambda circuit, bond: states.append(bond) or evolve(circuit, bond=bond))
    found = run(plan, quiet(plan, local=True), shots=20_000)
    assert len(states) == 1
    for mean, due in zip(marginals(found, 4), [0.9, 0.1, 0.1, 0.1], strict=True):
        assert mean == close(due, 20_000)


def test_relaxation_is_twirled_and_said_to_be(plan_of):
    circuit = QuantumCircuit(1)
    circuit.x(0)
    plan = plan_of(circuit, Fabric.full([1]), ["qpu-0"])
    idle = Idle(len(plan.routed.circuit.data), plan.routed.entry[0], 1.0, 2.0, 3.0)
    found = run(plan, quiet(plan, idles=[idle]), shots=20_000)
    assert found.counts["0"] / 20_000 == close((1 - math.exp(-0.5)) / 2, 20_000)
    assert found.approximations == ("energy relaxation (T1) during 1 wait of idle qubits as Pauli errors (twirled)",)
    assert run(plan, quiet(plan), shots=10).approximations == ()


def test_seed_decides_the_counts(plan_of):
    plan = plan_of(chain(6, 2), Fabric.line([3, 3]), by_parts(6, 2))
    noise = quiet(plan, weights=NOISY)
    first = run(plan, noise, shots=500, seed=1)
    assert first == run(plan, noise, shots=500, seed=1)
    assert first.counts != run(plan, noise, shots=500, seed=2).counts


# ------------------------------------------------------------------------------------------------------------- refusals


def test_bonds_that_do_not_suffice_are_refused_with_numbers(plan_of, monkeypatch):
    plan = plan_of(chain(40, 80), Fabric.full([40]), ["qpu-0"] * 40)
    monkeypatch.setattr("hyperfabric_q.execution.mps_cost.LIMITS", (16,))
    with pytest.raises(SimulationRefused, match=r"bonds of 16 cut off .* and bonds of 64 may take .* hours and .* GiB"):
        run(plan, quiet(plan), shots=10)


def test_bonds_out_of_reach_are_refused_before_anything_runs(plan_of, monkeypatch):
    plan = plan_of(chain(40, 80), Fabric.full([40]), ["qpu-0"] * 40)
    monkeypatch.setattr("hyperfabric_q.execution.mps_cost._TRY_S", 1e-3)
    monkeypatch.setattr(mps, "evolve", lambda circuit, bond: pytest.fail("a state was evolved"))
    with pytest.raises(SimulationRefused, match=r"bonds may reach 2\^\d+, and already at 16"):
        run(plan, quiet(plan), shots=10)


def test_too_many_different_errors_are_refused_with_the_shots_that_fit(plan_of, monkeypatch):
    fabric = Fabric.line([3, 3]).replace("nodes.*", gate_error_1q=0.1)
    plan = plan_of(chain(6, 2), fabric, by_parts(6, 2))
    monkeypatch.setattr(mps, "LONGEST_S", 0.1)
    with pytest.raises(SimulationRefused, match=r"have errors of their own.*Ask for at most \d+ shots"):
        run(plan, quiet(plan, local=True), shots=1000)


def test_conditions_on_several_bits_are_named(plan_of):
    a = ClassicalRegister(2, "a")
    circuit = QuantumCircuit(QuantumRegister(2, "q"), a)
    circuit.h([0, 1])
    circuit.measure([0, 1], a)
    with circuit.if_test((a, 3)):
        circuit.x(0)
    circuit.measure(0, 0)
    plan = plan_of(circuit, Fabric.line([1, 1]), ["qpu-0", "qpu-1"])
    with pytest.raises(InvalidValue, match=r"method = 'mps'.*x on qpu-0_data\[0\] .* several bits"):
        run(plan, quiet(plan), shots=10)


@pytest.mark.slow
def test_two_thousand_qubits_of_a_chain_that_is_not_clifford(plan_of):
    plan = plan_of(weighted_graph(2000, 0.9), Fabric.line([667] * 3), by_parts(2000, 3))
    shots = 2000
    found = run(plan, quiet(plan), shots=shots)
    inner = (1 - math.cos(0.45) ** 2 * math.cos(0.9)) / 2
    assert np.abs(marginals(found, 2000)[1:-1] - inner).max() < 5.5 * math.sqrt(inner * (1 - inner) / shots)
    noisy = run(plan, quiet(plan, weights=(0.95, 0.05, 0, 0)), shots=200)
    assert sum(noisy.counts.values()) == 200
