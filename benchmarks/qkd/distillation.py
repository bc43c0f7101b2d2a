"""Distillation on one core: leak over Shannon's limit, messages, speed of each step, and errors that are left.

.venv/bin/python benchmarks/qkd/distillation.py

Speeds are sifted bits over CPU time. "whole" is everything from measured bits to key, both ends in one process.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.workloads.qkd.cascade import SCHEDULES, cascade
from hyperfabric_q.workloads.qkd.rates import binary_entropy
from hyperfabric_q.workloads.qkd.session import Settings, distil
from hyperfabric_q.workloads.qkd.simulated import measured_pairs, simulated_keys
from hyperfabric_q.workloads.qkd.toeplitz import seed_length, toeplitz_hash

HERE = Path(__file__).parent
RUNS = {10_000: 200, 100_000: 20, 1_000_000: 3}
ERROR_RATES = (0.01, 0.02, 0.03, 0.05, 0.07)


def reconciliation(bits: int, q: float, schedule: str) -> tuple[float, float, float, int]:
    """Mean leak over Shannon's limit, mean messages, Mbit/s, and runs in which errors were left."""
    leak, messages, seconds, left = 0, 0, 0.0, 0
    for run in range(RUNS[bits]):
        rng = seeds.stream(1, "strings", bits, run)
        alice = rng.integers(0, 2, bits, dtype=np.uint8)
        bob = alice ^ (rng.random(bits) < q).astype(np.uint8)
        begun = time.process_time()
        found = cascade(alice, bob, q, rng, schedule=SCHEDULES[schedule])
        seconds += time.process_time() - begun
        leak, messages = leak + found.leak_bits, messages + found.messages
        left += not np.array_equal(found.bits, alice)
    bits_in_all = RUNS[bits] * bits
    return (
        leak / bits_in_all / float(binary_entropy(q)),
        messages / RUNS[bits],
        bits_in_all / seconds / 1e6,
        left,
    )


def whole(sifted: int, q: float, schedule: str) -> tuple[float, float, int]:
    """Mbit/s of sifted bits from measured pairs to keys, key per sifted bit, and sessions whose keys differ."""
    seconds, sifted_in_all, key, differ = 0.0, 0, 0, 0
    for run in range(max(2, RUNS[sifted] // 10)):
        weights = [1 - 1.5 * q, q / 2, q / 2, q / 2]
        measured = measured_pairs(weights, seed=run, pairs=2 * sifted)
        settings = Settings(expected_error=q, schedule=SCHEDULES[schedule])
        begun = time.process_time()
        report = distil(measured, *simulated_keys(run, 2), settings=settings, seed=run)
        seconds += time.process_time() - begun
        sifted_in_all += report.sifted_bits
        key += report.key_bits
        differ += report.ends_agree is False
    return sifted_in_all / seconds / 1e6, key / sifted_in_all, differ


def amplification(bits: int) -> float:
    """Mbit/s of input hashed to half its length."""
    rng = seeds.stream(2, "hash", bits)
    text = rng.integers(0, 2, bits, dtype=np.uint8)
    public = rng.integers(0, 2, seed_length(bits, bits // 2), dtype=np.uint8)
    begun = time.process_time()
    toeplitz_hash(text, public, bits // 2)
    return bits / (time.process_time() - begun) / 1e6


def main() -> None:
    whole(10_000, 0.03, "least_leak")  # loads what is compiled
    rows = []
    for bits, runs in RUNS.items():
        hashed = amplification(bits)
        for schedule in SCHEDULES:
            for q in ERROR_RATES:
                efficiency, messages, speed, left = reconciliation(bits, q, schedule)
                in_all, key, differ = whole(bits, q, schedule)
                rows.append(
                    {
                        "sifted_bits": bits,
                        "qber": q,
                        "schedule": schedule,
                        "leak_over_shannon": f"{efficiency:.4f}",
                        "messages": f"{messages:.1f}",
                        "runs": runs,
                        "runs_with_errors_left": left,
                        "reconcile_mbit_s": f"{speed:.2f}",
                        "amplify_mbit_s": f"{hashed:.2f}",
                        "whole_mbit_s": f"{in_all:.2f}",
                        "key_per_sifted_bit": f"{key:.4f}",
                        "sessions_with_unequal_keys": differ,
                    }
                )
                print(rows[-1])
    with (HERE / "distillation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
