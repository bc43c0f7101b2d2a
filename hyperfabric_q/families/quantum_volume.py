"""Quantum-volume circuits."""

from __future__ import annotations

from typing import Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import CXGate
from qiskit.synthesis import TwoQubitBasisDecomposer

from hyperfabric_q import seeds
from hyperfabric_q.families.arguments import affordable, whole
from hyperfabric_q.families.catalogue import family

DECIMALS: Final = 10
"""Angles are rounded to this many decimals, so that linear algebra of another machine gives the same circuit."""


@family(
    "quantum_volume",
    "layers of a random permutation and Haar-random SU(4) blocks, three CX each",
    source="Cross, Bishop, Sheldon, Nation, Gambetta 2019, arXiv 1811.12926",
    example={"qubits": 4, "depth": 3, "seed": 1},
)
def quantum_volume(qubits: int, depth: int | None = None, *, seed: int) -> QuantumCircuit:
    """Return ``depth`` layers of ⌊n/2⌋ Haar-random two-qubit blocks, written as U and CX gates.

    Args:
        qubits: Width n, at least 2.
        depth: Number of layers; None takes n of them.
        seed: Seed of all draws.

    Raises:
        InvalidValue: an argument is not accepted.
    """
    width = whole("qubits", qubits, least=2)
    layers = width if depth is None else whole("depth", depth, least=0)
    affordable("depth", layers, layers * width * 6)
    rng = seeds.stream(seeds.resolve(seed), "families", "quantum_volume")
    decomposer = TwoQubitBasisDecomposer(CXGate(), euler_basis="U")
    circuit = QuantumCircuit(width, name="quantum_volume")
    for _ in range(layers):
        pairs = rng.permutation(width)[: width // 2 * 2].reshape(-1, 2).tolist()
        for pair, block in zip(pairs, _haar(rng, len(pairs)), strict=True):
            small = decomposer(block)
            for step in small.data:
                wires = [pair[small.find_bit(qubit).index] for qubit in step.qubits]
                if step.operation.name == "cx":
                    circuit.cx(*wires)
                else:
                    circuit.u(*(round(float(angle), DECIMALS) + 0.0 for angle in step.operation.params), *wires)
    return circuit


def _haar(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return ``count`` Haar-random 4 x 4 unitaries: QR of Gaussian matrices, phases fixed (Mezzadri 2007)."""
    gauss = rng.standard_normal((count, 4, 4)) + 1j * rng.standard_normal((count, 4, 4))
    q, r = np.linalg.qr(gauss)
    phases = np.diagonal(r, axis1=1, axis2=2)
    return np.asarray(q * (phases / np.abs(phases))[:, None, :])
