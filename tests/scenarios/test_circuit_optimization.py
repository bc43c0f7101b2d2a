import asyncio
import json

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

import hyperfabric_q as hq
from hyperfabric_q.errors import CircuitRejected, ImplicitEndpointWarning, InvalidValue, UnknownName
from hyperfabric_q.scenarios.catalogue import play
from hyperfabric_q.scenarios.circuit_optimization.parts import read_part
from hyperfabric_q.scenarios.circuit_optimization.pieces import (
    checks_of,
    create_large_quantum_circuit,
    merge_quantum_results,
    partition_circuit,
    qpu_fabric,
    quantum_coherence_time_constraint,
    serialize_quantum_circuit,
)
from hyperfabric_q.scenarios.circuit_optimization.setting import through_switches
from hyperfabric_q.scenarios.context import world


@pytest.fixture(scope="module")
def small():
    return play("circuit_optimization", size="small", seed=0)


def parts_of(circuit, count=3):
    return [serialize_quantum_circuit(part) for part in partition_circuit(circuit, count)]


def test_known_parities_hold_without_noise_and_less_with_it(small):
    assert small["mean parity without noise"] == 1
    assert 0.85 < small["mean parity"] < 1
    assert small["qubits without a place"] == 40 - 30
    assert small["qubits held after reuse"] == 30
    assert small["error of a mean of the chain, rms"] < 0.15


def test_what_is_impossible_is_said(small):
    said = {each.asked: each for each in small.verdicts}
    for asked in (
        "40 qubits at once on these QPUs",
        "part of the circuit on the photonic switch",
        "shots instead of Bell pairs between the parts",
    ):
        assert not said[asked].holds
        assert said[asked].remedy
    assert any("photonic-qpu-01" in note and "runs no gates" in note for note in small.notes)


def test_the_seed_decides_and_the_outcome_is_json(small):
    assert play("circuit_optimization", size="small", seed=0).digest == small.digest
    told = json.loads(json.dumps(small.to_dict()))
    assert told["schema"] == "hyperfabric_q/scenario/1"
    assert {each["origin"] for each in told["figures"]} <= {"simulated", "computed", "bound", "stated"}
    with world(seed=1):
        other = create_large_quantum_circuit(40)
    with world(seed=0):
        assert create_large_quantum_circuit(40) != other


def test_the_means_of_the_kicked_chain_are_those_of_its_state():
    with world(seed=5):
        circuit = create_large_quantum_circuit(6, family="kicked")
    state = Statevector(circuit.remove_final_measurements(inplace=False))
    for qubit, mean in enumerate(circuit.metadata["means"]):
        z = SparsePauliOp.from_sparse_list([("Z", [qubit], 1)], num_qubits=6)
        assert mean == pytest.approx(state.expectation_value(z).real, abs=1e-12)


def test_the_parities_of_the_cluster_are_those_of_its_state():
    with world(seed=6):
        circuit = create_large_quantum_circuit(9)
    state = Statevector(circuit.remove_final_measurements(inplace=False))
    checks, signs = checks_of(circuit)
    assert len(checks) == 5
    for check, sign in zip(checks, signs, strict=True):
        z = SparsePauliOp.from_sparse_list([("Z" * len(check), check, 1)], num_qubits=9)
        assert state.expectation_value(z).real == pytest.approx(sign)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_hold_each_instruction_once_and_make_the_whole(count):
    rng = np.random.default_rng(count)
    circuit = QuantumCircuit(7, 5)
    for _ in range(40):
        a, b = (int(each) for each in rng.permutation(7)[:2])
        circuit.rz(float(rng.normal()), a)
        circuit.cx(a, b)
    circuit.ccx(0, 3, 6)
    circuit.reset(2)
    circuit.measure([0, 2, 6], [4, 0, 1])
    read = [read_part(each) for each in parts_of(circuit, count)]
    assert sorted(place for part in read for place in part.places) == list(range(len(circuit.data)))
    assert sorted(qubit for part in read for qubit in part.qubits[: part.own]) == list(range(7))
    whole = merge_quantum_results(parts_of(circuit, count)[::-1], fabric=hq.Fabric(nodes=()), shots=10).circuit
    assert [(each.name, each.params) for each in whole.data] == [(each.name, each.params) for each in circuit.data]
    places = [
        [[some.find_bit(bit).index for bit in (*each.qubits, *each.clbits)] for each in some.data]
        for some in (whole, circuit)
    ]
    assert places[0] == places[1]


def test_without_bell_pairs_the_largest_qpu_runs_it_alone_and_without_qpus_nothing_runs():
    with world(seed=2):
        circuit = create_large_quantum_circuit(12)
    sent, linked = parts_of(circuit), qpu_fabric((6, 3))
    apart = hq.Fabric(nodes=linked.nodes)
    alone = merge_quantum_results(sent, fabric=apart, shots=100, seed=1)
    assert set(alone.plan.homes) == {"ibm-qpu-01"}
    assert alone.plan.ebits == 0
    assert alone.mean_parity(*checks_of(circuit)).value > 0.8
    assert alone.shortfall == 3
    assert any("no Bell pairs join the QPUs" in each for each in alone.told)
    switch = merge_quantum_results(sent, fabric=hq.Fabric(nodes=linked.nodes[2:]), seed=1)
    assert switch.result is None
    assert len(switch.bits) == 0
    assert any("no QPU" in each for each in switch.told)


def test_a_switch_joins_two_fibres_and_half_of_its_measurements_succeed():
    joined = through_switches(qpu_fabric((6, 3), channels=2))
    [link] = joined.links
    assert set(link.ends) == {"ibm-qpu-01", "google-qpu-01"}
    f = 0.995
    assert link.pair_fidelity == pytest.approx(f * f + (1 - f) ** 2 / 3)
    assert link.pair_rate_hz == pytest.approx(1e7 * 0.1 * 0.1 / 2, rel=1e-6)
    assert [node.node_id for node in joined.nodes] == ["ibm-qpu-01", "google-qpu-01"]


def test_parts_that_are_missing_altered_or_foreign_are_refused():
    with world(seed=3):
        one, other = parts_of(create_large_quantum_circuit(6)), parts_of(create_large_quantum_circuit(6))
    for wrong in (one[:2], [*one, one[0]], [one[0], one[1], other[2]], []):
        with pytest.raises(InvalidValue, match="all parts of one circuit"):
            merge_quantum_results(wrong)
    head, body = one[2].split(b"\n", 1)
    for name, value in (
        ("width", 10**12),
        ("own", 0),
        ("registers", [["c", 10**12]]),
        ("places", [0] * len(json.loads(head)["places"])),
    ):
        told = json.loads(head) | {name: value}
        with pytest.raises(InvalidValue, match=r"of one circuit|each instruction"):
            merge_quantum_results([*one[:2], json.dumps(told).encode() + b"\n" + body])
    for wrong in (b"no part", 10**12, b"{}\nx", None):
        with pytest.raises(InvalidValue, match="serialize_quantum_circuit"):
            read_part(wrong)
    with pytest.raises(CircuitRejected):
        read_part(one[0].split(b"\n", 1)[0] + b"\nOPENQASM 3.0; import os;")
    with pytest.raises(InvalidValue):
        partition_circuit(QuantumCircuit(2), num_parts=3)
    with pytest.raises(UnknownName):
        create_large_quantum_circuit(4, family="deep")
    controlled = QuantumCircuit(1, 1)
    with controlled.if_test((controlled.clbits[0], 1)):
        controlled.x(0)
    with pytest.raises(InvalidValue, match="controlled by classical bits"):
        partition_circuit(controlled, num_parts=1)


def test_the_plain_form_runs_with_an_endpoint_that_nobody_registered():
    nodes = qpu_fabric((6, 3)).nodes

    async def main():
        protocol = hq.HyperFabricProtocol(enable_quantum_optimization=True, enable_fault_tolerance=True)
        for node in nodes:
            protocol.register_node(node)
        parts = partition_circuit(create_large_quantum_circuit(qubits=12), num_parts=3)
        sends = [
            protocol.send_data(
                source="quantum-controller",
                destination=nodes[number].node_id,
                data=serialize_quantum_circuit(part),
                data_type=hq.DataType.QUANTUM_STATE,
                requires_quantum_entanglement=True,
                latency_constraint_ns=quantum_coherence_time_constraint(nodes[number]),
            )
            for number, part in enumerate(parts)
        ]
        return merge_quantum_results(await asyncio.gather(*sends), fabric=protocol.fabric, shots=50)

    with (
        pytest.warns(ImplicitEndpointWarning),
        pytest.warns(hq.errors.HyperFabricWarning, match="no qubits"),
        world(seed=4),
    ):
        merged = hq.run(main())
    assert merged.result.shots == 50
    assert "went to photonic-qpu-01" in "".join(merged.told)
    assert "12 qubits on 9" in str(merged)
    assert quantum_coherence_time_constraint(nodes[0]) == 10_000
    assert quantum_coherence_time_constraint(hq.NodeSignature("cpu", hq.HardwareType.CPU_SERVER, 1, 1)) is None


@pytest.mark.slow
def test_two_thousand_qubits_on_fifteen_hundred_places():
    found = play("circuit_optimization", size="full", seed=0)
    assert found["qubits without a place"] == 500
    assert found["mean parity without noise"] == 1
    assert 0.7 < found["mean parity"] < 0.95
    said = {each.asked: each.holds for each in found.verdicts}
    assert not said["uploads within a tenth of the coherence time"]
    assert not said["no qubit waits longer than 10 us in all"]
