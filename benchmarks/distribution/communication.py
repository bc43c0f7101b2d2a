"""E-bits against the limit of communication qubits per node: what hubs and shared copies are worth with few of them.

    .venv/bin/python benchmarks/distribution/communication.py

Writes communication.csv beside this file. Four QPUs all linked, floor(n/4)+1 data qubits each. "refused" means that no
placement tried could be carried out with so few. Every plan is replayed and proved.
"""

from __future__ import annotations

import csv
from pathlib import Path

import hyperfabric_q as hq
from hyperfabric_q.errors import NotEnoughCommunicationQubits

HERE = Path(__file__).parent
PEERS = HERE.parents[1] / "circuits" / "peers"
CIRCUITS = ("ghz_32", "ising1d_t5_32", "qft_16", "qaoa3reg_p1_32", "cpfrac30_32", "adder_32")
LIMITS = (1, 2, 3, 4, 8, None)


def main() -> None:
    rows = []
    for name in CIRCUITS:
        qubits = int(name.rsplit("_", 1)[1])
        row: dict[str, object] = {"circuit": name}
        for limit in LIMITS:
            fabric = hq.Fabric.full([qubits // 4 + 1] * 4, communication_qubits=limit)
            try:
                plan = hq.plan(PEERS / f"{name}.qasm", fabric, seed=0, time_limit_s=10)
                if plan.equivalent != "proved" or (limit and max(plan.peak_copies.values()) > limit):
                    raise SystemExit(f"{name} with {limit}: {plan}")
                row[f"C={limit or 'unlimited'}"] = plan.ebits
            except NotEnoughCommunicationQubits:
                row[f"C={limit or 'unlimited'}"] = "refused"
        rows.append(row)
        print(row, flush=True)
    with (HERE / "communication.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
