"""The loop in sinter's clothes: tasks with the record of an experiment, and a sampler for ``sinter.collect``.

Sinter's results files keep their eight columns, so ``sinter combine`` and ``sinter plot`` read them. What the loop adds
stands in ``custom_counts``, as whole numbers that add up over workers and runs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import sinter

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import classical_network
from hyperfabric_q.fabric.routing import route
from hyperfabric_q.scheduling.policy import Policy
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.closed_loop import run_closed
from hyperfabric_q.workloads.qec.decoders.kind import Decoder
from hyperfabric_q.workloads.qec.decoders.service import Fixed, ServiceTime
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, Experiment
from hyperfabric_q.workloads.qec.frame_loop import Workshop, run_frame
from hyperfabric_q.workloads.qec.loop import Loop, LoopResult, counts_of, timelines_of
from hyperfabric_q.workloads.qec.policies import MissPolicy
from hyperfabric_q.workloads.qec.timelines import Timeline
from hyperfabric_q.workloads.qec.transport import Transport

Mode: TypeAlias = Literal["frame", "closed"]

USUAL_SHOTS: Final = 4096

MOST_SHOTS: Final = 100_000
"""Shots of one call, so that sinter hears of progress."""

MOST_CIRCUITS: Final = 64
"""Circuits that are kept for later timelines."""


def task(
    experiment: Experiment,
    *,
    loop: Loop | None = None,
    backend: str = "stim",
    decoder: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> sinter.Task:
    """Return an experiment as a task of sinter, with its record as ``json_metadata``.

    The record has code, d, r, p, basis, noise, backend and cycle_ns, whatever the experiment's own metadata says, and
    with a loop also link_gbps, load, policy, on_miss, deadline_us, decoder, C and B.

    Args:
        experiment: what is run.
        loop: under which it will be run; only for the record.
        backend: what runs it.
        decoder: name under which sinter looks for the decoder or sampler; None leaves that to ``sinter.collect``.
        metadata: more of the record; goes before all else.
    """
    record: dict[str, Any] = {
        "code": experiment.code,
        "d": experiment.distance,
        "r": experiment.rounds,
        "basis": experiment.basis,
        "noise": experiment.noise,
        "backend": backend,
        "cycle_ns": experiment.cycle_ns,
        **_pairs_record(experiment),
        **experiment.metadata,
        **({} if loop is None else loop_record(loop)),
        **(metadata or {}),
    }
    return sinter.Task(circuit=experiment.circuit, decoder=decoder, json_metadata=record)


def _pairs_record(experiment: Experiment) -> dict[str, Any]:
    """What a results file says of Bell pairs: how many a shot takes, and their mean fidelity."""
    if not experiment.links:
        return {}
    return {"bell_per_shot": len(experiment.links), "F": float(np.mean([use.weights[0] for use in experiment.links]))}


def loop_record(loop: Loop) -> dict[str, Any]:
    """Return what a results file says of a loop."""
    commit, buffer = loop.window or (None, None)
    found: dict[str, Any] = {
        "decoder": loop.decoder_name,
        "C": commit,
        "B": buffer,
        "blocks": len(loop.transport.blocks),
        "load": sum(each.load for each in loop.transport.background),
        "policy": loop.transport.policy_name,
        "on_miss": loop.on_miss.value,
        "deadline_us": loop.transport.deadline_us,
        "link_gbps": link_gbps(loop.transport),
        "service_us": loop.service.service_ns / 1000 if isinstance(loop.service, Fixed) else repr(loop.service),
        "servers": loop.servers,
    }
    return found


def link_gbps(transport: Transport) -> float | None:
    """Return the bandwidth of the slowest channel between the first block and the decoder; None where there is none."""
    if transport.fabric is None:
        return None
    network = classical_network(transport.fabric)
    taken = route(network, transport.blocks[0], transport.decoder)
    return min((float(network.channels[number].gbps) for number in taken.channels), default=None)


def experiment_of(given: sinter.Task) -> Experiment:
    """Return the experiment behind a task, from its circuit and its record.

    Raises:
        InvalidValue: the circuit does not state the rounds of its detectors.
    """
    record = given.json_metadata if isinstance(given.json_metadata, Mapping) else {}
    circuit = given.circuit
    places = circuit.get_detector_coordinates()
    rounds = max((int(place[-1]) for place in places.values() if place), default=0)
    distance = record.get("d")
    return Experiment(
        circuit=circuit,
        node_of=("",) * circuit.num_qubits,
        rounds=int(record.get("r") or max(1, rounds)),
        code=str(record.get("code", "")),
        distance=distance if isinstance(distance, int) else None,
        basis=str(record.get("basis", "Z")),
        noise=str(record.get("noise", "")),
        cycle_ns=float(record.get("cycle_ns", DEFAULT_CYCLE_NS)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSampler(sinter.Sampler):  # type: ignore[misc]
    """A loop as a sampler of sinter; a value that pickles, since sinter sends it to its workers.

    Attributes:
        loop: decoder, transport and policy.
        mode: of the loop.
        shots_per_timeline: shots that share a replay, where replays can differ.
        seed: fixes all shots; None takes fresh ones in each worker.
    """

    loop: Loop
    mode: Mode = "frame"
    shots_per_timeline: int = USUAL_SHOTS
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise InvalidValue(field="mode", value=self.mode, rule=f"it is one of {get_args(Mode)}")
        if self.shots_per_timeline < 1:
            rule = "at least one shot shares a replay"
            raise InvalidValue(field="shots_per_timeline", value=self.shots_per_timeline, rule=rule)

    def compiled_sampler_for_task(self, task: sinter.Task) -> sinter.CompiledSampler:
        """Return what samples a task."""
        record = task.json_metadata if isinstance(task.json_metadata, Mapping) else {}
        return CompiledLoop(self, experiment_of(task), int(record.get("bell_per_shot", 0)))


class CompiledLoop(sinter.CompiledSampler):  # type: ignore[misc]
    """A loop at work on one task, one replay of the fabric after the other."""

    def __init__(self, sampler: LoopSampler, experiment: Experiment, pairs: int = 0) -> None:
        """Make circuits and decoders when they are first needed; ``pairs`` is how many Bell pairs a shot takes."""
        self._sampler = sampler
        self._experiment = experiment
        self._pairs = pairs
        self._workshop = Workshop(experiment, sampler.loop)
        self._seed = seeds.resolve(sampler.seed)
        self._calls = 0
        self._timeline: list[Timeline] = []
        self._shots = self._errors = 0

    def sample(self, suggested_shots: int) -> sinter.AnonTaskStats:
        """Return the statistics of at most so many shots, all of one timeline."""
        began = time.monotonic()
        loop, counts = self._sampler.loop, Counter[str]()
        self._calls += 1
        seed = seeds.word(self._seed, "call", self._calls)
        limit = self._sampler.shots_per_timeline
        if not self._timeline or (loop.chancy and self._shots >= limit):
            self._timeline = timelines_of(self._experiment, loop, 1, seed)
            self._shots = self._errors = 0
            counts += counts_of(loop, self._timeline)
            counts["timelines"] = 1
            if self._workshop.kept > MOST_CIRCUITS:
                self._workshop = Workshop(self._experiment, loop)
        left = limit - self._shots if loop.chancy else MOST_SHOTS
        result = self._run(max(1, min(suggested_shots, left, MOST_SHOTS)), seed)
        if loop.chancy:  # otherwise all timelines are one, and shots share nothing
            counts.update(self._grown(result.shots, result.errors))
        if self._pairs:
            counts["bell_used"] = self._pairs * result.shots
        return sinter.AnonTaskStats(
            shots=result.shots,
            errors=result.errors,
            discards=0,
            seconds=time.monotonic() - began,
            custom_counts=Counter({name: value for name, value in counts.items() if value}),
        )

    def _grown(self, shots: int, errors: int) -> dict[str, int]:
        """By how much the sums over timelines grow when the present one gets these shots."""
        n, k = self._shots, self._errors
        self._shots, self._errors = n + shots, k + errors
        return {
            "cluster_shots_sq": self._shots**2 - n**2,
            "cluster_errors_sq": self._errors**2 - k**2,
            "cluster_shots_errors": self._shots * self._errors - n * k,
        }

    def _run(self, shots: int, seed: int) -> LoopResult:
        experiment, loop, timeline = self._experiment, self._sampler.loop, self._timeline
        if self._sampler.mode == "closed":
            return run_closed(experiment, loop, shots, seed=seed, timelines=timeline, workshop=self._workshop)
        return run_frame(experiment, loop, shots, seed=seed, timelines=timeline, workshop=self._workshop)


def sampler(
    *,
    decoder: str | Decoder = "matching",
    window: tuple[int, int] | None = None,
    fabric: Fabric | None = None,
    blocks: Sequence[str] = ("",),
    decoder_node: str = "",
    background: Sequence[Background] = (),
    policy: Policy | str = "fabric",
    on_miss: str | MissPolicy = MissPolicy.WAIT,
    deadline_us: float | None = None,
    service: ServiceTime | None = None,
    servers: int = 1,
    transport: Transport | None = None,
    mode: Mode = "frame",
    shots_per_timeline: int = USUAL_SHOTS,
    seed: int | None = None,
) -> LoopSampler:
    """Return a loop that ``sinter.collect`` takes among its ``custom_decoders``.

    Args:
        decoder: what decodes, or its name.
        window: (commit, buffer) in rounds; None decodes everything at once.
        fabric: nodes and links; None for a decoder that sits at the QPU.
        blocks: node of each block.
        decoder_node: node of the decoder.
        background: other traffic.
        policy: of the channels: "fabric", "fifo", or a policy.
        on_miss: what happens on a miss.
        deadline_us: of each frame.
        service: time of a window; none unless stated.
        servers: windows that are decoded at the same time.
        transport: instead of fabric, blocks, decoder_node, background, policy and deadline_us, where more must be said.
        mode: "frame" or "closed".
        shots_per_timeline: shots that share a replay; error bars are robust over replays.
        seed: fixes all shots, for runs with one worker; several workers would repeat each other's shots.

    Raises:
        InvalidValue, UnknownName: an argument is out of range.
    """
    given = transport or Transport(
        fabric=fabric,
        blocks=tuple(blocks),
        decoder=decoder_node,
        background=tuple(background),
        policy=policy,
        deadline_us=deadline_us,
    )
    chosen = Loop(
        transport=given,
        decoder=decoder,
        window=window,
        service=service or Fixed(0.0),
        servers=servers,
        policy=on_miss,
    )
    return LoopSampler(loop=chosen, mode=mode, shots_per_timeline=shots_per_timeline, seed=seed)


def ideal(loop: Loop) -> Loop:
    """Return a loop without its fabric and with a decoder that takes no time: what the fabric's tax is measured by."""
    return replace(loop, transport=Transport(), service=Fixed(0.0), policy=MissPolicy.WAIT)
