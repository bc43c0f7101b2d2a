"""One channel at work: what waits for it, what it sends, and when it must change over."""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush
from typing import Final, TypeAlias

from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.message import Message, Part
from hyperfabric_q.scheduling.policy import CLASSES, Policy

Entry: TypeAlias = tuple[int, int, int, int, int, Part]
"""Class, deadline, time it was queued, rank, first byte: unique on a server, so parts themselves are never compared."""

_NO_BULK: Final[dict[int, list[Entry]]] = {}
_NO_COUNTS: Final[list[int]] = []


class Server:
    """Queues and state of one channel. It decides; the kernel carries out."""

    __slots__ = (
        "_bulk",
        "_bulk_count",
        "_deficit",
        "_fifo",
        "_ghosts",
        "_grant_left",
        "_granted",
        "_policy",
        "_run_ps",
        "_turn",
        "begun_ps",
        "blocked",
        "bulk_waiting",
        "busy_ps",
        "channel",
        "chunk",
        "first_bulk",
        "generation",
        "index",
        "per_den",
        "per_num",
        "sending",
        "stop",
        "strict",
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
        self.blocked: dict[Message, int] | None = None
        self._policy = policy
        self._fifo = policy.fifo
        self.first_bulk = 0 if policy.fifo else policy.first_bulk
        self.strict: list[Entry] = []
        self._bulk: dict[int, list[Entry]] = _NO_BULK
        self._bulk_count = _NO_COUNTS
        self.bulk_waiting = 0
        self._ghosts = 0
        self._deficit = _NO_COUNTS
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
        kind, deadline = (0, 0) if self._fifo else (message.priority_class, message.deadline_ps)
        entry = (kind, deadline, part.queued_ps, message.rank, part.first, part)
        if kind < self.first_bulk:
            heappush(self.strict, entry)
        else:
            if not self._bulk_count:
                self._open_bulk()
            heappush(self._bulk[kind], entry)
            self._bulk_count[kind] += 1
            self.bulk_waiting += 1

    def _open_bulk(self) -> None:
        """Make what only bulk needs. Most channels of a large fabric never see any, and their wiring must be quick."""
        self._bulk = defaultdict(list)
        self._bulk_count, self._deficit = [0] * CLASSES, [0] * CLASSES

    def withdraw(self, part: Part) -> None:
        """Forget a queued part, which has just lost all its bytes."""
        kind = 0 if self._fifo else part.message.priority_class
        if kind >= self.first_bulk:
            self._bulk_count[kind] -= 1
            self.bulk_waiting -= 1
        self._ghosts += 1
        self._purge()

    def waiting(self) -> list[Part]:
        """Return the parts that wait."""
        heaps = [self.strict, *(self._bulk[kind] for kind in sorted(self._bulk))]
        return [entry[5] for heap in heaps for entry in heap if entry[5].end > entry[5].first]

    def _purge(self) -> None:
        """Drop forgotten parts from the heads of the queues, so that a head is always alive."""
        for heap in (self.strict, *self._bulk.values()):
            while heap and heap[0][5].end <= heap[0][5].first:
                heappop(heap)
                self._ghosts -= 1

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self.strict and not self.bulk_waiting

    def takes_at_once(self, kind: int) -> bool:
        """Whether what arrives alone, of class ``kind``, would be picked at once, so that it need not queue.

        Bulk classes queue all the same: their round robin counts.
        """
        free = self.sending is None and not self.strict and not self.bulk_waiting and self.up
        return free and (kind < self.first_bulk or self._fifo)

    def pick(self) -> Part | None:
        """Take the part to send next out of its queue; None when nothing waits."""
        strict = self.strict
        if strict and not (self.bulk_waiting and self._owes_bulk(strict[0][0])):
            part = heappop(strict)[5]
        elif self.bulk_waiting:
            kind = self._next_bulk()
            self._granted = bool(strict)
            if not strict:
                self._grant_left = 0
            elif self._grant_left <= 0:
                self._grant_left = self._policy.grant_ps
            part = heappop(self._bulk[kind])[5]
            self._bulk_count[kind] -= 1
            self.bulk_waiting -= 1
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

        Shreedhar and Varghese 1996, with debts: a class may overrun its deficit by a chunk, or by the grain of a
        message that has one, and pays for it later.
        """
        kind, count, deficit = self._turn, self._bulk_count, self._deficit
        if count[kind] and (deficit[kind] > 0 or self.bulk_waiting == count[kind]):
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

    def block(self, message: Message, now_ps: int) -> None:
        """Note that a message waits from now on for less urgent bytes that are being sent."""
        if self.blocked is None:
            self.blocked = {}
        self.blocked.setdefault(message, now_ps)

    def finish(self, part: Part, now_ps: int) -> None:
        """Account for ``part``, which leaves the line now."""
        elapsed = now_ps - self.begun_ps
        kind = part.message.priority_class
        self.busy_ps[kind] += elapsed
        self.sending = None
        if kind >= self.first_bulk:
            if self.bulk_waiting:
                # What is more than a chunk or grain of debt was served while no other bulk class waited.
                deficit = self._deficit[kind]
                most = min(deficit, -self.ps(part.message.grain or self.chunk))
                self._deficit[kind] = max(deficit - elapsed, most)
            elif self._deficit:
                self._deficit[kind] = 0
            self._run_ps = 0
            if self._granted:
                self._granted = False
                self._grant_left -= elapsed
            if not self.bulk_waiting:
                self._grant_left = 0
        elif not self.bulk_waiting:
            self._run_ps = 0
        elif kind <= self._policy.last_capped:
            self._run_ps += elapsed
        if self.blocked:
            for message, since_ps in self.blocked.items():
                message.blocking_ps += now_ps - max(since_ps, message.blocked_to_ps)
                message.blocked_to_ps = now_ps
            self.blocked = None

    def must_yield(self, arrived: Part) -> bool:
        """Whether the arrival of a part changes when the present one leaves the line."""
        part = self.sending
        if part is None or self._fifo:
            return False
        kind, new = part.message.priority_class, arrived.message.priority_class
        if new < self.first_bulk:
            return new < kind
        return kind >= self.first_bulk and new != kind

    def limit(self, part: Part, now_ps: int) -> int | None:
        """Return the bytes after which ``part``, being sent, must leave the line; None for its end."""
        if self._fifo:
            return None
        policy = self._policy
        kind = part.message.priority_class
        when: int | None = None
        if self.strict and self.strict[0][0] < kind:
            if not self._granted or self.strict[0][0] > policy.last_capped:
                return self.boundary(part, now_ps)
            when = self.begun_ps + self._grant_left
        if kind >= self.first_bulk and self.bulk_waiting > self._bulk_count[kind]:
            turn = self.begun_ps + self._deficit[kind]
            when = turn if when is None else min(when, turn)
        return None if when is None else self.boundary(part, max(now_ps, when))

    def boundary(self, part: Part, time_ps: int) -> int:
        """Return the bytes of ``part``, being sent, at the first boundary at or after ``time_ps``; at least one chunk.

        A part starts at a boundary, of its message's own grain if it has one.
        """
        elapsed = time_ps - self.begun_ps
        chunk = part.message.grain or self.chunk
        chunks = max(1, -(-elapsed * self.per_den // (self.per_num * chunk)))
        while chunks > 1 and self.ps((chunks - 1) * chunk) >= elapsed:
            chunks -= 1
        return chunks * chunk

    def sent(self, part: Part, now_ps: int) -> int:
        """Return how many bytes of ``part`` have left whole by now."""
        return min((now_ps - self.begun_ps) * self.per_den // self.per_num, part.end - part.first)
