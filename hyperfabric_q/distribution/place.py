"""Homes and sites for a circuit on a network: several starts, the cheapest kept.

The cost of a candidate is what lowering it would really consume, so limits of communication qubits count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from hyperfabric_q.distribution.carry import carried_steps, joined_groups
from hyperfabric_q.distribution.chapters import Chapters, chapters_of, cost_in_time
from hyperfabric_q.distribution.copy_prices import copy_prices
from hyperfabric_q.distribution.families import families
from hyperfabric_q.distribution.hub import hub_starts
from hyperfabric_q.distribution.network import Network, components
from hyperfabric_q.distribution.partitioners.blocks import blocks
from hyperfabric_q.distribution.partitioners.kind import partition
from hyperfabric_q.distribution.partitioners.multilevel import multilevel, orders
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.refine import moves_for, refine
from hyperfabric_q.distribution.segments import Segments, cost
from hyperfabric_q.distribution.sites import allowed_sites, cover_sites, improve_sites
from hyperfabric_q.distribution.steps import Step, Trade, price_of, steps_of
from hyperfabric_q.errors import (
    Infeasible,
    InternalError,
    NoQuantumPath,
    NotEnoughCommunicationQubits,
    NotEnoughQubits,
)

STARTS = 16
"""Starts of the partitioner for small circuits; fewer for large ones, by gate count so that the answer never depends
on speed."""

GATES_IN_ALL = 40_000

MANY_GATES = 5_000
"""With more, the nodes are filled in the given order only: each candidate then takes a good part of a second."""

PACKINGS = 20_000
"""Bound on the search for a packing of independent parts into groups of nodes."""

LINKED_NODES_IN_ALL = 1_200
"""The same by the square of the nodes where not all are linked: partitioning for such a network grows with it."""


SEARCHED = 4
"""Starts, the cheapest, that the search goes on from."""

MOVES_PER_SECOND = 120_000
"""Nominal speed of the search on small circuits."""

GATES_AT_HALF_SPEED = 10_000
"""Moves in circuits of so many gates take twice as long, in larger ones more."""

CARRIED = 4
"""Homes that qubits are carried from one by one where communication qubits are few."""

PATIENCE = 4
"""The search stops early only where the machine is so many times slower than that."""


Candidate: TypeAlias = tuple[IntArray, IntArray, str]
"""Homes, sites, and the name of the start they came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A placement that may be lowered.

    Attributes:
        homes: home of each segment, shape (s,).
        idle_homes: home of each qubit without gates, -1 elsewhere, shape (qubits,).
        sites: node of each gate, shape (g,).
        start: where it came from.
    """

    homes: IntArray
    idle_homes: IntArray
    sites: IntArray
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Who runs what: the home of each qubit at the start, the site of each gate, and the steps that follow."""

    homes: IntArray
    sites: IntArray
    steps: tuple[Step, ...]
    start: str


def place(
    program: Program,
    segments: Segments,
    network: Network,
    *,
    seed: int,
    homes: IntArray | None = None,
    time_limit_s: float = 5.0,
    partitioner: str | None = None,
) -> Placement:
    """Return the cheapest placement found.

    Args:
        program: the circuit.
        segments: its copy-set hypergraph.
        network: the QPU nodes.
        seed: of the starts and the search; the same seed gives the same placement.
        homes: pins every qubit to a node; only the sites are then chosen.
        time_limit_s: about how long to search on from the best starts. It buys a number of moves at a nominal speed, so
            that the answer does not depend on the machine unless that is several times slower.
        partitioner: the plug-in that places alone; None = all starts and the search.

    Raises:
        NotEnoughQubits: the nodes hold fewer data qubits than the circuit has.
        UnknownName, InvalidValue: of the partitioner.
        NoQuantumPath: the circuit cannot be split along the groups of nodes that quantum links join.
        NotEnoughCommunicationQubits: the homes are pinned and a node between two of them cannot pass a copy on, or a
            node without communication qubits is in the way.
    """
    if program.qubits > sum(network.capacity):
        raise NotEnoughQubits(needed=program.qubits, available=dict(zip(network.names, network.capacity, strict=True)))
    chapters = chapters_of(program, segments)
    if partitioner is not None and homes is None:
        moves = int(time_limit_s * MOVES_PER_SECOND)
        in_time, idle_homes, sites = partition(partitioner, chapters, network, network.capacity, seed=seed, moves=moves)
        alone = Trial(homes=in_time, idle_homes=idle_homes, sites=sites, start=partitioner)
        trials = list(_within_limits(segments, network, alone))
        return _cheapest(program, chapters, network, trials, movable=True)
    if homes is not None:
        found = list(_with_sites(segments, network, homes, cover_sites(segments, homes), "pinned homes"))
    else:
        found = list(_candidates(segments, network, seed))
    trials = [_still(chapters, *candidate) for candidate in found]
    if homes is None:
        trials += _refined(chapters, network, trials, seed=seed, time_limit_s=time_limit_s)
    return _cheapest(program, chapters, network, trials, movable=homes is None)


def _still(chapters: Chapters, homes: IntArray, sites: IntArray, start: str) -> Trial:
    """Return a candidate in which no qubit moves as a trial."""
    in_time, idle_homes = chapters.still(homes)
    return Trial(homes=in_time, idle_homes=idle_homes, sites=sites, start=start)


def _refined(
    chapters: Chapters, network: Network, trials: Sequence[Trial], *, seed: int, time_limit_s: float
) -> list[Trial]:
    """Return hub constructions, and what a search from the cheapest trials finds, in which qubits may move."""
    hubs = [
        Trial(homes=homes, idle_homes=idle_homes, sites=sites, start=f"hub {number}")
        for number, (homes, idle_homes, sites) in enumerate(hub_starts(chapters, network, network.capacity))
    ]
    known = [*hubs, *trials]
    priced = sorted(
        (cost_in_time(chapters, network, each.homes, each.sites), number) for number, each in enumerate(known)
    )
    speed = MOVES_PER_SECOND / (1 + len(chapters.gate_layer) / GATES_AT_HALF_SPEED)
    moves = min(moves_for(chapters), int(time_limit_s * speed))
    cheapest = priced[0][0]
    if moves == 0 or len(components(network.neighbours)) > 1 or cheapest == 0:
        return hubs
    if cheapest <= sum(family.value for family in families(chapters, network, network.capacity)):
        return hubs
    starts = [known[number] for _, number in priced[:SEARCHED]]
    weights = None if network.prices is None else np.array(network.prices, dtype=np.int64)
    found = refine(
        chapters,
        copy_prices(network, weights),
        network.capacity,
        [(each.homes, each.idle_homes, each.sites) for each in starts],
        moves=moves,
        seed=seed,
        time_limit_s=time_limit_s * PATIENCE,
    )
    name = f"search from {starts[0].start}" + ("" if found.finished else ", out of time")
    best = Trial(homes=found.homes, idle_homes=found.idle_homes, sites=found.sites, start=name)
    return [*hubs, *_within_limits(chapters.segments, network, best)]


def _within_limits(segments: Segments, network: Network, trial: Trial) -> Iterator[Trial]:
    """Yield a trial without the sites that limits of communication qubits rule out, and with every gate at a home.

    Without limits, yield the trial itself.
    """
    if all(limit is None for limit in network.communication):
        yield trial
        return
    ends = trial.homes[segments.gate_segments]
    away = (trial.sites[:, None] != ends).all(axis=1)
    third = np.array([network.room(node, 2) for node in range(len(network))], dtype=bool)
    yield replace(trial, sites=np.where(away & ~third[trial.sites], ends[:, 0], trial.sites).astype(np.int32))
    for end, which in enumerate(("first", "second")):
        sites = ends[:, end].astype(np.int32)
        yield replace(trial, sites=sites, start=f"{trial.start}, at the {which} qubit's home")


def _cheapest(
    program: Program, chapters: Chapters, network: Network, trials: Sequence[Trial], *, movable: bool
) -> Placement:
    """Lower the trials in order of the model's cost until none can beat the best.

    Where a node has a single communication qubit and qubits are ``movable``, carry them one by one from the homes of
    the cheapest trials as well: that always succeeds where any plan does.
    """
    priced = sorted(
        (cost_in_time(chapters, network, trial.homes, trial.sites), index) for index, trial in enumerate(trials)
    )
    best: Placement | None = None
    best_cost = -1
    refusal: NotEnoughCommunicationQubits | NoQuantumPath | None = None
    for price, index in priced:
        if best is not None and price >= best_cost:
            break
        trial = trials[index]
        try:
            steps = steps_of(program, chapters, network, trial.homes, trial.idle_homes, trial.sites)
        except (NotEnoughCommunicationQubits, NoQuantumPath) as fault:
            refusal = refusal or fault
            continue
        used = price_of(steps, network)
        if best is None or used < best_cost:
            entry = chapters.entry_homes(trial.homes, trial.idle_homes)
            best, best_cost = Placement(homes=entry, sites=trial.sites, steps=steps, start=trial.start), used
    if movable and (best is None or (_narrow(network) and len(chapters.gate_layer) <= MANY_GATES)):
        for carried in _carried(program, chapters, network, [trials[index] for _, index in priced]):
            # An exchange mixes two qubits for a while: a wide circuit with one is checked, but proved by no method.
            if best is not None and any(isinstance(step, Trade) for step in carried.steps):
                continue
            used = price_of(carried.steps, network)
            if best is None or used < best_cost:
                best, best_cost = carried, used
    if best is None:
        raise InternalError(what="no placement was tried") if refusal is None else _explained(refusal, movable)
    return best


def _narrow(network: Network) -> bool:
    """Whether some node cannot pass a copy on, and not every two nodes share a link."""
    return not network.complete and any(limit == 1 for limit in network.communication)


def _carried(program: Program, chapters: Chapters, network: Network, trials: Sequence[Trial]) -> Iterator[Placement]:
    """Yield placements of last resort, from the homes of the first trials in which all gates can be run."""
    known: set[tuple[int, ...]] = set()
    found = 0
    for trial in trials:
        entry = chapters.entry_homes(trial.homes, trial.idle_homes)
        if tuple(entry.tolist()) in known:
            continue
        known.add(tuple(entry.tolist()))
        carried = carried_steps(program, network, entry)
        if carried is not None:
            yield Placement(homes=entry, sites=carried[1], steps=carried[0], start=f"{trial.start}, gate by gate")
            found += 1
        if found == CARRIED:
            return


def _explained(refusal: NotEnoughCommunicationQubits | NoQuantumPath, movable: bool) -> Infeasible:  # noqa: FBT001
    """Return the refusal of the cheapest trial, which says whether homes were given."""
    if movable or isinstance(refusal, NoQuantumPath):
        return refusal
    return replace(refusal, purpose=f"with the qubits pinned to these nodes, {refusal.purpose}")


# -------------------------------------------------------------------------------------------------------- candidates


def _candidates(segments: Segments, network: Network, seed: int) -> Iterator[Candidate]:
    """Yield (homes, sites, name of the start) for the whole network, respecting which nodes quantum links join."""
    alone = [node for node, room in enumerate(network.capacity) if room >= segments.qubits]
    if alone:
        node = min(alone, key=lambda node: (network.capacity[node], node))
        homes = np.full(segments.qubits, node, dtype=np.int32)
        yield homes, cover_sites(segments, homes), "one node holds it all"
        return
    groups = joined_groups(network)
    roomy = [group for group in groups if sum(network.capacity[node] for node in group) >= segments.qubits]
    if roomy:
        for group in roomy:
            yield from _in_group(segments, network, group, seed)
    else:
        yield _across_groups(segments, network, groups, seed)


def _in_group(segments: Segments, network: Network, group: Sequence[int], seed: int) -> Iterator[Candidate]:
    """Yield candidates that use only the nodes of ``group``."""
    local = network.restricted(group)
    index = np.array(group, dtype=np.int32)
    starts = max(1, min(STARTS, GATES_IN_ALL // (len(segments.gate_row) + 1)))
    if not local.complete:
        starts = min(starts, max(2, LINKED_NODES_IN_ALL // len(local) ** 2))
    for start, order in enumerate(orders(segments, starts, seed)):
        found = multilevel(segments, local, local.capacity, order)
        if found is None:
            continue
        for each in _with_sites(segments, local, *found, f"multilevel {start}"):
            yield index[each[0]], index[each[1]], each[2]
    along_links = len(segments.gate_row) <= MANY_GATES
    for name, homes in blocks(segments.qubits, local.capacity, local.neighbours, along_links=along_links):
        for each in _with_sites(segments, local, homes, cover_sites(segments, homes), name):
            yield index[each[0]], index[each[1]], each[2]


def _with_sites(
    segments: Segments, network: Network, homes: IntArray, sites: IntArray, start: str
) -> Iterator[Candidate]:
    """Yield ``homes`` with the given sites, with the exact pairwise cover, and with both after greedy sweeps.

    Where communication qubits are limited, also with every gate at the home of its first, or of its second qubit.
    """
    given = allowed_sites(segments, network, homes, sites)
    cover = cover_sites(segments, homes)
    yield homes, given, f"{start}, partitioner's sites"
    yield homes, cover, f"{start}, pairwise cover"
    yield homes, improve_sites(segments, network, homes, given), f"{start}, partitioner's sites, swept"
    yield homes, improve_sites(segments, network, homes, cover), f"{start}, pairwise cover, swept"
    if any(limit is not None for limit in network.communication):
        # A packet that the program runs through in one go lives briefly: with few communication qubits that is worth
        # more than a packet shared by more gates.
        ends = homes[segments.gate_qubits]
        yield homes, ends[:, 0].copy(), f"{start}, at the first qubit's home"
        yield homes, ends[:, 1].copy(), f"{start}, at the second qubit's home"


def _across_groups(segments: Segments, network: Network, groups: Sequence[Sequence[int]], seed: int) -> Candidate:
    """Return a candidate that gives each independent part of the circuit to one group of nodes, largest part first."""
    near: list[set[int]] = [set() for _ in range(segments.qubits)]
    for a, b in segments.gate_qubits.tolist():
        near[a].add(b)
        near[b].add(a)
    parts = sorted(components([sorted(each) for each in near]), key=len, reverse=True)
    room = [sum(network.capacity[node] for node in group) for group in groups]
    taken: list[list[int]] = [[] for _ in groups]
    chosen = _packing([len(part) for part in parts], room)
    if chosen is None:
        raise _no_path(network, groups, [len(part) for part in parts])
    for part, index in zip(parts, chosen, strict=True):
        taken[index].extend(part)
    homes = np.zeros(segments.qubits, dtype=np.int32)
    sites = np.zeros(len(segments.gate_row), dtype=np.int32)
    for group, members in zip(groups, taken, strict=True):
        if not members:
            continue
        qubits = np.array(sorted(members), dtype=np.int32)
        inside, gates = segments.restricted(qubits)
        local = network.restricted(group)
        options = list(_candidates(inside, local, seed))
        best = min(options, key=partial(_price, inside, local))
        homes[qubits] = np.array(group, dtype=np.int32)[best[0]]
        sites[gates] = np.array(group, dtype=np.int32)[best[1]]
    return homes, sites, "independent parts on separate groups of nodes"


def _price(segments: Segments, network: Network, candidate: Candidate) -> int:
    return cost(segments, network, candidate[0], candidate[1])


def _packing(sizes: Sequence[int], rooms: Sequence[int]) -> list[int] | None:
    """Return the group of each part, largest part first, or None when they do not fit.

    Best fit with backtracking; exact unless more than ``PACKINGS`` partial packings are met.
    """
    room = list(rooms)
    chosen: list[int] = []
    options: list[list[int]] = []
    seen: set[tuple[int, tuple[int, ...]]] = set()
    while len(chosen) < len(sizes):
        if len(options) == len(chosen):
            state = len(chosen), tuple(sorted(room))
            fitting = {free: index for index, free in enumerate(room) if free >= sizes[len(chosen)]}
            known = state in seen or len(seen) > PACKINGS
            options.append([] if known else [fitting[free] for free in sorted(fitting, reverse=True)])
            seen.add(state)
        if options[-1]:
            chosen.append(options[-1].pop())
            room[chosen[-1]] -= sizes[len(chosen) - 1]
        elif not chosen:
            return None
        else:
            options.pop()
            index = chosen.pop()
            room[index] += sizes[len(chosen)]
    return chosen


def _no_path(network: Network, groups: Sequence[Sequence[int]], sizes: Sequence[int]) -> Infeasible:
    number = {node: index for index, group in enumerate(groups) for node in group}
    for node, name in enumerate(network.names):
        beyond = {number[near] for near in network.neighbours[node]} - {number[node]}
        if len(beyond) > 1 and not network.capacity[node]:
            limit = network.communication[node] or 0
            purpose = f"letting qubits pass {name!r}, which has no data qubit to hold one,"
            return NotEnoughCommunicationQubits(node=name, needed=2, available=limit, purpose=purpose)
    idle = [node for group in groups for node in group if not network.room(node, 1)]
    if idle:
        name = network.names[idle[0]]
        return NotEnoughCommunicationQubits(
            node=name, needed=1, available=0, purpose=f"a gate between {name!r} and any other node"
        )
    ordered = sorted(groups, key=lambda group: -sum(network.capacity[node] for node in group))
    rooms = [sum(network.capacity[node] for node in group) for group in ordered]
    reason = f"{sizes[0]} qubits of the circuit interact, and the largest linked group of nodes holds {rooms[0]}"
    if sizes[0] <= rooms[0]:
        parts = ", ".join(str(size) for size in sizes[:8]) + (", ..." if len(sizes) > 8 else "")
        reason = f"the circuit's independent parts ({parts} qubits) do not fit the linked groups of nodes ({rooms})"
    return NoQuantumPath(
        a=tuple(network.names[node] for node in ordered[0]),
        b=tuple(network.names[node] for node in ordered[1]),
        reason=reason,
    )
