"""Partitioners by name: the plug-in kind ``partitioner``, and the four of our own.

``blocks`` is the trivial reference, ``exact`` the one that nothing beats and that refuses what it cannot settle;
``multilevel`` and ``search`` stand between them. Third parties add theirs through the entry-point group
``hyperfabric_q.partitioner``; the contract suite runs over every member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

import numpy as np

from hyperfabric_q.distribution.chapters import Chapters, cost_in_time, occupancy
from hyperfabric_q.distribution.copy_prices import copy_prices
from hyperfabric_q.distribution.hub import hub_starts
from hyperfabric_q.distribution.network import UNREACHABLE, Network, components
from hyperfabric_q.distribution.partitioners.blocks import blocks
from hyperfabric_q.distribution.partitioners.exact import exact
from hyperfabric_q.distribution.partitioners.multilevel import multilevel, orders
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.distribution.refine import refine
from hyperfabric_q.distribution.sites import allowed_sites, cover_sites, improve_sites
from hyperfabric_q.errors import InvalidValue, NoQuantumPath, NotEnoughQubits
from hyperfabric_q.registry import Registry

InTime: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""Homes of the segments (s,), homes of the qubits without gates (-1 elsewhere) (qubits,), sites of the gates (g,)."""

STARTS: Final = 8
"""Runs of the multilevel partitioner, each of which sees the vertices in another order."""

EXACT_CELLS: Final = 1_000
"""Most (segments + gates) x nodes the exact partitioner takes on: some of these take a minute already."""

EXACT_TIME_S: Final = 60.0
"""When it gives up; what it then knows would depend on the machine, so it refuses."""


class Partitioner(Protocol):
    """A way to place a circuit on a network, as plug-ins provide it.

    It keeps to ``capacity`` in every layer, gives every gate a node, and answers the same to the same seed and moves on
    every machine. What ``network.spread`` adds up to is what it is asked to make small: e-bits, or whole prices where
    the network has them. Whether the communication qubits suffice is settled when the placement is lowered.
    """

    def __call__(
        self, chapters: Chapters, network: Network, capacity: Sequence[int], *, seed: int, moves: int
    ) -> InTime:
        """Return a placement in time.

        Args:
            chapters: the circuit in time.
            network: the QPU nodes, joined by links.
            capacity: data qubits that may be used of each node; together they hold all qubits.
            seed: of every random choice.
            moves: how many moves a search may try; constructions take no notice.
        """
        ...


partitioners: Final[Registry[Partitioner]] = Registry("partitioner")
"""Partitioners by name."""


def partition(
    name: str, chapters: Chapters, network: Network, capacity: Sequence[int], *, seed: int, moves: int = 0
) -> InTime:
    """Return the placement of the partitioner called ``name``, after checking that it keeps its promises.

    Args:
        name: a name in ``partitioners``.
        chapters: the circuit in time.
        network: the QPU nodes.
        capacity: data qubits that may be used of each node.
        seed: of the partitioner's random choices.
        moves: how many moves a search may try.

    Raises:
        UnknownName: there is no such partitioner.
        NotEnoughQubits: the nodes hold fewer data qubits than the circuit has.
        NoQuantumPath: the links do not join all nodes; place each group of nodes by itself.
        InvalidValue: the partitioner refuses, or what it returned is no placement.
    """
    found = partitioners[name]
    qubits = chapters.segments.qubits
    if qubits > sum(capacity):
        raise NotEnoughQubits(needed=qubits, available=dict(zip(network.names, capacity, strict=True)))
    groups = components(network.neighbours)
    if len(groups) > 1:
        a, b, *_ = (tuple(network.names[node] for node in group) for group in groups)
        raise NoQuantumPath(a=a, b=b, reason="a partitioner needs a network that is joined by links")
    homes, idle_homes, sites = found(chapters, network, capacity, seed=seed, moves=moves)
    fault = _fault(chapters, network, capacity, homes, idle_homes, sites)
    if fault:
        raise InvalidValue(field="partitioner", value=name, rule=f"it must return a placement, and {fault}")
    return homes, idle_homes, sites


def _fault(
    chapters: Chapters,
    network: Network,
    capacity: Sequence[int],
    homes: IntArray,
    idle_homes: IntArray,
    sites: IntArray,
) -> str:
    """What is wrong with a placement; empty when nothing is."""
    nodes = len(network)
    lengths: tuple[tuple[str, object, int], ...] = (
        ("homes", homes, len(chapters)),
        ("idle homes", idle_homes, chapters.segments.qubits),
        ("sites", sites, len(chapters.gate_layer)),
    )
    for what, array, length in lengths:
        if not isinstance(array, np.ndarray) or array.dtype != np.int32 or array.shape != (length,):
            return f"its {what} are no int32 array of shape ({length},)"
    for what, values in (("homes", homes), ("idle homes", idle_homes[chapters.idle]), ("sites", sites)):
        if len(values) and not 0 <= values.min() <= values.max() < nodes:
            return f"its {what} are not all among the nodes 0..{nodes - 1}"
    if (idle_homes[~chapters.idle] != -1).any():
        return "its idle homes are not -1 for qubits that have gates"
    held = occupancy(chapters, homes, idle_homes, nodes).max(axis=1).tolist()
    over = [node for node in range(nodes) if held[node] > capacity[node]]
    if over:
        node = over[0]
        return f"it holds {held[node]} qubits at once on {network.names[node]!r}, of {capacity[node]}"
    return ""


# ----------------------------------------------------------------------------------------------------------- members


@partitioners.register("blocks")
def by_blocks(chapters: Chapters, network: Network, capacity: Sequence[int], *, seed: int, moves: int) -> InTime:
    """Return the cheapest fill of the nodes with consecutive qubits; deterministic, ``seed`` and ``moves`` ignored."""
    del seed, moves
    segments = chapters.segments
    return _cheapest(
        chapters,
        network,
        [
            _still(chapters, homes, allowed_sites(segments, network, homes, cover_sites(segments, homes)))
            for _, homes in blocks(segments.qubits, capacity, network.neighbours)
        ],
    )


@partitioners.register("multilevel")
def by_multilevel(chapters: Chapters, network: Network, capacity: Sequence[int], *, seed: int, moves: int) -> InTime:
    """Return the cheapest of a few runs of the multilevel partitioner and of ``blocks``, sites swept.

    No qubit moves, and ``moves`` is ignored.
    """
    filled = _swept(chapters, network, by_blocks(chapters, network, capacity, seed=seed, moves=moves))
    return _cheapest(chapters, network, [*_multilevel(chapters, network, capacity, seed), filled])


@partitioners.register("search")
def by_search(chapters: Chapters, network: Network, capacity: Sequence[int], *, seed: int, moves: int) -> InTime:
    """Return what annealing finds from the hub constructions, the multilevel runs and ``blocks``; qubits may move."""
    starts = [
        *hub_starts(chapters, network, capacity),
        *_multilevel(chapters, network, capacity, seed),
        _swept(chapters, network, by_blocks(chapters, network, capacity, seed=seed, moves=moves)),
    ]
    prices = copy_prices(network, None if network.prices is None else np.array(network.prices, dtype=np.int64))
    found = refine(chapters, prices, capacity, starts, moves=moves, seed=seed)
    # Trees on large networks are priced in two ways: never worse than a start by the one that counts.
    return _cheapest(chapters, network, [(found.homes, found.idle_homes, found.sites), *starts])


@partitioners.register("exact")
def by_program(chapters: Chapters, network: Network, capacity: Sequence[int], *, seed: int, moves: int) -> InTime:
    """Return the cheapest placement there is, by a mixed-integer program; ``seed`` and ``moves`` are ignored.

    Raises:
        InvalidValue: the circuit is too large, or the program is not settled in time.
    """
    del seed, moves
    refusal = InvalidValue(
        field="partitioner",
        value="exact",
        rule="",
        remedy="Use 'search'; the plan's lower bound says how far it can be from the best.",
    )
    cells = (len(chapters) + len(chapters.gate_layer)) * len(network)
    if cells > EXACT_CELLS:
        refusal.rule = f"(segments + gates) x nodes is {cells}, and it takes at most {EXACT_CELLS}"
        raise refusal
    found = exact(chapters, network, capacity, time_limit_s=EXACT_TIME_S)
    if found.placement is not None and _unreachable(chapters, network, found.placement):
        refusal.rule = "its best placement has copies passed on by nodes without two communication qubits"
        raise refusal
    if found.placement is None or not found.proved:
        refusal.rule = f"not settled after {found.seconds:.0f} s: best {found.cost}, no placement below {found.bound}"
        raise refusal
    return found.placement


def _unreachable(chapters: Chapters, network: Network, found: InTime) -> bool:
    """Whether some copy cannot be passed on."""
    return cost_in_time(chapters, replace(network, prices=None), found[0], found[2]) >= UNREACHABLE


def _still(chapters: Chapters, homes: IntArray, sites: IntArray) -> InTime:
    """A placement in which no qubit moves."""
    return (*chapters.still(homes), sites.astype(np.int32))


def _cheapest(chapters: Chapters, network: Network, found: Iterable[InTime]) -> InTime:
    return min(found, key=lambda each: cost_in_time(chapters, network, each[0], each[2]))


def _swept(chapters: Chapters, network: Network, found: InTime) -> InTime:
    """A placement without moves, its sites improved by greedy sweeps."""
    homes = chapters.entry_homes(found[0], found[1])
    return found[0], found[1], improve_sites(chapters.segments, network, homes, found[2]).astype(np.int32)


def _multilevel(chapters: Chapters, network: Network, capacity: Sequence[int], seed: int) -> list[InTime]:
    """What the multilevel partitioner finds, sites swept; empty when every run fails."""
    segments = chapters.segments
    found = []
    for order in orders(segments, STARTS, seed):
        part = multilevel(segments, network, tuple(capacity), order)
        if part is not None:
            sites = allowed_sites(segments, network, *part)
            found.append(_swept(chapters, network, _still(chapters, part[0], sites)))
    return found
