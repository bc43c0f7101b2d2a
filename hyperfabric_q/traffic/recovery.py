"""What fault tolerance does: notice that a send was lost, send it again by a way that works, and let it count once.

**Noticing.** A loss is noticed when the transport's timeout has passed since the attempt began (``Profile``, from the
round trip: the message one way and the acknowledgement's propagation back), but not before word of it can be back.
Bytes that arrive changed count as lost. What waits behind a channel that went down is taken back after the same
timeout, if another way is open; otherwise it waits for the channel, and fails when that never comes back.

**Sending again** happens at once when the loss is noticed, as often as the profile allows; then ``Undeliverable``.

**Another way.** Every attempt, the first one too, avoids channels that are down as long as any way does; later
attempts also prefer channels on which this send was not lost before. That is a control plane that knows the state of
every link.

**Once.** All attempts and all copies of a send bear one idempotency key (``Packet.key``). The destination's handler
sees the first whole copy and no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

from hyperfabric_q.errors import HyperFabricError, Undeliverable
from hyperfabric_q.fabric.routing import route
from hyperfabric_q.scheduling.drivers import Clock
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Failure, Message
from hyperfabric_q.traffic.profiles import Profile
from hyperfabric_q.traffic.transfer import CORRUPTED, Sending, Story
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.traffic.wiring import Way


@dataclass(slots=True, eq=False)
class Recovery:
    """Fault tolerance on one kernel.

    Attributes:
        kernel: what the sends are on.
        ways: where other ways are looked up.
        profile: says when a loss is noticed, and how often to try.
        suppressed: copies that arrived and had no effect.
    """

    kernel: Kernel
    ways: Ways
    profile: Profile
    suppressed: int = 0
    _open: dict[Sending, None] = field(default_factory=dict)

    async def carried(
        self, sending: Sending, clock: Clock, carry: Callable[[Sending, Clock], Awaitable[None]]
    ) -> Sending:
        """Return the attempt that arrived.

        Raises:
            Undeliverable: none did.
        """
        if not sending.way.path:
            await carry(sending, clock)
            return sending
        story = sending.story = Story()
        while True:
            self._open[sending] = None
            try:
                await carry(sending, clock)
                reason = CORRUPTED if CORRUPTED in sending.marks else None
            except Undeliverable as fault:
                reason = fault.reason
            finally:
                del self._open[sending]
            if reason is None:
                return sending
            story.suffered(sending, reason)
            if story.attempts > self.profile.attempts:
                raise _given_up(sending, story)
            await clock.sleep_ps(self._notice_ps(sending, story) - self.kernel.now_ps)
            sending = self._again(sending, story)

    def _notice_ps(self, sending: Sending, story: Story) -> int:
        """Return when the sender knows that an attempt, lost by now, is lost."""
        now = self.kernel.now_ps
        if story.noticed:
            story.noticed = False
            return now
        return max(now + max(1, sending.way.propagation_ps), sending.release_ps + self._timeout_ps(sending, story))

    def _timeout_ps(self, sending: Sending, story: Story) -> int:
        way = sending.way
        round_trip = way.times_ps(sending.nbytes)[0] + way.propagation_ps
        return max(1, self.profile.retransmission_ps(round_trip, min(max(1, story.attempts), self.profile.attempts)))

    def _again(self, old: Sending, story: Story) -> Sending:
        """Return the next attempt, with an identity that follows from the first one's."""
        new = Sending(
            old.way,
            old.payload,
            old.kind,
            old.treatment,
            old.asked_ps,
            old.constraint_ps,
            old.deadline_ps,
            old.nbytes,
            old.metadata,
        )
        new.release_ps = self.kernel.now_ps
        new.story = story
        text = f"{story.key}|again|{story.attempts}"
        new.identity = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        new.key = ("send", old.way.text, old.kind.text, old.payload.nbytes, story.attempts, story.key)
        return new

    # ---------------------------------------------------------------------------------------------------------- ways

    def choose(self, batch: Sequence[Sending]) -> None:
        """Give each send the first of the ways that are open to it."""
        if self.kernel.faults is None:
            return
        for sending in batch:
            way = sending.way = self.open_ways(sending)[0]
            sending.path, sending.delays = way.path, way.delays

    def open_ways(self, sending: Sending) -> Sequence[Way]:
        """Return the ways a send may take: those that are up and that it was lost on least; if none is up, all."""
        encrypted = sending.asks_for_seal
        ways = self.ways.choices(sending.way, encrypted=encrypted)
        if self.kernel.faults is None:
            return ways
        up = [each for each in ways if self._is_up(each)] or self._detour(sending, encrypted=encrypted)
        if not up:
            return ways
        story = sending.story
        if story is None or not story.suspects:
            return up
        blame = [sum(story.suspects.get(number, 0) for number in each.path) for each in up]
        return [each for each, blamed in zip(up, blame, strict=True) if blamed == min(blame)]

    def next_way(self, way: Way, nbytes: int, lost: int) -> tuple[Way, int] | None:
        """Return how to replace one of many sends that was lost so often: by which way, after which wait.

        The ways that are up take turns, for nothing is known of where it was lost. None when it is to be given up.
        """
        if lost > self.profile.attempts:
            return None
        ways = self.ways.choices(way, encrypted=False)
        up = [each for each in ways if self._is_up(each)] or ways
        round_trip = way.times_ps(nbytes)[0] + way.propagation_ps
        return up[lost % len(up)], max(1, self.profile.retransmission_ps(round_trip, lost))

    def _is_up(self, way: Way) -> bool:
        servers = self.kernel.servers
        return all(servers[number].up for number in way.path)

    def _detour(self, sending: Sending, *, encrypted: bool) -> list[Way]:
        """Return the shortest way around everything that is down, however long, if the zones say the same of it."""
        way, servers, network = sending.way, self.kernel.servers, self.ways.network()
        numbers = self.ways.numbers(range(len(network.channels)))
        down = frozenset(channel for channel, number in enumerate(numbers) if not servers[number].up)
        try:
            found = self.ways.along(route(network, way.source, way.destination, without=down), encrypted=encrypted)
        except HyperFabricError:
            return []
        return [found] if found.verdict == way.verdict else []

    # ------------------------------------------------------------------------------------------------------- outages

    def went_down(self, channel: int) -> None:
        """Look after what is on its way over a channel that went down."""
        for sending in list(self._open):
            if channel in sending.path and not sending.cancelled and sending.story is not None:
                self._look_after(self._timeout_ps(sending, sending.story), sending, channel)

    def _look_after(self, wait_ps: int, sending: Sending, channel: int) -> None:
        self.kernel.at(self.kernel.now_ps + wait_ps, partial(self._look, wait_ps, sending, channel))

    def _look(self, waited_ps: int, sending: Sending, channel: int) -> None:
        """Take back what still waits behind a channel that is down, if there is another way; or look again later."""
        if sending not in self._open or sending.done_ps >= 0 or sending.cancelled or self.kernel.servers[channel].up:
            return
        if self._is_behind(sending, channel) and self._is_up(self.open_ways(sending)[0]):
            if sending.story is not None:
                sending.story.noticed = True
            self.kernel.fail(sending, Failure.LINK_DOWN)
        else:
            self._look_after(2 * waited_ps, sending, channel)

    def _is_behind(self, message: Message, channel: int) -> bool:
        """Whether bytes of a message wait for a channel or for one before it."""
        for number in message.path[: message.path.index(channel) + 1]:
            server = self.kernel.servers[number]
            sending = server.sending
            if (sending is not None and sending.message is message) or any(
                part.message is message for part in server.waiting()
            ):
                return True
        return False


def _given_up(sending: Sending, story: Story) -> Undeliverable:
    way = sending.way
    times = f"sent {story.attempts} times, and every time it did not arrive"
    return Undeliverable(
        source=way.source,
        destination=way.destination,
        reason=f"{times} ({', '.join(dict.fromkeys(story.reasons))})",
        remedy="The profile says how often it is tried.",
    )
