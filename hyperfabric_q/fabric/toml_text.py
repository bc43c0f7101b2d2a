"""Plain dicts, lists and scalars as TOML text; the standard library reads TOML and does not write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def toml_text(document: Mapping[str, Any]) -> str:
    """Return ``document`` as TOML: its scalars first, then each list of dicts as an array of tables.

    Args:
        document: values are scalars, or lists of dicts whose values are scalars, lists and dicts of these.
    """
    top = [f"{_key(name)} = {_value(value)}" for name, value in document.items() if not isinstance(value, list)]
    blocks = ["\n".join(top)]
    for name, rows in document.items():
        if isinstance(rows, list):
            blocks.extend("\n".join(_table(name, row)) for row in rows)
    return "\n\n".join(blocks) + "\n"


def _table(name: str, row: Mapping[str, Any]) -> list[str]:
    lines = [f"[[{_key(name)}]]"]
    inner = []
    for key, value in row.items():
        if isinstance(value, dict):
            inner.append(f"[{_key(name)}.{_key(key)}]")
            inner += [f"{_key(each)} = {_value(deep)}" for each, deep in value.items()]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    # A table of its own ends the scalars of the row, so it comes last.
    return lines + inner


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    # Python writes 1e+16, 5e-324 and -0.0 exactly as TOML reads them.
    return repr(value)


def _string(text: str) -> str:
    return '"' + "".join(_character(each) for each in text) + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < 0x20 or ord(character) == 0x7F:
        return f"\\u{ord(character):04x}"
    return character
