"""The entanglement service of a live fabric: requests become attempts, swaps and messages on the shared kernel.

It has the semantics of a quantum link layer (Dahlberg et al., SIGCOMM 2019): a request states how many pairs, their
least fidelity, a deadline, and whether they are kept or measured at once. Either every pair comes, with its fidelity
computed from what really happened to it, or a typed error says why not, before any attempt is spent where physics
already says no.

Requests of one instant are taken in an order that follows from what they ask, and what is drawn for a request depends
on nothing but the seed and the request: neither the order of ``gather`` nor a link elsewhere changes any pair.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from hyperfabric_q.entanglement.assembly import STRIDE, Assembly, Courier, Recipe
from hyperfabric_q.entanglement.bell_pair import BellPair
from hyperfabric_q.entanglement.draws import Draws
from hyperfabric_q.entanglement.just_in_time import JustInTime, Waiting
from hyperfabric_q.entanglement.ledger import Fate, Ledger
from hyperfabric_q.entanglement.lines import Lines, unshared
from hyperfabric_q.entanglement.policies import spans
from hyperfabric_q.entanglement.request import Foresight, Request, foresee
from hyperfabric_q.entanglement.slots import Slots
from hyperfabric_q.errors import EntanglementMissed, FidelityUnreachable, InvalidValue, Undeliverable
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.scheduling.drivers import Clock
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.units import to_ns

TRIES = 1000
"""Deliveries below the fidelity asked for, one after another, after which a request is given up."""


@dataclass(frozen=True, slots=True)
class Store:
    """The memories of the nodes in one kernel, where pairs are held and age."""

    kernel: Kernel
    slots: Slots

    @property
    def now_ps(self) -> int:
        """The virtual time."""
        return self.kernel.now_ps

    def gone(self, pair: BellPair) -> None:
        """Give the slots of both halves back."""
        self.slots.free({pair.a: 1, pair.b: 1})


class EntanglementService:
    """Serves the requests of one live fabric.

    Attributes:
        ledger: every pair since the clock began.
        seed: of everything that is drawn.
        just_in_time: requests that wait for their time.
        optimise: start just in time for ``needed_ps``, and let the earliest deadline go first.
    """

    def __init__(
        self,
        fabric: Callable[[], Fabric],
        attached: Callable[[], Clock],
        post: Callable[[], Courier],
        *,
        seed: int,
        optimise: bool = False,
    ) -> None:
        """Serve ``fabric`` on the clock that ``attached`` returns; ``post`` returns who carries its messages."""
        self.ledger = Ledger()
        self.optimise = optimise
        self._fabric = fabric
        self._attached = attached
        self._post = post
        self.seed = seed
        self._kernel: Kernel | None = None
        self._lines = Lines(Kernel())
        self.just_in_time = JustInTime(Kernel())
        self.store = Store(Kernel(), Slots())
        self._batch: list[_Order] = []
        self._counts: dict[str, int] = {}
        self._counted_ps = -1
        self._rank = 0

    @property
    def now_ps(self) -> int:
        """The virtual time; 0 before the first request."""
        return 0 if self._kernel is None else self._kernel.now_ps

    async def entangle(self, request: Request) -> tuple[BellPair, ...]:
        """Return the pairs that were asked for, in the order in which they came.

        Raises:
            InvalidValue: the deadline or the time of use is past.
            NoRoute, IsolationViolated: word of heralds and outcomes could not pass between the nodes.
            EntanglementMissed: not all came by the deadline; those that did are in the error, and held.
            Undeliverable: faults took all attempts, or all word of them, for a long time.
            and what ``foresee`` raises.
        """
        clock = self._attached()
        kernel = self._on(clock)
        now = kernel.now_ps
        _check_times(request, now)
        foresight = foresee(self._fabric(), request, now)
        self._check_ways(foresight)
        order = _Order(self, request, foresight, asyncio.get_running_loop().create_future())
        self._batch.append(order)
        if len(self._batch) == 1:
            kernel.at(now, self._admit)
        # What is under way keeps others from reckoning their messages on paper, as if they were alone.
        kernel.pending += 1
        clock.wake()
        try:
            return await order.future
        except asyncio.CancelledError:
            order.withdraw(release=True)
            raise
        finally:
            kernel.pending -= 1
            clock.wake()

    def foresee(self, request: Request) -> Foresight:
        """Return how a request would be served on the idle fabric; raises as ``entangle`` would at once."""
        return foresee(self._fabric(), request, self.now_ps)

    # ------------------------------------------------------------------------------------------------------- admission

    def _on(self, clock: Clock) -> Kernel:
        kernel = clock.kernel
        if kernel is not self._kernel:
            self._kernel = kernel
            self.ledger = Ledger()
            self._lines, self.store, self._batch = Lines(kernel), Store(kernel, Slots()), []
            self.just_in_time = JustInTime(kernel)
            self._counts, self._counted_ps = {}, -1
        return kernel

    def _admit(self) -> None:
        """Take the requests of this instant, in the order of what they ask."""
        batch, self._batch = self._batch, []
        kernel = self._kernel
        assert kernel is not None  # noqa: S101
        if kernel.now_ps != self._counted_ps:
            self._counts.clear()
            self._counted_ps = kernel.now_ps
        for order in sorted(batch, key=lambda each: (each.rank_of(optimise=self.optimise), each.text)):
            if order.future.done():
                continue
            count = self._counts[order.text] = self._counts.get(order.text, 0) + 1
            name = f"{order.text}|{kernel.now_ps}|{count}"
            order.identity = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
            order.begin(kernel, self._rank)
            self._rank += order.request.pairs

    def _check_ways(self, foresight: Foresight) -> None:
        """Refuse what could not be told of on classical channels; others on the clock learn that they are not alone."""
        post, path = self._post(), foresight.path
        for link in path.links:
            if link.shared and link.via is None and post.line(link.a, link.b) is None:
                raise unshared(link)
            for here, there in (link.ends, link.ends[::-1]):
                post.check(here, there)
        for station in path.stations[1:-1]:
            for end in path.ends:
                post.check(station.node_id, end)

    def prepared(self, foresight: Foresight) -> Courier:
        """Make sure that the lines of a path exist and its slots are known; return who carries its messages."""
        post, fabric = self._post(), self._fabric()
        for link in foresight.path.links:
            devices = None if link.via is None else fabric.node(link.via).photonic_channels
            self._lines.line(link, devices=devices, shared=post.line(link.a, link.b) if link.shared else None)
        for station in foresight.path.stations:
            self.slots.limit(station.node_id, station.slots)
        return post

    # ------------------------------------------------------------------------------------------------------ for pairs

    @property
    def slots(self) -> Slots:
        """Who holds which communication qubits."""
        return self.store.slots

    def assembly(
        self,
        recipe: Recipe,
        draws: Draws,
        identity: int,
        courier: Courier,
        finished: Callable[[Assembly], object],
        given_up: Callable[[str], object],
    ) -> Assembly:
        """Return a pair to be made on this service's lines."""
        assert self._kernel is not None  # noqa: S101
        return Assembly(
            recipe,
            kernel=self._kernel,
            lines=self._lines,
            ledger=self.ledger,
            draws=draws,
            identity=identity,
            finished=finished,
            courier=courier,
            given_up=given_up,
        )


class _Order:
    """One request while it is served.

    Pairs that are kept get their slots at both ends all in one step, together with what it takes to make one pair after
    the other: no two requests can each keep what the other waits for. As far as there is more room, several are made at
    a time. Pairs that are measured at once keep nothing, and each asks for itself.
    """

    def __init__(
        self,
        service: EntanglementService,
        request: Request,
        foresight: Foresight,
        future: asyncio.Future[tuple[BellPair, ...]],
    ) -> None:
        self.request = request
        self.foresight = foresight
        self.future = future
        self.identity = 0
        self.text = (
            f"{request.a}|{request.b}|{request.pairs}|{request.min_fidelity}|{request.keep}|{request.deadline_ps}|"
            f"{request.needed_ps}|{request.priority_class}|{request.policy}|{request.cutoff_ps}"
        )
        self._service = service
        self._pairs: list[BellPair] = []
        self._waiting: dict[int, object] = {}
        self._making: dict[int, Assembly] = {}
        self._reserved = 0
        self._workshops = 0
        self._refused = 0
        self._rank = 0
        self._tries = 0
        self._waits: Waiting | None = None

    def rank_of(self, *, optimise: bool) -> tuple[int, int]:
        """Return who goes first: by class, and if the service optimises by when the pair is needed."""
        request = self.request
        when = [each for each in (request.deadline_ps, request.needed_ps) if each is not None]
        return request.priority_class, min(when) if optimise and when else NO_DEADLINE

    def begin(self, kernel: Kernel, rank: int) -> None:
        """Ask for slots, now or when it is time."""
        self._rank = rank
        request, foresight = self.request, self.foresight
        if request.deadline_ps is not None:
            # The kernel keeps the alarm until then, and should not keep all requests that are long served.
            weak = weakref.WeakMethod(self._expire)
            kernel.at(request.deadline_ps, lambda: expire() if (expire := weak()) else None)
        if not (self._service.optimise and request.needed_ps is not None):
            self._ask_all()
            return
        mean_ps = round(foresight.delivery_ps / foresight.share)
        self._waits = Waiting(
            needed_ps=min(request.needed_ps, request.deadline_ps or request.needed_ps),
            rank=rank,
            links=foresight.path.links,
            lead_ps=foresight.lead_ps + (request.pairs - 1) * mean_ps,
            mean_ps=request.pairs * mean_ps,
            begin=self._ask_all,
        )
        self._service.just_in_time.add(self._waits)

    def _ask_all(self) -> None:
        if not self.future.done():
            self._courier = self._service.prepared(self.foresight)
            urgency = self.rank_of(optimise=self._service.optimise)
            self._recipe = Recipe(
                path=self.foresight.path,
                spans=spans(self.request.policy, self.foresight.path.hops),
                rounds=self.foresight.rounds,
                cutoff_ps=self.request.cutoff_ps,
                priority_class=urgency[0],
                deadline_ps=urgency[1],
            )
            self._draws = Draws(self._service.seed, self.identity)
            numbers = range(self.request.pairs)
            for together in [numbers] if self.request.keep else [[each] for each in numbers]:
                waiting = deque(together)
                needs = self.foresight.slots(len(waiting))
                self._when_free(needs, waiting[0], partial(self._reserve, waiting))

    def _when_free(self, needs: Mapping[str, int], number: int, then: Callable[[], object]) -> None:
        """Call ``then`` as soon as there are slots; pair ``number`` is what they are for."""
        slots = self._service.slots
        rank = (*self.rank_of(optimise=self._service.optimise), self._rank + number)
        granted = False

        def grant() -> None:
            nonlocal granted
            granted = True
            self._waiting.pop(number, None)
            then()

        entry = slots.ask(needs, rank, grant)
        if not granted:
            self._waiting[number] = entry

    def _reserve(self, waiting: deque[int]) -> None:
        """There are slots for all these pairs, and to make one of them at a time; ask for more room."""
        self._reserved += len(waiting)
        self._open(waiting)
        for number in tuple(waiting):
            self._when_free(self.foresight.workshop, number, partial(self._open, waiting))

    def _open(self, waiting: deque[int]) -> None:
        """There is room to make one more at a time."""
        self._workshops += 1
        self._next(waiting)

    def _next(self, waiting: deque[int]) -> None:
        """Begin the next pair, or give back the room for making it."""
        if not waiting:
            self._close()
            return
        number = waiting.popleft()
        self._tries += 1
        identity = (self.identity + (self._tries << 32) * STRIDE) % (1 << 64)
        made = self._making[number] = self._service.assembly(
            self._recipe, self._draws, identity, self._courier, partial(self._finished, number, waiting), self._given_up
        )
        made.begin()

    def _close(self) -> None:
        if self.request.keep:
            self._ask_no_more()
        self._workshops -= 1
        self._service.slots.free(self.foresight.workshop)

    def _finished(self, number: int, waiting: deque[int], made: Assembly) -> None:
        """One pair is there: hand it over, or try again when it has come out too bad."""
        service, request = self._service, self.request
        del self._making[number]
        pair = self._pair(made)
        if request.min_fidelity is not None and pair.goodness < request.min_fidelity:
            service.ledger.end(pair.id, Fate.CUT_OFF, made.done_ps)
            self._again(number, waiting, pair.goodness)
            return
        self._refused = 0
        self._reserved -= 1
        self._pairs.append(pair)
        if not request.keep:
            pair.end(Fate.CONSUMED)
        self._next(waiting)
        if len(self._pairs) == request.pairs and not self.future.done():
            self.future.set_result(tuple(self._pairs))

    def _pair(self, made: Assembly) -> BellPair:
        elements = [each for each in made.elements if each is not None]
        return BellPair(
            pair=made.pair,
            ends=(self.request.a, self.request.b),
            path=self.foresight.path,
            born=[each.correlators for each in elements],
            born_ps=[each.born_ps for each in elements],
            left_ps=[each.left_ps for each in elements],
            right_ps=[each.right_ps for each in elements],
            herald_ps=made.done_ps,
            raw_pairs=made.raw_pairs,
            attempts=made.attempts,
            ledger=self._service.ledger,
            halves=self._service.store,
        )

    def _again(self, number: int, waiting: deque[int], goodness: float) -> None:
        self._refused += 1
        if self._refused < TRIES:
            waiting.appendleft(number)
            self._next(waiting)
            return
        self.withdraw(release=True)
        reason = f"{TRIES} pairs in a row had waited too long when they were there"
        remedy = "Other traffic delays heralds or holds the qubits: relieve it, or give a cutoff."
        asked = self.request.min_fidelity or 0.0
        self._fail(FidelityUnreachable(asked=asked, reachable=goodness, reason=reason, remedy=remedy))

    # ---------------------------------------------------------------------------------------------------- giving it up

    def _expire(self) -> None:
        """The deadline has come, and not every pair."""
        if self.future.done():
            return
        self.withdraw(release=False)
        request = self.request
        self._fail(
            EntanglementMissed(
                a=request.a,
                b=request.b,
                asked=request.pairs,
                deadline_ns=to_ns(request.deadline_ps or 0),
                pairs=tuple(self._pairs),
            )
        )

    def _fail(self, fault: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(fault)

    def _given_up(self, reason: str) -> None:
        """Faults keep the pairs from being made."""
        self.withdraw(release=True)
        self._fail(Undeliverable(source=self.request.a, destination=self.request.b, reason=reason))

    def withdraw(self, *, release: bool) -> None:
        """Stop what is under way; with ``release`` the pairs that are there expire too."""
        if self._waits is not None:
            self._waits.gone = True
        self._ask_no_more()
        making, self._making = self._making, {}
        for each in making.values():
            each.withdraw()
        back = {node: count * self._workshops for node, count in self.foresight.workshop.items()}
        for end in self.foresight.path.ends:
            back[end] = back.get(end, 0) + self._reserved
        self._reserved = self._workshops = 0
        if any(back.values()):
            self._service.slots.free(back)
        for pair in self._pairs if release else ():
            if pair.fate is Fate.HELD:
                pair.release()

    def _ask_no_more(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            self._service.slots.withdraw(each)


def _check_times(request: Request, now_ps: int) -> None:
    for field, when in (("deadline_ns", request.deadline_ps), ("needed_ns", request.needed_ps)):
        if when is not None and when < now_ps:
            raise InvalidValue(
                field=field,
                value=to_ns(when),
                rule=f"it is {to_ns(now_ps):.12g} ns on the virtual clock already",
                remedy="Times are absolute: protocol.now_ns + ... is what you may mean.",
            )
