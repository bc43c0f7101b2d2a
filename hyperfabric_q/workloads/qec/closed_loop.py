"""Mode "closed": a batch of shots is simulated round by round, decoded as it goes, and corrected when the word is back.

The corrections are real Pauli feedback on the simulated qubits, in the round in which their frame arrived, and idle
rounds are simulated while a branch waits. So nothing rests on the frame being tracked: mode "frame" must agree.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders.compiled import Commit
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.frame_loop import Lengthen, Workshop
from hyperfabric_q.workloads.qec.logicals import logical_flips
from hyperfabric_q.workloads.qec.loop import (
    USUAL_TIMELINES,
    Fate,
    Loop,
    LoopResult,
    counts_of,
    fate_of,
    replays_for,
    result_of,
    shares,
)
from hyperfabric_q.workloads.qec.policies import MissPolicy
from hyperfabric_q.workloads.qec.timelines import NEVER, Timeline

Flags = NDArray[np.bool_]

BATCH: Final = 4096
"""Shots that are simulated together."""


class Rounds:
    """A batch of shots, simulated round by round.

    Attributes:
        simulator: the frames of all shots.
        done: rounds so far.
    """

    def __init__(self, made: Workshop, shots: int, seed: int) -> None:
        """Start ``shots`` shots before their first round."""
        self._cut = made.sections
        qubits = made.experiment.circuit.num_qubits
        self.simulator = stim.FlipSimulator(batch_size=shots, seed=seed, num_qubits=qubits)
        self.done = 0
        self._seen = 0

    def step(self) -> Flags:
        """Do one round, and return its detection events, shape (detectors, shots)."""
        parts = self._cut.rounds
        self.simulator.do(parts[min(self.done, len(parts) - 1)])
        self.done += 1
        return self._events()

    def finish(self) -> Flags:
        """Read out, and return the last detection events."""
        self.simulator.do(self._cut.tail)
        return self._events()

    def _events(self) -> Flags:
        """The events that are new. Asking for a packed copy keeps the cost of a long history low."""
        packed = self.simulator.get_detector_flips(bit_packed=True)[self._seen :]
        self._seen += len(packed)
        return np.unpackbits(packed, axis=1, bitorder="little", count=self.simulator.batch_size).view(np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """When the corrections of a block are back, in rounds.

    Attributes:
        ends: end of what each correction commits, increasing.
        rounds: rounds that have passed when it is there.
    """

    ends: NDArray[np.int64]
    rounds: NDArray[np.int64]

    @classmethod
    def of(cls, timeline: Timeline, block: int) -> Arrivals:
        """Return the arrivals of one block of a replay."""
        mine = (timeline.windows[:, 0] == block) & (timeline.returned_ps != NEVER)
        begun = int(timeline.emitted_ps[block, 0]) - timeline.cycle_ps
        rounds = -(-(timeline.returned_ps[mine] - begun) // timeline.cycle_ps)
        order = np.argsort(timeline.windows[mine][:, 2], kind="stable")
        return cls(ends=timeline.windows[mine][order, 2], rounds=rounds[order])

    def when(self, end: int) -> int | None:
        """Return after how many rounds the rounds before ``end`` are corrected; None if never in this experiment."""
        at = int(np.searchsorted(self.ends, end))
        return int(self.rounds[at]) if at < len(self.ends) else None


def run_batch(made: Workshop, fate: Fate, arrivals: Arrivals, shots: int, seed: int, *, feedback: bool = True) -> Flags:
    """Return which shots of a batch fail, simulated in a closed loop.

    Args:
        made: the experiment and its decoder.
        fate: rounds of the circuit.
        arrivals: when corrections are back.
        shots: of the batch.
        seed: of the noise.
        feedback: whether corrections are applied to the qubits; otherwise they stay in the frame, with equal results.
    """
    first = made.sections.first
    batch = Rounds(made, shots, seed)
    stream = made.compiled(fate.rounds).stream(shots)
    paulis = logical_flips(made.sections) if feedback else []
    applied = np.zeros_like(stream.flips)
    waiting: list[tuple[int, Commit]] = []
    for number in range(first):
        stream.push(number, np.zeros((shots, 0), dtype=np.uint8))
    while batch.done < fate.rounds - first:
        events = batch.step()
        number = first + batch.done - 1
        for commit in stream.push(number, np.ascontiguousarray(events.T)):
            when = arrivals.when(commit.end)
            if feedback and when is not None:
                waiting.append((when, commit))
        for when, commit in list(waiting):
            if when <= number + 1:
                _apply(batch.simulator, paulis, commit)
                applied ^= commit.flips
                waiting.remove((when, commit))
    stream.push(fate.rounds, np.ascontiguousarray(batch.finish().T))
    measured = np.asarray(batch.simulator.get_observable_flips(), dtype=np.uint8).T
    # What has not been applied by the readout is still in the frame.
    found: Flags = np.any(measured ^ stream.flips ^ applied, axis=1)
    return found


def _apply(simulator: stim.FlipSimulator, paulis: list[tuple[Flags, Flags]], commit: Commit) -> None:
    for observable, (x, z) in enumerate(paulis):
        shots = commit.flips[:, observable].astype(np.bool_)
        if not shots.any():
            continue
        for pauli, support in (("X", x), ("Z", z)):
            if support.any():
                simulator.broadcast_pauli_errors(pauli=pauli, mask=support[:, None] & shots)


def run_closed(
    experiment: Experiment,
    loop: Loop,
    shots: int,
    *,
    seed: int | None = None,
    timelines: int | Sequence[Timeline] = USUAL_TIMELINES,
    lengthen: Lengthen | None = None,
    feedback: bool = True,
    workshop: Workshop | None = None,
) -> LoopResult:
    """Return the logical errors of an experiment in a closed loop; arguments as ``run_frame``.

    Without ``feedback`` the corrections stay in the frame, and the same shots fail.

    Raises:
        InvalidValue, DeadlineImpossible, SimulationRefused: the loop cannot work, or its policy or its service is one
            of those that only mode "frame" has.
    """
    if loop.on_miss not in (MissPolicy.WAIT, MissPolicy.SHED) or loop.by_defects:
        raise InvalidValue(
            field="policy, service",
            value=(loop.on_miss.value, loop.service),
            rule='mode "closed" waits or sheds, for a service that does not depend on the shot',
            remedy='Use mode "frame".',
        )
    began = time.process_time()
    chosen = seeds.resolve(seed)
    made = workshop or Workshop(experiment, loop, lengthen)
    replays = replays_for(experiment, loop, shots, timelines, chosen)
    parts = shares(shots, len(replays), replays[0].blocks, chosen)
    failures, cluster = [], []
    for row, timeline in enumerate(replays):
        for block, share in enumerate(parts[row].tolist()):
            fate, arrivals = fate_of(timeline, block, loop, experiment.rounds), Arrivals.of(timeline, block)
            for begin in range(0, share, BATCH):
                size = min(BATCH, share - begin)
                noise = seeds.word(chosen, "closed", row, block, begin)
                failures.append(run_batch(made, fate, arrivals, size, noise, feedback=feedback))
                cluster.append(np.full(size, row, dtype=np.int64))
    failed, of = np.concatenate(failures), np.concatenate(cluster)
    seconds = time.process_time() - began
    return result_of("closed", experiment, failed, of, replays, counts_of(loop, replays), seconds)
