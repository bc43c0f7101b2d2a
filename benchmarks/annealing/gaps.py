"""How far apart energies and bounds are, and how long both take; writes gaps.csv beside itself.

Problems: Gaussian weights on random pairs, as in the sheet of peers (density 0.2), and sparse ones. Every solver gets
100 reads; a row also holds the three bounds, and dimod's own exact solver where it can.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dimod
import numpy as np

from hyperfabric_q.workloads.annealing import public as annealing

SEED = 11
CASES = ((20, 1.0), (20, 0.2), (50, 0.2), (100, 0.2), (150, 0.02), (150, 0.2), (300, 0.05))
SOLVERS = ("simulated_annealing", "tabu", "steepest_descent")


def problem(count: int, density: float) -> dimod.BinaryQuadraticModel:
    random = np.random.default_rng(np.random.SeedSequence([SEED, count, int(1000 * density)]))
    matrix = random.normal(size=(count, count)) * (random.random((count, count)) < density)
    return annealing.read_problem(np.triu(matrix))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    before = time.process_time()
    return work(), time.process_time() - before


def rows() -> Iterator[dict[str, Any]]:
    for count, density in CASES:
        bqm = problem(count, density)
        bounds, bounding = timed(lambda bqm=bqm: annealing.all_bounds(bqm))
        known = {each.by: each.value for each in bounds}
        for solver in ("auto", *SOLVERS):
            answer, seconds = timed(lambda bqm=bqm, solver=solver: annealing.solve(bqm, solver=solver, seed=SEED))
            yield {
                "variables": count,
                "density": density,
                "couplings": bqm.num_interactions,
                "asked": solver,
                "solver": answer.solver,
                "energy": round(answer.energy, 6),
                "bound": round(answer.bound, 6),
                "bound_by": answer.bound_by,
                "gap": round(answer.gap, 6),
                "relative_gap": round(answer.gap / abs(answer.energy), 5),
                "best_share": answer.best_share,
                "seconds": round(seconds, 4),
                "split": round(known["split"], 4),
                "roof_dual": round(known["roof dual"], 4),
                "spectral": round(known["spectral"], 4),
                "bounds_seconds": round(bounding, 4),
                "dimod_exact": "",
                "dimod_seconds": "",
            }
    bqm = problem(20, 1.0)
    found, seconds = timed(lambda: dimod.ExactSolver().sample(bqm).first.energy)
    ours, own = timed(lambda: annealing.solve(bqm, solver="exact", seed=SEED))
    yield {
        "variables": 20,
        "density": 1.0,
        "couplings": bqm.num_interactions,
        "asked": "exact",
        "solver": "exact",
        "energy": round(ours.energy, 6),
        "seconds": round(own, 4),
        "dimod_exact": round(found, 6),
        "dimod_seconds": round(seconds, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("gaps.csv"))
    out = parser.parse_args().out
    found = list(rows())
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    for row in found:
        print(row["variables"], row["density"], row["solver"], row["energy"], row.get("gap"), row["seconds"])


if __name__ == "__main__":
    main()
