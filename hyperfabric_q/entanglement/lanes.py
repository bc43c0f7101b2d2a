"""Many runs of one path at once, as arrays: when a Bell pair is delivered end to end, and in which state.

Every lane is a run of its own from an idle path; lanes know nothing of each other. No event is simulated: the order of
events fixes which maxima of herald times matter, and those are computed for thousands of lanes at a time. The
event-driven engine (``chain_events``) reproduces the same distributions, herald by herald.

**What happens, and in which order.** Stations are numbered 0 ... n from left to right, link i joins i and i + 1.

1. *Attempts.* At time 0, and whenever its pair has been thrown away, each link begins attempts, back to back, each of
   ``attempt_ps``. With K attempts, K geometric, its pair is heralded to **both** its stations
   ``K * attempt_ps + tail_ps`` after they began. A link makes one pair and then rests until that is gone. Both halves
   are stored from ``herald_ps`` before the herald, each at its own station.
2. *Purification*, with ``rounds`` = r > 0. A link makes its raw pairs one after another. As soon as the two youngest
   have passed equally many rounds, both stations twirl them (the same random Pauli on both halves makes a pair exactly
   Bell-diagonal), rotate each to its best local permutation and measure one (DEJMPS), which takes the longer of both
   ``swap_ps``. Both pairs are charged for storage until its end. The outcomes then take ``delays_ps[i]``; the kept half
   is stored meanwhile. After a success the pair counts as one that has passed a round more, after a failure both are
   lost; unless the next round can begin, attempts begin again. The pair that has passed r rounds is the link's pair,
   heralded when its outcome is known.
3. *Swaps.* An inner station begins its Bell measurement at the instant when every link that it waits for has its pair:
   with "swap_asap" the two links beside it, with "nested" all links of the two segments that it joins (the middle
   station of a path comes last, and so on in each half), with "wait_for_all" all links. That takes ``swap_ps``, at the
   end of which both measured halves leave their memories. The outcome then travels to both ends of the path along
   ``delays_ps``. Errors are those of ``swap.swap`` with the station's figures. Pauli corrections are deferred to the
   end.
4. *Delivery.* When the last outcome has reached the end that is farther from its station. Both end halves are stored
   until then. A single link delivers at its herald.
5. *Cutoff.* A pair whose herald is ``cutoff_ps`` old, while some station has not begun its swap yet, is thrown away
   with everything it has been swapped with; the links of that segment begin new attempts at that instant. Of what
   happens at one instant, heralds come first, then the swaps that they permit, and then cutoffs: a pair whose herald is
   exactly ``cutoff_ps`` old when the last station begins is still used.

So heralds and outcomes travel with light, while *decisions* of rules 3 and 5 that rest on distant links ("nested",
"wait_for_all", the rest of a segment that is thrown away) are taken without waiting for word of them, as in the
analytical literature. "swap_asap" without a cutoff needs local knowledge only: it is exact with every delay.

**State.** With corrections deferred, ``memory.wait`` of each elementary pair over each half's whole storage time,
multiplied over the links by ``swap.swap``, is exact for T1, T2, dephasing and depolarising memories.

Communication qubits: one per link at each of its stations, rounds + 1 with purification. Links that share a photonic
switch do not hinder each other here, nor does classical traffic; that is what the event-driven engine is for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.lane_pairs import LATEST_PS, Source, States, Times
from hyperfabric_q.entanglement.lane_policies import PATIENCE, Batch, reach, swap_times, with_cutoff
from hyperfabric_q.entanglement.memory import wait
from hyperfabric_q.entanglement.policies import SwapPolicy
from hyperfabric_q.entanglement.state import fidelity
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.errors import InvalidValue, NotEnoughCommunicationQubits
from hyperfabric_q.seeds import resolve
from hyperfabric_q.units import PS_PER_S

MOST_RUNS: Final = 100_000_000
MOST_ROUNDS: Final = 10

_CACHED: Final = 8_192
"""Lanes at a time: so few that their arrays stay in a core's cache."""

_REJECTED: Final = 65_536
"""Lanes at a time with a cutoff or purification: a pass over the last few lanes costs as much as one over hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lanes:
    """Return what became of each run. All arrays are read-only.

    Args:
        delivery_ps: when both ends held the pair and knew it, (runs,) int64.
        correlators: its state at that time, (runs, 3).
        raw_attempts: attempts of all links up to the heralds of the pairs they made, (runs,) int64.
        raw_pairs: heralded pairs of all links, lost ones included, (runs,) int64.
    """

    delivery_ps: Times
    correlators: States
    raw_attempts: Times
    raw_pairs: Times

    def __post_init__(self) -> None:
        for array in (self.delivery_ps, self.correlators, self.raw_attempts, self.raw_pairs):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.delivery_ps)

    @property
    def fidelities(self) -> States:
        """The fidelity of each run's pair, (runs,)."""
        return np.asarray(fidelity(self.correlators))

    def fidelity_mean(self) -> float:
        """Return the mean fidelity of the delivered pairs."""
        return float(self.fidelities.mean())

    def fidelity_stderr(self) -> float:
        """Return the standard error of ``fidelity_mean``; NaN for a single run."""
        return _stderr(self.fidelities)

    def delivery_mean_ps(self) -> float:
        """Return the mean time from the first attempt to delivery."""
        return float(self.delivery_ps.mean())

    def delivery_stderr_ps(self) -> float:
        """Return the standard error of ``delivery_mean_ps``; NaN for a single run."""
        return _stderr(self.delivery_ps)

    def pairs_per_second(self) -> float:
        """Return the rate at which the path delivers when it begins the next pair as soon as one is delivered."""
        return PS_PER_S / self.delivery_mean_ps()


def simulate(
    path: Path,
    *,
    runs: int,
    policy: SwapPolicy = "swap_asap",
    cutoff_ps: int | None = None,
    rounds: int = 0,
    seed: int | None = None,
    patience: int = PATIENCE,
) -> Lanes:
    """Return ``runs`` independent deliveries of one pair along ``path``; the rules are at the top of this module.

    About 10^6 pairs per second and core over four links; memory is 48 bytes per run. The same arguments give the same
    lanes, and without cutoff and rounds fewer runs give the first of them.

    Args:
        path: stations and links.
        runs: how many.
        policy: when stations swap.
        cutoff_ps: how old a pair may become before the chain is complete; None = as old as it gets.
        rounds: rounds of nested DEJMPS on each link before it is swapped.
        seed: of all draws; every link has a stream of its own.
        patience: how often pairs may be thrown away for their age, in all lanes at once, before it is refused.

    Raises:
        InvalidValue: an argument is out of range, or the path is so slow that times leave the clock's range.
        UnknownName: there is no such policy.
        NotEnoughCommunicationQubits: a station has fewer than its links occupy.
        SimulationRefused: the cutoff is so short that hardly any run would ever finish.
    """
    _check("runs", runs, 1, MOST_RUNS)
    _check("rounds", rounds, 0, MOST_ROUNDS)
    if cutoff_ps is not None:
        _check("cutoff_ps", cutoff_ps, 0, LATEST_PS)
    waits_for = reach(policy, path.hops)
    _check_path(path, rounds)
    root = resolve(seed)
    sources = [Source(path, link, rounds=rounds, seed=root) for link in range(path.hops)]
    out: tuple[Times, States, Times, Times] = (
        np.empty(runs, np.int64),
        np.empty((runs, 3)),
        np.empty(runs, np.int64),
        np.empty(runs, np.int64),
    )
    size = _REJECTED if rounds or cutoff_ps is not None else _CACHED
    make = partial(_together, sources)
    if cutoff_ps is not None:
        make = partial(with_cutoff, sources, waits_for, cutoff_ps, patience)
    for begin in range(0, runs, size):
        part = slice(begin, min(begin + size, runs))
        for array, found in zip(out, _delivered(path, waits_for, make(part.stop - begin)), strict=True):
            array[part] = found
    delivery, correlators, attempts, raw_pairs = out
    return Lanes(delivery_ps=delivery, correlators=correlators, raw_attempts=attempts, raw_pairs=raw_pairs)


def _together(sources: Sequence[Source], lanes: int) -> Batch:
    return Batch.of([source.draw(0, lanes) for source in sources])


def _delivered(
    path: Path, waits_for: Sequence[tuple[int, int]], batch: Batch
) -> tuple[Times, States, Times, Times | int]:
    """Return delivery times, correlators, attempts and raw pairs of some lanes."""
    stations, total = path.stations, sum(path.delays_ps)
    measured = [
        begun + station.swap_ps
        for begun, station in zip(swap_times(batch.ready_ps, waits_for), stations[1:-1], strict=True)
    ]
    delivery = batch.ready_ps[0]
    passed = 0
    for number, ends in enumerate(measured):
        passed += path.delays_ps[number]
        outcome = ends + max(passed, total - passed)
        delivery = outcome if number == 0 else np.maximum(delivery, outcome)
    until = [delivery, *measured, delivery]
    kept = (
        wait(batch.correlators[link], left.memory, until[link] - born, right.memory, until[link + 1] - born)
        for link, ((left, right), born) in enumerate(zip(itertools.pairwise(stations), batch.born_ps, strict=True))
    )
    pair = next(kept)
    for station, right_pair in zip(stations[1:-1], kept, strict=True):
        error = station.readout_error
        pair = swap(pair, right_pair, depolarising=station.depolarising, readout_x=error, readout_z=error)
    return delivery, pair, batch.attempts, batch.raw_pairs


def _stderr(values: Times | States) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


# ---------------------------------------------------------------------------------------------------------- checking


def _check(field: str, value: object, least: int, most: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= int(value) <= most:  # type: ignore[call-overload]
        raise InvalidValue(field=field, value=value, rule=f"it is a whole number from {least} to {most}")


def _check_path(path: Path, rounds: int) -> None:
    longest = sum(path.delays_ps) + sum(station.swap_ps for station in path.stations)
    if min((*path.delays_ps, *(station.swap_ps for station in path.stations))) < 0 or longest > LATEST_PS:
        raise InvalidValue(
            field="delays_ps",
            value=path.delays_ps,
            rule=f"delays and swap durations are not negative and last at most {LATEST_PS} ps together",
        )
    for number, station in enumerate(path.stations):
        links = 1 if number in {0, path.hops} else 2
        if station.slots is not None and station.slots < links * (rounds + 1):
            raise NotEnoughCommunicationQubits(
                node=station.node_id,
                needed=links * (rounds + 1),
                available=station.slots,
                purpose=f"a chain with {rounds} round(s) of purification" if rounds else "a chain",
            )
