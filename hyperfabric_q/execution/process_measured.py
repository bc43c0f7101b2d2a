"""The process fidelity of a plan, measured: the emitted circuit on Aer, between perfect preparations and measurements.

Each qubit begins in one of the six eigenstates of X, Y and Z; the emitted circuit runs with its errors; the inverse of
the user's circuit and of the preparation follow without any, and all qubits are measured. Every shot scores as
``process.local_scores`` says, and the mean score is an unbiased estimate. The errors are those of Aer's circuit, wire
by wire: the prediction, which knows logical qubits only, can be held against it.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, QuantumRegister, Qubit
from qiskit.circuit.library import UnitaryGate

from hyperfabric_q.errors import InternalError, InvalidValue, SimulationRefused
from hyperfabric_q.execution.aer import run_counts
from hyperfabric_q.execution.clusters import mean_error
from hyperfabric_q.execution.fidelity import Fidelity
from hyperfabric_q.execution.methods import Simulation, choose
from hyperfabric_q.execution.noise import misread_wires, read_noise, readout_model, with_local_noise, with_run_noise
from hyperfabric_q.execution.pauli_tracking import user_columns
from hyperfabric_q.execution.process import EIGENSTATES, WIDEST, is_unitary, local_scores, without_final_measurements
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.timelines import timelines_of
from hyperfabric_q.seeds import resolve, stream, word

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

USUAL_INPUTS: Final = 64
LEAST_INPUTS: Final = 8

_PREPARE: Final = "prepare"
_UNDO: Final = "undo"


def process_fidelity(
    plan: Plan,
    shots: int = 4096,
    *,
    noise: str = "fabric",
    timelines: str | int = "auto",
    inputs: int = USUAL_INPUTS,
    seed: int | None = None,
) -> Fidelity:
    """Return the process fidelity of a plan of at most eight qubits, measured with shots on the emitted circuit.

    Measurements at the end of the user's circuit, and their misreads, are no part of it. The bar holds what shots,
    states and timelines scatter by.

    Args:
        plan: what runs.
        shots: how many, over all states.
        noise: as for ``run``.
        timelines: as for ``run``; each state sees one of them.
        inputs: how many states are drawn, 8 or more.
        seed: the same seed gives the same figure; None = a fresh one.

    Raises:
        InvalidValue: an option is out of range, or the circuit is no unitary before its final measurements.
        SimulationRefused: more than eight qubits, or hours long.
    """
    seed, kind = resolve(seed), read_noise(noise)
    if not LEAST_INPUTS <= inputs <= shots:
        rule = f"there are at least {LEAST_INPUTS} states, and a shot for each"
        raise InvalidValue(field="inputs", value=inputs, rule=rule)
    if plan.qubits > WIDEST:
        raise SimulationRefused(
            asked=f"the process fidelity of {plan.qubits} qubits",
            found=f"at most {WIDEST} qubits are undone exactly",
            remedy="Compare counts instead: run(...).measured_fidelity.",
        )
    if not is_unitary(plan.program):
        raise InvalidValue(
            field="plan",
            value=plan.circuit.name,
            rule="a process fidelity is that of a circuit without resets, conditions and gates after measurements",
        )
    undone = without_final_measurements(plan.program.to_circuit()).inverse()
    lines = timelines_of(plan, kind, wanted=timelines, shots=shots, seed=seed)
    rng = stream(seed, "process", "inputs")
    # Every qubit is in each state equally often.
    states = np.arange(inputs) % len(EIGENSTATES)
    draws = np.stack([rng.permutation(states) for _ in range(plan.qubits)], axis=1)
    order = rng.permutation(len(lines))
    each, rest = divmod(shots, inputs)
    prepared: dict[int, _Frame] = {}
    totals, sizes = [], []
    for number, chosen in enumerate(draws.tolist()):
        share, line = each + (number < rest), int(order[number % len(lines)])
        if line not in prepared:
            prepared[line] = _Frame.of(plan, lines.noises[line], undone, shots=each)
        totals.append(prepared[line].total(chosen, shots=share, seed=word(seed, "process", number)))
        sizes.append(share)
    value = sum(totals) / shots
    # Shots that all agree still leave 1 / shots open.
    stderr = max(mean_error(totals, sizes, paired=False), math.sqrt(0.5) / (shots + 1))
    return Fidelity(value=value, stderr=stderr, kind="process", shots=shots, raw=value, perfect=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The emitted circuit with its errors, ready to be run between any preparation and its inverse.

    Attributes:
        way: the simulation, with a gate labelled by what it is for on each qubit before and after.
        places: where each qubit's final bit is.
        misread: readout errors that are left to Aer, of the first wires.
    """

    way: Simulation
    places: tuple[int, ...]
    misread: tuple[float, ...]

    @classmethod
    def of(cls, plan: Plan, errors: RunNoise, undone: QuantumCircuit, *, shots: int) -> _Frame:
        """Return the frame of some errors; ``undone`` is the inverse of the user's circuit."""
        noisy, misread = _noisy(plan, errors)
        circuit, register = _between(plan, noisy, undone, misread)
        return cls(
            way=choose(circuit, shots=shots, reported=[register], misread=misread),
            places=tuple(circuit.find_bit(bit).index for bit in register),
            misread=tuple(misread.values()),
        )

    def total(self, chosen: list[int], *, shots: int, seed: int) -> float:
        """Return the sum of the scores over some shots of one preparation."""
        circuit, turned = self.way.circuit.copy(), 0
        for place, step in enumerate(circuit.data):
            kind, _, qubit = (step.label or "").partition(" ")
            if kind in {_PREPARE, _UNDO}:
                gate = EIGENSTATES[chosen[int(qubit)]]
                gate = gate.conj().T if kind == _UNDO else gate
                circuit.data[place] = step.replace(operation=UnitaryGate(gate))
                turned += 1
        if turned != 2 * len(chosen):
            raise InternalError(what="a simulation lost the gates that prepare its qubits")
        counts = run_counts(
            circuit, shots=shots, seed=seed, noise_model=readout_model(self.misread), method=self.way.method
        )
        scores = local_scores(len(self.places))
        total = 0.0
        for value, hits in counts.items():
            outcome = sum((value >> place & 1) << number for number, place in enumerate(self.places))
            total += hits * float(scores[outcome])
        return total


def _noisy(plan: Plan, errors: RunNoise) -> tuple[QuantumCircuit, dict[Qubit, float]]:
    """Return the emitted circuit with its errors and without the user's measurements, and the wires Aer misreads."""
    routed = plan.routed
    noisy = with_run_noise(routed.circuit, errors)
    bare = noisy.copy_empty_like()
    user = set(user_columns(routed.circuit))
    for step in noisy.data:
        if step.name != "measure" or noisy.find_bit(step.clbits[0]).index not in user:
            bare.append(step)
    if not errors.local:
        return bare, {}
    misread = misread_wires(bare, routed.node_of, plan.fabric, routed.places)
    return with_local_noise(bare, routed.node_of, plan.fabric, routed.places), misread


def _between(
    plan: Plan, noisy: QuantumCircuit, undone: QuantumCircuit, misread: Container[Qubit]
) -> tuple[QuantumCircuit, ClassicalRegister]:
    """Return a noisy circuit between gates for the preparation and its inverse, and the bits of what is left."""
    routed = plan.routed
    nothing = np.eye(2)
    whole = noisy.copy_empty_like()
    for qubit, wire in enumerate(routed.entry):
        whole.append(UnitaryGate(nothing, label=f"{_PREPARE} {qubit}"), [wire])
    for step in noisy.data:
        whole.append(step)
    # Gate by gate: beside one dense matrix, Aer takes far longer.
    for step in undone.data:
        whole.append(step.operation, [routed.exit[undone.find_bit(qubit).index] for qubit in step.qubits])
    register = ClassicalRegister(plan.qubits, "undone")
    whole.add_register(register)
    for qubit, wire in enumerate(routed.exit):
        whole.append(UnitaryGate(nothing, label=f"{_UNDO} {qubit}"), [wire])
        read = whole.qubits[wire]
        if read in misread:
            # Aer would misread this wire, so another one is read.
            beside = QuantumRegister(1, f"beside_{qubit}")
            whole.add_register(beside)
            whole.cx(read, beside[0])
            read = beside[0]
        whole.measure(read, register[qubit])
    return whole, register
