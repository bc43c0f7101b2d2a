"""Plots of error correction over a fabric: logical error rates, latencies, and backlog over time.

Figures of Matplotlib are made without pyplot, so nothing is kept open and no window system is needed:
``figure.savefig("f.png")``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_US
from hyperfabric_q.workloads.qec.latencies import waiting_windows
from hyperfabric_q.workloads.qec.outcomes import Outcome
from hyperfabric_q.workloads.qec.timelines import Timeline

SIZE: Final = (6.4, 4.4)

AXES: Final = {
    "p": "physical error rate p",
    "load": "load of the link",
    "F": "fidelity of the Bell pairs",
    "d": "distance",
    "deadline_us": "deadline, µs",
}
"""What the usual parts of a record are called."""


def rate_against(
    found: Iterable[Outcome], x: str, *, by: Sequence[str] = ("d",), logarithmic: bool | None = None
) -> Figure:
    """Return the logical error rate per round against one part of the record, with 95 % intervals.

    Points without an error are drawn as the upper end of their interval, with an arrow down.

    Args:
        found: outcomes; those whose record does not have ``x`` are left out.
        x: name of the part, such as "p", "load" or "F".
        by: parts that make a line each, by their values.
        logarithmic: whether x is; by default p is, and nothing else.

    Raises:
        InvalidValue: no outcome has ``x``.
    """
    lines = _lines(found, x, by)
    figure, axes = _blank(AXES.get(x, x), "logical error rate per round")
    for label, points in lines.items():
        _line(axes, label, x, points)
    axes.set_yscale("log")
    if x == "p" if logarithmic is None else logarithmic:
        axes.set_xscale("log")
    axes.legend()
    return figure


def rate_against_p(found: Iterable[Outcome], *, by: Sequence[str] = ("d",)) -> Figure:
    """Return the logical error rate per round against the physical one."""
    return rate_against(found, "p", by=by)


def rate_against_load(found: Iterable[Outcome], *, by: Sequence[str] = ("d", "policy")) -> Figure:
    """Return the logical error rate per round against the load of the link, without the runs that have no link."""
    return rate_against([each for each in found if each.record.get("link_gbps") is not None], "load", by=by)


def rate_against_fidelity(found: Iterable[Outcome], *, by: Sequence[str] = ("d", "basis")) -> Figure:
    """Return the logical error rate per round against the fidelity of the Bell pairs."""
    return rate_against(found, "F", by=by)


def _lines(found: Iterable[Outcome], x: str, by: Sequence[str]) -> dict[str, list[Outcome]]:
    lines: dict[str, list[Outcome]] = {}
    for each in found:
        if each.record.get(x) is not None:
            label = ", ".join(f"{name} = {each.record.get(name)}" for name in by)
            lines.setdefault(label, []).append(each)
    if not lines:
        raise InvalidValue(field="x", value=x, rule="at least one outcome has this part in its record")
    return lines


def _line(axes: Axes, label: str, x: str, points: list[Outcome]) -> None:
    points = sorted(points, key=lambda each: float(each.record[x]))
    at = np.array([float(each.record[x]) for each in points])
    rates = np.array([each.per_round.value for each in points])
    ends = np.array([each.interval() for each in points])
    seen = rates > 0
    drawn = np.where(seen, rates, ends[:, 1])
    below = np.where(seen, drawn - ends[:, 0], drawn / 2)
    above = np.where(seen, ends[:, 1] - drawn, 0.0)
    axes.errorbar(at, drawn, yerr=[below, above], uplims=~seen, marker="o", capsize=3, label=label)


def latency_cdf(timelines: Mapping[str, Iterable[Timeline]], *, deadline_us: float | None = None) -> Figure:
    """Return which share of frames is in after how long, one line per name.

    Frames that never arrived count, so that a line may end below 1.

    Args:
        timelines: replays, by the name of their line.
        deadline_us: is marked.
    """
    figure, axes = _blank("time from emission to the decoder, µs", "share of frames")
    for label, replays in timelines.items():
        given = list(replays)
        times = np.sort(np.concatenate([each.one_way_ps() for each in given])) / PS_PER_US
        frames = sum(int(each.counted.sum()) for each in given)
        # Each frame is a step up at its time; a time of 0 has no place on a logarithmic axis.
        axes.step(np.maximum(times, 1e-6), _shares(len(times), frames), where="post", label=label)
    if deadline_us is not None:
        axes.axvline(deadline_us, color="black", linestyle="--", label=f"deadline {deadline_us:g} µs")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.legend()
    return figure


def _shares(arrived: int, frames: int) -> NDArray[np.float64]:
    return np.arange(1, arrived + 1) / max(frames, 1)


def backlog_over_time(timelines: Mapping[str, Timeline]) -> Figure:
    """Return how many windows wait for a decoder over the time of one replay, one line per name."""
    figure, axes = _blank("time, µs", "windows that wait for a decoder")
    for label, timeline in timelines.items():
        times, depths = waiting_windows(timeline)
        axes.step([0.0, *times], [0, *depths], where="post", label=label)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _blank(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, which="both", alpha=0.3)
    return figure, axes
