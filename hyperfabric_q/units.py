"""The integer-picosecond clock and the only place where units convert."""

from __future__ import annotations

import math
from typing import Final

from hyperfabric_q.errors import InvalidValue

PS_PER_NS: Final = 1_000
PS_PER_US: Final = 1_000_000
PS_PER_S: Final = 1_000_000_000_000

VACUUM_M_PER_S: Final = 299_792_458
"""Speed of light in vacuum, exact by the SI definition of the metre."""

FIBRE_GROUP_INDEX: Final = 1.468
"""Group index of standard single-mode fibre at 1550 nm (ITU-T G.652 class fibre)."""


def to_ps(*, ns: float = 0, us: float = 0, s: float = 0) -> int:
    """Return the sum of the given durations in whole picoseconds, rounded to the nearest.

    Raises:
        InvalidValue: a duration is not finite.

    >>> to_ps(ns=1.5, us=2)
    2001500
    """
    total = 0
    for field, amount, scale in (("ns", ns, PS_PER_NS), ("us", us, PS_PER_US), ("s", s, PS_PER_S)):
        if not math.isfinite(amount):
            raise InvalidValue(field=field, value=amount, rule="a duration must be finite")
        total += amount * scale if isinstance(amount, int) else round(amount * scale)
    return total


def to_ns(ps: int) -> float:
    """Return ``ps`` picoseconds in nanoseconds."""
    return ps / PS_PER_NS


def shortest_latency_ns(distance_m: float) -> float:
    """Return the least latency that light in vacuum allows over ``distance_m`` metres, in nanoseconds."""
    return distance_m / VACUUM_M_PER_S * 1e9


def fibre_latency_ns(distance_m: float) -> float:
    """Return the propagation time over ``distance_m`` metres of standard fibre, in nanoseconds."""
    return distance_m * FIBRE_GROUP_INDEX / VACUUM_M_PER_S * 1e9
