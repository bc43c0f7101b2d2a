"""Many shots of many bits as counts: the work is done on whole arrays, since a key of 2000 bits is a long key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import SimulationRefused

Bits = NDArray[np.uint8]

UNWRITTEN: Final = -1
"""The place of a classical bit that nothing was written into: it reads 0."""

MOST_KEYS_BYTES: Final = 4 << 30
"""The most memory for different outcomes: a million of 4000 bits."""


def packed_column(packed: Bits, place: int) -> NDArray[np.bool_]:
    """Return one bit of every shot, shape (shots,); bit i of a row is bit i % 8 of its byte i // 8."""
    column: NDArray[np.bool_] = (packed[:, place >> 3] >> np.uint8(place & 7) & 1).astype(np.bool_)
    return column


def select(packed: Bits, places: Sequence[int]) -> Bits:
    """Return some bits of every shot as 0 and 1, shape (shots, len(places)); ``UNWRITTEN`` gives 0."""
    at = np.array(places, dtype=np.int64)
    written = at != UNWRITTEN
    found = np.zeros((len(packed), len(at)), dtype=np.uint8)
    found[:, written] = packed[:, at[written] >> 3] >> (at[written] & 7).astype(np.uint8) & 1
    return found


def key_order(registers: Sequence[Sequence[int]]) -> list[int]:
    """Return places in the order of a key: the last register and the highest bit of each first."""
    return [place for register in reversed(registers) for place in reversed(register)]


def count(batches: Iterable[Bits], sizes: Sequence[int]) -> dict[str, int]:
    """Return shots per outcome, the most frequent first, by the keys of ``sample.spell``; O(bits log shots).

    Args:
        batches: 0 and 1, one row per shot, columns in the order of ``key_order``.
        sizes: bits of each register, the first register first.

    Raises:
        SimulationRefused: the different outcomes do not fit ``MOST_KEYS_BYTES``.
    """
    counts: dict[str, int] = {}
    length = sum(sizes) + max(len(sizes) - 1, 0)
    shots = 0
    for bits in batches:
        shots += len(bits)
        rows, hits = _distinct(bits)
        for key, number in zip(_spelled(rows, sizes), hits.tolist(), strict=True):
            counts[key] = counts.get(key, 0) + number
        if len(counts) * length > MOST_KEYS_BYTES:
            raise SimulationRefused(
                asked=f"counts of {sum(sizes)} bits",
                found=f"{shots} shots gave {len(counts)} different outcomes, {len(counts) * length >> 30} GiB of keys",
                remedy=f"Ask for at most {shots // 2} shots, or measure fewer qubits.",
            )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _distinct(bits: Bits) -> tuple[Bits, NDArray[np.int64]]:
    """Return the different rows, and how often each occurs."""
    if bits.shape[1] == 0:
        return bits[:1], np.array([len(bits)][: len(bits)], dtype=np.int64)
    packed = np.ascontiguousarray(np.packbits(bits, axis=1))
    # Rows compared as one value of many bytes: a sort of whole rows, not of columns one after the other.
    values, hits = np.unique(packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_counts=True)
    rows = np.unpackbits(values.view(np.uint8).reshape(len(values), -1), axis=1, count=bits.shape[1])
    return rows, hits


def _spelled(rows: Bits, sizes: Sequence[int]) -> list[str]:
    """Return each row as text, with a space between registers."""
    length = rows.shape[1] + max(len(sizes) - 1, 0)
    letters = np.full((len(rows), length), ord(" "), dtype=np.uint8)
    at = column = 0
    for size in reversed(sizes):
        letters[:, at : at + size] = rows[:, column : column + size] + ord("0")
        at, column = at + size + 1, column + size
    text = letters.tobytes().decode("ascii")
    return [text[start * length : (start + 1) * length] for start in range(len(rows))]
