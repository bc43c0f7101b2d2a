"""Mode "frame": all rounds are sampled, frames are replayed on the fabric's clock, corrections stay in the Pauli frame.

Exact for memories: Pauli corrections and Pauli noise commute up to signs, so it does not matter when they are applied,
only how many rounds pass until they are known. Shots of one fate are sampled and decoded together; Python never loops
over shots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders.compiled import Compiled, Core
from hyperfabric_q.workloads.qec.erasure import Erasure, erase
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.idle import Sections, sections
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
from hyperfabric_q.workloads.qec.shot_queue import shot_waits
from hyperfabric_q.workloads.qec.timelines import Timeline

Lengthen: TypeAlias = Callable[[int], Experiment]
"""Returns the same experiment with so many rounds."""

Flags = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

MOST_BITS: Final = 1 << 27
"""Detection events that are held at a time."""


@dataclass(slots=True)
class Workshop:
    """Circuits and decoders of one experiment and loop, each made once.

    Attributes:
        experiment: as it was given.
        loop: decoder and windows.
        lengthen: makes the experiment with another number of rounds; None repeats a round of the circuit.
    """

    experiment: Experiment
    loop: Loop
    lengthen: Lengthen | None = None
    _sections: Sections | None = None
    _experiments: dict[int, Experiment] = field(default_factory=dict)
    _models: dict[int, stim.DetectorErrorModel] = field(default_factory=dict)
    _compiled: dict[int, Compiled] = field(default_factory=dict)
    _cores: dict[int, Core] = field(default_factory=dict)
    _erased: dict[tuple[int, tuple[int, ...]], tuple[Erasure, Compiled]] = field(default_factory=dict)

    @property
    def sections(self) -> Sections:
        """The experiment cut into rounds."""
        if self._sections is None:
            self._sections = sections(self.experiment)
        return self._sections

    @property
    def kept(self) -> int:
        """How many circuits there are beside the first."""
        return len(self._experiments) + len(self._erased)

    def with_rounds(self, rounds: int) -> Experiment:
        """Return the experiment with so many rounds."""
        if rounds == self.experiment.rounds:
            return self.experiment
        if rounds not in self._experiments:
            made = self.sections.with_rounds(rounds) if self.lengthen is None else self.lengthen(rounds)
            if made.rounds != rounds:
                rule = f"it makes experiments of as many rounds as it is asked for, here {rounds}"
                raise InvalidValue(field="lengthen", value=repr(made), rule=rule)
            self._experiments[rounds] = made
        return self._experiments[rounds]

    def least(self, rounds: int) -> int:
        """Return ``rounds``, or the fewest that the experiment can be cut down to."""
        if self.lengthen is not None:
            return max(rounds, 1)
        return max(rounds, self.sections.alike + 1)

    def model(self, rounds: int) -> stim.DetectorErrorModel:
        """Return the error model of the experiment with so many rounds, decomposed where it can be."""
        if rounds not in self._models:
            circuit = self.with_rounds(rounds).circuit
            self._models[rounds] = circuit.detector_error_model(
                approximate_disjoint_errors=True, decompose_errors=True, ignore_decomposition_failures=True
            )
        return self._models[rounds]

    def compiled(self, rounds: int) -> Compiled:
        """Return the decoder of the experiment with so many rounds."""
        if rounds not in self._compiled:
            self._compiled[rounds] = self.loop.decodes.compile(self.model(rounds), self.loop.window)
        return self._compiled[rounds]

    def decode(self, rounds: int, bits: Bytes) -> Bytes:
        """Return the flips that the whole history suggests, shots × observables.

        What reads only edges takes the model as stim wrote it: reading long models in Python costs more than decoding.
        """
        decodes = self.loop.decodes
        if self.loop.window is not None or decodes.reads != "edges":
            return self.compiled(rounds).decode_batch(bits)
        if rounds not in self._cores:
            self._cores[rounds] = decodes.core(self.model(rounds))
        return self._cores[rounds](bits)

    def erased(self, rounds: int, lost: tuple[int, ...]) -> tuple[Erasure, Compiled]:
        """Return what is left without some rounds, and its decoder."""
        if (rounds, lost) not in self._erased:
            left = erase(self.with_rounds(rounds).circuit, self.model(rounds), lost)
            self._erased[rounds, lost] = left, self.loop.decodes.compile(left.dem, self.loop.window)
        return self._erased[rounds, lost]

    # ------------------------------------------------------------------------------------------------------- running

    def failures(self, fate: Fate, shots: int, seed: int) -> Flags:
        """Return which shots of a fate fail."""
        experiment = self.with_rounds(fate.rounds)
        sampler = experiment.circuit.compile_detector_sampler(seed=seeds.word(seed, "shots"))
        most = max(256, MOST_BITS // max(1, experiment.circuit.num_detectors))
        found = []
        for begin in range(0, shots, most):
            dets, observables = sampler.sample(min(most, shots - begin), separate_observables=True, bit_packed=True)
            wrong = self._decoded(fate, dets) != observables
            found.append(np.any(wrong, axis=1))
            if fate.extra:
                found[-1] ^= self._repairs(fate, dets, seeds.word(seed, "repairs", begin))
        return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)

    def _decoded(self, fate: Fate, dets: Bytes) -> Bytes:
        """Decode packed detection events to packed flips."""
        if fate.erased:
            left, decoder = self.erased(fate.rounds, fate.erased)
            flips = decoder.decode_batch(left.apply(self._bits(fate.rounds, dets)))
            return np.packbits(flips, axis=1, bitorder="little")
        if fate.cut:
            flips = self._hurried(self.compiled(fate.rounds), fate, dets)
        else:
            flips = self.decode(fate.rounds, self._bits(fate.rounds, dets))
        return np.packbits(flips, axis=1, bitorder="little")

    def _bits(self, rounds: int, dets: Bytes) -> Bytes:
        count = self.with_rounds(rounds).circuit.num_detectors
        return np.unpackbits(dets, axis=1, bitorder="little", count=count)

    def _hurried(self, decoder: Compiled, fate: Fate, dets: Bytes) -> Bytes:
        """Decode with windows that saw only what had come in."""
        bits = self._bits(fate.rounds, dets)
        rounds = self.with_rounds(fate.rounds).detector_rounds
        seen_of = dict(fate.cut)
        stream = decoder.stream(len(bits))
        pushed, last = 0, int(rounds.max(initial=0)) + 1
        for each in decoder.pieces:
            stop = min(seen_of.get(each.span.end, each.span.stop), last)
            while pushed < max(stop, each.span.end):
                stream.push(pushed, np.ascontiguousarray(bits[:, rounds == pushed]))
                pushed += 1
            if stop < each.span.stop:
                stream.hurry()
        while pushed < last:
            stream.push(pushed, np.ascontiguousarray(bits[:, rounds == pushed]))
            pushed += 1
        return stream.flips

    def _repairs(self, fate: Fate, dets: Bytes, seed: int) -> Flags:
        """Return which shots the rounds of a repair flip: those that speculated wrong live through them."""
        bits = self._bits(fate.rounds, dets)
        known = bits.copy()
        known[:, self.with_rounds(fate.rounds).detector_rounds >= fate.horizon] = 0
        wrong = np.any(self.decode(fate.rounds, known) != self.decode(fate.rounds, bits), axis=1)
        flipped = np.zeros(len(bits), dtype=np.bool_)
        flipped[wrong] = self.idle_flips(fate.extra, int(np.count_nonzero(wrong)), seed)
        return flipped

    def idle_flips(self, rounds: int, shots: int, seed: int) -> Flags:
        """Return which of some shots fail over so many idle rounds, sampled as an experiment of their own.

        Above 32 rounds they are rounded up by at most 1/16, so that few circuits serve many lengths.
        """
        if not rounds or not shots:
            return np.zeros(shots, dtype=np.bool_)
        step = max(1, 1 << max(0, rounds.bit_length() - 5))
        return self.failures(Fate(rounds=self.least(-(-rounds // step) * step)), shots, seed)

    def waiting(self, timeline: Timeline, shots: int, seed: int) -> tuple[Flags, int]:
        """Return which shots fail where service depends on each one's defects, and for how many rounds they waited.

        Each shot waits for the windows it fills itself. The rounds it waits are an experiment of their own, whose
        failures are put on top of the shot's.
        """
        experiment = self.experiment
        sampler = experiment.circuit.compile_detector_sampler(seed=seeds.word(seed, "shots"))
        blocks = timeline.blocks
        shots = -(-shots // blocks) * blocks
        dets, observables = sampler.sample(shots, separate_observables=True, bit_packed=True)
        bits = self._bits(experiment.rounds, dets)
        order = np.argsort(experiment.detector_rounds, kind="stable")
        per_round = np.zeros((shots, experiment.rounds + 1), dtype=np.int64)
        of_round, starts = np.unique(experiment.detector_rounds[order], return_index=True)
        per_round[:, of_round] = np.add.reduceat(bits[:, order], starts, axis=1, dtype=np.int64)
        waits = shot_waits(timeline, self.loop.decoding(), per_round.reshape(-1, blocks, experiment.rounds + 1))
        each = waits.reshape(-1)
        flips = np.packbits(self.decode(experiment.rounds, bits), axis=1, bitorder="little")
        failed = np.any(flips != observables, axis=1)
        for rounds in np.unique(each[each > 0]).tolist():
            those = np.flatnonzero(each == rounds)
            failed[those] ^= self.idle_flips(rounds, len(those), seeds.word(seed, "idle", rounds))
        return failed, int(each.sum())


def run_frame(
    experiment: Experiment,
    loop: Loop,
    shots: int,
    *,
    seed: int | None = None,
    timelines: int | Sequence[Timeline] = USUAL_TIMELINES,
    lengthen: Lengthen | None = None,
    workshop: Workshop | None = None,
) -> LoopResult:
    """Return the logical errors of an experiment whose syndromes travel over the fabric.

    Args:
        experiment: circuit and rounds.
        loop: decoder, transport and policy.
        shots: spread evenly over timelines and blocks.
        seed: fixes everything; None takes a fresh one.
        timelines: how many replays of the fabric, of which one is made where two could not differ; or the replays.
        lengthen: makes the experiment with another number of rounds, where no round of the circuit can be repeated.
        workshop: circuits and decoders of an earlier run of the same experiment and loop.

    Raises:
        InvalidValue, DeadlineImpossible, SimulationRefused: the loop cannot work.
    """
    began = time.process_time()
    chosen = seeds.resolve(seed)
    made = workshop or Workshop(experiment, loop, lengthen)
    replays = replays_for(experiment, loop, shots, timelines, chosen)
    counts = counts_of(loop, replays)
    if loop.by_defects and loop.waits and loop.on_miss in (MissPolicy.WAIT, MissPolicy.SHED):
        failures, cluster = _by_shot(made, replays, shots, chosen, counts)
    else:
        failures, cluster = _by_fate(made, replays, shots, chosen)
    return result_of("frame", experiment, failures, cluster, replays, counts, time.process_time() - began)


def _by_fate(made: Workshop, replays: list[Timeline], shots: int, seed: int) -> tuple[Flags, NDArray[np.int64]]:
    """Run the shots of one fate together, whichever timelines they belong to."""
    parts = shares(shots, len(replays), replays[0].blocks, seed)
    starts = np.concatenate([[0], np.cumsum(parts.reshape(-1))])
    cells: dict[Fate, list[int]] = {}
    for cell in range(parts.size):
        fate = fate_of(replays[cell // parts.shape[1]], cell % parts.shape[1], made.loop, made.experiment.rounds)
        cells.setdefault(fate, []).append(cell)
    failures = np.zeros(shots, dtype=np.bool_)
    for number, (fate, members) in enumerate(cells.items()):
        places = np.concatenate([np.arange(starts[cell], starts[cell + 1]) for cell in members])
        if len(places):
            failures[places] = made.failures(fate, len(places), seeds.word(seed, "fate", number))
    return failures, np.repeat(np.arange(len(replays)), parts.sum(axis=1))


def _by_shot(
    made: Workshop, replays: list[Timeline], shots: int, seed: int, counts: dict[str, int]
) -> tuple[Flags, NDArray[np.int64]]:
    """Run each timeline's shots with waits of their own."""
    parts = shares(shots, len(replays), 1, seed)[:, 0]
    failures, cluster = [], []
    counts["stall_rounds"] = 0
    for number, (timeline, share) in enumerate(zip(replays, parts.tolist(), strict=True)):
        found, stalled = made.waiting(timeline, share, seeds.word(seed, "timeline shots", number))
        counts["stall_rounds"] += stalled
        failures.append(found[:share])
        cluster.append(np.full(share, number, dtype=np.int64))
    return np.concatenate(failures), np.concatenate(cluster)
