"""The kernel beside SimPy on the same messages, in one run, with the same arrivals to the picosecond.

    .venv/bin/python -m pip install -r benchmarks/peers/requirements.txt
    .venv/bin/python benchmarks/scheduling/kernel_vs_simpy.py [MESSAGES]

Writes kernel_vs_simpy.csv beside this file: CPU seconds, the least of several runs, of building the messages and
running them, measured in turns.

Each channel is one server with strict priority classes, first come first served inside a class. In SimPy that is a
``PriorityResource`` of capacity 1, whose requests carry (class, time queued, rank): the way its documentation has it.

* ``one channel``: a message holds one channel for its serialisation time.
* ``two channels``: then, after a delay, a second one (store and forward).
* ``interrupted``: messages of many chunks, which a more urgent one interrupts at the next chunk. A resource cannot be
  taken away at a chunk boundary, so SimPy requests it for each chunk, which gives the same times.

Arrivals are at random picoseconds, so that the two never have to break a tie, about which they differ: the kernel looks
at all arrivals of an instant, SimPy at one after the other.
"""

from __future__ import annotations

import csv
import gc
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simpy

from hyperfabric_q.scheduling.channel import Channel, channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import CLASSES, Policy

HERE = Path(__file__).parent
CHANNELS = 64
GBPS = 100
DELAY_PS = 100_000
STRICT = Policy(first_bulk=CLASSES, last_capped=-1)
REPEATS = 9


class Item(NamedTuple):
    release_ps: int
    path: tuple[int, ...]
    nbytes: int
    kind: int


class Case(NamedTuple):
    name: str
    hops: int
    chunks: int
    load: float


CASES = (
    Case("one channel", 1, 1, 0.7),
    Case("two channels", 2, 1, 0.7),
    Case("interrupted", 1, 100, 0.7),
)


def line(case: Case) -> Channel:
    chunk_ps = 1_000_000 if case.chunks > 1 else 1_000_000_000
    return channel("a", "b", gbps=GBPS, chunk_ps=chunk_ps, store_and_forward=True)


def items(case: Case, count: int) -> list[Item]:
    """Messages of classes 0-7; in the last case the urgent ones are short and the others of up to so many chunks."""
    draws = np.random.default_rng(7)
    each = line(case)
    kinds = draws.integers(0, CLASSES, count)
    sizes = draws.integers(100, 5_000, count)
    if case.chunks > 1:
        sizes = np.where(kinds >= CLASSES // 2, draws.integers(each.chunk, case.chunks * each.chunk, count), sizes)
    first = draws.integers(0, CHANNELS, count)
    second = CHANNELS + draws.integers(0, CHANNELS, count)
    span = float(sizes.sum()) * float(each.ps_per_byte) / CHANNELS / case.load
    releases = np.sort(draws.integers(0, int(span), count))
    rows = zip(releases.tolist(), first.tolist(), second.tolist(), sizes.tolist(), kinds.tolist(), strict=True)
    return [Item(at, (a, b)[: case.hops], size, kind) for at, a, b, size, kind in rows]


def by_kernel(case: Case, asked: list[Item]) -> list[int]:
    kernel = Kernel(policy=STRICT)
    for _ in range(2 * CHANNELS):
        kernel.add(line(case))
    messages = []
    delays = (DELAY_PS,) * case.hops
    for rank, item in enumerate(asked):
        message = Message(
            path=item.path,
            delays=delays,
            nbytes=item.nbytes,
            priority_class=item.kind,
            release_ps=item.release_ps,
            key=(rank,),
            identity=rank,
        )
        messages.append(message)
        kernel.submit(message)
    kernel.run()
    return [message.done_ps for message in messages]


def by_simpy(case: Case, asked: list[Item]) -> list[int]:
    env = simpy.Environment()
    servers = [simpy.PriorityResource(env, capacity=1) for _ in range(2 * CHANNELS)]
    done = [0] * len(asked)
    each = line(case)
    per_byte, chunk = each.ps_per_byte, each.chunk

    def whole(rank: int, item: Item) -> Generator[Any, Any, None]:
        service = -(-item.nbytes * per_byte.numerator // per_byte.denominator)
        for hop in item.path:
            with servers[hop].request(priority=(item.kind, env.now, rank)) as turn:
                yield turn
                yield env.timeout(service)
            yield env.timeout(DELAY_PS)
        done[rank] = env.now

    def chunked(rank: int, item: Item) -> Generator[Any, Any, None]:
        server = servers[item.path[0]]
        place = (item.kind, env.now, rank)
        left = item.nbytes
        while left > 0:
            size = min(left, chunk)
            with server.request(priority=place) as turn:
                yield turn
                yield env.timeout(-(-size * per_byte.numerator // per_byte.denominator))
            left -= size
        yield env.timeout(DELAY_PS)
        done[rank] = env.now

    def source() -> Generator[Any, Any, None]:
        process: Callable[[int, Item], Generator[Any, Any, None]] = chunked if case.chunks > 1 else whole
        for rank, item in enumerate(asked):
            yield env.timeout(item.release_ps - env.now)
            env.process(process(rank, item))

    env.process(source())
    env.run()
    return done


def cpu_seconds(case: Case, asked: list[Item]) -> tuple[list[float], list[list[int]]]:
    """Return the least CPU seconds of both, measured in turns, and their times; the collector of cycles is off."""
    works = (by_kernel, by_simpy)
    least, done = [float("inf")] * 2, [[], []]
    for _ in range(REPEATS):
        for place, work in enumerate(works):
            gc.collect()
            gc.disable()
            began = time.process_time()
            done[place] = work(case, asked)
            least[place] = min(least[place], time.process_time() - began)
            gc.enable()
    return least, done


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with (HERE / "kernel_vs_simpy.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "messages", "kernel_cpu_s", "simpy_cpu_s", "simpy_over_kernel", "same_times"])
        for case in CASES:
            asked = items(case, count)
            (ours, theirs), (kernel_done, simpy_done) = cpu_seconds(case, asked)
            same = kernel_done == simpy_done
            row = [case.name, count, f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.2f}", same]
            writer.writerow(row)
            print("  ".join(f"{value!s:>14}" for value in row), flush=True)
            if not same:
                wrong = sum(a != b for a, b in zip(kernel_done, simpy_done, strict=True))
                print(f"{wrong} of {count} arrivals differ")


if __name__ == "__main__":
    main()
