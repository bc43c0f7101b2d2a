"""On how few wires can a simulator hold an emitted circuit?

A communication qubit is in use from its Bell pair to its measurement and idle otherwise, and the cost of a state
vector doubles with every wire. So a wire's history is cut at its resets, and each piece is put on the first
simulator wire that is free when the piece begins: nodes that communicate one after the other share their wires,
idle wires vanish.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Measure, QuantumRegister, Qubit, Reset
from qiskit.circuit.library import CXGate, HGate

Piece = tuple[Qubit, int]
"""A wire, and how many resets it has seen."""


def bare(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return an empty circuit with the classical bits and registers of ``circuit``, in order, and no wires."""
    empty = QuantumCircuit()
    empty.add_bits(circuit.clbits)
    for register in circuit.cregs:
        empty.add_register(register)
    return empty


def compact(circuit: QuantumCircuit, *, fixed: Sequence[Qubit] = (), reuse: bool = True) -> QuantumCircuit:
    """Return the circuit on as few wires as the lifetimes of its qubits allow; O(instructions log wires).

    Barriers go, and every ``bell_pair`` becomes the two gates that prepare it. What is measured, conditioned or
    disturbed stays, in the same order.

    Args:
        circuit: the circuit; every wire starts in |0>.
        fixed: wires that keep one simulator wire to the end; they become wires 0, 1, ... in this order.
        reuse: False gives every piece of a wire's history a wire of its own: more of them, and not one reset.
    """
    steps = list(_steps(circuit))
    last = _last_uses(steps, frozenset(fixed))
    lane = {wire: position for position, wire in enumerate(fixed)}
    age = dict.fromkeys(circuit.qubits, 0)
    free: list[int] = []
    dirty: set[int] = set()
    width = len(fixed)
    placed: list[tuple[CircuitInstruction, list[int]]] = []
    for at, step in enumerate(steps):
        if step.operation.name == "reset" and step.qubits[0] not in fixed:
            age[step.qubits[0]] += 1
            continue
        for wire in step.qubits:
            if wire in lane:
                continue
            if free:
                lane[wire] = heapq.heappop(free)
            else:
                lane[wire], width = width, width + 1
            if lane[wire] in dirty:
                placed.append((CircuitInstruction(Reset(), [wire]), [lane[wire]]))
        placed.append((step, [lane[wire] for wire in step.qubits]))
        for wire in step.qubits:
            if last.get((wire, age[wire])) == at:
                lane_left = lane.pop(wire)
                if reuse:
                    dirty.add(lane_left)
                    heapq.heappush(free, lane_left)
    packed = bare(circuit)
    packed.add_register(QuantumRegister(width, "wire"))
    for step, lanes in placed:
        packed.append(step.operation, [packed.qubits[each] for each in lanes], step.clbits, copy=False)
    return packed


def measure_last(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit with its measurements at its end, in order, so that one final state can be sampled.

    Only for circuits in which nothing but a reset follows a measurement on its wire, and no condition reads its
    bit; the wires then live on to the end, on fresh ones after a reset.
    """
    ordered = bare(circuit)
    ordered.add_bits(circuit.qubits)
    current = dict(zip(circuit.qubits, circuit.qubits, strict=True))
    measured: list[tuple[Qubit, CircuitInstruction]] = []
    closed: set[Qubit] = set()
    for step in circuit.data:
        name = step.operation.name
        if name == "measure":
            measured.append((current[step.qubits[0]], step))
            closed.add(current[step.qubits[0]])
        elif name == "reset" and current[step.qubits[0]] in closed:
            current[step.qubits[0]] = Qubit()
            ordered.add_bits([current[step.qubits[0]]])
        else:
            ordered.append(step.operation, [current[wire] for wire in step.qubits], step.clbits, copy=False)
    for wire, step in measured:
        ordered.append(Measure(), [wire], step.clbits, copy=False)
    return ordered


def _steps(circuit: QuantumCircuit) -> list[CircuitInstruction]:
    steps: list[CircuitInstruction] = []
    for instruction in circuit.data:
        if instruction.operation.name == "bell_pair":
            a, b = instruction.qubits
            steps += [CircuitInstruction(HGate(), [a]), CircuitInstruction(CXGate(), [a, b])]
        elif instruction.operation.name != "barrier":
            steps.append(instruction)
    return steps


def _last_uses(steps: Sequence[CircuitInstruction], fixed: frozenset[Qubit]) -> dict[Piece, int]:
    """Return the position of the last step of each piece of each wire that is not fixed."""
    age: dict[Qubit, int] = {}
    last: dict[Piece, int] = {}
    for at, step in enumerate(steps):
        for wire in step.qubits:
            if wire in fixed:
                continue
            if step.operation.name == "reset":
                age[wire] = age.get(wire, 0) + 1
            else:
                last[wire, age.get(wire, 0)] = at
    return last
