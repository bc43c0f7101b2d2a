"""A mapping that another compiler chose, as a placement that is lowered, replayed and timed like our own.

The mapping says on which node each qubit is, once for all or in every layer, and may say where each gate runs. Layers
are those of the circuit as it is given: each instruction but a barrier takes one, as early as its qubits and bits
allow, so there are as many as the circuit is deep without its barriers.

A home changes between two segments of a qubit only; where the mapping moves a qubit inside a segment, that is a copy,
which the gates of those layers run on, and which the next segment may begin with. What the mapping leaves open, the
site of a gate whose qubits are apart, is chosen in its favour: by a minimum cover between each two nodes, or an end of
each gate, and greedy sweeps. A compiler that runs gates on third nodes on purpose has to say so in its sites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeGuard

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.chapters import Chapters, chapters_of, cost_in_time, occupancy
from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.place import Placement
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.segments import Segments, segments_of
from hyperfabric_q.distribution.sites import allowed_sites, cover_sites, improve_sites
from hyperfabric_q.distribution.steps import Step, ebits_of, steps_of
from hyperfabric_q.errors import InternalError, InvalidValue, NotEnoughCommunicationQubits, UnknownName
from hyperfabric_q.fabric.fields import is_whole

Nodes: TypeAlias = Sequence[str] | Mapping[int, str]
"""The node id of each qubit."""

GivenHomes: TypeAlias = Nodes | Sequence[Nodes]
"""The node id of each qubit, for the whole circuit or for each of its layers."""

GivenSites: TypeAlias = Mapping[int, str]
"""The node id of each two-qubit instruction, by its index in the circuit."""

LARGEST_TABLE: Final = 50_000_000
"""Layers times qubits of a mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mapping:
    """What was given, as arrays.

    Attributes:
        table: node of each qubit in each layer, shape (layers, qubits); one layer when the homes are fixed.
        when: row of the table for each gate, shape (g,).
        sites: node of each gate, -1 where it is left open, shape (g,).
    """

    table: IntArray
    when: IntArray
    sites: IntArray


def given_placement(
    circuit: QuantumCircuit,
    program: Program,
    network: Network,
    *,
    homes: GivenHomes,
    sites: GivenSites | None = None,
) -> Placement:
    """Return the placement that carries out a given mapping with the fewest e-bits found; O(layers x qubits + gates).

    Args:
        circuit: the circuit that was mapped.
        program: the same after the rebase.
        network: the QPU nodes.
        homes: node id of each qubit, as a list or by qubit; or a list of such, one for each layer of the circuit.
        sites: node id of two-qubit instructions by their index in ``circuit.data``; where an instruction is not named,
            the site is chosen. Gates that the rebase merges run at the site of the first of them.

    Raises:
        InvalidValue: the mapping does not fit the circuit, or puts more qubits on a node than it holds.
        UnknownName: it names a node that the network does not have.
        NotEnoughCommunicationQubits: its crossings need more of them than a node has.
        NoQuantumPath: it joins qubits on nodes that no quantum links join.
    """
    chapters = chapters_of(program, segments_of(program))
    given = _read(circuit, program, chapters, network, homes, sites)
    in_time, idle_homes = _homes_in_time(chapters, network, given)
    found = [
        (cost_in_time(chapters, network, in_time, each), each) for each in _sites(chapters, network, given, in_time)
    ]
    best: tuple[int, IntArray, tuple[Step, ...]] | None = None
    refusal: NotEnoughCommunicationQubits | None = None
    for price, choice in sorted(found, key=lambda pair: pair[0]):
        if best is not None and price >= best[0]:
            break
        try:
            steps = steps_of(program, chapters, network, in_time, idle_homes, choice)
        except NotEnoughCommunicationQubits as fault:
            refusal = refusal or fault
            continue
        used = ebits_of(steps)
        if best is None or used < best[0]:
            best = used, choice, steps
    if best is None:
        raise refusal or InternalError(what="no choice of sites was tried")
    entry = chapters.entry_homes(in_time, idle_homes)
    return Placement(homes=entry, sites=best[1], steps=best[2], start="given mapping")


def instruction_layers(circuit: QuantumCircuit) -> tuple[list[int], int]:
    """Return the layer of each instruction, -1 for a barrier, and how many layers there are; O(instructions)."""
    free: dict[object, int] = {}
    layers: list[int] = []
    for instruction in circuit.data:
        if instruction.operation.name == "barrier":
            layers.append(-1)
            continue
        bits = (*instruction.qubits, *instruction.clbits)
        layer = max((free.get(bit, 0) for bit in bits), default=0)
        free.update(dict.fromkeys(bits, layer + 1))
        layers.append(layer)
    return layers, max(layers, default=-1) + 1


# ------------------------------------------------------------------------------------------------------------ reading


def _read(
    circuit: QuantumCircuit,
    program: Program,
    chapters: Chapters,
    network: Network,
    homes: GivenHomes,
    sites: GivenSites | None,
) -> _Mapping:
    index = {name: position for position, name in enumerate(network.names)}
    layer_of, layers = instruction_layers(circuit)
    rows = _rows(homes, layers, program.qubits)
    table = np.empty((len(rows), program.qubits), dtype=np.int32)
    for layer, row in enumerate(rows):
        table[layer] = [_node(row[qubit], index) for qubit in range(program.qubits)]
        for node, held in enumerate(np.bincount(table[layer], minlength=len(network)).tolist()):
            if held > network.capacity[node]:
                place = f" in layer {layer}" if len(rows) > 1 else ""
                raise InvalidValue(
                    field="homes",
                    value=f"{held} qubits on {network.names[node]!r}{place}",
                    rule=f"that node has {network.capacity[node]} data qubits",
                )
    origin = program.origin[chapters.segments.gate_row]
    when = np.zeros(len(origin), dtype=np.int32)
    if len(rows) > 1:
        when = np.array(layer_of, dtype=np.int32)[origin]
    wanted = np.full(len(circuit.data) + 1, -1, dtype=np.int32)
    for instruction, name in _checked_sites(circuit, sites).items():
        wanted[instruction] = _node(name, index)
    return _Mapping(table=table, when=when, sites=wanted[origin])


def _node(name: object, index: Mapping[str, int]) -> int:
    if not isinstance(name, str) or name not in index:
        raise UnknownName(kind="QPU node with data qubits", name=str(name)[:80], known=tuple(index))
    return index[name]


def _rows(homes: object, layers: int, qubits: int) -> list[dict[int, object]]:
    """The homes as one mapping per layer; one alone when they are fixed."""
    wanted = InvalidValue(
        field="homes",
        value=homes,
        rule=f"it must name one node for each of the qubits 0..{qubits - 1}, once or for each layer of the circuit",
    )
    if not _listed(homes):
        raise wanted
    if isinstance(homes, Mapping):
        rows: list[object] = [homes]
    else:
        listed = list(homes)
        rows = [listed] if all(isinstance(each, str) for each in listed) else listed
    if len(rows) not in (1, layers):
        raise InvalidValue(
            field="homes",
            value=f"{len(rows)} layers",
            rule=f"the circuit has {layers} layers (its depth without barriers)",
            remedy="Give one assignment per layer of this very circuit, or one for all.",
        )
    if len(rows) * qubits > LARGEST_TABLE:
        raise InvalidValue(field="homes", value=len(rows), rule=f"at most {LARGEST_TABLE} homes are read")
    found: list[dict[int, object]] = []
    for row in rows:
        if not _listed(row):
            raise wanted
        found.append(dict(row) if isinstance(row, Mapping) else dict(enumerate(row)))
        if len(found[-1]) != qubits or any(qubit not in found[-1] for qubit in range(qubits)):
            raise wanted
    return found


def _listed(value: object) -> TypeGuard[Sequence[object] | Mapping[int, object]]:
    """Whether a value lists something and ends."""
    return isinstance(value, Mapping | Sequence | np.ndarray) and not isinstance(value, str | bytes)


def _checked_sites(circuit: QuantumCircuit, sites: object) -> Mapping[int, object]:
    if sites is None:
        return {}
    if not isinstance(sites, Mapping):
        raise InvalidValue(field="sites", value=sites, rule="it maps indices of instructions to node ids")
    for instruction in sites:
        if not is_whole(instruction) or not 0 <= instruction < len(circuit.data):
            rule = f"instructions of this circuit are numbered 0 to {len(circuit.data) - 1}"
            raise InvalidValue(field="sites", value=instruction, rule=rule)
        operation = circuit.data[instruction]
        if len(operation.qubits) < 2 or operation.operation.name == "barrier":
            rule = (
                f"instruction {instruction} is {operation.operation.name!r}; only a gate on several qubits has a site"
            )
            raise InvalidValue(field="sites", value=instruction, rule=rule)
    return sites


# -------------------------------------------------------------------------------------------------------------- homes


def _homes_in_time(chapters: Chapters, network: Network, given: _Mapping) -> tuple[IntArray, IntArray]:
    """Return (homes, idle_homes): where the mapping has each qubit at the first gate of its segment.

    A segment may be longer than the layers in which the mapping has its qubit there. Where a node would then hold too
    many, segments are at home at other nodes that the mapping has them on, and in the worst case qubits begin and end
    where the mapping does. In between, a qubit may wait in a communication qubit until there is room.

    Raises:
        InvalidValue: the first or the last homes do not fit all the same.
    """
    segments, table = chapters.segments, given.table
    if len(table) == 1:
        return chapters.still(table[0])
    idle_homes = np.where(chapters.idle, table[0], -1).astype(np.int32)
    begins = np.full(len(segments), len(table), dtype=np.int32)
    np.minimum.at(begins, segments.gate_segments.ravel(), np.repeat(given.when, 2))
    last = chapters.next_of < 0
    stops = np.maximum(np.where(last, len(table), begins[chapters.next_of]), begins + 1)
    homes = table[begins, segments.qubit].astype(np.int32)
    begins[chapters.first_of[~chapters.idle]] = 0
    ends = np.where(last & (begins > 0), table[-1, segments.qubit], table[begins, segments.qubit])
    inner = np.where(last | (begins == 0), ends, homes).astype(np.int32)
    found = [_fitted(chapters, network, table, (begins, stops), each, idle_homes) for each in (homes, inner)]
    excess = [_excess(chapters, network, each, idle_homes) for each in found]
    for each, (fault, _) in zip(found, excess, strict=True):
        if not fault:
            return each, idle_homes
    raise InvalidValue(
        field="homes",
        value=excess[0][0],
        rule=f"it has room for {excess[0][1]}, when qubits move between segments only",
        remedy="Move qubits where a gate that is not diagonal ends their copies.",
    )


def _fitted(
    chapters: Chapters,
    network: Network,
    table: IntArray,
    span: tuple[IntArray, IntArray],
    homes: IntArray,
    idle_homes: IntArray,
) -> IntArray:
    """Return ``homes`` after segments left nodes that are too full for others that the mapping has their qubit on."""
    homes, qubit = homes.copy(), chapters.segments.qubit
    held = occupancy(chapters, homes, idle_homes, len(network))
    room = np.array(network.capacity, dtype=np.int32)[:, None]
    for node, layer in np.argwhere(held > room).tolist():
        for segment in np.flatnonzero((homes == node) & (chapters.begins <= layer) & (layer < chapters.ends)).tolist():
            if held[node, layer] <= room[node, 0]:
                break
            inside = slice(int(chapters.begins[segment]), int(chapters.ends[segment]))
            met = table[span[0][segment] : span[1][segment], qubit[segment]]
            for other in dict.fromkeys(met.tolist()):
                if other != node and (held[other, inside] < room[other, 0]).all():
                    held[node, inside] -= 1
                    held[other, inside] += 1
                    homes[segment] = other
                    break
    return homes


def _excess(chapters: Chapters, network: Network, homes: IntArray, idle_homes: IntArray) -> tuple[str, int]:
    """The first node that holds too many at the beginning or at the end, and its room; an empty text for none."""
    held = occupancy(chapters, homes, idle_homes, len(network))
    for layer, name in ((0, "beginning"), (-1, "end")):
        for node, count in enumerate(held[:, layer].tolist()):
            if count > network.capacity[node]:
                return f"{count} qubits on {network.names[node]!r} at the {name}", network.capacity[node]
    return "", 0


# -------------------------------------------------------------------------------------------------------------- sites


def _sites(chapters: Chapters, network: Network, given: _Mapping, homes: IntArray) -> list[IntArray]:
    """Return choices of sites, each of them with what was given."""
    segments = chapters.segments
    fixed = given.sites >= 0
    if fixed.all():
        return [given.sites]
    qubits = segments.gate_qubits
    ends = np.stack([given.table[given.when, qubits[:, side]] for side in (0, 1)], axis=1)
    apart = _by_segment(segments)
    options = [ends[:, 0], ends[:, 1], np.where(ends[:, 0] == ends[:, 1], ends[:, 0], cover_sites(apart, homes))]
    options = [allowed_sites(apart, network, homes, each.astype(np.int32)) for each in options]
    options += [improve_sites(apart, network, homes, each) for each in options]
    return [np.where(fixed, given.sites, each).astype(np.int32) for each in options]


def _by_segment(segments: Segments) -> Segments:
    """The segments as if each were a qubit of its own: what chooses sites for fixed homes then serves homes in time."""
    count = len(segments)
    return replace(segments, qubits=count, qubit=np.arange(count, dtype=np.int32))
