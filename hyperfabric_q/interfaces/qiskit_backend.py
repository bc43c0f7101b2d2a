"""A fabric as one Qiskit backend: its data qubits, with edges within and between QPU nodes.

A ``Target`` can say what an operation costs on two qubits. It cannot say that one Bell pair serves many gates, that
pairs are made by turns, or that qubits move. So the backend is a view for what only knows devices (``transpile``,
``BackendSamplerV2``), and ``hq.plan`` is what decides: a circuit that was transpiled keeps each qubit on the node it
was put on, and how nodes are crossed is planned again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.library import CPhaseGate, CZGate, PhaseGate, UGate
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.transpiler import InstructionProperties, Target

from hyperfabric_q import __version__
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.measured import measures
from hyperfabric_q.fabric import Fabric, Link, NodeSignature
from hyperfabric_q.interfaces.expectations import lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, pub_seed, structure
from hyperfabric_q.interfaces.job import FabricJob, Steps
from hyperfabric_q.interfaces.options import USUAL_SHOTS, FabricLike, FabricOptions, known_shots
from hyperfabric_q.interfaces.samples import Drawn, drawn

_NS: Final = 1e-9
_LOSS: Final = 0.8
"""Average infidelity of a two-qubit gate per process infidelity: d / (d + 1) with d = 4."""


class FabricBackend(BackendV2):  # type: ignore[misc]  # Qiskit is untyped
    """The data qubits of all QPU nodes as one device, node by node in the order of the fabric."""

    def __init__(self, fabric: FabricLike, *, options: FabricOptions | None = None) -> None:
        """Take a fabric, or a protocol as it stands now: the device has one target for its life.

        Raises:
            InvalidValue: a QPU node does not say how many data qubits it has, or there are none at all.
        """
        self._front = Front(fabric, options)
        super().__init__(
            name="hyperfabric",
            description="data qubits of all QPU nodes of a fabric",
            backend_version=__version__,
        )
        self.fabric: Fabric = self._front.fabric
        self.node_of: tuple[str, ...] = tuple(node for node, _ in _wires(self.fabric))
        self._target = target_of(self.fabric)
        if self._front.options.shots is not None:
            self.set_options(shots=self._front.options.shots)

    @property
    def target(self) -> Target:
        """What the qubits can do, with errors and durations as far as the fabric states them."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """How many circuits one job may have: any number."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=USUAL_SHOTS, memory=False)

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        *,
        shots: int | None = None,
        memory: bool | None = None,
        seed_simulator: int | None = None,
    ) -> FabricBackendJob:
        """Return the job of running circuits on the fabric.

        A circuit that was transpiled for this backend keeps its qubits on the nodes of its physical qubits; the planner
        places the qubits of any other. Circuits without measurements are measured at their end into "meas".

        Args:
            run_input: one or several circuits, without unbound parameters.
            shots: of each; None = as the backend's options say.
            memory: whether to return the outcome of each shot; None = as the backend's options say.
            seed_simulator: of the samples; None = that of the ``FabricOptions``.

        Raises:
            InvalidValue: not circuits, unbound parameters, or a number of shots out of range.
        """
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        for each in circuits:
            if not isinstance(each, QuantumCircuit):
                raise InvalidValue(field="run_input", value=each, rule="it is one QuantumCircuit or several")
            if each.parameters:
                raise InvalidValue(
                    field="run_input",
                    value=each.name,
                    rule="it has unbound parameters, and a backend takes none",
                    remedy="Bind them, or use FabricSampler or FabricEstimator, which plan the circuit once.",
                )
        wanted = known_shots(self.options.shots if shots is None else shots) or USUAL_SHOTS
        keep = bool(self.options.memory if memory is None else memory)
        seed = self._front.run_seed() if seed_simulator is None else int(seed_simulator)
        job = FabricJob(lambda steps: self._run(circuits, wanted, keep, seed, steps), parts=len(circuits))
        return FabricBackendJob(self, job)

    def _run(self, circuits: Sequence[QuantumCircuit], shots: int, keep: bool, seed: int, steps: Steps) -> Result:  # noqa: FBT001
        found = []
        for number, circuit in enumerate(circuits):
            steps.check()
            found.append(self._one(circuit, shots, keep, pub_seed(seed, number), steps))
            steps.done += 1
        return Result(
            backend_name=self.name,
            backend_version=self.backend_version,
            job_id=steps.job,
            success=True,
            results=found,
            status="COMPLETED",
        )

    def _one(self, circuit: QuantumCircuit, shots: int, keep: bool, seed: int, steps: Steps) -> ExperimentResult:  # noqa: FBT001
        narrow, homes = self._placed(circuit)
        key = structure(narrow) + repr(homes)
        planned = self._front.planned(narrow, key, homes=homes)
        lines = lines_of(planned, shots=shots, precision=None, seed=seed)
        taken = drawn(planned, np.zeros((1, 0)), shots=shots, lines=lines, seeds_of=[seed], steps=steps)
        codes = _codes(circuit if measures(planned.plan.program) else None, taken)
        counts: dict[str, int] = {}
        for code in codes:
            counts[code] = counts.get(code, 0) + 1
        registers = [[name, size] for name, size in taken.registers]
        metadata = facts_of(planned, lines).metadata(
            shots=shots,
            circuits=1,
            way=", ".join(taken.ways),
            noise=planned.options.noise,
            seed=seed,
            approximations=tuple(taken.approximations),
        )
        header = {
            "name": circuit.name,
            "creg_sizes": registers,
            "memory_slots": sum(size for _, size in taken.registers),
            "n_qubits": circuit.num_qubits,
            "metadata": circuit.metadata or {},
            "hyperfabric": metadata | {"homes": list(planned.plan.homes)},
        }
        data = ExperimentResultData(counts=counts, memory=codes) if keep else ExperimentResultData(counts=counts)
        return ExperimentResult(shots=shots, success=True, data=data, header=header, status="DONE", seed=seed)

    def _placed(self, circuit: QuantumCircuit) -> tuple[QuantumCircuit, tuple[str, ...] | None]:
        """Return a transpiled circuit on the qubits that it uses, and their nodes; another one as it is."""
        if circuit.layout is None or circuit.num_qubits != self.num_qubits:
            return circuit, None
        used = {qubit for each in circuit.data if each.name != "barrier" for qubit in each.qubits}
        places = [place for place, qubit in enumerate(circuit.qubits) if qubit in used]
        narrow = QuantumCircuit([circuit.qubits[place] for place in places], circuit.clbits, name=circuit.name)
        for register in circuit.cregs:
            narrow.add_register(register)
        for each in circuit.data:
            if each.name != "barrier":
                narrow.append(each)
            elif wires := [qubit for qubit in each.qubits if qubit in used]:
                narrow.barrier(wires)
        return narrow, tuple(self.node_of[place] for place in places)


class FabricBackendJob(JobV1):  # type: ignore[misc]  # Qiskit is untyped
    """A job of ``FabricBackend``: Qiskit's handle, which can be awaited."""

    def __init__(self, backend: FabricBackend, job: FabricJob) -> None:
        """Take a job that has begun."""
        super().__init__(backend, job.job_id())
        self._job = job

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result without holding up the event loop."""
        return self._job.__await__()

    def submit(self) -> None:
        """Do nothing: the job began when it was made."""

    def result(self, timeout: float | None = None) -> Result:
        """Return the result, and wait for it; see ``FabricJob.result``."""
        return self._job.result(timeout)

    def status(self) -> JobStatus:
        """Return where the job stands."""
        return self._job.status()

    def cancel(self) -> bool:
        """Ask the job to stop; return whether it was still under way."""
        return self._job.cancel()

    def metrics(self) -> dict[str, Any]:
        """Return when it began, how long it took, and how many circuits are done."""
        return self._job.metrics()


def _codes(circuit: QuantumCircuit | None, taken: Drawn) -> list[str]:
    """Return each shot as Qiskit's hexadecimal memory: bit i is classical bit i of the circuit.

    Args:
        circuit: with measurements; None for one that was measured into a register of ours.
        taken: the shots.
    """
    columns: dict[int, Any] = {}
    start = 0
    index = {} if circuit is None else {bit: place for place, bit in enumerate(circuit.clbits)}
    places = {} if circuit is None else {register.name: [index[bit] for bit in register] for register in circuit.cregs}
    loose = [] if circuit is None else [index[bit] for bit in circuit.clbits if not circuit.find_bit(bit).registers]
    for name, size in taken.registers:
        if size:
            bits = np.unpackbits(taken.bits[name][0], axis=-1)[:, ::-1][:, :size]
            own = places.get(name, loose) if circuit is not None else list(range(start, start + size))
            for column, place in enumerate(own):
                columns[place] = bits[:, column]
        start += size
    shots = len(next(iter(columns.values()))) if columns else 0
    packed = np.zeros((shots, max(columns, default=-1) + 1), dtype=np.uint8)
    for place, column in columns.items():
        packed[:, place] = column
    octets = np.packbits(packed, axis=1, bitorder="little")
    return [hex(int.from_bytes(row.tobytes(), "little")) for row in octets]


# ------------------------------------------------------------------------------------------------------------- target


def _wires(fabric: Fabric) -> list[tuple[str, int]]:
    """Return the node and the place on it of each qubit of the device; on a chip the place is the physical qubit."""
    found: list[tuple[str, int]] = []
    for node in fabric.qpu_nodes:
        if node.data_qubits is None:
            raise InvalidValue(
                field=f"compute_units of {node.node_id!r}", value=None, rule="a device has a number of qubits"
            )
        reserved = () if node.chip is None else node.chip.communication
        count = node.data_qubits if node.chip is None else node.chip.qubits
        found += [(node.node_id, place) for place in range(count) if place not in reserved]
    if not found:
        raise InvalidValue(field="fabric", value=repr(fabric), rule="a device has at least one data qubit")
    return found


def target_of(fabric: Fabric) -> Target:
    """Return a fabric's data qubits as a ``Target``: u, p, cz, cp, measure, reset and if_else.

    Two qubits of a node are joined unless its chip says otherwise; so is every qubit of one node with every qubit of
    another that a quantum link joins. Errors are average gate infidelities; a crossing has that of its pair and of the
    local gates. What the fabric does not state counts as no error and no time.

    Raises:
        InvalidValue: a QPU node does not say how many data qubits it has, or there are none at all.
    """
    wires = _wires(fabric)
    nodes = {node.node_id: node for node in fabric.qpu_nodes}
    alone: dict[tuple[int, ...], Any] = {}
    reads: dict[tuple[int, ...], Any] = {}
    resets: dict[tuple[int, ...], Any] = {}
    for wire, (name, place) in enumerate(wires):
        node = nodes[name]
        alone[wire,] = InstructionProperties(error=node.gate_error_1q or 0.0, duration=_seconds(node.gate_1q_ns))
        misread = None if node.chip is None else node.chip.readout_error(place)
        error = (node.readout_error or 0.0) if misread is None else misread
        reads[wire,] = InstructionProperties(error=error, duration=_seconds(node.readout_ns))
        resets[wire,] = InstructionProperties(error=0.0, duration=_seconds(node.reset_ns))
    edges = dict(_edges(fabric, wires, nodes))
    theta, phi, lam = Parameter("theta"), Parameter("phi"), Parameter("lam")
    target = Target(num_qubits=len(wires), description="hyperfabric")
    target.add_instruction(UGate(theta, phi, lam), dict(alone))
    target.add_instruction(PhaseGate(lam), dict(alone))
    if edges:
        target.add_instruction(CZGate(), dict(edges))
        target.add_instruction(CPhaseGate(theta), dict(edges))
    target.add_instruction(Measure(), reads)
    target.add_instruction(Reset(), resets)
    target.add_instruction(IfElseOp, name="if_else")
    return target


def _edges(
    fabric: Fabric, wires: Sequence[tuple[str, int]], nodes: dict[str, NodeSignature]
) -> Iterator[tuple[tuple[int, int], Any]]:
    joined = {link.ends: link for link in fabric.quantum_links}
    for a, (one, here) in enumerate(wires):
        for b, (other, there) in enumerate(wires[:a]):
            properties = None
            if one == other:
                properties = _inside(nodes[one], here, there)
            elif (link := joined.get((min(one, other), max(one, other)))) is not None:
                properties = _crossing(link, (nodes[one], nodes[other]))
            if properties is not None:
                yield (a, b), properties
                yield (b, a), properties


def _inside(node: NodeSignature, here: int, there: int) -> Any | None:
    error = node.gate_error_2q or 0.0
    if node.chip is not None:
        if (min(here, there), max(here, there)) not in node.chip.edges:
            return None
        stated = node.chip.edge_error(here, there)
        error = error if stated is None else stated
    return InstructionProperties(error=error, duration=_seconds(node.gate_2q_ns))


def _crossing(link: Link, ends: Iterable[NodeSignature]) -> Any:
    """One remote gate with a Bell pair of its own: the pair, three local gates, two measurements and messages."""
    kept, ns = 1 - _LOSS * (1 - (link.pair_fidelity or 0.0)), 0.0
    for node in ends:
        # Each end has a gate of the protocol or the gate itself, and one measurement, whose misread is a Pauli error.
        kept *= (1 - (node.gate_error_2q or 0.0)) * (1 - _LOSS * (node.readout_error or 0.0))
        ns += (node.gate_2q_ns or 0.0) + (node.readout_ns or 0.0) + (node.feedforward_ns or 0.0)
    ns += 2 * (link.latency_ns or 0.0) + (1e9 / link.pair_rate_hz if link.pair_rate_hz else 0.0)
    return InstructionProperties(error=1 - kept, duration=_seconds(ns or None))


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns * _NS
