"""What an emitted circuit asks of the clock: how long each instruction takes and what it has to wait for.

An instruction waits for those before it on its wires, and a conditional one for its bits: from the end of their
measurement, for the message to its node, and for the node's feed-forward. Nothing else orders instructions: barriers
are ignored, a node does any number of things at once, and bits written several times are told apart.

A pair is used by the first instruction on either of its halves, in a cat-entangler the ``cx`` on the source's half.
From then on, the other half holds the logical qubit, as all its wires do, and is idle whenever nothing happens to it.
A qubit is not idle before its first operation, for |0⟩ keeps; nor after it was measured or reset; otherwise it has to
last until the program ends.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.durations import FIGURES, Latencies, NodeTimes, node_times
from hyperfabric_q.distribution.local_figures import LocalFigures, minus_log, process_infidelity
from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.entanglement.elementary import Elementary
from hyperfabric_q.entanglement.links import QuantumNet
from hyperfabric_q.fabric import Fabric

Instants = NDArray[np.int64]

WIRE: Final = 0
"""A wait for the operation before on the same wire."""
MESSAGE: Final = 1
"""A wait for a measured bit."""

PAIR: Final = "bell_pair"


class Wait(NamedTuple):
    """The start of an instruction is at least ``lag_ps`` after the end of instruction ``after``."""

    after: int
    lag_ps: int
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaps:
    """Where a logical qubit is idle: between two successive instructions on a wire that holds it.

    Attributes:
        after: instruction at whose end the wait begins, (gaps,).
        until: instruction at whose start it ends, -1 for the end of the program.
        qubit: the logical qubit.
        node: the node of the wire, an index into ``Operations.nodes``.
    """

    after: Instants
    until: Instants
    qubit: Instants
    node: Instants


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operations:
    """The instructions of an emitted circuit, as the clock sees them.

    Attributes:
        names: name of each instruction.
        wires: its wires, indices into the circuit's qubits.
        wire_names: register and index of each wire.
        node_of: node of each wire, an index into ``nodes``.
        nodes: the node ids.
        qubits: how many logical qubits there are.
        duration_ps: of each instruction; 0 for pairs, which take what their attempts take.
        waits: what each instruction waits for, its link aside.
        spreads: whether it makes a copy: the pair, the ``cx``, the measurement and the correction of a cat-entangler,
            and the resets of its wires.
        pairs: the instructions that are Bell pairs, (pairs,).
        pair_link: the link of each, an index into ``links``.
        pair_use: the instruction that uses it; -1 for none.
        pair_nodes: nodes of both halves, (pairs, 2).
        links: the elementary links.
        gaps: where logical qubits are idle.
        gate_fidelity: product of the process fidelities of all gates and the readout fidelities of all measurements.
        not_stated: durations that count as zero, or attempts that succeed at once, because nothing is stated.
    """

    names: tuple[str, ...]
    wires: tuple[tuple[int, ...], ...]
    wire_names: tuple[str, ...]
    node_of: tuple[int, ...]
    nodes: tuple[str, ...]
    qubits: int
    duration_ps: Instants
    waits: tuple[tuple[Wait, ...], ...]
    spreads: tuple[bool, ...]
    pairs: Instants
    pair_link: Instants
    pair_use: Instants
    pair_nodes: Instants
    links: tuple[Elementary, ...]
    gaps: Gaps
    gate_fidelity: float
    not_stated: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of instructions."""
        return len(self.names)


def operations_of(lowered: Lowered, fabric: Fabric) -> Operations:
    """Return what ``lowered`` asks of the clock of ``fabric``; O(instructions), about 10 us each.

    Raises:
        UnknownName: a wire is on a node that the fabric does not have.
        InvalidValue: the pairs of a link that the circuit uses are not entangled, or it has no optical channel.
    """
    reader = _Reader(lowered, fabric)
    for instruction in lowered.circuit.data:
        reader.read(instruction)
    return reader.operations()


def frozen(values: Any) -> Instants:
    """Return whole numbers as a read-only array."""
    array: Instants = np.asarray(values, dtype=np.int64)
    array.setflags(write=False)
    return array


class _Reader:
    """One walk through the circuit.

    ``last`` is the instruction that ended last on each wire, ``held`` since which instruction a wire's logical qubit
    has been there and idle, ``holder`` that qubit, ``half`` the pair whose unused half it is, ``mate`` the other half,
    ``written`` the measurement that wrote a bit last.
    """

    def __init__(self, lowered: Lowered, fabric: Fabric) -> None:
        circuit = lowered.circuit
        self._lowered, self._fabric = lowered, fabric
        self._net = QuantumNet(fabric)
        self._latencies = Latencies(fabric)
        self._nodes = tuple(dict.fromkeys(lowered.node_of))
        signatures = [fabric.node(node_id) for node_id in self._nodes]
        self._times: list[NodeTimes] = [node_times(each) for each in signatures]
        index = {node_id: place for place, node_id in enumerate(self._nodes)}
        self._node_of = [index[node_id] for node_id in lowered.node_of]
        self._wire = {qubit: place for place, qubit in enumerate(circuit.qubits)}
        self._protocol = _protocol_bits(circuit, self._nodes)
        self._names: list[str] = []
        self._wires: list[tuple[int, ...]] = []
        self._duration: list[int] = []
        self._waits: list[tuple[Wait, ...]] = []
        self._spreads: list[bool] = []
        wires = circuit.num_qubits
        self._last = [-1] * wires
        self._held = [-1] * wires
        self._holder = [-1] * wires
        for qubit, wire in enumerate(lowered.entry):
            self._holder[wire] = qubit
        self._half = [-1] * wires
        self._mate = [-1] * wires
        self._source_half = [False] * wires
        self._written: dict[Any, tuple[int, int]] = {}
        self._spread_bits: set[Any] = set()
        self._pairs: list[int] = []
        self._link_of: list[int] = []
        self._use: list[int] = []
        self._ends: list[tuple[int, int]] = []
        self._links: dict[tuple[str, str], int] = {}
        self._elementary: list[Elementary] = []
        self._gaps: list[tuple[int, int, int, int]] = []
        self._uses: Counter[tuple[int, int]] = Counter()
        self._figures = LocalFigures(fabric, lowered.node_of, lowered.places)
        self._loss = 0.0

    # ------------------------------------------------------------------------------------------------ instructions

    def read(self, instruction: Any) -> None:
        """Take one instruction in."""
        here, name = len(self._names), instruction.name
        wires = tuple(self._wire[qubit] for qubit in instruction.qubits)
        waits = [Wait(self._last[wire], 0, WIRE) for wire in wires if self._last[wire] >= 0]
        duration, spreads = 0, False
        if name == PAIR:
            self._pair(here, wires)
            spreads = True
        elif name == "measure":
            spreads = self._source_half[wires[0]]
            duration = self._figure(wires[0], 2)
            self._loss += minus_log(self._figures.readout_error(wires[0]))
            self._measure(here, wires[0], instruction.clbits[0], spreads=spreads)
        elif name == "reset":
            duration = self._figure(wires[0], 3)
            spreads = self._holder[wires[0]] < 0
            self._spend(here, wires[0])
            self._held[wires[0]] = -1
        elif name == "if_else":
            duration = self._body(wires, instruction.operation)
            waits += self._messages(wires[0], instruction.clbits)
            spreads = self._spread_bits.issuperset(instruction.clbits)
            self._touch(here, wires)
        elif name != "barrier":
            duration = self._gate(name, wires)
            spreads = name == "cx" and self._copies(here, *wires)
            self._touch(here, wires)
            if name == "swap":
                self._exchange(*wires)
        if name != "barrier":
            for wire in wires:
                self._last[wire] = here
        self._names.append(name)
        self._wires.append(wires)
        self._duration.append(duration)
        self._waits.append(tuple(waits))
        self._spreads.append(spreads)

    def _figure(self, wire: int, figure: int) -> int:
        node = self._node_of[wire]
        self._uses[node, figure] += 1
        return self._times[node][figure]

    def _gate(self, name: str, wires: tuple[int, ...]) -> int:
        """Count a gate; return how long it takes."""
        two, gates = len(wires) > 1, self._figures.gates(name, wires)
        # A pair's fidelity is one of a process too.
        self._loss += gates * minus_log(process_infidelity(self._figures.gate_error(wires), len(wires)))
        return gates * self._figure(wires[0], int(two))

    def _exchange(self, a: int, b: int) -> None:
        """Let two wires change what they hold."""
        for held in (self._held, self._holder, self._half, self._mate):
            held[a], held[b] = held[b], held[a]
        source = self._source_half
        source[a], source[b] = source[b], source[a]
        for wire in (a, b):
            if self._half[wire] >= 0:
                self._mate[self._mate[wire]] = wire

    def _pair(self, here: int, wires: tuple[int, ...]) -> None:
        first, second = (self._lowered.node_of[wire] for wire in wires)
        ends = (min(first, second), max(first, second))
        if ends not in self._links:
            found = self._net.stretch(ends)
            if isinstance(found, Exception):
                raise found
            self._links[ends] = len(self._elementary)
            self._elementary.append(found.link)
        for wire, mate in (wires, wires[::-1]):
            self._half[wire], self._mate[wire] = len(self._pairs), mate
        self._pairs.append(here)
        self._link_of.append(self._links[ends])
        self._use.append(-1)
        # Elementary links name their ends in alphabetical order, and so do the memories of a pair.
        order = wires if first == ends[0] else wires[::-1]
        self._ends.append((self._node_of[order[0]], self._node_of[order[1]]))

    def _spend(self, here: int, wire: int) -> None:
        """Note the first use of a pair, if ``wire`` is an unused half."""
        pair, mate = self._half[wire], self._mate[wire]
        if pair >= 0:
            self._use[pair] = here
            self._half[wire] = self._half[mate] = -1

    def _copies(self, here: int, control: int, target: int) -> bool:
        """Whether a ``cx`` entangles a half with a logical qubit; a blank wire takes the qubit in as well."""
        qubit = self._holder[control]
        if qubit < 0 or self._holder[target] >= 0:
            return False
        if self._half[target] < 0:
            self._holder[target] = qubit
            return False
        mate = self._mate[target]
        self._spend(here, target)
        self._holder[mate], self._held[mate] = qubit, here
        self._source_half[target] = True
        return True

    def _touch(self, here: int, wires: tuple[int, ...]) -> None:
        for wire in wires:
            self._spend(here, wire)
            if self._holder[wire] >= 0:
                self._idle(wire, here)
                self._held[wire] = here

    def _idle(self, wire: int, until: int) -> None:
        if self._held[wire] >= 0:
            self._gaps.append((self._held[wire], until, self._holder[wire], self._node_of[wire]))

    def _measure(self, here: int, wire: int, bit: Any, *, spreads: bool) -> None:
        self._written[bit] = (here, self._node_of[wire])
        (self._spread_bits.add if spreads else self._spread_bits.discard)(bit)
        self._source_half[wire] = False
        self._spend(here, wire)
        if self._holder[wire] < 0:
            return
        self._idle(wire, here)
        if bit in self._protocol:
            self._holder[wire] = self._held[wire] = -1
        else:
            self._held[wire] = here

    # ------------------------------------------------------------------------------------------------ conditions

    def _messages(self, wire: int, bits: Any) -> list[Wait]:
        node, known = self._node_of[wire], [self._written[bit] for bit in bits if bit in self._written]
        if known:
            self._uses[node, 4] += 1
        ready = self._times[node].feedforward
        return [
            Wait(at, ready + self._latencies.between_ps(self._nodes[origin], self._nodes[node]), MESSAGE)
            for at, origin in known
        ]

    def _body(self, wires: tuple[int, ...], operation: Any) -> int:
        """The longer of both branches: it is reserved whatever the bits say."""
        longest, counted = 0, list[tuple[str, tuple[int, ...]]]()
        node = self._node_of[wires[0]]
        for block in operation.blocks:
            ready: dict[Any, int] = {}
            outer = dict(zip(block.qubits, wires, strict=True))
            gates = [(each, tuple(outer[qubit] for qubit in each.qubits)) for each in block.data]
            for each, on in gates:
                start = max(ready.get(qubit, 0) for qubit in each.qubits)
                span = self._figures.gates(each.name, on) * self._times[node][len(on) > 1]
                ready.update(dict.fromkeys(each.qubits, start + span))
            ends = max(ready.values(), default=0)
            if (ends, len(gates)) >= (longest, len(counted)):
                longest, counted = ends, [(each.name, on) for each, on in gates]
        for name, on in counted:
            self._gate(name, on)
        return longest

    # ------------------------------------------------------------------------------------------------------- result

    def operations(self) -> Operations:
        """Return everything that was read."""
        circuit = self._lowered.circuit
        for wire, since in enumerate(self._held):
            # A measured qubit has been turned into a bit; any other has to last until the end.
            if since >= 0 and self._holder[wire] >= 0 and self._names[since] != "measure":
                self._idle(wire, -1)
        columns = np.array(self._gaps, dtype=np.int64).reshape(-1, 4).T
        after, until, qubit, node = (frozen(column) for column in columns)
        return Operations(
            names=tuple(self._names),
            wires=tuple(self._wires),
            wire_names=_wire_names(circuit),
            node_of=tuple(self._node_of),
            nodes=self._nodes,
            qubits=len(self._lowered.entry),
            duration_ps=frozen(self._duration),
            waits=tuple(self._waits),
            spreads=tuple(self._spreads),
            pairs=frozen(self._pairs),
            pair_link=frozen(self._link_of),
            pair_use=frozen(self._use),
            pair_nodes=frozen(np.array(self._ends, dtype=np.int64).reshape(-1, 2)),
            links=tuple(self._elementary),
            gaps=Gaps(after=after, until=until, qubit=qubit, node=node),
            gate_fidelity=math.exp(-self._loss),
            not_stated=self._not_stated(),
        )

    def _not_stated(self) -> tuple[str, ...]:
        found = [
            f"{FIGURES[figure]} of {self._nodes[node]!r}"
            for node, figure in sorted(self._uses)
            if getattr(self._fabric.node(self._nodes[node]), FIGURES[figure]) is None
        ]
        for a, b in self._links:
            link = self._fabric.link(a, b)
            if link is not None and link.pair_rate_hz is None:
                found.append(f"pair_rate_hz of '{a}--{b}'")
        return tuple(found)


def _protocol_bits(circuit: QuantumCircuit, nodes: tuple[str, ...]) -> set[Any]:
    own = {f"{node}_proto" for node in nodes}
    return {bit for register in circuit.cregs if register.name in own for bit in register}


def _wire_names(circuit: QuantumCircuit) -> tuple[str, ...]:
    names = {qubit: f"{register.name}[{place}]" for register in circuit.qregs for place, qubit in enumerate(register)}
    return tuple(names.get(qubit, f"wire {place}") for place, qubit in enumerate(circuit.qubits))
