"""What a front door tells about a run beside its numbers: the metadata of a result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.attribution import attribution_of
from hyperfabric_q.execution.clock_noise import fresh_noise
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.timelines import Timelines
from hyperfabric_q.interfaces.planned import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """Facts of a plan that every binding shares.

    Attributes:
        nodes: that take part.
        pairs: Bell pairs per shot.
        messages: bits that go from node to node per shot, each a message.
        fidelity: product of the process fidelities of all errors.
        makespan_ns: mean time of one shot; None where the clock refuses the plan.
        digest: of the plan.
        label: how the plan was verified.
    """

    nodes: tuple[str, ...]
    pairs: int
    messages: int
    fidelity: float
    makespan_ns: float | None
    digest: str
    label: str

    def metadata(
        self,
        *,
        shots: int | None,
        circuits: int,
        way: str,
        noise: str,
        seed: int,
        fallbacks: tuple[str, ...] = (),
        approximations: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Return the metadata of one result.

        Args:
            shots: of all its circuits together; None = exact, without shots.
            circuits: how many bindings there were.
            way: how they were computed.
            noise: the kind of errors.
            seed: of the samples.
            fallbacks: what was asked for and not done.
            approximations: what was not exact.
        """
        taken = shots or 0
        return {
            "nodes": list(self.nodes),
            "bell_pairs_per_shot": self.pairs,
            "bell_pairs_used": self.pairs * taken,
            "est_fidelity": self.fidelity,
            "makespan_ns": self.makespan_ns,
            "classical_bytes": math.ceil(self.messages * taken / 8),
            "shots": shots,
            "bindings": circuits,
            "exact": shots is None,
            "way": way,
            "noise": noise,
            "fallbacks": list(fallbacks),
            "approximations": list(approximations),
            "seed": seed,
            "plan_hash": self.digest,
            "equivalent": self.label,
        }


def facts_of(planned: Planned, lines: Timelines) -> PlanFacts:
    """Return the facts of a plan under the errors of a run; O(instructions), once where no time passes."""
    if lines.averaging != "none":
        return _facts_of(planned, lines)
    known: PlanFacts = planned.memo.get("facts") or _facts_of(planned, lines)
    planned.memo["facts"] = known
    return known


def _facts_of(planned: Planned, lines: Timelines) -> PlanFacts:
    made, kind = planned.plan, Noise(planned.options.noise)
    complete, _ = measured(made)
    fresh = fresh_noise(complete, kind)
    loss = attribution_of(complete, lines.mean, fresh)
    return PlanFacts(
        nodes=tuple(dict.fromkeys(made.routed.node_of)),
        pairs=made.ebits,
        messages=sum(made.replay.messages.values()),
        fidelity=1.0 - loss.infidelity,
        makespan_ns=_makespan_ns(planned, lines),
        digest=planned.digest,
        label=made.equivalent,
    )


def _makespan_ns(planned: Planned, lines: Timelines) -> float | None:
    if lines.makespans_ps is not None:
        return float(lines.makespans_ps.mean()) / 1e3
    try:
        found = planned.plan.schedule(mode="mean").makespan_ps
    except InvalidValue:
        return None
    return float(found.mean()) / 1e3
