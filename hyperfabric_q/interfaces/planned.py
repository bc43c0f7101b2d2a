"""A circuit that is planned once, for all values of its parameters.

What is planned is the circuit at angles that are like no other. The plan of a binding is that plan with other angles in
it: the same homes, pairs and messages, the same gates in the same places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.circuit.library import CPhaseGate, PhaseGate, UGate

from hyperfabric_q import seeds
from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.distribution.program import FloatArray, Kind, Program
from hyperfabric_q.distribution.verify import verify_rebase
from hyperfabric_q.errors import UnsupportedOperation
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.options import FabricOptions
from hyperfabric_q.interfaces.template import Template, template_of
from hyperfabric_q.pipeline import plan

_GATES = {Kind.U: UGate, Kind.P: PhaseGate, Kind.CP: CPhaseGate}
_NAMES = {Kind.U: "u", Kind.P: "p", Kind.CP: "cp"}
_COUNTS = {Kind.U: 3, Kind.P: 1, Kind.CP: 1}


@dataclass(frozen=True, eq=False)
class Planned:
    """A circuit with its plan.

    Attributes:
        circuit: as it was given.
        fabric: that it is planned for.
        options: of the plan.
        plan: of the circuit, or of one with angles in the place of its parameters.
        template: the circuit for any values; None where there is none.
        unbound: why each binding has to be planned on its own; empty where it has not.
        seed: of the plan.
        homes: that were given.
        memo: what was computed for it before, by name.
    """

    circuit: QuantumCircuit
    fabric: Fabric
    options: FabricOptions
    plan: Plan
    template: Template | None
    unbound: str
    seed: int
    homes: Sequence[str] | None = None
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> int:
        """How many parameters there are."""
        return len(self.circuit.parameters)

    @property
    def pure(self) -> bool:
        """Whether it is a unitary, perhaps with measurements at its end."""
        return self.template is not None and self.template.unitary

    def bound(self, values: Floats) -> Plan:
        """Return the plan with values for the parameters.

        Args:
            values: in the order of the circuit's parameters, shape (parameters,).
        """
        if not self.parameters:
            return self.plan
        if self.template is None or self.unbound:
            return _planned(self._at(values), self.fabric, self.options, self.seed, self.homes)
        (program,) = self.template.programs(values[None])
        routed = _rebound(self.plan.routed, self._places_routed, program.angles)
        lowered = routed
        if self.plan.lowered is not self.plan.routed:
            lowered = _rebound(self.plan.lowered, self._places_lowered, program.angles)
        return replace(self.plan, circuit=program.to_circuit(), program=program, lowered=lowered, routed=routed)

    def _at(self, values: Floats) -> QuantumCircuit:
        named = dict(zip(self.circuit.parameters, values.tolist(), strict=True))
        bound: QuantumCircuit = self.circuit.assign_parameters(named)
        return bound

    @cached_property
    def _places_routed(self) -> dict[int, int]:
        return _places(self.plan, self.plan.routed, self._varying)

    @cached_property
    def _places_lowered(self) -> dict[int, int]:
        return _places(self.plan, self.plan.lowered, self._varying)

    @property
    def _varying(self) -> list[int]:
        rows = () if self.template is None else self.template.rows
        return [number for number, row in enumerate(rows) if row.varies]

    @cached_property
    def digest(self) -> str:
        """A hash of what is emitted and where it runs; values of parameters have no part in it."""
        text = hashlib.blake2b(digest_size=16)
        varying = set(self._places_routed) if self.parameters and not self.unbound else set[int]()
        text.update(repr(self.fabric.to_toml()).encode())
        text.update(repr(_written(self.plan.routed.circuit, varying)).encode())
        return text.hexdigest()


def plan_once(
    circuit: QuantumCircuit,
    fabric: Fabric,
    options: FabricOptions,
    *,
    seed: int,
    homes: Sequence[str] | None = None,
) -> Planned:
    """Return a circuit with a plan for all values of its parameters.

    Without parameters the plan is that of ``hq.plan`` itself. With them, it is that of the circuit at angles that are
    like no other, checked at a binding drawn at random. A circuit whose parameters stand under classical conditions,
    or that has to use qubits again, is planned for each binding.

    Args:
        circuit: perhaps with parameters.
        fabric: the nodes and links.
        options: of the plan.
        seed: of the plan.
        homes: node id of each qubit; None lets the planner choose.

    Raises:
        InputError: the circuit is wrong.
        Infeasible: the fabric has no place for it.
        VerificationFailed: our bug.
    """
    unbound, template = "", None
    try:
        template = template_of(circuit)
    except UnsupportedOperation as fault:
        if not circuit.parameters:
            raise
        unbound = str(fault)
    if not circuit.parameters:
        made = _planned(circuit, fabric, options, seed, homes)
        return Planned(circuit, fabric, options, made, template, "", seed, homes)
    values = seeds.stream(seed, "binding").uniform(-np.pi, np.pi, len(circuit.parameters))
    bound = circuit.assign_parameters(dict(zip(circuit.parameters, values.tolist(), strict=True)))
    if template is None:
        made = _planned(bound, fabric, options, seed, homes)
        return Planned(circuit, fabric, options, made, None, unbound, seed, homes)
    made = _planned(template.circuit, fabric, options, seed, homes)
    if options.verify != "skipped":
        (program,) = template.programs(values[None])
        verify_rebase(bound, program, seed=seed)
    return Planned(circuit, fabric, options, made, template, _why_not(made, template), seed, homes)


def _planned(
    circuit: QuantumCircuit, fabric: Fabric, options: FabricOptions, seed: int, homes: Sequence[str] | None
) -> Plan:
    return plan(circuit, fabric, homes=homes, time_limit_s=options.time_limit_s, verify=options.verify, seed=seed)


def _why_not(made: Plan, template: Template) -> str:
    """Why values cannot be put into a plan; empty where they can."""
    if made.reused is not None:
        return "the nodes are too small for all qubits at once, and which are used again depends on the circuit"
    if not _same_rows(made.program, template.program):
        return "the program merges further than its template"
    varying = [number for number, row in enumerate(template.rows) if row.varies]
    for emitted in (made.routed, made.lowered):
        if sorted(_places(made, emitted, varying).values()) != varying:
            return "a gate with a parameter is not found once in the emitted circuit"
    return ""


def _same_rows(one: Program, other: Program) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("kind", "first", "second", "clbit", "condition")
    )


def _places(made: Plan, emitted: Lowered, varying: Sequence[int]) -> dict[int, int]:
    """Return the row of the program behind each emitted gate with a parameter, both by number.

    No two of them have the same angles: that is how they are told from each other.
    """
    program = made.program
    rows: dict[tuple[Any, ...], int] = {}
    for number in varying:
        kind = Kind(int(program.kind[number]))
        rows[(_NAMES[kind], *program.angles[number, : _COUNTS[kind]].tolist())] = number
    found: dict[int, int] = {}
    for place, instruction in enumerate(emitted.circuit.data):
        if instruction.name in ("u", "p", "cp"):
            row = rows.get((instruction.name, *instruction.params))
            if row is not None:
                found[place] = row
    return found


def _rebound(emitted: Lowered, places: Mapping[int, int], angles: FloatArray) -> Lowered:
    """Return the emitted circuit with other angles."""
    circuit = emitted.circuit.copy()
    for place, row in places.items():
        instruction = circuit.data[place]
        kind = next(kind for kind, name in _NAMES.items() if name == instruction.name)
        gate = _GATES[kind](*angles[row, : _COUNTS[kind]].tolist())
        circuit.data[place] = CircuitInstruction(gate, instruction.qubits)
    return replace(emitted, circuit=circuit)


def _written(circuit: QuantumCircuit, varying: set[int]) -> list[Any]:
    """Return a circuit as plain values, without the angles of some instructions."""
    qubits = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    clbits = {bit: place for place, bit in enumerate(circuit.clbits)}
    rows: list[Any] = [(register.name, register.size) for register in (*circuit.qregs, *circuit.cregs)]
    for place, instruction in enumerate(circuit.data):
        operation = instruction.operation
        blocks = [_written(block, set()) for block in getattr(operation, "blocks", ())]
        params = [] if blocks or place in varying else [float(each) for each in operation.params]
        condition = getattr(operation, "condition", None)
        rows.append(
            (
                operation.name,
                params,
                [qubits[each] for each in instruction.qubits],
                [clbits[each] for each in instruction.clbits],
                blocks,
                None if condition is None else condition[1],
            )
        )
    return rows
