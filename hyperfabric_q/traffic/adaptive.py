"""Which of several ways a send takes when the fabric is loaded: an online-learned estimator of queueing delay.

The cost of a way is its exact time on the idle fabric plus the estimated waiting at each of its channels. The waiting
at a channel has two parts:

* **backlog now**: when the channel will have sent what was admitted over it, reckoned at admission. A class that is
  served strictly waits only for such classes, a bulk class for all.
* **what that reckoning misses** (``send_many``, preemption, round robin, faults): a correction per channel, learned
  from deliveries by normalised least mean squares (Widrow and Hoff 1960): of the difference between the measured and
  the estimated time, a quarter is spread evenly over the channels of the way. Half of a correction is forgotten after
  eight times the latency it was last learned from, and all of it when nothing is under way.

There is no neural network and nothing is trained ahead. The estimator knows what this one protocol admits anywhere, as
a central controller would; real senders would have to be told. All of it is whole picoseconds of the virtual clock:
sends of one instant choose in canonical order, and only from deliveries of earlier instants, so the choices depend on
nothing but the program. Of equal costs the first way wins, and the shortest one is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.transfer import Sending
from hyperfabric_q.traffic.wiring import Way

RATE: Final = 4
"""One part in so many of an error is learned."""

MEMORY: Final = 8
"""Half of a correction is forgotten after so many latencies."""

MOST_HALVINGS: Final = 62

Choices = Callable[[Sending], Sequence[Way]]
News = tuple[int, int, int, int, tuple[int, ...]]


class LearnedRouting:
    """What is known of the channels of one kernel, and the choices that follow from it."""

    def __init__(self, kernel: Kernel) -> None:
        """Start with no load and nothing learned."""
        self._kernel = kernel
        self._first_bulk = 0 if kernel.policy.fifo else kernel.policy.first_bulk
        self._strict_free: dict[int, int] = {}
        self._free: dict[int, int] = {}
        self._late: dict[int, tuple[int, int, int]] = {}
        self._news: list[News] = []
        self._newest_ps = -1

    def choose(self, batch: Sequence[Sending], choices: Choices) -> None:
        """Give each of the sends of this instant its way; O(sends · ways · hops).

        Args:
            batch: sends that have their identities and keys, and are not in the kernel yet.
            choices: the ways a send may take, the preferred one first.
        """
        if not self._kernel.pending:
            for known in (self._strict_free, self._free, self._late):
                known.clear()
            self._news.clear()
        else:
            self._learn()
        for sending in sorted(batch, key=Message.canonical):
            self._settle(sending, choices(sending))

    # ------------------------------------------------------------------------------------------------------ choosing

    def _settle(self, sending: Sending, ways: Sequence[Way]) -> None:
        """Let a send take the way of least cost, and reckon with it from now on."""
        best, least, waiting = ways[0], -1, 0
        for way in ways:
            idle = way.times_ps(sending.nbytes)[0]
            if 0 <= least <= idle:
                continue
            waits = self._waiting(sending, way)
            if least < 0 or idle + waits < least:
                best, least, waiting = way, idle + waits, waits
        self._reserve(sending, best)
        sending.way, sending.path, sending.delays = best, best.path, best.delays
        sending.on_done = partial(self._arrived, sending.on_done, waiting)

    def _waiting(self, sending: Sending, way: Way) -> int:
        """Return how long a send would wait on a way, at all its channels together."""
        free = self._strict_free if sending.priority_class < self._first_bulk else self._free
        here_ps, total, nbytes = sending.release_ps, 0, sending.nbytes
        for number, rate, delay in zip(way.path, way.rates, way.delays, strict=True):
            waits = max(0, free.get(number, 0) - here_ps)
            if number in self._late:
                waits = max(0, waits + self._correction(number))
            total += waits
            here_ps += waits + _first_ps(nbytes, rate) + delay
        return total

    def _reserve(self, sending: Sending, way: Way) -> None:
        """Reckon with a send on the channels of its way."""
        strict = sending.priority_class < self._first_bulk
        here_ps, nbytes = sending.release_ps, sending.nbytes
        for number, rate, delay in zip(way.path, way.rates, way.delays, strict=True):
            whole = -(-nbytes * rate[0] // rate[1])
            begun = max(here_ps, (self._strict_free if strict else self._free).get(number, 0))
            if strict:
                self._strict_free[number] = begun + whole
            self._free[number] = max(here_ps, self._free.get(number, 0)) + whole
            here_ps = begun + _first_ps(nbytes, rate) + delay

    # ------------------------------------------------------------------------------------------------------ learning

    def _arrived(self, then: Callable[[Message], object] | None, waiting: int, message: Message) -> None:
        """Note how long a send has really waited; nothing is learned from it within this instant."""
        assert isinstance(message, Sending)  # noqa: S101
        elapsed = message.done_ps - message.release_ps
        error = elapsed - message.way.times_ps(message.nbytes)[0] - waiting
        self._news.append((message.done_ps, message.identity, error, elapsed, message.path))
        if then is not None:
            then(message)

    def _learn(self) -> None:
        """Correct the channels by what has arrived before this instant, in an order that follows from what it is."""
        now = self._kernel.now_ps
        if not self._news or now == self._newest_ps:
            return
        self._newest_ps = now
        old = sorted(each for each in self._news if each[0] < now)
        self._news = [each for each in self._news if each[0] >= now]
        for done_ps, _, error, elapsed, path in old:
            share = _towards_zero(error, RATE * len(path))
            for number in path:
                known = self._late.get(number)
                before = 0 if known is None else _faded(known, done_ps)
                self._late[number] = before + share, done_ps, MEMORY * max(1, elapsed)

    def _correction(self, number: int) -> int:
        return _faded(self._late[number], self._kernel.now_ps)


def _faded(known: tuple[int, int, int], now_ps: int) -> int:
    """Return what is left of a correction: halved once per half-life, evenly in between."""
    value, since_ps, half_life = known
    halvings, rest = divmod(max(0, now_ps - since_ps), half_life)
    if halvings > MOST_HALVINGS:
        return 0
    return _towards_zero(value * (2 * half_life - rest), (2 * half_life) << halvings)


def _towards_zero(value: int, by: int) -> int:
    return value // by if value >= 0 else -(-value // by)


def _first_ps(nbytes: int, rate: tuple[int, int, int, int]) -> int:
    """Return how long after its start on a channel a message can start on the next."""
    per_num, per_den, unit, _ = rate
    return -(-min(nbytes, unit) * per_num // per_den)
