"""Which algorithm a live collective takes on the fabric as it is, over which channels, and how long it needs alone.

Where every rank sends on one channel and receives on one, straight through a switch or over a link of its own, the
recurrence is exact. Otherwise, over racks or several links, times are found by rehearsing the schedule in a kernel of
its own, as long as it has few messages; of many messages the time is then only estimated, from each rank's fastest
channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import ClassicalNetwork
from hyperfabric_q.fabric.racks import rack_of
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Key
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.traffic.collectives.bounds import endpoint_bound_ps
from hyperfabric_q.traffic.collectives.choose import AUTO, REFERENCE
from hyperfabric_q.traffic.collectives.nics import Nics
from hyperfabric_q.traffic.collectives.on_kernel import Route, Running
from hyperfabric_q.traffic.collectives.report import CollectiveReport, Prediction
from hyperfabric_q.traffic.collectives.schedule import ALGORITHMS, Collective, Schedule, schedule_of
from hyperfabric_q.traffic.collectives.timing import Timing, schedule_timing
from hyperfabric_q.traffic.profiles import Profile
from hyperfabric_q.traffic.wiring import Way

MOST_REHEARSED: Final = 10_000
"""Messages of a schedule that is still rehearsed: about half a second."""

Ways = Mapping[tuple[int, int], Way]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done, by whatever algorithm: a collective of nodes, its size, and the transport."""

    collective: Collective
    names: tuple[str, ...]
    nbytes: int
    itemsize: int
    root: int
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The algorithm chosen, and what it takes if nothing else is sent.

    Attributes:
        task: what it does.
        schedule: what is sent.
        report: times from the start.
        routes: channels and delays between the ranks that talk.
        channels: all of these channels.
        ends: how fast each rank can send and receive over all its channels together.
        warnings: of the ways.
    """

    task: Task
    schedule: Schedule
    report: CollectiveReport
    routes: Mapping[tuple[int, int], Route]
    channels: frozenset[int]
    ends: Nics
    warnings: tuple[str, ...]

    def start(
        self,
        kernel: Kernel,
        *,
        key: Key = (),
        priority_class: int = 4,
        deadline_ps: int = NO_DEADLINE,
        identity: Callable[[int, int], int] | None = None,
        on_done: Callable[[Running], object] | None = None,
        on_failed: Callable[[int, int, str], object] | None = None,
    ) -> Running:
        """Return the collective, started in a kernel whose channels are those of ``routes``."""
        return _start(
            kernel,
            self.task,
            self.schedule,
            self.routes,
            key=key,
            priority_class=priority_class,
            deadline_ps=deadline_ps,
            identity=identity,
            on_done=on_done,
            on_failed=on_failed,
        )

    def reported(self, completion_ps: list[int]) -> CollectiveReport:
        """Return the report with the times that it really took, from the start."""
        timing = replace(self.report.timing, completion_ps=np.array(completion_ps, dtype=np.int64), exact=True)
        return replace(self.report, timing=timing, capacity_bytes=_capacity(timing, self.ends))

    @property
    def wire_efficiency(self) -> float:
        """Payload bytes per byte on the wire, over all messages."""
        task = self.task
        if task.profile.packet_payload is None:
            return 1.0
        edges = self.schedule.edges(task.nbytes, task.itemsize)
        if self.schedule.shift is not None:  # every block is sent equally often
            sizes = [np.diff(edges)]
        else:
            sizes = [edges[step.sends.end] - edges[step.sends.first] for step in self.schedule.steps()]
        payload = sum(int(each.sum()) for each in sizes)
        wire = sum(int(task.profile.wire_bytes_of(each[each > 0]).sum()) for each in sizes)
        return payload / wire if wire else 1.0


def foresee(
    task: Task,
    algorithm: str,
    *,
    fabric: Fabric,
    kernel: Kernel,
    find: Callable[[str, str], Way],
    network: ClassicalNetwork,
) -> Foresight:
    """Return the algorithm to take, the one that was named or the fastest, with its times on idle channels.

    About 20 ms for a ring of 1024 nodes, the first time as much again to find its ways.

    Args:
        task: what to do.
        algorithm: a registered name, or "auto".
        fabric: the nodes with their racks.
        kernel: has the channels.
        find: the way from one node to another.
        network: the channels of the fabric.

    Raises:
        UnknownName: no such algorithm.
        NoRoute, IsolationViolated: as ``find``.
        InvalidValue: a zone demands encryption, or times exceed 2**61 ps.
    """
    racks = _racks(fabric, task.names)
    names = [algorithm]
    if algorithm == AUTO:
        # Without racks the hierarchy has one level, which is the ring.
        names = [each for each in ALGORITHMS if each != REFERENCE and (len(racks) > 1 or each != "hierarchical")]
    plans = {name: schedule_of(task.collective, name, len(task.names), root=task.root, racks=racks) for name in names}
    ways = {name: _ways(plan, task.names, find) for name, plan in plans.items()}
    ends = _ends(task, fabric, network)
    options = {name: _Option(task, plans[name], ways[name], ends, kernel) for name in names}
    for option in options.values():
        option.estimate(alone=len(options) == 1)
    while True:
        best = min(names, key=lambda name: (options[name].timing.duration_ps, name))
        if not options[best].improve(kernel):
            break
    chosen = options[best]
    rows = [Prediction(name, each.timing.duration_ps, each.timing.exact) for name, each in options.items()]
    report = CollectiveReport(
        collective=task.collective,
        algorithm=best,
        ranks=len(task.names),
        nbytes=task.nbytes,
        timing=chosen.timing,
        bound_ps=endpoint_bound_ps(task.collective, task.nbytes, ends, root=task.root, itemsize=task.itemsize),
        predictions=tuple(sorted(rows, key=lambda row: (row.duration_ps, row.algorithm))),
        capacity_bytes=_capacity(chosen.timing, ends),
    )
    return Foresight(
        task=task,
        schedule=chosen.schedule,
        report=report,
        routes=chosen.routes,
        channels=frozenset(number for path, _ in chosen.routes.values() for number in path),
        ends=ends,
        warnings=tuple(dict.fromkeys(text for way in ways[best].values() for text in way.warnings)),
    )


# ---------------------------------------------------------------------------------------------------------- candidates


class _Option:
    """An algorithm among others, and what is known of its time."""

    timing: Timing

    def __init__(self, task: Task, schedule: Schedule, ways: Ways, ends: Nics, kernel: Kernel) -> None:
        self.task, self.schedule = task, schedule
        self.routes: dict[tuple[int, int], Route] = {pair: (way.path, way.delays) for pair, way in ways.items()}
        self.nics, self.fits = _nics(task, ways, ends, kernel)

    def estimate(self, *, alone: bool) -> None:
        """Find the times on idle channels, roughly where there are others to compare with."""
        rough = not (alone and self.fits)
        task = self.task
        timing = schedule_timing(self.schedule, task.nbytes, self.nics, itemsize=task.itemsize, approximate=rough)
        self.timing = timing if self.fits or not timing.sends else replace(timing, exact=False)

    def improve(self, kernel: Kernel) -> bool:
        """Make an estimate exact; whether there was anything to do."""
        task, timing = self.task, self.timing
        if timing.exact or (not self.fits and timing.sends > MOST_REHEARSED):
            return False
        if self.fits:
            self.timing = schedule_timing(self.schedule, task.nbytes, self.nics, itemsize=task.itemsize)
        else:
            completion = np.array(_rehearsed(kernel, task, self.schedule, self.routes), dtype=np.int64)
            self.timing = replace(timing, completion_ps=completion, exact=True)
        return True


def _start(
    kernel: Kernel, task: Task, schedule: Schedule, routes: Mapping[tuple[int, int], Route], **options: object
) -> Running:
    return Running(
        kernel,
        schedule,
        task.nbytes,
        lambda a, b: routes[a, b],
        itemsize=task.itemsize,
        wire=task.profile.wire_bytes,
        before_ps=task.profile.message_ps,
        **options,  # type: ignore[arg-type]
    )


def _rehearsed(kernel: Kernel, task: Task, schedule: Schedule, routes: Mapping[tuple[int, int], Route]) -> list[int]:
    """Return when each rank is done in a kernel that has the same channels and nothing else to do."""
    alone = Kernel(policy=kernel.policy)
    numbers = sorted({number for path, _ in routes.values() for number in path})
    there = {number: alone.add(kernel.servers[number].channel) for number in numbers}
    moved = {pair: (tuple(there[number] for number in path), delays) for pair, (path, delays) in routes.items()}
    running = _start(alone, task, schedule, moved)
    alone.run()
    return running.completion_ps


# --------------------------------------------------------------------------------------------------------- the fabric


def _racks(fabric: Fabric, names: tuple[str, ...]) -> list[list[int]]:
    """Return the ranks by rack; those that state no rack stand together."""
    found: dict[object, list[int]] = {}
    for rank, name in enumerate(names):
        found.setdefault(rack_of(fabric.node(name)), []).append(rank)
    return list(found.values())


def _pairs(schedule: Schedule) -> list[tuple[int, int]]:
    """Return the ranks that send something, with those they send it to."""
    count = schedule.ranks
    if count == 1:
        return []
    if schedule.shift is not None:
        return [(rank, (rank + 1) % count) for rank in range(count)]
    codes = [step.sends.source * count + step.sends.target for step in schedule.steps()]
    return [divmod(code, count) for code in np.unique(np.concatenate(codes)).tolist()]


def _ways(schedule: Schedule, names: tuple[str, ...], find: Callable[[str, str], Way]) -> Ways:
    found = {}
    for a, b in _pairs(schedule):
        way = found[a, b] = find(names[a], names[b])
        if way.verdict.must_encrypt:
            raise InvalidValue(
                field="nodes",
                value=f"{way.source} to {way.destination}",
                rule="what crosses this border is sealed message by message, and a collective is not",
                remedy="Use send_data there, or nodes on one side of the border.",
            )
    return found


def _nics(task: Task, ways: Ways, ends: Nics, kernel: Kernel) -> tuple[Nics, bool]:
    """Return the fastest channels that each rank sends and receives on, and whether these are all it takes."""
    out: dict[int, set[int]] = {}
    into: dict[int, set[int]] = {}
    fits = True
    for (a, b), way in ways.items():
        out.setdefault(a, set()).add(way.path[0])
        into.setdefault(b, set()).add(way.path[-1])
        straight = len(way.path) == 1 or (len(way.path) == 2 and way.specs[0].forwards == "cut-through")
        fits = fits and straight and not any(way.delays[:-1])
    fits = fits and all(len(each) == 1 for each in (*out.values(), *into.values()))

    def fastest(used: Mapping[int, set[int]], all_together: Sequence[Fraction]) -> tuple[Fraction, ...]:
        channels = [server.channel for server in kernel.servers]
        return tuple(
            min(channels[number].ps_per_byte for number in used[rank]) if rank in used else rate
            for rank, rate in enumerate(all_together)
        )

    nics = Nics(
        sending=fastest(out, ends.sending),
        receiving=fastest(into, ends.receiving),
        latency_ps=_latency(len(task.names), ways, task.profile.message_ps),
        wire=None if task.profile.packet_payload is None else task.profile.wire_bytes_of,
    )
    return nics, fits


def _latency(count: int, ways: Ways, message_ps: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    delays = {way.propagation_ps for way in ways.values()}
    if len(delays) <= 1:
        return np.full(count, message_ps + max(delays, default=0), dtype=np.int64)
    table = np.zeros((count, count), dtype=np.int64)
    for (a, b), way in ways.items():
        table[a, b] = message_ps + way.propagation_ps
    return table


def _ends(task: Task, fabric: Fabric, network: ClassicalNetwork) -> Nics:
    """Return all channels of each rank together; a bound from these holds whatever is sent over which of them."""
    ports: dict[float, Fraction] = {}
    rates = []
    for name in task.names:
        # Both directions of a declared link are equally fast, and so are a node's channels to and from the switch.
        links = [network.channels[number].gbps for _, number in network.links_from.get(name, ())]
        port = fabric.node(name).bandwidth_gbps if network.switched or not links else 0.0
        if links:
            rates.append(8000 / sum(links, Fraction(str(port))))
            continue
        if port not in ports:
            ports[port] = 8000 / Fraction(str(port))
        rates.append(ports[port])
    return Nics.of(rates, latency_ps=0)


def _capacity(timing: Timing, ends: Nics) -> float:
    return sum(timing.duration_ps / float(rate) for rate in ends.receiving)
