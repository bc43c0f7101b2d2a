"""What one round of purification makes of two pairs: DEJMPS, BBPSSW and EPL, ideal and noisy.

Both nodes apply a CNOT from their half of the kept pair to their half of the measured one, measure that, and keep the
first pair when the outcomes agree. With correlators (lx, ly, lz) of the kept and (mx, my, mz) of the measured pair,
G = (1 - L_a)(1 - L_b) for depolarising CNOTs and r = (1 - 2e_a)(1 - 2e_b) for misread bits, DEJMPS (Deutsch et al.
1996: Rx(π/2) on one side and Rx(-π/2) on the other come first) gives, exactly,

    D = 1 + G r ly my          success = D / 2
    lx' = G (lx mx + r lz mz) / D        ly' = G (lz mx + r lx mz) / D        lz' = G (ly + r my) / D

**Local terms.** Halves that relaxed carry local <Z> terms (``memory.Carried``). Success and correlators of every
protocol here but EPL do not depend on them: the parities in them are products over both sides. Plain DEJMPS even
erases them, so its result is Bell-diagonal without any twirl. With permuted inputs local terms can survive: a random
bilateral Pauli (``memory.twirl``) before it makes that exact too, and ``memory.twirled_error_bound`` is what leaving it
out can change in a later wait.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.memory import Carried
from hyperfabric_q.entanglement.state import (
    FloatArray,
    bounded,
    check_depolarising,
    check_probability,
    check_within,
    werner_twirled,
)

_NEVER: Final = 1e-12
"""A success less likely than this is none; the state it would leave is only rounding."""

_TIE: Final = 1e-12
"""A permutation has to gain more than rounding to be preferred to the pairs as they are."""

_ORDERS: Final = tuple(permutations(range(3)))
"""All six orders of the correlators, the given one first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Purified:
    """Return what a round leaves when it succeeds, and how often it does.

    Args:
        correlators: (..., 3) of the kept pair, Bell-diagonal; those of no correlation where success is 0.
        success: (...) probability that the round keeps it. Both pairs are lost otherwise.
    """

    correlators: FloatArray
    success: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PurifiedCarried:
    """Return what a round leaves when it succeeds, local terms included, and how often it does.

    Args:
        state: the kept pair; ``correlators`` is its Bell-diagonal part.
        success: (...) probability that the round keeps it.
    """

    state: Carried
    success: FloatArray

    def __post_init__(self) -> None:
        self.success.setflags(write=False)

    @property
    def correlators(self) -> FloatArray:
        """The correlators (..., 3) of the kept pair: all there is after a twirl."""
        return self.state.correlators


# ------------------------------------------------------------------------------------------------------------ DEJMPS


def dejmps(
    kept: ArrayLike,
    measured: ArrayLike,
    *,
    depolarising: ArrayLike = 0.0,
    readout_error: ArrayLike = 0.0,
    depolarising_b: ArrayLike | None = None,
    readout_error_b: ArrayLike | None = None,
) -> Purified:
    """Return one DEJMPS round on Bell-diagonal pairs, exact for these errors. Outcomes agree = kept.

    Args:
        kept: correlators (..., 3).
        measured: correlators (..., 3).
        depolarising: parameter of the two-qubit depolarising channel after each CNOT (Aer's meaning).
        readout_error: probability that a measured bit is wrong.
        depolarising_b: the same of node b where the nodes differ.
        readout_error_b: likewise.

    Raises:
        InvalidValue: an error is out of range, or the pairs are none.
    """
    first, second = bounded(kept, "kept"), bounded(measured, "measured")
    gates, reads = _noise(depolarising, readout_error, depolarising_b, readout_error_b)
    x, y, z = _columns(first)
    u, v, w = _columns(second)
    normal = 1 + gates * reads * y * v
    total = (gates * (x * u + reads * (z * w)), gates * (z * u + reads * (x * w)), gates * (y + reads * v))
    return Purified(correlators=_normalised(total, normal), success=np.asarray(normal / 2))


def best_permutation(
    correlators: ArrayLike, *, depolarising: ArrayLike = 0.0, readout_error: ArrayLike = 0.0
) -> FloatArray:
    """Return the pairs with their errors permuted such that a DEJMPS round **with their like** gains most fidelity.

    Local Clifford gates on both halves permute X, Y and Z errors freely. Two pairs that differ are better served by
    ``best_dejmps``. The given order is kept where no other is better.

    Raises:
        InvalidValue: an error is out of range, or the pairs are none.
    """
    state = bounded(correlators)
    gates, reads = _noise(depolarising, readout_error, None, None)
    best = np.array(np.broadcast_to(state, (*np.broadcast_shapes(state.shape[:-1], gates.shape, reads.shape), 3)))
    most = _gain(_columns(best), _columns(best), gates, reads)
    for order in _ORDERS[1:]:
        candidate = state[..., order]
        gain = _gain(_columns(candidate), _columns(candidate), gates, reads)
        better = gain > most + _TIE
        most = np.where(better, gain, most)
        best = np.where(better[..., None], candidate, best)
    return best


def best_dejmps(
    kept: ArrayLike,
    measured: ArrayLike,
    *,
    depolarising: ArrayLike = 0.0,
    readout_error: ArrayLike = 0.0,
    depolarising_b: ArrayLike | None = None,
    readout_error_b: ArrayLike | None = None,
) -> Purified:
    """Return the DEJMPS round of highest fidelity over all six permutations of either pair's errors.

    Its fidelity is never below that of ``dejmps``; its success may be. Of the 36 combinations nine can be best: which
    correlator of either pair takes the place of ly; of the measured pair's other two the larger serves as the x one,
    which misread bits do not touch. Arguments as in ``dejmps``. Cost: about 25 rounds of it.

    Raises:
        InvalidValue: an error is out of range, or the pairs are none.
    """
    first, second = bounded(kept, "kept"), bounded(measured, "measured")
    gates, reads = _noise(depolarising, readout_error, depolarising_b, readout_error_b)
    shape = np.broadcast_shapes(first.shape[:-1], second.shape[:-1], gates.shape, reads.shape)
    best_first = np.array(np.broadcast_to(first, (*shape, 3)))
    best_second = np.array(np.broadcast_to(second, (*shape, 3)))
    most = _gain(_columns(best_first), _columns(best_second), gates, reads)
    for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1)):
        candidate = first[..., order]
        sign = candidate[..., 0] + candidate[..., 2] >= 0
        for middle in range(3):
            partner = _ordered(second, middle, largest_first=sign)
            gain = _gain(_columns(candidate), _columns(partner), gates, reads)
            better = gain > most + _TIE
            most = np.where(better, gain, most)
            best_first = np.where(better[..., None], candidate, best_first)
            best_second = np.where(better[..., None], partner, best_second)
    return dejmps(
        best_first,
        best_second,
        depolarising=depolarising,
        readout_error=readout_error,
        depolarising_b=depolarising_b,
        readout_error_b=readout_error_b,
    )


def bbpssw(
    kept: ArrayLike,
    measured: ArrayLike,
    *,
    depolarising: ArrayLike = 0.0,
    readout_error: ArrayLike = 0.0,
    depolarising_b: ArrayLike | None = None,
    readout_error_b: ArrayLike | None = None,
) -> Purified:
    """Return one round of the recurrence of Bennett et al. (1996): both pairs are twirled to Werner states first.

    The twirl throws the kind of the errors away, so further rounds gain less than those of DEJMPS. The result is that
    before the next round's twirl. Arguments as in ``dejmps``.

    Raises:
        InvalidValue: an error is out of range, or the pairs are none.
    """
    # Between Werner states the rotations that tell DEJMPS from BBPSSW do nothing.
    return dejmps(
        werner_twirled(kept),
        werner_twirled(measured),
        depolarising=depolarising,
        readout_error=readout_error,
        depolarising_b=depolarising_b,
        readout_error_b=readout_error_b,
    )


# --------------------------------------------------------------------------------------------------------------- EPL


def single_click(double: ArrayLike, *, visibility: ArrayLike = 1.0, none: ArrayLike = 0.0) -> Carried:
    """Return the pairs that one detected photon heralds, with X on half b: their natural form, not Bell-diagonal.

    As made, such a pair is (|01> + |10>) / √2 of coherence ``visibility`` with weight 1 - double - none, and |11> with
    weight ``double``: both nodes were bright, and one of the photons was lost. X on half b turns Ψ⁺ into Φ⁺, the frame
    of all pairs here.

    Args:
        double: weight of |11>, about the bright-state population when most photons are lost.
        visibility: coherence of the pair relative to its own phase; negative = the opposite Bell state. For ``epl``,
            relative to the phase that both pairs share, which cancels.
        none: weight of |00>, from dark counts.

    Raises:
        InvalidValue: the weights exceed 1 together, or a figure is out of range.
    """
    bright, dark = check_probability("double", double), check_probability("none", none)
    contrast = check_within("visibility", visibility, -1.0, 1.0, "a visibility lies in [-1, 1]")
    even = bright + dark
    check_within("double + none", even, 0.0, 1.0, "two weights of one state are at most 1 together")
    coherence = (1 - even) * contrast
    return Carried(lx=coherence, ly=coherence, lz=1 - 2 * even, za=dark - bright, zb=bright - dark)


def epl(
    kept: Carried,
    measured: Carried,
    *,
    depolarising: ArrayLike = 0.0,
    readout_error: ArrayLike = 0.0,
    depolarising_b: ArrayLike | None = None,
    readout_error_b: ArrayLike | None = None,
) -> PurifiedCarried:
    """Return one round of extreme-photon-loss distillation on single-click pairs, exact for these errors.

    In the frame in which the pairs are made, Ψ⁺ with some |11>, both nodes apply a CNOT and keep the first pair only
    when **both** measure 1. That takes one pair in |01> and the other in |10>, so |11> is gone whatever its weight, and
    a phase that both pairs share cancels: success (1 - w)(1 - w') / 2, fidelity (1 + v v') / 2 with visibilities v, v'
    (Campbell and Benjamin 2008). In the frame of all pairs here, with X on half b, "both 1" reads: a 1, b 0.

    For pairs with correlators only, use ``Carried.of``; without their local terms nothing is gained over ``dejmps``.
    Any state of this form may come in, so dark counts (|00>) and waits are covered. Arguments as in ``dejmps``.

    Raises:
        InvalidValue: an error is out of range.
    """
    ga, gb, ra, rb = _sides(depolarising, readout_error, depolarising_b, readout_error_b)
    both = ga * gb
    # Into the frame of Ψ⁺: X on half b changes the signs of <YY>, <ZZ> and <Z_b>; ly is -<YY> already.
    x, y, z, a, b = kept.lx, kept.ly, -kept.lz, kept.za, -kept.zb
    u, v, w, c, d = measured.lx, measured.ly, -measured.lz, measured.za, -measured.zb
    # A term survives when the measured pair ends in a product of Z: (1 - Z)(1 - Z) / 4 takes it with this sign.
    normal = 1 - ga * ra * a * c - gb * rb * b * d + both * ra * rb * z * w
    total = (
        both * (x * u + ra * rb * y * v),
        both * (y * u + ra * rb * x * v),
        -both * (z - rb * a * d - ra * b * c + ra * rb * w),
        ga * (a - ra * c) + both * (ra * rb * b * w - rb * z * d),
        -(gb * (b - rb * d) + both * (ra * rb * a * w - ra * z * c)),
    )
    each = _normalised(total, normal)
    state = Carried(lx=each[..., 0], ly=each[..., 1], lz=each[..., 2], za=each[..., 3], zb=each[..., 4])
    return PurifiedCarried(state=state, success=np.asarray(normal / 4))


# -------------------------------------------------------------------------------------------------------------- inside

_Columns = tuple[FloatArray, FloatArray, FloatArray]


def _columns(state: FloatArray) -> _Columns:
    return state[..., 0], state[..., 1], state[..., 2]


def _gain(kept: _Columns, measured: _Columns, gates: FloatArray, reads: FloatArray) -> FloatArray:
    """Return 4F - 1 after a DEJMPS round; the order of lx and lz of the kept pair makes no difference to it."""
    (x, y, z), (u, v, w) = kept, measured
    normal = 1 + gates * reads * y * v
    total = gates * ((x + z) * (u + reads * w) + y + reads * v)
    shape = np.broadcast_shapes(total.shape, normal.shape)
    return np.divide(total, normal, out=np.zeros(shape), where=normal > _NEVER)


def _ordered(state: FloatArray, middle: int, *, largest_first: NDArray[np.bool_]) -> FloatArray:
    """Return the correlators with ``middle`` in the place of ly and the other two by size."""
    p, q = (state[..., each] for each in range(3) if each != middle)
    high, low = np.maximum(p, q), np.minimum(p, q)
    parts = (np.where(largest_first, high, low), state[..., middle], np.where(largest_first, low, high))
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def _normalised(total: tuple[FloatArray, ...], normal: FloatArray) -> FloatArray:
    """Return the terms of a kept state per its probability, along a new last axis."""
    shape = np.broadcast_shapes(normal.shape, *(each.shape for each in total))
    out = np.empty((*shape, len(total)))
    if normal.size and normal.min() > _NEVER:
        for index, each in enumerate(total):
            np.divide(each, normal, out=out[..., index])
    else:
        out[...] = 0.0
        for index, each in enumerate(total):
            np.divide(each, normal, out=out[..., index], where=np.asarray(normal > _NEVER))
    return np.clip(out, -1.0, 1.0, out=out)


def _sides(
    depolarising: ArrayLike,
    readout_error: ArrayLike,
    depolarising_b: ArrayLike | None,
    readout_error_b: ArrayLike | None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return 1 - L of both nodes, then 1 - 2e of both nodes."""
    gate_a = 1 - check_depolarising(depolarising)
    read_a = 1 - 2 * check_probability("readout_error", readout_error)
    gate_b = gate_a if depolarising_b is None else 1 - check_depolarising(depolarising_b, "depolarising_b")
    read_b = read_a if readout_error_b is None else 1 - 2 * check_probability("readout_error_b", readout_error_b)
    return gate_a, gate_b, read_a, read_b


def _noise(
    depolarising: ArrayLike,
    readout_error: ArrayLike,
    depolarising_b: ArrayLike | None,
    readout_error_b: ArrayLike | None,
) -> tuple[FloatArray, FloatArray]:
    """Return G and r of a round."""
    gate_a, gate_b, read_a, read_b = _sides(depolarising, readout_error, depolarising_b, readout_error_b)
    return np.asarray(gate_a * gate_b), np.asarray(read_a * read_b)
