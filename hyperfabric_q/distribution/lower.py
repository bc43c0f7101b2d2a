"""Steps as one Qiskit circuit: registers per node, explicit Bell pairs, measurements and feed-forward.

Registers are ``<node>_data`` (homes), ``<node>_comm`` (halves of Bell pairs and copies) and ``<node>_proto`` (the
node's protocol bits, each written once). ``bell_pair`` is the only operation that touches two nodes.

A node's communication qubits take turns, and it uses up to twice as many as it needs at once where it has them: then a
pair can be made on one while another is in use. A simulator holds the circuit on no more wires for that.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ClassicalRegister, Clbit, Gate, IfElseOp, QuantumRegister, Qubit
from qiskit.circuit.library import CXGate, HGate, Measure, Reset, SwapGate, XGate, ZGate

from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.program import IntArray, Kind, Program, append, carry_classical
from hyperfabric_q.distribution.steps import Apply, Promote, Release, Settle, Spread, Step, Toggle, Trade
from hyperfabric_q.errors import InvalidValue

MOST_SPARE: Final = 16
"""Communication qubits used on a node beyond those needed at once; measured on QFT-32, more gain next to nothing."""


class BellPairGate(Gate):  # type: ignore[misc]  # Qiskit is untyped
    """One Bell pair Φ+ between two communication qubits in |0⟩, on two linked nodes: one e-bit."""

    def __init__(self) -> None:
        """Make the gate; it has no parameters."""
        super().__init__("bell_pair", 2, [])

    def _define(self) -> None:
        pair = QuantumCircuit(2, name="bell_pair")
        pair.h(0)
        pair.cx(0, 1)
        self.definition = pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """The emitted circuit and where the logical qubits are in it.

    Attributes:
        circuit: the whole distributed program.
        entry: wire that holds each logical qubit at the start, an index into ``circuit.qubits``.
        exit: the same at the end.
        node_of: node id of each wire.
        places: physical qubit of each wire on the chip of its node; -1 where the node has no chip, and empty before
            routing.
    """

    circuit: QuantumCircuit
    entry: tuple[int, ...]
    exit: tuple[int, ...]
    node_of: tuple[str, ...]
    places: tuple[int, ...] = ()

    def __repr__(self) -> str:
        operations = sum(self.circuit.count_ops().values())
        return f"<Lowered: {self.circuit.num_qubits} wires on {len(set(self.node_of))} nodes, {operations} operations>"


def lower(program: Program, network: Network, homes: IntArray, steps: Sequence[Step]) -> Lowered:
    """Return the circuit that carries out ``steps``; O(steps).

    Args:
        program: the circuit.
        network: the nodes.
        homes: home of each qubit at the start, shape (qubits,).
        steps: what happens.

    Raises:
        InvalidValue: a classical register of the user's has a name that the emitted circuit needs.
    """
    emitter = _Emitter(program, network, homes, steps)
    for step in steps:
        emitter.emit(step)
    return emitter.lowered()


@dataclass(slots=True)
class _Needs:
    """The most data and communication qubits each node needs at once, its halves of pairs and its protocol bits."""

    data: list[int]
    comm: list[int]
    halves: list[int]
    bits: list[int]

    def wires(self, node: int, limit: int | None) -> int:
        """How many communication qubits to use: more than needed at once, to make pairs ahead; none stays unused."""
        most = min(2 * self.comm[node], self.comm[node] + MOST_SPARE, self.halves[node])
        return most if limit is None else min(most, limit)


def _needs(homes: IntArray, steps: Sequence[Step], network: Network) -> _Needs:
    nodes = len(network)
    held = np.bincount(homes, minlength=nodes).tolist()
    needs = _Needs(data=list(held), comm=[0] * nodes, halves=[0] * nodes, bits=[0] * nodes)
    live = [0] * nodes
    home: list[int] = homes.tolist()
    lodging: set[int] = set()
    for step in steps:
        if isinstance(step, Spread):
            live[step.target] += 1
            needs.comm[step.source] = max(needs.comm[step.source], live[step.source] + 1)
            needs.comm[step.target] = max(needs.comm[step.target], live[step.target])
            needs.bits[step.source] += 1
            needs.halves[step.source] += 1
            needs.halves[step.target] += 1
        elif isinstance(step, Release):
            live[step.node] -= 1
            needs.bits[step.node] += 1
        elif isinstance(step, Promote):
            old, home[step.qubit] = home[step.qubit], step.node
            (live if step.qubit in lodging else held)[old] -= 1
            lodging.add(step.qubit)
            needs.bits[old] += 1
        elif isinstance(step, Trade):
            home[step.first], home[step.second] = home[step.second], home[step.first]
        elif isinstance(step, Settle):
            lodging.remove(step.qubit)
            live[step.node] -= 1
            held[step.node] += 1
            needs.data[step.node] = max(needs.data[step.node], held[step.node])
            needs.bits[step.node] += step.node not in network.coupled
    return needs


class _Emitter:
    def __init__(self, program: Program, network: Network, homes: IntArray, steps: Sequence[Step]) -> None:
        self._program = program
        self._rows = list(program.rows())
        self._circuit = QuantumCircuit(name="distributed")
        carry_classical(self._circuit, program.classical)
        taken = {register.name for register in self._circuit.cregs}
        needs = _needs(homes, steps, network)
        data: list[QuantumRegister | None] = []
        self._comm: list[list[Qubit]] = []
        self._proto: list[list[Clbit]] = []
        for node, name in enumerate(network.names):
            for suffix in ("data", "comm", "proto"):
                if f"{name}_{suffix}" in taken:
                    raise InvalidValue(
                        field="classical register",
                        value=f"{name}_{suffix}",
                        rule="the distributed circuit needs this name for itself",
                        remedy="Rename the register.",
                    )
            data.append(self._register(f"{name}_data", needs.data[node]))
            comm = self._register(f"{name}_comm", needs.wires(node, network.communication[node]))
            self._comm.append(list(comm or ()))
            proto = ClassicalRegister(needs.bits[node], f"{name}_proto") if needs.bits[node] else None
            if proto is not None:
                self._circuit.add_register(proto)
            self._proto.append(list(proto or ())[::-1])
        self._free = [deque(range(len(wires))) for wires in self._comm]
        self._dirty: set[Qubit] = set()
        self._data = [list(register or ()) for register in data]
        self._vacant = [list(range(count)) for count in needs.data]
        places = [(node, heapq.heappop(self._vacant[node])) for node in homes.tolist()]
        self._home = [self._data[node][index] for node, index in places]
        self._entry = tuple(self._home)
        self._seat: list[int] = [index for _, index in places]
        self._lodging: dict[int, int] = {}
        self._copies: list[dict[int, tuple[Qubit, int]]] = [{} for _ in self._home]
        self._homes: list[int] = homes.tolist()
        self._x, self._z, self._h, self._cx, self._pair = XGate(), ZGate(), HGate(), CXGate(), BellPairGate()
        self._measure, self._reset = Measure(), Reset()
        self._swap = SwapGate()
        self._names, self._coupled = network.names, network.coupled

    def _register(self, name: str, size: int) -> QuantumRegister | None:
        if not size:
            return None
        register = QuantumRegister(size, name)
        self._circuit.add_register(register)
        return register

    def emit(self, step: Step) -> None:
        if isinstance(step, Spread):
            self._spread(step)
        elif isinstance(step, Release):
            self._release(step)
        elif isinstance(step, Promote):
            self._promote(step)
        elif isinstance(step, Settle):
            self._settle(step)
        elif isinstance(step, Toggle):
            self._add(self._cx, [self._wire(step.control, step.node), self._home[step.target]])
        elif isinstance(step, Trade):
            self._trade(step.first, step.second)
        else:
            self._apply(step)

    def _wire(self, qubit: int, node: int) -> Qubit:
        return self._home[qubit] if self._homes[qubit] == node else self._copies[qubit][node][0]

    def _take(self, node: int) -> tuple[Qubit, int]:
        """Take the communication qubit of a node that has been free for longest, in |0⟩."""
        index = self._free[node].popleft()
        wire = self._comm[node][index]
        if wire in self._dirty:
            self._add(self._reset, [wire])
        self._dirty.add(wire)
        return wire, index

    def _add(self, operation: object, wires: list[Qubit], bits: list[Clbit] | None = None) -> None:
        self._circuit._append(CircuitInstruction(operation, wires, bits or []))  # Qiskit's fast path

    def _correct(self, gate: Gate, wire: Qubit, bit: Clbit) -> None:
        body = QuantumCircuit([wire], [bit])
        body.append(gate, [wire])
        self._add(IfElseOp((bit, True), body), [wire], [bit])

    def _spread(self, step: Spread) -> None:
        source = self._wire(step.qubit, step.source)
        half, index = self._take(step.source)
        copy = self._take(step.target)
        bit = self._proto[step.source].pop()
        self._add(self._pair, [half, copy[0]])
        self._add(self._cx, [source, half])
        self._add(self._measure, [half], [bit])
        self._correct(self._x, copy[0], bit)
        self._free[step.source].append(index)
        self._copies[step.qubit][step.target] = copy

    def _release(self, step: Release) -> None:
        wire, index = self._copies[step.qubit].pop(step.node)
        self._disentangle(wire, self._home[step.qubit], step.node)
        self._free[step.node].append(index)

    def _promote(self, step: Promote) -> None:
        """Disentangle the old home, and free its wire."""
        qubit, old = step.qubit, self._homes[step.qubit]
        wire, index = self._copies[qubit].pop(step.node)
        self._disentangle(self._home[qubit], wire, old)
        if qubit in self._lodging:
            self._free[old].append(self._lodging.pop(qubit))
        else:
            heapq.heappush(self._vacant[old], self._seat[qubit])
        self._dirty.add(self._home[qubit])
        self._home[qubit], self._homes[qubit], self._lodging[qubit] = wire, step.node, index

    def _settle(self, step: Settle) -> None:
        """Carry the home to a data qubit of its node, which takes no pair, and free the communication qubit.

        On a chip that is a SWAP, for the router to make or to save. Elsewhere any two qubits can meet: the home is
        copied, and the communication qubit disentangled.
        """
        seat = heapq.heappop(self._vacant[step.node])
        wire, old = self._data[step.node][seat], self._home[step.qubit]
        if wire in self._dirty:
            self._add(self._reset, [wire])
            self._dirty.discard(wire)
        if step.node in self._coupled:
            self._add(self._swap, [old, wire])
            self._dirty.discard(old)
        else:
            self._add(self._cx, [old, wire])
            self._disentangle(old, wire, step.node)
        self._free[step.node].append(self._lodging.pop(step.qubit))
        self._home[step.qubit], self._seat[step.qubit] = wire, seat

    def _trade(self, a: int, b: int) -> None:
        for held in (self._home, self._homes, self._seat):
            held[a], held[b] = held[b], held[a]

    def _disentangle(self, wire: Qubit, kept: Qubit, node: int) -> None:
        """Measure one wire of a logical qubit in the X basis; its phase bit corrects another."""
        bit = self._proto[node].pop()
        self._add(self._h, [wire])
        self._add(self._measure, [wire], [bit])
        self._correct(self._z, kept, bit)

    def _apply(self, step: Apply) -> None:
        kind, first, second, angles, clbit = self._rows[step.row]
        wires = [self._wire(first, step.node)]
        if kind == Kind.MEASURE:
            self._add(self._measure, wires, [self._circuit.clbits[clbit]])
        elif kind == Kind.RESET:
            self._add(self._reset, wires)
        else:
            if kind == Kind.CP:
                wires.append(self._wire(second, step.node))
            append(self._circuit, kind, angles, wires, self._program.condition_of(step.row))

    def lowered(self) -> Lowered:
        index = {wire: position for position, wire in enumerate(self._circuit.qubits)}
        node_of = [""] * self._circuit.num_qubits
        for register in self._circuit.qregs:
            for wire in register:
                node_of[index[wire]] = register.name.rsplit("_", 1)[0]
        return Lowered(
            circuit=self._circuit,
            entry=tuple(index[wire] for wire in self._entry),
            exit=tuple(index[wire] for wire in self._home),
            node_of=tuple(node_of),
        )
