"""What can go wrong on a fabric, as values, and how it acts on the kernel.

``inject(kernel, faults, seed)`` schedules them. A link that goes down cuts what it is sending at that very byte; a node
that crashes forgets what waits in it; the other faults are judged when the last byte of a message is in. Each draw is
named by the fault and by the message's identity, so that it depends neither on the order of events nor on any other
fault. Every message still ends in exactly one way, which ``message.outcome`` and ``message.failure`` tell, and its
``on_done`` or ``on_failed`` is called. Sending again or by another way is the sender's business.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final, TypeAlias

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.fields import is_number, is_whole
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Failure, Message, Outcome
from hyperfabric_q.scheduling.server import Server

Where: TypeAlias = int | str | tuple[str, str]
"""The kernel's number of a channel; whoever injects faults by other names puts the numbers in their place."""


def _check_whole(fault: object, least: int, *names: str) -> None:
    """Make fields plain whole numbers of at least ``least``: the clock takes no others."""
    for name in names:
        value = getattr(fault, name)
        if not is_whole(value) or value < least:
            raise InvalidValue(field=name, value=value, rule=f"it is a whole number of at least {least}")
        object.__setattr__(fault, name, int(value))


def _check_times(fault: object, begin: str, end: str) -> None:
    """The same of two times, the second of which comes later, or is None for never."""
    _check_whole(fault, 0, begin)
    from_ps, to_ps = getattr(fault, begin), getattr(fault, end)
    if to_ps is not None:
        _check_whole(fault, 0, end)
        if to_ps <= from_ps:
            raise InvalidValue(field=end, value=to_ps, rule=f"it must come after {from_ps}, or be None for never")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDown:
    """Channels that carry nothing from ``from_ps`` until ``to_ps``, or ever again. All times are whole picoseconds.

    The message on the line is lost. What waits there goes on waiting, unless the link stays down for ever.
    """

    channels: tuple[Where, ...]
    from_ps: int
    to_ps: int | None = None

    def __post_init__(self) -> None:
        _check_times(self, "from_ps", "to_ps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap:
    """Channels that go down ``count`` times for ``down_ps``, with ``up_ps`` between."""

    channels: tuple[Where, ...]
    from_ps: int
    down_ps: int
    up_ps: int
    count: int

    def __post_init__(self) -> None:
        _check_whole(self, 0, "from_ps")
        _check_whole(self, 1, "down_ps", "up_ps", "count")

    def downs(self) -> tuple[LinkDown, ...]:
        """Return the single outages."""
        starts = [self.from_ps + turn * (self.down_ps + self.up_ps) for turn in range(self.count)]
        return tuple(LinkDown(channels=self.channels, from_ps=at, to_ps=at + self.down_ps) for at in starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCrash:
    """A node that stops at ``at_ps`` and starts afresh at ``restart_ps``, or never.

    Its channels, those that name it as source or target, are down meanwhile. What waits in it, what is submitted at it
    while it is down, and what was on its way to it when it crashed is lost.
    """

    node: str
    at_ps: int
    restart_ps: int | None = None

    def __post_init__(self) -> None:
        _check_times(self, "at_ps", "restart_ps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """From ``from_ps`` until ``to_ps`` nothing arrives that goes between one of ``members`` and another node."""

    members: frozenset[str]
    from_ps: int
    to_ps: int | None = None

    def __post_init__(self) -> None:
        _check_times(self, "from_ps", "to_ps")
        given: object = self.members
        if not isinstance(given, frozenset | set | tuple | list) or not all(isinstance(each, str) for each in given):
            raise InvalidValue(field="members", value=given, rule="they are a set of node ids")
        object.__setattr__(self, "members", frozenset(given))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A fault that strikes each message with a probability.

    Attributes:
        probability: of striking a message that crosses one of ``channels``.
        channels: numbers; None for all.
        from_ps, to_ps: it strikes what arrives from then until then; None for ever.
        name: tells its random draws from those of other faults of its kind.
    """

    probability: float
    channels: frozenset[Where] | None = None
    from_ps: int = 0
    to_ps: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _check_times(self, "from_ps", "to_ps")
        given: object = self.probability
        if not is_number(given) or not 0 <= given <= 1:
            raise InvalidValue(field="probability", value=given, rule="a probability is a number from 0 to 1")

    def crossed(self, message: Message, now_ps: int) -> list[int]:
        """Return the hops of a message, arriving now, that are on the fault's channels."""
        if now_ps < self.from_ps or (self.to_ps is not None and now_ps >= self.to_ps):
            return []
        return [hop for hop, at in enumerate(message.path) if self.channels is None or at in self.channels]

    def draw(self, seed: int, message: Message, *more: str | int) -> float:
        """Return a number in [0, 1) that belongs to this fault and this message alone."""
        words = seeds.key("fault", seed, type(self).__name__, self.name, message.identity, *more)
        return ((words[0] << 21) | (words[1] >> 11)) / (1 << 53)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(_Drawn):
    """Each crossing of one of the channels loses a message with ``probability``, independently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt(_Drawn):
    """Some bytes arrive changed: the message is marked "corrupted", and its receiver has to notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(_Drawn):
    """A message arrives again ``after_ps`` after it arrived; the copy costs no bandwidth."""

    after_ps: int = 1

    def __post_init__(self) -> None:
        _Drawn.__post_init__(self)
        _check_whole(self, 1, "after_ps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder(_Drawn):
    """A message is held back for up to ``by_ps``, so that later ones overtake it."""

    by_ps: int = 1_000_000

    def __post_init__(self) -> None:
        _Drawn.__post_init__(self)
        _check_whole(self, 0, "by_ps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(_Drawn):
    """A message is late by ``ps``, and propagation on the channels takes ``factor`` times as long."""

    probability: float = 1.0
    ps: int = 0
    factor: float | Fraction = 1

    def __post_init__(self) -> None:
        _Drawn.__post_init__(self)
        _check_whole(self, 0, "ps")
        factor: object = self.factor
        if not (is_number(factor) or isinstance(factor, Fraction)) or not 1 <= factor < math.inf:
            raise InvalidValue(field="factor", value=factor, rule="it is a finite number of at least 1")
        object.__setattr__(self, "factor", Fraction(factor if isinstance(factor, int | Fraction) else float(factor)))


Fault: TypeAlias = LinkDown | Flap | NodeCrash | Partition | Loss | Corrupt | Duplicate | Reorder | Delay

_DRAWN: Final = (Loss, Corrupt, Duplicate, Reorder, Delay)


def inject(kernel: Kernel, faults: Sequence[Fault], *, seed: int) -> None:
    """Let ``faults`` happen to ``kernel`` from now on, drawn from ``seed``.

    Raises:
        InvalidValue: the kernel has faults already, two drawn faults of one kind share their name, or a channel or node
            is unknown.
    """
    if kernel.faults is not None:
        raise InvalidValue(field="kernel", value="a kernel with faults", rule="all faults are injected at once")
    kernel.faults = Schedule(kernel, tuple(faults), seed)


def schedule(kernel: Kernel) -> Schedule:
    """Return the faults at work on ``kernel``, none so far if it had none; ``extend`` adds to them."""
    if kernel.faults is None:
        kernel.faults = Schedule(kernel, (), 0)
    if not isinstance(kernel.faults, Schedule):
        raise InvalidValue(field="kernel", value="a kernel with another kind of trouble", rule="it takes faults")
    return kernel.faults


class Schedule:
    """Faults at work on one kernel.

    Attributes:
        on_down: called with the number of each channel that goes down.
    """

    def __init__(self, kernel: Kernel, faults: tuple[Fault, ...], seed: int) -> None:
        """Let ``faults`` happen from now on."""
        self.on_down: list[Callable[[int], object]] = []
        self._kernel = kernel
        self._seed = seed
        self._planned = 0
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._downs = [0] * len(kernel.servers)
        self._for_ever = [0] * len(kernel.servers)
        self._crashes: list[NodeCrash] = []
        self._crashed: dict[str, int] = {}
        self._dead: set[str] = set()
        self._partitions: list[frozenset[str]] = []
        self._drawn: list[Loss | Corrupt | Duplicate | Reorder | Delay] = []
        self.extend(faults)

    def extend(self, faults: Sequence[Fault]) -> None:
        """Let ``faults`` happen too.

        Raises:
            InvalidValue: two drawn faults of one kind share their name, or a channel or node is unknown.
        """
        drawn = [*self._drawn, *(each for each in faults if isinstance(each, _DRAWN))]
        names = [(type(each), each.name) for each in drawn]
        if len(set(names)) < len(names):
            raise InvalidValue(field="faults", value=names, rule="drawn faults of one kind need names of their own")
        more = len(self._kernel.servers) - len(self._downs)
        self._downs += [0] * more
        self._for_ever += [0] * more
        for each in faults:
            self._plan(each)
        self._drawn = drawn

    # ------------------------------------------------------------------------------------------------------- agenda

    def _plan(self, fault: Fault) -> None:
        if isinstance(fault, LinkDown):
            self._plan_outage(self._known(fault.channels), fault.from_ps, fault.to_ps, Failure.LINK_DOWN)
        elif isinstance(fault, Flap):
            for each in fault.downs():
                self._plan(each)
        elif isinstance(fault, NodeCrash):
            self._plan_crash(fault)
        elif isinstance(fault, Partition):
            self._at(fault.from_ps, lambda _: self._partitions.append(fault.members))
            if fault.to_ps is not None:
                self._at(fault.to_ps, lambda _: self._partitions.remove(fault.members))

    def _known(self, channels: tuple[Where, ...]) -> tuple[int, ...]:
        count = len(self._kernel.servers)
        numbers = tuple(each for each in channels if isinstance(each, int) and 0 <= each < count)
        if len(numbers) < len(channels):
            raise InvalidValue(field="channels", value=channels, rule=f"channels run from 0 to {count - 1}")
        return numbers

    def _plan_crash(self, crash: NodeCrash) -> None:
        node = crash.node
        touching = [each.index for each in self._kernel.servers if node in {each.channel.source, each.channel.target}]
        if not touching:
            raise InvalidValue(field="node", value=node, rule="no channel begins or ends there")

        def stop(time_ps: int) -> None:
            self._dead.add(node)
            self._crashed[node] = time_ps

        self._crashes.append(crash)
        self._at(crash.at_ps, stop)
        self._plan_outage(tuple(touching), crash.at_ps, crash.restart_ps, Failure.NODE_DOWN)
        if crash.restart_ps is not None:
            self._at(crash.restart_ps, lambda _: self._dead.discard(node))

    def _plan_outage(self, channels: tuple[int, ...], from_ps: int, to_ps: int | None, failure: Failure) -> None:
        for channel in channels:
            self._at(from_ps, partial(self._down, channel, to_ps, failure))
            if to_ps is not None:
                self._at(to_ps, partial(self._up, channel))

    def _at(self, time_ps: int, action: Callable[[int], None]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (max(time_ps, self._kernel.now_ps), self._planned, action))

    # ------------------------------------------------------------------------------------------- what the kernel asks

    def following(self, next_ps: int | None) -> int | None:
        """Return when something happens next; faults alone do not keep the clock going."""
        kernel = self._kernel
        if not self._agenda:
            return next_ps
        if next_ps is None and not kernel.pending and all(each.idle for each in kernel.servers):
            return None
        due_ps = max(self._agenda[0][0], kernel.now_ps)
        return due_ps if next_ps is None else min(due_ps, next_ps)

    def act(self, until_ps: int) -> None:
        """Let everything happen that is due by ``until_ps``."""
        while self._agenda and self._agenda[0][0] <= until_ps:
            time_ps, _, action = heapq.heappop(self._agenda)
            action(time_ps)

    def was_down(self, node: str, since_ps: int) -> bool:
        """Whether ``node`` was crashed at any time from ``since_ps`` until now; it then forgot what it had."""
        return any(
            each.node == node
            and each.at_ps <= self._kernel.now_ps
            and (each.restart_ps is None or each.restart_ps > since_ps)
            for each in self._crashes
        )

    def stranded(self, server: Server) -> None:
        """Fail what waits at a server that is down, if it is not worth waiting."""
        if server.channel.source in self._dead:
            failure = Failure.NODE_DOWN
        elif self._for_ever[server.index]:
            failure = Failure.LINK_DOWN
        else:
            return
        for part in server.waiting():
            self._kernel.fail(part.message, failure)
            if part.end > part.first:
                self._kernel.drop(server, part)

    def passes(self, message: Message) -> bool:
        """Whether a message that is all in arrives now; otherwise it has failed or comes later."""
        now = self._kernel.now_ps
        failure = self._barred(message) or self._lost(message, now)
        if failure is not None:
            self._kernel.fail(message, failure)
            return False
        late_ps = self._strike(message, now)
        if late_ps:
            self._kernel.at(now + late_ps, lambda: self._arrive(message, late_ps))
        return not late_ps

    # -------------------------------------------------------------------------------------------------------- outages

    def _down(self, index: int, to_ps: int | None, failure: Failure, time_ps: int) -> None:
        server = self._kernel.servers[index]
        self._downs[index] += 1
        self._for_ever[index] += to_ps is None
        if server.up:
            server.up = False
            if self._kernel.recorder.keeps:
                self._kernel.recorder.switched(index, time_ps, up=False)
            message = self._kernel.cut(server)
            if message is not None:
                self._kernel.fail(message, failure)
            for told in self.on_down:
                told(index)
        self._kernel.touch(server)

    def _up(self, index: int, time_ps: int) -> None:
        server = self._kernel.servers[index]
        self._downs[index] -= 1
        if not self._downs[index]:
            server.up = True
            if self._kernel.recorder.keeps:
                self._kernel.recorder.switched(index, time_ps, up=True)
            self._kernel.touch(server)

    # ------------------------------------------------------------------------------------------------- single messages

    def _barred(self, message: Message) -> Failure | None:
        """Why a message cannot arrive now, whatever is drawn."""
        servers = self._kernel.servers
        target = servers[message.path[-1]].channel.target
        if target in self._dead or message.started_ps < self._crashed.get(target, -1):
            return Failure.NODE_DOWN
        source = servers[message.path[0]].channel.source
        if source in self._dead and message.started_ps >= self._crashed[source]:
            return Failure.NODE_DOWN  # over a channel that was not there yet when the crash was planned
        if any((source in members) != (target in members) for members in self._partitions):
            return Failure.PARTITIONED
        return None

    def _lost(self, message: Message, now_ps: int) -> Failure | None:
        for fault in self._drawn:
            if isinstance(fault, Loss):
                for hop in fault.crossed(message, now_ps):
                    if fault.draw(self._seed, message, hop) < fault.probability:
                        return Failure.LOST
        return None

    def _strike(self, message: Message, now_ps: int) -> int:
        """Mark a message with what happens to it, and return how late that makes it."""
        late_ps = 0
        again: list[int] = []
        for fault in self._drawn:
            hops = [] if isinstance(fault, Loss) else fault.crossed(message, now_ps)
            if not hops or fault.draw(self._seed, message) >= fault.probability:
                continue
            if isinstance(fault, Corrupt):
                message.marks += ("corrupted",)
            elif isinstance(fault, Duplicate):
                again.append(fault.after_ps)
            elif isinstance(fault, Reorder):
                message.marks += ("reordered",)
                late_ps += int(fault.draw(self._seed, message, "by") * fault.by_ps) + 1
            elif isinstance(fault, Delay):
                message.marks += ("delayed",)
                late_ps += fault.ps + int((Fraction(fault.factor) - 1) * sum(message.delays[hop] for hop in hops))
        for after_ps in again:
            self._kernel.at(now_ps + late_ps + after_ps, lambda: self._arrive_again(message))
        return late_ps

    def _arrive(self, message: Message, late_ps: int) -> None:
        if message.cancelled:
            return
        failure = self._barred(message)
        if failure is not None:
            self._kernel.fail(message, failure)
        else:
            self._kernel.arrive(message, late_ps)

    def _arrive_again(self, message: Message) -> None:
        if message.outcome is not Outcome.DELIVERED or self._barred(message) is not None:
            return
        message.marks += ("duplicated",)
        if self._kernel.recorder.keeps:
            self._kernel.recorder.duplicated(message, self._kernel.now_ps)
        if message.on_duplicate is not None:
            message.on_duplicate(message)
