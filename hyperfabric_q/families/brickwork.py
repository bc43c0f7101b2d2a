"""Brickwork circuits: random gates on alternating neighbours."""

from __future__ import annotations

import math

from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.families.arguments import affordable, whole
from hyperfabric_q.families.catalogue import family


@family(
    "brickwork",
    "layers of random U on every qubit and CP on neighbours, even and odd bonds by turns",
    source="the 1-D random circuits of Brandão, Harrow, Horodecki 2016, arXiv 1208.0692, with CP as the bond gate",
    example={"qubits": 6, "depth": 4, "seed": 1},
)
def brickwork(qubits: int, depth: int | None = None, *, seed: int) -> QuantumCircuit:
    """Return ``depth`` layers: U on each qubit, then CP on bonds (0,1), (2,3), … or (1,2), (3,4), … by turns.

    An even layer holds ⌊n/2⌋ CP, an odd one ⌊(n-1)/2⌋; all angles are uniform in [0, 2π).

    Args:
        qubits: Width n, at least 1.
        depth: Number of layers; None takes n of them.
        seed: Seed of all draws.

    Raises:
        InvalidValue: an argument is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    layers = width if depth is None else whole("depth", depth, least=0)
    affordable("depth", layers, layers * width * 3 // 2)
    rng = seeds.stream(seeds.resolve(seed), "families", "brickwork")
    circuit = QuantumCircuit(width, name="brickwork")
    for layer in range(layers):
        lefts = range(layer % 2, width - 1, 2)
        turns = rng.uniform(0, 2 * math.pi, (width, 3)).tolist()
        phases = rng.uniform(0, 2 * math.pi, len(lefts)).tolist()
        for qubit, (theta, phi, lam) in enumerate(turns):
            circuit.u(theta, phi, lam, qubit)
        for left, phase in zip(lefts, phases, strict=True):
            circuit.cp(phase, left, left + 1)
    return circuit
