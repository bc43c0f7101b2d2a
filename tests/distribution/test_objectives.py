"""What a plan is chosen by: the clock never says that the plan for fidelity is worse than the one of fewest e-bits."""

import math

import pytest

import hyperfabric_q as hq
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.objectives import STEPS_PER_UNIT, link_price
from hyperfabric_q.errors import UnknownName


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


def test_an_unknown_objective_is_refused():
    with pytest.raises(UnknownName, match="objective"):
        hq.plan(hq.families.ghz(4), unlike(), objective="beauty")
