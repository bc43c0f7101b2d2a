"""What one OpenQASM 2 statement adds to the pre-scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hyperfabric_q.convert.scan import OPERATION_BITS, Gate, Scan
from hyperfabric_q.convert.tokens import matching, split

LIBRARY = "qelib1.inc"


def statement_2(scan: Scan) -> None:
    """Count the current statement of ``scan``."""
    statement = scan.statement
    words = statement.words
    if not words:
        return
    rule = _RULES.get(words[0])
    if statement.end == "{":
        if words[0] != "gate":
            scan.reject(f"a block after {words[0]!r}", 0, "OpenQASM 2 has blocks only in gate definitions.")
        scan.begin_gate()
        return
    if statement.end != ";":
        scan.reject("a ';' is missing at the end of this statement")
    if rule is None:
        _apply(scan, 0)
        return
    if scan.blocks and words[0] != "barrier":
        scan.reject(f"{words[0]!r} inside a gate body", 0, "A gate body holds gates and barriers only.")
    rule(scan)


def _register(scan: Scan) -> None:
    words = scan.statement.words
    if len(words) != 5 or words[2] != "[" or words[4] != "]" or not words[3].isdecimal():
        scan.reject("a register is declared as 'qreg name[size];' or 'creg name[size];'")
    scan.declare("qubits" if words[0] == "qreg" else "clbits", words[1], int(words[3]), 3)


def _include(scan: Scan) -> None:
    words = scan.statement.words
    name = words[1][1:-1] if len(words) == 2 and words[1][0] in "\"'" else ""
    if name != LIBRARY:
        scan.reject(
            f"only {LIBRARY!r} can be included, no other file is ever opened",
            min(1, len(words) - 1),
            "Paste the definitions of the other file into this one.",
        )


def _opaque(scan: Scan) -> None:
    parameters, qubits = scan.signature()
    name = scan.statement.words[1]
    scan.gates[name] = Gate(name=name, qubits=qubits, parameters=tuple(parameters))


def _if(scan: Scan) -> None:
    words = scan.statement.words
    close = matching(words, 1) if len(words) > 1 and words[1] == "(" else len(words)
    if close != 5 or words[3] != "==" or close + 1 >= len(words):
        scan.reject("a condition is written 'if(register==number) gate qubit;'")
    if words[close + 1] in ("if", "barrier", "gate", "opaque", "qreg", "creg", "include"):
        scan.reject(f"{words[close + 1]!r} cannot be conditional", close + 1)
    before = scan.instructions
    rule = _RULES.get(words[close + 1])
    if rule is None:
        _apply(scan, close + 1)
    else:
        rule(scan)
    scan.list_bits((scan.instructions - before) * (OPERATION_BITS + scan.classical.get(words[2], 1)))


def _first(scan: Scan, word: str) -> int:
    return scan.statement.words.index(word) + 1


def _measure(scan: Scan) -> None:
    words = scan.statement.words
    start = _first(scan, "measure")
    arrow = words.index("->") if "->" in words else len(words)
    if not start < arrow < len(words) - 1:
        scan.reject("a measurement is written 'measure qubit -> bit;'")
    width = max(scan.width(start, arrow), scan.width(arrow + 1, len(words)))
    scan.add(width, width, scan.statement.offset)


def _reset(scan: Scan) -> None:
    width = scan.width(_first(scan, "reset"), len(scan.statement.words))
    scan.add(width, width, scan.statement.offset)


def _barrier(scan: Scan) -> None:
    words = scan.statement.words
    width = sum(scan.width(*span) for span in split(words, 1, len(words)))
    scan.add(max(1, width), 1, scan.statement.offset)


def _apply(scan: Scan, index: int) -> None:
    words = scan.statement.words
    first_operand = index + 1
    arguments: list[tuple[int, int]] = []
    if first_operand < len(words) and words[first_operand] == "(":
        close = matching(words, first_operand)
        arguments = split(words, first_operand + 1, min(close, len(words)))
        first_operand = close + 1
    _, cost, width = scan.call(index, first_operand=first_operand, arguments=arguments)
    scan.add(cost * width, width, scan.statement.offset)


_RULES: Final[Mapping[str, Callable[[Scan], None]]] = {
    "qreg": _register,
    "creg": _register,
    "include": _include,
    "opaque": _opaque,
    "if": _if,
    "measure": _measure,
    "reset": _reset,
    "barrier": _barrier,
}
