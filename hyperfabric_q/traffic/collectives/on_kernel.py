"""A collective as messages in the kernel, for links that others use too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Key, Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.traffic.collectives.per_rank import Progress, Send
from hyperfabric_q.traffic.collectives.schedule import Schedule
from hyperfabric_q.traffic.transfer import CORRUPTED

Route: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Channel numbers, and the propagation after each of them in picoseconds."""


class Running:
    """A collective under way.

    Attributes:
        completion_ps: for each rank, when all that it sends and receives so far had arrived.
    """

    def __init__(
        self,
        kernel: Kernel,
        schedule: Schedule,
        nbytes: int,
        route: Callable[[int, int], Route],
        *,
        key: Key = (),
        priority_class: int = 4,
        deadline_ps: int = NO_DEADLINE,
        itemsize: int = 1,
        identity: Callable[[int, int], int] | None = None,
        on_done: Callable[[Running], object] | None = None,
        on_failed: Callable[[int, int, str], object] | None = None,
        wire: Callable[[int], int] = int,
        before_ps: int = 0,
    ) -> None:
        """Submit what can be sent now; the rest follows as the kernel runs.

        Args:
            kernel: where the messages go.
            schedule: what is sent.
            nbytes: size of the vector.
            route: path from one rank to another.
            key: begins the key of every message; step and source follow.
            priority_class: of every message.
            deadline_ps: of every message.
            itemsize: no block cuts through an element of so many bytes.
            identity: number of the message of a step and source; ``step * ranks + source`` unless given.
            on_done: called when everything has arrived; right away if there is nothing to send.
            on_failed: called with both ranks and the reason when a message does not arrive, or not as it was sent.
            wire: bytes on the wire of a message of given size.
            before_ps: how long each message waits before it may leave.
        """
        ranks = schedule.ranks
        self.completion_ps = [kernel.now_ps] * ranks
        self._kernel, self._route, self._key, self._on_done = kernel, route, key, on_done
        self._class, self._deadline = priority_class, deadline_ps
        self._on_failed, self._wire, self._before_ps = on_failed, wire, before_ps
        self._flying: dict[tuple[int, int], Message] = {}
        self._identity = identity or (lambda step, source: step * ranks + source)
        self._progress = Progress.of(schedule, nbytes, itemsize)
        for rank in range(ranks):
            self._send_ready(rank)
        if not self.missing and on_done is not None:
            on_done(self)

    @property
    def missing(self) -> int:
        """Messages that have not arrived."""
        return self._progress.missing

    def _send_ready(self, rank: int) -> None:
        for send in self._progress.ready(rank):
            self._submit(rank, send)

    def _submit(self, rank: int, send: Send) -> None:
        path, delays = self._route(rank, send.target)
        message = self._flying[send.step, rank] = Message(
            path=path,
            delays=delays,
            nbytes=self._wire(send.nbytes),
            priority_class=self._class,
            deadline_ps=self._deadline,
            release_ps=self._kernel.now_ps + self._before_ps,
            key=(*self._key, send.step, rank),
            identity=self._identity(send.step, rank),
            on_done=lambda message: self._arrive(message, rank, send),
            on_failed=lambda message: self._lose(str(message.failure), rank, send),
        )
        self._kernel.submit(message)

    def withdraw(self) -> None:
        """Take back what has not been sent; nothing more is sent."""
        flying, self._flying = self._flying, {}
        for message in flying.values():
            self._kernel.cancel(message)

    def _lose(self, reason: str, source: int, send: Send) -> None:
        self._flying.pop((send.step, source), None)
        if self._on_failed is not None:
            self._on_failed(source, send.target, reason)

    def _arrive(self, message: Message, source: int, send: Send) -> None:
        if CORRUPTED in message.marks:
            self._lose(CORRUPTED, source, send)
            return
        self._flying.pop((send.step, source), None)
        for rank in (source, send.target):
            self.completion_ps[rank] = max(self.completion_ps[rank], message.done_ps)
        self._progress.arrive(send.target, send.step)
        self._send_ready(send.target)
        if not self.missing and self._on_done is not None:
            self._on_done(self)
