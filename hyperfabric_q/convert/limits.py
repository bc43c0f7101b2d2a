"""What the circuit readers accept at most, and where a fault in a text is reported.

A text from outside is untrusted: a few hundred bytes of OpenQASM can ask for 2**39 gates, a billion qubits or hours of
parsing. Each limit bounds one resource that such a text can exhaust; the defaults keep a refusal under two seconds and
512 MB.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NoReturn

from hyperfabric_q.errors import CircuitRejected, InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderLimits:
    """The largest input that a reader accepts; raise a field to accept more.

    Attributes:
        source_bytes: Size of the text or file.
        qubits: Declared qubits, all registers together.
        clbits: Declared classical bits, all registers together.
        statements: Statements in the text, gate bodies included.
        instructions: Instructions of the circuit that is built, after broadcasting over registers.
        declarations: Gate definitions. Qiskit keeps, for each one, a table of all before it: the memory is quadratic.
        gate_nesting: How deep gate definitions may call one another.
        expanded_gates: Gates after every definition, loop and broadcast is expanded; a barrier counts its operands.
        gate_copies: Copies of gate definitions made while reading OpenQASM 3, whose importer expands eagerly.
        listed_bits: Bits that conditions and aliases list. Qiskit stores a whole register per conditional operation.
        parentheses: Nesting of brackets and of operators in one statement.
        seconds: Wall time of one read.
    """

    source_bytes: int = 16_000_000
    qubits: int = 100_000
    clbits: int = 100_000
    statements: int = 5_000_000
    instructions: int = 1_000_000
    declarations: int = 8_000
    gate_nesting: int = 64
    expanded_gates: int = 10_000_000
    gate_copies: int = 20_000
    listed_bits: int = 500_000
    parentheses: int = 256
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            number = int | float if each.name == "seconds" else int
            if isinstance(value, bool) or not isinstance(value, number) or not value > 0:
                raise InvalidValue(field=f"ReaderLimits.{each.name}", value=value, rule="a limit is a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A text and its name: what turns an offset into "file:line:column"."""

    text: str
    name: str

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of ``offset``, both counted from 1."""
        line = self.text.count("\n", 0, offset) + 1
        return line, offset - self.text.rfind("\n", 0, offset)

    def reject(self, reason: str, offset: int | None, remedy: str = "") -> NoReturn:
        """Raise ``CircuitRejected`` at ``offset`` (None: the text as a whole is at fault)."""
        line, column = (None, None) if offset is None else self.place(offset)
        raise CircuitRejected(reason=reason, source=self.name, line=line, column=column, remedy=remedy)

    def over(self, what: str, found: int, limit: int, field: str, offset: int | None) -> NoReturn:
        """Raise ``CircuitRejected`` because ``found`` exceeds the limit held in ``ReaderLimits.field``."""
        shown = f"{found:,}" if found < 10**15 else f"about 10^{len(str(found)) - 1}" if found < 10**300 else "far more"
        self.reject(
            f"{what}: {shown}, the limit is {limit:,}",
            offset,
            f"If the circuit is meant to be that large, read it with ReaderLimits({field}=...).",
        )
