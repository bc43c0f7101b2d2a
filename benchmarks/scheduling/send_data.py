"""What a send costs: CPU seconds and memory of ``send_data`` and ``send_many``.

    .venv/bin/python benchmarks/scheduling/send_data.py [SENDS]

Writes send_data.csv beside this file. No peer has such an interface; the floor is what asyncio takes for as many tasks
that wait for a future each.

* ``gather, first``: 1024 nodes send 350 GB to their neighbour; the ways are found and the channels made.
* ``gather``: the same again, the least of several runs.
* ``gather, running loop``: the same under ``asyncio.run``.
* ``gather, asyncio alone``: 1024 tasks that wait for a future each.
* ``sustained``: 64 tasks send 1000 bytes each, one after the other; ``rss_mb`` is what the process has grown by since
  the first tenth.
* ``send_many``: as many sends in one call.
"""

from __future__ import annotations

import asyncio
import csv
import resource
import sys
import time
from pathlib import Path

import numpy as np

import hyperfabric_q as hq

HERE = Path(__file__).parent
NODES = 1024
WORKERS = 64
EXPECTED_PS = 7_000_000_100_000


def protocol() -> hq.HyperFabricProtocol:
    made = hq.HyperFabricProtocol()
    for number in range(NODES):
        made.register_node(hq.NodeSignature(f"gpu-{number:04d}", hq.HardwareType.NVIDIA_H100, 400, 100))
    return made


def rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(holds: bool) -> None:  # noqa: FBT001
    if not holds:
        raise SystemExit("the results are wrong")


async def gathers(repeats: int) -> list[float]:
    """CPU seconds of each of several gathers of neighbours' sends, whose times are checked."""
    live = protocol()
    gradient = hq.VirtualTensor((175_000_000_000,), "float16")
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        results = await asyncio.gather(
            *[
                live.send_data(
                    source=f"gpu-{number:04d}",
                    destination=f"gpu-{(number + 1) % NODES:04d}",
                    data=gradient,
                    data_type=hq.DataType.GRADIENT,
                    priority=hq.PacketPriority.ULTRA_HIGH,
                    latency_constraint_ns=500_000,
                )
                for number in range(NODES)
            ]
        )
        seconds.append(time.process_time() - began)
        check({each.latency_ps for each in results} == {EXPECTED_PS})
    return seconds


async def floor(repeats: int) -> float:
    """The least CPU seconds of as many tasks that wait for a future each."""
    loop = asyncio.get_running_loop()
    least = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        futures = [loop.create_future() for _ in range(NODES)]

        async def one(future: asyncio.Future[None]) -> None:
            await future

        loop.call_later(0.001, lambda: [each.set_result(None) for each in futures])  # noqa: B023 - awaited below
        await asyncio.gather(*(one(each) for each in futures))
        least = min(least, time.process_time() - began)
    return least


async def sustained(sends: int) -> tuple[float, float]:
    """CPU seconds of many sends, a few at a time, and by how many MB the process grew."""
    live = protocol()
    data = bytes(1000)

    async def worker(number: int, count: int) -> None:
        source, destination = f"gpu-{number:04d}", f"gpu-{(7 * number + 1) % WORKERS:04d}"
        if source == destination:
            destination = f"gpu-{(number + 1) % WORKERS:04d}"
        for _ in range(count):
            await live.send_data(source=source, destination=destination, data=data, data_type=hq.DataType.TENSOR)

    async def all_of(count: int) -> None:
        await asyncio.gather(*(worker(number, count // WORKERS) for number in range(WORKERS)))

    began = time.process_time()
    await all_of(sends // 10)
    before = rss_mb()
    await all_of(sends - sends // 10)
    return time.process_time() - began, rss_mb() - before


async def many(sends: int, repeats: int) -> float:
    """The least CPU seconds of as many sends in one call."""
    live = protocol()
    draws = np.random.default_rng(1)
    sources = draws.integers(0, NODES, sends)
    asked = {
        "sources": sources,
        "destinations": (sources + draws.integers(1, 5, sends)) % NODES,
        "nbytes": draws.integers(100, 5000, sends),
        "release_ns": draws.integers(0, sends, sends),
    }
    least = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        done = await live.send_many(**asked)
        least = min(least, time.process_time() - began)
        check(done.engine == "recurrence")
    return least


def main() -> None:
    sends = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rows: list[tuple[str, int, float, float | None]] = []
    first, *others = hq.run(gathers(8)) or []
    rows.append(("gather, first", NODES, first, None))
    rows.append(("gather", NODES, min(others), None))
    rows.append(("gather, running loop", NODES, min(asyncio.run(gathers(8))[1:]), None))
    rows.append(("gather, asyncio alone", NODES, hq.run(floor(8)) or 0.0, None))
    rows.append(("sustained", sends, *(hq.run(sustained(sends)) or (0.0, 0.0))))
    rows.append(("send_many", sends, hq.run(many(sends, 3)) or 0.0, None))
    with (HERE / "send_data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "sends", "cpu_s", "us_per_send", "sends_per_cpu_s", "rss_growth_mb"])
        for name, count, seconds, grown in rows:
            growth = "" if grown is None else f"{grown:.1f}"
            row = [name, count, f"{seconds:.4f}", f"{seconds / count * 1e6:.2f}", f"{count / seconds:.0f}", growth]
            writer.writerow(row)
            print("  ".join(f"{value!s:>22}" for value in row))


if __name__ == "__main__":
    main()
