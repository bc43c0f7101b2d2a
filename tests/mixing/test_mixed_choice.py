"""What is chosen keeps within the budget, is told in words and in JSON, and comes out the same again."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

import hyperfabric_q as hq
from hyperfabric_q.errors import BudgetTooSmall, HyperFabricError, InvalidValue, UnknownName
from hyperfabric_q.mixing.plan import MixedPlan, plan_mixed

QUICK = {"time_limit_s": 0.3, "seed": 1}


def without_links(fabric):
    return replace(fabric, links=())


# ------------------------------------------------------------------------------------------------------------- choices


def test_the_best_forecast_is_chosen_and_the_next_is_told(chain, in_line):
    plan = plan_mixed(chain(4), in_line(2, 2, fidelity=0.8), shots=20_000, **QUICK)
    errors = [each.forecast.mse for each in plan.choice.candidates]
    assert errors == sorted(errors)
    assert plan.predicted.mse == errors[0]
    assert plan.rejected is plan.choice.candidates[1]
    assert f"best alternative: {plan.rejected.name}" in plan.explain()
    assert plan.draw() == plan.explain()
    assert "MixedPlan: 4 qubits by " + plan.chosen.name in repr(plan)


def test_good_pairs_are_used_and_bad_ones_corrected_and_useless_ones_replaced_by_cuts(chain, in_line):
    chosen = {}
    for fidelity in (1.0, 0.8, 0.4):
        plan = plan_mixed(chain(4), in_line(2, 2, fidelity=fidelity), shots=20_000, **QUICK)
        chosen[fidelity] = {each.kind for each in plan.crossings}
    assert chosen == {1.0: {"TeleGate"}, 0.8: {"assisted TeleGate"}, 0.4: {"gate cut"}}


@pytest.mark.slow
def test_few_shots_take_the_bias_and_many_do_away_with_it(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.9)
    few, many = (plan_mixed(chain(4), fabric, shots=shots, **QUICK) for shots in (200, 2_000_000))
    assert few.predicted.bias > 0
    assert few.gamma == 1
    assert many.predicted.bias < 1e-9
    assert many.gamma > 1


@pytest.mark.slow
def test_a_poor_link_is_cut_or_corrected_and_a_good_one_used(chain, in_line):
    fabric = in_line(2, 2, 2, fidelity=0.999, links={1: 0.55})
    plan = plan_mixed(chain(6), fabric, shots=500_000, **QUICK)
    good, poor = (frozenset(link.ends) for link in fabric.links)
    kinds = {(frozenset(each.where), each.kind) for each in plan.crossings}
    assert (good, "TeleGate") in kinds
    assert (poor, "TeleGate") not in kinds
    assert {kind for _, kind in kinds} & {"gate cut", "assisted TeleGate"}


def test_a_circuit_that_fits_on_one_node_crosses_nothing(chain, in_line):
    plan = plan_mixed(chain(4), in_line(4, 2), shots=1000, **QUICK)
    assert (plan.ebits, plan.gamma, plan.crossings) == (0, 1, ())
    assert plan.chosen.name == "Bell pairs"


def test_nodes_without_links_or_communication_qubits_are_joined_by_cuts(chain, in_line):
    fabric = in_line(2, 2)
    for poorer in (without_links(fabric), fabric.replace("nodes.*", communication_qubits=0)):
        plan = plan_mixed(chain(4), poorer, shots=5000, **QUICK)
        assert plan.ebits == 0
        assert {each.kind for each in plan.crossings} == {"gate cut"}
        assert any(each.name == "Bell pairs" for each in plan.impossible)
        assert "not possible: Bell pairs: " in plan.explain()


@pytest.mark.parametrize("memory", [False, True])
def test_pairs_that_hold_no_entanglement_leave_the_cuts(chain, in_line, memory):
    figures = {"t1_us": 20_000, "t2_us": 10_000, "rate": 1000.0} if memory else {}
    plan = plan_mixed(chain(4), in_line(2, 2, fidelity=0.25, **figures), shots=5000, **QUICK)
    assert {each.kind for each in plan.crossings} == {"gate cut"}
    told = [each.reason for each in plan.impossible if each.name == "Bell pairs"]
    assert told


def test_wire_cuts_are_among_the_ways(in_line, oracle):
    circuit = QuantumCircuit(5)
    for qubit in range(4):
        circuit.ry(0.4 + qubit, qubit)
        circuit.cx(qubit, qubit + 1)
        circuit.rzz(0.9, qubit, qubit + 1)
        circuit.rxx(0.7, qubit, qubit + 1)
    plan = plan_mixed(circuit, without_links(in_line(3, 3)), shots=20_000, observables=["ZZ@1,4", "X@2"], **QUICK)
    (crossing,) = plan.crossings
    assert (crossing.kind, crossing.what) == ("wire cut", (2,))
    assert str(crossing).startswith("wire cut of qubit 2: ")
    truth = oracle(circuit, ["ZZ@1,4", "X@2"])
    assert plan.run(seed=2).evs == pytest.approx(truth, abs=6 * plan.predicted.stderr * 2)


@pytest.mark.parametrize("methods", [("bell",), ("assisted",), ("bell", "gate_cut"), ("assisted", "gate_cut")])
def test_only_the_methods_named_are_used(chain, in_line, methods):
    plan = hq.plan(chain(4), in_line(2, 2, fidelity=0.8), methods=methods, shots=5000, **QUICK)
    assert isinstance(plan, MixedPlan)
    allowed = {"bell": "TeleGate", "assisted": "assisted TeleGate", "gate_cut": "gate cut"}
    for candidate in plan.choice.candidates:
        kinds = {each.kind for each in replace(plan, choice=replace(plan.choice, candidates=(candidate,))).crossings}
        assert kinds <= {allowed[each] for each in methods}


# ------------------------------------------------------------------------------------------------------------- budgets


def test_no_pairs_are_taken_where_none_are_allowed(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.99)
    free = plan_mixed(chain(4, layers=2), fabric, shots=5000, **QUICK)
    assert free.ebits >= 2
    for most in (0, 1):
        plan = plan_mixed(chain(4, layers=2), fabric, shots=5000, max_pairs=most, **QUICK)
        assert plan.ebits <= most
        assert all((each.forecast.ebits > most) == (each.excluded is not None) for each in plan.choice.candidates)


def test_a_deadline_rules_out_slow_pairs(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.99, rate=1000.0)
    free = plan_mixed(chain(4), fabric, shots=5000, **QUICK)
    assert free.makespan_ns > 1e5
    hurried = plan_mixed(chain(4), fabric, shots=5000, deadline_ns=1e5, **QUICK)
    assert hurried.makespan_ns <= 1e5
    assert hurried.ebits == 0


def test_the_precision_of_a_budget_counts_bias_and_spread(chain, in_line, oracle):
    circuit, precision = chain(4), 0.02
    plan = plan_mixed(circuit, in_line(2, 2, fidelity=0.93), precision=precision, **QUICK)
    assert plan.predicted.shots_for(precision) < np.inf
    truth = oracle(circuit, [f"Z@{qubit}" for qubit in range(4)])
    squares = [np.mean((plan.run(seed=seed).evs - truth) ** 2) for seed in range(30)]
    assert np.mean(squares) < 1.1 * precision**2
    fewest = plan_mixed(circuit, in_line(2, 2, fidelity=0.93), precision=precision, objective="shots", **QUICK)
    needed = [each.forecast.shots_for(precision) for each in fewest.choice.candidates]
    assert needed[0] == min(needed)


def test_a_precision_out_of_reach_names_what_comes_nearest(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.8)
    with pytest.raises(BudgetTooSmall, match=r"500 shots, precision 0.001.*needs [\d,]+ shots") as refusal:
        plan_mixed(chain(4), fabric, shots=500, precision=0.001, **QUICK)
    assert refusal.value.remedy.startswith("Allow more")
    with pytest.raises(BudgetTooSmall, match="Bell pairs has a bias of 0"):
        plan_mixed(chain(4), fabric, precision=1e-4, methods=("bell",), **QUICK)
    with pytest.raises(BudgetTooSmall, match="takes 1 Bell pairs"):
        plan_mixed(chain(4), fabric, shots=500, max_pairs=0, methods=("bell", "assisted"), **QUICK)
    with pytest.raises(BudgetTooSmall, match=r"gate_cut has \d+ circuits"):
        plan_mixed(chain(4), fabric, shots=3, methods=("gate_cut",), objective="mse", **QUICK)


def test_whatever_is_planned_for_some_shots_runs_with_them(chain, in_line):
    for shots in (1, 12, 40):
        plan = plan_mixed(chain(4, angle=0.9), in_line(2, 2, fidelity=0.5), shots=shots, **QUICK)
        for candidate in plan.choice.candidates:
            if candidate.excluded is None:
                chosen = replace(plan, choice=replace(plan.choice, candidates=(candidate,)))
                with warnings.catch_warnings(action="ignore"):  # so few shots say nothing, and say so
                    assert chosen.run(seed=1).shots <= shots


@pytest.mark.slow
def test_objectives_rank_by_what_they_name(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.85, rate=1000.0)
    found = {
        objective: plan_mixed(chain(4), fabric, shots=5000, objective=objective, **QUICK)
        for objective in ("mse", "ebits", "fidelity", "makespan")
    }
    for objective, figure in (
        ("mse", lambda each: each.mse),
        ("ebits", lambda each: each.ebits),
        ("fidelity", lambda each: round(each.bias, 9)),
        ("makespan", lambda each: each.makespan_ns),
    ):
        ranked = [figure(each.forecast) for each in found[objective].choice.candidates]
        assert ranked == sorted(ranked), objective
    assert found["ebits"].ebits == 0
    assert found["fidelity"].predicted.bias < 1e-9
    unbiased = [each.forecast.mse for each in found["fidelity"].choice.candidates if each.forecast.bias < 1e-9]
    assert found["fidelity"].predicted.mse == min(unbiased)  # among equals the least error, not rounding, decides


# --------------------------------------------------------------------------------------------------------- observables


def test_identity_repeated_and_wide_observables(chain, in_line, oracle):
    circuit = chain(4)
    asked = ["IIII", "ZZZZ", "ZZZZ", "XYZX", SparsePauliOp(["IIII", "ZIIZ", "IXXI"], [0.5, 2.0, -1.0])]
    truth = oracle(circuit, asked)
    plan = plan_mixed(circuit, in_line(2, 2, fidelity=0.9), observables=asked, shots=20_000, noise="none", **QUICK)
    assert plan.exact().evs == pytest.approx(truth, abs=1e-9)
    found = plan.run(seed=1)
    assert found[0].value == 1
    assert found[0].stderr == 0
    assert found[1] == found[2]
    assert np.abs(found.evs - truth)[1:] == pytest.approx(0, abs=0.2)
    assert (np.abs(found.evs - truth)[1:] < 6 * found.stds[1:]).all()
    assert found.labels == plan.labels


def test_observables_with_nothing_to_measure_are_exact(chain, in_line):
    plan = plan_mixed(chain(4), in_line(2, 2), observables=["IIII"], shots=100, **QUICK)
    assert plan.run(seed=1).evs.tolist() == [1.0]
    assert plan.predicted.mse == 0


def test_other_observables_and_other_errors_may_be_run(chain, in_line, oracle):
    circuit = chain(4)
    plan = plan_mixed(circuit, in_line(2, 2, fidelity=0.7), methods=("bell",), shots=20_000, **QUICK)
    asked = ["XX@1,2", "ZZ@1,2"]
    truth = oracle(circuit, asked)
    clean = plan.run(asked, noise="none", seed=1)
    assert (np.abs(clean.evs - truth) < 6 * clean.stds).all()
    noisy = plan.run(asked, seed=1)
    assert (np.abs(noisy.evs - truth) > 6 * noisy.stds).any()
    assert plan.exact(asked).evs == pytest.approx(truth, abs=1e-9)


# ---------------------------------------------------------------------------------------------------- told, and again


def test_plans_are_told_in_json(chain, in_line):
    plan = plan_mixed(chain(4), in_line(2, 2, fidelity=0.8), shots=20_000, **QUICK)
    told = json.loads(json.dumps(plan.to_dict()))
    assert told["schema"] == "hyperfabric_q/mixed/1"
    assert told["way"] == plan.chosen.name
    assert told["predicted"]["mse"] == pytest.approx(plan.predicted.bias**2 + plan.predicted.stderr**2)
    assert len(told["crossings"]) == len(plan.crossings)
    assert [each["way"] for each in told["rejected"]] == [each.name for each in plan.choice.candidates[1:]]
    product = np.prod([each["gamma"] for each in told["crossings"]])
    assert product == pytest.approx(told["gamma"])


def test_the_same_seed_gives_the_same_plan_and_the_same_run(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.8, rate=2000.0, t1_us=20_000, t2_us=5_000)
    plans = [plan_mixed(chain(4), fabric, shots=3000, **QUICK) for _ in range(2)]
    first, second = ({**each.to_dict(), "seconds": 0} for each in plans)
    assert first == second
    answers = [each.run(seed=4) for each in (*plans, plans[0])]
    assert len({tuple(each.evs) for each in answers}) == 1
    assert tuple(plans[0].run(seed=5).evs) != tuple(answers[0].evs)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "option",
    [
        {"shots": 0},
        {"shots": 2.5},
        {"shots": True},
        {"shots": 10**12},
        {"precision": 0.0},
        {"precision": float("nan")},
        {"precision": float("inf")},
        {"max_pairs": -1},
        {"max_pairs": 1.5},
        {"deadline_ns": 0},
        {"deadline_ns": "soon"},
        {"observables": ["ZZ"]},
        {"observables": "Z@9"},
        {"observables": [SparsePauliOp("ZZZZ", 1j)]},
        {"methods": ()},
        {"methods": ("bell", "magic")},
        {"methods": "bell"},
        {"objective": "shots"},
        {"noise": "loud"},
        {"time_limit_s": -1},
    ],
)
def test_bad_options_are_named(chain, in_line, option):
    with pytest.raises(InvalidValue):
        plan_mixed(chain(4), in_line(2, 2), **{"shots": 100, **option})


def test_unknown_objectives_and_pinned_homes_are_refused(chain, in_line):
    with pytest.raises(UnknownName, match="objective"):
        plan_mixed(chain(4), in_line(2, 2), shots=100, objective="beauty")
    with pytest.raises(InvalidValue, match="homes"):
        hq.plan(chain(4), in_line(2, 2), shots=100, homes=["qpu-0"] * 4)


@pytest.mark.parametrize("methods", ["auto", ("gate_cut", "assisted"), ("gate_cut",)])
def test_circuits_that_cannot_be_estimated_are_refused(in_line, methods):
    unbound = QuantumCircuit(4)
    unbound.rx(Parameter("angle"), 0)
    for qubit in range(3):
        unbound.cx(qubit, qubit + 1)
    looping = QuantumCircuit(4, 1)
    with looping.while_loop((looping.clbits[0], 1)):
        looping.x(0)
    for circuit in (unbound, looping):
        with pytest.raises(HyperFabricError) as refusal:
            plan_mixed(circuit, in_line(2, 2), shots=100, methods=methods, **QUICK)
        assert not isinstance(refusal.value, BudgetTooSmall)


def test_a_circuit_wider_than_everything_is_refused(chain, in_line):
    with pytest.raises(BudgetTooSmall, match="8 data qubits"):
        plan_mixed(chain(8), in_line(2, 2), shots=100, **QUICK)


def test_bad_options_of_runs_are_named(chain, in_line):
    plan = plan_mixed(chain(4), in_line(2, 2), shots=100, methods=("bell",), **QUICK)
    for option in ({"shots": 0}, {"precision": -1.0}, {"noise": "loud"}, {"seed": -1}, {"observables": "ZZ"}):
        with pytest.raises(HyperFabricError):
            plan.run(**option)
