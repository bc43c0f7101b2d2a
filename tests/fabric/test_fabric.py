"""The fabric: names fit together, changes give new values, shapes have the nodes and links they should."""

import pickle
import subprocess
import sys

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import DuplicateName, InputError, InvalidValue, UnknownName
from hyperfabric_q.fabric import (
    Fabric,
    FabricZone,
    HardwareType,
    IsolationLevel,
    Link,
    NodeSignature,
    ZoneType,
    werner,
)

NAMES_FOR_EVAL = (Fabric, FabricZone, HardwareType, IsolationLevel, Link, NodeSignature, ZoneType)
SHAPES = (Fabric.full, Fabric.line, Fabric.ring, Fabric.star)


def qpu(name, **changes):
    return NodeSignature(name, HardwareType.QUANTUM_QPU, 10, 10, **({"compute_units": 3} | changes))


@pytest.fixture
def pair():
    return Fabric(nodes=(qpu("a"), qpu("b")), links=(Link("a", "b", pair_fidelity=0.9),))


def test_importing_the_fabric_loads_no_heavy_library():
    heavy = ("networkx", "qiskit", "cirq", "pydantic", "qiskit_aer")
    code = f"import sys, hyperfabric_q.fabric; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_promised_line_works():
    fabric = Fabric.line([6, 6, 5], communication_qubits=2, link="ion_oxford_2025")
    assert fabric.capacity == {"qpu-0": 6, "qpu-1": 6, "qpu-2": 5}
    assert [link.ends for link in fabric.links] == [("qpu-0", "qpu-1"), ("qpu-1", "qpu-2")]
    assert {node.communication_qubits for node in fabric.nodes} == {2}
    better = fabric.replace("links.*", pair_fidelity=0.99)
    assert [link.pair_fidelity for link in better.links] == [0.99, 0.99]
    assert [link.pair_weights for link in better.links] == [werner(0.99)] * 2
    assert fabric.links[0].pair_fidelity == 0.9689, "the old value is untouched"


def test_without_preset_and_fidelity_pairs_are_perfect():
    assert Fabric.full([1, 1]).links[0].pair_fidelity == 1
    assert Fabric.full([1, 1], pair_fidelity=0.8).links[0].pair_fidelity == 0.8
    assert Fabric.full([1, 1], link="ion_oxford_2025", pair_fidelity=0.8).links[0].pair_rate_hz == 9.7
    assert Fabric.full([1, 1], node="ion_2022").nodes[0].t2_us == 85_000


def test_shapes_are_the_graphs_they_are_named_after():
    sizes = [2, 3, 1, 4]
    assert nx.is_isomorphic(Fabric.full(sizes).graph(), nx.complete_graph(4))
    assert nx.is_isomorphic(Fabric.line(sizes).graph(), nx.path_graph(4))
    assert nx.is_isomorphic(Fabric.ring(sizes).graph(), nx.cycle_graph(4))
    assert nx.is_isomorphic(Fabric.grid(2, 3, 4).graph(), nx.grid_2d_graph(2, 3))
    assert dict(Fabric.star(sizes).graph().degree) == {"qpu-0": 3, "qpu-1": 1, "qpu-2": 1, "qpu-3": 1}
    assert Fabric.grid(1, 2, [3, 4]).capacity == {"qpu-0": 3, "qpu-1": 4}


@pytest.mark.parametrize("capacities", [[], 3, "33", None, [0], [1.5], [True], [None], [-1], ["3"], {3: 3}])
def test_shapes_refuse_bad_capacities(capacities):
    for shape in SHAPES:
        with pytest.raises(InvalidValue) as caught:
            shape(capacities)
        assert caught.value.field == "capacities"


@pytest.mark.parametrize("reserved", [-1, 1.5, True, "2", [1], [1, 2, 3], [1, "2"], {1: 2}])
def test_shapes_refuse_bad_communication_qubits(reserved):
    with pytest.raises(InvalidValue) as caught:
        Fabric.line([2, 2], communication_qubits=reserved)
    assert caught.value.field == "communication_qubits"


@pytest.mark.parametrize(
    ("rows", "columns", "each"), [(0, 2, 1), (10**9, 10**9, 1), (2, 2, [1]), (True, 2, 1), (2, 2, "3")]
)
def test_grids_refuse_bad_sizes_at_once(rows, columns, each):
    with pytest.raises(InvalidValue):
        Fabric.grid(rows, columns, each)


def test_a_full_graph_of_too_many_nodes_is_refused_before_it_is_built():
    with pytest.raises(InvalidValue, match="sparser"):
        Fabric.full([1] * 5_000)


# ------------------------------------------------------------------------------------------------------- consistency


def test_links_and_zones_name_nodes_that_exist(pair):
    with pytest.raises(UnknownName, match="Did you mean 'qpu-a'"):
        Fabric(nodes=(qpu("qpu-a"), qpu("qpu-b")), links=(Link("qpu-b", "qpu-aa"),))
    with pytest.raises(UnknownName):
        pair.with_zone(FabricZone(zone_id="z", zone_type=ZoneType.EDGE, members=("c",)))


def test_names_are_taken_once(pair):
    zone = FabricZone(zone_id="z", zone_type=ZoneType.EDGE)
    for change in (
        lambda: pair.with_node(qpu("a")),
        lambda: pair.with_link(Link("b", "a")),
        lambda: pair.with_zone(zone).with_zone(zone),
    ):
        with pytest.raises(DuplicateName):
            change()


def test_members_meet_the_demands_of_their_zone(pair):
    demands = {"zone_id": "z", "zone_type": ZoneType.QUANTUM_REALM, "members": ("a",)}
    with pytest.raises(InvalidValue, match="11 Gb/s"):
        pair.with_zone(FabricZone(**demands, required_bandwidth_gbps=11))
    with pytest.raises(InvalidValue, match="coherence"):
        pair.with_zone(FabricZone(**demands, quantum_coherence_required=True))
    good = pair.replace("nodes.a", t2_us=50).with_zone(FabricZone(**demands, quantum_coherence_required=True))
    assert good.zones[0].members == ("a",)


@pytest.mark.parametrize("field", ["nodes", "links", "zones"])
@pytest.mark.parametrize("value", [7, "ab", None, [1], {"a": 1}, (qpu("a"), "b")])
def test_parts_of_the_wrong_type_are_refused(field, value):
    with pytest.raises(InvalidValue) as caught:
        Fabric(**{field: value})
    assert caught.value.field == field


# ----------------------------------------------------------------------------------------------------------- reading


def test_lookup_is_undirected_and_names_the_nearest_node(pair):
    assert pair.link("b", "a") is pair.link("a", "b") is pair.links[0]
    assert pair.with_node(qpu("c")).link("a", "c") is None
    assert pair.node("a").node_id == "a"
    for name in ("zz", "", None, 7, [], float("nan")):
        with pytest.raises(UnknownName):
            pair.node(name)
        with pytest.raises(UnknownName):
            pair.link("a", name)


def test_qpu_nodes_and_capacity_know_a_qpu_that_does_not_say_how_large_it_is(pair):
    server = NodeSignature("cpu", HardwareType.CPU_SERVER, 10, 10, compute_units=64)
    fabric = pair.with_node(server)
    assert [node.node_id for node in fabric.qpu_nodes] == ["a", "b"]
    assert fabric.capacity == {"a": 3, "b": 3}
    vague = fabric.with_node(NodeSignature("c", HardwareType.QUANTUM_QPU, 10, 10))
    assert len(vague.qpu_nodes) == 3
    with pytest.raises(InvalidValue, match="'c'"):
        _ = vague.capacity


def test_only_quantum_links_hold_quantum_components_together(pair):
    fabric = pair.with_node(qpu("c")).with_link(Link("b", "c", bandwidth_gbps=10))
    assert fabric.quantum_components() == (("a", "b"), ("c",))
    switch = NodeSignature("s", HardwareType.PHOTONIC_SWITCH, 10, 10)
    bridged = (
        fabric.with_node(switch).with_link(Link("a", "s", preset="ideal")).with_link(Link("s", "c", preset="ideal"))
    )
    assert bridged.quantum_components() == (("a", "b", "c"),)
    assert set(fabric.graph().edges) == {("a", "b"), ("b", "c")}
    assert set(fabric.graph(quantum_only=True).edges) == {("a", "b")}
    assert set(fabric.graph(quantum_only=True).nodes) == {"a", "b", "c"}
    assert fabric.graph().edges["a", "b"]["link"] is fabric.links[0]


# ---------------------------------------------------------------------------------------------------------- changing


def test_replace_matches_links_from_either_end_and_leaves_the_others():
    fabric = Fabric.line([1, 1, 1])
    changed = fabric.replace("links.qpu-1--qpu-0", pair_fidelity=0.5)
    assert [link.pair_fidelity for link in changed.links] == [0.5, 1]
    assert changed == fabric.replace("links.qpu-0--qpu-1", pair_fidelity=0.5)
    assert fabric.replace("links.*--qpu-2", pair_fidelity=0.5).links[0] == fabric.links[0]


def test_replace_matches_nodes_and_zones(pair):
    assert pair.replace("nodes.*", compute_units=7).capacity == {"a": 7, "b": 7}
    assert pair.replace("nodes.a", compute_units=7).capacity == {"a": 7, "b": 3}
    zoned = pair.with_zone(FabricZone(zone_id="z", zone_type=ZoneType.EDGE))
    assert zoned.replace("zones.z", max_nodes=3).zones[0].max_nodes == 3


@pytest.mark.parametrize("pattern", ["links.c--d", "nodes.qpu-*", "zones.*", "link.*", "nod.*"])
def test_a_pattern_that_matches_nothing_is_an_unknown_name(pair, pattern):
    with pytest.raises(UnknownName):
        pair.replace(pattern, pair_fidelity=0.5)


@pytest.mark.parametrize("pattern", ["", "*", "links", "links.", ".", None, 7, "links." + "*a" * 400])
def test_a_malformed_pattern_is_an_invalid_value(pair, pattern):
    with pytest.raises(InvalidValue):
        pair.replace(pattern, pair_fidelity=0.5)


def test_replace_refuses_misspelt_fields_ids_and_nothing_at_all(pair):
    with pytest.raises(UnknownName, match="Did you mean 'pair_fidelity'"):
        pair.replace("links.*", pair_fidelty=0.5)
    with pytest.raises(InvalidValue):
        pair.replace("nodes.a", node_id="c")
    with pytest.raises(InvalidValue):
        pair.replace("links.*")
    with pytest.raises(InvalidValue):
        pair.replace("links.*", pair_fidelity=2)


def test_filled_in_fields_follow_their_source():
    fabric = Fabric(
        nodes=(qpu("a", quantum_coherence_time_us=50), qpu("b", quantum_coherence_time_us=50, t2_us=20)),
        links=(Link("a", "b", distance_m=100, pair_fidelity=0.9),),
    )
    longer = fabric.replace("nodes.*", quantum_coherence_time_us=70)
    assert [node.t2_us for node in longer.nodes] == [70, 20]
    assert fabric.replace("links.*", distance_m=200).links[0].latency_ns == pytest.approx(
        2 * fabric.links[0].latency_ns
    )
    with pytest.raises(InvalidValue, match="light"):
        fabric.replace("links.*", latency_ns=10)
    assert fabric.replace("links.*", pair_fidelity=None).links[0].pair_weights is None
    assert fabric.replace("links.*", pair_weights=(0.8, 0.2, 0, 0)).links[0].pair_fidelity == 0.8


def test_a_new_fidelity_keeps_the_proportions_of_given_weights(pair):
    biased = pair.replace("links.*", pair_weights=(0.9, 0.02, 0, 0.08))
    assert biased.replace("links.*", pair_fidelity=0.95).links[0].pair_weights == pytest.approx((0.95, 0.01, 0, 0.04))
    with pytest.raises(InvalidValue):
        biased.replace("links.*", pair_fidelity="0.95")


def test_a_new_preset_brings_its_figures_and_a_figure_taken_out_ends_it():
    fabric = Fabric.line([1, 1], link="ion_oxford_2025")
    other = fabric.replace("links.*", preset="atom_33km_2022").links[0]
    assert (other.pair_fidelity, other.pair_rate_hz, other.distance_m) == (0.622, 0.01, 33_000)
    bare = fabric.replace("links.*", pair_rate_hz=None).links[0]
    assert (bare.pair_rate_hz, bare.preset, bare.pair_fidelity) == (None, None, 0.9689)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    pattern=st.sampled_from(["nodes.*", "links.*", "nodes.qpu-1", "links.qpu-0--*"]),
    field=st.sampled_from(
        ["pair_fidelity", "pair_weights", "preset", "distance_m", "latency_ns", "pair_rate_hz", "t2_us", "metadata"]
    ),
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.lists(st.floats(0, 1), min_size=4, max_size=4),
        st.just("nv_delft_2018"),
    ),
)
def test_whatever_replace_is_given_it_answers_with_a_fabric_or_an_input_error(pattern, field, value):
    fabric = Fabric.line([2, 2], link="ion_oxford_2025", node="ion_2022")
    try:
        changed = fabric.replace(pattern, **{field: value})
    except InputError as fault:
        assert str(fault)  # noqa: PT017
    else:
        assert Fabric.from_toml(changed.to_toml()) == changed


# ------------------------------------------------------------------------------------------------------------ values


def test_fabrics_are_values(pair):
    twin = Fabric(nodes=(qpu("a"), qpu("b")), links=[Link("b", "a", pair_fidelity=0.9)])
    assert pair == twin
    assert hash(pair) == hash(twin)
    assert pair != pair.replace("links.*", pair_fidelity=0.8)
    assert pickle.loads(pickle.dumps(pair)) == pair  # noqa: S301
    assert pickle.loads(pickle.dumps(pair)).link("a", "b") == pair.links[0]  # noqa: S301


def test_the_repr_of_a_small_fabric_evaluates_back_and_a_large_one_is_short(pair):
    zoned = pair.with_zone(FabricZone(zone_id="z", zone_type=ZoneType.EDGE, members=("a",)))
    names = {each.__name__: each for each in NAMES_FOR_EVAL}
    for fabric in (Fabric(), zoned, Fabric.line([6, 6, 5], link="ion_oxford_2025", node="colour_centre_2022")):
        assert "\n" not in repr(fabric)
        assert eval(repr(fabric), names) == fabric  # noqa: S307
    assert len(repr(Fabric.full([1] * 30))) < 100


def test_summary_shows_how_pairs_are_made_where_that_is_stated(pair):
    assert "attempt ns" not in pair.summary()
    stated = pair.replace("links.*", pair_attempt_ns=125, pair_channel="shared")
    stated = stated.replace("nodes.a", photonic_channels=8, reconfiguration_ns=777)
    assert all(text in stated.summary() for text in ("attempt ns", "125", "a--b (shared)", "channels", "777"))


def test_a_link_that_stops_making_pairs_loses_what_only_pairs_need(pair):
    stated = pair.replace("links.*", pair_attempt_ns=125, pair_rate_hz=5, pair_channel="shared")
    assert stated.replace("links.*", pair_fidelity=None).links[0] == Link("a", "b")


def test_summary_and_html_name_every_part_and_escape_text(pair):
    fabric = Fabric(nodes=pair.nodes, links=pair.links, name="<b>&")
    assert "a--b" in fabric.summary()
    assert "6 data qubits" in fabric.summary()
    html = fabric._repr_html_()
    assert "<td>a--b</td>" in html
    assert "<b>&'" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "and 20 more" in Fabric.line([1] * 60).summary()
