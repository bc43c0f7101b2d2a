"""Which pairs to purify with which: nested and pumping schedules, with the raw pairs and memory slots they take.

A round that fails loses both of its pairs, and whatever went into them is made anew. The expected number of raw pairs
therefore follows c' = (c_kept + c_measured) / success, whatever the order in which raw pairs arrive (Wald's identity).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement.purification import Purified, best_dejmps, dejmps
from hyperfabric_q.entanglement.state import FloatArray, check_correlators
from hyperfabric_q.errors import InvalidValue

MOST_ROUNDS: Final = 64
"""Beyond this a nested schedule takes more raw pairs than can be counted in 64 bits."""

MOST_STEPS: Final = 10_000
"""Pumping has long stopped gaining."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """Return the pairs after some rounds of a schedule.

    Args:
        rounds: how many; 0 = raw.
        correlators: (..., 3) of the pairs.
        success: (...) of the last round alone; 1 for raw pairs.
        raw_pairs: (...) expected raw pairs per pair of this stage.
        slots: memory slots per node that it needs at most.
    """

    rounds: int
    correlators: FloatArray
    success: FloatArray
    raw_pairs: FloatArray
    slots: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)


def nested(
    raw: ArrayLike,
    rounds: int,
    *,
    depolarising: ArrayLike = 0.0,
    readout_error: ArrayLike = 0.0,
    permute: bool = False,
) -> tuple[Stage, ...]:
    """Return the stages 0 to ``rounds`` of purifying pairs with their like: 2^r raw pairs for r rounds, and more.

    Args:
        raw: correlators (..., 3) of the raw pairs.
        rounds: how many rounds, at most 64.
        depolarising: see ``purification.dejmps``.
        readout_error: likewise.
        permute: whether each round starts with the permutation of errors that gains it most fidelity. No single round
            is worse for it. A whole schedule can be: the best first round is not always the best start for a second.

    Raises:
        InvalidValue: ``rounds`` or an error is out of range, or the raw pairs are no states.
    """
    stage = _raw(raw)
    stages = [stage]
    for number in range(1, _count("rounds", rounds, MOST_ROUNDS) + 1):
        pair = stage.correlators
        step = _round(pair, pair, depolarising, readout_error, permute=permute)
        stage = _next(step, number, 2 * stage.raw_pairs, slots=number + 1)
        stages.append(stage)
    return tuple(stages)


def pumping(
    raw: ArrayLike,
    steps: int,
    *,
    depolarising: ArrayLike = 0.0,
    readout_error: ArrayLike = 0.0,
    permute: bool = False,
) -> tuple[Stage, ...]:
    """Return the stages 0 to ``steps`` of purifying one pair with a raw pair again and again, in two slots per node.

    It nears a ceiling below 1 that depends on the raw pairs; more than two or three steps are seldom worth it.
    Arguments as in ``nested``; at most 10,000 steps.

    Raises:
        InvalidValue: ``steps`` or an error is out of range, or the raw pairs are no states.
    """
    stage = first = _raw(raw)
    stages = [stage]
    for number in range(1, _count("steps", steps, MOST_STEPS) + 1):
        step = _round(stage.correlators, first.correlators, depolarising, readout_error, permute=permute)
        stage = _next(step, number, stage.raw_pairs + 1, slots=2)
        stages.append(stage)
    return tuple(stages)


def _raw(raw: ArrayLike) -> Stage:
    state = np.array(check_correlators(raw, "raw"))
    one = np.ones(state.shape[:-1])
    return Stage(rounds=0, correlators=state, success=one, raw_pairs=one.copy(), slots=1)


def _round(
    kept: FloatArray, measured: FloatArray, depolarising: ArrayLike, readout_error: ArrayLike, *, permute: bool
) -> Purified:
    protocol = best_dejmps if permute else dejmps
    return protocol(kept, measured, depolarising=depolarising, readout_error=readout_error)


def _next(step: Purified, number: int, spent: FloatArray, *, slots: int) -> Stage:
    shape = np.broadcast_shapes(spent.shape, step.success.shape)
    never = np.full(shape, np.inf)
    cost = np.divide(spent, step.success, out=never, where=step.success > 0)
    return Stage(rounds=number, correlators=step.correlators, success=step.success, raw_pairs=cost, slots=slots)


def _count(field: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidValue(field=field, value=value, rule=f"a whole number from 0 to {most} is needed")
    return value
