"""QAOA for MaxCut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families.arguments import affordable, angles, simple_edges, whole
from hyperfabric_q.families.catalogue import family
from hyperfabric_q.families.regular_graph import cubic_edges

BEST_GAMMA: Final = 0.6154797086703874
"""arctan(1/√2): with ``BEST_BETA``, the best single round on 3-regular graphs without triangles (Wang et al. 2018)."""

BEST_BETA: Final = 0.39269908169872414
"""π/8."""


def qaoa_maxcut(
    qubits: int, edges: Sequence[tuple[int, int]], gammas: Sequence[float], betas: Sequence[float]
) -> QuantumCircuit:
    """Return the MaxCut ansatz ∏ exp(-iβ ΣX) exp(-iγC) on |+…+⟩ with C = Σ_edges (1 - ZZ)/2.

    One RZZ(-γ) per edge and round; the global phase is left out.

    Args:
        qubits: Number of vertices.
        edges: Pairs of vertices.
        gammas: One angle per round, in radians.
        betas: As many angles as ``gammas``.

    Raises:
        InvalidValue: an edge or an angle is not accepted, or the numbers of angles differ.
    """
    width = whole("qubits", qubits, least=1)
    bonds = simple_edges("edges", edges, qubits=width)
    phases = angles("gammas", gammas)
    mixers = angles("betas", betas, count=len(phases))
    circuit = QuantumCircuit(width, name="qaoa")
    circuit.h(range(width))
    for gamma, beta in zip(phases, mixers, strict=True):
        for a, b in bonds:
            circuit.rzz(-gamma, a, b)
        circuit.rx(2 * beta, range(width))
    return circuit


@family(
    "qaoa_3regular",
    "QAOA for MaxCut on a random 3-regular graph",
    source="Farhi, Goldstone, Gutmann 2014, arXiv 1411.4028",
    example={"qubits": 6, "layers": 1, "seed": 1},
)
def qaoa_3regular(
    qubits: int,
    layers: int = 1,
    gammas: Sequence[float] | None = None,
    betas: Sequence[float] | None = None,
    *,
    seed: int,
) -> QuantumCircuit:
    """Return ``layers`` rounds of QAOA on a 3-regular graph drawn from ``seed``: 3n/2 RZZ gates each.

    Args:
        qubits: Number of vertices, even, at least 4.
        layers: Number of rounds, at least 1.
        gammas: One angle per round; None ramps up around the best single-round angle.
        betas: One angle per round; None ramps down around the best single-round angle.
        seed: Seed of the graph; the angles do not depend on it.

    Raises:
        InvalidValue: the size, the angles or the seed are not accepted.
    """
    rounds = whole("layers", layers, least=1)
    if (gammas is None) != (betas is None):
        missing = "gammas" if gammas is None else "betas"
        raise InvalidValue(field=missing, value=None, rule="gammas and betas are given together, or not at all")
    affordable("layers", rounds, rounds * whole("qubits", qubits, least=4) * 5 // 2)
    edges = cubic_edges(qubits, seeds.stream(seeds.resolve(seed), "families", "qaoa_3regular"))
    middles = [(step + 0.5) / rounds for step in range(rounds)]
    rising = [2 * BEST_GAMMA * middle for middle in middles] if gammas is None else gammas
    falling = [2 * BEST_BETA * (1 - middle) for middle in middles] if betas is None else betas
    return qaoa_maxcut(qubits, edges, angles("gammas", rising, count=rounds), angles("betas", falling, count=rounds))
