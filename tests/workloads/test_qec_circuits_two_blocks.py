"""Lattice surgery over a link: logical identities, distances and rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymatching
import pytest
import stim

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.codes import rectangle
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.links import with_weights
from hyperfabric_q.workloads.qec.real_pairs import with_real_pairs
from hyperfabric_q.workloads.qec.two_blocks import merge_xx, merge_zz, teleport_cnot

BUILDERS = (merge_zz, merge_xx, teleport_cnot)
Builder = Callable[..., Experiment]


def outcomes(circuit: stim.Circuit, shots: int = 64) -> tuple[np.ndarray, np.ndarray]:
    return circuit.compile_detector_sampler(seed=1).sample(shots, separate_observables=True)


def with_logical(circuit: stim.Circuit, pauli: str, qubits: tuple[int, ...]) -> stim.Circuit:
    """The circuit with a logical operator right after everything is prepared."""
    first_tick = next(at for at, each in enumerate(circuit) if each.name == "TICK")
    prepared = circuit[:first_tick]
    prepared.append("CORRELATED_ERROR", [stim.target_pauli(qubit, pauli) for qubit in qubits], 1)
    return prepared + circuit[first_tick:]


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("basis", ["Z", "X"])
@pytest.mark.parametrize("distance", [2, 3, 4])
def test_without_noise_no_detector_fires_and_the_identities_hold(build: Builder, basis: str, distance: int) -> None:
    circuit = build(distance, basis, "none").circuit
    detectors, observables = outcomes(circuit)
    assert not detectors.any()
    assert not observables.any()
    circuit.detector_error_model()


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("basis", ["Z", "X"])
@pytest.mark.parametrize("link", ["direct", "teleported"])
def test_errors_of_gates_and_links_have_to_be_as_many_as_the_distance(build: Builder, basis: str, link: str) -> None:
    experiment = build(3, basis, p=0.001, link=link, pairs=0.99)
    assert len(experiment.circuit.shortest_graphlike_error()) == 3
    assert len({use.round for use in experiment.links}) == 3


@pytest.mark.parametrize(("link", "pairs"), [("teleported", 5), ("cat", 3)])
@pytest.mark.parametrize("build", BUILDERS)
def test_gates_cross_only_while_patches_are_joined(build: Builder, link: str, pairs: int) -> None:
    experiment = build(3, "Z", link=link)
    rounds = [use.round for use in experiment.links]
    joined = range(6, 9) if build is teleport_cnot else range(3, 6)
    assert rounds == [at for at in joined for _ in range(pairs)]


# Flips of (control, target) after the CNOT by a flip before it: X spreads from the control, Z from the target.
TRUTH = {
    ("Z", "control"): (1, 1),
    ("Z", "target"): (0, 1),
    ("X", "control"): (1, 0),
    ("X", "target"): (1, 1),
}


@pytest.mark.parametrize(("basis", "which"), TRUTH)
def test_the_cnot_does_to_basis_states_what_a_cnot_does(basis: str, which: str) -> None:
    circuit = teleport_cnot(3, basis, "none").circuit
    patch = rectangle(3, 3, width=7) if which == "control" else rectangle(3, 3, left=4, top=4, width=7)
    flip = "X" if basis == "Z" else "Z"
    detectors, observables = outcomes(with_logical(circuit, flip, patch.logical[flip]))
    assert not detectors.any()
    first, second = observables[0].tolist()
    assert (observables == observables[0]).all()
    assert (int(first), int(second)) == TRUTH[basis, which]


@pytest.mark.parametrize(("build", "measured"), [(merge_zz, "Z"), (merge_xx, "X")])
def test_a_merge_measures_the_product_of_the_two_blocks(build: Builder, measured: str) -> None:
    circuit = build(3, measured, "none").circuit
    flip = "X" if measured == "Z" else "Z"
    first = rectangle(3, 3) if build is merge_zz else rectangle(3, 3, width=7)
    second = rectangle(3, 3, top=4) if build is merge_zz else rectangle(3, 3, left=4, width=7)
    for patches, expected in (((first,), [1, 0, 1]), ((second,), [0, 1, 1]), ((first, second), [1, 1, 0])):
        flipped = circuit
        for patch in patches:
            flipped = with_logical(flipped, flip, patch.logical[flip])
        detectors, observables = outcomes(flipped)
        assert not detectors.any()
        assert (observables == expected).all()


@pytest.mark.parametrize("link", ["teleported", "cat"])
def test_surgery_over_real_pairs_has_the_same_rates(link: str) -> None:
    experiment = merge_zz(3, "X", p=0.003, link=link, pairs=(0.9, 0.05, 0.02, 0.03), rounds=(1, 2, 1))
    shots = 100_000
    rates = []
    for circuit in (experiment.circuit, with_real_pairs(experiment).circuit):
        detectors, observables = outcomes(circuit, shots)
        rates.append(np.hstack([detectors.mean(axis=0), observables.mean(axis=0)]))
    spread = np.sqrt(np.maximum(rates[0] * (1 - rates[0]), 1e-6) * 2 / shots)
    assert np.abs((rates[0] - rates[1]) / spread).max() < 4.5


def test_a_worse_link_costs_more_and_a_larger_code_less() -> None:
    def failed(distance: int, fidelity: float) -> float:
        experiment = with_weights(merge_zz(distance, "X"), (fidelity, *(3 * [(1 - fidelity) / 3])))
        matching = pymatching.Matching.from_detector_error_model(
            experiment.circuit.detector_error_model(decompose_errors=True)
        )
        detectors, observables = outcomes(experiment.circuit, 20_000)
        return float((matching.decode_batch(detectors) != observables).any(axis=1).mean())

    assert failed(3, 0.9) > 2 * failed(3, 0.98)
    assert failed(5, 0.97) < failed(3, 0.97)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: merge_zz(1),
        lambda: merge_zz(3, "Y"),
        lambda: merge_xx(3, rounds=(1, 0, 1)),
        lambda: teleport_cnot(3, rounds=(1, 1, 1)),
        lambda: merge_zz(3, nodes=("a", "a")),
    ],
)
def test_blocks_that_make_no_sense_are_refused(wrong: Callable[[], Experiment]) -> None:
    with pytest.raises(InvalidValue):
        wrong()
