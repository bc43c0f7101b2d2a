"""Ten logical qubits behind one 100 Gb/s link that gradients load: frames that are late, and what lateness costs.

    .venv/bin/python benchmarks/qec/loaded_link.py [--out FOLDER] [--shots N] [--timelines K]

Writes loaded_link.csv, loaded_link_rates.png and loaded_link_latencies.png beside this file. Gradients are messages of
1 MiB at random times (Poisson); each block sends a frame of 84 bytes every 1.1 us. "fabric" is the policy of the
fabric: frames first, gradients in chunks of about 4 KiB. "fifo" is the control case. Rotated surface code, d = 5, 15
rounds, four-parameter noise, p = 0.003, matching; the logical clock waits for its correction. "over" counts frames
that took longer than 10 us; "tax" is the logical error rate per round over that without the link. All intervals are of
95 %, and robust over timelines.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

from hyperfabric_q.visual.qec_plots import latency_cdf, rate_against_load
from hyperfabric_q.workloads.qec.collecting import Job, collect
from hyperfabric_q.workloads.qec.latencies import latencies
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.memories import Memory
from hyperfabric_q.workloads.qec.one_link import one_link
from hyperfabric_q.workloads.qec.outcomes import outcomes, taxes

GBPS, BLOCKS, DEADLINE_US, CHUNK_NS = 100.0, 10, 10.0, 327.7
LOADS = (0.2, 0.4, 0.6, 0.8)
SEED = 8


def loop(load: float, policy: str) -> Loop:
    way = one_link(GBPS, blocks=BLOCKS, load=load, policy=policy, deadline_us=DEADLINE_US)
    return Loop(transport=replace(way, chunk_ns=CHUNK_NS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--shots", type=int, default=60_000)
    parser.add_argument("--timelines", type=int, default=64)
    asked = parser.parse_args()

    began = time.process_time()
    experiment = Memory(distance=5, p=0.003).experiment()
    loops = [loop(load, policy) for policy in ("fabric", "fifo") for load in LOADS]
    jobs = [Job(experiment=experiment, loop=each, timelines=asked.timelines) for each in (Loop(), *loops)]
    found = outcomes(collect(jobs, shots=asked.shots, seed=SEED, progress=True))
    rows, curves = [], {}
    for each, tax in zip(loops, taxes(found), strict=True):
        timed = latencies(experiment, each, timelines=asked.timelines, seed=SEED)
        over = sum(timeline.longer_than(round(DEADLINE_US * 1e6)) for timeline in timed.timelines)
        record, stages = tax.loaded.record, timed.stages
        low, high = tax.interval()
        rows.append(
            {
                "policy": record["policy"],
                "load": record["load"],
                "frames": timed.frames,
                "over": over,
                "share": f"{over / timed.frames:.4f}",
                **{f"{name}_us": f"{stages['one_way'][name]:.3f}" for name in ("p50", "p99", "p99.9", "max")},
                "bound_us": "" if timed.bound_us is None else f"{timed.bound_us:.3f}",
                "per_round": f"{tax.loaded.per_round.value:.3e}",
                "per_round_stderr": f"{tax.loaded.per_round.stderr:.1e}",
                "ideal": f"{tax.ideal.per_round.value:.3e}",
                "tax": f"{tax.ratio.value:.3f}",
                "tax_low": f"{low:.3f}",
                "tax_high": f"{high:.3f}",
            }
        )
        print(rows[-1], flush=True)
        if record["load"] == LOADS[-1]:
            curves[f"{record['policy']}, load {record['load']:g}"] = timed.timelines
    with (asked.out / "loaded_link.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    rate_against_load(found).savefig(asked.out / "loaded_link_rates.png", dpi=120)
    latency_cdf(curves, deadline_us=DEADLINE_US).savefig(asked.out / "loaded_link_latencies.png", dpi=120)
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
