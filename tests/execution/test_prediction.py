"""Predicted fidelities hold what is measured, and processes are what they are by hand."""

import math

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.execution import process
from hyperfabric_q.execution.clock_noise import fresh_noise
from hyperfabric_q.execution.mean_outcomes import mean_chances, value_of
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.prediction import exact_distribution, predicted_counts, predicted_hellinger
from hyperfabric_q.execution.process_measured import process_fidelity
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.fabric import Fabric

HOMES = ["qpu-0", "qpu-1"]


def random_circuit(seed, qubits=4, gates=8):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(gates):
        a, b = rng.choice(qubits, 2, replace=False).tolist()
        circuit.u(*rng.random(3), a)
        circuit.cp(float(rng.random()) * 3, a, b)
        circuit.u(*rng.random(3), b)
    return circuit


def remote(angle=math.pi):
    circuit = QuantumCircuit(2)
    circuit.rx(0.4, [0, 1])
    circuit.cp(angle, 0, 1)
    circuit.ry(0.7, [0, 1])
    return circuit


def random_plan(plan_of, seed, qubits, *, passing=False):
    rng = np.random.default_rng(seed)
    half = -(-qubits // 2)
    fabric = Fabric.full([half, half], communication_qubits=1, pair_fidelity=float(rng.uniform(0.95, 0.99)))
    fabric = fabric.replace(
        "nodes.*",
        gate_error_1q=float(rng.uniform(0, 0.0005)),
        gate_error_2q=float(rng.uniform(0, 0.003)),
        readout_error=float(rng.uniform(0, 0.01)),
        gate_2q_ns=300.0,
        readout_ns=1000.0,
        **({"t1_us": 3e3, "t2_us": 2e3} if passing else {}),
    )
    homes = ["qpu-0"] * half + ["qpu-1"] * (qubits - half)
    return plan_of(random_circuit(seed, qubits, gates=qubits), fabric, homes)


# ---------------------------------------------------------------------------------------------------------- processes


@pytest.mark.parametrize(("fidelity", "angle"), [(0.6, math.pi), (1.0, math.pi), (0.8, 0.9)])
def test_a_remote_phase_with_a_werner_pair_has_the_process_fidelity_of_the_closed_form(plan_of, fidelity, angle):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=fidelity)
    plan = plan_of(remote(angle), fabric, HOMES)
    noise, unitary = fresh_noise(plan, Noise.FABRIC), process.unitary_of(plan)
    # An X on the copy turns the phase's control over, which overlaps with the phase by (1 + cos angle) / 2; with a Z as
    # well it is sin angle / 2. Nothing but that cancels.
    each = (1 - fidelity) / 3
    true = fidelity + each * ((1 + math.cos(angle)) ** 2 / 4 + math.sin(angle) ** 2 / 4)
    assert process.exact_fidelity(plan, noise, unitary) == pytest.approx(true)
    scores = process.sampled_fidelity(plan, noise, unitary, inputs=400, each=16, rng=np.random.default_rng(1))
    error = scores[:, 0].std() / math.sqrt(400)
    assert scores[:, 0].mean() == pytest.approx(true, abs=4 * error + 1e-12)
    found = process_fidelity(plan, 1500, inputs=24, seed=1)
    assert found.kind == "process"
    assert found.value == pytest.approx(true, abs=4 * found.stderr)


def test_exact_sampled_and_measured_agree_with_all_errors(plan_of):
    plan = random_plan(plan_of, 3, 3, passing=True)
    lines = plan.run(100, seed=1).errors
    (noise,), unitary = lines.noises, process.unitary_of(plan)
    exact = process.exact_fidelity(plan, noise, unitary)
    scores = process.sampled_fidelity(plan, noise, unitary, inputs=1000, each=16, rng=np.random.default_rng(2))
    assert scores[:, 0].mean() == pytest.approx(exact, abs=4 * scores[:, 0].std() / math.sqrt(1000))
    found = process_fidelity(plan, 6000, inputs=24, seed=2)
    assert found.value == pytest.approx(exact, abs=4 * found.stderr)
    # The mean square of a score is that of the shots.
    spread = math.sqrt((scores[:, 1].mean() - exact**2) / 6000)
    assert 0.4 < spread / found.stderr < 1.6


def test_scores_tell_any_pauli_error_from_none():
    # Chances to turn over, averaged over the six states: 2/3 on each qubit with an error.
    scores = process.local_scores(3)
    for wrong in range(8):
        chances = [1.0]
        for qubit in range(3):
            flip = 2 / 3 if wrong >> qubit & 1 else 0.0
            chances = [c * (1 - flip) for c in chances] + [c * flip for c in chances]
        assert np.dot(chances, scores) == pytest.approx(float(wrong == 0), abs=1e-12)


def test_final_measurements_are_no_part_of_the_process(plan_of):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=1.0).replace("nodes.*", readout_error=0.2)
    circuit = remote()
    fidelities = []
    for measures in (False, True):
        if measures:
            circuit = remote()
            circuit.measure_all()
        plan = plan_of(circuit, fabric, HOMES)
        unitary = process.unitary_of(plan)
        fidelities.append(process.exact_fidelity(plan, fresh_noise(plan, Noise.FABRIC), unitary))
    assert fidelities[0] == pytest.approx(fidelities[1])
    # Both protocol bits may be misread, and then a correction is wrong.
    assert fidelities[0] == pytest.approx(0.8**2)
    found = process_fidelity(plan, 3000, inputs=24, seed=3)
    assert found.value == pytest.approx(0.64, abs=4 * found.stderr)


def test_circuits_that_are_no_unitary_have_no_process_fidelity(plan_of):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.95)
    later, reset = remote(), remote()
    later.measure_all()
    later.x(0)
    reset.reset(0)
    for circuit in (later, reset):
        plan = plan_of(circuit, fabric, HOMES)
        assert process.unitary_of(plan) is None
        with pytest.raises(InvalidValue, match="process fidelity"):
            process_fidelity(plan, 100, inputs=8, seed=1)
    assert plan.run(200, seed=1).predicted_fidelity.kind == "hellinger"


def test_options_of_a_measured_process_are_checked(plan_of):
    plan = plan_of(remote(), Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.95), HOMES)
    for wrong in ({"inputs": 3}, {"shots": 10, "inputs": 20}):
        with pytest.raises(InvalidValue, match="states"):
            process_fidelity(plan, **{"seed": 1} | wrong)
    wide = plan_of(
        QuantumCircuit(9), Fabric.full([5, 5], communication_qubits=1, pair_fidelity=0.9), ["qpu-0"] * 5 + ["qpu-1"] * 4
    )
    with pytest.raises(SimulationRefused, match="at most 8"):
        process_fidelity(wide, 100, seed=1)


# --------------------------------------------------------------------------------------------------------- predictions


@pytest.mark.slow
def test_predicted_process_fidelities_hold_what_is_measured(plan_of):
    inside, misses = [], []
    for seed in range(10):
        plan = random_plan(plan_of, seed, 2 + seed % 3, passing=seed % 5 == 0)
        predicted = plan.run(2000, seed=seed).predicted_fidelity
        found = process_fidelity(plan, 2000, inputs=24, seed=seed)
        assert predicted.kind == found.kind == "process"
        assert predicted.coverage == 0.95
        inside.append(predicted.low <= found.value <= predicted.high)
        misses.append(abs(predicted.value - found.value))
    assert sum(inside) >= 8
    assert np.median(misses) < 0.008


def test_predicted_hellinger_fidelities_hold_what_is_measured(plan_of):
    inside, misses = [], []
    for seed in range(8):
        result = random_plan(plan_of, seed, 9).run(2000, seed=seed, method="channel")
        predicted, found = result.predicted_fidelity, result.measured_fidelity
        assert predicted.kind == found.kind == "hellinger"
        inside.append(predicted.low <= found.value <= predicted.high)
        misses.append(abs(predicted.value - found.value))
    assert sum(inside) >= 6
    assert np.median(misses) < 0.006


def test_exact_distribution_is_the_one_that_counts_are_drawn_from(plan_of):
    fabric = Fabric.full([2, 2], communication_qubits=1, pair_fidelity=0.9)
    fabric = fabric.replace("nodes.*", gate_error_1q=0.01, gate_error_2q=0.02, readout_error=0.03)
    plan = plan_of(random_circuit(7), fabric, ["qpu-0", "qpu-0", "qpu-1", "qpu-1"])
    complete, reported = measured(plan)
    chances = exact_distribution(complete, fresh_noise(complete, Noise.FABRIC), reported)
    counts = plan.run(20_000, seed=5, method="dynamic").counts
    assert sum(chances.values()) == pytest.approx(1)
    statistic = sum((counts.get(key, 0) - 20_000 * p) ** 2 / (20_000 * p) for key, p in chances.items())
    assert statistic < len(chances) - 1 + 5 * math.sqrt(2 * (len(chances) - 1))
    # Draws of the errors have that mean, misreads included.
    drawn = mean_chances(
        complete, fresh_noise(complete, Noise.FABRIC), reported, draws=20_000, rng=np.random.default_rng(1)
    )
    exact = np.zeros(16)
    for key, chance in chances.items():
        exact[value_of(key)] = chance
    assert drawn.sum() == pytest.approx(1)
    assert np.abs(drawn - exact).max() < 5 * math.sqrt(0.25 / 20_000)
    assert np.abs(drawn - exact).max() > 0


def test_wide_counts_are_predicted_as_narrow_ones(plan_of, monkeypatch):
    result = random_plan(plan_of, 5, 4).run(4000, seed=2)
    ask = (result.plan, result.errors, result.ideal)
    narrow = predicted_counts(*ask, shots=4000, loss=result.attribution)
    monkeypatch.setattr("hyperfabric_q.execution.prediction.WIDEST", 0)
    wide = predicted_counts(*ask, shots=4000, loss=result.attribution)
    assert wide.value == pytest.approx(narrow.value, abs=0.002)
    assert wide.low == pytest.approx(narrow.low, abs=0.004)
    assert wide.value != narrow.value


def test_without_counts_wide_plans_are_predicted_by_their_product(plan_of):
    circuit = random_circuit(3, qubits=10)
    for qubit in range(10):
        circuit.ry(0.3, qubit)
        circuit.cp(0.4, qubit, (qubit + 1) % 10)
    fabric = Fabric.full([5, 5], communication_qubits=1, pair_fidelity=0.99)
    plan = plan_of(circuit, fabric, ["qpu-0"] * 5 + ["qpu-1"] * 5)
    predicted = plan.run(20, seed=1, noise="links", observables="Z" * 10).predicted_fidelity
    assert (predicted.kind, predicted.coverage, predicted.high) == ("process", None, 1)
    assert predicted.value == pytest.approx(0.99**plan.ebits)


def test_hellinger_prediction_of_equal_distributions_is_one():
    found = predicted_hellinger({"0": 0.5, "1": 0.5}, {"0": 0.5, "1": 0.5}, shots=100)
    assert found.value == found.high == 1
    assert found.low < 1
    assert predicted_hellinger({"0": 1.0}, {"1": 1.0}, shots=100).value == 0


def test_a_run_without_errors_is_predicted_to_be_perfect(plan_of):
    plan = plan_of(remote(), Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.9), HOMES)
    noise = RunNoise(pair_weights=np.array([[1.0, 0, 0, 0]] * plan.ebits), idles=(), local=False)
    assert process.exact_fidelity(plan, noise, process.unitary_of(plan)) == pytest.approx(1)
    predicted = plan.run(500, seed=1, noise="none").predicted_fidelity
    assert predicted.value == pytest.approx(1)
    assert predicted.low < 1
