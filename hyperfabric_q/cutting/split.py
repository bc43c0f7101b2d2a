"""How does a circuit fall apart under an assignment?

One pass over the instructions: what lies on one part goes to the piece that holds its wires; a gate between parts
becomes local factors and a marker on either side; a wire that changes parts ends in one marker and begins in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import networkx as nx
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import RZGate

from hyperfabric_q.cutting.assignment import CONTROL_FLOW, Assignment, operands
from hyperfabric_q.cutting.decomposition import Decomposition
from hyperfabric_q.cutting.fragments import (
    Condition,
    Cut,
    CutCircuit,
    Fragment,
    Gate,
    Marker,
    Measure,
    Reset,
    Source,
    Step,
    with_sides,
)
from hyperfabric_q.cutting.gates import GateDecomposition, cut_gate
from hyperfabric_q.cutting.joint import cut_jointly
from hyperfabric_q.cutting.prepare import condition_bits, matrix_of
from hyperfabric_q.cutting.wires import wire_cut
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

Run: TypeAlias = tuple[int, int]
WireKind: TypeAlias = Literal["lo", "lo_six", "locc"]
_CUT_GATES: dict[str, GateDecomposition] = {}


def split(
    circuit: QuantumCircuit,
    assignment: Assignment,
    *,
    wire: WireKind = "lo",
    joint: Iterable[Sequence[int]] = (),
    inside: Iterable[int] = (),
) -> CutCircuit:
    """Return the fragments and cuts of a prepared circuit.

    Args:
        circuit: as ``prepare`` returns it; its parameters may be unbound.
        assignment: who runs what.
        wire: how wires are cut: "lo" (4 preparations), "lo_six" (6, fewer shots) or "locc" (gamma 3, with messages).
        joint: groups of rows of cut gates between the same two parts, each to be cut as one (gamma 2 Π s - 1).
        inside: rows of two-qubit gates that are cut although their operands lie on the same part.

    Raises:
        UnsupportedOperation: a condition that needs a bit of another part, a cut inside an if_else.
        InvalidValue: rows ``inside`` that are no two-qubit gates; an assignment for another number of qubits; a joint
            group that cannot act at one time.

    Cost: linear in the instructions.
    """
    if len(assignment.segments) != circuit.num_qubits:
        rule = f"the circuit has {circuit.num_qubits} qubits; one tuple of segments is needed for each"
        raise InvalidValue(field="segments", value=len(assignment.segments), rule=rule)
    splitter = _Splitter(circuit, assignment, wire, _gates(circuit, inside))
    for rows in splitter.order(tuple(tuple(group) for group in joint)):
        splitter.advance(rows)
    return splitter.finish()


@dataclass(slots=True)
class _Piece:
    """The steps of a group of wires while it grows."""

    part: int
    runs: list[Run]
    steps: list[tuple[int, Any]] = field(default_factory=list)


class _Splitter:
    """The pass over the instructions; it lives for one call of ``split``."""

    def __init__(self, circuit: QuantumCircuit, assignment: Assignment, wire: WireKind, inside: frozenset[int]) -> None:
        self.circuit, self.assignment, self.wire_cut, self.inside = circuit, assignment, wire_cut(wire), inside
        self.index = {qubit: position for position, qubit in enumerate(circuit.qubits)}
        self.clbit = {clbit: position for position, clbit in enumerate(circuit.clbits)}
        self.run = [0] * circuit.num_qubits
        self.part = [segments[0][1] for segments in assignment.segments]
        # The next change of part of each qubit, latest first.
        self.changes = [[s for s in reversed(segments) if s[0]] for segments in assignment.segments]
        self.piece_of: dict[Run, _Piece] = {}
        for qubit, part in enumerate(self.part):
            self.piece_of[qubit, 0] = _Piece(part, [(qubit, 0)])
        self.writer: dict[int, Run] = {}
        self.cuts: list[tuple[Decomposition, tuple[int, ...], Source | None]] = []
        self.time = 0
        self.last_use: dict[Run, int] = {}
        self.read_until: dict[int, int] = {}
        self.written: dict[int, int] = {}

    def order(self, groups: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
        """The rows in the order they are taken, those of a joint group together."""
        if not groups:
            return [(row,) for row in range(len(self.circuit.data))]
        leader = {row: min(group) for group in groups for row in group}
        graph: Any = nx.DiGraph()
        last: dict[Any, int] = {}
        for row, instruction in enumerate(self.circuit.data):
            graph.add_node(leader.get(row, row))
            for wire in (*instruction.qubits, *instruction.clbits):
                if wire in last and leader.get(last[wire], last[wire]) != leader.get(row, row):
                    graph.add_edge(leader.get(last[wire], last[wire]), leader.get(row, row))
                elif wire in last and row in leader:
                    rule = "the gates of a joint group act on different qubits"
                    raise InvalidValue(field="joint", value=(last[wire], row), rule=rule)
                last[wire] = row
        # Rows of one qubit keep their order in any topological order, and so do its changes of part.
        members = {min(group): tuple(sorted(group)) for group in groups}
        try:
            return [members.get(node, (node,)) for node in nx.lexicographical_topological_sort(graph)]
        except nx.NetworkXUnfeasible:
            rule = "the gates of a joint group can act at one time, with nothing between them"
            raise InvalidValue(field="joint", value=groups, rule=rule) from None

    def advance(self, rows: tuple[int, ...]) -> None:
        """Take the instructions ``rows``, which act at one time."""
        self.time += 1
        instructions = [self.circuit.data[row] for row in rows]
        qubits = [tuple(self.index[each] for each in instruction.qubits) for instruction in instructions]
        for row, places in zip(rows, qubits, strict=True):
            for qubit in places:
                self.arrive(qubit, row)
        if len(rows) > 1:
            self.cut_together(rows, instructions, qubits)
            return
        row, instruction, places = rows[0], instructions[0], qubits[0]
        if len({self.part[qubit] for qubit in places}) > 1:
            if instruction.name in CONTROL_FLOW:
                reason = f"its qubits lie on different parts; a conditional gate cannot be cut ({self.spread(places)})"
                raise UnsupportedOperation(operation=instruction.name, reason=reason, index=row)
            self.cut_one(row, instruction, places)
            return
        if row in self.inside:
            self.cut_one(row, instruction, places)
            return
        if not places:
            return
        runs = self.use(places)
        step = self.step(instruction, runs, row)  # a condition joins pieces
        self.join(runs).steps.append((self.time, step))

    def arrive(self, qubit: int, row: int) -> None:
        """Cut the wire where its qubit changed parts since its last instruction."""
        while self.changes[qubit] and self.changes[qubit][-1][0] <= row:
            first, part = self.changes[qubit].pop()
            if part == self.part[qubit]:
                continue
            number = len(self.cuts)
            self.cuts.append((self.wire_cut, (first,), None))
            self.mark(number, 0, [(qubit, self.run[qubit])])
            self.run[qubit] += 1
            self.part[qubit] = part
            run = (qubit, self.run[qubit])
            self.piece_of[run] = _Piece(part, [run])
            self.mark(number, 1, [run])

    def cut_one(self, row: int, instruction: Any, places: tuple[int, ...]) -> None:
        cut = _cut_gate(instruction)
        number = len(self.cuts)
        self.cuts.append((cut.decomposition, (row,), cut if cut.is_symbolic else None))
        for side, run in enumerate(self.use(places)):
            self.local(run, cut.before[side])
            self.mark(number, side, [run])
            self.local(run, cut.after[side])

    def cut_together(self, rows: tuple[int, ...], instructions: list[Any], places: list[tuple[int, ...]]) -> None:
        parts = sorted({self.part[qubit] for pair in places for qubit in pair})
        if len(parts) != 2 or any(self.part[a] == self.part[b] for a, b in places):
            rule = "the gates of a joint group are cut between the same two parts"
            raise InvalidValue(field="joint", value=rows, rule=rule)
        flipped = [self.part[pair[0]] != parts[0] for pair in places]
        joint = cut_jointly([each.operation for each in instructions], swapped=flipped)
        number = len(self.cuts)
        self.cuts.append((joint.decomposition, rows, joint if joint.is_symbolic else None))
        sides: list[list[Run]] = [[], []]
        for pair, flip in zip(places, flipped, strict=True):
            runs = self.use(pair)
            for side, run in enumerate(runs[::-1] if flip else runs):
                sides[side].append(run)
        for side, runs in enumerate(sides):
            self.join(runs)
            for run, gate in zip(runs, joint.gates, strict=True):
                self.local(run, gate.before[side])
            self.mark(number, side, runs)
            for run, gate in zip(runs, joint.gates, strict=True):
                if gate.is_symbolic and gate.turns[side]:
                    turn = RZGate(gate.turns[side] * gate.angle)
                    self.piece_of[run].steps.append((self.time, ("gate", (run,), None, turn)))
                self.local(run, gate.after[side])

    def use(self, places: Iterable[int]) -> list[Run]:
        runs = [(qubit, self.run[qubit]) for qubit in places]
        self.last_use.update(dict.fromkeys(runs, self.time))
        return runs

    def local(self, run: Run, matrix: Any) -> None:
        if np.abs(matrix - matrix[0, 0] * np.eye(2)).max() > 1e-14:
            self.piece_of[run].steps.append((self.time, ("gate", (run,), matrix, None)))

    def mark(self, cut: int, side: int, runs: list[Run]) -> None:
        self.join(runs).steps.append((self.time, ("marker", tuple(runs), cut, side)))

    def join(self, runs: Iterable[Run]) -> _Piece:
        """The one piece that holds all these runs."""
        pieces = list({id(self.piece_of[run]): self.piece_of[run] for run in runs}.values())
        pieces.sort(key=lambda piece: -len(piece.steps))
        whole = pieces[0]
        for other in pieces[1:]:
            whole.runs += other.runs
            # Every piece is in order of time, and each moment belongs to one instruction.
            whole.steps = sorted(whole.steps + other.steps, key=lambda step: step[0])
            self.piece_of.update(dict.fromkeys(other.runs, whole))
        return whole

    def step(self, instruction: Any, runs: list[Run], row: int) -> tuple[Any, ...]:
        """One instruction within a part, its wires still named by run."""
        if instruction.name == "measure":
            bit = self.clbit[instruction.clbits[0]]
            self.writer[bit] = runs[0]
            self.written[bit] = self.time
            return ("measure", tuple(runs), bit)
        if instruction.name == "reset":
            return ("reset", tuple(runs))
        if instruction.name == "if_else":
            return self.condition(instruction, runs, row)
        if instruction.is_parameterized():
            return ("gate", tuple(runs), None, instruction.operation)
        return ("gate", tuple(runs), matrix_of(instruction), None)

    def condition(self, instruction: Any, runs: list[Run], row: int) -> tuple[Any, ...]:
        bits, value = condition_bits(instruction.operation, self.clbit)
        here = self.part[runs[0][0]] if runs else None
        for bit in bits:
            writer = self.writer.get(bit)
            if writer is None:
                continue
            if here is not None and self.piece_of[writer].part != here:
                reason = (
                    f"its condition reads clbit {bit}, which is measured on part {self.piece_of[writer].part}, and it "
                    f"acts on part {here}; a condition does not reach across a cut"
                )
                raise UnsupportedOperation(operation="if_else", reason=reason, index=row)
            self.join([*runs, writer])
            self.read_until[bit] = self.time
        blocks = []
        for block in instruction.operation.blocks:
            wires = dict(zip(block.qubits, runs, strict=True))
            bits_of = dict(zip(block.clbits, instruction.clbits, strict=True))
            steps = []
            for inner in block.data:
                moved = inner.replace(clbits=[bits_of[each] for each in inner.clbits])
                if inner.name == "measure":  # where it does not happen the bit keeps what was written before
                    earlier = self.writer.get(self.clbit[moved.clbits[0]])
                    if earlier is not None and self.piece_of[earlier].part != here:
                        reason = "it may overwrite a bit that another part has measured"
                        raise UnsupportedOperation(operation="if_else", reason=reason, index=row)
                    self.join([*runs, *([earlier] if earlier is not None else [])])
                    self.read_until[self.clbit[moved.clbits[0]]] = self.time
                steps.append(self.step(moved, [wires[each] for each in inner.qubits], row))
                if inner.name == "measure":
                    self.written[self.clbit[moved.clbits[0]]] = -1  # never a plain final measurement
            blocks.append(steps)
        return ("condition", tuple(runs), bits, value, blocks[0], blocks[1] if len(blocks) > 1 else [])

    def spread(self, places: Iterable[int]) -> str:
        return ", ".join(f"qubit {qubit} on {self.part[qubit]}" for qubit in places)

    def finish(self) -> CutCircuit:
        """Name wires by their place in the fragment and tell what stands where at the end."""
        for qubit in range(self.circuit.num_qubits):
            self.arrive(qubit, len(self.circuit.data))
        pieces = list({id(piece): piece for piece in self.piece_of.values()}.values())
        pieces.sort(key=lambda piece: (piece.part, min(piece.runs)))
        number = {id(piece): position for position, piece in enumerate(pieces)}
        decompositions = {each: cut[0] for each, cut in enumerate(self.cuts)}
        fragments = tuple(self.fragment(piece, decompositions) for piece in pieces)
        ends: dict[tuple[int, int], tuple[int, int]] = {}
        for position, fragment in enumerate(fragments):
            for axis, marker in enumerate(fragment.markers):
                ends[marker.cut, marker.side] = (position, axis)
        cuts = tuple(
            Cut(decomposition=decomposition, ends=(ends[each, 0], ends[each, 1]), rows=rows, source=source)
            for each, (decomposition, rows, source) in enumerate(self.cuts)
        )
        outputs = []
        for qubit, run in enumerate(self.run):
            home = number[id(self.piece_of[qubit, run])]
            fragment = fragments[home]
            outputs.append((home, fragment.outputs.index(fragment.wires.index((qubit, run)))))
        return CutCircuit(
            circuit=self.circuit,
            assignment=self.assignment,
            fragments=fragments,
            cuts=cuts,
            outputs=tuple(outputs),
            clbits=tuple(self.bit(each, fragments, number) for each in range(self.circuit.num_clbits)),
        )

    def bit(self, bit: int, fragments: tuple[Fragment, ...], number: dict[int, int]) -> tuple[int, bool, int] | None:
        if bit not in self.writer:
            return None
        home = number[id(self.piece_of[self.writer[bit]])]
        fragment = fragments[home]
        for clbit, local in fragment.finals:
            if clbit == bit:
                return home, True, fragment.outputs.index(local)
        return home, False, fragment.bits.index(bit)

    def fragment(self, piece: _Piece, decompositions: dict[int, Decomposition]) -> Fragment:
        wires = tuple(sorted(piece.runs))
        local = {run: position for position, run in enumerate(wires)}
        outputs = tuple(local[run] for run in wires if run[1] == self.run[run[0]])
        finals, bits, steps = [], [], []
        for time, raw in piece.steps:
            if raw[0] == "measure" and self.is_final(time, raw):
                finals.append((raw[2], local[raw[1][0]]))
            else:
                steps.append(_step(raw, local.__getitem__))
        bits = sorted(
            bit for bit, run in self.writer.items() if run in local and bit not in {clbit for clbit, _ in finals}
        )
        return with_sides(
            piece.part, wires, tuple(steps), decompositions, outputs=outputs, finals=tuple(finals), bits=tuple(bits)
        )

    def is_final(self, time: int, raw: tuple[Any, ...]) -> bool:
        """Whether a measurement is the last thing on its qubit and of its bit, so that it can wait for the end."""
        (run,), bit = raw[1], raw[2]
        ends_here = run[1] == self.run[run[0]]
        return ends_here and self.last_use[run] == time == self.written[bit] and self.read_until.get(bit, -1) < time


def _gates(circuit: QuantumCircuit, rows: Iterable[int]) -> frozenset[int]:
    wanted = frozenset(rows)
    gates = {row for row, qubits, name in operands(circuit) if len(qubits) == 2 and name not in CONTROL_FLOW}
    if not wanted <= gates:
        rule = "only the rows of two-qubit gates can be cut inside a part"
        raise InvalidValue(field="inside", value=sorted(wanted - gates), rule=rule)
    return wanted


def _step(raw: tuple[Any, ...], local: Callable[[Run], int]) -> Step:
    kind, places = raw[0], tuple(local(run) for run in raw[1])
    if kind == "gate":
        return Gate(places, raw[2], raw[3])
    if kind == "measure":
        return Measure(places[0], raw[2])
    if kind == "reset":
        return Reset(places[0])
    if kind == "marker":
        return Marker(raw[2], raw[3], places)
    then, otherwise = (tuple(_step(each, local) for each in steps) for steps in raw[4:6])
    return Condition(raw[2], raw[3], then, otherwise)


def _cut_gate(instruction: Any) -> GateDecomposition:
    """The cut of one gate; gates without parameters are worked out once."""
    operation = instruction.operation
    standard = getattr(operation, "_standard_gate", None) is not None
    plain = standard and not operation.params and not instruction.clbits
    key = f"{instruction.name} {getattr(operation, 'ctrl_state', '')}"
    if plain and key in _CUT_GATES:
        return _CUT_GATES[key]
    cut = cut_gate(operation)
    if plain:
        _CUT_GATES[key] = cut
    return cut
