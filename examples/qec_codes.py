"""Error-correcting codes over a fabric: a seam over Bell pairs, lattice surgery, and any circuit of stim."""

from __future__ import annotations

import numpy as np
import pymatching
import stim

import hyperfabric_q as hq
from hyperfabric_q.workloads.qec.codes import rotated_surface_code
from hyperfabric_q.workloads.qec.css import bivariate_bicycle, css_code
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.from_stim import from_stim
from hyperfabric_q.workloads.qec.links import werner_weights, with_weights
from hyperfabric_q.workloads.qec.lowering import lower, sample_on_aer
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.two_blocks import teleport_cnot


def logical_error_rate(experiment: Experiment, shots: int = 20_000) -> float:
    """Return the logical error rate per round, decoded by matching."""
    model = experiment.circuit.detector_error_model(decompose_errors=True)
    sampler = experiment.circuit.compile_detector_sampler(seed=1)
    detectors, observables = sampler.sample(shots, separate_observables=True)
    decoded = pymatching.Matching.from_detector_error_model(model).decode_batch(detectors)
    failed = float((decoded != observables).any(axis=1).mean())
    return (1 - (1 - 2 * failed) ** (1 / experiment.rounds)) / 2


def seam() -> None:
    """Print what the pairs of a seam cost in either basis."""
    fabric = hq.Fabric.line([40, 40], communication_qubits=5, pair_fidelity=0.96)
    print(f"d = 3 on one device: {logical_error_rate(rotated_surface_code(3, p=0.002)):.1e} per round")
    for basis in "ZX":
        code = DistributedSurfaceCode(distance=3, p=0.002, basis=basis, nodes=("qpu-0", "qpu-1"), fabric=fabric)
        rate = logical_error_rate(code.experiment())
        print(f"d = 3 over pairs of 0.96, basis {basis}: {rate:.1e}, {code.pairs_per_round} pairs per round")

    code = DistributedSurfaceCode(distance=3, p=0.002, pairs=0.96)
    missing = np.random.default_rng(3).random((9, code.pairs_per_round)) < 0.2
    experiment = code.experiment(missing=missing)
    facts = experiment.metadata
    print(f"{facts['pairs_missing']} of 45 pairs missing: {facts['checks_skipped']} checks left out")
    worse = with_weights(experiment, werner_weights(0.85))
    print(f"the same at fidelity 0.85: {logical_error_rate(worse):.1e}")


def surgery() -> None:
    """Print the error rate of a logical CNOT between two nodes."""
    cnot = teleport_cnot(3, p=0.001, pairs=0.98)
    print(f"{cnot}: {logical_error_rate(cnot):.1e} per round")


def bring_your_own() -> None:
    """Print how foreign circuits are laid over nodes."""
    colour = stim.Circuit.generated("color_code:memory_xyz", distance=3, rounds=5, after_clifford_depolarization=0.001)
    places = colour.get_final_qubit_coordinates()
    placement = {qubit: "left" if x < 1.5 else "right" for qubit, (x, _) in places.items()}
    print(from_stim(colour, placement, link="cat", pairs=0.98, code="color_code", distance=3))

    hx, hz = bivariate_bicycle(12, 6, [(3, 0), (0, 1), (0, 2)], [(0, 3), (1, 0), (2, 0)])
    gross = css_code(hx, hz, rounds=2, code="gross", distance=12)
    print(gross, f"with {gross.circuit.num_observables} logical qubits")


def on_aer() -> None:
    """Run a distributed patch with real Bell pairs and corrections fed forward."""
    experiment = DistributedSurfaceCode(distance=3, rounds=2, p=0.005, pairs=0.95).experiment()
    lowered = lower(experiment)
    detectors, _ = sample_on_aer(lowered, shots=300, seed=1)
    feed_forward = lowered.circuit.count_ops()["if_else"]
    print(f"Aer: {lowered.pairs} pairs, {feed_forward} corrections, {detectors.mean():.1%} of detectors fire")


if __name__ == "__main__":
    seam()
    surgery()
    bring_your_own()
    on_aer()
