"""Gradients and photons on one fibre: how classical load lowers the rate and the fidelity of Bell pairs.

Two fibres of 10 km in a row; each carries 10 Gb/s of classical bytes or, in their place, attempts to entangle its ends.
The pair that comes first waits for the other in memories with T2 = 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math

import numpy as np

import hyperfabric_q as hq

GBPS = 10.0
BYTES = 1_000_000


def fabric() -> hq.Fabric:
    """Return three QPUs in a row, whose links share their fibres with classical bytes."""
    nodes = [
        hq.NodeSignature(
            f"qpu-{place}",
            hq.HardwareType.QUANTUM_QPU,
            GBPS,
            100,
            compute_units=2,
            communication_qubits=4,
            t1_us=1e6,
            t2_us=20_000,
        )
        for place in range(3)
    ]
    links = [
        hq.Link(
            f"qpu-{place}",
            f"qpu-{place + 1}",
            bandwidth_gbps=GBPS,
            distance_m=10_000,
            pair_fidelity=0.95,
            pair_rate_hz=500,
            pair_attempt_ns=60_000,
            pair_channel="shared",
        )
        for place in range(2)
    ]
    return hq.Fabric(nodes=tuple(nodes), links=tuple(links))


async def gradients(protocol: hq.HyperFabricProtocol, source: str, destination: str, load: float) -> None:
    """Send gradients of a megabyte for ever, at random times, so that they alone would fill ``load`` of the fibre."""
    gaps = np.random.default_rng(0)
    under_way: set[asyncio.Task[hq.TransferResult]] = set()
    while True:
        await protocol.sleep_ns(gaps.exponential(BYTES * 8 / GBPS / load))
        send = protocol.send_data(
            source=source, destination=destination, data=hq.VirtualTensor((BYTES,), "uint8"), data_type="gradient"
        )
        task = asyncio.ensure_future(send)
        under_way.add(task)
        task.add_done_callback(under_way.discard)


def measured(load: float, pairs: int, seed: int) -> dict[str, float]:
    """Return rate and fidelity of ``pairs`` Bell pairs over both links, with standard errors."""

    async def main() -> tuple[list[float], list[float]]:
        protocol = hq.HyperFabricProtocol(fabric(), seed=seed)
        hops = (("qpu-0", "qpu-1"), ("qpu-1", "qpu-2"))
        traffic = [asyncio.ensure_future(gradients(protocol, *hop, load)) for hop in hops] if load else []
        took, fidelities = [], []
        for _ in range(pairs):
            begun = protocol.now_ns
            (pair,) = await protocol.entangle("qpu-0", "qpu-2", priority="bulk")
            took.append(protocol.now_ns - begun)
            fidelities.append(pair.goodness)
            pair.consume()
        for task in traffic:
            task.cancel()
        return took, fidelities

    took, fidelities = hq.run(main()) or ([], [])
    mean = float(np.mean(took))
    return {
        "load": load,
        "pairs_per_second": 1e9 / mean,
        "pairs_per_second_stderr": 1e9 / mean**2 * float(np.std(took, ddof=1)) / math.sqrt(pairs),
        "fidelity": float(np.mean(fidelities)),
        "fidelity_stderr": float(np.std(fidelities, ddof=1)) / math.sqrt(pairs),
    }


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [measured(load, given.pairs, given.seed) for load in (0.0, 0.2, 0.4, 0.6, 0.8)]
    if given.json:
        print(json.dumps(rows))
        return
    print("load   pairs per second    fidelity")
    for row in rows:
        bar = "█" * round(row["pairs_per_second"] / rows[0]["pairs_per_second"] * 30)
        rate = f"{row['pairs_per_second']:5.0f} ± {row['pairs_per_second_stderr']:3.0f}"
        print(f"{row['load']:4.1f}   {rate}         {row['fidelity']:.4f} ± {row['fidelity_stderr']:.4f}   {bar}")


if __name__ == "__main__":
    main()
