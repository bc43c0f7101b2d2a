"""The same experiments on Aer, with real pairs and real feed-forward, against stim."""

from __future__ import annotations

import math
import time

import numpy as np
import pymatching
import pytest
import stim
from qiskit import QuantumCircuit

from hyperfabric_q.errors import InvalidValue, UnsupportedOperation
from hyperfabric_q.execution.pauli_channels import pauli_channel, run_shots
from hyperfabric_q.execution.wires import compact
from hyperfabric_q.workloads.qec.codes import repetition_code, rotated_surface_code
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.from_stim import from_stim
from hyperfabric_q.workloads.qec.links import seam_from_fidelity
from hyperfabric_q.workloads.qec.lowering import lower, sample_on_aer
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.two_blocks import merge_xx, teleport_cnot

HALVES = {qubit: "a" if qubit < 4 else "b" for qubit in range(9)}


def split_repetition(basis: str, pairs: float = 0.9, noise: str = "stim4") -> Experiment:
    return from_stim(repetition_code(5, 3, basis, noise, p=0.01).circuit, HALVES, pairs=pairs, basis=basis)


def compare(experiment: Experiment, shots: int, seed: int, most: float = 4.0) -> None:
    """Detector rates on Aer within ``most`` sigma of stim's, and logical rates within 3."""
    circuit = experiment.circuit
    sampler = circuit.compile_detector_sampler(seed=seed)
    stim_detectors, stim_observables = sampler.sample(200_000, separate_observables=True)
    detectors, observables = sample_on_aer(experiment, shots=shots, seed=seed)
    rate = stim_detectors.mean(axis=0)
    spread = np.sqrt(np.maximum(rate * (1 - rate), 1e-4) * (1 / shots + 1 / 200_000))
    assert np.abs((detectors.mean(axis=0) - rate) / spread).max() < most
    model = circuit.detector_error_model(decompose_errors=True, approximate_disjoint_errors=True)
    matching = pymatching.Matching.from_detector_error_model(model)
    failed = [
        (matching.decode_batch(each) != truth).any(axis=1).mean()
        for each, truth in ((detectors, observables), (stim_detectors, stim_observables))
    ]
    assert abs(failed[0] - failed[1]) < 3 * math.sqrt(failed[1] * (1 - failed[1]) * (1 / shots + 1 / 200_000))


@pytest.mark.parametrize("basis", ["Z", "X"])
@pytest.mark.parametrize("kind", ["direct", "teleported", "cat"])
def test_nothing_fires_without_noise_however_the_protocol_s_outcomes_fall(kind: str, basis: str) -> None:
    code = DistributedSurfaceCode(distance=3, rounds=3, basis=basis, link=kind, noise="none")
    lowered = lower(code.experiment())
    bits = run_shots(compact(lowered.circuit), shots=40, seed=2)
    detectors, observables = lowered.detection_events(bits)
    assert not detectors.any()
    assert not observables.any()
    if kind != "direct":
        # The outcomes themselves are coins, so corrections were needed.
        proto = [at for at, bit in enumerate(lowered.circuit.clbits) if at not in range(24 + 9)]
        assert 0.4 < bits[:, proto].mean() < 0.6


@pytest.mark.parametrize("build", [merge_xx, teleport_cnot])
def test_surgery_on_aer_fires_nothing_without_noise(build: object) -> None:
    experiment = build(2, "X", "none", link="cat", pairs=None)  # type: ignore[operator]
    detectors, observables = sample_on_aer(experiment, shots=20, seed=5)
    assert not detectors.any()
    assert not observables.any()


def test_the_emitted_circuit_touches_two_nodes_only_in_its_pairs() -> None:
    for kind, pairs in (("teleported", 10), ("cat", 6)):
        lowered = lower(DistributedSurfaceCode(distance=3, rounds=2, link=kind, pairs=0.9).experiment())
        index = {wire: at for at, wire in enumerate(lowered.circuit.qubits)}
        counted = 0
        for step in lowered.circuit.data:
            nodes = {lowered.node_of[index[wire]] for wire in step.qubits}
            assert len(nodes) == 1 or step.operation.name == "bell_pair"
            counted += step.operation.name == "bell_pair"
        assert counted == lowered.pairs == pairs
        assert [register.name for register in lowered.circuit.cregs] == ["syndrome", "qpu-a_proto", "qpu-b_proto"]
        assert lowered.circuit.count_ops()["if_else"] == 2 * pairs


@pytest.mark.parametrize("kind", ["teleported", "cat"])
def test_a_distributed_patch_on_aer_agrees_with_stim(kind: str) -> None:
    code = DistributedSurfaceCode(distance=3, rounds=2, link=kind, p=0.01, pairs=(0.85, 0.08, 0.02, 0.05))
    compare(code.experiment(), 1000, 17)


@pytest.mark.parametrize("basis", ["Z", "X"])
def test_a_distributed_repetition_code_on_aer_agrees_with_stim(basis: str) -> None:
    compare(split_repetition(basis), 1000, 8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one device", "direct", "teleported", "cat"])
@pytest.mark.parametrize("basis", ["Z", "X"])
def test_aer_is_stim_at_twenty_thousand_shots(kind: str, basis: str) -> None:
    if kind == "one device":
        experiment = rotated_surface_code(3, 3, basis, p=0.01)
    else:
        experiment = DistributedSurfaceCode(
            distance=3, rounds=3, basis=basis, link=kind, p=0.01, pairs=0.95
        ).experiment()
    compare(experiment, 20_000, 29)


def test_five_hundred_shots_per_cpu_second_with_real_feed_forward() -> None:
    patch = DistributedSurfaceCode(distance=3, rounds=3, p=0.01, pairs=0.95).experiment()
    for experiment in (patch, split_repetition("Z")):
        lowered = lower(experiment)
        started = time.process_time()
        sample_on_aer(lowered, shots=500, seed=1)
        assert 500 / (time.process_time() - started) > 500


@pytest.mark.parametrize("fidelity", [0.85, 0.95])
def test_the_fidelity_of_a_pair_on_aer_is_that_of_the_mapping(fidelity: float) -> None:
    p = float(seam_from_fidelity(fidelity))
    paulis = tuple((a + b, p / 15) for a in "IXYZ" for b in "IXYZ" if a + b != "II")
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.append(pauli_channel(paulis), [0, 1])
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    good = ~run_shots(circuit, shots=8_000, seed=3).any(axis=1)
    assert abs(good.mean() - fidelity) < 4 * math.sqrt(fidelity * (1 - fidelity) / 8_000)


def test_letters_of_a_channel_name_its_wires_in_order() -> None:
    circuit = QuantumCircuit(3, 3)
    circuit.append(pauli_channel((("XIY", 1.0),)), [0, 1, 2])
    circuit.measure([0, 1, 2], [0, 1, 2])
    assert run_shots(circuit, shots=3, seed=1).tolist() == [[True, False, True]] * 3
    assert pauli_channel((("X", 0.0),)) is None


def test_bits_texts_and_counts_give_the_same_events() -> None:
    lowered = lower(split_repetition("Z"))
    bits = run_shots(compact(lowered.circuit), shots=50, seed=6)
    detectors, observables = lowered.detection_events(bits)
    assert detectors.any()
    texts = ["".join("01"[int(bit)] for bit in row[::-1]) for row in bits]
    texts = [f"{text[:7]} {text[7:]}" for text in texts]
    assert np.array_equal(lowered.detection_events(texts)[0], detectors)
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    counted = lowered.detection_events(counts)
    assert sorted(map(bytes, counted[0])) == sorted(map(bytes, detectors))
    assert counted[1].sum() == observables.sum()
    with pytest.raises(InvalidValue):
        lowered.detection_events(bits[:, 1:])


def test_any_gate_of_stim_is_lowered_or_refused_by_name() -> None:
    text = """
        RX 0 1
        RY 2
        C_XYZ 0
        SQRT_XX 0 1
        ISWAP 1 2
        TICK
        ISWAP_DAG 1 2
        SQRT_XX_DAG 0 1
        C_ZYX 0
        MX !0 1
        MY 2
        MPP X0*X1
        DETECTOR(0) rec[-4]
        DETECTOR(0) rec[-3]
        DETECTOR(0) rec[-2]
        DETECTOR(0) rec[-1]
        CZ rec[-4] 0
        MRX 0
        CX rec[-2] 1
        XCZ 1 rec[-3]
        DETECTOR(0) rec[-1]
        OBSERVABLE_INCLUDE(0) rec[-2]
    """
    experiment = from_stim(stim.Circuit(text))
    detectors, observables = sample_on_aer(experiment, shots=30, seed=9)
    assert not detectors.any()
    assert not observables.any()
    noisy = stim.Circuit("M(0.1) 0\nDETECTOR(0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]")
    with pytest.raises(UnsupportedOperation, match="Pauli channels before"):
        lower(from_stim(noisy))
    swept = stim.Circuit("CX sweep[0] 0\nM 0\nDETECTOR(0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]")
    with pytest.raises(UnsupportedOperation, match="not a measurement"):
        lower(from_stim(swept))
