"""What a generation scheme is: physical parameters in, one attempt's success, times and state out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.generation import quantities
from hyperfabric_q.entanglement.state import check_weights
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import Registry
from hyperfabric_q.units import PS_PER_S, VACUUM_M_PER_S, to_ns, to_ps

Weights: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Return one attempt to make a Bell pair.

    Args:
        success: probability that a pair is heralded, all modes together.
        attempt_ps: from the start of one attempt to that of the next.
        herald_ps: age of the pair when both nodes know of it: the older half counts from when its memory first held it.
        weights: Bell-diagonal weights (pI, pX, pY, pZ) when the pair is born; no memory has decayed yet.

    Raises:
        InvalidValue: a figure is out of range.
    """

    success: float
    attempt_ps: int
    herald_ps: int
    weights: Weights

    def __post_init__(self) -> None:
        if not 0 < self.success <= 1:
            rule = "an attempt succeeds with a probability in (0, 1]"
            remedy = "Shorten the link, or raise an efficiency." if self.success == 0 else ""
            raise InvalidValue(field="success", value=self.success, rule=rule, remedy=remedy)
        if self.attempt_ps < 1:
            raise InvalidValue(
                field="attempt_ps",
                value=self.attempt_ps,
                rule="an attempt takes at least 1 ps",
                remedy="Give a distance_m, a reset_ns or an operation_ns.",
            )
        if self.herald_ps < 0:
            raise InvalidValue(field="herald_ps", value=self.herald_ps, rule="an age is not negative")
        check_weights(self.weights)

    @property
    def fidelity(self) -> float:
        """Fidelity of the newborn pair."""
        return self.weights[0]

    @property
    def rate_hz(self) -> float:
        """Heralded pairs per second while attempts follow one another."""
        return self.success / self.attempt_ps * PS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(ABC):
    """Return the physical parameters of one way to make Bell pairs between the memories of two nodes, A and B.

    ``distance_m`` alone makes an instance; everything else is ideal by default, except that fibre attenuates. Each
    field's type states its range.

    Raises:
        InvalidValue: a parameter is out of its range.
    """

    pipelined: ClassVar[bool] = False
    """Whether an attempt may start before the herald of the last one is back, and be shorter than that takes."""

    distance_m: quantities.Metres

    def __post_init__(self) -> None:
        quantities.check(self)

    @abstractmethod
    def attempt(self) -> Attempt:
        """Return success, times and state of one attempt."""

    def link_fields(self) -> Mapping[str, float | Weights]:
        """Return the fields of a fabric's ``Link`` that describe this scheme: ``Link(a, b, **scheme.link_fields())``.

        Raises:
            InvalidValue: no attempt can succeed, or an attempt takes no time.
        """
        made = self.attempt()
        return {
            "distance_m": self.distance_m,
            "pair_weights": made.weights,
            "pair_rate_hz": made.rate_hz,
            "pair_attempt_ns": to_ns(made.attempt_ps),
        }


generation_schemes: Final = Registry[type[Scheme]]("generation scheme")
"""Schemes by name. Third parties add theirs through the entry-point group ``hyperfabric_q.generation_scheme``."""


def generation_scheme(name: str) -> type[Scheme]:
    """Return the generation scheme called ``name``.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
    """
    return generation_schemes[name]


def multiplexed(success: float, modes: int) -> float:
    """Return the probability 1 - (1 - p)^m that at least one of ``modes`` independent attempts succeeds."""
    return 1.0 if success >= 1 else -math.expm1(modes * math.log1p(-success))


def flight_ps(distance_m: float, group_index: float) -> int:
    """Return the time of light, or of a microwave, over ``distance_m`` at that group index, in whole picoseconds."""
    return to_ps(s=distance_m * group_index / VACUUM_M_PER_S)


def transmission(distance_m: float, attenuation_db_per_km: float, insertion_loss_db: float = 0.0) -> float:
    """Return the share of photons that a channel transmits: 10^(-loss/10)."""
    return float(10 ** (-(attenuation_db_per_km * distance_m / 1000 + insertion_loss_db) / 10))


def as_weights(values: NDArray[np.float64]) -> Weights:
    """Return four weights as plain numbers that sum to 1, rounding removed."""
    p_i, p_x, p_y, p_z = (max(float(each), 0.0) for each in values)
    total = math.fsum((p_i, p_x, p_y, p_z))
    return p_i / total, p_x / total, p_y / total, p_z / total
