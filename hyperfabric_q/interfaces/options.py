"""One set of options, with one set of defaults, behind every front door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.protocol import HyperFabricProtocol

FabricLike: TypeAlias = Fabric | HyperFabricProtocol

USUAL_SHOTS: Final = 4096
"""Shots where some have to be taken and no number was given: those of ``plan.run``."""

MOST_SHOTS: Final = 10_000_000

NOISES: Final = ("fabric", "links", "none")

LONGEST_SEARCH_S: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricOptions:
    """What every front door takes.

    Attributes:
        shots: of each circuit; None = exact where that is possible. Where it is not, ``USUAL_SHOTS`` are taken and the
            metadata of the result says so.
        precision: standard error of estimates; shots are added until it is reached. None = as ``shots`` say.
        noise: errors of the run: "fabric", "links" or "none", see ``execution.run``.
        method: of what is sampled, see ``execution.run``; "auto" chooses.
        timelines: as in ``execution.run``.
        time_limit_s: how long to search for fewer e-bits, as in ``hq.plan``.
        verify: as in ``hq.plan``.
        seed: of plans and samples. Runs with the same one give the same results; None = a fresh one for each run.
    """

    shots: int | None = None
    precision: float | None = None
    noise: str = "fabric"
    method: str = "auto"
    timelines: str | int = "auto"
    time_limit_s: float = 5.0
    verify: str = "auto"
    seed: int | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "shots", known_shots(self.shots))
        put(self, "precision", known_precision(self.precision))
        if self.noise not in NOISES:
            known = ", ".join(map(repr, NOISES))
            raise InvalidValue(field="noise", value=self.noise, rule=f"noise is one of {known}")
        most = LONGEST_SEARCH_S
        put(self, "time_limit_s", fields.number("time_limit_s", self.time_limit_s, "a plan", most=most, unit="s"))
        if self.seed is not None:
            put(self, "seed", seeds.resolve(self.seed))


def known_shots(shots: object) -> int | None:
    """Return a number of shots; None for None.

    Raises:
        InvalidValue: it is none from 1 to ``MOST_SHOTS``.
    """
    if shots is None:
        return None
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or not 1 <= shots <= MOST_SHOTS:
        raise InvalidValue(
            field="shots", value=shots, rule=f"it is a whole number from 1 to {MOST_SHOTS}, or None for exact"
        )
    return int(shots)


def known_precision(precision: object) -> float | None:
    """Return a precision; None for None and for 0, which is what Qiskit calls exact.

    Raises:
        InvalidValue: it is no finite number from 0.
    """
    if precision is None:
        return None
    number = isinstance(precision, int | float | np.integer | np.floating) and not isinstance(precision, bool)
    if not number or not 0 <= float(precision) < float("inf"):  # type: ignore[arg-type]
        raise InvalidValue(field="precision", value=precision, rule="it is a standard error: a finite number from 0")
    return float(precision) or None  # type: ignore[arg-type]


def fabric_of(source: object) -> Fabric:
    """Return a fabric, or the one that a protocol has as it stands.

    Raises:
        InvalidValue: it is neither.
    """
    if isinstance(source, Fabric):
        return source
    if isinstance(source, HyperFabricProtocol):
        return source.fabric
    raise InvalidValue(
        field="fabric",
        value=source,
        rule="it is a Fabric or a HyperFabricProtocol",
        remedy="Fabric.from_file reads one.",
    )
