"""The plan on its logical qubits alone: n of them, whatever the emitted circuit needs for pairs and copies.

Every remote operation becomes what it does, with the errors that its pairs, gates, misreads and waits leave on the
logical qubits (``pauli_tracking`` has the rules, which are exact). Where n is small the mean over all errors is
computed, elsewhere shots draw theirs (``trajectories``): both give the distribution of the emitted circuit itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.bit_counts import count, key_order
from hyperfabric_q.execution.late_errors import measured_last, with_late_errors
from hyperfabric_q.execution.logical_ops import Assign, Decay, Draw, Logical, Measure, Reset, Settle, Sign
from hyperfabric_q.execution.mean_outcomes import values_of_states, with_late
from hyperfabric_q.execution.methods import LONGEST_S
from hyperfabric_q.execution.mixed_rows import Mixture
from hyperfabric_q.execution.pauli_tracking import track, user_columns
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample, with_final_measurements
from hyperfabric_q.execution.trajectories import ROOM, Bits, outcomes, sampled
from hyperfabric_q.seeds import stream

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

METHOD: Final = "channel"

WIDEST: Final = 22
"""Logical qubits of the widest plan: 64 MiB for each state, of which a few dozen may be held."""

MOST_ENTRIES: Final = 1 << 24
"""Entries of all density matrices of the exact mean: 256 MiB."""

CHEAP_ENTRIES: Final = 1 << 18

MOST_BITS: Final = 22
"""Bits of the longest list of outcomes: 32 MiB."""

_ROUNDING: Final = 1e-15
_STEP_S: Final = 2e-5
"""Per operation and group of rows."""
_ROW_S: Final = 1e-7
"""Per operation and row."""
_MERGED_S: Final = 2e-6
"""Per operation and density matrix."""
_AMPLITUDE_S: Final = 1e-9
"""Per operation and amplitude."""
_OUTCOME_S: Final = 3e-7
"""Per shot and eight bits."""


def sample_channel(
    plan: Plan, noise: RunNoise, *, shots: int, seed: int, reported: Sequence[ClassicalRegister]
) -> Sample:
    """Return counts of a plan, simulated on its logical qubits with the effective errors.

    They have the distribution of the emitted circuit. Only a copy that waits more than once before its correction has
    its relaxation twirled, and then ``approximations`` says so.

    Args:
        plan: what runs.
        noise: its errors.
        shots: how many.
        seed: the same seed gives the same counts.
        reported: registers of the user's, by name; of a circuit without measurements, all qubits are measured at the
            end into the register that ``with_final_measurements`` adds.

    Raises:
        SimulationRefused: more than ``WIDEST`` qubits, or hours long.
        InternalError: the emitted circuit has a step whose errors no rule is known for.
    """
    task = _Task.of(plan, noise, reported)
    _affordable(task, shots)
    order = key_order(task.places)
    return Sample(
        counts=count((batch[:, order] for batch in task.batches(shots, seed)), [len(row) for row in task.places]),
        method=METHOD,
        wires=plan.qubits,
        approximations=_approximations(task.logical.twirled),
    )


def predicted_seconds(plan: Plan, noise: RunNoise, *, shots: int, reported: Sequence[ClassicalRegister]) -> float:
    """Return how long ``sample_channel`` would take; infinity where it refuses."""
    if plan.qubits > WIDEST:
        return float("inf")
    task = _Task.of(plan, noise, reported)
    return min(task.exact_seconds(shots), task.sampled_seconds(shots))


def outcome_law(plan: Plan, noise: RunNoise, *, reported: Sequence[ClassicalRegister]) -> NDArray[np.float64]:
    """Return the exact chance of every outcome, shape (2^bits,); bit 0 is the first bit of the first register.

    Raises:
        SimulationRefused: the density matrices exceed ``MOST_ENTRIES``, or the outcomes 2^``MOST_BITS``.
    """
    bits = sum(register.size for register in reported)
    if bits > MOST_BITS:
        raise SimulationRefused(
            asked=f"the exact chance of every outcome of {bits} bits",
            found=f"{2**bits:,} outcomes; at most {1 << MOST_BITS:,} are listed",
            remedy="Sample instead.",
        )
    task = _Task.of(plan, noise, reported)
    _refuse_entries(task.logical, rarely=True)
    mixture = Mixture(task.logical)
    place = {column: number for number, column in enumerate(column for row in task.places for column in row)}
    codes = np.zeros(len(mixture.columns), dtype=np.int64)
    for column, number in place.items():
        codes ^= mixture.columns[:, column].astype(np.int64) << number
    outcomes_of = (codes[:, None] ^ values_of_states(task.logical, place)[None, :]).ravel()
    before = np.bincount(outcomes_of, weights=mixture.chances.ravel(), minlength=1 << bits).astype(np.float64)
    law = with_late(before, task.logical, place)
    return np.asarray(law / law.sum())


def law_is_cheap(plan: Plan, noise: RunNoise, *, reported: Sequence[ClassicalRegister]) -> bool:
    """Return whether ``outcome_law`` takes about a second at most."""
    if plan.qubits > WIDEST:
        return False
    logical = _Task.of(plan, noise, reported).logical
    entries, rows = _entries(logical)
    return entries / math.sqrt(rows) <= CHEAP_ENTRIES


def outcome_chances(plan: Plan, noise: RunNoise, *, reported: Sequence[ClassicalRegister]) -> dict[str, float]:
    """Return the exact chance of every outcome that can occur, keys as those of counts.

    Raises:
        SimulationRefused: as ``outcome_law``.
    """
    law = outcome_law(plan, noise, reported=reported)
    sizes = [register.size for register in reported]
    starts = np.cumsum([0, *sizes]).tolist()
    return {
        " ".join(
            format(code >> start & (1 << size) - 1, f"0{size}b") if size else ""
            for start, size in reversed(list(zip(starts, sizes, strict=False)))
        ): float(law[code])
        for code in np.flatnonzero(law > _ROUNDING).tolist()
    }


def final_states(plan: Plan, noise: RunNoise) -> tuple[NDArray[np.complex128], Bits]:
    """Return the exact state of the qubits at the end for each value of the user's bits, weighted by its chance.

    Returns:
        The density matrices, shape (values, 2^n, 2^n), qubit 0 the lowest bit of an index, and the bits, shape
        (values, bits).

    Raises:
        SimulationRefused: the density matrices exceed ``MOST_ENTRIES``.
    """
    circuit = plan.routed.circuit
    user = len(user_columns(circuit))
    logical = with_late_errors(_tracked(plan, circuit, noise), user, to_the_end=True)
    _refuse_entries(logical)
    states, columns = Mixture(logical).at_end(logical.ends, logical.flips)
    return states, columns[:, :user]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What is run, ``user`` columns of it the user's bits, and the column of each bit of each reported register."""

    logical: Logical
    user: int
    places: list[list[int]]

    @classmethod
    def of(cls, plan: Plan, noise: RunNoise, reported: Sequence[ClassicalRegister]) -> _Task:
        circuit = _measured(plan, reported)
        user = len(user_columns(circuit))
        logical = measured_last(_tracked(plan, circuit, noise))
        logical = with_late_errors(logical, user, to_the_end=False)
        return cls(logical=logical, user=user, places=_places(circuit, reported))

    def batches(self, shots: int, seed: int) -> Iterator[Bits]:
        rng = stream(seed, METHOD)
        if self.exact_seconds(shots) > self.sampled_seconds(shots):
            yield from sampled(self.logical, user=self.user, shots=shots, rng=rng)
            return
        mixture = Mixture(self.logical)
        chances = mixture.chances
        weights = chances.sum(axis=1)
        hits = rng.multinomial(shots, weights / weights.sum()).astype(np.int64)
        yield from outcomes(chances, mixture.columns, hits, self.logical, user=self.user, rng=rng)

    def exact_seconds(self, shots: int) -> float:
        """How long the mean over all errors takes; infinity where it does not fit."""
        entries, rows = _entries(self.logical)
        if entries > MOST_ENTRIES:
            return float("inf")
        drawn = sum(1 + len(each.chances) for each in self.logical.operations if isinstance(each, Draw))
        work = drawn + len(self.logical.operations)
        # Rarely can all columns be 1 at once.
        usual = math.sqrt(rows)
        each = 5 * _STEP_S + (_MERGED_S + 4 * _AMPLITUDE_S * entries / rows) * usual
        return work * each + self._outcomes_seconds(shots)

    def sampled_seconds(self, shots: int) -> float:
        """How long drawing every shot takes; infinity where it does not fit."""
        if self.logical.qubits > WIDEST:
            return float("inf")
        histories, seconds = 1.0, 0.0
        groups = max(1, ROOM >> self.logical.qubits)
        for each in self.logical.operations:
            if isinstance(each, Draw):
                # Each shot may part from the others, and at most as many histories are new as there are effects.
                hurt = shots * min(1.0, sum(chance for _, chance in each.chances))
                histories += min(hurt, histories * len(each.chances))
            elif isinstance(each, Measure | Reset):
                histories *= 2
            elif isinstance(each, Decay):
                histories += min(shots * each.share / 2, histories)
            histories = min(histories, float(shots))
            if isinstance(each, Settle):
                continue
            touched = 0 if isinstance(each, Assign | Sign | Draw) else 1 << self.logical.qubits
            seconds += _STEP_S * (1 + histories / groups) + histories * (_ROW_S + _AMPLITUDE_S * touched)
        return seconds + self._outcomes_seconds(shots)

    def _outcomes_seconds(self, shots: int) -> float:
        seconds: float = shots * _OUTCOME_S * (1 + self.user / 8)
        return seconds


def _approximations(waits: int) -> tuple[str, ...]:
    if not waits:
        return ()
    counted = "1 wait" if waits == 1 else f"{waits} waits"
    return (f"energy relaxation (T1) during {counted} of copies before their correction as Pauli errors (twirled)",)


def _measured(plan: Plan, reported: Sequence[ClassicalRegister]) -> QuantumCircuit:
    """The emitted circuit, and after it the measurement of all qubits if a register that it lacks is reported."""
    circuit: QuantumCircuit = plan.routed.circuit
    known = {register.name for register in circuit.cregs}
    if known.issuperset(register.name for register in reported):
        return circuit
    return with_final_measurements(circuit, plan.routed.exit)[0]


def _tracked(plan: Plan, circuit: QuantumCircuit, noise: RunNoise) -> Logical:
    routed = plan.routed
    figures = LocalFigures(plan.fabric, routed.node_of, routed.places)
    return track(circuit, routed.entry, routed.exit, noise, figures)


def _places(circuit: QuantumCircuit, reported: Sequence[ClassicalRegister]) -> list[list[int]]:
    index = {bit: place for place, bit in enumerate(circuit.clbits)}
    columns = user_columns(circuit)
    registers = {register.name: register for register in circuit.cregs}
    return [[columns[index[bit]] for bit in registers[each.name]] for each in reported]


def _entries(logical: Logical) -> tuple[int, int]:
    """The most entries of density matrices at once, and how many of these there are."""
    measured = len({each.bit for each in logical.operations if isinstance(each, Measure)})
    rows = 1 << min(logical.live + measured, 60)
    return rows * 4**logical.qubits, rows


def _refuse_entries(logical: Logical, *, rarely: bool = False) -> None:
    """Refuse too many entries; ``rarely`` counts those that are usual, since few columns are 1 at once."""
    entries, rows = _entries(logical)
    if (entries / math.sqrt(rows) if rarely else entries) > MOST_ENTRIES:
        raise SimulationRefused(
            asked="the exact mean over all errors",
            found=f"up to {rows:,} density matrices of {logical.qubits} qubits; at most {MOST_ENTRIES:,} entries fit",
            remedy="Sample instead.",
        )


def _affordable(task: _Task, shots: int) -> None:
    qubits, seconds = task.logical.qubits, min(task.exact_seconds(shots), task.sampled_seconds(shots))
    if qubits > WIDEST:
        raise SimulationRefused(
            asked=f"running {qubits} logical qubits with their effective errors",
            found=f"state vectors of 2^{qubits} amplitudes; at most {WIDEST} qubits are run",
            remedy='Ask for method "clifford" or "mps", where the circuit allows it.',
        )
    if seconds > LONGEST_S:
        raise SimulationRefused(
            asked=f"{shots} shots of {qubits} logical qubits with their effective errors",
            found=f"they would take about {seconds / 3600:,.0f} hours",
            remedy=f"Ask for at most {max(1, int(shots * LONGEST_S / seconds))} shots.",
        )
