"""What is asked of the entanglement layer, and the answer that physics gives before any attempt is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from hyperfabric_q.entanglement import lanes
from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.policies import SwapPolicy, spans
from hyperfabric_q.entanglement.purification_schedules import nested
from hyperfabric_q.entanglement.routes import paths
from hyperfabric_q.entanglement.state import correlators, fidelity
from hyperfabric_q.entanglement.swap import chain
from hyperfabric_q.errors import (
    DeadlineImpossible,
    FidelityUnreachable,
    InvalidValue,
    NotEnoughCommunicationQubits,
    SimulationRefused,
)
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.units import to_ns, to_ps

MOST_PATHS: Final = 4
"""Candidate paths that are looked at for one request, in the order of their estimated rates."""

MOST_ROUNDS: Final = 5
"""Rounds of nested purification per link that are tried: 32 raw pairs and more for one."""

MOST_PAIRS: Final = 100_000
"""Pairs of one request."""

RUNS: Final = 512
"""Lanes that a foresight rests on: its shares are known to about two per cent."""

PATIENCE: Final = 1000
"""Passes over the lanes of a foresight with a cutoff, and a quarter of it per round of purification: about a second."""

LATE: Final = 0.99
"""Just-in-time generation begins so early that this share of the pairs is there in time on an idle fabric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Return a request for Bell pairs, all times in picoseconds of the virtual clock.

    Args:
        a: node of one half.
        b: node of the other.
        pairs: how many.
        min_fidelity: that each must have when both ends know of it; None = whatever comes.
        keep: whether the pairs stay in the memories; otherwise both halves are measured at once.
        deadline_ps: when all must be there; None = no deadline.
        needed_ps: when they will be used; None = as soon as they are there.
        priority_class: who goes first for slots and shared lines.
        policy: when stations on the way swap.
        cutoff_ps: how long a pair may wait for its neighbours; None = for ever.
    """

    a: str
    b: str
    pairs: int
    min_fidelity: float | None
    keep: bool
    deadline_ps: int | None
    needed_ps: int | None
    priority_class: int
    policy: SwapPolicy
    cutoff_ps: int | None


def request_of(
    a: object,
    b: object,
    *,
    fidelity: object = None,
    pairs: object = 1,
    deadline_ns: object = None,
    needed_ns: object = None,
    keep: object = True,
    priority_class: int = 1,
    policy: SwapPolicy = "swap_asap",
    cutoff_ns: object = None,
) -> Request:
    """Return a request in the units of the clock.

    Raises:
        InvalidValue: an argument is out of range.
        UnknownName: there is no such policy.
    """
    what = "a request for Bell pairs"
    if not isinstance(keep, bool):
        raise InvalidValue(field="keep", value=keep, rule="it is True or False")
    spans(policy, 1)
    return Request(
        a=fields.identifier("a", a),
        b=fields.identifier("b", b),
        pairs=fields.count("pairs", pairs, what, least=1, most=MOST_PAIRS, what="pairs"),
        min_fidelity=None if fidelity is None else fields.number("fidelity", fidelity, what, least=0.25, most=1),
        keep=keep,
        deadline_ps=_ps("deadline_ns", deadline_ns),
        needed_ps=_ps("needed_ns", needed_ns),
        priority_class=priority_class,
        policy=policy,
        cutoff_ps=_ps("cutoff_ns", cutoff_ns),
    )


def _ps(field: str, given: object) -> int | None:
    if given is None:
        return None
    return to_ps(ns=fields.number(field, given, "a request for Bell pairs", least=0, most=fields.LONGEST_NS, unit="ns"))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Foresight:
    """Return how a request would be served on an idle fabric.

    Args:
        path: the chain of links.
        rounds: of nested purification on every link.
        fidelity: mean of what is delivered.
        share: of the deliveries that have the fidelity asked for.
        delivery_ps: mean time of one delivery.
        lead_ps: the time in which 99 % of the pairs that are asked for are there, one after another.
        least_ps: the time below which no pair can be there: one attempt on every link, and light's way.
    """

    path: Path
    rounds: int
    fidelity: float
    share: float
    delivery_ps: float
    lead_ps: int
    least_ps: int

    def __repr__(self) -> str:
        way = " - ".join(station.node_id for station in self.path.stations)
        rounds = f"{self.rounds} round(s) of purification" if self.rounds else "no purification"
        times = f"{to_ns(round(self.delivery_ps)):.6g} ns on average, 99 % within {to_ns(self.lead_ps):.6g} ns"
        return f"<Foresight: {way}, {rounds}, F = {self.fidelity:.6f}, {self.share:.0%} good enough, {times}>"

    @property
    def workshop(self) -> dict[str, int]:
        """Communication qubits per node that the making of a pair takes, besides the two that then hold it."""
        inner = {each.node_id: 2 * (self.rounds + 1) for each in self.path.stations[1:-1]}
        return inner | (dict.fromkeys(self.path.ends, self.rounds) if self.rounds else {})

    def slots(self, pairs: int = 1) -> dict[str, int]:
        """Communication qubits per node that it takes to make so many pairs one by one, and to keep all of them."""
        return self.workshop | dict.fromkeys(self.path.ends, pairs + self.rounds)


def foresee(fabric: Fabric, request: Request, now_ps: int) -> Foresight:
    """Return how a request would be served, or refuse what cannot be.

    Of up to four paths and six purification schedules, the one is taken that delivers a pair of the fidelity asked for
    in the least mean time on an idle fabric.

    Raises:
        UnknownName, InvalidValue, NoQuantumPath: as in ``routes.paths``.
        NotEnoughCommunicationQubits: a node never holds that many halves.
        FidelityUnreachable: no path and no schedule gives the fidelity.
        SimulationRefused: the cutoff is so short that hardly any pair would ever come.
        DeadlineImpossible: not even light and one attempt per link are that fast.
    """
    found = _best(fabric, request.a, request.b, request.min_fidelity, request.policy, request.cutoff_ps)
    if request.keep:
        for end in (request.a, request.b):
            slots = next(each.slots for each in found.path.stations if each.node_id == end)
            needed = found.slots(request.pairs)[end]
            if slots is not None and needed > slots:
                purpose = f"keeping {request.pairs} pairs at once"
                if found.rounds:
                    purpose += f", the last of them still in {found.rounds} round(s) of purification,"
                raise NotEnoughCommunicationQubits(node=end, needed=needed, available=slots, purpose=purpose)
    if request.deadline_ps is not None and now_ps + found.least_ps > request.deadline_ps:
        slowest = max(found.path.links, key=lambda link: link.attempt_ps + link.tail_ps)
        raise DeadlineImpossible(
            source=request.a,
            destination=request.b,
            constraint_ns=to_ns(request.deadline_ps - now_ps),
            bound_ns=to_ns(found.least_ps),
            bottleneck=f"an attempt on {slowest.a}--{slowest.b}, with light's way for its outcome,",
            remedy="Give the pair more time; nothing makes light faster.",
        )
    return found


@lru_cache(maxsize=1024)
def _best(
    fabric: Fabric, a: str, b: str, min_fidelity: float | None, policy: SwapPolicy, cutoff_ps: int | None
) -> Foresight:
    candidates = paths(fabric, a, b, most=MOST_PATHS, objective="rate")
    usable: list[Foresight] = []
    hopeless: SimulationRefused | None = None
    for path in candidates:
        try:
            usable += _schedules(path, min_fidelity, policy, cutoff_ps)
        except SimulationRefused as fault:
            hopeless = fault
    if not usable:
        if hopeless is not None:
            raise hopeless
        _refuse(candidates, min_fidelity or 0.0)
    return min(usable, key=lambda each: (each.delivery_ps / each.share, each.path.hops, each.rounds))


def _schedules(path: Path, min_fidelity: float | None, policy: SwapPolicy, cutoff_ps: int | None) -> list[Foresight]:
    """Return what comes of a path, with as many rounds of purification as may be needed."""
    found: list[Foresight] = []
    best = 0.0
    for rounds in range(MOST_ROUNDS + 1):
        if not _fits(path, rounds):
            break
        if min_fidelity is not None and _at_once(path, rounds) < min_fidelity:
            continue
        try:
            made = lanes.simulate(
                path,
                runs=RUNS,
                policy=policy,
                cutoff_ps=cutoff_ps,
                rounds=rounds,
                seed=0,
                patience=max(1, PATIENCE >> 2 * rounds),
            )
        except SimulationRefused:
            if not found:
                raise
            break  # more rounds take longer still
        share = 1.0 if min_fidelity is None else float((made.fidelities >= min_fidelity).mean())
        if share:
            found.append(
                Foresight(
                    path=path,
                    rounds=rounds,
                    fidelity=made.fidelity_mean(),
                    share=share,
                    delivery_ps=made.delivery_mean_ps(),
                    lead_ps=math.ceil(float(np.quantile(made.delivery_ps, LATE))),
                    least_ps=_least_ps(path),
                )
            )
        mean = made.fidelity_mean()
        if min_fidelity is None or share > LATE or mean <= best:
            break  # what one round does not improve, for all its time, more rounds do not
        best = mean
    return found


def _at_once(path: Path, rounds: int) -> float:
    """Return the fidelity that a path gives if nothing ever waits."""
    stations = path.stations
    links = []
    for link, left, right in zip(path.links, stations, stations[1:], strict=False):
        loss = 1 - math.sqrt((1 - left.depolarising) * (1 - right.depolarising))
        flip = (1 - math.sqrt((1 - 2 * left.readout_error) * (1 - 2 * right.readout_error))) / 2
        raw = correlators(link.weights)
        stages = nested(raw, rounds, depolarising=loss, readout_error=flip, permute=True)
        links.append(stages[-1].correlators)
    inner = stations[1:-1]
    if not inner:
        return float(fidelity(links[0]))
    losses, flips = [each.depolarising for each in inner], [each.readout_error for each in inner]
    return float(fidelity(chain(np.array(links), depolarising=losses, readout_x=flips, readout_z=flips)))


def _fits(path: Path, rounds: int) -> bool:
    ends = path.ends
    return all(
        each.slots is None or each.slots >= (rounds + 1) * (1 if each.node_id in ends else 2) for each in path.stations
    )


def _least_ps(path: Path) -> int:
    """Return when a pair could be there at the earliest: every first attempt succeeds."""
    heralded = max(link.attempt_ps + link.tail_ps for link in path.links)
    total, before, latest = sum(path.delays_ps), 0, 0
    for delay, station in zip(path.delays_ps, path.stations[1:-1], strict=False):
        before += delay
        latest = max(latest, station.swap_ps + max(before, total - before))
    return heralded + latest


def _refuse(candidates: tuple[Path, ...], min_fidelity: float) -> None:
    """Say why no path gives a fidelity: too few qubits, or the errors themselves.

    Raises:
        NotEnoughCommunicationQubits, FidelityUnreachable: one of them, always.
    """
    reachable = [(_at_once(path, rounds), path, rounds) for path in candidates for rounds in range(MOST_ROUNDS + 1)]
    enough = [(rounds, path) for at_once, path, rounds in reachable if at_once >= min_fidelity]
    crowded = [(rounds, path) for rounds, path in enough if not _fits(path, rounds)]
    if enough and len(crowded) == len(enough):
        rounds, path = min(enough, key=lambda each: each[0])
        for station in path.stations:
            needed = (rounds + 1) * (1 if station.node_id in path.ends else 2)
            if station.slots is not None and station.slots < needed:
                raise NotEnoughCommunicationQubits(
                    node=station.node_id,
                    needed=needed,
                    available=station.slots,
                    purpose=f"fidelity {min_fidelity:g} takes {rounds} round(s) of purification, which",
                )
    best, path, rounds = max(reachable, key=lambda each: (each[0], -each[2]))
    if enough:
        reason = (
            f"over {' - '.join(each.node_id for each in path.stations)} fresh pairs would have it, but none of {RUNS} "
            "simulated ones kept it until all were there"
        )
        remedy = "It takes faster links, longer-lived memories or a cutoff."
        raise FidelityUnreachable(asked=min_fidelity, reachable=best, reason=reason, remedy=remedy)
    reason = f"that is the best of {len(candidates)} path(s) with up to {MOST_ROUNDS} rounds of purification"
    remedy = "It takes better links, gates or readout."
    raise FidelityUnreachable(asked=min_fidelity, reachable=best, reason=reason, remedy=remedy)
