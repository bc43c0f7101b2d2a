"""Random circuits with a chosen fraction of two-qubit gates: the Clifford kind and the general kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.families.arguments import affordable, real, whole
from hyperfabric_q.families.catalogue import family

_SOURCE = "Sundaram, Gupta, Ramakrishnan 2021"


@family(
    "cz_fraction",
    "random circuit of H and CZ; a qubit joins a CZ with probability `fraction` in each layer (Clifford)",
    source=_SOURCE,
    example={"qubits": 6, "depth": 6, "fraction": 0.5, "seed": 1},
)
def cz_fraction(qubits: int, depth: int | None = None, fraction: float = 0.5, *, seed: int) -> QuantumCircuit:
    """Return a random Clifford circuit with about depth · n · fraction / 2 CZ gates.

    Args:
        qubits: Width n, at least 1.
        depth: Number of layers; None takes n of them.
        fraction: Probability that a qubit looks for a partner rather than taking an H, in [0, 1].
        seed: Seed of all draws.

    Raises:
        InvalidValue: an argument is not accepted.
    """
    circuit = QuantumCircuit(whole("qubits", qubits, least=1), name="cz_fraction")
    rng = seeds.stream(seeds.resolve(seed), "families", "cz_fraction")
    for single, pairs in _layers(circuit.num_qubits, depth, fraction, rng):
        if single.size:
            circuit.h(single.tolist())
        for a, b in pairs.tolist():
            circuit.cz(a, b)
    return circuit


@family(
    "cp_fraction",
    "random circuit of U and CP; a qubit joins a CP with probability `fraction` in each layer",
    source=_SOURCE,
    example={"qubits": 6, "depth": 6, "fraction": 0.5, "seed": 1},
)
def cp_fraction(qubits: int, depth: int | None = None, fraction: float = 0.5, *, seed: int) -> QuantumCircuit:
    """Return a random circuit with about depth · n · fraction / 2 CP gates, all angles uniform in [0, 2π).

    Args:
        qubits: Width n, at least 1.
        depth: Number of layers; None takes n of them.
        fraction: Probability that a qubit looks for a partner rather than taking a U, in [0, 1].
        seed: Seed of all draws.

    Raises:
        InvalidValue: an argument is not accepted.
    """
    circuit = QuantumCircuit(whole("qubits", qubits, least=1), name="cp_fraction")
    rng = seeds.stream(seeds.resolve(seed), "families", "cp_fraction")
    for single, pairs in _layers(circuit.num_qubits, depth, fraction, rng):
        turns = rng.uniform(0, 2 * np.pi, (len(single), 3))
        phases = rng.uniform(0, 2 * np.pi, len(pairs))
        for qubit, (theta, phi, lam) in zip(single.tolist(), turns.tolist(), strict=True):
            circuit.u(theta, phi, lam, qubit)
        for (a, b), phase in zip(pairs.tolist(), phases.tolist(), strict=True):
            circuit.cp(phase, a, b)
    return circuit


def _layers(
    width: int, depth: int | None, fraction: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield per layer the qubits that stay alone (k,) and the couples (m, 2); an odd one out takes no gate."""
    layers = width if depth is None else whole("depth", depth, least=0)
    joining = real("fraction", fraction, least=0, most=1)
    affordable("depth", layers, layers * width)
    for _ in range(layers):
        alone = rng.random(width) > joining
        pool = rng.permutation(np.flatnonzero(~alone))
        yield np.flatnonzero(alone), pool[: len(pool) // 2 * 2].reshape(-1, 2)
