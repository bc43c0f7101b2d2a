"""An independent count: e-bits per link, live copies and capacity, read from the emitted circuit alone.

Nothing of the compiler is used here. Wires are told by their register's name, links by the fabric. The walk follows
each communication qubit through its life (clean, half of a pair, copy, measured, reset) and refuses a circuit that
breaks the rules of the hardware.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Qubit

from hyperfabric_q.errors import VerificationFailed
from hyperfabric_q.fabric import Fabric


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What an emitted circuit uses.

    Attributes:
        ebits: Bell pairs consumed.
        ebits_per_link: the same by link, keys (a, b) with a < b.
        peak_copies: the most communication qubits in use at once on each node.
        data_qubits: data wires on each node.
        messages: protocol bits measured on one node and used on another, by (from, to).
    """

    ebits: int
    ebits_per_link: Mapping[tuple[str, str], int]
    peak_copies: Mapping[str, int]
    data_qubits: Mapping[str, int]
    messages: Mapping[tuple[str, str], int]


def replay(circuit: QuantumCircuit, fabric: Fabric) -> Replay:
    """Return what ``circuit`` uses on ``fabric``, counted from its instructions; O(instructions).

    Raises:
        VerificationFailed: an instruction crosses nodes without a Bell pair, a pair uses a link that is not there or a
        qubit that is not
            clean, a correction comes before its measurement, a copy outlives the circuit, or a node's capacity is
            exceeded.
    """
    walk = _Walk(circuit, fabric)
    for position, instruction in enumerate(circuit.data):
        walk.step(position, instruction)
    return walk.total()


class _Walk:
    def __init__(self, circuit: QuantumCircuit, fabric: Fabric) -> None:
        self._fabric = fabric
        self._node: dict[Qubit, str] = {}
        self._communicates: set[Qubit] = set()
        self._data: Counter[str] = Counter()
        qpus = {node.node_id for node in fabric.qpu_nodes}
        for register in circuit.qregs:
            node, _, role = register.name.rpartition("_")
            if node not in qpus or role not in ("data", "comm"):
                raise VerificationFailed(what=f"register {register.name!r} of the emitted circuit is on no QPU node")
            for wire in register:
                self._node[wire] = node
                if role == "comm":
                    self._communicates.add(wire)
                else:
                    self._data[node] += 1
        if len(self._node) < circuit.num_qubits:
            raise VerificationFailed(what="a wire of the emitted circuit is in no register, hence on no node")
        self._proto = {f"{node}_proto" for node in qpus}
        self._busy: set[Qubit] = set()
        self._dirty: set[Qubit] = set()
        self._load: Counter[str] = Counter()
        self._peak: Counter[str] = Counter()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._messages: Counter[tuple[str, str]] = Counter()
        self._written: dict[Any, str] = {}
        self._circuit = circuit

    def _fail(self, position: int, what: str) -> VerificationFailed:
        return VerificationFailed(what=f"instruction {position} of the emitted circuit: {what}")

    def step(self, position: int, instruction: Any) -> None:
        operation, wires = instruction.operation, instruction.qubits
        nodes = {self._node[wire] for wire in wires}
        if operation.name == "bell_pair":
            self._pair(position, wires)
            return
        if operation.name == "barrier":
            return
        if len(nodes) > 1:
            raise self._fail(position, f"{operation.name!r} acts on {sorted(nodes)} at once without a Bell pair")
        if operation.name == "swap":
            self._swap(position, wires)
            return
        for wire in wires:
            if wire in self._communicates and operation.name != "reset" and wire not in self._busy:
                raise self._fail(
                    position, f"{operation.name!r} acts on a communication qubit that holds no half of a pair"
                )
        if operation.name == "measure":
            self._measure(wires[0], instruction.clbits[0])
        elif operation.name == "reset":
            self._reset(position, wires[0])
        elif isinstance(operation, ControlFlowOp):
            self._receive(position, instruction.clbits, nodes)

    def _pair(self, position: int, wires: tuple[Qubit, ...]) -> None:
        a, b = sorted(self._node[wire] for wire in wires)
        link = self._fabric.link(a, b) if a != b else None
        if link is None or not link.quantum:
            raise self._fail(position, f"a Bell pair between {a!r} and {b!r}, which no quantum link joins")
        for wire in wires:
            if wire not in self._communicates or wire in self._busy or wire in self._dirty:
                raise self._fail(position, "a Bell pair on a qubit that is not a clean communication qubit")
            self._busy.add(wire)
            self._dirty.add(wire)
            node = self._node[wire]
            self._load[node] += 1
            self._peak[node] = max(self._peak[node], self._load[node])
        self._pairs[a, b] += 1

    def _swap(self, position: int, wires: tuple[Qubit, ...]) -> None:
        """A home that goes from a communication qubit to a data qubit in |0⟩, and leaves |0⟩ behind."""
        half, seat = wires
        if half not in self._busy or seat in self._communicates:
            raise self._fail(position, "a swap that carries no home from a communication qubit to a data qubit")
        self._busy.remove(half)
        self._dirty.discard(half)
        self._load[self._node[half]] -= 1

    def _measure(self, wire: Qubit, bit: Any) -> None:
        self._written[bit] = self._node[wire]
        if wire in self._busy:
            self._busy.remove(wire)
            self._load[self._node[wire]] -= 1

    def _reset(self, position: int, wire: Qubit) -> None:
        if wire in self._busy:
            raise self._fail(position, "a reset of a communication qubit that still holds a copy")
        self._dirty.discard(wire)

    def _receive(self, position: int, bits: tuple[Any, ...], nodes: set[str]) -> None:
        for bit in bits:
            origin = self._written.get(bit)
            if origin is None:
                if self._is_protocol(bit):
                    raise self._fail(position, "a correction before the measurement it depends on")
                continue
            for node in nodes - {origin}:
                self._messages[origin, node] += 1

    def _is_protocol(self, bit: Any) -> bool:
        registers = self._circuit.find_bit(bit).registers
        return any(register.name in self._proto for register, _ in registers)

    def total(self) -> Replay:
        if self._busy:
            raise VerificationFailed(what=f"{len(self._busy)} communication qubits still hold copies at the end")
        for node in self._fabric.qpu_nodes:
            held, room = self._data[node.node_id], node.data_qubits
            if held and (room is None or held > room):
                raise VerificationFailed(what=f"{held} data qubits are placed on {node.node_id!r}, which has {room}")
            peak, limit = self._peak[node.node_id], node.communication_qubits
            if limit is not None and peak > limit:
                raise VerificationFailed(
                    what=f"{peak} communication qubits are used on {node.node_id!r}, which has {limit}"
                )
        return Replay(
            ebits=self._pairs.total(),
            ebits_per_link=dict(sorted(self._pairs.items())),
            peak_copies={node.node_id: self._peak[node.node_id] for node in self._fabric.qpu_nodes},
            data_qubits={node.node_id: self._data[node.node_id] for node in self._fabric.qpu_nodes},
            messages=dict(sorted(self._messages.items())),
        )
