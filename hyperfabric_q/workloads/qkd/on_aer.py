"""Pairs measured by Aer: circuits with a Bell pair, its Pauli error and both ends' bases.

What ``sampling`` draws at scale must have the same statistics; the exact ones agree to rounding, and a subset can be
drawn here instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.entanglement.state import check_weights
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.aer import exact_chances, run_counts
from hyperfabric_q.execution.pauli_channels import pauli_channel
from hyperfabric_q.workloads.qkd.sampling import Measured, X

_BASES = ((0, 0), (0, 1), (1, 0), (1, 1))


def pair_circuit(weights: ArrayLike, alice_basis: int, bob_basis: int) -> QuantumCircuit:
    """Return one Bell pair with the error of its weights, both halves measured: clbit 0 is Alice's, clbit 1 Bob's.

    Raises:
        InvalidValue: the weights are not those of one pair.
    """
    p = check_weights(weights)
    if p.shape != (4,):
        raise InvalidValue(field="weights", value=p.shape, rule="one pair has four weights")
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    error = pauli_channel(tuple((name, float(each)) for name, each in zip("XYZ", p[1:], strict=True) if each > 0))
    if error is not None:
        circuit.append(error, [1])
    for qubit, basis in enumerate((alice_basis, bob_basis)):
        if basis == X:
            circuit.h(qubit)
    circuit.measure([0, 1], [0, 1])
    return circuit


def aer_agreement(weights: ArrayLike) -> NDArray[np.float64]:
    """Return how often both bits are equal, (2, 2) by Alice's basis and Bob's, from Aer's density matrices."""
    found = np.empty((2, 2))
    for bases in _BASES:
        chances = exact_chances(pair_circuit(weights, *bases))
        found[bases] = chances.get(0b00, 0.0) + chances.get(0b11, 0.0)
    return found


def measure_on_aer(weights: ArrayLike, pairs: int, *, seed: int) -> Measured:
    """Return what both ends measure of ``pairs`` pairs alike, each a shot on Aer; some 10 µs each.

    Raises:
        InvalidValue: the weights are not those of one pair, or the number of pairs is negative.
    """
    if pairs < 0:
        raise InvalidValue(field="pairs", value=pairs, rule="a number of pairs is not negative")
    rng = seeds.stream(seed, "qkd", "bases")
    alice_basis, bob_basis = (rng.integers(0, 2, pairs, dtype=np.uint8) for _ in range(2))
    alice, bob = np.zeros(pairs, dtype=np.uint8), np.zeros(pairs, dtype=np.uint8)
    for number, (hers, his) in enumerate(_BASES):
        here = np.flatnonzero((alice_basis == hers) & (bob_basis == his))
        if not len(here):
            continue
        counts = run_counts(pair_circuit(weights, hers, his), shots=len(here), seed=seeds.word(seed, "qkd", number))
        # Shots of one circuit are independent, so which of them stands for which pair is a matter of taste.
        outcomes = np.repeat(list(counts), list(counts.values()))
        rng.shuffle(outcomes)
        alice[here], bob[here] = outcomes & 1, outcomes >> 1
    return Measured(alice_basis=alice_basis, bob_basis=bob_basis, alice=alice, bob=bob)
