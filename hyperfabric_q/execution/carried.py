"""What the methods read of a plan, on its way to a worker and back.

A worker gets the emitted circuit, the wires, the fabric and the program, and nothing of how they were found. The same
circuit, errors, shots and seed give the same counts there as here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.program import Condition, Program
from hyperfabric_q.execution.payload import PackedCircuit, decode, encode, pack
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.fabric import Fabric

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

_COLUMNS = ("kind", "first", "second", "angles", "clbit", "condition", "origin")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the emitted circuit was verified, in one word."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carried:
    """The part of a plan that methods read; its names are the plan's."""

    routed: Lowered
    fabric: Fabric
    program: Program
    verification: Verdict

    @property
    def qubits(self) -> int:
        """How many qubits the circuit has."""
        return self.program.qubits


def plan_as_values(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values, for the arguments of jobs; O(instructions).

    Raises:
        InvalidValue: Qiskit cannot write one of the instructions.
    """
    routed, program = plan.routed, plan.program
    place = {bit: position for position, bit in enumerate(routed.circuit.clbits)}
    rest = {
        "entry": list(routed.entry),
        "exit": list(routed.exit),
        "node_of": list(routed.node_of),
        "places": list(routed.places),
        "fabric": plan.fabric.to_toml(),
        "qubits": program.qubits,
        "columns": {name: getattr(program, name) for name in _COLUMNS},
        "conditions": [[each.bit, each.register, each.value] for each in program.conditions],
        # The program shares the bits of the emitted circuit: they are told by their places there.
        "bits": [place[bit] for bit in program.classical.clbits],
        "registers": [register.name for register in program.classical.cregs],
        "label": plan.verification.label,
    }
    return {"circuit": pack(routed.circuit), "plan": encode(rest)}


@lru_cache(maxsize=4)
def plan_from_values(circuit: PackedCircuit, plan: bytes) -> Carried:
    """Return what ``plan_as_values`` wrote; jobs of one plan share it."""
    emitted, rest = circuit.circuit(), decode(plan)
    classical = QuantumCircuit()
    classical.add_bits([emitted.clbits[position] for position in rest["bits"]])
    registers = {register.name: register for register in emitted.cregs}
    for name in rest["registers"]:
        classical.add_register(registers[name])
    return Carried(
        routed=Lowered(
            circuit=emitted,
            entry=tuple(rest["entry"]),
            exit=tuple(rest["exit"]),
            node_of=tuple(rest["node_of"]),
            places=tuple(rest["places"]),
        ),
        fabric=Fabric.from_toml(rest["fabric"]),
        program=Program(
            qubits=rest["qubits"],
            classical=classical,
            conditions=tuple(Condition(bit=bit, register=name, value=value) for bit, name, value in rest["conditions"]),
            **{name: rest["columns"][name] for name in _COLUMNS},
        ),
        verification=Verdict(rest["label"]),
    )


def noise_as_values(noise: RunNoise) -> dict[str, Any]:
    """Return errors as plain values."""
    return {
        "pairs": noise.pair_weights,
        "idles": np.array(noise.idles, dtype=np.float64).reshape(-1, 5),
        "local": noise.local,
    }


def noise_from_values(given: Mapping[str, Any]) -> RunNoise:
    """Return the errors that ``noise_as_values`` wrote."""
    idles = tuple(Idle(int(before), int(wire), *rest) for before, wire, *rest in given["idles"].tolist())
    return RunNoise(pair_weights=given["pairs"], idles=idles, local=given["local"])
