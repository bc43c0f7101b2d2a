"""A stock of Bell pairs between two nodes: made ahead, so that whoever needs one need not wait for it.

More pairs than come while one of them stays good are of no use (Little's law): the stock never holds more than rate
times t*, whatever is asked. Pairs that have fallen below the fidelity asked for expire and are made anew. By default
the oldest pair is used first; with ``freshest_first`` the youngest, which is better for fidelity at the price that
some pairs expire unused.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from hyperfabric_q.entanglement.bell_pair import BellPair
from hyperfabric_q.entanglement.budget import budget
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.entanglement.request import Request
from hyperfabric_q.entanglement.service import EntanglementService
from hyperfabric_q.errors import BusyFabric


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnover:
    """Return what became of a stock's pairs so far: how many were taken, expired unused, and are there."""

    taken: int
    expired: int
    ready: int


class Stock:
    """Pairs that are kept ready; use it as ``async with protocol.stock(...) as stock``.

    Attributes:
        size: how many pairs it holds at most.
    """

    def __init__(self, service: EntanglementService, request: Request, *, freshest_first: bool) -> None:
        """Prepare to keep ``request.pairs`` pairs of at least its fidelity; nothing is made before it is entered.

        Raises:
            as ``EntanglementService.foresee``.
        """
        foresight = service.foresee(request)
        self.size = request.pairs
        if request.min_fidelity is not None and foresight.rounds == 0:
            useful = budget(foresight.path, request.min_fidelity).buffer
            if useful is not None and math.isfinite(useful):
                self.size = min(self.size, max(1, math.ceil(useful)))
        self._service = service
        self._request = replace(request, pairs=1)
        self._freshest_first = freshest_first
        self._ready: list[BellPair] = []
        self._taken = 0
        self._expired = 0
        self._changed: asyncio.Condition | None = None
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._fault: Exception | None = None

    @property
    def turnover(self) -> Turnover:
        """What became of its pairs so far."""
        return Turnover(taken=self._taken, expired=self._expired, ready=len(self._ready))

    async def take(self) -> BellPair:
        """Return a pair of the fidelity asked for, which is the caller's from now on; waits while there is none.

        Raises:
            BusyFabric: the stock has not been entered, or was left.
            and what made it impossible to refill it.
        """
        changed = self._changed
        if changed is None:
            raise BusyFabric(asked="a pair of a stock", found="it is closed", remedy="Use 'async with' around it.")
        async with changed:
            await changed.wait_for(self._has_pair)
            if not self._ready and self._fault is not None:
                raise self._fault
            pair = self._ready.pop(-1 if self._freshest_first else 0)
            self._taken += 1
            self._room.set()
            return pair

    def _has_pair(self) -> bool:
        self._let_expire()
        return bool(self._ready) or self._fault is not None

    def _let_expire(self) -> None:
        least = self._request.min_fidelity
        if least is None:
            return
        good = []
        for pair in self._ready:
            if pair.fidelity >= least:
                good.append(pair)
            else:
                pair.release()
                self._expired += 1
                self._room.set()
        self._ready = good

    async def _refill(self, changed: asyncio.Condition) -> None:
        """Make one pair after another as long as there is room."""
        try:
            while True:
                while len(self._ready) >= self.size:
                    self._room.clear()
                    await self._room.wait()
                made = await self._service.entangle(self._request)
                async with changed:
                    self._ready.extend(made)
                    changed.notify()
        except Exception as fault:
            async with changed:
                self._fault = fault
                changed.notify_all()

    async def __aenter__(self) -> Self:
        """Begin to make pairs."""
        self._changed = asyncio.Condition()
        self._fault = None
        self._tasks = [asyncio.ensure_future(self._refill(self._changed))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and let the pairs that are left expire."""
        self._changed = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pair in self._ready:
            if pair.fate is Fate.HELD:
                pair.release()
                self._expired += 1
        self._ready = []
