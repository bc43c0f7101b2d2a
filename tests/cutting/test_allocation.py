"""Estimates from shots: unbiased, with error bars that hold, and shots where they are needed."""

import warnings

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from scipy.stats import chi2, chisquare

from hyperfabric_q.cutting.allocation import estimate
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.engine import exact
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.sampling import Laws, drawn
from hyperfabric_q.cutting.split import split
from hyperfabric_q.errors import HyperFabricWarning, InvalidValue, OverheadTooHigh


def ansatz(qubits, reps, seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(reps + 1):
        for qubit in range(qubits):
            circuit.u(*rng.uniform(0, 6, 3), qubit)
        if layer < reps:
            for qubit in range(qubits - 1):
                circuit.rzz(rng.uniform(0.5, 2), qubit, qubit + 1)
    return circuit


def problems(make_circuit, make_observables, count):
    """Cut circuits with observables whose values are far from certain."""
    found = []
    for seed in range(10 * count):
        rng = np.random.default_rng(seed)
        if seed % 2:
            cut = split(ansatz(6, 1 + seed // 2 % 2, seed), Assignment.static("AAABBB"))
        else:
            cut = split(*make_circuit(rng, 5, 22, parts=int(rng.integers(2, 4)), wires=int(rng.integers(2))))
        qubits = len(cut.outputs)
        observables = [SparsePauliOp(make_observables(rng, qubits, 2), [1, -0.6]) for _ in range(4)]
        values = exact(cut, observables)
        measured = measure(cut, observables)
        if cut.cuts and (np.abs(values) < 1.2).all() and not measured.constant.any() and cut.gamma < 60:
            found.append((cut, observables, values, Laws(cut, measured)))
        if len(found) == count:
            return found
    raise AssertionError


def coverage(cases, runs, **how):
    inside = total = 0
    for cut, observables, values, laws in cases:
        for seed in range(runs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", HyperFabricWarning)
                reading = estimate(cut, observables, laws=laws, seed=seed, **how).reading
            inside += int((np.abs(reading.values - values) < 1.96 * reading.stderr).sum())
            total += len(values)
    return inside / total


@pytest.mark.parametrize("how", [{"per_variant": 24}, {"shots": 40_000}])
def test_intervals_cover_the_truth(how, make_circuit, make_observables):
    # 800 estimates, correlated within a run: four standard deviations are about 3 %.
    assert 0.92 <= coverage(problems(make_circuit, make_observables, 5), 40, **how) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"per_variant": 16}, {"per_variant": 500}, {"shots": 60_000}])
def test_intervals_cover_94_to_97_percent_over_2000_runs(how, make_circuit, make_observables):
    assert 0.94 <= coverage(problems(make_circuit, make_observables, 20), 100, **how) <= 0.97


def test_counts_follow_their_law_whichever_way_they_are_drawn():
    rng = np.random.default_rng(5)
    laws = rng.dirichlet(np.ones(32), size=3)
    for shots, times in ((4, 3000), (5000, 3)):  # fewer, and more, than a quarter of the outcomes
        counts = sum(drawn(laws, np.full(3, shots), rng) for _ in range(times))
        assert (counts.sum(axis=1) == shots * times).all()
        for row, law in zip(counts, laws, strict=True):
            assert chisquare(row, law * shots * times).pvalue > 1e-4


def test_counts_are_those_of_a_shot_by_shot_simulation():
    # Middle fragment of three: one gate cut on each side, measured shot by shot with an explicit collapse.
    circuit = ansatz(3, 1, 8)
    cut = split(circuit, Assignment.static("ABC"))
    laws = Laws(cut, measure(cut, "ZZZ"))
    layout = laws.layouts[1]
    fragment = cut.fragments[1]
    rng = np.random.default_rng(11)
    shots = 4000
    counts = laws.draw({(1, 0): np.full(layout.variants, shots)}, rng)[0].counts
    statistic = freedom = 0.0
    for variant in range(layout.variants):
        settings = np.unravel_index(variant, layout.settings)
        own = np.zeros(layout.outcomes)
        for _ in range(600):
            state, sign, marker = np.array([1, 0], dtype=complex), 1.0, 0
            for step in fragment.steps:
                if hasattr(step, "matrix"):
                    state = step.matrix @ state
                    continue
                side, j = fragment.sides[marker], settings[marker]
                branches = [side.operators[k] @ state for k in side.settings[j] if k >= 0]
                weights = np.array([np.vdot(each, each).real for each in branches])
                m = rng.choice(len(branches), p=weights / weights.sum())
                state = branches[m] / np.sqrt(weights[m])
                sign *= side.patterns[j, 0, m]
                marker += 1
            bit = rng.random() < abs(state[1]) ** 2
            own[(0 if sign > 0 else 2) + bit] += 1
        both = np.stack([own, counts[variant]])[:, (own + counts[variant]) > 0]
        expected = both.sum(axis=1, keepdims=True) * both.sum(axis=0) / both.sum()
        statistic += ((both - expected) ** 2 / expected).sum()
        freedom += both.shape[1] - 1
    assert chi2.sf(statistic, freedom) > 1e-4


def test_shots_where_the_variance_is_beat_even_shots():
    circuit = ansatz(8, 2, 2)
    cut = split(circuit, Assignment.static("AAAABBBB"))
    middle = [SparsePauliOp.from_sparse_list([("ZZ", [3, 4], 1)], 8)]
    laws = Laws(cut, measure(cut, middle))
    errors = {
        how: np.median(
            [
                estimate(cut, middle, shots=100_000, allocation=how, seed=s, laws=laws).reading.stderr[0]
                for s in range(5)
            ]
        )
        for how in ("uniform", "neyman")
    }
    assert errors["neyman"] < 0.85 * errors["uniform"]


def test_all_shots_are_spent_and_a_seed_repeats_them():
    cut = split(ansatz(6, 1, 4), Assignment.static("AABBCC"))
    for how in ("uniform", "neyman"):
        first, again = (estimate(cut, ["ZZZZZZ", "IXXIII"], shots=12_345, allocation=how, seed=7) for _ in range(2))
        assert first.shots == 12_345
        np.testing.assert_array_equal(first.reading.values, again.reading.values)


def test_precision_is_reached_and_a_hopeless_one_refused():
    cut = split(ansatz(6, 2, 4), Assignment.static("AAABBB"))
    observables = ["IIZZII", "XXXXXX", "IZIIZI"]
    made = estimate(cut, observables, precision=0.03, seed=1)
    assert made.reading.stderr.max() <= 0.03
    assert all(each.stderr <= 0.03 for each in made.estimates)
    with pytest.raises(OverheadTooHigh, match=r"gamma².*would need about .*100,000 are allowed"):
        estimate(cut, observables, precision=1e-4, max_shots=100_000, seed=1)


def test_an_error_bar_wider_than_the_range_is_told():
    cut = split(ansatz(6, 3, 4), Assignment.static("AAABBB"))
    with pytest.warns(HyperFabricWarning, match="say nothing"):
        estimate(cut, ["ZZZZZZ"], per_variant=1, seed=1)


def test_the_covariance_has_the_variances_on_its_diagonal():
    from hyperfabric_q.cutting.contract import Network
    from hyperfabric_q.cutting.estimates import evaluate

    cut = split(ansatz(6, 1, 9), Assignment.static("AAABBB"))
    observables = [SparsePauliOp("ZZZIII"), SparsePauliOp("IZZZII"), SparsePauliOp(["XIIIIX", "ZZZIII"], [1, 2])]
    measured = measure(cut, observables)
    laws = Laws(cut, measured)
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        tallies = laws.draw({key: np.full(laws.layouts[key[0]].variants, 400) for key in laws.keys()}, rng)  # noqa: SIM118
        reading = evaluate(Network.of(cut), measured, tallies, covariance=True)
        found.append(reading.values)
    np.testing.assert_allclose(np.diag(reading.covariance), reading.variances, rtol=0.05)
    np.testing.assert_allclose(reading.covariance, np.cov(np.array(found).T), atol=0.35 * reading.variances.max())


def test_exactly_one_budget_is_asked_for():
    cut = split(ansatz(4, 1, 4), Assignment.static("AABB"))
    for budget in ({}, {"shots": 10_000, "precision": 0.1}, {"shots": 3}, {"per_variant": 0}, {"precision": -1.0}):
        with pytest.raises(InvalidValue):
            estimate(cut, "ZZZZ", **budget)
