"""How long do the shots of a run take on the clock of the fabric?

Shot s + 1 begins when shot s has ended and every qubit is reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.timelines import Timelines, drawn_timetable

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

_PS_PER_NS: Final = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotTimes:
    """How long one shot takes, in nanoseconds, its reset not counted.

    Attributes:
        mean: over the runs of the schedule that were drawn.
        p50: what half of the shots do not exceed.
        p99: what 99 % of them do not exceed.
        reset: between two shots: the longest reset of any node that takes part.
        runs: how many runs were drawn.
    """

    mean: float
    p50: float
    p99: float
    reset: float
    runs: int

    def job_ns(self, shots: int) -> float:
        """Return how long that many shots take one after another."""
        return shots * self.mean + (shots - 1) * self.reset

    def to_dict(self) -> dict[str, float | int]:
        """Return the fields, ready for JSON."""
        return {"mean": self.mean, "p50": self.p50, "p99": self.p99, "reset": self.reset, "runs": self.runs}


def shot_times(plan: Plan, timelines: Timelines | None, *, seed: int) -> ShotTimes | None:
    """Return how long shots take; None where the clock refuses the plan, whose pairs are not entangled for example.

    Args:
        plan: what ran.
        timelines: of the run; its schedule is used if one was made, else it is made now.
        seed: of the run.
    """
    makespans = None if timelines is None else timelines.makespans_ps
    if makespans is None:
        try:
            others = () if timelines is None else timelines.background
            makespans = drawn_timetable(plan, seed, background=others).makespan_ps.reshape(-1)
        except InvalidValue:
            return None
    nodes = (plan.fabric.node(node_id) for node_id in dict.fromkeys(plan.routed.node_of))
    return _of(makespans, reset=max((node.reset_ns or 0.0 for node in nodes), default=0.0))


def _of(makespans_ps: NDArray[np.int64], *, reset: float) -> ShotTimes:
    # The smallest value that is not exceeded by that share: no interpolation between shots that never took so long.
    p50, p99 = np.quantile(makespans_ps, (0.5, 0.99), method="inverted_cdf") / _PS_PER_NS
    mean = float(makespans_ps.mean()) / _PS_PER_NS
    return ShotTimes(mean=mean, p50=float(p50), p99=float(p99), reset=float(reset), runs=len(makespans_ps))
