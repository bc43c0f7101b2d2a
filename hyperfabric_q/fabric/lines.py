"""On which line of a TOML text a key stands.

The standard reader gives values without places. This scanner goes through the text once, in linear time, and notes the
line of every key. It accepts every valid TOML text; where the text is not valid it stops, and the reader reports it.
It also refuses keys of absurd length, on which the standard reader spends quadratic time.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Final

Path = tuple[str | int, ...]

DEEPEST: Final = 24
"""Deepest nesting, and longest dotted key: more is no fabric, and costs the standard reader its stack or its speed."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")
_STRINGS: Final = (
    re.compile(r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']++|'(?!''))*+'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]++|\\[^\n])*+"'),
    re.compile(r"'[^'\n]*+'"),
)
_ESCAPE: Final = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfr"\\]))')
_PLAIN_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class TooDeepError(Exception):
    """A text nested deeper than ``DEEPEST``; ``line`` is where."""

    def __init__(self, line: int) -> None:
        """Keep the line."""
        super().__init__(line)
        self.line = line


class _StrayError(Exception):
    """The text is no TOML from here on."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Return the lines of a text's keys, by their path: keys and the indices of arrays.

    Args:
        by_path: path → line, counted from 1.
    """

    by_path: dict[Path, int]

    def of(self, path: Path) -> int | None:
        """Return the line of ``path``, or of the nearest part around it that has one; None when nothing has."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.by_path:
                return self.by_path[path[:length]]
        return None


def locate(text: str) -> Lines:
    """Return the line of every key of ``text``, as far as it is valid TOML; O(length).

    Raises:
        TooDeepError: a key has more than 24 parts, or values are nested deeper.
    """
    scanner = _Scanner(text)
    with contextlib.suppress(_StrayError):
        scanner.document()
    return Lines(scanner.found)


class _Scanner:
    """A position in the text, and what was found before it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self._line = 1
        self._counted = 0
        self._array_lengths: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self.at >= len(self.text):
                return
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table, depth=1)
            self._end_of_line()

    def _header(self) -> Path:
        line = self._line_here()
        double = self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        parts = self._dotted()
        self._take("]]" if double else "]")
        path: Path = ()
        for part in parts[:-1]:
            path = self._newest((*path, part))
        path = (*path, parts[-1])
        if double:
            self._array_lengths[path] = self._array_lengths.get(path, 0) + 1
        self.found.setdefault(path, line)
        path = self._newest(path)
        self.found.setdefault(path, line)
        return path

    def _newest(self, path: Path) -> Path:
        """Return ``path``, or the last table of it where it is an array of tables."""
        length = self._array_lengths.get(path, 0)
        return (*path, length - 1) if length else path

    def _pair(self, table: Path, *, depth: int) -> None:
        line = self._line_here()
        path = table
        for part in self._dotted():
            path = (*path, part)
            self.found.setdefault(path, line)
        self._take("=")
        self._value(path, depth=depth)

    def _dotted(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append(self._key())
            if len(parts) > DEEPEST:
                raise TooDeepError(self._line_here())
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _key(self) -> str:
        if self.text.startswith(('"', "'"), self.at):
            return self._string(multiline=False)
        match = _BARE.match(self.text, self.at)
        if match is None:
            raise _StrayError
        self.at = match.end()
        return match.group()

    def _value(self, path: Path, *, depth: int) -> None:
        if depth > DEEPEST:
            raise TooDeepError(self._line_here())
        self._skip(_SPACE)
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self._array(path, depth)
        elif first == "{":
            self._inline_table(path, depth)
        elif first in {'"', "'"}:
            self._string(multiline=True)
        else:
            self._match(_SCALAR)

    def _array(self, path: Path, depth: int) -> None:
        opened = self._line_here()
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._taken("]"):
                return
            here = (*path, index)
            if (line := self._line_here()) != opened:
                # An element beside the bracket is found through the path of the array.
                self.found.setdefault(here, line)
            self._value(here, depth=depth + 1)
            index += 1
            self._skip(_BLANK)
            if not self._taken(","):
                self._take("]")
                return

    def _inline_table(self, path: Path, depth: int) -> None:
        self.at += 1
        self._skip(_BLANK)
        if self._taken("}"):
            return
        while True:
            self._skip(_BLANK)
            self._pair(path, depth=depth + 1)
            self._skip(_BLANK)
            if not self._taken(","):
                self._take("}")
                return

    def _string(self, *, multiline: bool) -> str:
        for pattern in _STRINGS if multiline else _STRINGS[2:]:
            match = pattern.match(self.text, self.at)
            if match is not None:
                self.at = match.end()
                inside = match.group()[1:-1]
                return _ESCAPE.sub(_unescaped, inside) if match.group()[0] == '"' else inside
        raise _StrayError

    def _end_of_line(self) -> None:
        self._skip(_SPACE)
        rest = self.text[self.at : self.at + 1]
        if rest and rest not in "#\r\n":
            raise _StrayError

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()

    def _match(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _StrayError
        self.at = match.end()

    def _taken(self, mark: str) -> bool:
        self._skip(_SPACE)
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def _take(self, mark: str) -> None:
        if not self._taken(mark):
            raise _StrayError


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1) or match.group(2)
    if code is None:
        return _PLAIN_ESCAPES[match.group(3)]
    number = int(code, 16)
    return chr(number) if number < 0x110000 else match.group()
