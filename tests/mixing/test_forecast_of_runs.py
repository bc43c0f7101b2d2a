"""What is forecast for a way of running a circuit is what many runs of it end with."""

import json
import warnings

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.cutting import allocation
from hyperfabric_q.mixing.plan import plan_mixed

TRIALS = 150
BIT = 0.03
"""What a forecast may be off by: it knows the pilots of runs only from a few."""


def runs(plan, candidate, shots, trials=TRIALS):
    """Estimates of the observables over seeds, shape (trials, observables)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few shots say little, and say so
        return np.array(
            [
                allocation.estimate(
                    candidate.laws.pieces,
                    plan.observables,
                    shots=shots,
                    seed=seed,
                    laws=candidate.laws,
                    measured=candidate.laws.frame.measured,
                ).reading.values
                for seed in range(trials)
            ]
        )


def check_forecast(plan, candidate, shots, truth):
    values = runs(plan, candidate, shots)
    forecast = candidate.forecast
    for found, expected in (
        (((values - truth) ** 2).mean(axis=1), forecast.mse),
        (((values - values.mean(axis=0)) ** 2).mean(axis=1) * TRIALS / (TRIALS - 1), forecast.stderr**2),
    ):
        spread = found.std(ddof=1) / np.sqrt(TRIALS)
        assert abs(found.mean() - expected) < 5 * spread + BIT * expected, candidate.name
    # The mean of what was found has the bias, and the square of its own error besides.
    away = np.mean((values.mean(axis=0) - truth) ** 2)
    own = values.var(axis=0, ddof=1).mean() / TRIALS
    assert abs(away - own - forecast.bias**2) < 5 * (own + 2 * forecast.bias * np.sqrt(own)), candidate.name


CASES = {
    "few shots": (4, {"layers": 1}, (2, 2), {"fidelity": 0.85}, 300),
    "two layers": (5, {"layers": 2}, (3, 2), {"fidelity": 0.8}, 3000),
    "weak gates": (5, {"layers": 1, "angle": 0.5}, (2, 2, 1), {"fidelity": 0.7}, 1500),
    "all errors": (4, {"layers": 1}, (2, 2), {"fidelity": 0.85, "gate_error_2q": 0.02, "readout_error": 0.03}, 2000),
    "memories": (4, {"layers": 1}, (2, 2), {"rate": 2000.0, "t1_us": 20_000, "t2_us": 5_000}, 2000),
}

LONG = ("two layers", "weak gates", "all errors")


@pytest.mark.parametrize(
    "case", [pytest.param(each, marks=pytest.mark.slow) if each in LONG else each for each in CASES]
)
def test_bias_and_variance_of_every_way_are_those_of_its_runs(chain, in_line, oracle, case):
    qubits, build, sizes, figures, shots = CASES[case]
    circuit = chain(qubits, **build)
    plan = plan_mixed(circuit, in_line(*sizes, **figures), shots=shots, time_limit_s=0.5, seed=2)
    truth = oracle(circuit, [f"Z@{qubit}" for qubit in range(qubits)])
    ways = [each for each in plan.choice.candidates if each.excluded is None]
    assert len(ways) >= 3
    for candidate in ways[:4]:
        assert candidate.forecast.kind == "rehearsed"
        check_forecast(plan, candidate, shots, truth)


@pytest.mark.slow
def test_every_way_is_exact_without_errors(chain, measuring, in_line, oracle):
    for circuit, sizes, observables in (
        (chain(4, layers=2), (2, 2), ["Z@0", "XY@1,2", "ZZZZ"]),
        (chain(5), (3, 3), ["ZZ@1,2", "X@4", "Z@2"]),  # room for wire cuts
        (measuring(), (3, 2), ["ZZZ@0,2,4", "Z@2", "X@3", "XX@0,1", "Z@4"]),
    ):
        plan = plan_mixed(
            circuit, in_line(*sizes, fidelity=0.7), observables=observables, noise="none", shots=20_000, seed=3
        )
        truth = oracle(circuit, observables)
        assert plan.exact().evs == pytest.approx(truth, abs=1e-9)
        assert len(plan.choice.candidates) >= 3
        assert all(each.forecast.bias < 1e-9 for each in plan.choice.candidates)
        for candidate in plan.choice.candidates[:3]:
            values = runs(plan, candidate, 20_000, trials=1)[0]
            assert np.abs(values - truth).max() < 6 * candidate.forecast.stderr * np.sqrt(len(truth))


def test_cuts_and_corrections_undo_the_errors_of_pairs_alone(chain, in_line, oracle):
    circuit = chain(4)
    truth = oracle(circuit, [f"Z@{qubit}" for qubit in range(4)])
    plan = plan_mixed(circuit, in_line(2, 2, fidelity=0.75), shots=20_000, seed=3)
    for each in plan.choice.candidates:
        untouched = each.forecast.ebits > 0 and not each.laws.cast.assisted
        assert (each.forecast.bias > 1e-3) == untouched, each.name
    local = plan_mixed(circuit, in_line(2, 2, fidelity=0.75, gate_error_2q=0.03), shots=20_000, seed=3)
    assert all(each.forecast.bias > 1e-3 for each in local.choice.candidates)
    assert plan.exact().evs == pytest.approx(truth, abs=1e-9)


def test_a_run_ends_as_far_from_the_truth_as_was_forecast(chain, in_line, oracle):
    circuit = chain(5)
    plan = hq.plan(circuit, in_line(3, 2, fidelity=0.8), shots=2000, seed=1)
    truth = oracle(circuit, [f"Z@{qubit}" for qubit in range(5)])
    squares = [np.mean((plan.run(seed=seed).evs - truth) ** 2) for seed in range(64)]
    spread = np.std(squares, ddof=1) / 8
    assert abs(np.mean(squares) - plan.predicted.mse) < 5 * spread + BIT * plan.predicted.mse


def test_independent_pieces_are_measured_by_the_same_shots(in_line, oracle):
    circuit = QuantumCircuit(6)
    for first in (0, 3):
        circuit.ry(0.7 + first, first)
        circuit.cx(first, first + 1)
        circuit.ry(0.3, first + 1)
        circuit.cx(first + 1, first + 2)
    plan = plan_mixed(circuit, in_line(3, 3), methods=("bell",), shots=1000, seed=1)
    truth = oracle(circuit, [f"Z@{qubit}" for qubit in range(6)])
    assert plan.ebits == 0
    assert plan.predicted.mse == pytest.approx(np.mean(1 - truth**2) / 1000, rel=1e-6)
    assert plan.exact().evs == pytest.approx(truth, abs=1e-9)
    assert plan.run(seed=1).evs == pytest.approx(truth, abs=0.2)


@pytest.mark.slow
def test_wide_circuits_are_modelled_and_say_so(chain, in_line):
    plan = plan_mixed(
        chain(13, angle=0.3), in_line(7, 6, fidelity=0.9), observables=["Z@12"], shots=1000, time_limit_s=0.5, seed=1
    )
    kinds = {each.forecast.kind for each in plan.choice.candidates}
    assert kinds == {"modelled"}
    assert "modelled" in plan.explain()
    json.dumps(plan.to_dict())
    by_name = {each.name: each.forecast for each in plan.choice.candidates}
    bell, cut = by_name["Bell pairs"], by_name["gate_cut"]
    # One pair of fidelity 0.9 is right with chance 0.9, and a value is taken to be uniform in [-1, 1].
    assert bell.bias == pytest.approx((1 - 0.9**bell.ebits) / np.sqrt(3), rel=1e-6)
    assert (cut.bias, cut.variance) == (0.0, pytest.approx((1 + 2 * np.sin(0.3)) ** 2))
    found = plan.run(seed=1)
    assert found.stds[0] < 0.2


def test_exact_values_of_wide_circuits_come_from_the_narrowest_way(in_line):
    circuit = QuantumCircuit(30)
    circuit.h(range(30))
    for qubit in range(29):
        circuit.rzz(0.9, qubit, qubit + 1)
    circuit.rx(0.8, range(30))
    plan = plan_mixed(
        circuit, in_line(15, 15, fidelity=0.999), observables=["ZZ@14,15"], shots=2000, time_limit_s=0.3, seed=1
    )
    assert plan.chosen.name.startswith("Bell pairs")
    assert plan.exact().evs[0] == pytest.approx(np.sin(1.6) * np.sin(1.8) / 2)
