"""Circuits that somebody distributed by hand: run as written, after the same count that our own circuits pass.

Such a circuit names nodes by its registers, ``<node>_data`` and ``<node>_comm``, shares entanglement by ``bell_pair``
gates alone (``EPR``), and measures what only corrections read into ``<node>_proto``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import Qubit

from hyperfabric_q.distribution.lower import BellPairGate, Lowered
from hyperfabric_q.distribution.replay import Replay, replay
from hyperfabric_q.distribution.schedule import Mode, schedule
from hyperfabric_q.distribution.timetable import Timetable
from hyperfabric_q.errors import InvalidValue, VerificationFailed
from hyperfabric_q.fabric import Fabric


def EPR(circuit: QuantumCircuit, a: Qubit, b: Qubit) -> None:  # noqa: N802  # the field's name of the pair
    """Append one Bell pair to ``circuit``, between two communication qubits in |0⟩ on linked nodes: one e-bit."""
    circuit.append(BellPairGate(), [a, b])


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A circuit distributed by hand, counted.

    Attributes:
        lowered: the circuit as written, with the wire of each qubit: the data wires in order.
        replay: e-bits, copies and messages.
        fabric: the nodes and links.
    """

    lowered: Lowered
    replay: Replay
    fabric: Fabric

    @property
    def ebits(self) -> int:
        """Bell pairs the circuit consumes."""
        return self.replay.ebits

    def schedule(
        self, *, mode: Mode = "mean", runs: int = 200, just_in_time: bool = True, seed: int | None = None
    ) -> Timetable:
        """Return the circuit on the clock of the fabric; see ``Plan.schedule``."""
        return schedule(self.lowered, self.fabric, mode=mode, runs=runs, just_in_time=just_in_time, seed=seed)


def as_written(
    circuit: QuantumCircuit,
    fabric: Fabric,
    *,
    entry: Sequence[Qubit] | None = None,
    exit: Sequence[Qubit] | None = None,  # noqa: A002  # the field of ``Lowered``
) -> Written:
    """Return a circuit that already holds its Bell pairs, counted by replay; O(instructions).

    Nothing is moved, merged or checked for a meaning: what it does is what is written.

    Args:
        circuit: over registers ``<node>_data`` and ``<node>_comm`` of QPU nodes of the fabric.
        fabric: the nodes and links.
        entry: the wire of each qubit at the start; by default the data wires in order.
        exit: the same at the end, where qubits were teleported; by default as at the start.

    Raises:
        InvalidValue: the hardware cannot run the circuit; the message names the instruction.
    """
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a distributed circuit is a Qiskit QuantumCircuit")
    try:
        counted = replay(circuit, fabric)
    except VerificationFailed as fault:
        raise InvalidValue(field="circuit", value=circuit.name, rule=fault.what) from None
    registers = [circuit.find_bit(wire).registers[0][0].name.rpartition("_") for wire in circuit.qubits]
    data = [wire for wire, (_, _, role) in zip(circuit.qubits, registers, strict=True) if role == "data"]
    start = _wires(circuit, data if entry is None else entry, "entry")
    end = start if exit is None else _wires(circuit, exit, "exit")
    if len(start) != len(end):
        raise InvalidValue(field="exit", value=len(end), rule=f"{len(start)} qubits are there at the start")
    lowered = Lowered(circuit=circuit, entry=start, exit=end, node_of=tuple(node for node, _, _ in registers))
    return Written(lowered=lowered, replay=counted, fabric=fabric)


def _wires(circuit: QuantumCircuit, wires: Sequence[Qubit], field: str) -> tuple[int, ...]:
    index = {wire: place for place, wire in enumerate(circuit.qubits)}
    found = tuple(index[wire] for wire in wires if isinstance(wire, Qubit) and wire in index)
    if len(found) != len(wires) or len(set(found)) < len(found):
        raise InvalidValue(field=field, value=wires, rule="it names each wire of the circuit at most once")
    return found
