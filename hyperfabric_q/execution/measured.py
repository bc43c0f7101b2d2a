"""A plan with the measurements that a run reports, or with measurements in other bases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.distribution.program import Kind, Program
from hyperfabric_q.execution.sample import MEASURED

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

Angles = tuple[float, float, float]

TO_Z: Final[Mapping[str, Angles]] = {"X": (math.pi / 2, 0.0, math.pi), "Y": (math.pi / 2, 0.0, math.pi / 2)}
"""The one gate (theta, phi, lambda) that turns a Pauli into Z: H for X, H S-dagger for Y."""


def measures(program: Program) -> bool:
    """Return whether the user's circuit measures anything."""
    return bool((program.kind == Kind.MEASURE).any())


def measured(plan: Plan) -> tuple[Plan, list[ClassicalRegister]]:
    """Return a plan that measures, and the registers that a run of it reports: the user's own.

    A circuit without measurements is measured at its end, all qubits, into a register "meas" ("meas_1" and so on where
    the name is taken).
    """
    reported = list(plan.program.to_circuit().cregs)
    if measures(plan.program):
        return plan, reported
    plan, register = with_measurements(plan, dict.fromkeys(range(plan.program.qubits), "Z"))
    return plan, [*reported, register]


def with_measurements(plan: Plan, bases: Mapping[int, str]) -> tuple[Plan, ClassicalRegister]:
    """Return a plan in which qubits are measured at the end, and the register that they are measured into.

    Bit i of the register is the i-th qubit of ``bases``. Circuit, program and emitted circuit are extended alike: one
    gate on each qubit that is measured in X or Y, then the measurements.

    Args:
        plan: the plan.
        bases: "X", "Y" or "Z" by qubit.
    """
    taken = {
        register.name
        for circuit in (plan.circuit, plan.routed.circuit)
        for register in (*circuit.cregs, *circuit.qregs)
    }
    name, number = MEASURED, 0
    while name in taken:
        number += 1
        name = f"{MEASURED}_{number}"
    register = ClassicalRegister(len(bases), name)
    extended = replace(
        plan,
        circuit=_extended(plan.circuit, {qubit: qubit for qubit in bases}, bases, register),
        program=_extended_program(plan.program, bases, register),
        routed=replace(
            plan.routed,
            circuit=_extended(plan.routed.circuit, dict(enumerate(plan.routed.exit)), bases, register),
        ),
    )
    return extended, register


def _extended(
    circuit: QuantumCircuit, wire_of: Mapping[int, int], bases: Mapping[int, str], register: ClassicalRegister
) -> QuantumCircuit:
    longer = circuit.copy()
    longer.add_register(register)
    for qubit, basis in bases.items():
        if basis in TO_Z:
            longer.u(*TO_Z[basis], longer.qubits[wire_of[qubit]])
    longer.measure([longer.qubits[wire_of[qubit]] for qubit in bases], list(register))
    return longer


def _extended_program(program: Program, bases: Mapping[int, str], register: ClassicalRegister) -> Program:
    turned = [qubit for qubit, basis in bases.items() if basis in TO_Z]
    qubits = [*turned, *bases]
    size, rows = len(bases), len(turned) + len(bases)
    known = program.classical.num_clbits
    classical = program.classical.copy()
    classical.add_register(register)
    angles = np.zeros((rows, 3))
    for row, qubit in enumerate(turned):
        angles[row] = TO_Z[bases[qubit]]
    last = int(program.origin.max(initial=-1))

    def more(column: np.ndarray, values: Sequence[int]) -> np.ndarray:
        return np.concatenate([column, np.array(values, dtype=column.dtype)])

    return replace(
        program,
        classical=classical,
        kind=more(program.kind, [Kind.U] * len(turned) + [Kind.MEASURE] * size),
        first=more(program.first, qubits),
        second=more(program.second, [-1] * rows),
        angles=np.concatenate([program.angles, angles]),
        clbit=more(program.clbit, [-1] * len(turned) + list(range(known, known + size))),
        condition=more(program.condition, [-1] * rows),
        origin=more(program.origin, list(range(last + 1, last + 1 + rows))),
    )
