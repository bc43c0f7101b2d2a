"""Gates that are cut although both ends are in one fragment, and shots that carry a sign of their own."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from hyperfabric_q.cutting import engine
from hyperfabric_q.cutting.allocation import count_variants, estimate, needed_variants
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.prepare import prepare
from hyperfabric_q.cutting.split import split
from hyperfabric_q.errors import InvalidValue

OBSERVABLES = ["ZZII", "XYZI", SparsePauliOp(["IIZZ", "ZIIX"], [0.5, 1.0])]


def circuit_of(seed: int) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(4)
    for _ in range(5):
        for qubit in range(4):
            circuit.u(*rng.uniform(-3, 3, 3), qubit)
        a, b = map(int, rng.permutation(4)[:2])
        kind = rng.integers(3)
        if kind == 0:
            circuit.cx(a, b)
        elif kind == 1:
            circuit.rzz(float(rng.uniform(-2, 2)), a, b)
        else:
            circuit.cz(a, b)
    return circuit


def cut_inside(circuit: QuantumCircuit, labels: str, count: int) -> CutCircuit:
    prepared = prepare(circuit)
    who = Assignment.static(labels)
    across = who.gate_cuts(prepared)
    rows = [row for row, each in enumerate(prepared.data) if len(each.qubits) == 2 and row not in across]
    return split(prepared, who, inside=rows[:count])


def truth(circuit: QuantumCircuit) -> np.ndarray:
    state = Statevector(circuit)
    return np.array([state.expectation_value(SparsePauliOp(each)).real for each in OBSERVABLES])


@pytest.mark.parametrize("labels", ["AAAA", "AAAB"])
@pytest.mark.parametrize("seed", range(6))
def test_gates_cut_inside_a_fragment_give_the_exact_values(seed: int, labels: str) -> None:
    circuit = circuit_of(seed)
    pieces = cut_inside(circuit, labels, 2)
    assert len(pieces.cuts) == 2 + len(pieces.assignment.gate_cuts(prepare(circuit)))
    if labels == "AAAA":
        assert any(each.ends[0][0] == each.ends[1][0] for each in pieces.cuts)
    np.testing.assert_allclose(engine.exact(pieces, OBSERVABLES), truth(circuit), atol=1e-12)


def test_bars_of_gates_cut_inside_a_fragment_cover_the_truth() -> None:
    circuit = circuit_of(3)
    pieces = cut_inside(circuit, "AAAA", 1)
    found = [estimate(pieces, OBSERVABLES, shots=4000, seed=seed).estimates for seed in range(80)]
    values = np.array([[each.value for each in row] for row in found])
    scores = (values - truth(circuit)) / np.array([[each.stderr for each in row] for row in found])
    assert 0.85 <= np.sqrt(np.mean(scores**2)) <= 1.15
    assert np.abs(scores.mean(axis=0)).max() < 4 / np.sqrt(len(found))


def test_only_pairs_of_settings_that_a_term_needs_are_run() -> None:
    pieces = cut_inside(circuit_of(3), "AAAA", 1)
    (mask,) = needed_variants(pieces, [(0, 0)]).values()
    used = {divmod(place, len(pieces.fragments[0].sides[1].settings)) for place in np.flatnonzero(mask)}
    weights = pieces.cuts[0].decomposition.weights
    left, right = (np.abs(side.reading).sum(axis=2) > 0 for side in pieces.fragments[0].sides)
    wanted = {
        (a, b) for i, j in np.argwhere(weights) for a in np.flatnonzero(left[i]) for b in np.flatnonzero(right[j])
    }
    assert used == wanted
    assert mask.sum() == count_variants(pieces, [(0, 0)]) < mask.size


def test_only_two_qubit_gates_can_be_cut_inside() -> None:
    circuit = circuit_of(0)
    with pytest.raises(InvalidValue, match="two-qubit"):
        split(prepare(circuit), Assignment.static("AAAA"), inside=[0])
