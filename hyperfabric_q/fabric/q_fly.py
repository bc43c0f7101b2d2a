"""Groups of QPU nodes around group switches, any two of which are joined: Q-Fly (Sakuma et al., arXiv:2412.09299)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hyperfabric_q.fabric import fields, topology
from hyperfabric_q.fabric.build import CommunicationQubits, qpus
from hyperfabric_q.fabric.fabric import Fabric
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.switch_star import arm_fields, photonic_switch


def q_fly(
    groups: int,
    nodes_per_group: int,
    *,
    data_qubits: int = 1,
    communication_qubits: CommunicationQubits = None,
    measurements_per_group: int | None = None,
    reconfiguration_ns: float = 0.0,
    insertion_loss_db: float = 0.0,
    group_loss_db: float = 0.0,
    pair_fidelity: float = 1.0,
    attempt_ns: float | None = None,
    photon_probability: float = 1.0,
    distance_m: float | None = None,
    group_distance_m: float | None = None,
    node: str | None = None,
    name: str = "Q-Fly",
) -> Fabric:
    """Return QPU nodes ``qpu-0``, ``qpu-1``, ... in groups around ``switch-0``, ``switch-1``, ..., all switches joined.

    Group g holds the nodes g·nodes_per_group to (g+1)·nodes_per_group - 1. A group's switch leads photons of its nodes
    to the measurements which the group shares, or over one fibre to the switch of any other group, so a pair of nodes
    is one elementary link: through one switch within a group, through two between groups.

    Args:
        groups: at least 1.
        nodes_per_group: at least 1.
        data_qubits: of each node.
        communication_qubits: of each node, or one number for all; None = no limit.
        measurements_per_group: Bell measurements that the nodes of a group share, as channels of its switch; None = not
            stated. Each node has one channel.
        reconfiguration_ns: for a switch to turn to another pair of nodes.
        insertion_loss_db: what a photon loses from its node through the switch of its group.
        group_loss_db: what it loses besides, from the switch of one group through that of another.
        pair_fidelity: of memory and photon.
        attempt_ns: duration of an attempt; None = light's way there and back, which takes fibres without losses.
        photon_probability: that an attempt puts a photon into the fibre.
        distance_m: from each node to its switch.
        group_distance_m: between two switches.
        node: a node preset; None = nodes with no gate errors stated.
        name: of the fabric.

    Raises:
        InvalidValue: a figure breaks its rule, there are losses without ``attempt_ns``, or more than 200,000 links.
        UnknownName: no node preset has that name.
    """
    most = topology.MOST_LINKS
    groups = fields.count("groups", groups, "a Q-Fly", least=1, most=most, what="groups")
    each = fields.count("nodes_per_group", nodes_per_group, "a Q-Fly", least=1, most=most, what="nodes per group")
    fields.count("links", groups * each + groups * (groups - 1) // 2, "a Q-Fly", least=1, most=most, what="links")
    ends = qpus([data_qubits] * (groups * each), communication_qubits=communication_qubits, preset=node)
    ends = tuple(replace(end, photonic_channels=1) for end in ends)
    switches = tuple(
        photonic_switch(f"switch-{group}", channels=measurements_per_group, reconfiguration_ns=reconfiguration_ns)
        for group in range(groups)
    )
    arm = arm_fields(
        pair_fidelity=pair_fidelity,
        attempt_ns=attempt_ns,
        photon_probability=photon_probability,
        loss_db=insertion_loss_db,
        distance_m=distance_m,
    )
    between = arm_fields(
        pair_fidelity=1.0,
        attempt_ns=attempt_ns,
        photon_probability=1.0,
        loss_db=group_loss_db,
        distance_m=group_distance_m,
    )
    links = [Link(end.node_id, switches[index // each].node_id, **arm) for index, end in enumerate(ends)]
    links += [Link(a.node_id, b.node_id, **between) for a, b in combinations(switches, 2)]
    return Fabric(nodes=(*ends, *switches), links=tuple(links), name=name)
