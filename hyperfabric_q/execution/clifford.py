"""Clifford circuits of thousands of qubits, by stim: a plan and its errors to counts.

What runs is the emitted circuit itself, with every Bell pair, measurement and correction. Errors are exact as far as
they are Pauli channels: noisy pairs, depolarising gates (``execution.noise`` has the conventions), misreads, which
mislead the corrections that read them, and dephasing. Energy relaxation of waiting qubits is replaced by its Pauli
twirl, and ``Sample.approximations`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.bit_counts import UNWRITTEN, Bits, count, key_order, select
from hyperfabric_q.execution.late_paulis import add_late_paulis
from hyperfabric_q.execution.methods import LONGEST_S
from hyperfabric_q.execution.noisy_stim import NoisyStim, first_obstacle, noisy_stim
from hyperfabric_q.execution.pauli_errors import twirl_notes
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.seeds import stream, word

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

METHOD: Final = "clifford"

_BATCH_BYTES: Final = 1 << 27
"""Of records held at once."""

_TABLEAU_S: Final = 1e-9
"""Per operation and wire of the first run, which is done with a tableau."""

_COLLAPSE_S: Final = 1e-10
"""Per measurement and pair of wires of that run."""

_FRAME_S: Final = 5e-10
"""Per operation and shot."""

_LATE_S: Final = 2e-8
"""Per late Pauli and shot."""

_BIT_S: Final = 1e-7
"""Per reported bit and shot."""


def why_not_clifford(plan: Plan) -> str | None:
    """Return why ``sample_clifford`` refuses a plan, naming the instruction; None when it does not; O(gates)."""
    return first_obstacle(plan.routed.circuit)


def sample_clifford(
    plan: Plan, noise: RunNoise, *, shots: int, seed: int, reported: Sequence[ClassicalRegister]
) -> Sample:
    """Return counts of a plan's emitted circuit, by stim.

    Args:
        plan: what runs, measurements included: a Clifford circuit whose gates under a condition are Paulis.
        noise: its errors.
        shots: how many.
        seed: the same seed gives the same counts, on machines whose processors have the same vector width.
        reported: registers of the circuit.

    Raises:
        InvalidValue: an instruction, which is named, is not Clifford.
        SimulationRefused: it would take hours, or its outcomes do not fit the memory.
    """
    circuit, routed = plan.routed.circuit, plan.routed
    program = noisy_stim(circuit, noise, LocalFigures(plan.fabric, routed.node_of, routed.places))
    places = _places(circuit, program, reported)
    order = key_order(places)
    _affordable(program, shots, len(order))
    return Sample(
        counts=count((select(batch, order) for batch in _records(program, shots, seed)), [len(row) for row in places]),
        method=METHOD,
        wires=program.wires,
        approximations=twirl_notes(program.decays),
    )


def _places(circuit: QuantumCircuit, program: NoisyStim, reported: Sequence[ClassicalRegister]) -> list[list[int]]:
    """The record of each bit of each reported register."""
    index = {bit: position for position, bit in enumerate(circuit.clbits)}
    return [[program.place.get(index[bit], UNWRITTEN) for bit in register] for register in reported]


def _records(program: NoisyStim, shots: int, seed: int) -> Iterator[Bits]:
    circuit = program.circuit()
    octets = max((circuit.num_measurements + 7) // 8, 1)
    batch = max(_BATCH_BYTES // (8 * octets), 1024)
    sampler = circuit.compile_sampler(seed=word(seed, METHOD))
    for number, start in enumerate(range(0, shots, batch)):
        records = sampler.sample(min(batch, shots - start), bit_packed=True)
        if program.late:
            add_late_paulis(program, records, stream(seed, METHOD, "late", number))
        yield records


def _affordable(program: NoisyStim, shots: int, bits: int) -> None:
    operations, measurements = program.operations(), sum(each.num_measurements for each in program.segments)
    fixed = program.wires * (_TABLEAU_S * operations + _COLLAPSE_S * measurements * program.wires)
    each = _FRAME_S * operations + _LATE_S * len(program.late) + _BIT_S * bits
    if fixed + each * shots <= LONGEST_S:
        return
    fits = int((LONGEST_S - fixed) / each)
    raise SimulationRefused(
        asked=f"{shots} shots of a Clifford circuit of {program.wires} wires and {operations} operations",
        found=f"stim would take about {(fixed + each * shots) / 3600:,.0f} hours",
        remedy=f"Ask for at most {fits} shots." if fits > 0 else "Use a shorter circuit.",
    )
