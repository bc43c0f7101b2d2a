"""A routed circuit in the gates of its chips, so that each node's part is legal for the target it was read from.

The wires stay where routing put them; Qiskit's own passes translate the gates, turn those that the hardware does in one
direction only, and merge what stands side by side on one qubit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from qiskit.circuit import ControlFlowOp, IfElseOp
from qiskit.circuit.library import Measure, Reset, get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, PassManager, Target
from qiskit.transpiler.preset_passmanagers import generate_preset_pass_manager

from hyperfabric_q.distribution.lower import BellPairGate, Lowered
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric

_ANY: Final = ("u", "p", "h", "x", "z", "s", "sdg")
_ANY_TWO: Final = ("cx", "cz", "cp")
"""What nodes without a chip are taken to do: the gates of a lowered circuit, on any of their wires."""

_AROUND: Final = frozenset({"measure", "reset", "delay", "barrier", "if_else"})


def native(routed: Lowered, fabric: Fabric) -> Lowered:
    """Return ``routed`` in the gates that its chips list; nodes without a chip keep the gates they have.

    Raises:
        InvalidValue: a chip lists a gate that Qiskit has no standard gate for, or no complete set of gates.
    """
    target = merged_target(routed, fabric)
    stages = generate_preset_pass_manager(optimization_level=1, target=target)
    translated = PassManager()
    for stage in (stages.translation, stages.optimization):
        if stage is not None:
            translated.append(stage.to_flow_controller())
    try:
        circuit = translated.run(routed.circuit)
    except Exception as fault:  # Qiskit's passes raise their own errors, for targets that lack a gate among others
        raise InvalidValue(
            field="operations",
            value=sorted(target.operation_names),
            rule=f"Qiskit cannot write the circuit in these gates: {fault}",
        ) from fault
    return replace(routed, circuit=circuit)


def merged_target(routed: Lowered, fabric: Fabric) -> Target:
    """Return one target over all wires of a routed circuit: every chip's own gates, and Bell pairs over links."""
    gates = get_standard_gate_name_mapping()
    rows: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for name, place, figures in _rows(routed, fabric):
        rows.setdefault(name, {})[place] = figures
    target = Target(num_qubits=routed.circuit.num_qubits)
    for name, stated in sorted(rows.items()):
        if name not in gates:
            raise InvalidValue(field="operations", value=name, rule="it is none of Qiskit's standard gates")
        target.add_instruction(gates[name], stated)
    for always in (Measure(), Reset()):
        if always.name not in rows:
            target.add_instruction(always, dict.fromkeys([(wire,) for wire in range(routed.circuit.num_qubits)]))
    target.add_instruction(BellPairGate(), _pairs(routed))
    target.add_instruction(IfElseOp, name="if_else")
    return target


def _rows(routed: Lowered, fabric: Fabric) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    wire_at = {(routed.node_of[wire], place): wire for wire, place in enumerate(routed.places)}
    for node_id in dict.fromkeys(routed.node_of):
        chip = fabric.node(node_id).chip
        own = [wire for wire, node in enumerate(routed.node_of) if node == node_id]
        if chip is None:
            for wire in own:
                yield from ((name, (wire,), None) for name in _ANY)
                yield from ((name, (wire, other), None) for name in _ANY_TWO for other in own if other != wire)
            continue
        for each in chip.operations:
            if each.name in _AROUND - {"measure", "reset"}:
                continue
            duration = None if each.duration_ns is None else each.duration_ns * 1e-9
            wires = tuple(wire_at[node_id, place] for place in each.qubits)
            yield each.name, wires, InstructionProperties(duration=duration, error=each.error)


def _pairs(routed: Lowered) -> dict[tuple[int, ...], None]:
    """Every pair of wires that a Bell pair of the circuit joins."""
    index = {qubit: wire for wire, qubit in enumerate(routed.circuit.qubits)}
    return {
        tuple(index[qubit] for qubit in step.qubits): None
        for step in routed.circuit.data
        if step.name == "bell_pair" and not isinstance(step.operation, ControlFlowOp)
    }
