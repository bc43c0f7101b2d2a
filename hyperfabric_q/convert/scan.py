"""What an OpenQASM text would cost to read: the running totals of the pre-scan, its symbol tables and its blocks.

Nothing is expanded: the cost of a gate is the sum of the costs of the gates it calls, worked out once, at its
definition, and cut off just above the limit. Memory grows with the statements, not with what they expand to.
"""

from __future__ import annotations

import math
import time
from array import array
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn

from hyperfabric_q.convert.angles import Bound, Value, fold, magnitude
from hyperfabric_q.convert.limits import ReaderLimits, Source
from hyperfabric_q.convert.tokens import Statement, matching, split
from hyperfabric_q.errors import nearest

OPERATION_BITS = 32
"""A conditional operation costs Qiskit as much as listing this many bits, besides the bits of its register."""

EXACT_CHECKS = 100_000
"""Statements of gate bodies that are folded again for particular arguments, in one text."""

BLOCK_NESTING = 32
"""How deep the blocks of OpenQASM 3 may nest: its parser exhausts Python's recursion between 32 and 64."""

LOOSE_BITS = 2_000
"""Single-bit declarations of OpenQASM 3: the importer's time grows with their square."""

EXPRESSION_WORDS_3 = 200
EXPRESSION_DEPTH_3 = 64
"""The OpenQASM 3 parser is recursive and slow on long expressions: bounds below Python's recursion limit."""


@dataclass(frozen=True, slots=True)
class Call:
    """One statement of a gate body that has arguments: the gate and the words of each argument."""

    gate: Gate
    arguments: tuple[list[str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate and what it expands to; ``body`` is empty for a gate of the standard library.

    Its angles are finite for arguments up to ``bound``, unless it is ``fragile``: then they are folded for each call.
    """

    name: str
    qubits: int = 0
    parameters: tuple[str, ...] = ()
    cost: int = 1
    depth: int = 0
    copies: int = 0
    controls: int = 0
    powers: bool = False
    bound: float = math.inf
    fragile: bool = False
    body: tuple[Call, ...] = ()


@dataclass(slots=True, kw_only=True)
class Block:
    """An open block: a gate body, or a branch, loop or box of OpenQASM 3."""

    kind: Literal["gate", "if", "else", "for", "box"]
    offset: int
    repeat: int = 1
    bound: float = math.inf
    cost: int = 0
    name: str = ""
    variable: str = ""
    braces: bool = True
    parameters: dict[str, Value] = field(default_factory=dict)
    qubits: int = 0
    depth: int = 0
    copies: int = 0
    controls: int = 0
    powers: bool = False
    fragile: bool = False
    calls: list[Call] = field(default_factory=list)


def _table(*rows: tuple[int, int, str]) -> dict[str, Gate]:
    return {
        name: Gate(name=name, qubits=qubits, parameters=tuple("abcd"[:angles]))
        for angles, qubits, names in rows
        for name in names.split()
    }


GATES_2: Final = _table(
    (0, 1, "id x y z h s sdg t tdg sx sxdg"),
    (1, 1, "u0 u1 p rx ry rz"),
    (2, 1, "u2"),
    (3, 1, "u u3 U"),
    (0, 2, "cx cy cz ch swap csx CX"),
    (1, 2, "crx cry crz cu1 cp rxx rzz"),
    (3, 2, "cu3"),
    (4, 2, "cu"),
    (0, 3, "ccx cswap rccx"),
    (0, 4, "rc3x c3x c3sqrtx"),
    (0, 5, "c4x"),
)
GATES_3: Final = _table(
    (0, 1, "id x y z h s sdg t tdg sx"),
    (1, 1, "u1 p phase rx ry rz"),
    (2, 1, "u2"),
    (3, 1, "u3"),
    (0, 2, "cx CX cy cz ch swap"),
    (1, 2, "crx cry crz cp cphase"),
    (4, 2, "cu"),
    (0, 3, "ccx cswap"),
)
BUILT_IN_3: Final = _table((3, 1, "U"))


class Scan:
    """The state of one pre-scan."""

    def __init__(self, source: Source, limits: ReaderLimits, version: int) -> None:
        """Start the scan of a text of OpenQASM ``version``, 2 or 3."""
        self.source = source
        self.limits = limits
        self.version = version
        self.gates: dict[str, Gate] = dict(GATES_2 if version == 2 else BUILT_IN_3)
        self.defined: set[str] = set()
        self.quantum: dict[str, int] = {}
        self.classical: dict[str, int] = {}
        self.names: dict[str, Value] = {}
        self.blocks: list[Block] = []
        self.qubits = self.clbits = self.statements = self.instructions = 0
        self.expanded = self.copies = self.listed = self.loose = self.checks = 0
        self.starts = array("Q")
        self.offsets = array("Q")
        self.settled: set[tuple[str, tuple[Value, ...]]] = set()
        self.deadline = time.monotonic() + limits.seconds
        self.statement = Statement([], [], "", 0)
        self.deepest = limits.parentheses if version == 2 else min(limits.parentheses, EXPRESSION_DEPTH_3)

    # ------------------------------------------------------------------------------------------------------ faults

    def reject(self, reason: str, index: int = 0, remedy: str = "") -> NoReturn:
        """Reject the text at word ``index`` of the current statement."""
        offsets = self.statement.offsets
        offset = offsets[min(index, len(offsets) - 1)] if offsets else self.statement.offset
        self.source.reject(reason, offset, remedy)

    def over(self, what: str, found: int, field_name: str) -> NoReturn:
        """Reject the text at the current statement because a total exceeds its limit."""
        self.source.over(what, found, getattr(self.limits, field_name), field_name, self.statement.offset)

    # ------------------------------------------------------------------------------------------------------ values

    def value(self, start: int, stop: int) -> Value:
        """Return what words [start, stop) of the statement come to."""
        longest = None if self.version == 2 else EXPRESSION_WORDS_3
        names = self.names
        if self.blocks and self.blocks[0].kind == "gate":
            names = {**names, **self.blocks[0].parameters}
        return fold(self.statement.words, start, stop, names, deepest=self.deepest, longest=longest, reject=self.reject)

    def integer(self, start: int, stop: int) -> int | None:
        """Return the whole number that words [start, stop) come to, or None when a loop variable decides it."""
        word = self.statement.words[start] if stop - start == 1 else ""
        if word.isdecimal() and word.isascii():
            return int(word)
        value = self.value(start, stop)
        if isinstance(value, Bound):
            return None
        if not value.is_integer():
            self.reject("a whole number is needed here", start)
        return int(value)

    # ---------------------------------------------------------------------------------------------------- registers

    def declare(self, kind: Literal["qubits", "clbits"], name: str, size: int, index: int) -> None:
        """Enter a register; ``index`` is the word to blame."""
        if size < 0:
            self.reject(f"the register {name!r} has a negative size", index)
        limit = getattr(self.limits, kind)
        total = getattr(self, kind) + size
        if total > limit:
            if size > limit:
                self.over(f"{kind} of the register {name!r}", size, kind)
            self.over(f"{kind} in all registers", total, kind)
        setattr(self, kind, total)
        (self.quantum if kind == "qubits" else self.classical)[name] = size

    def width(self, start: int, stop: int) -> int:
        """Return how many bits the operand in words [start, stop) names; 1 when that cannot be told."""
        words = self.statement.words
        if start >= stop:
            return 1
        name = words[start]
        if name[0] == "$":
            return self._physical(name, start)
        size = self.quantum.get(name, self.classical.get(name, 1))
        if self.blocks and self.blocks[0].kind == "gate":
            size = 1
        if stop - start == 1:
            return size
        result = size
        at = start + 1
        while at < stop and words[at] == "[":
            close = matching(words, at)
            result = self._picked(at + 1, min(close, stop), result)
            at = close + 1
        return result

    def _physical(self, name: str, index: int) -> int:
        wanted = int(name[1:]) + 1 if len(name) < 20 else 10**18
        if wanted > self.qubits:
            if wanted > self.limits.qubits:
                self.over("qubits up to the physical qubit named here", wanted, "qubits")
            if self.quantum:
                self.reject("physical and declared qubits in one circuit", index, "Use one of the two.")
            self.qubits = wanted
        return 1

    def _picked(self, start: int, stop: int, size: int) -> int:
        words = self.statement.words
        if start >= stop:
            self.reject("an index is missing", start)
        if words[start] == "{":
            return len(split(words, start + 1, stop - 1))
        parts = split(words, start, stop, ":")
        if words[stop - 1] == ":":
            parts.append((stop, stop))
        if len(parts) == 1:
            index = self.integer(start, stop)
            if index is not None and index >= max(self.limits.qubits, self.limits.clbits):
                self.reject("an index is out of range", start)  # the parser of OpenQASM 2 panics on a long one
            return 1
        numbers = [self.integer(*part) if part[0] < part[1] else None for part in parts]
        if len(parts) > 3 or any(
            number is None and begin < end for number, (begin, end) in zip(numbers, parts, strict=True)
        ):
            return size
        first, last, step = numbers[0], numbers[-1], numbers[1] if len(parts) == 3 else None
        if step == 0:
            self.reject("a range with step 0", start)
        # The last index is included; the importer slices as Python does.
        stop_at = None if last is None else last + 1 if step is None or step > 0 else last - 1
        return len(range(*slice(first, stop_at, step).indices(size)))

    # ------------------------------------------------------------------------------------------------------- totals

    def add(self, cost: int, count: int, offset: int, bits: int = 0) -> None:
        """Count a statement: ``cost`` gates after expansion, ``count`` instructions, ``bits`` operands."""
        if self.blocks:
            block = self.blocks[-1]
            block.cost = min(block.cost + cost, self.limits.expanded_gates + 1)
            if block.kind != "gate":
                self.list_bits(bits * len(self.blocks))
            return
        self.expanded += cost
        if self.expanded > self.limits.expanded_gates:
            self.over("gates after expansion", self.expanded, "expanded_gates")
        if count:
            self.starts.append(self.instructions)
            self.offsets.append(offset)
            self.instructions += count
            if self.instructions > self.limits.instructions:
                self.over("instructions after broadcasting", self.instructions, "instructions")

    def list_bits(self, bits: int) -> None:
        """Count bits that Qiskit will store in a list of their own."""
        self.listed += bits
        if self.listed > self.limits.listed_bits:
            self.over("bits that conditions, branches and aliases list", self.listed, "listed_bits")

    def copy(self, copies: int) -> None:
        """Count copies of definitions that the OpenQASM 3 importer makes for this statement."""
        if self.version == 2:
            return
        self.copies += copies
        if self.copies > self.limits.gate_copies:
            self.over("copies of gate definitions made while reading", self.copies, "gate_copies")

    # -------------------------------------------------------------------------------------------------------- gates

    def gate(self, index: int) -> Gate:
        """Return the gate that word ``index`` names.

        Raises:
            CircuitRejected: none is defined up to here.
        """
        name = self.statement.words[index]
        found = self.gates.get(name)
        if found is None:
            self._unknown(name, index)
        return found

    def _unknown(self, name: str, index: int) -> NoReturn:
        if self.blocks and self.blocks[0].name == name:
            self.reject(f"the gate {name!r} calls itself", index, "A gate may call only gates defined before it.")
        if self.version == 3 and name in GATES_3:
            self.reject(f"the gate {name!r} is not defined", index, 'Add include "stdgates.inc"; after the header.')
        close = nearest(name, self.gates)
        hint = f"Did you mean {close!r}? " if close else ""
        self.reject(
            f"no gate or statement is called {name[:60]!r} up to here",
            index,
            f"{hint}A gate may be called only after its definition.",
        )

    def call(
        self, index: int, *, first_operand: int, arguments: list[tuple[int, int]], controls: int = 0
    ) -> tuple[Gate, int, int]:
        """Return the gate called at word ``index``, its cost for these arguments and how often it is broadcast.

        Checks that every angle is finite, in the call and in what the call expands to.
        """
        gate = self.gate(index)
        operands = split(self.statement.words, first_operand, len(self.statement.words))
        self._check_counts(gate, len(arguments), len(operands), controls, index)
        values = tuple(self.value(*each) for each in arguments)
        body = self.blocks[0] if self.blocks and self.blocks[0].kind == "gate" else None
        if body is not None:
            body.depth = max(body.depth, gate.depth)
            body.fragile |= any(not magnitude(each) < math.inf for each in values)
            if arguments:
                body.calls.append(Call(gate, tuple(self.statement.words[a:b] for a, b in arguments)))
        self._settle(gate, values, body, index)
        cost = gate.cost
        if gate.name == "u0" and values and not gate.body:
            cost = max(1, int(min(magnitude(values[0]), 1e18)))
        width = 1
        for span in operands:
            width = max(width, self.width(*span))
        return gate, cost, width

    def _check_counts(self, gate: Gate, angles: int, operands: int, controls: int, index: int) -> None:
        if angles != len(gate.parameters):
            self.reject(f"{gate.name!r} takes {len(gate.parameters)} angle(s), not {angles}", index)
        if operands != gate.qubits + controls:
            self.reject(f"{gate.name!r} acts on {gate.qubits + controls} qubit(s) here, not {operands}", index)

    def _settle(self, gate: Gate, values: tuple[Value, ...], body: Block | None, index: int) -> None:
        if not gate.body or (not gate.fragile and all(magnitude(each) <= gate.bound for each in values)):
            return
        exact = tuple(each for each in values if not isinstance(each, Bound))
        if len(exact) == len(values):
            self._fold_body(gate, exact, index)
        elif body is None:
            self.reject(
                f"the angles of {gate.name!r} cannot be shown to be finite for every value of its arguments",
                index,
                "Write the values out.",
            )
        else:
            body.fragile = True

    def _fold_body(self, gate: Gate, values: tuple[float, ...], index: int) -> None:
        if len(values) != len(gate.parameters) or (gate.name, values) in self.settled:
            return
        self.settled.add((gate.name, values))
        names: dict[str, Value] = dict(zip(gate.parameters, values, strict=True))

        def reject(reason: str, _: int) -> NoReturn:
            self.reject(f"with these arguments, an angle inside the gate {gate.name!r}: {reason}", index)

        for call in gate.body:
            self.checks += 1
            if self.checks > EXACT_CHECKS:
                self.reject("the angles inside its gates take too long to check", index, "Write the values out.")
            inner = [
                fold(each, 0, len(each), {**self.names, **names}, deepest=self.deepest, reject=reject)
                for each in call.arguments
            ]
            exact = tuple(each for each in inner if not isinstance(each, Bound))
            if call.gate.body and len(exact) == len(inner):
                self._fold_body(call.gate, exact, index)

    # ------------------------------------------------------------------------------------------------------- blocks

    def open(self, block: Block) -> None:
        """Enter a block."""
        if len(self.blocks) >= BLOCK_NESTING:
            self.reject(f"blocks nest deeper than {BLOCK_NESTING}", 0, "Flatten the branches.")
        if block.kind != "gate" and not self.blocks:
            self.add(0, 0 if block.kind == "else" else 1, block.offset)
        self.blocks.append(block)

    def close(self) -> None:
        """Leave the innermost block at its closing brace, and the ones around it whose body it is."""
        if not self.blocks:
            self.source.reject("a '}' that closes nothing", self.statement.stop - 1, "Remove it.")
        self.leave()
        while self.blocks and not self.blocks[-1].braces:
            self.leave()

    def leave(self) -> None:
        """Leave the innermost block and add up what it costs."""
        block = self.blocks.pop()
        if block.kind == "gate":
            self._define(block)
            return
        if block.variable:
            del self.names[block.variable]
        self.add(block.cost * block.repeat, 0, block.offset)

    def _define(self, block: Block) -> None:
        if block.cost > self.limits.expanded_gates:
            self.source.reject(
                f"the gate {block.name!r} expands to more than {self.limits.expanded_gates:,} gates",
                block.offset,
                "Read it with a larger ReaderLimits(expanded_gates=...) if that is meant.",
            )
        if block.depth + 1 > self.limits.gate_nesting:
            self.source.over(
                "nested gate definitions", block.depth + 1, self.limits.gate_nesting, "gate_nesting", block.offset
            )
        self.gates[block.name] = Gate(
            name=block.name,
            qubits=block.qubits,
            parameters=tuple(block.parameters),
            cost=max(1, block.cost),
            depth=block.depth + 1,
            copies=1 + block.copies,
            controls=block.controls,
            powers=block.powers,
            bound=block.bound,
            fragile=block.fragile,
            body=tuple(block.calls),
        )

    def signature(self) -> tuple[list[str], int]:
        """Return parameters and number of qubits of the statement "gate name(a, b) q, r" (or "opaque ...")."""
        words = self.statement.words
        if len(words) < 2:
            self.reject(f"{words[0]!r} without a name")
        self.defined.add(words[1])
        if len(self.defined) > self.limits.declarations:
            self.over("gate definitions", len(self.defined), "declarations")
        parameters: list[str] = []
        start = 2
        if len(words) > 2 and words[2] == "(":
            close = matching(words, 2)
            parameters = [words[begin] for begin, _ in split(words, 3, min(close, len(words)))]
            start = close + 1
        return parameters, len(split(words, start, len(words)))

    def begin_gate(self) -> None:
        """Enter the body of the gate that the statement "gate name(a, b) q, r" defines."""
        words = self.statement.words
        if self.blocks:
            self.reject("a gate definition inside a block", 0, "Define gates at the top level.")
        parameters, qubits = self.signature()
        # Smaller from gate to gate, so that a gate may pass on a multiple of its own parameter to an earlier one.
        bound = 10.0 ** max(80 - len(self.defined), 16)
        block = Block(
            kind="gate",
            offset=self.statement.offset,
            name=words[1],
            parameters={each: Bound(bound) for each in parameters},
            bound=bound,
            qubits=qubits,
        )
        self.gates.pop(words[1], None)
        self.open(block)
