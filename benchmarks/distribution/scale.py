"""Seconds to plan brickwork and QAOA circuits of 125 to 2000 qubits on three and on eight unlike QPUs, by stage.

    .venv/bin/python benchmarks/distribution/scale.py

Writes scale.csv beside this file. Brickwork has ten two-qubit gates per qubit, QAOA (five layers on a 3-regular graph)
seven and a half. "plan" is without verification, "clock" puts the plan on the clock. Default settings.
"""

from __future__ import annotations

import csv
import math
import time
from itertools import product
from pathlib import Path

from qiskit import QuantumCircuit

import hyperfabric_q as hq

HERE = Path(__file__).parent


SHARES = {3: (0.5, 0.25, 0.26), 8: (0.13, 0.15, 0.1, 0.13, 0.13, 0.14, 0.12, 0.15)}


def circuit_of(family: str, qubits: int) -> QuantumCircuit:
    options = {"depth": 20} if family == "brickwork" else {"layers": 5}
    return hq.families.generate(family, qubits, seed=1, options=options)


def main() -> None:
    rows = []
    for family, nodes, qubits in product(("brickwork", "qaoa_3regular"), SHARES, (126, 250, 500, 1000, 2000)):
        fabric = hq.Fabric.full([math.ceil(share * qubits) for share in SHARES[nodes]], pair_fidelity=0.99)
        fabric = fabric.replace("links.*", pair_rate_hz=1e5, pair_attempt_ns=1_000)
        plan = hq.plan(circuit_of(family, qubits), fabric, seed=0)
        began = time.perf_counter()
        plan.schedule()
        rows.append(
            {
                "family": family,
                "nodes": nodes,
                "qubits": qubits,
                "two_qubit_gates": plan.two_qubit_gates,
                "ebits": plan.ebits,
                "equivalent": plan.equivalent,
                "plan_seconds": f"{plan.seconds - plan.verification.seconds:.2f}",
                "verify_seconds": f"{plan.verification.seconds:.2f}",
                "clock_seconds": f"{time.perf_counter() - began:.2f}",
            }
        )
        print(rows[-1], flush=True)
    with (HERE / "scale.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
