"""What supplies pairs to a budget: a path of links, or a state with attempts, seen as fidelity against waiting time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.lifetime import Ints, time_scales
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.purification_schedules import nested
from hyperfabric_q.entanglement.state import FloatArray, check_correlators, correlators, fidelity, numbers
from hyperfabric_q.entanglement.stored import stored_chain
from hyperfabric_q.errors import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Supply:
    """Return what makes pairs; hashed by identity.

    Args:
        ends: the nodes of the pair; empty for a state.
        fidelity_at: the fidelity, if every link was heralded so many ps before the gate.
        purified: the fidelity at the earliest use, after so many rounds of nested purification on every link.
        scales: shortest and longest time constant of the memories.
        lag_ps: between the last herald and the earliest use.
        links: whose attempts make it; none if nothing is known of them.
        coherence_ps: of each link's pair.
        losses: where the infidelity at the earliest use comes from, by name.
    """

    ends: tuple[str, ...]
    fidelity_at: Callable[[Ints], FloatArray]
    purified: Callable[[int], float]
    scales: tuple[float, float]
    lag_ps: int
    links: tuple[Elementary, ...]
    coherence_ps: tuple[float, ...]
    losses: tuple[tuple[str, float], ...]


def of_state(
    pair: ArrayLike, memory_a: Memory, memory_b: Memory, attempt_ps: int | None, success: float | None
) -> Supply:
    """Return one pair of given correlators, and attempts at it if they are stated.

    Raises:
        InvalidValue: it is no state of one pair, or a figure is out of range.
    """
    state = numbers("pair", pair)
    if state.shape != (3,):
        raise InvalidValue(
            field="pair",
            value=pair,
            rule="it is a Path, or the three correlators (lx, ly, lz) of one pair; lifetime_ps takes many at once",
        )
    check_correlators(state)
    if (attempt_ps is None) is not (success is None):
        raise InvalidValue(
            field="attempt_ps, success", value=(attempt_ps, success), rule="give both of them or neither"
        )
    links: tuple[Elementary, ...] = ()
    if attempt_ps is not None and success is not None:
        ideal = (1.0, 0.0, 0.0, 0.0)
        links = (Elementary(a="a", b="b", attempt_ps=attempt_ps, success=success, herald_ps=0, weights=ideal),)

    def at(times: Ints) -> FloatArray:
        return np.asarray(fidelity(wait(state, memory_a, times, memory_b, times)), dtype=np.float64)

    return Supply(
        ends=(),
        fidelity_at=at,
        purified=lambda rounds: float(fidelity(_nested(state, rounds, 0.0, 0.0))),
        scales=time_scales(memory_a, memory_b),
        lag_ps=0,
        links=links,
        coherence_ps=(_coherence_ps(memory_a, memory_b),),
        losses=(("the state as given", 1 - float(fidelity(state))),),
    )


@lru_cache(maxsize=256)
def of_path(path: Path) -> Supply:
    """Return the pairs that a path delivers if all its links wait for the gate; inner halves until their swap."""
    fresh = np.asarray(correlators([link.weights for link in path.links]))
    age = np.array([link.herald_ps for link in path.links])
    lag = _lag_ps(path)
    quiet = replace(path, stations=tuple(replace(each, depolarising=0.0, readout_error=0.0) for each in path.stations))

    def ages(times: Ints) -> tuple[Ints, Ints]:
        """What the left and the right halves have waited if heralded ``times`` before the gate, (..., links)."""
        inner = np.repeat(np.maximum(times - lag, 0)[..., None], path.hops, axis=-1)
        left, right = inner + age, inner + age
        left[..., 0], right[..., -1] = times + age[0], times + age[-1]
        return left, right

    def at(times: Ints) -> FloatArray:
        return fidelity(stored_chain(path, fresh, *ages(times)))

    def purified(rounds: int) -> float:
        better = [_purified(state, rounds, path.stations[index : index + 2]) for index, state in enumerate(fresh)]
        return float(fidelity(stored_chain(path, np.stack(better), *ages(np.asarray(lag)))))

    zero = np.asarray(0)
    emitted = float(fidelity(stored_chain(quiet, fresh, 0 * age, 0 * age)))
    heralded = float(fidelity(stored_chain(quiet, fresh, *ages(zero))))
    swapped = float(at(zero))
    return Supply(
        ends=path.ends,
        fidelity_at=at,
        purified=purified,
        scales=time_scales(*(station.memory for station in path.stations)),
        lag_ps=lag,
        links=path.links,
        coherence_ps=tuple(_coherence_ps(left.memory, right.memory) for left, right in pairwise(path.stations)),
        losses=(
            ("the raw pairs", 1 - emitted),
            ("waiting for heralds", emitted - heralded),
            ("errors of the swaps", heralded - swapped),
            ("waiting for the swaps' outcomes", swapped - float(at(np.asarray(lag)))),
        ),
    )


def _purified(state: FloatArray, rounds: int, stations: Sequence[Station]) -> FloatArray:
    level = max(station.depolarising for station in stations)
    error = max(station.readout_error for station in stations)
    return _nested(state, rounds, level, error)


def _nested(state: FloatArray, rounds: int, depolarising: float, readout_error: float) -> FloatArray:
    stages = nested(state, rounds, depolarising=depolarising, readout_error=readout_error, permute=True)
    return stages[-1].correlators


def _lag_ps(path: Path) -> int:
    """From the last herald to a usable pair: a Bell measurement, and its outcomes' way to the nearer choice of end."""
    if path.hops == 1:
        return 0
    slowest = max(station.swap_ps for station in path.stations[1:-1])
    return slowest + min(sum(path.delays_ps[1:]), sum(path.delays_ps[:-1]))


def _coherence_ps(*memories: Memory) -> float:
    """The time in which the pair's <XX> falls to 1/e; the shortest of several lanes."""
    rate = float(np.max(sum(np.asarray(memory.rate_x) for memory in memories)))
    return 1 / rate if rate else math.inf
