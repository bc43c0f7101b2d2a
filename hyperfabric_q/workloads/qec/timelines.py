"""What happened to the frames of one replay, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InternalError
from hyperfabric_q.units import PS_PER_US
from hyperfabric_q.workloads.qec.frames import FrameStatus

IntArray: TypeAlias = NDArray[np.int64]

NEVER: Final = -1
"""In the place of a time: it did not come about."""

PERCENTILES: Final = (50.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """One replay of the blocks' frames on the fabric's clock; times in ps since the first round began.

    Attributes:
        cycle_ps: duration of a round.
        emitted_ps, arrived_ps: (blocks, rounds) of each frame; ``NEVER`` where it did not arrive.
        wire_ps: (blocks,) what a frame takes on the idle fabric.
        counted: (blocks,) frames of each block that belong to its experiment: all before its last branch.
        erased: (blocks, rounds) rounds that were given up.
        windows: (windows, 7) block, first round, end of what it commits, end of what it saw, and when it was ready,
            begun and done.
        returned_ps: (windows,) when its correction was back.
        branches: (blocks, branches) physical round before which each logical branch stands.
        waits: (blocks, branches) rounds until the correction that a branch needs was there: inserted under every
            policy but SPECULATE, which inserts them only where it was wrong.
        horizons: (blocks, branches) frames in a row that were in when the branch was reached.
        counts: how many frames had each status.
        bounds_ps: (blocks,) no frame takes longer than that; None where no bound is known.
        background: messages of other traffic: "sent", "shed".
        digest: hash over all deliveries, which one seed fixes.
    """

    cycle_ps: int
    emitted_ps: IntArray
    arrived_ps: IntArray
    wire_ps: IntArray
    counted: IntArray
    erased: NDArray[np.bool_]
    windows: IntArray
    returned_ps: IntArray
    branches: IntArray
    waits: IntArray
    horizons: IntArray
    counts: Mapping[FrameStatus, int]
    bounds_ps: tuple[int | None, ...]
    background: Mapping[str, int]
    digest: str

    def __post_init__(self) -> None:
        for each in (self.emitted_ps, self.arrived_ps, self.wire_ps, self.counted, self.erased, self.windows):
            each.setflags(write=False)
        for each in (self.returned_ps, self.branches, self.waits, self.horizons):
            each.setflags(write=False)

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self.counted)

    def one_way_ps(self) -> IntArray:
        """Return from emission to arrival, of all counted frames that arrived."""
        rounds = np.arange(self.emitted_ps.shape[1])
        there = (rounds < self.counted[:, None]) & (self.arrived_ps != NEVER)
        found: IntArray = (self.arrived_ps - self.emitted_ps)[there]
        return found

    def stages_ps(self) -> dict[str, IntArray]:
        """Return the parts of the way of a frame and of its correction: queue, wire, decoder queue, decode, return."""
        rounds = np.arange(self.emitted_ps.shape[1])
        there = (rounds < self.counted[:, None]) & (self.arrived_ps != NEVER)
        wire = np.broadcast_to(self.wire_ps[:, None], there.shape)
        back = self.returned_ps != NEVER
        ready, begun, done = self.windows[:, 4], self.windows[:, 5], self.windows[:, 6]
        return {
            "queue": (self.arrived_ps - self.emitted_ps - wire)[there],
            "wire": wire[there],
            "decoder_queue": begun - ready,
            "decode": done - begun,
            "return": (self.returned_ps - done)[back],
        }

    def percentiles_us(self) -> dict[str, dict[str, float]]:
        """Return p50, p99, p99.9 and the maximum of each stage and of the whole way to the decoder, in µs."""
        return {
            stage: percentiles_us(values)
            for stage, values in {"one_way": self.one_way_ps(), **self.stages_ps()}.items()
        }

    @property
    def missed(self) -> int:
        """Counted frames that were not in by their deadline, lost ones included."""
        return self.counts[FrameStatus.LATE] + self.counts[FrameStatus.LOST]

    def longer_than(self, limit_ps: int) -> int:
        """Return how many counted frames took longer than a limit, or never arrived."""
        return int(self.counted.sum()) - int(np.count_nonzero(self.one_way_ps() <= limit_ps))


def percentiles_us(values_ps: IntArray) -> dict[str, float]:
    """Return p50, p99, p99.9 and the maximum in µs; NaN of nothing."""
    names = [f"p{each:g}" for each in PERCENTILES] + ["max"]
    if not len(values_ps):
        return dict.fromkeys(names, float("nan"))
    found = np.percentile(values_ps, [*PERCENTILES, 100.0]) / PS_PER_US
    return dict(zip(names, found.tolist(), strict=True))


def horizons(arrived: IntArray, reached: IntArray, branches: IntArray) -> IntArray:
    """Return how many frames in a row were in when each branch was reached."""
    found = np.zeros(branches.shape, dtype=np.int64)
    for column in range(branches.shape[1]):
        there = (arrived != NEVER) & (arrived <= reached[:, column, None])
        first = np.where(there.all(axis=1), there.shape[1], np.argmin(there, axis=1))
        found[:, column] = np.minimum(first, branches[:, column])
    return found


def check_bounds(timeline: Timeline) -> None:
    """Hold a replay against the analysis: no frame may be slower than its bound.

    Raises:
        InternalError: one was.
    """
    for row, bound in enumerate(timeline.bounds_ps):
        if bound is None:
            continue
        there = timeline.arrived_ps[row] != NEVER
        slowest = int((timeline.arrived_ps[row] - timeline.emitted_ps[row])[there].max(initial=0))
        if slowest > bound:
            raise InternalError(what=f"a frame of block {row} took {slowest} ps, and its bound is {bound} ps")
