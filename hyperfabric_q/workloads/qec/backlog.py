"""Whether a decoder keeps up: utilisation, growing queues, and what falling behind costs."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import BacklogWarning, InvalidValue
from hyperfabric_q.units import PS_PER_US, to_ps
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.timelines import Timeline
from hyperfabric_q.workloads.qec.transport import Transport, transport_bounds_ps, wire

LEAST_WINDOWS: Final = 20
"""Windows that a trend is read from."""

SIGMAS: Final = 3.0

_MOST_BLOCKS: Final = 4096


def smoothed(values: ArrayLike, half_life: float = 16.0) -> NDArray[np.float64]:
    """Return the exponentially weighted running mean; a value counts half after ``half_life`` more of them."""
    given = np.asarray(values, dtype=np.float64)
    keep = 0.5 ** (1 / half_life)
    found = np.empty_like(given)
    mean = 0.0
    for index, value in enumerate(given.tolist()):
        mean = value if index == 0 else keep * mean + (1 - keep) * value
        found[index] = mean
    return found


def utilisation(service_ps: ArrayLike, between_ps: ArrayLike, servers: int = 1) -> float:
    """Return ρ = smoothed service time over smoothed time between arrivals, per server; as it stands at the end."""
    service, between = smoothed(service_ps), smoothed(between_ps)
    if not len(service) or not len(between):
        return 0.0
    return float(service[-1] / between[-1] / servers) if between[-1] > 0 else math.inf


def md1_wait(rho: float, service: float) -> float:
    """Return the mean wait of the M/D/1 queue, ρ / (2 (1 - ρ)) · S, in the unit of ``service``.

    Raises:
        InvalidValue: ρ is not in [0, 1): the queue has no mean.
    """
    if not 0 <= rho < 1:
        raise InvalidValue(field="rho", value=rho, rule="a queue is stable at a load in [0, 1)")
    return rho / (2 * (1 - rho)) * service


def slowdown(ratio: float, gates: int) -> float:
    """Return f^k, by which a computation of k non-Clifford gates slows down when f > 1 rounds come per round decoded.

    Terhal, Rev. Mod. Phys. 87, 307 (2015). At f <= 1 there is no slowdown.

    >>> round(slowdown(1.1, 50))
    117
    """
    return max(1.0, ratio) ** gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a queue develops.

    Attributes:
        windows: how many depths were seen.
        slope: depth gained per window.
        t: the slope over its standard error.
    """

    windows: int
    slope: float
    t: float

    @property
    def grows(self) -> bool:
        """Whether the queue grows beyond doubt: slope above 0 by more than 3 σ, over at least 20 windows."""
        return self.windows >= LEAST_WINDOWS and self.slope > 0 and self.t > SIGMAS


def trend(depths: ArrayLike) -> Trend:
    """Return the regression of queue depths on the number of the window."""
    given = np.asarray(depths, dtype=np.float64)
    count = len(given)
    if count < 3:
        return Trend(windows=count, slope=0.0, t=0.0)
    x = np.arange(count) - (count - 1) / 2
    slope = float(x @ given / (x @ x))
    rest = given - given.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (count - 2) / float(x @ x))
    if error == 0:
        return Trend(windows=count, slope=slope, t=math.copysign(math.inf, slope) if slope else 0.0)
    return Trend(windows=count, slope=slope, t=slope / error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How the decoders of a replay kept up.

    Attributes:
        rho: utilisation of the pool.
        trend: of the windows that wait, seen at each window's readiness.
        deepest: most windows that waited at once.
        slowdown: predicted for ``gates`` non-Clifford gates.
        gates: see there.
    """

    rho: float
    trend: Trend
    deepest: int
    slowdown: float
    gates: int

    def __str__(self) -> str:
        state = "the queue grows" if self.trend.grows else "the queue does not grow"
        return (
            f"utilisation {self.rho:.3g}; {state} ({self.trend.slope:+.3g} windows per window, t = {self.trend.t:.3g}, "
            f"at most {self.deepest}); slowdown after {self.gates} non-Clifford gates ×{self.slowdown:.4g}"
        )


def backlog(timeline: Timeline, servers: int = 1, *, gates: int = 50, warn: bool = True) -> Backlog:
    """Return how the decoders of a replay kept up, with a ``BacklogWarning`` where the queue grows."""
    windows = timeline.windows[np.argsort(timeline.windows[:, 4], kind="stable")]
    ready, begun, done = windows[:, 4], windows[:, 5], windows[:, 6]
    # At each readiness, so many windows had become ready and not begun; windows are few, so the sort is cheap.
    depths = np.arange(1, len(ready) + 1) - np.searchsorted(np.sort(begun), ready, side="right")
    between = np.diff(ready)
    rho = utilisation((done - begun)[1:], between, servers) if len(ready) > 1 else 0.0
    found = Backlog(
        rho=rho,
        trend=trend(depths),
        deepest=int(depths.max(initial=0)),
        slowdown=slowdown(rho, gates),
        gates=gates,
    )
    if warn and found.trend.grows:
        warnings.warn(f"the decoder falls behind: {found}", BacklogWarning, stacklevel=2)
    return found


# ------------------------------------------------------------------------------------------------------------ admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether so many blocks can be promised their deadline.

    Attributes:
        admitted: whether every frame keeps it, whatever the background sends.
        worst_us: no frame takes longer to be taken in; None where no bound is known.
        service_us: of a window.
        rho: utilisation of the decoders.
        reason: in words.
    """

    admitted: bool
    worst_us: float | None
    service_us: float
    rho: float
    reason: str


def decoder_load(decoding: Decoding, cycle_ps: int, blocks: int) -> float:
    """Return the utilisation of the decoders by so many blocks, from what a full window takes."""
    period = (decoding.commit or 1) * cycle_ps
    return blocks * decoding.window_service_ps / (decoding.servers * period)


def admit(transport: Transport, decoding: Decoding, *, cycle_ns: float, bits: int) -> Admission:
    """Return whether all blocks can be promised their deadline, by response-time analysis of their frames.

    The decoders must not be loaded beyond 1, and emission to intake plus one service must fit the deadline.

    Raises:
        NoRoute, IsolationViolated: frames cannot go where they should.
    """
    cycle_ps = to_ps(ns=cycle_ns)
    rho = decoder_load(decoding, cycle_ps, len(transport.blocks))
    bounds = transport_bounds_ps(transport, wire(transport, 0), bits, cycle_ps)
    service = decoding.window_service_ps
    worst = None if None in bounds else max((each for each in bounds if each is not None), default=0)
    limit = transport.deadline_us
    if rho >= 1:
        admitted, reason = False, f"the decoders are loaded to {rho:.4g}, and below 1 they keep up"
    elif worst is None:
        admitted, reason = False, "no bound on the time of a frame is known under this policy and traffic"
    elif limit is not None and worst + service > to_ps(us=limit):
        admitted = False
        reason = f"a frame may take {worst / PS_PER_US:.4g} µs and its decoding {service / PS_PER_US:.4g} µs"
    else:
        admitted, reason = True, "if the blocks are all the traffic of their class and more urgent ones"
    return Admission(
        admitted=admitted,
        worst_us=None if worst is None else worst / PS_PER_US,
        service_us=service / PS_PER_US,
        rho=rho,
        reason=reason,
    )


def most_blocks(transport: Transport, decoding: Decoding, *, cycle_ns: float, bits: int) -> int:
    """Return how many blocks like the first can be admitted together, at most 4096. Cost: some analyses."""

    def fits(count: int) -> bool:
        several = _with_blocks(transport, count)
        return admit(several, decoding, cycle_ns=cycle_ns, bits=bits).admitted

    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= _MOST_BLOCKS and fits(high):
        low, high = high, 2 * high
    if high > _MOST_BLOCKS:
        return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _with_blocks(transport: Transport, count: int) -> Transport:
    return Transport(
        fabric=transport.fabric,
        blocks=transport.blocks[:1] * count,
        decoder=transport.decoder,
        background=transport.background,
        policy=transport.policy,
        deadline_us=transport.deadline_us,
        framing=transport.framing,
        chunk_ns=transport.chunk_ns,
        priority_class=transport.priority_class,
        stagger_ns=transport.stagger_ns,
        faults=transport.faults,
    )
