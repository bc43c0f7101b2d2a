"""Toeplitz hashing against the explicit matrix, its linearity, and how often strings collide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd import toeplitz as module
from hyperfabric_q.workloads.qkd.toeplitz import seed_length, toeplitz_hash


def bits(count, seed):
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


def by_matrix(x, seed, m):
    n = len(x)
    matrix = toeplitz(seed[n - 1 : n - 1 + m], seed[:n][::-1])  # entry (i, j) is s_(n-1+i-j)
    return (matrix.astype(np.int64) @ x) % 2


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 300), st.integers(0, 2**32))
def test_the_hash_is_the_product_with_the_matrix(n, m, seed):
    x, s = bits(n, seed), bits(seed_length(n, m), seed + 1)
    assert np.array_equal(toeplitz_hash(x, s, m), by_matrix(x, s, m))


def test_a_long_hash_is_the_product_with_the_matrix():
    x, s = bits(1 << 14, 1), bits(seed_length(1 << 14, 600), 2)
    assert np.array_equal(toeplitz_hash(x, s, 600), by_matrix(x, s, 600))


@pytest.mark.parametrize("bound", ["longest", "guard"])
def test_what_is_split_gives_the_same(monkeypatch, bound):
    x, s = bits(3000, 3), bits(seed_length(3000, 700), 4)
    whole = toeplitz_hash(x, s, 700)
    if bound == "longest":
        monkeypatch.setattr(module, "_LONGEST", 400)
    else:
        met = []
        monkeypatch.setattr(module, "_halved", lambda *parts: met.append(1) or module_halved(*parts))
        monkeypatch.setattr(module, "GUARD", 0.0)
        monkeypatch.setattr(module, "rfft", rounded(module.rfft, met))
    assert np.array_equal(toeplitz_hash(x, s, 700), whole)


module_halved = module._halved


def rounded(rfft, met):
    """A transform after whose first split the guard is as it should be."""

    def transform(*parts):
        if met:
            module.GUARD = 0.25
        return rfft(*parts)

    return transform


def test_different_strings_collide_as_often_as_chance():
    a, b, m = bits(200, 5), bits(200, 6), 6
    rng, trials = np.random.default_rng(7), 3000
    hits = sum(
        np.array_equal(toeplitz_hash(a, s, m), toeplitz_hash(b, s, m))
        for s in rng.integers(0, 2, (trials, seed_length(200, m)), dtype=np.uint8)
    )
    expected = trials / 2**m
    assert abs(hits - expected) < 5 * np.sqrt(expected)


def test_nothing_hashes_to_nothing_and_nonsense_is_refused():
    assert toeplitz_hash(bits(5, 1), bits(4, 1), 0).size == 0
    assert not toeplitz_hash(bits(0, 1), bits(2, 1), 3).any()
    with pytest.raises(InvalidValue, match="12 random ones"):
        toeplitz_hash(bits(10, 1), bits(11, 1), 3)
    with pytest.raises(InvalidValue, match="bits"):
        toeplitz_hash(bits(10, 1) + 1, bits(12, 1), 3)
    with pytest.raises(InvalidValue, match="seed"):
        toeplitz_hash(bits(10, 1), np.zeros(12), 3)
