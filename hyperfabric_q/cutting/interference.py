"""The optimal cut of a unitary sum_i u_i A_i ⊗ B_i with Paulis on both sides, as a sum of signed local instruments.

U rho U† has a term |u_i|² for each i, which is local, and one for each pair i < j, the interference of the two. With
u_i u_j* = a e^{iφ} and the instrument Sg(χ) of the two Kraus operators (A_i ± e^{-iχ} A_j)/2 and signs ±, the pair is
2a Sg(0) ⊗ Sg(φ) - 2a Sg(-π/2) ⊗ Sg(φ - π/2). The weights sum to 2 (sum |u_i|)² - 1 in modulus, which is optimal
(Schmitt, Piveteau and Sutter, arXiv:2312.11638).

What Sg(χ) is depends on e^{-iχ} A_i A_j = e^{iω} P with P a Hermitian Pauli string. At ω = 0 and π it measures P and
applies A_i; at ω = ±π/2 it is half the difference of two unitaries A_i (1 ± iP)/√2, kept apart here because neither
needs a measurement. Any other ω needs an ancilla; only the right side has those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np

from hyperfabric_q.cutting.decomposition import Complex, Decomposition, Instrument, Real
from hyperfabric_q.cutting.paulis import Label, matrix_of, name_of, product

Key: TypeAlias = tuple[str, Label, Label, float]
"""An instrument: its kind, A_i, P, and ω where the kind leaves it open."""

_ROUNDING = 1e-15
"""An angle is taken for a quarter turn when that changes no entry of the channel by more than this."""


@dataclass(frozen=True, slots=True)
class Term:
    """u A ⊗ A with u = magnitude · e^{i phase} and A a Pauli string, the same on both sides."""

    label: Label
    magnitude: float
    phase: float


def interfere(name: str, terms: Sequence[Term]) -> Decomposition:
    """Return the optimal decomposition of the unitary ``sum u A ⊗ A``; O(terms²) instruments on each side.

    Which instruments occur depends on the labels and phases of the terms, not on their magnitudes.
    """
    left: dict[Key, int] = {}
    right: dict[Key, int] = {}
    entries: list[tuple[int, int, float]] = []

    def add(weight: float, on_left: Key, on_right: Key) -> None:
        entries.append((left.setdefault(on_left, len(left)), right.setdefault(on_right, len(right)), weight))

    identity = tuple(0 for _ in terms[0].label)
    for term in terms:
        key = ("unitary", term.label, identity, 0.0)
        add(term.magnitude**2, key, key)
    for one, other in combinations(terms, 2):
        turns, string = product(one.label, other.label)
        a = one.magnitude * other.magnitude
        phi = one.phase - other.phase
        for sign, chi in ((2.0, 0.0), (-2.0, -math.pi / 2)):
            here = _signed(one.label, string, turns * math.pi / 2 - chi, abs(a))
            there = _signed(one.label, string, turns * math.pi / 2 - chi - phi, abs(a))
            for x, on_left in here:
                for y, on_right in there:
                    add(sign * a * x * y, on_left, on_right)
    weights = np.zeros((len(left), len(right)))
    for row, column, weight in entries:
        weights[row, column] += weight
    return Decomposition(
        name=name,
        left=tuple(_instrument(key) for key in left),
        right=tuple(_instrument(key) for key in right),
        weights=weights,
        gamma=gamma(sum(abs(term.magnitude) for term in terms) ** 2),
    )


def gamma(schmidt_sum: float) -> float:
    """Return the optimal gamma of a unitary, or of several in parallel, from the (product of) (sum |u|)²."""
    return 2 * schmidt_sum - 1


def _signed(label: Label, string: Label, omega: float, size: float) -> tuple[tuple[float, Key], ...]:
    """Sg as weighted instruments, from A_i, P and ω; ``size`` is what an error in ω counts for."""
    turns = omega / (math.pi / 2)
    quarter = round(turns)
    offset = abs(turns - quarter)
    if offset > 4 * math.ulp(abs(turns) + 4) and offset * size > _ROUNDING:
        half_turns = math.floor(omega / math.pi)
        return (((-1.0) ** half_turns, ("ancilla", label, string, omega - half_turns * math.pi)),)
    if quarter % 2 == 0:
        return ((1.0 if quarter % 4 == 0 else -1.0, ("parity", label, string, 0.0)),)
    half = 0.5 if quarter % 4 == 1 else -0.5
    return (half, ("rotation", label, string, 1.0)), (-half, ("rotation", label, string, -1.0))


def _instrument(key: Key) -> Instrument:
    kind, label, string, value = key
    unitary, parity = matrix_of(label), matrix_of(string)
    one = np.eye(len(parity))
    follow = f", {name_of(label)}" if any(label) else ""
    if kind == "unitary":
        return Instrument(name=name_of(label), signs=np.ones(1), kraus=unitary[None])
    if kind == "rotation":
        name = f"√{'+' if value > 0 else '-'}{name_of(string)}{follow}"
        return Instrument(
            name=name, signs=np.ones(1), kraus=(unitary @ (one + 1j * value * parity) / math.sqrt(2))[None]
        )
    turned: Complex = np.exp(1j * value) * parity
    pair = np.array([unitary @ (one + turned) / 2, unitary @ (one - turned) / 2])
    name = f"M({name_of(string)}){follow}" if kind == "parity" else f"M({name_of(string)}, {value!r}){follow}"
    return Instrument(name=name, signs=_SIGNS, kraus=pair)


_SIGNS: Real = np.array([1.0, -1.0])
_SIGNS.setflags(write=False)
