"""Better pairs or faster ones? Twelve fabrics for one circuit, in one table.

Pairs wait for one another and memories forget, so a slow link costs fidelity even when its pairs are perfect. Run it
from anywhere: ``python examples/what_if.py``, with ``--shots 200`` for a quick look.
"""

from __future__ import annotations

import argparse

from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.sweeping import sweep

FIDELITY, RATE = "links.*.pair_fidelity", "links.*.pair_rate_hz"
FIDELITIES = [0.85, 0.9, 0.95, 0.99]
RATES = [300.0, 1_000.0, 10_000.0]
SEED = 7


def ghz(qubits: int) -> QuantumCircuit:
    """Return a circuit whose outcomes are all 0 or all 1."""
    circuit = QuantumCircuit(qubits, name=f"ghz_{qubits}")
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def main() -> None:
    """Print the fidelity over the grid, and what costs most in its corners."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=1000, help="shots per point (default: 1000)")
    shots = parser.parse_args().shots

    fabric = hq.Fabric.line([2, 2, 2], communication_qubits=2, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", t1_us=100_000, t2_us=20_000, gate_error_2q=2e-3, readout_error=1e-3)

    # Fewest e-bits is fewest e-bits at any fidelity and rate: one plan serves all points.
    grid = {RATE: RATES, FIDELITY: FIDELITIES}
    table = sweep(ghz(6), fabric, grid, metric=["fidelity", "attribution"], shots=shots, seed=SEED, progress=True)
    print(f"{len(table)} points, {table.plans} plan, {table[0]['ebits']} e-bits, {len(table.failed)} failed\n")

    found = table.column("fidelity").reshape(len(RATES), len(FIDELITIES))
    print("fidelity of a pair  " + "  ".join(f"{each:>7}" for each in FIDELITIES))
    for rate, row in zip(RATES, found, strict=True):
        print(f"{rate:>11,.0f} pairs/s  " + "  ".join(f"{each:7.3f}" for each in row))
    print(f"each ± {table.column('fidelity_stderr').max():.3f} at most\n")

    causes = [name for name in table.columns if name.startswith("infidelity_")]
    for row in (table[0], table[len(FIDELITIES) - 1], table[-len(FIDELITIES)], table[-1]):
        worst = max(causes, key=lambda name: row[name])
        print(
            f"F = {row[FIDELITY]:<5} at {row[RATE]:>7,.0f} pairs/s: {worst.removeprefix('infidelity_'):>5} costs most, "
            f"{row[worst]:.3f}; a shot takes {row['makespan_ns'] / 1e6:.2f} ms"
        )

    perfect = sweep(ghz(6), fabric, [{FIDELITY: 0.5}, {FIDELITY: 1.0}], metric="infidelity", seed=SEED)
    print(f"\nA point that cannot be: {perfect[0]['error']}")


if __name__ == "__main__":
    main()
