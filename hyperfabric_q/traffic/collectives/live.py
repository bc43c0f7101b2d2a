"""Live collectives: what a caller asks, read and checked, carried out, and what the caller gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hyperfabric_q.errors import DeadlineImpossible, DeadlineMissed, InvalidValue, NotEnoughMemory
from hyperfabric_q.scheduling.drivers import Clock
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.traffic.collectives.contribution import Contribution, contribution
from hyperfabric_q.traffic.collectives.foresight import Foresight, Task, foresee
from hyperfabric_q.traffic.collectives.result import CollectiveResult
from hyperfabric_q.traffic.collectives.schedule import Collective
from hyperfabric_q.traffic.collectives.under_way import Gathering, UnderWay
from hyperfabric_q.traffic.request import Kind, Terms, kind_of, read_constraint
from hyperfabric_q.traffic.transfer import MAY_HOLD_RESULTS, standing_for
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.traffic.wiring import BYTES_PER_GB
from hyperfabric_q.units import to_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A collective as it was asked for, checked, with the results that it will bring."""

    foresight: Foresight
    brought: Contribution
    results: Sequence[object]
    kind: Kind
    constraint_ps: int | None
    warnings: tuple[str, ...]
    start_ps: int

    @property
    def deadline_ps(self) -> int:
        """When it should be done."""
        constraint = self.constraint_ps
        return NO_DEADLINE if constraint is None else min(self.start_ps + constraint, NO_DEADLINE)


def ask(
    ways: Ways,
    kernel: Kernel,
    terms: Terms,
    *,
    collective: Collective,
    nodes: Sequence[str],
    data: object,
    algorithm: str,
    data_type: object,
    priority: object,
    latency_constraint_ns: float | None,
    root: str | None,
) -> Asked:
    """Return what was asked for.

    Raises:
        InvalidValue: an argument is out of range, or ``data`` does not fit the nodes.
        UnknownName: no such algorithm, or a node's name is a slip of the pen.
        NoRoute, IsolationViolated: as for single sends.
        DeadlineImpossible: in strict mode or with ``on_violation="raise"``, the ends are too slow for the constraint.
        NotEnoughMemory: in strict mode, the vector does not fit a node.
    """
    kind = kind_of(data_type, priority)
    names = _names(ways, nodes)
    chosen = 0
    if root is not None:
        if ways.known(root) not in names:
            raise InvalidValue(field="root", value=root, rule="it is one of the nodes that take part")
        chosen = names.index(ways.known(root))
    if type(data) in MAY_HOLD_RESULTS:
        data = standing_for(data)
    brought = contribution(collective, names, data, kind.data_type)
    constraint = read_constraint(latency_constraint_ns, terms.constraint_ps)
    task = Task(
        collective=collective,
        names=names,
        nbytes=brought.nbytes,
        itemsize=brought.itemsize,
        root=chosen,
        profile=terms.transport,
    )
    foresight = foresee(
        task,
        algorithm,
        fabric=ways.fabric,
        kernel=kernel,
        find=lambda source, target: ways.plain.get((source, target)) or ways.find(source, target, encrypted=False),
        network=ways.network(),
    )
    if constraint is not None and (terms.strict or terms.on_violation == "raise"):
        _vet(foresight, constraint)
    crowded = _crowded(ways, task, strict=terms.strict)
    for text in crowded:
        ways.notice(text)
    return Asked(
        foresight=foresight,
        brought=brought,
        results=brought.results(foresight.schedule),
        kind=kind,
        constraint_ps=constraint,
        warnings=(*foresight.warnings, *crowded),
        start_ps=kernel.now_ps,
    )


def brought_about(asked: Asked, under_way: UnderWay, terms: Terms) -> CollectiveResult:
    """Return the result of a collective that is done.

    Raises:
        DeadlineMissed: with ``on_violation="raise"`` or in strict mode, as for single sends.
    """
    foresight = asked.foresight
    start = under_way.start_ps
    report = foresight.report
    if under_way.engine == "kernel":
        report = foresight.reported([each - start for each in under_way.completion_ps])
    result = CollectiveResult(
        payloads=MappingProxyType(dict(zip(foresight.task.names, asked.results, strict=True))),
        report=report,
        start_ps=start,
        done_ps=start + report.duration_ps,
        constraint_ps=asked.constraint_ps,
        engine=under_way.engine,
        profile=terms.transport.name,
        wire_efficiency=foresight.wire_efficiency,
        warnings=asked.warnings,
    )
    if result.constraint_met is False and terms.on_violation == "raise":
        source, destination = _ends(foresight)
        raise DeadlineMissed(
            source=source,
            destination=destination,
            constraint_ns=to_ns(asked.constraint_ps or 0),
            latency_ns=result.latency_ns,
            result=result,
        )
    return result


def _names(ways: Ways, nodes: object) -> tuple[str, ...]:
    if isinstance(nodes, str) or not isinstance(nodes, Sequence) or not nodes:
        raise InvalidValue(field="nodes", value=nodes, rule="they are a sequence of node ids, at least one")
    for name in nodes:
        if not isinstance(name, str):
            raise InvalidValue(field="nodes", value=name, rule="a node is named by its id")
    names = tuple(ways.known(name) for name in nodes)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidValue(field="nodes", value=twice, rule="every node takes part once")
    return names


def _ends(foresight: Foresight) -> tuple[str, str]:
    names = foresight.task.names
    return names[0], f"all {len(names)} nodes of an {foresight.task.collective.value}"


def _vet(foresight: Foresight, constraint_ps: int) -> None:
    """Refuse what the rates of the ends do not allow by any algorithm."""
    bound = foresight.report.bound_ps
    if bound <= constraint_ps:
        return
    source, destination = _ends(foresight)
    rates = foresight.ends.sending
    slowest = max(range(len(rates)), key=lambda rank: rates[rank])
    times = bound / constraint_ps
    raise DeadlineImpossible(
        source=source,
        destination=destination,
        constraint_ns=to_ns(constraint_ps),
        bound_ns=to_ns(bound),
        bottleneck=f"what all ends can carry (the slowest, {foresight.task.names[slowest]!r}, "
        f"{float(8000 / rates[slowest]):.12g} Gb/s)",
        remedy=f"Make every end {times:.6g} times as fast, send so many times fewer bytes, or allow "
        f"{to_ns(foresight.report.duration_ps):.12g} ns, which {foresight.report.algorithm} takes.",
    )


def _crowded(ways: Ways, task: Task, *, strict: bool) -> tuple[str, ...]:
    """Return which nodes have less memory than the vector, in one text."""
    small = []
    for name in task.names:
        memory = ways.fabric.node(name).memory_gb
        if memory is not None and task.nbytes > int(memory * BYTES_PER_GB):
            if strict:
                raise NotEnoughMemory(node=name, needed_gb=task.nbytes / BYTES_PER_GB, memory_gb=memory)
            small.append((name, memory))
    if not small:
        return ()
    others = f" and {len(small) - 1} other nodes" if len(small) > 1 else ""
    return (
        f"{task.nbytes / BYTES_PER_GB:.12g} GB do not fit the {small[0][1]:.12g} GB of {small[0][0]!r}{others}: "
        "their vectors must be streamed from elsewhere, which is taken to cost no time.",
    )


class Collectives:
    """The collectives of an exchange.

    Attributes:
        withdrew: whether any was given up, so that bytes of it may still be on the way.
    """

    def __init__(
        self,
        ways: Ways,
        terms: Terms,
        *,
        attached: Callable[[], Clock],
        join: Callable[[], None],
        alone: Callable[[Kernel], bool],
    ) -> None:
        """Start with none.

        Args:
            ways: the fabric.
            terms: what holds for all that is sent over it.
            attached: returns the clock of the running event loop.
            join: puts into the kernel what is reckoned without it.
            alone: whether nothing else is under way.
        """
        self._ways, self._terms = ways, terms
        self._attached, self._join, self._alone = attached, join, alone
        self.reset()

    def reset(self) -> None:
        """Begin anew, on another clock."""
        self._gathering = Gathering()
        self._on_paper: UnderWay | None = None
        self.withdrew = False

    @property
    def waiting(self) -> bool:
        """Whether some are about to begin."""
        return len(self._gathering) > 0

    def join(self) -> None:
        """Put into the kernel what is reckoned without it, because something else is about to be sent."""
        one, self._on_paper = self._on_paper, None
        if one is not None:
            one.join()

    def make_way(self, path: Sequence[int]) -> None:
        """Do so if a path takes one of the channels in question."""
        if self._on_paper is not None and self._on_paper.meets(path):
            self.join()

    async def run(
        self,
        collective: Collective,
        nodes: Sequence[str],
        data: object,
        algorithm: str,
        data_type: object,
        priority: object,
        latency_constraint_ns: float | None,
        root: str | None = None,
    ) -> CollectiveResult:
        """Return the result of a collective; see ``HyperFabricProtocol.all_reduce``."""
        clock = self._attached()
        kernel = clock.kernel
        self._join()
        asked = ask(
            self._ways,
            kernel,
            self._terms,
            collective=collective,
            nodes=nodes,
            data=data,
            algorithm=algorithm,
            data_type=data_type,
            priority=priority,
            latency_constraint_ns=latency_constraint_ns,
            root=root,
        )
        one = UnderWay(kernel, asked.foresight, asked.brought, asked.kind, asked.deadline_ps)
        if not self.waiting:
            kernel.at(kernel.now_ps, lambda: self._begin(kernel))
        self._gathering.add(one)
        clock.wake()
        try:
            await one.future
        except BaseException:  # cancelled, or a message will not arrive
            if not self._gathering.drop(one):
                one.withdraw()
                self.withdrew = True
            raise
        finally:
            if self._on_paper is one:
                self._on_paper = None
            clock.wake()
        return brought_about(asked, one, self._terms)

    def _begin(self, kernel: Kernel) -> None:
        begun = self._gathering.begin(kernel.now_ps, lambda: self._alone(kernel))
        if begun is not None:
            self._on_paper = begun
