"""Cases with published or derived counts: Fourier transforms of 16 to 64 qubits, and quantum volume of 32.

    .venv/bin/python benchmarks/distribution/published.py

Writes published.csv beside this file. floor(n/k)+1 data qubits per node, no limit of communication qubits. The column
"known" is a derived optimum of the hub construction for the Fourier transforms, and the best published count for
quantum volume (DISQCO, mean of five circuits of the same recipe; ours is one circuit, seed 1).
"""

from __future__ import annotations

import csv
from pathlib import Path

import hyperfabric_q as hq

HERE = Path(__file__).parent
CASES = (
    ("qft", 16, "full", 4, 12),
    ("qft", 32, "full", 4, 28),
    ("qft", 64, "full", 4, 60),
    ("qft", 32, "line", 4, 28),
    ("quantum_volume", 32, "full", 4, 385),
)


def main() -> None:
    rows = []
    for family, qubits, shape, nodes, known in CASES:
        circuit = hq.families.qft(qubits) if family == "qft" else hq.families.quantum_volume(qubits, seed=1)
        build = hq.Fabric.full if shape == "full" else hq.Fabric.line
        plan = hq.plan(circuit, build([qubits // nodes + 1] * nodes), seed=0, time_limit_s=40)
        rows.append(
            {
                "circuit": f"{family}_{qubits}",
                "network": f"{shape}{nodes}",
                "ebits": plan.ebits,
                "known": known,
                "bound": plan.lower_bound(time_limit_s=0).value,
                "seconds": f"{plan.seconds:.1f}",
                "equivalent": plan.equivalent,
            }
        )
        print(rows[-1], flush=True)
    with (HERE / "published.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
