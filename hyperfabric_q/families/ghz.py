"""The GHZ state."""

from __future__ import annotations

from typing import Literal

from qiskit import QuantumCircuit

from hyperfabric_q.families.arguments import one_of, whole
from hyperfabric_q.families.catalogue import family


@family(
    "ghz",
    "GHZ state: one H, then CX along a chain or out of one hub",
    source="Greenberger, Horne, Zeilinger 1989",
    example={"qubits": 5, "shape": "star"},
)
def ghz(qubits: int, shape: Literal["chain", "star"] = "chain") -> QuantumCircuit:
    """Return the circuit that makes (|0…0⟩ + |1…1⟩)/√2 with ``qubits`` - 1 CX gates.

    Args:
        qubits: Width, at least 1.
        shape: "chain" puts each CX on two neighbours (depth n), "star" gives them all one control.

    Raises:
        InvalidValue: the size or the shape is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    star = one_of("shape", shape, ("chain", "star")) == "star"
    circuit = QuantumCircuit(width, name="ghz")
    circuit.h(0)
    for target in range(1, width):
        circuit.cx(0 if star else target - 1, target)
    return circuit
