"""What would a fragment give, exactly: the mean of each string, and the law of each variant's outcomes?

Means come from overlaps of branches, <phi_b'|P|phi_b>, which need no more branches than the rank of each cut. Laws are
made for the variants that would run, setting by setting, in blocks that fit into memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hyperfabric_q.cutting.branches import Branches
from hyperfabric_q.cutting.decomposition import Complex, Real
from hyperfabric_q.cutting.observables import Ints
from hyperfabric_q.cutting.settings import Side

BLOCK = 2**23
"""Most amplitudes that a block of variants may unfold to: 128 MB."""

_ROTATE_X: Complex = np.array([[1, 1], [1, -1]]) * np.complex128(math.sqrt(0.5))
_ROTATE_Y: Complex = np.array([[1, -1j], [1, 1j]]) * np.complex128(math.sqrt(0.5))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the outcomes of a fragment's variants are laid out.

    Variants are (j_1, ..., j_k), the setting of each marker. Outcomes are (sign, m of each marker whose outcomes are
    told apart, code of classical bits, output bits), flattened in this order.
    """

    sides: tuple[Side, ...]
    signs: int
    kept: tuple[int, ...]
    codes: int
    outputs: int

    @classmethod
    def of(cls, sides: tuple[Side, ...], outputs: int, codes: int = 1) -> Layout:
        """Return the layout for these markers."""
        kept = tuple(axis for axis, side in enumerate(sides) if not side.signed)
        negative = any(side.signed and (side.patterns[:, 0] < 0).any() for side in sides)
        return cls(sides, 2 if negative else 1, kept, codes, outputs)

    @property
    def settings(self) -> tuple[int, ...]:
        """Return the number of settings of each marker."""
        return tuple(len(side.settings) for side in self.sides)

    @property
    def patterns(self) -> tuple[int, ...]:
        """Return the number of patterns of each marker."""
        return tuple(side.patterns.shape[1] for side in self.sides)

    @property
    def variants(self) -> int:
        """Return the number of variants."""
        return math.prod(self.settings)

    @property
    def told_apart(self) -> tuple[int, ...]:
        """Return the number of outcomes of each marker in ``kept``."""
        return tuple(self.sides[axis].settings.shape[1] for axis in self.kept)

    @property
    def outcomes(self) -> int:
        """Return the number of outcomes of a variant."""
        return self.signs * math.prod(self.told_apart) * self.codes << self.outputs


Values = TypeVar("Values", Real, Complex)


def exact_tensor(branches: Branches, sides: tuple[Side, ...], x: Ints, z: Ints) -> Real:
    """Return the mean of every string under every combination of instruments, shape (s, i_1, ..., i_k).

    Cost: per string, the product of two matrices of (branches, rows · 2^n).
    """
    ranks = [side.rank for side in sides]
    rows, width, size = len(branches.amplitudes), math.prod(ranks), branches.amplitudes.shape[-1]
    flat = branches.amplitudes.reshape(rows, width, size)
    bras = np.ascontiguousarray(flat.transpose(1, 0, 2)).reshape(width, -1).conj()
    places = np.arange(size)
    overlaps = np.empty((len(x), width, width), dtype=complex)
    for mask in np.unique(x):
        kets = flat[:, :, places ^ mask] if mask else flat
        for number in np.flatnonzero(x == mask):
            phase = 1j ** (int(mask & z[number]).bit_count() % 4)
            signs = parities(np.array([z[number]]), size)[:, 0]
            # Z acts first, so its sign is that of the amplitude before X moves it.
            moved = signs[places ^ mask] if mask else signs
            turned = (kets * (phase * moved)).transpose(1, 0, 2).reshape(width, -1)
            overlaps[number] = turned @ bras.T
    tensor = overlaps.reshape(len(x), *ranks, *ranks)
    for side, left in zip(sides, range(len(sides), 0, -1), strict=True):
        # Axes: s, remaining b, remaining b', instruments done; the first b and its b' become an instrument.
        tensor = np.tensordot(tensor, side.coefficients, axes=([1, 1 + left], [1, 2]))
    return np.ascontiguousarray(tensor.real)


def parities(masks: Ints, size: int) -> Real:
    """Return (-1)^(bits of place & mask), shape (size, masks)."""
    counts = np.bitwise_count(np.arange(size, dtype=np.uint64)[:, None] & masks.astype(np.uint64)[None, :])
    return np.asarray(1.0 - 2.0 * (counts & 1))


def law_blocks(
    branches: Branches, layout: Layout, basis: tuple[int, int], codes: Ints | None = None, *, block: int = BLOCK
) -> Iterator[tuple[Ints, Real]]:
    """Yield (variants, laws) of one measurement basis; laws have shape (variants, outcomes) and rows that sum to 1.

    Args:
        branches: the final states of the fragment.
        layout: of its outcomes.
        basis: masks (x, z) of what is measured on the outputs, Z where neither is set.
        codes: which code of classical bits each row of the branches has; by default rows are added up.
        block: most amplitudes to unfold at once.
    """
    states = rotated(branches.amplitudes, basis)
    numbers = np.arange(layout.variants).reshape(layout.settings)
    size = len(states) * states.shape[-1]
    fixed = 0
    while fixed < len(layout.sides) and size * math.prod(len(s.kraus) for s in layout.sides[fixed:]) > block:
        size *= layout.sides[fixed].settings.shape[1]
        fixed += 1
    for chosen in itertools.product(*(range(count) for count in layout.settings[:fixed])):
        settings = [np.array([j]) for j in chosen] + [np.arange(count) for count in layout.settings[fixed:]]
        laws = _laws(states, layout, settings, codes)
        yield np.asarray(numbers[chosen]).reshape(-1), laws


def rotated(amplitudes: Complex, basis: tuple[int, int]) -> Complex:
    """Return the states with each output turned so that measuring Z measures the basis."""
    x, z = basis
    shape = amplitudes.shape
    for bit in range(int(shape[-1]).bit_length() - 1):
        if x >> bit & 1:
            turn = _ROTATE_Y if z >> bit & 1 else _ROTATE_X
            split = amplitudes.reshape(-1, 2, 2**bit)
            amplitudes = np.einsum("ij,ajb->aib", turn, split).reshape(shape)
    return amplitudes


def _laws(states: Complex, layout: Layout, settings: list[Ints], codes: Ints | None) -> Real:
    amplitudes = states
    maps = []
    for axis, (side, own) in enumerate(zip(layout.sides, settings, strict=True)):
        used = np.unique(side.settings[own][side.settings[own] >= 0])
        amplitudes = _along(amplitudes, 1 + axis, side.kraus[used])
        maps.append(_outcome_maps(side, own, used))
    weights = amplitudes.real**2 + amplitudes.imag**2
    if codes is None:
        law = weights.sum(axis=0)[None, None]
    else:
        law = np.zeros((1, layout.codes, *weights.shape[1:]))
        np.add.at(law[0], codes, weights)
    if layout.signs == 2:
        law = np.concatenate([law, np.zeros_like(law)])
    for axis, (side, (plus, minus)) in enumerate(zip(layout.sides, maps, strict=True)):
        moved = _along(law, 2 + axis, plus)
        if side.signed and minus.any():
            moved += _along(law[::-1], 2 + axis, minus)
        law = moved
    return _flattened(law, layout, [len(own) for own in settings])


def _along(array: Values, axis: int, matrix: Values) -> Values:
    """Multiply one axis by a matrix (new, old), in place of the axis: much faster than ``tensordot`` on small axes."""
    shape = array.shape
    product = matrix @ array.reshape(math.prod(shape[:axis]), shape[axis], -1)
    return product.reshape(*shape[:axis], len(matrix), *shape[axis + 1 :])


def _outcome_maps(side: Side, settings: Ints, used: Ints) -> tuple[Real, Real]:
    """The 0/1 matrices that add Kraus operators up to outcomes with sign + and with sign -."""
    place = {int(k): number for number, k in enumerate(used)}
    width = side.settings.shape[1]
    rows = len(settings) if side.signed else len(settings) * width
    plus, minus = np.zeros((rows, len(used))), np.zeros((rows, len(used)))
    for row, j in enumerate(settings):
        for m, k in enumerate(side.settings[j]):
            if k >= 0:
                target = minus if side.signed and side.patterns[j, 0, m] < 0 else plus
                target[row if side.signed else row * width + m, place[int(k)]] += 1
    return plus, minus


def _flattened(law: Real, layout: Layout, counts: list[int]) -> Real:
    """Bring (sign, code, markers..., outputs) into (variants, outcomes) and make the rows sum to 1."""
    shape, first, second = list(law.shape[:2]), [], []
    for axis, side in enumerate(layout.sides):
        first.append(len(shape))
        shape.append(counts[axis])
        if not side.signed:
            second.append(len(shape))
            shape.append(side.settings.shape[1])
    shape.append(law.shape[-1])
    ordered = law.reshape(shape).transpose(*first, 0, *second, 1, len(shape) - 1)
    flat = np.ascontiguousarray(ordered).reshape(math.prod(counts), -1)
    return np.asarray(flat / flat.sum(axis=1, keepdims=True))


def feature_means(frequencies: Real, layout: Layout, masks: Ints, *, squared: bool = False) -> Real:
    """Return the means of sign × pattern × parity over outcomes, shape (j_1.., p_1.., masks).

    Args:
        frequencies: of the outcomes of all variants, shape (variants, outcomes); classical bits are added up.
        layout: of the outcomes.
        masks: of the output bits whose parity is taken, shape (masks,).
        squared: without the sign, and with products of two patterns in place of patterns, shape
            (j_1.., p_1.., p'_1.., masks).
    """
    both = _signed(frequencies, layout, squared=squared).sum(axis=2)
    means = both @ parities(masks, 2**layout.outputs) if len(masks) <= 4 * layout.outputs + 4 else _walsh(both, masks)
    means = _over_patterns(means, layout, squared=squared)
    return _paired(means, layout) if squared else means


def _paired(means: Real, layout: Layout) -> Real:
    """Bring (j_1.., p_1 p'_1, p_2 p'_2, .., s) into (j_1.., p_1.., p'_1.., s)."""
    count = len(layout.sides)
    split = [each for patterns in layout.patterns for each in (patterns, patterns)]
    shaped = means.reshape(*layout.settings, *split, means.shape[-1])
    first, second = range(count, 3 * count, 2), range(count + 1, 3 * count, 2)
    return shaped.transpose(*range(count), *first, *second, 3 * count)


def outcome_means(frequencies: Real, layout: Layout, kept: Sequence[int]) -> Real:
    """Return sign × pattern × share of every outcome of some output bits, shape (j_1.., p_1.., outcomes).

    Args:
        frequencies: of the outcomes of all variants, shape (variants, outcomes).
        layout: of the outcomes.
        kept: output bits that are told apart, the first least significant; others are added up. The code of classical
            bits is always told apart, above the kept bits.
    """
    signed = _signed(frequencies, layout, squared=False)
    shape = signed.shape[:3]
    bits = signed.reshape(*shape, *(2,) * layout.outputs)
    # Axis 3 is the most significant output.
    place = {bit: 3 + layout.outputs - 1 - bit for bit in range(layout.outputs)}
    bits = bits.sum(axis=tuple(place[bit] for bit in place if bit not in kept))
    remaining = sorted(kept, reverse=True)
    order = [3 + remaining.index(bit) for bit in reversed(list(kept))]
    return _over_patterns(bits.transpose(0, 1, 2, *order).reshape(*shape[:2], -1), layout, squared=False)


def _signed(frequencies: Real, layout: Layout, *, squared: bool) -> Real:
    """Add the signs up: (variants, outcomes of markers told apart, codes, outputs)."""
    shaped = frequencies.reshape(layout.variants, layout.signs, -1, layout.codes, 2**layout.outputs)
    if layout.signs == 1:
        return shaped[:, 0]
    return np.asarray(shaped[:, 0] + shaped[:, 1] if squared else shaped[:, 0] - shaped[:, 1])


def _over_patterns(means: Real, layout: Layout, *, squared: bool) -> Real:
    """Turn outcomes of markers that are told apart into patterns: (variants, m.., s) -> (j_1.., p_1.., s)."""
    means = means.reshape(*layout.settings, *layout.told_apart, means.shape[-1])
    count = len(layout.sides)
    for place, axis in enumerate(layout.kept):
        patterns = layout.sides[axis].patterns
        if squared:
            patterns = (patterns[:, :, None] * patterns[:, None, :]).reshape(len(patterns), -1, patterns.shape[2])
        # Setting j and outcome m of this marker become j and pattern p.
        moved = np.moveaxis(means, (axis, count + place), (0, -1))
        mixed = np.einsum("j...m,jpm->j...p", moved, patterns)
        means = np.moveaxis(mixed, (0, -1), (axis, count + place))
    for axis in range(count):
        if axis not in layout.kept:
            means = np.expand_dims(means, count + axis)
    return means


def _walsh(values: Real, masks: Ints) -> Real:
    """Parities of all masks at once by the fast Walsh-Hadamard transform, then those asked for."""
    shape = values.shape
    work = values.reshape(-1, shape[-1])
    step = 1
    while step < shape[-1]:
        pairs = work.reshape(len(work), -1, 2, step)
        work = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        work = work.reshape(len(pairs), -1)
        step *= 2
    return work[:, masks].reshape(*shape[:-1], len(masks))


def read_off(means: Real, layout: Layout) -> Real:
    """Return the tensor over instruments from the means of features: (j_1.., p_1.., s) -> (s, i_1..)."""
    tensor = means
    for remaining, side in zip(range(len(layout.sides), 0, -1), layout.sides, strict=True):
        tensor = np.tensordot(tensor, side.reading, axes=([0, remaining], [1, 2]))
    return np.asarray(tensor)


def spread_out(gradient: Real, layout: Layout) -> Real:
    """Return a gradient over features from one over instruments: (t, i_1..) -> (t, j_1.., p_1..)."""
    for side in layout.sides:
        gradient = np.tensordot(gradient, side.reading, axes=([1], [0]))
    count = len(layout.sides)
    order = [0, *(1 + 2 * axis for axis in range(count)), *(2 + 2 * axis for axis in range(count))]
    return np.ascontiguousarray(gradient.transpose(order))
