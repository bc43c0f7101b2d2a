"""What circuit do cut finder and fragments see?

One of gates on one or two wires, measurements, resets and ``if_else``. Gates of three and more qubits are decomposed;
identity gates, delays and barriers are dropped; ``CutWire`` and ``Move`` markers of qiskit-addon-cutting are read and
taken out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, IfElseOp
from qiskit.quantum_info import Operator

from hyperfabric_q.cutting.assignment import Assignment, operands
from hyperfabric_q.errors import UnsupportedOperation

IDENTITY = 1e-12
DROPPED = frozenset({"barrier", "delay", "id"})
KEPT = frozenset({"measure", "reset"})
DEPTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A circuit ready to be cut, and the cuts that its author marked.

    Attributes:
        circuit: of gates on one or two wires, measure, reset and if_else; the user's registers.
        marks: (wire, row) of every wire cut that was marked, right before the instruction at ``row``.
        wires: the wire of ``circuit`` that holds each qubit at the end; a ``Move`` changes it.
    """

    circuit: QuantumCircuit
    marks: tuple[tuple[int, int], ...]
    wires: tuple[int, ...]

    def marked(self) -> Assignment:
        """Return the assignment that cuts exactly the marked wires; parts are what then falls apart.

        Cost: linear in the instructions.
        """
        rows: dict[int, list[int]] = {wire: [0] for wire in range(self.circuit.num_qubits)}
        for wire, row in self.marks:
            if row not in rows[wire]:
                rows[wire].append(row)
        graph: Any = nx.Graph()
        graph.add_nodes_from((wire, place) for wire, starts in rows.items() for place in range(len(starts)))
        for row, wires, _ in operands(self.circuit):
            ends = [(wire, sum(start <= row for start in rows[wire]) - 1) for wire in wires]
            graph.add_edges_from(pairwise(ends))
        part = {}
        pieces = sorted(nx.connected_components(graph), key=min)
        for number, piece in enumerate(pieces):
            part.update(dict.fromkeys(piece, number))
        segments = tuple(
            tuple((row, part[wire, place]) for place, row in enumerate(sorted(starts))) for wire, starts in rows.items()
        )
        return Assignment(parts=max(len(pieces), 1), segments=segments)


def prepare(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit that finder and fragments take; ``read_marked`` also tells the cuts marked in it.

    Raises:
        UnsupportedOperation: loops, switches, conditions on expressions, gates without a definition.
    """
    return read_marked(circuit).circuit


def read_marked(circuit: QuantumCircuit) -> Prepared:
    """Return the prepared circuit with its marked wire cuts.

    ``CutWire`` and ``Move`` are known by name. ``Move(a, b)`` hands what a holds to b and leaves a empty, so from there
    on b is the name of a's wire; a's is the name of b's, which is reset unless nothing has touched it.
    """
    emitted = circuit.copy_empty_like()
    wires = list(range(circuit.num_qubits))
    index = {qubit: position for position, qubit in enumerate(circuit.qubits)}
    marks: list[tuple[int, int]] = []
    touched: set[int] = set()
    for row, instruction in enumerate(circuit.data):
        places = [index[qubit] for qubit in instruction.qubits]
        if instruction.name == "cut_wire":
            marks.append((wires[places[0]], len(emitted.data)))
        elif instruction.name == "move":
            source, target = places
            wires[source], wires[target] = wires[target], wires[source]
            marks.append((wires[target], len(emitted.data)))
            if wires[source] in touched:
                emitted.reset(wires[source])
        else:
            qubits = [emitted.qubits[wires[place]] for place in places]
            for plain in _plain(instruction.replace(qubits=qubits), row, DEPTH):
                emitted.append(plain)
            touched.update(wires[place] for place in places)
    return Prepared(circuit=emitted, marks=tuple(marks), wires=tuple(wires))


def _plain(instruction: CircuitInstruction, row: int, depth: int) -> Iterator[CircuitInstruction]:
    """Yield what stands for one instruction in a prepared circuit."""
    name, operation = instruction.name, instruction.operation
    if name in DROPPED:
        return
    if name in KEPT:
        yield instruction
    elif name == "if_else":
        yield _plain_condition(instruction, row)
    elif instruction.is_control_flow() or depth == 0:
        reason = "only if_else is understood among the statements that steer a circuit; unroll loops first"
        raise UnsupportedOperation(operation=name, reason=reason, index=row)
    elif (
        instruction.is_parameterized() and len(instruction.qubits) <= 2 and not instruction.clbits and _binds(operation)
    ):
        yield instruction
    elif len(instruction.qubits) <= 2 and (matrix := matrix_of(instruction)) is not None:
        if np.abs(matrix - matrix[0, 0] * np.eye(len(matrix))).max() > IDENTITY:
            yield instruction
    elif (definition := getattr(operation, "definition", None)) is not None:
        qubit = dict(zip(definition.qubits, instruction.qubits, strict=True))
        clbit = dict(zip(definition.clbits, instruction.clbits, strict=True))
        for inner in definition.data:
            moved = inner.replace(
                qubits=[qubit[each] for each in inner.qubits], clbits=[clbit[each] for each in inner.clbits]
            )
            yield from _plain(moved, row, depth - 1)
    else:
        reason = f"it acts on {len(instruction.qubits)} qubits and has no definition in smaller gates"
        raise UnsupportedOperation(operation=name, reason=reason, index=row)


def measures(circuit: QuantumCircuit) -> bool:
    """Whether a prepared circuit measures, also inside its conditions."""
    return any(
        each.name == "measure" or (each.is_control_flow() and any(measures(block) for block in each.operation.blocks))
        for each in circuit.data
    )


def _binds(operation: Any) -> bool:
    """Whether a gate has a matrix once numbers stand for its parameters; one made from a circuit has none."""
    if getattr(operation, "definition", None) is None:
        return True
    trial = operation.copy()
    try:
        trial.params = [0.5 if getattr(each, "parameters", None) else each for each in trial.params]
        trial.to_matrix()
    except Exception:  # Qiskit raises what it likes where there is no matrix
        return False
    return True


def matrix_of(instruction: CircuitInstruction) -> Any:
    """Return the unitary of a bound gate on its qubits (Qiskit's order), or None where there is none."""
    matrix = instruction.matrix
    if matrix is not None:
        return np.asarray(matrix)
    operation = instruction.operation
    if getattr(operation, "definition", None) is None or instruction.clbits:
        return None
    if any(inner.name in KEPT or inner.is_control_flow() for inner in operation.definition.data):
        return None
    try:
        return np.asarray(Operator(operation).data)
    except Exception:  # Qiskit raises what it likes where a definition is not unitary
        return None


def _plain_condition(instruction: CircuitInstruction, row: int) -> CircuitInstruction:
    operation = instruction.operation
    condition = operation.condition
    if not isinstance(condition, tuple):
        reason = "its condition is an expression; compare one bit or one register with a number"
        raise UnsupportedOperation(operation="if_else", reason=reason, index=row)
    blocks = []
    for block in operation.blocks:
        plain = block.copy_empty_like()
        for inner in block.data:
            for each in _plain(inner, row, DEPTH):
                plain.append(each)
        blocks.append(plain)
    rebuilt = IfElseOp(condition, blocks[0], blocks[1] if len(blocks) > 1 else None, label=operation.label)
    return instruction.replace(operation=rebuilt)


def condition_bits(operation: Any, clbit_index: dict[Clbit, int]) -> tuple[tuple[int, ...], int]:
    """Return the clbits that an if_else reads, least significant first, and the number they must spell."""
    target, value = operation.condition
    bits = [target] if isinstance(target, Clbit) else list(target)
    return tuple(clbit_index[bit] for bit in bits), int(value)
