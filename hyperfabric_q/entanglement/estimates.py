"""What a path would deliver, estimated: the figures that paths are compared by.

The fidelity is that of swapping pairs the moment they are there: raw pairs and noisy swaps, no waiting, no purifying.
The rate is that of one pair per round, where a round ends when the slowest link has its pair, with one memory per link
and no time for swaps and messages. Both flatter long paths; simulating a path gives the figures that hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.state import correlators
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.units import PS_PER_S

Triple = tuple[float, float, float]

PERFECT: Final[Triple] = (1.0, 1.0, 1.0)

# The integrand is analytic in ln t and vanishes fast on both sides, so the trapezoid rule is exact to about 1e-9.
_STEP: Final = 0.1
_LOG_TIMES: Final = np.arange(-21.0, 4.2, _STEP)
_TIMES: Final = np.exp(_LOG_TIMES)


class Wait(NamedTuple):
    """How long one link takes for a pair: ``least_ps``, and then an exponential of mean ``tail_ps``."""

    tail_ps: float
    least_ps: float


def estimated_fidelity(path: Path) -> float:
    """Return the fidelity of pairs over ``path`` that are swapped at once; an upper bound of what is delivered raw."""
    product = PERFECT
    for link in path.links:
        product = times(product, link_correlators(link))
    for station in path.stations[1:-1]:
        product = times(product, swap_factor(station))
    return fidelity_of(product)


def estimated_rate_hz(path: Path) -> float:
    """Return pairs per second over ``path``, one per mean time of its slowest link; for one link its rate, exactly."""
    return rate_of([wait_of(link) for link in path.links])


def fidelity_of(triple: Triple) -> float:
    """Return (1 + lx + ly + lz) / 4."""
    return (1 + math.fsum(triple)) / 4


def times(left: Triple, right: Triple) -> Triple:
    """Return the product of two triples of correlators, entry by entry."""
    return left[0] * right[0], left[1] * right[1], left[2] * right[2]


def link_correlators(link: Elementary) -> Triple:
    """Return the correlators of a fresh pair of ``link``."""
    lx, ly, lz = correlators(link.weights).tolist()
    return lx, ly, lz


def swap_factor(station: Station) -> Triple:
    """Return what a Bell measurement at ``station`` multiplies the correlators by."""
    error = station.readout_error
    x, y, z = swap(PERFECT, PERFECT, depolarising=station.depolarising, readout_x=error, readout_z=error).tolist()
    return x, y, z


def wait_of(link: Elementary) -> Wait:
    """Return the waiting time of ``link``: its first attempt, and then the geometric law as an exponential."""
    return Wait(link.attempt_ps * (1 - link.success) / link.success, link.attempt_ps)


def rate_of(waits: Sequence[Wait]) -> float:
    """Return 1 / E[longest of independent ``waits``] per second; relative error of the integral about 1e-9."""
    tails = np.array([wait.tail_ps for wait in waits], dtype=np.float64)
    least = np.array([wait.least_ps for wait in waits], dtype=np.float64)
    start, slowest = float(least.max()), float(tails.max())
    if slowest == 0:
        return PS_PER_S / start
    if len(waits) == 1:
        return PS_PER_S / (start + slowest)
    after = _TIMES * slowest
    # Beyond its least time a link without a tail has its pair; the others' pairs have had start - least already.
    with np.errstate(divide="ignore"):
        late = -(after[:, None] + (start - least)) / tails
    missing = -np.expm1(np.log1p(-np.exp(late)).sum(axis=1))
    return PS_PER_S / (start + float((missing * after).sum()) * _STEP)
