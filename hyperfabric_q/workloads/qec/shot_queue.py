"""The decoders' queue for many shots at once, where the time of a window depends on what the shot holds.

When frames arrive does not depend on what they say, so the timeline's arrivals serve all shots; only the queue for the
decoders is replayed, for all shots in each step: the Kiefer-Wolfowitz recursion over windows, in order of readiness.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_S
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.timelines import NEVER, Timeline

IntArray: TypeAlias = NDArray[np.int64]


def shot_waits(timeline: Timeline, decoding: Decoding, defects: IntArray) -> IntArray:
    """Return how many rounds the last branch waits, for each shot and block.

    Corrections take as long to travel back as in the timeline. Cost: one step per window, over all shots.

    Args:
        timeline: arrivals of the frames, with one branch per block.
        decoding: service and servers.
        defects: detection events, shape (shots, blocks, rounds); a shot is one of each block.

    Raises:
        InvalidValue: blocks have several branches, whose waits would move the frames themselves.
    """
    if timeline.branches.shape[1] != 1:
        rule = "where service depends on the shot, each block has one branch: waits would move later frames"
        raise InvalidValue(field="branches", value=timeline.branches.shape[1], rule=rule)
    shots, blocks, rounds = defects.shape
    seen = np.concatenate([np.zeros((shots, blocks, 1), dtype=np.int64), np.cumsum(defects, axis=2)], axis=2)
    free = np.zeros((shots, decoding.servers), dtype=np.int64)
    idle = np.zeros((shots, blocks), dtype=np.int64)
    covered = np.zeros((shots, blocks), dtype=np.int64)
    order = np.lexsort((timeline.windows[:, 0], timeline.windows[:, 4]))
    everyone = np.arange(shots)
    for at in order.tolist():
        block, first, end, stop, ready, _, done = (int(each) for each in timeline.windows[at])
        if first >= int(timeline.branches[block, 0]) or timeline.returned_ps[at] == NEVER:
            continue
        held = seen[:, block, min(stop, rounds)] - seen[:, block, min(first, rounds)]
        service = np.rint(np.asarray(decoding.service.seconds(held)) * PS_PER_S).astype(np.int64)
        server = np.argmin(free, axis=1)
        begun = np.maximum(np.maximum(free[everyone, server], idle[:, block]), ready)
        finished = begun + service
        free[everyone, server] = finished
        idle[:, block] = finished
        if end >= int(timeline.branches[block, 0]):
            covered[:, block] = finished + int(timeline.returned_ps[at]) - done
    # Emission of frame k is the end of round k, so the phase of each block is in its first emission.
    reached = timeline.emitted_ps[:, 0] + (timeline.branches[:, 0] - 1) * timeline.cycle_ps
    found: IntArray = np.maximum(0, -(-(covered - reached) // timeline.cycle_ps))
    return found
