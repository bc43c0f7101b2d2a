"""Which plan serves a point: one of its own, or one that it shares?

An objective that does not look at what a sweep changes finds the same plan at every point, so it is looked for once.
What a planner sees are the network with the prices of the objective's measures, and the nodes where chips limit who
meets whom; the clock sees the whole fabric.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Final

from hyperfabric_q.distribution.cost_models import priced_network
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.objectives import Objective
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.route import check_routed
from hyperfabric_q.errors import InputError, InvalidValue, VerificationFailed
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.sweeping.points import RUN_OPTIONS, changed

PLANS: Final = ("auto", "reuse", "anew")


def seen_by_planner(fabric: Fabric, objective: Objective) -> Hashable:
    """Return all that planning by ``objective`` looks at; fabrics in which it is equal get equal plans.

    Raises:
        InvalidValue: a cost model's price is none.
    """
    if objective.clocked:
        return fabric
    network = network_of(fabric)
    priced = tuple(priced_network(measure, fabric) for measure in objective.measures)
    return network, priced, fabric.qpu_nodes if network.coupled else ()


def planned_for(fabric: Fabric, point: Mapping[str, Any], objective: Objective, plans: str) -> Fabric:
    """Return the fabric whose plan serves a point.

    With "auto" that is ``fabric`` with those changes only that the planner sees. So it depends on the point alone, not
    on the others of the sweep: a sweep that is extended finds the points it had in its store.

    Args:
        fabric: without any change.
        point: what changes.
        objective: of the plan.
        plans: "auto", "reuse" = the plan for ``fabric``, or "anew" = a plan for the point's own fabric.

    Raises:
        InvalidValue: ``plans`` is none of these.
        InputError: as ``changed``.
    """
    if plans not in PLANS:
        raise InvalidValue(field="plans", value=plans, rule=f"plans is one of {', '.join(map(repr, PLANS))}")
    own = changed(fabric, point)
    if plans == "anew":
        return own
    if plans == "reuse":
        return fabric
    wanted, needed = seen_by_planner(own, objective), dict(point)
    for path in point:
        fewer = {each: value for each, value in needed.items() if each != path}
        if path in RUN_OPTIONS or _sees(fabric, fewer, objective) == wanted:
            needed = fewer
    return changed(fabric, needed)


def _sees(fabric: Fabric, point: Mapping[str, Any], objective: Objective) -> Hashable | None:
    try:
        return seen_by_planner(changed(fabric, point), objective)
    except InputError:  # one change may be impossible without another
        return None


def moved(plan: Plan, fabric: Fabric) -> Plan:
    """Return the same plan on another fabric, counted again there; its clock and its errors are that fabric's.

    Raises:
        InvalidValue: the plan does not fit that fabric.
    """
    if fabric == plan.fabric:
        return plan
    try:
        counted = replay(plan.lowered.circuit, fabric)
        swaps = check_routed(plan.routed, fabric, ebits=counted.ebits)
    except VerificationFailed as fault:
        raise InvalidValue(
            field="plans",
            value="reuse",
            rule=f"the plan does not fit the fabric of this point ({fault.what})",
            remedy='plans="auto" plans again where it must.',
        ) from fault
    return replace(plan, fabric=fabric, replay=counted, swaps=swaps)
