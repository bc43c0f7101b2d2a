"""Where attempts are made: the servers of the kernel on which Bell pairs are generated.

How many attempts a pair takes is drawn once, from the geometric law; a job of so many attempts is then one message of
so many units, however often it is interrupted: attempts are independent, so what has failed says nothing about what is
to come, and an interruption between two attempts changes no probability.

A link of its own is a channel whose unit is an attempt. On a line that is shared with classical bytes an attempt takes
as many bytes as would pass in its time, and is interrupted only between attempts. A photonic switch has as many Bell
measurement devices as ``photonic_channels``; a pair occupies one, and turning it to another pair of nodes takes time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from fractions import Fraction

from hyperfabric_q.entanglement.elementary import Elementary
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message

Done = Callable[["Job"], object]


class Job(Message):
    """Attempts on their way to a herald.

    Attributes:
        link: where they are made.
        place: the number of that link in its chain.
        attempts: how many it takes.
        ended: called with the job when its pair is heralded.
        lost: called with the job when a fault has taken the line from it, or the word of its success.
    """

    __slots__ = ("attempts", "ended", "entry", "link", "lost", "place", "unit")

    def __init__(
        self, link: Elementary, attempts: int, *, priority_class: int, deadline_ps: int, identity: int
    ) -> None:
        """Describe a job; ``Lines.begin`` says where it runs."""
        super().__init__(
            path=(0,),
            delays=(link.tail_ps,),
            nbytes=attempts,
            priority_class=priority_class,
            deadline_ps=deadline_ps,
            identity=identity,
            key=("pair", link.a, link.b, identity),
        )
        self.link = link
        self.place = 0
        self.attempts = attempts
        self.unit = 1
        self.ended: Done | None = None
        self.lost: Done | None = None
        self.entry: tuple[int, int, int, Job] | None = None

    @property
    def spent(self) -> int:
        """Attempts whose outcome is known, or would be without the fault that took the job."""
        turning = self.nbytes - self.attempts * self.unit
        return max(0, self.nbytes - self.missing - turning) // self.unit


class Line:
    """One place where attempts are made; ``begin`` and ``withdraw`` are all that differs between its kinds."""

    def begin(self, job: Job) -> None:
        """Let a job start as soon as the line is free for it."""
        raise NotImplementedError

    def withdraw(self, job: Job) -> int:
        """Stop a job; return the attempts that were made in vain."""
        raise NotImplementedError


class OwnLine(Line):
    """A channel of the kernel: a link's own, or one that it shares with classical bytes."""

    def __init__(self, kernel: Kernel, number: int, unit: int) -> None:
        """Make attempts of ``unit`` bytes each on channel ``number``."""
        self._kernel = kernel
        self._number = number
        self._unit = unit

    def begin(self, job: Job) -> None:
        """Queue the job on the channel."""
        job.path = (self._number,)
        job.unit = job.grain = self._unit
        job.nbytes = job.missing = job.attempts * self._unit
        job.release_ps = self._kernel.now_ps
        job.on_done, job.on_failed = _ended, _lost
        self._kernel.submit(job)

    def withdraw(self, job: Job) -> int:
        """Let the attempt that is being made be the last one."""
        head = job.head
        self._kernel.cancel(job)
        if head is None:
            return 0 if job.submitted_ps < 0 else job.attempts
        return head.end // self._unit


class Switch(Line):
    """The Bell measurement devices of a photonic switch; a device serves one pair at a time, then the next in rank."""

    def __init__(self, kernel: Kernel, name: str, devices: int | None) -> None:
        """Start with all devices idle; None = there is always another."""
        self._kernel = kernel
        self._name = name
        self._most = devices
        self._devices: list[int] = []
        self._turned: dict[int, tuple[str, str]] = {}
        self._idle: list[int] = []
        self._queue: list[tuple[int, int, int, Job]] = []
        self._count = 0

    def begin(self, job: Job) -> None:
        """Give the job a device, or let it wait for one."""
        self._count += 1
        job.entry = (job.priority_class, job.deadline_ps, self._count, job)
        heapq.heappush(self._queue, job.entry)
        self._serve()

    def withdraw(self, job: Job) -> int:
        """Free the job's device at once."""
        if job.entry is not None:
            self._queue.remove(job.entry)
            heapq.heapify(self._queue)
            job.entry = None
            return 0
        self._kernel.cancel(job)
        made = 0
        if job.started_ps >= 0:
            turning = job.nbytes - job.attempts * job.unit
            made = min(job.attempts, -(-(self._kernel.now_ps - job.started_ps - turning) // job.unit))
        self._over(job)
        return max(0, made)

    def _serve(self) -> None:
        while self._queue:
            device = self._free(self._queue[0][3].link.ends)
            if device is None:
                return
            job = heapq.heappop(self._queue)[3]
            job.entry = None
            self._start(job, device)

    def _free(self, ends: tuple[str, str]) -> int | None:
        """Return an idle device, one that is turned to ``ends`` already if there is any."""
        for device in self._idle:
            if self._turned.get(device) == ends:
                self._idle.remove(device)
                return device
        if self._most is None or len(self._devices) < self._most:
            label = f"{self._name}#{len(self._devices)}"
            device = self._kernel.add(
                Channel(source=label, target=label, ps_per_byte=Fraction(1), chunk=1, store_and_forward=False)
            )
            self._devices.append(device)
            return device
        return self._idle.pop(0) if self._idle else None

    def _start(self, job: Job, device: int) -> None:
        link = job.link
        turning = link.reconfiguration_ps if self._turned.get(device) != link.ends else 0
        self._turned[device] = link.ends
        job.path = (device,)
        job.unit = link.attempt_ps
        job.nbytes = job.missing = job.attempts * link.attempt_ps + turning
        job.release_ps = self._kernel.now_ps
        job.on_done, job.on_failed = self._finished, self._failed
        self._kernel.submit(job)

    def _finished(self, message: Message) -> None:
        assert isinstance(message, Job)  # noqa: S101
        self._over(message)
        _ended(message)

    def _failed(self, message: Message) -> None:
        assert isinstance(message, Job)  # noqa: S101
        self._over(message)
        _lost(message)

    def _over(self, job: Job) -> None:
        self._idle.append(job.path[0])
        self._serve()


class Lines:
    """Every line of one fabric in one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        """Start without lines."""
        self._kernel = kernel
        self._lines: dict[tuple[object, ...], Line] = {}

    def line(self, link: Elementary, *, devices: int | None = None, shared: int | None = None) -> Line:
        """Return the line of a link, made on first use.

        Args:
            link: the link.
            devices: Bell measurement devices, when it goes through a switch.
            shared: the kernel's number of the channel that it shares, when it does.
        """
        key = self._key(link)
        found = self._lines.get(key)
        if found is None:
            found = self._lines[key] = self._made(link, devices, shared)
        return found

    def begin(self, job: Job) -> None:
        """Let a job start on its link's line, which exists."""
        self._lines[self._key(job.link)].begin(job)

    def withdraw(self, job: Job) -> int:
        """Stop a job; return the attempts that were made in vain."""
        return self._lines[self._key(job.link)].withdraw(job)

    @staticmethod
    def _key(link: Elementary) -> tuple[object, ...]:
        return ("switch", link.via) if link.via is not None else ("link", *link.ends, link.attempt_ps, link.shared)

    def _made(self, link: Elementary, devices: int | None, shared: int | None) -> Line:
        kernel = self._kernel
        if link.via is not None:
            return Switch(kernel, f"bsm:{link.via}", devices)
        if link.shared:
            if shared is None:
                raise unshared(link)
            return OwnLine(kernel, shared, _bytes_for(kernel.servers[shared].channel, link.attempt_ps))
        label = f"pairs:{link.a}~{link.b}"
        own = Channel(
            source=label, target=label, ps_per_byte=Fraction(link.attempt_ps), chunk=1, store_and_forward=False
        )
        return OwnLine(kernel, kernel.add(own), 1)


def unshared(link: Elementary) -> InvalidValue:
    """Return the error that says that there is no line which a link could share."""
    return InvalidValue(
        field="pair_channel",
        value="shared",
        rule=f"{link.a}--{link.b} has no classical line of its own to share",
        remedy="Give the link a bandwidth_gbps, or let pair_channel be 'dedicated'.",
    )


def _bytes_for(channel: Channel, duration_ps: int) -> int:
    """Return the least number of bytes that take at least so long on a channel."""
    rate = channel.ps_per_byte
    return max(1, -(-duration_ps * rate.denominator // rate.numerator))


def _ended(message: Message) -> None:
    assert isinstance(message, Job)  # noqa: S101
    if message.ended is not None:
        message.ended(message)


def _lost(message: Message) -> None:
    assert isinstance(message, Job)  # noqa: S101
    if message.lost is not None:
        message.lost(message)
