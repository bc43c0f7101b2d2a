"""From a circuit, the nodes of its wires and the errors of a run to counts of the user's registers, on Aer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import HyperFabricWarning
from hyperfabric_q.execution.aer import run_counts
from hyperfabric_q.execution.methods import Simulation, choose
from hyperfabric_q.execution.noise import misread_wires, readout_model, with_local_noise, with_run_noise
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.fabric import Fabric

MEASURED = "meas"
"""The register that a circuit without measurements is measured into, all qubits, bit i from qubit i."""

LONG_S: Final = 60.0
"""Predicted seconds beyond which a run is announced by a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Counts of some registers of a circuit, and how they were obtained.

    Attributes:
        counts: shots per outcome, the most frequent first; keys in Qiskit's order (``spell``).
        method: what simulated them: for Aer, its method.
        wires: the wires that were simulated at once.
        approximations: what was not exact, one sentence each; empty = nothing.
    """

    counts: Mapping[str, int]
    method: str
    wires: int
    approximations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A circuit with its errors in the form that one of Aer's methods takes.

    Attributes:
        simulation: the form, the method and its predicted time.
        misread: readout errors that are left to Aer, of the first wires.
    """

    simulation: Simulation
    misread: tuple[float, ...]


def with_final_measurements(circuit: QuantumCircuit, wires: Sequence[int]) -> tuple[QuantumCircuit, ClassicalRegister]:
    """Return the circuit with the given wires measured at the end into a new register, and that register.

    The register is called "meas", or "meas_1", "meas_2", ... where the name is taken.
    """
    measured = circuit.copy()
    taken = {register.name for register in (*measured.cregs, *measured.qregs)}
    name, number = MEASURED, 0
    while name in taken:
        number += 1
        name = f"{MEASURED}_{number}"
    register = ClassicalRegister(len(wires), name)
    measured.add_register(register)
    measured.measure([measured.qubits[wire] for wire in wires], list(register))
    return measured, register


def prepare(
    circuit: QuantumCircuit,
    *,
    node_of: Sequence[str],
    fabric: Fabric,
    noise: RunNoise,
    shots: int,
    reported: Sequence[ClassicalRegister],
    places: Sequence[int] = (),
) -> Prepared:
    """Return the quickest simulation of a circuit with its errors; arguments and errors as for ``sample``."""
    misread = misread_wires(circuit, node_of, fabric, places) if noise.local else {}
    circuit = with_run_noise(circuit, noise)
    if noise.local:
        circuit = with_local_noise(circuit, node_of, fabric, places)
    way = choose(circuit, shots=shots, reported=reported, misread=misread)
    return Prepared(simulation=way, misread=tuple(misread.values()))


def sample(
    circuit: QuantumCircuit,
    *,
    node_of: Sequence[str],
    fabric: Fabric,
    noise: RunNoise,
    shots: int,
    seed: int,
    reported: Sequence[ClassicalRegister],
    places: Sequence[int] = (),
) -> Sample:
    """Return counts of the reported registers of a circuit with its errors.

    Args:
        circuit: emitted, or undistributed.
        node_of: the node of each wire.
        fabric: owner of the local figures.
        noise: the state of each Bell pair, the waits, and whether nodes err.
        shots: how many.
        seed: the same seed gives the same counts.
        reported: registers of the circuit.
        places: physical qubit of each wire on the chip of its node, see ``Lowered``.

    Raises:
        SimulationRefused: too wide for this machine, or hours long.
    """
    prepared = prepare(
        circuit, node_of=node_of, fabric=fabric, noise=noise, shots=shots, reported=reported, places=places
    )
    way = prepared.simulation
    if way.seconds > LONG_S:
        warnings.warn(HyperFabricWarning(_long(way.seconds, way.method, way.circuit.num_qubits)), stacklevel=3)
    raw = run_counts(
        way.circuit, shots=shots, seed=seed, noise_model=readout_model(prepared.misread), method=way.method
    )
    index = {bit: position for position, bit in enumerate(circuit.clbits)}
    positions = [[index[bit] for bit in register] for register in reported]
    return Sample(counts=spell(raw, positions), method=way.method, wires=way.circuit.num_qubits)


def _long(seconds: float, method: str, wires: int) -> str:
    minutes = f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
    return (
        f"this run will take about {minutes} ({method}, {wires} wires at once). Fewer shots, or fewer "
        "communication_qubits, so that fewer copies live at once, make it shorter."
    )


def spell(raw: Mapping[int, int], places: Sequence[Sequence[int]]) -> dict[str, int]:
    """Return counts by Qiskit's keys: last register first, spaces between registers, bit 0 of each on the right.

    Args:
        raw: shots per value of all classical bits.
        places: for each register, the position of its bits in that value.

    >>> spell({0b101: 3, 0b111: 2}, [[0, 2]])
    {'11': 5}
    """
    counts: dict[str, int] = {}
    for value, hits in raw.items():
        key = _key(value, places)
        counts[key] = counts.get(key, 0) + hits
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def spell_chances(raw: Mapping[int, float], places: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return probabilities by Qiskit's keys; arguments as for ``spell``."""
    chances: dict[str, float] = {}
    for value, chance in raw.items():
        key = _key(value, places)
        chances[key] = chances.get(key, 0.0) + chance
    return chances


def _key(value: int, places: Sequence[Sequence[int]]) -> str:
    return " ".join("".join("1" if value >> place & 1 else "0" for place in row[::-1]) for row in reversed(places))
