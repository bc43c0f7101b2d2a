"""When to request the pairs of a program: as late as nothing waits for them.

A pair that is made early ages, and the copy that is made of it early is one more qubit to dephase. So the instructions
that make a copy (pair, ``cx``, measurement, correction) move to their latest starts, while all others stay where they
are; that decides the latest starts of pairs, backwards along the links too. A ``cx`` then runs as soon as its pair is
heralded. It may have to wait for another ``cx`` that was moved on its wire, though: where that makes a pair older than
without, its ``cx`` stays where it was, and the starts are computed again.

**Chance.** Attempts do not take their mean, so a start that was fixed beforehand would soon be wrong. A request is
therefore made relative to an event. What a pair is late for has itself to wait for something, that for something else,
and so on: on this chain, whose members follow one another without a gap, the anchor is the last one to end early enough
for the message to both nodes to arrive. A chain that runs late takes the request with it, and delays nothing by that.
For attempts the time is allowed in which nearly all pairs come.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.durations import Latencies
from hyperfabric_q.distribution.link_order import Order
from hyperfabric_q.distribution.operations import Instants, Operations
from hyperfabric_q.distribution.passes import Late, Requests, bindings, by_start, earliest, ends_of, latest

MOST_ROUNDS: Final = 6
"""After so many repetitions, every ``cx`` stays."""


def requests_of(
    operations: Operations, order: Order, latencies: Latencies, mean_ps: Instants, lead_ps: Instants
) -> tuple[Requests, Order]:
    """Return when to request the pairs, and the instructions in an order that has every anchor first.

    With mean durations, and those as leads, no instruction outside the copies is delayed and no pair is older than if
    all were requested at once.

    Args:
        operations: the instructions.
        order: of the instructions.
        latencies: between nodes.
        mean_ps: how long attempts take on average, (pairs,).
        lead_ps: how long to allow for them, (pairs,).
    """
    made = mean_ps[:, None]
    column = earliest(operations, order, made)
    starts, ends = column[:, 0], ends_of(operations, column, made)[:, 0]
    free = _free(operations, order, made, column)
    late = latest(operations, order, starts, lead_ps, free)
    chains = _Anchors(operations, order, latencies, starts, ends)
    anchors, offsets = [], []
    for pair in operations.pairs.tolist():
        request, anchor = int(late.starts[pair]), -1
        if request > starts[pair]:
            anchor = chains.before(pair, request, _held_by(late, free, pair))
        anchors.append(anchor)
        offsets.append(0 if request <= starts[pair] else request - (int(ends[anchor]) if anchor >= 0 else 0))
    requests = Requests(np.array(anchors, dtype=np.int64), np.array(offsets, dtype=np.int64))
    plan = earliest(operations, order, made, _at(late, operations.pairs))
    return requests, by_start(order, plan[:, 0])


def waits_of(operations: Operations, starts: Instants, ends: Instants) -> Instants:
    """Return how long each pair waits from its herald to its use, (pairs, runs); nothing if it has no use."""
    used = np.where(operations.pair_use >= 0, operations.pair_use, operations.pairs)
    heralded = ends[operations.pairs]
    return np.asarray(np.maximum(starts[used], heralded) - heralded)


def _at(late: Late, pairs: Instants) -> Requests:
    """The latest starts of pairs, counted from the program's start."""
    return Requests(np.full(len(pairs), -1, dtype=np.int64), late.starts[pairs])


def _free(operations: Operations, order: Order, made: Instants, starts: Instants) -> NDArray[np.bool_]:
    """Which instructions may move so that no pair gets older."""
    before = waits_of(operations, starts, ends_of(operations, starts, made))
    free = np.array(operations.spreads, dtype=bool)
    for _ in range(MOST_ROUNDS):
        late = latest(operations, order, starts[:, 0], made[:, 0], free)
        moved = earliest(operations, order, made, _at(late, operations.pairs))
        older = (waits_of(operations, moved, ends_of(operations, moved, made)) > before)[:, 0]
        if not older.any():
            return free
        free[operations.pair_use[older]] = False
    free[operations.pair_use[operations.pair_use >= 0]] = False
    return free


def _held_by(late: Late, free: NDArray[np.bool_], pair: int) -> int:
    """The instruction that stays and keeps ``pair`` from being later."""
    each = pair
    while free[each] and late.bound_by[each] >= 0:
        each = int(late.bound_by[each])
    return each


class _Anchors:
    """The chains of a plan along which instructions follow one another without a gap."""

    def __init__(
        self, operations: Operations, order: Order, latencies: Latencies, starts: Instants, ends: Instants
    ) -> None:
        nodes = operations.nodes
        self._starts, self._ends = starts.tolist(), ends.tolist()
        self._before = [step[0] for step in bindings(operations, order, starts, ends)]
        self._node = [operations.node_of[wires[0]] for wires in operations.wires]
        self._halves = [[operations.node_of[wire] for wire in wires] for wires in operations.wires]
        self._way = [[latencies.between_ps(a, b) for b in nodes] for a in nodes]

    def before(self, pair: int, request_ps: int, held_by: int) -> int:
        """The last instruction on the chain to ``held_by`` of whose end both nodes hear in time; -1 for none."""
        each = held_by
        while each >= 0:
            way = max(self._way[self._node[each]][half] for half in self._halves[pair])
            # One without duration that starts with the pair might come after it in the order of starts.
            if self._ends[each] + way <= request_ps and self._starts[each] < request_ps:
                return each
            each = self._before[each]
        return -1
