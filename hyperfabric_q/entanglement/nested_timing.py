"""When nested purification on several links has pairs ready, and in which state if they decay meanwhile.

The model: each link heralds one raw pair after another, a pair waits in memory for the partner it is purified with,
a failed purification starts its part of the tree again, a link that is done waits for the slowest, and then all swaps
are made at once. Duration ``t`` and state are carried together, as ``E[1{T = t} (1, lx, ly, lz)]`` over a grid of
attempts: a wait multiplies such a row, two waits in sequence convolve, a purification is bilinear, and starting again
is a geometric series. So the mean state is exact, and not that of the mean wait. Between waits pairs are twirled
(see ``memory``). Local gates and messages take no time here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

import numpy as np

from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import FloatArray, fidelity
from hyperfabric_q.entanglement.swap import chain
from hyperfabric_q.units import PS_PER_S

MOST_CELLS: Final = 1 << 16
_TAIL: Final = 40  # means after which no chance is left
_DIGITS: Final = 12  # of a gain; finer differences are rounding, and the first order is taken

Order = tuple[int, int, int]
Product = Callable[[int, int], FloatArray]

_ORDERS: Final[tuple[tuple[Order, Order], ...]] = tuple(
    ((x, y, z), (u, v, w)) for (x, y, z), (u, v, w) in product(permutations((1, 2, 3)), repeat=2)
)
"""All permutations of the correlators of the first pair and of the second; the given order comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Return when pairs are ready on every link, and what swapping them makes.

    Args:
        correlators: of the pair from end to end, its mean over all runs.
        fidelity: of that mean, hence the mean fidelity.
        wall_ps: mean time until the last link is done.
    """

    correlators: FloatArray
    fidelity: float
    wall_ps: float


def delivery(
    raw: FloatArray,
    rounds: int,
    hops: int,
    *,
    rate_hz: float,
    success: float,
    raw_pairs: float,
    memory: Memory,
    depolarising: float,
    readout_error: float,
    most_cells: int = MOST_CELLS,
) -> Delivery:
    """Return when ``hops`` links are done with ``rounds`` of nested purification each, and the pair that they make.

    Args:
        raw: correlators of a raw pair, (3,).
        rounds: of nested DEJMPS on every link, each with the local permutation that is best for the mean state.
        hops: links, all alike.
        rate_hz: raw pairs per second on each link.
        success: of one attempt. A smaller one than the grid can hold is raised, which shortens the tail of a wait by
            that fraction; the rate stays.
        raw_pairs: mean number that one link takes, which sets the grid.
        memory: of every node.
        depolarising: of a local CNOT.
        readout_error: of a measured bit.
        most_cells: of the grid; fewer are faster and coarser. If not even attempts that always succeed fit, there are
            more.

    Cost: about 25 transforms of up to ``most_cells`` cells per round.
    """
    span = (_TAIL + math.log(hops)) * raw_pairs
    chance = max(success, min(1.0, span / most_cells))
    cells = 1 << max(6, math.ceil(math.log2(span / chance)))
    step_ps = chance / rate_hz * PS_PER_S
    kept, fed = _decay(memory, step_ps, cells)
    rows = _raw_rows(raw, chance, cells)
    gate, parity = (1 - depolarising) ** 2, (1 - 2 * readout_error) ** 2
    for _ in range(rounds):
        rows = _purified_rows(rows, kept, fed, gate, parity)
    done = np.cumsum(rows[0])
    state = _slowest(rows, kept, fed, hops)
    noise = chain(np.ones((hops, 3)), depolarising=depolarising, readout_x=readout_error, readout_z=readout_error)
    joined = state * noise
    wall = float((1 - np.clip(done, 0.0, 1.0) ** hops).sum()) * step_ps
    return Delivery(correlators=joined, fidelity=float(fidelity(joined)), wall_ps=wall)


def _decay(memory: Memory, step_ps: float, cells: int) -> tuple[FloatArray, FloatArray]:
    """What a wait of 0, 1, 2, ... attempts keeps of (1, lx, ly, lz), and what relaxation feeds into lz."""
    times = np.arange(cells) * step_ps
    fed = wait(np.zeros(3), memory, times, memory, times)[:, 2]
    kept = wait(np.ones(3), memory, times, memory, times).T.copy()
    kept[2] -= fed
    return np.concatenate([np.ones((1, cells)), kept]), fed


def _raw_rows(raw: FloatArray, chance: float, cells: int) -> FloatArray:
    attempt = np.arange(cells)
    law = np.zeros(cells)
    law[1:] = chance * np.power(1 - chance, attempt[1:] - 1)
    return np.outer(np.concatenate([[1.0], raw]), law)


def _purified_rows(rows: FloatArray, kept: FloatArray, fed: FloatArray, gate: float, parity: float) -> FloatArray:
    """One more round: the first pair waits while the second is made, and both are made again if it fails."""
    cells = rows.shape[1]
    means = rows.sum(axis=1)
    orders = max(_ORDERS, key=lambda each: round(_gain(means, each, gate, parity), _DIGITS))
    first = np.fft.rfft(rows)

    def joint(i: int, j: int) -> FloatArray:
        out = first[i] * np.fft.rfft(kept[i] * rows[j])
        if i == 3 and fed.any():
            out = out + first[0] * np.fft.rfft(fed * rows[j])
        return np.asarray(out)

    passed = _purify(joint, orders, gate, parity)
    failed = joint(0, 0) - passed[0]
    return np.fft.irfft(passed / (1 - failed), cells)


def _purify(joint: Product, orders: tuple[Order, Order], gate: float, parity: float) -> FloatArray:
    """The rows (1, lx, ly, lz) of a passed DEJMPS from the products of the first pair's rows and the second's.

    The formulas of ``purification.dejmps`` with ``gate`` = (1 - L)**2 and ``parity`` = (1 - 2e)**2.
    """
    (x, y, z), (u, v, w) = orders
    return np.stack(
        [
            (joint(0, 0) + gate * parity * joint(y, v)) / 2,
            gate / 2 * (joint(x, u) + parity * joint(z, w)),
            gate / 2 * (joint(z, u) + parity * joint(x, w)),
            gate / 2 * (joint(y, 0) + parity * joint(0, v)),
        ]
    )


def _gain(means: FloatArray, orders: tuple[Order, Order], gate: float, parity: float) -> float:
    rows = _purify(lambda i, j: np.asarray(means[i] * means[j]), orders, gate, parity)
    return float(rows.sum() / rows[0])


def _slowest(rows: FloatArray, kept: FloatArray, fed: FloatArray, hops: int) -> FloatArray:
    """The product of all links' correlators when the last one is done, on average."""
    if hops == 1:
        return np.asarray(rows[1:].sum(axis=1))
    cells = rows.shape[1]
    size = 2 * cells  # room for the waits, which do not fade within the grid
    waited = np.fft.irfft(np.fft.rfft(rows[1:], size) * np.fft.rfft(kept[1:], size), size)[:, :cells]
    if fed.any():
        waited[2] += np.fft.irfft(np.fft.rfft(rows[0], size) * np.fft.rfft(fed, size), size)[:cells]
    return np.asarray((waited**hops - (waited - rows[1:]) ** hops).sum(axis=1))
