"""One kernel under three event loops: the same history everywhere, real work included, and no wait without an end."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hyperfabric_q.errors import BusyFabric, InvalidValue, VirtualDeadlock
from hyperfabric_q.scheduling import drivers
from hyperfabric_q.scheduling.channel import channel
from hyperfabric_q.scheduling.drivers import clock, run
from hyperfabric_q.scheduling.faults import LinkDown, inject
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message, Outcome
from hyperfabric_q.scheduling.timeline import Recorder

NS, US, MS = 1_000, 1_000_000, 1_000_000_000


def make_kernel():
    kernel = Kernel(recorder=Recorder(keep=None))
    for number in range(4):
        kernel.add(channel(f"n{number}", f"n{number + 1}", gbps=5 + number))
    return kernel


def message(number, *, hop=0, size=None):
    return Message(
        path=((number + hop) % 4, (number + hop + 1) % 4),
        delays=(0, 100 * NS),
        nbytes=size or 500 + 997 * number % 20_000,
        priority_class=number % 8,
        key=(number, hop),
        identity=100 * number + hop,
    )


async def conversation(order, count=24):
    """Tasks that sleep, send, answer one another and give up; the digest of it all."""
    here = clock(make_kernel)
    doors = [asyncio.Event() for _ in range(count)]

    async def speak(number):
        if number % 3 == 0:
            await here.sleep_ps(number % 5 * US)
        first = await here.submit(message(number))
        assert first.outcome is Outcome.DELIVERED
        doors[number].set()
        await doors[(number * 7 + 1) % count].wait()
        await asyncio.gather(here.submit(message(number, hop=1)), here.submit(message(number, hop=2)))
        if number % 5 == 0:
            given_up = asyncio.ensure_future(_wait(here.submit(message(number, hop=3, size=50_000))))
            await here.sleep_ps(3 * US)
            given_up.cancel()

    await asyncio.gather(*(speak(number) for number in order))
    return here.kernel.recorder.digest, here.kernel.now_ps, here.kernel.recorder.delivered_count


async def _wait(future):
    return await future


class HiddenLoop(asyncio.SelectorEventLoop):
    """An event loop that hides its ready queue from the drivers, as uvloop does."""

    @property
    def _ready(self):
        if sys._getframe(1).f_globals["__name__"] == drivers.__name__:
            raise AttributeError("_ready")
        return self._queue

    @_ready.setter
    def _ready(self, queue):
        self._queue = queue


def by_own_loop(main):
    return run(main)


def by_running_loop(main):
    with asyncio.Runner() as runner:
        return runner.run(main)


def by_hidden_loop(main):
    with asyncio.Runner(loop_factory=HiddenLoop) as runner:
        return runner.run(main)


DRIVERS = {"own": by_own_loop, "running": by_running_loop, "hidden": by_hidden_loop}
every_driver = pytest.mark.parametrize("drive", DRIVERS.values(), ids=DRIVERS.keys())

# ---------------------------------------------------------------------------------------------------------- determinism


def test_one_digest_over_20_shuffles_and_three_drivers():
    found = set()
    for shuffle in range(20):
        order = np.random.default_rng(shuffle).permutation(24).tolist()
        found |= {drive(conversation(order)) for drive in DRIVERS.values()}
    assert len(found) == 1
    assert found.pop()[2] == 24 * 3


def test_one_digest_whatever_the_hash_seed():
    code = (
        "import importlib.util, sys; sys.modules['t'] = m = importlib.util.module_from_spec("
        f"s := importlib.util.spec_from_file_location('t', {__file__!r})); s.loader.exec_module(m);"
        "print([drive(m.conversation(list(range(24)))) for drive in m.DRIVERS.values()])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "random")
    }
    here = [drive(conversation(list(range(24)))) for drive in DRIVERS.values()]
    assert printed == {f"{here}\n"}


@every_driver
def test_the_hidden_queue_is_hidden_and_the_clock_is_one_per_loop(drive):
    async def main():
        loop = asyncio.get_running_loop()
        assert clock() is clock()
        return type(loop).__name__, clock()

    name, first = drive(main())
    _, second = drive(main())
    assert name == {"own": "VirtualLoop", "hidden": "HiddenLoop"}.get(
        next(key for key, value in DRIVERS.items() if value is drive), name
    )
    assert first is not second
    drive(main())
    assert len(drivers._CLOCKS) <= 2


# ----------------------------------------------------------------------------------------------------- virtual asyncio


def test_asyncio_sleep_and_timeouts_are_virtual_under_run():
    async def main():
        here = clock()
        begun = time.monotonic()
        await asyncio.sleep(3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.25):
                await asyncio.sleep(1)
        assert time.monotonic() - begun < 1
        return here.kernel.now_ps

    assert abs(run(main()) - 3600_750 * MS) < 10 * NS


def test_a_timeout_and_a_message_end_in_the_order_of_their_times():
    async def main():
        here = clock(make_kernel)
        big = message(0, size=10**6)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(here.submit(big), 0.001)
        small = await asyncio.wait_for(here.submit(message(4, size=100)), 0.001)
        return big.outcome, small.outcome, here.kernel.now_ps // MS

    assert run(main()) == (Outcome.CANCELLED, Outcome.DELIVERED, 1)


@every_driver
def test_cancelling_a_task_withdraws_its_bytes(drive):
    async def main():
        here = clock(make_kernel)
        big, small = message(0, size=10**6), message(8, size=1000)
        task = asyncio.ensure_future(_wait(here.submit(big)))
        other = here.submit(small)
        await here.sleep_ps(2_500 * NS)
        task.cancel()
        await other
        await here.sleep_ps(MS)
        kernel = here.kernel
        sent = sum(each.end - each.first for each in kernel.recorder.services if each.message == big.identity)
        return big.outcome, small.outcome, sent, kernel.pending

    cancelled, delivered, sent, pending = drive(main())
    assert (cancelled, delivered, pending) == (Outcome.CANCELLED, Outcome.DELIVERED, 0)
    assert 0 < sent < 10_000


@every_driver
def test_a_failed_message_ends_its_wait(drive):
    async def main():
        here = clock(make_kernel)
        inject(here.kernel, [LinkDown(channels=(0,), from_ps=US)], seed=1)
        lost, waiting, late = message(0, size=10**5), message(8, size=10**5), message(16, size=100)
        await asyncio.gather(here.submit(lost), here.submit(waiting))
        await here.submit(late)
        return [str(each.outcome) for each in (lost, waiting, late)], here.kernel.now_ps

    assert drive(main()) == (["failed", "failed", "failed"], US)


def test_a_loop_of_short_sleeps_runs_until_the_given_time():
    turns = []

    async def main():
        while True:
            await clock(make_kernel).submit(message(len(turns) % 9, size=100))
            turns.append(clock().kernel.now_ps)
            await asyncio.sleep(0.001)

    assert run(main(), until_ms=50) is None
    assert 45 <= len(turns) <= 51
    assert turns == sorted(turns)


def test_until_lets_a_shorter_program_return_its_result():
    async def main():
        await asyncio.sleep(0.001)
        return 7

    assert run(main(), until_ms=50) == 7


def test_until_cancels_every_task():
    ends = []

    async def forever(name):
        try:
            while True:
                await asyncio.sleep(0.01)
        finally:
            ends.append(name)

    async def main():
        await asyncio.gather(forever("a"), forever("b"))

    assert run(main(), until_ms=25) is None
    assert sorted(ends) == ["a", "b"]


def test_an_error_of_the_program_comes_out():
    async def main():
        await asyncio.sleep(1)
        raise KeyError("mine")

    for until_ms in (None, 5000):
        with pytest.raises(KeyError, match="mine"):
            run(main(), until_ms=until_ms)


def test_waiting_for_what_nothing_brings_about_is_a_deadlock_that_names_the_tasks():
    async def stuck():
        await asyncio.Event().wait()

    async def main():
        clock(make_kernel)
        await asyncio.gather(
            asyncio.create_task(stuck(), name="reader"), asyncio.create_task(stuck(), name="writer"), asyncio.sleep(1)
        )

    with pytest.raises(VirtualDeadlock, match="reader, writer"):
        run(main())
    assert run(asyncio.sleep(1, result="still working")) == "still working"


@every_driver
def test_polling_without_a_pause_does_not_stop_time(drive):
    async def main():
        here = clock(make_kernel)
        future = here.submit(message(3))
        while not future.done():
            await asyncio.sleep(0)
        return here.kernel.now_ps

    assert drive(main()) == run(_alone())


async def _alone():
    here = clock(make_kernel)
    await here.submit(message(3))
    return here.kernel.now_ps


def test_polling_without_a_pause_does_not_stop_virtual_timers():
    async def main():
        sleeping = asyncio.ensure_future(asyncio.sleep(5))
        while not sleeping.done():
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(5)


def test_run_is_refused_where_a_loop_runs_and_for_what_is_no_coroutine():
    async def inner():
        return 1

    async def main():
        with pytest.raises(BusyFabric, match="await main"):
            run(inner())
        return 2

    assert run(main()) == 2
    with pytest.raises(BusyFabric):
        asyncio.run(_nested(inner))
    with pytest.raises(InvalidValue, match="takes a coroutine"):
        run(inner)

    class QuantumCircuit:
        pass

    with pytest.raises(InvalidValue, match=r"plan\(\.\.\.\)\.run"):
        run(QuantumCircuit())
    for wrong in (0, -1, float("nan"), float("inf"), "5", True):
        with pytest.raises(InvalidValue, match="until_ms"):
            run(inner(), until_ms=wrong)


async def _nested(inner):
    run(inner())


# ------------------------------------------------------------------------------------------------------------ real work


@every_driver
def test_holds_make_real_work_of_any_length_deterministic(drive):
    async def worker(here, number, pauses):
        def work():
            time.sleep(pauses[number])
            return number * number

        for turn in range(3):
            assert await here.hold(work, (number + 1) * 75 * NS) == number * number
            await here.submit(message(number, hop=turn, size=700))
        return here.kernel.now_ps

    async def main(pauses):
        here = clock(make_kernel)
        ends = await asyncio.gather(*(worker(here, number, pauses) for number in range(4)))
        return ends, here.kernel.recorder.digest

    rng = np.random.default_rng(3)
    found = [drive(main(rng.uniform(0, 0.004, 4).tolist())) for _ in range(4)]
    assert found.count(found[0]) == 4
    assert found[0] == run(main([0, 0, 0, 0]))


@every_driver
def test_a_hold_takes_exactly_its_declared_time_and_lets_others_go_on(drive):
    async def main():
        here = clock(make_kernel)
        held = asyncio.ensure_future(here.hold(lambda: time.sleep(0.02), 5 * US))
        await here.submit(message(0, size=625))
        before = here.kernel.now_ps
        await held
        return before < 5 * US, here.kernel.now_ps

    assert drive(main()) == (True, 5 * US)


@every_driver
def test_an_error_in_held_work_comes_out_at_the_end_of_the_hold(drive):
    async def main():
        here = clock(make_kernel)
        with pytest.raises(ZeroDivisionError):
            await here.hold(lambda: 1 // 0, US)
        assert not here._holds
        return here.kernel.now_ps

    assert drive(main()) == US


@every_driver
def test_a_cancelled_hold_holds_nobody(drive):
    async def main():
        here = clock(make_kernel)
        with ThreadPoolExecutor(1) as pool:
            held = asyncio.ensure_future(here.hold(lambda: time.sleep(0.05), 2 * US, pool))
            await here.sleep_ps(US)
            held.cancel()
            await here.sleep_ps(5 * US)
            return here.kernel.now_ps, len(here._holds)

    assert drive(main()) == (6 * US, 0)


def test_negative_durations_are_refused():
    async def main():
        here = clock(make_kernel)
        with pytest.raises(InvalidValue, match="backwards"):
            await here.sleep_ps(-1)
        with pytest.raises(InvalidValue, match="backwards"):
            await here.hold(lambda: None, -1)

    run(main())


def test_plain_executors_and_sockets_work_under_run():
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, lambda: 5) == 5
        assert await asyncio.to_thread(sum, [1, 2]) == 3
        left, right = socket.socketpair()
        with left, right:
            left.settimeout(0)
            right.settimeout(0)
            reader = asyncio.ensure_future(loop.sock_recv(right, 10))
            await asyncio.sleep(1)
            await loop.sock_sendall(left, b"hello")
            return await reader

    assert run(main()) == b"hello"


@pytest.mark.parametrize("drive", [by_running_loop, by_hidden_loop])
def test_wall_clock_sleep_beside_virtual_traffic_on_a_foreign_loop(drive):
    async def main():
        here = clock(make_kernel)
        _, arrived = await asyncio.gather(asyncio.sleep(0.01), here.submit(message(5)))
        return arrived.outcome, here._pumping

    assert drive(main()) == (Outcome.DELIVERED, False)


@pytest.mark.parametrize("drive", [by_running_loop, by_hidden_loop])
def test_nothing_moves_a_foreign_clock_while_nobody_waits_for_the_fabric(drive):
    async def main():
        here = clock(make_kernel)
        inject(here.kernel, [LinkDown(channels=(3,), from_ps=MS, to_ps=2 * MS)], seed=0)
        arrived = await here.submit(message(0))
        await asyncio.sleep(0.01)
        return arrived.done_ps == here.kernel.now_ps

    assert drive(main())


async def test_pytest_asyncio_drives_the_fabric():
    here = clock(make_kernel)
    arrived = await asyncio.gather(*(here.submit(message(number)) for number in range(8)))
    assert {each.outcome for each in arrived} == {Outcome.DELIVERED}


@every_driver
def test_an_error_inside_the_kernel_does_not_stop_the_pump_for_ever(drive):
    async def main():
        here = clock(make_kernel)
        loop = asyncio.get_running_loop()
        seen = []
        loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
        here.kernel.at(US, lambda: 1 // 0)
        here.wake()
        await asyncio.sleep(0.01)
        await here.submit(message(0))
        return seen

    if drive is by_own_loop:
        with pytest.raises(ZeroDivisionError):
            drive(main())
    else:
        assert [type(each) for each in drive(main())] == [ZeroDivisionError]


def test_a_thousand_concurrent_sends_cost_little():
    async def main():
        here = clock(make_kernel)
        await asyncio.gather(*(here.submit(message(number, size=1000)) for number in range(1024)))
        return here.kernel.recorder.delivered_count

    begun = time.process_time()
    assert run(main()) == 1024
    assert time.process_time() - begun < 1
