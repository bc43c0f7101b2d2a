"""The built-in codes against stim's generated circuits, and noise models against their definition."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pymatching
import pytest
import stim

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.workloads.qec.codes import (
    Layout,
    memory_circuit,
    repetition_code,
    rotated_layout,
    rotated_surface_code,
)
from hyperfabric_q.workloads.qec.experiment import Experiment, split_rounds
from hyperfabric_q.workloads.qec.noise_models import NOISE_MODELS, NoiseModel, add_noise, idle_channel, noise_model


def generated(task: str, distance: int, rounds: int, p: float) -> stim.Circuit:
    return stim.Circuit.generated(
        task,
        distance=distance,
        rounds=rounds,
        after_clifford_depolarization=p,
        before_round_data_depolarization=p,
        before_measure_flip_probability=p,
        after_reset_flip_probability=p,
    )


def mechanisms(circuit: stim.Circuit) -> dict[frozenset[object], float]:
    """Chance of every set of detectors (by coordinates) and observables that errors flip together."""
    places = circuit.get_detector_coordinates()
    found: Counter[frozenset[object]] = Counter()
    for error in circuit.detector_error_model().flattened():
        if error.type == "error":
            ends = [
                tuple(places[target.val]) if target.is_relative_detector_id() else str(target)
                for target in error.targets_copy()
            ]
            found[frozenset(ends)] += error.args_copy()[0]
    return {ends: round(chance, 12) for ends, chance in found.items()}


def failures(experiment: Experiment, shots: int, seed: int = 1) -> int:
    circuit = experiment.circuit
    matching = pymatching.Matching.from_detector_error_model(circuit.detector_error_model(decompose_errors=True))
    detectors, observables = circuit.compile_detector_sampler(seed=seed).sample(
        shots, separate_observables=True, bit_packed=True
    )
    decoded = matching.decode_batch(detectors, bit_packed_shots=True, bit_packed_predictions=True)
    return int(np.any(decoded != observables, axis=1).sum())


def per_round(failed: int, shots: int, rounds: int) -> tuple[float, float]:
    share = failed / shots
    rate = (1 - (1 - 2 * share) ** (1 / rounds)) / 2
    return rate, math.sqrt(share * (1 - share) / shots) / rounds * (1 - 2 * share) ** (1 / rounds - 1)


@pytest.mark.parametrize("basis", ["Z", "X"])
@pytest.mark.parametrize("distance", [2, 3, 4, 5])
def test_the_surface_code_has_the_error_mechanisms_of_the_generated_one(distance: int, basis: str) -> None:
    own = rotated_surface_code(distance, distance, basis, p=0.01).circuit
    other = generated(f"surface_code:rotated_memory_{basis.lower()}", distance, distance, 0.01).flattened()
    assert mechanisms(own) == mechanisms(other)


def test_detectors_and_mechanisms_are_as_many_as_in_the_literature_of_stim() -> None:
    for distance, detectors, errors in ((3, 24, 286), (5, 120, 1953)):
        circuit = rotated_surface_code(distance, distance, p=0.001).circuit
        assert circuit.num_detectors == detectors
        assert circuit.detector_error_model(decompose_errors=True).num_errors == errors
    # For d = 7 stim counts 6602 when it folds the loop of its own circuit, and 6092 written out.
    own, other = rotated_surface_code(7, 7).circuit, generated("surface_code:rotated_memory_z", 7, 7, 0.001)
    assert own.num_detectors == other.num_detectors == 336
    assert other.detector_error_model(decompose_errors=True).num_errors == 6602
    written_out = other.flattened().detector_error_model(decompose_errors=True).num_errors
    assert own.detector_error_model(decompose_errors=True).num_errors == written_out == 6092


@pytest.mark.parametrize("distance", [2, 3, 6])
def test_the_repetition_code_has_the_error_mechanisms_of_the_generated_one(distance: int) -> None:
    own = repetition_code(distance, 4, p=0.01).circuit
    other = generated("repetition_code:memory", distance, 4, 0.01).flattened()
    assert mechanisms(own) == mechanisms(other)


@pytest.mark.parametrize("basis", ["Z", "X"])
def test_the_repetition_code_has_full_distance_in_either_basis(basis: str) -> None:
    circuit = repetition_code(5, 3, basis, NoiseModel(name="flips", gate_2q=0.01, measure=0.01)).circuit
    assert len(circuit.shortest_graphlike_error()) == 5


@pytest.mark.parametrize(
    ("distance", "p", "rate", "stderr", "shots"),
    [
        (3, 0.003, 2.078e-3, 0.034e-3, 150_000),
        (3, 0.005, 5.432e-3, 0.079e-3, 150_000),
        (5, 0.005, 2.974e-3, 0.045e-3, 60_000),
    ],
)
def test_logical_error_rates_are_the_published_measured_ones(
    distance: int, p: float, rate: float, stderr: float, shots: int
) -> None:
    experiment = rotated_surface_code(distance, p=p)
    found, bar = per_round(failures(experiment, shots), shots, experiment.rounds)
    assert abs(found - rate) < 3 * math.hypot(bar, stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distance", "p", "rate", "stderr"),
    [
        (3, 0.001, 2.349e-4, 0.066e-4), (5, 0.001, 2.84e-5, 0.14e-5), (3, 0.002, 9.79e-4, 0.18e-4),
        (5, 0.002, 2.255e-4, 0.041e-4), (7, 0.002, 4.65e-5, 0.12e-5), (5, 0.003, 7.16e-4, 0.13e-4),
        (7, 0.003, 2.136e-4, 0.058e-4), (7, 0.005, 1.677e-3, 0.029e-3),
    ],
)  # fmt: skip
def test_all_golden_logical_error_rates(distance: int, p: float, rate: float, stderr: float) -> None:
    experiment = rotated_surface_code(distance, p=p)
    shots = 400_000 if distance < 7 else 150_000
    found, bar = per_round(failures(experiment, shots), shots, experiment.rounds)
    assert abs(found - rate) < 3 * math.hypot(bar, stderr)


@pytest.mark.slow
def test_the_threshold_of_the_four_parameter_model_lies_between_one_and_1_1_percent() -> None:
    rates = {}
    for p in (0.0095, 0.0115):
        for distance in (5, 9):
            experiment = rotated_surface_code(distance, p=p)
            rates[p, distance] = per_round(failures(experiment, 40_000), 40_000, experiment.rounds)[0]
    assert rates[0.0095, 9] < rates[0.0095, 5]
    assert rates[0.0115, 9] > rates[0.0115, 5]


def test_rounds_are_the_last_coordinate_and_the_pieces_make_the_circuit() -> None:
    experiment = rotated_surface_code(3, 4)
    assert experiment.bits_per_round.tolist() == [4, 8, 8, 8, 4]
    pieces = split_rounds(experiment.circuit)
    assert len(pieces) == 5
    assert sum(pieces, stim.Circuit()) == experiment.circuit
    assert [piece.num_measurements for piece in pieces] == [0, 8, 8, 8, 8 + 9]


@pytest.mark.parametrize("name", list(NOISE_MODELS))
def test_no_model_at_zero_chance_writes_an_error(name: str) -> None:
    circuit = rotated_surface_code(3, 2, noise=name, p=0.0).circuit
    assert circuit.without_noise() == circuit


def test_uniform_noise_with_idling_hits_every_qubit_once_per_step() -> None:
    layout = rotated_layout(3)
    circuit = rotated_surface_code(3, 3, noise="uniform-idle", p=0.01).circuit
    step: Counter[int] = Counter()
    steps = []
    for each in circuit:
        if each.name == "TICK":
            steps.append(step)
            step = Counter()
        elif stim.gate_data(each.name).is_noisy_gate and not stim.gate_data(each.name).produces_measurements:
            step.update(target.value for target in each.targets_copy())
    qubits = set(layout.coordinates)
    assert len(steps) == 3 * 7
    for number, step in enumerate(steps):
        assert set(step) == qubits
        # An ancilla that is measured and reset may fail at both.
        expected = [2 if number and number % 7 == 0 and qubit in layout.ancillas else 1 for qubit in sorted(qubits)]
        assert [step[qubit] for qubit in sorted(qubits)] == expected


def test_waiting_costs_more_beside_a_measurement_in_si1000() -> None:
    chances = [
        each.gate_args_copy()[0]
        for each in rotated_surface_code(3, 2, noise="si1000", p=0.01).circuit
        if each.name == "DEPOLARIZE1"
    ]
    assert max(chances) == pytest.approx(0.02)
    assert min(chances) == pytest.approx(0.001)


def test_the_idle_channel_is_the_twirl_of_its_transfer_matrix() -> None:
    x, y, z = idle_channel(300.0, t1_ns=1000.0, t2_ns=500.0)
    assert 1 - 2 * (x + y) == pytest.approx(math.exp(-300 / 1000))
    assert 1 - 2 * (y + z) == pytest.approx(math.exp(-300 / 500))
    assert 1 - 2 * (x + z) == pytest.approx(math.exp(-300 / 500))
    assert idle_channel(300.0) == (0, 0, 0)


def test_a_check_that_is_left_out_leaves_one_detector_over_the_gap() -> None:
    layout = rotated_layout(3)
    whole = memory_circuit(layout, 5, "Z")
    ancilla = layout.checks[2].ancilla
    gappy = memory_circuit(layout, 5, "Z", skip=[(2, ancilla), (3, ancilla)])
    assert gappy.num_detectors == whole.num_detectors - 2
    assert gappy.num_measurements == whole.num_measurements - 2
    noisy = add_noise(gappy, noise_model("stim4", 0.001))
    assert len(noisy.shortest_graphlike_error()) == 3


def test_detectors_and_observables_are_silent_without_noise() -> None:
    rng = np.random.default_rng(5)
    layout: Layout = rotated_layout(4)
    for basis in "XZ":
        skip = [(int(at), check.ancilla) for check in layout.checks for at in np.nonzero(rng.random(6) < 0.4)[0]]
        circuit = memory_circuit(layout, 6, basis, skip=skip)
        detectors, observables = circuit.compile_detector_sampler(seed=3).sample(64, separate_observables=True)
        assert not detectors.any()
        assert not observables.any()
        # Random outcomes would be an error of the analysis, which this call reports.
        circuit.detector_error_model()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: rotated_surface_code(1),
        lambda: rotated_surface_code(3, 0),
        lambda: rotated_surface_code(3, 3, "Y"),
        lambda: repetition_code(3, 3, "Y"),
        lambda: rotated_surface_code(3, p=1.5),
        lambda: rotated_surface_code(3, cycle_ns=0),
        lambda: NoiseModel(name="bad", idle=-0.1),
        lambda: idle_channel(-1.0),
        lambda: add_noise(stim.Circuit("REPEAT 3 {\n H 0\n}"), noise_model("stim4", 0.1)),
        lambda: add_noise(stim.Circuit("MPP X0*X1"), noise_model("stim4", 0.1)),
    ],
)
def test_values_that_mean_nothing_are_refused(wrong: object) -> None:
    with pytest.raises(InvalidValue):
        wrong()  # type: ignore[operator]


def test_an_unknown_noise_model_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="stim4"):
        rotated_surface_code(3, noise="stim5")


def test_an_experiment_says_which_field_does_not_fit() -> None:
    circuit = stim.Circuit("R 0\nM 0\nDETECTOR rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]")
    fields = {"node_of": ("",), "rounds": 1, "code": "c", "distance": None, "basis": "Z", "noise": "none"}
    with pytest.raises(InvalidValue, match="detector 0"):
        Experiment(circuit=circuit, **fields)
    with pytest.raises(InvalidValue, match="node_of"):
        Experiment(circuit=circuit, **{**fields, "node_of": ()})
