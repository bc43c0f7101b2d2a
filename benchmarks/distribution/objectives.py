"""What ``objective="fidelity"`` is worth where links are unlike: predicted infidelity on the clock, beside e-bits.

    .venv/bin/python benchmarks/distribution/objectives.py

Writes objectives.csv beside this file. Four QPUs all linked; three of the six links have a fifth of the others'
infidelity and ten times their rate. "ratio" is -ln(1 - infidelity) of the plan for fidelity over that of the plan of
fewest e-bits, both by ``Plan.schedule``. Cells: circuits x communication qubits x rates x fidelities.
"""

from __future__ import annotations

import csv
import math
import statistics
from itertools import product
from pathlib import Path

import hyperfabric_q as hq
from hyperfabric_q.errors import NotEnoughCommunicationQubits

HERE = Path(__file__).parent
CIRCUITS = {
    "qft_16": hq.families.qft(16),
    "ising_16": hq.families.generate("ising", 16, seed=1),
    "qaoa_3regular_16": hq.families.generate("qaoa_3regular", 16, seed=1),
}
GOOD = ("links.qpu-0--qpu-1", "links.qpu-0--qpu-2", "links.qpu-2--qpu-3")


def fabric(communication: int, rate_hz: float, fidelity: float) -> hq.Fabric:
    nodes = {"gate_error_2q": 1e-3, "readout_error": 1e-3, "t1_us": 1e4, "t2_us": 5e3}
    times = {"gate_1q_ns": 50, "gate_2q_ns": 200, "readout_ns": 500}
    made = hq.Fabric.full([5] * 4, communication_qubits=communication, pair_fidelity=fidelity)
    made = made.replace("nodes.*", **nodes, **times).replace("links.*", pair_rate_hz=rate_hz, pair_attempt_ns=1_000)
    for link in GOOD:
        made = made.replace(link, pair_fidelity=1 - (1 - fidelity) / 5, pair_rate_hz=10 * rate_hz)
    return made


def loss(plan: hq.Plan) -> float:
    return -math.log(max(1e-300, 1 - float(plan.schedule().infidelity.mean())))


def main() -> None:
    rows = []
    for name, communication, rate, fidelity in product(CIRCUITS, (1, 2, 4), (1e3, 1e4, 5e4), (0.9, 0.95, 0.99)):
        row: dict[str, object] = {
            "circuit": name,
            "communication_qubits": communication,
            "rate_hz": rate,
            "fidelity": fidelity,
        }
        try:
            few, good = (
                hq.plan(
                    CIRCUITS[name],
                    fabric(communication, rate, fidelity),
                    objective=objective,
                    seed=0,
                    time_limit_s=2,
                    verify="skipped",
                )
                for objective in ("ebits", "fidelity")
            )
        except NotEnoughCommunicationQubits:
            continue
        row |= {"ebits": few.ebits, "ebits_for_fidelity": good.ebits, "loss": f"{loss(few):.4f}"}
        row |= {"loss_for_fidelity": f"{loss(good):.4f}", "ratio": f"{loss(good) / loss(few):.4f}"}
        rows.append(row)
        print(row, flush=True)
    ratios = [float(str(row["ratio"])) for row in rows]
    print(f"{len(rows)} cells, median ratio {statistics.median(ratios):.3f}, worst {max(ratios):.3f}")
    with (HERE / "objectives.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
