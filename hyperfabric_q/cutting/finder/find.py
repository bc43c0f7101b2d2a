"""The cut finder: which gates and wires to cut so that every part fits and the sampling overhead is least?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hyperfabric_q.cutting.finder.anytime import MOVES_PER_SECOND, Search
from hyperfabric_q.cutting.finder.bounds import Floor, floor_of
from hyperfabric_q.cutting.finder.outcome import (
    MET,
    Found,
    assignment_of,
    numbered,
    power,
    price_of,
    subexperiments,
)
from hyperfabric_q.cutting.finder.prices import WIRE, separate
from hyperfabric_q.cutting.finder.request import METHODS, Request, request_of
from hyperfabric_q.cutting.finder.slices import Graph, Ints, Slices, graph_of, read_slices
from hyperfabric_q.cutting.prepare import prepare
from hyperfabric_q.errors import NoCutFound
from hyperfabric_q.seeds import resolve


def find_cuts(
    circuit: Any,
    widths: int | Sequence[int],
    *,
    parts: int | None = None,
    methods: Sequence[str] = METHODS,
    time_limit_s: float = 5.0,
    seed: int = 0,
    reuse: bool = False,
    jointly: bool = True,
) -> Found:
    """Return the cuts of least predicted sampling overhead that make every part fit on its QPU.

    The search begins with cheap cuts at once, improves them by annealing, and proves them best where it can: by branch
    and bound on small circuits, by least cuts and eigenvalues on others. Among cuts of equal overhead those with fewer
    circuits to run are kept.

    Args:
        circuit: any circuit; gates of three and more qubits are decomposed, identities dropped. A gate that cannot be
            cut, and all that reads or writes the bits of a condition, stays in one part.
        widths: qubits of the QPUs: one number when all are alike, else one for each; each runs one part at most.
        parts: number of parts, each with something to do; None for as many as serve best.
        methods: "gate_cut", "wire_cut" or both.
        time_limit_s: turned into a number of moves that a modest machine makes in that time, so that the same seed
            gives the same cuts anywhere; 0 gives the first cuts found.
        seed: of the search.
        reuse: the qubit of a cut wire's end is reset and holds a later piece of wire.
        jointly: price the gates between two parts taken together (``gamma_joint``), else each for itself.

    Raises:
        NoCutFound: no cuts make the parts fit, or none were found.
        InvalidValue: an argument makes no sense.
        UnsupportedOperation: from ``prepare``.
    """
    request = request_of(circuit.num_qubits, widths, parts, methods, time_limit_s)
    prepared = prepare(circuit)
    slices = read_slices(prepared, shared=request.fills(request.rooms))
    task = _Task(request=request, slices=slices, reuse=reuse, jointly=jointly, seed=resolve(seed))
    task.budget = int(time_limit_s * MOVES_PER_SECOND)
    if (whole := _whole(request)) is not None:
        task.take(np.full(len(slices), whole, dtype=np.int64), 0)
        task.bound = 0.0
    else:
        task.check_glue()
        task.search()
    return task.found(prepared)


def _whole(request: Request) -> int | None:
    """Return the QPU that holds the circuit uncut, the narrowest that does, if that is allowed."""
    if request.parts not in (None, 1):
        return None
    holds = [slot for slot, room in enumerate(request.rooms) if room >= request.qubits]
    return min(holds, key=lambda slot: request.rooms[slot], default=None)


@dataclass(kw_only=True)
class _Task:
    """One call: the graphs it looks at, the best cuts so far, and what is known of the least price."""

    request: Request
    slices: Slices
    reuse: bool
    jointly: bool
    seed: int
    budget: int = 0
    moves: int = 0
    part: Ints | None = None
    price: float = math.inf
    bound: float = 0.0
    history: list[tuple[int, float]] = field(default_factory=list)
    graphs: dict[tuple[bool, bool], Graph] = field(default_factory=dict)
    floors: dict[tuple[bool, bool], Floor] = field(default_factory=dict)

    # -------------------------------------------------------------------------------------------------------- incumbent

    def take(self, part: Ints, moves: int) -> None:
        """Take cuts if they are cheaper than those at hand, or as dear and with fewer circuits to run."""
        price = self._log(part)
        if price < self.price - MET:
            self.history.append((moves, power(price)))
        elif not (price <= self.price + MET and self._width(part) < self._width(self.part)):
            return
        self.part, self.price = part, price

    def _log(self, part: Ints) -> float:
        price = price_of(self.slices, part)
        return price.log_joint if self.jointly else price.log_separate

    def _width(self, part: Ints | None) -> tuple[float, int]:
        """What breaks ties: fewer wires and gates cut, as each multiplies the circuits to run; then fewer parts."""
        if part is None:
            return math.inf, 0
        price = price_of(self.slices, part)
        return price.gate_cuts * math.log(5) * 2 + price.wire_cuts * math.log(12), len(np.unique(part))

    # ----------------------------------------------------------------------------------------------------------- graphs

    def graph(self, kind: tuple[bool, bool]) -> Graph:
        """Return the graph in which (gates, wires) may be cut."""
        if kind not in self.graphs:
            self.graphs[kind] = graph_of(
                self.slices, cut_gates=kind[0], cut_wires=kind[1], reuse=self.reuse and kind[1], jointly=self.jointly
            )
        return self.graphs[kind]

    def floor(self, kind: tuple[bool, bool]) -> Floor:
        """Return the bounds of that graph."""
        if kind not in self.floors:
            self.floors[kind] = floor_of(self.graph(kind))
        return self.floors[kind]

    def kind(self, rooms: Sequence[int]) -> tuple[bool, bool]:
        """Return what is worth cutting: with no room to spare, or where gates are always as cheap, no wires."""
        request = self.request
        if request.cut_gates and request.cut_wires:
            if self.reuse:
                return True, True
            dominated = self.lightest_end <= WIRE + MET and self.request.fills(rooms)
            return True, sum(rooms) > request.qubits and not dominated
        return request.cut_gates, request.cut_wires

    @cached_property
    def lightest_end(self) -> float:
        """What cutting gates instead of one wire costs at most.

        Of a qubit's pieces of wire the first or the last has at most its lighter half of the gates. Moving that piece
        to where its neighbour lies cuts these gates instead, which never costs more than each of them by itself.
        """
        slices = self.slices
        if len(slices.glued):
            return math.inf
        gates = np.zeros(len(slices))
        np.add.at(gates, slices.gates.ravel(), np.repeat([separate(x) for x in slices.log_s.tolist()], 2))
        ends = np.flatnonzero(np.append(slices.qubit[1:] != slices.qubit[:-1], True)) + 1
        most = 0.0
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            before = np.cumsum(gates[begin:end])
            most = max(most, float(np.minimum(before, before[-1] - before).max()))
        return most

    def _wires_for_gates(self, gates: float, rooms: Sequence[int]) -> float:
        """What cuts of both kinds cost at least when cuts of gates alone cost so much.

        w wires cost their price, and each spares at most ``lightest_end`` in gates.
        """
        if self.reuse or not self.request.fills(rooms) or math.isinf(self.lightest_end):
            return 0.0
        if math.isinf(gates):
            return gates
        at_most = math.ceil(gates / WIRE)
        return min(max(WIRE * w, gates + (WIRE - self.lightest_end) * w) for w in range(at_most + 1))

    def check_glue(self) -> None:
        """Refuse what must stay together but fits nowhere."""
        kind = (self.request.cut_gates, self.request.cut_wires)
        graph = self.graph(kind)
        owner = np.repeat(np.arange(len(graph)), np.diff(graph.use_start))
        need = np.zeros(len(graph), dtype=np.int64)
        np.maximum.at(need, owner, graph.use_count)
        widest, largest = max(self.request.rooms), int(need.max(initial=0))
        if largest > widest:
            why = "by conditions or by gates that are not to be cut"
            reason = f"{largest} qubits are held together {why}, and the widest QPU has {widest}"
            raise NoCutFound(asked=self.request.asked, reason=reason, remedy="Use a wider QPU, or allow other cuts.")

    # ----------------------------------------------------------------------------------------------------------- search

    def search(self) -> None:
        """Search with as few parts as there can be, then with more while these might be cheaper."""
        request, fewest = self.request, self.request.fewest
        self.bound = self._closed(fewest, keep=request.parts is not None)
        floors: dict[int, float] = {}
        for parts in (fewest, fewest + 1, 0):
            most = self._most()
            number = parts or min(most, 2 * fewest + 2)
            if number > fewest and (number > most or self._tail(number, most) >= self.price - MET):
                break
            floors[number] = self._explore(number)
        if self.part is None:
            word = "exist" if len(floors) == 1 and math.isinf(min(floors.values())) and fewest == most else "were found"
            raise NoCutFound(
                asked=request.asked,
                reason=f"no cuts by {' or '.join(self._allowed())} {word} for which every part fits",
                remedy="Use wider QPUs or more of them, allow other cuts, or raise the time limit.",
            )
        most = self._most()
        tails = (min(floor, self._tail(number + 1, most)) for number, floor in floors.items())
        self.bound = min(self.price, max(self.bound, *tails))

    def _most(self) -> int:
        """Return the number of parts that the cheapest cuts need not exceed."""
        request = self.request
        wires = request.cut_wires and (not request.cut_gates or self.reuse or self.lightest_end > WIRE + MET)
        return request.most(self.price // WIRE if wires else 0)

    def _allowed(self) -> list[str]:
        return [name for name, on in zip(METHODS, (self.request.cut_gates, self.request.cut_wires), strict=True) if on]

    def _closed(self, parts: int, *, keep: bool) -> float:
        rooms = self.request.rooms_of(parts)
        return self._floor_at(self.kind(rooms), rooms, keep=keep)

    def _floor_at(self, kind: tuple[bool, bool], rooms: Sequence[int], *, keep: bool) -> float:
        price = self.floor(kind).price(rooms, keep=keep)
        if kind == (True, True):
            gates = self.floor((True, False)).price(rooms, keep=keep)
            price = max(price, self._wires_for_gates(gates, rooms))
        return price

    def _tail(self, parts: int, most: int) -> float:
        """What so many parts or more cost at least."""
        return math.inf if parts > most else self._closed(parts, keep=True)

    def _explore(self, parts: int) -> float:
        """Search with at most so many parts; return what these cost at least."""
        rooms = self.request.rooms_of(parts)
        kind = self.kind(rooms)
        if kind != (True, True):
            return self._search_one(kind, rooms, 0.0, last=True)
        gates = self._search_one((True, False), rooms, 0.0, last=False)
        self._search_one((False, True), rooms, 0.0, last=False)
        return self._search_one(kind, rooms, self._wires_for_gates(gates, rooms), last=True)

    def _search_one(self, kind: tuple[bool, bool], rooms: tuple[int, ...], known: float, *, last: bool) -> float:
        """Search one graph, from the best cuts so far if it is the last; return what its cuts cost at least.

        ``known`` is a lower bound already at hand.
        """
        graph, keep = self.graph(kind), self.request.parts is not None
        if keep and len(graph) < len(rooms):
            return math.inf
        floor = max(known, self._floor_at(kind, rooms, keep=keep))
        search = Search(graph=graph, rooms=rooms, keep=keep, floor=floor)
        if self.part is not None and last:
            search.offer(self.part[np.unique(graph.vertex, return_index=True)[1]])
        begins = np.full(len(graph), np.iinfo(np.int64).max)
        np.minimum.at(begins, graph.vertex, self.slices.begins)
        search.start(begins)
        search.improve(min(len(graph) * 200, self._left() // 8), self.seed, f"brief {kind}")
        search.prove(self._left() // 3)
        search.improve((self._left() - search.moves) // (2 if last else 4), self.seed, f"long {kind}")
        for moves, _, part in search.successes:
            self.take(part[graph.vertex], self.moves + moves)
        self.moves += search.moves
        return search.floor

    def _left(self) -> int:
        return max(0, self.budget - self.moves)

    # ----------------------------------------------------------------------------------------------------------- result

    def found(self, prepared: Any) -> Found:
        """Return the result."""
        request = self.request
        assert self.part is not None  # noqa: S101 - search() has raised otherwise
        part = self.part if self.reuse or request.parts is not None else self._merged(self.part)
        part, used = numbered(part, range(int(part.max(initial=0)) + 1), alike=request.alike)
        price = price_of(self.slices, part)
        log = price.log_joint if self.jointly else price.log_separate
        assignment = assignment_of(self.slices, part)
        optimal = self.bound >= log - MET
        return Found(
            circuit=prepared,
            assignment=assignment,
            qpus=tuple(range(len(used))) if request.alike else tuple(request.slots[slot] for slot in used),
            widths=assignment.widths(prepared, reuse=self.reuse),
            gamma=power(log / 2),
            overhead=power(log),
            gamma_joint=power(price.log_joint / 2),
            gamma_separate=power(price.log_separate / 2),
            bound=power(log) if optimal else power(self.bound),
            optimal=optimal,
            gate_cuts=assignment.gate_cuts(prepared),
            wire_cuts=assignment.wire_cuts(),
            subexperiments=subexperiments(prepared, self.slices, part),
            history=tuple(self.history),
            moves=self.moves,
        )

    def _merged(self, part: Ints) -> Ints:
        """Put parts together that fit on one QPU, which is never dearer."""
        part = part.copy()
        wires = self.slices.wires
        while True:
            names = np.unique(part).tolist()
            size = np.bincount(part, minlength=max(names) + 1)
            ends = part[wires]
            for a, b in ((a, b) for a in names for b in names if a != b):
                inner = int(np.isin(ends, (a, b)).all(axis=1).sum())
                room = self.request.rooms[0 if self.request.alike else a]
                if int(size[a] + size[b]) - inner <= room:
                    part[part == b] = a
                    break
            else:
                return part
