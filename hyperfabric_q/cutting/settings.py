"""What has to be run for one side of a cut?

The instruments of a side are linear combinations of few things. *Settings* are what a device is told to do: the
instruments I and Z of a wire's end are both read off the setting "measure Z". *Kraus operators* are the pure branches
of a setting. All of them lie in a space of ``rank`` operators, and a simulation needs only these: 2 for an RZZ cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hyperfabric_q.cutting.decomposition import Complex, Instrument, Real

SAME = 1e-10

COUNTED = 2**28
"""Most numbers that the counts of one fragment in one basis may take: 2 GB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """One side of a cut, as the engine needs it.

    Indices: i instrument, j setting, m outcome of a setting, p pattern of a setting, k distinct Kraus operator,
    b operator of the basis.

    Attributes:
        names: of the instruments.
        basis: orthonormal operators that span all Kraus operators, shape (b, d_out, d_in).
        kraus: distinct Kraus operators in that basis, shape (k, b).
        coefficients: instrument i is sum_bb' coefficients[i, b, b'] B_b rho B_b'†, shape (i, b, b').
        settings: per setting the Kraus operators of its outcomes, padded with -1, shape (j, m).
        patterns: values that are averaged over the outcomes of a setting, shape (j, p, m).
        reading: instrument i is sum_jp reading[i, j, p] × mean of patterns[j, p], shape (i, j, p).
        signed: whether a setting has one pattern of signs only, so that its outcomes need not be told apart.
    """

    names: tuple[str, ...]
    basis: Complex
    kraus: Complex
    coefficients: Complex
    settings: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    patterns: Real
    reading: Real
    signed: bool

    @property
    def rank(self) -> int:
        """Return the number of operators in the basis."""
        return len(self.basis)

    @property
    def operators(self) -> Complex:
        """Return the distinct Kraus operators as matrices, shape (k, d_out, d_in)."""
        return np.asarray(np.einsum("kb,bij->kij", self.kraus, self.basis))


def is_countable(sides: Sequence[Side], outputs: int) -> bool:
    """Whether the counts of a fragment with these markers fit into memory, as they have to on devices."""
    size = 1 << outputs
    for side in sides:
        size *= len(side.settings) * (1 if side.signed else side.settings.shape[1])
    return size << any(side.signed and (side.patterns[:, 0] < 0).any() for side in sides) <= COUNTED


_MADE: dict[tuple[object, ...], Side] = {}
_KEPT = 512


def side_of(instruments: tuple[Instrument, ...]) -> Side:
    """Return the side that these instruments need; equal instruments share one value."""
    key = tuple((each.name, each.kraus.shape, each.kraus.tobytes(), each.signs.tobytes()) for each in instruments)
    side = _MADE.get(key)
    if side is None:
        if len(_MADE) >= _KEPT:
            _MADE.clear()
        side = _MADE[key] = _side(instruments)
    return side


def _side(instruments: tuple[Instrument, ...]) -> Side:
    flat = np.concatenate([each.kraus.reshape(len(each.kraus), -1) for each in instruments])
    distinct, ids = _distinct(flat)
    _, singular, rows = np.linalg.svd(distinct, full_matrices=False)
    basis = rows[singular > SAME * singular[0]]
    starts = np.cumsum([0, *(len(each.signs) for each in instruments)])
    members = [ids[a:b] for a, b in pairwise(starts)]
    shape = instruments[0].kraus.shape[1:]
    found, distinct = _settings(instruments, members, distinct.reshape(-1, *shape))
    kraus = distinct.reshape(len(distinct), -1) @ basis.conj().T
    if np.abs(kraus @ basis - distinct.reshape(len(distinct), -1)).max() > SAME:  # a completion left the span
        basis = np.linalg.svd(distinct.reshape(len(distinct), -1), full_matrices=False)[2]
        kraus = distinct.reshape(len(distinct), -1) @ basis.conj().T
    coefficients = np.stack(
        [
            np.einsum("m,mb,mc->bc", each.signs, kraus[own], kraus[own].conj())
            for each, own in zip(instruments, members, strict=True)
        ]
    )
    patterns, reading = _patterns(instruments, members, found)
    width = max(len(setting) for setting in found)
    settings = np.array([[*setting, *[-1] * (width - len(setting))] for setting in found], dtype=np.int64)
    side = Side(
        names=tuple(each.name for each in instruments),
        basis=np.ascontiguousarray(basis.reshape(-1, *shape)),
        kraus=kraus,
        coefficients=coefficients,
        settings=settings,
        patterns=patterns,
        reading=reading,
        signed=patterns.shape[1] == 1 and bool(np.all((np.abs(patterns[:, 0]) == 1) | (settings < 0))),
    )
    for array in (side.basis, kraus, coefficients, settings, patterns, reading):
        array.setflags(write=False)
    return side


def _distinct(flat: Complex) -> tuple[Complex, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the operators that differ by more than a phase, and which of them each one is."""
    kept: list[Complex] = []
    ids = np.empty(len(flat), dtype=np.int64)
    for position, operator in enumerate(flat):
        for number, other in enumerate(kept):
            overlap = np.vdot(other, operator)
            if (
                abs(np.vdot(other, other) - np.vdot(operator, operator)) < SAME
                and abs(abs(overlap) - np.vdot(other, other).real) < SAME
            ):
                ids[position] = number
                break
        else:
            ids[position] = len(kept)
            kept.append(operator)
    return np.array(kept), ids


def _settings(
    instruments: tuple[Instrument, ...], members: list[np.ndarray[tuple[int], np.dtype[np.int64]]], kraus: Complex
) -> tuple[list[list[int]], Complex]:
    """Return the settings as lists of Kraus operators that sum to the identity, and the operators they need."""
    identity = np.eye(kraus.shape[2])
    effects = np.einsum("kji,kjl->kil", kraus.conj(), kraus)
    settings: list[list[int]] = []
    partial: list[set[int]] = []
    for each, own in zip(instruments, members, strict=True):
        ids = sorted(set(own.tolist()))
        if len(each.signs) == len(ids) and np.allclose(effects[ids].sum(0), identity, atol=SAME):
            if ids not in settings:
                settings.append(ids)
        else:
            partial.append(set(ids))
    for ids_set in partial:
        if any(ids_set <= set(setting) for setting in settings):
            continue
        chosen, total = set(ids_set), effects[sorted(ids_set)].sum(0)
        for other in partial:
            more = effects[sorted(other - chosen)].sum(0)
            if other - chosen and np.linalg.eigvalsh(identity - total - more)[0] > -SAME:
                chosen |= other
                total = total + more
        values, vectors = np.linalg.eigh(identity - total)
        for value, vector in zip(values, vectors.T, strict=True):
            if value > SAME:  # what no instrument asks for still happens, and counts as nothing
                rest = np.zeros_like(kraus[:1])
                rest[0, 0] = np.sqrt(value) * vector.conj()
                chosen.add(len(kraus))
                kraus = np.concatenate([kraus, rest])
        settings.append(sorted(chosen))
    return settings, kraus


def _patterns(
    instruments: tuple[Instrument, ...],
    members: list[np.ndarray[tuple[int], np.dtype[np.int64]]],
    settings: list[list[int]],
) -> tuple[Real, Real]:
    """Return the patterns of each setting and how the instruments are read off them."""
    found: list[list[Real]] = [[] for _ in settings]
    readings: list[tuple[int, int, int, float]] = []
    width = max(len(setting) for setting in settings)
    for number, (each, own) in enumerate(zip(instruments, members, strict=True)):
        j = next(j for j, setting in enumerate(settings) if set(own.tolist()) <= set(setting))
        pattern = np.zeros(width)
        for sign, k in zip(each.signs, own, strict=True):
            pattern[settings[j].index(int(k))] += sign
        for p, known in enumerate(found[j]):
            factor = 1.0 if np.allclose(known, pattern) else -1.0 if np.allclose(known, -pattern) else 0.0
            if factor:
                readings.append((number, j, p, factor))
                break
        else:
            readings.append((number, j, len(found[j]), 1.0))
            found[j].append(pattern)
    deepest = max(len(each) for each in found)
    patterns = np.zeros((len(settings), deepest, width))
    for j, rows in enumerate(found):
        for p, pattern in enumerate(rows):
            patterns[j, p] = pattern
    reading = np.zeros((len(instruments), len(settings), deepest))
    for number, j, p, factor in readings:
        reading[number, j, p] = factor
    return patterns, reading
