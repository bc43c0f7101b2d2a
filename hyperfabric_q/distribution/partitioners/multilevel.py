"""Placements from Mt-KaHyPar, the multilevel hypergraph partitioner (Gottesbüren et al. 2021), deterministic preset.

Vertices are qubits and gates, nets are segments with their home: minimising the connectivity of the nets is minimising
e-bits. Gates weigh nothing, so the block capacities are exactly the data qubits of the nodes. The deterministic preset
ignores its seed; different starts come from permuting the vertices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

import mtkahypar
import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.distribution.segments import Segments
from hyperfabric_q.seeds import stream

Order: TypeAlias = NDArray[np.int64]

MAPPED_NODES = 24
"""Largest network whose links the partitioner itself looks at; for larger ones it minimises the plain connectivity."""


@cache
def _engine() -> Any:
    """The partitioner's runtime; one thread, since its answer must not depend on the machine."""
    return mtkahypar.initialize(1)


def orders(segments: Segments, starts: int, seed: int) -> Iterator[Order]:
    """Yield ``starts`` orders of the vertices; those that follow the circuit, forwards and backwards, come first."""
    qubits = np.arange(segments.qubits)
    gates = np.arange(segments.qubits, segments.qubits + len(segments.gate_row))
    along = [np.concatenate(pair) for q in (1, -1) for g in (1, -1) for pair in _both(qubits[::q], gates[::g])]
    yield from along[:starts]
    for start in range(len(along), starts):
        yield stream(seed, "partition", start).permutation(segments.qubits + len(segments.gate_row))


def _both(a: Order, b: Order) -> tuple[tuple[Order, Order], tuple[Order, Order]]:
    return (a, b), (b, a)


def multilevel(
    segments: Segments, network: Network, capacity: tuple[int, ...], order: Order
) -> tuple[IntArray, IntArray] | None:
    """Return (homes, sites) from one run of the partitioner, or None when it fails; about a second per 10,000 gates.

    Args:
        segments: the hypergraph.
        network: the nodes; on networks that are not all-to-all the objective is the Steiner tree of each net.
        capacity: data qubits each node may take.
        order: a permutation of the vertices, qubits 0..n-1 and gates after them, in which the partitioner sees them.
    """
    qubits, gates = segments.qubits, len(segments.gate_row)
    place: Order = np.empty_like(order)
    place[order] = np.arange(len(order))
    nets = _nets(segments, place)
    weights = np.zeros(qubits + gates, dtype=np.int64)
    weights[place[:qubits]] = 1
    try:
        part = _partition(network, capacity, len(order), nets, weights.tolist())
    except (mtkahypar.InvalidInputError, mtkahypar.InvalidParameterError):
        # Seen about once in 10,000 calls of the Steiner mapping, on valid input: another order of the vertices works.
        return None
    blocks = np.array(part, dtype=np.int32)[place]
    held = np.bincount(blocks[:qubits], minlength=len(network))
    return (blocks[:qubits], blocks[qubits:]) if (held <= np.array(capacity)).all() else None


def _nets(segments: Segments, place: Order) -> list[list[int]]:
    homes = place[segments.qubit].tolist()
    gates = place[segments.qubits + segments.gates].tolist()
    starts = segments.starts.tolist()
    return [[home, *gates[starts[index] : starts[index + 1]]] for index, home in enumerate(homes)]


def _partition(
    network: Network, capacity: tuple[int, ...], vertices: int, nets: list[list[int]], weights: list[int]
) -> list[int]:
    engine = _engine()
    context = engine.context_from_preset(mtkahypar.PresetType.DETERMINISTIC)
    context.logging = False
    blocks = len(network)
    links = [(a, b) for a, near in enumerate(network.neighbours) for b in near if a < b]
    # Without nets the Steiner objective aborts the process; with many nodes it takes minutes.
    mapped = not network.complete and len(links) >= blocks - 1 and len(nets) > 0 and blocks <= MAPPED_NODES
    if mapped:
        context.set_mapping_parameters(blocks, 0.03)
    else:
        context.set_partitioning_parameters(blocks, 0.03, mtkahypar.Objective.KM1)
    context.set_individual_target_block_weights(list(capacity))
    hypergraph = engine.create_hypergraph(context, vertices, len(nets), nets, weights, [1] * len(nets))
    if mapped:
        target = engine.create_target_graph(context, blocks, len(links), links, [1] * len(links))
        part = hypergraph.map_onto_graph(target, context)
    else:
        part = hypergraph.partition(context)
    return list(part.get_partition())
