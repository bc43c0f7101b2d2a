"""Blocks of logical qubits whose rounds are sampled one by one, and the processor that decodes what they send.

A qubit that waits forgets: how much noise a round has follows from how much virtual time passed since the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q import qec
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate, proportion
from hyperfabric_q.scenarios.virtual_time import time
from hyperfabric_q.workloads.qec.idle import sections

DEADLINE_NS: Final = 10_000.0

Bits = NDArray[np.bool_]


def forgotten(wait_us: float, coherence_us: float) -> float:
    """Return the chance of a Pauli error after a wait, with T1 = T2: depolarising, at most 3/4."""
    return -0.75 * math.expm1(-wait_us / coherence_us)


def memory(distance: int, rounds: int, *, forgot: float, gate_error: float) -> qec.Experiment:
    """Return a memory of the rotated surface code whose data qubits forget that much before each round.

    It keeps a value in basis X; with T1 = T2 both bases are alike.
    """
    noise = qec.NoiseModel(
        name="coherence",
        gate_1q=gate_error,
        gate_2q=gate_error,
        reset=gate_error,
        measure=gate_error,
        round_data=float(forgot),
    )
    return qec.rotated_surface_code(distance, rounds, "X", noise)


@dataclass(slots=True, kw_only=True, eq=False)
class Blocks:
    """Logical qubits that are kept in memory again and again, ``rounds`` rounds each time.

    Attributes:
        seed: of every error.
        blocks: how many there are.
        logical: logical qubits of each.
        distance: of the rotated surface code of each logical qubit.
        coherence_us: T1 and T2 of the physical qubits.
        gate_error: of gates, resets and measurements.
        judged: memories that were read out and decoded.
        wrong: of which so many have the wrong value.
    """

    seed: int
    blocks: int = 10
    logical: int = 10
    distance: int = 7
    coherence_us: float = 50.0
    gate_error: float = 1e-3
    judged: int = 0
    wrong: int = 0
    _calls: int = 0
    _running: dict[int, _Memory] = field(default_factory=dict)
    _streams: dict[int, _Decoding] = field(default_factory=dict)
    _truths: dict[tuple[int, int], Bits] = field(default_factory=dict)
    _made: dict[tuple[str, float], Any] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """From preparation to readout."""
        return 2 * self.distance

    @property
    def physical(self) -> int:
        """Data qubits and ancillas of a block."""
        return self.logical * (2 * self.distance**2 - 1)

    @property
    def failure(self) -> Estimate:
        """The share of memories that ended with the wrong value."""
        return proportion(self.wrong, max(1, self.judged))

    def measure(self, block: int | None) -> bytes:
        """Return the frame of the next round of a block; without a number blocks take turns."""
        if block is None:
            block = self._calls % self.blocks
        if block not in range(self.blocks):
            raise InvalidValue(field="block", value=block, rule=f"blocks have the numbers 0 to {self.blocks - 1}")
        self._calls += 1
        now_us = 1e6 * time.perf_counter()
        mine = self._running.setdefault(block, _Memory(then_us=now_us))
        forgot = round(forgotten(max(0.0, now_us - mine.then_us), self.coherence_us), 5)
        number, mine.then_us = mine.seq % self.rounds, now_us
        if number == 0:
            seed = np.random.SeedSequence((self.seed, block, mine.seq)).generate_state(1, np.uint64)[0]
            mine.simulator = stim.FlipSimulator(batch_size=self.logical, seed=int(seed) >> 1)
            mine.told = 0
        pieces = self._once("rounds", forgot)
        mine.simulator.do(pieces.rounds[number])
        if number == self.rounds - 1:
            mine.simulator.do(pieces.tail)
            self._truths[block, mine.seq // self.rounds] = mine.simulator.get_observable_flips()[0]
        events = mine.simulator.get_detector_flips()[mine.told :]
        mine.told += len(events)
        frame = qec.SyndromeFrame(
            block_id=block,
            round=number,
            seq=mine.seq,
            t_emit_ns=1000 * now_us,
            deadline_ns=1000 * now_us + DEADLINE_NS,
            bits=qec.pack_bits(events.T.ravel()),
            count=events.size,
        )
        mine.seq += 1
        return frame.to_bytes()

    def corrected(self, frames: Sequence[bytes]) -> list[qec.CorrectionFrame]:
        """Return one correction per frame, by number of the block: what the decoder learned from its round."""
        read = sorted(map(qec.SyndromeFrame.from_bytes, frames), key=lambda frame: (frame.block_id, frame.seq))
        return [self._decode(frame) for frame in read]

    def _decode(self, frame: qec.SyndromeFrame) -> qec.CorrectionFrame:
        mine = self._streams.setdefault(frame.block_id, _Decoding())
        if mine.then_ns is not None:  # how long a round takes is seen from when frames were sent
            mine.wait_us = (frame.t_emit_ns - mine.then_ns) / 1000
        mine.then_ns = frame.t_emit_ns
        if frame.round == 0:
            mine.stream, mine.waiting, mine.sent = None, [], np.zeros(self.logical, dtype=np.uint8)
        if frame.intact:
            count = frame.count or 0
            bits = qec.unpack_bits(frame.bits, count).reshape(self.logical, -1)
            mine.waiting.append((frame.round, bits))
        flips = mine.sent
        if mine.wait_us is not None:
            if mine.stream is None:
                forgot = round(forgotten(mine.wait_us, self.coherence_us), 5)
                mine.stream = self._once("decoder", forgot).stream(self.logical)
            for number, bits in mine.waiting:
                self._push(mine.stream, number, bits)
            mine.waiting.clear()
            flips = mine.stream.flips[:, 0]
        if frame.round == self.rounds - 1:
            truth = self._truths.pop((frame.block_id, frame.seq // self.rounds), None)
            if truth is not None:
                self.judged += len(truth)
                self.wrong += int(np.count_nonzero(truth != flips.astype(bool)))
        new, mine.sent = qec.pack_bits(flips ^ mine.sent), flips.copy()
        upto = 0 if mine.stream is None else mine.stream.upto
        return qec.CorrectionFrame(block_id=frame.block_id, upto_round=upto, pauli_frame_xor=new, seq=frame.seq)

    def _push(self, stream: Any, number: int, bits: Bits) -> None:
        width = int(self._once("experiment", 0.0).bits_per_round[number])
        stream.push(number, bits[:, :width])
        if number == self.rounds - 1:  # the readout came with the last round
            stream.push(number + 1, bits[:, width:])

    def _once(self, what: str, forgot: float) -> Any:
        """The experiment with that noise, its circuits round by round, or its decoder; each is made once."""
        known = self._made.get((what, forgot))
        if known is None:
            if what == "experiment":
                known = memory(self.distance, self.rounds, forgot=forgot, gate_error=self.gate_error)
            elif what == "rounds":
                known = sections(self._once("experiment", forgot))
            else:
                model = self._once("experiment", forgot).circuit.detector_error_model(decompose_errors=True)
                known = qec.decoder("matching").compile(model, ((self.distance + 1) // 2, self.distance))
            self._made[what, forgot] = known
        return known


@dataclass(slots=True, kw_only=True, eq=False)
class _Memory:
    """A block as it stands: which round is next, when the last was, and how many events were told."""

    then_us: float
    seq: int = 0
    told: int = 0
    simulator: Any = None


@dataclass(slots=True, kw_only=True, eq=False)
class _Decoding:
    """What the processor knows of a block; rounds wait until it knows how long a round takes."""

    then_ns: float | None = None
    wait_us: float | None = None
    stream: Any = None
    waiting: list[tuple[int, Bits]] = field(default_factory=list)
    sent: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
