"""Is every gate Clifford, and if so, which stabilizer gates is it?

The stabilizer simulator knows gates by name only. Emitted circuits write one-qubit unitaries as ``u`` and ``p`` and
controlled phases as ``cp``; where these are Clifford, they are replaced by the gates that the simulator knows. The
check is on angles with a tolerance of 1e-9: far below anything a run could resolve, far above rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, IfElseOp
from qiskit.circuit.library import CPhaseGate, CZGate, HGate, PhaseGate, SdgGate, SGate, UGate, XGate, YGate, ZGate

from hyperfabric_q.execution.noise import KRAUS

_KNOWN: Final = frozenset({"id", "x", "y", "z", "h", "s", "sdg", "sx", "sxdg", "cx", "cy", "cz", "swap"})
_NOT_GATES: Final = frozenset({"measure", "reset", "barrier"})
_BY_ANGLES: Final = {"u": UGate, "p": PhaseGate, "cp": CPhaseGate}
_TOLERANCE: Final = 1e-9

Matrix = npt.NDArray[np.complex128]


def as_stabilizer(circuit: QuantumCircuit) -> QuantumCircuit | None:
    """Return the circuit in the stabilizer simulator's gates, or None when some gate or error is not Clifford.

    Errors in the circuit must be those of ``execution.noise``: mixtures of Paulis and resets, or called ``KRAUS``.
    """
    rewritten = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, IfElseOp):
            bodies = [as_stabilizer(body) for body in operation.blocks]
            if any(body is None for body in bodies):
                return None
            rewritten.append(operation.replace_blocks(bodies), instruction.qubits, instruction.clbits, copy=False)
        elif operation.name == KRAUS:
            return None
        elif operation.name in _KNOWN or operation.name in _NOT_GATES or not isinstance(operation, Gate):
            rewritten.append(instruction)
        else:
            gates = _stabilizer_gates(operation)
            if gates is None:
                return None
            for gate in gates:
                rewritten.append(gate, instruction.qubits, copy=False)
    return rewritten


def _stabilizer_gates(gate: Gate) -> Sequence[Gate] | None:
    if gate.name in _BY_ANGLES and all(isinstance(angle, float) for angle in gate.params):
        return _known_gates(gate.name, tuple(gate.params))
    return _found_gates(gate)


@lru_cache(maxsize=4096)
def _known_gates(name: str, angles: tuple[float, ...]) -> Sequence[Gate] | None:
    return _found_gates(_BY_ANGLES[name](*angles))


def _found_gates(gate: Gate) -> Sequence[Gate] | None:
    if gate.num_qubits == 1:
        matrix = gate.to_matrix()
        return next((gates for clifford, gates in _one_qubit_group() if _same_up_to_phase(matrix, clifford)), None)
    if gate.name == "cp":
        turns = float(gate.params[0]) / math.pi
        if abs(turns - round(turns)) > _TOLERANCE:
            return None
        return [CZGate()] if round(turns) % 2 else []
    return None


@cache
def _one_qubit_group() -> list[tuple[Matrix, list[Gate]]]:
    """Return the 24 one-qubit Cliffords, each with a shortest gate sequence (breadth first)."""
    generators: list[Gate] = [XGate(), YGate(), ZGate(), HGate(), SGate(), SdgGate()]
    found: list[tuple[Matrix, list[Gate]]] = [(np.eye(2, dtype=np.complex128), [])]
    for matrix, gates in found:  # grows while it is read
        for gate in generators:
            candidate = gate.to_matrix() @ matrix
            if not any(_same_up_to_phase(candidate, known) for known, _ in found):
                found.append((candidate, [*gates, gate]))
    return found


def _same_up_to_phase(a: Matrix, b: Matrix) -> bool:
    # |tr(A^dagger B)| = 2 only for equal rays; an angle eps apart gives 2 - O(eps^2), so the matrices are aligned
    # first.
    overlap = complex(np.vdot(a, b))
    if abs(overlap) < 1:
        return False
    return bool(np.allclose(a * (overlap / abs(overlap)), b, rtol=0, atol=_TOLERANCE))
