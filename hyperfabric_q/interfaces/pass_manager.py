"""The compiler as a Qiskit pass manager: one pass plans, the next puts the emitted circuit in the circuit's place.

Property sets are how passes speak to each other and to the caller. Ours hold ``hyperfabric_plan`` and
``hyperfabric_homes``, and Qiskit's own ``layout`` and ``final_layout``, which become ``circuit.layout`` of the result.
"""

from __future__ import annotations

from typing import Any, Final

from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction, Qubit
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.dagcircuit import DAGCircuit
from qiskit.transpiler import AnalysisPass, Layout, PassManager, TransformationPass

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, fields

PLAN_KEY: Final = "hyperfabric_plan"
HOMES_KEY: Final = "hyperfabric_homes"

LONGEST_SEARCH_S: Final = 1e6


def hyperfabric_pass_manager(
    fabric: Fabric, *, time_limit_s: float = 5.0, verify: str = "auto", seed: int | None = None
) -> PassManager:
    """Return a Qiskit pass manager whose ``run`` returns the circuit that ``hq.plan`` emits for ``fabric``.

    After a run of one circuit, ``property_set["hyperfabric_plan"]`` is the ``Plan`` and
    ``property_set["hyperfabric_homes"]`` the node id of each qubit. The ``layout`` of the returned circuit tells the
    wire of each qubit: ``initial_index_layout(filter_ancillas=True)`` at the start and ``final_index_layout()`` at the
    end, so that ``observable.apply_layout(circuit.layout)`` works.

    Args:
        fabric: the nodes and links.
        time_limit_s: as in ``hq.plan``.
        verify: as in ``hq.plan``.
        seed: as in ``hq.plan``; with the same one, the plan is the same.

    Raises:
        InvalidValue: an option is out of range. Running raises what ``hq.plan`` raises.
    """
    return PassManager(
        [PlanOnFabric(fabric, time_limit_s=time_limit_s, verify=verify, seed=seed), EmitDistributedCircuit()]
    )


class PlanOnFabric(AnalysisPass):  # type: ignore[misc]  # Qiskit is untyped
    """Plans the circuit with ``hq.plan`` and leaves the plan and the homes in the property set."""

    def __init__(
        self, fabric: Fabric, *, time_limit_s: float = 5.0, verify: str = "auto", seed: int | None = None
    ) -> None:
        """Take the fabric and the options of ``hyperfabric_pass_manager``."""
        super().__init__()
        self.fabric = known_fabric(fabric)
        self.time_limit_s = fields.number("time_limit_s", time_limit_s, "a plan", most=LONGEST_SEARCH_S, unit="s")
        self.verify = verify
        self.seed = None if seed is None else seeds.resolve(seed)

    def run(self, dag: DAGCircuit) -> None:
        """Plan the circuit that ``dag`` is.

        Raises:
            InputError: the circuit or an option is wrong.
            Infeasible: the fabric has no place for it.
            VerificationFailed: our bug.
        """
        from hyperfabric_q.pipeline import plan  # noqa: PLC0415 - Qiskit loads this module for whoever transpiles

        made = plan(
            _in_given_order(dag), self.fabric, time_limit_s=self.time_limit_s, verify=self.verify, seed=self.seed
        )
        self.property_set[PLAN_KEY] = made
        self.property_set[HOMES_KEY] = made.homes


class EmitDistributedCircuit(TransformationPass):  # type: ignore[misc]  # Qiskit is untyped
    """Puts the emitted circuit of the plan in the place of the circuit, and sets Qiskit's layouts."""

    def run(self, dag: DAGCircuit) -> DAGCircuit:
        """Return the emitted circuit.

        Raises:
            InvalidValue: no plan was made before.
        """
        made = self.property_set[PLAN_KEY]
        if made is None:
            raise InvalidValue(
                field=f"property_set[{PLAN_KEY!r}]",
                value=None,
                rule="the emitted circuit comes from a plan",
                remedy="Run PlanOnFabric before EmitDistributedCircuit.",
            )
        emitted: QuantumCircuit = made.lowered.circuit
        ancillas = QuantumRegister(emitted.num_qubits - dag.num_qubits(), "ancilla")
        virtual = [*dag.qubits, *ancillas]
        starts, ends = _filled(made.lowered.entry, made.lowered.exit, emitted.num_qubits)
        layout = Layout(dict(zip(virtual, starts, strict=True)))
        layout.add_register(ancillas)
        for register in dag.qregs.values():
            layout.add_register(register)
        self.property_set["layout"] = layout
        indices = self.property_set["original_qubit_indices"] or {}
        self.property_set["original_qubit_indices"] = indices | {
            qubit: index for index, qubit in enumerate(virtual) if qubit not in indices
        }
        if starts != ends:
            moved: dict[Qubit, int] = {emitted.qubits[start]: end for start, end in zip(starts, ends, strict=True)}
            self.property_set["final_layout"] = Layout(moved)
        result = circuit_to_dag(emitted, copy_operations=True)
        result.name, result.metadata = dag.name, dag.metadata
        return result


def known_fabric(given: object) -> Fabric:
    """Return ``given``, which must be a fabric.

    Raises:
        InvalidValue: it is something else.
    """
    if isinstance(given, Fabric):
        return given
    raise InvalidValue(field="fabric", value=given, rule="it is a Fabric", remedy="Fabric.from_file reads one.")


def _in_given_order(dag: DAGCircuit) -> QuantumCircuit:
    """The circuit that ``dag`` is, in the order in which its instructions were added.

    Qiskit's own conversion sorts by qubit. The order decides ties of the optimiser, and with the one the caller wrote
    the plan is exactly that of ``hq.plan``. Node numbers grow in that order; after other passes they may not, and the
    sort is then any order that the circuit allows.
    """
    circuit = dag_to_circuit(dag.copy_empty_like())
    for node in dag.topological_op_nodes(key=_added):
        circuit.append(CircuitInstruction(node.op, node.qargs, node.cargs))
    return circuit


def _added(node: Any) -> str:
    return f"{node._node_id:020d}"


def _filled(entry: tuple[int, ...], exits: tuple[int, ...], wires: int) -> tuple[list[int], list[int]]:
    """Start and end of every wire's content, of the qubits first; wires of no qubit stay where that is possible."""
    others = [wire for wire in range(wires) if wire not in set(entry)]
    free = set(range(wires)) - set(exits)
    stays = {wire for wire in others if wire in free}
    left = iter(sorted(free - stays))
    return [*entry, *others], [*exits, *(wire if wire in stays else next(left) for wire in others)]
