"""Where one statement of an OpenQASM text ends: the tokens of OpenQASM 2 and 3, read one statement at a time.

One compiled pattern per version, without backtracking (possessive quantifiers), so that reading is linear in the text
whatever the text is. The patterns skip exactly the comments that the parser of that version skips: nothing hides behind
a comment here that the parser would see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hyperfabric_q.convert.limits import Source

STATEMENT_TOKENS = 1_000_000
"""Tokens of one statement, which bound the memory of the scan: a barrier on 100,000 qubits needs half of them."""

INTEGER_DIGITS = 4_000
"""Digits of one number: Python itself refuses to convert more than 4,300."""

_SKIP_2 = r"(?:[ \t\r\n]|//[^\n]*+)*+"
_SKIP_3 = r"(?:[ \t\r\n]|//[^\r\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+"

TOKEN: Final[dict[int, re.Pattern[str]]] = {
    2: re.compile(
        _SKIP_2 + r"""([A-Za-z_][A-Za-z0-9_]*+|(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"""
        r"""|"[^"\n]*+"|'[^'\n]*+'|->|==|[;,(){}\[\]+\-*/^])"""
    ),
    3: re.compile(
        _SKIP_3 + r"""([^\W\d]\w*+|\$[0-9]++|0[xX][0-9a-fA-F_]++|0[oO][0-7_]++|0[bB][01_]++"""
        r"""|(?:[0-9][0-9_]*+(?:\.(?!\.)[0-9_]*+)?+|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9_]++)?+"""
        r"""(?:[ \t]*+(?:dt|ns|us|µs|ms|s|im)\b)?+"""
        r"""|"[^"\r\n]*+"|'[^'\r\n]*+'|->|\+\+|\*\*|==|!=|<=|>=|&&|\|\||<<|>>|[;,:.@(){}\[\]+\-*/^=<>~!%&|])"""
    ),
}
_REST: Final[dict[int, re.Pattern[str]]] = {2: re.compile(_SKIP_2), 3: re.compile(_SKIP_3)}

_HEADER = re.compile(_SKIP_3 + r"OPENQASM[ \t\r\n]++([0-9]{1,4}(?:\.[0-9]{1,4})?+)[ \t\r\n]*+;")
_BEGINS = re.compile(_SKIP_3 + r"OPENQASM\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its words, where each begins, and what ended it (";", "{", "}", or "" at the end of the text)."""

    words: list[str]
    offsets: list[int]
    end: str
    stop: int

    @property
    def offset(self) -> int:
        """Where the statement begins."""
        return self.offsets[0] if self.offsets else max(self.stop - 1, 0)


def header(text: str) -> tuple[str, int] | None:
    """Return the version that the header names and where the header ends; None when the text begins without one."""
    match = _HEADER.match(text)
    return (match[1], match.end()) if match else None


def begins_like_openqasm(text: str) -> bool:
    """Return whether the first word of ``text``, after comments, is OPENQASM."""
    return _BEGINS.match(text) is not None


def read_statement(source: Source, start: int, version: int, deepest: int) -> Statement:
    """Return the statement that begins at ``start``, of OpenQASM ``version`` (2 or 3).

    Args:
        source: The text.
        start: Where to begin.
        version: 2 or 3.
        deepest: How far brackets may nest.

    Raises:
        CircuitRejected: a character that is no token, unbalanced or too deep brackets, an overlong number.
    """
    words: list[str] = []
    offsets: list[int] = []
    step = TOKEN[version].scanner(source.text, start).match  # type: ignore[attr-defined]  # missing from the stubs
    depth = 0
    position = start
    while (match := step()) is not None:
        word, offset, position = match[1], match.start(1), match.end()
        if word in ";{}" and depth == 0 and not (word == "{" and words and words[-1] in ("in", "=")):
            return Statement(words, offsets, word, position)
        if word in "([{":
            depth += 1
            if depth > deepest:
                source.reject(f"brackets nest deeper than {deepest}", offset, "Simplify the expression.")
        elif word in ")]}":
            depth -= 1
            if depth < 0:
                source.reject(f"a {word!r} that closes nothing", offset, "Remove it, or open the bracket before it.")
        elif word == ";":
            source.reject("a ';' inside brackets", offset, "Close the bracket before it.")
        words.append(word)
        offsets.append(offset)
        if len(word) > INTEGER_DIGITS:
            source.reject(f"a word of {len(word):,} characters", offset, "Write a shorter name or number.")
        if len(words) > STATEMENT_TOKENS:
            source.reject(f"a statement of more than {STATEMENT_TOKENS:,} words", offsets[0], "Split it.")
    rest = _REST[version].match(source.text, position)
    position = rest.end() if rest else position
    if position < len(source.text):
        source.reject(
            f"the character {source.text[position]!r} begins nothing that OpenQASM {version} knows",
            position,
            "Remove it, or close the string or comment that it begins.",
        )
    return Statement(words, offsets, "", position)


def matching(words: list[str], opening: int) -> int:
    """Return the index of the bracket that closes ``words[opening]``, or ``len(words)`` when none does."""
    depth = 0
    for index in range(opening, len(words)):
        if words[index] in ("(", "[", "{"):
            depth += 1
        elif words[index] in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return index
    return len(words)


def split(words: list[str], start: int, stop: int, separator: str = ",") -> list[tuple[int, int]]:
    """Return the spans of ``words[start:stop]`` between separators outside brackets; no words give no span."""
    spans: list[tuple[int, int]] = []
    depth, begin = 0, start
    for index in range(start, stop):
        word = words[index]
        if word in ("(", "[", "{"):
            depth += 1
        elif word in (")", "]", "}"):
            depth -= 1
        elif word == separator and depth == 0:
            spans.append((begin, index))
            begin = index + 1
    if begin < stop:
        spans.append((begin, stop))
    return spans
