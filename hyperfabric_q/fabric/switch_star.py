"""QPU nodes around one photonic switch, which joins any two of them by a Bell measurement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.build import QPU_BANDWIDTH_GBPS, QPU_LATENCY_NS, Capacities, CommunicationQubits, qpus
from hyperfabric_q.fabric.fabric import Fabric
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import HardwareType, NodeSignature

MOST_LOSS_DB: Final = 100.0


def passed(loss_db: float) -> float:
    """Return the share of photons that a loss of ``loss_db`` decibels leaves, 10^(-loss/10)."""
    return float(10 ** (-loss_db / 10))


def photonic_switch(
    node_id: str, *, channels: int | None, reconfiguration_ns: float | None, bandwidth_gbps: float = QPU_BANDWIDTH_GBPS
) -> NodeSignature:
    """Return a photonic switch with that many channels; None = one for whoever asks.

    Raises:
        InvalidValue: a figure breaks its rule, or there is no channel.
    """
    if channels is not None:
        channels = fields.count("channels", channels, f"switch {node_id!r}", least=1, what="channels")
    return NodeSignature(
        node_id,
        HardwareType.PHOTONIC_SWITCH,
        bandwidth_gbps,
        QPU_LATENCY_NS,
        photonic_channels=channels,
        reconfiguration_ns=reconfiguration_ns,
    )


def arm_fields(
    *,
    pair_fidelity: float,
    attempt_ns: float | None,
    photon_probability: float,
    loss_db: float,
    distance_m: float | None,
) -> dict[str, Any]:
    """Return the fields of a link from a node's memory to a switch, or between two switches.

    Args:
        pair_fidelity: of memory and photon, or 1 where the fibre keeps the photon as it is.
        attempt_ns: duration of an attempt; None = light's way there and back, without losses.
        photon_probability: that an attempt puts a photon into the fibre.
        loss_db: what fibre and switch then lose.
        distance_m: of fibre.

    Raises:
        InvalidValue: a figure breaks its rule, or there are losses and no attempts to count them by.
    """
    probability = fields.number("photon_probability", photon_probability, "an arm", above=True, most=1)
    loss_db = fields.number("insertion_loss_db", loss_db, "an arm", most=MOST_LOSS_DB, unit="dB")
    arriving = probability * passed(loss_db)
    rows: dict[str, Any] = {"pair_fidelity": pair_fidelity, "distance_m": distance_m}
    if attempt_ns is not None:
        least, most = 1e-3, fields.LONGEST_NS
        attempt_ns = fields.number("attempt_ns", attempt_ns, "an arm", least=least, most=most, unit="ns")
        return rows | {"pair_attempt_ns": attempt_ns, "pair_rate_hz": arriving / attempt_ns * 1e9}
    if arriving < 1:
        raise InvalidValue(
            field="attempt_ns",
            value=None,
            rule=f"{arriving:.4g} of the photons arrive, and how often one is sent is not stated",
            remedy="Give attempt_ns, or leave out loss and photon_probability.",
        )
    return rows


def switch_star(
    capacities: Capacities,
    *,
    communication_qubits: CommunicationQubits = None,
    channels: int | None = None,
    reconfiguration_ns: float = 0.0,
    insertion_loss_db: float = 0.0,
    pair_fidelity: float = 1.0,
    attempt_ns: float | None = None,
    photon_probability: float = 1.0,
    distance_m: float | None = None,
    node: str | None = None,
    name: str = "switch star",
) -> Fabric:
    """Return QPU nodes ``qpu-0``, ``qpu-1``, ... and ``switch-0``, which each of them reaches by one fibre.

    A pair of nodes succeeds with probability (photon_probability · 10^(-loss/10))² / 2 per attempt, the half for the
    linear-optics Bell measurement (``hyperfabric_q.entanglement.links``). One photon passes the switch in either arm,
    so the loss counts twice.

    Args:
        capacities: data qubits of each node.
        communication_qubits: of each node, or one number for all; None = no limit.
        channels: how many pairs the switch can try for at once; None = not stated. Each node has one channel.
        reconfiguration_ns: to turn to another pair of nodes.
        insertion_loss_db: what a photon loses from node to measurement, fibre and switch together.
        pair_fidelity: of memory and photon.
        attempt_ns: duration of an attempt; None = light's way there and back, which takes an arm without losses.
        photon_probability: that an attempt puts a photon into the fibre.
        distance_m: from each node to the switch.
        node: a node preset; None = nodes with no gate errors stated.
        name: of the fabric.

    Raises:
        InvalidValue: a figure breaks its rule, or there are losses without ``attempt_ns``.
        UnknownName: no node preset has that name.
    """
    ends = tuple(
        replace(each, photonic_channels=1)
        for each in qpus(capacities, communication_qubits=communication_qubits, preset=node)
    )
    switch = photonic_switch("switch-0", channels=channels, reconfiguration_ns=reconfiguration_ns)
    rows = arm_fields(
        pair_fidelity=pair_fidelity,
        attempt_ns=attempt_ns,
        photon_probability=photon_probability,
        loss_db=insertion_loss_db,
        distance_m=distance_m,
    )
    links = tuple(Link(end.node_id, switch.node_id, **rows) for end in ends)
    return Fabric(nodes=(*ends, switch), links=links, name=name)
