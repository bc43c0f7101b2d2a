"""Latency on loaded fat trees: shortest ways, ways drawn at random among the shortest, and ways by estimated delay.

Messages of 64 KiB arrive as a Poisson process at each host, so that its own link is busy for ``load`` of the time.

.venv/bin/python benchmarks/scheduling/ml_routing.py
"""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hyperfabric_q import HyperFabricProtocol, run
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.fat_tree import fat_tree
from hyperfabric_q.traffic import transfer, wiring

HERE = Path(__file__).parent
NBYTES = 1 << 16
GBPS = 100.0
SEED = 7
Traffic = list[tuple[float, int, int]]


def hosts_of(k: int) -> int:
    return k**3 // 4


def permutation(rng: np.random.Generator, hosts: int, number: int) -> np.ndarray:
    """Each host sends to one other."""
    order = rng.permutation(hosts)
    return np.roll(order, 1)[np.argsort(order)][:, None].repeat(number, axis=1)


def uniform(rng: np.random.Generator, hosts: int, number: int) -> np.ndarray:
    """Each message goes to any other host."""
    return (np.arange(hosts)[:, None] + rng.integers(1, hosts, size=(hosts, number))) % hosts


def hot_spot(rng: np.random.Generator, hosts: int, number: int) -> np.ndarray:
    """As ``uniform``, but four hosts are sent a quarter more than the others."""
    targets = uniform(rng, hosts, number)
    hot = rng.random((hosts, number)) < 1.0 / hosts
    targets[hot] = rng.choice(hosts, size=4, replace=False)[rng.integers(4, size=int(hot.sum()))]
    return targets


PATTERNS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "permutation": permutation,
    "uniform": uniform,
    "hot spot": hot_spot,
}


def traffic(k: int, pattern: str, load: float, number: int, seed: int = SEED) -> Traffic:
    """Return (release in ns, source, destination) of ``number`` messages of every host."""
    rng = np.random.default_rng([seed, k, sorted(PATTERNS).index(pattern), round(1000 * load)])
    hosts = hosts_of(k)
    targets = PATTERNS[pattern](rng, hosts, number)
    gap_ns = NBYTES * 8 / GBPS / load
    release = np.cumsum(rng.exponential(gap_ns, size=(hosts, number)), axis=1)
    return [
        (float(release[host, turn]), host, int(targets[host, turn]))
        for host in range(hosts)
        for turn in range(number)
        if targets[host, turn] != host
    ]


def latencies(fabric: Fabric, sends: Traffic, *, ml_routing: bool) -> np.ndarray:
    """Return the latency of each send, ns."""

    async def main() -> np.ndarray:
        protocol = HyperFabricProtocol(fabric, enable_ml_routing=ml_routing)
        data = bytes(NBYTES)

        async def one(at_ns: float, source: int, destination: int) -> float:
            await protocol.sleep_ns(at_ns)
            sent = await protocol.send_data(source=f"host-{source}", destination=f"host-{destination}", data=data)
            return sent.latency_ns

        return np.array(await asyncio.gather(*(one(*each) for each in sends)))

    return run(main())


def drawn(fabric: Fabric, sends: Traffic) -> np.ndarray:
    """Return the latency of each send when it takes any of the shortest ways, as hashing of flows would have it."""
    rng = np.random.default_rng(SEED)

    class Drawn:
        def __init__(self, kernel: object) -> None:
            del kernel

        def choose(
            self, batch: list[transfer.Sending], choices: Callable[[transfer.Sending], list[wiring.Way]]
        ) -> None:
            for sending in batch:
                found = [each for each in choices(sending) if len(each.path) == len(sending.way.path)]
                way = sending.way = found[int(rng.integers(len(found)))]
                sending.path, sending.delays = way.path, way.delays

    from hyperfabric_q.traffic import exchange  # noqa: PLC0415

    kept, exchange.LearnedRouting = exchange.LearnedRouting, Drawn  # type: ignore[misc, assignment]
    try:
        return latencies(fabric, sends, ml_routing=True)
    finally:
        exchange.LearnedRouting = kept  # type: ignore[misc]


def main() -> None:
    with (HERE / "ml_routing.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        names = ["p99_shortest_ns", "p99_drawn_ns", "p99_estimated_ns", "p99_ratio_to_shortest", "p99_ratio_to_drawn"]
        writer.writerow(["fat_tree", "pattern", "load", "messages", *names, "mean_ratio_to_shortest"])
        for k, number in ((4, 60), (6, 20), (8, 8)):
            fabric = fat_tree(k)
            for pattern in PATTERNS:
                for load in (0.01, 0.6, 0.8):
                    before = time.perf_counter()
                    sends = traffic(k, pattern, load, number)
                    shortest = latencies(fabric, sends, ml_routing=False)
                    estimated = latencies(fabric, sends, ml_routing=True)
                    p99 = [float(np.percentile(each, 99)) for each in (shortest, drawn(fabric, sends), estimated)]
                    ratios = p99[2] / p99[0], p99[2] / p99[1], float(estimated.mean() / shortest.mean())
                    writer.writerow(
                        [
                            k,
                            pattern,
                            load,
                            len(sends),
                            *(f"{each:.1f}" for each in p99),
                            *(f"{each:.4f}" for each in ratios),
                        ]
                    )
                    print(
                        f"fat_tree({k}) {pattern:11} {load:4.0%} {len(sends):5} messages: p99 {p99[0]:9.0f} shortest, "
                        f"{p99[1]:9.0f} drawn, {p99[2]:9.0f} estimated ns; {ratios[0]:.3f} of shortest, "
                        f"{ratios[1]:.3f} of drawn ({time.perf_counter() - before:.1f} s)"
                    )


if __name__ == "__main__":
    main()
