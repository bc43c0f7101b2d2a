"""How long things take on a fabric: the operations of each node, and messages between nodes.

**Operations.** Every one-qubit gate takes ``gate_1q_ns``, phases too, which some hardware has for nothing; two-qubit
gates, measurements and resets take the node's figures. What a node does not state takes no time, and is reported.

**Messages.** A measured bit travels for the latency of the link between the two nodes; without such a link or its
latency, along the links of least latency, where a link that states none counts the latency of its ends; else over the
switch, for the larger latency of both nodes. Fibre between known places is added where a link or switch would be faster
than light (``hyperfabric_q.fabric.classical``). Bandwidth does not count: a message is one bit.
"""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

from hyperfabric_q.fabric import Fabric, NodeSignature
from hyperfabric_q.fabric.classical import ClassicalNetwork, classical_network
from hyperfabric_q.units import to_ps

FIGURES: Final = ("gate_1q_ns", "gate_2q_ns", "readout_ns", "reset_ns", "feedforward_ns")
"""The fields of a node that are durations, in the order of ``NodeTimes``."""


class NodeTimes(NamedTuple):
    """Durations on one node, in picoseconds; what it does not state is 0."""

    gate_1q: int
    gate_2q: int
    readout: int
    reset: int
    feedforward: int


def node_times(node: NodeSignature) -> NodeTimes:
    """Return the durations of a node's operations."""
    return NodeTimes(*(to_ps(ns=getattr(node, name) or 0.0) for name in FIGURES))


class Latencies:
    """How long a bit travels between two nodes of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        """Prepare; what is asked for is computed when it is asked for."""
        self._fabric = fabric
        self._network: ClassicalNetwork | None = None
        self._used_ns: dict[tuple[str, str], float] = {}
        self._next: dict[str, list[tuple[str, int]]] = {}
        self._from: dict[str, dict[str, int]] = {}

    def between_ps(self, source: str, target: str) -> int:
        """Return the time from ``source`` to ``target``, 0 within a node; O(links log nodes) per source.

        Raises:
            UnknownName: there is no such node.
        """
        if source == target:
            return 0
        network = self._prepared()
        link = self._fabric.link(source, target)
        if link is not None and link.latency_ns is not None:
            return to_ps(ns=self._used_ns.get(link.ends, link.latency_ns))
        if source not in self._from:
            self._from[source] = self._shortest(source)
        along = self._from[source].get(target)
        return network.pair_latency_ps(source, target) if along is None else along

    def _prepared(self) -> ClassicalNetwork:
        if self._network is None:
            network = classical_network(self._fabric)
            self._used_ns = {(found.a, found.b): found.used_ns for found in network.findings}
            for link in self._fabric.links:
                if link.latency_ns is None:
                    ps = network.pair_latency_ps(link.a, link.b)
                else:
                    ps = to_ps(ns=self._used_ns.get(link.ends, link.latency_ns))
                self._next.setdefault(link.a, []).append((link.b, ps))
                self._next.setdefault(link.b, []).append((link.a, ps))
            self._network = network
        return self._network

    def _shortest(self, source: str) -> dict[str, int]:
        """Return the least latency along links to every node that they reach (Dijkstra)."""
        known: dict[str, int] = {}
        heap = [(0, source)]
        while heap:
            ps, here = heapq.heappop(heap)
            if here in known:
                continue
            known[here] = ps
            for there, step in self._next.get(here, ()):
                if there not in known:
                    heapq.heappush(heap, (ps + step, there))
        return known
