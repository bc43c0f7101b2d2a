"""The same circuit from Qiskit, from Cirq and as OpenQASM text: each is planned over two QPUs and run."""

from __future__ import annotations

from itertools import pairwise

import cirq
from qiskit import QuantumCircuit

import hyperfabric_q as hq

OPENQASM = """
OPENQASM 3.0;
include "stdgates.inc";
qubit[4] q;
bit[4] c;
h q[0];
cx q[0], q[1];
cx q[1], q[2];
cx q[2], q[3];
c = measure q;
"""


def from_qiskit() -> QuantumCircuit:
    """Return a four-qubit GHZ state, measured."""
    circuit = QuantumCircuit(4, 4, name="qiskit")
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(range(4), range(4))
    return circuit


def from_cirq() -> cirq.Circuit:
    """Return the same in Cirq."""
    qubits = cirq.LineQubit.range(4)
    return cirq.Circuit(
        cirq.H(qubits[0]),
        *(cirq.CNOT(a, b) for a, b in pairwise(qubits)),
        cirq.measure(*qubits, key="c"),
    )


def main() -> None:
    """Plan and run the circuit in its three forms."""
    fabric = hq.Fabric.line([2, 2], communication_qubits=1, pair_fidelity=0.97)
    for name, circuit in {"Qiskit": from_qiskit(), "Cirq": from_cirq(), "OpenQASM": OPENQASM.lstrip()}.items():
        plan = hq.plan(circuit, fabric, seed=1)
        result = plan.run(400, noise="links", seed=1)
        print(f"{name:<9} {plan}")
        print(f"{'':<9} {result}")


if __name__ == "__main__":
    main()
