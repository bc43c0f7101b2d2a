"""Is the emitted circuit the program, exactly, at any width? A proof by cutting it into one strand per logical qubit.

**The cut.** A controlled phase and a one-qubit phase only read their wires in the Z basis: as tensors they are a
phase joined by *ports* (a copied Z-basis value) to the wires they act on. So do a measurement into the user's bit and
a condition on one. Taking these tensors out leaves one *strand* per logical qubit: all wires its state passes
through, with their Bell pairs, protocol measurements and corrections. What remains inside a strand is Clifford,
except for its *breaks* (the gates that end copies, and resets); at a break only one wire may be alive, so breaks cut
the strand into *segments*.

**The proof.** The emitted circuit and the program are the same tensor network if (1) both have the same ports, label
by label: kind, qubits, angle, condition, how many such came before; (2) every strand has the same breaks in the same
order; (3) every emitted segment, as a map on its qubit and its ports, is the program's. (3) is a statement on a
handful of wires about Clifford circuits: ``simulate.clifford`` decides it exactly, for all measurement outcomes at
once. Nothing is sampled, and angles are arbitrary.

The reading knows nothing of the planner: wires are joined into strands by the operations that touch them. A circuit
that cannot be cut this way (a break while a copy lives, say) is not thereby wrong: the answer is ``Uncut``, and
another method has to decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperfabric_q.convert.operations import Kind, Operation
from hyperfabric_q.convert.stim import stim_circuit
from hyperfabric_q.distribution.strand_pieces import (
    TOLERANCE,
    Angles,
    Break,
    CannotCut,
    Flip,
    Label,
    Piece,
    Port,
    Protocol,
    Strand,
    program_strands,
)
from hyperfabric_q.distribution.strand_reading import Reading
from hyperfabric_q.errors import UnsupportedOperation, VerificationFailed
from hyperfabric_q.simulate.clifford import Verdict, equivalent


@dataclass(frozen=True, slots=True)
class Proved:
    """The circuit was cut and every piece is right: how many pieces there were, and how many held protocol steps."""

    segments: int
    distributed: int


@dataclass(frozen=True, slots=True)
class Uncut:
    """The circuit could not be cut into strands, for this reason; nothing is said about its correctness."""

    reason: str


def prove(
    program: Sequence[Operation],
    emitted: Sequence[Operation],
    *,
    entry: Sequence[int],
    exit: Sequence[int],  # noqa: A002 - the word of Lowered
    user_bit: Mapping[int, int],
    seed: int | None = None,
) -> Proved | Uncut:
    """Return the proof that ``emitted`` is ``program``, or why it cannot be cut; about 50 µs per operation.

    Args:
        program: operations on logical qubits 0..n-1.
        emitted: operations of the distributed circuit.
        entry: wire that holds logical qubit q at the start.
        exit: wire that holds it at the end.
        user_bit: the program's number of each of the user's bits, by its number in the emitted circuit.
        seed: named in the error only.

    Raises:
        VerificationFailed: some strand is not the program's; the logical qubit is named.
    """
    angles = Angles()
    try:
        wanted = program_strands(program, len(entry), angles)
        reading = Reading(emitted, entry, exit, user_bit, angles)
        checks = _Checks(seed)
        for qubit, (items, strand) in enumerate(zip(wanted, reading.strands(), strict=True)):
            if reading.owner(strand.exit) != qubit:
                checks.fail(f"wire {exit[qubit]}, where logical qubit {qubit} should end, does not hold it")
            checks.strand(qubit, items, strand)
    except CannotCut as reason:
        return Uncut(str(reason))
    return Proved(segments=checks.segments, distributed=checks.distributed)


# ---------------------------------------------------------------------------------------------------------- checking


class _Checks:
    """Checks strands against the program, segment by segment; equal segments are proved once."""

    def __init__(self, seed: int | None) -> None:
        self.segments = 0
        self.distributed = 0
        self._seed = seed
        self._known: dict[tuple[str, str, tuple[int, ...], tuple[int, ...]], Verdict] = {}

    def strand(self, qubit: int, items: Sequence[Piece], strand: Strand) -> None:
        """Check one logical qubit from its entry to its exit."""
        wanted = _split(items)
        found = _split(strand.pieces)
        alive = _Alive(strand.entry)
        for number, (left, right) in enumerate(zip(wanted, found, strict=False)):
            begin = alive.only
            alive.follow(right.pieces)
            end = right.stop.life if right.stop is not None else strand.exit
            if right.stop is not None:
                alive.require(end, qubit)
            place = f"logical qubit {qubit}, after {number} gate(s) that end copies"
            if not _same_break(left.stop, right.stop):
                self.fail(f"{place}: {_shown(left.stop)} is due, {_shown(right.stop)} was emitted")
            self._segment(place, left.pieces, right.pieces, begin, end)
            if right.stop is not None:
                alive.restart(end)
        if len(wanted) != len(found):
            self.fail(
                f"logical qubit {qubit}: {len(wanted) - 1} gates that end copies are due, {len(found) - 1} emitted"
            )

    def _segment(self, place: str, wanted: Sequence[Piece], found: Sequence[Piece], begin: int, end: int) -> None:
        self.segments += 1
        due, after_due = _flips(wanted)
        labels = [piece.label for piece in found if isinstance(piece, Port)]
        if len(set(labels)) != len(labels) or set(labels) != set(due):
            odd = sorted(map(str, set(labels) ^ set(due)))
            self.fail(f"{place}: phases or measurements differ: {'; '.join(odd[:3]) or 'one is repeated'}")
        if begin == end and not any(isinstance(piece, Protocol) for piece in found):
            if (due, after_due) != _flips(found):
                self.fail(f"{place}: an X is missing, or stands on the wrong side of a phase")
            return
        self.distributed += 1
        verdict = self._decide(_Bench(wanted, found, due, begin, end))
        if not verdict.equivalent:
            self.fail(f"{place}: the protocol steps do not act as the identity ({verdict})")

    def _decide(self, bench: _Bench) -> Verdict:
        key = (str(bench.emitted), str(bench.original), bench.entry, bench.exit)
        if key not in self._known:
            self._known[key] = equivalent(bench.emitted, bench.original, entry=bench.entry, exit=bench.exit)
        return self._known[key]

    def fail(self, what: str) -> None:
        """Raise the error that the emitted circuit is not the program, because of ``what``."""
        raise VerificationFailed(what=f"the emitted circuit is not the program: {what}", seed=self._seed)


@dataclass(frozen=True, slots=True)
class _Segment:
    pieces: list[Piece]
    stop: Break | None


def _split(pieces: Sequence[Piece]) -> list[_Segment]:
    segments: list[_Segment] = []
    current: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Break):
            segments.append(_Segment(current, piece))
            current = []
        else:
            current.append(piece)
    return [*segments, _Segment(current, None)]


class _Alive:
    """The lives of one strand that hold its state, and the protocol bits of the segment under way."""

    def __init__(self, entry: int) -> None:
        self.only = entry
        self._lives = {entry}
        self._bits: set[int] = set()

    def follow(self, pieces: Sequence[Piece]) -> None:
        """Take in the protocol steps of a segment."""
        for piece in pieces:
            if not isinstance(piece, Protocol):
                if piece.life not in self._lives:
                    raise CannotCut("a gate acts on a wire that does not hold its qubit yet")
                continue
            operation = piece.operation
            if any(bit not in self._bits for bit in operation.reads):
                raise CannotCut("a correction comes after the next gate that ends copies")
            self._lives.update(operation.wires)
            if operation.kind is Kind.MEASURE and operation.bit is not None:
                self._lives.discard(operation.wires[0])
                self._bits.add(operation.bit)

    def require(self, life: int, qubit: int) -> None:
        """Check that only ``life`` is left."""
        if self._lives != {life}:
            raise CannotCut(f"a gate that ends copies meets {len(self._lives)} live wires of qubit {qubit}")

    def restart(self, life: int) -> None:
        """Begin the next segment on ``life``."""
        self.only = life
        self._bits.clear()


def _flips(pieces: Sequence[Piece]) -> tuple[dict[Label, frozenset[Label]], frozenset[Label]]:
    """For each port, which X gates stand before it an odd number of times; and at the end."""
    odd: frozenset[Label] = frozenset()
    seen: dict[Label, frozenset[Label]] = {}
    for piece in pieces:
        if isinstance(piece, Flip):
            odd ^= {piece.control}
        elif isinstance(piece, Port):
            seen[piece.label] = odd
    return seen, odd


def _same_break(left: Break | None, right: Break | None) -> bool:
    if left is None or right is None:
        return left is right
    if left.control != right.control or left.operation.kind is not right.operation.kind:
        return False
    if left.operation.kind is Kind.RESET:
        return True
    if left.operation.name == right.operation.name == "u" and left.operation.params == right.operation.params:
        return True
    a, b = left.operation.matrix(), right.operation.matrix()
    pivot = np.unravel_index(np.argmax(np.abs(a)), a.shape)
    return bool(np.allclose(a * (b[pivot] / a[pivot]), b, rtol=0, atol=TOLERANCE))


def _shown(stop: Break | None) -> str:
    if stop is None:
        return "no further such gate"
    angles = ", ".join(f"{angle:.6g}" for angle in stop.operation.params)
    return f"{stop.operation.name}({angles})" if angles else stop.operation.name


class _Bench:
    """One segment as two small stim circuits: what was emitted, and what is due.

    Ports become CX onto ancillas. Ports on one wire with nothing between them read the same value, so they share an
    ancilla when the program agrees that they do.
    """

    def __init__(
        self,
        wanted: Sequence[Piece],
        found: Sequence[Piece],
        due: Mapping[Label, frozenset[Label]],
        begin: int,
        end: int,
    ) -> None:
        self._wire: dict[object, int] = {}
        source, target = self._number(("life", begin)), self._number(("life", end))
        group_of = _groups(found, due)
        self._ancillas: dict[object, int] = {}
        emitted = self._operations(found, group_of)
        original_wires = [source, *self._ancillas.values()]
        place = {ancilla: 1 + index for index, ancilla in enumerate(self._ancillas)}
        try:
            self.emitted = stim_circuit(emitted)
        except UnsupportedOperation as fault:
            raise CannotCut(f"a protocol step is not Clifford: {fault}") from fault
        self.original = stim_circuit(_due_operations(wanted, group_of, place))
        self.entry: tuple[int, ...] = tuple(original_wires)
        self.exit: tuple[int, ...] = (target, *original_wires[1:])

    def _number(self, name: object) -> int:
        return self._wire.setdefault(name, len(self._wire))

    def _ancilla(self, name: object) -> int:
        return self._ancillas.setdefault(name, self._number(name))

    def _operations(self, found: Sequence[Piece], group_of: Mapping[Label, object]) -> list[Operation]:
        operations: list[Operation] = []
        seen: set[object] = set()
        for piece in found:
            if isinstance(piece, Protocol):
                wires = tuple(self._number(("life", life)) for life in piece.operation.wires)
                operations.append(replace(piece.operation, wires=wires))
            elif isinstance(piece, Flip):
                wire = self._number(("life", piece.life))
                operations.append(_flip(wire, self._ancilla(piece.control) if piece.control else None))
            elif isinstance(piece, Port) and (group := group_of[piece.label]) not in seen:
                seen.add(group)
                wire = self._number(("life", piece.life))
                operations.append(Operation(Kind.GATE, "cx", (wire, self._ancilla(group))))
        return operations


def _groups(found: Sequence[Piece], due: Mapping[Label, frozenset[Label]]) -> dict[Label, object]:
    """The ancilla each port is read into."""
    run: dict[int, int] = defaultdict(int)
    group_of: dict[Label, object] = {}
    for piece in found:
        if isinstance(piece, Port):
            group_of[piece.label] = ("port", piece.life, run[piece.life], due[piece.label])
        else:
            for life in piece.operation.wires if isinstance(piece, Protocol) else (piece.life,):
                run[life] += 1
    return group_of


def _due_operations(
    wanted: Sequence[Piece], group_of: Mapping[Label, object], place: dict[object, int]
) -> list[Operation]:
    operations: list[Operation] = []
    seen: set[object] = set()
    for piece in wanted:
        if isinstance(piece, Flip):
            if piece.control and piece.control not in place:
                raise CannotCut("a conditional X of the program was not emitted in its segment")
            operations.append(_flip(0, place[piece.control] if piece.control else None))
        elif isinstance(piece, Port) and (group := group_of[piece.label]) not in seen:
            seen.add(group)
            operations.append(Operation(Kind.GATE, "cx", (0, place[group])))
    return operations


def _flip(wire: int, control: int | None) -> Operation:
    return Operation(Kind.GATE, "x", (wire,)) if control is None else Operation(Kind.GATE, "cx", (control, wire))
