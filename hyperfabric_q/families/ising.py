"""Time evolution of the transverse-field Ising chain."""

from __future__ import annotations

from qiskit import QuantumCircuit

from hyperfabric_q.families.arguments import affordable, real, whole
from hyperfabric_q.families.catalogue import family


@family(
    "ising",
    "first-order Trotter steps of the transverse-field Ising chain",
    source="Lloyd 1996; Trotter 1959",
    example={"qubits": 5, "steps": 2},
)
def ising(
    qubits: int, steps: int = 1, coupling: float = 1.0, field: float = 1.0, time_step: float = 0.1
) -> QuantumCircuit:
    """Return ``steps`` Trotter steps of H = J Σ Z_i Z_(i+1) + h Σ X_i: n - 1 RZZ gates each.

    Args:
        qubits: Length n of the chain, at least 1.
        steps: Number of steps, at least 1.
        coupling: J.
        field: h.
        time_step: Duration of one step, in units of 1/J or 1/h; the error of a step is of its second order.

    Raises:
        InvalidValue: an argument is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    count = whole("steps", steps, least=1)
    duration = real("time_step", time_step)
    bond, turn = 2 * real("coupling", coupling) * duration, 2 * real("field", field) * duration
    affordable("steps", count, count * width * 2)
    circuit = QuantumCircuit(width, name="ising")
    for _ in range(count):
        for start in (0, 1):
            for left in range(start, width - 1, 2):
                circuit.rzz(bond, left, left + 1)
        circuit.rx(turn, range(width))
    return circuit
