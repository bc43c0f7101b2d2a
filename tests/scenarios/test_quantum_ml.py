"""A hundred epochs of hybrid training: what is learnt is real, and the time goes where the shots are."""

import json

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.scenarios import (
    extract_features,
    load_quantum_ml_dataset,
    play,
    update_model_parameters,
    world,
)
from hyperfabric_q.scenarios.quantum_ml.model import Angles
from hyperfabric_q.scenarios.quantum_ml.pieces import current_model, evaluate_circuit


@pytest.fixture(scope="module")
def outcome():
    return play("quantum_ml", size="small")


def told(outcome):
    return {each.asked: each for each in outcome.verdicts}


def test_the_loss_falls_and_new_samples_are_told_apart(outcome):
    assert outcome["loss in the end"] < 0.5 * outcome["loss at first"]
    assert outcome["right of new samples"] > 0.9 > outcome["right: best plane"]
    assert outcome["right of new samples, on the QPU with its errors"] > 0.8
    assert told(outcome)["the loss falls"].holds


def test_an_epoch_takes_the_time_of_its_shots(outcome):
    # 24 samples, 2 circuits for each of 16 weights and one more, 50 shots of 0.36 + 0.5 µs and 0.5 µs of reset
    assert outcome["circuits of an epoch"] == 24 * 33
    assert outcome["shots of an epoch"] == 24 * 33 * 50
    assert outcome["of this quantum"] == pytest.approx(24 * 33 * 50 * 1.36e-3, rel=1e-4)
    parts = sum(outcome[f"of this {what}"] for what in ("quantum", "network", "classical"))
    assert outcome["an epoch"] == pytest.approx(parts, rel=1e-9)
    assert outcome["an epoch on 4 QPUs"] == pytest.approx(outcome["an epoch"] / 4, rel=1e-3)


def test_the_impossible_is_called_so(outcome):
    found = told(outcome)
    teleported = found["features reach the QPU by entanglement"]
    assert not teleported.holds
    assert "'classical-ml-gpu' has no qubits" in teleported.because
    assert not found["all derivatives from one run of the circuit, as of a network on a GPU"].holds
    assert not found["a faster network makes an epoch shorter"].holds
    assert not found["the circuit beats a classical model of the same features"].holds


def test_slopes_are_the_differences_of_the_loss():
    with world(seed=4):
        angles = extract_features(load_quantum_ml_dataset(10))
        _, slopes = evaluate_circuit(angles)

        def loss(weights, bias):
            return evaluate_circuit(Angles(angles.rows, angles.labels, weights, bias))[1].loss

        for place in (0, 7, 15):
            step = 1e-5 * np.eye(16)[place]
            difference = loss(angles.weights + step, angles.bias) - loss(angles.weights - step, angles.bias)
            assert slopes.by_weight[place] == pytest.approx(difference / 2e-5, abs=1e-7)
        difference = loss(angles.weights, angles.bias + 1e-5) - loss(angles.weights, angles.bias - 1e-5)
        assert slopes.by_bias == pytest.approx(difference / 2e-5, abs=1e-7)


def test_errors_of_shots_are_as_large_as_stated():
    with world(seed=5):
        angles = extract_features(load_quantum_ml_dataset(10))
        exact = evaluate_circuit(angles)[1]
        offs = []
        for _ in range(8):
            sampled = evaluate_circuit(angles, shots=400)[1]
            offs.append((sampled.by_weight - exact.by_weight) / sampled.errors)
            current_model().losses.append(0.0)  # so that other shots are drawn
    assert 0.8 < np.std(offs) < 1.2


def test_the_gpu_takes_out_the_two_directions_that_tell_something():
    with world(seed=6):
        samples = load_quantum_ml_dataset(200)
        angles = extract_features(samples)
        again = extract_features(samples)
    assert angles.rows.shape == (200, 2)
    assert np.array_equal(angles.rows, again.rows)
    assert np.allclose(angles.rows.mean(axis=0), 0)
    assert np.allclose(angles.rows.std(axis=0), 1)


def test_same_seed_same_digest_and_json(outcome):
    assert play("quantum_ml", size="small").digest == outcome.digest
    assert play("quantum_ml", size="small", seed=1).digest != outcome.digest
    written = json.loads(json.dumps(outcome.to_dict()))
    assert {each["origin"] for each in written["figures"]} <= {"simulated", "computed", "bound", "stated"}


def test_the_plain_form_learns_without_handlers():
    async def learn():
        protocol = hq.HyperFabricProtocol(enable_ml_routing=True, enable_quantum_optimization=True)
        protocol.register_node(hq.NodeSignature("gpu", hq.HardwareType.NVIDIA_H100, 400, 100))
        qpu = hq.NodeSignature("qpu", hq.HardwareType.QUANTUM_QPU, 20, 25, quantum_coherence_time_us=200.0)
        protocol.register_node(qpu)
        samples = load_quantum_ml_dataset(16)
        while True:
            prepared = await protocol.send_data(source="loader", destination="gpu", data=samples, data_type="tensor")
            features = await protocol.send_data(
                source="gpu", destination="qpu", data=extract_features(prepared), data_type="quantum_state"
            )
            back = await protocol.send_data(source="qpu", destination="gpu", data=features, data_type="gradient")
            losses.append(update_model_parameters(back))

    losses = []
    with world(seed=2), pytest.warns(hq.errors.ImplicitEndpointWarning):
        assert hq.run(learn(), until_ms=0.1) is None
    assert 20 < len(losses) < 60
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_at_full_size_a_hundred_epochs_learn():
    outcome = play("quantum_ml", size="full")
    assert outcome["epochs"] == 100
    assert outcome["loss in the end"] < 0.25 < outcome["loss at first"]
    assert outcome["right of new samples"] > 0.93
    assert told(outcome)["the loss falls"].holds
