"""Calls of scripts that do not await: an event loop of one's own, whose time goes on from call to call."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from hyperfabric_q.errors import BusyFabric
from hyperfabric_q.scheduling.drivers import VirtualLoop

T = TypeVar("T")


class Driver:
    """Runs coroutines to their end in virtual time, one after another on one clock; nothing goes on between calls."""

    def __init__(self) -> None:
        """Start without a loop; the first call makes it."""
        self._loop: VirtualLoop | None = None

    def drive(self, main: Coroutine[Any, Any, T]) -> T:
        """Return what ``main`` returns.

        Raises:
            BusyFabric: an event loop is running in this thread.
        """
        try:
            refuse_running_loop()
        except BusyFabric:
            main.close()
            raise
        loop = self._loop
        if loop is None:
            loop = self._loop = VirtualLoop()
            weakref.finalize(self, _closed, loop)
        task = loop.create_task(main)
        try:
            return loop.run_until_complete(task)
        except BaseException:  # Ctrl-C, or every task waits for ever
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)
            raise


def refuse_running_loop() -> None:
    """Do nothing where no event loop is running in this thread.

    Raises:
        BusyFabric: one is.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BusyFabric(
        asked="with protocol.step(...)",
        found="an event loop is running, and would stand still meanwhile",
        remedy="Use 'async with protocol.step(nodes) as step', and await what it sends and reduces.",
    )


def _closed(loop: VirtualLoop) -> None:
    loop.release()
    loop.close()
