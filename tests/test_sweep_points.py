"""Points, the fabrics they mean, and the fabric whose plan serves them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.distribution.objectives import objective_of
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.execution.payload import pack
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.families import generate
from hyperfabric_q.pipeline import plan
from hyperfabric_q.sweeping.planning import planned_for, seen_by_planner
from hyperfabric_q.sweeping.points import MOST_POINTS, changed, points_of

BASE = Fabric.ring([3, 3, 3], communication_qubits=2, pair_fidelity=0.9).replace("nodes.*", t1_us=100.0, t2_us=50.0)
EBITS = objective_of("ebits")


def test_all_combinations_in_order_the_last_path_fastest():
    paths, points = points_of({"links.*.pair_fidelity": np.array([0.8, 0.9]), "shots": range(1, 3)})
    assert paths == ("links.*.pair_fidelity", "shots")
    assert [tuple(point.values()) for point in points] == [(0.8, 1), (0.8, 2), (0.9, 1), (0.9, 2)]
    assert type(points[0]["links.*.pair_fidelity"]) is float


def test_points_can_be_listed_one_by_one():
    paths, points = points_of([{"shots": 5}, {"nodes.*.t1_us": 7.0}, {}])
    assert paths == ("shots", "nodes.*.t1_us")
    assert points == ({"shots": 5}, {"nodes.*.t1_us": 7.0}, {})


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (None, InvalidValue),
        ({}, InvalidValue),
        ([], InvalidValue),
        ("links.*.pair_fidelity", InvalidValue),
        ([5], InvalidValue),
        ({"shots": 5}, InvalidValue),
        ({"shots": []}, InvalidValue),
        ({"shots": "12"}, InvalidValue),
        ({"shots": np.array(5)}, InvalidValue),
        ({"shots": iter([1])}, InvalidValue),
        ({5: [1]}, InvalidValue),
        ({"pair_fidelity": [1]}, UnknownName),
        ({"shots": range(MOST_POINTS + 1)}, InvalidValue),
        ({"shots": range(10**6), "noise": range(10**6)}, InvalidValue),
    ],
)
def test_what_are_no_points_is_refused(wanted, error):
    with pytest.raises(error):
        points_of(wanted)


def test_fields_that_limit_one_another_change_together():
    fabric = changed(BASE, {"nodes.*.t1_us": 10.0, "nodes.*.t2_us": 15.0, "shots": 5})
    assert {(node.t1_us, node.t2_us) for node in fabric.nodes} == {(10.0, 15.0)}
    with pytest.raises(InvalidValue):
        changed(BASE, {"nodes.*.t1_us": 10.0})


def test_values_of_several_numbers_pass():
    fabric = changed(BASE, {"links.qpu-0--qpu-1.pair_weights": points_of({"links.*.x": np.eye(4)})[1][0]["links.*.x"]})
    assert fabric.link("qpu-0", "qpu-1").pair_fidelity == 1


@pytest.mark.parametrize(
    ("objective", "path", "value", "needed"),
    [
        ("ebits", "links.*.pair_fidelity", 0.8, False),
        ("ebits", "nodes.*.t1_us", 200.0, False),
        ("ebits", "links.*.pair_fidelity", None, True),
        ("ebits", "nodes.qpu-0.compute_units", 5, True),
        ("ebits", "nodes.*.communication_qubits", 1, True),
        ("infidelity", "links.qpu-0--qpu-1.pair_fidelity", 0.8, True),
        ("infidelity", "nodes.*.gate_error_2q", 0.01, True),
        ("infidelity", "nodes.*.t1_us", 200.0, False),
        ("fidelity", "nodes.*.t1_us", 200.0, True),
        (("ebits", "makespan"), "links.*.pair_rate_hz", 5e3, True),
    ],
)
def test_only_what_the_objective_sees_is_planned_for(objective, path, value, needed):
    served = planned_for(BASE, {path: value, "shots": 3}, objective_of(objective), "auto")
    assert served == (changed(BASE, {path: value}) if needed else BASE)


def test_changes_that_go_only_together_are_kept_together():
    point = {"nodes.*.t1_us": 10.0, "nodes.*.t2_us": 15.0, "nodes.qpu-1.compute_units": 5}
    served = planned_for(BASE, point, EBITS, "auto")
    assert served == BASE.replace("nodes.qpu-1", compute_units=5)
    assert planned_for(BASE, point, EBITS, "reuse") == BASE
    assert planned_for(BASE, point, EBITS, "anew") == changed(BASE, point)


@given(
    fidelities=st.lists(st.floats(0.3, 1.0), min_size=3, max_size=3),
    rates=st.lists(st.floats(1.0, 1e6), min_size=3, max_size=3),
    figures=st.tuples(st.floats(0, 0.01), st.floats(0, 0.02), st.floats(10, 1e6)),
    seed=st.integers(0, 50),
)
@settings(deadline=None, derandomize=True, max_examples=5)
def test_fabrics_that_the_planner_cannot_tell_apart_get_the_same_circuit(fidelities, rates, figures, seed):
    fabric = BASE.replace("nodes.*", gate_error_2q=figures[0], readout_error=figures[1], t1_us=figures[2], t2_us=None)
    for link, fidelity, rate in zip(BASE.links, fidelities, rates, strict=True):
        fabric = fabric.replace(f"links.{link.label}", pair_fidelity=fidelity, pair_rate_hz=rate)
    assert seen_by_planner(fabric, EBITS) == seen_by_planner(BASE, EBITS)
    circuit = generate("qaoa_3regular", 8, seed=seed)
    emitted = [
        pack(plan(circuit, each, time_limit_s=0.2, verify="skipped", seed=seed).routed.circuit).form
        for each in (BASE, fabric)
    ]
    assert emitted[0] == emitted[1]
