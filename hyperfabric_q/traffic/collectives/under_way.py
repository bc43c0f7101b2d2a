"""Live collectives: on paper as long as nothing comes near their channels, message by message in the kernel otherwise.

As with many sends at once (``traffic.bulk``), the two ways have the same times to the picosecond. The moment something
else is sent over one of its channels, a collective on paper is put into the kernel as it stands at that instant, by
letting the kernel catch up; that costs some 20 µs for each message sent so far.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

from hyperfabric_q.errors import Undeliverable
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.collectives.contribution import Contribution
from hyperfabric_q.traffic.collectives.foresight import Foresight
from hyperfabric_q.traffic.collectives.on_kernel import Running
from hyperfabric_q.traffic.collectives.result import Engine
from hyperfabric_q.traffic.request import Kind

_WORD = (1 << 64) - 1


class UnderWay:
    """A collective under way.

    Attributes:
        start_ps: when it was asked for.
        on_paper: whether its times are reckoned, and nothing of it is in the kernel.
        engine: what has found its times.
        completion_ps: for each rank, when it was done; empty until all are.
        future: done when all are.
    """

    def __init__(
        self, kernel: Kernel, foresight: Foresight, brought: Contribution, kind: Kind, deadline_ps: int
    ) -> None:
        """Describe it; ``begin`` begins it."""
        self._kernel = kernel
        self._foresight = foresight
        self._kind = kind
        self._deadline_ps = deadline_ps
        self._running: Running | None = None
        self._count = 0
        self.content = brought.content
        self.start_ps = kernel.now_ps
        self.on_paper = False
        self.engine: Engine = "kernel"
        self.completion_ps: list[int] = []
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = foresight.task
        names = hashlib.blake2b("|".join(task.names).encode(), digest_size=8).hexdigest()
        what = f"{task.collective.value}|{foresight.report.algorithm}|{task.root}|{task.nbytes}|{task.itemsize}"
        self.text = f"{what}|{names}|{kind.text}|{deadline_ps}"

    def begin(self, count: int, *, alone: bool) -> None:
        """Begin now, as the ``count``-th of its kind; ``alone`` promises that nothing else is under way."""
        self._count = count
        timing = self._foresight.report.timing
        if alone and timing.exact:
            self.on_paper = True
            self.engine = "recurrence"
            self._kernel.at(self.start_ps + timing.duration_ps, self._reckoned)
        else:
            self._start()

    def meets(self, path: Sequence[int]) -> bool:
        """Return whether a path takes one of its channels."""
        return not self._foresight.channels.isdisjoint(path)

    def join(self) -> None:
        """Move to the kernel as things stand now, because something else is about to be sent."""
        if not self.on_paper:
            return
        self.on_paper = False
        self._kernel.replay(self.start_ps, self._start)

    def withdraw(self) -> None:
        """Take back what has not been sent."""
        self.join()
        if self._running is not None:
            self._running.withdraw()

    @property
    def _identity(self) -> int:
        text = f"{self.text}|{self.start_ps}|{self._count}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())

    def _start(self) -> None:
        self.engine = "kernel"
        identity, ranks = self._identity, len(self._foresight.task.names)
        self._running = self._foresight.start(
            self._kernel,
            key=("collective", self.text, self._count),
            priority_class=self._kind.priority_class,
            deadline_ps=self._deadline_ps,
            identity=lambda step, source: (identity + step * ranks + source) & _WORD,
            on_done=lambda running: self._ended(running.completion_ps),
            on_failed=self._failed,
        )

    def _reckoned(self) -> None:
        """Report what was reckoned, unless it has moved to the kernel meanwhile."""
        if not self.on_paper:
            return
        self.on_paper = False
        completion = (self._foresight.report.timing.completion_ps + self.start_ps).tolist()
        marked = hashlib.blake2b(str(completion).encode(), digest_size=8)
        marked.update(self._identity.to_bytes(8))
        whole = Message(path=(0,), delays=(0,), nbytes=1, identity=int.from_bytes(marked.digest()))
        whole.done_ps = self._kernel.now_ps
        self._kernel.recorder.delivered(whole)
        self._ended(completion)

    def _ended(self, completion_ps: list[int]) -> None:
        self.completion_ps = completion_ps
        if not self.future.done():
            self.future.set_result(None)

    def _failed(self, source: int, target: int, reason: str) -> None:
        names = self._foresight.task.names
        if not self.future.done():
            fault = Undeliverable(source=names[source], destination=names[target], reason=reason)
            self.future.set_exception(fault)
        if self._running is not None:
            self._running.withdraw()


class Gathering:
    """The collectives of one instant, which begin together, in an order that follows from what they are."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: list[UnderWay] = []
        self._counts: Counter[str] = Counter()
        self._counted_ps = -1

    def __len__(self) -> int:
        """Return how many have not begun."""
        return len(self._waiting)

    def add(self, one: UnderWay) -> None:
        """Let one wait for the others of its instant."""
        self._waiting.append(one)

    def drop(self, one: UnderWay) -> bool:
        """Forget one that has not begun; whether there was one."""
        waits = one in self._waiting
        if waits:
            self._waiting.remove(one)
        return waits

    def begin(self, now_ps: int, alone: Callable[[], bool]) -> UnderWay | None:
        """Begin all that wait; return the one on paper, which is alone if there is one.

        Those equal in everything the fabric looks at are told apart by their contents.
        """
        batch, self._waiting = self._waiting, []
        if now_ps != self._counted_ps:
            self._counts.clear()
            self._counted_ps = now_ps
        if len(batch) > 1:
            batch.sort(key=lambda one: one.text)
            alike = Counter(one.text for one in batch)
            batch.sort(key=lambda one: (one.text, one.content() if alike[one.text] > 1 else ""))
        by_itself = len(batch) == 1 and alone()
        for one in batch:
            count = self._counts[one.text]
            self._counts[one.text] += 1
            one.begin(count, alone=by_itself)
        return batch[0] if by_itself and batch[0].on_paper else None
