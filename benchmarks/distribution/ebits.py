"""E-bits and seconds of this package on the peer benchmark circuits, beside the counts recorded for the peers.

    .venv/bin/python benchmarks/distribution/ebits.py [CIRCUIT ...]

Writes ebits.csv beside this file. The peers' columns are copied from circuits/peers/ebits.csv: pytket-dqc and DISQCO,
measured on a two-core machine in November 2026 with the same gate lists, capacity floor(n/k)+1 and no communication
limit; they are not rerun here. "target_ebits" is what a prototype of this search reached in several runs. Our count is
the replayed one, and "equivalent" says how the emitted circuit was shown to equal the original; "moves" counts changes
of homes; "bound" is a number of e-bits that no plan goes below, found without a solver; "ebits_2" is the count with two
communication qubits per node. One core, one seed.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import hyperfabric_q as hq
from hyperfabric_q.errors import NotEnoughCommunicationQubits

HERE = Path(__file__).parent
PEERS = HERE.parents[1] / "circuits" / "peers"
FIELDS = [
    "circuit",
    "network",
    "ebits",
    "ebits_2",
    "moves",
    "bound",
    "seconds",
    "equivalent",
    "pytket_dqc_ebits",
    "disqco_ebits",
    "target_ebits",
    "seed",
]
TIME_LIMIT_S = 40


def fabric(network: str, qubits: int, communication: int | None = None) -> hq.Fabric:
    nodes = int(network[-1])
    shape = hq.Fabric.full if network.startswith("full") else hq.Fabric.line
    return shape([qubits // nodes + 1] * nodes, communication_qubits=communication)


def with_two(path: Path, network: str, qubits: int) -> object:
    try:
        plan = hq.plan(path, fabric(network, qubits, 2), seed=0, time_limit_s=TIME_LIMIT_S / 4)
    except NotEnoughCommunicationQubits:
        return "refused"
    return plan.ebits if plan.equivalent == "proved" and max(plan.peak_copies.values()) <= 2 else "wrong"


def main() -> None:
    wanted = set(sys.argv[1:])
    rows = []
    with (PEERS / "ebits.csv").open() as file:
        for row in csv.DictReader(file):
            if wanted and row["circuit"] not in wanted:
                continue
            path = PEERS / f"{row['circuit']}.qasm"
            qubits = int(row["circuit"].rsplit("_", 1)[1])
            plan = hq.plan(path, fabric(row["network"], qubits), seed=0, time_limit_s=TIME_LIMIT_S)
            rows.append(
                {
                    "circuit": row["circuit"],
                    "network": row["network"],
                    "ebits": plan.ebits,
                    "ebits_2": with_two(path, row["network"], qubits),
                    "moves": plan.moves,
                    "bound": plan.lower_bound(time_limit_s=0).value,
                    "seconds": f"{plan.seconds:.2f}",
                    "equivalent": plan.equivalent,
                    "pytket_dqc_ebits": row["pytket_dqc_ebits"],
                    "disqco_ebits": row["disqco_ebits"],
                    "target_ebits": row["target_ebits"],
                    "seed": 0,
                }
            )
            print("  ".join(f"{value!s:>14}" for value in rows[-1].values()), flush=True)
    if not wanted:
        with (HERE / "ebits.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
