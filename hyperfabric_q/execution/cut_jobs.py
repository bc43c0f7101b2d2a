"""The parts of a cut circuit as jobs: circuits of subexperiments on a node, and fragments over all their branches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.branches import Branches, branches
from hyperfabric_q.cutting.fragments import Condition, CutCircuit, Fragment, Gate, Marker, Measure, Reset, Step
from hyperfabric_q.cutting.settings import Side
from hyperfabric_q.errors import InternalError
from hyperfabric_q.execution.bench import Bench
from hyperfabric_q.execution.jobs import Job, task
from hyperfabric_q.execution.parts import sample_as_values, sample_from_values
from hyperfabric_q.execution.payload import pack
from hyperfabric_q.execution.progress import Progress
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample, sample
from hyperfabric_q.fabric import Fabric

MOST_CARRIED: Final = 1 << 22
"""Amplitudes of a fragment that are worth a way back from a worker: 64 MiB."""

_AMPLITUDE_S: Final = 2e-8
_CIRCUIT_S: Final = 0.02


# -- circuits of subexperiments ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeCircuit:
    """A circuit that one node runs, with its gate and readout errors.

    Attributes:
        circuit: what runs.
        node: its id.
        fabric: the node's owner.
        shots: how many.
        seed: of everything that is drawn.
        place: which circuit of the node's it is.
    """

    circuit: QuantumCircuit
    node: str
    fabric: Fabric
    shots: int
    seed: int
    place: tuple[str | int, ...]

    @property
    def seconds(self) -> float:
        """A guess of what it takes: most of it is spent in making the circuit ready."""
        return _CIRCUIT_S

    def sample(self) -> Sample:
        """Return its sample, taken in this process."""
        return sample(
            self.circuit,
            node_of=[self.node] * self.circuit.num_qubits,
            fabric=self.fabric,
            noise=RunNoise(pair_weights=np.zeros((0, 4)), idles=(), local=True),
            shots=self.shots,
            seed=self.seed,
            reported=self.circuit.cregs,
        )

    def job(self, written: dict[int, dict[str, Any]]) -> Job:
        """Return the job of taking its sample; ``written`` holds the fabric as text."""
        text = written.setdefault(id(self.fabric), {"fabric": self.fabric.to_toml().encode()})
        arguments = {"circuit": pack(self.circuit), "node": self.node, "shots": self.shots, **text}
        return Job(kind="node_sample", arguments=arguments, seed=self.seed, path=self.place, seconds=self.seconds)

    def read(self, outcome: Any) -> Sample:
        """Return the sample that its job returned."""
        return sample_from_values(outcome, [register.size for register in self.circuit.cregs])


@task("node_sample", version=1)
def node_sample(job: Job) -> dict[str, Any]:
    """Return the sample of a circuit on a node; ``NodeCircuit.job`` makes such jobs."""
    given = job.arguments
    asked = NodeCircuit(
        circuit=given["circuit"].circuit(),
        node=given["node"],
        fabric=Fabric.from_toml(given["fabric"].decode()),
        shots=given["shots"],
        seed=job.seed,
        place=job.path,
    )
    return sample_as_values(asked.sample())


# -- fragments ---------------------------------------------------------------------------------------------------------


def states_of(
    cut: CutCircuit, *, executor: Any = None, store: Any = None, progress: Progress = None
) -> dict[int, Branches]:
    """Return the final states of the fragments of a bound cut circuit, as ``branches`` does, each fragment a job.

    Fragments of too many amplitudes to be carried about are left out: whoever needs them simulates them.

    Args:
        cut: the fragments.
        executor: see ``executors.open_engine``.
        store: a ``Store``, its path, or None.
        progress: see ``progress.reporting``.

    Raises:
        KeyboardInterrupt: the user ended it; what was finished stands in the store.
        HyperFabricError: as ``branches`` and ``drive``.
    """
    cut.check_bound()
    sizes = {number: _amplitudes(fragment) for number, fragment in enumerate(cut.fragments)}
    numbers = [number for number, size in sizes.items() if size <= MOST_CARRIED]
    jobs = [
        Job(
            kind="fragment_states",
            arguments={"fragment": _written(cut.fragments[number])},
            seconds=_AMPLITUDE_S * sizes[number] * (1 + len(cut.fragments[number].steps)),
        )
        for number in numbers
    ]
    with Bench(executor, store, progress) as bench:
        driven = bench.drive(jobs, what="fragments")
    if not driven.complete:
        raise bench.stopped or KeyboardInterrupt
    return {
        number: Branches(amplitudes=found["amplitudes"], bits=found["bits"])
        for number, found in zip(numbers, driven.outcomes, strict=True)
    }


@task("fragment_states", version=1)
def fragment_states(job: Job) -> dict[str, Any]:
    """Return the final states of a fragment; ``states_of`` makes such jobs."""
    found = branches(_read(job.arguments["fragment"]))
    return {"amplitudes": found.amplitudes, "bits": found.bits}


def _amplitudes(fragment: Fragment) -> int:
    return math.prod(side.rank for side in fragment.sides) << len(fragment.outputs)


def _written(fragment: Fragment) -> dict[str, Any]:
    """A fragment as plain values."""
    return {
        "part": fragment.part,
        "wires": [list(each) for each in fragment.wires],
        "outputs": list(fragment.outputs),
        "steps": [_written_step(step) for step in fragment.steps],
        "markers": [_written_step(marker) for marker in fragment.markers],
        "sides": [{each.name: getattr(side, each.name) for each in fields(Side)} for side in fragment.sides],
        "finals": [list(each) for each in fragment.finals],
        "bits": list(fragment.bits),
    }


def _written_step(step: Step) -> list[Any]:
    match step:
        case Gate():
            return ["gate", list(step.qubits), step.matrix]
        case Marker():
            return ["marker", step.cut, step.side, list(step.qubits)]
        case Measure():
            return ["measure", step.qubit, step.clbit]
        case Reset():
            return ["reset", step.qubit]
        case Condition():
            both = ([_written_step(each) for each in steps] for steps in (step.then, step.otherwise))
            return ["condition", list(step.clbits), step.value, *both]


def _read(given: Mapping[str, Any]) -> Fragment:
    return Fragment(
        part=given["part"],
        wires=tuple((qubit, before) for qubit, before in given["wires"]),
        outputs=tuple(given["outputs"]),
        steps=tuple(_read_step(step) for step in given["steps"]),
        markers=tuple(_read_marker(step) for step in given["markers"]),
        sides=tuple(Side(**{**side, "names": tuple(side["names"])}) for side in given["sides"]),
        finals=tuple((clbit, qubit) for clbit, qubit in given["finals"]),
        bits=tuple(given["bits"]),
    )


def _read_step(given: list[Any]) -> Step:
    match given:
        case ["gate", qubits, matrix]:
            return Gate(tuple(qubits), matrix)
        case ["measure", qubit, clbit]:
            return Measure(qubit, clbit)
        case ["reset", qubit]:
            return Reset(qubit)
        case ["condition", clbits, value, then, otherwise]:
            both = (tuple(_read_step(each) for each in steps) for steps in (then, otherwise))
            return Condition(tuple(clbits), value, *both)
        case ["marker", *_]:
            return _read_marker(given)
    raise InternalError(what=f"a fragment has no step {given[0]!r}")


def _read_marker(given: list[Any]) -> Marker:
    _, cut, side, qubits = given
    return Marker(cut, side, tuple(qubits))
