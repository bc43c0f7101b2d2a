"""Other programs' messages on the links of a training, there whenever it sends something.

Between its messages nobody would notice them, so they flow only around these: from a while before, so that queues have
filled, until the last one has arrived. What is drawn follows from the point of virtual time alone, so that a training
that goes on from a checkpoint meets the same traffic.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np

from hyperfabric_q.distribution.background import Background, BackgroundMessages, checked
from hyperfabric_q.scheduling.drivers import Clock
from hyperfabric_q.seeds import stream
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.payload import VirtualTensor
from hyperfabric_q.units import PS_PER_S

WARM_MESSAGES: Final = 20
"""Of the rarest stream, sent before anybody looks."""

MOST_WARM: Final = 2000
"""Messages of all streams together in that time."""


class Beside:
    """Streams of messages over an exchange, open while somebody looks."""

    def __init__(self, exchange: Exchange, background: Sequence[Background], *, seed: int) -> None:
        """Begin closed.

        Args:
            exchange: that the messages go over.
            background: the streams; demands for pairs are left to those who time the circuits.
            seed: of when messages come.

        Raises:
            InvalidValue: it is no background traffic.
            UnknownName: a node does not exist.
        """
        self._exchange, self._seed = exchange, seed
        self._streams = tuple(each for each in checked(background) if isinstance(each, BackgroundMessages))
        for each in self._streams:
            for node in (each.source, each.destination):
                exchange.ways.fabric.node(node)
        self._lookers = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._fault: BaseException | None = None

    @property
    def warm_ps(self) -> int:
        """How long before a message the streams begin."""
        rates = [each.rate_hz for each in self._streams]
        if not rates:
            return 0
        return round(min(WARM_MESSAGES / min(rates), MOST_WARM / sum(rates)) * PS_PER_S)

    @asynccontextmanager
    async def flowing(self, clock: Clock) -> AsyncIterator[None]:
        """Let the streams flow while the block lasts; blocks may overlap."""
        if not self._lookers and self._streams:
            now = clock.kernel.now_ps
            for number, each in enumerate(self._streams):
                rng = stream(self._seed, "hybrid", "beside", number, now)
                self._keep(self._flow(clock, each, rng))
        self._lookers += 1
        try:
            yield
        finally:
            self._lookers -= 1
            if not self._lookers:
                await self._close()

    async def _flow(self, clock: Clock, one: BackgroundMessages, rng: np.random.Generator) -> None:
        gap = PS_PER_S / one.rate_hz
        payload = VirtualTensor((one.size_bytes,), "uint8")
        wait = rng.random() * gap if one.periodic else rng.exponential(gap)
        while True:
            await clock.sleep_ps(round(wait))
            self._keep(self._sent(one, payload))
            wait = gap if one.periodic else rng.exponential(gap)

    async def _sent(self, one: BackgroundMessages, payload: VirtualTensor) -> None:
        plain = False
        await self._exchange.send(
            one.source,
            one.destination,
            payload,
            DataType.GRADIENT,
            PacketPriority.NORMAL,
            None,
            plain,
            plain,
            plain,
            None,
        )

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fault = fault

    async def _close(self) -> None:
        """Withdraw what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
