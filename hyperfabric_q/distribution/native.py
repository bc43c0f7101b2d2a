"""A routed circuit in the gates of its chips, so that each node's part is legal for the target it was read from.

The wires stay where routing put them; Qiskit's own passes translate the gates, turn those that the hardware does in one
direction only, and merge what stands side by side on one qubit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.circuit import Barrier, IfElseOp
from qiskit.circuit.library import Measure, Reset, get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, PassManager, Target
from qiskit.transpiler.preset_passmanagers import generate_preset_pass_manager

from hyperfabric_q.distribution.lower import BellPairGate, Lowered
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric

_ANY: Final = ("u", "p", "h", "x", "z", "s", "sdg", "measure", "reset")
_ANY_TWO: Final = ("cx", "cz", "cp")
"""What nodes without a chip are taken to do: the gates of a lowered circuit, on any of their wires."""

_AROUND: Final = frozenset({"delay", "barrier", "if_else"})

_PAIR: Final = "bell_pair"


def native(routed: Lowered, fabric: Fabric) -> Lowered:
    """Return ``routed`` in the gates that its chips list; nodes without a chip keep the gates they have.

    Raises:
        InvalidValue: a chip lists a gate that Qiskit has no standard gate for, or no complete set of gates.
    """
    target = merged_target(routed, fabric)
    _check_measurements(routed, target)
    stages = generate_preset_pass_manager(optimization_level=1, target=target)
    translated = PassManager()
    for stage in (stages.translation, stages.optimization):
        if stage is not None:
            translated.append(stage.to_flow_controller())
    try:
        circuit = _pairs_back(translated.run(_pairs_out(routed.circuit)))
    except Exception as fault:  # Qiskit's passes raise their own errors, for targets that lack a gate among others
        raise InvalidValue(
            field="operations",
            value=sorted(target.operation_names),
            rule=f"Qiskit cannot write the circuit in these gates: {fault}",
        ) from fault
    return replace(routed, circuit=circuit)


def _pairs_out(circuit: QuantumCircuit) -> QuantumCircuit:
    """Let a barrier stand for each Bell pair: no chip lists one among its gates."""
    plain = circuit.copy_empty_like()
    for step in circuit.data:
        operation = Barrier(2, label=_PAIR) if step.name == _PAIR else step.operation
        plain.append(operation, step.qubits, step.clbits, copy=False)
    return plain


def _pairs_back(circuit: QuantumCircuit) -> QuantumCircuit:
    whole = circuit.copy_empty_like()
    for step in circuit.data:
        operation = BellPairGate() if step.operation.label == _PAIR else step.operation
        whole.append(operation, step.qubits, step.clbits, copy=False)
    return whole


def _check_measurements(routed: Lowered, target: Target) -> None:
    """Refuse measurements and resets that a chip does not list: nothing can be put in their place."""
    index = {qubit: wire for wire, qubit in enumerate(routed.circuit.qubits)}
    for step in routed.circuit.data:
        wire = index[step.qubits[0]]
        if step.name in {"measure", "reset"} and not target.instruction_supported(step.name, (wire,)):
            where = f"qubit {routed.places[wire]} of the chip of {routed.node_of[wire]!r}"
            raise InvalidValue(
                field="operations",
                value=step.name,
                rule=f"it is needed on {where}, which does not list it",
                remedy="Keep other communication qubits, or use a backend whose target has this operation.",
            )


def merged_target(routed: Lowered, fabric: Fabric) -> Target:
    """Return one target over all wires of a routed circuit: every chip's own operations, and feed-forward."""
    gates = get_standard_gate_name_mapping() | {"measure": Measure(), "reset": Reset()}
    rows: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for name, place, figures in _rows(routed, fabric):
        rows.setdefault(name, {})[place] = figures
    target = Target(num_qubits=routed.circuit.num_qubits)
    for name, stated in sorted(rows.items()):
        if name not in gates:
            raise InvalidValue(field="operations", value=name, rule="it is none of Qiskit's standard gates")
        target.add_instruction(gates[name], stated)
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
            if each.name in _AROUND:
                continue
            duration = None if each.duration_ns is None else each.duration_ns * 1e-9
            wires = tuple(wire_at[node_id, place] for place in each.qubits)
            yield each.name, wires, InstructionProperties(duration=duration, error=each.error)
