"""The page docs/settings.md names every setting there is, and a test for each that exists and is about it."""

import ast
import dataclasses
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

import hyperfabric_q as hq

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
ROW = re.compile(
    r"\| `(?P<name>\w+)` \| (?P<what>.+?) \| `(?P<file>[\w/]+\.py)::(?P<test>\w+)(?:\[(?P<case>\w+)\])?` \|"
)


def fields(kind):
    return [each.name for each in dataclasses.fields(kind)]


SECTIONS = {
    "HyperFabricProtocol": list(inspect.signature(hq.HyperFabricProtocol).parameters),
    "NodeSignature": fields(hq.NodeSignature),
    "FabricZone": fields(hq.FabricZone),
    **{kind.__name__: list(kind.__members__) for kind in (hq.HardwareType, hq.ZoneType, hq.IsolationLevel)},
    **{kind.__name__: list(kind.__members__) for kind in (hq.DataType, hq.PacketPriority)},
}


@cache
def sections():
    """Rows of the tables, by heading."""
    parts = re.split(r"^## (?:`(\w+)`)?.*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {}
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        if heading:
            lines = [line for line in text.splitlines() if line.startswith("| `")]
            rows = [ROW.fullmatch(line) for line in lines]
            assert None not in rows, lines[rows.index(None)]
            found[heading] = [row.groupdict() for row in rows]
    return found


@cache
def module(file):
    """The text of a test module, and its test functions with their decorators, by name."""
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return text, found


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_setting_has_one_row(kind):
    assert [row["name"] for row in sections()[kind]] == SECTIONS[kind]


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_row_says_what_changes_and_names_a_test_that_is_about_it(kind):
    for row in sections()[kind]:
        text, tests = module(row["file"])
        assert row["test"] in tests, row
        if row["case"] is None:
            assert re.search(rf"(?<![a-z0-9]){row['name']}(?![a-z0-9])", tests[row["test"]]), row
        else:  # parametrised over the enumeration, and what is expected of the member stands in the module
            assert row["case"] == row["name"]
            assert re.search(rf"[.\"]{row['name']}\b", text), row


def test_nothing_else_is_in_the_tables():
    assert set(sections()) == set(SECTIONS)
