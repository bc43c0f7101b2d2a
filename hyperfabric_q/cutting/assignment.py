"""Which part of a cut circuit runs which operation?

A qubit's life is a sequence of segments, each on one part. Where consecutive segments lie on different parts the wire
is cut; where a two-qubit gate finds its operands on different parts the gate is cut.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from qiskit import QuantumCircuit

from hyperfabric_q.errors import InvalidValue

Segment: TypeAlias = tuple[int, int]
CONTROL_FLOW = frozenset({"if_else", "for_loop", "while_loop", "switch_case", "box"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where each qubit of a prepared circuit lives, and from which instruction on.

    Attributes:
        parts: number of parts; parts are 0, 1, ..., parts - 1.
        segments: per qubit its (first_row, part), ascending by row, the first at row 0. An instruction at index ``row``
            of ``circuit.data`` finds its operand on the part of the last segment with ``first_row <= row``.
    """

    parts: int
    segments: tuple[tuple[Segment, ...], ...]

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise InvalidValue(field="parts", value=self.parts, rule="a circuit has at least one part")
        for qubit, segments in enumerate(self.segments):
            rows = [row for row, _ in segments]
            if not rows or rows[0] != 0 or any(a >= b for a, b in pairwise(rows)):
                rule = "the segments of a qubit begin at row 0 and ascend"
                raise InvalidValue(field=f"segments[{qubit}]", value=segments, rule=rule)
            if any(not 0 <= part < self.parts for _, part in segments):
                rule = f"the parts are 0 to {self.parts - 1}"
                raise InvalidValue(field=f"segments[{qubit}]", value=segments, rule=rule)

    @classmethod
    def static(cls, labels: Iterable[Hashable]) -> Assignment:
        """Return the assignment that keeps each qubit on one part; labels are numbered as they first come."""
        number: dict[Hashable, int] = {}
        segments = tuple(((0, number.setdefault(label, len(number))),) for label in labels)
        return cls(parts=max(len(number), 1), segments=segments)

    def part_at(self, qubit: int, row: int) -> int:
        """Return the part on which an instruction at ``row`` finds ``qubit``."""
        return self.segments[qubit][self.segment_at(qubit, row)][1]

    def segment_at(self, qubit: int, row: int) -> int:
        """Return the index in ``segments[qubit]`` of the segment that ``row`` falls in."""
        segments = self.segments[qubit]
        return 0 if len(segments) == 1 else bisect_right(segments, row, key=lambda segment: segment[0]) - 1

    def wire_cuts(self) -> tuple[tuple[int, int], ...]:
        """Return (qubit, row) of every cut wire, by row: the cut lies right before the instruction at ``row``."""
        cuts = [
            (after[0], qubit)
            for qubit, segments in enumerate(self.segments)
            for before, after in pairwise(segments)
            if before[1] != after[1]
        ]
        return tuple((qubit, row) for row, qubit in sorted(cuts))

    def gate_cuts(self, circuit: QuantumCircuit) -> tuple[int, ...]:
        """Return the rows of the two-qubit gates whose operands lie on different parts."""
        return tuple(
            row
            for row, qubits, name in operands(circuit)
            if len(qubits) == 2
            and name not in CONTROL_FLOW
            and self.part_at(qubits[0], row) != self.part_at(qubits[1], row)
        )

    def widths(self, circuit: QuantumCircuit, *, reuse: bool = False) -> tuple[int, ...]:
        """Return the number of qubits each part needs.

        Without ``reuse`` every segment is a qubit of its own. With it, the qubit of a segment that ended in a wire cut
        is measured, reset and used again by a segment whose first instruction comes later.
        """
        lives = self.lifetimes(circuit)
        slots = place(lives, reuse=reuse)
        counts = [0] * self.parts
        for (part, _, _), slot in zip(lives.values(), slots, strict=True):
            counts[part] = max(counts[part], slot + 1)
        return tuple(counts)

    def lifetimes(self, circuit: QuantumCircuit) -> dict[tuple[int, int], tuple[int, int, int]]:
        """Return (part, first row, last row) of each (qubit, run); a run is a stretch of segments on one part.

        A run that ends in a wire cut is dead after its last instruction; the last one of a qubit lives to the end. A
        run without instructions stands where it begins.
        """
        runs: dict[tuple[int, int], tuple[int, int, int]] = {}
        used: dict[tuple[int, int], tuple[int, int]] = {}
        for row, qubits, _ in operands(circuit):
            for qubit in qubits:
                key = (qubit, self.run_of(qubit, self.segment_at(qubit, row)))
                used[key] = (used[key][0] if key in used else row, row)
        end = len(circuit.data)
        for qubit, segments in enumerate(self.segments):
            starts = [i for i, (_, part) in enumerate(segments) if i == 0 or part != segments[i - 1][1]]
            for run, index in enumerate(starts):
                first, last = used.get((qubit, run), (segments[index][0], segments[index][0]))
                runs[qubit, run] = (segments[index][1], first, last if run + 1 < len(starts) else end)
        return runs

    def run_of(self, qubit: int, segment: int) -> int:
        """Return the number of wire cuts on ``qubit`` before ``segment``."""
        segments = self.segments[qubit][: segment + 1]
        return sum(a[1] != b[1] for a, b in pairwise(segments))


def operands(circuit: QuantumCircuit) -> list[tuple[int, tuple[int, ...], str]]:
    """Return (row, qubit indices, name) of every instruction."""
    index = {qubit: position for position, qubit in enumerate(circuit.qubits)}
    return [
        (row, tuple(index[qubit] for qubit in instruction.qubits), instruction.name)
        for row, instruction in enumerate(circuit.data)
    ]


def place(lives: dict[tuple[int, int], tuple[int, int, int]], *, reuse: bool) -> list[int]:
    """Return the local qubit of each life within its part, in the order of ``lives``.

    Without ``reuse`` they are numbered as listed. With it, lives are intervals and the free qubit of least index is
    taken, which needs as few qubits as are ever alive at once.
    """
    slots = [0] * len(lives)
    if not reuse:
        counts: dict[int, int] = {}
        for position, (part, _, _) in enumerate(lives.values()):
            slots[position] = counts.get(part, 0)
            counts[part] = slots[position] + 1
        return slots
    busy: dict[int, list[int]] = {}
    listed: Sequence[tuple[int, int, int]] = list(lives.values())
    for position in sorted(range(len(listed)), key=lambda each: listed[each][1]):
        part, first, last = listed[position]
        ends = busy.setdefault(part, [])
        free = next((slot for slot, end in enumerate(ends) if end < first), None)
        if free is None:
            free = len(ends)
            ends.append(last)
        ends[free] = last
        slots[position] = free
    return slots
