"""Two good nodes and a poor link: which gates are teleported, which are cut, and what that is worth.

The same circuit is planned for few shots and for many: bias does not matter to the first and is all that is left of the
second. Run it from anywhere: ``python examples/mixed.py``.
"""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit

import hyperfabric_q as hq

SEED = 7
RUNS = 20


def ising(qubits: int) -> QuantumCircuit:
    """Return one step of an Ising chain between turned qubits."""
    circuit = QuantumCircuit(qubits, name=f"ising_{qubits}")
    circuit.ry(0.7, range(qubits))
    for qubit in range(qubits - 1):
        circuit.rzz(0.8, qubit, qubit + 1)
    circuit.rx(0.6, range(qubits))
    return circuit


def main() -> None:
    """Plan for three budgets, and compare the error forecast with the error of some runs."""
    fabric = hq.Fabric.line([2, 2, 2], communication_qubits=2, pair_fidelity=0.97)
    fabric = fabric.replace("links.qpu-1--qpu-2", pair_fidelity=0.6)

    for shots in (500, 500_000):
        plan = hq.plan(ising(6), fabric, shots=shots, seed=SEED)
        print(plan.explain())
        truth = plan.exact().evs
        errors = [np.mean((plan.run(seed=seed).evs - truth) ** 2) for seed in range(RUNS)]
        print(f"  {RUNS} runs: error {np.mean(errors) ** 0.5:.3g}\n")

    without = hq.plan(ising(6), fabric, shots=50_000, max_pairs=0, seed=SEED)
    print(f"Without any pairs: {without!r}")

    try:
        hq.plan(ising(6), fabric, shots=1_000, precision=0.001, seed=SEED)
    except hq.errors.BudgetTooSmall as refusal:
        print(f"\nToo much asked of too little: {refusal}")


if __name__ == "__main__":
    main()
