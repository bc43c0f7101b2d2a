"""What one OpenQASM 3 statement adds to the pre-scan.

Only the statements that the importer reads are let through; the others are refused here, by name, with a remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hyperfabric_q.convert.angles import Bound, magnitude
from hyperfabric_q.convert.scan import (
    EXPRESSION_WORDS_3,
    GATES_3,
    LOOSE_BITS,
    OPERATION_BITS,
    Block,
    Gate,
    Scan,
)
from hyperfabric_q.convert.tokens import matching, split

LIBRARY = "stdgates.inc"

CONTROL_STACK = 3
"""Stacked ``ctrl @``, through definitions: each multiplies the importer's time by about six. ``ctrl(n) @`` is one."""

CONTROL_QUBITS = 64
POWER_QUBITS = 6
"""``pow`` on a gate is done on its matrix."""

POWER_CONTROLS = 4
"""Control qubits on a gate raised to a power: the importer synthesises its matrix."""

POWER_LARGEST = 1e6

_MODIFIERS = ("ctrl", "negctrl", "inv", "pow")

_REFUSED: Final[Mapping[str, str]] = {
    "while": "a loop without a bound cannot be planned; write a 'for' over a constant range",
    "def": "subroutines are not read; write a gate, or the body in place",
    "extern": "external functions are not read",
    "cal": "pulse calibrations are not read",
    "defcal": "pulse calibrations are not read",
    "defcalgrammar": "pulse calibrations are not read",
    "pragma": "pragmas are not read",
    "switch": "'switch' is not read; write 'if' statements",
    "end": "'end' is not read",
    "return": "subroutines are not read",
    "opaque": "opaque gates are not read",
    "array": "arrays are not read",
    "output": "outputs are not read; declare a 'bit' register",
    "const": "constants are not read; write the value in place",
    "int": "classical variables are not read; only bits are",
    "uint": "classical variables are not read; only bits are",
    "float": "classical variables are not read; only bits are",
    "angle": "classical variables are not read; only bits are",
    "bool": "classical variables are not read; only bits are",
    "complex": "classical variables are not read; only bits are",
    "duration": "durations are not read",
    "stretch": "durations are not read",
}


def statement_3(scan: Scan) -> None:
    """Count the current statement of ``scan``."""
    words = scan.statement.words
    if words:
        _from(scan, 0)
    elif scan.statement.end == "{":
        scan.source.reject("a block that belongs to no statement", scan.statement.stop - 1, "Remove its braces.")


def _from(scan: Scan, start: int) -> None:
    words = scan.statement.words
    if start >= len(words):
        if scan.statement.end == "{":
            return
        scan.reject("a statement is missing here", start)
    first = words[start]
    if first in _REFUSED:
        scan.reject(_REFUSED[first], start)
    if first == "@":
        scan.reject("annotations are not read", start, "Remove the annotation.")
    opener = _OPENERS.get(first)
    if opener is not None:
        opener(scan, start)
        return
    if scan.statement.end == "{":
        scan.reject(f"a block after {first[:60]!r}", start, "Check for a missing ';' before it.")
    if scan.statement.end != ";":
        scan.reject("a ';' is missing at the end of this statement", start)
    rule = _RULES.get(first)
    if rule is not None:
        rule(scan, start)
    elif "=" in words[start:]:
        _assign(scan, start)
    else:
        _apply(scan, start)


# ------------------------------------------------------------------------------------------------------------ blocks


def _enter(scan: Scan, block: Block, rest: int) -> None:
    """Open ``block``; close it at once when its body is the one statement from word ``rest`` on."""
    scan.open(block)
    if rest >= len(scan.statement.words) and scan.statement.end == "{":
        return
    block.braces = False
    depth = len(scan.blocks)
    _from(scan, rest)
    if len(scan.blocks) == depth:  # otherwise the body is a block with braces, whose end ends this one too
        scan.leave()


def _gate(scan: Scan, start: int) -> None:
    if scan.statement.end != "{":
        scan.reject("a gate definition without its body", start)
    if start:
        scan.reject("a gate definition inside a branch", start)
    scan.begin_gate()


def _if(scan: Scan, start: int) -> None:
    words = scan.statement.words
    close = matching(words, start + 1) if start + 1 < len(words) and words[start + 1] == "(" else len(words)
    if close >= len(words):
        scan.reject("a branch is written 'if (condition) { ... }'", start)
    if close - start > EXPRESSION_WORDS_3:
        scan.reject(f"a condition of more than {EXPRESSION_WORDS_3} words", start)
    bits = OPERATION_BITS
    for index in range(start + 2, close):
        size = scan.classical.get(words[index], 0)
        bits += 1 if size and words[index + 1] == "[" else size
    scan.list_bits(bits * (1 + len(scan.blocks)))
    _enter(scan, Block(kind="if", offset=scan.statement.offset), close + 1)


def _else(scan: Scan, start: int) -> None:
    scan.list_bits(OPERATION_BITS)
    _enter(scan, Block(kind="else", offset=scan.statement.offset), start + 1)


def _box(scan: Scan, start: int) -> None:
    words = scan.statement.words
    rest = start + 1
    if rest < len(words) and words[rest] == "[":
        rest = matching(words, rest) + 1
    _enter(scan, Block(kind="box", offset=scan.statement.offset), rest)


def _for(scan: Scan, start: int) -> None:
    words = scan.statement.words
    if "in" not in words[start:]:
        scan.reject("a loop is written 'for int i in [a:b] { ... }'", start)
    inside = words.index("in", start)
    if inside + 1 >= len(words) or words[inside + 1] not in ("[", "{"):
        scan.reject("a loop runs over a constant range [a:b] or a set {a, b}", inside)
    close = matching(words, inside + 1)
    if words[inside + 1] == "{":
        spans = split(words, inside + 2, close)
        ends = [scan.integer(*span) or 0 for span in spans]
        repeat = len(spans)
    else:
        repeat, ends = _range(scan, inside + 2, close)
    if repeat > scan.limits.expanded_gates:
        scan.over("turns of this loop", repeat, "expanded_gates")
    name = words[inside - 1]
    block = Block(kind="for", offset=scan.statement.offset, repeat=repeat, variable=name)
    largest = max((abs(each) for each in ends), default=0)
    scan.list_bits(OPERATION_BITS)
    if name in scan.names:
        scan.reject(f"the loop variable {name!r} hides another", inside - 1, "Give it another name.")
    scan.names[name] = Bound(float(min(largest, 10**18)))
    _enter(scan, block, close + 1)


def _range(scan: Scan, start: int, stop: int) -> tuple[int, list[int]]:
    parts = split(scan.statement.words, start, stop, ":")
    if len(parts) not in (2, 3) or any(begin == end for begin, end in parts):
        scan.reject("a range is written [first:last] or [first:step:last]", start)
    numbers = [scan.integer(*part) for part in parts]
    known = [each for each in numbers if each is not None]
    if len(known) < len(numbers):
        scan.reject("the range of a loop must be constant", start)
    step = known[1] if len(known) == 3 else 1
    if step == 0:
        scan.reject("a range with step 0 never ends", start)
    return max(0, (known[-1] - known[0]) // step + 1), [known[0], known[-1]]


# -------------------------------------------------------------------------------------------------------- statements


def _include(scan: Scan, start: int) -> None:
    words = scan.statement.words
    name = words[start + 1][1:-1] if len(words) == start + 2 and words[start + 1][0] in "\"'" else ""
    if name != LIBRARY:
        scan.reject(
            f"only {LIBRARY!r} can be included, no other file is ever opened",
            min(start + 1, len(words) - 1),
            "Paste the definitions of the other file into this one.",
        )
    scan.gates.update(GATES_3)


def _quantum(scan: Scan, start: int) -> None:
    name, size = _declared(scan, start, after=None)
    scan.declare("qubits", name, size, start)


def _classical(scan: Scan, start: int) -> None:
    words = scan.statement.words
    equals = words.index("=") if "=" in words else len(words)
    name, size = _declared(scan, start, after=equals)
    scan.declare("clbits", name, size, start)
    if equals < len(words):
        _assign(scan, start)


def _declared(scan: Scan, start: int, after: int | None) -> tuple[str, int]:
    """Return name and size of "qubit[4] q", "qubit q" or the older "qreg q[4]"."""
    words = scan.statement.words
    stop = len(words) if after is None else after
    at = start + 1
    size: int | None = 1
    if at < stop and words[at] == "[":
        close = matching(words, at)
        size = scan.integer(at + 1, min(close, stop))
        name_at = close + 1
        end = name_at + 1
    else:
        name_at, end = at, at + 1
        if end < stop and words[end] == "[" and words[start] in ("qreg", "creg"):
            close = matching(words, end)
            size = scan.integer(end + 1, min(close, stop))
            end = close + 1
        else:
            scan.loose += 1
            if scan.loose > LOOSE_BITS:
                scan.reject(f"more than {LOOSE_BITS:,} single bits are declared", start, "Declare them as a register.")
    if name_at >= stop or end != stop or size is None:
        scan.reject(f"a register is declared as '{words[start]}[size] name;'", start)
    return words[name_at], size


def _alias(scan: Scan, start: int) -> None:
    words = scan.statement.words
    if len(words) < start + 4 or words[start + 2] != "=":
        scan.reject("an alias is written 'let name = register[a:b];'", start)
    parts = split(words, start + 3, len(words), "++")
    width = sum(scan.width(*part) for part in parts)
    if len(parts) > EXPRESSION_WORDS_3 // 2:
        scan.reject(f"an alias of more than {EXPRESSION_WORDS_3 // 2} parts", start)
    scan.list_bits(width + OPERATION_BITS)
    table = scan.classical if words[start + 3] in scan.classical else scan.quantum
    table[words[start + 1]] = width


def _input(scan: Scan, start: int) -> None:
    scan.names[scan.statement.words[-1]] = Bound(float("inf"))
    if len(scan.statement.words) < start + 3:
        scan.reject("an input is written 'input angle name;'", start)


def _assign(scan: Scan, start: int) -> None:
    words = scan.statement.words
    equals = words.index("=", start)
    if equals + 2 > len(words) - 1 or words[equals + 1] != "measure":
        scan.reject("only a measurement can be assigned to a bit", equals, "Write 'bit = measure qubit;'.")
    width = scan.width(equals + 2, len(words))
    scan.add(width, width, scan.statement.offset, 2 * width)


def _measure(scan: Scan, start: int) -> None:
    words = scan.statement.words
    arrow = words.index("->") if "->" in words else len(words)
    if not start + 1 < arrow < len(words) - 1:
        scan.reject("a measurement must be kept: write 'bit = measure qubit;'", start)
    width = scan.width(start + 1, arrow)
    scan.add(width, width, scan.statement.offset, 2 * width)


def _reset(scan: Scan, start: int) -> None:
    width = scan.width(start + 1, len(scan.statement.words))
    scan.add(width, width, scan.statement.offset, width)


def _barrier(scan: Scan, start: int) -> None:
    words = scan.statement.words
    width = sum(scan.width(*span) for span in split(words, start + 1, len(words)))
    width = width or scan.qubits
    scan.add(max(1, width), 1, scan.statement.offset, width)


def _delay(scan: Scan, start: int) -> None:
    words = scan.statement.words
    if start + 1 >= len(words) or words[start + 1] != "[":
        scan.reject("a delay is written 'delay[100ns] qubit;'", start)
    close = matching(words, start + 1)
    if close - start > EXPRESSION_WORDS_3:
        scan.reject(f"a duration of more than {EXPRESSION_WORDS_3} words", start)
    width = sum(scan.width(*span) for span in split(words, close + 1, len(words))) or scan.qubits
    scan.add(width, width, scan.statement.offset, width)


def _loop_control(scan: Scan, start: int) -> None:
    if not scan.blocks:
        scan.reject(f"{scan.statement.words[start]!r} outside a loop", start)
    scan.add(1, 1, scan.statement.offset, scan.qubits)


# -------------------------------------------------------------------------------------------------------------- gates


def _modifiers(scan: Scan, start: int) -> tuple[int, int, int, bool]:
    """Return where the gate's name stands, how many ``ctrl`` are stacked, their qubits, and whether ``pow`` is used."""
    words = scan.statement.words
    at, stacked, controls, power = start, 0, 0, False
    while at < len(words) and words[at] in _MODIFIERS:
        modifier, argument = words[at], 1
        at += 1
        if at < len(words) and words[at] == "(":
            close = matching(words, at)
            if modifier == "pow":
                exponent = scan.value(at + 1, min(close, len(words)))
                if not magnitude(exponent) <= POWER_LARGEST:
                    scan.reject(f"a power above {POWER_LARGEST:g}", at)
            else:
                argument = scan.integer(at + 1, min(close, len(words))) or 0
            at = close + 1
        if at >= len(words) or words[at] != "@":
            scan.reject(f"a modifier is written '{modifier} @ gate'", start)
        if at + 1 < len(words) and scan.statement.offsets[at + 1] == scan.statement.offsets[at] + 1:
            scan.reject("'@' directly before a word begins an annotation", at, "Put a space after '@'.")
        at += 1
        power |= modifier == "pow"
        if modifier in ("ctrl", "negctrl"):
            stacked += 1
            controls += max(argument, 0)
        if controls > CONTROL_QUBITS or at - start > EXPRESSION_WORDS_3:
            scan.reject(f"more than {CONTROL_QUBITS} control qubits on one gate", start)
    return at, stacked, controls, power


def _apply(scan: Scan, start: int) -> None:
    words = scan.statement.words
    index, stacked, controls, power = _modifiers(scan, start)
    if index >= len(words):
        scan.reject("a modifier without a gate", start)
    first_operand, arguments = index + 1, list[tuple[int, int]]()
    if first_operand < len(words) and words[first_operand] == "(":
        close = matching(words, first_operand)
        arguments = split(words, first_operand + 1, min(close, len(words)))
        first_operand = close + 1
    if words[index] == "gphase":
        _global_phase(scan, first_operand, arguments, controls)
        return
    if first_operand < len(words) and words[first_operand] == "[":
        scan.reject("gates with durations are not read", first_operand)
    gate, cost, width = scan.call(index, first_operand=first_operand, arguments=arguments, controls=controls)
    copies = gate.copies
    if stacked or power:
        cost, copies = _modified(scan, gate, cost, stacked, controls, power=power)
    scan.copy(copies * width)
    if scan.blocks and scan.blocks[0].kind == "gate":
        scan.blocks[0].copies += copies
    operands = width * len(split(words, first_operand, len(words)))
    scan.add(cost * width, width, scan.statement.offset, operands)


def _modified(scan: Scan, gate: Gate, cost: int, stacked: int, controls: int, *, power: bool) -> tuple[int, int]:
    """Return cost and copies of a gate under ``ctrl`` and ``pow``, after checking that the importer can build it."""
    depth = gate.controls + stacked
    powers = gate.powers or power
    if power and gate.qubits > POWER_QUBITS:
        scan.reject(f"a power of a gate on {gate.qubits} qubits; at most {POWER_QUBITS} can be read")
    if depth > CONTROL_STACK:
        scan.reject(f"more than {CONTROL_STACK} stacked 'ctrl'", 0, "Write 'ctrl(n) @' for n control qubits.")
    if powers and controls > POWER_CONTROLS:
        scan.reject(f"more than {POWER_CONTROLS} control qubits on a power of a gate")
    copies = (1 + gate.copies) * 2 * 6 ** max(0, depth - 1) if stacked else gate.copies
    if power:
        copies += 4**gate.qubits // 16
    if powers and controls:
        copies += 8**controls
    if scan.blocks and scan.blocks[0].kind == "gate":
        scan.blocks[0].controls = max(scan.blocks[0].controls, depth)
        scan.blocks[0].powers |= powers
    return min(cost * (1 + 16 * controls * controls), 10 * scan.limits.expanded_gates), copies


def _global_phase(scan: Scan, first_operand: int, arguments: list[tuple[int, int]], controls: int) -> None:
    words = scan.statement.words
    for span in arguments:
        scan.value(*span)
    operands = split(words, first_operand, len(words))
    width = max((scan.width(*span) for span in operands), default=0)
    scan.copy(width + controls)
    scan.add(max(1, width), width, scan.statement.offset, width)


_OPENERS: Final[Mapping[str, Callable[[Scan, int], None]]] = {
    "gate": _gate,
    "if": _if,
    "else": _else,
    "for": _for,
    "box": _box,
}
_RULES: Final[Mapping[str, Callable[[Scan, int], None]]] = {
    "include": _include,
    "qubit": _quantum,
    "qreg": _quantum,
    "bit": _classical,
    "creg": _classical,
    "let": _alias,
    "input": _input,
    "measure": _measure,
    "reset": _reset,
    "barrier": _barrier,
    "delay": _delay,
    "break": _loop_control,
    "continue": _loop_control,
}
