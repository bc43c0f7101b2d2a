"""Frames, windows and corrections on the fabric's clock: one replay per load, policy and seed.

Every block emits one frame per round, whether it computes or waits. A window is decoded once its frames are in, the
window before it is done and a decoder is free; then its correction travels back. A logical branch waits for the
correction that covers it. What the frames say does not matter here, so one replay serves a whole batch of shots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.traffic.transfer import CORRUPTED
from hyperfabric_q.units import PS_PER_US, to_ps
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.frames import FrameLedger, FrameStatus, wire_bytes
from hyperfabric_q.workloads.qec.policies import MissPolicy, miss_policy
from hyperfabric_q.workloads.qec.timelines import NEVER, Timeline, check_bounds, horizons
from hyperfabric_q.workloads.qec.transport import Transport, Wired, check_deadline, transport_bounds_ps, wire

EPOCH: Final = 64
"""Rounds that are emitted at a time."""

MOST_ROUNDS: Final = 200_000
"""Rounds of one block after which a replay is refused."""

MOST_RESENDS: Final = 16

CORRECTION_BITS: Final = 64

_FRAME, _CORRECTION, _BACKGROUND = 1, 2, 3


def replay(
    transport: Transport,
    decoding: Decoding,
    *,
    cycle_ns: float,
    bits: int,
    branches: Sequence[int],
    policy: str | MissPolicy = MissPolicy.WAIT,
    seed: int = 0,
    warmup_us: float | None = None,
) -> Timeline:
    """Return what happens to the frames of all blocks until every branch of every block has its correction.

    About 15 µs of CPU time per frame.

    Args:
        transport: how frames travel.
        decoding: what the decoder does.
        cycle_ns: duration of a round.
        bits: syndrome bits of a frame.
        branches: logical rounds before which a branch needs its correction, increasing; the last ends the experiment.
        policy: what happens on a miss.
        seed: of the background's arrivals and of faults.
        warmup_us: how long the background has been there when the first round begins; enough for its queue to forget
            how it began, unless stated.

    Raises:
        DeadlineImpossible: the deadline is below what an idle fabric and the decoder take.
        SimulationRefused: the backlog grows beyond ``MOST_ROUNDS`` rounds.
        InvalidValue: branches do not increase.
    """
    if not branches or branches[0] < 1 or any(a >= b for a, b in pairwise(branches)):
        raise InvalidValue(
            field="branches", value=branches, rule="branches stand before rounds from 1 on, and increase"
        )
    chosen = miss_policy(policy)
    if chosen.watches_frames and transport.deadline_us is None:
        raise InvalidValue(field="deadline_us", value=None, rule=f"{chosen} acts at deadlines, so there must be one")
    if chosen is MissPolicy.SHRINK_BUFFER and (transport.deadline_us is None or decoding.commit is None):
        rule = f"{chosen} cuts the buffers of windows at their deadlines, so there must be both"
        raise InvalidValue(field="deadline_us, commit", value=(transport.deadline_us, decoding.commit), rule=rule)
    return _Replay(transport, decoding, to_ps(ns=cycle_ns), bits, tuple(branches), chosen, seed, warmup_us).run()


class _Block:
    """One block: what of its frames is in, what is decoded, and which branch is next."""

    __slots__ = (
        "arrived", "branch", "busy", "covered", "erased", "gone", "ledger", "number", "offset", "positions", "prefix",
        "start", "waits", "watched",
    )  # fmt: skip

    def __init__(self, number: int, offset: int, first: int) -> None:
        self.number = number
        self.offset = offset
        self.ledger = FrameLedger()
        self.arrived: dict[int, int] = {}
        self.erased: dict[int, int] = {}
        self.gone: set[int] = set()
        self.prefix: list[int] = []
        self.start = 0
        self.covered = 0
        self.busy = False
        self.branch = 0
        self.positions = [first]
        self.waits: list[int] = []
        self.watched = -1


class _Replay:
    def __init__(
        self,
        transport: Transport,
        decoding: Decoding,
        cycle_ps: int,
        bits: int,
        branches: tuple[int, ...],
        policy: MissPolicy,
        seed: int,
        warmup_us: float | None,
    ) -> None:
        self._transport, self._decoding, self._policy = transport, decoding, policy
        self._cycle, self._branches, self._seed = cycle_ps, branches, seed
        self._wired: Wired = wire(transport, seed)
        self._kernel = self._wired.kernel
        self._nbytes = wire_bytes(bits, transport.framing)
        self._return_bytes = wire_bytes(CORRECTION_BITS, transport.framing)
        service_ps = decoding.window_service_ps
        check_deadline(transport, self._wired, bits, service_ps)
        limit = transport.deadline_us
        # The deadline holds for the frame and its decoding, so the network gets what the decoder leaves.
        self._limit = None if limit is None else max(0, to_ps(us=limit) - service_ps)
        self._bounds = transport_bounds_ps(transport, self._wired, bits, cycle_ps)
        self._origin = self._warmup_ps(warmup_us)
        stagger = to_ps(ns=transport.stagger_ns)
        self._blocks = [
            _Block(number, self._origin + number * stagger, branches[0]) for number in range(len(transport.blocks))
        ]
        self._services: dict[int, int] = {}
        self._free = decoding.servers
        self._ready: list[tuple[int, int, int, int]] = []
        self._windows: list[list[int]] = []
        self._returned: list[int] = []
        self._next_round = 0
        self._open = len(self._blocks)
        self._live: dict[Message, None] = {}
        self._overdue: set[tuple[int, int]] = set()
        self._traffic = {"sent": 0, "shed": 0}

    def _warmup_ps(self, stated_us: float | None) -> int:
        """A queue with load ρ forgets how it began within some service times over (1 - ρ)²."""
        if stated_us is not None:
            return to_ps(us=stated_us)
        slow = [
            way.times_ps(stream.nbytes)[0]
            for stream, way in zip(self._transport.background, self._wired.across, strict=True)
        ]
        return round(10 * max(slow, default=0) / (1 - self._transport.load) ** 2)

    # ------------------------------------------------------------------------------------------------------- running

    def run(self) -> Timeline:
        kernel = self._kernel
        for number, stream in enumerate(self._transport.background):
            way = self._wired.across[number]
            service = max(channel.serialisation_ps(stream.nbytes) for channel in way.channels)
            times = stream.times_ps(seeds.stream(self._seed, "background", stream.label), service)
            self._next_message(number, 0, times)
        kernel.at(self._origin, self._emit)
        while self._open and kernel.step():
            pass
        while any(self._missing(block) for block in self._blocks) and kernel.step():
            pass
        return self._timeline()

    def _missing(self, block: _Block) -> bool:
        """Whether a frame that counts is still under way; what was given up is not waited for."""
        return len(block.prefix) < block.positions[-1]

    def _next_message(self, number: int, count: int, times: Iterator[int]) -> None:
        when = next(times)
        if self._open:
            self._kernel.at(when, partial(self._send_background, number, count, times))

    def _send_background(self, number: int, count: int, times: Iterator[int]) -> None:
        if self._overdue and self._policy is MissPolicy.SHED:
            self._traffic["shed"] += 1
        else:
            stream, way = self._transport.background[number], self._wired.across[number]
            message = Message(
                path=way.path,
                delays=way.delays,
                nbytes=stream.nbytes,
                priority_class=stream.priority_class,
                release_ps=self._kernel.now_ps,
                key=(_BACKGROUND, number, count),
                identity=_identity(_BACKGROUND, number, count, 0),
                on_done=self._background_done,
                on_failed=self._background_done,
            )
            self._traffic["sent"] += 1
            self._live[message] = None
            self._kernel.submit(message)
        self._next_message(number, count + 1, times)

    def _background_done(self, message: Message) -> None:
        self._live.pop(message, None)

    # -------------------------------------------------------------------------------------------------------- frames

    def _emitted(self, block: _Block, number: int) -> int:
        """A frame leaves when its round ends."""
        return block.offset + (number + 1) * self._cycle

    def _emit(self) -> None:
        first = self._next_round
        if first >= MOST_ROUNDS:
            self._refuse()
        self._next_round = first + EPOCH
        for number in range(first, first + EPOCH):
            for block in self._blocks:
                self._send(block, number, 0, self._emitted(block, number))
        if self._policy.watches_frames and self._limit is not None:
            for number in range(first, first + EPOCH):
                for block in self._blocks:
                    at_ps = self._emitted(block, number) + self._limit + 1
                    self._kernel.at(at_ps, partial(self._missed, block, number))
        self._kernel.at(self._origin + self._next_round * self._cycle, self._emit)

    def _send(self, block: _Block, number: int, attempt: int, release_ps: int) -> None:
        way = self._wired.ups[block.number]
        if way is None or not way.path:
            self._kernel.at(release_ps, partial(self._ingest, block, number))
            return
        deadline_ps = NO_DEADLINE
        if self._limit is not None:
            deadline_ps = self._emitted(block, number) + self._limit
        self._kernel.submit(
            Message(
                path=way.path,
                delays=way.delays,
                nbytes=self._nbytes,
                priority_class=self._transport.priority_class,
                deadline_ps=deadline_ps,
                release_ps=release_ps,
                key=(_FRAME, block.number, number, attempt),
                identity=_identity(_FRAME, block.number, number, attempt),
                on_done=self._arrived,
                on_failed=self._lost,
                on_duplicate=self._again,
            )
        )

    def _arrived(self, message: Message) -> None:
        if CORRUPTED in message.marks:
            self._lost(message)
        else:
            self._ingest(self._blocks[int(message.key[1])], int(message.key[2]))

    def _again(self, message: Message) -> None:
        self._blocks[int(message.key[1])].ledger.note(int(message.key[2]), late=False)

    def _lost(self, message: Message) -> None:
        """A frame that did not come through is asked for again after a round trip, unless lost rounds are given up."""
        block, number, attempt = self._blocks[int(message.key[1])], int(message.key[2]), int(message.key[3])
        if self._policy is MissPolicy.DROP_FRAME:
            block.gone.add(number)
            return
        if attempt >= MOST_RESENDS:
            raise SimulationRefused(
                asked=f"frame {number} of block {block.number}",
                found=f"it was lost {attempt + 1} times in a row",
                remedy="Use the policy drop_frame, or fewer faults.",
            )
        pause = 2 * sum(message.delays) + PS_PER_US
        self._send(block, number, attempt + 1, self._kernel.now_ps + pause)

    def _ingest(self, block: _Block, number: int) -> None:
        now = self._kernel.now_ps
        if number in block.erased:
            block.arrived.setdefault(number, now)
            return
        late = self._limit is not None and now - self._emitted(block, number) > self._limit
        if block.ledger.note(number, late=late) is FrameStatus.DUP:
            return
        block.arrived[number] = now
        self._overdue.discard((block.number, number))
        self._advance(block)

    def _missed(self, block: _Block, number: int) -> None:
        """The deadline of a frame has passed."""
        if number in block.arrived:
            return
        if self._policy is MissPolicy.SHED:
            self._overdue.add((block.number, number))
            for message in list(self._live):
                self._kernel.cancel(message)
                self._traffic["shed"] += 1
            self._live.clear()
        else:
            block.erased[number] = self._kernel.now_ps
            if number not in block.gone:
                block.ledger.note(number, late=True)
            self._advance(block)

    def _advance(self, block: _Block) -> None:
        prefix = block.prefix
        while True:
            number = len(prefix)
            when = block.arrived.get(number) if number not in block.erased else block.erased[number]
            if when is None:
                break
            prefix.append(max(when, prefix[-1]) if prefix else when)
        self._form(block)

    # ------------------------------------------------------------------------------------------------------- windows

    def _form(self, block: _Block) -> None:
        """Queue the next window of a block once its rounds are in."""
        target = block.positions[block.branch] if block.branch < len(block.positions) else None
        if block.busy or (target is not None and target <= block.start):
            target = None
        if block.busy:
            return
        commit = self._decoding.commit
        if commit is None:
            if target is None:
                return
            end = target
        else:
            end = block.start + commit if target is None else min(block.start + commit, target)
        need = end + self._decoding.buffer
        there = len(block.prefix)
        if there >= need:
            ready, seen = block.prefix[need - 1], need
        else:
            cut = self._cut_ps(block, end, need)
            if cut is None or there < end or self._kernel.now_ps < cut:
                return
            ready, seen = max(cut, block.prefix[end - 1]), there
        block.busy = True
        heappush(self._ready, (ready, block.number, end, seen))
        self._dispatch()

    def _cut_ps(self, block: _Block, end: int, need: int) -> int | None:
        """When a window stops to wait for its buffer; the first who asks sets the alarm."""
        if self._policy is not MissPolicy.SHRINK_BUFFER or self._limit is None:
            return None
        cut = self._emitted(block, need - 1) + self._limit + 1
        if block.watched < end and self._kernel.now_ps < cut:
            block.watched = end
            self._kernel.at(cut, partial(self._form, block))
        return cut

    def _dispatch(self) -> None:
        while self._free and self._ready:
            ready, number, end, seen = heappop(self._ready)
            self._free -= 1
            block = self._blocks[number]
            rounds = seen - block.start
            service = self._services.get(rounds)
            if service is None:
                service = self._services[rounds] = self._decoding.service_ps(rounds)
            now = self._kernel.now_ps
            self._windows.append([number, block.start, end, seen, ready, now, now + service])
            self._returned.append(NEVER)
            self._kernel.at(now + service, partial(self._decoded, block, end, len(self._windows) - 1))

    def _decoded(self, block: _Block, end: int, window: int) -> None:
        self._free += 1
        block.busy = False
        block.start = end
        way = self._wired.downs[block.number]
        if way is None or not way.path:
            self._covered(block, end, window)
        else:
            self._send_back(block, end, window, 0)
        self._form(block)
        self._dispatch()

    def _send_back(self, block: _Block, end: int, window: int, attempt: int) -> None:
        way = self._wired.downs[block.number]
        assert way is not None  # noqa: S101 - asked before
        now = self._kernel.now_ps
        self._kernel.submit(
            Message(
                path=way.path,
                delays=way.delays,
                nbytes=self._return_bytes,
                priority_class=self._transport.priority_class,
                deadline_ps=NO_DEADLINE if self._limit is None else now + self._limit,
                release_ps=now,
                key=(_CORRECTION, block.number, end, attempt),
                identity=_identity(_CORRECTION, block.number, end, attempt),
                on_done=lambda message: (
                    self._send_back(block, end, window, attempt + 1)
                    if CORRUPTED in message.marks
                    else self._covered(block, end, window)
                ),
                on_failed=lambda message: self._kernel.at(
                    self._kernel.now_ps + 2 * sum(message.delays) + PS_PER_US,
                    partial(self._send_back, block, end, window, attempt + 1),
                ),
            )
        )

    # ------------------------------------------------------------------------------------------------------ branches

    def _covered(self, block: _Block, upto: int, window: int) -> None:
        """A correction has come back: branches that waited for it go on."""
        now = self._kernel.now_ps
        self._returned[window] = now
        block.covered = max(block.covered, upto)
        while block.branch < len(block.positions) and block.positions[block.branch] <= block.covered:
            position = block.positions[block.branch]
            wait = max(0, -(-(now - block.offset - position * self._cycle) // self._cycle))
            block.waits.append(wait)
            block.branch += 1
            if block.branch == len(self._branches):
                self._open -= 1
                return
            following = position + self._branches[block.branch] - self._branches[block.branch - 1]
            block.positions.append(following + (0 if self._policy is MissPolicy.SPECULATE else wait))
        self._form(block)

    def _refuse(self) -> None:
        waits = [block.waits for block in self._blocks]
        service, commit = self._decoding.window_service_ps, self._decoding.commit or 1
        raise SimulationRefused(
            asked=f"a replay of {len(self._branches)} branch(es) of {len(self._blocks)} block(s)",
            found=(
                f"the backlog keeps them waiting beyond {MOST_ROUNDS} rounds (waits so far: {waits[0][:8]}...); a "
                f"window takes {service / PS_PER_US:g} µs and comes every {commit * self._cycle / PS_PER_US:g} µs"
            ),
            remedy="Use a faster decoder, more servers, parallel windows, or fewer blocks.",
        )

    # -------------------------------------------------------------------------------------------------------- result

    def _timeline(self) -> Timeline:
        blocks = self._blocks
        counted = np.array([block.positions[-1] for block in blocks], dtype=np.int64)
        rounds = int(counted.max())
        shape = (len(blocks), rounds)
        arrived, erased = np.full(shape, NEVER, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
        offsets = np.array([block.offset - self._origin for block in blocks], dtype=np.int64)
        emitted = offsets[:, None] + (np.arange(rounds) + 1) * self._cycle
        total = dict.fromkeys(FrameStatus, 0)
        for row, block in enumerate(blocks):
            for number, when in block.arrived.items():
                if number < counted[row]:
                    arrived[row, number] = when - self._origin
            erased[row, [number for number in block.erased if number < counted[row]]] = True
            for status, count in block.ledger.counts(int(counted[row])).items():
                total[status] += count
        branches = np.array([block.positions for block in blocks], dtype=np.int64)
        windows = np.array(self._windows, dtype=np.int64).reshape(-1, 7)
        windows[:, 4:] -= self._origin
        returned = np.array(self._returned, dtype=np.int64)
        returned[returned != NEVER] -= self._origin
        found = Timeline(
            cycle_ps=self._cycle,
            emitted_ps=emitted,
            arrived_ps=arrived,
            wire_ps=np.array([0 if way is None else way.times_ps(self._nbytes)[0] for way in self._wired.ups]),
            counted=counted,
            erased=erased,
            windows=windows,
            returned_ps=returned,
            branches=branches,
            waits=np.array([block.waits for block in blocks], dtype=np.int64),
            horizons=horizons(arrived, offsets[:, None] + branches * self._cycle, branches),
            counts=total,
            bounds_ps=self._bounds,
            background=dict(self._traffic),
            digest=self._kernel.recorder.digest,
        )
        check_bounds(found)
        return found


def _identity(kind: int, who: int, number: int, attempt: int) -> int:
    """A number of 64 bits that no other message of the replay has."""
    return kind << 62 | (who & 0x3FFF) << 48 | (number & 0xFFFFFFFFFF) << 8 | (attempt & 0xFF)
