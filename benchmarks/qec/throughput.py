"""CPU time of the loop against stim and PyMatching on the same shots, and of closed and Aer rounds.

.venv/bin/python benchmarks/qec/throughput.py
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymatching

from hyperfabric_q import seeds
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.aer_loop import run_aer
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.closed_loop import BATCH, Rounds
from hyperfabric_q.workloads.qec.codes import rotated_surface_code
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.frame_loop import Workshop, run_frame
from hyperfabric_q.workloads.qec.logicals import logical_flips
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.transport import Transport

HERE = Path(__file__).parent


def least(action: Callable[[], object], runs: int = 3) -> float:
    """The CPU seconds it took at best."""
    best = float("inf")
    for _ in range(runs):
        before = time.process_time()
        action()
        best = min(best, time.process_time() - before)
    return best


def plain(experiment: Experiment, shots: int, seed: int) -> int:
    """Stim and PyMatching by themselves, bit-packed, from circuit to failures."""
    model = experiment.circuit.detector_error_model(decompose_errors=True)
    matching = pymatching.Matching.from_detector_error_model(model)
    sampler = experiment.circuit.compile_detector_sampler(seed=seed)
    dets, observables = sampler.sample(shots, separate_observables=True, bit_packed=True)
    flips = matching.decode_batch(dets, bit_packed_shots=True, bit_packed_predictions=True)
    return int(np.any(flips != observables, axis=1).sum())


def loaded() -> Transport:
    nodes = (
        NodeSignature("qpu", HardwareType.QUANTUM_QPU, 100.0, 0.0, compute_units=100),
        NodeSignature("decoder", HardwareType.CPU_SERVER, 100.0, 0.0),
    )
    return Transport(
        fabric=Fabric(nodes=nodes, links=(Link("qpu", "decoder", bandwidth_gbps=100.0, latency_ns=0.0),)),
        blocks=("qpu",),
        decoder="decoder",
        background=(Background(source="qpu", destination="decoder", load=0.8),),
        deadline_us=10.0,
    )


def frame_rows(shot_rounds: int = 1_000_000) -> list[tuple[str, int, int, float, float]]:
    experiment = rotated_surface_code(5, 5, p=0.003)
    shots, seed = shot_rounds // 5, 7
    # The sampler of the loop is seeded from the run's seed by names: given the same word, the same shots are drawn.
    word = seeds.word(seeds.word(seed, "fate", 0), "shots")
    same = run_frame(experiment, Loop(), shots, seed=seed).errors == plain(experiment, shots, word)
    if not same:
        raise SystemExit("the loop did not decode the shots that stim and PyMatching did")
    base = least(lambda: plain(experiment, shots, word))
    idle = least(lambda: run_frame(experiment, Loop(), shots, seed=seed))
    # Corrections of a memory stay in the frame, so the same shots are decoded under load too.
    loop = Loop(transport=loaded(), service=Fixed(500.0), branches=())
    load = least(lambda: run_frame(experiment, loop, shots, seed=seed, timelines=1))
    return [
        ("stim + PyMatching", 5, shots, 1e6 * base / shot_rounds, 1.0),
        ("frame, no fabric", 5, shots, 1e6 * idle / shot_rounds, idle / base),
        ("frame, 80 % load", 5, shots, 1e6 * load / shot_rounds, load / base),
    ]


def closed_row(distance: int, rounds: int = 20) -> tuple[str, int, int, float, float]:
    made = Workshop(rotated_surface_code(distance, rounds, p=0.003), Loop())
    ((x, _),) = logical_flips(made.sections)
    mask = x[:, None] & (np.random.default_rng(1).random(BATCH) < 0.01)

    def run() -> None:
        batch = Rounds(made, BATCH, 1)
        for _ in range(rounds):
            batch.step()
            batch.simulator.broadcast_pauli_errors(pauli="X", mask=mask)

    return "closed, feedback, no decoder", distance, BATCH, 1e6 * least(run) / rounds / BATCH, float("nan")


def aer_row(shots: int = 1000) -> tuple[str, int, int, float, float]:
    seconds = least(lambda: run_aer(rotated_surface_code(3, 3, p=0.01), Loop(), shots, seed=1), runs=2)
    return "aer", 3, shots, 1e6 * seconds / shots / 3, float("nan")


def main() -> None:
    with (HERE / "throughput.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["what", "distance", "shots", "us_per_shot_round", "over_plain"])
        for name, distance, shots, us, ratio in [*frame_rows(), *map(closed_row, (3, 5, 7)), aer_row()]:
            writer.writerow([name, distance, shots, f"{us:.4f}", "" if np.isnan(ratio) else f"{ratio:.2f}"])
            print(f"{name:30} d={distance} {shots:7} shots  {us:9.4f} us per shot-round  x{ratio:.2f}")


if __name__ == "__main__":
    main()
