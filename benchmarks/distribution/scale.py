"""Seconds to plan brickwork circuits of 125 to 2000 qubits on three unlike QPUs, by stage.

    .venv/bin/python benchmarks/scale/scale.py

Writes scale.csv beside this file. A circuit of n qubits has ten two-qubit gates per qubit; the nodes hold n/2, n/4
and 13n/50 data qubits.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import hyperfabric_q as hq

HERE = Path(__file__).parent


def main() -> None:
    rows = []
    for qubits in (125, 250, 500, 1000, 2000):
        circuit = hq.families.generate("brickwork", qubits, seed=1, options={"depth": 20})
        fabric = hq.Fabric.full([-(-qubits // 2), -(-qubits // 4), -(-13 * qubits // 50)])
        began = time.perf_counter()
        plan = hq.plan(circuit, fabric, seed=0)
        rows.append(
            {
                "qubits": qubits,
                "two_qubit_gates": plan.two_qubit_gates,
                "ebits": plan.ebits,
                "equivalent": plan.equivalent,
                "verify_seconds": f"{plan.verification.seconds:.2f}",
                "seconds": f"{time.perf_counter() - began:.2f}",
            }
        )
        print(rows[-1], flush=True)
    with (HERE / "scale.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
