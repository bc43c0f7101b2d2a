import re

import pytest

import hyperfabric_q as hq
from hyperfabric_q.visual.lanes import MOST_PAIRS, MOST_QUBITS, draw_lanes


def lanes(plan):
    """Return the lane of each node as text, without its name."""
    lines = draw_lanes(plan, width=100)
    names = [node.node_id for node in plan.fabric.nodes if plan.qubits_of(node.node_id)]
    return {name: line.split(maxsplit=1)[1] for name, line in zip(names, lines[2:], strict=True)}


@pytest.mark.parametrize("name", ["adder_plan", "chain_plan"])
def test_the_numbers_in_the_lanes_add_up_to_the_two_qubit_gates(name, request):
    plan = request.getfixturevalue(name)
    assert (
        sum(int(number) for lane in lanes(plan).values() for number in re.findall(r"\d+", lane)) == plan.two_qubit_gates
    )


@pytest.mark.parametrize("name", ["adder_plan", "chain_plan"])
def test_a_node_shows_one_dot_per_bell_pair_it_holds_an_end_of(name, request):
    plan = request.getfixturevalue(name)
    for node, lane in lanes(plan).items():
        assert lane.count("●") == sum(count for ends, count in plan.ebits_per_link.items() if node in ends)


def test_dots_stand_in_the_columns_of_their_packets(adder_plan):
    rows = lanes(adder_plan)
    columns = sorted({place for lane in rows.values() for place, mark in enumerate(lane) if mark == "●"})
    assert len(columns) == adder_plan.ebits
    for column, packet in zip(columns, adder_plan.packets, strict=True):
        ends = {name for name, lane in rows.items() if lane[column] == "●"}
        assert ends == {packet.source, packet.target}


def test_a_chain_over_two_nodes_is_drawn_like_this(chain_plan):
    told = lanes(chain_plan)
    assert sorted(told.values()) in (
        sorted(["─2──●─═1═", "────●──2─"]),
        sorted(["─2──●────", "────●─═3═"]),
    )


def test_a_plan_without_ebits_has_no_lanes(local_plan):
    assert draw_lanes(local_plan, width=100) == []


def test_pictures_that_would_not_be_readable_are_left_out(wide_plan, adder_plan):
    assert wide_plan.qubits > MOST_QUBITS
    assert draw_lanes(wide_plan, width=100) == []
    assert draw_lanes(adder_plan, width=40) == []
    many = hq.plan(hq.families.qft_roundtrip(10), hq.Fabric.full([1] * 10), verify="skipped", seed=1)
    assert many.ebits > MOST_PAIRS
    assert draw_lanes(many, width=100) == []


def test_a_pair_between_the_ends_of_a_star_crosses_the_lane_between_them():
    fabric = hq.Fabric(
        nodes=hq.Fabric.full([1, 1, 1]).nodes,
        links=(hq.Link("qpu-0", "qpu-2", pair_fidelity=1.0), hq.Link("qpu-1", "qpu-2", pair_fidelity=1.0)),
    )
    plan = hq.plan(hq.families.ghz(3), fabric, seed=1)
    crossed = [lane.count("┼") + lane.count("╪") for lane in lanes(plan).values()]
    assert crossed == [0, plan.ebits_per_link["qpu-0", "qpu-2"], 0]
