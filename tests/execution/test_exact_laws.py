"""Exact laws of noisy runs: measured twice, waiting with T2 beyond T1, settled flips, beside the emitted circuit."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from scipy.stats import chi2

import hyperfabric_q as hq
from hyperfabric_q.execution.channel import outcome_chances, outcome_law

SHOTS = 6000


def circuit_of(rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(3, 3)
    for _ in range(10):
        kind = rng.random()
        if kind < 0.45:
            circuit.u(*rng.uniform(-3, 3, 3), int(rng.integers(3)))
        elif kind < 0.85:
            circuit.cx(*map(int, rng.permutation(3)[:2]))
        else:
            qubit = int(rng.integers(3))
            circuit.measure(qubit, qubit)
            if rng.random() < 0.5:
                circuit.reset(qubit)
    circuit.measure(range(3), range(3))
    return circuit


@pytest.mark.parametrize("seed", range(8))
def test_laws_are_those_of_the_emitted_circuit_on_aer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t1 = float(rng.uniform(5, 50))
    fabric = hq.Fabric.line([2, 1], communication_qubits=1, pair_fidelity=0.9).replace(
        "nodes.*",
        t1_us=t1,
        t2_us=t1 * float(rng.uniform(0.5, 2)),
        gate_error_1q=0.001,
        gate_error_2q=float(rng.uniform(0, 0.02)),
        readout_error=0.02 if seed % 2 else 0.0,
    )
    plan = hq.plan(circuit_of(rng), fabric, seed=seed, time_limit_s=0)
    result = plan.run(SHOTS, seed=seed, method="dynamic")
    registers = plan.program.to_circuit().cregs
    chances = outcome_chances(plan, result.errors.mean, reported=registers)
    assert sum(chances.values()) == pytest.approx(1)
    expected = {key: SHOTS * chance for key, chance in chances.items() if SHOTS * chance >= 5}
    rest = SHOTS - sum(expected.values())
    seen = [(result.counts.get(key, 0) - mean) ** 2 / mean for key, mean in expected.items()]
    unexpected = SHOTS - sum(result.counts.get(key, 0) for key in expected)
    assert unexpected <= rest + 5 * np.sqrt(rest + 1)
    assert sum(seen) < chi2.ppf(1 - 1e-5, max(len(seen) - 1, 1))


def test_the_law_lists_outcomes_by_the_number_their_bits_spell() -> None:
    circuit = QuantumCircuit(3, 3)
    circuit.x(1)
    circuit.cx(1, 2)
    circuit.measure(range(3), range(3))
    plan = hq.plan(circuit, hq.Fabric.line([2, 1], communication_qubits=1), seed=1, time_limit_s=0)
    errors = plan.run(10, seed=1).errors.mean
    law = outcome_law(plan, errors, reported=plan.program.to_circuit().cregs)
    np.testing.assert_allclose(law, np.eye(8)[0b110], atol=1e-12)
