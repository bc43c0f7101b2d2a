"""How many two-qubit gates a circuit has once its wider gates are expanded."""

from __future__ import annotations

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Gate
from qiskit.circuit.singleton import SingletonGate

from hyperfabric_q.errors import UnsupportedOperation


def two_qubit_gates(circuit: QuantumCircuit) -> int:
    """Return the number of two-qubit gates, with every wider gate replaced by its definition (a Toffoli counts 6 CX).

    A two-qubit gate counts once whatever it would cost on a machine; barriers, measurements and resets do not count;
    a conditional block counts all of its branches. Cost: linear in the number of expanded gates.

    Raises:
        UnsupportedOperation: a gate on three or more qubits has no definition.
    """
    total = 0
    known: dict[type, int] = {}
    for index, step in enumerate(circuit.data):
        operation = step.operation
        if isinstance(operation, ControlFlowOp):
            total += sum(two_qubit_gates(block) for block in operation.blocks)
        if not isinstance(operation, Gate) or operation.num_qubits < 2:
            continue
        if operation.num_qubits == 2:
            total += 1
            continue
        if operation.definition is None:
            raise UnsupportedOperation(
                operation=operation.name, index=index, reason="it is a wide gate without a definition"
            )
        # Only an immutable singleton (a plain Toffoli, say) is sure to share its definition with its namesakes.
        shared = isinstance(operation, SingletonGate) and not operation.mutable
        count = known.get(type(operation)) if shared else None
        if count is None:
            count = two_qubit_gates(operation.definition)
        if shared:
            known[type(operation)] = count
        total += count
    return total
