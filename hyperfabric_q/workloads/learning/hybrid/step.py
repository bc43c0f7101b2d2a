"""One step of training on a live fabric: what is computed, run, sent and reduced in it, and what that took.

``with`` drives the clock itself, for scripts; ``async with`` is for programs that run on an event loop, where other
tasks go on beside the step. Work is charged to nodes as it is declared, and takes no real time; messages and
all-reduces go over the shared scheduler, where they compete with all other traffic.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final

from hyperfabric_q.distribution.background import Background
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.accelerators import FLOPS, PEAK_FLOPS_PER_S
from hyperfabric_q.fabric.fields import is_number
from hyperfabric_q.scheduling.drivers import Clock
from hyperfabric_q.traffic.collectives.result import CollectiveResult
from hyperfabric_q.traffic.collectives.schedule import Collective
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.request import duration_ps
from hyperfabric_q.traffic.transfer import TransferResult
from hyperfabric_q.units import PS_PER_S, to_ns
from hyperfabric_q.workloads.learning.hybrid.beside import Beside
from hyperfabric_q.workloads.learning.hybrid.charges import PlanTimes, works_of
from hyperfabric_q.workloads.learning.hybrid.driver import Driver, refuse_running_loop
from hyperfabric_q.workloads.learning.hybrid.gradients_in import Op, brought
from hyperfabric_q.workloads.learning.hybrid.report import StepReport
from hyperfabric_q.workloads.learning.hybrid.track import Track

EXACT: Final = "circuits without shots took no quantum time: state shots= to charge what hardware would need"


class Steps:
    """Makes the steps of one live fabric."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        seed: int = 0,
        background: Sequence[Background] = (),
        beside: Beside | None = None,
    ) -> None:
        """Begin.

        Args:
            exchange: the live fabric.
            seed: of schedules of shots, which tell how long a shot takes.
            background: other traffic beside the circuits' own pairs and bits.
            beside: streams that flow while a step sends something.
        """
        self.exchange, self.beside = exchange, beside
        self.times = PlanTimes(seed=seed, background=background)
        self.driver = Driver()

    @property
    def fabric(self) -> Fabric:
        """The fabric as it stands."""
        return self.exchange.ways.fabric

    async def until(self, time_ps: int) -> None:
        """Wait until a point of virtual time, which may be past."""
        await _until(self.exchange.attached(), time_ps)

    @asynccontextmanager
    async def sending(self, clock: Clock, time_ps: int) -> AsyncIterator[None]:
        """Wait until ``time_ps``, and let other traffic flow from a while before until the block ends."""
        if self.beside is None:
            await _until(clock, time_ps)
            yield
            return
        await _until(clock, time_ps - self.beside.warm_ps)
        async with self.beside.flowing(clock):
            await _until(clock, time_ps)
            yield

    def step(self, nodes: Sequence[str]) -> StepContext:
        """Return a step of some nodes; see ``HyperFabricProtocol.step``."""
        return StepContext(self, nodes)


class StepContext:
    """A step that is about to begin: ``with`` in scripts, ``async with`` in programs that await."""

    def __init__(self, steps: Steps, nodes: Sequence[str]) -> None:
        """Check the nodes.

        Raises:
            InvalidValue: they are no sequence of different ids.
            UnknownName: one is not registered.
        """
        self._steps, self._nodes = steps, _names(nodes, steps.fabric)
        self._core: _Core | None = None

    def __enter__(self) -> Step:
        """Return the step, begun."""
        self._core = _Core(self._steps, self._nodes)
        refuse_running_loop()
        self._steps.driver.drive(self._core.begin())
        return Step(self._core, self._steps.driver)

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None) -> None:
        """End the step: let the clock go on until the last node is done."""
        if kind is None and self._core is not None:
            self._steps.driver.drive(self._core.end())

    async def __aenter__(self) -> AsyncStep:
        """Return the step, begun."""
        self._core = _Core(self._steps, self._nodes)
        await self._core.begin()
        return AsyncStep(self._core)

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None
    ) -> None:
        """End the step: wait until the last node is done."""
        if kind is None and self._core is not None:
            await self._core.end()


class _Core:
    """What both kinds of step share."""

    def __init__(self, steps: Steps, nodes: tuple[str, ...]) -> None:
        self.steps, self.nodes = steps, nodes
        self.exchange = steps.exchange
        self.pairs = self.shots = self.nbytes = self.bound_ps = 0
        self.links: Counter[tuple[str, str]] = Counter()
        self.notes: dict[str, None] = {}
        self.report: StepReport | None = None
        self._track: Track | None = None

    async def begin(self) -> None:
        self._track = Track(self.nodes, self.exchange.attached().kernel.now_ps)

    @property
    def track(self) -> Track:
        if self._track is None or self.report is not None:
            state = "has not begun" if self._track is None else "has ended"
            raise InvalidValue(field="step", value=state, rule="a step is used within its 'with' block")
        return self._track

    async def end(self) -> None:
        track = self.track
        clock = self.exchange.attached()
        await _until(clock, track.latest().time_ps)
        now = clock.kernel.now_ps
        self.report = StepReport(
            start_ps=track.start_ps,
            end_ps=now,
            split=track.critical(now),
            nodes={node: track.split(node, now) for node in track.nodes},
            pairs=self.pairs,
            pairs_per_link=dict(self.links),
            shots=self.shots,
            nbytes=self.nbytes,
            bound_ps=self.bound_ps,
            notes=tuple(self.notes),
        )

    # ----------------------------------------------------------------------------------------------------- charged

    def compute(self, node: str, *, ns: float | None, flops: float | None, flops_per_s: float | None) -> float:
        if (ns is None) == (flops is None):
            raise InvalidValue(field="ns, flops", value=(ns, flops), rule="exactly one of them is given")
        signature = self.steps.fabric.node(node)
        if flops is None:
            lasts = duration_ps(ns)
        else:
            rate: object = signature.metadata.get(FLOPS) if flops_per_s is None else flops_per_s
            if rate is None and (rate := PEAK_FLOPS_PER_S.get(signature.hardware_type)) is not None:
                self.notes[f"{node!r} is taken to work at its maker's peak rate, {rate:.3g} operations a second"] = None
            if not is_number(rate) or not 0 < rate < float("inf"):
                rule = f"{node!r} does not state how many operations it does per second"
                remedy = f"Give flops_per_s=, or the node metadata={{{FLOPS!r}: 1e13}}."
                raise InvalidValue(field=FLOPS, value=rate, rule=rule, remedy=remedy)
            if not is_number(flops) or not 0 <= flops < float("inf"):
                raise InvalidValue(field="flops", value=flops, rule="it is a finite number, not below zero")
            lasts = round(flops / float(rate) * PS_PER_S)
        self._admit((node,))
        self.track.work((node,), "classical", lasts)
        return to_ns(lasts)

    def ran(self, result: Any, *, plan: Any, shots: int | None, nodes: Sequence[str] | None) -> float:
        fabric = self.steps.fabric
        works = works_of(result, self.steps.times, fabric, plan=plan, shots=shots, nodes=nodes)
        for work in works:
            self._admit(work.nodes)
        for work in works:
            if work.exact:
                self.notes[EXACT] = None
                continue
            self.track.work(work.nodes, "quantum", work.duration_ps)
            self.pairs += work.pairs
            self.shots += work.shots
            self.links.update(work.pairs_per_link)
        return to_ns(sum(work.duration_ps for work in works))

    def _admit(self, nodes: Sequence[str]) -> None:
        for node in nodes:
            self.steps.fabric.node(node)
        for node in nodes:
            self.track.admit(node)

    # ------------------------------------------------------------------------------------------------ on the scheduler

    async def all_reduce(
        self, given: object, op: Op, nodes: Sequence[str] | None, algorithm: str, priority: PacketPriority | str
    ) -> Any:
        names = self.nodes if nodes is None else _names(nodes, self.steps.fabric)
        self._admit(names)
        read = brought(given, names, op)
        result = await self._collective(names, read.data(), algorithm, priority)
        return read.reduced(result.payloads, op)

    async def _collective(
        self, names: tuple[str, ...], data: object, algorithm: str, priority: PacketPriority | str
    ) -> CollectiveResult:
        track, clock = self.track, self.exchange.attached()
        mark = track.latest(names)
        async with self.steps.sending(clock, mark.time_ps):
            mark = track.holding(mark, clock.kernel.now_ps)
            result = await self.exchange.collectives.run(
                Collective.ALL_REDUCE, names, data, algorithm, DataType.GRADIENT, priority, None
            )
        timing = result.report.timing
        ends = (timing.completion_ps + result.start_ps).tolist()
        track.reach("network", mark, result.start_ps, dict(zip(result.nodes, ends, strict=True)))
        self.nbytes += int(timing.received_bytes.sum())
        self.bound_ps += result.bound_ps
        return result

    async def send(
        self, source: str, destination: str, data: object, data_type: DataType | str, priority: PacketPriority | str
    ) -> TransferResult:
        self._admit((source, destination))
        track, clock = self.track, self.exchange.attached()
        mark = track.latest((source,))
        async with self.steps.sending(clock, mark.time_ps):
            since = clock.kernel.now_ps
            mark = track.holding(mark, since)
            plain = False
            result = await self.exchange.send(
                source, destination, data, data_type, priority, None, plain, plain, plain, None
            )
        track.reach("network", mark, since, {destination: since + result.latency_ps})
        if source != destination:
            self.nbytes += result.receipt.nbytes
        return result

    async def send_all(
        self, messages: Sequence[Any], data_type: DataType | str, priority: PacketPriority | str
    ) -> list[TransferResult]:
        for each in messages:
            if not isinstance(each, tuple) or len(each) != 3:
                raise InvalidValue(field="messages", value=each, rule="each is (source, destination, data)")
        sends = [self.send(source, target, data, data_type, priority) for source, target, data in messages]
        return list(await asyncio.gather(*sends))


class _Account:
    """What is charged to a step as it is declared, in scripts and in programs alike."""

    def __init__(self, core: _Core) -> None:
        """Be the face of a step."""
        self._core = core

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that take part in all-reduces."""
        return self._core.nodes

    @property
    def report(self) -> StepReport:
        """What the step took.

        Raises:
            InvalidValue: it has not ended.
        """
        if self._core.report is None:
            rule = "there is a report once the 'with' block has ended without a fault"
            raise InvalidValue(field="report", value=None, rule=rule)
        return self._core.report

    def compute(
        self, node: str, *, ns: float | None = None, flops: float | None = None, flops_per_s: float | None = None
    ) -> float:
        """Charge a node with classical work, from when it is free; return its nanoseconds.

        Args:
            node: id.
            ns: how long it takes.
            flops: or how many floating-point operations it is.
            flops_per_s: that the node does; by default what its ``metadata["flops_per_s"]`` says, or failing that
                the peak rate of its hardware type, see ``hyperfabric_q.fabric.accelerators``.

        Raises:
            UnknownName: there is no such node.
            InvalidValue: both or neither are given, a number is out of range, or nobody says how fast the node is.
        """
        return self._core.compute(node, ns=ns, flops=flops, flops_per_s=flops_per_s)

    def ran(
        self, result: Any, *, plan: Any = None, shots: int | None = None, nodes: Sequence[str] | None = None
    ) -> float:
        """Charge what circuits took on their nodes, from when these are free; return the quantum nanoseconds.

        Shots follow one another with a reset between them, and keep all nodes of their plan; circuits on different
        nodes run at the same time.

        Args:
            result: a ``Result``; a ``Gradient``, with ``plan``; a result of ``FabricSampler`` or ``FabricEstimator``;
                a ``Plan``, with ``shots``; or several of these, one after another.
            plan: of a Gradient's circuit, or the ``OnFabric`` source that has it.
            shots: of all circuits together, where the result is exact: what hardware would take. Exact results without
                it charge nothing, and the report says so.
            nodes: that are kept instead of those that the plan names.

        Raises:
            InvalidValue: it is no result of circuits, or the clock refuses the plan.
            UnknownName: a node is not one of this fabric.
        """
        return self._core.ran(result, plan=plan, shots=shots, nodes=nodes)


class Step(_Account):
    """A step in a script: what is sent and reduced has arrived when the call returns.

    Messages begin in the order of the calls: one that is called for later does not begin earlier. What is sent at the
    same time goes into one ``send_all``.
    """

    def __init__(self, core: _Core, driver: Driver) -> None:
        """Be the face of a step whose clock ``driver`` drives."""
        super().__init__(core)
        self._driver = driver

    def all_reduce(
        self,
        gradients: object,
        *,
        op: Op = "mean",
        nodes: Sequence[str] | None = None,
        algorithm: str = "auto",
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> Any:
        """Return gradients reduced over the nodes of the step; parameters of PyTorch get them as their ``grad``.

        It begins when all nodes are free, and takes what it takes on the links beside all other traffic.

        Args:
            gradients: an array; a list of arrays; parameters or a module of PyTorch; or one of these for each node, as
                ``{node: ...}``. Given once, it stands for what every node has.
            op: "mean" or "sum".
            nodes: that take part; by default those of the step.
            algorithm: see ``HyperFabricProtocol.all_reduce``.
            priority: the same.

        Raises:
            InvalidValue: nothing can be reduced here: shapes differ, or no parameter has a gradient.
            and what ``HyperFabricProtocol.all_reduce`` raises.
        """
        return self._driver.drive(self._core.all_reduce(gradients, op, nodes, algorithm, priority))

    def send(
        self,
        source: str,
        destination: str,
        data: object,
        *,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> TransferResult:
        """Return the result of a send that begins when ``source`` is free; ``destination`` goes on when it is there.

        Raises:
            as ``HyperFabricProtocol.send_data``.
        """
        return self._driver.drive(self._core.send(source, destination, data, data_type, priority))

    def send_all(
        self,
        messages: Sequence[tuple[str, str, object]],
        *,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> list[TransferResult]:
        """Return the results of sends (source, destination, data), each of which begins when its source is free."""
        return self._driver.drive(self._core.send_all(messages, data_type, priority))


class AsyncStep(_Account):
    """A step in a program on an event loop, where other tasks go on beside it."""

    async def all_reduce(
        self,
        gradients: object,
        *,
        op: Op = "mean",
        nodes: Sequence[str] | None = None,
        algorithm: str = "auto",
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> Any:
        """Return gradients reduced over the nodes of the step; see ``Step.all_reduce``."""
        return await self._core.all_reduce(gradients, op, nodes, algorithm, priority)

    async def send(
        self,
        source: str,
        destination: str,
        data: object,
        *,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> TransferResult:
        """Return the result of a send that begins when ``source`` is free; see ``Step.send``."""
        return await self._core.send(source, destination, data, data_type, priority)

    async def send_all(
        self,
        messages: Sequence[tuple[str, str, object]],
        *,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> list[TransferResult]:
        """Return the results of sends (source, destination, data); see ``Step.send_all``."""
        return await self._core.send_all(messages, data_type, priority)


def _names(nodes: object, fabric: Fabric) -> tuple[str, ...]:
    if isinstance(nodes, str) or not isinstance(nodes, Sequence) or not nodes:
        raise InvalidValue(field="nodes", value=nodes, rule="they are a sequence of node ids, at least one")
    for node in nodes:
        fabric.node(node)
    if len(set(nodes)) < len(nodes):
        twice = next(node for node in nodes if list(nodes).count(node) > 1)
        raise InvalidValue(field="nodes", value=twice, rule="every node takes part once")
    return tuple(nodes)


async def _until(clock: Clock, time_ps: int) -> None:
    """Wait until a point of virtual time, which may be past."""
    left = time_ps - clock.kernel.now_ps
    if left > 0:
        await clock.sleep_ps(left)
