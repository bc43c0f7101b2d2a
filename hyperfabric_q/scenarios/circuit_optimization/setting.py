"""The scenario's circuits, whose outcomes are known beforehand, and its QPUs around a photonic switch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from hyperfabric_q import Fabric, HardwareType, Link, NodeSignature, entanglement
from hyperfabric_q.errors import HyperFabricError, UnknownName
from hyperfabric_q.fabric import fields
from hyperfabric_q.scenarios.context import current_world

COLUMNS: Final = 20
"""Of the grid of a cluster state, at most."""

TURN: Final = 0.7
"""Angle of the kicks of the shallow circuit."""

FAMILIES: Final = ("cluster", "kicked")


def create_large_quantum_circuit(qubits: int = 2000, *, family: str = "cluster") -> QuantumCircuit:
    """Return a circuit that is shallow, entangles all qubits, and whose outcome is known beforehand.

    "cluster" is a cluster state on a grid, 20 columns wide, with a sign drawn for each qubit: where row and column add
    up to an even number it is measured along X, else along Z, so that each even qubit and its neighbours have a parity
    that is known (``checks_of``). "kicked" is one step of a kicked Ising chain from states drawn at random, which is no
    Clifford circuit; each qubit's mean then depends on three qubits.

    Args:
        qubits: at least 2.
        family: which of the two.

    Raises:
        InvalidValue: there are fewer than 2 qubits.
        UnknownName: there is no such family.
    """
    qubits = fields.count("qubits", qubits, "a circuit that entangles", least=2, what="qubits")
    if family not in FAMILIES:
        raise UnknownName(kind="family", name=str(family), known=FAMILIES)
    rng = current_world().stream("circuit_optimization")
    circuit = QuantumCircuit(qubits, qubits, name=f"{family}-{qubits}")
    if family == "cluster":
        circuit.h(range(qubits))
        for a, b in _grid(qubits):
            circuit.cz(a, b)
        signs = rng.integers(0, 2, qubits)
        circuit.z([int(each) for each in np.flatnonzero(signs)])
        circuit.h([each for each in range(qubits) if _even(each, qubits)])
        circuit.metadata = {"signs": [1 - 2 * int(each) for each in signs]}
    else:
        angles = rng.uniform(0, math.pi, qubits)
        for each in range(qubits):
            circuit.ry(float(angles[each]), each)
        for first in (0, 1):
            for each in range(first, qubits - 1, 2):
                circuit.cz(each, each + 1)
        circuit.ry(TURN, range(qubits))
        circuit.metadata = {"means": _kicked(angles)}
    circuit.measure(range(qubits), range(qubits))
    return circuit


def _kicked(angles: NDArray[np.float64]) -> list[float]:
    """The mean of Z of each qubit: a kick takes Z to cos Z - sin X, and the gates X to X times Z of both neighbours."""
    beside = np.concatenate([[1.0], np.cos(angles), [1.0]])
    return [
        float(math.cos(TURN) * math.cos(each) - math.sin(TURN) * math.sin(each) * before * after)
        for each, before, after in zip(angles, beside[:-2], beside[2:], strict=True)
    ]


def _columns(qubits: int) -> int:
    return min(COLUMNS, math.ceil(math.sqrt(qubits)))


def _even(qubit: int, qubits: int) -> bool:
    row, column = divmod(qubit, _columns(qubits))
    return (row + column) % 2 == 0


def _grid(qubits: int) -> list[tuple[int, int]]:
    wide = _columns(qubits)
    beside = [(each, each + 1) for each in range(qubits - 1) if (each + 1) % wide]
    return beside + [(each, each + wide) for each in range(qubits - wide)]


def checks_of(circuit: QuantumCircuit) -> tuple[list[list[int]], list[int]]:
    """Return the parities of a cluster state that are known: bits of each, and its sign, +1 or -1."""
    qubits, signs = circuit.num_qubits, circuit.metadata["signs"]
    near: dict[int, list[int]] = {each: [each] for each in range(qubits)}
    for a, b in _grid(qubits):
        near[a].append(b)
        near[b].append(a)
    middles = [each for each in range(qubits) if _even(each, qubits)]
    return [near[each] for each in middles], [signs[each] for each in middles]


def qpu_fabric(capacities: Sequence[int] = (1000, 500), *, channels: int = 128) -> Fabric:
    """Return QPUs of so many data qubits around one photonic switch, which takes photons from each of them.

    Times and errors of gates, and fibres of which one photon in ten arrives, are stated here and measured nowhere.

    Args:
        capacities: the first QPU keeps its state for 100 µs, the others for 150 µs.
        channels: of the switch; QPUs share them evenly.
    """
    each = max(1, channels // max(1, len(capacities)))
    names = ("ibm-qpu-01", "google-qpu-01", *(f"qpu-{number:02d}" for number in range(3, len(capacities) + 1)))
    qpus = [
        NodeSignature(
            name,
            HardwareType.QUANTUM_QPU,
            bandwidth_gbps=10 if number == 0 else 15,
            latency_ns=50 if number == 0 else 30,
            quantum_coherence_time_us=100.0 if number == 0 else 150.0,
            compute_units=qubits,
            photonic_channels=each,
            gate_1q_ns=20.0,
            gate_2q_ns=50.0,
            readout_ns=300.0,
            reset_ns=200.0,
            gate_error_1q=1e-4,
            gate_error_2q=1e-3,
            readout_error=2e-3,
        )
        for number, (name, qubits) in enumerate(zip(names, capacities, strict=False))
    ]
    switch = NodeSignature(
        "photonic-qpu-01",
        HardwareType.PHOTONIC_SWITCH,
        bandwidth_gbps=1000,
        latency_ns=10,
        photonic_channels=channels,
        quantum_coherence_time_us=1000.0,
    )
    arms = tuple(
        Link(qpu.node_id, switch.node_id, pair_fidelity=0.995, pair_attempt_ns=100.0, pair_rate_hz=1e6) for qpu in qpus
    )
    return Fabric(nodes=(*qpus, switch), links=arms)


def through_switches(fabric: Fabric) -> Fabric:
    """Return the QPUs of a fabric alone, joined by the pairs that its switches can give them.

    A switch has no qubits: it joins two fibres by a Bell measurement, which is one link from QPU to QPU.
    """
    qpus = tuple(node for node in fabric.qpu_nodes if node.data_qubits)
    names = {node.node_id for node in qpus}
    links = {link.ends: link for link in fabric.links if set(link.ends) <= names and link.quantum}
    for a, b in combinations(sorted(names), 2):
        if (a, b) in links:
            continue
        try:
            way = entanglement.best_path(fabric, a, b)
        except HyperFabricError:  # no path, or none that is entangled: then there is no link
            continue
        if way.hops == 1:
            [link] = way.links
            attempt_ns = link.attempt_ps / 1000
            links[a, b] = Link(a, b, pair_weights=link.weights, pair_attempt_ns=attempt_ns, pair_rate_hz=link.rate_hz)
    return Fabric(nodes=qpus, links=tuple(links.values()))
