"""An emitted circuit on the clock of its fabric: gates, attempts at Bell pairs, messages and waiting.

**Pairs.** A link makes one pair after another, attempt by attempt (``hyperfabric_q.entanglement``). The two
communication qubits that the instruction names are taken from its first attempt on, so a pair can be made ahead of its
use only where one is free. **Order.** See ``link_order``: of the list scheduler's order and the circuit's, the better
one is taken. **Requests.** See ``pair_requests``: as late as nothing waits for them. **Idle qubits.** See
``operations``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.distribution.background import Background, Beside, checked
from hyperfabric_q.distribution.durations import Latencies
from hyperfabric_q.distribution.evaluation import timetable_of
from hyperfabric_q.distribution.link_order import Order, critical_order, program_order
from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.operations import MESSAGE, PAIR, Instants, Operations, operations_of
from hyperfabric_q.distribution.pair_requests import requests_of
from hyperfabric_q.distribution.passes import LINK, Requests, bindings, earliest, ends_of
from hyperfabric_q.distribution.timetable import CriticalStep, Timetable
from hyperfabric_q.entanglement.waiting import quantile_attempts
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, fields

Mode = Literal["mean", "sampled"]
Priority = Literal["critical", "program"]

USUAL_RUNS: Final = 200
USUAL_SAFETY: Final = 0.99

MOST_CELLS: Final = 40_000_000
"""Instructions x runs: above, the arrays of instants alone would take more than 640 MB."""

LATEST_PS: Final = 1 << 61
"""26 days: sums of instants stay within 64 bits."""


def schedule(
    lowered: Lowered,
    fabric: Fabric,
    *,
    mode: Mode = "mean",
    runs: int = USUAL_RUNS,
    seed: int | None = None,
    just_in_time: bool = True,
    safety: float = USUAL_SAFETY,
    order: Priority = "critical",
    stratified: bool = False,
    background: Sequence[Background] = (),
) -> Timetable:
    """Return ``lowered`` on the clock of ``fabric``; O(instructions x runs), about 35 us per instruction for one run.

    Args:
        lowered: an emitted circuit.
        fabric: the nodes and links.
        mode: "mean" lets every pair take its mean time; "sampled" draws the attempts.
        runs: how many runs of mode "sampled" there are.
        seed: of mode "sampled"; None draws one. The same seed gives the same luck to every link, whatever its rate.
        just_in_time: request pairs late; else as soon as their wires and their link are free.
        safety: of mode "sampled": requests go out so early that this share of pairs is heralded when it is needed. Less
            of it makes younger pairs and a longer program.
        order: in which order links make pairs: "critical" is the better of the list scheduler's order and the
            circuit's; "program" is the circuit's, whose makespan never grows with a faster link.
        stratified: whether the luck of each pair is spread evenly over the runs (Latin hypercube): means over runs
            scatter less, and the runs are no longer independent of one another.
        background: other traffic, of mode "sampled"; requests go out as if there were none.

    Raises:
        InvalidValue: an option is not one of those listed, the runs are too many, the pairs of a link are not
            entangled, or its rate is so low that the clock cannot hold the program.
        UnknownName: a wire is on a node that the fabric does not have.
    """
    _one_of("mode", mode, get_args(Mode))
    _one_of("order", order, get_args(Priority))
    share = fields.number("safety", safety, "a schedule", least=0, most=1 - 2**-53)
    operations = operations_of(lowered, fabric)
    latencies = Latencies(fabric)
    mean = _mean_ps(operations)
    chosen, starts = _best_order(operations, mean, order)
    critical = _critical(operations, chosen, starts, mean)
    seed = None if mode == "mean" else seeds.resolve(seed)
    made = mean[:, None] if seed is None else _drawn_ps(operations, runs, seed, stratified=stratified)
    others = _others(background, mode)
    requests = None
    if just_in_time:
        lead = mean if seed is None else _lead_ps(operations, share)
        requests, chosen = requests_of(operations, chosen, latencies, mean, lead)
        starts = earliest(operations, chosen, made, requests)
    elif seed is not None:
        starts = earliest(operations, chosen, made)
    if others and seed is not None:
        longest = int(ends_of(operations, starts, made).max(initial=0))
        starts = _beside(operations, chosen, made, requests, others, fabric, seed, longest)
    return timetable_of(operations, fabric, starts, made, critical=critical, just_in_time=just_in_time, seed=seed)


def _others(background: object, mode: Mode) -> tuple[Background, ...]:
    others = checked(background)
    if others and mode != "sampled":
        raise InvalidValue(field="mode", value=mode, rule="background traffic comes at random: mode is 'sampled'")
    return others


def _beside(
    operations: Operations,
    order: Order,
    made: Instants,
    requests: Requests | None,
    others: tuple[Background, ...],
    fabric: Fabric,
    seed: int,
    longest_ps: int,
) -> Instants:
    """Return the starts of all runs beside other traffic, which is drawn for longer until the program fits in."""
    horizon = 2 * longest_ps + 1
    while True:
        runs = made.shape[1]
        beside = Beside(others, fabric, operations.links, runs=runs, seed=seed, horizon_ps=horizon)
        starts = earliest(operations, order, made, requests, beside)
        if not beside.exceeded:
            return starts
        horizon *= 2


def _one_of(field: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidValue(field=field, value=value, rule=f"it is one of {', '.join(map(repr, known))}")


# -------------------------------------------------------------------------------------------------------- durations


def _mean_ps(operations: Operations) -> Instants:
    """How long the attempts for each pair take on average."""
    each = [link.attempt_ps / link.success for link in operations.links]
    rest = sum(operations.duration_ps.tolist()) + sum(lag for waits in operations.waits for _, lag, _ in waits)
    _check_clock(operations, each, rest)
    return np.array([round(ps) for ps in each], dtype=np.int64)[operations.pair_link]


def _lead_ps(operations: Operations, safety: float) -> Instants:
    """The time in which that share of the pairs of a link comes."""
    each = [int(quantile_attempts(link.success, safety)) * link.attempt_ps for link in operations.links]
    _check_clock(operations, each, 0)
    return np.array(each, dtype=np.int64)[operations.pair_link]


def _drawn_ps(operations: Operations, runs: object, seed: int, *, stratified: bool) -> Instants:
    """How long the attempts for each pair take, (pairs, runs): the geometric law by inversion."""
    most = max(1, MOST_CELLS // max(1, len(operations)))
    count = fields.count("runs", runs, f"{len(operations)} instructions", least=1, most=most, what="runs")
    made = np.zeros((len(operations.pairs), count), dtype=np.int64)
    for number, link in enumerate(operations.links):
        places = np.flatnonzero(operations.pair_link == number)
        # Run by run, so that more runs begin with those of fewer.
        rng = seeds.stream(seed, "schedule", *link.ends)
        luck = rng.random((count, len(places))).T
        if stratified:
            luck = (rng.permuted(np.tile(np.arange(count), (len(places), 1)), axis=1) + luck) / count
        if link.success == 1:
            made[places] = link.attempt_ps
            continue
        attempts = np.floor(np.log1p(-luck) / math.log1p(-link.success)) + 1
        _check_clock(operations, [float(attempts.max()) * link.attempt_ps], 0)
        made[places] = attempts.astype(np.int64) * link.attempt_ps
    return made


def _check_clock(operations: Operations, each_ps: Sequence[float], rest_ps: int) -> None:
    """Refuse pairs so slow that sums of instants might not fit."""
    slowest = max(each_ps, default=0.0)
    if slowest * len(operations.pairs) + rest_ps > LATEST_PS:
        raise InvalidValue(
            field="pair_rate_hz",
            value=1e12 / max(slowest, 1.0),
            rule=f"{len(operations.pairs)} pairs at this rate and all operations might take longer than the "
            f"{LATEST_PS / 1e12 / 86400:.3g} days that the clock of a schedule holds",
            remedy="Give the slowest link a higher rate, or the nodes shorter durations.",
        )


# ------------------------------------------------------------------------------------------------------------ order


def _best_order(operations: Operations, mean: Instants, priority: Priority) -> tuple[Order, Instants]:
    made = mean[:, None]
    best = program_order(operations)
    starts = earliest(operations, best, made)
    if priority == "critical" and len(operations.pairs) > 1:
        other = critical_order(operations, mean.tolist())
        if other.link_before != best.link_before:
            faster = earliest(operations, other, made)
            if ends_of(operations, faster, made).max() < ends_of(operations, starts, made).max():
                return other, faster
    return best, starts


def _critical(operations: Operations, order: Order, starts: Instants, mean: Instants) -> tuple[CriticalStep, ...]:
    """The chain of waits that ends with the program."""
    if not len(operations):
        return ()
    begun, ended = starts[:, 0], ends_of(operations, starts, mean[:, None])[:, 0]
    before = bindings(operations, order, begun, ended)
    path: list[CriticalStep] = []
    each = int(ended.argmax())
    while each >= 0:
        after, _, kind = before[each]
        span = int(ended[each]) - (int(ended[after]) if after >= 0 else 0)
        path.append(CriticalStep(each, _waits_for(operations, after, kind), after, span))
        each = after
    return tuple(reversed(path))


def _waits_for(operations: Operations, after: int, kind: int) -> str:
    if after < 0:
        return "start"
    if kind in {MESSAGE, LINK}:
        return "message" if kind == MESSAGE else "link"
    return "pair" if operations.names[after] == PAIR else "gate"
