"""Any annotated stim circuit as an experiment, on one device or over a fabric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import stim
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement.state import check_weights
from hyperfabric_q.errors import InvalidValue, NoQuantumPath, UnknownName
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, Experiment, LinkKind, LinkUse
from hyperfabric_q.workloads.qec.instructions import instructions_of, parts_of
from hyperfabric_q.workloads.qec.links import Distributed, distribute, werner_weights, with_weights

MOST_INSTRUCTIONS: Final = 2_000_000
"""Instructions of a circuit whose loops have to be written out."""

Pairs: TypeAlias = float | ArrayLike | Mapping[tuple[str, str], float | Sequence[float]]
"""States of pairs: a Werner fidelity, four weights, weights of every use, or one of the first two per pair of nodes."""


def from_stim(
    circuit: stim.Circuit,
    placement: Mapping[int, str] | None = None,
    round_coord: int | Sequence[int] = -1,
    *,
    link: LinkKind = "teleported",
    fabric: Fabric | None = None,
    pairs: Pairs | None = None,
    keep_gate_noise: bool = False,
    code: str = "custom",
    distance: int | None = None,
    basis: str = "Z",
    noise: str = "given",
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return an experiment made of any stim circuit with detectors and observables.

    Without gates between nodes the circuit stays as it is, loops included.

    Args:
        circuit: with its own noise; any code.
        placement: node of each qubit; qubits left out are on every node. None = one device.
        round_coord: which coordinate of a detector is its round, or the round of each detector.
        link: how gates between nodes are done.
        fabric: its links give the pairs their states, and its nodes must be those of the placement.
        pairs: states of the pairs; they win over the fabric's. None of both = perfect pairs.
        keep_gate_noise: whether two-qubit noise right after a crossing gate stays, beside that of its pair.
        code: name for results.
        distance: for results.
        basis: for results.
        noise: name of the circuit's noise, for results.
        cycle_ns: duration of a round.

    Raises:
        InvalidValue: detectors without a round, a placement of qubits that are not there, or a circuit without
            observables.
        UnknownName: a node of the placement is not in the fabric.
        NoQuantumPath: a gate crosses between nodes that share no quantum link.
        UnsupportedOperation: an operation across nodes that a link cannot carry.
    """
    if not circuit.num_observables:
        raise InvalidValue(field="circuit", value="no OBSERVABLE_INCLUDE", rule="an experiment has an observable")
    node_of = _nodes(circuit, placement or {}, fabric)
    timed = with_rounds_last(circuit, round_coord)
    if len(set(node_of) - {""}) > 1:
        timed = _flat(timed)
        made = distribute(timed, node_of, link, keep_gate_noise=keep_gate_noise)
    else:
        made = Distributed(timed, node_of, ())
    experiment = Experiment(
        circuit=made.circuit,
        node_of=made.node_of,
        rounds=_rounds(made.circuit),
        code=code,
        distance=distance,
        basis=basis,
        noise=noise,
        cycle_ns=cycle_ns,
        links=made.links,
        metadata={"link": link} if made.links else {},
    )
    if not made.links or (pairs is None and fabric is None):
        return experiment
    return with_weights(experiment, use_weights(made.links, pairs, fabric))


def use_weights(links: Sequence[LinkUse], pairs: Pairs | None, fabric: Fabric | None) -> ArrayLike:
    """Return weights for ``with_weights``, from what was said of the pairs or else from the fabric's links.

    Raises:
        NoQuantumPath: two nodes share no link of the fabric and no pair was described.
        InvalidValue: the description does not fit.
    """
    if pairs is None and fabric is None:
        return (1.0, 0.0, 0.0, 0.0)
    if pairs is not None and not isinstance(pairs, Mapping):
        return _one(pairs)
    of_nodes: dict[tuple[str, str], ArrayLike] = {}
    for nodes in {use.nodes for use in links}:
        given = None if pairs is None else pairs.get(nodes, pairs.get(nodes[::-1]))
        if given is not None:
            of_nodes[nodes] = _one(given)
            continue
        joined = None if fabric is None else fabric.link(*nodes)
        if joined is None or joined.pair_weights is None:
            reason = "a gate of the circuit crosses between them and no quantum link joins them"
            raise NoQuantumPath(a=nodes[:1], b=nodes[1:], reason=reason)
        of_nodes[nodes] = joined.pair_weights
    return np.array([of_nodes[use.nodes] for use in links])


def with_rounds_last(circuit: stim.Circuit, round_coord: int | Sequence[int] = -1) -> stim.Circuit:
    """Return the circuit with the round of each detector as its last coordinate.

    Raises:
        InvalidValue: a detector has no such coordinate, or there are more or fewer rounds than detectors.
    """
    if isinstance(round_coord, int) and round_coord == -1:
        return circuit
    flat = _flat(circuit)
    if not isinstance(round_coord, int) and len(round_coord) != flat.num_detectors:
        rule = f"the circuit has {flat.num_detectors} detectors, and each has a round"
        raise InvalidValue(field="round_coord", value=len(round_coord), rule=rule)
    timed, detector = stim.Circuit(), 0
    for each in instructions_of(flat):
        if each.name != "DETECTOR":
            timed.append(each)
            continue
        place = each.gate_args_copy()
        if not isinstance(round_coord, int):
            place.append(float(round_coord[detector]))
        elif -len(place) <= round_coord < len(place):
            place.append(place.pop(round_coord))
        else:
            rule = f"detector {detector} has {len(place)} coordinates"
            remedy = "Give the round of each detector as a list."
            raise InvalidValue(field="round_coord", value=round_coord, rule=rule, remedy=remedy)
        timed.append("DETECTOR", each.targets_copy(), place, tag=each.tag)
        detector += 1
    return timed


def _one(given: float | ArrayLike) -> ArrayLike:
    array = np.asarray(given, dtype=np.float64)
    return werner_weights(array) if array.ndim == 0 else check_weights(array)


def _nodes(circuit: stim.Circuit, placement: Mapping[int, str], fabric: Fabric | None) -> tuple[str, ...]:
    outside = [qubit for qubit in placement if not 0 <= qubit < circuit.num_qubits]
    if outside:
        rule = f"the circuit has qubits 0 to {circuit.num_qubits - 1}"
        raise InvalidValue(field="placement", value=outside[0], rule=rule)
    if fabric is not None:
        known = tuple(node.node_id for node in fabric.nodes)
        for name in placement.values():
            if name and name not in known:
                raise UnknownName(kind="node", name=name, known=known)
    return tuple(placement.get(qubit, "") for qubit in range(circuit.num_qubits))


def _rounds(circuit: stim.Circuit) -> int:
    """Rounds of syndrome: detectors of the final readout come after the last of them."""
    coordinates = circuit.get_detector_coordinates()
    return max(1, int(max((place[-1] for place in coordinates.values() if place), default=1)))


def _flat(circuit: stim.Circuit) -> stim.Circuit:
    size = _size(circuit)
    if size > MOST_INSTRUCTIONS:
        rule = f"loops are written out to at most {MOST_INSTRUCTIONS:,} instructions"
        raise InvalidValue(field="circuit", value=size, rule=rule, remedy="Give a circuit of fewer rounds.")
    return circuit.flattened()


def _size(circuit: stim.Circuit) -> int:
    total = 0
    for each in parts_of(circuit):
        if isinstance(each, stim.CircuitRepeatBlock):
            total += each.repeat_count * _size(each.body_copy())
        else:
            total += 1
    return total
