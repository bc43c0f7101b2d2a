"""The order of operations of a distributed circuit: when copies are spread, used and released.

A copy is spread when the first gate needs it and released after the last; gates of a segment commute, so every gate
that a fresh copy can serve runs at once, which keeps copies short-lived. Where a node has a limit of communication
qubits and they are all taken, the copy whose next use lies furthest ahead is released early (Belady 1966) and spread
again when needed: one more e-bit, never one more qubit.

A qubit moves to another node by a copy there that becomes its home (teleportation). The new home stays in its
communication qubit until a data qubit of the node is free, and then settles there. Where qubits move, the program runs
layer by layer, and the moves of a layer come before its rows: so every node holds what the layer's capacity allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NoReturn, TypeAlias

from hyperfabric_q.distribution.chapters import Chapters, copy_sets_in_time
from hyperfabric_q.distribution.network import Network, components
from hyperfabric_q.distribution.program import IntArray, Kind, Program
from hyperfabric_q.distribution.segments import Segments
from hyperfabric_q.errors import InternalError, NoQuantumPath, NotEnoughCommunicationQubits


@dataclass(frozen=True, slots=True)
class Spread:
    """Consume one e-bit: a copy of ``qubit`` on ``source`` (its home or a copy) gives a copy on ``target``."""

    qubit: int
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Release:
    """Disentangle the copy of ``qubit`` on ``node``; its phase bit corrects the home."""

    qubit: int
    node: int


@dataclass(frozen=True, slots=True)
class Apply:
    """Run program row ``row`` on ``node``."""

    row: int
    node: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Let the copy of ``qubit`` on ``node`` be its home; the old home is disentangled and free."""

    qubit: int
    node: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Carry a home from its communication qubit to a data qubit of the same ``node``."""

    qubit: int
    node: int


@dataclass(frozen=True, slots=True)
class Toggle:
    """Run a CNOT on ``node``: from the home or copy there of ``control`` to the home of ``target``."""

    control: int
    target: int
    node: int


@dataclass(frozen=True, slots=True)
class Trade:
    """Say that two qubits without copies have changed places: each home holds the other qubit from now on."""

    first: int
    second: int


Step: TypeAlias = Spread | Release | Apply | Promote | Settle | Toggle | Trade


def steps_of(
    program: Program, chapters: Chapters, network: Network, homes: IntArray, idle_homes: IntArray, sites: IntArray
) -> tuple[Step, ...]:
    """Return the steps that carry out ``program``; O(operations + copies x nodes).

    Args:
        program: the circuit.
        chapters: its time-expanded model.
        network: the nodes.
        homes: home of each segment, shape (s,).
        idle_homes: home of each qubit without gates, -1 elsewhere, shape (qubits,).
        sites: node of each gate, shape (g,).

    Raises:
        NotEnoughCommunicationQubits: a crossing needs more of them than a node has.
        NoQuantumPath: a gate joins qubits on nodes that no quantum links join.
    """
    return tuple(_Order(program, chapters, network, homes, idle_homes, sites).steps())


def ebits_of(steps: Sequence[Step]) -> int:
    """Return how many e-bits the steps consume."""
    return sum(isinstance(step, Spread) for step in steps)


def price_of(steps: Sequence[Step], network: Network) -> int:
    """Return the price of the pairs that the steps consume: e-bits, on a network without prices."""
    return sum(network.price(step.source, step.target) for step in steps if isinstance(step, Spread))


class _Order:
    """One walk through the program.

    ``live`` holds the copies beside the homes, ``at`` the same by node, ``lodgers`` the qubits whose home is in a
    communication qubit still, ``room`` the free data qubits, ``waiting`` the gates still to run.
    """

    def __init__(
        self,
        program: Program,
        chapters: Chapters,
        network: Network,
        homes: IntArray,
        idle_homes: IntArray,
        sites: IntArray,
    ) -> None:
        segments = chapters.segments
        self._program = program
        self._chapters = chapters
        self._network = network
        self._homes: list[int] = chapters.entry_homes(homes, idle_homes).tolist()
        self._homes_of: list[int] = homes.tolist()
        self._following: list[int] = chapters.next_of.tolist()
        self._sites: list[int] = sites.tolist()
        self._rows: list[int] = segments.gate_row.tolist()
        self._pairs: list[list[int]] = segments.gate_segments.tolist()
        self._qubit: list[int] = segments.qubit.tolist()
        self._masks: list[int] = copy_sets_in_time(chapters, homes, sites).tolist()
        self._parents: dict[int, dict[int, int]] = {}
        self._waiting = self._waiting_lists(segments)
        self._live: list[dict[int, int]] = [{} for _ in self._homes]
        self._at: list[set[int]] = [set() for _ in network.names]
        self._lodgers: list[list[int]] = [[] for _ in network.names]
        self._room = [room - self._homes.count(node) for node, room in enumerate(network.capacity)]
        self._done = bytearray(len(self._rows))
        self._epoch = [0] * len(self._homes)
        self._epochs = self._gate_epochs()
        self._out: list[Step] = []

    def _waiting_lists(self, segments: Segments) -> list[dict[int, list[int]]]:
        """Per segment and node, the gates to run there, last first so that the next one is popped."""
        waiting: list[dict[int, list[int]]] = []
        starts = segments.starts.tolist()
        ordered = segments.gates.tolist()
        for segment in range(len(segments)):
            at: dict[int, list[int]] = {}
            for gate in reversed(ordered[starts[segment] : starts[segment + 1]]):
                at.setdefault(self._sites[gate], []).append(gate)
            waiting.append(at)
        return waiting

    def _gate_epochs(self) -> list[tuple[int, int]]:
        """How many breaks and flips precede each gate on its two qubits: gates commute within an epoch only."""
        epoch = [0] * len(self._homes)
        epochs = []
        for kind, first, second in zip(
            self._program.kind.tolist(), self._program.first.tolist(), self._program.second.tolist(), strict=True
        ):
            if kind == Kind.CP:
                epochs.append((epoch[first], epoch[second]))
            elif kind in (Kind.U, Kind.X, Kind.RESET):
                epoch[first] += 1
        return epochs

    def steps(self) -> Iterator[Step]:
        kinds, firsts = self._program.kind.tolist(), self._program.first.tolist()
        gate_of = {row: gate for gate, row in enumerate(self._rows)}
        for moves, row in self._agenda():
            self._move_all(moves)
            if kinds[row] == Kind.CP:
                if not self._done[gate_of[row]]:
                    self._run(gate_of[row])
            else:
                self._local(row, Kind(kinds[row]), firsts[row])
            yield from self._out
            self._out.clear()

    def _agenda(self) -> Iterator[tuple[list[int], int]]:
        """Yield every row, and before it the segments that end so that their qubits move.

        Without moves the rows come in the order of the program, otherwise layer by layer.
        """
        chapters = self._chapters
        begins: list[int] = chapters.begins.tolist()
        moving: dict[int, list[int]] = {}
        for segment, following in enumerate(self._following):
            if following >= 0 and self._homes_of[segment] != self._homes_of[following]:
                moving.setdefault(begins[following], []).append(segment)
        if not moving:
            yield from (([], row) for row in range(len(self._program)))
            return
        layers: list[int] = chapters.row_layer.tolist()
        due = sorted(moving)
        place = 0
        for row in sorted(range(len(self._program)), key=lambda row: (layers[row], row)):
            moves: list[int] = []
            while place < len(due) and due[place] <= layers[row]:
                moves += moving[due[place]]
                place += 1
            yield moves, row

    # ------------------------------------------------------------------------------------------------------- moves

    def _move_all(self, segments: list[int]) -> None:
        """Move the qubits of segments that end, those first whose new node has a data qubit free."""
        left = list(segments)
        while left:
            ready = [each for each in left if self._room[self._target(each)] > len(self._lodgers[self._target(each)])]
            segment = (ready or left)[0]
            left.remove(segment)
            self._move(segment, self._target(segment))

    def _target(self, segment: int) -> int:
        return self._homes_of[self._following[segment]]

    def _move(self, segment: int, node: int) -> None:
        qubit = self._qubit[segment]
        self._bring(segment, node, {(qubit, node)})
        for other in [other for other in self._live[qubit] if other != node]:
            self._release(qubit, other)
        old = self._homes[qubit]
        del self._live[qubit][node]
        self._at[node].remove(qubit)
        self._out.append(Promote(qubit, node))
        self._homes[qubit] = node
        self._lodgers[node].append(qubit)
        if qubit in self._lodgers[old]:
            self._lodgers[old].remove(qubit)
        else:
            self._room[old] += 1
            self._settle(old)
        self._settle(node)

    def _settle(self, node: int) -> None:
        """Let homes that lodge in communication qubits have the data qubits that are free."""
        while self._lodgers[node] and self._room[node] > 0:
            self._room[node] -= 1
            self._out.append(Settle(self._lodgers[node].pop(0), node))

    def _local(self, row: int, kind: Kind, qubit: int) -> None:
        """A one-qubit operation: at home, and for a flip on every copy as well."""
        if kind in (Kind.U, Kind.RESET):
            for node in tuple(self._live[qubit]):
                self._release(qubit, node)
        self._out.append(Apply(row, self._homes[qubit]))
        if kind == Kind.X:
            self._out.extend(Apply(row, node) for node in self._live[qubit])
        if kind in (Kind.U, Kind.X, Kind.RESET):
            self._epoch[qubit] += 1

    # ------------------------------------------------------------------------------------------------------- gates

    def _run(self, gate: int) -> None:
        """Run a gate at its site, and with it every gate that the copies spread for it can serve now."""
        site = self._sites[gate]
        segments = self._pairs[gate]
        pinned = {(self._qubit[segment], site) for segment in segments}
        fresh = [segment for segment in segments if self._bring(segment, site, pinned)]
        served = [gate]
        self._apply(gate, site)
        for segment in fresh:
            for other in self._waiting[segment].get(site, [])[::-1]:
                if not self._done[other] and self._ready(other, site):
                    self._apply(other, site)
                    served.append(other)
        for segment in dict.fromkeys(segment for each in served for segment in self._pairs[each]):
            self._tidy(segment)

    def _ready(self, gate: int, site: int) -> bool:
        """Whether a later gate may run now: unconditional, in the current epochs, both qubits present."""
        if self._program.condition[self._rows[gate]] >= 0:
            return False
        first, second = (self._qubit[segment] for segment in self._pairs[gate])
        return (
            self._epochs[gate] == (self._epoch[first], self._epoch[second])
            and self._present(first, site)
            and self._present(second, site)
        )

    def _present(self, qubit: int, node: int) -> bool:
        return self._homes[qubit] == node or node in self._live[qubit]

    def _apply(self, gate: int, site: int) -> None:
        self._done[gate] = 1
        self._out.append(Apply(self._rows[gate], site))
        for segment in self._pairs[gate]:
            waiting = self._waiting[segment].get(site)
            while waiting and self._done[waiting[-1]]:
                waiting.pop()
            if waiting is not None and not waiting:
                del self._waiting[segment][site]

    # ------------------------------------------------------------------------------------------------------ copies

    def _bring(self, segment: int, node: int, pinned: set[tuple[int, int]]) -> bool:
        """Make the segment's qubit present on ``node``; whether a copy had to be spread."""
        qubit = self._qubit[segment]
        if self._present(qubit, node):
            return False
        chain = [node]
        parents = self._parents_of(segment)
        while not self._present(qubit, chain[-1]):
            if chain[-1] not in parents:
                self._refuse(qubit, node)
            chain.append(parents[chain[-1]])
        for target, source in reversed(list(pairwise(chain))):
            held = pinned | {(qubit, source), (qubit, target)}
            self._make_room(source, held, qubit)
            self._make_room(target, held, qubit)
            self._out.append(Spread(qubit, source, target))
            self._live[qubit][target] = segment
            self._at[target].add(qubit)
        return True

    def _parents_of(self, segment: int) -> dict[int, int]:
        parents = self._parents.get(segment)
        if parents is None:
            home = self._homes_of[segment]
            tree = self._network.tree(home, self._masks[segment])
            parents = {child: parent for parent, child in tree if parent >= 0}
            self._parents[segment] = parents
        return parents

    def _make_room(self, node: int, held: set[tuple[int, int]], qubit: int) -> None:
        """Free one communication qubit on ``node``, releasing the copy that is needed latest."""
        limit = self._network.communication[node]
        if limit is None:
            return
        while len(self._at[node]) + len(self._lodgers[node]) >= limit:
            victims = [other for other in self._at[node] if (other, node) not in held]
            if not victims:
                raise NotEnoughCommunicationQubits(
                    node=self._network.names[node],
                    needed=len(self._at[node]) + len(self._lodgers[node]) + 1,
                    available=limit,
                    purpose=f"a copy of qubit {qubit}",
                )
            self._release(max(victims, key=lambda other: (self._next_use(other, node), other)), node)

    def _next_use(self, qubit: int, node: int) -> int:
        waiting = self._waiting[self._live[qubit][node]].get(node)
        return self._rows[waiting[-1]] if waiting else len(self._program)

    def _tidy(self, segment: int) -> None:
        """Release the copies of a segment that serve no further gate, are no future home, and lie on no way to one."""
        qubit = self._qubit[segment]
        live = self._live[qubit]
        if not live:
            return
        wanted = set(self._waiting[segment])
        if self._following[segment] >= 0:
            wanted.add(self._target(segment))
        needed = set(wanted)
        parents = self._parents_of(segment)
        for node in wanted:
            step = node
            while not self._present(qubit, step) and step in parents:
                step = parents[step]
            needed.add(step)
        for node in [node for node in live if node not in needed]:
            self._release(qubit, node)

    def _release(self, qubit: int, node: int) -> None:
        del self._live[qubit][node]
        self._at[node].remove(qubit)
        self._out.append(Release(qubit, node))

    def _refuse(self, qubit: int, node: int) -> NoReturn:
        home, network = self._homes[qubit], self._network
        names = network.names
        purpose = f"passing a copy of qubit {qubit} on from {names[home]!r} to {names[node]!r}"
        for end in (home, node):
            if not network.room(end, 1):
                raise NotEnoughCommunicationQubits(node=names[end], needed=1, available=0, purpose=purpose)
        groups = components(network.neighbours)
        here, there = (next(group for group in groups if end in group) for end in (home, node))
        if here != there:
            raise NoQuantumPath(
                a=tuple(names[each] for each in here),
                b=tuple(names[each] for each in there),
                reason=f"a gate of qubit {qubit}, which lives on {names[home]!r}, is to run on {names[node]!r}",
            )
        unlimited = replace(network, communication=(None,) * len(network))
        for _, middle in unlimited.tree(home, 1 << node):
            if middle != node and not network.relays(middle):
                limit = network.communication[middle] or 0
                raise NotEnoughCommunicationQubits(node=names[middle], needed=2, available=limit, purpose=purpose)
        raise InternalError(what=f"no chain of links from {names[home]!r} to {names[node]!r}")
