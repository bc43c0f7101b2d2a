"""Can this arrive in time? Three honest answers: physics forbids it, an analysis guarantees it, or nobody can promise.

The guarantee is worst-case response-time analysis of periodic flows. On one channel, a message of a strict class waits
for one chunk of something less urgent, for every more urgent arrival until it is through, and in its own class for what
has an earlier deadline (Spuri 1996 for earliest deadline first, Davis et al. 2007 for the busy period) or came earlier.
Over several channels the response times up to one channel are jitter on the next (Tindell and Clark 1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import BITS_PER_BYTE_IN_PS, Channel
from hyperfabric_q.scheduling.policy import CLASSES, Policy
from hyperfabric_q.units import to_ns

ONCE: Final = 1 << 62
"""The period of what is sent only once."""

_ROUNDS: Final = 10_000
_CANDIDATES: Final = 20_000

# ---------------------------------------------------------------------------------------------------- what physics says


def lower_bound_ps(channels: Sequence[Channel], delays: Sequence[int], nbytes: int) -> int:
    """Return the time that no message of ``nbytes`` can beat on a path: propagation and its slowest channel."""
    return sum(delays) + max(each.serialisation_ps(nbytes) for each in channels)


def idle_ps(channels: Sequence[Channel], delays: Sequence[int], nbytes: int) -> int:
    """Return how long ``nbytes`` take on a path where nothing else is sent: the kernel's own time, exactly. O(hops).

    With equal rates and chunks of c bytes this is ``sum(delays) + S/B + (h - 1) c/B``. A message that is interrupted
    may lose less than a chunk on a later store-and-forward channel, so this is no lower bound; ``lower_bound_ps`` is.
    """
    begun = 0
    for channel, following, delay in zip(channels, channels[1:], delays, strict=False):
        begun += _head_start_ps(channel, following, nbytes) + delay
    return begun + channels[-1].serialisation_ps(nbytes) + delays[-1]


def _head_start_ps(channel: Channel, following: Channel, nbytes: int) -> int:
    """How much earlier ``channel`` must begin, so that ``following`` can send without a gap."""
    unit = min(channel.chunk, nbytes) if channel.store_and_forward else 0
    if not unit:
        return max(0, channel.serialisation_ps(nbytes) - following.serialisation_ps(nbytes))
    full = (nbytes - 1) // unit * unit
    least = [channel.serialisation_ps(unit), channel.serialisation_ps(nbytes) - following.serialisation_ps(full)]
    if full >= unit:
        least.append(channel.serialisation_ps(full) - following.serialisation_ps(full - unit))
    return max(least)


# --------------------------------------------------------------------------------------------------------------- flows


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicFlow:
    """Messages that come at least ``period_ps`` apart, but for jitter.

    Attributes:
        period_ps: the k-th message comes k periods after the first could, or up to ``jitter_ps`` later.
        nbytes: the largest of them, on the wire.
        priority_class: 0 to 7.
        deadline_ps: each must be through this long after it comes; None for none, which is served after all deadlines.
        jitter_ps: see ``period_ps``.
        path: the channels it crosses, by number.
        delays: propagation after each of them.
    """

    period_ps: int
    nbytes: int
    priority_class: int
    deadline_ps: int | None = None
    jitter_ps: int = 0
    path: tuple[int, ...] = (0,)
    delays: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name, least in (("period_ps", 1), ("nbytes", 1), ("jitter_ps", 0), ("priority_class", 0)):
            if getattr(self, name) < least:
                raise InvalidValue(field=name, value=getattr(self, name), rule=f"it must be at least {least}")
        if self.priority_class >= CLASSES:
            raise InvalidValue(field="priority_class", value=self.priority_class, rule=f"at most {CLASSES - 1}")
        if not self.path or len(self.path) != len(self.delays):
            raise InvalidValue(field="path", value=self.path, rule="a flow crosses channels, each with its delay")


@dataclass(slots=True)
class _Load:
    """A flow as one channel sees it."""

    cost_ps: int
    period_ps: int
    jitter_ps: int
    deadline_ps: int | None
    kind: int

    def within(self, time_ps: int) -> int:
        """Most messages that can come in a half-open interval of this length."""
        return -(-(time_ps + self.jitter_ps) // self.period_ps)

    def until(self, time_ps: int) -> int:
        """Most messages that can come in a closed interval of this length; none in a negative one."""
        return max(0, (time_ps + self.jitter_ps) // self.period_ps + 1)


# ------------------------------------------------------------------------------------------------------- one channel


class _Line:
    """Response-time analysis of one channel under a policy, against any traffic of less urgent classes."""

    def __init__(self, channel: Channel, policy: Policy, loads: Sequence[_Load], *, ordered: bool) -> None:
        """Take a channel's flows; ``ordered`` if they come to it first, so that deadlines run from their arrival."""
        self.policy = policy
        self.loads = loads
        self.ordered = ordered
        self.chunk_ps = channel.serialisation_ps(channel.chunk)
        self.rounding = int(channel.ps_per_byte.denominator > 1)
        self.first_bulk = 0 if policy.fifo else policy.first_bulk
        strict_ps = self.busy_ps(self.first_bulk - 1, grants=False) if self.first_bulk else 0
        self.grants = policy.last_capped >= 0 and (strict_ps is None or strict_ps >= policy.cap_ps)

    def response_ps(self, at: int) -> int | None:
        """Return a bound on the time from a message's arrival to the end of its last byte; None for no bound."""
        load = self.loads[at]
        if self.policy.fifo:
            return self._ordered_ps(at, 0, level=CLASSES - 1)
        if load.kind >= self.first_bulk:
            return self.busy_ps(CLASSES - 1, grants=False)
        mates = [each for each in self.loads if each.kind == load.kind]
        if not self.ordered and any(each.deadline_ps is not None for each in mates):
            return self.busy_ps(load.kind, grants=self.grants)
        return self._ordered_ps(at, self.chunk_ps, level=load.kind)

    def granted_ps(self, time_ps: int) -> int:
        """Longest time bulk can have by grants within ``time_ps``."""
        policy = self.policy
        return (time_ps // policy.cap_ps + 1) * (policy.grant_ps + self.chunk_ps)

    def busy_ps(self, level: int, *, grants: bool) -> int | None:
        """Longest time for which something of a class up to ``level`` waits or is sent; None if there is no end."""
        loads = [each for each in self.loads if each.kind <= level or self.policy.fifo]
        if not loads or sum(Fraction(each.cost_ps + self.rounding, each.period_ps) for each in loads) >= 1:
            return None if loads else self.chunk_ps
        blocking = self.chunk_ps if level < self.first_bulk else 0

        def work(time_ps: int) -> int:
            total = blocking + sum(each.within(time_ps) * (each.cost_ps + self.rounding) for each in loads)
            if level >= self.first_bulk:
                total += self.rounding * (time_ps // self.chunk_ps + 1)
            return total + (self.granted_ps(time_ps) if grants else 0)

        return _fixed_point(work, sum(each.cost_ps for each in loads))

    def _ordered_ps(self, at: int, blocking: int, *, level: int) -> int | None:
        """The bound where what is before a message in its class is known: earlier deadlines, or earlier arrivals."""
        load = self.loads[at]
        grants = self.grants and not self.policy.fifo
        busy_ps = self.busy_ps(level, grants=grants)
        if busy_ps is None:
            return None
        mates = [each for each in self.loads if self.policy.fifo or each.kind == load.kind]
        urgent = [] if self.policy.fifo else [each for each in self.loads if each.kind < load.kind]
        starts = self._starts(load, mates, busy_ps)
        if starts is None:
            return None
        worst = 0
        for start in sorted(starts):
            blocked = max([blocking, *(self._blocking(load, each, start) for each in mates)])

            def work(time_ps: int, start: int = start, blocked: int = blocked) -> int:
                own = sum(self._before(load, each, start, time_ps) * each.cost_ps for each in mates)
                more = sum(each.within(time_ps) * (each.cost_ps + self.rounding) for each in urgent)
                return blocked + own + more + (self.granted_ps(time_ps) if grants else 0)

            through_ps = _fixed_point(work, load.cost_ps)
            if through_ps is None:
                return None
            worst = max(worst, through_ps - start)
        return worst

    def _starts(self, load: _Load, mates: Sequence[_Load], busy_ps: int) -> set[int] | None:
        """Arrivals within a busy period at which one more message comes before; None if they are too many to try."""
        starts = {0}
        for each in mates:
            offset = -each.jitter_ps
            if self._deadlines(load, each) and each.deadline_ps is not None and load.deadline_ps is not None:
                offset += each.deadline_ps - load.deadline_ps
            first = max(0, -(offset // each.period_ps))
            last = (busy_ps - offset) // each.period_ps
            if last - first > _CANDIDATES:
                return None
            starts.update(offset + turn * each.period_ps for turn in range(first, last + 1))
        return {each for each in starts if 0 <= each < busy_ps} or {0}

    def _deadlines(self, one: _Load, other: _Load) -> bool:
        return not self.policy.fifo and one.deadline_ps is not None and other.deadline_ps is not None

    def _before(self, load: _Load, other: _Load, start: int, time_ps: int) -> int:
        """Most messages of ``other`` served before one of ``load`` that comes at ``start``, through at ``time_ps``."""
        if other is load:
            return other.until(start)
        least = other.within(time_ps)
        if self.policy.fifo or (load.deadline_ps is None and other.deadline_ps is None):
            return min(least, other.until(start))
        if other.deadline_ps is None:
            return 0
        if load.deadline_ps is None:
            return least
        return min(least, other.until(start + load.deadline_ps - other.deadline_ps))

    def _blocking(self, load: _Load, other: _Load, start: int) -> int:
        """How long a message of ``other``, begun before and of a later deadline, can be in the way."""
        if self.policy.fifo or load.deadline_ps is None:
            return 0
        later = other.deadline_ps is None or other.deadline_ps > load.deadline_ps + start
        return other.cost_ps if later else 0


def _fixed_point(work: Callable[[int], int], start: int) -> int | None:
    """The least time in which all work that comes in it is done."""
    time_ps = max(start, 1)
    for _ in range(_ROUNDS):
        needed = work(time_ps)
        if needed <= time_ps:
            return time_ps
        time_ps = needed
    return None


# ---------------------------------------------------------------------------------------------------------- many flows


def response_bounds_ps(
    channels: Sequence[Channel], flows: Sequence[PeriodicFlow], policy: Policy | None = None
) -> tuple[int | None, ...]:
    """Return for each flow a time within which every message of it has arrived, or None where there is no such bound.

    The bound holds whatever else is sent in less urgent classes; for bulk classes, and under ``Policy.fifo``, only if
    ``flows`` are all there is. Rates and chunks are those of ``channels``, numbered by the flows' paths.
    """
    chosen = policy or Policy()
    spent: list[list[int]] = [[0] * len(flow.path) for flow in flows]
    users: dict[int, list[tuple[int, int]]] = {}
    for number, flow in enumerate(flows):
        for hop, at in enumerate(flow.path):
            users.setdefault(at, []).append((number, hop))
    lost: set[int] = set()
    for _ in range(100):
        before = [list(each) for each in spent], set(lost)
        for at, crossing in users.items():
            alive = [each for each in crossing if each[0] not in lost]
            if len(alive) < len(crossing):
                # Something without a bound crosses here, and so nothing has one that it can delay.
                worst = min(flows[number].priority_class for number, _ in crossing if number in lost)
                lost |= {number for number, _ in alive if chosen.fifo or flows[number].priority_class >= worst}
            loads = [_load(channels, flows[number], hop, spent[number]) for number, hop in crossing]
            line = _Line(channels[at], chosen, loads, ordered=all(hop == 0 for _, hop in crossing))
            for place, (number, hop) in enumerate(crossing):
                response = line.response_ps(place)
                if response is None:
                    lost.add(number)
                else:
                    spent[number][hop] = max(spent[number][hop], response)
        if (spent, lost) == before:
            break
    else:
        lost = set(range(len(flows)))
    return tuple(None if number in lost else sum(spent[number]) + sum(flow.delays) for number, flow in enumerate(flows))


def _load(channels: Sequence[Channel], flow: PeriodicFlow, hop: int, spent: Sequence[int]) -> _Load:
    """A flow as its ``hop``-th channel sees it, after ``spent`` on each channel before."""
    channel = channels[flow.path[hop]]
    cost = channel.serialisation_ps(flow.nbytes)
    if channel.ps_per_byte.denominator > 1:
        # It may come in pieces, which are rounded up each by itself.
        cost += sum(flow.nbytes // channels[at].chunk + 1 for at in flow.path[:hop])
    return _Load(cost, flow.period_ps, flow.jitter_ps + sum(spent[:hop]), flow.deadline_ps, flow.priority_class)


def demand_met(
    channel: Channel, flows: Sequence[PeriodicFlow], priority_class: int, policy: Policy | None = None
) -> bool:
    """Return whether every message of a strict class keeps its deadline on ``channel``, by the processor-demand test.

    At every deadline t up to the longest busy period, what is due by t fits into t (Baruah et al. 1990), with blocking
    by one less urgent chunk or one message of a later deadline, and more urgent classes served first.
    """
    chosen = policy or Policy()
    loads = [_load([channel], flow, 0, (0,)) for flow in flows]
    line = _Line(channel, chosen, loads, ordered=True)
    busy_ps = line.busy_ps(priority_class, grants=line.grants)
    mates = [each for each in loads if each.kind == priority_class]
    if chosen.fifo or priority_class >= chosen.first_bulk or busy_ps is None:
        return False
    urgent = [each for each in loads if each.kind < priority_class]
    points: set[int] = set()
    for each in mates:
        if each.deadline_ps is not None:
            count = max(0, busy_ps - each.deadline_ps + each.jitter_ps) // each.period_ps + 1
            if count > _CANDIDATES:
                return False
            points |= {each.deadline_ps + max(0, turn * each.period_ps - each.jitter_ps) for turn in range(count)}
    for time_ps in points:
        due = sum(
            each.until(time_ps - each.deadline_ps) * each.cost_ps
            for each in mates
            if each.deadline_ps is not None and each.deadline_ps <= time_ps
        )
        later = [each.cost_ps for each in mates if each.deadline_ps is None or each.deadline_ps > time_ps]
        more = sum(each.within(time_ps) * (each.cost_ps + line.rounding) for each in urgent)
        granted = line.granted_ps(time_ps) if line.grants else 0
        if max([line.chunk_ps, *later]) + due + more + granted > time_ps:
            return False
    return True


# ------------------------------------------------------------------------------------------------------------- answers


class Verdict(StrEnum):
    """What can be promised."""

    INFEASIBLE = "infeasible"
    GUARANTEED = "guaranteed"
    BEST_EFFORT = "best effort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether bytes can arrive within a constraint.

    Attributes:
        verdict: what can be promised.
        constraint_ps: within which they should arrive.
        lower_bound_ps: no message can be faster.
        worst_ps: no message of the analysed flow is slower; None where no bound is known.
        bottleneck: number of the channel that sets the lower bound; None if it is propagation.
        fix: if infeasible, the smallest change that makes it feasible; otherwise on which condition the verdict holds.
        needed_gbps: rate that every channel of the path must have at least; None if no rate would do.
        fitting_nbytes: the most bytes that physics would let through in time.
    """

    verdict: Verdict
    constraint_ps: int
    lower_bound_ps: int
    worst_ps: int | None
    bottleneck: int | None
    fix: str
    needed_gbps: Fraction | None
    fitting_nbytes: int


def answer(
    channels: Sequence[Channel],
    flow: PeriodicFlow,
    constraint_ps: int,
    *,
    others: Sequence[PeriodicFlow] = (),
    policy: Policy | None = None,
) -> Answer:
    """Return what can be promised to ``flow`` beside the registered flows ``others``.

    Args:
        channels: all channels, numbered by the paths of the flows.
        flow: what is asked for; ``period_ps=ONCE`` for a single message.
        constraint_ps: from submission to the arrival of the last byte.
        others: every other flow that is no less urgent; for bulk classes every other flow there is.
        policy: of the channels.
    """
    chosen = policy or Policy()
    crossed = [channels[at] for at in flow.path]
    bound = lower_bound_ps(crossed, flow.delays, flow.nbytes)
    left = constraint_ps - sum(flow.delays)
    slowest = max(range(len(crossed)), key=lambda hop: crossed[hop].ps_per_byte)
    needed = Fraction(flow.nbytes * BITS_PER_BYTE_IN_PS, left) if left > 0 else None
    fitting = max(0, int(left / crossed[slowest].ps_per_byte))
    worst: int | None = None
    if bound > constraint_ps:
        verdict, fix = Verdict.INFEASIBLE, _fix(flow, crossed, left, needed, fitting)
    else:
        worst = response_bounds_ps(channels, [flow, *others], chosen)[0]
        if worst is not None and worst <= constraint_ps:
            verdict = Verdict.GUARANTEED
            alone = chosen.fifo or flow.priority_class >= chosen.first_bulk
            classes = "" if alone else f" of classes 0-{flow.priority_class}"
            fix = f"if the registered flows are all the traffic{classes}"
        else:
            verdict = Verdict.BEST_EFFORT
            known = "no bound is known" if worst is None else f"it may take {to_ns(worst):.12g} ns"
            fix = f"{known} beside the registered flows"
    return Answer(
        verdict=verdict,
        constraint_ps=constraint_ps,
        lower_bound_ps=bound,
        worst_ps=worst,
        bottleneck=flow.path[slowest] if left > 0 else None,
        fix=fix,
        needed_gbps=needed,
        fitting_nbytes=fitting,
    )


def _fix(flow: PeriodicFlow, crossed: Sequence[Channel], left_ps: int, needed: Fraction | None, fitting: int) -> str:
    """The smallest change that makes an infeasible request feasible, in words."""
    if needed is None:
        longest = max(range(len(crossed)), key=lambda hop: flow.delays[hop])
        by = f" by more than {to_ns(-left_ps):.12g} ns" if left_ps else ""
        return (
            f"Propagation alone takes {to_ns(sum(flow.delays)):.12g} ns. Allow more time, or shorten the path{by}; its "
            f"longest hop is {crossed[longest].source} -> {crossed[longest].target} with "
            f"{to_ns(flow.delays[longest]):.12g} ns."
        )
    slow = [each for each in crossed if each.ps_per_byte * needed > BITS_PER_BYTE_IN_PS]
    named = ", ".join(f"{each.source} -> {each.target}" for each in slow)
    return f"Raise {named} to at least {float(needed):.6g} Gb/s, or send at most {fitting} bytes at a time."
