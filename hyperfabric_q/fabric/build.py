"""The nodes and links that the shapes of a fabric are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields, topology
from hyperfabric_q.fabric.backend import read_backend
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import HardwareType, NodeSignature
from hyperfabric_q.fabric.presets import node_preset

Capacities = Sequence[int]
CommunicationQubits = int | Sequence[int | None] | None

QPU_BANDWIDTH_GBPS: Final = 10.0
"""Classical port of the nodes of a shape: one ten-gigabit Ethernet port."""

QPU_LATENCY_NS: Final = 100.0


def qpus(
    capacities: Capacities,
    *,
    communication_qubits: CommunicationQubits,
    preset: str | None,
    size: int | None = None,
) -> tuple[NodeSignature, ...]:
    """Return the nodes ``qpu-0``, ``qpu-1``, ... with the given data qubits.

    Raises:
        InvalidValue: the list is empty or of the wrong length, or a number in it breaks its rule.
        UnknownName: no node preset has that name.
    """
    sized = _numbers("capacities", capacities, "data qubits, one number per node")
    if size is not None and len(sized) != size:
        raise InvalidValue(
            field="capacities", value=capacities, rule=f"this shape has {size} nodes, {len(sized)} are given"
        )
    if not 1 <= len(sized) <= topology.MOST_LINKS:
        rule = f"a shape has at least one node and at most {topology.MOST_LINKS}"
        raise InvalidValue(field="capacities", value=capacities, rule=rule)
    figures: dict[str, Any] = dict(node_preset(preset).fields) if preset is not None else {}
    reserved = _per_node(communication_qubits, len(sized))
    return tuple(
        NodeSignature(
            f"qpu-{index}",
            HardwareType.QUANTUM_QPU,
            QPU_BANDWIDTH_GBPS,
            QPU_LATENCY_NS,
            compute_units=fields.count("capacities", capacity, f"node 'qpu-{index}'", least=1, what="data qubits"),
            communication_qubits=reserved[index],
            **figures,
        )
        for index, capacity in enumerate(sized)
    )


def joined(
    nodes: Sequence[NodeSignature],
    pairs: topology.Pairs,
    *,
    preset: str | None,
    pair_fidelity: float | None,
) -> tuple[Link, ...]:
    """Return one quantum link per pair of indices; without preset and fidelity its Bell pairs are perfect.

    Raises:
        InvalidValue: the fidelity is not in [0.25, 1].
        UnknownName: no link preset has that name.
    """
    fidelity = 1.0 if preset is None and pair_fidelity is None else pair_fidelity
    return tuple(Link(nodes[a].node_id, nodes[b].node_id, preset=preset, pair_fidelity=fidelity) for a, b in pairs)


def backend_nodes(
    backends: Sequence[Any], shape: str, communication_qubits: int | Sequence[int]
) -> tuple[tuple[NodeSignature, ...], topology.Pairs]:
    """Return one QPU node per backend and the pairs of them that ``shape`` joins.

    Raises:
        InvalidValue: a backend cannot be read, or too few of its qubits are left.
        UnknownName: no shape has that name.
    """
    listed = _numbers("backends", backends, "Qiskit backends")
    pairs = topology.shape(shape, len(listed))
    reserved = _per_node(communication_qubits, len(listed))
    names = [read_backend(backend).name for backend in listed]
    shared = {name for name, times in Counter(names).items() if times > 1}
    met: Counter[str] = Counter()
    nodes = []
    for backend, name, qubits in zip(listed, names, reserved, strict=True):
        node_id = f"{name[: fields.LONGEST_ID - 7]}-{met[name]}" if name in shared else name
        met[name] += 1
        # A missing number is judged where every number of communication qubits is judged.
        nodes.append(NodeSignature.from_backend(backend, node_id=node_id, communication_qubits=qubits))  # type: ignore[arg-type]
    return tuple(nodes), pairs


def _per_node(communication_qubits: CommunicationQubits, size: int) -> tuple[int | None, ...]:
    if communication_qubits is None or not isinstance(communication_qubits, Sequence):
        # Whatever else it is, the node's own check says what is wrong with it.
        return (communication_qubits,) * size
    given = _numbers("communication_qubits", communication_qubits, "communication qubits, one number per node")
    if len(given) != size:
        rule = f"there are {size} nodes, so one number or {size} of them are needed"
        raise InvalidValue(field="communication_qubits", value=communication_qubits, rule=rule)
    return given


def _numbers(field: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise InvalidValue(field=field, value=value, rule=f"it is a list of {what}")
    return tuple(value)
