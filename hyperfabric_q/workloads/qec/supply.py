"""Bell pairs for the rounds of a code that lies on several nodes: made ahead, kept, used up, late or missing.

    supply = BellSupply(fabric=fabric, slots=slots_of(code))
    given = supply.timelines(code.rounds, 16, seed=1)
    experiment = code.experiment(weights=given.weights[0], missing=given.missing[0], wait_ns=given.wait_ns[0])

Each path between two nodes makes pairs one after the other, as long as communication qubits are free. At the beginning
of a round its pairs are taken from what both ends know of by then. Its state then follows from its age: both memories
decay by their T1 and T2, exactly. A round that lacks pairs leaves checks out ("skip"), or waits for them ("wait").
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.entanglement import lanes
from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.routes import paths as paths_between
from hyperfabric_q.errors import BacklogWarning, InvalidValue, NotEnoughCommunicationQubits
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.units import PS_PER_NS, to_ps
from hyperfabric_q.workloads.qec import supply_events, supply_lanes
from hyperfabric_q.workloads.qec.codes import rotated_layout
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.supply_groups import Group, PairSlot, grouped
from hyperfabric_q.workloads.qec.supply_lanes import Plan
from hyperfabric_q.workloads.qec.transport import Transport

SupplyPolicy: TypeAlias = Literal["skip", "wait"]
First: TypeAlias = Literal["oldest", "best"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_PROBES = 512
"""Pairs by which the rate of a path is estimated where no formula gives it."""


def slots_of(code: DistributedSurfaceCode) -> tuple[PairSlot, ...]:
    """Return the pairs that a round of a code asks for, in the order of ``DistributedSurfaceCode.crossings``."""
    ancillas, node_of = frozenset(rotated_layout(code.distance).ancillas), code.placement
    return tuple(
        PairSlot((node_of[pair[0]], node_of[pair[1]]), next(qubit for qubit in pair if qubit in ancillas))
        for pair in code.crossings
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Supplied:
    """What the rounds of some timelines got. All arrays are read-only.

    Attributes:
        weights: of each pair when it is used, shape (timelines, rounds, slots, 4); a quarter each where there is none.
        missing: whether there is none, (timelines, rounds, slots).
        age_ps: of each pair when it is used, (timelines, rounds, slots); -1 where there is none.
        wait_ps: how long each round waited for its pairs, (timelines, rounds).
        begin_ps: when each round began, since pairs began to be made, (timelines, rounds).
    """

    weights: FloatArray
    missing: NDArray[np.bool_]
    age_ps: IntArray
    wait_ps: IntArray
    begin_ps: IntArray

    def __post_init__(self) -> None:
        for array in (self.weights, self.missing, self.age_ps, self.wait_ps, self.begin_ps):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def wait_ns(self) -> FloatArray:
        """How long each round waited, in ns."""
        return self.wait_ps / PS_PER_NS

    @property
    def mean_weights(self) -> FloatArray:
        """The mean state of all pairs that came, (4,); of no pairs at all, that of noise."""
        there = ~self.missing
        if not there.any():
            return np.full(4, supply_lanes.ABSENT)
        return np.asarray(self.weights[there].mean(axis=0))

    @property
    def slot_weights(self) -> FloatArray:
        """The mean state of the pairs that came for each slot, (slots, 4); the mean of all where none did."""
        there = ~self.missing
        came = there.sum(axis=(0, 1))[:, None]
        total = (self.weights * there[..., None]).sum(axis=(0, 1))
        return np.where(came > 0, total / np.maximum(came, 1), self.mean_weights)

    def counts(self, shots: Sequence[int] | int = 1) -> Counter[str]:
        """Return what adds up over shots: bell_used, bell_missing, bell_wait (rounds that waited) and bell_wait_ns.

        Args:
            shots: of each timeline.
        """
        each = np.broadcast_to(np.asarray(shots, dtype=np.int64), (len(self),))
        gone, waits = self.missing.sum(axis=(1, 2)), self.wait_ps
        total = self.missing[0].size if len(self) else 0
        return Counter(
            bell_used=int(((total - gone) * each).sum()),
            bell_missing=int((gone * each).sum()),
            bell_wait=int(((waits > 0).sum(axis=1) * each).sum()),
            bell_wait_ns=round(float((waits.sum(axis=1) / PS_PER_NS * each).sum())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BellSupply:
    """Return what supplies the pairs of a distributed block.

    Args:
        fabric: its quantum links make the pairs.
        slots: pairs of a round; see ``slots_of`` and ``slots_between``.
        cycle_ns: duration of a round.
        policy: what a round does that lacks pairs: "skip" the checks that need them, or "wait".
        buffer: pairs that each path may have in store or in the making; None = as many as a round takes.
        paths: how many paths between two nodes make pairs at the same time, fastest first.
        purify: rounds of nested purification of each pair.
        first: which of the pairs in store go first, the "oldest" or the "best".
        keep: whether pairs that a round did not use stay for the next; otherwise all begin anew in each round.
        lead_ns: how long pairs are made before the first round; None = for one round.
        use_ns: from the beginning of a round to the use of its pairs, which are stored until then.
        beside: other traffic on the fabric: heralds then wait on its channels, under its policy.
        strict: with "wait", refuse pairs that come more slowly than rounds, instead of warning.

    Raises:
        NoQuantumPath: no quantum link leads from one node to the other.
        NotEnoughCommunicationQubits: a node does not hold that many halves.
        InvalidValue: a figure is out of range, memories decay within a round, or, in strict mode, pairs are too slow.
    """

    fabric: Fabric
    slots: tuple[PairSlot, ...]
    cycle_ns: float = DEFAULT_CYCLE_NS
    policy: SupplyPolicy = "skip"
    buffer: int | None = None
    paths: int = 1
    purify: int = 0
    first: First = "oldest"
    keep: bool = True
    lead_ns: float | None = None
    use_ns: float = 0.0
    beside: Transport | None = None
    strict: bool = False
    groups: tuple[Group, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_figures()
        object.__setattr__(self, "groups", tuple(self._group(*each) for each in grouped(self.slots).items()))
        self._check_memories()
        self._check_qubits()
        if self.policy == "wait":
            self._check_rates()

    def timelines(self, rounds: int, timelines: int, *, seed: int | None = None) -> Supplied:
        """Return what so many rounds get, in so many independent timelines; the same for the same seed.

        A thousand timelines of 15 rounds of 9 pairs take about 0.1 s; with other traffic beside, or a link whose
        attempts share a classical line, some 0.15 ms per pair, and what the traffic takes.

        Raises:
            InvalidValue: there is not one round or timeline, or a path leads over a classical line that is not there.
            SimulationRefused: there would be too many pairs for the memory.
            NoRoute, IsolationViolated: word of heralds cannot pass between nodes.
        """
        if rounds < 1 or timelines < 1:
            rule = "there is at least one of each"
            raise InvalidValue(field="rounds, timelines", value=(rounds, timelines), rule=rule)
        chosen = seeds.resolve(seed)
        if self.by_events:
            here = self.slots[0].nodes[0]
            traffic = self.beside or Transport(fabric=self.fabric, blocks=(here,), decoder=here)
            rows = supply_events.run(self._plan(), traffic, rounds, timelines, chosen)
        else:
            rows = supply_lanes.run(self._plan(), rounds, timelines, chosen)
        return Supplied(
            weights=rows.weights,
            missing=rows.missing,
            age_ps=rows.age_ps,
            wait_ps=rows.wait_ps,
            begin_ps=rows.begin_ps,
        )

    @property
    def by_events(self) -> bool:
        """Whether something else is on the channels, so that events are simulated one by one."""
        shared = any(link.shared for group in self.groups for path in group.paths for link in path.links)
        return self.beside is not None or shared

    @property
    def utilisation(self) -> float:
        """Pairs that rounds ask for over pairs that can be made meanwhile, of the two nodes that fare worst."""
        return max(
            group.pairs / (to_ps(ns=self.cycle_ns) * sum(1 / _mean_ps(path, self.purify) for path in group.paths))
            for group in self.groups
        )

    def _plan(self) -> Plan:
        return Plan(
            groups=self.groups,
            slots=len(self.slots),
            cycle_ps=to_ps(ns=self.cycle_ns),
            lead_ps=to_ps(ns=self.cycle_ns if self.lead_ns is None else self.lead_ns),
            use_ps=to_ps(ns=self.use_ns),
            waits=self.policy == "wait",
            keep=self.keep,
            best_first=self.first == "best",
            purify=self.purify,
        )

    def _group(self, nodes: tuple[str, str], checks: tuple[tuple[int, ...], ...]) -> Group:
        found = paths_between(self.fabric, *nodes, most=self.paths, objective="rate")
        pairs = sum(len(check) for check in checks)
        rooms = pairs if self.buffer is None else self.buffer
        if rooms * len(found) < pairs:
            rule = f"a round takes {pairs} pairs of {nodes[0]!r} and {nodes[1]!r}, over {len(found)} path(s)"
            raise InvalidValue(
                field="buffer", value=rooms, rule=rule, remedy=f"Give {-(-pairs // len(found))} or more."
            )
        return Group(nodes=nodes, checks=checks, paths=found, rooms=rooms)

    # -------------------------------------------------------------------------------------------------------- checks

    def _check_figures(self) -> None:
        if not self.slots:
            raise InvalidValue(field="slots", value=self.slots, rule="a round asks for at least one pair")
        for name, kind in (("policy", SupplyPolicy), ("first", First)):
            if getattr(self, name) not in get_args(kind):
                raise InvalidValue(field=name, value=getattr(self, name), rule=f"it is one of {get_args(kind)}")
        if not (math.isfinite(self.cycle_ns) and self.cycle_ns > 0):
            raise InvalidValue(field="cycle_ns", value=self.cycle_ns, rule="a round takes a finite, positive time")
        for name, least in (("lead_ns", 0.0), ("use_ns", 0.0)):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= least):
                raise InvalidValue(field=name, value=value, rule="a time is finite and not negative")
        if self.use_ns >= self.cycle_ns:
            rule = f"pairs are used before their round ends, after {self.cycle_ns:g} ns"
            raise InvalidValue(field="use_ns", value=self.use_ns, rule=rule)
        if not 0 <= self.purify <= lanes.MOST_ROUNDS:
            rule = f"there are 0 to {lanes.MOST_ROUNDS} rounds of purification"
            raise InvalidValue(field="purify", value=self.purify, rule=rule)
        if self.beside is not None and self.beside.fabric != self.fabric:
            raise InvalidValue(field="beside", value=self.beside.fabric, rule="traffic beside is on the same fabric")

    def _check_memories(self) -> None:
        cycle = to_ps(ns=self.cycle_ns)
        for station in {station for group in self.groups for path in group.paths for station in path.stations}:
            memory = station.memory
            kept = 1 / max(float(np.max(memory.rate_x)), float(np.max(memory.rate_z)), 1e-300)
            if kept <= cycle:
                raise InvalidValue(
                    field="cycle_ns",
                    value=self.cycle_ns,
                    rule=f"memories of {station.node_id!r} keep a pair for {kept / PS_PER_NS:g} ns, less than a round",
                    remedy="Use a shorter cycle, or memories of longer coherence.",
                )

    def _check_qubits(self) -> None:
        needed: Counter[str] = Counter()
        limits: dict[str, int | None] = {}
        for group in self.groups:
            for path in group.paths:
                for station in path.stations:
                    limits[station.node_id] = station.slots
                    inner = station.node_id not in group.nodes
                    needed[station.node_id] += 2 * (self.purify + 1) if inner else group.rooms + self.purify
        for node, limit in limits.items():
            if limit is not None and needed[node] > limit:
                purpose = f"to keep and make the pairs of a round of {self.cycle_ns:g} ns"
                raise NotEnoughCommunicationQubits(node=node, needed=needed[node], available=limit, purpose=purpose)

    def _check_rates(self) -> None:
        load = self.utilisation
        if load < 1:
            return
        found = (
            f"pairs come more slowly than rounds of {self.cycle_ns:g} ns ask for them: on average a round will take at "
            f"least {load * self.cycle_ns:.4g} ns, {load:.3g} times as long"
        )
        if self.strict:
            remedy = 'Give the links a higher pair_rate_hz, use more paths, or policy="skip".'
            raise InvalidValue(field="cycle_ns", value=self.cycle_ns, rule=found, remedy=remedy)
        warnings.warn(found, BacklogWarning, stacklevel=4)


def _mean_ps(path: Path, purify: int) -> float:
    """The mean time from pair to pair: exact for raw pairs of one link, else from a few hundred drawn ones."""
    if path.hops == 1 and not purify:
        link = path.links[0]
        return link.attempt_ps / link.success + (0 if link.via is None else link.tail_ps)
    return lanes.simulate(path, runs=_PROBES, rounds=purify, seed=0).delivery_mean_ps()
