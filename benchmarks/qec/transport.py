"""Ten blocks behind a 100 Gb/s link that gradients load: how late frames are, and what that does to logical errors.

.venv/bin/python benchmarks/qec/transport.py
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.codes import rotated_surface_code
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.frame_loop import run_frame
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.records import fabric_tax
from hyperfabric_q.workloads.qec.replay import replay
from hyperfabric_q.workloads.qec.transport import Transport

HERE = Path(__file__).parent
BLOCKS, ROUNDS, DISTANCE, P = 10, 15, 5, 0.003
DEADLINE_US = 10.0
SERVICE = Fixed(500.0)
TIMELINES, SHOTS = 60, 30_000
CASES = [("fabric", "wait"), ("fifo", "wait"), ("fifo", "shed"), ("fifo", "drop_frame"), ("fifo", "speculate")]
QUANTILES = [*range(100), 99.5, 99.9, 100]


def transport(policy: str, load: float) -> Transport:
    nodes = (
        NodeSignature("qpu", HardwareType.QUANTUM_QPU, 100.0, 0.0, compute_units=500),
        NodeSignature("decoder", HardwareType.CPU_SERVER, 100.0, 0.0),
    )
    return Transport(
        fabric=Fabric(nodes=nodes, links=(Link("qpu", "decoder", bandwidth_gbps=100.0, latency_ns=0.0),)),
        blocks=("qpu",) * BLOCKS,
        decoder="decoder",
        background=(Background(source="qpu", destination="decoder", load=load),) if load else (),
        policy=policy,
        deadline_us=DEADLINE_US,
        chunk_ns=4096 * 0.08,
    )


def latencies(policy: str, load: float, seeds: int = 4, rounds: int = 1500) -> np.ndarray:
    """One-way times in µs of frames of 84 bytes, ten per 1.1 µs."""
    decoding = Decoding(service=SERVICE, servers=BLOCKS)
    found = [
        replay(transport(policy, load), decoding, cycle_ns=1100.0, bits=48, branches=(rounds,), seed=seed)
        for seed in range(seeds)
    ]
    return np.concatenate([each.one_way_ps() for each in found]) / 1e6


def cdf() -> dict[str, np.ndarray]:
    columns = {}
    with (HERE / "transport_cdf.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["quantile_percent", "fabric_us", "fifo_us"])
        for policy in ("fabric", "fifo"):
            times = latencies(policy, 0.8)
            columns[policy] = np.percentile(times, QUANTILES)
            p50, p99, p999, most = np.percentile(times, [50, 99, 99.9, 100])
            late = 100 * np.mean(times > DEADLINE_US)
            print(
                f"{policy:6} 80 % load, {len(times)} frames: p50 {p50:.3f}  p99 {p99:.3f}  p99.9 {p999:.3f}  "
                f"max {most:.3f} us; over {DEADLINE_US:g} us: {late:.2f} %"
            )
        for row in zip(QUANTILES, columns["fabric"], columns["fifo"], strict=True):
            writer.writerow([row[0], f"{row[1]:.4f}", f"{row[2]:.4f}"])
    return columns


def errors() -> list[list[object]]:
    experiment = rotated_surface_code(DISTANCE, ROUNDS, p=P)
    ideal = run_frame(experiment, Loop(), 200_000, seed=1).failure
    rows = []
    for load in (0.0, 0.4, 0.8):
        for policy, on_miss in CASES if load == 0.8 else CASES[:2]:
            before = time.process_time()
            loop = Loop(transport=transport(policy, load), service=SERVICE, servers=BLOCKS, policy=on_miss)
            found = run_frame(experiment, loop, SHOTS, seed=2, timelines=TIMELINES)
            tax = fabric_tax(found.failure, ideal)
            missed = sum(each.missed for each in found.timelines) / found.counts["frames"]
            rows.append(
                [
                    load, policy, on_miss, found.shots, found.errors, f"{found.failure.value:.5f}",
                    f"{found.failure.stderr:.5f}", f"{tax.value:.3f}", f"{tax.stderr:.3f}", f"{missed:.4f}",
                    f"{time.process_time() - before:.2f}",
                ]
            )  # fmt: skip
            print(
                f"load {load:.1f} {policy:6} {on_miss:10} LER {found.failure}  tax {tax}  missed {100 * missed:.1f} %"
            )
    return rows


def plot(columns: dict[str, np.ndarray], rows: list[list[object]]) -> None:
    """Draw the two figures where matplotlib is there."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for policy, label in (("fabric", "strict priority + EDF"), ("fifo", "first come, first served")):
        left.plot(columns[policy], np.array(QUANTILES) / 100, label=label)
        points = [row for row in rows if row[1] == policy and row[2] == "wait"]
        right.errorbar(
            [float(str(row[0])) for row in points],
            [float(str(row[5])) for row in points],
            yerr=[float(str(row[6])) for row in points],
            marker="o",
            capsize=3,
            label=label,
        )
    left.axvline(DEADLINE_US, color="grey", linestyle=":")
    left.set(xscale="log", xlabel="one-way time of a frame, µs", ylabel="share of frames", title="80 % gradients")
    right.set(
        yscale="log", xlabel="load of the link", ylabel="logical error per shot", title=f"d = {DISTANCE}, p = {P}"
    )
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    figure.savefig(HERE / "transport.svg", metadata={"Date": None})


def main() -> None:
    columns = cdf()
    rows = errors()
    with (HERE / "transport.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "load",
                "policy",
                "on_miss",
                "shots",
                "errors",
                "failure",
                "stderr",
                "tax",
                "tax_stderr",
                "missed",
                "cpu_s",
            ]
        )
        writer.writerows(rows)
    plot(columns, rows)


if __name__ == "__main__":
    main()
