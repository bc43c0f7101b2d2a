"""A ring of 36 qubits on three QPUs of 12 that share no entanglement: QAOA, cut at three gates.

What every observable is worth is known in closed form, so that exact values and error bars can be judged.
Run it from anywhere: ``python examples/cut_qaoa_ring.py``, with ``--shots 20000`` for a quick look.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import SamplerV2

import hyperfabric_q as hq

QUBITS, PARTS = 36, 3
GAMMA, BETA = 0.45, 0.4
SEED = 7


def ring(qubits: int) -> QuantumCircuit:
    """Return one layer of QAOA for the maximum cut of a ring."""
    circuit = QuantumCircuit(qubits, name=f"ring_{qubits}")
    circuit.h(range(qubits))
    for qubit in range(qubits):
        circuit.rzz(2 * GAMMA, qubit, (qubit + 1) % qubits)
    circuit.rx(2 * BETA, range(qubits))
    return circuit


def observables(qubits: int) -> list[SparsePauliOp]:
    """Return ZZ of all neighbours, then X of all qubits."""
    pairs = [("ZZ", [qubit, (qubit + 1) % qubits], 1.0) for qubit in range(qubits)]
    alone = [("X", [qubit], 1.0) for qubit in range(qubits)]
    return [SparsePauliOp.from_sparse_list([term], qubits) for term in [*pairs, *alone]]


def expected(qubits: int) -> np.ndarray:
    """Return what theory says of these observables."""
    pair, alone = math.sin(4 * BETA) * math.sin(4 * GAMMA) / 2, math.cos(2 * GAMMA) ** 2
    return np.array([pair] * qubits + [alone] * qubits)


def main() -> None:
    """Cut, and work the observables out exactly, from shots, and on two samplers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=200_000, help="shots over all circuits (default: 200000)")
    shots = parser.parse_args().shots

    plan = hq.cut(ring(QUBITS), max_qubits=QUBITS // PARTS, seed=SEED)
    print(plan.draw())

    wanted, truth = observables(QUBITS), expected(QUBITS)
    exact = plan.exact(wanted)
    print(f"\n{len(wanted)} observables exactly: at most {np.abs(exact.evs - truth).max():.1e} from theory")

    found = plan.estimate(wanted, shots=shots, seed=SEED)
    inside = int((np.abs(found.evs - truth) < 2 * found.stds).sum())
    print(f"{found.shots:,} shots of {found.variants} circuits: {inside} of {len(wanted)} within two standard errors")
    print(f"{found.labels[11]} lies across a cut: {found[11]}, theory {truth[11]:.4f}")

    small, few = hq.cut(ring(6), max_qubits=3, seed=SEED), observables(6)[:2]
    samplers = {0: SamplerV2(seed=1), 1: SamplerV2(seed=2)}
    measured = small.run(few, sampler=samplers, shots=10_000)
    print(f"\nA ring of 6 on two samplers, theory {expected(6)[0]:.4f}:\n{measured}")


if __name__ == "__main__":
    main()
