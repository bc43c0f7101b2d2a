"""Which fidelity reaches over several hops, with how many raw pairs, and if not, what binds.

Every hop is a link whose raw pairs are Werner states. Each link purifies by nested DEJMPS, always with the best local
permutation of errors, then all links are joined by one Bell measurement per inner node. Local errors limit both: a
link has a ceiling that further rounds do not lift, and every swap costs its own infidelity. To first order

    infidelity = hops x (1 - ceiling) + (hops - 1) x (infidelity of a swap),

which never understates it, so it is what an answer of "no" quotes.

**What the errors mean.** ``gate_error`` is the parameter L of the two-qubit depolarising channel after each CNOT,
rho -> (1 - L) rho + L I/4, as in Aer's ``depolarizing_error(L, 2)``. A node's ``gate_error_2q`` is an average
infidelity r instead: L = r / 0.75. ``readout_error`` is the probability that a measured bit is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.budget_table import duration
from hyperfabric_q.entanglement.elementary import Station
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.nested_timing import MOST_CELLS, delivery
from hyperfabric_q.entanglement.purification_schedules import Stage, nested
from hyperfabric_q.entanglement.state import (
    FloatArray,
    check_depolarising,
    check_fidelity,
    check_probability,
    werner,
)
from hyperfabric_q.entanglement.state import (
    fidelity as fidelity_of,
)
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.errors import FidelityUnreachable, InvalidValue, SimulationRefused
from hyperfabric_q.units import PS_PER_NS, PS_PER_S

GATE_INFIDELITY: Final = 0.75
"""Average infidelity of a two-qubit gate per unit of its depolarising parameter L."""

MOST_ROUNDS: Final = 8
MOST_HOPS: Final = 10_000

_CEILING_ROUNDS: Final = 40  # by then a link has its ceiling, or is stuck below it
_TIMED_ROUNDS: Final = 11  # beyond that the grid of attempts needs too much memory
_PARTS: Final = 128
_SEARCH_CELLS: Final = 1 << 13  # enough for two digits of a rate
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Return how a fidelity is reached over several hops.

    Args:
        asked: the fidelity that was asked.
        hops: links from end to end.
        fidelity: what is delivered from end to end; the mean over all runs where memories decay.
        rounds: of nested purification on every link; the least that do.
        raw_pairs: expected raw pairs of all links together.
        link_fidelity: of one purified link, before any wait for the others.
        slots: memory slots per node and link that the schedule needs.
        wall_ns: mean time until the last link is done, links in parallel; None if no rate was given. Local gates and
            messages are not in it.
    """

    asked: float
    hops: int
    fidelity: float
    rounds: int
    raw_pairs: float
    link_fidelity: float
    slots: int
    wall_ns: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return what ``entangle reach --json`` prints."""
        return {
            "reachable": True,
            "fidelity": self.fidelity,
            "rounds": self.rounds,
            "raw_pairs": self.raw_pairs,
            "reason": None,
        }

    def summary(self) -> str:
        """Return the answer in one sentence for people to read."""
        time = "" if self.wall_ns is None else f", {self.wall_ns / 1e6:.4g} ms until the last link is done"
        return (
            f"fidelity {self.fidelity:.6f} over {self.hops} hop{'' if self.hops == 1 else 's'} "
            f"({self.asked:.6g} was asked): {self.rounds} round{'' if self.rounds == 1 else 's'} of nested DEJMPS per "
            f"link, {self.raw_pairs:.1f} raw pairs in all{time}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What was asked, checked."""

    asked: float
    hops: int
    link_fidelity: float
    gate_error: float
    readout_error: float
    rounds_most: int
    rate_hz: float | None
    success: float
    memory: Memory | None

    def stages(self, rounds: int, *, scale: ArrayLike = 1.0) -> tuple[Stage, ...]:
        """Return the stages of a link whose local errors are scaled by ``scale``, a number or an array of them."""
        gate, readout = np.multiply(scale, self.gate_error), np.multiply(scale, self.readout_error)
        return nested(werner(self.link_fidelity), rounds, depolarising=gate, readout_error=readout, permute=True)

    def joined(self, link: FloatArray, *, scale: ArrayLike = 1.0) -> FloatArray:
        """Return the fidelity from end to end of equal links, with scaled errors."""
        gate, readout = np.multiply(scale, self.gate_error), np.multiply(scale, self.readout_error)
        loss = swap(np.ones(3), np.ones(3), depolarising=gate, readout_x=readout, readout_z=readout)
        ends = fidelity_of(link**self.hops * loss ** (self.hops - 1))
        return np.broadcast_to(ends, np.broadcast_shapes(ends.shape, np.shape(scale)))

    def best(self, scale: ArrayLike = 1.0) -> FloatArray:
        """Return the best fidelity from end to end that any number of rounds gives, with scaled errors."""
        stages = self.stages(_CEILING_ROUNDS, scale=scale)
        return np.asarray(np.max(np.stack([self.joined(each.correlators, scale=scale) for each in stages]), axis=0))

    def reached(self, found: float) -> bool:
        return found >= self.asked - _ROUNDING


def reach(
    fidelity: float = 0.999,
    hops: int = 1,
    *,
    link_fidelity: float = 0.95,
    gate_error: float = 0.0,
    readout_error: float = 0.0,
    rounds_most: int = MOST_ROUNDS,
    rate_hz: float | None = None,
    success: float = 0.01,
    memory: Memory | None = None,
    hardware: Station | None = None,
) -> Reach:
    """Return the least purification with which ``fidelity`` is reached over ``hops`` links.

    Args:
        fidelity: asked from end to end, in [0.25, 1].
        hops: links from end to end.
        link_fidelity: of the raw pairs, which are Werner states.
        gate_error: parameter L of the two-qubit depolarising channel after a CNOT: average infidelity / 0.75.
        readout_error: probability that a measured bit is wrong.
        rounds_most: no more rounds of nested purification per link than this.
        rate_hz: raw pairs per second on each link, one after another; gives ``wall_ns``.
        success: of one attempt; ``rate_hz`` holds whatever it is, and below 0.01 it makes no visible difference.
        memory: what the nodes keep pairs in, and how they decay while they wait; needs ``rate_hz``.
        hardware: a node's gates, readout and memory in place of the three arguments above.

    Raises:
        InvalidValue: a figure is out of range.
        FidelityUnreachable: it cannot be had; the reason names the binding term and what would do.
        SimulationRefused: ``rate_hz`` was given, and more than 11 rounds are needed.

    Cost: some milliseconds, and 0.1 s to say which local errors would do. With ``rate_hz`` about 0.1 s, and a second
    to say which rate would do.
    """
    if hardware is not None:
        if gate_error or readout_error or memory is not None:
            raise InvalidValue(
                field="hardware",
                value=hardware.node_id,
                rule="it states gate_error, readout_error and memory already",
                remedy="Leave those out, or leave out hardware.",
            )
        gate_error, readout_error = hardware.depolarising, hardware.readout_error
        memory = hardware.memory if rate_hz is not None else None
    case = _checked(
        _Case(
            asked=fidelity,
            hops=hops,
            link_fidelity=link_fidelity,
            gate_error=gate_error,
            readout_error=readout_error,
            rounds_most=rounds_most,
            rate_hz=rate_hz,
            success=success,
            memory=memory,
        )
    )
    stages = case.stages(rounds_most)
    ends = [float(case.joined(stage.correlators)) for stage in stages]
    good = [stage for stage, end in zip(stages, ends, strict=True) if case.reached(end)]
    if not good:
        raise _unreachable(case, max(ends))
    if case.rate_hz is None:
        return _answer(case, good[0], ends[good[0].rounds], None)
    good = [stage for stage in good if stage.rounds <= _TIMED_ROUNDS]
    if not good:
        raise SimulationRefused(
            asked=f"how long nested purification takes that needs more than {_TIMED_ROUNDS} rounds",
            found="one pair then takes thousands of raw pairs, and its waits no longer fit into the grid of attempts",
            remedy="Leave out rate_hz and memory, or start from better raw pairs.",
        )
    best = -1.0
    for stage in good:
        found, wall_ps = _timed(case, stage, case.rate_hz)
        if case.reached(found):
            return _answer(case, stage, found, wall_ps / PS_PER_NS)
        best = max(best, found)
    raise _decayed(case, good, best)


def _checked(case: _Case) -> _Case:
    for name, value in (("fidelity", case.asked), ("link_fidelity", case.link_fidelity)):
        check_fidelity(value, name)
    check_depolarising(case.gate_error, "gate_error")
    check_probability("readout_error", case.readout_error)
    _check_count("hops", case.hops, 1, MOST_HOPS)
    _check_count("rounds_most", case.rounds_most, 0, _CEILING_ROUNDS)
    if not 0 < case.success <= 1:
        raise InvalidValue(field="success", value=case.success, rule="a success probability lies in (0, 1]")
    if case.rate_hz is not None and not 0 < case.rate_hz < math.inf:
        raise InvalidValue(field="rate_hz", value=case.rate_hz, rule="a rate is finite and above 0")
    if case.memory is not None and case.rate_hz is None:
        raise InvalidValue(
            field="memory",
            value=case.memory,
            rule="it says how fast pairs decay, but nothing says how long they wait",
            remedy="Give rate_hz as well.",
        )
    return case


def _check_count(field: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidValue(field=field, value=value, rule=f"it is a whole number from {least} to {most}")


def _timed(case: _Case, stage: Stage, rate_hz: float, most_cells: int = MOST_CELLS) -> tuple[float, float]:
    """Return the mean fidelity from end to end and the mean time in ps, with waits."""
    found = delivery(
        werner(case.link_fidelity),
        stage.rounds,
        case.hops,
        rate_hz=rate_hz,
        success=case.success,
        raw_pairs=float(stage.raw_pairs),
        memory=case.memory or Memory(),
        depolarising=case.gate_error,
        readout_error=case.readout_error,
        most_cells=most_cells,
    )
    return found.fidelity, found.wall_ps


def _answer(case: _Case, stage: Stage, found: float, wall_ns: float | None) -> Reach:
    return Reach(
        asked=case.asked,
        hops=case.hops,
        fidelity=found,
        rounds=stage.rounds,
        raw_pairs=case.hops * float(stage.raw_pairs),
        link_fidelity=float(fidelity_of(stage.correlators)),
        slots=stage.slots,
        wall_ns=wall_ns,
    )


# ---------------------------------------------------------------------------------------------------- why it is not


def _unreachable(case: _Case, reachable: float) -> FidelityUnreachable:
    scales = np.linspace(0.0, 1.0, _PARTS + 1)
    kept = case.best(scales) >= case.asked - _ROUNDING
    if kept[-1]:
        reason = _rounds(case)
    elif not kept[0]:
        reason = _raw_pairs(case)
    else:
        reason = _local_errors(case, scales, kept)
    return FidelityUnreachable(asked=case.asked, reachable=reachable, reason=reason)


def _rounds(case: _Case) -> str:
    needed = next(each for each in case.stages(_CEILING_ROUNDS) if case.reached(float(case.joined(each.correlators))))
    return (
        f"at most {_counted(case.rounds_most, 'round')} of purification allowed; "
        f"{_counted(needed.rounds, 'round')} and {case.hops * float(needed.raw_pairs):.1f} raw pairs would do"
    )


def _raw_pairs(case: _Case) -> str:
    stuck = f", and {_CEILING_ROUNDS} rounds do not lift these enough" if case.link_fidelity > 0.5 else ""
    return (
        f"raw pairs of fidelity {case.link_fidelity:.6g} are not entangled enough: "
        f"no purification lifts Werner states of fidelity 1/2 or less above 1/2{stuck}"
    )


def _local_errors(case: _Case, scales: FloatArray, kept: NDArray[np.bool_]) -> str:
    """Name the terms of the infidelity, and the local errors that would do, by repeated division of an interval."""
    stages = case.stages(_CEILING_ROUNDS)
    link = max(0.0, 1 - max(float(fidelity_of(stage.correlators)) for stage in stages))
    error = case.readout_error
    perfect = swap(np.ones(3), np.ones(3), depolarising=case.gate_error, readout_x=error, readout_z=error)
    each = 1 - float(fidelity_of(perfect))
    total, allowed = case.hops * link + (case.hops - 1) * each, 1 - case.asked
    terms = f"{_counted(case.hops, 'link ceiling')} x {_short(link)}"
    if case.hops > 1:
        terms += f" + {_counted(case.hops - 1, 'swap')} x {_short(each)}"
    for _ in range(3):
        last = max(0, int(np.argmin(kept)) - 1)
        scales = np.linspace(scales[last], scales[last + 1], _PARTS + 1)
        kept = case.best(scales) >= case.asked - _ROUNDING
    low = float(scales[max(0, int(np.argmin(kept)) - 1)])
    digits = next((n for n in range(3, 12) if _short(total, n) != _short(allowed, n)), 12)
    return f"{terms} = {_short(total, digits)} > {_short(allowed)}; {_would_do(case, low)}"


def _would_do(case: _Case, scale: float) -> str:
    gate, readout = _rounded(scale * case.gate_error, math.floor), _rounded(scale * case.readout_error, math.floor)
    if not scale:
        return "only perfect gates and readout would do"
    if not case.gate_error:
        return f"a readout error of about {readout} would do"
    if not case.readout_error:
        return f"a gate error of about {gate} would do"
    if gate == readout:
        return f"local errors of about {gate} would do"
    return f"a gate error of about {gate} with a readout error of about {readout} would do"


def _decayed(case: _Case, good: list[Stage], best: float) -> FidelityUnreachable:
    """Say that the memories decay too fast for the rate, and which rate would do."""
    given = case.rate_hz or 0.0
    needed, stage = min(((_rate_for(case, each, given), each) for each in good[:2]), key=lambda each: each[0])
    still, wall_ps = float(case.joined(stage.correlators)), _timed(case, stage, given)[1]
    coherence = _coherence_s(case.memory or Memory())
    return FidelityUnreachable(
        asked=case.asked,
        reachable=best,
        reason=(
            f"{_counted(stage.rounds, 'round')} of purification would give {still:.6f} if nothing decayed, but at "
            f"{given:.6g} raw pairs per second and link they take {duration(wall_ps)}, while memories of coherence "
            f"time {duration(coherence * PS_PER_S)} decay; about {_rounded(needed, math.ceil)} raw pairs per second "
            f"would do (rate x coherence time {_rounded(needed * coherence, math.ceil)}, "
            f"not {_short(given * coherence, 2)})"
        ),
    )


def _rate_for(case: _Case, stage: Stage, given: float) -> float:
    """The least rate at which the stage's pairs are made before they decay too far, to two digits."""
    low = high = given
    while high < 1e30 and not case.reached(_timed(case, stage, high, _SEARCH_CELLS)[0]):
        low, high = high, 8 * high
    while high / low > 1.04:
        middle = math.sqrt(low * high)
        kept = case.reached(_timed(case, stage, middle, _SEARCH_CELLS)[0])
        low, high = (low, middle) if kept else (middle, high)
    return high


def _coherence_s(memory: Memory) -> float:
    """The time in which one half loses its coherence, by the fastest decay it has."""
    fastest = float(np.max([np.max(memory.rate_x), np.max(memory.rate_z)]))
    return 1 / fastest / PS_PER_S if fastest else math.inf


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _rounded(value: float, towards: Callable[[float], int]) -> str:
    """Return a number with two digits, rounded to the side on which it still holds."""
    if not value:
        return "0"
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return _short(towards(value / unit) * unit, 2)


def _short(value: float, digits: int = 3) -> str:
    """Return a number with few digits, as 1.25e-4 or 0.013."""
    if abs(value) < _ROUNDING or 1e-2 <= value < 1e4:
        return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) or abs(value) < _ROUNDING else f"{value:.{digits}g}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    whole = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{whole}e{int(exponent)}"
