"""``FabricEstimator`` gives what Qiskit's own gives, of circuits over several nodes, with bars that hold."""

import asyncio
import math

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import DensityMatrix, SparsePauliOp

from hyperfabric_q.errors import InvalidValue, JobCancelled
from hyperfabric_q.execution import dynamic
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricEstimator, FabricOptions, qiskit_estimator
from hyperfabric_q.pipeline import plan
from hyperfabric_q.protocol import HyperFabricProtocol

PERFECT = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=1.0)
NOISY = PERFECT.replace("links.*", pair_fidelity=0.95).replace("nodes.*", gate_error_2q=0.01, readout_error=0.02)
ANSATZ = efficient_su2(4, reps=1)
VALUES = np.vstack([np.zeros(16), np.random.default_rng(1).uniform(-3, 3, (3, 16))])
ENERGY = SparsePauliOp(["ZZII", "XXIY", "IYIX", "ZIIZ", "IIII"], [1.0, 0.5, 0.3, 0.2, -0.4])
A = Parameter("a")


def options(**given):
    return FabricOptions(**{"time_limit_s": 0, "seed": 5} | given)


def estimator(fabric=NOISY, **given):
    return FabricEstimator(fabric, options=options(**given))


def evs(door, *pub):
    return door.run([pub]).result()[0].data.evs


@pytest.mark.parametrize("noise", ["none", "fabric"])
def test_noiseless_values_over_two_nodes_are_those_of_qiskits_estimator(noise):
    observables = [[ENERGY], ["ZZZZ"], [{"XIII": 0.5, "IIIY": 2.0}]]
    wanted = evs(StatevectorEstimator(), ANSATZ, observables, VALUES)
    result = estimator(PERFECT, noise=noise).run([(ANSATZ, observables, VALUES)]).result()[0]
    assert result.data.evs.shape == (3, 4)
    assert np.abs(result.data.evs - wanted).max() < 1e-10
    assert not result.data.stds.any()
    assert result.metadata["exact"]
    assert result.metadata["bell_pairs_per_shot"] >= 1


def test_shapes_broadcast_as_in_qiskit():
    circuit = QuantumCircuit(2)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    door, reference = estimator(PERFECT, noise="none"), StatevectorEstimator()
    for observables, values in (
        ("ZZ", [0.3]),
        (["ZZ", "XX"], [[0.1], [0.2]]),
        ([["ZZ"], ["IX"], ["YY"]], np.linspace(0, 1, 5)[:, None]),
    ):
        wanted = evs(reference, circuit, observables, values)
        found = evs(door, circuit, observables, values)
        assert np.shape(found) == np.shape(wanted)
        assert np.abs(found - wanted).max() < 1e-12


def test_projectors_among_the_letters_are_what_they_project_on():
    circuit = QuantumCircuit(2)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    circuit.sx(1)
    vector = DensityMatrix(circuit.assign_parameters([0.4])).data
    one = {"0": [1, 0], "1": [0, 1], "+": [1, 1], "-": [1, -1], "r": [1, 1j], "l": [1, -1j]}
    letters = {name: np.outer(state, np.conj(state)) / np.vdot(state, state) for name, state in one.items()}
    letters["Z"] = np.diag([1, -1])
    labels = ["Z0", "1+", "rl", "-1"]
    wanted = [np.trace(vector @ np.kron(letters[high], letters[low])).real for high, low in labels]
    assert evs(estimator(PERFECT, noise="none"), circuit, labels, [0.4]) == pytest.approx(wanted, abs=1e-12)


def test_values_with_errors_are_those_of_the_bound_circuit_planned_on_its_own():
    values = VALUES[1]
    bound = ANSATZ.assign_parameters(values)
    together = evs(estimator(), ANSATZ, [ENERGY, "ZZZZ"], values)
    alone = evs(estimator(), bound, [ENERGY, "ZZZZ"])
    assert np.abs(together - alone).max() < 1e-10
    exact = evs(estimator(PERFECT, noise="none"), ANSATZ, [ENERGY, "ZZZZ"], values)
    assert np.abs(together - exact).max() > 0.01


def test_values_with_errors_are_what_the_emitted_circuit_shows_on_aer():
    bound = ANSATZ.assign_parameters(VALUES[2])
    result = plan(bound, NOISY, time_limit_s=0, seed=5).run(
        20_000, method="dynamic", observables=["ZZZZ", "XXII"], seed=9
    )
    found = evs(estimator(), ANSATZ, ["ZZZZ", "XXII"], VALUES[2])
    for value, estimate in zip(found, result.estimates, strict=True):
        assert abs(value - estimate.value) < 4.5 * estimate.stderr


def test_a_pair_of_known_state_depolarises_as_it_should():
    """One Werner pair between two halves of a Bell state: ZZ and XX shrink to the weights of the pair's errors."""
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.85)
    circuit = QuantumCircuit(2)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    error = 0.05  # of X, Y and Z each; the remote gate has X on the target with two of them, Z on the control with two
    found = evs(estimator(fabric), circuit, ["ZZ", "XX", "ZI", "IZ"], [math.pi / 2])
    assert found == pytest.approx([1 - 4 * error, 1 - 4 * error, 0, 0], abs=1e-12)


def test_pubs_of_one_circuit_are_one_array_of_bindings(monkeypatch):
    calls = []
    real = qiskit_estimator.expected

    def counted(planned, bindings, *rest, **named):
        calls.append(len(bindings))
        return real(planned, bindings, *rest, **named)

    monkeypatch.setattr(qiskit_estimator, "expected", counted)
    door = estimator(PERFECT, noise="none")
    pubs = [(ANSATZ, ENERGY, values) for values in VALUES] + [(ANSATZ.copy(), ENERGY, VALUES[:2])]
    results = door.run(pubs).result()
    assert calls == [6]
    wanted = evs(StatevectorEstimator(), ANSATZ, ENERGY, VALUES)
    assert [float(each.data.evs) for each in list(results)[:4]] == pytest.approx(wanted, abs=1e-12)
    assert results[4].data.evs == pytest.approx(wanted[:2], abs=1e-12)


@pytest.mark.slow
def test_bars_hold_the_exact_value_as_often_as_they_say():
    circuit = QuantumCircuit(2)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    circuit.ry(0.4, 1)
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9).replace("nodes.*", readout_error=0.03)
    values = np.full((2000, 1), 0.9)
    observable = SparsePauliOp(["ZZ", "XX", "ZI"], [1.0, 0.7, -0.5])
    exact = evs(estimator(fabric), circuit, observable, values[:1])[0]
    data = estimator(fabric, shots=300).run([(circuit, observable, values)]).result()[0].data
    held = np.mean(np.abs(data.evs - exact) <= 2 * data.stds)
    assert 0.94 <= held <= 0.97
    assert data.evs.std() == pytest.approx(data.stds.mean(), rel=0.1)


def test_a_precision_is_reached_with_no_more_shots_than_it_takes():
    result = estimator(precision=0.03).run([(ANSATZ, [ENERGY, "ZZZZ"], VALUES[1])]).result()[0]
    assert (result.data.stds <= 0.03).all()
    assert (result.data.stds > 0.01).any()
    assert result.metadata["target_precision"] == 0.03
    assert result.metadata["bell_pairs_used"] == result.metadata["bell_pairs_per_shot"] * result.metadata["shots"]
    exact = estimator(precision=0.03).run([(ANSATZ, ENERGY, VALUES[1])], precision=0).result()[0]
    assert exact.metadata["exact"]


def test_a_circuit_without_parameters_is_a_run_of_its_plan():
    bound = ANSATZ.assign_parameters(VALUES[1])
    wanted = plan(bound, NOISY, time_limit_s=0, seed=5).run(400, observables=[ENERGY], seed=5)
    data = estimator(shots=400).run([(bound, ENERGY)]).result()[0].data
    assert float(data.evs) == wanted.evs[0]
    assert float(data.stds) == wanted.stds[0]


def test_bindings_never_run_the_emitted_circuit(monkeypatch):
    def refused(*_, **__):
        raise AssertionError

    monkeypatch.setattr(dynamic, "sample_dynamic", refused)
    for given in ({}, {"shots": 100}, {"noise": "none", "shots": 100}):
        assert estimator(**given).run([(ANSATZ, ENERGY, VALUES[:2])]).result()[0].data.evs.shape == (2,)


def test_feed_forward_of_the_user_is_followed_exactly():
    """A flip half of the time: nothing is left of Z, and X stays as it was."""
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.ry(A, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=1.0)
    angles = np.array([[0.0], [0.7], [2.0]])
    found = estimator(fabric).run([(circuit, [["ZI"], ["XI"]], angles)]).result()[0]
    assert np.abs(found.data.evs[0]).max() < 1e-12
    assert found.data.evs[1] == pytest.approx(np.sin(angles[:, 0]), abs=1e-12)


def test_a_parameter_under_a_condition_is_planned_for_each_binding_and_that_is_said():
    """Half of the time nothing happens, half of the time a turn by a: <Z> = (1 + cos a) / 2."""
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.ry(A, 1)
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=1.0)
    result = estimator(fabric).run([(circuit, "ZI", [[0.7], [2.0]])]).result()[0]
    assert result.data.evs == pytest.approx((1 + np.cos([0.7, 2.0])) / 2, abs=1e-12)
    assert "planned on its own" in result.metadata["fallbacks"][0]


def test_local_errors_are_those_of_a_density_matrix():
    """One node, no pairs: a turn, then its depolarising error, then a misread of each bit."""
    fabric = Fabric.line([1], communication_qubits=0).replace("nodes.*", gate_error_1q=0.02, readout_error=0.05)
    circuit = QuantumCircuit(1)
    circuit.ry(A, 0)
    clean = circuit.assign_parameters([0.6])
    state = DensityMatrix(clean)
    wanted = float(np.real(state.expectation_value(SparsePauliOp("Z")))) * (1 - 2 * 0.02) * (1 - 2 * 0.05)
    assert float(evs(estimator(fabric), circuit, "Z", [0.6])) == pytest.approx(wanted, abs=1e-12)


def test_metadata_tell_what_was_used_and_a_protocol_serves_as_well():
    protocol = HyperFabricProtocol(NOISY)
    door = FabricEstimator(protocol, options=options(shots=64))
    first, second = (door.run([(ANSATZ, ENERGY, values)]).result()[0].metadata for values in VALUES[1:3])
    assert first["nodes"] == ["qpu-0", "qpu-1"]
    assert first["plan_hash"] == second["plan_hash"]
    assert first["seed"] == 5
    assert 0.5 < first["est_fidelity"] < 1
    assert first["makespan_ns"] > 0
    assert first["classical_bytes"] == math.ceil(2 * first["bell_pairs_used"] / 8)
    assert first["fallbacks"] == []
    other = estimator(PERFECT).run([(ANSATZ, ENERGY, VALUES[1])]).result()[0].metadata
    assert other["plan_hash"] != first["plan_hash"]


def test_the_same_seed_gives_the_same_shots_whatever_else_is_in_the_job():
    door = estimator(shots=100)
    alone = door.run([(ANSATZ, ENERGY, VALUES[1:3])]).result()[0].data.evs
    both = door.run([(ANSATZ, ENERGY, VALUES[1:3]), (ANSATZ, ENERGY, VALUES[1:3])]).result()
    assert np.array_equal(both[0].data.evs, alone)
    assert not np.array_equal(both[1].data.evs, alone)


async def test_jobs_are_awaited_beside_each_other():
    door = estimator(PERFECT, noise="none")
    jobs = [door.run([(ANSATZ, ENERGY, VALUES[row])]) for row in (1, 2)]
    results = await asyncio.gather(*jobs)
    wanted = evs(StatevectorEstimator(), ANSATZ, ENERGY, VALUES[1:3])
    assert [float(each[0].data.evs) for each in results] == pytest.approx(wanted, abs=1e-12)
    assert all(job.done() and job.in_final_state() for job in jobs)
    assert jobs[0].metrics()["parts_done"] == 1


def test_a_cancelled_job_stops_between_bindings():
    door = estimator()
    evs(door, ANSATZ, ENERGY, VALUES[1])  # plans
    job = door.run([(ANSATZ, ENERGY, np.tile(VALUES[1], (20_000, 1)))])
    assert job.cancel()
    with pytest.raises(JobCancelled, match="0 of 1"):
        job.result(timeout=60)
    assert job.cancelled()
    assert not job.done()


def test_what_cannot_be_is_refused_by_name():
    small = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9)
    for given in ({"shots": 0}, {"noise": "some"}, {"precision": -1.0}, {"shots": True}):
        with pytest.raises(InvalidValue):
            options(**given)
    with pytest.raises(InvalidValue):
        FabricEstimator("fabric.toml")
    with pytest.raises(InvalidValue):
        FabricEstimator(small, options={"shots": 3})
    with pytest.raises(InvalidValue):
        estimator(small).run([(ANSATZ, ENERGY, VALUES[1])], precision=float("nan"))


def test_where_exact_values_do_not_fit_shots_are_taken_and_that_is_said():
    wide = efficient_su2(13, reps=1)
    fabric = Fabric.line([7, 6], communication_qubits=2, pair_fidelity=0.9)
    values = np.zeros(wide.num_parameters)
    result = estimator(fabric).run([(wide, "I" * 12 + "Z", values)]).result()[0]
    assert "4096 shots instead" in result.metadata["fallbacks"][0]
    assert result.metadata["shots"] == 4096
    assert not result.metadata["exact"]
    assert 0 < float(result.data.stds) < 0.05
    assert float(result.data.evs) == pytest.approx(1.0, abs=0.15)


def test_a_circuit_that_uses_qubits_again_has_no_state_to_observe():
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9)
    circuit = QuantumCircuit(3, 3)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.cx(1, 2)
    circuit.measure([1, 2], [1, 2])
    with pytest.raises(InvalidValue, match="used again"):
        estimator(fabric).run([(circuit, "ZZZ", [0.3])]).result()
