"""What is refused, and what the refusal says: each message names what was asked, what was found and what to do."""

from __future__ import annotations

from collections.abc import Callable

from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.errors import HyperFabricError


def too_many_qubits() -> object:
    """Ten qubits on eight."""
    return hq.plan(hq.families.ghz(10), hq.Fabric.full([4, 4]))


def no_quantum_link() -> object:
    """Two QPUs that only a classical link joins."""
    fabric = hq.Fabric(
        nodes=hq.Fabric.full([3, 3]).nodes,
        links=(hq.Link("qpu-0", "qpu-1", bandwidth_gbps=100),),
    )
    return hq.plan(hq.families.ghz(5), fabric)


def too_few_communication_qubits() -> object:
    """A line whose middle node cannot pass a copy on, because it has one communication qubit."""
    chain = QuantumCircuit(2)
    chain.cx(0, 1)
    fabric = hq.Fabric.line([1, 1, 1], communication_qubits=1)
    return hq.plan(chain, fabric, homes=["qpu-0", "qpu-2"])


def unsupported_operation() -> object:
    """A loop that ends when a measurement says so: no plan knows how many Bell pairs it will take."""
    circuit = QuantumCircuit(2, 1)
    with circuit.while_loop((circuit.clbits[0], 0)):
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure(1, 0)
    return hq.plan(circuit, hq.Fabric.full([1, 1]))


def malformed_text() -> object:
    """OpenQASM with a semicolon missing."""
    return hq.plan('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0]\ncx q[0],q[1];\n', hq.Fabric.full([1, 1]))


def impossible_fidelity() -> object:
    """A pair below the fidelity 1/4 of the completely mixed state; entangled it would be only above 1/2."""
    return hq.Fabric.line([2, 2], pair_fidelity=0.1)


def misspelt_node() -> object:
    """A qubit pinned to a node that does not exist."""
    return hq.plan(hq.families.ghz(2), hq.Fabric.full([1, 1]), homes=["qpu-0", "qpu1"])


def too_wide_to_simulate() -> object:
    """Planning 40 qubits is easy; a state vector of them is out of reach, and of every Bell pair beside them too."""
    plan = hq.plan(hq.families.qft(40), hq.Fabric.full([11] * 4), verify="skipped", seed=1)
    return plan.run(100, method="dynamic")


REFUSED: tuple[Callable[[], object], ...] = (
    too_many_qubits,
    no_quantum_link,
    too_few_communication_qubits,
    unsupported_operation,
    malformed_text,
    impossible_fidelity,
    misspelt_node,
    too_wide_to_simulate,
)


def main() -> None:
    """Ask for each impossible thing and print the answer."""
    for attempt in REFUSED:
        asked = (attempt.__doc__ or "").strip()
        try:
            answer = f"accepted: {attempt()!r}"
        except HyperFabricError as fault:
            answer = f"{type(fault).__name__}: {fault}"
        print(f"{asked}\n    {answer}\n")


if __name__ == "__main__":
    main()
