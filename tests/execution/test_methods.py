"""Every way to simulate a circuit agrees with the independent oracle: Aer's own noise model, keyed by gate name."""

import re

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.circuit.library import CXGate, HGate
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error, pauli_error

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution import methods, noise
from hyperfabric_q.execution.aer import run_counts
from hyperfabric_q.execution.fidelity import hellinger_fidelity_of_samples
from hyperfabric_q.execution.sample import spell
from hyperfabric_q.fabric import Fabric

SHOTS = 5000
ERRORS = {"gate_error_1q": 0.01, "gate_error_2q": 0.03, "readout_error": 0.04}


def brickwork(qubits, layers, seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            circuit.u(*rng.random(3) * np.pi, qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cp(rng.random() * np.pi, qubit, qubit + 1)
    circuit.measure(range(qubits), range(qubits))
    return circuit


def ghz(qubits):
    circuit = QuantumCircuit(qubits, qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(range(qubits), range(qubits))
    return circuit


def noisy(plan):
    lowered, fabric = plan.lowered, plan.fabric
    circuit = noise.with_pair_noise(lowered.circuit, lowered.node_of, fabric)
    return noise.with_local_noise(circuit, lowered.node_of, fabric)


def counts(way, reported, seed):
    index = {bit: position for position, bit in enumerate(way.circuit.clbits)}
    raw = run_counts(way.circuit, shots=SHOTS, seed=seed, method=way.method)
    return spell(raw, [[index[bit] for bit in register] for register in reported])


def by_gate_name(plan, weights):
    """The emitted circuit as it stands, under an Aer noise model keyed by gate name and wire."""
    lowered = plan.lowered
    circuit = lowered.circuit.copy_empty_like()
    for step in lowered.circuit.data:
        if step.operation.name != "bell_pair":
            circuit.append(step)
            continue
        a, b = step.qubits
        # A label that the model does not know keeps its errors off these two gates.
        circuit.append(CircuitInstruction(HGate(label="pair"), [a]))
        circuit.append(CircuitInstruction(CXGate(label="pair"), [a, b]))
        circuit.append(pauli_error(list(zip("IXYZ", weights, strict=True))).to_instruction(), [b])
    model = NoiseModel()
    one = depolarizing_error(2 * ERRORS["gate_error_1q"], 1)
    two = depolarizing_error(4 / 3 * ERRORS["gate_error_2q"], 2)
    e = ERRORS["readout_error"]
    for a in range(circuit.num_qubits):
        model.add_quantum_error(one, ["u", "p", "h", "x", "z"], [a])
        model.add_readout_error(ReadoutError([[1 - e, e], [e, 1 - e]]), [a])
        for b in range(circuit.num_qubits):
            if a != b:
                model.add_quantum_error(two, ["cz", "cp", "cx"], [a, b])
    result = AerSimulator(method="statevector", noise_model=model, seed_simulator=5).run(circuit, shots=SHOTS).result()
    found: dict[str, int] = {}
    for key, hits in result.get_counts().items():
        user = key.split()[-1]
        found[user] = found.get(user, 0) + hits
    return found


def same(a, b):
    found = hellinger_fidelity_of_samples(a, b)
    return found.raw > found.perfect - 5 * found.stderr


@pytest.mark.parametrize("clifford", [False, True])
def test_every_way_agrees_with_aers_own_noise_model(plan_of, clifford):
    fabric = Fabric.line([1, 1, 1], communication_qubits=2, pair_fidelity=0.8).replace("nodes.*", **ERRORS)
    plan = plan_of(ghz(3) if clifford else brickwork(3, 3, 8), fabric, ["qpu-0", "qpu-1", "qpu-2"])
    reported = plan.program.to_circuit().cregs
    found = {
        way.method: counts(way, reported, seed)
        for seed, way in enumerate(methods.ways(noisy(plan), shots=SHOTS, reported=reported, misread={}))
    }
    assert set(found) == {"statevector", "density_matrix"} | ({"stabilizer"} if clifford else set())
    oracle = by_gate_name(plan, (0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3))
    for sampled in found.values():
        assert same(sampled, oracle)
    # The comparison can fail: without noise the samples differ.
    quiet = counts(methods.choose(plan.lowered.circuit, shots=SHOTS, reported=reported), reported, 9)
    assert not same(quiet, oracle)


def test_noiseless_feed_forward_is_sampled_from_one_state(plan_of):
    plan = plan_of(brickwork(4, 3, 1), Fabric.full([2, 2]), ["qpu-0"] * 2 + ["qpu-1"] * 2)
    reported = plan.program.to_circuit().cregs
    way = methods.choose(plan.lowered.circuit, shots=SHOTS, reported=reported)
    assert way.method == "statevector"
    assert {"measure", "cx"} <= set(way.circuit.count_ops())
    assert {"if_else", "reset"}.isdisjoint(way.circuit.count_ops())


def test_nodes_that_communicate_in_turn_share_wires(plan_of):
    fabric = Fabric.line([1] * 6, communication_qubits=2, pair_fidelity=0.9)
    circuit = QuantumCircuit(6, 6)
    for qubit in range(5):
        circuit.rx(0.3, qubit)
        circuit.cp(0.7, qubit, qubit + 1)
    circuit.measure(range(6), range(6))
    plan = plan_of(circuit, fabric, [f"qpu-{node}" for node in range(6)])
    way = methods.choose(noisy(plan), shots=100, reported=circuit.cregs)
    assert plan.lowered.circuit.num_qubits >= 11
    assert way.circuit.num_qubits <= 8


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda circuit: circuit.h(0), "a measured qubit is used on"),
        (lambda circuit: circuit.if_test((circuit.clbits[0], 1)), "a reported bit controls something"),
    ],
)
def test_what_cannot_be_deferred_is_run_shot_by_shot(spoil, why):
    circuit = QuantumCircuit(2, 2)
    circuit.rx(0.3, 0)
    circuit.measure(0, 0)
    block = spoil(circuit)
    if "controls" in why:
        with block:
            circuit.x(1)
    circuit.measure([0, 1] if "controls" not in why else 1, [0, 1] if "controls" not in why else 1)
    assert [way.method for way in methods.ways(circuit, shots=9, reported=circuit.cregs, misread={})] == ["statevector"]


def test_too_wide_a_circuit_is_refused_with_its_sizes_and_the_way_out(plan_of):
    circuit = QuantumCircuit(26, 26)
    for qubit in range(26):
        circuit.rx(0.3, qubit)
    for qubit in range(13):
        circuit.cp(0.3, qubit, qubit + 13)
        circuit.rx(0.3, qubit)
    circuit.measure(range(26), range(26))
    homes = ["qpu-0"] * 13 + ["qpu-1"] * 13
    plan = plan_of(circuit, Fabric.full([13, 13], communication_qubits=2, pair_fidelity=0.9), homes)
    with pytest.raises(SimulationRefused, match=r"26 data and \d+ communication qubits.*hours.*communication_qubits"):
        methods.choose(noisy(plan), shots=10_000, reported=circuit.cregs)


def test_more_data_qubits_than_a_state_vector_holds_are_refused_unless_clifford():
    circuit = QuantumCircuit(40, 40)
    circuit.h(range(40))
    circuit.cz(range(39), range(1, 40))
    circuit.measure(range(40), range(40))
    assert methods.choose(circuit, shots=10, reported=circuit.cregs).method == "stabilizer"
    tilted = QuantumCircuit(40, 40)
    tilted.rx(0.1, range(40))
    tilted.cz(range(39), range(1, 40))
    tilted.rx(0.1, range(40))
    tilted.measure(range(40), range(40))
    with pytest.raises(SimulationRefused) as refused:
        methods.choose(tilted, shots=10, reported=tilted.cregs)
    assert re.search(r"40 qubits.*16,384 GiB.*at most 28.*data qubits alone", str(refused.value))
