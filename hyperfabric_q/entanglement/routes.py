"""Which chain of elementary links should join two nodes: the one of best fidelity, of best rate, or the shortest.

The search is exact for the estimates of ``hyperfabric_q.entanglement.estimates``. A link multiplies the three
correlators by factors in [0, 1] and adds a waiting time to a maximum, so no estimate grows along a path: labels are
taken best first, and the first one at the goal is the best path. A label is dropped when another at the same node is at
least as good in everything that counts from there on: each correlator, and each waiting time in order of length. With
Werner pairs and noiseless readout that leaves one label per node, and the search is Dijkstra's with weights -ln w,
w = (4F - 1)/3. Further paths follow by Yen's rule (Management Science 17, 712 (1971)).

Work is bounded by ``MOST_LABELS`` per node. Where more would be needed, which takes strongly biased pairs on a dense
fabric, the path found is a good one and may not be the best.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple, get_args

from hyperfabric_q.entanglement.elementary import Path, Station
from hyperfabric_q.entanglement.estimates import (
    PERFECT,
    Triple,
    Wait,
    fidelity_of,
    link_correlators,
    rate_of,
    swap_factor,
    times,
    wait_of,
)
from hyperfabric_q.entanglement.links import (
    QuantumNet,
    Stretch,
    can_swap,
    elementary_links,
    memory_slots,
    station,
)
from hyperfabric_q.errors import (
    FidelityUnreachable,
    InvalidValue,
    NoQuantumPath,
    NotEnoughCommunicationQubits,
    UnknownName,
)
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.fabric.topology import components

__all__ = ["Objective", "best_path", "elementary_links", "paths", "station"]

Objective = Literal["fidelity", "rate", "hops"]

MOST_LABELS: Final = 32
MOST_PATHS: Final = 64

_SLACK: Final = 1e-12
"""What the order of multiplications may change."""


class _Label(NamedTuple):
    """A path from the start: where it went, and what it is worth."""

    nodes: tuple[str, ...]
    steps: tuple[Stretch, ...]
    triple: Triple
    waits: tuple[Wait, ...]


class _Goal(NamedTuple):
    """What is asked for."""

    a: str
    b: str
    objective: Objective
    min_fidelity: float


Key = tuple[float, float, bool, tuple[str, ...]]


def best_path(
    fabric: Fabric, a: str, b: str, *, objective: Objective = "fidelity", min_fidelity: float | None = None
) -> Path:
    """Return the chain of elementary links from ``a`` to ``b`` that is best by its estimates; ties go to fewer hops.

    Args:
        fabric: only its quantum links count.
        a: the first node.
        b: the last node.
        objective: ``fidelity``, ``rate``, or ``hops`` (of the shortest paths, the one of best fidelity).
        min_fidelity: estimated fidelity without purifying that the path must have, in [0.25, 1].

    Raises:
        UnknownName: a node or the objective does not exist.
        InvalidValue: both nodes are one, a figure is out of range, or every way leads over a link that makes no
            entanglement: fidelity 0.5 or less, no optical channel, gates or readout worse than chance.
        NotEnoughCommunicationQubits: an end holds no half of a pair, or a node that must swap does not hold two.
        NoQuantumPath: no quantum links lead from one to the other.
        FidelityUnreachable: paths exist, and none has ``min_fidelity``.
    """
    goal = _goal(fabric, a, b, objective, min_fidelity)
    net = _Net(fabric)
    found = net.search(goal)
    if found is None:
        raise _why_none(net, goal)
    return net.path(found)


def paths(
    fabric: Fabric,
    a: str,
    b: str,
    *,
    most: int = 8,
    objective: Objective = "fidelity",
    min_fidelity: float | None = None,
) -> tuple[Path, ...]:
    """Return up to ``most`` different paths without loops from ``a`` to ``b``, best first.

    Args:
        fabric: see ``best_path``.
        a: see ``best_path``.
        b: see ``best_path``.
        most: 1 to 64.
        objective: see ``best_path``.
        min_fidelity: see ``best_path``.

    Raises:
        UnknownName: as in ``best_path``.
        InvalidValue: as in ``best_path``.
        NotEnoughCommunicationQubits: as in ``best_path``.
        NoQuantumPath: as in ``best_path``.
        FidelityUnreachable: as in ``best_path``.
    """
    goal = _goal(fabric, a, b, objective, min_fidelity)
    most = fields.count("most", most, "a search", least=1, most=MOST_PATHS, what="paths")
    net = _Net(fabric)
    first = net.search(goal)
    if first is None:
        raise _why_none(net, goal)
    found, waiting = [first], list[tuple[Key, int, _Label]]()
    met = {first.steps}
    while len(found) < most:
        for spur in _spurs(net, goal, found):
            if spur.steps not in met:
                met.add(spur.steps)
                heapq.heappush(waiting, (net.key(goal, spur), len(met), spur))
        if not waiting:
            break
        found.append(heapq.heappop(waiting)[2])
    return tuple(net.path(label) for label in found)


def _spurs(net: _Net, goal: _Goal, found: Sequence[_Label]) -> list[_Label]:
    """Return, for each beginning of the last path found, the best path that leaves it in a new direction (Yen)."""
    last, root, spurs = found[-1], net.start(goal), []
    for index, step in enumerate(last.steps):
        taken = frozenset(each.steps[index] for each in found if each.steps[:index] == root.steps)
        spur = net.search(goal, root=root, without=taken)
        if spur is not None:
            spurs.append(spur)
        root = net.extended(root, step)
    return spurs


class _Net(QuantumNet):
    """The elementary links of a fabric, and a best-first search over them."""

    def __init__(self, fabric: Fabric) -> None:
        super().__init__(fabric)
        self._stations: dict[str, Station] = {}
        self._factors: dict[str, Triple] = {}
        self._figures: dict[Stretch, tuple[Triple, Wait]] = {}

    def start(self, goal: _Goal) -> _Label:
        """Return the label of the first node."""
        return _Label((goal.a,), (), PERFECT, ())

    def extended(self, label: _Label, step: Stretch) -> _Label:
        """Return ``label`` with one link more, and the swap at its last node that joins it."""
        here = label.nodes[-1]
        if step not in self._figures:
            self._figures[step] = link_correlators(step.link), wait_of(step.link)
        triple, wait = self._figures[step]
        if label.steps:
            triple = times(times(label.triple, self._factor(here)), triple)
        waits = tuple(sorted((*label.waits, wait), reverse=True))
        return _Label((*label.nodes, step.other_end(here)), (*label.steps, step), triple, waits)

    def key(self, goal: _Goal, label: _Label) -> Key:
        """Return what orders labels, the best first; it does not fall along a path."""
        hops = len(label.steps)
        if goal.objective == "rate":
            rate_hz = rate_of(label.waits) if label.waits else float("inf")
            # Equal rates differ in their last digits by the order of the links.
            first, second = -float(f"{rate_hz:.9g}"), float(hops)
        else:
            first, second = -round(fidelity_of(label.triple), 12), float(hops)
        if goal.objective == "hops":
            first, second = second, first
        # Of equal labels, one at the goal comes first: what the others grow into is longer.
        return first, second, label.nodes[-1] != goal.b, label.nodes

    def search(
        self, goal: _Goal, *, root: _Label | None = None, without: frozenset[Stretch] = frozenset()
    ) -> _Label | None:
        """Return the best label at the goal that begins with ``root`` and does not go on by a step in ``without``."""
        root = self.start(goal) if root is None else root
        settled: dict[str, list[_Label]] = {}
        heap: list[tuple[Key, int, _Label]] = [(self.key(goal, root), 0, root)]
        pushed, bound = 0, (float("inf"), float("inf"))
        while heap:
            _, _, label = heapq.heappop(heap)
            here = label.nodes[-1]
            if here == goal.b:
                return label
            kept = settled.setdefault(here, [])
            if len(kept) >= MOST_LABELS or any(_as_good(each, label, goal) for each in kept):
                continue
            kept.append(label)
            if label.steps and not can_swap(self.fabric.node(here)):
                continue
            for step in self.stretches(here):
                other = step.other_end(here)
                if other in label.nodes or (label is root and step in without):
                    continue
                longer = self.extended(label, step)
                if fidelity_of(longer.triple) < goal.min_fidelity - _SLACK:
                    continue
                if any(_as_good(each, longer, goal) for each in settled.get(other, ())):
                    continue
                key = self.key(goal, longer)
                if key[:2] > bound or (key[:2] == bound and other != goal.b):
                    continue
                if other == goal.b:
                    bound = key[:2]
                pushed += 1
                heapq.heappush(heap, (key, pushed, longer))
        return None

    def path(self, label: _Label) -> Path:
        """Return ``label`` as a path."""
        return Path(
            stations=tuple(self._station(node_id) for node_id in label.nodes),
            links=tuple(step.link for step in label.steps),
            delays_ps=tuple(step.light_ps for step in label.steps),
        )

    def _station(self, node_id: str) -> Station:
        if node_id not in self._stations:
            self._stations[node_id] = station(self.fabric, node_id)
        return self._stations[node_id]

    def _factor(self, node_id: str) -> Triple:
        if node_id not in self._factors:
            self._factors[node_id] = swap_factor(self._station(node_id))
        return self._factors[node_id]


def _as_good(known: _Label, other: _Label, goal: _Goal) -> bool:
    """Return whether ``known``, settled at the same node, stays at least as good as ``other`` whatever follows."""
    if goal.objective == "rate":
        # The slowest against the slowest, and so on: then the longest wait is shorter, whatever is added to both.
        if len(known.waits) > len(other.waits):
            return False
        for mine, theirs in zip(known.waits, other.waits, strict=False):
            if mine.tail_ps > theirs.tail_ps or mine.least_ps > theirs.least_ps:
                return False
        if goal.min_fidelity <= 0.25:
            return True
    return all(mine >= theirs * (1 - _SLACK) for mine, theirs in zip(known.triple, other.triple, strict=True))


def _goal(fabric: Fabric, a: str, b: str, objective: str, min_fidelity: float | None) -> _Goal:
    first, last = fabric.node(a), fabric.node(b)
    if objective not in get_args(Objective):
        raise UnknownName(kind="objective", name=str(objective)[:200], known=get_args(Objective))
    if first.node_id == last.node_id:
        raise InvalidValue(
            field="b", value=last.node_id, rule="a pair joins two different nodes, and both are this one"
        )
    least = 0.25
    if min_fidelity is not None:
        least = fields.number("min_fidelity", min_fidelity, "a path", least=0.25, most=1)
    for node in (first, last):
        if memory_slots(node) == 0:
            raise NotEnoughCommunicationQubits(
                node=node.node_id,
                needed=1,
                available=0,
                purpose=f"a pair between {first.node_id!r} and {last.node_id!r}",
            )
        station(fabric, node.node_id)
    return _Goal(first.node_id, last.node_id, objective, least)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------- why there is none


def _why_none(net: _Net, goal: _Goal) -> Exception:
    """Return the error that says what stands between the two nodes of ``goal``."""
    reachable = net.search(goal._replace(objective="fidelity", min_fidelity=0.25))
    if reachable is not None:
        best, way = fidelity_of(reachable.triple), " - ".join(reachable.nodes)
        return FidelityUnreachable(
            asked=goal.min_fidelity,
            reachable=best,
            reason=f"the best path, {way}, gives no more without purifying",
            remedy="Purify its pairs, or raise pair_fidelity and lower gate errors along it.",
        )
    nodes = _walk(net, goal)
    if nodes is None:
        return _apart(net, goal)
    return _obstacle(net, nodes) or NoQuantumPath(
        a=(goal.a,), b=(goal.b,), reason="every way of light between them passes too many switches without memory"
    )


def _obstacle(net: _Net, nodes: Sequence[str]) -> Exception | None:
    """Return what is in the way along ``nodes``: a node that cannot swap, or a link that makes no entanglement."""
    memories = [0] + [index for index in range(1, len(nodes)) if not net.is_switch(nodes[index])]
    for index in memories[1:-1]:
        node = net.fabric.node(nodes[index])
        slots = memory_slots(node)
        if slots is not None and slots < 2:
            return NotEnoughCommunicationQubits(
                node=node.node_id,
                needed=2,
                available=slots,
                purpose=f"swapping between {nodes[0]!r} and {nodes[-1]!r}",
            )
        if not can_swap(node):
            try:
                station(net.fabric, node.node_id)
            except InvalidValue as fault:
                return fault
    for left, right in pairwise(memories):
        made = net.stretch(nodes[left : right + 1])
        if isinstance(made, InvalidValue):
            return made
    return None


def _walk(net: _Net, goal: _Goal) -> list[str] | None:
    """Return the nodes of a shortest walk over quantum links, usable or not; None when they do not lead there."""
    before: dict[str, str] = {goal.a: goal.a}
    frontier = deque([goal.a])
    while frontier and goal.b not in before:
        here = frontier.popleft()
        for other in net.neighbours(here):
            if other not in before:
                before[other] = here
                frontier.append(other)
    if goal.b not in before:
        return None
    nodes = [goal.b]
    while nodes[-1] != goal.a:
        nodes.append(before[nodes[-1]])
    return nodes[::-1]


def _apart(net: _Net, goal: _Goal) -> NoQuantumPath:
    groups = components(
        tuple(node.node_id for node in net.fabric.nodes), (link.ends for link in net.fabric.quantum_links)
    )
    sides = [next(group for group in groups if end in group) for end in (goal.a, goal.b)]
    # The remedy names the first of each side, so the two nodes that were asked for come first.
    left, right = (
        (end, *(each for each in side if each != end)) for end, side in zip((goal.a, goal.b), sides, strict=True)
    )
    lonely = [end for end, side in zip((goal.a, goal.b), sides, strict=True) if len(side) == 1]
    reason = f"no quantum link ends at {lonely[0]!r}" if lonely else "no quantum link leads from one group to the other"
    return NoQuantumPath(a=left, b=right, reason=reason)
