"""Noisy Bell pairs that are perfect on average: signed Pauli corrections of pairs, as runs of the emitted circuit.

``cutting.assisted`` writes a perfect pair as a difference of noisy pairs with corrections. Each shot draws a correction
for every pair, counts with the product of their signs, and the mean times gamma is the noiseless one. What is undone
are the errors of the chosen pairs, and nothing else: waits and local errors stay.

A device runs ``draw_corrections`` and ``with_corrections``. A simulator needs less: the sign of a shot is all that is
kept of its corrections, and given the sign the pairs are in a mixture of few product states (``draw_patterns``), each
of which is a ``RunNoise`` that every method runs unchanged. With A the outcomes under corrections without their signs,
and B those of perfect pairs, an outcome b has the chances P(+, b) = (A + B/gamma)/2 and P(-, b) = (A - B/gamma)/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister
from qiskit.circuit.library import XGate, YGate, ZGate

from hyperfabric_q.cutting.assisted import assisted
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.execution.channel import outcome_chances
from hyperfabric_q.execution.dispatch import function_of
from hyperfabric_q.execution.noise import PAIR
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.seeds import resolve, stream, word

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

Real: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int8]

_ROUNDING: Final = 1e-14


class State(IntEnum):
    """What is known of the correction of a pair."""

    PLUS = 0
    """Its sign is +."""
    MINUS = 1
    """Its sign is -."""
    ANY = 2
    """Nothing: either sign, as often as it is drawn."""
    PERFECT = 3
    """As if it undid the pair's error: corrections with signs, divided by their gamma."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssistedPairs:
    """The corrections of every pair of an emitted circuit; pairs that are left as they are have I alone.

    Attributes:
        gammas: of each pair, shape (pairs,).
        plus: chances of the corrections I, X, Y, Z given that their sign is +, shape (pairs, 4).
        minus: the same for -; I where that does not occur.
        chance_minus: of the sign -, shape (pairs,).
    """

    gammas: Real
    plus: Real
    minus: Real
    chance_minus: Real

    def __post_init__(self) -> None:
        for array in (self.gammas, self.plus, self.minus, self.chance_minus):
            array.setflags(write=False)

    @property
    def gamma(self) -> float:
        """The factor of the spread: of all pairs together."""
        return float(np.prod(self.gammas))

    @property
    def either(self) -> Real:
        """Chances of the corrections whatever their sign, shape (pairs, 4)."""
        minus = self.chance_minus[:, None]
        mixed: Real = (1 - minus) * self.plus + minus * self.minus
        return mixed

    @property
    def signed(self) -> Real:
        """What the corrections count for, shape (pairs, 4): they undo the error of their pair."""
        minus = self.chance_minus[:, None]
        weights: Real = self.gammas[:, None] * ((1 - minus) * self.plus - minus * self.minus)
        return weights


class Pattern(NamedTuple):
    """Shots of one sign and what is known of each pair in them; ``states`` has shape (pairs,), see ``State``."""

    states: Indices
    sign: int
    shots: int


class Corrections(NamedTuple):
    """Shots with the same corrections; ``paulis`` has shape (pairs,), 0 to 3 for I, X, Y, Z."""

    paulis: Indices
    sign: int
    shots: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignedSample:
    """Counts of a run by the sign of the shots.

    Attributes:
        plus: shots that count +1, per outcome; keys as those of ``Sample``.
        minus: shots that count -1.
        gamma: the factor: an outcome has the chance gamma (plus - minus) / shots.
        samples: the runs that they were put together from.
    """

    plus: Mapping[str, int]
    minus: Mapping[str, int]
    gamma: float
    samples: tuple[Sample, ...]

    @property
    def shots(self) -> int:
        """How many shots there were of both signs."""
        return sum(self.plus.values()) + sum(self.minus.values())

    def quasi(self) -> dict[str, float]:
        """Return the estimated chance of every outcome seen: unbiased, hence below 0 at times."""
        shots = self.shots
        return {
            key: self.gamma * (self.plus.get(key, 0) - self.minus.get(key, 0)) / shots
            for key in sorted({*self.plus, *self.minus})
        }

    def estimate(self, value_of: Callable[[str], float]) -> Estimate:
        """Return the noiseless mean of a function of the outcome, with its standard error.

        Two shots of the largest value and opposite signs are added for the error alone: it does not vanish where all
        shots agree.

        Args:
            value_of: of the outcome's key, such as ``lambda key: float(key == "00")``.
        """
        signed = [(hits, value_of(key)) for key, hits in self.plus.items()]
        signed += [(hits, -value_of(key)) for key, hits in self.minus.items()]
        hits, values = np.array(signed, dtype=np.float64).reshape(-1, 2).T
        shots, most = self.shots, float(np.abs(values).max(initial=0.0))
        mean = float(hits @ values) / shots
        square = (float(hits @ values**2) + 2 * most**2) / (shots + 2)
        variance = square - (mean * shots / (shots + 2)) ** 2
        return Estimate(value=self.gamma * mean, stderr=self.gamma * math.sqrt(max(variance, 0.0) / shots), shots=shots)


# -------------------------------------------------------------------------------------------------------- corrections


def assisted_weights(pair_weights: ArrayLike, which: ArrayLike) -> AssistedPairs:
    """Return the corrections that make chosen pairs perfect on average; O(pairs).

    Args:
        pair_weights: weights (pI, pX, pY, pZ) of each pair, shape (pairs, 4), as those of ``RunNoise``.
        which: whether a pair is corrected, shape (pairs,).

    Raises:
        InvalidValue: the shapes do not match, or the error of a pair cannot be undone.
    """
    given, chosen = np.asarray(pair_weights, dtype=np.float64).reshape(-1, 4), np.asarray(which)
    if chosen.shape != (len(given),) or (len(given) and chosen.dtype != np.bool_):
        raise InvalidValue(field="which", value=which, rule=f"it is True or False for each of {len(given)} pairs")
    signed = np.zeros_like(given)
    signed[:, 0] = 1.0
    chosen = chosen.astype(np.bool_)
    rows, row_of = np.unique(given[chosen], axis=0, return_inverse=True)
    inverses = np.array([assisted(np.clip(row, 0, None).tolist()).weights for row in rows]).reshape(-1, 4)
    signed[chosen] = inverses[row_of.reshape(-1)]
    # A weight of 0 comes out a rounding error away from it, and has no sign then.
    signed[np.abs(signed) < _ROUNDING] = 0.0
    plus, minus = np.clip(signed, 0, None), np.clip(-signed, 0, None)
    more, less = plus.sum(axis=1), minus.sum(axis=1)
    minus[less == 0] = (1.0, 0.0, 0.0, 0.0)
    return AssistedPairs(
        gammas=more + less,
        plus=plus / more[:, None],
        minus=minus / minus.sum(axis=1, keepdims=True),
        chance_minus=less / (more + less),
    )


def with_corrections(circuit: QuantumCircuit, paulis: Sequence[int] | Indices) -> QuantumCircuit:
    """Return the emitted circuit with a Pauli gate on the receiving half of each pair: what a device runs.

    Args:
        circuit: the emitted circuit.
        paulis: 0 to 3 for I, X, Y, Z, one for each ``bell_pair`` of the circuit, in its order.

    Raises:
        InvalidValue: not one correction for each pair.
    """
    pairs = sum(instruction.operation.name == PAIR for instruction in circuit.data)
    drawn = [int(each) for each in paulis]
    if len(drawn) != pairs or not set(drawn) <= {0, 1, 2, 3}:
        raise InvalidValue(field="paulis", value=drawn, rule=f"it is one of 0 to 3 for each of {pairs} Bell pairs")
    gates = (None, XGate(), YGate(), ZGate())
    corrected = circuit.copy_empty_like()
    coming = iter(drawn)
    for instruction in circuit.data:
        corrected.append(instruction)
        if instruction.operation.name == PAIR and (gate := gates[next(coming)]) is not None:
            corrected.append(gate, instruction.qubits[1:])
    return corrected


def draw_corrections(pairs: AssistedPairs, shots: int, rng: np.random.Generator) -> list[Corrections]:
    """Return the shots of a device, grouped by corrections; O(groups × pairs), whatever the number of shots.

    Args:
        pairs: from ``assisted_weights``.
        shots: how many.
        rng: draws the corrections.
    """
    share = pairs.chance_minus[:, None]
    chances = np.concatenate([(1 - share) * pairs.plus, share * pairs.minus], axis=1)
    paulis = np.zeros((1, len(chances)), dtype=np.int8)
    signs, hits = np.ones(1, dtype=np.int64), np.array([shots], dtype=np.int64)
    for pair, row in enumerate(chances):
        if row[0] == 1:
            continue
        split = rng.multinomial(hits, row / row.sum())
        group, drawn = np.nonzero(split)
        hits, paulis, signs = split[group, drawn], paulis[group], signs[group] * np.where(drawn < 4, 1, -1)
        paulis[:, pair] = drawn % 4
    return [Corrections(*row) for row in zip(paulis, signs.tolist(), hits.tolist(), strict=True) if row[2]]


# ----------------------------------------------------------------------------------------------------------- simulated


def draw_patterns(pairs: AssistedPairs, shots: int, rng: np.random.Generator) -> list[Pattern]:
    """Return the shots of a simulator: fewer than 2 (pairs + 1) groups, in each of which the pairs are independent.

    An even number of minus signs has, up to its chance, the product of ``ANY`` over all pairs plus that of ``PERFECT``
    divided by gamma. An odd number is told apart by the first minus: ``PLUS`` before it, an even number after it.

    Args:
        pairs: from ``assisted_weights``.
        shots: how many.
        rng: draws how many shots are in which group.
    """
    count = len(pairs.gammas)
    patterns: list[tuple[Indices, int]] = []
    chances: list[float] = []
    for first in (-1, *np.flatnonzero(pairs.chance_minus).tolist()):
        before = 1.0 if first < 0 else float(np.prod(1 - pairs.chance_minus[:first]) * pairs.chance_minus[first])
        rest = float(np.prod(pairs.gammas[first + 1 :]))
        # Where no sign is left to draw, both are the same.
        halves = ((State.ANY, 0.5), (State.PERFECT, 0.5 / rest)) if rest > 1 + _ROUNDING else ((State.ANY, 1.0),)
        for state, chance in halves:
            states = np.full(count, State.PLUS, dtype=np.int8)
            states[first + 1 :] = state
            if first >= 0:
                states[first] = State.MINUS
            states.setflags(write=False)
            patterns.append((states, 1 if first < 0 else -1))
            chances.append(before * chance)
    drawn = rng.multinomial(shots, np.array(chances) / sum(chances)).tolist()
    return [Pattern(*pattern, hits) for pattern, hits in zip(patterns, drawn, strict=True) if hits]


def noise_of(noise: RunNoise, pairs: AssistedPairs, states: Sequence[int] | Indices) -> RunNoise:
    """Return the errors of a run in which so much is known of each pair: its error and then its correction.

    Args:
        noise: the errors without corrections.
        pairs: from ``assisted_weights``.
        states: of each pair, shape (pairs,), see ``State``.
    """
    known = np.asarray(states, dtype=np.int64)
    corrections = np.stack([pairs.plus, pairs.minus, pairs.either, pairs.signed])[known, np.arange(len(known))]
    weights = _after(noise.pair_weights, corrections)
    weights[np.abs(weights) < _ROUNDING] = 0.0
    return replace(noise, pair_weights=weights / weights.sum(axis=1, keepdims=True))


def sample_assisted(
    plan: Plan,
    noise: RunNoise,
    which: ArrayLike,
    *,
    method: str,
    shots: int,
    seed: int,
    reported: Sequence[ClassicalRegister],
) -> SignedSample:
    """Return counts by sign of a plan whose chosen pairs are corrected; at most 2 pairs + 1 runs.

    Corrections err no more than the Pauli frame that they can be kept in: not at all.

    Args:
        plan: what runs, measurements included.
        noise: its errors.
        which: whether each pair of the emitted circuit is corrected, shape (pairs,).
        method: a name in ``execution.dispatch``.
        shots: how many, of both signs together.
        seed: the same seed gives the same counts.
        reported: registers of the circuit.

    Raises:
        InvalidValue: no such method, or the error of a pair cannot be undone.
        SimulationRefused: the method refuses.
    """
    function, seed = function_of(method), resolve(seed)
    pairs = assisted_weights(noise.pair_weights, which)
    counts: dict[int, dict[str, int]] = {1: {}, -1: {}}
    samples: list[Sample] = []
    for number, (states, sign, share) in enumerate(draw_patterns(pairs, shots, stream(seed, "assisted"))):
        own = noise_of(noise, pairs, states)
        found = function(plan, own, shots=share, seed=word(seed, "assisted", number), reported=reported)
        samples.append(found)
        for key, hits in found.counts.items():
            counts[sign][key] = counts[sign].get(key, 0) + hits
    return SignedSample(plus=counts[1], minus=counts[-1], gamma=pairs.gamma, samples=tuple(samples))


def signed_chances(
    plan: Plan, noise: RunNoise, which: ArrayLike, *, reported: Sequence[ClassicalRegister]
) -> tuple[dict[str, float], dict[str, float], float]:
    """Return the exact chances of every outcome with sign + and with sign -, and gamma.

    Their sum over both signs is 1, and gamma times their difference is the distribution with perfect pairs.

    Args:
        plan: what runs, measurements included.
        noise: its errors.
        which: whether each pair of the emitted circuit is corrected, shape (pairs,).
        reported: registers of the circuit.

    Raises:
        InvalidValue: the error of a pair cannot be undone.
        SimulationRefused: the exact mean does not fit, see ``execution.channel.outcome_chances``.
    """
    pairs = assisted_weights(noise.pair_weights, which)
    count = len(pairs.gammas)
    unsigned, perfect = (
        outcome_chances(plan, noise_of(noise, pairs, np.full(count, state)), reported=reported)
        for state in (State.ANY, State.PERFECT)
    )
    gamma = pairs.gamma
    keys = list(dict.fromkeys((*unsigned, *perfect)))
    halves = [(unsigned.get(key, 0.0) / 2, perfect.get(key, 0.0) / gamma / 2) for key in keys]
    plus = {key: a + b for key, (a, b) in zip(keys, halves, strict=True)}
    # Never below 0 but for rounding: both are sums over the same corrections.
    minus = {key: max(a - b, 0.0) for key, (a, b) in zip(keys, halves, strict=True)}
    return plus, minus, gamma


def _after(errors: Real, corrections: Real) -> Real:
    """The weights of one Pauli after another, row by row: the product of two is the one of their indices' XOR."""
    product = np.zeros_like(errors)
    for index in range(4):
        product += errors[:, [index]] * corrections[:, [index ^ other for other in range(4)]]
    return product
