"""Parts of a circuit put together again, and run on the QPUs of a fabric, however few qubits these have.

What does not fit is not refused: qubits are measured and used again, and what is short is told by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, QuantumRegister

from hyperfabric_q import Fabric, HardwareType, Plan, Result, TransferResult, plan
from hyperfabric_q.convert import ReaderLimits
from hyperfabric_q.errors import Infeasible, InvalidValue, NoQuantumPath, SimulationRefused
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.scenarios.circuit_optimization.parts import CircuitPart, read_part, rows_of
from hyperfabric_q.scenarios.circuit_optimization.setting import qpu_fabric, through_switches
from hyperfabric_q.scenarios.context import current_world


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergedCircuit:
    """What a circuit gave whose parts were sent to several places.

    Attributes:
        circuit: the whole, put together from its parts.
        plan: where its qubits were and what crossed; None where nothing could run it.
        result: of running it; None where nothing could run it.
        capacity: data qubits of all QPUs.
        shortfall: qubits for which there was no room at once.
        told: what was short and what was done about it.
    """

    circuit: QuantumCircuit
    plan: Plan | None
    result: Result | None
    capacity: int
    shortfall: int
    told: tuple[str, ...]

    @property
    def bits(self) -> NDArray[np.bool_]:
        """Every shot's classical bits, shape (shots, bits); no shots where nothing ran."""
        if self.result is None:
            return np.zeros((0, self.circuit.num_clbits), dtype=np.bool_)
        columns = []
        for name, size in self.result.registers:
            packed = getattr(self.result.data, name).array[:, ::-1]
            columns.append(np.unpackbits(packed, axis=1, bitorder="little")[:, :size])
        return np.concatenate(columns, axis=1).astype(np.bool_)

    def mean_parity(self, checks: Sequence[Sequence[int]], signs: Sequence[int] | None = None) -> Estimate:
        """Return the mean over ``checks`` of (-1)^(sum of bits), each times its sign, with one standard error."""
        shots = self.bits
        each = np.array([1.0 - 2.0 * (shots[:, list(check)].sum(axis=1) % 2) for check in checks])
        values = (each * np.ones(len(each))[:, None] if signs is None else each * np.array(signs)[:, None]).mean(axis=0)
        bar = float(values.std(ddof=1) / np.sqrt(len(values)))
        return Estimate(value=float(values.mean()), stderr=bar, shots=len(values))

    def __str__(self) -> str:
        ran = "not run" if self.result is None else f"{self.result.shots} shots, {self.result.way}"
        return "\n".join([f"{self.circuit.num_qubits} qubits on {self.capacity}: {ran}", *self.told])


def merge_quantum_results(
    results: Sequence[object],
    *,
    fabric: Fabric | None = None,
    shots: int = 400,
    time_limit_s: float = 0.0,
    seed: int | None = None,
) -> MergedCircuit:
    """Return what the whole circuit gives, run from its parts on the QPUs of a fabric.

    Where the QPUs are too small, qubits are measured and used again; where no Bell pairs join them, the largest QPU
    runs all of it in that way. Lack of room never raises: what could not be had stands in ``told``.

    Args:
        results: the parts as ``serialize_quantum_circuit`` wrote them, or what sending them returned; in any order.
        fabric: its QPUs run the circuit and its switches relay; None = ``qpu_fabric()``, which ``told`` says.
        shots: how many.
        time_limit_s: to search for fewer Bell pairs.
        seed: of plan and run; None = the world's.

    Raises:
        InvalidValue: parts are missing, or are not of one circuit.
    """
    parts = [read_part(each.value if isinstance(each, TransferResult) else each) for each in results]
    circuit = _joined(parts)
    told = []
    if fabric is None:
        fabric = qpu_fabric()
        told.append("no fabric was given: QPUs of 1000 and 500 qubits on a photonic switch are assumed")
    for part, sent in zip(parts, results, strict=True):
        place = sent.receipt.destination if isinstance(sent, TransferResult) else ""
        if place in fabric and fabric.node(place).hardware_type is not HardwareType.QUANTUM_QPU:
            told.append(
                f"part {part.number + 1} of {len(parts)}, {part.own} qubits, went to {place}, which relays "
                "and multiplexes and runs no gates: the QPUs run it"
            )
    qpus = through_switches(fabric)
    capacity = sum(node.data_qubits or 0 for node in qpus.nodes)
    short = max(0, circuit.num_qubits - capacity)
    if short:
        told.append(f"{circuit.num_qubits} qubits and {capacity} places: {short} short, so qubits are used again")
    seed = current_world().seed if seed is None else seed
    made = _planned(circuit, qpus, told, time_limit_s=time_limit_s, seed=seed)
    result = None if made is None else _run(made, told, shots=shots, seed=seed)
    return MergedCircuit(
        circuit=circuit, plan=made, result=result, capacity=capacity, shortfall=short, told=tuple(told)
    )


def _check(parts: Sequence[CircuitPart]) -> None:
    """Raise unless the parts are those of one circuit; they came over a wire, so nothing is taken on trust."""
    numbers = sorted(part.number for part in parts)
    same = {(part.whole, part.width, part.registers) for part in parts}
    if len(same) != 1 or numbers != list(range(len(parts))) or len(parts) != parts[0].parts:
        raise InvalidValue(field="parts", value=numbers, rule="all parts of one circuit are there, each once")
    places = sorted(place for part in parts for place in part.places)
    homes = sorted(qubit for part in parts for qubit in part.qubits[: part.own])
    guests = {qubit for part in parts for qubit in part.qubits}
    sizes = [size for _, size in parts[0].registers]
    bits = {bit for part in parts for bit in part.bits}
    once = places == list(range(len(places))) and homes == list(range(len(homes))) and len(homes) == parts[0].width
    there = guests == set(homes) and min(sizes, default=0) >= 0 and sum(sizes) <= ReaderLimits().clbits
    if not once or not there or not 0 <= min(bits, default=0) <= max(bits, default=-1) + 1 <= sum(sizes):
        rule = "together they have each instruction and each qubit of the circuit once"
        raise InvalidValue(field="parts", value=(len(places), len(homes)), rule=rule)


def _joined(parts: Sequence[CircuitPart]) -> QuantumCircuit:
    """Return the circuit that ``partition_circuit`` took apart.

    Raises:
        InvalidValue: the parts are not all those of one circuit.
    """
    _check(parts)
    whole = QuantumCircuit(
        QuantumRegister(parts[0].width, "q"), *[ClassicalRegister(size, name) for name, size in parts[0].registers]
    )
    rows = [
        (place, operation, [part.qubits[each] for each in wires], [part.bits[each] for each in written])
        for part in parts
        for place, (operation, wires, written) in zip(part.places, rows_of(part.circuit), strict=True)
    ]
    for _, operation, qubits, bits in sorted(rows, key=lambda row: row[0]):
        whole.append(operation, qubits, bits)
    return whole


def _planned(circuit: QuantumCircuit, qpus: Fabric, told: list[str], *, time_limit_s: float, seed: int) -> Plan | None:
    """Return a plan on the QPUs together, else on the largest of them, else None; what failed is told."""
    if not qpus.nodes:
        told.append("there is no QPU with data qubits: nothing ran")
        return None
    largest = max(qpus.nodes, key=lambda node: node.data_qubits or 0)
    try:
        return plan(circuit, qpus, time_limit_s=time_limit_s, seed=seed)
    except NoQuantumPath:
        told.append(f"no Bell pairs join the QPUs: {largest.node_id} alone runs it, its qubits used again")
    except Infeasible as fault:
        told.append(f"not run: {fault}")
        return None
    try:
        return plan(circuit, replace(qpus, nodes=(largest,), links=()), time_limit_s=time_limit_s, seed=seed)
    except Infeasible as fault:
        told.append(f"not run: {fault}")
        return None


def _run(made: Plan, told: list[str], *, shots: int, seed: int) -> Result | None:
    try:
        return made.run(shots, timelines=1, seed=seed)  # type: ignore[no-any-return]
    except SimulationRefused as fault:
        told.append(f"planned, not simulated: {fault}")
        return None
