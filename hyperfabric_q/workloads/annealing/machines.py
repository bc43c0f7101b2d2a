"""An annealer as its node states it: how many qubits, coupled how, and how long each step takes.

What a node says of itself stands in its metadata. Nothing is invented that decides whether a problem fits: an annealer
without "qubits" has no limit, one without "topology" none on couplings. Times that are not stated are those of one
published run, and the answer says so.

| key of ``metadata`` | meaning |
|---|---|
| ``annealing_type`` | "quantum", "simulated", ...: makes a ``QUANTUM_QPU`` an annealer too |
| ``qubits`` | how many; ``compute_units`` of a ``QUANTUM_ANNEALER`` says the same |
| ``topology`` | "chimera", "pegasus", "zephyr" or "full" |
| ``programming_us``, ``anneal_us``, ``readout_us``, ``delay_us`` | times of one problem, and of one read |
| ``most_reads`` | reads that one problem may ask for |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from hyperfabric_q.errors import InvalidValue, ProblemTooLarge
from hyperfabric_q.fabric import HardwareType, NodeSignature, fields
from hyperfabric_q.workloads.annealing.problems import BQM

PUBLISHED_US: Final = {"programming_us": 15_760.0, "anneal_us": 20.0, "readout_us": 45.32, "delay_us": 20.54}
"""Times of the example run on an Advantage system in D-Wave's documentation of a sample set's timing."""

MOST_READS: Final = 10_000
LONGEST_US: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """How the qubits of a family of annealers are coupled.

    Attributes:
        name: of the family.
        degree: couplers of one qubit, at most.
        qubits_of: qubits of a perfect machine by grid size.
        clique_of: variables of a complete problem that is known to embed in it, by grid size.
        chain_of: qubits that stand for each variable then.
    """

    name: str
    degree: int
    qubits_of: Callable[[int], int]
    clique_of: Callable[[int], int]
    chain_of: Callable[[int], int]

    def grid(self, qubits: int) -> int:
        """Return the size of the largest perfect machine with at most that many qubits; 0 for none."""
        size = 0
        while self.qubits_of(size + 1) <= qubits and size < _WIDEST_GRID:
            size += 1
        return size


_WIDEST_GRID: Final = 1_000

TOPOLOGIES: Final = {
    # Boothby, King and Roy, Quantum Inf. Process. 15 (2016) 495: K_4m by triangles of chains of length m + 1.
    "chimera": Topology(
        name="chimera",
        degree=6,
        qubits_of=lambda m: 8 * m * m,
        clique_of=lambda m: 4 * m,
        chain_of=lambda m: m + 1,
    ),
    # Boothby, Bunyk, Raymond and Roy, arXiv:2003.00133: K_12(m-1), chains of at most m + 1.
    "pegasus": Topology(
        name="pegasus",
        degree=15,
        qubits_of=lambda m: 8 * (m - 1) * (3 * m - 1) if m > 1 else 1,
        clique_of=lambda m: 12 * (m - 1),
        chain_of=lambda m: m + 1,
    ),
    # Counts of dwave-networkx. Every vertical line of 2m qubits crosses every horizontal one, and there are 8m + 4 of
    # each: one of either make a chain. Larger cliques embed as well; this one needs no search to believe.
    "zephyr": Topology(
        name="zephyr",
        degree=20,
        qubits_of=lambda m: 16 * m * (2 * m + 1),
        clique_of=lambda m: 8 * m + 4,
        chain_of=lambda m: 4 * m,
    ),
}
"""The families whose couplings are known; "full" couples every pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long an annealer is busy with one problem.

    Attributes:
        programming_ns: loading the weights.
        anneal_ns, readout_ns, delay_ns: of one read.
        reads: how many.
        assumed: names of the times that the node does not state, and that are the published ones.
    """

    programming_ns: float
    anneal_ns: float
    readout_ns: float
    delay_ns: float
    reads: int
    assumed: tuple[str, ...] = ()

    @property
    def total_ns(self) -> float:
        """Programming, and all reads one after another."""
        return self.programming_ns + self.reads * (self.anneal_ns + self.readout_ns + self.delay_ns)

    def to_dict(self) -> dict[str, float | int | list[str]]:
        """Return the fields and the total, ready for JSON."""
        return {
            "programming_ns": self.programming_ns,
            "anneal_ns": self.anneal_ns,
            "readout_ns": self.readout_ns,
            "delay_ns": self.delay_ns,
            "reads": self.reads,
            "total_ns": self.total_ns,
            "assumed": list(self.assumed),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Whether a problem fits the couplers of a machine.

    Attributes:
        verdict: "native" (every pair is coupled), "clique" (a known embedding of a complete problem has room for it),
            "unproven" (no count rules it out, and nobody looked for an embedding) or "unstated" (the node does not say
            how it is coupled).
        least_qubits: below which no embedding can be.
        qubits: that the known embedding takes; None without one.
        chain: qubits per variable in it, at most; None without one.
    """

    verdict: str
    least_qubits: int
    qubits: int | None = None
    chain: int | None = None

    def to_dict(self) -> dict[str, str | int | None]:
        """Return the fields, ready for JSON."""
        return {
            "verdict": self.verdict,
            "least_qubits": self.least_qubits,
            "qubits": self.qubits,
            "chain": self.chain,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An annealer.

    Attributes:
        node_id: of its node.
        kind: what the node calls its way of annealing.
        qubits: how many; None = no limit.
        topology: "chimera", "pegasus", "zephyr" or "full"; None = not stated.
        times_us: the four times of ``PUBLISHED_US``.
        assumed: which of them the node does not state.
        most_reads: of one problem.
    """

    node_id: str
    kind: str
    qubits: int | None
    topology: str | None
    times_us: tuple[float, float, float, float]
    assumed: tuple[str, ...]
    most_reads: int

    def times(self, reads: int, *, anneal_us: float | None = None) -> Times:
        """Return how long a problem takes here.

        Raises:
            InvalidValue: more reads than one problem may ask for, or no duration.
        """
        reads = fields.count("reads", reads, f"node {self.node_id!r}", least=1, most=self.most_reads, what="reads")
        programming, anneal, readout, delay = self.times_us
        assumed = self.assumed
        if anneal_us is not None:
            owner = f"node {self.node_id!r}"
            anneal = fields.number("anneal_us", anneal_us, owner, above=True, most=LONGEST_US, unit="us")
            assumed = tuple(name for name in assumed if name != "anneal_us")
        return Times(
            programming_ns=programming * 1e3,
            anneal_ns=anneal * 1e3,
            readout_ns=readout * 1e3,
            delay_ns=delay * 1e3,
            reads=reads,
            assumed=assumed,
        )

    def fit(self, bqm: BQM) -> Embedding:
        """Return whether and how the problem fits.

        Raises:
            ProblemTooLarge: the counts rule every embedding out.

        A chain of k qubits of degree D is connected, so at most k·D - 2·(k - 1) couplers leave it. A variable with d
        neighbours hence takes at least (d - 2) / (D - 2) qubits.
        """
        variables = bqm.num_variables
        family = None if self.topology in {None, "full"} else TOPOLOGIES[str(self.topology)]
        least = variables if family is None else _least_qubits(bqm, family.degree)
        if self.qubits is not None and least > self.qubits:
            raise self._too_large(bqm, least)
        if self.topology is None or family is None:
            return Embedding(verdict="unstated" if self.topology is None else "native", least_qubits=least)
        if self.qubits is None:
            return Embedding(verdict="unproven", least_qubits=least)
        grid = family.grid(self.qubits)
        # The constructions hold on a perfect machine only: a single broken qubit may break a chain.
        perfect = grid > 0 and family.qubits_of(grid) == self.qubits
        if perfect and variables <= family.clique_of(grid):
            chain = family.chain_of(grid)
            return Embedding(verdict="clique", least_qubits=least, qubits=variables * chain, chain=chain)
        return Embedding(verdict="unproven", least_qubits=least)

    def _too_large(self, bqm: BQM, least: int) -> ProblemTooLarge:
        family = f", coupled as {self.topology}" if self.topology is not None else ""
        return ProblemTooLarge(
            node=self.node_id,
            asked=f"{bqm.num_variables:,} variables and {bqm.num_interactions:,} couplings, which take at least "
            f"{least:,} qubits",
            found=f"{self.qubits:,} qubits{family}",
            remedy="Send it to a larger annealer, split it, or solve it without a node.",
        )


def _least_qubits(bqm: BQM, degree: int) -> int:
    degrees = np.array([bqm.degree(each) for each in bqm.variables])
    return int(np.maximum(1, np.ceil((degrees - 2) / (degree - 2))).sum())


def is_annealer(node: NodeSignature) -> bool:
    """Return whether a node solves problems of this kind."""
    if node.hardware_type is HardwareType.QUANTUM_ANNEALER:
        return True
    return node.hardware_type is HardwareType.QUANTUM_QPU and "annealing_type" in node.metadata


def machine_of(node: NodeSignature) -> Machine:
    """Return the annealer that ``node`` is.

    Raises:
        InvalidValue: it is none, or its metadata holds a value that cannot be.
    """
    if not isinstance(node, NodeSignature):
        raise InvalidValue(field="node", value=node, rule="it is a NodeSignature, or None")
    owner = f"node {node.node_id!r}"
    if not is_annealer(node):
        raise InvalidValue(
            field="hardware_type",
            value=node.hardware_type.value,
            rule=f"{owner} is no annealer",
            remedy="Give it hardware_type quantum_annealer, or metadata with an annealing_type.",
        )
    stated = node.metadata
    topology = stated.get("topology")
    if topology is not None and topology not in {*TOPOLOGIES, "full"}:
        known = ", ".join([*TOPOLOGIES, "full"])
        raise InvalidValue(field="topology", value=topology, rule=f"{owner} is coupled as one of {known}")
    annealer = node.hardware_type is HardwareType.QUANTUM_ANNEALER
    qubits = stated.get("qubits", node.compute_units if annealer else None)
    if qubits is not None:
        qubits = fields.count("qubits", qubits, owner, least=1, what="qubits")
    times = [
        fields.number(name, stated.get(name, usual), owner, most=LONGEST_US, unit="us")
        for name, usual in PUBLISHED_US.items()
    ]
    most = fields.count("most_reads", stated.get("most_reads", MOST_READS), owner, least=1, what="reads")
    return Machine(
        node_id=node.node_id,
        kind=str(stated.get("annealing_type", "quantum")),
        qubits=qubits,
        topology=topology,
        times_us=(times[0], times[1], times[2], times[3]),
        assumed=tuple(name for name in PUBLISHED_US if name not in stated),
        most_reads=most,
    )
