"""What is wrong with the circuits of a QPY file: asked in the child process that reads an untrusted file first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp


def fault_of(circuits: list[Any], limits: Mapping[str, float]) -> str:
    """Return which of ``limits`` (fields of ``ReaderLimits``) the one circuit exceeds, or "" when none."""
    if len(circuits) != 1 or not isinstance(circuits[0], QuantumCircuit):
        return "it does not hold exactly one circuit"
    circuit = circuits[0]
    for what, found, limit in (
        ("qubits", circuit.num_qubits, limits["qubits"]),
        ("classical bits", circuit.num_clbits, limits["clbits"]),
        ("instructions", len(circuit.data), limits["instructions"]),
        ("gates after expansion", expanded(circuit, int(limits["expanded_gates"])), limits["expanded_gates"]),
    ):
        if found > limit:
            return f"it has more {what} than the limit of {limit:,}"
    return ""


def expanded(circuit: QuantumCircuit, limit: int) -> int:
    """Return how many gates ``circuit`` expands to, cut off above ``limit``; each definition is walked once."""
    known: dict[int, int] = {}
    kept: list[Any] = []  # a definition that is freed could give its id to another

    def cost(body: Any) -> int:
        if id(body) in known:
            return known[id(body)]
        kept.append(body)
        total = 0
        for instruction in body.data:
            total += of(instruction.operation)
            if total > limit:
                break
        known[id(body)] = total
        return total

    def of(operation: Any) -> int:
        if isinstance(operation, ControlFlowOp):
            turns = len(operation.params[0]) if operation.name == "for_loop" else 1
            return max(1, turns * sum(cost(block) for block in operation.blocks))
        if operation.base_class.__module__.startswith("qiskit.circuit.library.standard_gates"):
            return 1
        definition = getattr(operation, "definition", None)
        return 1 if definition is None else max(1, cost(definition))

    return cost(circuit)
