"""Where do the shots go, and how many are needed?

Uniform: every needed variant gets the same. Two-stage Neyman: a pilot of 15 % shows which variants the variance comes
from, and the rest goes to each in proportion to |slope| × standard deviation. With a ``precision`` shots are added
until every error bar is below it, and a precision out of reach is refused after the pilot.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.cutting.contract import Network
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.estimates import Reading, evaluate
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import Ints, Measured, measure
from hyperfabric_q.cutting.sampling import Laws, Tally, added
from hyperfabric_q.errors import HyperFabricWarning, InvalidValue, OverheadTooHigh, SimulationRefused
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.seeds import resolve, stream

Key: TypeAlias = tuple[int, int]
Mask: TypeAlias = NDArray[np.bool_]
Allocation: TypeAlias = Literal["uniform", "neyman"]

MOST_VARIANTS = 20_000_000
"""Variants of one fragment in one basis that are listed at all."""

PILOT = 0.15
LEAST = 8
ALLOWED = 100_000_000
ROUNDS = 24
GROWTH = 4
MARGIN = 3


class Source(Protocol):
    """What gives counts: ``Laws`` by simulation, or devices."""

    def keys(self) -> list[Key]:
        """Return every (fragment, group) that has something to measure."""
        ...

    def draw(self, shots: Mapping[Key, Ints], rng: np.random.Generator) -> list[Tally]:
        """Return counts of as many shots of each variant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimated:
    """Observables estimated from shots.

    Attributes:
        estimates: one for each observable.
        reading: the same as arrays, with what each variant contributes.
        tallies: the counts.
        variants: unique variants that were run, over all measurement bases.
        shots: spent in all.
        seed: that gives the same counts again.
    """

    estimates: tuple[Estimate, ...]
    reading: Reading
    tallies: tuple[Tally, ...]
    variants: int
    shots: int
    seed: int


def estimate(
    cut: CutCircuit,
    observables: Any,
    *,
    shots: int | None = None,
    per_variant: int | None = None,
    precision: float | None = None,
    allocation: Allocation = "neyman",
    max_shots: int = ALLOWED,
    seed: int | None = None,
    wires: Sequence[int] | None = None,
    laws: Source | None = None,
    measured: Measured | None = None,
) -> Estimated:
    """Return the observables' estimates from simulated shots.

    Args:
        cut: the fragments, with all parameters bound.
        observables: one or several; SparsePauliOp, Pauli or label.
        shots: in all; or
        per_variant: shots of each unique variant; or
        precision: the standard error that no estimate may exceed.
        allocation: "neyman" or "uniform"; ``per_variant`` is uniform.
        max_shots: what ``precision`` may cost.
        seed: of the draws.
        wires: the wire that holds each qubit at the end (``Prepared.wires``).
        laws: where counts come from; by default the exact laws of these fragments and observables.
        measured: what is measured of the observables, where that is known already.

    Raises:
        InvalidValue: not exactly one of shots, per_variant and precision; too few shots.
        OverheadTooHigh: the precision needs more than ``max_shots``.

    Warns:
        HyperFabricWarning: an error bar is wider than the observable's range, so that the value says nothing.
    """
    if sum(each is not None for each in (shots, per_variant, precision)) != 1:
        given = {"shots": shots, "per_variant": per_variant, "precision": precision}
        raise InvalidValue(field="shots", value=given, rule="give one of shots, per_variant and precision")
    check_allocation(allocation)
    seed = resolve(seed)
    measured = measure(cut, observables, wires=wires) if measured is None else measured
    network = Network.of(cut)
    if precision is not None:
        _check_reach(cut, measured, precision, max_shots)
    laws = Laws(cut, measured) if laws is None else laws
    bench = _Bench(cut, network, measured, laws, stream(seed, "cutting", "shots"))
    if per_variant is not None:
        tallies = bench.draw(bench.even(_whole("per_variant", per_variant, 1)))
    elif shots is not None:
        _whole("shots", shots, bench.count)
        tallies = bench.spend(shots) if allocation == "neyman" else bench.draw(bench.shared(shots, bench.needed))
    else:
        assert precision is not None  # noqa: S101 - one of the three is given
        tallies = bench.reach(precision, max_shots)
    reading = evaluate(network, measured, tallies)
    warn_if_blind(reading, measured)
    return Estimated(
        estimates=reading.estimates(),
        reading=reading,
        tallies=tuple(tallies),
        variants=bench.count,
        shots=reading.shots,
        seed=seed,
    )


def check_allocation(allocation: object) -> None:
    """Do nothing when it is a way to give out shots.

    Raises:
        InvalidValue: otherwise.
    """
    if not isinstance(allocation, str) or allocation not in get_args(Allocation):
        rule = f"shots are given out as {' or '.join(map(repr, get_args(Allocation)))}"
        raise InvalidValue(field="allocation", value=allocation, rule=rule)


def needed_variants(cut: CutCircuit, keys: Iterable[Key]) -> dict[Key, Mask]:
    """Return which variants any term with a weight needs, per (fragment, group); shape (variants,).

    Raises:
        SimulationRefused: a fragment has too many variants to list.
    """
    found = {}
    for fragment, group in keys:
        listed = cut.fragments[fragment].variants
        if listed > MOST_VARIANTS:
            raise SimulationRefused(
                asked=f"the circuits of fragment {fragment}, with {len(cut.fragments[fragment].markers)} ends of cuts",
                found=f"there are {listed:,} of them for each basis, at most {MOST_VARIANTS:,} are handled",
                remedy="Use wider QPUs, or cut elsewhere, so that fewer cuts meet in one part.",
            )
        sizes = tuple(len(side.settings) for side in cut.fragments[fragment].sides)
        mask = np.ones(sizes, dtype=bool)
        for axes, own in _used_settings(cut, fragment):
            mask &= own.reshape([size if axis in axes else 1 for axis, size in enumerate(sizes)])
        found[fragment, group] = mask.reshape(-1)
    return found


def count_variants(cut: CutCircuit, keys: Iterable[Key]) -> int:
    """Return how many variants ``needed_variants`` would list, without listing them."""
    return sum(math.prod(int(own.sum()) for _, own in _used_settings(cut, fragment)) for fragment, _ in keys)


def _used_settings(cut: CutCircuit, fragment: int) -> Iterator[tuple[tuple[int, ...], Mask]]:
    """Yield for each end of a cut in a fragment (its axis, which of its settings a term with a weight needs).

    Where a fragment holds both ends, it is both axes and the pairs of settings.
    """
    whole = cut.fragments[fragment]
    axes: dict[int, list[int]] = {}
    for axis, marker in enumerate(whole.markers):
        axes.setdefault(marker.cut, []).append(axis)
    for number, own in axes.items():
        weights = cut.cuts[number].decomposition.weights
        reads = [np.abs(whole.sides[axis].reading).sum(axis=2) > 0 for axis in own]
        if len(own) == 1:
            used = (weights != 0).any(axis=1 - whole.markers[own[0]].side)
            yield tuple(own), reads[0][used].any(axis=0)
            continue
        across = (weights if whole.markers[own[0]].side == 0 else weights.T) != 0
        left, right = (each.astype(np.int64) for each in reads)
        yield tuple(own), left.T @ across.astype(np.int64) @ right > 0


class _Bench:
    """The variants of one problem, and draws from them."""

    def __init__(
        self, cut: CutCircuit, network: Network, measured: Measured, laws: Source, rng: np.random.Generator
    ) -> None:
        self.cut, self.network, self.measured, self.laws, self.rng = cut, network, measured, laws, rng
        self.needed = {key: mask.astype(float) for key, mask in needed_variants(cut, laws.keys()).items()}
        self.count = int(sum(mask.sum() for mask in self.needed.values()))

    def draw(self, shots: dict[Key, Ints]) -> list[Tally]:
        return self.laws.draw(shots, self.rng)

    def even(self, each: int) -> dict[Key, Ints]:
        return {key: (mask * each).astype(np.int64) for key, mask in self.needed.items()}

    def shared(self, shots: int, weights: dict[Key, Real]) -> dict[Key, Ints]:
        """Give out whole shots in proportion to weights; the largest remainders get what is left."""
        flat = np.concatenate([np.zeros(0), *weights.values()])
        exact = shots * flat / max(flat.sum(), 1e-300)
        whole = np.floor(exact).astype(np.int64)
        left = max(int(shots - whole.sum()), 0)
        whole[np.argsort(whole - exact, kind="stable")[:left]] += 1
        ends = np.cumsum([len(each) for each in weights.values()])
        return dict(zip(weights, np.split(whole, ends[:-1]), strict=True)) if weights else {}

    def pilot(self, shots: int) -> list[Tally]:
        each = max(LEAST, int(PILOT * shots / max(self.count, 1)))
        return self.draw(self.even(min(each, shots // max(self.count, 1))))

    def spend(self, shots: int) -> list[Tally]:
        """Pilot, then the rest where the variance comes from."""
        tallies = self.pilot(shots)
        rest = shots - int(sum(each.shots.sum() for each in tallies))
        reading = evaluate(self.network, self.measured, tallies)
        scores = self.scores(reading, tallies, np.ones(self.measured.count))
        return added(tallies, self.draw(self.shared(rest, scores)))

    def scores(self, reading: Reading, tallies: Sequence[Tally], weights: Real) -> dict[Key, Real]:
        """Return per variant the root of what it contributes to the weighted variances."""
        found = {}
        for each in tallies:
            key = (each.fragment, each.group)
            found[key] = np.sqrt(weights @ reading.wanted[key]) * self.needed[key]
        total = sum(float(score.sum()) for score in found.values())
        return found if total > 0 else dict(self.needed)

    def reach(self, precision: float, allowed: int) -> list[Tally]:
        """Add shots until every standard error is below ``precision``."""
        tallies = self.pilot(max(int(self.count * LEAST / PILOT), min(20_000, allowed)))
        for _ in range(ROUNDS):
            reading = evaluate(self.network, self.measured, tallies)
            if reading.stderr.max(initial=0.0) <= precision:
                return tallies
            spent = {(each.fragment, each.group): each.shots for each in tallies}
            target, needed = self.plan(reading, tallies, precision)
            used = sum(int(each.sum()) for each in spent.values())
            # A forecast from few shots is rough: never more than GROWTH times as many at once, and refuse what is
            # out of reach by a wide margin, or when all that is allowed has been spent.
            if needed > MARGIN * allowed or used >= allowed:
                self.refuse(precision, max(needed, used + 1.0), allowed)
            scale = min(1.0, GROWTH * used / max(needed, 1.0), allowed / max(needed, 1.0))
            target = {key: own * scale for key, own in target.items()}
            more = {key: np.maximum(np.ceil(target[key]).astype(np.int64) - spent[key], 0) for key in target}
            if not any(each.any() for each in more.values()):
                more = {key: (mask * (1 + spent[key] // 8)).astype(np.int64) for key, mask in self.needed.items()}
            tallies = added(tallies, self.draw(more))
        reading = evaluate(self.network, self.measured, tallies)
        if reading.stderr.max(initial=0.0) > precision:
            self.refuse(precision, float(reading.shots) * float(reading.stderr.max() / precision) ** 2, allowed)
        return tallies

    def plan(self, reading: Reading, tallies: Sequence[Tally], precision: float) -> tuple[dict[Key, Real], float]:
        """Return shots per variant that bring the worst observable to the precision, and their sum.

        Observables far from their goal get more weight, a few times over; 5 % are added against surprises.
        """
        weights = np.ones(self.measured.count)
        for _ in range(8):
            scores = self.scores(reading, tallies, weights)
            variances = self.variances(reading, scores)
            weights = weights * np.sqrt(np.maximum(variances / max(variances.max(), 1e-300), 1e-6))
        scores = self.scores(reading, tallies, weights)
        # What the pilot spent is known with the noise of its slopes taken off; the forecast is not.
        plain = self.variances(reading, {(e.fragment, e.group): e.shots.astype(float) for e in tallies})
        known = np.divide(reading.variances, plain, out=np.ones_like(plain), where=plain > 0)
        worst = float((self.variances(reading, scores) * np.minimum(known, 1.0)).max())
        factor = 1.05 * worst / precision**2
        target = {key: np.maximum(score * factor, LEAST * self.needed[key]) for key, score in scores.items()}
        return target, float(sum(each.sum() for each in target.values()))

    def variances(self, reading: Reading, shots: dict[Key, Real]) -> Real:
        total = np.zeros(self.measured.count)
        for key, own in shots.items():
            used = own > 0
            total += (reading.spending[key][:, used] / own[used]).sum(axis=1)
        return total

    def refuse(self, precision: float, needed: float, allowed: int) -> NoReturn:
        _refuse(self.cut, precision, needed, allowed)


def _check_reach(cut: CutCircuit, measured: Measured, precision: float, allowed: int) -> None:
    """Refuse a precision whose circuits alone, run a few times each, exceed what is allowed."""
    given: Any = precision
    number = isinstance(given, numbers.Real) and not isinstance(given, bool | np.bool_)
    if not (number and math.isfinite(precision) and precision > 0):
        raise InvalidValue(field="precision", value=precision, rule="a precision is a positive number")
    keys = [(number, group) for number, own in enumerate(measured.strings) for group in range(len(own.bases))]
    least = count_variants(cut, keys) * LEAST
    if least > allowed:
        _refuse(cut, precision, float(least), allowed)


def _refuse(cut: CutCircuit, precision: float, needed: float, allowed: int) -> NoReturn:
    raise OverheadTooHigh(
        gamma=cut.gamma,
        precision=precision,
        needed=needed,
        allowed=allowed,
        options="Bell pairs between the QPUs take e-bits instead of shots.",
    )


def _whole(field: str, value: int, least: int) -> int:
    given: Any = value
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
        rule = f"it is a whole number of at least {least}, one shot for every unique variant"
        raise InvalidValue(field=field, value=value, rule=rule)
    return int(value)


def warn_if_blind(reading: Reading, measured: Measured) -> None:
    """Warn where an error bar is wider than all values that the observable can take."""
    reach = np.bincount(measured.observable, weights=np.abs(measured.coefficient), minlength=measured.count)
    blind = np.flatnonzero((reading.stderr > reach) & (reach > 0))
    if len(blind):
        worst = blind[np.argmax(reading.stderr[blind] / reach[blind])]
        ratio = float(reading.stderr[worst] / (0.1 * reach[worst]))
        warnings.warn(
            f"{len(blind)} of {measured.count} estimates say nothing: observable {worst} has a standard error of "
            f"{reading.stderr[worst]:.3g} and lies within ±{reach[worst]:.3g}. About {reading.shots * ratio**2:.3g} "
            "shots would bring it to a tenth of that; cut fewer gates, or use wider QPUs.",
            HyperFabricWarning,
            stacklevel=3,
        )
