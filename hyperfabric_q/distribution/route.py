"""A distributed circuit on the physical qubits of its nodes' chips.

Each node with a chip is routed alone (``node_router``); between nodes nothing changes, since a Bell pair is born on
communication qubits of both. The result is again one circuit: registers ``<node>_chip`` hold the physical qubits, a
``swap`` acts on coupled ones, and everything else is as it was lowered, in an order that keeps what each wire and each
classical bit sees. ``check_routed`` reads it without knowing how it came about.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, ControlFlowOp, QuantumRegister, Qubit
from qiskit.circuit.library import Reset, SwapGate

from hyperfabric_q.distribution.local_figures import NATIVE_GATES
from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.node_router import Clean, Entry, Kind, RoutedNode, Run, Swap, Task, route_node
from hyperfabric_q.errors import InternalError, VerificationFailed
from hyperfabric_q.fabric import Chip, Fabric

TRIALS: Final = 16
"""First layouts that are tried on each node."""


def route(lowered: Lowered, fabric: Fabric, *, seed: int, trials: int = TRIALS) -> Lowered:
    """Return ``lowered`` with every wire of a node that has a chip on a physical qubit; itself where none has.

    Deterministic for a seed; O(trials · operations), and SABRE's own cost.

    Args:
        lowered: a circuit from ``lower``.
        fabric: the owner of the chips.
        seed: of SABRE.
        trials: first layouts tried on each node; the one of least error is kept.
    """
    chips = _chips(lowered, fabric)
    if not chips:
        return lowered
    tasks = _tasks(lowered, chips)
    routes: dict[str, RoutedNode] = {}
    for node, chip in chips.items():
        entry, leaving = (
            [wire for wire in side if lowered.node_of[wire] == node] for side in (lowered.entry, lowered.exit)
        )
        routes[node] = route_node(chip, tasks[node], entry=entry, exit=leaving, trials=trials, seed=seed)
    return _merged(lowered, chips, routes)


def _chips(lowered: Lowered, fabric: Fabric) -> dict[str, Chip]:
    signatures = (fabric.node(node) for node in dict.fromkeys(lowered.node_of))
    return {each.node_id: each.chip for each in signatures if each.chip is not None}


def _tasks(lowered: Lowered, chips: Mapping[str, Chip]) -> dict[str, list[Task]]:
    """What each node with a chip has to do, in the order of the circuit."""
    wire_of = {qubit: wire for wire, qubit in enumerate(lowered.circuit.qubits)}
    tasks: dict[str, list[Task]] = {node: [] for node in chips}
    for index, step in enumerate(lowered.circuit.data):
        wires = tuple(wire_of[qubit] for qubit in step.qubits)
        if step.name == "barrier":
            continue
        if step.name == "bell_pair":
            for wire in wires:
                node = lowered.node_of[wire]
                if node in chips:
                    tasks[node].append(Task(index=index, kind=Kind.PAIR, wires=(wire,), gates=0, classical=False))
            continue
        node = lowered.node_of[wires[0]]
        if node in chips:
            kind = {"reset": Kind.RESET, "swap": Kind.RENAME}.get(step.name, Kind.LOCAL)
            tasks[node].append(
                Task(index=index, kind=kind, wires=wires, gates=native_gates(step), classical=bool(step.clbits))
            )
    for node, listed in tasks.items():
        tasks[node] = _without_idle_resets(listed)
    return tasks


def _without_idle_resets(tasks: list[Task]) -> list[Task]:
    """Leave out resets just before a birth: the router cleans the communication qubit that it takes."""
    born: set[int] = set()
    kept = []
    for task in reversed(tasks):
        if task.kind is Kind.RESET and task.wires[0] in born:
            continue
        kept.append(task)
        for wire in task.wires:
            (born.add if task.kind is Kind.PAIR else born.discard)(wire)
    return kept[::-1]


def native_gates(step: CircuitInstruction) -> int:
    """Return how many two-qubit gates of the hardware an instruction of a routed circuit takes."""
    if isinstance(step.operation, ControlFlowOp):
        return max((sum(native_gates(each) for each in block.data) for block in step.operation.blocks), default=0)
    return NATIVE_GATES.get(step.name, 0)


# ------------------------------------------------------------------------------------------------------------- merge


def _merged(lowered: Lowered, chips: Mapping[str, Chip], routes: Mapping[str, RoutedNode]) -> Lowered:
    """Weave the nodes' operations into one circuit, in the order of the lowered one as far as routing lets it."""
    old = lowered.circuit
    circuit = QuantumCircuit(name=old.name)
    circuit.add_bits(old.clbits)
    wires: dict[str, list[Qubit]] = {}
    kept: dict[int, Qubit] = {}
    for register in old.qregs:
        node = register.name.rpartition("_")[0]
        if node not in chips:
            circuit.add_register(register)
            kept |= {wire: qubit for wire, qubit in enumerate(old.qubits) if qubit in set(register)}
        elif node not in wires:
            fresh = QuantumRegister(chips[node].qubits, f"{node}_chip")
            circuit.add_register(fresh)
            wires[node] = list(fresh)
    for classical in old.cregs:
        circuit.add_register(classical)
    streams: dict[str, Iterator[Entry]] = {node: iter(route.entries) for node, route in routes.items()}
    _Weaver(lowered, circuit, wires, kept, streams).weave()
    position = {qubit: wire for wire, qubit in enumerate(circuit.qubits)}

    def found(wire: int, *, at_end: bool) -> int:
        node = lowered.node_of[wire]
        if node not in chips:
            return position[kept[wire]]
        return position[wires[node][(routes[node].exit if at_end else routes[node].entry)[wire]]]

    node_of, places = [""] * circuit.num_qubits, [-1] * circuit.num_qubits
    for register in circuit.qregs:
        node, _, role = register.name.rpartition("_")
        for place, qubit in enumerate(register):
            node_of[position[qubit]] = node
            places[position[qubit]] = place if role == "chip" else -1
    return replace(
        lowered,
        circuit=circuit,
        entry=tuple(found(wire, at_end=False) for wire in lowered.entry),
        exit=tuple(found(wire, at_end=True) for wire in lowered.exit),
        node_of=tuple(node_of),
        places=tuple(places),
    )


class _Weaver:
    """Emits what is ready and stands first in the lowered circuit.

    ``head`` is the next operation of each routed node. Nodes without a chip have no stream: their operations are ready
    as soon as what comes before them on their wires and bits is emitted.
    """

    def __init__(
        self,
        lowered: Lowered,
        circuit: QuantumCircuit,
        wires: Mapping[str, list[Qubit]],
        kept: Mapping[int, Qubit],
        streams: Mapping[str, Iterator[Entry]],
    ) -> None:
        self._steps = list(lowered.circuit.data)
        self._circuit, self._wires, self._streams = circuit, wires, streams
        self._kept = dict(kept)
        self._wire_of = {qubit: wire for wire, qubit in enumerate(lowered.circuit.qubits)}
        self._node_of = lowered.node_of
        self._head: dict[str, Run | None] = {}
        self._swap, self._reset = SwapGate(), Reset()
        self._missing = [0] * len(self._steps)
        self._after: list[list[int]] = [[] for _ in self._steps]
        self._ready: list[int] = []

    def weave(self) -> None:
        self._link()
        for index, missing in enumerate(self._missing):
            if missing == 0:
                self._ready.append(index)
        heapq.heapify(self._ready)
        for node in self._streams:
            self._advance(node)
        while self._ready:
            index = heapq.heappop(self._ready)
            self._emit(index)
            for later in self._after[index]:
                self._release(later)
        if any(missing > 0 for missing in self._missing):
            raise InternalError(what="the routed nodes of a circuit wait for each other")

    def _link(self) -> None:
        """Count what each operation waits for: the one before on its bits and unrouted wires, and each routed node."""
        last: dict[Qubit | Clbit, int] = {}
        for index, step in enumerate(self._steps):
            if step.name in ("barrier", "swap") or not self._is_emitted(step):
                self._missing[index] = -1
                continue
            routed = {self._node_of[self._wire_of[qubit]] for qubit in step.qubits} & self._streams.keys()
            self._missing[index] = len(routed)
            unrouted = [qubit for qubit in step.qubits if self._wire_of[qubit] in self._kept]
            for each in (*unrouted, *step.clbits):
                before = last.get(each)
                if before is not None:
                    self._after[before].append(index)
                    self._missing[index] += 1
                last[each] = index

    def _is_emitted(self, step: CircuitInstruction) -> bool:
        """Resets of routed wires come from the router, which leaves some out: those never wait for anything."""
        return step.name != "reset" or self._wire_of[step.qubits[0]] in self._kept

    def _release(self, index: int) -> None:
        self._missing[index] -= 1
        if self._missing[index] == 0:
            heapq.heappush(self._ready, index)

    def _advance(self, node: str) -> None:
        """Emit a node's SWAPs and resets up to its next operation, which then waits for the rest of the circuit."""
        for entry in self._streams[node]:
            if isinstance(entry, Swap):
                self._add(self._swap, [self._wires[node][entry.a], self._wires[node][entry.b]])
            elif isinstance(entry, Clean):
                self._add(self._reset, [self._wires[node][entry.place]])
            elif self._missing[entry.index] < 0:
                self._add(self._reset, [self._wires[node][entry.places[0]]])
            else:
                self._head[node] = entry
                self._release(entry.index)
                return
        self._head[node] = None

    def _emit(self, index: int) -> None:
        step = self._steps[index]
        heads: dict[str, Run] = {}
        qubits = []
        taken: Counter[str] = Counter()
        for qubit in step.qubits:
            wire = self._wire_of[qubit]
            if wire in self._kept:
                qubits.append(self._kept[wire])
                continue
            node = self._node_of[wire]
            head = self._head[node]
            if head is None or head.index != index:
                raise InternalError(what=f"operation {index} is not the next one of {node!r}")
            heads[node] = head
            qubits.append(self._wires[node][head.places[taken[node]]])
            taken[node] += 1
        self._add(step.operation, qubits, step.clbits)
        self._missing[index] = 0
        for node in heads:
            self._advance(node)

    def _add(self, operation: Any, qubits: list[Qubit], bits: tuple[Clbit, ...] = ()) -> None:
        self._circuit._append(CircuitInstruction(operation, qubits, bits))


# ------------------------------------------------------------------------------------------------------------- check


def check_routed(routed: Lowered, fabric: Fabric, *, ebits: int) -> dict[str, int]:
    """Return the number of SWAPs on each node of a circuit that keeps to the chips, as read from the circuit alone.

    Raises:
        VerificationFailed: an operation acts on qubits that are not coupled, a Bell pair begins elsewhere than on
            communication qubits, or there are not as many as ``ebits``.
    """
    circuit = routed.circuit
    wire_of = {qubit: wire for wire, qubit in enumerate(circuit.qubits)}
    coupled = {node: frozenset(chip.edges) for node, chip in _chips(routed, fabric).items()}
    ports = {node: frozenset(chip.communication) for node, chip in _chips(routed, fabric).items()}
    swaps: Counter[str] = Counter(dict.fromkeys(coupled, 0))
    pairs = 0
    for index, step in enumerate(circuit.data):
        wires = [wire_of[qubit] for qubit in step.qubits]
        nodes = [routed.node_of[wire] for wire in wires]
        places = [routed.places[wire] for wire in wires] if coupled else [-1] * len(wires)
        if step.name == "bell_pair":
            pairs += 1
            for node, place in zip(nodes, places, strict=True):
                if node in ports and place not in ports[node]:
                    what = f"instruction {index} of the routed circuit: half of a pair on qubit {place} of {node!r}"
                    raise VerificationFailed(what=what)
        elif len(wires) > 1 and nodes[0] in coupled:
            if nodes[0] != nodes[1] or (min(places), max(places)) not in coupled[nodes[0]]:
                what = f"instruction {index} of the routed circuit: {step.name!r} on {places} of {nodes}, not coupled"
                raise VerificationFailed(what=what)
            swaps[nodes[0]] += step.name == "swap"
    if pairs != ebits:
        raise VerificationFailed(what=f"the routed circuit has {pairs} Bell pairs and the plan {ebits} e-bits")
    return dict(swaps)
