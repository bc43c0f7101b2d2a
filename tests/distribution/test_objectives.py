"""What a plan is chosen by: the clock never says that the plan for fidelity is worse than the one of fewest e-bits."""

import math

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.distribution.cost_models import STEPS_PER_UNIT, cost_models, link_price
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.objectives import clocked_measures, objective_of
from hyperfabric_q.errors import InvalidValue, UnknownName


def unlike(communication=2):
    """Four QPUs of which three links are five times better and ten times quicker than the others."""
    fabric = hq.Fabric.full([3] * 4, communication_qubits=communication, pair_fidelity=0.9)
    fabric = fabric.replace("links.*", pair_rate_hz=1e4, pair_attempt_ns=1_000)
    fabric = fabric.replace("nodes.*", t1_us=1e4, t2_us=5e3, gate_2q_ns=200, readout_ns=500)
    for link in ("qpu-0--qpu-1", "qpu-0--qpu-2", "qpu-2--qpu-3"):
        fabric = fabric.replace(f"links.{link}", pair_fidelity=0.98, pair_rate_hz=1e5)
    return fabric


def loss(plan):
    return -math.log(1 - float(plan.schedule().infidelity.mean()))


@pytest.mark.parametrize(("family", "share"), [("qft", 0.8), ("ising", 1), ("qaoa_3regular", 0.8)])
def test_the_plan_for_fidelity_takes_the_better_links(family, share):
    circuit = hq.families.generate(family, 10, seed=1)
    few = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.5)
    good = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.5, objective="fidelity")
    assert good.objective == "fidelity"
    assert good.equivalent == "proved"
    assert loss(good) <= share * loss(few)


def test_the_plan_for_time_is_not_slower_than_that_of_fewest_pairs():
    circuit = hq.families.qft(8)
    few = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.5)
    quick = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.5, objective="makespan")
    assert quick.schedule().makespan_ps <= few.schedule().makespan_ps


def test_a_pair_is_priced_by_its_infidelity_and_its_local_operations():
    fabric = unlike().replace("nodes.qpu-3", gate_error_2q=0.01, readout_error=0.02)
    price = link_price(fabric)
    assert price(fabric.link("qpu-0", "qpu-1")) == 1 + round(-STEPS_PER_UNIT * math.log(0.98))
    local = (-math.log(1 - 0.0125) - 2 * math.log(0.98)) / 2
    assert price(fabric.link("qpu-2", "qpu-3")) == 1 + round(STEPS_PER_UNIT * (local - math.log(0.98)))


def test_copies_take_the_cheap_way_round():
    network = network_of(unlike(), prices=link_price(unlike()))
    # 1 and 3 are linked badly; over 0 and 2 all three links are good.
    assert network.tree(1, 1 << 3) == ((1, 0), (0, 2), (2, 3))
    assert network_of(unlike()).tree(1, 1 << 3) == ((1, 3),)


# ------------------------------------------------------------------------------------------- how an objective is said


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("ebits", "ebits"),
        (" fidelity ", "fidelity"),
        ({"fidelity": 1.0, "makespan": 0.2}, "fidelity+0.2*makespan"),
        ("fidelity + 0.2 * makespan", "fidelity+0.2*makespan"),
        ({"fidelity": np.float64(0.5), "ebits": np.int64(3)}, "0.5*fidelity+3*ebits"),
        (("ebits", "makespan"), "ebits,makespan"),
        (["ebits", {"fidelity": 2, "makespan": 1}], "ebits,2*fidelity+makespan"),
        ("infidelity", "infidelity"),
    ],
)
def test_an_objective_is_said_in_several_ways_and_reads_back(wanted, text):
    found = objective_of(wanted)
    assert str(found) == text
    assert objective_of(text) == found == objective_of(found)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"fidelity": -1}, "a weight is a positive number"),
        ({"fidelity": 0}, "a weight is a positive number"),
        ({"fidelity": math.nan}, "a weight is a positive number"),
        ({"fidelity": math.inf}, "a weight is a positive number"),
        ({"fidelity": 10**400}, "a weight is a positive number"),
        ({"fidelity": True}, "a weight is a positive number"),
        ({"fidelity": "much"}, "a weight is a positive number"),
        ({3: 1.0}, "named by text"),
        ("much*fidelity", "'much' is no number"),
        ("nan*fidelity", "a weight is a positive number"),
        ("ebits,ebits", "'ebits' is named twice"),
        ("ebits+2*ebits", "'ebits' is named twice"),
        ((), "0 measures"),
        ({}, "no empty level"),
        (("ebits", {}), "no empty level"),
        (["ebits", 3], "each part of the sequence"),
        (5, "a sequence of these"),
        (b"ebits", "a sequence of these"),
        (["ebits"] * 17, "17 measures"),
    ],
    ids=str,
)
def test_nonsense_is_refused_with_an_example(wanted, told):
    with pytest.raises(InvalidValue, match=told) as caught:
        hq.plan(hq.families.ghz(4), unlike(), objective=wanted)
    assert '{"fidelity": 1.0, "makespan": 0.2}' in str(caught.value)


@pytest.mark.parametrize("wanted", ["beauty", "", "ebits,", {"beauty": 1.0}, ("ebits", "beauty"), "x" * 10_000])
def test_an_unknown_objective_is_refused(wanted):
    with pytest.raises(UnknownName, match="no objective is called") as caught:
        hq.plan(hq.families.ghz(4), unlike(), objective=wanted)
    assert {"ebits", "fidelity", "makespan", "infidelity"} <= set(caught.value.known)
    assert len(str(caught.value)) < 500


def test_a_slip_of_the_pen_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'makespan'"):
        objective_of("makspan")


# ------------------------------------------------------------------------------------------------- which plan is best


FOUND = [
    {"ebits": 10, "fidelity": 1.0, "makespan": 2.0},
    {"ebits": 10, "fidelity": 0.9, "makespan": 4.0},
    {"ebits": 12, "fidelity": 0.5, "makespan": 3.0},
]


@pytest.mark.parametrize(
    ("wanted", "best"),
    [
        ("ebits", 0),
        ("fidelity", 2),
        ("makespan", 0),
        (("ebits", "fidelity"), 1),
        (("ebits", "makespan"), 0),
        ({"fidelity": 1.0, "makespan": 0.2}, 2),  # 1.2, 1.3, 0.8
        ({"fidelity": 1.0, "makespan": 2.0}, 0),  # 3.0, 4.9, 3.5
        ({"ebits": 10, "fidelity": 1}, 1),  # 11, 10.9, 12.5
    ],
    ids=str,
)
def test_weights_are_of_shares_and_sequences_break_ties(wanted, best):
    assert objective_of(wanted).best(FOUND) == best


def test_measures_that_differ_by_rounding_are_equal():
    found = [{"fidelity": 0.1, "makespan": 2.0}, {"fidelity": 0.1 * (1 - 1e-13), "makespan": 3.0}]
    assert objective_of(("fidelity", "makespan")).best(found) == 0
    assert objective_of({"fidelity": 1, "makespan": 1}).best([dict.fromkeys(found[0], 0.0)] * 2) == 0


def test_a_weighted_plan_is_none_the_worse_than_that_of_fewest_pairs():
    circuit, weights = hq.families.qft(8), {"fidelity": 1.0, "makespan": 0.2}
    few = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.4)
    found = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.4, objective=weights)
    assert found.objective == "fidelity+0.2*makespan"
    assert found.equivalent == "proved"
    measured = [clocked_measures(each.schedule()) for each in (few, found)]
    shares = [sum(weight * each[name] / measured[0][name] for name, weight in weights.items()) for each in measured]
    assert shares[1] <= shares[0] + 1e-9
    assert measured[1]["fidelity"] == pytest.approx(loss(found))


def test_ties_in_ebits_are_broken_by_the_clock():
    circuit = hq.families.qft(8)
    few = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.4)
    found = hq.plan(circuit, unlike(), seed=1, time_limit_s=0.4, objective=("ebits", "makespan"))
    assert found.ebits <= few.ebits
    assert found.ebits < few.ebits or found.schedule().makespan_ps <= few.schedule().makespan_ps


def test_a_cost_model_of_ones_own_is_an_objective(monkeypatch):
    """Pairs over qpu-0's links cost fifty times the others'."""

    class Shy:
        unit = 0.5

        def prices(self, _fabric):
            return lambda link: 50 if "qpu-0" in link.ends else 1

    monkeypatch.setitem(cost_models._members, "shy", Shy())
    fabric = hq.Fabric.full([3] * 4, pair_fidelity=0.9)
    plain = hq.plan(hq.families.ghz(9), fabric, seed=1, time_limit_s=0.2)
    assert plain.ebits == 2
    found = hq.plan(hq.families.ghz(9), fabric, seed=1, time_limit_s=0.2, objective="shy")
    assert not any("qpu-0" in ends for ends, count in found.ebits_per_link.items() if count)
    bound = found.lower_bound()
    assert (bound.measure, bound.value, bound.cost, bound.gap) == ("shy", 1.0, 1.0, 0)
    weighted = hq.plan(hq.families.ghz(9), fabric, seed=1, time_limit_s=0.2, objective={"shy": 1, "fidelity": 1})
    assert not any("qpu-0" in ends for ends, count in weighted.ebits_per_link.items() if count)


# ------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("wanted", "measure"), [("fidelity", "infidelity"), ("makespan", "ebits"), (("ebits", "makespan"), "ebits")]
)
def test_the_bound_is_on_what_the_plan_was_chosen_by(wanted, measure):
    plan = hq.plan(hq.families.ghz(7), unlike(), seed=1, time_limit_s=0.2, objective=wanted)
    bound = plan.lower_bound(time_limit_s=5)
    assert bound.measure == measure
    assert 0 < bound.value <= bound.cost
    assert plan.lower_bound(measure="ebits", time_limit_s=0).cost == plan.ebits
    if measure == "infidelity":
        assert bound.cost <= loss(plan) + 1e-3
    assert f"this one has {bound.cost:.6g}" in str(bound)


def test_a_bound_by_no_cost_model_is_refused():
    plan = hq.plan(hq.families.ghz(4), unlike(), seed=1, time_limit_s=0)
    with pytest.raises(UnknownName, match="cost model"):
        plan.lower_bound(measure="beauty")
