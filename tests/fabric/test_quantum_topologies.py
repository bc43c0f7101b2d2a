"""Topologies with photonic switches: counted by hand, checked with NetworkX, and losses in the rate of the arms."""

import networkx as nx
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, q_fly, quantum_fat_tree, switch_star

SWITCH = HardwareType.PHOTONIC_SWITCH


def switches(fabric):
    return [node for node in fabric.nodes if node.hardware_type is SWITCH]


def test_a_switch_star_has_one_arm_per_node():
    fabric = switch_star([2, 3, 4], communication_qubits=2, channels=5, reconfiguration_ns=70)
    assert fabric.capacity == {"qpu-0": 2, "qpu-1": 3, "qpu-2": 4}
    assert [link.label for link in fabric.links] == [f"qpu-{index}--switch-0" for index in range(3)]
    (switch,) = switches(fabric)
    assert (switch.photonic_channels, switch.reconfiguration_ns) == (5, 70)
    assert {node.photonic_channels for node in fabric.qpu_nodes} == {1}
    assert fabric.quantum_components() == (("qpu-0", "qpu-1", "qpu-2"),)


def test_losses_lower_the_rate_of_an_arm():
    # 10 dB leave a tenth, of a photon in every fourth attempt of 2 µs.
    link = switch_star([1, 1], insertion_loss_db=10, attempt_ns=2_000, photon_probability=0.25).links[0]
    assert link.pair_rate_hz == pytest.approx(0.1 * 0.25 / 2e-6, rel=1e-12)
    assert link.pair_attempt_ns == 2_000
    # 3 dB more between groups leave half of what one switch leaves.
    fabric = q_fly(2, 1, insertion_loss_db=10, group_loss_db=3.0103, attempt_ns=2_000)
    between = fabric.link("switch-0", "switch-1")
    assert between.pair_rate_hz * between.pair_attempt_ns / 1e9 == pytest.approx(0.5, rel=1e-5)
    assert between.pair_fidelity == 1


@pytest.mark.parametrize(("groups", "each"), [(1, 1), (1, 4), (3, 2), (5, 1), (4, 6)])
def test_q_fly_joins_all_groups(groups, each):
    fabric = q_fly(groups, each, measurements_per_group=3)
    graph = fabric.graph(quantum_only=True)
    assert len(fabric.qpu_nodes) == groups * each
    assert len(switches(fabric)) == groups
    assert len(fabric.links) == groups * each + groups * (groups - 1) // 2
    assert nx.is_connected(graph)
    core = graph.subgraph(node.node_id for node in switches(fabric))
    assert nx.is_isomorphic(core, nx.complete_graph(groups))
    # From any node to any other: up, perhaps across, down.
    assert nx.diameter(graph) <= 3
    assert all(graph.degree(node.node_id) == each + groups - 1 for node in switches(fabric))


@pytest.mark.parametrize(("leaves", "each", "spines"), [(1, 1, 1), (2, 3, 1), (4, 2, 3)])
def test_a_quantum_fat_tree_joins_each_leaf_to_each_spine(leaves, each, spines):
    fabric = quantum_fat_tree(leaves, each, spines, spine_qubits=6, spine_gate_error=0.01)
    graph = fabric.graph(quantum_only=True)
    assert len(fabric.links) == leaves * each + leaves * spines
    assert nx.is_connected(graph)
    assert nx.is_bipartite(graph)
    spine = fabric.node("spine-0")
    assert (spine.communication_qubits, spine.gate_error_2q, spine.data_qubits) == (6, 0.01, 0)
    assert set(graph["spine-0"]) == {f"leaf-{index}" for index in range(leaves)}
    assert len(fabric.capacity) == leaves * each


def test_they_survive_a_fabric_file():
    for fabric in (
        switch_star([2, 3], channels=2, reconfiguration_ns=5, attempt_ns=10, insertion_loss_db=1),
        q_fly(3, 2, distance_m=4, group_distance_m=40, node="ion_2022"),
        quantum_fat_tree(2, 2, 2, spine_t2_us=1e6, spine_readout_error=0.01),
    ):
        assert Fabric.from_toml(fabric.to_toml()) == fabric


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: switch_star([]), "capacities"),
        (lambda: switch_star([1], channels=0), "channels"),
        (lambda: switch_star([1], reconfiguration_ns=-1), "reconfiguration_ns"),
        (lambda: switch_star([1], insertion_loss_db=3), "attempt_ns"),
        (lambda: switch_star([1], photon_probability=0.5), "attempt_ns"),
        (lambda: switch_star([1], photon_probability=0, attempt_ns=5), "photon_probability"),
        (lambda: switch_star([1], insertion_loss_db=-1, attempt_ns=5), "insertion_loss_db"),
        (lambda: switch_star([1], insertion_loss_db=float("nan"), attempt_ns=5), "insertion_loss_db"),
        (lambda: switch_star([1], attempt_ns=0), "attempt_ns"),
        (lambda: switch_star([1], pair_fidelity=0.1), "pair_fidelity"),
        (lambda: q_fly(0, 1), "groups"),
        (lambda: q_fly(1, 0), "nodes_per_group"),
        (lambda: q_fly(1_000, 1), "links"),
        (lambda: q_fly(10**9, 10**9), "groups"),
        (lambda: q_fly(2, 1, group_loss_db=1), "attempt_ns"),
        (lambda: quantum_fat_tree(1, 1, 0), "spines"),
        (lambda: quantum_fat_tree(1, 1, 1, spine_qubits=1), "spine_qubits"),
        (lambda: quantum_fat_tree(1_000, 1_000, 1), "links"),
        (lambda: quantum_fat_tree(2.0, 1, 1), "leaves"),
    ],
)
def test_figures_without_meaning_are_refused(build, field):
    with pytest.raises(InvalidValue) as caught:
        build()
    assert caught.value.field == field
