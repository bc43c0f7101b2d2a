"""What ``enable_quantum_optimization`` changes at 80 % load: age of the pairs when they are used, and their fidelity.

Two workloads on one link (1000 pairs a second, T2 = 100 ms at both ends), each with the option off and on, with the
same needs: requests whose time of use is announced 20 ms ahead, and a stock of six pairs that are taken at random
times. Intervals are standard errors over seeds.

    python benchmarks/entanglement/quantum_optimization.py [--requests 2000] [--seeds 8]
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import math
from pathlib import Path

import numpy as np

import hyperfabric_q as hq

RATE_HZ = 1000.0
LOAD = 0.8
HORIZON_NS = 20e6


def fabric() -> hq.Fabric:
    """Return two QPUs and a link."""
    nodes = [
        hq.NodeSignature(
            f"qpu-{place}",
            hq.HardwareType.QUANTUM_QPU,
            10,
            100,
            compute_units=2,
            communication_qubits=8,
            t2_us=100_000,
        )
        for place in range(2)
    ]
    link = hq.Link("qpu-0", "qpu-1", distance_m=1_000, pair_fidelity=0.97, pair_rate_hz=RATE_HZ, pair_attempt_ns=20_000)
    return hq.Fabric(nodes=tuple(nodes), links=(link,))


async def announced(protocol: hq.HyperFabricProtocol, gaps_ns: np.ndarray) -> list[tuple[float, float, float]]:
    """Return (age, fidelity, lateness) of pairs that were announced ``HORIZON_NS`` before they were needed."""
    rows = []

    async def one(needed_ns: float) -> None:
        await protocol.sleep_ns(needed_ns - HORIZON_NS)
        (pair,) = await protocol.entangle("qpu-0", "qpu-1", needed_ns=needed_ns)
        late = max(0.0, protocol.now_ns - needed_ns)
        await protocol.sleep_ns(max(0.0, needed_ns - protocol.now_ns))
        rows.append((pair.age_ns, pair.fidelity, late))
        pair.consume()

    await asyncio.gather(*[one(each) for each in HORIZON_NS + np.cumsum(gaps_ns)])
    return rows


async def stocked(protocol: hq.HyperFabricProtocol, gaps_ns: np.ndarray) -> list[tuple[float, float, float]]:
    """Return (age, fidelity, wait) of pairs that were taken from a stock."""
    rows = []
    async with protocol.stock("qpu-0", "qpu-1", pairs=6, fidelity=0.9) as stock:

        async def one(asked_ns: float) -> None:
            await protocol.sleep_ns(asked_ns)
            pair = await stock.take()
            rows.append((pair.age_ns, pair.fidelity, protocol.now_ns - asked_ns))
            pair.consume()

        await asyncio.gather(*[one(each) for each in np.cumsum(gaps_ns)])
    return rows


WORKLOADS = {"announced": announced, "stock": stocked}


def measured(workload: str, *, on: bool, requests: int, seed: int) -> tuple[float, float, float, float]:
    """Return mean age, p99 of the age (ms), mean fidelity, and mean lateness or wait (ms) of one run."""

    async def main() -> list[tuple[float, float, float]]:
        protocol = hq.HyperFabricProtocol(fabric(), enable_quantum_optimization=on, seed=seed)
        gaps = np.random.default_rng(seed).exponential(1e9 / RATE_HZ / LOAD, requests)
        return await WORKLOADS[workload](protocol, gaps)

    rows = np.array(hq.run(main()))
    ages = rows[:, 0] / 1e6
    return float(ages.mean()), float(np.quantile(ages, 0.99)), float(rows[:, 1].mean()), float(rows[:, 2].mean() / 1e6)


def rows(requests: int, seeds: int) -> list[dict[str, object]]:
    """Return one row per workload and setting."""
    table: list[dict[str, object]] = []
    for workload in WORKLOADS:
        for on in (False, True):
            runs = np.array([measured(workload, on=on, requests=requests, seed=seed) for seed in range(seeds)])
            row: dict[str, object] = {"workload": workload, "enable_quantum_optimization": on}
            names = ("age_mean_ms", "age_p99_ms", "fidelity", "late_mean_ms")
            for name, values in zip(names, runs.T, strict=True):
                row[name] = round(float(values.mean()), 5)
                row[f"{name}_stderr"] = round(float(values.std(ddof=1)) / math.sqrt(seeds), 5)
            table.append(row)
    return table


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    table = rows(given.requests, given.seeds)
    for row in table:
        print(*(f"{name}={value}" for name, value in row.items()))
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
