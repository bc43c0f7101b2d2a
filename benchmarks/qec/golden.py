"""Logical error rates of our own circuits, beside known values, and the threshold of the four-parameter model.

    .venv/bin/python benchmarks/qec/golden.py [--workers W]

Writes golden.csv and golden.png beside this file. Rotated surface code, memory Z, r = 3d, matching. "known" are rates
per round that were measured with stim's generated circuits, "sigmas" the distance from them in standard errors of the
difference. The threshold is where the rates of neighbouring distances cross, on straight lines of their logarithms
between 1.0 and 1.1 %.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from itertools import pairwise
from pathlib import Path

from hyperfabric_q.visual.qec_plots import rate_against_p
from hyperfabric_q.workloads.qec.collecting import Job, collect
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.memories import Memory
from hyperfabric_q.workloads.qec.outcomes import Outcome, outcomes

KNOWN = {
    (0.001, 3): (2.349e-4, 0.066e-4),
    (0.001, 5): (2.84e-5, 0.14e-5),
    (0.001, 7): (2.86e-6, 0.30e-6),
    (0.002, 3): (9.79e-4, 0.18e-4),
    (0.002, 5): (2.255e-4, 0.041e-4),
    (0.002, 7): (4.65e-5, 0.12e-5),
    (0.003, 3): (2.078e-3, 0.034e-3),
    (0.003, 5): (7.16e-4, 0.13e-4),
    (0.003, 7): (2.136e-4, 0.058e-4),
    (0.005, 3): (5.432e-3, 0.079e-3),
    (0.005, 5): (2.974e-3, 0.045e-3),
    (0.005, 7): (1.677e-3, 0.029e-3),
}
"""Rate per round and its standard error, by p and distance."""

SHOTS = {0.001: 2_000_000, 0.002: 1_000_000, 0.003: 500_000, 0.005: 200_000}
NEAR = ((0.010, 0.011), (5, 7, 9), 120_000)
"""Where the threshold is looked for: chances, distances and shots."""

SEED = 4


def crossing(found: dict[tuple[float, int], Outcome], small: int, large: int) -> float:
    low, high = NEAR[0]
    gaps = [math.log(found[p, small].per_round.value / found[p, large].per_round.value) for p in (low, high)]
    return low + (high - low) * gaps[0] / (gaps[0] - gaps[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    workers = parser.parse_args().workers
    began = time.perf_counter()
    found: dict[tuple[float, int], Outcome] = {}
    cells = [(p, distance, SHOTS[p]) for p, distance in KNOWN] + [(p, d, NEAR[2]) for p in NEAR[0] for d in NEAR[1]]
    for p, distance, shots in cells:
        job = Job(experiment=Memory(distance=distance, p=p).experiment(), loop=Loop())
        (found[p, distance],) = outcomes(collect([job], shots=shots, seed=SEED, workers=workers))
        print(p, distance, found[p, distance].per_round, flush=True)
    rows = []
    for (p, distance), each in found.items():
        rate, (known, error) = each.per_round, KNOWN.get((p, distance), (math.nan, math.nan))
        sigmas = (rate.value - known) / math.hypot(rate.stderr, error)
        row = {"p": p, "distance": distance, "shots": each.clusters.shots, "errors": each.clusters.errors}
        row |= {"per_round": f"{rate.value:.4e}", "stderr": f"{rate.stderr:.1e}"}
        row |= {
            "known": f"{known:.4e}",
            "sigmas": f"{sigmas:.2f}",
            "us_per_shot": f"{each.seconds / each.clusters.shots * 1e6:.2f}",
        }
        rows.append({name: "" if value == "nan" else value for name, value in row.items()})
    with (Path(__file__).parent / "golden.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    rate_against_p(found.values()).savefig(Path(__file__).parent / "golden.png", dpi=120)
    for small, large in pairwise(NEAR[1]):
        print(f"rates of d = {small} and d = {large} cross at {crossing(found, small, large):.3%}")
    worst = max(abs(float(row["sigmas"])) for row in rows if row["sigmas"])
    print(f"at most {worst:.2f} standard errors from known values, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
