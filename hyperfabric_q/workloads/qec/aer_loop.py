"""Mode "aer": the experiment as a dynamic circuit on Aer, with every correction over a link fed forward for real.

The oracle of the other modes, and a demonstration. Rounds of waiting are in the circuit; the decoder's corrections stay
in the Pauli frame, for a circuit that runs cannot ask a decoder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.frame_loop import Lengthen, Workshop
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
from hyperfabric_q.workloads.qec.lowering import LoweredExperiment, lower, sample_on_aer
from hyperfabric_q.workloads.qec.policies import MissPolicy
from hyperfabric_q.workloads.qec.timelines import Timeline


def run_aer(
    experiment: Experiment,
    loop: Loop,
    shots: int,
    *,
    seed: int | None = None,
    timelines: int | Sequence[Timeline] = USUAL_TIMELINES,
    lengthen: Lengthen | None = None,
) -> LoopResult:
    """Return the logical errors of an experiment on Aer; arguments as ``run_frame``.

    Cost: about a millisecond per shot at distance 3, so this is for thousands of shots.

    Raises:
        InvalidValue, DeadlineImpossible, SimulationRefused: the loop cannot work, its policy or its service is one of
            those that only mode "frame" has, or link uses would have to be repeated without ``lengthen``.
    """
    if loop.on_miss not in (MissPolicy.WAIT, MissPolicy.SHED) or loop.by_defects:
        raise InvalidValue(
            field="policy, service",
            value=(loop.on_miss.value, loop.service),
            rule='mode "aer" waits or sheds, for a service that does not depend on the shot',
            remedy='Use mode "frame".',
        )
    began = time.process_time()
    chosen = seeds.resolve(seed)
    made = Workshop(experiment, loop, lengthen)
    replays = replays_for(experiment, loop, shots, timelines, chosen)
    parts = shares(shots, len(replays), replays[0].blocks, chosen)
    circuits: dict[Fate, LoweredExperiment] = {}
    failures, cluster = [], []
    for row, timeline in enumerate(replays):
        for block, share in enumerate(parts[row].tolist()):
            if not share:
                continue
            fate = fate_of(timeline, block, loop, experiment.rounds)
            if fate not in circuits:
                circuits[fate] = lower(_flat(made, fate.rounds))
            noise = seeds.word(chosen, "aer", row, block)
            dets, observables = sample_on_aer(circuits[fate], shots=share, seed=noise)
            flips = made.decode(fate.rounds, dets.astype(np.uint8))
            failures.append(np.any(flips.astype(np.bool_) != observables, axis=1))
            cluster.append(np.full(share, row, dtype=np.int64))
    failed, of = np.concatenate(failures), np.concatenate(cluster)
    seconds = time.process_time() - began
    return result_of("aer", experiment, failed, of, replays, counts_of(loop, replays), seconds)


def _flat(made: Workshop, rounds: int) -> Experiment:
    """The experiment with so many rounds, without loops."""
    found = made.with_rounds(rounds)
    if rounds == made.experiment.rounds:
        return found
    if made.experiment.links and made.lengthen is None:
        raise InvalidValue(
            field="lengthen",
            value=None,
            rule=f"to wait {rounds - made.experiment.rounds} round(s), uses of links would have to be repeated",
            remedy="Say how the experiment is made with more rounds: lengthen=lambda rounds: ...",
        )
    return found if made.lengthen is not None else replace(found, circuit=found.circuit.flattened())
