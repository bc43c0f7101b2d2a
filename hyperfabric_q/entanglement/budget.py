"""When a pair must be heralded so that a gate finds it good enough, how likely that is, and what would help.

A gate at ``t_g`` that needs fidelity ``F*`` accepts a pair that was heralded in ``[t_g - t*, t_g]``, where ``t*`` is
how long the pair keeps ``F*``. In that window a link makes ``n = floor(t* / attempt)`` attempts, so a pair is there
with probability ``1 - (1 - p)**n``. Everything here is decided from closed forms, before any attempt is spent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement import budget_table
from hyperfabric_q.entanglement.budget_table import duration
from hyperfabric_q.entanglement.elementary import Elementary, Path
from hyperfabric_q.entanglement.lifetime import (
    FOREVER_PS,
    ROUNDING,
    Ints,
    buffer_pairs,
    first_crossing,
    lifetime_ps,
)
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.state import FloatArray, check_fidelity
from hyperfabric_q.entanglement.supply import Supply, of_path, of_state
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_S

__all__ = ["Budget", "Budgets", "Demand", "budget", "budgets", "buffer_pairs", "lifetime_ps"]

MOST_ROUNDS: Final = 8
MOST_MODES: Final = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Return what one remote gate asks of a path: a pair of ``min_fidelity`` at ``gate_ps``."""

    path: Path
    min_fidelity: float
    gate_ps: int
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Return the time that decoherence leaves for one pair, and whether its links keep to it.

    Args:
        label: what the pair is for.
        ends: the nodes of the pair; empty if only a state was given.
        min_fidelity: what is asked, F*.
        fidelity: of a pair used as early as can be: at its herald, or once its swaps are reported.
        t_star_ps: for how long after its herald a pair keeps F*; None = for ever. On a path of several links the
            promise holds if each link's pair is no older than this. 0 where ``fidelity`` is too low.
        lag_ps: swaps and their messages between the last herald and the gate.
        gate_ps: when the gate is due; None if not said.
        earliest_ps: the first herald that serves the gate; None = not limited, or no gate time.
        latest_ps: the last herald that serves the gate; None if no gate time.
        in_time: probability that every link heralds in the window; None if nothing is known of the links.
        mean_lead_ps: how long before the gate a link must start on average, to within one attempt for several links.
        lead_ps: the same, to be ready with probability 1 - ``miss``.
        miss: tolerated probability of not being in time.
        cutoff_ps: age after its herald at which a pair should be thrown away; None = never.
        modes: multiplexed modes per attempt that make ``in_time`` reach 1 - ``miss``; None if no number does.
        rounds: least rounds of nested purification per link that lift ``fidelity`` to F*; None if none does. Each link
            purifies with its stations' errors; with perfect operations where only a state was given.
        rate_hz: heralded pairs per second, of the slowest link.
        efficiency: that rate over the decoherence rate of its pair; below 1 nothing works on demand.
        buffer: pairs worth keeping: rate times t*.
        feasible: whether F* can be had, and in time with probability 1 - ``miss``.
        reason: what binds where it is not feasible.
    """

    label: str
    ends: tuple[str, ...]
    min_fidelity: float
    fidelity: float
    t_star_ps: int | None
    lag_ps: int
    gate_ps: int | None
    earliest_ps: int | None
    latest_ps: int | None
    in_time: float | None
    mean_lead_ps: float | None
    lead_ps: int | None
    miss: float
    cutoff_ps: int | None
    modes: int | None
    rounds: int | None
    rate_hz: float | None
    efficiency: float | None
    buffer: float | None
    feasible: bool
    reason: str

    def summary(self) -> str:
        """Return the budget as a table of one row for people to read, with the reason below."""
        return budget_table.as_text(f"coherence budget: {'feasible' if self.feasible else 'infeasible'}", (self,))

    def _repr_html_(self) -> str:
        return budget_table.as_html(f"coherence budget: {'feasible' if self.feasible else 'infeasible'}", (self,))


@dataclass(frozen=True, slots=True)
class Budgets:
    """Return the budgets of several remote gates, in the order of the demands."""

    rows: tuple[Budget, ...]

    @property
    def feasible(self) -> bool:
        """Whether every gate's pair can be had in time."""
        return all(row.feasible for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Budget]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Budget:
        return self.rows[index]

    def summary(self) -> str:
        """Return a table of one row per gate for people to read, with the reasons below."""
        return budget_table.as_text(self._headline(), self.rows)

    def _repr_html_(self) -> str:
        return budget_table.as_html(self._headline(), self.rows)

    def _headline(self) -> str:
        missed = sum(not row.feasible for row in self.rows)
        return f"coherence budgets of {len(self.rows)} remote gates: {len(self.rows) - missed} feasible, {missed} not"


def budget(
    pair: Path | ArrayLike,
    min_fidelity: float,
    *,
    memory_a: Memory | None = None,
    memory_b: Memory | None = None,
    attempt_ps: int | None = None,
    success: float | None = None,
    gate_ps: int | None = None,
    now_ps: int = 0,
    miss: float = 0.01,
    label: str = "",
) -> Budget:
    """Return the coherence budget of a pair, or of the pairs that a path delivers.

    Args:
        pair: a ``Path``, or the correlators (lx, ly, lz) of one pair at its herald.
        min_fidelity: what the gate needs, in [0.25, 1].
        memory_a: what holds one half; only with correlators. A path's stations have theirs.
        memory_b: what holds the other half; only with correlators.
        attempt_ps: duration of an attempt at such a pair; only with correlators, and with ``success``.
        success: probability that an attempt heralds; only with correlators, and with ``attempt_ps``.
        gate_ps: when the gate is due; without it, attempts may start as early as the pair's lifetime allows.
        now_ps: no attempt starts before.
        miss: tolerated probability of not being in time.
        label: what the pair is for.

    Raises:
        InvalidValue: a figure is out of range, or the gate is due in the past.

    Cost: some milliseconds, 0.1 s where ``min_fidelity`` is 1/2 or less; nothing again for a path seen before.
    """
    least = float(check_fidelity(min_fidelity, "min_fidelity"))
    if not 0 < miss < 1:
        raise InvalidValue(field="miss", value=miss, rule="a tolerated probability lies between 0 and 1, both excluded")
    if gate_ps is not None and gate_ps < now_ps:
        raise InvalidValue(
            field="gate_ps",
            value=gate_ps,
            rule=f"that is in the past: the clock shows {now_ps} ps",
            remedy="Give the gate a later time.",
        )
    if isinstance(pair, Path):
        if any(each is not None for each in (memory_a, memory_b, attempt_ps, success)):
            raise InvalidValue(
                field="memory_a, memory_b, attempt_ps, success",
                value=(memory_a, memory_b, attempt_ps, success),
                rule="a path states memories and attempts already",
                remedy="Leave them out, or give the correlators of a pair instead of a path.",
            )
        supply = of_path(pair)
    else:
        supply = of_state(pair, memory_a or Memory(), memory_b or Memory(), attempt_ps, success)
    return _budget(supply, least, gate_ps, now_ps, miss, label)


def budgets(demands: Iterable[Demand], *, now_ps: int = 0, miss: float = 0.01) -> Budgets:
    """Return the budget of each demand, in order.

    Raises:
        InvalidValue: as ``budget``.
    """
    return Budgets(
        tuple(
            budget(each.path, each.min_fidelity, gate_ps=each.gate_ps, now_ps=now_ps, miss=miss, label=each.label)
            for each in demands
        )
    )


# -------------------------------------------------------------------------------------------------------- the verdict


def _budget(supply: Supply, least: float, gate_ps: int | None, now_ps: int, miss: float, label: str) -> Budget:
    found = float(supply.fidelity_at(np.asarray(supply.lag_ps)))
    kept = _kept_ps(supply, least)
    slowest = min(supply.links, key=lambda link: link.rate_hz, default=None)
    window = None if kept is None else max(0, kept - supply.lag_ps)
    attempts = [_attempts(link, window, gate_ps, now_ps, supply.lag_ps) for link in supply.links]
    ready = found >= least - ROUNDING
    in_time = None
    if supply.links:
        in_time = math.prod(_chance(link, n) for link, n in zip(supply.links, attempts, strict=True)) if ready else 0.0
    modes = _modes(supply.links, attempts, miss) if ready and supply.links else None
    lead = _lead_ps(supply, miss) if supply.links else None
    rounds = 0 if ready else _rounds(supply, least)
    reason = ""
    if not ready:
        reason = _too_low(supply, least, found, rounds)
    elif in_time is not None and in_time < 1 - miss:
        reason = _too_late(supply, attempts, window, (in_time, miss), lead, modes)
    return Budget(
        label=label,
        ends=supply.ends,
        min_fidelity=least,
        fidelity=found,
        t_star_ps=kept if ready else 0,
        lag_ps=supply.lag_ps,
        gate_ps=gate_ps,
        earliest_ps=None if gate_ps is None or kept is None or not ready else max(now_ps, gate_ps - kept),
        latest_ps=None if gate_ps is None or not ready else gate_ps - supply.lag_ps,
        in_time=in_time,
        mean_lead_ps=_mean_lead_ps(supply) if supply.links else None,
        lead_ps=lead,
        miss=miss,
        cutoff_ps=kept if ready else 0,
        modes=modes,
        rounds=rounds,
        rate_hz=slowest.rate_hz if slowest else None,
        efficiency=_efficiency(supply),
        buffer=float(buffer_pairs(slowest.rate_hz, FOREVER_PS if kept is None else kept)) if slowest else None,
        feasible=not reason,
        reason=reason,
    )


@lru_cache(maxsize=256)
def _kept_ps(supply: Supply, least: float) -> int | None:
    """How long the fidelity is kept, counted from the herald and started at the earliest possible use."""

    def after(times: Ints) -> FloatArray:
        return supply.fidelity_at(times + supply.lag_ps)

    kept = int(first_crossing(after, np.asarray(least), *supply.scales))
    return None if kept == FOREVER_PS else max(0, kept) + supply.lag_ps


def _attempts(link: Elementary, window: int | None, gate_ps: int | None, now_ps: int, lag: int) -> int | None:
    """How many attempts herald within the window; None = as many as one likes."""
    spans = [] if window is None else [window]
    if gate_ps is not None:
        spans.append(max(0, gate_ps - now_ps - lag - link.tail_ps))
    return min(spans) // link.attempt_ps if spans else None


def _chance(link: Elementary, attempts: int | None, modes: int = 1) -> float:
    if attempts is None:
        return 1.0
    if attempts == 0:
        return 0.0
    return 1.0 if link.success == 1 else -math.expm1(attempts * modes * math.log1p(-link.success))


def _modes(links: Sequence[Elementary], attempts: Sequence[int | None], miss: float) -> int | None:
    """The least number of multiplexed modes, the same on every link, that is in time with 1 - ``miss``."""

    def enough(modes: int) -> bool:
        return math.prod(_chance(link, n, modes) for link, n in zip(links, attempts, strict=True)) >= 1 - miss

    if not enough(MOST_MODES):
        return None
    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=256)
def _lead_ps(supply: Supply, miss: float) -> int:
    """How long before the gate all links must start, to be ready with probability 1 - ``miss``."""

    def ready(span: int) -> bool:
        return math.prod(_chance(link, span // link.attempt_ps) for link in supply.links) >= 1 - miss

    low, high = 0, 1
    while not ready(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if ready(middle) else (middle, high)
    return high + max(link.tail_ps for link in supply.links) + supply.lag_ps


@lru_cache(maxsize=256)
def _mean_lead_ps(supply: Supply) -> float:
    """How long before the gate the links must start on average: exact for one link, to within an attempt for more."""
    after = max(link.tail_ps for link in supply.links) + supply.lag_ps
    means = [link.attempt_ps / link.success for link in supply.links]
    if len(means) == 1:
        return means[0] + after
    times = np.linspace(0, (40 + math.log(len(means))) * max(means), 1 << 14)
    ready = np.ones_like(times)
    for link, mean in zip(supply.links, means, strict=True):
        rate = -math.log1p(-link.success) / link.attempt_ps if link.success < 1 else math.inf
        ready *= (times >= mean) if math.isinf(rate) else -np.expm1(-rate * times)
    return float(np.trapezoid(1 - ready, times)) + max(link.attempt_ps for link in supply.links) / 2 + after


@lru_cache(maxsize=256)
def _rounds(supply: Supply, least: float) -> int | None:
    for rounds in range(1, MOST_ROUNDS + 1):
        if supply.purified(rounds) >= least - ROUNDING:
            return rounds
    return None


def _efficiency(supply: Supply) -> float | None:
    if not supply.links:
        return None
    return min(
        link.rate_hz * coherence / PS_PER_S for link, coherence in zip(supply.links, supply.coherence_ps, strict=True)
    )


def _too_low(supply: Supply, least: float, found: float, rounds: int | None) -> str:
    binding, loss = max(supply.losses, key=lambda each: each[1])
    split = " + ".join(f"{name} {each:.3g}" for name, each in supply.losses if each > ROUNDING)
    if rounds is None:
        advice = f"no purification up to {MOST_ROUNDS} rounds reaches it"
    else:
        advice = f"{rounds} round{'' if rounds == 1 else 's'} of nested purification per link would"
    return (
        f"the pair has fidelity {found:.6g} when it can first be used, below {least:.6g}: "
        f"{binding} cost {loss:.3g} ({split}); {advice}"
    )


def _too_late(
    supply: Supply,
    attempts: Sequence[int | None],
    window: int | None,
    chances: tuple[float, float],
    lead: int | None,
    modes: int | None,
) -> str:
    in_time, miss = chances
    link, count = min(zip(supply.links, attempts, strict=True), key=lambda each: _chance(each[0], each[1]))
    span = (count or 0) * link.attempt_ps
    limit = "the pair's lifetime" if window is not None and span + link.attempt_ps > window else "the time of the gate"
    who = "-".join(supply.ends) if supply.ends else "the pair"
    if count == 0:
        return (
            f"an attempt of {who} takes {duration(link.attempt_ps)}, and {limit} leaves less: "
            "nothing is both heralded and good enough in time, however many modes there are"
        )
    advice = f"{modes} multiplexed modes would do" if modes else "no number of multiplexed modes helps"
    return (
        f"{who} needs a lead of {duration(lead)} to be ready with {100 * (1 - miss):g} %, and {limit} leaves "
        f"{duration(span)}: in time with probability {in_time:.4g}; {advice}, or the gate waits"
    )
