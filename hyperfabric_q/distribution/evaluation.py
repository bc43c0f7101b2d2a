"""What a schedule is worth: ages and states of pairs at use, idle qubits, how busy links and nodes are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hyperfabric_q.distribution.operations import Instants, Operations
from hyperfabric_q.distribution.pair_requests import waits_of
from hyperfabric_q.distribution.passes import ends_of
from hyperfabric_q.distribution.timetable import CriticalStep, Floats, Link, PairTimes, Timetable
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import correlators, fidelity
from hyperfabric_q.fabric import Fabric

_CELLS_AT_ONCE: Final = 4_000_000
"""Gaps x runs that are looked at together."""


def timetable_of(
    operations: Operations,
    fabric: Fabric,
    starts: Instants,
    made_ps: Instants,
    *,
    critical: tuple[CriticalStep, ...],
    just_in_time: bool,
    seed: int | None,
) -> Timetable:
    """Return the timetable of a schedule; O(instructions x runs).

    Args:
        operations: the instructions.
        fabric: the nodes.
        starts: of the instructions, (instructions, runs).
        made_ps: how long the attempts for each pair took, (pairs, runs).
        critical: the critical path.
        just_in_time: how pairs were requested.
        seed: of the draws; None for one run of mode "mean".
    """
    single = seed is None
    ends = ends_of(operations, starts, made_ps)
    makespan = ends.max(axis=0, initial=0)
    nodes = [Memory.of(fabric.node(node_id)) for node_id in operations.nodes]
    pairs = _pair_times(operations, nodes, starts, ends, single=single)
    idle, decay = _idle(operations, nodes, starts, ends, makespan)
    with np.errstate(divide="ignore"):
        kept = np.log(pairs.fidelity).sum(axis=-1) + np.log(operations.gate_fidelity) - decay.sum(axis=-1)
    return Timetable(
        mode="mean" if single else "sampled",
        seed=seed,
        just_in_time=just_in_time,
        operations=operations,
        start_ps=_shown(starts.T, single=single),
        end_ps=_shown(ends.T, single=single),
        pairs=pairs,
        makespan_ps=_shown(makespan, single=single),
        idle_ps=_shown(idle, single=single),
        idle_fidelity=_shown(np.exp(-decay), single=single),
        gate_fidelity=operations.gate_fidelity,
        infidelity=_shown(-np.expm1(kept), single=single),
        critical=critical,
        link_use=_link_use(operations, made_ps, makespan),
        node_use=_node_use(operations, starts, ends, makespan),
        not_stated=operations.not_stated,
    )


def _shown(values: Any, *, single: bool) -> Any:
    """The read-only array (runs, ...), without the axis of runs if there is a single one."""
    array = np.asarray(values[0] if single else values)
    array.setflags(write=False)
    return array


def _pair_times(
    operations: Operations, nodes: list[Memory], starts: Instants, ends: Instants, *, single: bool
) -> PairTimes:
    heralded = ends[operations.pairs]
    waited = waits_of(operations, starts, ends)
    since = np.array([link.herald_ps for link in operations.links], dtype=np.int64)[operations.pair_link]
    age = waited + since[:, None]
    weights = np.array([link.weights for link in operations.links]).reshape(-1, 4)[operations.pair_link]
    fresh = correlators(weights) if len(weights) else np.zeros((0, 3))
    figures = np.array([(each.t1_ps, each.t2_ps) for each in nodes]).reshape(-1, 2)[operations.pair_nodes]
    first, second = (Memory(t1_ps=figures[:, half, 0], t2_ps=figures[:, half, 1]) for half in (0, 1))
    used = wait(fresh, first, age.T, second, age.T)
    return PairTimes(
        instruction=operations.pairs,
        link=operations.pair_link,
        links=tuple(link.ends for link in operations.links),
        requested_ps=_shown(starts[operations.pairs].T, single=single),
        heralded_ps=_shown(heralded.T, single=single),
        used_ps=_shown((heralded + waited).T, single=single),
        age_ps=_shown(age.T, single=single),
        correlators=_shown(used, single=single),
        fidelity=_shown(fidelity(used), single=single),
    )


def _idle(
    operations: Operations, nodes: list[Memory], starts: Instants, ends: Instants, makespan: Instants
) -> tuple[Instants, Floats]:
    """How long each logical qubit is idle, and the exponent of what that costs, both (runs, qubits)."""
    runs, gaps = starts.shape[1], operations.gaps
    idle = np.zeros((runs, operations.qubits), dtype=np.int64)
    decay = np.zeros((runs, operations.qubits))
    if not len(gaps.qubit):
        return idle, decay
    rank = np.argsort(gaps.qubit, kind="stable")
    qubits, first = np.unique(gaps.qubit[rank], return_index=True)
    after, until = gaps.after[rank], gaps.until[rank]
    rates = np.array([float(1 / (4 * each.t1_ps) + 1 / (2 * each.t2_ps)) for each in nodes])[gaps.node[rank]]
    step = max(1, _CELLS_AT_ONCE // len(rank))
    for begin in range(0, runs, step):
        some = slice(begin, begin + step)
        late = np.where(until[:, None] < 0, makespan[None, some], starts[until, some])
        waited = late - ends[after, some]
        idle[some, qubits] = np.add.reduceat(waited, first, axis=0).T
        decay[some, qubits] = np.add.reduceat(waited * rates[:, None], first, axis=0).T
    return idle, decay


def _link_use(operations: Operations, made_ps: Instants, makespan: Instants) -> dict[Link, float]:
    shares = {}
    for number, link in enumerate(operations.links):
        busy = made_ps[operations.pair_link == number].sum(axis=0)
        shares[link.ends] = float((busy / np.maximum(makespan, 1)).mean())
    return shares


def _node_use(operations: Operations, starts: Instants, ends: Instants, makespan: Instants) -> dict[str, float]:
    wires = np.bincount(operations.node_of, minlength=len(operations.nodes))
    busy = np.zeros((len(operations.nodes), starts.shape[1]))
    for duration, used in zip(operations.duration_ps.tolist(), operations.wires, strict=True):
        if used:
            busy[operations.node_of[used[0]]] += duration * len(used)
    taken = (ends - starts)[operations.pairs]
    for half in (0, 1):
        np.add.at(busy, operations.pair_nodes[:, half], taken)
    shares = (busy / (wires[:, None] * np.maximum(makespan, 1))).mean(axis=1)
    return dict(zip(operations.nodes, shares.tolist(), strict=True))
