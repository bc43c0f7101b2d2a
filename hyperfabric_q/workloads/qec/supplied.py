"""A code whose pairs come from a supply: its logical errors, and what it is worth to know the pairs.

Each timeline of the supply is a circuit of its own: live states set its seam noise, missing pairs leave checks out, and
rounds that wait let data qubits decay. A decoder may believe what the links told of each pair, or only means.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import sinter
import stim
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.workloads.qec.decoders.kind import Decoder
from hyperfabric_q.workloads.qec.decoders.kind import decoder as decoder_named
from hyperfabric_q.workloads.qec.decoders.priors import with_priors
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.frame_loop import run_frame
from hyperfabric_q.workloads.qec.loop import USUAL_TIMELINES, Loop, LoopResult, result_of, shares
from hyperfabric_q.workloads.qec.records import Clusters, Paired, paired
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.supply import BellSupply, Supplied, slots_of
from hyperfabric_q.workloads.qec.timelines import Timeline

Belief: TypeAlias = Literal["pairs", "slots", "mean"]
"""What a decoder knows of pairs: the state of each when it was used, the mean of each slot, or one mean of all."""

Flags = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

SHOTS_PER_TIMELINE: Final = 4096


def supplied_experiment(
    code: DistributedSurfaceCode, given: Supplied, timeline: int, *, rounds: int | None = None
) -> Experiment:
    """Return the experiment of one timeline of a supply.

    Args:
        code: which asks for the pairs.
        given: what came, for as many rounds as the code has.
        timeline: which one.
        rounds: of the experiment; beyond those of the supply, the pairs of its rounds are drawn on again in turn.

    Raises:
        InvalidValue: the supply is for another number of slots, or a round waits and nobody said how fast qubits decay.
    """
    have = given.missing.shape[1]
    chosen = np.arange(have if rounds is None else rounds) % have
    waits = given.wait_ns[timeline][chosen]
    return replace(code, rounds=len(chosen)).experiment(
        weights=given.weights[timeline][chosen],
        missing=given.missing[timeline][chosen],
        wait_ns=waits.tolist() if waits.any() else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuppliedResult:
    """Return the logical errors of the same shots under several beliefs.

    Attributes:
        failures: of each shot, by belief; in order of timeline.
        timeline_shots: of each timeline.
        supplied: what the rounds got.
        counts: bell_used, bell_missing, bell_wait and bell_wait_ns over all shots.
    """

    failures: Mapping[Belief, Flags]
    timeline_shots: NDArray[np.int64]
    supplied: Supplied
    counts: Counter[str]

    def failure(self, belief: Belief = "pairs") -> Estimate:
        """Return the logical error probability per shot, its bar robust over timelines."""
        failed, each = self.failures[belief], self.timeline_shots
        errors = np.bincount(np.repeat(np.arange(len(each)), each)[failed], minlength=len(each))
        return Clusters.of(each, errors.astype(np.int64)).estimate()

    def compared(self, first: Belief = "pairs", second: Belief = "mean") -> Paired:
        """Return two beliefs compared shot by shot."""
        return paired(self.failures[first], self.failures[second])


def run_supplied(
    code: DistributedSurfaceCode,
    supply: BellSupply,
    shots: int,
    *,
    timelines: int = USUAL_TIMELINES,
    decoder: str = "matching",
    window: tuple[int, int] | None = None,
    beliefs: Sequence[Belief] = ("pairs", "mean"),
    seed: int | None = None,
) -> SuppliedResult:
    """Return the logical errors of a memory over supplied pairs, all beliefs on the same shots.

    About 0.1 s per timeline and belief at distance 5 for circuits and decoders, and the shots.

    Args:
        code: which asks for the pairs.
        supply: which makes them.
        shots: spread evenly over timelines.
        timelines: of the supply.
        decoder: its name.
        window: (commit, buffer) in rounds; None decodes everything at once.
        beliefs: what the decoder knows of pairs. All know which pairs are missing, and so which checks are left out.
        seed: fixes everything; None takes a fresh one.

    Raises:
        InvalidValue: there is not one shot, belief or timeline, or the supply is not for this code.
        UnknownName: there is no such decoder.
    """
    if shots < 1 or not beliefs or any(belief not in get_args(Belief) for belief in beliefs):
        rule = f"there is at least one shot, and beliefs are some of {get_args(Belief)}"
        raise InvalidValue(field="shots, beliefs", value=(shots, tuple(beliefs)), rule=rule)
    chosen = seeds.resolve(seed)
    given = supplied(code, supply, min(timelines, shots), chosen)
    each = shares(shots, len(given), 1, chosen)[:, 0]
    found: dict[Belief, list[Flags]] = {belief: [] for belief in beliefs}
    compiler = decoder_named(decoder)
    for timeline, share in enumerate(each.tolist()):
        experiment = supplied_experiment(code, given, timeline)
        sampler = experiment.circuit.compile_detector_sampler(seed=seeds.word(chosen, "shots", timeline))
        dets, flips = sampler.sample(share, separate_observables=True)
        for belief in beliefs:
            model = believed(code, experiment, given, belief)
            found[belief].append(np.any(_decoded(compiler, model, window, dets) != flips, axis=1))
    return SuppliedResult(
        failures={belief: np.concatenate(parts) for belief, parts in found.items()},
        timeline_shots=each,
        supplied=given,
        counts=given.counts(each.tolist()),
    )


def _decoded(
    decoder: Decoder, model: stim.DetectorErrorModel, window: tuple[int, int] | None, dets: Flags
) -> NDArray[np.uint8]:
    """Return the flips that a decoder suggests; what reads only edges takes the model as stim wrote it."""
    if window is None and decoder.reads == "edges":
        return decoder.core(model)(dets.astype(np.uint8))
    return decoder.compile(model, window).decode_batch(dets)


def supplied(code: DistributedSurfaceCode, supply: BellSupply, timelines: int, seed: int) -> Supplied:
    """Return what a supply gives to the rounds of a code.

    Raises:
        InvalidValue: the supply is not for this code.
    """
    if supply.slots != slots_of(code):
        rule = f"the supply serves the {code.pairs_per_round} pairs of a round of this code"
        raise InvalidValue(field="slots", value=len(supply.slots), rule=rule, remedy="Give slots=slots_of(code).")
    if supply.cycle_ns != code.cycle_ns:
        rule = f"a round of the code takes {code.cycle_ns:g} ns, and so it should for its supply"
        raise InvalidValue(field="cycle_ns", value=supply.cycle_ns, rule=rule)
    rounds = 3 * code.distance if code.rounds is None else code.rounds
    return supply.timelines(rounds, timelines, seed=seeds.word(seed, "supply"))


def believed(
    code: DistributedSurfaceCode, experiment: Experiment, given: Supplied, belief: Belief
) -> stim.DetectorErrorModel:
    """Return the error model of an experiment as a decoder of some belief sees it."""
    if belief == "pairs":
        return with_priors(experiment)
    if belief == "mean":
        return with_priors(experiment, given.mean_weights)
    slots = {pair: at for at, pair in enumerate(code.crossings)}
    rows = given.slot_weights[[slots[use.control, use.target] for use in experiment.links]]
    return with_priors(experiment, rows)


def run_supplied_loop(
    code: DistributedSurfaceCode,
    supply: BellSupply,
    loop: Loop,
    shots: int,
    *,
    timelines: int = USUAL_TIMELINES,
    seed: int | None = None,
) -> LoopResult:
    """Return the logical errors of a memory over supplied pairs whose syndromes travel over the fabric.

    Each timeline has a supply and a replay of its own, whose decoder knows each pair. Its counts hold those of the
    loop and of the supply. Rounds that idle draw on the pairs of the timeline again.

    Args:
        code: which asks for the pairs.
        supply: which makes them.
        loop: decoder, transport and policy.
        shots: spread evenly over timelines.
        timelines: of supply and loop.
        seed: fixes everything; None takes a fresh one.

    Raises:
        InvalidValue, DeadlineImpossible, SimulationRefused: the loop cannot work, or the supply is not for this code.
    """
    if shots < 1:
        raise InvalidValue(field="shots", value=shots, rule="there is at least one")
    chosen = seeds.resolve(seed)
    given = supplied(code, supply, min(timelines, shots), chosen)
    each = shares(shots, len(given), 1, chosen)[:, 0]
    failures: list[Flags] = []
    replays: list[Timeline] = []
    counts, seconds = given.counts(each.tolist()), 0.0
    for timeline, share in enumerate(each.tolist()):

        def lengthen(rounds: int, timeline: int = timeline) -> Experiment:
            return supplied_experiment(code, given, timeline, rounds=rounds)

        found = run_frame(
            supplied_experiment(code, given, timeline),
            loop,
            share,
            seed=seeds.word(chosen, "loop", timeline),
            timelines=1,
            lengthen=lengthen,
        )
        failures.append(found.failures)
        replays += found.timelines
        counts.update(found.counts)
        seconds += found.seconds
    cluster = np.repeat(np.arange(len(each)), each)
    whole = supplied_experiment(code, given, 0)
    return result_of("frame", whole, np.concatenate(failures), cluster, replays, counts, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplySampler(sinter.Sampler):  # type: ignore[misc]
    """A code and its supply as a sampler of sinter; a value that pickles.

    The circuit of a task is not looked at: ``task(code.experiment(weights=...))`` gives one with the right record.

    Attributes:
        code: which asks for the pairs.
        supply: which makes them.
        decoder: its name.
        window: (commit, buffer) in rounds; None decodes everything at once.
        belief: what the decoder knows of pairs.
        shots_per_timeline: shots that share a timeline.
        seed: fixes all shots; None takes fresh ones in each worker.
    """

    code: DistributedSurfaceCode
    supply: BellSupply
    decoder: str = "matching"
    window: tuple[int, int] | None = None
    belief: Belief = "pairs"
    shots_per_timeline: int = SHOTS_PER_TIMELINE
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.shots_per_timeline < 1:
            rule = "at least one shot shares a timeline"
            raise InvalidValue(field="shots_per_timeline", value=self.shots_per_timeline, rule=rule)

    def compiled_sampler_for_task(self, task: sinter.Task) -> sinter.CompiledSampler:
        """Return what samples a task."""
        del task
        return CompiledSupply(self)


class CompiledSupply(sinter.CompiledSampler):  # type: ignore[misc]
    """A code at work, one timeline of its supply after the other."""

    def __init__(self, sampler: SupplySampler) -> None:
        """Sample as ``sampler`` says."""
        self._sampler = sampler
        self._seed = seeds.resolve(sampler.seed)
        self._calls = 0

    def sample(self, suggested_shots: int) -> sinter.AnonTaskStats:
        """Return the statistics of at most so many shots, all of one timeline."""
        mine, began = self._sampler, time.monotonic()
        self._calls += 1
        shots = max(1, min(suggested_shots, mine.shots_per_timeline))
        found = run_supplied(
            mine.code,
            mine.supply,
            shots,
            timelines=1,
            decoder=mine.decoder,
            window=mine.window,
            beliefs=(mine.belief,),
            seed=seeds.word(self._seed, "call", self._calls),
        )
        errors = int(np.count_nonzero(found.failures[mine.belief]))
        clusters = Clusters.of([shots], [errors]).to_counts()
        return sinter.AnonTaskStats(
            shots=shots,
            errors=errors,
            discards=0,
            seconds=time.monotonic() - began,
            custom_counts=Counter({name: value for name, value in (found.counts + Counter(clusters)).items() if value}),
        )
