"""OpenQASM 3 text to a Qiskit circuit, with the place of every fault and a limit on the time.

The public reader (``qiskit.qasm3.loads``) gives no place for syntax errors, wrong operand counts and indices out of
range, prints to stderr, and cannot be stopped. This module drives the same parser and the same converter, and watches
them while they work.
"""

from __future__ import annotations

import time
import warnings
from typing import Any, NoReturn

from openqasm3 import ast, parser
from qiskit import QuantumCircuit
from qiskit_qasm3_import import ConversionError
from qiskit_qasm3_import.converter import ConvertVisitor

from hyperfabric_q.convert.limits import ReaderLimits
from hyperfabric_q.errors import CircuitRejected, HyperFabricError

_CLOCK_EVERY = 256

# The parser and its runtime carry no types.
_grammar: Any = parser
_ErrorListener: Any = _grammar.ErrorListener
_BailErrorStrategy: Any = _grammar.BailErrorStrategy


class _Watch:
    """The source, the clock, and where the reader stands."""

    def __init__(self, source: str, seconds: float) -> None:
        self.source = source
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.ticks = 0
        self.line: int | None = None
        self.column: int | None = None

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks % _CLOCK_EVERY == 0 and time.monotonic() > self.deadline:
            self.reject(
                f"reading takes longer than {self.seconds:g} s",
                remedy="Raise ReaderLimits(seconds=...), or use OpenQASM 2, which reads about 50 times faster.",
            )

    def at(self, line: int | None, column: int | None) -> None:
        """Note where the reader stands; columns come counted from 0."""
        self.line = line
        self.column = None if column is None else column + 1

    def reject(self, reason: str, *, remedy: str = "", cause: BaseException | None = None) -> NoReturn:
        raise CircuitRejected(
            reason=reason.strip().rstrip(".")[:500],
            source=self.source,
            line=self.line,
            column=self.column,
            remedy=remedy,
        ) from cause


class _Listener(_ErrorListener):  # type: ignore[misc]  # untyped base
    """Turns each fault that the lexer or the parser reports into ``CircuitRejected``."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def syntaxError(self, _parser: Any, _symbol: Any, line: int, column: int, message: str, _fault: Any) -> None:  # noqa: N802
        self._watch.at(line, column)
        self._watch.reject(message)


class _Strategy(_BailErrorStrategy):  # type: ignore[misc]  # untyped base
    """Stops at the first fault, and at the deadline."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def sync(self, _recognizer: Any) -> None:
        self._watch.tick()

    def recover(self, _recognizer: Any, fault: Any) -> NoReturn:
        token = getattr(fault, "offendingToken", None)
        self._fault(token, fault)

    def recoverInline(self, recognizer: Any) -> NoReturn:  # noqa: N802
        self._fault(recognizer.getCurrentToken(), None)

    def _fault(self, token: Any, fault: BaseException | None) -> NoReturn:
        if token is None:
            self._watch.reject("the syntax is wrong", cause=fault)
        self._watch.at(token.line, token.column)
        shown = "the end of the text" if token.text == "<EOF>" else repr(token.text)
        self._watch.reject(f"{shown} is not expected here", cause=fault)


class _Converter(ConvertVisitor):
    """The importer's converter, noting the statement it works on."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def visit(self, node: Any, context: Any = None) -> Any:
        if isinstance(node, ast.Statement) and node.span is not None:
            self._watch.at(node.span.start_line, node.span.start_column)
            self._watch.tick()
        return super().visit(node, context)


def read(text: str, *, source: str, limits: ReaderLimits) -> QuantumCircuit:
    """Return the circuit that an OpenQASM 3 text describes; the text has passed the pre-scan.

    Raises:
        CircuitRejected: The text is malformed, holds what Qiskit cannot represent, or takes too long.

    Cost: about 0.3 ms a statement; nearly all of it is the ANTLR parser, in Python.
    """
    watch = _Watch(source, limits.seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the importer's own, about Qiskit's future
            return _Converter(watch).convert(_parse(text, watch)).circuit
    except (KeyboardInterrupt, SystemExit, HyperFabricError):
        raise
    except ConversionError as fault:
        # The place in it is wrong for single words (an offset where a column is due): the statement's is right.
        place, _, reason = fault.message.partition(": ")
        watch.reject(reason if place.replace(",", "").isdecimal() else fault.message, cause=fault)
    except RecursionError as fault:
        watch.reject("it nests too deep to be read", remedy="Split long expressions and branches.", cause=fault)
    except MemoryError as fault:
        watch.reject("there is not enough memory to read it", cause=fault)
    except IndexError as fault:
        watch.reject("an index is out of range", cause=fault)
    except BaseException as fault:
        watch.reject(str(getattr(fault, "message", "") or fault) or type(fault).__name__, cause=fault)


def _parse(text: str, watch: _Watch) -> Any:
    lexer = _grammar.qasm3Lexer(_grammar.InputStream(text))
    reader = _grammar.qasm3Parser(_grammar.CommonTokenStream(lexer))
    for each in (lexer, reader):
        each.removeErrorListeners()  # the default one prints to stderr
        each.addErrorListener(_Listener(watch))
    reader._errHandler = _Strategy(watch)  # the runtime has no setter
    return _grammar.QASMNodeVisitor().visitProgram(reader.program())
