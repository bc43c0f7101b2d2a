"""CPU time of collective timings: all-reduce of 350 GB at 400 Gb/s and 100 ns per hop; the least of several runs.

.venv/bin/python benchmarks/scheduling/collectives.py
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from hyperfabric_q.scheduling.recurrence import ratios
from hyperfabric_q.traffic.collectives import ALGORITHMS, Nics, ring_all_reduce_ps, schedule_of, schedule_timing

HERE = Path(__file__).parent
NBYTES = 350_000_000_000
LATENCY_PS = 100_000


def least(action: Callable[[], int], runs: int = 5) -> tuple[int, float]:
    """The result, and the CPU seconds it took at best."""
    best, result = float("inf"), 0
    for _ in range(runs):
        before = time.process_time()
        result = action()
        best = min(best, time.process_time() - before)
    return result, best


def ring(rates: list[Fraction], latency: np.ndarray) -> int:
    return int(ring_all_reduce_ps(NBYTES, ratios(rates), latency).max())


def generic(algorithm: str, nics: Nics, racks: list[list[int]]) -> int:
    plan = schedule_of("all_reduce", algorithm, len(nics), racks=racks)
    return schedule_timing(plan, NBYTES, nics, approximate=True).duration_ps


def rows() -> list[tuple[str, str, int, int, float]]:
    found = []
    rng = np.random.default_rng(1)
    for ranks in (16, 64, 256, 1024):
        same = [Fraction(20)] * ranks
        mixed = [8000 / Fraction(str(gbps)) for gbps in rng.uniform(200, 600, ranks)]
        latency = np.full(ranks, LATENCY_PS)
        varied = rng.integers(50_000, 150_000, ranks)
        found.append(("ring recurrence", "equal", ranks, *least(partial(ring, same, latency))))
        found.append(("ring recurrence", "mixed", ranks, *least(partial(ring, mixed, varied))))
        racks = [part.tolist() for part in np.array_split(np.arange(ranks), max(1, ranks // 32))]
        for links, rates, delays in (("equal", same, latency), ("mixed", mixed, varied)):
            nics = Nics.of(rates, latency_ps=delays)
            found.extend(
                (algorithm, links, ranks, *least(partial(generic, algorithm, nics, racks), runs=2))
                for algorithm in ALGORITHMS
            )
    return found


def main() -> None:
    with (HERE / "collectives.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timing", "links", "ranks", "all_reduce_ps", "cpu_ms"])
        for name, links, ranks, duration, seconds in rows():
            writer.writerow([name, links, ranks, duration, f"{1000 * seconds:.2f}"])
            print(f"{name:18} {links:6} {ranks:5} ranks {duration / 1e12:16.9f} s   {1000 * seconds:8.2f} ms CPU")


if __name__ == "__main__":
    main()
