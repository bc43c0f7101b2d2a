"""The plan: who runs what, what entanglement that needs, and the evidence that it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit

from hyperfabric_q.distribution.bounds import Bound, lower_bound
from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.cost_models import cost_model, priced_network
from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.native import native
from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.objectives import objective_of
from hyperfabric_q.distribution.program import Kind, Program
from hyperfabric_q.distribution.replay import Replay
from hyperfabric_q.distribution.reuse import Reused
from hyperfabric_q.distribution.schedule import Mode, schedule
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.steps import Apply, Promote, Release, Spread, Step
from hyperfabric_q.distribution.timetable import Timetable
from hyperfabric_q.distribution.verify import Verification
from hyperfabric_q.errors import UnknownName
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.registry import late

SCHEMA = "hyperfabric_q/plan/1"


@dataclass(frozen=True, slots=True)
class Packet:
    """One e-bit and what it buys: a copy of ``qubit`` on ``target`` that serves ``gates`` two-qubit gates.

    A packet that serves no gate passes the copy on to a node further away, or carries the qubit itself: ``moves`` says
    that ``target`` is its home from then on.
    """

    qubit: int
    source: str
    target: str
    gates: int
    moves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A circuit distributed over the QPU nodes of a fabric, counted and verified.

    Attributes:
        circuit: the circuit as it was given.
        fabric: the fabric it was planned for.
        program: the circuit in the compiler's basis.
        homes: node id of each qubit at the start.
        lowered: the circuit over all nodes, with the wire of each qubit; which qubits of a chip are coupled is not
            considered yet.
        routed: the emitted circuit, which runs: ``lowered`` on the physical qubits of chips, and itself without chips.
        swaps: SWAPs on each node that has a chip.
        packets: every e-bit in order, with the gates it serves.
        replay: e-bits, copies and messages, counted from the emitted circuit alone.
        verification: how the emitted circuit was shown to equal the original.
        start: which start of the optimiser won.
        objective: what it was chosen by.
        seconds: time spent planning, verification included.
        seed: reproduces the plan.
        reused: how the user's qubits share those of ``circuit``, where the nodes hold fewer; None where they do not.
            ``circuit`` is then not the one that was given: it has the same outcomes on fewer qubits.
    """

    circuit: QuantumCircuit
    fabric: Fabric
    program: Program
    homes: tuple[str, ...]
    lowered: Lowered
    routed: Lowered
    swaps: Mapping[str, int]
    packets: tuple[Packet, ...]
    replay: Replay
    verification: Verification
    start: str
    seconds: float
    seed: int
    objective: str = "ebits"
    reused: Reused | None = None

    @property
    def qubits(self) -> int:
        """How many qubits the circuit has."""
        return self.program.qubits

    @property
    def two_qubit_gates(self) -> int:
        """Controlled phases after the rebase."""
        return self.program.two_qubit_gates

    @property
    def ebits(self) -> int:
        """Bell pairs the emitted circuit consumes."""
        return self.replay.ebits

    @property
    def ebits_per_link(self) -> Mapping[tuple[str, str], int]:
        """Bell pairs by link, keys (a, b) with a < b."""
        return self.replay.ebits_per_link

    @property
    def moves(self) -> int:
        """How many times a qubit changes its home."""
        return sum(packet.moves for packet in self.packets)

    @property
    def peak_copies(self) -> Mapping[str, int]:
        """The most communication qubits in use at once, by node."""
        return self.replay.peak_copies

    @property
    def capacity(self) -> Mapping[str, int]:
        """Data qubits by node."""
        return {node.node_id: node.data_qubits or 0 for node in self.fabric.qpu_nodes}

    @property
    def equivalent(self) -> str:
        """The label of the verification: proved, skeleton, sampled or skipped."""
        return self.verification.label

    @property
    def distributed_circuit(self) -> QuantumCircuit:
        """The emitted circuit: one Qiskit circuit over all nodes, with Bell pairs, measurements and feed-forward."""
        return self.routed.circuit

    def native(self) -> Lowered:
        """Return the emitted circuit in the gates of the nodes' chips, with the wire of each qubit.

        It is what the chips run; ``run`` takes the same circuit before translation, with the errors of these gates.

        Raises:
            InvalidValue: a chip lists a gate that Qiskit has no standard gate for, or no complete set of gates.
        """
        return native(self.routed, self.fabric)

    def qubits_of(self, node_id: str) -> tuple[int, ...]:
        """Return the qubits at home on one node at the start.

        Raises:
            UnknownName: the fabric has no QPU node of that name.
        """
        if node_id not in self.capacity:
            raise UnknownName(kind="QPU node", name=str(node_id), known=tuple(self.capacity))
        return tuple(qubit for qubit, home in enumerate(self.homes) if home == node_id)

    def run(
        self,
        shots: int = 4096,
        *,
        method: str = "auto",
        noise: str = "fabric",
        timelines: str | int = "auto",
        observables: Any = None,
        precision: float | None = None,
        background: Sequence[Any] = (),
        store: Any = None,
        executor: Any = None,
        progress: Any = None,
        seed: int | None = None,
    ) -> Any:
        """Return the ``Result`` of running the emitted circuit; see ``hyperfabric_q.execution.run``."""
        return late("plan.run")(
            self,
            shots=shots,
            method=method,
            noise=noise,
            timelines=timelines,
            observables=observables,
            precision=precision,
            background=background,
            store=store,
            executor=executor,
            progress=progress,
            seed=seed,
        )

    def process_fidelity(self, shots: int = 4096, *, noise: str = "fabric", seed: int | None = None) -> Any:
        """Return the measured process fidelity with its bar; see ``hyperfabric_q.execution.process_measured``."""
        return late("plan.process_fidelity")(self, shots, noise=noise, seed=seed)

    def to_cirq(self) -> Any:
        """Return the emitted circuit as a ``cirq.Circuit``, measurement, feed-forward and tagged Bell pairs included.

        Qubits are called after node, kind and place, as in ``qpu-0_data[2]``; see ``hyperfabric_q.convert.to_cirq``.
        """
        from hyperfabric_q.convert.cirq_writing import to_cirq  # noqa: PLC0415  # Cirq takes a second to import

        return to_cirq(self.distributed_circuit, qubits="named")

    def schedule(
        self, *, mode: Mode = "mean", runs: int = 200, just_in_time: bool = True, seed: int | None = None
    ) -> Timetable:
        """Return the emitted circuit on the clock of the fabric: when what runs, and how old each Bell pair is at use.

        Args:
            mode: "mean" lets every pair take its mean time, "sampled" draws the times of ``runs`` runs.
            runs: how many runs are drawn.
            just_in_time: whether pairs are made as late as can be without delaying anything.
            seed: of what is drawn; by default the plan's.

        Raises:
            InvalidValue: an option is out of range, or a link makes no entanglement.
        """
        chosen = self.seed if seed is None else seed
        return schedule(self.routed, self.fabric, mode=mode, runs=runs, just_in_time=just_in_time, seed=chosen)

    def lower_bound(self, *, time_limit_s: float = 10.0, measure: str | None = None) -> Bound:
        """Return what no plan of this circuit on this fabric goes below, by any method, beside what this plan costs.

        Movable homes and any number of communication qubits are allowed for. A ``gap`` of 0 proves the plan optimal by
        the measure. More time may give a better bound.

        Args:
            time_limit_s: seconds for the solver; 0 does without.
            measure: the cost model to bound; by default the one that ``objective`` names first and heaviest. For
                "fidelity" that is "infidelity", which counts the pairs as fresh. Of "makespan" nothing is known: the
                bound is one on e-bits.
        """
        name = objective_of(self.objective).leading if measure is None else measure
        name = {"fidelity": "infidelity", "makespan": "ebits"}.get(name, name)
        chapters = chapters_of(self.program, segments_of(self.program))
        network = priced_network(name, self.fabric)
        index = {node_id: number for number, node_id in enumerate(network.names)}
        cost = sum(network.price(index[a], index[b]) * count for (a, b), count in self.ebits_per_link.items())
        found = lower_bound(chapters, network, network.capacity, time_limit_s=time_limit_s, target=cost)
        return found.beside(cost, measure=name, unit=cost_model(name).unit)

    def draw(self, output: str = "text") -> str:
        """Return a picture of the plan; ``output`` is "text"."""
        picture: str = late("plan.draw")(self, output=output)
        return picture

    def to_dict(self) -> dict[str, Any]:
        """Return the plan's facts as JSON-ready values, schema ``hyperfabric_q/plan/1``."""
        return {
            "schema": SCHEMA,
            "name": self.circuit.name,
            "qubits": self.qubits,
            "two_qubit_gates": self.two_qubit_gates,
            "ebits": self.ebits,
            "ebits_per_link": {f"{a}--{b}": count for (a, b), count in self.ebits_per_link.items()},
            "peak_copies": dict(self.peak_copies),
            "homes": list(self.homes),
            "moves": self.moves,
            "swaps": dict(self.swaps),
            "capacity": dict(self.capacity),
            "communication_qubits": {node.node_id: node.communication_qubits for node in self.fabric.qpu_nodes},
            "replayed": True,
            "equivalent": self.equivalent,
            "verification": self.verification.detail,
            "packets": [
                {
                    "qubit": each.qubit,
                    "from": each.source,
                    "to": each.target,
                    "gates": each.gates,
                    "moves": each.moves,
                }
                for each in self.packets
            ],
            "start": self.start,
            "objective": self.objective,
            "seed": self.seed,
            "seconds": round(self.seconds, 6),
        }

    def __repr__(self) -> str:
        nodes = sum(1 for count in self.replay.data_qubits.values() if count)
        return (
            f"<Plan: {self.qubits} qubits and {self.two_qubit_gates} two-qubit gates on {nodes} QPU nodes, "
            f"{self.ebits} e-bit{'' if self.ebits == 1 else 's'}, {self.equivalent}>"
        )

    def _repr_html_(self) -> str:
        html: str = late("plan.html")(self)
        return html


def packets_of(program: Program, network: Network, steps: Sequence[Step]) -> tuple[Packet, ...]:
    """Return one packet per e-bit, in order, with the number of gates its copy serves; O(steps)."""
    opened: dict[tuple[int, int], int] = {}
    rows: list[tuple[int, int, int]] = []
    served: list[int] = []
    moved: set[int] = set()
    for step in steps:
        if isinstance(step, Spread):
            opened[step.qubit, step.target] = len(rows)
            rows.append((step.qubit, step.source, step.target))
            served.append(0)
        elif isinstance(step, Release):
            del opened[step.qubit, step.node]
        elif isinstance(step, Promote):
            moved.add(opened.pop((step.qubit, step.node)))
        elif isinstance(step, Apply) and program.kind[step.row] == Kind.CP:
            for qubit in (int(program.first[step.row]), int(program.second[step.row])):
                packet = opened.get((qubit, step.node))
                if packet is not None:
                    served[packet] += 1
    names = network.names
    return tuple(
        Packet(qubit, names[source], names[target], gates, number in moved)
        for number, ((qubit, source, target), gates) in enumerate(zip(rows, served, strict=True))
    )
