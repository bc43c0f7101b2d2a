"""The reaction law: rounds of waiting in the circuit, against the composition of the rate per round.

Memories of 3 d rounds: at d rounds the ends, which err less, bias the rate by some per cent.

.venv/bin/python benchmarks/qec/reaction.py
"""

from __future__ import annotations

import csv
from pathlib import Path

from hyperfabric_q.workloads.qec.codes import rotated_surface_code
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.frame_loop import run_frame
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.reaction import expected_failure
from hyperfabric_q.workloads.qec.records import per_round

HERE = Path(__file__).parent
P = 0.003
SHOTS = 400_000


def rows() -> list[tuple[int, float, int, float, float, float, float]]:
    found = []
    for distance in (3, 5):
        long = run_frame(rotated_surface_code(distance, 10 * distance, p=P), Loop(), SHOTS // 2, seed=1).failure
        rate = per_round(long.value, 10 * distance)
        experiment = rotated_surface_code(distance, 3 * distance, p=P)
        at_once = run_frame(experiment, Loop(), SHOTS, seed=2).failure.value
        for reaction_us in (4.0, 10.0, 63.0):
            loop = Loop(service=Fixed(1000 * reaction_us))
            shots = SHOTS if reaction_us < 60 else SHOTS // 5
            result = run_frame(experiment, loop, shots, seed=3)
            wait = int(result.timelines[0].waits[0, 0])
            law = expected_failure(rate, 3 * distance, wait)
            measured = result.failure
            found.append((distance, reaction_us, wait, measured.value, measured.stderr, law, measured.value / at_once))
    return found


def main() -> None:
    with (HERE / "reaction.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["distance", "reaction_us", "rounds", "failure", "stderr", "law", "over_zero_latency"])
        for distance, reaction, wait, value, stderr, law, ratio in rows():
            writer.writerow([distance, reaction, wait, f"{value:.5f}", f"{stderr:.5f}", f"{law:.5f}", f"{ratio:.2f}"])
            print(
                f"d={distance} {reaction:4g} us = {wait:2} rounds: {value:.5f} ± {stderr:.5f}, law {law:.5f} "
                f"({100 * (value / law - 1):+.1f} %), x{ratio:.1f} of zero latency"
            )


if __name__ == "__main__":
    main()
