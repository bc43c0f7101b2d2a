"""What it is worth to know live pairs: a code whose rounds draw on links of fidelity 0.99 and 0.85 as pairs come.

    .venv/bin/python benchmarks/qec/supply.py

Writes supply.csv beside this file. Two nodes share a link of fidelity 0.99 and another, through a photonic switch, of
0.85. Both make pairs attempt by attempt as long as there is room, two or three attempts for each pair that a round asks
for; memories have T1 = 200 µs and T2 = 60 µs ("decaying"), or keep everything ("still"). Rounds of 1.1 µs take what
both ends know of, leave out checks whose pairs are missing, about a tenth. Three decoders read the same shots of 20
timelines, and all know what is missing: "mean" believes that every pair is the mean of all that came, "slots" knows the
mean of each place in a round, "pairs" the state of each pair at its use. Intervals are 95 %, from the shots that only
one gets wrong. The last rows of a distance have heralds on a classical link beside 60 % other traffic, in messages of
20 kB and chunks of 1 µs, by the policy of the fabric or in order of arrival ("fifo").
"""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path

from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.supplied import run_supplied
from hyperfabric_q.workloads.qec.supply import BellSupply, slots_of
from hyperfabric_q.workloads.qec.transport import Transport

GOOD, POOR, SHOTS, TIMELINES = 0.99, 0.92, 20_000, 20
"""Two arms of 0.92 make pairs of 0.85."""

NODES = ("qpu-a", "qpu-b")


def fabric(pairs: int, speed: float, t1_us: float | None, t2_us: float | None) -> Fabric:
    """Links that together make ``speed`` times as many pairs as rounds of 1.1 µs ask for, half each."""
    nodes = [
        NodeSignature(
            name,
            hardware_type=HardwareType.QUANTUM_QPU,
            compute_units=120,
            t1_us=t1_us,
            t2_us=t2_us,
            bandwidth_gbps=100.0,
            latency_ns=50.0,
        )
        for name in NODES
    ]
    switch = NodeSignature("switch", hardware_type=HardwareType.PHOTONIC_SWITCH, latency_ns=10.0, bandwidth_gbps=100.0)
    rate, attempt = speed * pairs / 2 / 1.1e-6, 1e9 * 1.1e-6 / pairs * 0.4
    figures = {"bandwidth_gbps": 100.0, "latency_ns": 50.0, "pair_attempt_ns": attempt}
    # A Bell measurement of photons succeeds half of the time.
    arm = (2 * rate * attempt * 1e-9) ** 0.5 / attempt * 1e9
    arms = [Link(name, "switch", pair_fidelity=POOR, pair_rate_hz=arm, **figures) for name in NODES]
    return Fabric(nodes=[*nodes, switch], links=[Link(*NODES, pair_fidelity=GOOD, pair_rate_hz=rate, **figures), *arms])


def row_of(name: str, distance: int, basis: str, supply: BellSupply, code: DistributedSurfaceCode) -> dict[str, object]:
    began = time.process_time()
    found = run_supplied(code, supply, SHOTS, timelines=TIMELINES, beliefs=("pairs", "slots", "mean"), seed=1)
    versus = {other: found.compared("pairs", other) for other in ("mean", "slots")}
    given = found.supplied
    row: dict[str, object] = {
        "distance": distance,
        "basis": basis,
        "supply": name,
        "pairs_per_round": code.pairs_per_round,
        "shots": SHOTS,
        "missing": f"{given.missing.mean():.3f}",
        "mean_fidelity": f"{given.mean_weights[0]:.4f}",
        "mean_age_ns": f"{given.age_ps[~given.missing].mean() / 1000:.0f}",
        **{belief: f"{failed.mean():.5f}" for belief, failed in found.failures.items()},
    }
    for other, pair in versus.items():
        low, high = pair.ratio_interval()
        row |= {f"ratio_{other}": f"{pair.ratio:.3f}", f"low_{other}": f"{low:.3f}", f"high_{other}": f"{high:.3f}"}
    return row | {"cpu_seconds": f"{time.process_time() - began:.1f}"}


def main() -> None:
    rows = []
    for distance in (3, 5):
        for basis in ("Z", "X"):
            code = DistributedSurfaceCode(distance=distance, basis=basis, p=0.001)
            slots, pairs = slots_of(code), code.pairs_per_round
            for name, t1_us, t2_us in (("still", None, None), ("decaying", 200.0, 60.0)):
                made = fabric(pairs, 1.0, t1_us, t2_us)
                supply = BellSupply(fabric=made, slots=slots, paths=2)
                rows.append(row_of(name, distance, basis, supply, code))
                print(rows[-1], flush=True)
        code = replace(code, basis="Z")
        busy = (Background(source=NODES[0], destination=NODES[1], load=0.6, nbytes=20_000),)
        for policy in ("fabric", "fifo"):
            beside = Transport(fabric=made, blocks=NODES[:1], decoder=NODES[1], background=busy, policy=policy)
            rows.append(row_of(f"decaying, busy, {policy}", distance, "Z", replace(supply, beside=beside), code))
            print(rows[-1], flush=True)
    with (Path(__file__).parent / "supply.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
