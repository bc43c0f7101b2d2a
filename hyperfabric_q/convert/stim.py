"""Clifford circuits with Pauli feed-forward, from Qiskit to stim.

A gate is recognised as Clifford by its matrix, not by its name, so ``u`` and ``cp`` at Clifford angles pass. The test
is made in double precision: the matrix must turn each Pauli generator into ± a Pauli string within 1e-9.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import stim
from qiskit import QuantumCircuit

from hyperfabric_q.convert.operations import Kind, Matrix, Operation, read
from hyperfabric_q.errors import UnsupportedOperation

TOLERANCE = 1e-9
_MAX_GATE_QUBITS = 3
_PAULIS = {
    "I": np.eye(2, dtype=np.complex128),
    "X": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]], dtype=np.complex128),
    "Z": np.array([[1, 0], [0, -1]], dtype=np.complex128),
}
_SAME_NAME = {
    **dict.fromkeys(("x", "y", "z", "h", "s", "cx", "cy", "cz", "swap", "iswap"), ""),
    "sdg": "S_DAG",
    "sx": "SQRT_X",
    "sxdg": "SQRT_X_DAG",
}


def to_stim(circuit: QuantumCircuit) -> stim.Circuit:
    """Return a Clifford circuit as a stim circuit over the same qubit numbers, up to global phase; O(gates).

    Measurements append to the record in order; ``if_test`` on one bit with a Pauli body becomes a controlled Pauli on
    the record. A ``bell_pair`` becomes H and CX: it needs both qubits in |0>, as in Qiskit.

    Raises:
        UnsupportedOperation: a gate that is not Clifford, or a condition that is not one bit with Pauli gates.
    """
    return stim_circuit(read(circuit))


def is_clifford(circuit: QuantumCircuit) -> bool:
    """Return whether ``to_stim`` accepts the circuit; stops at the first operation that it does not."""
    try:
        operations = read(circuit)
    except UnsupportedOperation:
        return False
    return all_clifford(operations)


def all_clifford(operations: Iterable[Operation]) -> bool:
    """Return whether every operation is a Clifford gate, a Pauli under one classical bit, or not a gate at all."""
    return all(_why_not(operation) is None for operation in operations)


def stim_circuit(operations: Sequence[Operation]) -> stim.Circuit:
    """Return operations as a stim circuit; see ``to_stim``."""
    circuit = stim.Circuit()
    place: dict[int, int] = {}
    for operation in operations:
        if (reason := _why_not(operation)) is not None:
            raise UnsupportedOperation(operation=operation.name, index=operation.index, reason=reason)
        if operation.kind is Kind.MEASURE and operation.bit is not None:
            place[operation.bit] = circuit.num_measurements
            circuit.append("M", operation.wires)
        elif operation.kind is Kind.RESET:
            circuit.append("R", operation.wires)
        elif operation.kind is Kind.PAIR:
            circuit.append("H", operation.wires[:1])
            circuit.append("CX", operation.wires)
        elif operation.condition:
            _feed_forward(circuit, operation, place)
        else:
            append_gate(circuit, operation)
    return circuit


def append_gate(circuit: stim.Circuit, operation: Operation) -> None:
    """Append an unconditional Clifford gate, as one stim instruction wherever stim has it."""
    name = _SAME_NAME.get(operation.name) if operation.gate is None else None
    if name is not None:
        circuit.append(name or operation.name.upper(), operation.wires)
        return
    for step, targets in _steps(operation.matrix().tobytes(), len(operation.wires)) or ():
        circuit.append(step, [operation.wires[target] for target in targets])


def _why_not(operation: Operation) -> str | None:
    """The reason why stim cannot hold the operation, None when it can."""
    if operation.kind is not Kind.GATE or (
        operation.name in _SAME_NAME and not operation.condition and operation.gate is None
    ):
        return None
    if operation.condition:
        if any(len(clause.bits) != 1 for clause in operation.condition) or len(operation.condition) != 1:
            return "stim feeds forward single bits only"
        return None if _pauli(operation) is not None else "only Pauli gates can be fed forward in stim"
    if len(operation.wires) > _MAX_GATE_QUBITS or _steps(operation.matrix().tobytes(), len(operation.wires)) is None:
        return "it is not a Clifford gate, and stim holds no other"
    return None


def _feed_forward(circuit: stim.Circuit, operation: Operation, place: dict[int, int]) -> None:
    clause = operation.condition[0]
    bit, wire, pauli = clause.bits[0], operation.wires[0], _pauli(operation)
    if pauli is None or pauli == "I":
        return
    if (clause.value == 0) == clause.holds:
        circuit.append(pauli, [wire])
    if clause.value in (0, 1) and bit in place:
        circuit.append(f"C{pauli}", [stim.target_rec(place[bit] - circuit.num_measurements), wire])


def _pauli(operation: Operation) -> str | None:
    """The Pauli the gate is, up to phase; None when it is none."""
    if operation.name in ("x", "y", "z") and operation.gate is None:
        return operation.name.upper()
    if len(operation.wires) != 1:
        return None
    matrix = operation.matrix()
    overlaps = {name: abs(np.trace(pauli.conj().T @ matrix)) / 2 for name, pauli in _PAULIS.items()}
    best = max(overlaps, key=lambda name: overlaps[name])
    others = max(value for name, value in overlaps.items() if name != best)
    return best if others < TOLERANCE else None


@lru_cache(maxsize=65536)
def _steps(buffer: bytes, qubits: int) -> tuple[tuple[str, tuple[int, ...]], ...] | None:
    """The stim instructions of a Clifford matrix, None when it is not Clifford."""
    matrix = np.frombuffer(buffer, dtype=np.complex128).reshape(1 << qubits, 1 << qubits)
    tableau = _tableau(matrix, qubits)
    if tableau is None:
        return None
    if qubits == 1:
        return ((_one_qubit_names()[str(tableau)], (0,)),)
    circuit = tableau.to_circuit("elimination")
    return tuple(
        (instruction.name, tuple(target.value for target in group))
        for index in range(len(circuit))
        if isinstance(instruction := circuit[index], stim.CircuitInstruction)
        for group in instruction.target_groups()
    )


def _tableau(matrix: Matrix, qubits: int) -> stim.Tableau | None:
    images: dict[str, list[stim.PauliString]] = {"X": [], "Z": []}
    for pauli, qubit in itertools.product("XZ", range(qubits)):
        generator = _string("".join(pauli if each == qubit else "I" for each in range(qubits)))
        image = _as_pauli(matrix @ generator @ matrix.conj().T, qubits)
        if image is None:
            return None
        images[pauli].append(image)
    return stim.Tableau.from_conjugated_generators(xs=images["X"], zs=images["Z"])


def _as_pauli(operator: Matrix, qubits: int) -> stim.PauliString | None:
    found: stim.PauliString | None = None
    for letters in itertools.product("IXYZ", repeat=qubits):
        name = "".join(letters)
        weight = np.trace(_string(name) @ operator) / (1 << qubits)
        if abs(weight) < TOLERANCE:
            continue
        if found is not None or abs(abs(weight) - 1) > TOLERANCE:
            return None
        found = stim.PauliString(("+" if weight.real > 0 else "-") + name)
    return found


@lru_cache(maxsize=256)
def _string(letters: str) -> Matrix:
    """Matrix of a Pauli string; its first letter acts on the lowest bit of the index."""
    matrix: Matrix = np.eye(1, dtype=np.complex128)
    for letter in letters:
        matrix = np.kron(_PAULIS[letter], matrix).astype(np.complex128)
    return matrix


@lru_cache(maxsize=1)
def _one_qubit_names() -> dict[str, str]:
    """Each of the 24 one-qubit Clifford gates of stim, by its tableau."""
    return {
        str(stim.Tableau.from_named_gate(name)): name
        for name, gate in stim.gate_data().items()
        if gate.is_unitary and gate.is_single_qubit_gate
    }
