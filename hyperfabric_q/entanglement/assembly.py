"""One end-to-end Bell pair in the making: heralds, purifications and swaps as events of the kernel.

Every link of the path makes raw pairs, one at a time; ``rounds`` of nested purification turn 2^rounds of them into
one. A station swaps as soon as the policy lets it and both its neighbours are there. Bell measurements take
``swap_ps``, and their outcomes travel to both ends, which hold the pair when the last outcome has come; the corrections
are kept in a Pauli frame until then, so that the state depends on each half's whole storage time alone.

A fault may take attempts, or the word of their success. They begin again then, after waiting twice as long each time,
up to a second; what fails a hundred times in a row is given up.

A pair that has waited ``cutoff_ps`` since its herald is thrown away, with everything it was swapped with, and its links
begin again. What completes in the same instant is there in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import numpy as np

from hyperfabric_q.entanglement.draws import Draws
from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.ledger import Fate, Ledger
from hyperfabric_q.entanglement.lines import Job, Lines
from hyperfabric_q.entanglement.memory import wait
from hyperfabric_q.entanglement.policies import Spans
from hyperfabric_q.entanglement.purification import best_permutation, dejmps
from hyperfabric_q.entanglement.state import correlators
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.units import PS_PER_S, PS_PER_US

Correlators = tuple[float, float, float]

STRIDE = 0x9E3779B97F4A7C15
"""Odd, so that multiples of it modulo 2^64 do not repeat: tells the jobs of a request apart."""

HERALD = 0xD1B54A32D192ED03
"""Tells the herald of a pair apart from the attempts that it is about."""

MOST_FAILURES: Final = 100
"""Failures of one link in a row after which a pair is given up: half a minute of virtual time and more."""


class Courier(Protocol):
    """Carries heralds and the outcomes of measurements over the classical channels of the same kernel."""

    def post(
        self,
        source: str,
        destination: str,
        light_ps: int | None,
        identity: int,
        then: Callable[[], object],
        lost: Callable[[str], object],
    ) -> None:
        """Call ``then`` when a few bytes have arrived, or ``lost`` with the reason when they never will.

        Light needs ``light_ps``, or None if that is counted already.
        """

    def check(self, source: str, destination: str) -> None:
        """Raise what ``post`` would raise."""

    def line(self, a: str, b: str) -> int | None:
        """Return the kernel's number of the classical channel from ``a`` to ``b``; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Return how pairs are made along a path.

    Args:
        path: stations and links.
        spans: when each station may swap.
        rounds: rounds of nested purification on every link.
        cutoff_ps: how long a pair may wait for its neighbours; None = for ever.
        priority_class: of attempts on lines that are shared.
        deadline_ps: of the attempts; earlier ones go first within a class.
        hops: links of the path.
        nodes: ids of the stations.
        born: the correlators of each link's pairs at emission.
    """

    path: Path
    spans: Spans
    rounds: int = 0
    cutoff_ps: int | None = None
    priority_class: int = 1
    deadline_ps: int = NO_DEADLINE
    hops: int = field(init=False)
    nodes: tuple[str, ...] = field(init=False)
    born: tuple[Correlators, ...] = field(init=False)

    def __post_init__(self) -> None:
        states = correlators([link.weights for link in self.path.links]).tolist()
        object.__setattr__(self, "hops", self.path.hops)
        object.__setattr__(self, "nodes", tuple(station.node_id for station in self.path.stations))
        object.__setattr__(self, "born", tuple((lx, ly, lz) for lx, ly, lz in states))


class Element:
    """The pair of one link within a chain: its state at birth, and how long each half is stored."""

    __slots__ = ("born_ps", "correlators", "left_ps", "right_ps")

    def __init__(self, correlators: Correlators, born_ps: int) -> None:
        """Start to store both halves at ``born_ps``; -1 stands for an end that is not known yet."""
        self.correlators = correlators
        self.born_ps = born_ps
        self.left_ps = -1
        self.right_ps = -1


class Segment:
    """Links ``first`` to ``last``, joined."""

    __slots__ = ("born_ps", "first", "last", "pair")

    def __init__(self, first: int, last: int, pair: int, born_ps: int) -> None:
        """Join links; ``pair`` is its id in the ledger."""
        self.first = first
        self.last = last
        self.pair = pair
        self.born_ps = born_ps


class Assembly:
    """The events of one end-to-end pair.

    Attributes:
        elements: what it consists of, one per link.
        pair: its id when it is finished.
        done_ps: when both ends know that they hold it.
        raw_pairs, attempts: heralded for it so far, and attempts spent on them.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        kernel: Kernel,
        lines: Lines,
        ledger: Ledger,
        draws: Draws,
        identity: int,
        finished: Callable[[Assembly], object],
        courier: Courier | None = None,
        given_up: Callable[[str], object] | None = None,
    ) -> None:
        """Describe a pair to be made; ``begin`` starts its attempts.

        ``given_up`` is called with a reason when faults keep the pair from ever being made.
        """
        self.recipe = recipe
        self.elements: list[Element | None] = [None] * recipe.hops
        self.pair = -1
        self.done_ps = -1
        self.raw_pairs = 0
        self.attempts = 0
        self.identity = identity
        self._kernel = kernel
        self._lines = lines
        self._ledger = ledger
        self._draws = draws
        self._finished = finished
        self._courier = courier
        self._given_up = given_up
        self._failures = [0] * recipe.hops
        self._count = 0
        self._jobs: list[Job | None] = [None] * recipe.hops
        self._segments: list[Segment | None] = [None] * recipe.hops
        self._stock: list[list[tuple[int, Element, int]]] = [[] for _ in recipe.path.links]
        self._epochs = [0] * recipe.hops
        self._missing = [0] * (recipe.hops + 1)
        self._there = 0
        self._whole = False
        self.ended = False

    def begin(self) -> None:
        """Start the attempts on every link."""
        for link in range(self.recipe.hops):
            self._attempt(link)

    def withdraw(self) -> None:
        """Stop: what was made and is not finished expires."""
        if self.ended:
            return
        self.ended = True
        now = self._kernel.now_ps
        for job in self._jobs:
            if job is not None:
                self._ledger.vain_attempts += self._lines.withdraw(job)
        pairs = {each.pair for each in self._segments if each is not None}
        pairs |= {pair for stock in self._stock for _, _, pair in stock}
        for pair in sorted(pairs):
            self._ledger.end(pair, Fate.EXPIRED, now)

    def storage(self, until_ps: int) -> list[tuple[float, float, float, int, int]]:
        """Return, per link of a finished pair, the correlators at birth and how long both halves have been stored."""
        rows = []
        for element in self.elements:
            assert element is not None  # noqa: S101
            left = until_ps if element.left_ps < 0 else element.left_ps
            right = until_ps if element.right_ps < 0 else element.right_ps
            rows.append((*element.correlators, left - element.born_ps, right - element.born_ps))
        return rows

    # ----------------------------------------------------------------------------------------------------- raw pairs

    def _attempt(self, link: int) -> None:
        made = self.recipe.path.links[link]
        self._count += 1
        job = Job(
            made,
            self._draws.attempts(made.success),
            priority_class=self.recipe.priority_class,
            deadline_ps=self.recipe.deadline_ps,
            identity=(self.identity + self._count * STRIDE) % (1 << 64),
        )
        job.place = link
        job.ended, job.lost = self._detected, self._failed
        self._jobs[link] = job
        self._lines.begin(job)

    def _failed(self, job: Job) -> None:
        """A fault has taken the attempts or their outcome: what was made is not known of, and counts for nothing."""
        link = job.place
        self._jobs[link] = None
        self._ledger.vain_attempts += job.spent
        self._failures[link] += 1
        if self._failures[link] >= MOST_FAILURES:
            self._give_up(
                f"attempts on {job.link.a}--{job.link.b} failed {MOST_FAILURES} times in a row: {job.failure}"
            )
            return
        later = self._kernel.now_ps + min(PS_PER_S, PS_PER_US << self._failures[link])
        self._kernel.at(later, lambda: None if self.ended else self._attempt(link))

    def _give_up(self, reason: str) -> None:
        if not self.ended and self._given_up is not None:
            self._given_up(reason)

    def _detected(self, job: Job) -> None:
        """The detectors have clicked, and light has carried that to both ends; now its bytes have to come through."""
        link = job.place
        self._jobs[link] = None
        self._failures[link] = 0
        if self.ended:
            return
        made = job.link
        now = self._kernel.now_ps
        self.raw_pairs += 1
        self.attempts += job.attempts
        born = now - made.herald_ps
        pair = self._ledger.heralded(made.a, made.b, job.attempts, born, now)
        entry = 0, Element(self.recipe.born[link], born), pair
        if self._courier is None:
            self._heralded(link, entry)
            return
        epoch = self._epochs[link]
        self._stock[link].append(entry)
        told = partial(self._confirmed, link, epoch, entry)
        self._courier.post(made.a, made.b, None, job.identity ^ HERALD, told, self._give_up)

    def _confirmed(self, link: int, epoch: int, entry: tuple[int, Element, int]) -> None:
        if not self.ended and self._epochs[link] == epoch:
            self._stock[link].remove(entry)
            self._heralded(link, entry)

    def _heralded(self, link: int, entry: tuple[int, Element, int]) -> None:
        """Both ends know of a pair: purify it with its like, or let it join the chain."""
        level, element, pair = entry
        if level == self.recipe.rounds:
            self._joined(link, element, pair)
            return
        stock = self._stock[link]
        stock.append(entry)
        if len(stock) > 1 and stock[-2][0] == level:
            self._purify(link)
        else:
            self._attempt(link)

    # --------------------------------------------------------------------------------------------------- purification

    def _purify(self, link: int) -> None:
        """Begin to make one pair of the two youngest; both stay in store until the outcome is known at both ends."""
        path = self.recipe.path
        left, right = path.stations[link], path.stations[link + 1]
        end = self._kernel.now_ps + max(left.swap_ps, right.swap_ps)
        both = [each for _, each, _ in self._stock[link][-2:]]
        ages = np.array([end - each.born_ps for each in both])
        stored = wait([each.correlators for each in both], left.memory, ages, right.memory, ages)
        loss = 1 - (1 - left.depolarising) ** 0.5 * (1 - right.depolarising) ** 0.5
        flip = (1 - (1 - 2 * left.readout_error) ** 0.5 * (1 - 2 * right.readout_error) ** 0.5) / 2
        errors = {"depolarising": loss, "readout_error": flip}
        # Local Cliffords are free, and a random Pauli on both halves has made the states Bell-diagonal.
        kept, measured = best_permutation(stored, **errors)
        better = dejmps(kept, measured, **errors)
        accepted = self._draws.uniform() < float(better.success)
        lx, ly, lz = better.correlators.tolist()
        element = Element((lx, ly, lz), end)
        epoch = self._epochs[link]

        def outcome() -> None:
            if not self.ended and self._epochs[link] == epoch:
                self._purified(link, element, accepted=accepted)

        self._exchange(left.node_id, right.node_id, end, path.delays_ps[link], outcome)

    def _exchange(self, a: str, b: str, at_ps: int, light_ps: int, then: Callable[[], object]) -> None:
        """Let two nodes tell each other what they measured at ``at_ps``, and call ``then`` when both know."""
        kernel, courier = self._kernel, self._courier
        if courier is None:
            if at_ps + light_ps == kernel.now_ps:
                then()
            else:
                kernel.at(at_ps + light_ps, then)
            return
        first, second = self._name(), self._name()
        missing = 2

        def arrived() -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                then()

        def post() -> None:
            courier.post(a, b, light_ps, first, arrived, self._give_up)
            courier.post(b, a, light_ps, second, arrived, self._give_up)

        kernel.at(at_ps, post)

    def _purified(self, link: int, element: Element, *, accepted: bool) -> None:
        stock, now = self._stock[link], self._kernel.now_ps
        level, _, kept = stock[-2]
        measured = stock[-1][2]
        del stock[-2:]
        if accepted:
            pair = self._ledger.purified(kept, measured, element.born_ps, now)
            self._heralded(link, (level + 1, element, pair))
        else:
            self._ledger.end(kept, Fate.FAILED, now)
            self._ledger.end(measured, Fate.FAILED, now)
            self._attempt(link)

    def _name(self) -> int:
        self._count += 1
        return (self.identity + self._count * STRIDE) % (1 << 64)

    # --------------------------------------------------------------------------------------------------------- swaps

    def _joined(self, link: int, element: Element, pair: int) -> None:
        """A link's pair is ready to be swapped."""
        self.elements[link] = element
        self._segments[link] = Segment(link, link, pair, element.born_ps)
        self._there += 1
        cutoff = self.recipe.cutoff_ps
        if cutoff is not None and self.recipe.hops > 1:
            epoch = self._epochs[link]
            self._kernel.at(self._kernel.now_ps + cutoff, partial(self._old, link, epoch))
        if self.recipe.hops == 1:
            self._deliver(self._kernel.now_ps)
        elif self.recipe.spans.waits_for_all:
            if self._there == self.recipe.hops:
                for station in range(1, self.recipe.hops):
                    self._swap(station)
        else:
            self._swap_where_ready(link)

    def _swap_where_ready(self, link: int) -> None:
        """Swap at the ends of the segment of ``link`` as long as the policy allows one there."""
        segments, hops, spans = self._segments, self.recipe.hops, self.recipe.spans
        swapped = True
        while swapped:
            swapped = False
            here = segments[link]
            assert here is not None  # noqa: S101
            for station in (here.first, here.last + 1):
                if 0 < station < hops:
                    left, right = segments[station - 1], segments[station]
                    if left is not None and right is not None and spans.allow(station, left.first, right.last):
                        self._swap(station)
                        swapped = True
                        break

    def _swap(self, station: int) -> None:
        segments, elements, path = self._segments, self.elements, self.recipe.path
        left, right = segments[station - 1], segments[station]
        before, after = elements[station - 1], elements[station]
        assert left is not None and right is not None and before is not None and after is not None  # noqa: S101, PT018
        now = self._kernel.now_ps
        end = now + path.stations[station].swap_ps
        before.right_ps = after.left_ps = end
        first, last = left.first, right.last
        a, b = self.recipe.nodes[first], self.recipe.nodes[last + 1]
        born = min(left.born_ps, right.born_ps)
        joined = Segment(first, last, self._ledger.swapped(left.pair, right.pair, a, b, born, now), born)
        for link in range(first, last + 1):
            segments[link] = joined
        self._tell(station, end)
        self._whole = last - first + 1 == path.hops
        if self._whole and not any(self._missing):
            self._deliver(self._latest(end))

    def _tell(self, station: int, end_ps: int) -> None:
        """Send a Bell measurement's outcome to both ends of the path."""
        if self._courier is None:
            return
        path, courier, epoch = self.recipe.path, self._courier, self._epochs[station]
        ways = (0, sum(path.delays_ps[:station])), (path.hops, sum(path.delays_ps[station:]))
        names = self._name(), self._name()
        self._missing[station] = 2

        def arrived() -> None:
            if self.ended or self._epochs[station] != epoch:
                return
            self._missing[station] -= 1
            if self._whole and not any(self._missing):
                self._deliver(self._kernel.now_ps)

        def post() -> None:
            if self.ended or self._epochs[station] != epoch:
                return
            for (end, light_ps), name in zip(ways, names, strict=True):
                here, there = path.stations[station].node_id, path.stations[end].node_id
                courier.post(here, there, light_ps, name, arrived, self._give_up)

        self._kernel.at(end_ps, post)

    def _latest(self, end_ps: int) -> int:
        """Return when the last outcome reaches the farther end, if nothing but light's way delays it."""
        path = self.recipe.path
        latest, before, total = end_ps, 0, sum(path.delays_ps)
        for link in range(path.hops - 1):
            before += path.delays_ps[link]
            element = self.elements[link]
            assert element is not None  # noqa: S101
            latest = max(latest, element.right_ps + max(before, total - before))
        return latest

    def _old(self, link: int, epoch: int) -> None:
        """A pair has waited long enough; what else happens in this instant is in time."""
        if not self._needless(link, epoch):
            self._kernel.at(self._kernel.now_ps, partial(self._too_old, link, epoch))

    def _needless(self, link: int, epoch: int) -> bool:
        """Whether a pair need not be thrown away: it is gone, or everything is there."""
        return self.ended or self._whole or self._epochs[link] != epoch

    def _too_old(self, link: int, epoch: int) -> None:
        """A pair has waited too long."""
        if self._needless(link, epoch):
            return
        segment = self._segments[link]
        assert segment is not None  # noqa: S101
        self._ledger.end(segment.pair, Fate.CUT_OFF, self._kernel.now_ps)
        for each in range(segment.first, segment.last + 1):
            self._epochs[each] += 1
            self._there -= 1
            self._segments[each] = self.elements[each] = None
            self._missing[each] = 0
        for each in range(segment.first, segment.last + 1):
            self._attempt(each)

    def _deliver(self, done_ps: int) -> None:
        """Finish, at once or when the last outcome has arrived."""
        if done_ps > self._kernel.now_ps:
            self._kernel.at(done_ps, lambda: None if self.ended else self._deliver(done_ps))
            return
        segment = self._segments[0]
        assert segment is not None  # noqa: S101
        self.ended = True
        self.done_ps = done_ps
        self.pair = segment.pair
        self._finished(self)
