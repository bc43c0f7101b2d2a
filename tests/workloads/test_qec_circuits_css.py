"""CSS codes from their check matrices."""

from __future__ import annotations

import numpy as np
import pymatching
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.codes import rotated_layout
from hyperfabric_q.workloads.qec.css import bivariate_bicycle, css_code, logicals, toric_code
from hyperfabric_q.workloads.qec.from_stim import from_stim
from hyperfabric_q.workloads.qec.noise_models import NoiseModel

GROSS = (12, 6, [(3, 0), (0, 1), (0, 2)], [(0, 3), (1, 0), (2, 0)])
SMALL = (6, 6, [(3, 0), (0, 1), (0, 2)], [(0, 3), (1, 0), (2, 0)])


def rank(matrix: np.ndarray) -> int:
    """Rank over GF(2) by elimination on whole numbers as bit sets."""
    rows = [int("".join(map(str, row)), 2) for row in matrix.tolist()]
    found = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            found += 1
            low = pivot & -pivot
            rows = [row ^ pivot if row & low else row for row in rows]
    return found


@pytest.mark.parametrize(
    ("matrices", "k"),
    [(toric_code(3), 2), (toric_code(4), 2), (bivariate_bicycle(*SMALL), 12), (bivariate_bicycle(*GROSS), 12)],
)
def test_codes_hold_as_many_logical_qubits_as_they_should(matrices: tuple[np.ndarray, np.ndarray], k: int) -> None:
    hx, hz = matrices
    for a, b in ((hx, hz), (hz, hx)):
        found = logicals(a, b)
        assert len(found) == k == hx.shape[1] - rank(hx) - rank(hz)
        assert not (a.astype(int) @ found.T % 2).any()
        assert rank(np.vstack([b, found])) == rank(b) + k


@pytest.mark.parametrize("basis", ["Z", "X"])
@pytest.mark.parametrize("matrices", [toric_code(3), bivariate_bicycle(*SMALL)])
def test_their_circuits_are_silent_and_reach_over_nodes(matrices: tuple[np.ndarray, np.ndarray], basis: str) -> None:
    hx, hz = matrices
    experiment = css_code(hx, hz, 3, basis, "none")
    size = hx.shape[1]
    placement = {qubit: f"n{qubit % size * 2 // size}" for qubit in range(size + len(hx) + len(hz))}
    for circuit in (experiment.circuit, from_stim(experiment.circuit, placement, link="cat").circuit):
        detectors, observables = circuit.compile_detector_sampler(seed=1).sample(32, separate_observables=True)
        assert not detectors.any()
        assert not observables.any()
        circuit.detector_error_model()
    assert experiment.bits_per_round.tolist()[1:3] == [len(hx) + len(hz)] * 2


def test_steps_are_as_few_as_the_heaviest_check_and_touch_each_qubit_once() -> None:
    experiment = css_code(*bivariate_bicycle(*SMALL), 1, noise="none")
    gates = [each for each in experiment.circuit if each.name == "CX"]
    assert len(gates) == 6 + 6
    for each in gates:
        qubits = [target.value for target in each.targets_copy()]
        assert len(set(qubits)) == len(qubits)


def test_a_surface_code_from_matrices_has_its_distance() -> None:
    layout = rotated_layout(3)
    column = {qubit: at for at, qubit in enumerate(layout.data)}
    matrices = [np.zeros((4, 9), dtype=np.uint8) for _ in "XZ"]
    for matrix, basis in zip(matrices, "XZ", strict=True):
        for row, check in enumerate(each for each in layout.checks if each.basis == basis):
            matrix[row, [column[qubit] for qubit in check.support]] = 1
    # Errors of data and of measurements only: the order of gates plays no part.
    noise = NoiseModel(name="phenomenological", measure=0.001, round_data=0.001)
    for basis in "XZ":
        circuit = css_code(*matrices, 4, basis, noise).circuit
        assert circuit.num_observables == 1
        assert len(circuit.shortest_graphlike_error()) == 3


def test_the_toric_code_suppresses_errors_with_distance() -> None:
    noise = NoiseModel(name="phenomenological", measure=0.01, round_data=0.015)
    failed = []
    for distance in (3, 5):
        circuit = css_code(*toric_code(distance), 5, "Z", noise).circuit
        matching = pymatching.Matching.from_detector_error_model(circuit.detector_error_model(decompose_errors=True))
        detectors, observables = circuit.compile_detector_sampler(seed=2).sample(20_000, separate_observables=True)
        failed.append((matching.decode_batch(detectors) != observables).any(axis=1).mean())
    assert failed[1] < failed[0] / 2


@pytest.mark.parametrize(
    ("hx", "hz"),
    [([[1, 1]], [[1, 0]]), ([[1, 1, 0]], [[1, 1]]), ([[1, 2]], [[1, 1]]), ([1, 1], [[1, 1]]), ([[1, 1]], [[1, 1]])],
)
def test_matrices_that_make_no_code_are_refused(hx: list, hz: list) -> None:
    with pytest.raises(InvalidValue):
        css_code(hx, hz, 1)
