"""A circuit of forty qubits that no node can hold: cut where the link is poor, teleported where it is good."""

from __future__ import annotations

import pytest
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

import hyperfabric_q as hq
from hyperfabric_q.cutting.observables import read_observables

QUBITS = 40
OBSERVABLES = ["ZZ@9,10", "ZZ@19,20", "Z@0", "ZZ@20,30"]


def chain() -> QuantumCircuit:
    circuit = QuantumCircuit(QUBITS, name="ising_40")
    for qubit in range(QUBITS):
        circuit.rx(0.5 + 0.02 * qubit, qubit)
    for first in (0, 1):
        for qubit in range(first, QUBITS - 1, 2):
            circuit.rzz(0.12 if qubit == 19 else 0.35, qubit, qubit + 1)
    for qubit in range(QUBITS):
        circuit.rx(0.7, qubit)
    return circuit


def reference(circuit: QuantumCircuit) -> list[float]:
    """The exact values, by Aer's matrix-product state of the whole circuit."""
    whole = circuit.copy()
    for number, each in enumerate(read_observables(OBSERVABLES, QUBITS)):
        whole.save_expectation_value(each, list(range(QUBITS)), label=str(number))
    data = AerSimulator(method="matrix_product_state").run(whole).result().data()
    return [float(data[str(number)]) for number in range(len(OBSERVABLES))]


@pytest.mark.slow
def test_a_mixed_plan_estimates_what_a_matrix_product_state_gives() -> None:
    fabric = hq.Fabric.line([12, 12, 12, 12], communication_qubits=2, pair_fidelity=0.97)
    fabric = fabric.replace("links.qpu-1--qpu-2", pair_fidelity=0.7)
    plan = hq.plan(chain(), fabric, shots=20_000, observables=OBSERVABLES, seed=1)
    kinds = {each.kind for each in plan.crossings}
    assert kinds == {"gate cut", "assisted TeleGate"}  # all three crossings are served, in two ways
    answers = plan.run(seed=3)
    for found, true in zip(answers, reference(chain()), strict=True):
        assert abs(found.value - true) <= 3 * found.stderr
        assert found.stderr < 0.03
