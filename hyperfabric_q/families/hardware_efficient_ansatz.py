"""The hardware-efficient ansatz."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families.arguments import affordable, angles, whole
from hyperfabric_q.families.catalogue import family


@family(
    "hardware_efficient_ansatz",
    "RY and RZ on every qubit, then CX along a line or a ring, repeated",
    source="Kandala et al. 2017, arXiv 1704.05018",
    example={"qubits": 4, "layers": 2, "seed": 1},
)
def hardware_efficient_ansatz(
    qubits: int,
    layers: int = 1,
    parameters: Sequence[float] | None = None,
    *,
    ring: bool = False,
    seed: int | None = None,
) -> QuantumCircuit:
    """Return the ansatz with n - 1 CX per layer on a line, n on a ring; zero angles make it Clifford.

    Args:
        qubits: Width n, at least 1 (3 for a ring).
        layers: Number of layers, at least 1.
        parameters: 2 · n · layers angles: per layer and qubit RY then RZ. None draws them uniformly in [0, 2π).
        ring: Close the line with a CX from the last qubit to the first.
        seed: Seed of that draw.

    Raises:
        InvalidValue: an argument is not accepted, or parameters and seed are both missing.
    """
    width = whole("qubits", qubits, least=3 if ring else 1)
    rounds = whole("layers", layers, least=1)
    count = 2 * width * rounds
    affordable("layers", rounds, count * 3 // 2)
    if parameters is not None:
        values = iter(angles("parameters", parameters, count=count))
    elif seed is None:
        raise InvalidValue(field="seed", value=None, rule="random angles need a seed", remedy="Or give parameters.")
    else:
        rng = seeds.stream(seeds.resolve(seed), "families", "hardware_efficient_ansatz")
        values = iter(rng.uniform(0, 2 * math.pi, count).tolist())
    circuit = QuantumCircuit(width, name="hardware_efficient_ansatz")
    for _ in range(rounds):
        for qubit in range(width):
            circuit.ry(next(values), qubit)
            circuit.rz(next(values), qubit)
        for control in range(width - 1):
            circuit.cx(control, control + 1)
        if ring:
            circuit.cx(width - 1, 0)
    return circuit
