"""What does a fragment of a cut circuit need, and suffer, on the nodes that it has to itself?

A fragment runs on an *island*: some nodes that share Bell pairs. Each of its circuits is distributed over the island
like any other circuit, and put on its clock; both are done once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister

from hyperfabric_q import pipeline
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.measured import with_measurements
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.timelines import Timelines, timelines_of
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.seeds import word

Ends = tuple[str, str]

SEARCH_S: Final = 0.5
"""Of the search for the homes of an island's first circuit."""

SHOTS: Final = 4096
"""Of the run whose timelines are drawn; it decides only how many are averaged over."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Staged:
    """A circuit on its island.

    Attributes:
        plan: who runs what.
        errors: of its shots; all shots take the mean of each error.
        links: the link of each Bell pair of the emitted circuit, in its order.
        reported: registers whose outcomes count.
        makespan_ns: how long one shot takes; None where the clock refuses the plan.
    """

    plan: Plan
    errors: Timelines
    links: tuple[Ends, ...]
    reported: tuple[ClassicalRegister, ...]
    makespan_ns: float | None

    @property
    def noise(self) -> RunNoise:
        """Return the mean errors."""
        return self.errors.mean


@dataclass(slots=True, eq=False)
class Stage:
    """Islands of a fabric, and every circuit that was put on one.

    Attributes:
        fabric: all nodes.
        noise: the errors that count.
        seed: of plans and timelines.
    """

    fabric: Fabric
    noise: Noise
    seed: int
    _known: dict[tuple[tuple[str, ...], str], Staged] = field(default_factory=dict)
    _islands: dict[tuple[str, ...], Fabric] = field(default_factory=dict)
    _plans: list[Plan] = field(default_factory=list)

    def island(self, nodes: tuple[str, ...]) -> Fabric:
        """Return the fabric of some nodes and the links between them."""
        if nodes not in self._islands:
            kept = set(nodes)
            self._islands[nodes] = Fabric(
                nodes=tuple(self.fabric.node(each) for each in nodes),
                links=tuple(link for link in self.fabric.links if kept.issuperset(link.ends)),
                name=f"{self.fabric.name}: {', '.join(nodes)}"[:200],
            )
        return self._islands[nodes]

    def is_perfect(self, node_id: str) -> bool:
        """Return whether everything inside a node is without error."""
        node = self.fabric.node(node_id)
        errors = (node.gate_error_1q, node.gate_error_2q, node.readout_error)
        forgets = node.t1_us is not None or node.t2_us is not None
        return self.noise is not Noise.FABRIC or not (any(errors) or forgets or node.chip is not None)

    def put(self, circuit: QuantumCircuit, nodes: tuple[str, ...], *, name: str, like: Staged | None = None) -> Staged:
        """Return a circuit on an island; the same circuit is planned once.

        Args:
            circuit: to run.
            nodes: of the island.
            name: a hash of the circuit.
            like: a circuit of the same qubits there, which differs in one-qubit operations only: its homes are taken.

        Raises:
            Infeasible: it does not fit there.
        """
        key = (nodes, name)
        if key not in self._known:
            same = like is not None and like.plan.qubits == circuit.num_qubits and not like.plan.moves
            plan = pipeline.plan(
                circuit,
                self.island(nodes),
                homes=like.plan.homes if same and like is not None else None,
                time_limit_s=SEARCH_S if like is None and len(nodes) > 1 else 0.0,
                # On one node nothing is distributed.
                verify="auto" if len(nodes) > 1 else "skipped",
                seed=word(self.seed, "island"),
            )
            self._known[key] = self._kept(plan, tuple(plan.program.to_circuit().cregs))
        return self._known[key]

    def measured(self, plan: Plan, outputs: tuple[int, ...], basis: tuple[int, int]) -> Staged:
        """Return a plan of the whole circuit with some qubits measured in a basis, given by its masks (x, z)."""
        x, z = basis
        letters = {(1, 0): "X", (1, 1): "Y"}
        bases = {qubit: letters.get((x >> place & 1, z >> place & 1), "Z") for place, qubit in enumerate(outputs)}
        key = ((), f"{id(plan)} {bases}")
        if key not in self._known:
            self._plans.append(plan)  # its id stays its own
            turned, register = with_measurements(plan, bases)
            self._known[key] = self._kept(turned, (register,))
        return self._known[key]

    def _kept(self, plan: Plan, reported: tuple[ClassicalRegister, ...]) -> Staged:
        errors = timelines_of(plan, self.noise, wanted="auto", shots=SHOTS, seed=word(self.seed, "timelines"))
        return Staged(
            plan=plan, errors=errors, links=pair_links(plan), reported=reported, makespan_ns=_makespan_ns(plan, errors)
        )


def _makespan_ns(plan: Plan, errors: Timelines) -> float | None:
    if errors.makespans_ps is not None:
        return float(errors.makespans_ps.mean()) / 1e3
    try:
        return float(plan.schedule().makespan_ps.mean()) / 1e3
    except InvalidValue:
        return None


def pair_links(plan: Plan) -> tuple[Ends, ...]:
    """Return the link of each Bell pair of the emitted circuit, in its order; ends as the fabric names them."""
    circuit, node_of = plan.routed.circuit, plan.routed.node_of
    wire = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    found: list[Ends] = []
    for instruction in circuit.data:
        if instruction.name == "bell_pair":
            a, b = (node_of[wire[qubit]] for qubit in instruction.qubits)
            link = plan.fabric.link(a, b)
            found.append((a, b) if link is None else link.ends)
    return tuple(found)
