"""Asyncio over the kernel: virtual time moves only when every task waits for the fabric.

Three ways to know that nothing else can run, with identical results:

* ``run(main())`` owns its event loop. Asyncio asks its selector to wait only when no callback is ready; our selector
  moves the clock instead. ``asyncio.sleep``, ``timeout`` and ``wait_for`` become virtual.
* On a loop that runs already (Jupyter, pytest-asyncio) a callback re-posts itself and steps the kernel when the loop's
  ready queue is empty. Wall-clock sleeps stay wall-clock there; ``sleep_ps`` is virtual everywhere.
* On loops that hide their ready queue (uvloop) it steps after a few turns of the loop without a submission.

A task that polls with ``asyncio.sleep(0)`` would keep all of them from ever moving on; after ``SPINNING`` turns without
a submission they move on regardless.

Real work inside virtual time is a *hold*: its virtual duration is declared, and the clock does not pass its end before
the work is done.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple, overload
from weakref import WeakKeyDictionary

from hyperfabric_q.errors import BusyFabric, InvalidValue, VirtualDeadlock
from hyperfabric_q.fabric.fields import is_number
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.units import PS_PER_S

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

QUIET_HOPS: Final = 3
"""Turns of the loop without a submission after which a loop that hides its ready queue counts as idle."""

SPINNING: Final = 10_000
"""Turns of any loop without a submission after which time moves on though something is ready."""


class Clock:
    """The kernel of one event loop, and what keeps it from moving on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, kernel: Kernel) -> None:
        """Attach ``kernel`` to ``loop``; one that ``run`` made drives it, any other needs pumping."""
        self.kernel = kernel
        self._loop = loop
        self._own = loop if isinstance(loop, VirtualLoop) else None
        self._holds: dict[int, int] = {}
        self._hold_count = 0
        self._pumping = False
        self._turns = 0
        self._submitted = False

    # ---------------------------------------------------------------------------------------------------- for tasks

    def submit(self, message: Message) -> asyncio.Future[Message]:
        """Return a future of the message when it has ended: ``message.outcome`` is then delivered or failed.

        Cancelling the future withdraws the message.
        """
        future: asyncio.Future[Message] = self._loop.create_future()

        def ended(message: Message) -> None:
            if not future.done():
                future.set_result(message)

        message.on_done = message.on_failed = ended
        future.add_done_callback(lambda given_up: given_up.cancelled() and self.kernel.cancel(message))
        self.kernel.submit(message)
        self.wake()
        return future

    async def sleep_ps(self, duration_ps: int) -> None:
        """Wait for virtual time to pass."""
        if duration_ps < 0:
            raise InvalidValue(field="duration", value=duration_ps, rule="time does not run backwards")
        future: asyncio.Future[None] = self._loop.create_future()

        def over() -> None:
            if not future.done():
                future.set_result(None)

        self.kernel.at(self.kernel.now_ps + duration_ps, over)
        self.wake()
        await future

    async def hold(self, work: Callable[[], T], duration_ps: int, executor: Executor | None = None) -> T:
        """Run ``work`` for real in ``executor`` while exactly ``duration_ps`` of virtual time pass.

        Conservative parallel simulation with lookahead: other events up to the end of the hold go on meanwhile.
        """
        if duration_ps < 0:
            raise InvalidValue(field="duration", value=duration_ps, rule="time does not run backwards")
        name = self._hold_count
        self._hold_count += 1
        real = self._loop.run_in_executor(executor, work)
        self._holds[name] = self.kernel.now_ps + duration_ps

        def over(_: object) -> None:
            self._holds.pop(name, None)
            self.wake()

        real.add_done_callback(over)
        try:
            await self.sleep_ps(duration_ps)
            return await real
        finally:
            over(None)

    # ----------------------------------------------------------------------------------------------------- stepping

    def held(self, time_ps: int) -> bool:
        """Whether real work must finish before the clock may reach ``time_ps``."""
        return bool(self._holds) and min(self._holds.values()) <= time_ps

    def wake(self) -> None:
        """Note that there is something to do; starts the pump on loops that are not ours."""
        if self._own is not None:
            self._own.turns = 0
            return
        self._submitted = True
        if not self._pumping:
            self._pumping = True
            self._turns = 0
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Take a step if the loop is idle, and come back in its next turn."""
        self._turns = 0 if self._submitted else self._turns + 1
        self._submitted = False
        ready = getattr(self._loop, "_ready", None)
        idle = self._turns >= QUIET_HOPS if ready is None else len(ready) == 0
        self._pumping = False
        if idle or self._turns >= SPINNING:
            next_ps = self.kernel.next_ps
            if next_ps is None or self.held(next_ps):
                return
            self.kernel.step()
            self._turns = 0
        self._pumping = True
        self._loop.call_soon(self._pump)


_CLOCKS: WeakKeyDictionary[asyncio.AbstractEventLoop, Clock] = WeakKeyDictionary()


def clock(make: Callable[[], Kernel] = Kernel) -> Clock:
    """Return the clock of the running event loop, with a kernel from ``make`` if it has none yet."""
    loop = asyncio.get_running_loop()
    found = _CLOCKS.get(loop)
    if found is None:
        for old in [each for each in _CLOCKS if each.is_closed()]:
            del _CLOCKS[old]
        found = Clock(loop, make())
        _CLOCKS[loop] = found
        if isinstance(loop, VirtualLoop):
            loop.attach(found)
    return found


# --------------------------------------------------------------------------------------------------- a loop of our own


class _Selector(selectors.DefaultSelector):
    """Asks ``idle`` before it would wait; real events (sockets, pipes, finished executors) come first."""

    idle: Callable[[float | None], bool] | None = None
    spinning: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.idle is None:
            return super().select(timeout)
        ready = super().select(0)
        if ready:
            return ready
        if timeout == 0:
            if self.spinning is not None:
                self.spinning()
            return ready
        return [] if self.idle(timeout) else super().select(None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the kernel's."""

    def __init__(self) -> None:
        """Start at time zero."""
        self.turns = 0
        self._base_ps = 0
        self._clock: Clock | None = None
        self._outside = 0
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._virtual.idle = self._idle
        self._virtual.spinning = self._spinning

    def attach(self, clock: Clock) -> None:
        """Let ``clock`` keep the time from now on."""
        clock.kernel.advance(self._base_ps)
        self._clock = clock

    @property
    def _now_ps(self) -> int:
        return self._base_ps if self._clock is None else self._clock.kernel.now_ps

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_ps / PS_PER_S

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run ``func`` in a thread or process, and know that it may wake this loop."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: object) -> None:
        self._outside -= 1

    def release(self) -> None:
        """Let the loop wait as others do, to close down."""
        self._virtual.idle = None

    def _idle(self, timeout: float | None) -> bool:
        """Move the clock to what happens next; False to wait for real work."""
        now = self._now_ps
        timer = None if timeout is None else now + max(1, round(timeout * PS_PER_S))
        event = None if self._clock is None else self._clock.kernel.next_ps
        times = [time for time in (timer, event) if time is not None]
        if times:
            return self._move(min(times), event)
        if self._outside or len(self._virtual.get_map()) > 1:
            return False
        raise VirtualDeadlock(tasks=tuple(sorted(task.get_name() for task in asyncio.all_tasks(self))))

    def _move(self, time_ps: int, event_ps: int | None) -> bool:
        """Move the clock to ``time_ps``; False if real work has to be waited for first."""
        self.turns = 0
        if self._clock is None:
            self._base_ps = time_ps
        elif self._clock.held(time_ps):
            return False
        elif event_ps == time_ps:
            self._clock.kernel.step()
        else:
            self._clock.kernel.now_ps = time_ps
        return True

    def _spinning(self) -> None:
        """Move the clock though something is ready, if that has been so for very long."""
        self.turns += 1
        if self.turns < SPINNING:
            return
        timers: list[asyncio.TimerHandle] = getattr(self, "_scheduled", [])
        timer = max(self._now_ps + 1, round(timers[0].when() * PS_PER_S)) if timers else None
        event = None if self._clock is None else self._clock.kernel.next_ps
        times = [time for time in (timer, event) if time is not None]
        if times:
            self._move(min(times), event)
        self.turns = 0


@overload
def run(main: Coroutine[Any, Any, T], *, until_ms: None = None) -> T: ...


@overload
def run(main: Coroutine[Any, Any, T], *, until_ms: float | None) -> T | None: ...


def run(main: Coroutine[Any, Any, T], *, until_ms: float | None = None) -> T | None:
    """Return what ``main`` returns, run in virtual time from zero.

    Args:
        main: a coroutine; ``asyncio.sleep`` and time-outs in it are virtual.
        until_ms: stop at this virtual time, cancelling every task; the result is then None.

    Raises:
        InvalidValue: ``main`` is not a coroutine, or ``until_ms`` is not positive and finite.
        BusyFabric: called while an event loop is running; ``await`` the coroutine there.
        VirtualDeadlock: every task waits for something that nothing will bring about.
    """
    given: object = main
    if not asyncio.iscoroutine(given):
        hint = (
            "Did you mean hyperfabric_q.plan(...).run()?" if "Circuit" in type(given).__name__ else "Call the function."
        )
        raise InvalidValue(field="main", value=given, rule="run takes a coroutine, like main()", remedy=hint)
    if until_ms is not None and not (is_number(until_ms) and 0 < until_ms < math.inf):
        main.close()
        raise InvalidValue(field="until_ms", value=until_ms, rule="it must be a positive, finite number, or None")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        main.close()
        raise BusyFabric(asked="run(...)", found="an event loop is running already", remedy="Use 'await main()' there.")
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(_until(main, until_ms))
        finally:
            loop.release()


async def _until(main: Coroutine[Any, Any, T], until_ms: float | None) -> T | None:
    if until_ms is None:
        return await main
    task = asyncio.ensure_future(main)
    finished, _ = await asyncio.wait({task}, timeout=until_ms / 1000)
    if finished:
        return task.result()
    others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return None
