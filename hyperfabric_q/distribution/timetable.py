"""A program on the clock: when everything happens, how old each pair is when it is used, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.operations import PAIR, Instants, Operations
from hyperfabric_q.entanglement.budget_table import duration
from hyperfabric_q.errors import InvalidValue

Floats = NDArray[np.float64]
Link = tuple[str, str]


class CriticalStep(NamedTuple):
    """An instruction on the critical path, and what it waited for.

    ``waits_for`` is "gate" (or any other operation on the same wire), "pair" (the herald of its pair), "link" (the link
    was making another pair), "message" (a measured bit on its way) or "start"; ``after`` is that instruction, or -1.
    ``span_ps`` is from the end of that instruction to the end of this one: the spans sum up to the makespan.
    """

    instruction: int
    waits_for: str
    after: int
    span_ps: int


class Bar(NamedTuple):
    """One bar of a Gantt chart: an instruction on one of its wires."""

    node: str
    wire: str
    name: str
    instruction: int
    start_ns: float
    end_ns: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairTimes:
    """Every Bell pair of a program, in the order of the circuit; leading axis: runs, if there are several.

    Attributes:
        instruction: of each pair, (pairs,).
        link: node ids of its link, (pairs,), an index into ``links``.
        links: the links, ends in alphabetical order.
        requested_ps: when the attempts began, (..., pairs); from then on both wires are taken.
        heralded_ps: when both ends knew of the pair.
        used_ps: when its first half was used, in a cat-entangler by the ``cx``.
        age_ps: since when its halves were stored by then, the light's way to the herald included.
        correlators: the state at that time, (..., pairs, 3), exact for T1 and T2 of both memories.
        fidelity: of that state.
    """

    instruction: Instants
    link: Instants
    links: tuple[Link, ...]
    requested_ps: Instants
    heralded_ps: Instants
    used_ps: Instants
    age_ps: Instants
    correlators: Floats
    fidelity: Floats

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.instruction)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timetable:
    """A program on the clock of a fabric. Arrays are read-only; a leading axis counts the runs of mode "sampled".

    **Estimates.** ``infidelity`` is 1 - (pairs' fidelities x gate fidelity x idle qubits' fidelities), all of them
    process fidelities: what is left if no error cancels another, as if each qubit's errors were seen at the end. It
    ranks schedules of one circuit; only ``run`` and ``compare`` measure.

    Attributes:
        mode: "mean" (attempts take their mean) or "sampled".
        seed: of the draws; None in mode "mean".
        just_in_time: whether pairs were requested late rather than at once.
        operations: what was scheduled.
        start_ps: start of each instruction, (..., instructions).
        end_ps: its end; of a pair, the herald.
        pairs: every Bell pair.
        makespan_ps: when the last instruction ended, (...,).
        idle_ps: how long each logical qubit was idle, all wires that hold it together, (..., qubits).
        idle_fidelity: estimate of what that leaves of it, exp(-sum of idle (1 / (4 T1) + 1 / (2 T2))), the process
            fidelity of many short waits, (..., qubits).
        gate_fidelity: product over all gates and measurements; conditional gates count as if they always ran.
        infidelity: estimate for the whole program, (...,).
        critical: the critical path, with mean durations and pairs requested at once.
        link_use: share of the makespan in which each link makes pairs, mean over runs.
        node_use: share of its wires' time in which each node's operations and attempts run, mean over runs.
        not_stated: durations and rates that nothing is stated of, and that count as no time, or at once.
    """

    mode: str
    seed: int | None
    just_in_time: bool
    operations: Operations
    start_ps: Instants
    end_ps: Instants
    pairs: PairTimes
    makespan_ps: Instants
    idle_ps: Instants
    idle_fidelity: Floats
    gate_fidelity: float
    infidelity: Floats
    critical: tuple[CriticalStep, ...]
    link_use: Mapping[Link, float]
    node_use: Mapping[str, float]
    not_stated: tuple[str, ...]

    @property
    def runs(self) -> int:
        """How many runs there are; 1 in mode "mean"."""
        return int(self.makespan_ps.size)

    @property
    def critical_ps(self) -> Mapping[str, int]:
        """What the critical path consists of: time in gates, for pairs and for messages; the sum is its makespan."""
        total = {"gate": 0, "pair": 0, "message": 0}
        durations = self.operations.duration_ps
        for step in self.critical:
            if self.operations.names[step.instruction] == PAIR:
                total["pair"] += step.span_ps
                continue
            own = int(durations[step.instruction])
            total["gate"] += own
            total["message"] += step.span_ps - own
        return total

    @property
    def critical_pairs(self) -> Mapping[Link, int]:
        """How many pairs of each link are on the critical path: where a faster link, or fewer pairs, would help."""
        place = {int(each): number for number, each in enumerate(self.pairs.instruction)}
        counts = dict.fromkeys(self.pairs.links, 0)
        for step in self.critical:
            if step.instruction in place:
                counts[self.pairs.links[int(self.pairs.link[place[step.instruction]])]] += 1
        return counts

    def gantt(self, run: int = 0) -> tuple[Bar, ...]:
        """Return the bars of a Gantt chart, one per instruction and wire, by start; O(instructions log instructions).

        Raises:
            InvalidValue: there is no such run.
        """
        if not 0 <= run < self.runs:
            raise InvalidValue(field="run", value=run, rule=f"there are {self.runs} run(s), from 0 on")
        starts = self.start_ps.reshape(-1, len(self.operations))[run].tolist()
        ends = self.end_ps.reshape(-1, len(self.operations))[run].tolist()
        each = self.operations
        bars = [
            Bar(each.nodes[each.node_of[wire]], each.wire_names[wire], name, here, starts[here] / 1e3, ends[here] / 1e3)
            for here, (name, wires) in enumerate(zip(each.names, each.wires, strict=True))
            if name != "barrier"
            for wire in wires
        ]
        return tuple(sorted(bars, key=lambda bar: (bar.start_ns, bar.instruction, bar.wire)))

    def summary(self) -> str:
        """Return the timetable as a few lines of text."""
        pairs = self.pairs
        lines = [f"makespan {_over_runs(self.makespan_ps)}, infidelity {float(self.infidelity.mean()):.4g} (estimate)"]
        if len(pairs):
            held = "just in time" if self.just_in_time else "at once"
            lines.append(
                f"{len(pairs)} Bell pairs requested {held}, aged {duration(float(pairs.age_ps.mean()))} at use on "
                f"average and {duration(float(pairs.age_ps.max()))} at most; fidelity at use "
                f"{float(pairs.fidelity.mean()):.6g} on average, {float(pairs.fidelity.min()):.6g} at least"
            )
        if self.idle_ps.size:
            worst = int(self.idle_fidelity.reshape(-1, self.idle_ps.shape[-1]).mean(axis=0).argmin())
            idle = duration(float(self.idle_ps[..., worst].mean()))
            kept = float(self.idle_fidelity[..., worst].mean())
            lines.append(f"idle: qubit {worst} suffers most, {idle}, which leaves {kept:.4g} of it (estimate)")
        spans = ", ".join(f"{what} {duration(ps)}" for what, ps in self.critical_ps.items())
        lines.append(f"critical path: {len(self.critical)} instructions, {spans}")
        for (a, b), share in sorted(self.link_use.items(), key=lambda row: -row[1])[:8]:
            lines.append(f"link {a}--{b}: busy {share:.1%}, {self.critical_pairs[a, b]} pairs on the critical path")
        if self.not_stated:
            more = f" and {len(self.not_stated) - 6} more" if len(self.not_stated) > 6 else ""
            lines.append(f"not stated, and taken as no time: {', '.join(self.not_stated[:6])}{more}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return (
            f"<Timetable: {len(self.operations)} instructions and {len(self.pairs)} Bell pairs in "
            f"{_over_runs(self.makespan_ps)}>"
        )


def _over_runs(ps: Instants) -> str:
    if ps.ndim == 0:
        return duration(float(ps))
    spread = duration(float(ps.std()))
    return f"{duration(float(ps.mean()))} (mean of {ps.size} runs, standard deviation {spread})"
