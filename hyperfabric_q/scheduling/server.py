"""One channel at work: what waits for it, what it sends, and when it must change over."""

from __future__ import annotations

import heapq
from typing import TypeAlias

from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.message import Message, Part
from hyperfabric_q.scheduling.policy import CLASSES, Policy

Entry: TypeAlias = tuple[int, int, int, int, int, Part]
"""Class, deadline, time it was queued, rank, first byte: unique on a server, so parts themselves are never compared."""


class Server:
    """Queues and state of one channel. It decides; the kernel carries out."""

    __slots__ = (
        "_bulk",
        "_bulk_count",
        "_bulk_waiting",
        "_chunk_ps",
        "_deficit",
        "_first_bulk",
        "_ghosts",
        "_grant_left",
        "_granted",
        "_policy",
        "_run_ps",
        "_strict",
        "_turn",
        "begun_ps",
        "blocked",
        "busy_ps",
        "channel",
        "chunk",
        "generation",
        "index",
        "per_den",
        "per_num",
        "sending",
        "stop",
        "unit",
        "up",
    )

    def __init__(self, index: int, channel: Channel, policy: Policy) -> None:
        """Make an idle server."""
        self.index = index
        self.channel = channel
        self.chunk = channel.chunk
        self.unit = channel.chunk if channel.store_and_forward else 0
        self.per_num = channel.ps_per_byte.numerator
        self.per_den = channel.ps_per_byte.denominator
        self.sending: Part | None = None
        self.begun_ps = 0
        self.stop = 0
        self.generation = 0
        self.up = True
        self.busy_ps = [0] * CLASSES
        self.blocked: dict[Message, int] = {}
        self._chunk_ps = self.ps(self.chunk)
        self._policy = policy
        self._first_bulk = 0 if policy.fifo else policy.first_bulk
        self._strict: list[Entry] = []
        self._bulk: list[list[Entry]] = [[] for _ in range(CLASSES)]
        self._bulk_count = [0] * CLASSES
        self._bulk_waiting = 0
        self._ghosts = 0
        self._deficit = [0] * CLASSES
        self._turn = 0 if policy.fifo else min(policy.first_bulk, CLASSES - 1)
        self._run_ps = 0
        self._granted = False
        self._grant_left = 0

    def ps(self, nbytes: int) -> int:
        """Return the serialisation time of ``nbytes``, rounded up."""
        return -(-nbytes * self.per_num // self.per_den)

    # -------------------------------------------------------------------------------------------------------- queue

    def put(self, part: Part) -> None:
        """Queue a part."""
        message = part.message
        kind = message.priority_class
        if self._policy.fifo:
            kind, deadline = 0, 0
        else:
            deadline = message.deadline_ps
        entry = (kind, deadline, part.queued_ps, message.rank, part.first, part)
        if kind < self._first_bulk:
            heapq.heappush(self._strict, entry)
        else:
            heapq.heappush(self._bulk[kind], entry)
            self._bulk_count[kind] += 1
            self._bulk_waiting += 1

    def withdraw(self, part: Part) -> None:
        """Forget a queued part, which has just lost all its bytes."""
        kind = 0 if self._policy.fifo else part.message.priority_class
        if kind >= self._first_bulk:
            self._bulk_count[kind] -= 1
            self._bulk_waiting -= 1
        self._ghosts += 1
        self._purge()

    def waiting(self) -> list[Part]:
        """Return the parts that wait, in no particular order."""
        return [entry[5] for heap in (self._strict, *self._bulk) for entry in heap if entry[5].end > entry[5].first]

    def _purge(self) -> None:
        """Drop forgotten parts from the heads of the queues, so that a head is always alive."""
        for heap in (self._strict, *self._bulk):
            while heap and heap[0][5].end <= heap[0][5].first:
                heapq.heappop(heap)
                self._ghosts -= 1

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._strict and not self._bulk_waiting

    def takes_at_once(self, message: Message) -> bool:
        """Whether a message that arrives alone would be picked at once, so that it need not queue.

        Bulk classes queue all the same: their round robin counts.
        """
        strict = self._policy.fifo or message.priority_class < self._first_bulk
        return strict and self.sending is None and self.up and not self._strict and not self._bulk_waiting

    def pick(self) -> Part | None:
        """Take the part to send next out of its queue; None when nothing waits."""
        strict = self._strict
        if strict and not (self._bulk_waiting and self._owes_bulk(strict[0][0])):
            part = heapq.heappop(strict)[5]
        elif self._bulk_waiting:
            kind = self._next_bulk()
            self._granted = bool(strict)
            if not strict:
                self._grant_left = 0
            elif self._grant_left <= 0:
                self._grant_left = self._policy.grant_ps
            part = heapq.heappop(self._bulk[kind])[5]
            self._bulk_count[kind] -= 1
            self._bulk_waiting -= 1
        else:
            return None
        if self._ghosts:
            self._purge()
        return part

    def _owes_bulk(self, kind: int) -> bool:
        policy = self._policy
        return kind <= policy.last_capped and (self._grant_left > 0 or self._run_ps >= policy.cap_ps)

    def _next_bulk(self) -> int:
        """The waiting bulk class whose turn it is: deficit round robin in units of service time.

        Shreedhar and Varghese 1996, with debts: a class may overrun its deficit by a chunk, and pays for it later.
        """
        kind, count, deficit = self._turn, self._bulk_count, self._deficit
        if count[kind] and (deficit[kind] > 0 or self._bulk_waiting == count[kind]):
            return kind
        policy = self._policy
        order = [each for step in range(1, CLASSES + 1) if count[each := (kind + step) % CLASSES]]
        quanta = [policy.quantum_ps * policy.weight(each) for each in order]
        debts = [min(deficit[each], 0) for each in order]
        # A class is in credit again after so many rounds; all rounds in which nobody is are passed over at once.
        rounds = [-debt // quantum + 1 for debt, quantum in zip(debts, quanta, strict=True)]
        least = min(rounds)
        place = rounds.index(least)
        for at, each in enumerate(order):
            deficit[each] = debts[at] + quanta[at] * (least if at <= place else least - 1)
        self._turn = order[place]
        return order[place]

    # ------------------------------------------------------------------------------------------------------ service

    def finish(self, part: Part, now_ps: int) -> None:
        """Account for ``part``, which leaves the line now."""
        elapsed = now_ps - self.begun_ps
        kind = part.message.priority_class
        self.busy_ps[kind] += elapsed
        self.sending = None
        if kind >= self._first_bulk:
            # What is more than a chunk of debt was served while no other bulk class waited.
            self._deficit[kind] = max(self._deficit[kind] - elapsed, -self._chunk_ps) if self._bulk_waiting else 0
            self._run_ps = 0
            if self._granted:
                self._granted = False
                self._grant_left -= elapsed
            if not self._bulk_waiting:
                self._grant_left = 0
        elif not self._bulk_waiting:
            self._run_ps = 0
        elif kind <= self._policy.last_capped:
            self._run_ps += elapsed
        if self.blocked:
            for message, since_ps in self.blocked.items():
                message.blocking_ps += now_ps - max(since_ps, message.blocked_to_ps)
                message.blocked_to_ps = now_ps
            self.blocked.clear()

    def must_yield(self, arrived: Part) -> bool:
        """Whether the arrival of a part changes when the present one leaves the line."""
        part = self.sending
        if part is None or self._policy.fifo:
            return False
        kind, new = part.message.priority_class, arrived.message.priority_class
        if new < self._first_bulk:
            return new < kind
        return kind >= self._first_bulk and new != kind

    def limit(self, part: Part, now_ps: int) -> int | None:
        """Return the bytes after which ``part``, being sent, must leave the line; None for its end."""
        policy = self._policy
        if policy.fifo:
            return None
        kind = part.message.priority_class
        when: int | None = None
        if self._strict and self._strict[0][0] < kind:
            if not self._granted or self._strict[0][0] > policy.last_capped:
                return self.boundary(now_ps)
            when = self.begun_ps + self._grant_left
        if kind >= self._first_bulk and self._bulk_waiting > self._bulk_count[kind]:
            turn = self.begun_ps + self._deficit[kind]
            when = turn if when is None else min(when, turn)
        return None if when is None else self.boundary(max(now_ps, when))

    def boundary(self, time_ps: int) -> int:
        """Return the bytes sent at the first chunk boundary at or after ``time_ps``; at least one chunk."""
        elapsed = time_ps - self.begun_ps
        chunks = max(1, -(-elapsed * self.per_den // (self.per_num * self.chunk)))
        while chunks > 1 and self.ps((chunks - 1) * self.chunk) >= elapsed:
            chunks -= 1
        return chunks * self.chunk

    def sent(self, part: Part, now_ps: int) -> int:
        """Return how many bytes of ``part`` have left whole by now."""
        return min((now_ps - self.begun_ps) * self.per_den // self.per_num, part.end - part.first)
