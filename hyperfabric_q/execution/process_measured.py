"""The process fidelity of a plan, measured: the emitted circuit on Aer, between perfect preparations and measurements.

Each qubit begins in one of the six eigenstates of X, Y and Z; the emitted circuit runs with its errors; the inverse of
the user's circuit and of the preparation follow without any, and all qubits are measured. Every shot scores as
``process.local_scores`` says, and the mean score is an unbiased estimate. The errors are those of Aer's circuit, wire
by wire: the prediction, which knows logical qubits only, can be held against it.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, QuantumRegister, Qubit
from qiskit.circuit.library import UnitaryGate

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.execution.aer import run_counts
from hyperfabric_q.execution.clusters import mean_error
from hyperfabric_q.execution.fidelity import Fidelity
from hyperfabric_q.execution.methods import choose
from hyperfabric_q.execution.noise import Noise, misread_wires, readout_model, with_local_noise, with_run_noise
from hyperfabric_q.execution.pauli_tracking import user_columns
from hyperfabric_q.execution.process import EIGENSTATES, WIDEST, is_unitary, local_scores, without_final_measurements
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.timelines import timelines_of
from hyperfabric_q.seeds import resolve, stream, word

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

USUAL_INPUTS: Final = 64
LEAST_INPUTS: Final = 8


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
    seed, kind = resolve(seed), Noise(noise)
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
    prepared: dict[int, tuple[QuantumCircuit, dict[Qubit, float]]] = {}
    totals, sizes = [], []
    for number, chosen in enumerate(draws.tolist()):
        share, line = each + (number < rest), int(order[number % len(lines)])
        if line not in prepared:
            prepared[line] = _noisy(plan, lines.noises[line])
        noisy, misread = prepared[line]
        circuit, register = _between(plan, noisy, undone, chosen, misread)
        own = word(seed, "process", number)
        totals.append(_total(circuit, register, misread, shots=share, seed=own))
        sizes.append(share)
    value = sum(totals) / shots
    # Shots that all agree still leave 1 / shots open.
    stderr = max(mean_error(totals, sizes, paired=False), math.sqrt(0.5) / (shots + 1))
    return Fidelity(value=value, stderr=stderr, kind="process", shots=shots, raw=value, perfect=1.0)


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
    plan: Plan, noisy: QuantumCircuit, undone: QuantumCircuit, chosen: list[int], misread: Container[Qubit]
) -> tuple[QuantumCircuit, ClassicalRegister]:
    """Return a noisy circuit between the preparation of some states and the measurement of what is left of them."""
    routed = plan.routed
    whole = noisy.copy_empty_like()
    for wire, state in zip(routed.entry, chosen, strict=True):
        whole.append(UnitaryGate(EIGENSTATES[state]), [wire])
    for step in noisy.data:
        whole.append(step)
    # Gate by gate: Aer would fuse the errors around one dense matrix with it, at enormous cost.
    for step in undone.data:
        whole.append(step.operation, [routed.exit[undone.find_bit(qubit).index] for qubit in step.qubits])
    register = ClassicalRegister(plan.qubits, "undone")
    whole.add_register(register)
    for place, (wire, state) in enumerate(zip(routed.exit, chosen, strict=True)):
        whole.append(UnitaryGate(EIGENSTATES[state].conj().T), [wire])
        read = whole.qubits[wire]
        if read in misread:
            # Aer would misread this wire, so another one is read.
            beside = QuantumRegister(1, f"beside_{place}")
            whole.add_register(beside)
            whole.cx(read, beside[0])
            read = beside[0]
        whole.measure(read, register[place])
    return whole, register


def _total(
    circuit: QuantumCircuit, register: ClassicalRegister, misread: Mapping[Qubit, float], *, shots: int, seed: int
) -> float:
    """Return the sum of the estimate over some shots."""
    way = choose(circuit, shots=shots, reported=[register], misread=misread)
    counts = run_counts(
        way.circuit, shots=shots, seed=seed, noise_model=readout_model(misread.values()), method=way.method
    )
    places = [circuit.find_bit(bit).index for bit in register]
    scores = local_scores(1)
    return sum(
        hits * float(np.prod([scores[value >> place & 1] for place in places])) for value, hits in counts.items()
    )
