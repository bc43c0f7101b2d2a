"""Named random streams."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue

PATHS = st.lists(st.one_of(st.text(max_size=6), st.integers(-5, 5)), max_size=4)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(a=PATHS, b=PATHS)
def test_different_paths_are_different_streams(a, b):
    same = [type(each) for each in a] == [type(each) for each in b] and a == b
    assert (seeds.key(*a) == seeds.key(*b)) == same


def test_a_path_is_not_the_text_of_its_parts():
    paths = [("a", "b"), ("ab",), ("a", "b", ""), ("", "ab"), (1, 2), (12,), ("1", 2), ("str:1:a",), ("a",)]
    assert len({seeds.key(*path) for path in paths}) == len(paths)


def test_numpy_whole_numbers_name_the_same_stream():
    assert seeds.key("link", np.int64(3)) == seeds.key("link", 3)


def test_a_stream_depends_on_seed_and_name_alone():
    first = seeds.stream(7, "link", "a").random(4).tolist()
    seeds.stream(7, "link", "b").random(1000)
    assert seeds.stream(7, "link", "a").random(4).tolist() == first
    assert seeds.stream(8, "link", "a").random(4).tolist() != first
    assert seeds.stream(7, "link", "b").random(4).tolist() != first


def test_streams_are_the_same_whatever_the_hash_seed():
    code = "from hyperfabric_q import seeds; print(seeds.stream(3, 'x', 1).random(), seeds.word(3, 'y'))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hashing},
        ).stdout
        for hashing in ("0", "99")
    }  # fmt: skip
    assert found == {f"{seeds.stream(3, 'x', 1).random()} {seeds.word(3, 'y')}\n"}


def test_words_fit_31_bits():
    words = [seeds.word(seed, "simulator") for seed in range(200)]
    assert all(0 <= word < 2**31 for word in words)
    assert len(set(words)) == 200


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1, np.int64(5), np.uint32(7)])
def test_whole_numbers_in_range_are_seeds(seed):
    assert seeds.resolve(seed) == int(seed)
    assert type(seeds.resolve(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", True, [1]])
def test_anything_else_is_refused(seed):
    with pytest.raises(InvalidValue, match="a seed is a whole number"):
        seeds.resolve(seed)


def test_fresh_seeds_differ_and_fit_a_file():
    fresh = {seeds.resolve(None) for _ in range(50)}
    assert len(fresh) == 50
    assert all(0 <= seed < 2**63 for seed in fresh)
