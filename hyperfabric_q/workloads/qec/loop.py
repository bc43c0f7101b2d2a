"""The loop as one value, and what one replay of it means for a shot.

A loop is a decoder, the way to it and back, and what is done on a miss. Its replays fix how long branches wait, which
rounds were given up and what each window saw. That is all a shot needs to know; shots of one fate are run together.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.errors import BacklogWarning, InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.units import PS_PER_NS, to_ps
from hyperfabric_q.workloads.qec.backlog import decoder_load, slowdown
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoder
from hyperfabric_q.workloads.qec.decoders.service import Fixed, ServiceTime
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.policies import MissPolicy, miss_policy
from hyperfabric_q.workloads.qec.records import Clusters, histogram_us
from hyperfabric_q.workloads.qec.replay import replay
from hyperfabric_q.workloads.qec.timelines import Timeline, percentiles_us
from hyperfabric_q.workloads.qec.transport import Transport

USUAL_TIMELINES: Final = 16

LIMITS_US: Final = (1, 2, 5, 10, 20, 50, 100, 1000)
"""Steps of the latency histogram."""

_PROBE_SHOTS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Return a loop between syndromes and corrections.

    Args:
        transport: how frames travel; without a fabric they take no time.
        decoder: the decoder, or its name.
        window: (commit, buffer) in rounds; None decodes everything at once.
        service: how long a window takes; the time of a history decoded at once is per history.
        servers: windows that are decoded at the same time.
        policy: what happens on a miss.
        branches: logical rounds before which a branch needs its correction; () for a memory whose result nobody waits
            for. None is one after the last round, if frames or decoding take time, and otherwise ().
        repair_rounds: rounds that undo a speculation that was wrong; None for as many as it went on for.
        strict: refuse a decoder that is slower than the rounds, instead of warning.

    Raises:
        UnknownName: there is no such decoder or policy.
        InvalidValue: a window commits no round.
    """

    transport: Transport = field(default_factory=Transport)
    decoder: str | Decoder = "matching"
    window: tuple[int, int] | None = None
    service: ServiceTime = field(default_factory=lambda: Fixed(0.0))
    servers: int = 1
    policy: str | MissPolicy = MissPolicy.WAIT
    branches: tuple[int, ...] | None = None
    repair_rounds: int | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", miss_policy(self.policy))
        if isinstance(self.decoder, str):
            decoder(self.decoder)
        if self.window is not None and (self.window[0] < 1 or self.window[1] < 0):
            rule = "a window is (commit, buffer) in rounds, and commits at least one"
            raise InvalidValue(field="window", value=self.window, rule=rule)

    @property
    def on_miss(self) -> MissPolicy:
        """The policy as a member."""
        return miss_policy(self.policy)

    @property
    def decodes(self) -> Decoder:
        """The decoder itself."""
        return decoder(self.decoder) if isinstance(self.decoder, str) else self.decoder

    @property
    def decoder_name(self) -> str:
        """The decoder in one word, for records."""
        return self.decoder if isinstance(self.decoder, str) else type(self.decoder).__name__

    @property
    def by_defects(self) -> bool:
        """Whether service depends on what a shot holds, so that shots of one timeline fare differently."""
        few, many = np.asarray(self.service.seconds(np.array([0, 1000], dtype=np.int64))).tolist()
        return bool(few != many)

    @property
    def waits(self) -> bool:
        """Whether a logical branch waits for its correction."""
        if self.branches is not None:
            return bool(self.branches)
        return self.transport.fabric is not None or bool(np.any(self.service.seconds(np.array([0, 1000]))))

    @property
    def chancy(self) -> bool:
        """Whether two replays can differ."""
        return bool(self.transport.background or self.transport.faults)

    def decoding(self, defects_per_round: float = 0.0) -> Decoding:
        """Return what the decoder does, as far as the clock can see it."""
        commit, buffer = self.window or (None, 0)
        return Decoding(
            service=self.service,
            commit=commit,
            buffer=buffer,
            servers=self.servers,
            defects_per_round=defects_per_round,
        )


class Fate(NamedTuple):
    """What a replay means for the shots of one block.

    Attributes:
        rounds: of the circuit, those of waiting included.
        erased: rounds that were given up.
        cut: windows that saw less than their buffer: (end of what they commit, end of what they saw).
        horizon: speculation went by the rounds before this one; -1 without speculation.
        extra: rounds that a wrong speculation costs.
    """

    rounds: int
    erased: tuple[int, ...] = ()
    cut: tuple[tuple[int, int], ...] = ()
    horizon: int = -1
    extra: int = 0


def fate_of(timeline: Timeline, block: int, loop: Loop, rounds: int) -> Fate:
    """Return what a replay means for the shots of a block, in an experiment of so many logical rounds."""
    counted, wait = int(timeline.counted[block]), int(timeline.waits[block, -1]) if loop.waits else 0
    last = loop.branches[-1] if loop.branches else rounds
    policy = loop.on_miss
    if policy is MissPolicy.SPECULATE:
        repair = wait if loop.repair_rounds is None else loop.repair_rounds
        horizon = int(timeline.horizons[block, -1])
        return Fate(rounds=rounds, horizon=horizon, extra=wait + repair if wait else 0)
    erased = tuple(np.flatnonzero(timeline.erased[block, :counted]).tolist())
    cut: tuple[tuple[int, int], ...] = ()
    if policy is MissPolicy.SHRINK_BUFFER and loop.window is not None:
        mine = timeline.windows[timeline.windows[:, 0] == block]
        short = mine[:, 3] < mine[:, 2] + loop.window[1]
        cut = tuple((int(end), int(seen)) for end, seen in mine[short][:, 2:4])
    return Fate(rounds=rounds + counted - last + wait, erased=erased, cut=cut)


# ------------------------------------------------------------------------------------------------------------ checks


def defects_per_round(experiment: Experiment, seed: int) -> float:
    """Return how many detection events a round has on average, from 256 shots."""
    sampler = experiment.circuit.compile_detector_sampler(seed=seeds.word(seed, "probe"))
    events = np.asarray(sampler.sample(_PROBE_SHOTS))
    return float(events.sum(axis=1).mean()) / (experiment.rounds + 1)


def check(experiment: Experiment, loop: Loop, decoding: Decoding) -> None:
    """Warn of what cannot keep up, and refuse what cannot work.

    Raises:
        InvalidValue: a round takes longer than a qubit keeps its state, or, in strict mode, the decoder is slower than
            the rounds.
    """
    if loop.branches and loop.branches[-1] > experiment.rounds:
        rule = f"branches stand before rounds up to {experiment.rounds}, the end of the experiment"
        raise InvalidValue(field="branches", value=loop.branches, rule=rule)
    fabric = loop.transport.fabric
    if fabric is not None:
        for node_id in sorted(set(loop.transport.blocks) | set(experiment.node_of) - {""}):
            if node_id not in fabric:
                continue
            node = fabric.node(node_id)
            times = [each for each in (node.quantum_coherence_time_us, node.t2_us) if each is not None]
            if times and experiment.cycle_ns >= 1000 * min(times):
                raise InvalidValue(
                    field="cycle_ns",
                    value=experiment.cycle_ns,
                    rule=f"a round must end before qubits forget: {node_id!r} keeps them for {1000 * min(times):g} ns",
                    remedy="Use a shorter cycle, or qubits of longer coherence.",
                )
    rho = 0.0
    if loop.window is not None:
        rho = decoder_load(decoding, to_ps(ns=experiment.cycle_ns), len(loop.transport.blocks))
    if rho >= 1:
        service, period = decoding.window_service_ps, loop.window[0] * experiment.cycle_ns if loop.window else 0.0
        found = (
            f"{len(loop.transport.blocks)} block(s) send a window every {period:g} ns each, and one takes "
            f"{service / PS_PER_NS:g} ns on one of {loop.servers} decoder(s): utilisation {rho:.3g}, slowdown after 50 "
            f"non-Clifford gates ×{slowdown(rho, 50):.4g}"
        )
        if loop.strict:
            raise InvalidValue(
                field="service", value=loop.service, rule=f"the decoder is slower than the rounds: {found}"
            )
        warnings.warn(f"the decoder is slower than the rounds: {found}", BacklogWarning, stacklevel=3)


def timelines_of(experiment: Experiment, loop: Loop, count: int, seed: int) -> list[Timeline]:
    """Return replays of a loop: one per timeline of its own seed, a single one where two could not differ.

    Raises:
        InvalidValue, DeadlineImpossible, SimulationRefused: the loop cannot work; see ``check`` and ``replay``.
    """
    decoding = loop.decoding(defects_per_round(experiment, seed) if loop.by_defects else 0.0)
    check(experiment, loop, decoding)
    bits = int(experiment.bits_per_round[: experiment.rounds].max(initial=1))
    return [
        replay(
            loop.transport,
            decoding,
            cycle_ns=experiment.cycle_ns,
            bits=bits,
            branches=loop.branches or (experiment.rounds,),
            policy=loop.on_miss,
            seed=seeds.word(seed, "timeline", number),
        )
        for number in range(count if loop.chancy else 1)
    ]


def replays_for(
    experiment: Experiment, loop: Loop, shots: int, timelines: int | Sequence[Timeline], seed: int
) -> list[Timeline]:
    """Return the replays of a run: those that are given, or as many new ones as are asked for and can differ.

    Raises:
        InvalidValue: there is not one shot or timeline, or timelines differ in blocks; and what ``timelines_of``
            raises.
    """
    count = timelines if isinstance(timelines, int) else len(timelines)
    if shots < 1 or count < 1:
        raise InvalidValue(field="shots, timelines", value=(shots, count), rule="there is at least one of each")
    if isinstance(timelines, int):
        return timelines_of(experiment, loop, min(timelines, shots), seed)
    if len({each.blocks for each in timelines}) > 1:
        found = sorted({each.blocks for each in timelines})
        raise InvalidValue(field="timelines", value=found, rule="all of them have the same number of blocks")
    return list(timelines)


# ----------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoopResult:
    """Return what a run of a loop gave.

    Attributes:
        mode: "frame", "closed" or "aer".
        shots, errors: in all.
        timeline_shots, timeline_errors: per timeline.
        failures: of each shot, in order of timeline and block.
        rounds: logical rounds of a shot.
        counts: frames by status and by latency, rounds of stalling, and what else adds up.
        timelines: the replays.
        seconds: CPU time.
    """

    mode: str
    shots: int
    errors: int
    timeline_shots: NDArray[np.int64]
    timeline_errors: NDArray[np.int64]
    failures: NDArray[np.bool_]
    rounds: int
    counts: Counter[str]
    timelines: tuple[Timeline, ...]
    seconds: float

    @property
    def clusters(self) -> Clusters:
        """The sums that error bars are made of."""
        return Clusters.of(self.timeline_shots, self.timeline_errors)

    @property
    def failure(self) -> Estimate:
        """The logical error probability per shot, its bar robust over timelines."""
        return self.clusters.estimate()

    def percentiles_us(self) -> dict[str, dict[str, float]]:
        """Return p50, p99, p99.9 and the maximum of each stage over all timelines, in µs."""
        stages = [{"one_way": each.one_way_ps(), **each.stages_ps()} for each in self.timelines]
        return {name: percentiles_us(np.concatenate([each[name] for each in stages])) for name in stages[0]}

    def __repr__(self) -> str:
        return f"<LoopResult: {self.mode}, {self.errors} of {self.shots} shots failed, {self.failure}>"


def counts_of(loop: Loop, timelines: list[Timeline]) -> Counter[str]:
    """Return what adds up over timelines: frames by status and latency, misses, waits, shed messages."""
    found: Counter[str] = Counter()
    limit_us = loop.transport.deadline_us
    for each in timelines:
        one_way = each.one_way_ps()
        found.update({f"frames_{status.value}": count for status, count in each.counts.items()})
        found["frames"] += int(each.counted.sum())
        found.update(histogram_us(one_way, LIMITS_US))
        if limit_us is not None:
            found["deadline_miss"] += each.missed
        found["stall_rounds"] += int(each.waits.sum()) if loop.waits else 0
        found["erased_rounds"] += int(each.erased.sum())
        found["background_shed"] += each.background["shed"]
        found["backlog"] += int(np.count_nonzero(each.windows[:, 5] > each.windows[:, 4]))
    return found


def result_of(
    mode: str,
    experiment: Experiment,
    failures: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    timelines: list[Timeline],
    counts: Counter[str],
    seconds: float,
) -> LoopResult:
    """Return a result, given which shots failed and to which timeline each belongs."""
    errors = np.bincount(cluster[failures], minlength=len(timelines)).astype(np.int64)
    return LoopResult(
        mode=mode,
        shots=len(failures),
        errors=int(errors.sum()),
        timeline_shots=np.bincount(cluster, minlength=len(timelines)).astype(np.int64),
        timeline_errors=errors,
        failures=failures,
        rounds=experiment.rounds,
        counts=counts,
        timelines=tuple(timelines),
        seconds=seconds,
    )


def shares(shots: int, timelines: int, blocks: int, seed: int) -> NDArray[np.int64]:
    """Return how many shots each block of each timeline gets, shape (timelines, blocks), as even as can be.

    Who gets the odd ones is drawn, so that many small runs do not favour the first block.
    """
    cells = timelines * blocks
    even = np.full(cells, shots // cells, dtype=np.int64)
    even[seeds.stream(seed, "odd").permutation(cells)[: shots % cells]] += 1
    return even.reshape(timelines, blocks)
