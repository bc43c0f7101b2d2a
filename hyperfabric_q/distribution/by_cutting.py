"""A circuit on a fabric without Bell pairs: cut into parts, each on a QPU node of its own.

The price is shots instead of e-bits: the sampling overhead gamma² (``hyperfabric_q.cutting``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from qiskit import QuantumCircuit

from hyperfabric_q.cutting.answers import Answers
from hyperfabric_q.cutting.plan import CutPlan, cut
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.registry import late

SCHEMA: Final = "hyperfabric_q/cut_placement/1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutPlacement:
    """A cut circuit and the node of each part.

    Attributes:
        plan: the parts, the cuts and what they cost.
        fabric: where the parts run.
        nodes: node id of each part.
    """

    plan: CutPlan
    fabric: Fabric
    nodes: tuple[str, ...]

    @property
    def ebits(self) -> int:
        """Bell pairs: none."""
        return 0

    @property
    def gamma(self) -> float:
        """Square root of the predicted sampling overhead."""
        return self.plan.gamma

    @property
    def overhead(self) -> float:
        """Predicted factor on the shots, gamma²."""
        return self.plan.overhead

    def run(
        self,
        observables: Any,
        *,
        shots: int | None = None,
        precision: float | None = None,
        noise: str = "fabric",
        store: Any = None,
        executor: Any = None,
        progress: Any = None,
        seed: int | None = None,
    ) -> Answers:
        """Return estimates of the observables, every part run on Aer with the errors of its node.

        Args:
            observables: one or several; SparsePauliOp, Pauli or label such as "ZZII".
            shots: in all; or
            precision: the standard error that no estimate may exceed. Noise adds a bias that no bar shows.
            noise: "fabric" = gate and readout errors of the nodes; "none" = from the exact laws of the parts.
            store: a store of outcomes or its path: what stands in it is not run again.
            executor: where circuits run, as for ``Plan.run``.
            progress: True = a bar where somebody watches, or a function of (done, total, what).
            seed: the same seed gives the same estimates; None = a fresh one.

        Raises:
            InvalidValue: not one of shots and precision; unfit observables or noise.
            OverheadTooHigh: the precision is out of reach.
            SimulationRefused: a part too wide to simulate.
        """
        answers: Answers = late("cut_placement.run")(
            self,
            observables,
            shots=shots,
            precision=precision,
            noise=noise,
            store=store,
            executor=executor,
            progress=progress,
            seed=seed,
        )
        return answers

    def exact(self, observables: Any) -> Answers:
        """Return the exact values of the observables without noise; see ``CutPlan.exact``."""
        return self.plan.exact(observables)

    def draw(self) -> str:
        """Return a picture in text: parts, nodes, cuts, and what they cost."""
        rows = [f"part {part} on {node}: {self.plan.widths[part]} qubits" for part, node in enumerate(self.nodes)]
        return "\n".join([*rows, self.plan.draw()])

    def to_dict(self) -> dict[str, Any]:
        """Return what was decided, ready for JSON."""
        return {"schema": SCHEMA, "nodes": list(self.nodes), "ebits": 0, "cut": self.plan.to_dict()}

    def __repr__(self) -> str:
        return f"<CutPlacement on {', '.join(self.nodes)}: {self.plan!r}>"


def place_by_cutting(
    circuit: QuantumCircuit, fabric: Fabric, *, methods: Sequence[str], time_limit_s: float, seed: int
) -> CutPlacement:
    """Return the circuit cut for the QPU nodes of a fabric; wider parts stand on larger nodes.

    Args:
        circuit: what to run.
        fabric: its QPU nodes say how wide parts may be; links do not count.
        methods: "gate_cut", "wire_cut" or both.
        time_limit_s: of the search for cuts.
        seed: of the search.

    Raises:
        NoCutFound: no cuts make the parts fit.
        InvalidValue: no node says how many data qubits it has.
        UnsupportedOperation: an instruction that cannot be cut.
    """
    rooms = sorted(((node.data_qubits or 0, node.node_id) for node in fabric.qpu_nodes), key=lambda each: -each[0])
    rooms = [each for each in rooms if each[0]]
    if not rooms:
        rule = "a circuit can only be cut for QPU nodes whose data qubits are declared"
        raise InvalidValue(field="fabric", value=fabric.name, rule=rule)
    plan = cut(
        circuit, widths=[room for room, _ in rooms], methods=tuple(methods), time_limit_s=time_limit_s, seed=seed
    )
    nodes = [""] * plan.parts
    for part, (_, node) in zip(sorted(range(plan.parts), key=lambda part: -plan.widths[part]), rooms, strict=False):
        nodes[part] = node
    return CutPlacement(plan=plan, fabric=fabric, nodes=tuple(nodes))
