"""Where does a run lose its fidelity? One row per cause and place.

Every error is a channel with a process fidelity, and the product of all of them is what is left if no error cancels
another: minus the logarithms add up, and a row's share is exact in that sense. Corrections of the protocol are applied
in half of all shots; gates under a condition of the user's count as if they always ran.

Where shots have timelines of their own, each row has the mean error of its place. Errors that a late pair brings come
together, though: a shot suffers many or few. What is left on average, timeline by timeline, is therefore somewhat more
than the rows multiply to, and is stated beside them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qiskit.circuit import IfElseOp

from hyperfabric_q.distribution.local_figures import LocalFigures, minus_log, process_infidelity
from hyperfabric_q.execution.noise import PAIR
from hyperfabric_q.execution.run_noise import Idle, RunNoise

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

SCHEMA: Final = "hyperfabric_q/attribution/1"
CAUSES: Final[Mapping[str, str]] = {
    "link": "pairs as their link makes them",
    "wait": "pairs that age before their use",
    "gates": "gates inside the node",
    "readout": "misread bits",
    "idle": "qubits that wait",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one cause costs in one place.

    Attributes:
        cause: "link", "wait", "gates", "readout" or "idle".
        where: a link as "a--b", or a node id.
        operations: how many pairs, gates, measurements or waits there are per shot, on average.
        infidelity: 1 - the product of their fidelities.
        share: of the whole loss, by logarithms.
    """

    cause: str
    where: str
    operations: float
    infidelity: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The infidelity of a run by cause and place, the largest first.

    Pairs that are swapped or purified on their way would have causes of their own; the pairs of a plan come from one
    link each.

    Attributes:
        rows: causes that cost anything.
        infidelity: of the whole run: 1 - the product of all fidelities.
        over_timelines: the mean of that over the timelines that were simulated; ``infidelity`` itself if it was one.
    """

    rows: tuple[Loss, ...]
    infidelity: float
    over_timelines: float

    def by_cause(self) -> dict[str, float]:
        """Return the infidelity of each cause over all places, the largest first."""
        logs: dict[str, float] = defaultdict(float)
        for row in self.rows:
            logs[row.cause] += minus_log(row.infidelity)
        return {cause: -math.expm1(-loss) for cause, loss in sorted(logs.items(), key=lambda item: -item[1])}

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON-ready values, schema ``hyperfabric_q/attribution/1``."""
        rows = [{name: getattr(row, name) for name in Loss.__dataclass_fields__} for row in self.rows]
        return {"schema": SCHEMA, "infidelity": self.infidelity, "over_timelines": self.over_timelines, "rows": rows}

    def __str__(self) -> str:
        if not self.rows:
            return "no errors"
        rows = [("infidelity", "share", "cause", "where", "operations")]
        rows += [
            (f"{each.infidelity:.3g}", f"{each.share:.1%}", CAUSES[each.cause], each.where, f"{each.operations:.6g}")
            for each in self.rows
        ]
        rows.append((f"{self.infidelity:.3g}", "100.0%", "all", "", ""))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def attribution_of(plan: Plan, noise: RunNoise, fresh: RunNoise, timelines: Sequence[RunNoise] = ()) -> Attribution:
    """Return where a run of a plan loses its fidelity; O(instructions).

    Args:
        plan: what runs, measurements included.
        noise: its errors, the mean of all timelines.
        fresh: the same with every pair as its link makes it.
        timelines: those that were simulated, if there are several.
    """
    logs: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], float] = defaultdict(float)
    for cause, where, loss, times in _losses(plan, noise, fresh):
        if loss > 0:
            logs[cause, where] += loss * times
            counts[cause, where] += times
    whole = sum(logs.values())
    rows = [
        Loss(
            cause=cause,
            where=where,
            operations=counts[cause, where],
            infidelity=-math.expm1(-loss),
            share=loss / whole if math.isfinite(whole) else float(math.isinf(loss)),
        )
        for (cause, where), loss in logs.items()
    ]
    rows.sort(key=lambda row: (-row.infidelity, row.cause, row.where))
    infidelity = -math.expm1(-whole)
    if len(timelines) > 1 and math.isfinite(whole):
        # Gates and misreads are the same in all of them.
        left = whole - _passing(noise)
        over = sum(-math.expm1(-(left + _passing(each))) for each in timelines) / len(timelines)
    else:
        over = infidelity
    return Attribution(rows=tuple(rows), infidelity=infidelity, over_timelines=over)


def _passing(noise: RunNoise) -> float:
    """Return -ln of the fidelity of all pairs and waits."""
    pairs = sum(minus_log(1 - weight) for weight in noise.pair_weights[:, 0].tolist())
    return pairs + sum(minus_log(idle_infidelity(idle)) for idle in noise.idles)


Entry = tuple[str, str, float, float]
"""Cause, place, -ln of the fidelity of one operation, and how many there are."""


def _losses(plan: Plan, noise: RunNoise, fresh: RunNoise) -> Iterator[Entry]:
    yield from _pair_losses(plan, noise, fresh)
    for idle in noise.idles:
        yield "idle", plan.routed.node_of[idle.wire], minus_log(idle_infidelity(idle)), 1.0
    if noise.local:
        yield from _local_losses(plan)


def _pair_losses(plan: Plan, noise: RunNoise, fresh: RunNoise) -> Iterator[Entry]:
    circuit, node_of = plan.routed.circuit, plan.routed.node_of
    index = {wire: position for position, wire in enumerate(circuit.qubits)}
    made = [
        "--".join(sorted(node_of[index[wire]] for wire in step.qubits)) for step in circuit.data if step.name == PAIR
    ]
    for link, used, new in zip(made, noise.pair_weights[:, 0], fresh.pair_weights[:, 0], strict=True):
        at_use, at_birth = minus_log(1 - float(used)), minus_log(1 - float(new))
        yield "link", link, min(at_birth, at_use), 1.0
        yield "wait", link, max(0.0, at_use - at_birth) if math.isfinite(at_birth) else 0.0, 1.0


def idle_infidelity(idle: Idle) -> float:
    """Return the process infidelity of a wait: 1 - (1 + exp(-t/T1) + 2 exp(-t/T2)) / 4."""
    return -(math.expm1(-idle.duration_s / idle.t1_s) + 2 * math.expm1(-idle.duration_s / idle.t2_s)) / 4


def _local_losses(plan: Plan) -> Iterator[Entry]:
    routed = plan.routed
    figures = LocalFigures(plan.fabric, routed.node_of, routed.places)
    index = {wire: position for position, wire in enumerate(routed.circuit.qubits)}
    user = set(plan.program.classical.clbits)

    def gate(name: str, wires: list[int]) -> float:
        each = minus_log(process_infidelity(figures.gate_error(wires), len(wires)))
        return figures.gates(name, wires) * each

    for step in routed.circuit.data:
        wires = [index[wire] for wire in step.qubits]
        node = routed.node_of[wires[0]]
        if isinstance(step.operation, IfElseOp):
            chance = 1.0 if user.intersection(step.clbits) else 0.5
            for block in step.operation.blocks:
                outer = dict(zip(block.qubits, wires, strict=True))
                for each in block.data:
                    yield "gates", node, gate(each.name, [outer[wire] for wire in each.qubits]), chance
        elif step.name == "measure":
            yield "readout", node, minus_log(figures.readout_error(wires[0])), 1.0
        elif step.name not in {PAIR, "barrier", "reset"}:
            yield "gates", node, gate(step.name, wires), 1.0
