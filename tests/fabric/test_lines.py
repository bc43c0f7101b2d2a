"""Lines: the scanner finds each key of every valid TOML text where it stands."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.fabric.lines import TooDeepError, locate

TEXT = '''# a comment with [[nodes]] in it
name = "x # [[nodes]]"   # and one behind

[[links]]
a = "p"
b = "q" # [nodes]

[[nodes]]
  id = 'one'
note = """
id = "not this one"
[[nodes]]
"""
list = [
  1, # comment ]
  { deep = 2, er = [3,
    4] },
]

[nodes.metadata]
"quoted key" = 1
dotted.key = 2

[[links]] # out of order
a = "r"

[[ "nodes" ]]

id = "two"
inline = { x = 1, "y" = { z = 2 } }
when = 1979-05-27 07:32:00
'''


def test_keys_are_found_among_comments_blank_lines_inline_tables_and_tables_out_of_order():
    lines = locate(TEXT)
    expected = {
        ("name",): 2,
        ("links", 0): 4,
        ("links", 0, "a"): 5,
        ("links", 0, "b"): 6,
        ("nodes", 0): 8,
        ("nodes", 0, "id"): 9,
        ("nodes", 0, "note"): 10,
        ("nodes", 0, "list"): 14,
        ("nodes", 0, "list", 0): 15,
        ("nodes", 0, "list", 1, "deep"): 16,
        ("nodes", 0, "list", 1, "er", 1): 17,
        ("nodes", 0, "metadata"): 20,
        ("nodes", 0, "metadata", "quoted key"): 21,
        ("nodes", 0, "metadata", "dotted", "key"): 22,
        ("links", 1): 24,
        ("links", 1, "a"): 25,
        ("nodes", 1): 27,
        ("nodes", 1, "id"): 29,
        ("nodes", 1, "inline", "y", "z"): 30,
        ("nodes", 1, "when"): 31,
    }
    assert {path: lines.of(path) for path in expected} == expected


def test_a_key_that_is_not_there_is_placed_at_its_table():
    lines = locate(TEXT)
    assert lines.of(("nodes", 1, "missing")) == 27
    assert lines.of(("unknown",)) is None


def test_every_key_of_the_document_has_a_line_of_its_own_text():
    lines = locate(TEXT)
    rows = TEXT.splitlines()
    for path in _leaves(tomllib.loads(TEXT), ()):
        key = next(part for part in reversed(path) if isinstance(part, str))
        assert key in rows[lines.by_path[path] - 1]


def _leaves(value, path):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.text(alphabet=st.sampled_from(list("ab=.[]{},\"'#\\ \n\r1")), max_size=40))
def test_the_scanner_ends_on_any_text_and_misses_no_key_of_a_valid_one(text):
    lines = locate(text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert all((key,) in lines.by_path for key in document)


@pytest.mark.parametrize("bomb", ["a" + ".a" * 100_000 + "=1", "a=" + "[" * 100_000, "a=" + "{b=" * 100_000])
def test_absurd_nesting_is_refused_before_the_reader_sees_it(bomb):
    with pytest.raises(TooDeepError) as caught:
        locate("\n\n" + bomb)
    assert caught.value.line == 3
