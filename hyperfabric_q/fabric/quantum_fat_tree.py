"""QPU nodes under leaf switches under a spine that swaps: a quantum data centre (Xin and Zhang, arXiv:2509.09653)."""

from __future__ import annotations

from dataclasses import replace

from hyperfabric_q.fabric import fields, topology
from hyperfabric_q.fabric.build import QPU_BANDWIDTH_GBPS, QPU_LATENCY_NS, CommunicationQubits, qpus
from hyperfabric_q.fabric.fabric import Fabric
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import HardwareType, NodeSignature
from hyperfabric_q.fabric.switch_star import arm_fields, photonic_switch


def quantum_fat_tree(
    leaves: int,
    nodes_per_leaf: int,
    spines: int,
    *,
    data_qubits: int = 1,
    communication_qubits: CommunicationQubits = None,
    spine_qubits: int = 2,
    spine_gate_error: float | None = None,
    spine_readout_error: float | None = None,
    spine_t2_us: float | None = None,
    channels: int | None = None,
    reconfiguration_ns: float = 0.0,
    insertion_loss_db: float = 0.0,
    pair_fidelity: float = 1.0,
    attempt_ns: float | None = None,
    photon_probability: float = 1.0,
    distance_m: float | None = None,
    node: str | None = None,
    name: str = "quantum fat tree",
) -> Fabric:
    """Return QPU nodes ``qpu-0``, ... under ``leaf-0``, ..., each leaf joined to each spine, ``spine-0``, ...

    Leaf l holds the nodes l·nodes_per_leaf to (l+1)·nodes_per_leaf - 1. Leaves are photonic switches: two nodes under
    one leaf make pairs through it. Spines have memory and swap: two nodes under different leaves have a chain of two
    elementary links over any spine, each through one leaf. A spine is a ``CPU_SERVER`` with communication qubits, since
    it holds no data qubits.

    Args:
        leaves: at least 1.
        nodes_per_leaf: at least 1.
        spines: at least 1.
        data_qubits: of each QPU node.
        communication_qubits: of each QPU node, or one number for all; None = no limit.
        spine_qubits: communication qubits of each spine, at least 2.
        spine_gate_error: average infidelity of a spine's two-qubit gates; None = ideal.
        spine_readout_error: probability that a bit measured at a spine is wrong; None = ideal.
        spine_t2_us: dephasing time of a spine's memory; None = it does not decay.
        channels: how many pairs a leaf can try for at once; None = not stated. Each QPU node has one channel.
        reconfiguration_ns: for a leaf to turn to another pair.
        insertion_loss_db: what a photon loses from its memory to the measurement, fibre and leaf together.
        pair_fidelity: of memory and photon.
        attempt_ns: duration of an attempt; None = light's way there and back, which takes fibres without losses.
        photon_probability: that an attempt puts a photon into the fibre.
        distance_m: of each fibre.
        node: a node preset for the QPU nodes; None = nodes with no gate errors stated.
        name: of the fabric.

    Raises:
        InvalidValue: a figure breaks its rule, there are losses without ``attempt_ns``, or more than 200,000 links.
        UnknownName: no node preset has that name.
    """
    most = topology.MOST_LINKS
    leaves = fields.count("leaves", leaves, "a fat tree", least=1, most=most, what="leaves")
    each = fields.count("nodes_per_leaf", nodes_per_leaf, "a fat tree", least=1, most=most, what="nodes per leaf")
    spines = fields.count("spines", spines, "a fat tree", least=1, most=most, what="spines")
    fields.count("links", leaves * (each + spines), "a fat tree", least=1, most=most, what="links")
    ends = qpus([data_qubits] * (leaves * each), communication_qubits=communication_qubits, preset=node)
    ends = tuple(replace(end, photonic_channels=1) for end in ends)
    switches = tuple(
        photonic_switch(f"leaf-{leaf}", channels=channels, reconfiguration_ns=reconfiguration_ns)
        for leaf in range(leaves)
    )
    swappers = tuple(
        NodeSignature(
            f"spine-{spine}",
            HardwareType.CPU_SERVER,
            QPU_BANDWIDTH_GBPS,
            QPU_LATENCY_NS,
            communication_qubits=fields.count("spine_qubits", spine_qubits, "a spine", least=2, what="qubits to swap"),
            gate_error_2q=spine_gate_error,
            readout_error=spine_readout_error,
            t2_us=spine_t2_us,
        )
        for spine in range(spines)
    )
    fibre = arm_fields(
        pair_fidelity=pair_fidelity,
        attempt_ns=attempt_ns,
        photon_probability=photon_probability,
        loss_db=insertion_loss_db,
        distance_m=distance_m,
    )
    links = [Link(end.node_id, switches[index // each].node_id, **fibre) for index, end in enumerate(ends)]
    links += [Link(leaf.node_id, spine.node_id, **fibre) for leaf in switches for spine in swappers]
    return Fabric(nodes=(*ends, *switches, *swappers), links=tuple(links), name=name)
