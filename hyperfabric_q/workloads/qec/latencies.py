"""Where the time of a loop goes: percentiles of each stage, and how many frames missed their deadline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.units import PS_PER_US
from hyperfabric_q.workloads.qec.backlog import Backlog, backlog
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.loop import USUAL_TIMELINES, Loop, timelines_of
from hyperfabric_q.workloads.qec.timelines import Timeline, percentiles_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """The times of a loop.

    Attributes:
        stages: p50, p99, p99.9 and max in µs of each stage: one_way (queue and wire together), queue, wire,
            decoder_queue, decode and return.
        frames: how many were counted.
        missed: of them, not in by the deadline; 0 without one.
        bound_us: no frame takes longer; None where no bound is known.
        utilisation: of the decoders, the worst of the timelines.
        growing: timelines in which the decoders fall behind.
        timelines: the replays themselves.
    """

    stages: Mapping[str, Mapping[str, float]]
    frames: int
    missed: int
    bound_us: float | None
    utilisation: float
    growing: int
    timelines: tuple[Timeline, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the replays, ready for JSON: what never happened has no percentiles."""
        stages = {
            name: {key: value if math.isfinite(value) else None for key, value in values.items()}
            for name, values in self.stages.items()
        }
        return {
            "stages_us": stages,
            "frames": self.frames,
            "missed": self.missed,
            "bound_us": self.bound_us,
            "utilisation": self.utilisation if math.isfinite(self.utilisation) else None,
            "growing": self.growing,
            "timelines": len(self.timelines),
        }


def latencies(
    experiment: Experiment, loop: Loop, *, timelines: int = USUAL_TIMELINES, seed: int | None = None
) -> Latencies:
    """Return where the time of a loop goes, without taking a shot. Cost: about 15 µs per frame.

    Raises:
        InvalidValue, DeadlineImpossible, SimulationRefused: the loop cannot work.
    """
    return latencies_of(timelines_of(experiment, loop, timelines, seeds.resolve(seed)), loop)


def latencies_of(replays: list[Timeline], loop: Loop) -> Latencies:
    """Return where the time goes in replays that are there already, all of one loop."""
    staged = [{"one_way": each.one_way_ps(), **each.stages_ps()} for each in replays]
    kept = [_backlog(each, loop) for each in replays]
    bounds = [bound for each in replays for bound in each.bounds_ps]
    known = [bound for bound in bounds if bound is not None]
    return Latencies(
        stages={name: percentiles_us(np.concatenate([each[name] for each in staged])) for name in staged[0]},
        frames=sum(int(each.counted.sum()) for each in replays),
        missed=sum(each.missed for each in replays) if loop.transport.deadline_us is not None else 0,
        bound_us=max(known) / PS_PER_US if known and len(known) == len(bounds) else None,
        utilisation=max(each.rho for each in kept),
        growing=sum(each.trend.grows for each in kept),
        timelines=tuple(replays),
    )


def _backlog(timeline: Timeline, loop: Loop) -> Backlog:
    return backlog(timeline, loop.servers, warn=False)


def waiting_windows(timeline: Timeline) -> tuple[list[float], list[int]]:
    """Return when the number of windows that wait for a decoder changes, in µs, and to how many."""
    ready, begun = timeline.windows[:, 4], timeline.windows[:, 5]
    # A window that is begun at once waits for no time: both steps fall together, and only the last one is kept.
    times = np.concatenate([ready, begun])
    order = np.argsort(times, kind="stable")
    depth = np.cumsum(np.concatenate([np.ones_like(ready), -np.ones_like(begun)])[order])
    ordered = times[order]
    last = np.append(ordered[1:] != ordered[:-1], np.True_) if len(ordered) else np.zeros(0, dtype=np.bool_)
    return (ordered[last] / PS_PER_US).tolist(), depth[last].tolist()
