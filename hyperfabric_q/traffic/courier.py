"""Carries the few bytes of the control plane, heralds and measurement outcomes, over the channels of the payloads.

They are of the most urgent class, and still wait for the chunk that is on a line, for faults to pass and for each
other. A message that a fault takes is sent again, as a link layer does, after waiting twice as long each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.profiles import Profile
from hyperfabric_q.traffic.transfer import CORRUPTED
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.units import PS_PER_S, PS_PER_US

HERALD_BYTES: Final = 16
"""A pair's id of 64 bits, when it was, and which of the four outcomes."""

CONTROL_CLASS: Final = 0

MOST_SENDS: Final = 100
"""Sends of one message after which it is given up: half a minute of virtual time and more."""


class Courier:
    """Posts control messages between nodes of one live fabric, in one kernel."""

    def __init__(self, ways: Ways, kernel: Kernel, profile: Profile) -> None:
        """Use the ways of the exchange, and its transport."""
        self._ways = ways
        self._kernel = kernel
        self._nbytes = profile.wire_bytes(HERALD_BYTES) or HERALD_BYTES

    def post(
        self,
        source: str,
        destination: str,
        light_ps: int | None,
        identity: int,
        then: Callable[[], object],
        lost: Callable[[str], object],
    ) -> None:
        """Call ``then`` when a control message has arrived.

        Args:
            source: node id.
            destination: node id.
            light_ps: the least time that light takes; a way of less propagation is lengthened to it. None: light's way
                is counted elsewhere already, and only what the bytes wait and take is to be added.
            identity: unlike that of any other message.
            then: called with nothing.
            lost: called with a reason when faults have taken it a hundred times.

        Raises:
            NoRoute, IsolationViolated: as for payloads. Control messages are authenticated: they may pass borders that
                demand encryption.
        """
        way = self._ways.find(source, destination, encrypted=True)
        if not way.path:
            self._kernel.at(self._kernel.now_ps + (light_ps or 0), then)
            return
        delays = (0,) * len(way.path)
        if light_ps is not None:
            *before, last = way.delays
            delays = (*before, max(last, light_ps - sum(before)))
        _Letter(self._kernel, way.path, delays, self._nbytes, identity, then, lost).send()

    def check(self, source: str, destination: str) -> None:
        """Raise what ``post`` would raise."""
        self._ways.find(source, destination, encrypted=True)

    def line(self, a: str, b: str) -> int | None:
        """Return the kernel's number of the one channel from ``a`` to ``b``; None when there is no such channel."""
        way = self._ways.find(a, b, encrypted=True)
        return way.path[0] if len(way.path) == 1 else None


class _Letter:
    """One control message, sent until it arrives unaltered."""

    def __init__(
        self,
        kernel: Kernel,
        path: tuple[int, ...],
        delays: tuple[int, ...],
        nbytes: int,
        identity: int,
        then: Callable[[], object],
        lost: Callable[[str], object],
    ) -> None:
        self._kernel = kernel
        self._path = path
        self._delays = delays
        self._nbytes = nbytes
        self._identity = identity
        self._then = then
        self._lost = lost
        self._sent = 0

    def send(self) -> None:
        """Send it; each time under a name of its own, so that a fault judges it anew."""
        self._kernel.submit(
            Message(
                path=self._path,
                delays=self._delays,
                nbytes=self._nbytes,
                priority_class=CONTROL_CLASS,
                release_ps=self._kernel.now_ps,
                key=("control", self._identity),
                identity=(self._identity + self._sent) % (1 << 64),
                on_done=self._arrived,
                on_failed=lambda message: self._again(str(message.failure)),
            )
        )

    def _arrived(self, message: Message) -> None:
        if CORRUPTED in message.marks:
            self._again(CORRUPTED)
        else:
            self._then()

    def _again(self, reason: str) -> None:
        """Wait for at least a round trip, when a loss would be noticed, and send once more."""
        self._sent += 1
        if self._sent >= MOST_SENDS:
            self._lost(f"word of them was sent {MOST_SENDS} times in vain: {reason}")
            return
        pause = min(PS_PER_S, PS_PER_US << self._sent)
        self._kernel.at(self._kernel.now_ps + max(pause, 2 * sum(self._delays)), self.send)
