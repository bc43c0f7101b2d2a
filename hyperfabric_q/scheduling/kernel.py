"""The kernel: one clock in integer picoseconds, one server per directed channel, events that grow with messages.

A message travels as *parts*, trains of consecutive bytes. A part is one event at its start on a channel and one at its
end however many chunks it has; where the line is taken from it at a chunk boundary, that boundary is computed in closed
form and the rest becomes a part of its own. While a part is sent, its beginning is already under way on the next
channel; it is released there at the first instant from which it can be sent without a gap.

Within one instant the order is fixed: first everything that completes, then timers, then arrivals and submissions, then
faults, then every idle server picks its next part. Whatever is done in one of these steps commutes, and a pick depends
on the queue alone, so neither the order of submission within an instant nor any order of iteration can change anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Final, Protocol, TypeAlias

from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.message import Failure, Message, Part, Stage, part_of
from hyperfabric_q.scheduling.policy import Policy
from hyperfabric_q.scheduling.server import Server
from hyperfabric_q.scheduling.timeline import Recorder, Timeline

COMPLETE: Final = 0
DELIVER: Final = 1
TIMER: Final = 2
ARRIVE: Final = 3
SUBMIT: Final = 4

NEVER: Final = 1 << 100
"""Later than any event, in picoseconds."""

COMING, QUEUED, SENDING, SENT = Stage.COMING, Stage.QUEUED, Stage.SENDING, Stage.SENT
canonical = Message.canonical
_release_ps = attrgetter("release_ps")

Event: TypeAlias = tuple[int, int, int, Any, int | None]
"""Time, phase, sequence number (which only keeps the heap from comparing what follows), subject, generation.

The event is void once its subject is of another generation; without one it happens in any case.
"""


class Trouble(Protocol):
    """What may happen to a kernel from outside; see ``faults``."""

    def following(self, next_ps: int | None) -> int | None:
        """Return when something happens next, given when the kernel's next event is."""

    def act(self, until_ps: int) -> None:
        """Let everything happen that is due by then."""

    def stranded(self, server: Server) -> None:
        """Look after what waits at a server that is down."""

    def passes(self, message: Message) -> bool:
        """Whether a message, all in, arrives here and now; otherwise this object has taken it over."""


class Kernel:
    """Servers, queues and the clock. It knows bytes and times, and nothing of what they mean."""

    def __init__(self, *, policy: Policy | None = None, recorder: Recorder | None = None) -> None:
        """Start at time zero with no channels."""
        self.now_ps = 0
        self.policy = policy or Policy()
        self.servers: list[Server] = []
        self.recorder = recorder or Recorder()
        self.pending = 0
        self.steps = 0
        self.faults: Trouble | None = None
        self._heap: list[Event] = []
        self._sequence = 0
        self._submitted: list[Message] = []
        self._later: deque[Message] = deque()
        self._due_ps = NEVER
        self._rank = 0
        self._touched: dict[Server, None] = {}
        self._records = self.recorder.keeps

    # --------------------------------------------------------------------------------------------------- channels

    def add(self, channel: Channel) -> int:
        """Add a channel and return its number."""
        self.servers.append(Server(len(self.servers), channel, self.policy))
        return len(self.servers) - 1

    # ----------------------------------------------------------------------------------------------------- outside

    def submit(self, message: Message) -> None:
        """Take a message in; it is admitted, in canonical order, at the end of the present instant."""
        self.pending += 1
        later, release_ps = self._later, message.release_ps
        if release_ps <= self.now_ps:
            self._admit_now(message)
        elif not later:
            later.append(message)
            self._due_ps = min(self._due_ps, release_ps)
        elif release_ps >= later[-1].release_ps:
            # Most programs submit in order of time: a queue then keeps the heap small.
            later.append(message)
        else:
            self._push(release_ps, SUBMIT, message)

    def at(self, time_ps: int, action: Callable[[], object]) -> None:
        """Call ``action`` when the clock reaches ``time_ps``, before that instant's arrivals."""
        if time_ps < self.now_ps:
            raise InvalidValue(field="time_ps", value=time_ps, rule=f"it is {self.now_ps} ps already")
        self._push(time_ps, TIMER, action)

    def cancel(self, message: Message) -> bool:
        """Withdraw what has not been sent yet; whether the message was still under way.

        Bytes already on the way stay charged, and the message never completes.
        """
        if message.done_ps >= 0 or message.cancelled:
            return False
        self._give_up(message, "cancelled")
        return True

    def fail(self, message: Message, failure: Failure) -> None:
        """Withdraw what has not been sent yet, and tell whoever waits why the message will not arrive."""
        if message.done_ps >= 0 or message.cancelled:
            return
        message.failure = failure
        self._give_up(message, failure)
        if message.on_failed is not None:
            message.on_failed(message)

    def arrive(self, message: Message, late_ps: int = 0) -> None:
        """Complete a message, all of whose bytes are in, now."""
        message.done_ps = self.now_ps
        self.pending -= 1
        self.recorder.delivered(message, late_ps)
        if message.on_done is not None:
            message.on_done(message)

    def timeline(self) -> Timeline:
        """Return what the recorder has kept, as a value. O(entries)."""
        moving = any(phase not in (TIMER, SUBMIT) for _, phase, *_ in self._heap) or any(
            not each.idle for each in self.servers
        )
        complete = not (self.pending or moving)
        channels = (each.channel for each in self.servers)
        return self.recorder.timeline(channels, self.policy, self.now_ps, complete=complete)

    # ----------------------------------------------------------------------------------------------------- the clock

    @property
    def events(self) -> int:
        """How much has happened or is about to: messages admitted, services completed, arrivals and timers."""
        return self._sequence + self._rank

    @property
    def next_ps(self) -> int | None:
        """When something will happen next; None when nothing is under way."""
        next_ps = self._next()
        return None if next_ps == NEVER else next_ps

    def _next(self) -> int:
        heap, next_ps = self._heap, self._due_ps
        while heap:
            time_ps, _, _, subject, generation = heap[0]
            if generation is None or generation == subject.generation:
                if time_ps < next_ps:  # noqa: PLR1730 - half of what min takes, and this runs at every instant
                    next_ps = time_ps
                break
            heappop(heap)
        if self.faults is None:
            return next_ps
        following_ps = self.faults.following(None if next_ps == NEVER else next_ps)
        return NEVER if following_ps is None else following_ps

    def advance(self, until_ps: int) -> None:
        """Let everything up to and including ``until_ps`` happen, and leave the clock there."""
        latest_ps = min(until_ps, NEVER - 1)
        while self.step(latest_ps):
            pass
        self.now_ps = max(self.now_ps, until_ps)

    def replay(self, from_ps: int, begin: Callable[[], object]) -> None:
        """Let what ``begin`` submits happen as if it had been there since ``from_ps``, this instant included.

        Call it between two steps, for what has met nothing else until now. Whatever else is still to happen in this
        instant comes after that, as it would have: it was submitted later.
        """
        now, others, later, submitted = self.now_ps, self._heap, self._later, self._submitted
        self._heap, self._later, self._submitted, self._due_ps, self.now_ps = [], deque(), [], NEVER, from_ps
        begin()
        self.advance(now)
        self._heap += others
        heapify(self._heap)
        self._later = deque(sorted([*self._later, *later], key=_release_ps))
        self._due_ps = self._later[0].release_ps if self._later else NEVER
        for message in submitted:
            self._admit_now(message)

    def run(self) -> None:
        """Let everything happen that is under way."""
        while self.step():
            pass

    def step(self, until_ps: int = NEVER - 1) -> bool:
        """Let everything of the next instant happen; False when nothing is under way until ``until_ps``."""
        now = self._next()
        if now > until_ps:
            return False
        self.now_ps = now
        self.steps += 1
        if self.faults is not None:
            # The clock may have been moved over faults while nothing was under way.
            self.faults.act(now - 1)
        heap = self._heap
        while True:
            while heap and heap[0][0] == now:
                _, phase, _, subject, generation = heappop(heap)
                if generation is not None and generation != subject.generation:
                    continue
                if phase == COMPLETE:
                    self._complete(subject)
                elif phase == DELIVER:
                    self._deliver(subject)
                else:
                    self._happen(phase, subject)
            if self._due_ps == now:
                self._admit()
            if self.faults is not None:
                self.faults.act(now)
            if not self._touched:
                return True
            self._dispatch()
            if self.faults is None and not (heap and heap[0][0] == now):
                return True

    def _deliver(self, part: Part) -> None:
        """The bytes of a part are in."""
        message = part.message
        message.missing -= part.end - part.first
        whole = not message.missing and not message.cancelled
        if whole and (self.faults is None or self.faults.passes(message)):
            self.arrive(message)

    def _happen(self, phase: int, subject: Any) -> None:
        if phase == ARRIVE:
            subject.queued_ps = self.now_ps
            self._enqueue(self.servers[subject.message.path[subject.hop]], subject)
        elif phase == SUBMIT:
            self._admit_now(subject)
        else:
            subject()

    def _dispatch(self) -> None:
        """Let every idle server at which something has changed pick its next part."""
        touched, self._touched = self._touched, {}
        for server in touched:
            if server.sending is None:
                if server.up:
                    part = server.pick()
                    if part is not None:
                        self._begin(server, part)
                elif self.faults is not None:
                    self.faults.stranded(server)

    def _push(self, time_ps: int, phase: int, subject: Any, generation: int | None = None) -> None:
        self._sequence = number = self._sequence + 1
        heappush(self._heap, (time_ps, phase, number, subject, generation))

    # ---------------------------------------------------------------------------------------------------- admission

    def _admit_now(self, message: Message) -> None:
        self._submitted.append(message)
        self._due_ps = self.now_ps

    def _admit(self) -> None:
        """Give the messages of this instant their ranks in canonical order, and put them at their first channel."""
        batch, self._submitted = self._submitted, []
        now, later = self.now_ps, self._later
        due_ps = NEVER
        while later and (due_ps := later[0].release_ps) == now:
            batch.append(later.popleft())
            due_ps = NEVER
        self._due_ps = due_ps
        alone = len(batch) == 1 and self.faults is None
        if not alone:
            batch.sort(key=canonical)
        for message in batch:
            if message.cancelled:
                continue
            message.rank = rank = self._rank
            self._rank = rank + 1
            message.submitted_ps = now
            if self._records:
                self.recorder.submitted(message)
            message.head = part = part_of(message, 0, 0, message.nbytes)
            part.queued_ps = now
            server = self.servers[message.path[0]]
            if alone and server.takes_at_once(message.priority_class):
                self._begin(server, part)
            else:
                self._enqueue(server, part)

    def _enqueue(self, server: Server, part: Part) -> None:
        part.stage = QUEUED
        server.put(part)
        sending = server.sending
        if sending is None:
            self._touched[server] = None
        elif server.must_yield(part):
            self._replan(server, sending)
            if sending.message.priority_class > part.message.priority_class:
                server.block(part.message, self.now_ps)

    # ------------------------------------------------------------------------------------------------------ service

    def _begin(self, server: Server, part: Part) -> None:
        """Start to send a part, and let its beginning travel on."""
        now = self.now_ps
        message = part.message
        part.stage = SENDING
        part.begun_ps = server.begun_ps = now
        if message.started_ps < 0:
            message.started_ps = now
        server.sending = part
        if self._records:
            self.recorder.began(server.index)
        size = part.end - part.first
        whole_ps = -(-size * server.per_num // server.per_den)
        hop = part.hop + 1
        if hop < len(message.path):
            child = part_of(message, hop, part.first, part.end)
            part.child = child
            child.parent = part
            self._release(server, part, child, whole_ps)
        # What is strict was the most urgent of all that waits: nothing of that can take the line from it.
        limit = None if message.priority_class < server.first_bulk else server.limit(part, now)
        if limit is None or limit >= size:
            server.stop = size
        else:
            server.stop = limit
            whole_ps = server.ps(limit)
        server.generation += 1
        self._push(now + whole_ps, COMPLETE, server, server.generation)

    def _release(self, server: Server, part: Part, child: Part, whole_ps: int) -> None:
        """Schedule when ``child`` may start on the next channel: no gap can open in it from then on.

        Its bytes arrive at the pace of ``server``, in units of a chunk or one by one. If the next channel is no faster,
        it may start when it has the first unit. Otherwise it must not overtake the last one, which may be short, nor
        the last full one.
        """
        size = child.end - child.first
        unit = server.unit
        following = self.servers[part.message.path[child.hop]]
        first = 0
        if unit:
            first = whole_ps if size <= unit else -(-unit * server.per_num // server.per_den)
        if following.per_num * server.per_den < server.per_num * following.per_den:
            before_last = (size - 1) // unit * unit if unit else size
            first = max(first, whole_ps - following.ps(before_last))
            if unit and unit < before_last:
                first = max(first, server.ps(before_last) - following.ps(before_last - unit))
        child.generation += 1
        release = part.begun_ps + first + part.message.delays[part.hop]
        self._push(max(release, self.now_ps), ARRIVE, child, child.generation)

    def _replan(self, server: Server, part: Part) -> None:
        """Decide when ``part``, being sent, leaves the line: at its end, or where another must have it."""
        size = part.end - part.first
        limit = server.limit(part, self.now_ps)
        stop = size if limit is None or limit > size else limit
        if stop == server.stop:
            return
        server.generation += 1
        server.stop = stop
        # Sub-picosecond rounding can put the end of a shortened part just before now.
        self._push(max(server.begun_ps + server.ps(stop), self.now_ps), COMPLETE, server, server.generation)

    def _complete(self, server: Server) -> None:
        """A part leaves the line, whole or up to a chunk boundary."""
        part = server.sending
        if part is None:
            raise InternalError(what=f"channel {server.index} completed a service that it had not begun")
        now = self.now_ps
        message = part.message
        planned = part.end
        end = part.first + server.stop
        if end < planned:
            if part.child is not None:
                self._truncate(part.child, end)
            part.end = end
            message.preemptions += 1
        if self._records and end > part.first:
            self.recorder.service(server.index, part, now)
        self._leave(server, part)
        if server.strict or server.bulk_waiting:
            self._touched[server] = None
        hop = part.hop
        if hop + 1 == len(message.path):
            self._push(now + message.delays[hop], DELIVER, part)
        if end < planned:
            self._requeue(server, part, planned)
        elif hop == 0:
            message.head = None

    def _leave(self, server: Server, part: Part) -> None:
        """Note that a part has left the line; nothing can shorten what follows it any more."""
        part.stage = SENT
        server.finish(part, self.now_ps)
        child = part.child
        if child is not None:
            part.child = child.parent = None

    def _requeue(self, server: Server, part: Part, end: int) -> None:
        """Put the unsent rest of a part back where it stood in its queue."""
        rest = part_of(part.message, part.hop, part.end, end)
        rest.queued_ps = part.queued_ps
        parent = part.parent
        rest.parent = parent
        if parent is not None and parent.child is part:
            parent.child = rest
        if part.hop == 0:
            if part.message.cancelled:
                part.message.head = None
                return
            part.message.head = rest
        self._enqueue(server, rest)

    # --------------------------------------------------------------------------------------------------- shortening

    def _give_up(self, message: Message, reason: str) -> None:
        """Withdraw a message from its first channel; what has left that travels on for nothing."""
        message.cancelled = True
        self.pending -= 1
        if self._records:
            self.recorder.ended(message, self.now_ps, reason)
        part = message.head
        if part is None:
            return
        server = self.servers[message.path[0]]
        if part.stage is SENDING:
            self._truncate(part, part.first + server.boundary(part, self.now_ps))
        elif part.stage is QUEUED:
            self.drop(server, part)
            message.head = None

    def drop(self, server: Server, part: Part) -> None:
        """Take a waiting part out of its queue."""
        part.end = part.first
        server.withdraw(part)
        if server.sending is not None:
            self._replan(server, server.sending)

    def _truncate(self, part: Part, end: int) -> None:
        """Take the bytes from ``end`` on out of a part, because the line was taken at that byte, here or before."""
        if part.end <= end or part.stage is SENT:
            return
        server = self.servers[part.message.path[part.hop]]
        if part.stage is QUEUED and end <= part.first:
            self.drop(server, part)
            return
        part.end = max(end, part.first)
        if part.stage is COMING:
            part.generation += 1
            parent = part.parent
            if part.end > part.first and parent is not None:
                before = self.servers[part.message.path[part.hop - 1]]
                self._release(before, parent, part, before.ps(part.end - part.first))
        elif part.stage is SENDING:
            if part.child is not None:
                self._truncate(part.child, part.end)
            self._replan(server, part)

    def touch(self, server: Server) -> None:
        """Let a server look, in this instant, for something to send."""
        self._touched[server] = None

    def cut(self, server: Server) -> Message | None:
        """End what a channel sends at this very byte, because the link went down; whose message it was."""
        part = server.sending
        if part is None:
            return None
        now = self.now_ps
        end = part.first + server.sent(part, now)
        if part.child is not None:
            self._truncate(part.child, end)
        part.end = end
        server.generation += 1
        if self._records:
            self.recorder.service(server.index, part, now, cut=True)
        self._leave(server, part)
        self._touched[server] = None
        if part.hop == 0:
            part.message.head = None
        return part.message
