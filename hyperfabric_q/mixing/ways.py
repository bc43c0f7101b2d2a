"""In which ways can a circuit cross the nodes of a fabric?

A *way* is a cut of the circuit into parts, an island of nodes for each part, and the links whose pairs are corrected.
The pure ones are among them: one island and no cut teleports everything; an island for each node cuts everything.
Between these, weak gates are cut and strong ones teleported, or poor links are cut and good ones used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import networkx as nx
from qiskit import QuantumCircuit

from hyperfabric_q import pipeline
from hyperfabric_q.cutting.assignment import Assignment, operands
from hyperfabric_q.cutting.finder.prices import log_schmidt_sum
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.plan import cut
from hyperfabric_q.cutting.prepare import Prepared, read_marked
from hyperfabric_q.cutting.split import split
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import HyperFabricError, Infeasible, InvalidValue, UnsupportedOperation
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.mixing.laws import WIDEST
from hyperfabric_q.mixing.stage import Ends
from hyperfabric_q.mixing.together import together

METHODS: Final = ("bell", "assisted", "gate_cut", "wire_cut")
"""Bell pairs as they are, Bell pairs with corrections, and the two kinds of cuts."""

MOST_INSIDE: Final = 4
"""Gates that are cut beside Bell pairs between the same nodes."""

MOST_GAMMA: Final = 30.0
"""Ways beyond are not looked at: their shots would count for less than a thousandth of a shot."""

MOST_LINKS: Final = 3
"""Links of which every choice of corrections is tried; of more, the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Way:
    """One way to run a circuit.

    Attributes:
        name: in short.
        cut: the circuit in fragments; in one if nothing is cut.
        wires: the wire that holds each qubit at the end.
        nodes: the island of each part.
        inside: rows of gates that are cut although both operands are on one island.
        assisted: links whose pairs are corrected.
        plan: of the whole circuit, where nothing is cut.
    """

    name: str
    cut: CutCircuit
    wires: tuple[int, ...]
    nodes: tuple[tuple[str, ...], ...]
    inside: tuple[int, ...] = ()
    assisted: frozenset[Ends] = frozenset()
    plan: Plan | None = None

    @property
    def gamma(self) -> float:
        """The product of the gammas of all cuts."""
        return self.cut.gamma

    @property
    def width(self) -> int:
        """Qubits of the widest fragment."""
        return max((len(fragment.wires) for fragment in self.cut.fragments), default=0)

    @property
    def is_pure(self) -> bool:
        """Whether it uses one method alone."""
        return not (self.cut.cuts and any(len(island) > 1 for island in self.nodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """A way that there is not, and why."""

    name: str
    reason: str


@dataclass(slots=True, eq=False)
class Ways:
    """All ways that are looked at.

    Attributes:
        circuit: as it was given.
        fabric: where.
        methods: names in ``METHODS``.
        time_limit_s: of all searches together.
        seed: of the searches.
        impossible: what was tried in vain.
    """

    circuit: QuantumCircuit
    fabric: Fabric
    methods: tuple[str, ...]
    time_limit_s: float
    seed: int
    impossible: list[Impossible]

    def found(self) -> Iterator[Way]:
        """Yield them, the pure ones first; corrections are chosen later, see ``with_corrections``."""
        prepared = read_marked(self.circuit)
        if prepared.marks:
            rule = f"the circuit itself marks {len(prepared.marks)} wire cuts"
            raise InvalidValue(field="methods", value=self.methods, rule=rule, remedy="Take the markers out.")
        whole = self._whole(prepared) if {"bell", "assisted"} & set(self.methods) else None
        kinds = tuple(each for each in ("gate_cut", "wire_cut") if each in self.methods)
        if whole is not None:
            yield whole
        seen = set()
        for way in self._cutting(prepared, whole, kinds):
            key = (way.cut.assignment, way.nodes, way.inside)
            if key not in seen:
                seen.add(key)
                yield way

    def _cutting(self, prepared: Prepared, whole: Way | None, kinds: tuple[str, ...]) -> Iterator[Way]:
        for kind in dict.fromkeys([*((each,) for each in kinds), kinds]):
            if kind:
                yield from self._cuts(" and ".join(kind), kind, [(node,) for node in self._rooms()])
        if not kinds or not {"bell", "assisted"} & set(self.methods):
            return
        for threshold, islands in self._islands():
            yield from self._cuts(f"cut links of fidelity {threshold:g} and less", kinds, islands)
        if "gate_cut" in kinds and whole is not None:
            yield from self._inside(prepared, whole)

    def _rooms(self) -> dict[str, int]:
        return {node.node_id: node.data_qubits or 0 for node in self.fabric.qpu_nodes}

    def _tried(self, name: str, fault: HyperFabricError) -> None:
        self.impossible.append(Impossible(name=name, reason=str(fault)))

    def _whole(self, prepared: Prepared) -> Way | None:
        for objective in ("fidelity", "ebits"):
            try:
                plan = pipeline.plan(
                    self.circuit,
                    self.fabric,
                    objective=objective,
                    time_limit_s=self.time_limit_s / 2,
                    seed=self.seed,
                )
            except InvalidValue:  # the clock refuses some fabrics
                if objective == "ebits":
                    raise
            except Infeasible as fault:
                self._tried("Bell pairs", fault)
                return None
            else:
                break
        pieces = split(prepared.circuit, Assignment.static([0] * prepared.circuit.num_qubits))
        return Way(
            name="Bell pairs",
            cut=together(pieces) if prepared.circuit.num_qubits <= WIDEST else pieces,
            wires=prepared.wires,
            nodes=(tuple(dict.fromkeys(node.node_id for node in self.fabric.qpu_nodes)),),
            plan=plan,
        )

    def _cuts(self, name: str, kinds: tuple[str, ...], islands: Sequence[tuple[str, ...]]) -> Iterator[Way]:
        rooms = self._rooms()
        sized = sorted(((sum(rooms[each] for each in island), island) for island in islands), key=lambda each: -each[0])
        sized = [each for each in sized if each[0]]
        try:
            found = cut(
                self.circuit,
                widths=[room for room, _ in sized],
                methods=kinds,
                time_limit_s=self.time_limit_s / 4,
                seed=self.seed,
            )
        except (Infeasible, UnsupportedOperation) as fault:
            self._tried(name, fault)
            return
        nodes: list[tuple[str, ...]] = [()] * found.parts
        by_width = sorted(range(found.parts), key=lambda part: -found.widths[part])
        for part, (_, island) in zip(by_width, sized, strict=False):
            nodes[part] = island
        if found.cut.gamma > MOST_GAMMA:
            self.impossible.append(Impossible(name=name, reason=f"gamma {found.cut.gamma:.3g} takes too many shots"))
            return
        yield Way(name=name, cut=found.cut, wires=found.wires, nodes=tuple(nodes))

    def _islands(self) -> Iterator[tuple[float, list[tuple[str, ...]]]]:
        """Yield the islands that remain when poor links are left out; more than one, fewer than nodes."""
        rooms = self._rooms()
        seen: set[tuple[tuple[str, ...], ...]] = {tuple(sorted((node,) for node in rooms))}
        for threshold in sorted({link.pair_fidelity or 0.0 for link in self.fabric.quantum_links}):
            graph: nx.Graph[str] = nx.Graph()
            graph.add_nodes_from(rooms)
            graph.add_edges_from(
                link.ends for link in self.fabric.quantum_links if (link.pair_fidelity or 0.0) > threshold
            )
            order = {node: place for place, node in enumerate(rooms)}
            islands = [
                tuple(sorted(each & set(rooms), key=order.__getitem__)) for each in nx.connected_components(graph)
            ]
            islands = [each for each in islands if each]
            key = tuple(sorted(islands))
            if len(islands) > 1 and key not in seen:
                seen.add(key)
                yield threshold, islands

    def _inside(self, prepared: Prepared, whole: Way) -> Iterator[Way]:
        """Yield the whole circuit on its nodes with the gates cut that cost least, and those of the poorest link."""
        assert whole.plan is not None  # noqa: S101 - it is the whole circuit
        homes = whole.plan.homes
        across: list[tuple[float, int, Ends]] = []
        for row, qubits, name in operands(prepared.circuit):
            if len(qubits) == 2 and name != "if_else" and homes[qubits[0]] != homes[qubits[1]]:
                log = log_schmidt_sum(prepared.circuit.data[row].operation)
                if log is not None and math.isfinite(log):
                    across.append((log, row, (homes[qubits[0]], homes[qubits[1]])))
        across.sort()
        one = Assignment.static([0] * prepared.circuit.num_qubits)
        sets = [tuple(row for _, row, _ in across[:count]) for count in range(1, MOST_INSIDE + 1)]
        sets += [self._poorest(across)]
        for rows in dict.fromkeys(tuple(sorted(each)) for each in sets if each):
            if len(rows) == len(across):
                continue  # that is a cut without Bell pairs, which the finder makes better
            pieces = split(prepared.circuit, one, inside=rows)
            if pieces.gamma <= MOST_GAMMA:
                index = {row: ends for row, ends, _ in operands(prepared.circuit)}
                named = ", ".join("-".join(map(str, index[row])) for row in rows)
                name = f"cut {len(rows)} of {len(across)} crossing gates ({named})"
                yield Way(name=name, cut=pieces, wires=prepared.wires, nodes=whole.nodes, inside=rows)

    def _poorest(self, across: Sequence[tuple[float, int, Ends]]) -> tuple[int, ...]:
        def fidelity(ends: Ends) -> float:
            link = self.fabric.link(*ends)
            return 1.0 if link is None or link.pair_fidelity is None else link.pair_fidelity

        worst = min((fidelity(ends) for _, _, ends in across), default=1.0)
        rows = tuple(row for _, row, ends in across if fidelity(ends) == worst)
        return rows if len(rows) <= MOST_INSIDE else ()


def corrections(links: Iterable[Ends], fabric: Fabric, methods: Sequence[str]) -> list[frozenset[Ends]]:
    """Return the choices of links whose pairs are corrected: all of few links, else the worst first.

    Args:
        links: that carry pairs.
        fabric: their owner.
        methods: "bell" allows pairs as they are, "assisted" corrected ones.
    """

    def fidelity(ends: Ends) -> float:
        link = fabric.link(*ends)
        return 1.0 if link is None or link.pair_fidelity is None else link.pair_fidelity

    order = sorted(dict.fromkeys(links), key=lambda ends: (fidelity(ends), ends))
    every = frozenset(order)
    if "bell" not in methods:
        return [every]
    if "assisted" not in methods or not order:
        return [frozenset()]
    if len(order) <= MOST_LINKS:
        return [
            frozenset(each for place, each in enumerate(order) if number >> place & 1)
            for number in range(1 << len(order))
        ]
    return [frozenset(order[:count]) for count in range(len(order) + 1)]
