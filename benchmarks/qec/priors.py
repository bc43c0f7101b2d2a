"""What it is worth that a decoder knows its pairs: seams over links of unlike fidelity, some pairs announced missing.

    .venv/bin/python benchmarks/qec/priors.py

Writes priors.csv beside this file. A rotated surface code on two nodes, teleported gates, 3d rounds, p = 0.001 inside
nodes. Links of fidelity 0.85 and 0.99 carry the crossings of a seam in turn ("alternate"), one half each ("halves"), or
whichever is free ("either"). A tenth of the pairs does not come, which the link announces: their gates act on whatever
stood in ("erased"), or their checks are left out of the round ("skipped"). Three decoders read the same shots: "mean"
believes that every pair is the mean of all, missing ones included; "announced" knows which are missing and believes the
others alike; "pairs" knows all. The interval of the ratio pairs/mean is 95 %, from the shots that only one gets wrong.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.workloads.qec.decoders import decoder, mean_weights, with_missing, with_priors
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.links import werner_weights, with_weights
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode

GOOD, POOR, MISSING, SHOTS = 0.99, 0.85, 0.1, 40_000


def fidelities(kind: str, rounds: int, pairs: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if kind == "either":
        return rng.choice([GOOD, POOR], size=(rounds, pairs))
    slot = np.arange(pairs)
    poor = slot % 2 == 1 if kind == "alternate" else slot < pairs // 2
    return np.broadcast_to(np.where(poor, POOR, GOOD), (rounds, pairs))


def weights_of(experiment: Experiment) -> NDArray[np.float64]:
    return np.array([use.weights for use in experiment.links])


def models(
    code: DistributedSurfaceCode, weights: NDArray[np.float64], missing: NDArray[np.bool_], treatment: str
) -> tuple[stim.Circuit, dict[str, stim.DetectorErrorModel]]:
    if treatment == "skipped":
        real = code.experiment(weights=weights, missing=missing)
        mean = with_priors(real, mean_weights(weights_of(real)))
        return real.circuit, {"mean": mean, "announced": mean, "pairs": with_priors(real)}
    whole = code.experiment(weights=weights)
    slots = {pair: at for at, pair in enumerate(code.crossings)}
    gone = np.array([missing[use.round, slots[use.control, use.target]] for use in whole.links])
    there = weights_of(whole)
    real_weights = with_missing(there, gone)
    present = np.broadcast_to(there[~gone].mean(axis=0), there.shape)
    return with_weights(whole, real_weights).circuit, {
        "mean": with_priors(whole, mean_weights(real_weights)),
        "announced": with_priors(whole, present, missing=gone),
        "pairs": with_priors(whole, missing=gone),
    }


def main() -> None:
    rows = []
    for distance in (3, 5, 7):
        for basis in ("Z", "X"):
            for kind in ("alternate", "halves", "either"):
                for treatment in ("erased", "skipped"):
                    rng = np.random.default_rng(1)
                    rounds = 3 * distance
                    code = DistributedSurfaceCode(distance=distance, basis=basis, rounds=rounds, p=0.001)
                    pairs = code.pairs_per_round
                    weights = werner_weights(fidelities(kind, rounds, pairs, rng))
                    missing = rng.random((rounds, pairs)) < MISSING
                    circuit, priors = models(code, weights, missing, treatment)
                    dets, flips = circuit.compile_detector_sampler(seed=1).sample(SHOTS, separate_observables=True)
                    wrong = {
                        name: np.any(decoder("matching").compile(model).decode_batch(dets) != flips, axis=1)
                        for name, model in priors.items()
                    }
                    worse = np.count_nonzero(wrong["pairs"] & ~wrong["mean"])
                    better = np.count_nonzero(wrong["mean"] & ~wrong["pairs"])
                    first, second = wrong["pairs"].sum(), wrong["mean"].sum()
                    spread = 1.96 * math.sqrt((worse + better) / max(first * second, 1))
                    row = {
                        "distance": distance,
                        "basis": basis,
                        "links": kind,
                        "missing": treatment,
                        "pairs_per_round": pairs,
                        "shots": SHOTS,
                        **{name: f"{each.mean():.5f}" for name, each in wrong.items()},
                        "ratio": f"{first / second:.3f}",
                        "low": f"{first / second * math.exp(-spread):.3f}",
                        "high": f"{first / second * math.exp(spread):.3f}",
                    }
                    rows.append(row)
                    print(row, flush=True)
    with (Path(__file__).parent / "priors.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
