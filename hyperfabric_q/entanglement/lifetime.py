"""How long a Bell pair keeps a fidelity while both halves wait: the first crossing, found by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import FloatArray, check_fidelity, fidelity
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_S

FOREVER_PS: Final = 2**62
"""What stands for a crossing that never comes; 53 days are 2**62 ps."""

GONE_PS: Final = -1
"""What stands for a pair whose fidelity is too low from the start."""

ROUNDING: Final = 1e-14
"""A fidelity counts as reached when it is below by no more than this: rounding must not decide."""

_TAIL: Final = 64  # e-folds after which nothing of an exponential is left
_GRID: Final = 512

Ints = NDArray[np.int64]


def lifetime_ps(correlators: ArrayLike, min_fidelity: ArrayLike, *, memory_a: Memory, memory_b: Memory) -> Ints:
    """Return for how many picoseconds a pair keeps ``min_fidelity`` while both halves wait, exact with T1.

    Above 1/2 the fidelity crosses ``min_fidelity`` once. Below, relaxation may lift it again (both halves decay to
    the same product state, whose fidelity is 1/2): what is returned is the first crossing.

    Args:
        correlators: shape (..., 3), of one pair or of many.
        min_fidelity: in [0.25, 1]; broadcasts against the leading axes of ``correlators``.
        memory_a: what holds one half.
        memory_b: what holds the other.

    Returns:
        Whole picoseconds, in the broadcast shape; ``FOREVER_PS`` if the fidelity is never lost, ``GONE_PS`` if it is
        too low from the start.

    Raises:
        InvalidValue: a fidelity is out of range.

    Cost: about 60 evaluations of the memory map for all pairs together; 600 where a ``min_fidelity`` is 1/2 or less.
    """
    state = np.asarray(correlators, dtype=np.float64)
    least = check_fidelity(min_fidelity, "min_fidelity")
    shape = np.broadcast_shapes(state.shape[:-1], least.shape)
    state = np.broadcast_to(state, (*shape, 3))

    def at(times: Ints) -> FloatArray:
        return np.asarray(fidelity(wait(state, memory_a, times, memory_b, times)), dtype=np.float64)

    return first_crossing(at, np.broadcast_to(least, shape), *time_scales(memory_a, memory_b))


def time_scales(*memories: Memory) -> tuple[float, float]:
    """Return the shortest and the longest finite time constant of ``memories``, in ps; (inf, inf) if nothing decays."""
    constants = [
        float(value)
        for memory in memories
        for field in (memory.t1_ps, memory.t2_ps, memory.depolarising_ps, memory.dephasing_ps)
        for value in np.ravel(field)
        if math.isfinite(value)
    ]
    return (min(constants), max(constants)) if constants else (math.inf, math.inf)


def first_crossing(
    fidelity_at: Callable[[Ints], FloatArray], least: FloatArray, shortest_ps: float, longest_ps: float
) -> Ints:
    """Return the last whole picosecond before ``fidelity_at`` first falls below ``least``, lane by lane.

    Args:
        fidelity_at: fidelities after the given waits, both in the shape of ``least``.
        least: what the fidelity should not fall below.
        shortest_ps: the shortest time constant of the decay.
        longest_ps: the longest one.
    """
    floor = least - ROUNDING
    low = np.zeros(least.shape, dtype=np.int64)
    gone = fidelity_at(low) < floor
    if not math.isfinite(longest_ps):
        return np.where(gone, np.int64(GONE_PS), np.int64(FOREVER_PS))
    horizon = min(FOREVER_PS - 1, math.ceil(_TAIL * longest_ps) + 1)
    if bool(np.all(least > 0.5)):
        high = np.full(least.shape, horizon, dtype=np.int64)
        lost = fidelity_at(high) < floor
    else:
        low, high, lost = _bracket(fidelity_at, floor, shortest_ps, horizon)
    while bool(np.any(high - low > 1)):
        middle = low + (high - low) // 2
        kept = fidelity_at(middle) >= floor
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    return np.where(gone, np.int64(GONE_PS), np.where(lost, low, np.int64(FOREVER_PS)))


def _bracket(
    fidelity_at: Callable[[Ints], FloatArray], floor: FloatArray, shortest_ps: float, horizon: int
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return waits around the first crossing, and where there is one: on a grid, and in the lowest dip before it."""
    start = max(1.0, min(shortest_ps * 1e-6, horizon / 2))
    grid = np.unique(np.concatenate([[0], np.geomspace(start, horizon, _GRID).astype(np.int64)]))
    column = (slice(None),) + (None,) * floor.ndim
    values = np.stack([fidelity_at(np.full(floor.shape, each, dtype=np.int64)) for each in grid])
    below = values < floor
    crossed = below.any(axis=0)
    first = np.where(crossed, below.argmax(axis=0), len(grid))
    earlier = np.where(np.arange(len(grid))[column] < first, values, np.inf)
    lowest = np.clip(earlier.argmin(axis=0), 1, len(grid) - 2)
    left, right = grid[lowest - 1], grid[lowest + 1]
    begin = left
    while bool(np.any(right - left > 2)):  # a dip may hide between two points of the grid
        third = np.maximum(1, (right - left) // 3)
        one, two = left + third, right - third
        falling = fidelity_at(one) > fidelity_at(two)
        left, right = np.where(falling, one, left), np.where(falling, right, two)
    dip = (left + right) // 2
    dipped = (fidelity_at(dip) < floor) & (dip < np.where(crossed, grid[np.minimum(first, len(grid) - 1)], horizon))
    index = np.clip(first, 1, len(grid) - 1)
    low = np.where(dipped, begin, grid[index - 1])
    high = np.where(dipped, dip, grid[index])
    return low, high, crossed | dipped


def buffer_pairs(rate_hz: ArrayLike, t_star_ps: ArrayLike) -> FloatArray:
    """Return how many pairs it is useful to keep: those that arrive while one stays good (Little's law).

    Args:
        rate_hz: heralded pairs per second.
        t_star_ps: how long a pair stays good, as from ``lifetime_ps``; ``FOREVER_PS`` gives infinity.

    Raises:
        InvalidValue: a rate is negative.
    """
    rate, kept = np.asarray(rate_hz, dtype=np.float64), np.asarray(t_star_ps, dtype=np.int64)
    if not bool(np.all(rate >= 0)):
        raise InvalidValue(field="rate_hz", value=rate_hz, rule="a rate is not negative")
    seconds = np.where(kept >= FOREVER_PS, np.inf, np.maximum(kept, 0) / PS_PER_S)
    return np.asarray(rate * np.where(rate > 0, seconds, 0.0))
