"""The steps of a hybrid training: what is computed where, what goes over the fabric, and what comes of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import EndedEarly, InvalidValue
from hyperfabric_q.execution.progress import Progress, reporting
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.accelerators import FLOPS, PEAK_FLOPS_PER_S
from hyperfabric_q.seeds import stream, word
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.workloads.learning.hybrid import checkpoint as on_disk
from hyperfabric_q.workloads.learning.hybrid.checkpoint import State
from hyperfabric_q.workloads.learning.hybrid.data import Samples
from hyperfabric_q.workloads.learning.hybrid.groups import Group, Ran
from hyperfabric_q.workloads.learning.hybrid.history import Stopped, TrainingHistory, TrainingRow
from hyperfabric_q.workloads.learning.hybrid.model import Encoded, Layout
from hyperfabric_q.workloads.learning.hybrid.optimisers import Optimiser
from hyperfabric_q.workloads.learning.hybrid.report import StepReport
from hyperfabric_q.workloads.learning.hybrid.step import AsyncStep, StepContext, Steps
from hyperfabric_q.workloads.learning.network import Network
from hyperfabric_q.workloads.learning.turns import Floats


class StepMaker(Protocol):
    """What makes steps: a live fabric."""

    @property
    def fabric(self) -> Fabric:
        """The fabric as it stands."""
        ...

    def step(self, nodes: Sequence[str]) -> StepContext:
        """Return a step of some nodes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """A training, checked and prepared.

    Attributes:
        layout: of the parameters.
        network: the circuit, with the places of its inputs and weights.
        groups: of QPU nodes.
        gpu: node of the classical layers.
        loader: node that samples come from.
        samples: to learn from.
        held: of which the loss decides about ending early.
        optimiser: that takes the steps.
        batch_size: samples of a step.
        patience, min_delta: when to end early.
        steps: in all.
        seed: of everything that is drawn.
        path: of the state on disk.
        every: how many steps apart it is kept.
        fingerprint: of the training.
        state: that it goes on from.
    """

    layout: Layout
    network: Network
    groups: tuple[Group, ...]
    gpu: str
    loader: str | None
    samples: Samples
    held: Samples | None
    optimiser: Optimiser
    batch_size: int | None
    patience: int | None
    min_delta: float
    steps: int
    seed: int
    path: Path | None
    every: int
    fingerprint: str
    state: State | None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The GPU node and all QPU nodes: those that the circuit's gradient is reduced over."""
        return tuple(dict.fromkeys([self.gpu, *(node for group in self.groups for node in group.nodes)]))

    def begun(self) -> State:
        """Return the state before the first step, or the one to go on from."""
        if self.state is not None:
            return self.state
        first = self.layout.first(self.seed)
        return State(
            fingerprint=self.fingerprint,
            seed=self.seed,
            step=0,
            parameters=first,
            moments=self.optimiser.begun(len(first)),
            best_loss=math.inf,
            best_step=1,
            best_parameters=first,
            clock_ps=0,
        )

    def batch(self, number: int) -> tuple[NDArray[np.int64], int]:
        """Return the places of the samples of a step, and how many times all had been used before."""
        count = len(self.samples)
        size = min(self.batch_size or count, count)
        epoch, part = divmod(number - 1, -(-count // size))
        if size == count:
            return np.arange(count), epoch
        order = stream(self.seed, "hybrid", "epoch", epoch).permutation(count)
        return order[part * size : (part + 1) * size], epoch

    def outputs(self, row: Floats, samples: Floats, *, seed: int) -> Floats:
        """Return what the head makes of samples, (B, outputs), beside the clock."""
        layout, group = self.layout, self.groups[0]
        _, weights, head = layout.parts(row)
        rows = self.network.rows(layout.encoded(row, samples).angles, weights)
        angles = group.source.form.angles.at(rows)
        shots = None if group.exact else group.shots
        values = group.source.read(angles, shots=shots, seed=word(seed, "hybrid", "outputs")).values
        return layout.head.forward(head, values)[0]


class Passed(NamedTuple):
    """What one way through and back gave: the loss, its error, the gradient, the circuit's part of its error, notes."""

    loss: float
    loss_error: float
    gradient: Floats
    circuit_error: float
    notes: dict[str, None]


class _Shard(NamedTuple):
    """The samples of a batch that one group has."""

    group: Group
    places: NDArray[np.int64]
    rows: Floats


class _Pass:
    """One way through and back of a batch."""

    def __init__(self, loop: Loop, step: AsyncStep, fabric: Fabric, row: Floats, number: int) -> None:
        self.loop, self.step, self.fabric, self.row = loop, step, fabric, row
        self.seed = word(loop.seed, "hybrid", "step", number)
        self.notes: dict[str, None] = {}

    async def through(self, batch: NDArray[np.int64]) -> Passed:
        """Return the loss of a batch and its gradient."""
        loop, layout = self.loop, self.loop.layout
        samples = loop.samples.rows[batch]
        if loop.loader is not None and loop.loader != loop.gpu:
            await self.step.send(loop.loader, loop.gpu, samples)
        encoded = layout.encoded(self.row, samples)
        self._charge(loop.gpu, layout.encoder.flops(len(batch)))
        shards = self._shards(encoded, len(batch))
        await self._to_qpus(shards, encoded.angles)
        rans = [self._run(shard, place) for place, shard in enumerate(shards)]
        await self._to_gpu([(shard, ran.values) for shard, ran in zip(shards, rans, strict=True)])
        values = np.concatenate([ran.values for ran in rans])
        errors = np.concatenate([ran.value_errors for ran in rans])
        head = layout.parts(self.row)[2]
        outputs, kept = layout.head.forward(head, values)
        loss, by_output = loop.samples.loss(batch)(outputs)
        by_head, by_value = layout.head.backward(head, kept, by_output)
        self._charge(loop.gpu, 3 * layout.head.flops(len(batch)))
        await self._to_qpus(shards, by_value)
        by_angle, by_weight, variance = await self._circuit_back(shards, rans, by_value)
        by_encoder = layout.decoded(self.row, encoded, by_angle)
        self._charge(loop.gpu, 2 * layout.encoder.flops(len(batch)))
        reduced = await self._reduced(shards, by_weight)
        self._charge(loop.gpu, 10 * layout.size)
        return Passed(
            loss=loss,
            loss_error=float(np.sqrt((by_value**2 * errors**2).sum())),
            gradient=np.concatenate([by_encoder, reduced, by_head]),
            circuit_error=float(np.sqrt(variance)),
            notes=self.notes,
        )

    def _shards(self, encoded: Encoded, count: int) -> list[_Shard]:
        loop = self.loop
        weights = loop.layout.parts(self.row)[1]
        parts = np.array_split(np.arange(count), len(loop.groups))
        return [
            _Shard(group, places, loop.network.rows(encoded.angles[places], weights))
            for group, places in zip(loop.groups, parts, strict=True)
            if len(places)
        ]

    def _run(self, shard: _Shard, place: int) -> Ran:
        ran = shard.group.run(shard.rows, word(self.seed, place))
        self.notes.update(dict.fromkeys(ran.notes))
        if shard.group.plan is not None:
            self.step.ran(shard.group.plan, shots=shard.group.charged(len(shard.places), ran))
        return ran

    async def _circuit_back(
        self, shards: list[_Shard], rans: list[Ran], by_value: Floats
    ) -> tuple[Floats, list[Floats], float]:
        """Return derivatives by the angles, those by the weights of each shard, and the variance of the latter."""
        network = self.loop.network
        by_angle, by_weight, variance = [], [], 0.0
        for shard, ran in zip(shards, rans, strict=True):
            found, spread = shard.group.pulled_back(shard.rows, ran, by_value[shard.places])
            by_angle.append(found[:, network.inputs])
            by_weight.append(found[:, network.weights].sum(axis=0))
            variance += float(spread[:, network.weights].sum())
            if ran.jacobian is not None and shard.group.nodes:
                self._charge(shard.group.nodes[0], 2 * ran.jacobian.size, quiet=True)
        await self._to_gpu(list(zip(shards, by_angle, strict=True)))
        return np.concatenate(by_angle), by_weight, variance

    async def _reduced(self, shards: list[_Shard], by_weight: list[Floats]) -> Floats:
        """Return the gradient by the circuit's weights, reduced over the GPU node and all QPU nodes.

        The nodes of a group have one gradient together, which the first of them brings; the others bring zeros.
        """
        nodes = self.loop.nodes
        if len(nodes) == 1:
            return np.asarray(np.sum(by_weight, axis=0))
        brings = dict.fromkeys(nodes, np.zeros(self.loop.layout.weights))
        for shard, own in zip(shards, by_weight, strict=True):
            brings[shard.group.nodes[0]] = brings[shard.group.nodes[0]] + own
        return np.asarray(await self.step.all_reduce(brings, op="sum", nodes=nodes))

    async def _to_qpus(self, shards: list[_Shard], rows: Floats) -> None:
        messages = [
            (self.loop.gpu, node, rows[shard.places])
            for shard in shards
            for node in shard.group.nodes
            if node != self.loop.gpu
        ]
        if messages:
            await self.step.send_all(messages, data_type=DataType.ACTIVATION)

    async def _to_gpu(self, answers: list[tuple[_Shard, Floats]]) -> None:
        messages = [
            (shard.group.nodes[0], self.loop.gpu, found)
            for shard, found in answers
            if shard.group.nodes and shard.group.nodes[0] != self.loop.gpu
        ]
        if messages:
            await self.step.send_all(messages, data_type=DataType.ACTIVATION)

    def _charge(self, node: str, flops: float, *, quiet: bool = False) -> None:
        signature = self.fabric.node(node)
        if FLOPS in signature.metadata or signature.hardware_type in PEAK_FLOPS_PER_S:
            self.step.compute(node, flops=flops)
        elif not quiet:
            self.notes[f"work of {node!r} took no time: its metadata does not state {FLOPS!r}"] = None


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """A training under way.

    Attributes:
        loop: what is trained, and how.
        progress: who wants to know how far it is.
    """

    loop: Loop
    progress: Progress
    state: State = field(init=False)
    _stopping: bool = field(default=False, init=False)
    _saved: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        self.state = self.loop.begun()
        self._saved = self.state.step if self.loop.state is not None else -1

    def stop(self) -> None:
        """End after the present step; for other threads."""
        self._stopping = True

    async def run(self, maker: StepMaker) -> TrainingHistory:
        """Return the history, after all steps that are to be taken, or as many as there were before Ctrl-C."""
        loop = self.loop
        if isinstance(maker, Steps):
            await maker.until(self.state.clock_ps)
        with reporting(self.progress, total=loop.steps, what="steps") as report:
            report.advance(min(self.state.step, loop.steps))
            try:
                while self.state.step < loop.steps and not self.state.ended and not self._stopping:
                    self.state = await self._next(maker, self.state)
                    if self.state.step % loop.every == 0:
                        self._save()
                    report.advance()
            except KeyboardInterrupt:
                self._stopping = True
        return self.interrupted() if self._stopping else self._history("early" if self.state.ended else "steps")

    def interrupted(self) -> TrainingHistory:
        """Return the history so far, with a warning that there is no more."""
        text = f"training was interrupted after {self.state.step} of {self.loop.steps} steps"
        warnings.warn(EndedEarly(text), stacklevel=2)
        return self._history("interrupted")

    def kept(self) -> Floats:
        """Return the parameters that training leads to."""
        state = self.state
        chosen = state.parameters if self.loop.patience is None else state.best_parameters
        return chosen.copy()

    def _history(self, stopped: Stopped) -> TrainingHistory:
        self._save()
        return TrainingHistory(
            rows=self.state.rows, stopped=stopped, seed=self.loop.seed, notes=tuple(sorted(self.state.notes))
        )

    def _save(self) -> None:
        if self.loop.path is not None and self._saved != self.state.step:
            on_disk.save(self.loop.path, self.state)
            self._saved = self.state.step

    async def _next(self, maker: StepMaker, state: State) -> State:
        """Return the state after one more step."""
        loop, number = self.loop, state.step + 1
        batch, epoch = loop.batch(number)
        async with maker.step(loop.nodes) as step:
            passed = await _Pass(loop, step, maker.fabric, state.parameters, number).through(batch)
        if not math.isfinite(passed.loss) or not np.isfinite(passed.gradient).all():
            rule = f"the loss of step {number} is no finite number"
            raise InvalidValue(field="learning_rate", value=passed.loss, rule=rule, remedy="Lower it, or scale X.")
        held = self._held(state.parameters)
        judged = passed.loss if held is None else held
        better = judged < state.best_loss - loop.min_delta
        best_step = number if better else state.best_step
        moved, moments = loop.optimiser.moved(state.parameters, passed.gradient, state.moments, number)
        row = _row(number, epoch, passed, held, step.report)
        return replace(
            state,
            step=number,
            parameters=moved,
            moments=moments,
            best_loss=judged if better else state.best_loss,
            best_step=best_step,
            best_parameters=state.parameters if better else state.best_parameters,
            clock_ps=step.report.end_ps,
            rows=(*state.rows, row),
            notes=tuple(sorted({*state.notes, *passed.notes, *step.report.notes})),
            ended=loop.patience is not None and number - best_step >= loop.patience,
        )

    def _held(self, row: Floats) -> float | None:
        held = self.loop.held
        if held is None:
            return None
        outputs = self.loop.outputs(row, held.rows, seed=self.loop.seed)
        return held.loss(slice(None))(outputs)[0]


def _row(number: int, epoch: int, passed: Passed, held: float | None, report: StepReport) -> TrainingRow:
    figures: dict[str, Any] = {
        name: getattr(report, name)
        for name in ("start_ns", "end_ns", "quantum_ns", "network_ns", "classical_ns", "waiting_ns")
    }
    return TrainingRow(
        step=number,
        epoch=epoch,
        loss=passed.loss,
        loss_error=passed.loss_error,
        validation=held,
        gradient_norm=float(np.linalg.norm(passed.gradient)),
        gradient_error=passed.circuit_error,
        pairs=report.pairs,
        shots=report.shots,
        nbytes=report.nbytes,
        bound_ns=report.bound_ns,
        **figures,
    )
