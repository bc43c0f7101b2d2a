"""Memories of logical qubits whose frames and corrections are messages on a live fabric, and what lateness costs them.

A block sends a frame after each round, until its correction is back: while it waits, errors go on. The times of frames
and corrections do not depend on what they say. So they are taken from the clock first, and then many memories are
sampled and decoded that had those times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hyperfabric_q import DataType, HyperFabricProtocol, TransferResult, VirtualTensor, qec
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import to_ps
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.frame_loop import Workshop
from hyperfabric_q.workloads.qec.frames import FrameStatus, wire_bytes
from hyperfabric_q.workloads.qec.timelines import Timeline, horizons

CORRECTION_BITS: Final = 64

DEADLINE_NS: Final = 10_000.0
"""In which a frame should arrive; in its class, what is due first goes first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lateness:
    """Return when the frames and the correction of one memory came; all times in ps since its first round began.

    Args:
        arrived_ps: of the frame of each round, (rounds,).
        ready_ps: when the last of them was in.
        decoded_ps: when the correction left.
        returned_ps: when it was back.
    """

    arrived_ps: tuple[int, ...]
    ready_ps: int
    decoded_ps: int
    returned_ps: int


class Memories:
    """Memories of one experiment.

    Attributes:
        experiment: of the rounds.
    """

    def __init__(self, experiment: qec.Experiment, *, decode_ns: float) -> None:
        """Prepare to sample and decode; what is made for one run serves all others.

        Args:
            experiment: circuit and rounds.
            decode_ns: how long the decoder takes for a memory.
        """
        self.experiment = experiment
        self._loop = qec.Loop(service=Fixed(decode_ns), branches=(experiment.rounds,))
        self._decode_ns = decode_ns
        self._cycle_ps = to_ps(ns=experiment.cycle_ns)
        self._bits = int(experiment.bits_per_round[: experiment.rounds].max(initial=1))
        self._workshop = Workshop(experiment, self._loop)

    @property
    def rounds(self) -> int:
        """From preparation to readout, if nothing is late."""
        return self.experiment.rounds

    async def play(self, protocol: HyperFabricProtocol, block: str, processor: str) -> Lateness:
        """Return when the frames and the correction came of a memory that begins now.

        Raises:
            what ``send_data`` raises.
        """
        began, frames = protocol.now_ps, list[asyncio.Task[TransferResult]]()

        async def corrected() -> tuple[int, int, int]:
            await asyncio.gather(*frames[: self.rounds])
            ready = protocol.now_ps
            await protocol.sleep_ns(self._decode_ns)
            decoded = protocol.now_ps
            await _send(protocol, processor, block, CORRECTION_BITS, DataType.CORRECTION)
            return ready, decoded, protocol.now_ps

        correcting: asyncio.Task[tuple[int, int, int]] | None = None
        while correcting is None or not correcting.done():
            await protocol.sleep_ns(self.experiment.cycle_ns)
            frames.append(asyncio.ensure_future(_send(protocol, block, processor, self._bits, DataType.SYNDROME)))
            if len(frames) == self.rounds:
                correcting = asyncio.ensure_future(corrected())
        ready, decoded, returned = await correcting
        receipts = [each.receipt for each in await asyncio.gather(*frames)]
        return Lateness(
            arrived_ps=tuple(each.done_ps - began for each in receipts[: self.rounds]),
            ready_ps=ready - began,
            decoded_ps=decoded - began,
            returned_ps=returned - began,
        )

    def failures(self, late: Sequence[Lateness], shots: int, *, seed: int) -> qec.LoopResult:
        """Return how many of ``shots`` memories fail that were as late as those of one run.

        Args:
            late: what ``play`` returned, at least once.
            shots: memories that are sampled and decoded, spread evenly.
            seed: of their errors.

        Raises:
            InvalidValue: there was no memory, or there is no shot.
        """
        if not late:
            raise InvalidValue(field="late", value=late, rule="there is at least one memory to be as late as")
        return qec.run_frame(
            self.experiment,
            self._loop,
            shots,
            seed=seed,
            timelines=[self._timeline(late)],
            workshop=self._workshop,
        )

    def wait_rounds(self, late: Lateness) -> int:
        """Return for how many rounds a memory waits for its correction, above 32 rounded up by at most 1/16."""
        rounds = max(0, -(-late.returned_ps // self._cycle_ps) - self.rounds)
        step = 1 << max(0, rounds.bit_length() - 5)  # few circuits then serve many lengths
        return -(-rounds // step) * step

    def _timeline(self, memories: Sequence[Lateness]) -> Timeline:
        count, rounds = len(memories), self.rounds
        emitted = np.tile((np.arange(rounds) + 1) * self._cycle_ps, (count, 1))
        arrived = np.array([each.arrived_ps for each in memories], dtype=np.int64)
        late = int(np.count_nonzero(arrived - emitted > to_ps(ns=DEADLINE_NS)))
        whole = np.full((count, 1), rounds, dtype=np.int64)
        return Timeline(
            cycle_ps=self._cycle_ps,
            emitted_ps=emitted,
            arrived_ps=arrived,
            wire_ps=(arrived - emitted).min(axis=1),
            counted=whole[:, 0].copy(),
            erased=np.zeros((count, rounds), dtype=np.bool_),
            windows=np.array(
                [
                    (row, 0, rounds, rounds, each.ready_ps, each.ready_ps, each.decoded_ps)
                    for row, each in enumerate(memories)
                ],
                dtype=np.int64,
            ),
            returned_ps=np.array([each.returned_ps for each in memories], dtype=np.int64),
            branches=whole,
            waits=np.array([[self.wait_rounds(each)] for each in memories], dtype=np.int64),
            horizons=horizons(arrived, emitted[:, -1:], whole),
            counts={**dict.fromkeys(FrameStatus, 0), FrameStatus.LATE: late, FrameStatus.OK: arrived.size - late},
            bounds_ps=(None,) * count,
            background={"sent": 0, "shed": 0},
            digest="",
        )


def _send(
    protocol: HyperFabricProtocol, source: str, destination: str, bits: int, kind: DataType
) -> Coroutine[Any, Any, TransferResult]:
    """Return the send of a frame, which is due in ``DEADLINE_NS``."""
    return protocol.send_data(
        source=source,
        destination=destination,
        data=VirtualTensor((wire_bytes(bits),), "uint8"),
        data_type=kind,
        latency_constraint_ns=DEADLINE_NS,
    )
