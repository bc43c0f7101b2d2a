"""What circuits cost a step, read off their results: how long they keep which nodes, Bell pairs and shots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from hyperfabric_q.distribution.background import Background, BackgroundPairs
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.shot_times import ShotTimes, shot_times
from hyperfabric_q.execution.timelines import Timelines, drawn_timetable
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.units import to_ps

_KEPT: Final = 64

_RULE: Final = (
    "it is a Result, a Gradient (with the plan of its circuit, or its OnFabric source, as plan=), or a result of "
    "FabricSampler or FabricEstimator, a Plan with shots=, or several of these"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantumWork:
    """Circuits that ran one after another on the same nodes.

    Attributes:
        nodes: that they keep.
        duration_ps: how long.
        shots: of all of them.
        pairs: Bell pairs of all shots.
        pairs_per_link: the same by link, where it is known.
    """

    nodes: tuple[str, ...]
    duration_ps: int
    shots: int
    pairs: int
    pairs_per_link: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether there was no shot, so that nothing is charged."""
        return self.shots == 0


class PlanTimes:
    """How long shots of plans take; each plan is scheduled once."""

    def __init__(self, *, seed: int, background: Sequence[Background] = ()) -> None:
        """Start with none.

        Args:
            seed: of the schedules that are drawn.
            background: other traffic beside the circuits.
        """
        self._seed, self._background = seed, tuple(background)
        self._known: dict[int, tuple[Plan, ShotTimes]] = {}

    def of(self, plan: Plan) -> ShotTimes:
        """Return how long a shot takes.

        Raises:
            InvalidValue: the clock refuses the plan, for example as its pairs are not entangled.
        """
        kept = self._known.get(id(plan))
        if kept is not None:
            return kept[1]
        found = self._drawn(plan)
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[id(plan)] = (plan, found)  # the plan is kept as well, so that its id stays its own
        return found

    def _drawn(self, plan: Plan) -> ShotTimes:
        if not self._background:
            found = shot_times(plan, None, seed=self._seed)
            if found is None:
                raise _untimed()
            return found
        own = {node.node_id for node in plan.fabric.nodes}
        met = [each for each in self._background if _ends(each) <= own]
        makespans = drawn_timetable(plan, self._seed, background=met).makespan_ps.reshape(-1)
        return shot_times_from(plan, makespans, seed=self._seed)

    def work(self, plan: Plan, shots: int) -> QuantumWork:
        """Return so many shots of a plan, one after another."""
        if not shots:
            return QuantumWork(nodes=nodes_of(plan), duration_ps=0, shots=0, pairs=0)
        return QuantumWork(
            nodes=nodes_of(plan),
            duration_ps=to_ps(ns=self.of(plan).job_ns(shots)),
            shots=shots,
            pairs=plan.ebits * shots,
            pairs_per_link={link: count * shots for link, count in plan.ebits_per_link.items()},
        )


def _ends(one: Background) -> set[str]:
    return {one.a, one.b} if isinstance(one, BackgroundPairs) else {one.source, one.destination}


def shot_times_from(plan: Plan, makespans_ps: Any, *, seed: int) -> ShotTimes:
    """Return how long shots take whose runs took ``makespans_ps``."""
    blank: Any = None
    lines = Timelines(averaging="none", noises=(), mean=blank, makespans_ps=makespans_ps, neglected=0.0)
    found = shot_times(plan, lines, seed=seed)
    if found is None:
        raise _untimed()
    return found


def nodes_of(plan: Plan) -> tuple[str, ...]:
    """Return the nodes that take part in a plan."""
    return tuple(dict.fromkeys(plan.routed.node_of))


def works_of(
    result: Any, times: PlanTimes, fabric: Fabric, *, plan: Any, shots: int | None, nodes: Sequence[str] | None
) -> tuple[QuantumWork, ...]:
    """Return what a result of circuits charges a step with.

    Args:
        result: see ``Step.ran``.
        times: of plans.
        fabric: whose nodes they are.
        plan: of the circuit, or a source that has one, where the result does not say.
        shots: of all circuits together, where the result is exact.
        nodes: instead of those that the result names.

    Raises:
        InvalidValue: it is no result of circuits, or does not say what it took.
    """
    taken = _checked(shots)
    if isinstance(result, Mapping) or result is None or isinstance(result, str):
        raise InvalidValue(field="result", value=type(result).__name__, rule=_RULE)
    found: tuple[QuantumWork, ...]
    if isinstance(result, Plan):
        found = (times.work(result, taken or 0),)
    elif hasattr(result, "plan") and hasattr(result, "job_ns"):
        found = (_of_run(result, times, taken),)
    elif hasattr(result, "evaluations") and hasattr(result, "gradient"):
        found = (times.work(_plan(plan), taken or int(result.shots)),)
    elif hasattr(result, "metadata") and "makespan_ns" in result.metadata:
        found = (_of_primitive(result.metadata, fabric, taken),)
    elif isinstance(result, Iterable):
        parts = (works_of(each, times, fabric, plan=plan, shots=shots, nodes=None) for each in result)
        found = tuple(work for part in parts for work in part)
    else:
        raise InvalidValue(field="result", value=type(result).__name__, rule=_RULE)
    if nodes is None:
        return found
    return tuple(_moved(each, tuple(nodes)) for each in found)


def _of_run(result: Any, times: PlanTimes, shots: int | None) -> QuantumWork:
    if result.shots == 0 or shots is not None:
        return times.work(result.plan, shots or 0)
    if result.job_ns is None:
        raise _untimed()
    plan = result.plan
    return QuantumWork(
        nodes=nodes_of(plan),
        duration_ps=to_ps(ns=result.job_ns),
        shots=result.shots,
        pairs=plan.ebits * result.shots,
        pairs_per_link={link: count * result.shots for link, count in plan.ebits_per_link.items()},
    )


def _of_primitive(facts: Mapping[str, Any], fabric: Fabric, given: int | None) -> QuantumWork:
    """Read the metadata of a front door's result, which know the time of a shot without its reset."""
    nodes = tuple(facts["nodes"])
    shots = (facts["shots"] if given is None else given) or 0
    if shots and facts["makespan_ns"] is None:
        raise _untimed()
    reset = max((fabric.node(node).reset_ns or 0.0 for node in nodes), default=0.0)
    lasts = shots * facts["makespan_ns"] + (shots - 1) * reset if shots else 0.0
    pairs = facts["bell_pairs_per_shot"] * shots
    return QuantumWork(nodes=nodes, duration_ps=to_ps(ns=lasts), shots=shots, pairs=pairs)


def _plan(given: Any) -> Plan:
    found = getattr(given, "shot_plan", getattr(given, "plan", given))  # a source measures, its circuit does not
    if not isinstance(found, Plan):
        rule = "a Gradient does not say where it was taken: give the plan, or the OnFabric source, as plan="
        raise InvalidValue(field="plan", value=type(given).__name__, rule=rule)
    return found


def _moved(work: QuantumWork, nodes: tuple[str, ...]) -> QuantumWork:
    return QuantumWork(
        nodes=nodes,
        duration_ps=work.duration_ps,
        shots=work.shots,
        pairs=work.pairs,
        pairs_per_link=work.pairs_per_link,
    )


def _checked(shots: object) -> int | None:
    if shots is None:
        return None
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or shots < 0:
        raise InvalidValue(field="shots", value=shots, rule="it is a whole number, not below zero")
    return int(shots)


def _untimed() -> InvalidValue:
    return InvalidValue(
        field="plan",
        value=None,
        rule="the clock cannot tell how long a shot takes: some of its pairs are not entangled",
        remedy="State a pair_fidelity above 1/4 and, where they take time, a pair_rate_hz on its links.",
    )
