"""Universal hashing by Toeplitz matrices: privacy amplification, and the hash that verifies a reconciliation.

y_i = sum over j of s_(n-1+i-j) x_j modulo 2. Over a uniform public seed s two different strings collide with
probability 2^-m (Krawczyk 1994), so the family is 2-universal, as the leftover hash lemma asks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd.sampling import Bits

GUARD: Final = 0.25
"""How far a sum may be from a whole number before the input is split; rounding is wrong from 0.5 on."""

_FEW: Final = 48
"""Rows up to which a row at a time is faster than a transform."""
_LONGEST: Final = 1 << 22
"""Columns of one transform: keeps memory below a gigabyte and sums exact."""


def seed_length(bits: int, out_bits: int) -> int:
    """Return how many public random bits a hash of ``bits`` bits to ``out_bits`` takes: n + m - 1."""
    return max(0, bits + out_bits - 1)


def toeplitz_hash(bits: Bits, seed: Bits, out_bits: int) -> Bits:
    """Return m bits hashed from n.

    Args:
        bits: (n,) zeros and ones, uint8.
        seed: (n + m - 1,) public, uniform, used once.
        out_bits: m.

    Raises:
        InvalidValue: the seed has another length, or an array is not of bits.

    Cost: O((n + m) log(n + m)); a million bits to half a million take about a tenth of a second.
    """
    for field, array in (("bits", bits), ("seed", seed)):
        if array.ndim != 1 or array.dtype != np.uint8 or (array.size and array.max() > 1):
            rule = "one row of zeros and ones is needed, as uint8"
            raise InvalidValue(field=field, value=f"{array.dtype} of shape {array.shape}", rule=rule)
    if out_bits < 0 or len(seed) != seed_length(len(bits), out_bits):
        raise InvalidValue(
            field="seed",
            value=f"{len(seed)} bits",
            rule=f"{len(bits)} bits are hashed to {out_bits} with {seed_length(len(bits), out_bits)} random ones",
        )
    if out_bits == 0 or len(bits) == 0:
        return np.zeros(out_bits, dtype=np.uint8)
    return _by_rows(bits, seed, out_bits) if out_bits <= _FEW else _by_transform(bits, seed, out_bits)


def _by_rows(bits: Bits, seed: Bits, out_bits: int) -> Bits:
    mirrored = bits[::-1].copy()
    rows = [np.bitwise_xor.reduce(seed[row : row + len(bits)] & mirrored) for row in range(out_bits)]
    return np.array(rows, dtype=np.uint8)


def _by_transform(bits: Bits, seed: Bits, out_bits: int) -> Bits:
    if len(bits) > _LONGEST:
        return _halved(bits, seed, out_bits)
    # A circle of n + m - 1 suffices: what wraps around falls on entries below n - 1, which nobody reads.
    length = next_fast_len(len(seed), real=True)
    spectrum = rfft(seed.astype(np.float64), length)
    spectrum *= rfft(bits.astype(np.float64), length)
    sums = irfft(spectrum, length)[len(bits) - 1 : len(bits) - 1 + out_bits]
    whole = np.rint(sums)
    if float(np.abs(sums - whole).max()) >= GUARD:
        return _halved(bits, seed, out_bits)
    return (whole.astype(np.int64) & 1).astype(np.uint8)


def _halved(bits: Bits, seed: Bits, out_bits: int) -> Bits:
    """The hash is linear: hash two parts of the input with their columns, and add."""
    half, total = len(bits) // 2, len(bits)
    left = _by_transform(bits[:half], seed[total - half :], out_bits)
    right = _by_transform(bits[half:], seed[: total - half + out_bits - 1], out_bits)
    return left ^ right
