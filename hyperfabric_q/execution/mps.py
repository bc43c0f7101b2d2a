"""Wide circuits with little entanglement, as matrix-product states: a plan and its errors to counts.

The emitted circuit runs with its measurements deferred (``deferred_steps``) and its errors drawn: shots with the same
errors share one state, the shots without any as well. So noisy pairs cost a few states, and errors of every gate one
for nearly every shot. Without errors, the user's circuit runs in place of the emitted one, if that was verified to be
equal. Errors are exact as far as they are Pauli channels; energy relaxation of waiting qubits is replaced by its Pauli
twirl, and ``Sample.approximations`` says so. Of a bond no more than 1e-16 of the weight is cut off.

What a state costs depends on its bonds. The number of gates across a cut bounds them; where that bound is out of reach,
the circuit is tried with limited bonds, and the result counts only if nothing was cut off.
"""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ClassicalRegister
from qiskit.circuit.library import CXGate, CZGate, UnitaryGate, XGate, ZGate, get_standard_gate_name_mapping

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import HyperFabricWarning, SimulationRefused
from hyperfabric_q.execution.bit_counts import UNWRITTEN, Bits, count, key_order
from hyperfabric_q.execution.deferred_steps import Deferred, Slot, deferred_steps
from hyperfabric_q.execution.methods import LONGEST_S
from hyperfabric_q.execution.mps_cost import GATE_S, LIMITS, Line
from hyperfabric_q.execution.mps_state import State, draw, evolve
from hyperfabric_q.execution.pauli_errors import twirl_notes
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import LONG_S, Sample
from hyperfabric_q.seeds import stream

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

METHOD: Final = "mps"

Errors = tuple[tuple[int, int], ...]
"""What goes wrong in a shot: slots, by number, and the Pauli in each."""

_PAULIS: Final = {(0, 1): XGate(), (1, 1): ZGate(), (0, 2): CXGate(), (1, 2): CZGate()}
"""X and Z, then the controlled ones, by z and the number of wires."""

_VERIFIED: Final = frozenset({"proved", "skeleton", "sampled"})
_PERFECT: Final = RunNoise(pair_weights=np.empty((0, 4)), idles=(), local=False)

_NEGLIGIBLE: Final = 1e-12
"""Weight cut off below which a state counts as exact."""

_CERTAIN: Final = 1 - 1e-12
_DRAW_S: Final = 3e-8


def sample_mps(plan: Plan, noise: RunNoise, *, shots: int, seed: int, reported: Sequence[ClassicalRegister]) -> Sample:
    """Return counts of a plan's emitted circuit, by matrix-product states of Aer's.

    Args:
        plan: what runs, measurements included.
        noise: its errors.
        shots: how many.
        seed: the same seed gives the same counts.
        reported: registers of the circuit.

    Raises:
        InvalidValue: a gate, which is named, stands under a condition that cannot be deferred.
        SimulationRefused: too entangled, or too many different errors, for a run of hours.
    """
    routed = plan.routed
    figures = LocalFigures(plan.fabric, routed.node_of, routed.places)
    program = deferred_steps(routed.circuit, noise, figures, routed.entry)
    bits = _bits(routed.circuit, reported)
    misread = [(column, program.misread[bit]) for column, bit in enumerate(bits) if program.misread.get(bit)]
    if not program.slots and plan.verification.label in _VERIFIED:
        logical = plan.program.to_circuit()
        program = deferred_steps(logical, _PERFECT, figures, range(plan.program.qubits))
        bits = _bits(logical, reported)
    errors = drawn_errors(program.slots, shots, stream(seed, METHOD, "errors"))
    run = _Run(program, [program.outcome.get(bit, UNWRITTEN) for bit in bits], misread)
    return Sample(
        counts=count(run.batches(errors, shots, seed), [register.size for register in reported]),
        method=METHOD,
        wires=len(program.order),
        approximations=twirl_notes(program.decays),
    )


def predicted_seconds(plan: Plan, noise: RunNoise, *, shots: int, reported: Sequence[ClassicalRegister]) -> float:
    """Return how long ``sample_mps`` would take at most; infinity where its bonds may be out of reach."""
    del reported
    routed = plan.routed
    figures = LocalFigures(plan.fabric, routed.node_of, routed.places)
    program = deferred_steps(routed.circuit, noise, figures, routed.entry)
    line = Line.of(program)
    if not line.affordable(None):
        return math.inf
    perfect = math.exp(sum(math.log1p(-min(sum(slot.chances[1:]), _CERTAIN)) for slot in program.slots))
    return (1 + shots * (1 - perfect)) * line.seconds(None) + _DRAW_S * shots * len(line.place)


def _bits(circuit: QuantumCircuit, reported: Sequence[ClassicalRegister]) -> list[int]:
    """The classical bits of registers, found by name, in the order of a key."""
    index = {bit: position for position, bit in enumerate(circuit.clbits)}
    registers = {register.name: register for register in circuit.cregs}
    return key_order([[index[bit] for bit in registers[each.name]] for each in reported])


def drawn_errors(slots: Sequence[Slot], shots: int, rng: np.random.Generator) -> Counter[Errors]:
    """Return how many of the shots have which errors, each slot drawn for each shot; O(slots + errors)."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number, slot in enumerate(slots):
        chances = np.array(slot.chances[1:])
        total = min(float(chances.sum()), 1.0)
        hits = int(rng.binomial(shots, total))
        if not hits:
            continue
        where = rng.choice(shots, hits, replace=False, shuffle=False)
        which = rng.choice(len(chances), hits, p=chances / chances.sum()) + 1
        for shot, code in zip(where.tolist(), which.tolist(), strict=True):
            found.setdefault(shot, []).append((number, code))
    drawn = Counter(tuple(each) for each in found.values())
    if len(found) < shots:
        drawn[()] = shots - len(found)
    return drawn


class _Run:
    """One run: the states of all errors that occur, one after the other."""

    def __init__(self, program: Deferred, outcome: Sequence[int], misread: Sequence[tuple[int, float]]) -> None:
        """Prepare.

        Args:
            program: what runs.
            outcome: the wire of each reported bit, ``UNWRITTEN`` for none.
            misread: reported bits that are misread, and how often.
        """
        self._program = program
        self._line = line = Line.of(program)
        self._limits = list(line.limits())
        self._columns: dict[int, list[int]] = {}
        for column, wire in enumerate(outcome):
            if wire != UNWRITTEN:
                self._columns.setdefault(line.place[wire], []).append(column)
        self._width = len(outcome)
        self._misread = misread
        self._gates: dict[Any, Any] = {}
        self._known = get_standard_gate_name_mapping()
        self._empty = QuantumCircuit(max(len(line.place), 1))
        self._data = [
            CircuitInstruction(self._gate(step.name, step.params, step.matrix), self._wires(step.wires))
            for step in program.steps
        ]

    def batches(self, errors: Counter[Errors], shots: int, seed: int) -> Iterator[Bits]:
        """Yield the reported bits of all shots, those with the same errors together, the most frequent first."""
        self._afford(errors, shots, 0.0)
        for number, (each, hits) in enumerate(sorted(errors.items(), key=lambda item: (-item[1], item[0]))):
            began = time.monotonic()
            state = self._state(each)
            if number == 0:
                self._afford(errors, shots, time.monotonic() - began)
            rng = stream(seed, METHOD, number)
            found = draw(state, self._columns, self._width, hits, rng)
            for column, wrong in self._misread:
                found[:, column] ^= rng.random(hits) < wrong
            yield found

    def _afford(self, errors: Counter[Errors], shots: int, first_s: float) -> None:
        line, many = self._line, len(errors)
        asked = f"{shots} shots of a circuit of {len(line.place)} wires and {line.gates} gates as matrix-product states"
        if not self._limits:
            raise SimulationRefused(
                asked=asked,
                found=f"by the number of gates across a cut, bonds may reach 2^{line.largest}, and already at "
                f"{LIMITS[0]} a state would take up to {line.seconds(LIMITS[0]) / 3600:,.1f} hours and "
                f"{line.octets(LIMITS[0]) / 2**30:,.1f} GiB",
                remedy="Use a shallower circuit, or order the qubits so that gates join neighbours.",
            )
        cheapest = first_s or GATE_S * line.gates
        drawn = _DRAW_S * shots * len(line.place)
        if cheapest * many + drawn > LONGEST_S:
            fits = int(shots * LONGEST_S / (cheapest * many + drawn))
            raise SimulationRefused(
                asked=asked,
                found=f"{many} of the shots have errors of their own, and with {cheapest:.2g} s for each state that "
                f"takes about {(cheapest * many + drawn) / 3600:,.0f} hours",
                remedy=f"Ask for at most {fits} shots, or leave out errors inside nodes with noise='links'.",
            )

    def _state(self, errors: Errors) -> State:
        """Return the exact state; limits that once cut something off are not tried again."""
        circuit = self._circuit(errors)
        while self._limits:
            limit = self._limits[0]
            if self._line.seconds(limit) > LONG_S:
                warnings.warn(HyperFabricWarning(self._long(limit)), stacklevel=2)
            state = evolve(circuit, bond=limit)
            if state.discarded <= _NEGLIGIBLE:
                return state
            self._limits.pop(0)
        line = self._line
        following = 4 * (limit or LIMITS[-1])
        raise SimulationRefused(
            asked=f"a circuit of {len(line.place)} wires and {line.gates} gates as a matrix-product state",
            found=f"bonds of {limit} cut off {state.discarded:.2g} of the weight, and bonds of {following} may take "
            f"{line.seconds(following) / 3600:,.1f} hours and {line.octets(following) / 2**30:,.1f} GiB a state",
            remedy="Use a shallower circuit, or order the qubits so that gates join neighbours.",
        )

    def _long(self, limit: int | None) -> str:
        most = f"2^{self._line.largest}" if limit is None else str(limit)
        return (
            f"a matrix-product state of {len(self._line.place)} wires with bonds of up to {most} may take up to "
            f"{self._line.seconds(limit) / 60:.0f} minutes."
        )

    def _circuit(self, errors: Errors) -> QuantumCircuit:
        circuit = self._empty.copy()
        at = 0
        for number, code in errors:
            slot = self._program.slots[number]
            for instruction in self._data[at : slot.at]:
                circuit._append(instruction)  # Qiskit's fast path
            at = slot.at
            for instruction in self._error(slot, code):
                circuit._append(instruction)
        for instruction in self._data[at:]:
            circuit._append(instruction)
        return circuit

    def _error(self, slot: Slot, code: int) -> Iterator[CircuitInstruction]:
        """Yield a Pauli on the wires of a slot, under its condition."""
        control, value = slot.control or (-1, 1)
        flip = [] if value else [CircuitInstruction(XGate(), self._wires((control,)))]
        yield from flip
        for digit in range(2 * len(slot.wires)):
            if code >> digit & 1:
                turned, wire = divmod(digit, len(slot.wires))
                wires = (slot.wires[wire],) if slot.control is None else (control, slot.wires[wire])
                yield CircuitInstruction(_PAULIS[turned, len(wires)], self._wires(wires))
        yield from flip

    def _wires(self, wires: Sequence[int]) -> list[Any]:
        return [self._empty.qubits[self._line.place[wire]] for wire in wires]

    def _gate(self, name: str, params: tuple[float, ...], matrix: Any) -> Any:
        if matrix is not None:
            return UnitaryGate(matrix)
        if (name, params) not in self._gates:
            gate = self._known[name]
            self._gates[name, params] = type(gate)(*params) if params else gate
        return self._gates[name, params]
