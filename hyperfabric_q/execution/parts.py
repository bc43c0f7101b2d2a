"""A run in parts: the shots of each timeline, long ones in batches, here or wherever an executor has workers.

How shots fall into parts, and the seed of each part, follow from the run alone: not from the executor, the store, the
machine or its speed. So the counts are the same however the parts are run, and whichever of them a store knew already.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import ExecutorUnreachable, SimulationRefused
from hyperfabric_q.execution.carried import noise_as_values, noise_from_values, plan_as_values, plan_from_values
from hyperfabric_q.execution.dispatch import METHODS, function_of
from hyperfabric_q.execution.jobs import Job, task
from hyperfabric_q.execution.methods import LONGEST_S
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.seeds import word

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.timelines import Timelines

KIND: Final = "plan_sample"

VERSIONS: Final[Mapping[str, int]] = {"dynamic": 1, "channel": 1, "clifford": 1, "mps": 1, "exact": 1}
"""Of each method; raised whenever its counts change, so that a store forgets the old ones."""

BATCH_S: Final = 2.5
"""Predicted seconds of one batch: what an interruption may lose, and little beside what a batch costs to start."""

MOST_BATCHES: Final = 256

_WASTE: Final = 1.25
"""What batches may cost together, as a multiple of one run without them."""

_STEP_S: Final = 3e-6
_AMPLITUDE_S: Final = 3e-9
"""Of state vectors, shot by shot; see ``execution.methods``."""

_WIDE: Final = 60

_FRAME_S: Final = 5e-10
_BIT_S: Final = 1e-7
"""Of Clifford circuits, per operation and shot, and per reported bit and shot; see ``execution.clifford``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Some shots of one timeline.

    Attributes:
        plan: what runs, measurements included.
        noise: its errors.
        method: a name in ``execution.dispatch``.
        shots: how many.
        seed: of everything that is drawn.
        reported: registers of the circuit.
        place: which part of its run it is.
        seconds: a guess of what it takes; None = no idea.
    """

    plan: Plan
    noise: RunNoise
    method: str
    shots: int
    seed: int
    reported: tuple[ClassicalRegister, ...]
    place: tuple[str | int, ...]
    seconds: float | None

    def sample(self) -> Sample:
        """Return its sample, taken in this process."""
        function = function_of(self.method)
        found: Sample = function(self.plan, self.noise, shots=self.shots, seed=self.seed, reported=self.reported)
        return found

    def job(self, written: dict[int, dict[str, Any]]) -> Job:
        """Return the job of taking its sample; ``written`` holds plans as plain values, by identity, for all parts."""
        if id(self.plan) not in written:
            written[id(self.plan)] = plan_as_values(self.plan)
        return Job(
            kind=KIND,
            arguments={
                **written[id(self.plan)],
                "noise": noise_as_values(self.noise),
                "method": [self.method, VERSIONS.get(self.method, 1)],
                "shots": self.shots,
                "reported": [register.name for register in self.reported],
            },
            seed=self.seed,
            path=self.place,
            seconds=self.seconds,
        )

    def read(self, outcome: Any) -> Sample:
        """Return the sample that its job returned."""
        return sample_from_values(outcome, [register.size for register in self.reported])


@task(KIND, version=1)
def plan_sample(job: Job) -> dict[str, Any]:
    """Return the sample of a part; ``Part.job`` makes such jobs."""
    given = job.arguments
    method, version = given["method"]
    if version != VERSIONS.get(method, 1):
        text = f"method {method!r} has version {VERSIONS.get(method, 1)} on the worker, the job was made for {version}"
        raise ExecutorUnreachable(executor="worker", reason=text)
    plan = plan_from_values(given["circuit"], given["plan"])
    registers = {register.name: register for register in plan.routed.circuit.cregs}
    found: Sample = function_of(method)(
        plan,
        noise_from_values(given["noise"]),
        shots=given["shots"],
        seed=job.seed,
        reported=[registers[name] for name in given["reported"]],
    )
    return sample_as_values(found)


def sample_as_values(sample: Sample) -> dict[str, Any]:
    """Return a sample as plain values; bit 0 of a value is the last character of a key."""
    return {
        "counts": {hex(int(key.replace(" ", "") or "0", 2)): hits for key, hits in sample.counts.items()},
        "method": sample.method,
        "wires": sample.wires,
        "approximations": list(sample.approximations),
    }


def sample_from_values(given: Mapping[str, Any], sizes: Sequence[int]) -> Sample:
    """Return the sample that ``sample_as_values`` wrote, of registers of these sizes."""
    counts = {_spelled(int(value, 16), sizes): hits for value, hits in given["counts"].items()}
    return Sample(
        counts=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        method=given["method"],
        wires=given["wires"],
        approximations=tuple(given["approximations"]),
    )


def _spelled(value: int, sizes: Sequence[int]) -> str:
    bits = f"{value:0{max(1, sum(sizes))}b}" if sum(sizes) else ""
    words, start = [], 0
    for size in reversed(sizes):
        words.append(bits[start : start + size])
        start += size
    return " ".join(words)


# -- which parts there are ---------------------------------------------------------------------------------------------


def parts_of(
    plan: Plan,
    timelines: Timelines,
    method: str,
    *,
    shots: int,
    seed: int,
    reported: Sequence[ClassicalRegister],
    place: tuple[str | int, ...] = (),
) -> list[list[Part]]:
    """Return the parts of each timeline that has shots.

    Args:
        plan: what runs, measurements included.
        timelines: its errors.
        method: a name in ``execution.dispatch``.
        shots: of all timelines together.
        seed: of everything that is drawn.
        reported: registers of the circuit.
        place: which part of the run all of them are.
    """
    single = len(timelines) == 1
    found, known = list[list[Part]](), dict[int, tuple[int, float | None]]()
    for number, (noise, share) in enumerate(timelines.shares(shots)):
        if not share:
            continue
        if share not in known:
            known[share] = _batches(plan, noise, method, share, reported)
        count, seconds = known[share]
        own = seed if single else word(seed, "timeline", number)
        each, rest = divmod(share, count)
        found.append(
            [
                Part(
                    plan=plan,
                    noise=noise,
                    method=method,
                    shots=each + (batch < rest),
                    seed=own if count == 1 else word(own, "batch", batch),
                    reported=tuple(reported),
                    place=(*place, "timeline", number, *(() if count == 1 else ("batch", batch))),
                    seconds=seconds,
                )
                for batch in range(count)
            ]
        )
    return found


def _batches(
    plan: Plan, noise: RunNoise, method: str, shots: int, reported: Sequence[ClassicalRegister]
) -> tuple[int, float | None]:
    """How many batches the shots of a timeline make, and what one of them takes; one where batches save no time."""
    whole = _predicted(plan, noise, method, shots, reported)
    if whole is None or not whole < LONGEST_S:
        return 1, None
    count = min(int(whole / BATCH_S), MOST_BATCHES, shots)
    if count < 2:
        return 1, whole
    one = _predicted(plan, noise, method, -(-shots // count), reported)
    if one is None or count * one > _WASTE * whole:
        return 1, whole
    return count, one


def _predicted(
    plan: Plan, noise: RunNoise, method: str, shots: int, reported: Sequence[ClassicalRegister]
) -> float | None:
    """The seconds that some shots take, by the costs that methods are chosen by; None where nothing is known."""
    circuit = plan.routed.circuit
    if method == "exact":
        return 0.0
    if method == "clifford":
        bits = sum(register.size for register in reported)
        return float(shots * (_FRAME_S * len(circuit.data) + _BIT_S * bits))
    step = _STEP_S + _AMPLITUDE_S * 2.0 ** min(circuit.num_qubits, _WIDE)
    if method == "dynamic" and shots * len(circuit.data) * step < BATCH_S:
        return 0.0  # shot by shot is one way of many: it takes no longer than that
    predict = getattr(importlib.import_module(METHODS[method].partition(":")[0]), "predicted_seconds", None)
    if predict is None:
        return None
    with suppress(SimulationRefused):
        return float(predict(plan, noise, shots=shots, reported=reported))
    return None


def merged(samples: Sequence[Sample | None]) -> Sample | None:
    """Return the batches of one timeline as one sample, those that are missing left out; None where all are."""
    there = [each for each in samples if each is not None]
    if not there:
        return None
    counts: dict[str, int] = {}
    for each in there:
        for key, hits in each.counts.items():
            counts[key] = counts.get(key, 0) + hits
    return Sample(
        counts=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        method=there[0].method,
        wires=max(each.wires for each in there),
        approximations=tuple(dict.fromkeys(note for each in there for note in each.approximations)),
    )
