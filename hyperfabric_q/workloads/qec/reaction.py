"""Reaction time: from the end of a round until a correction covers it, and what waiting costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperfabric_q.units import PS_PER_US
from hyperfabric_q.workloads.qec.records import composed
from hyperfabric_q.workloads.qec.timelines import NEVER, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """Where the time goes between a logical branch and its correction, in µs; the parts add up.

    Attributes:
        buffer_us: rounds that the last window sees beyond the branch.
        queue_us: waiting on links.
        wire_us: what a frame takes on the idle fabric.
        decoder_us: waiting for a decoder, or for the window before.
        service_us: decoding.
        return_us: the way of the correction.
        rounds: the whole in rounds, rounded up.
    """

    buffer_us: float
    queue_us: float
    wire_us: float
    decoder_us: float
    service_us: float
    return_us: float
    rounds: int

    @property
    def total_us(self) -> float:
        """The sum of the parts."""
        return sum((self.buffer_us, self.queue_us, self.wire_us, self.decoder_us, self.service_us, self.return_us))


def reaction(timeline: Timeline, block: int = 0) -> Reaction:
    """Return the parts of the reaction time at the last branch of a block."""
    branch = int(timeline.branches[block, -1])
    mine = np.flatnonzero((timeline.windows[:, 0] == block) & (timeline.windows[:, 2] >= branch))
    mine = mine[timeline.returned_ps[mine] != NEVER]
    at = int(mine[np.argmin(timeline.returned_ps[mine])])
    _, _, _, seen, ready, begun, done = (int(each) for each in timeline.windows[at])
    cycle, wire = timeline.cycle_ps, int(timeline.wire_ps[block])
    # Emission of frame k is the end of round k, so the phase of the block is in its first emission.
    reached = int(timeline.emitted_ps[block, 0]) + (branch - 1) * cycle
    buffer = (seen - branch) * cycle
    return Reaction(
        buffer_us=buffer / PS_PER_US,
        queue_us=(ready - reached - buffer - wire) / PS_PER_US,
        wire_us=wire / PS_PER_US,
        decoder_us=(begun - ready) / PS_PER_US,
        service_us=(done - begun) / PS_PER_US,
        return_us=(int(timeline.returned_ps[at]) - done) / PS_PER_US,
        rounds=int(timeline.waits[block, -1]),
    )


def expected_failure(rate: float, rounds: int, waiting: int) -> float:
    """Return the failure probability of an experiment that waits: its rate per round, over all its rounds."""
    return composed(rate, rounds + waiting)
