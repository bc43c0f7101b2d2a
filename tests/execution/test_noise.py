"""Closed forms of single errors, measured on Aer: an error that does not attach, or attaches twice, fails here."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.quantum_info import Choi, SuperOp, average_gate_fidelity
from qiskit_aer.noise import depolarizing_error

from hyperfabric_q.distribution.lower import BellPairGate
from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.execution import noise
from hyperfabric_q.execution.clock_noise import fresh_errors
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.sample import sample
from hyperfabric_q.fabric import Fabric, Link

SHOTS = 15_000


def share(circuit, outcome, *, node_of, fabric, kind=Noise.FABRIC):
    errors = fresh_errors(circuit, node_of, fabric, kind)
    found = sample(circuit, node_of=node_of, fabric=fabric, noise=errors, shots=SHOTS, seed=11, reported=circuit.cregs)
    return found.counts.get(outcome, 0) / SHOTS


def close(p):
    return pytest.approx(p, abs=5 * np.sqrt(max(p * (1 - p), 1e-4) / SHOTS))


def one_node(**figures):
    return Fabric.full([4]).replace("nodes.*", **figures)


@pytest.mark.parametrize(("infidelity", "qubits"), [(0.01, 1), (0.4, 1), (0.02, 2), (0.75, 2)])
def test_depolarising_parameter_gives_that_average_infidelity(infidelity, qubits):
    error = depolarizing_error(noise.depolarising_parameter(infidelity, qubits=qubits), qubits)
    assert 1 - average_gate_fidelity(SuperOp(error)) == pytest.approx(infidelity, abs=1e-9)


@pytest.mark.parametrize(("infidelity", "qubits"), [(0.7, 1), (0.81, 2), (-0.1, 1), (float("nan"), 2)])
def test_infidelity_no_depolarising_channel_has_is_refused(infidelity, qubits):
    with pytest.raises(InvalidValue, match=f"gate_error_{qubits}q"):
        noise.depolarising_parameter(infidelity, qubits=qubits)


@pytest.mark.parametrize("gates", [1, 5, 20])
@pytest.mark.parametrize("gate", ["x", "u"])
def test_one_qubit_errors_decay_exponentially(gate, gates):
    r = 0.02
    circuit = QuantumCircuit(1, 1)
    for _ in range(2 * gates):
        circuit.x(0) if gate == "x" else circuit.u(np.pi, 0.3, 0.3 + np.pi, 0)
    circuit.measure(0, 0)
    survive = (1 + (1 - 2 * r) ** (2 * gates)) / 2
    fabric = one_node(gate_error_1q=r)
    assert share(circuit, "0", node_of=["qpu-0"], fabric=fabric) == close(survive)
    assert share(circuit, "0", node_of=["qpu-0"], fabric=fabric, kind=Noise.LINKS) == 1


@pytest.mark.parametrize("wires", [(0, 1), (1, 0)])
def test_two_qubit_errors_attach_in_either_order_of_the_wires(wires):
    r = 0.03
    circuit = QuantumCircuit(2, 2)
    for _ in range(4):
        circuit.cp(0.7, *wires)
    circuit.measure([0, 1], [0, 1])
    kept = (1 - 4 * r / 3) ** 4
    found = share(circuit, "00", node_of=["qpu-0"] * 2, fabric=one_node(gate_error_2q=r))
    assert found == close(kept + (1 - kept) / 4)


def test_readout_error_flips_every_measured_bit():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    found = share(circuit, "01", node_of=["qpu-0"] * 2, fabric=one_node(readout_error=0.1))
    assert found == close(0.9**2)


def test_misread_of_a_qubit_that_goes_on_leaves_the_qubit():
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    fabric = one_node(readout_error=0.1)
    assert noise.misread_wires(circuit, ["qpu-0"], fabric) == {circuit.qubits[0]: 0.1}
    # Independent misreads: had the first one flipped the qubit, the two bits would agree far more often.
    assert share(circuit, "11", node_of=["qpu-0"], fabric=fabric) == close(0.81)
    assert share(circuit, "00", node_of=["qpu-0"], fabric=fabric) == close(0.01)


def test_correction_errs_only_when_it_is_applied():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    r = 0.15
    fabric = Fabric.full([1, 1]).replace("nodes.qpu-1", gate_error_1q=r)
    assert share(circuit, "10", node_of=["qpu-0", "qpu-1"], fabric=fabric) == 0
    # lam / 2 = r of the applied flips are undone.
    assert share(circuit, "11", node_of=["qpu-0", "qpu-1"], fabric=fabric) == close((1 - r) / 2)


def pair_circuit():
    circuit = QuantumCircuit(2, 2)
    circuit.append(BellPairGate(), [0, 1])
    return circuit


@pytest.mark.parametrize(
    ("basis", "even"), [("z", lambda w: w[0] + w[3]), ("x", lambda w: w[0] + w[1]), ("y", lambda w: w[1] + w[3])]
)
def test_pair_carries_the_bell_diagonal_weights_of_its_link(basis, even):
    weights = (0.7, 0.17, 0.03, 0.1)
    fabric = Fabric(nodes=Fabric.full([1, 1]).nodes, links=(Link("qpu-0", "qpu-1", pair_weights=weights),))
    circuit = pair_circuit()
    for wire in (0, 1):
        if basis == "y":
            circuit.sdg(wire)
        if basis != "z":
            circuit.h(wire)
    circuit.measure([0, 1], [0, 1])
    node_of = ["qpu-0", "qpu-1"]
    agree = sum(share(circuit, key, node_of=node_of, fabric=fabric, kind=Noise.LINKS) for key in ("00", "11"))
    assert agree == close(even(weights))


def test_pair_itself_bears_no_local_noise_and_a_perfect_pair_none_at_all():
    circuit = pair_circuit()
    fabric = Fabric.full([1, 1]).replace("nodes.*", gate_error_1q=0.3, gate_error_2q=0.3)
    assert noise.with_local_noise(circuit, ["qpu-0", "qpu-1"], fabric) == circuit
    for kind in (Noise.FABRIC, Noise.LINKS):
        perfect = fresh_errors(circuit, ["qpu-0", "qpu-1"], fabric, kind)
        assert noise.with_run_noise(circuit, perfect) == circuit


def test_pair_between_unlinked_nodes_is_an_internal_error():
    with pytest.raises(InternalError, match="share no link"):
        fresh_errors(pair_circuit(), ["qpu-0", "qpu-2"], Fabric.line([1, 1, 1]), Noise.LINKS)


def test_inputs_are_left_alone():
    circuit = pair_circuit()
    circuit.measure([0, 1], [0, 1])
    before = circuit.copy()
    noise.with_local_noise(circuit, ["qpu-0", "qpu-1"], Fabric.full([1, 1]).replace("nodes.*", readout_error=0.2))
    fabric = Fabric.full([1, 1], pair_fidelity=0.8)
    noise.with_run_noise(circuit, fresh_errors(circuit, ["qpu-0", "qpu-1"], fabric, Noise.LINKS))
    assert circuit == before


def test_errors_are_channels_on_the_wires_of_their_instruction():
    circuit = QuantumCircuit(3)
    circuit.h(1)
    circuit.cz(2, 0)
    noisy = noise.with_local_noise(circuit, ["qpu-0"] * 3, one_node(gate_error_1q=0.1, gate_error_2q=0.2))
    placed = [(step.operation.name, [noisy.find_bit(wire).index for wire in step.qubits]) for step in noisy.data]
    assert placed == [("h", [1]), (noise.CHANNEL, [1]), ("cz", [2, 0]), (noise.CHANNEL, [2, 0])]
    assert all(isinstance(step, CircuitInstruction) for step in noisy.data)
    assert Choi(SuperOp(noisy.data[1].operation)).is_cptp()
