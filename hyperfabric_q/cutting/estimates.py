"""How far may an estimate be from the truth?

The estimate is linear in what each fragment returned, so it has no bias, and its variance follows from the slopes of
the contraction and the covariance of everything that was read from the same counts (delta method). Slopes are estimates
too: what their noise adds is known in the mean, the sum over pairs of fragments of squared mixed derivatives times both
variances (Goodman 1960, for a product of two), and is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hyperfabric_q.cutting.contract import Network, gradients, left_out_of, values
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.observables import Ints, Measured
from hyperfabric_q.cutting.sampling import Tally
from hyperfabric_q.cutting.tensors import Layout, feature_means, read_off, spread_out
from hyperfabric_q.errors import InternalError
from hyperfabric_q.estimate import Estimate

PAIRS = 2**22
"""Most mixed derivatives that one pair of fragments may have before their term is left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """Values of observables with their errors.

    Attributes:
        values: of the observables, shape (o,).
        variances: of these estimates, shape (o,).
        spending: per (fragment, group) what one shot of each variant has of each observable's variance, shape
            (o, variants): the variance is the sum over variants of this divided by the variant's shots.
        wanted: the same with what the noise of slopes adds, for deciding where shots go next.
        shots: spent in all.
        covariance: of all estimates, shape (o, o), to first order; None unless asked for.
    """

    values: Real
    variances: Real
    spending: dict[tuple[int, int], Real]
    wanted: dict[tuple[int, int], Real]
    shots: int
    covariance: Real | None

    @property
    def stderr(self) -> Real:
        """Return one standard error of each value."""
        return np.sqrt(self.variances)

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the values as estimates."""
        return tuple(
            Estimate(value=float(value), stderr=float(error), shots=self.shots)
            for value, error in zip(self.values, self.stderr, strict=True)
        )


@dataclass(slots=True)
class _Moments:
    """What one tally says: means of features (variants, patterns, s) and their spread in one shot."""

    tally: Tally
    members: Ints
    means: Real
    spread: Real  # variance of one shot, as means
    products: Real  # second moments of patterns, (variants, patterns, patterns)

    @property
    def shots(self) -> Ints:
        return self.tally.shots


def tensors_of(measured: Measured, tallies: Sequence[Tally]) -> list[Real]:
    """Return the tensors that the counts give, per fragment (strings, instruments...)."""
    return _tensors(measured, [_moments(measured, tally) for tally in tallies])


def plain_values(network: Network, measured: Measured, tallies: Sequence[Tally]) -> Real:
    """Return the values of the observables without errors, shape (o,)."""
    return measured.total(values(network, tensors_of(measured, tallies), measured.index, measured.identity))


def evaluate(network: Network, measured: Measured, tallies: Sequence[Tally], *, covariance: bool = False) -> Reading:
    """Return the observables' values with their errors.

    Args:
        network: how the fragments are joined.
        measured: what was measured.
        tallies: one for each fragment and group.
        covariance: work out the covariance of all observables as well.

    Cost: one contraction per fragment for the slopes, one per pair of fragments for the mixed derivatives.
    """
    moments = [_moments(measured, tally) for tally in tallies]
    tensors = _tensors(measured, moments)
    terms = values(network, tensors, measured.index, measured.identity)
    slopes = gradients(network, tensors, measured.index, measured.identity)
    variances = np.zeros(measured.count)
    plain = np.zeros(measured.count)
    total = np.zeros((measured.count, measured.count)) if covariance else None
    spending: dict[tuple[int, int], Real] = {}
    for each in moments:
        own = _spending(measured, each, slopes[each.tally.fragment], total)
        spending[each.tally.fragment, each.tally.group] = own.exact
        variances += _over_shots(own.exact, each.shots)
        plain += _over_shots(own.plain, each.shots)
    second, noise = _mixed(network, measured, moments, tensors)
    weights = np.bincount(
        measured.observable, weights=measured.coefficient**2 * second[measured.term], minlength=measured.count
    )
    # Terms of one observable share counts; their pairs are taken to be as correlated as they are to first order.
    weights *= np.divide(variances, plain, out=np.ones_like(plain), where=plain > 0)
    wanted = {key: spent + _noise(measured, moments, key, noise) for key, spent in spending.items()}
    return Reading(
        values=measured.total(terms),
        variances=np.maximum(variances - weights, weights),
        spending=spending,
        wanted=wanted,
        shots=int(sum(each.shots.sum() for each in moments)),
        covariance=total,
    )


def _moments(measured: Measured, tally: Tally) -> _Moments:
    strings, layout = measured.strings[tally.fragment], tally.layout
    members = strings.members(tally.group)
    shots = tally.shots
    frequencies = tally.counts / np.maximum(shots, 1)[:, None]
    masks = (strings.x | strings.z)[members]
    means = feature_means(frequencies, layout, masks).reshape(layout.variants, -1, len(members))
    count = means.shape[1]
    zero = np.zeros(1, dtype=np.int64)
    products = feature_means(frequencies, layout, zero, squared=True).reshape(layout.variants, count, count)
    scale = np.ones(layout.variants) if tally.scale is None else tally.scale
    means *= scale[:, None, None]
    products *= scale[:, None, None] ** 2
    second = np.einsum("vpp->vp", products)[:, :, None]
    spread = _unbiased(second - means**2, shots[:, None, None])
    # A feature that came out the same every time may still vary; one that cannot vary does not.
    floor = 1.0 / np.maximum(shots, 1)[:, None, None]
    can_vary = ~(_constant(layout)[:, :, None] & (masks == 0) & (scale == 1)[:, None, None])
    spread = np.where(can_vary, np.maximum(spread, floor * (second > 0) * scale[:, None, None] ** 2), 0.0)
    return _Moments(tally, members, means, spread, products)


def _unbiased(variance: Real, shots: Ints) -> Real:
    """The variance of one shot from that of a sample; a single shot says nothing, and counts as 1."""
    return np.where(shots > 1, variance * shots / np.maximum(shots - 1, 1), 1.0)


def _constant(layout: Layout) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Whether a feature of the empty string is the same for all outcomes, shape (variants, patterns)."""
    steady = np.ones((1, 1), dtype=bool)
    for side in layout.sides:
        own = np.empty(side.patterns.shape[:2], dtype=bool)
        for j, setting in enumerate(side.settings):
            valid = side.patterns[j][:, setting >= 0]
            own[j] = np.ptp(valid, axis=1) == 0
        steady = np.kron(steady, own)
    return steady


def _tensors(measured: Measured, moments: Sequence[_Moments]) -> list[Real]:
    tensors: list[Real | None] = [None] * len(measured.strings)
    for each in moments:
        layout, number = each.tally.layout, each.tally.fragment
        shaped = each.means.reshape(*layout.settings, *layout.patterns, len(each.members))
        own = read_off(shaped, layout)
        whole = tensors[number]
        if whole is None:
            tensors[number] = whole = np.zeros((len(measured.strings[number].x), *own.shape[1:]))
        whole[each.members] = own
    found: list[Real] = []
    for number, tensor in enumerate(tensors):
        if tensor is None and len(measured.strings[number].x):
            raise InternalError(what=f"fragment {number} has no counts")
        found.append(np.zeros((0,)) if tensor is None else tensor)
    return found


@dataclass(slots=True)
class _Spent:
    exact: Real
    plain: Real


def _spending(measured: Measured, moments: _Moments, slopes: Real, total: Real | None) -> _Spent:
    """What one shot of each variant has of each observable's variance; ``plain`` takes terms for independent."""
    number, layout = moments.tally.fragment, moments.tally.layout
    position = np.full(len(measured.strings[number].x), -1)
    position[moments.members] = np.arange(len(moments.members))
    string = position[measured.index[:, number]]
    used = np.flatnonzero(string >= 0)
    spread = spread_out(slopes[used], layout).reshape(len(used), layout.variants, -1)
    row = np.full(len(string), -1)
    row[used] = np.arange(len(used))
    entries = np.flatnonzero(row[measured.term] >= 0)
    owner, term = measured.observable[entries], row[measured.term[entries]]
    scaled = measured.coefficient[entries, None, None] * spread[term]
    where = string[used][term]
    plain = np.zeros((measured.count, layout.variants))
    np.add.at(plain, owner, _own_variance(moments, scaled, where))
    pairs = np.bincount(owner, minlength=measured.count).max(initial=0) > 1
    if not pairs and total is None:
        return _Spent(plain, plain)
    covariance = _covariance(measured, moments)
    gathered = np.zeros((measured.count, layout.variants, spread.shape[2], len(moments.members)))
    np.add.at(gathered.transpose(0, 3, 1, 2), (owner, where), scaled)
    flat = gathered.reshape(measured.count, layout.variants, -1).transpose(1, 0, 2)
    mapped = flat @ covariance
    if total is not None:
        shares = 1.0 / np.maximum(moments.shots, 1)
        total += np.einsum("voa,vpa,v->op", mapped, flat, shares, optimize=True)
    exact = np.maximum(np.einsum("voa,voa->ov", mapped, flat), 0.0)
    return _Spent(exact, plain)


def _own_variance(moments: _Moments, scaled: Real, where: Ints) -> Real:
    """The variance in one shot of (e, variants, patterns) slopes times features of one string each."""
    if scaled.shape[2] == 1:
        return np.asarray(scaled[:, :, 0] ** 2 * moments.spread[:, 0, where].T)
    # sum_pp' g_p g_p' (E[pp'] - m_p m_p'), where a pattern's own term has its floor.
    raised = np.einsum("evp,vpe->ev", scaled**2, moments.spread[:, :, where])
    cross = np.einsum("evp,vpq,evq->ev", scaled, moments.products, scaled)
    cross -= np.einsum("evp,vpe->ev", scaled, moments.means[:, :, where]) ** 2
    second = np.einsum("vpp->vp", moments.products)[:, :, None] - moments.means[:, :, where] ** 2
    cross -= np.einsum("evp,vpe->ev", scaled**2, second)
    return np.asarray(np.maximum(raised + cross, 0.0))


def _covariance(measured: Measured, moments: _Moments) -> Real:
    """The covariance in one shot of all features (pattern, string) of each variant, shape (variants, a, a)."""
    tally, layout = moments.tally, moments.tally.layout
    strings = measured.strings[tally.fragment]
    masks = (strings.x | strings.z)[moments.members]
    both = masks[:, None] ^ masks[None, :]
    distinct, place = np.unique(both, return_inverse=True)
    frequencies = tally.counts / np.maximum(tally.shots, 1)[:, None]
    patterns, count = moments.means.shape[1], len(masks)
    second = feature_means(frequencies, layout, distinct, squared=True)
    second = second.reshape(layout.variants, patterns, patterns, len(distinct))[..., place.reshape(count, count)]
    if tally.scale is not None:
        second = second * tally.scale[:, None, None, None, None] ** 2
    flat = moments.means.reshape(layout.variants, -1)
    matrix = second.transpose(0, 1, 3, 2, 4).reshape(layout.variants, flat.shape[1], flat.shape[1])
    shots = moments.shots[:, None, None]
    covariance = np.where(
        shots > 1, (matrix - flat[:, :, None] * flat[:, None, :]) * shots / np.maximum(shots - 1, 1), 0.0
    )
    diagonal = np.arange(flat.shape[1])
    covariance[:, diagonal, diagonal] = moments.spread.reshape(layout.variants, -1)
    return covariance


def _over_shots(spending: Real, shots: Ints) -> Real:
    return np.asarray((spending[:, shots > 0] / shots[shots > 0]).sum(axis=1))


def _mixed(
    network: Network, measured: Measured, moments: Sequence[_Moments], tensors: Sequence[Real]
) -> tuple[Real, dict[int, Real]]:
    """The second-order variance of every term, and what the noise of slopes adds per fragment.

    Returns:
        Shape (terms,), and per fragment (terms, variants · patterns): sum over the features of all other fragments of
        mixed derivative² × variance.
    """
    second = np.zeros(len(measured.index))
    ready = [network.weighted(number, tensor) for number, tensor in enumerate(tensors)]
    layouts = {each.tally.fragment: each.tally.layout for each in moments}
    variance = _feature_variances(measured, moments)
    noise = {number: np.zeros((len(measured.index), variance[number].shape[1])) for number in layouts}
    group_values = {
        group: values(network.only(group), tensors, measured.index, measured.identity) for group in network.groups
    }
    for group in network.groups:
        outside = np.ones(len(measured.index))
        for other, value in group_values.items():
            if other != group:
                outside *= value
        if len(group) == 2:
            _two(network, measured, layouts, variance, group, outside**2, second, noise)
            continue
        for a, b in combinations(group, 2):
            size = variance[a].shape[1] * variance[b].shape[1]
            rest = [number for number in group if number not in (a, b)]
            distinct = len(np.unique(measured.index[:, rest], axis=0)) if rest else 1
            if size * distinct > PAIRS:
                continue
            rows, inverse = _distinct_rows(measured.index, rest)
            slopes = left_out_of(network, ready, measured.index[rows], group, (a, b))
            squared = _both_spread(slopes, layouts[a], layouts[b]) ** 2
            index_a, index_b = measured.index[:, a], measured.index[:, b]
            for row in range(len(rows)):
                own = np.flatnonzero(inverse == row)
                at_b = squared[row] @ variance[b].T  # (features of a, strings of b)
                at_a = variance[a] @ squared[row]
                scale = outside[own] ** 2
                noise[a][own] += at_b.T[index_b[own]] * scale[:, None]
                noise[b][own] += at_a[index_a[own]] * scale[:, None]
                second[own] += (variance[a] @ at_b)[index_a[own], index_b[own]] * scale
    return second, noise


def _two(
    network: Network,
    measured: Measured,
    layouts: dict[int, Layout],
    variance: dict[int, Real],
    group: tuple[int, ...],
    scale: Real,
    second: Real,
    noise: dict[int, Real],
) -> None:
    """Add the second order of two fragments alone: mixed derivatives are products of weights, cut by cut.

    Their squares are again weights of cuts, between features instead of instruments.
    """
    readings: dict[tuple[int, int], Real] = {}
    tensors: list[Real] = [np.zeros((1,))] * network.count
    for number in group:
        layout = layouts[number]
        count = len(layout.sides)
        for axis, side in zip(network.axes[number], layout.sides, strict=True):
            readings[axis] = side.reading.reshape(len(side.reading), -1)
        order = [0, *(1 + each + half * count for each in range(count) for half in (0, 1))]
        shaped = variance[number].reshape(-1, *layout.settings, *layout.patterns).transpose(order)
        sizes = [readings[axis].shape[1] for axis in network.axes[number]]
        tensors[number] = shaped.reshape(-1, *sizes)
    weights = tuple(
        (readings[cut, 0].T @ own @ readings[cut, 1]) ** 2 if (cut, 0) in readings else own
        for cut, own in enumerate(network.weights)
    )
    squares = replace(network.only(group), weights=weights)
    second += values(squares, tensors, measured.index) * scale
    found = gradients(squares, tensors, measured.index)
    for number in group:
        slopes = found[number]
        layout = layouts[number]
        count = len(layout.sides)
        pairs = [size for both in zip(layout.settings, layout.patterns, strict=True) for size in both]
        order = [0, *(1 + 2 * each for each in range(count)), *(2 + 2 * each for each in range(count))]
        noise[number] += slopes.reshape(-1, *pairs).transpose(order).reshape(len(slopes), -1) * scale[:, None]


def _feature_variances(measured: Measured, moments: Sequence[_Moments]) -> dict[int, Real]:
    """The variance of the mean of every feature, per fragment (strings, variants · patterns)."""
    found: dict[int, Real] = {}
    for each in moments:
        number = each.tally.fragment
        own = each.spread / np.maximum(each.shots, 1)[:, None, None] * (each.shots > 0)[:, None, None]
        flat = own.reshape(-1, len(each.members)).T
        whole = found.setdefault(number, np.zeros((len(measured.strings[number].x), flat.shape[1])))
        whole[each.members] = flat
    return found


def _distinct_rows(index: Ints, columns: Sequence[int]) -> tuple[Ints, Ints]:
    if not columns:
        return np.zeros(1, dtype=np.int64), np.zeros(len(index), dtype=np.int64)
    _, rows, inverse = np.unique(index[:, columns], axis=0, return_index=True, return_inverse=True)
    return rows, inverse.reshape(-1)


def _both_spread(slopes: Real, first: Layout, second: Layout) -> Real:
    """Turn (terms, instruments of a, instruments of b) into (terms, features of a, features of b)."""
    terms, split = len(slopes), 1 + len(first.sides)
    shape_a, shape_b = slopes.shape[1:split], slopes.shape[split:]
    size_b = int(np.prod(shape_b, dtype=np.int64))
    moved = np.moveaxis(slopes.reshape(terms, *shape_a, size_b), -1, 1).reshape(terms * size_b, *shape_a)
    done = spread_out(moved, first).reshape(terms, size_b, -1).transpose(0, 2, 1)
    size_a = done.shape[1]
    return spread_out(done.reshape(terms * size_a, *shape_b), second).reshape(terms, size_a, -1)


def _noise(measured: Measured, moments: Sequence[_Moments], key: tuple[int, int], noise: dict[int, Real]) -> Real:
    """What noisy slopes add to the spending of one tally's variants, shape (o, variants)."""
    each = next(each for each in moments if (each.tally.fragment, each.tally.group) == key)
    number, layout = each.tally.fragment, each.tally.layout
    position = np.full(len(measured.strings[number].x), -1)
    position[each.members] = np.arange(len(each.members))
    string = position[measured.index[measured.term, number]]
    entries = np.flatnonzero(string >= 0)
    own = noise[number][measured.term[entries]].reshape(len(entries), layout.variants, -1)
    spread = each.spread[:, :, string[entries]].transpose(2, 0, 1)
    added = np.zeros((measured.count, layout.variants))
    scale = measured.coefficient[entries, None] ** 2
    np.add.at(added, measured.observable[entries], scale * (own * spread).sum(axis=2))
    return added
