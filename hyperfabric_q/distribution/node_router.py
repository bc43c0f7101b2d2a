"""Inside one chip: on which physical qubit each wire is, and the SWAPs that bring together what must meet.

Half of a Bell pair is born on a communication qubit, whichever is free; from there it moves like any other wire, so
the communication qubit can be free again while the half lives on. Between two births Qiskit's SABRE pass finds the
SWAPs (Li, Ding, Xie, ASPLOS 2019), seeing some way beyond the next birth. A wire that is measured for the last time
leaves its place without a SWAP. Only when no communication qubit is free is what stands there moved aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice, pairwise
from typing import Final, TypeAlias

import numpy as np
import rustworkx
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.transpiler import CouplingMap
from qiskit.transpiler.passes import SabreLayout, SabreSwap

from hyperfabric_q.errors import InternalError
from hyperfabric_q.fabric import Chip

AHEAD: Final = 20
"""Two-qubit operations beyond the next birth that SABRE sees, among the next ``FAR`` operations."""

FAR: Final = 400

MOST_EMBEDDINGS: Final = 8
VF2_CALLS: Final = 20_000

UNSTATED_ERROR: Final = 1e-3
"""What a SWAP costs per gate where the chip states no error, so that fewer SWAPs are still better."""


class Kind(Enum):
    """What the router has to know of an operation."""

    LOCAL = "local"
    """Acts on wires that are there."""
    PAIR = "pair"
    """Makes half of a Bell pair: the wire is born on a communication qubit."""
    RESET = "reset"
    """The wire begins anew in |0⟩, wherever there is room."""
    RENAME = "rename"
    """What the first wire holds is called by the second from now on; nothing happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One operation of a node.

    Attributes:
        index: its place in the lowered circuit.
        kind: what it means for places.
        wires: the wires of this node it acts on, one or two.
        gates: how many two-qubit gates of the hardware it takes.
        classical: it writes or reads classical bits; such operations of a node keep their order.
    """

    index: int
    kind: Kind
    wires: tuple[int, ...]
    gates: int
    classical: bool


@dataclass(frozen=True, slots=True)
class Swap:
    """Exchange what two coupled physical qubits hold."""

    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Clean:
    """Reset a physical qubit that was left dirty."""

    place: int


@dataclass(frozen=True, slots=True)
class Run:
    """Carry out operation ``index`` of the lowered circuit on ``places``."""

    index: int
    places: tuple[int, ...]


Entry: TypeAlias = Swap | Clean | Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedNode:
    """What a node does, in order.

    Attributes:
        entries: the operations and SWAPs.
        entry: physical qubit of each wire that holds a logical qubit at the start.
        exit: the same at the end.
        cost: sum of the errors of all two-qubit gates.
    """

    entries: tuple[Entry, ...]
    entry: Mapping[int, int]
    exit: Mapping[int, int]
    cost: float


def route_node(
    chip: Chip,
    tasks: Sequence[Task],
    *,
    entry: Sequence[int],
    exit: Sequence[int],  # noqa: A002 - the word of Lowered
    trials: int,
    seed: int,
) -> RoutedNode:
    """Return the cheapest of ``trials`` ways to carry out ``tasks`` on ``chip``.

    O(trials · tasks), and SABRE's own cost, about 0.2 ms for each Bell pair.

    Args:
        chip: the couplings and the communication qubits.
        tasks: the operations of the node, in an order that is valid.
        entry: wires that hold logical qubits at the start.
        exit: wires that hold logical qubits at the end.
        trials: how many first layouts are tried.
        seed: of SABRE.
    """
    couplings = CouplingMap([*chip.edges, *((b, a) for a, b in chip.edges)]) if chip.edges else CouplingMap()
    for place in range(chip.qubits):
        if place not in couplings.physical_qubits:
            couplings.add_physical_qubit(place)
    dying = _dying(tasks, exit)
    layouts = [first_layout(couplings, tasks, entry, seed + trial) for trial in range(trials)]
    layouts += embeddings(chip, tasks, entry)
    distinct = {tuple(sorted(layout.items())): layout for layout in layouts}
    routes = [
        _Walk(chip, couplings, tasks, dying, seed + trial).run(layout, exit)
        for trial, layout in enumerate(distinct.values())
    ]
    return min(routes, key=lambda route: route.cost)


def first_layout(couplings: CouplingMap, tasks: Sequence[Task], entry: Sequence[int], seed: int) -> dict[int, int]:
    """Return SABRE's place for each wire of ``entry``, chosen with all wires and all operations in view."""
    wires = sorted({*entry, *(wire for task in tasks for wire in task.wires)})
    number = {wire: position for position, wire in enumerate(wires)}
    meetings = QuantumCircuit(len(wires))
    for task in tasks:
        if len(task.wires) > 1:
            meetings.cz(*(number[wire] for wire in task.wires))
    layouting = SabreLayout(couplings, seed=seed, max_iterations=2, layout_trials=4, swap_trials=4, skip_routing=True)
    layouting.run(circuit_to_dag(meetings))
    chosen = layouting.property_set["layout"]
    return {wire: chosen[meetings.qubits[number[wire]]] for wire in entry}


def embeddings(chip: Chip, tasks: Sequence[Task], entry: Sequence[int]) -> list[dict[int, int]]:
    """Return places where all wires of ``entry`` that meet are coupled, if there are any.

    None is a communication qubit, and wires that meet halves of pairs stand beside one. At most
    ``MOST_EMBEDDINGS`` are returned, found by rustworkx's VF2++ within ``VF2_CALLS`` steps.
    """
    ports = frozenset(chip.communication)
    beside = {place for edge in chip.edges for place in edge if ports.intersection(edge)}
    number = {wire: position for position, wire in enumerate(entry)}
    meeting = rustworkx.PyGraph(multigraph=False)
    meets_half = {
        wire for task in tasks if len(task.wires) > 1 and not number.keys() >= set(task.wires) for wire in task.wires
    }
    meeting.add_nodes_from([wire in meets_half for wire in entry])
    meeting.add_edges_from_no_data(sorted(_meetings(tasks, number)))
    board = rustworkx.PyGraph(multigraph=False)
    board.add_nodes_from([(place in ports, place in beside) for place in range(chip.qubits)])
    board.add_edges_from_no_data(list(chip.edges))
    found = rustworkx.vf2_mapping(
        board,
        meeting,
        node_matcher=lambda place, needs_port: not place[0] and (place[1] or not needs_port),
        subgraph=True,
        induced=False,
        call_limit=VF2_CALLS,
    )
    return [
        {entry[position]: place for place, position in mapping.items()} for mapping in islice(found, MOST_EMBEDDINGS)
    ]


def _meetings(tasks: Sequence[Task], number: Mapping[int, int]) -> set[tuple[int, int]]:
    return {
        (number[task.wires[0]], number[task.wires[1]])
        for task in tasks
        if len(task.wires) > 1 and number.keys() >= set(task.wires)
    }


def _dying(tasks: Sequence[Task], exit: Sequence[int]) -> frozenset[tuple[int, int]]:  # noqa: A002 - as above
    """The (position, wire) after which a wire's value is not needed any more."""
    needed, dying = set(exit), set[tuple[int, int]]()
    for position in range(len(tasks) - 1, -1, -1):
        task = tasks[position]
        if task.kind is Kind.RENAME:
            old, new = task.wires
            needed.discard(new)
            needed.add(old)
            continue
        for wire in task.wires:
            if wire not in needed:
                dying.add((position, wire))
            needed.add(wire)
        if task.kind in (Kind.PAIR, Kind.RESET):
            needed.discard(task.wires[0])
    return frozenset(dying)


class _Walk:
    """One walk through the tasks. ``place`` and ``holds`` say who is where, ``dirty`` which places are not |0⟩."""

    def __init__(
        self,
        chip: Chip,
        couplings: CouplingMap,
        tasks: Sequence[Task],
        dying: frozenset[tuple[int, int]],
        seed: int,
    ) -> None:
        self._chip = chip
        self._couplings = couplings
        self._distance = np.asarray(couplings.distance_matrix)
        self._coupled = frozenset(chip.edges)
        self._tasks = tasks
        self._dying = dying
        self._seed = seed
        self._place: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._holds: list[int | None] = [None] * chip.qubits
        self._dirty = [False] * chip.qubits
        self._out: list[Entry] = []
        self._cost = 0.0

    def run(self, layout: Mapping[int, int], exit: Sequence[int]) -> RoutedNode:  # noqa: A002 - as above
        for wire, place in layout.items():
            self._put(wire, place)
        position = 0
        while position < len(self._tasks):
            task = self._tasks[position]
            if task.kind is Kind.LOCAL:
                end = position + 1
                while end < len(self._tasks) and self._tasks[end].kind is Kind.LOCAL:
                    end += 1
                self._piece(position, end)
                position = end
                continue
            if task.kind is Kind.RENAME:
                old, new = task.wires
                place = self._place.pop(old)
                self._put(new, place)
            else:
                self._begin(position, task)
            position += 1
        return RoutedNode(
            entries=tuple(self._out),
            entry=dict(layout),
            exit={wire: self._place[wire] for wire in exit},
            cost=self._cost,
        )

    # ------------------------------------------------------------------------------------------------------ places

    def _put(self, wire: int, place: int) -> None:
        self._place[wire], self._holds[place], self._dirty[place] = place, wire, True

    def _leave(self, wire: int) -> None:
        place = self._place.pop(wire)
        self._holds[place], self._last[wire] = None, place

    def _swap(self, a: int, b: int) -> None:
        self._out.append(Swap(a, b))
        self._cost += 3 * self._error(a, b)
        self._holds[a], self._holds[b] = self._holds[b], self._holds[a]
        self._dirty[a], self._dirty[b] = self._dirty[b], self._dirty[a]
        for place in (a, b):
            wire = self._holds[place]
            if wire is not None:
                self._place[wire] = place

    def _error(self, a: int, b: int) -> float:
        stated = self._chip.edge_error(a, b)
        return UNSTATED_ERROR if stated is None else stated

    # ------------------------------------------------------------------------------------------------------- births

    def _begin(self, position: int, task: Task) -> None:
        """Give a wire that begins anew its place: a communication qubit for a half, the old or the nearest else."""
        wire = task.wires[0]
        if wire in self._place:
            self._leave(wire)
        if task.kind is Kind.PAIR:
            place = self._port(position, wire)
            if self._dirty[place]:
                self._out.append(Clean(place))
        else:
            place = self._last.get(wire, -1)
            if place < 0 or self._holds[place] is not None:
                place = self._nearest_free(self._wanted_at(position, wire))
        self._put(wire, place)
        self._out.append(Run(task.index, (place,)))
        if (position, wire) in self._dying:
            self._leave(wire)

    def _port(self, position: int, wire: int) -> int:
        """A free communication qubit near what the wire meets next; when all are taken, one is emptied."""
        wanted = self._wanted_at(position, wire)
        ports = sorted(self._chip.communication, key=lambda port: (self._from(port, wanted), port))
        for port in ports:
            if self._holds[port] is None:
                return port
        way = min((self._way_out(port) for port in ports), key=len)
        for near, far in reversed(list(pairwise(way))):
            self._swap(near, far)
        return way[0]

    def _wanted_at(self, position: int, wire: int) -> int | None:
        """The place of the wire that this one meets first."""
        for task in self._tasks[position + 1 : position + 1 + FAR]:
            if wire in task.wires and len(task.wires) > 1 and task.kind is Kind.LOCAL:
                return self._place.get(task.wires[1 - task.wires.index(wire)])
        return None

    def _from(self, place: int, wanted: int | None) -> float:
        return 0.0 if wanted is None else float(self._distance[place, wanted])

    def _nearest_free(self, wanted: int | None) -> int:
        free = [place for place, holder in enumerate(self._holds) if holder is None]
        if not free:
            raise InternalError(what=f"a chip of {self._chip.qubits} qubits is asked to hold more wires")
        return min(free, key=lambda place: (self._from(place, wanted), place in self._chip.communication, place))

    def _way_out(self, port: int) -> list[int]:
        """The shortest chain of couplings from a taken place to a free one."""
        target = self._nearest_free(port)
        return list(self._couplings.shortest_undirected_path(port, target))

    # ------------------------------------------------------------------------------------------------------- pieces

    def _piece(self, start: int, end: int) -> None:
        """Run the tasks of one piece, none of which begins a wire, with SWAPs where they are needed."""
        for position in range(start, end):
            for wire in self._tasks[position].wires:
                if wire not in self._place:
                    # Its first operation finds it in |0⟩.
                    place = self._nearest_free(self._wanted_at(position - 1, wire))
                    if self._dirty[place]:
                        self._out.append(Clean(place))
                    self._put(wire, place)
        if all(self._together(task) for task in self._tasks[start:end]):
            for position in range(start, end):
                self._emit(position)
            return
        left = end - start
        found = self._sabre(start, end)
        index = {qubit: place for place, qubit in enumerate(found.qubits)}
        for step in found.data:
            places = [index[qubit] for qubit in step.qubits]
            if step.name == "swap":
                self._swap(*places)
            elif step.name != "ahead":
                self._emit(int(step.name))
                left -= 1
                if not left:
                    return

    def _together(self, task: Task) -> bool:
        places = [self._place[wire] for wire in task.wires]
        return len(places) < 2 or (min(places), max(places)) in self._coupled

    def _emit(self, position: int) -> None:
        task = self._tasks[position]
        places = tuple(self._place[wire] for wire in task.wires)
        self._out.append(Run(task.index, places))
        if len(places) > 1:
            self._cost += task.gates * self._error(*places)
        for wire in task.wires:
            if (position, wire) in self._dying:
                self._leave(wire)

    def _sabre(self, start: int, end: int) -> QuantumCircuit:
        """The piece and some operations after it on physical qubits, with SABRE's SWAPs."""
        asked = QuantumCircuit(self._chip.qubits, 1)
        for position in range(start, end):
            task = self._tasks[position]
            bits = [0] if task.classical else []
            places = [self._place[wire] for wire in task.wires]
            asked.append(Instruction(str(position), len(places), len(bits), []), places, bits)
        for places in self._ahead(end):
            asked.append(Instruction("ahead", 2, 0, []), places)
        swapping = SabreSwap(self._couplings, heuristic="decay", seed=self._seed, trials=4)
        return dag_to_circuit(swapping.run(circuit_to_dag(asked)))

    def _ahead(self, end: int) -> list[list[int]]:
        """Where wires that meet soon after the piece are now."""
        place = dict(self._place)
        found: list[list[int]] = []
        for task in self._tasks[end : end + FAR]:
            if task.kind is Kind.RENAME and task.wires[0] in place:
                place[task.wires[1]] = place.pop(task.wires[0])
            elif task.kind in (Kind.PAIR, Kind.RESET):
                place.pop(task.wires[0], None)
            elif len(task.wires) > 1 and all(wire in place for wire in task.wires):
                found.append([place[wire] for wire in task.wires])
                if len(found) == AHEAD:
                    break
        return found
