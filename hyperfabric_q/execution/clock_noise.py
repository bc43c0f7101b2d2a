"""The errors of a run from the clock: how old each Bell pair is when it is used, and how long each qubit waits.

* A pair decays in the memories of both ends from its emission to its use; its state at use is exact for T1 and T2 of
  both halves. Only its four Bell-diagonal weights count: the outcomes of the protocol that spends it average out
  everything else (Pauli tracking of teleported gates).
* A logical qubit that waits on a wire relaxes with T1 and T2 of the wire's node. A node that states none is perfect.

Over many runs, the mean of a channel is a channel of the same kind: mean weights for a pair, and for a wait the mean
of exp(-t/T1) and of exp(-t/T2), which are written as the T1 and T2 of one wait of mean length.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.operations import _Reader
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.state import weights
from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.execution.noise import Noise, fresh_errors
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.fabric import Fabric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.distribution.timetable import Timetable

Floats = NDArray[np.float64]

_PS: Final = 1e-12


def fresh_noise(plan: Plan, kind: Noise) -> RunNoise:
    """Return errors in which no time passes: every pair in the state its link states, no waits; O(instructions).

    Args:
        plan: what runs.
        kind: "links" has no local errors, "none" no errors at all.

    Raises:
        InternalError: a pair stands between nodes that no quantum link joins.
    """
    return fresh_errors(plan.routed.circuit, plan.routed.node_of, plan.fabric, kind)


def clock_noise(plan: Plan, kind: Noise, timetable: Timetable, run: int | None = None) -> RunNoise:
    """Return the errors of one run on the clock, or their mean over all runs of the timetable; O(instructions x runs).

    Args:
        plan: what runs.
        kind: "fabric"; "links" has pairs in the state of their use and nothing else, "none" no errors at all.
        timetable: of ``plan.schedule``.
        run: which run of mode "sampled"; None = the mean of each channel over all of them, which is exact as long as
            these vary independently.

    Raises:
        InvalidValue: the timetable has no such run.
    """
    return clock_noises(plan, kind, timetable, [run])[0]


def clock_noises(plan: Plan, kind: Noise, timetable: Timetable, runs: Iterable[int | None]) -> tuple[RunNoise, ...]:
    """Return ``clock_noise`` of several runs, what they share being computed once."""
    chosen = []
    for run in runs:
        if run is not None and not 0 <= run < timetable.runs:
            raise InvalidValue(field="run", value=run, rule=f"the timetable has {timetable.runs} run(s), from 0 on")
        chosen.append(slice(None) if run is None else slice(run, run + 1))
    if kind is Noise.NONE:
        return (fresh_noise(plan, kind),) * len(chosen)
    pairs = weights_at_use(timetable)
    waits = _Waits.of(plan, timetable) if kind is Noise.FABRIC else None
    return tuple(
        RunNoise(
            pair_weights=pairs[some].mean(axis=0),
            idles=waits.idles(some) if waits is not None else (),
            local=kind is Noise.FABRIC,
        )
        for some in chosen
    )


def weights_at_use(timetable: Timetable) -> Floats:
    """Return the weights of each pair when it is used, in every run, shape (runs, pairs, 4)."""
    found = weights(timetable.pairs.correlators).reshape(timetable.runs, len(timetable.pairs), 4).clip(min=0.0)
    normalised: Floats = found / found.sum(axis=-1, keepdims=True)
    return normalised


def waits_ps(timetable: Timetable) -> NDArray[np.int64]:
    """Return how long each gap of ``timetable.operations`` is, in every run, shape (runs, gaps)."""
    gaps, runs = timetable.operations.gaps, timetable.runs
    starts = timetable.start_ps.reshape(runs, -1)
    ends = timetable.end_ps.reshape(runs, -1)
    last = np.broadcast_to(timetable.makespan_ps.reshape(runs, 1), (runs, len(gaps.until)))
    if not len(gaps.until):
        return np.zeros((runs, 0), dtype=np.int64)
    waited: NDArray[np.int64] = np.where(gaps.until < 0, last, starts[:, gaps.until]) - ends[:, gaps.after]
    return waited


def memories(plan: Plan, timetable: Timetable) -> list[Memory]:
    """Return how qubits decay on each node of ``timetable.operations``."""
    return [Memory.of(plan.fabric.node(node_id)) for node_id in timetable.operations.nodes]


def kept(plan: Plan, timetable: Timetable) -> tuple[Floats, Floats]:
    """Return exp(-t/T1) and exp(-t/T2) of each gap in each run, both (runs, gaps)."""
    nodes, gaps = memories(plan, timetable), timetable.operations.gaps
    waited = waits_ps(timetable).astype(np.float64)
    rates = np.array([(float(each.rate_z), float(each.rate_x)) for each in nodes]).reshape(-1, 2)[gaps.node]
    return np.exp(-waited * rates[:, 0]), np.exp(-waited * rates[:, 1])


class _Waits(NamedTuple):
    """Every gap of a timetable in every run."""

    before: list[int]
    wires: list[int]
    duration_s: Floats
    level: Floats
    coherence: Floats

    @classmethod
    def of(cls, plan: Plan, timetable: Timetable) -> _Waits:
        gaps = timetable.operations.gaps
        return cls(
            np.where(gaps.until < 0, len(timetable.operations), gaps.until).tolist(),
            gap_wires(plan.routed, plan.fabric),
            np.asarray(waits_ps(timetable) * _PS, dtype=np.float64),
            *kept(plan, timetable),
        )

    def idles(self, runs: slice) -> tuple[Idle, ...]:
        """Return the mean of every wait that does anything over some runs."""
        means = (each[runs].mean(axis=0).tolist() for each in (self.duration_s, self.level, self.coherence))
        return tuple(
            Idle(before, wire, duration, _time_constant(duration, level), _time_constant(duration, coherence))
            for before, wire, duration, level, coherence in zip(self.before, self.wires, *means, strict=True)
            if coherence < 1
        )


def _time_constant(duration: float, left: float) -> float:
    """Return the time constant that leaves that share of one after ``duration``."""
    if left >= 1:
        return math.inf
    # Nothing at all is left after some 745 time constants.
    return duration / min(-math.log(left), 700.0) if left > 0 else duration / 700.0


class _WiresOfGaps(_Reader):
    """Notes the wire of each gap, in the order of ``Operations.gaps``, which names the qubit and the node only."""

    def __init__(self, lowered: Lowered, fabric: Fabric) -> None:
        super().__init__(lowered, fabric)
        self.wires_of_gaps: list[int] = []

    def _idle(self, wire: int, until: int) -> None:
        if self._held[wire] >= 0:
            self.wires_of_gaps.append(wire)
        super()._idle(wire, until)


def gap_wires(lowered: Lowered, fabric: Fabric) -> list[int]:
    """Return the wire of each gap of ``operations_of(lowered, fabric)``; O(instructions)."""
    reader = _WiresOfGaps(lowered, fabric)
    for instruction in lowered.circuit.data:
        reader.read(instruction)
    operations: Any = reader.operations()
    if len(operations.gaps.until) != len(reader.wires_of_gaps):
        raise InternalError(what="the waits of the clock and those of the noise are not the same")
    return reader.wires_of_gaps
