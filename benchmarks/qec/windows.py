"""Failures and cost of decoding in windows, beside PyMatching on the whole history, on the same shots.

    .venv/bin/python benchmarks/qec/windows.py

Writes windows.csv beside this file. Rotated surface code, memory Z, 30 rounds, four-parameter noise. "z" counts the
standard errors between a window and the whole history, by the shots that only one of them gets wrong; "cost" is CPU
time over that of PyMatching called directly on the same array, the best of three.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymatching
import stim
from numpy.typing import NDArray

from hyperfabric_q.workloads.qec.decoders import Window, decoder

ROUNDS = 30
CASES = ((3, 0.005, 60_000), (5, 0.005, 40_000), (7, 0.005, 20_000), (5, 0.002, 60_000), (7, 0.003, 20_000))

Bits = NDArray[np.uint8]


def memory(distance: int, p: float) -> stim.Circuit:
    return stim.Circuit.generated(
        "surface_code:rotated_memory_z",
        distance=distance,
        rounds=ROUNDS,
        after_clifford_depolarization=p,
        before_round_data_depolarization=p,
        before_measure_flip_probability=p,
        after_reset_flip_probability=p,
    )


def windows(distance: int) -> list[tuple[str, Window | None]]:
    half = -(-distance // 2)
    sliding = [(distance, distance), (distance, half), (1, distance), (distance, 1), (distance, 0)]
    chosen: list[tuple[str, Window | None]] = [("all rounds", None)]
    chosen += [(f"sliding {commit}+{buffer}", Window(commit, buffer)) for commit, buffer in sliding]
    parallel = ((distance, distance), (distance, half), (distance, 0))
    return chosen + [
        (f"parallel {buffer}+{commit}+{buffer}", Window(commit, buffer, layout="parallel"))
        for commit, buffer in parallel
    ]


def timed(decode: Callable[[Bits], Bits], dets: Bits) -> tuple[Bits, float]:
    best = math.inf
    for _ in range(3):
        began = time.process_time()
        found = decode(dets)
        best = min(best, time.process_time() - began)
    return found, best


def main() -> None:
    rows = []
    for distance, p, shots in CASES:
        circuit = memory(distance, p)
        model = circuit.detector_error_model(decompose_errors=True)
        dets, flips = circuit.compile_detector_sampler(seed=2).sample(shots, separate_observables=True)
        dets = dets.astype(np.uint8)
        whole = pymatching.Matching.from_detector_error_model(model)
        found, base = timed(whole.decode_batch, dets)
        best = np.any(found != flips, axis=1)
        for name, window in windows(distance):
            began = time.process_time()
            ready = decoder("matching").compile(model, window)
            compiled = time.process_time() - began
            found, seconds = timed(ready.decode_batch, dets)
            wrong = np.any(found != flips, axis=1)
            more, fewer = np.count_nonzero(wrong & ~best), np.count_nonzero(best & ~wrong)
            row = {
                "distance": distance,
                "p": p,
                "shots": shots,
                "window": name,
                "windows": len(ready.pieces),
                "failures": f"{wrong.mean():.5f}",
                "pymatching": f"{best.mean():.5f}",
                "ratio": f"{wrong.mean() / best.mean():.3f}",
                "z": f"{(more - fewer) / math.sqrt(max(more + fewer, 1)):.2f}",
                "us_per_round": f"{seconds / shots / ROUNDS * 1e6:.3f}",
                "cost": f"{seconds / base:.2f}",
                "compile_seconds": f"{compiled:.2f}",
            }
            rows.append(row)
            print(row, flush=True)
    with (Path(__file__).parent / "windows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
