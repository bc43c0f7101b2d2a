"""Keys and remote gates on one link: what a key costs the gates, against the share of the pairs that it takes.

Two QPUs, one quantum link. Remote gates come at random, 400 a second, and each needs a pair, for which its two data
qubits wait and dephase with T2 = 20 ms. Pairs for a key are measured as soon as they are there. Both come from one
queue, so the more pairs go into keys, the longer gates wait and the more their qubits decay.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import math
from pathlib import Path

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.workloads.qkd.finite_key import foretell

PAIRS_HZ = 2_000.0
GATES_HZ = 400.0
T2_MS = 20.0
BLOCK_S = 60.0
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6)


def fabric() -> hq.Fabric:
    """Return two QPUs with 16 communication qubits each, 2 km apart."""
    nodes = [
        hq.NodeSignature(
            name,
            hq.HardwareType.QUANTUM_QPU,
            10.0,
            100,
            compute_units=4,
            communication_qubits=16,
            t1_us=1e6,
            t2_us=1e3 * T2_MS,
        )
        for name in ("alice", "bob")
    ]
    link = hq.Link(
        "alice",
        "bob",
        bandwidth_gbps=10.0,
        distance_m=2_000,
        pair_fidelity=0.97,
        pair_rate_hz=PAIRS_HZ,
        pair_attempt_ns=20_000,
    )
    return hq.Fabric(nodes=tuple(nodes), links=(link,))


def measured(share: float, gates: int, seed: int) -> dict[str, float]:
    """Return how gates and key fare when ``share`` of what the link can make is asked for by the key."""
    gate_fidelities: list[float] = []
    waits_ms: list[float] = []
    key_weights: list[tuple[float, float, float, float]] = []

    async def gate(protocol: hq.HyperFabricProtocol) -> None:
        begun = protocol.now_ns
        (pair,) = await protocol.entangle("alice", "bob")
        pair.consume()
        waits_ms.append((protocol.now_ns - begun) / 1e6)
        # What is left of the gate: no error of its pair, and no phase flip of either of the qubits that waited for it.
        kept = (1 + math.exp(-waits_ms[-1] / T2_MS)) / 2
        gate_fidelities.append(pair.fidelity * kept**2)

    async def key(protocol: hq.HyperFabricProtocol) -> None:
        (pair,) = await protocol.entangle("alice", "bob", keep=False)
        key_weights.append(pair.weights)

    async def keys(protocol: hq.HyperFabricProtocol) -> None:
        gaps = np.random.default_rng([seed, 1])
        under_way: set[asyncio.Task[None]] = set()
        while True:
            await protocol.sleep_ns(gaps.exponential(1e9 / (share * PAIRS_HZ)))
            task = asyncio.ensure_future(key(protocol))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async def main() -> float:
        protocol = hq.HyperFabricProtocol(fabric(), seed=seed)
        background = [asyncio.ensure_future(keys(protocol))] if share else []
        gaps, tasks = np.random.default_rng([seed, 0]), []
        for _ in range(gates):
            await protocol.sleep_ns(gaps.exponential(1e9 / GATES_HZ))
            tasks.append(asyncio.ensure_future(gate(protocol)))
        await asyncio.gather(*tasks)
        for task in background:
            task.cancel()
        return protocol.now_ns / 1e9

    seconds = hq.run(main()) or math.nan
    row = {
        "share": share,
        "gates": float(gates),
        "gate_fidelity": float(np.mean(gate_fidelities)),
        "gate_fidelity_stderr": float(np.std(gate_fidelities, ddof=1)) / math.sqrt(gates),
        "gate_wait_ms": float(np.mean(waits_ms)),
        "key_pairs_per_second": len(key_weights) / seconds,
        "qber": math.nan,
        "key_bits_per_second": 0.0,
    }
    if key_weights:
        _, x, y, z = np.mean(key_weights, axis=0)
        row["qber"] = float(x + 2 * y + z) / 2
        sifted = int(row["key_pairs_per_second"] * BLOCK_S / 2)
        row["key_bits_per_second"] = foretell(sifted, row["qber"]).secret_bits / BLOCK_S
    return row


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Draw gate fidelity and key rate over the share."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws waits for it

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    left = figure.add_subplot()
    shares = [row["share"] for row in rows]
    left.errorbar(
        shares,
        [row["gate_fidelity"] for row in rows],
        [row["gate_fidelity_stderr"] for row in rows],
        color="tab:blue",
        marker="o",
        capsize=3,
    )
    left.set_xlabel("share of the link's pairs asked for by the key")
    left.set_ylabel("fidelity of a remote gate", color="tab:blue")
    right = left.twinx()
    right.plot(shares, [row["key_bits_per_second"] for row in rows], color="tab:orange", marker="s")
    right.set_ylabel(f"bits of key per second ({BLOCK_S:.0f} s blocks)", color="tab:orange")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the curve; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [measured(share, given.gates, given.seed) for share in SHARES]
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    if given.png:
        draw(rows, given.png)
    if given.json:
        print(json.dumps(rows).replace("NaN", "null"))
        return
    print("share   gate fidelity       wait, ms   pairs/s for keys   QBER     bits of key/s")
    for row in rows:
        fidelity = f"{row['gate_fidelity']:.4f} ± {row['gate_fidelity_stderr']:.4f}"
        qber = "-" if math.isnan(row["qber"]) else f"{row['qber']:.2%}"
        print(
            f"{row['share']:5.2f}   {fidelity}   {row['gate_wait_ms']:8.2f}   {row['key_pairs_per_second']:16.0f}   "
            f"{qber:>6}   {row['key_bits_per_second']:13.1f}"
        )


if __name__ == "__main__":
    main()
