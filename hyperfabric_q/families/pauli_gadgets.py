"""Products of Pauli exponentials, as chemistry ansatzes are made of."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.families.arguments import affordable, whole
from hyperfabric_q.families.catalogue import family


@family(
    "pauli_gadgets",
    "exponentials of random Pauli strings, each a CX ladder around one RZ",
    source="Cowtan, Dilkes, Duncan, Simmons, Sivarajah 2019, arXiv 1906.01734",
    example={"qubits": 5, "gadgets": 4, "seed": 1},
)
def pauli_gadgets(
    qubits: int, gadgets: int | None = None, weight: int | None = None, *, clifford: bool = False, seed: int
) -> QuantumCircuit:
    """Return ``gadgets`` factors exp(-iθP/2), each 2(w - 1) CX for a string P of weight w.

    The w qubits are a uniform subset, their letters uniform in X, Y, Z, the angle uniform in [0, 2π).

    Args:
        qubits: Width n, at least 1.
        gadgets: Number of exponentials; None takes n of them.
        weight: Weight of every string; None draws each one from 2 to n (1 on a single qubit).
        clifford: Draw θ from the multiples of π/2, which makes the circuit Clifford.
        seed: Seed of all draws.

    Raises:
        InvalidValue: an argument is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    count = width if gadgets is None else whole("gadgets", gadgets, least=0)
    fixed = None if weight is None else whole("weight", weight, least=1, most=width)
    affordable("gadgets", count, count * (fixed or width) * 4)
    rng = seeds.stream(seeds.resolve(seed), "families", "pauli_gadgets")
    circuit = QuantumCircuit(width, name="pauli_gadgets")
    for _ in range(count):
        size = int(rng.integers(min(2, width), width + 1)) if fixed is None else fixed
        support = np.sort(rng.choice(width, size, replace=False)).tolist()
        letters = rng.integers(3, size=size).tolist()
        quarter = int(rng.integers(4)) * math.pi / 2
        theta = quarter if clifford else float(rng.uniform(0, 2 * math.pi))
        _append(circuit, {qubit: "XYZ"[letter] for qubit, letter in zip(support, letters, strict=True)}, theta)
    return circuit


def _append(circuit: QuantumCircuit, string: dict[int, str], theta: float) -> None:
    """Add exp(-iθP/2): turn every letter into Z, gather the parity on the last qubit, rotate, undo."""
    ladder = list(pairwise(string))
    for qubit, letter in string.items():
        if letter == "Y":
            circuit.sdg(qubit)
        if letter != "Z":
            circuit.h(qubit)
    for a, b in ladder:
        circuit.cx(a, b)
    circuit.rz(theta, list(string)[-1])
    for a, b in reversed(ladder):
        circuit.cx(a, b)
    for qubit, letter in string.items():
        if letter != "Z":
            circuit.h(qubit)
        if letter == "Y":
            circuit.s(qubit)
