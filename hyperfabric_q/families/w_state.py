"""The W state."""

from __future__ import annotations

import math

from qiskit import QuantumCircuit

from hyperfabric_q.families.arguments import whole
from hyperfabric_q.families.catalogue import family


@family(
    "w_state",
    "W state: one excitation handed down a line in equal shares",
    source="Dür, Vidal, Cirac 2000; chain construction of Diker 2016, arXiv 1606.09290",
    example={"qubits": 5},
)
def w_state(qubits: int) -> QuantumCircuit:
    """Return the circuit that makes n^(-1/2) Σ_k |one excitation on qubit k⟩ with n - 1 CZ and n - 1 CX.

    Raises:
        InvalidValue: the size is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    circuit = QuantumCircuit(width, name="w_state")
    circuit.x(0)
    for giver in range(width - 1):
        # The giver keeps 1/k of its probability, k qubits being left: cos θ = k^(-1/2).
        theta = math.atan(math.sqrt(width - giver - 1))
        circuit.ry(-theta, giver + 1)
        circuit.cz(giver, giver + 1)
        circuit.ry(theta, giver + 1)
        circuit.cx(giver + 1, giver)
    return circuit
