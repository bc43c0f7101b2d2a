"""How good the operations of an emitted circuit are, and how many gates of the hardware they take.

A node with a chip has a figure for each pair of coupled qubits, and its hardware has one two-qubit gate: a controlled
phase takes two of them, a SWAP three. Elsewhere the node's figures count, and every two-qubit gate is one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlFlowOp

from hyperfabric_q.fabric import Fabric, NodeSignature

NATIVE_GATES: Final[Mapping[str, int]] = {"cz": 1, "cx": 1, "cp": 2, "swap": 3}
"""Two-qubit gates of hardware with one entangling gate that each two-qubit gate of a lowered circuit takes."""

_EXACT: Final = frozenset({"bell_pair", "barrier", "reset"})


class LocalFigures:
    """The errors of one circuit's operations inside nodes; what is not stated counts as no error."""

    def __init__(self, fabric: Fabric, node_of: Sequence[str], places: Sequence[int] = ()) -> None:
        """Prepare for a circuit with these wires.

        Args:
            fabric: owner of the figures.
            node_of: the node of each wire.
            places: physical qubit of each wire on the chip of its node, -1 for none; empty = none at all.
        """
        self._nodes = {node: fabric.node(node) for node in set(node_of)}
        self._node_of = tuple(node_of)
        self._places = tuple(places) or (-1,) * len(self._node_of)

    def node(self, wire: int) -> NodeSignature:
        """Return the node of a wire."""
        return self._nodes[self._node_of[wire]]

    def gates(self, name: str, wires: Sequence[int]) -> int:
        """Return how many gates of the hardware an instruction is: 1, but on a chip for some two-qubit gates more."""
        return NATIVE_GATES.get(name, 1) if len(wires) > 1 and self._places[wires[0]] >= 0 else 1

    def gate_error(self, wires: Sequence[int]) -> float:
        """Return the average infidelity of one gate of the hardware.

        A gate on two nodes (there is none in an emitted circuit; the undistributed one has them) takes the worse.
        """
        if len(wires) == 1:
            return self.node(wires[0]).gate_error_1q or 0.0
        a, b = wires
        chip = self.node(a).chip
        if chip is not None and self._node_of[a] == self._node_of[b] and self._places[a] >= 0:
            stated = chip.edge_error(self._places[a], self._places[b])
            if stated is not None:
                return stated
        return max(self.node(wire).gate_error_2q or 0.0 for wire in wires)

    def readout_error(self, wire: int) -> float:
        """Return the chance that a measurement of a wire is misread."""
        node, place = self.node(wire), self._places[wire]
        stated = node.chip.readout_error(place) if node.chip is not None and place >= 0 else None
        return (node.readout_error or 0.0) if stated is None else stated

    def loss(self, circuit: QuantumCircuit) -> float:
        """Return -ln of the product of all process fidelities of gates and fidelities of readouts; O(instructions)."""
        index = {qubit: wire for wire, qubit in enumerate(circuit.qubits)}
        total = 0.0
        for step in circuit.data:
            total += self._step_loss(step, [index[qubit] for qubit in step.qubits])
        return total

    def _step_loss(self, step: CircuitInstruction, wires: list[int]) -> float:
        if step.name in _EXACT:
            return 0.0
        if step.name == "measure":
            return minus_log(self.readout_error(wires[0]))
        if isinstance(step.operation, ControlFlowOp):
            bodies = []
            for block in step.operation.blocks:
                outer = dict(zip(block.qubits, wires, strict=True))
                bodies.append(
                    sum(self._step_loss(each, [outer[qubit] for qubit in each.qubits]) for each in block.data)
                )
            return max(bodies, default=0.0)
        return self.gates(step.name, wires) * minus_log(process_infidelity(self.gate_error(wires), len(wires)))


def process_infidelity(average: float, qubits: int) -> float:
    """Return the process infidelity (d + 1) r / d of a gate of average infidelity r on ``qubits`` qubits."""
    d: int = 2**qubits
    return average * (d + 1) / d


def minus_log(error: float) -> float:
    """Return -ln(1 - error), infinite from 1 on."""
    return -math.log1p(-error) if error < 1 else math.inf
