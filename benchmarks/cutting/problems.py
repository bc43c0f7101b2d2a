"""The circuits and observables that the scripts here measure, and their form for a peer in another environment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import networkx as nx
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import random_unitary

RING_ANGLES = (0.7118216247002567, 1.1504636963259354)
"""uniform(0.2, 1.2) twice from default_rng(1)."""


def ansatz(qubits: int, layers: int, *, seed: int = 0, ring: bool = False) -> QuantumCircuit:
    """Layers of RY and RZ on all qubits between chains (or rings) of CX; one CX crosses each boundary per chain."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers + 1):
        for qubit in range(qubits):
            circuit.ry(float(rng.uniform(0, 2 * np.pi)), qubit)
        for qubit in range(qubits):
            circuit.rz(float(rng.uniform(0, 2 * np.pi)), qubit)
        if layer < layers:
            for qubit in range(qubits - 1):
                circuit.cx(qubit, qubit + 1)
            if ring:
                circuit.cx(qubits - 1, 0)
    return circuit


def cx_ring(qubits: int) -> QuantumCircuit:
    return ansatz(qubits, 1, ring=True)


def qaoa_ring(qubits: int, layers: int = 1) -> QuantumCircuit:
    rng = np.random.default_rng(1)
    return qaoa(qubits, [(q, (q + 1) % qubits) for q in range(qubits)], rng.uniform(0.2, 1.2, (layers, 2)))


def qaoa_regular(qubits: int) -> QuantumCircuit:
    graph: Any = nx.random_regular_graph(3, qubits, seed=3)
    return qaoa(qubits, graph.edges, np.array([[0.35, 0.45]]))


def qaoa(qubits: int, edges: Iterable[tuple[int, int]], angles: Any) -> QuantumCircuit:
    """Layers of RZZ(2γ) on the edges and RX(2β) on all qubits; angles are rows (γ, β)."""
    edges = list(edges)
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for gamma, beta in np.asarray(angles).tolist():
        for a, b in edges:
            circuit.rzz(2 * gamma, a, b)
        for qubit in range(qubits):
            circuit.rx(2 * beta, qubit)
    return circuit


def clusters(qubits: int, crossing: int, seed: int) -> QuantumCircuit:
    """QAOA with one layer on two rings joined by edges, and random angles."""
    rng = np.random.default_rng((seed, crossing))
    half = qubits // 2
    edges = [(base + q, base + (q + 1) % half) for base in (0, half) for q in range(half)]
    edges += [(int(a), half + int(b)) for a, b in zip(*(rng.permutation(half)[:crossing] for _ in "ab"), strict=True)]
    return qaoa(qubits, edges, rng.uniform(0.2, 1.2, (1, 2)))


def random_halves(qubits: int, crossing: int, seed: int) -> QuantumCircuit:
    """Random gates on neighbours inside either half, with RZZ of random angles between the halves."""
    rng = np.random.default_rng((seed, crossing))
    half = qubits // 2
    circuit = QuantumCircuit(qubits)
    for layer in range(crossing + 1):
        for start in (0, 1):
            for first in [base + q for base in (0, half) for q in range(start, half - 1, 2)]:
                circuit.append(UnitaryGate(random_unitary(4, seed=rng)), [first, first + 1])
        if layer < crossing:
            circuit.rzz(float(rng.uniform(0.3, np.pi / 2)), int(rng.integers(half)), half + int(rng.integers(half)))
    return circuit


def pauli(letters: dict[int, str], qubits: int) -> str:
    """Return the label of a Pauli string, the last letter on qubit 0."""
    return "".join(letters.get(qubit, "I") for qubit in reversed(range(qubits)))


def zz(pairs: Iterable[tuple[int, int]], qubits: int) -> list[str]:
    return [pauli({a: "Z", b: "Z"}, qubits) for a, b in pairs]


def singles(letter: str, qubits: int) -> list[str]:
    return [pauli({qubit: letter}, qubits) for qubit in range(qubits)]


def pieces(qubits: int, parts: int) -> list[int]:
    """Return the part of each qubit, contiguous and as even as can be."""
    return [qubit * parts // qubits for qubit in range(qubits)]


def as_lists(circuit: QuantumCircuit) -> list[list[Any]]:
    """Return gates as (name, angles, qubits), which JSON carries without loss."""
    place = {qubit: number for number, qubit in enumerate(circuit.qubits)}
    return [
        [each.operation.name, [float(angle) for angle in each.operation.params], [place[q] for q in each.qubits]]
        for each in circuit.data
    ]
