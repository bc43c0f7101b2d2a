"""The emitted circuit, read as one strand per logical qubit; see ``strands`` for what that is good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hyperfabric_q.convert.operations import Kind, Operation
from hyperfabric_q.distribution.strand_pieces import (
    Angles,
    Break,
    CannotCut,
    Labels,
    Port,
    Protocol,
    Strand,
    is_controlled_phase,
    phase_of,
)


class Reading:
    """The emitted circuit as strands.

    A *life* is the time a wire holds something: from the start or a reset in |0>, to its measurement into a protocol
    bit.
    """

    def __init__(
        self,
        emitted: Sequence[Operation],
        entry: Sequence[int],
        exits: Sequence[int],
        user_bit: Mapping[int, int],
        angles: Angles,
    ) -> None:
        """Follow every wire; raises ``CannotCut`` when two logical qubits meet outside a controlled phase."""
        self._emitted = emitted
        self._entry, self._exit, self._user_bit = entry, exits, user_bit
        self._labels = Labels(angles)
        self._parent: list[int] = []
        self._measured_next = measured_next(emitted, user_bit)
        self._lives = self._follow_wires()
        self._owner = self._owners()

    def strands(self) -> list[Strand]:
        """Return one strand per logical qubit."""
        strands = [Strand(entry=self._start[wire], exit=self._end[wire]) for wire in self._exit]
        for qubit, strand in enumerate(strands):
            strand.entry = self._start[self._entry[qubit]]
        for place, (operation, lives) in enumerate(zip(self._emitted, self._lives, strict=True)):
            if lives is not None:
                self._place(place, operation, lives, strands)
        return strands

    def owner(self, life: int) -> int | None:
        """Return the logical qubit whose state a life belongs to, None when it belongs to none."""
        return self._owner.get(self._root(life))

    def _follow_wires(self) -> list[tuple[int, ...] | None]:
        """Give each operation the lives it acts on, None to resets that begin a life, and join lives that interact."""
        now: dict[int, int] = {}
        used, spent = set[int](), set[int]()
        bit_life: dict[int, int] = {}
        for wire in self._entry:
            now[wire] = self._new_life()
            used.add(now[wire])
        for wire in {wire for operation in self._emitted for wire in operation.wires} | set(self._exit):
            now.setdefault(wire, self._new_life())
        self._start = dict(now)
        lives: list[tuple[int, ...] | None] = []
        for operation in self._emitted:
            here = tuple(now[wire] for wire in operation.wires)
            if operation.kind is Kind.RESET and (here[0] in spent or here[0] not in used):
                now[operation.wires[0]] = self._new_life()
                lives.append(None)
                continue
            if not spent.isdisjoint(here):
                raise CannotCut("a measured wire is used again without a reset")
            used.update(here)
            if operation.kind is Kind.MEASURE and operation.bit is not None and operation.bit not in self._user_bit:
                spent.add(here[0])
                bit_life[operation.bit] = here[0]
            elif len(here) == 2 and not is_controlled_phase(operation):
                self._join(*here)
            for bit in operation.reads:
                if bit not in self._user_bit:
                    if bit not in bit_life:
                        raise CannotCut("a correction reads a protocol bit that was never written")
                    self._join(here[0], bit_life[bit])
            lives.append(here)
        self._end = now
        return lives

    def _owners(self) -> dict[int, int]:
        owner: dict[int, int] = {}
        for qubit, wire in enumerate(self._entry):
            root = self._root(self._start[wire])
            if root in owner:
                raise CannotCut(f"qubits {owner[root]} and {qubit} meet in a step that is not a controlled phase")
            owner[root] = qubit
        return owner

    def _place(self, place: int, operation: Operation, lives: tuple[int, ...], strands: Sequence[Strand]) -> None:
        qubits = [self.owner(life) for life in lives]
        if qubits[0] is None or None in qubits:
            if (
                operation.kind in (Kind.PAIR, Kind.MEASURE)
                and set(qubits) == {None}
                and operation.bit not in self._user_bit
            ):
                return  # a pair that no logical qubit ever passes through
            raise CannotCut(f"{operation.name!r} acts on a wire that holds no logical qubit")
        strand = strands[qubits[0]]
        if operation.kind is Kind.MEASURE and operation.bit is not None and operation.bit in self._user_bit:
            strand.pieces.append(Port(self._labels.measurement(self._user_bit[operation.bit]), lives[0]))
        elif operation.kind is Kind.RESET:
            strand.pieces.append(Break(operation, (), lives[0]))
        elif operation.kind is not Kind.GATE or self._is_protocol(place, operation):
            strand.pieces.append(Protocol(replace(operation, wires=lives)))
        else:
            self._gate(operation, lives, [qubit for qubit in qubits if qubit is not None], strands)

    def _gate(self, operation: Operation, lives: tuple[int, ...], qubits: list[int], strands: Sequence[Strand]) -> None:
        if any(bit not in self._user_bit for bit in operation.reads):
            raise CannotCut(f"{operation.name!r} depends on a protocol bit and is not a Pauli correction")
        control = self._labels.condition(operation, self._user_bit)
        if len(lives) == 1:
            strands[qubits[0]].pieces += self._labels.one_qubit(operation, qubits[0], control, lives[0])
            return
        if qubits[0] == qubits[1]:
            raise CannotCut(f"a controlled phase joins two wires of qubit {qubits[0]}")
        if (label := self._labels.phase(tuple(qubits), phase_of(operation), control)) is not None:
            for qubit, life in zip(qubits, lives, strict=True):
                strands[qubit].pieces.append(Port(label, life))

    def _is_protocol(self, place: int, operation: Operation) -> bool:
        if operation.reads:
            single = len(operation.condition) == 1 and len(operation.reads) == 1
            return single and operation.reads[0] not in self._user_bit and operation.name in ("x", "y", "z")
        if operation.name == "h":
            return place in self._measured_next
        return len(operation.wires) == 2 and not is_controlled_phase(operation)

    def _new_life(self) -> int:
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def _root(self, life: int) -> int:
        while self._parent[life] != life:
            self._parent[life] = self._parent[self._parent[life]]
            life = self._parent[life]
        return life

    def _join(self, a: int, b: int) -> None:
        self._parent[self._root(a)] = self._root(b)


def measured_next(emitted: Sequence[Operation], user_bit: Mapping[int, int]) -> set[int]:
    """Places of the operations whose wire is measured into a protocol bit right after: an H there undoes a copy."""
    following: dict[int, Operation] = {}
    found: set[int] = set()
    for place in range(len(emitted) - 1, -1, -1):
        operation = emitted[place]
        after = following.get(operation.wires[0])
        if after is not None and after.kind is Kind.MEASURE and after.bit not in user_bit:
            found.add(place)
        for wire in operation.wires:
            following[wire] = operation
    return found
