"""Graph states."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families.arguments import simple_edges, whole
from hyperfabric_q.families.catalogue import family
from hyperfabric_q.families.regular_graph import cubic_edges


@family(
    "graph_state",
    "graph state: H everywhere, CZ along the edges of a random 3-regular or a given graph",
    source="Hein, Eisert, Briegel 2004, arXiv quant-ph/0307130",
    example={"qubits": 6, "seed": 1},
)
def graph_state(
    qubits: int, edges: Sequence[tuple[int, int]] | None = None, *, seed: int | None = None
) -> QuantumCircuit:
    """Return the circuit of a graph state; K_v = X_v ∏ Z_neighbours stabilises it for every vertex v.

    Args:
        qubits: Number of vertices.
        edges: Pairs of vertices; None draws a 3-regular graph (``qubits`` even, at least 4).
        seed: Seed of that draw.

    Raises:
        InvalidValue: the size, an edge or the seed is not accepted, or edges and seed are both missing.
    """
    width = whole("qubits", qubits, least=1)
    if edges is not None:
        bonds = simple_edges("edges", edges, qubits=width)
    elif seed is None:
        raise InvalidValue(field="seed", value=None, rule="a random graph needs a seed", remedy="Or give edges.")
    else:
        bonds = cubic_edges(width, seeds.stream(seeds.resolve(seed), "families", "graph_state"))
    circuit = QuantumCircuit(width, name="graph_state")
    circuit.h(range(width))
    for a, b in bonds:
        circuit.cz(a, b)
    return circuit
