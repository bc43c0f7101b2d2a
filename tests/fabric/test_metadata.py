"""Metadata: JSON-able things go in and come out, everything else is refused, and nothing makes it hang."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.metadata import Metadata

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), JSON, max_size=4))
def test_plain_json_comes_out_as_it_went_in(items):
    kept = Metadata(items)
    assert kept.plain() == items
    assert json.loads(json.dumps(kept.plain())) == items
    assert Metadata(kept.plain()) == kept
    assert hash(Metadata(items)) == hash(kept)
    assert pickle.loads(pickle.dumps(kept)) == kept  # noqa: S301


@pytest.mark.parametrize(
    "items",
    [
        {"a": None},
        {"a": object()},
        {"a": {1, 2}},
        {1: "a"},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": 2**63},
        {"a": b"raw"},
        {"a": "\ud800"},
        {"a" * 201: 1},
        "text",
        ["list"],
        7,
    ],
    ids=lambda items: (
        type(items).__name__
        + ("-" + type(next(iter(items.values()))).__name__ if isinstance(items, dict) and items else "")
    ),
)
def test_what_json_or_toml_cannot_hold_is_refused(items):
    with pytest.raises(InvalidValue) as caught:
        Metadata(items)
    assert caught.value.field == "metadata"


def test_structures_that_contain_themselves_are_refused_at_once():
    deep = {}
    deep["again"] = deep
    wide = []
    wide.extend([wide] * 50)
    for items in (deep, {"wide": wide}, {"many": list(range(20_000))}):
        with pytest.raises(InvalidValue):
            Metadata(items)
