"""The circuit without its feed-forward: every measured-and-corrected step as one channel.

A correction that depends on a protocol bit is a gate controlled by the qubit that was measured, as long as that
qubit is left alone until it is reset (principle of deferred measurement). A correction that can fail only when it
is applied is not a unitary, but it still is a channel on the two qubits. What is left has no classical control and
only final measurements, so one final state serves all shots.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import reduce

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, IfElseOp, Instruction, Qubit
from qiskit.circuit.library import CXGate, CZGate
from qiskit.quantum_info import Kraus, SuperOp

from hyperfabric_q.execution.noise import ERRORS, measured_and_used_again


def without_feed_forward(circuit: QuantumCircuit, reported: AbstractSet[Clbit]) -> QuantumCircuit | None:
    """Return an equivalent circuit whose only classical bits in use are the reported ones, measured at the end.

    Args:
        circuit: the circuit, errors included.
        reported: the classical bits that a run reports; all others may vanish.

    Returns:
        The circuit; None when a reported bit controls something, or a measured qubit is used on.
    """
    if measured_and_used_again(circuit):
        return None
    deferred = circuit.copy_empty_like()
    source: dict[Clbit, Qubit] = {}
    known: dict[tuple[object, ...], tuple[Instruction, list[Instruction]]] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name == "measure" and instruction.clbits[0] not in reported:
            source[instruction.clbits[0]] = instruction.qubits[0]
        elif isinstance(operation, IfElseOp):
            bit = _single_condition(instruction)
            if bit not in source:
                return None
            body = [step.operation for step in operation.blocks[0].data]
            likeness = tuple(id(step) if step.name in ERRORS else (step.name, *step.params) for step in body)
            if likeness not in known:
                # Keeping the body keeps its ids from being given to anything else.
                known[likeness] = _controlled(body), body
            deferred.append(known[likeness][0], [source[bit], *instruction.qubits], copy=False)
        else:
            if operation.name == "reset":
                source = {bit: wire for bit, wire in source.items() if wire != instruction.qubits[0]}
            deferred.append(instruction)
    return deferred


def _single_condition(instruction: CircuitInstruction) -> Clbit | None:
    """Return the bit that, when it is 1, lets something happen to one qubit; None for any other condition."""
    operation = instruction.operation
    condition = operation.condition
    simple = (
        isinstance(condition, tuple)
        and isinstance(condition[0], Clbit)
        and bool(condition[1])
        and len(operation.blocks) == 1
        and len(instruction.qubits) == 1
    )
    return condition[0] if simple else None


def _controlled(body: list[Instruction]) -> Instruction:
    """Return the operations of a correction as one on (measured qubit, corrected qubit)."""
    if len(body) == 1 and body[0].name in {"x", "z"}:
        return CXGate() if body[0].name == "x" else CZGate()
    applied = reduce(lambda done, step: done.compose(SuperOp(step)), body, SuperOp(np.eye(4)))
    # Qubit 0, the measured one, is the right factor.
    zero, one = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
    terms = [np.kron(np.eye(2), zero)] + [np.kron(each, one) for each in Kraus(applied).data]
    return SuperOp(Kraus(terms)).to_instruction()
