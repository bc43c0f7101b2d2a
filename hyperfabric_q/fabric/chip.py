"""A chip: which qubits of a QPU are coupled, where its communication qubits are, and how good each operation is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields

MOST_QUBITS: Final = 100_000

Place = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChipOperation:
    """Return an operation that a chip can do on certain qubits.

    Args:
        name: Qiskit's name of it: "sx", "cz", "measure", ...
        qubits: the physical qubits it acts on, in order.
        error: average infidelity; of a measurement the chance of a misread. None = not stated.
        duration_ns: how long it takes, ns. None = not stated.

    Raises:
        InvalidValue: a field breaks its rule.
    """

    name: str
    qubits: Place
    error: float | None = None
    duration_ns: float | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        owner = "an operation of a chip"
        put(self, "name", fields.text("name", self.name, owner, most=fields.LONGEST_ID))
        put(self, "qubits", _places("qubits", self.qubits, MOST_QUBITS, owner))
        if self.error is not None:
            put(self, "error", fields.probability("error", self.error, owner))
        if self.duration_ns is not None:
            most = fields.LONGEST_NS
            put(self, "duration_ns", fields.number("duration_ns", self.duration_ns, owner, most=most, unit="ns"))


@dataclass(frozen=True, kw_only=True)
class Chip:
    """Return a chip of physical qubits 0, 1, ..., qubits - 1.

    Args:
        qubits: how many there are.
        communication: the qubits that can hold halves of Bell pairs; the others are data qubits.
        operations: all it can do. Two qubits are coupled when an operation of two qubits acts on them, in either order.

    Raises:
        InvalidValue: a qubit is not on the chip, comes twice, or is coupled to no other while there are several.
    """

    qubits: int
    communication: Place
    operations: tuple[ChipOperation, ...] = field(repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        owner = "a chip"
        put(self, "qubits", fields.count("qubits", self.qubits, owner, least=1, most=MOST_QUBITS, what="qubits"))
        put(self, "communication", _places("communication", self.communication, self.qubits, owner))
        put(self, "operations", tuple(self.operations))
        for each in self.operations:
            if max(each.qubits, default=0) >= self.qubits:
                rule = f"the chip has the qubits 0 to {self.qubits - 1}"
                raise InvalidValue(field="operations", value=f"{each.name} on {each.qubits}", rule=rule)
        apart = self._apart()
        if apart is not None:
            raise InvalidValue(
                field="operations",
                value=f"qubits 0 and {apart}",
                rule="any two qubits of a chip are joined by a chain of two-qubit operations",
                remedy="Leave out the qubits that are cut off, or make two nodes of them.",
            )

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The pairs of coupled qubits (a, b) with a < b, in order."""
        return tuple(
            sorted({(min(each.qubits), max(each.qubits)) for each in self.operations if len(each.qubits) == 2})
        )

    @cached_property
    def _two_qubit_errors(self) -> Mapping[tuple[int, int], float]:
        """The least error stated for each edge: a compiler takes the better direction."""
        found: dict[tuple[int, int], float] = {}
        for each in self.operations:
            if len(each.qubits) == 2 and each.error is not None:
                edge = (min(each.qubits), max(each.qubits))
                found[edge] = min(found.get(edge, 1.0), each.error)
        return found

    @cached_property
    def _readout_errors(self) -> Mapping[int, float]:
        return {
            each.qubits[0]: each.error for each in self.operations if each.name == "measure" and each.error is not None
        }

    def edge_error(self, a: int, b: int) -> float | None:
        """Return the average infidelity of the two-qubit gate between two coupled qubits; None if it is not stated."""
        return self._two_qubit_errors.get((min(a, b), max(a, b)))

    def readout_error(self, qubit: int) -> float | None:
        """Return the chance that a measurement of ``qubit`` is misread; None if it is not stated."""
        return self._readout_errors.get(qubit)

    def to_dict(self) -> dict[str, Any]:
        """Return this chip as JSON-able dicts and lists."""
        rows: list[dict[str, Any]] = []
        for each in self.operations:
            row: dict[str, Any] = {"name": each.name, "qubits": list(each.qubits)}
            row |= {key: getattr(each, key) for key in ("error", "duration_ns") if getattr(each, key) is not None}
            rows.append(row)
        return {"qubits": self.qubits, "communication": list(self.communication), "operations": rows}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Chip:
        """Return the chip that ``to_dict`` wrote.

        Raises:
            InvalidValue: a figure breaks its rule.
        """
        rows = tuple(ChipOperation(**{**row, "qubits": tuple(row["qubits"])}) for row in given["operations"])
        return cls(qubits=given["qubits"], communication=tuple(given["communication"]), operations=rows)

    def _apart(self) -> int | None:
        """A qubit that no chain of couplings joins to qubit 0."""
        return next(iter(sorted(set(range(self.qubits)) - reached(self.edges, 0, ()))), None)


def reached(edges: Iterable[tuple[int, int]], start: int, without: Iterable[int]) -> set[int]:
    """Return the qubits that chains of ``edges`` join to ``start`` when those of ``without`` are taken away."""
    gone = set(without)
    beside: dict[int, list[int]] = {}
    for a, b in edges:
        if a not in gone and b not in gone:
            beside.setdefault(a, []).append(b)
            beside.setdefault(b, []).append(a)
    seen, front = {start}, [start]
    while front:
        fresh = [each for each in beside.get(front.pop(), ()) if each not in seen]
        seen.update(fresh)
        front += fresh
    return seen


def outermost(qubits: int, edges: Sequence[tuple[int, int]], wanted: int) -> Place:
    """Return ``wanted`` qubits at the rim of a chip: those of fewest couplings whose removal keeps the others joined.

    O(wanted · qubits · edges).
    """
    chosen: list[int] = []
    for _ in range(wanted):
        left = [each for each in range(qubits) if each not in chosen]
        degree = dict.fromkeys(left, 0)
        for a, b in edges:
            if a in degree and b in degree:
                degree[a] += 1
                degree[b] += 1

        def keeps_joined(each: int, left: Sequence[int] = tuple(left)) -> bool:
            others = [other for other in left if other != each]
            return not others or len(reached(edges, others[0], (*chosen, each))) == len(others)

        ranked = sorted(left, key=lambda each: (degree[each], each))
        chosen.append(next((each for each in ranked if keeps_joined(each)), ranked[0]))
    return tuple(sorted(chosen))


def _places(name: str, given: object, qubits: int, owner: str) -> Place:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InvalidValue(field=name, value=given, rule=f"{owner} lists physical qubits here")
    places = tuple(
        fields.count(name, each, owner, least=0, most=qubits - 1, what="as the index of a physical qubit")
        for each in given
    )
    if len(set(places)) < len(places):
        raise InvalidValue(field=name, value=given, rule=f"{owner} lists each physical qubit once")
    return places
