"""``hq.plan``: from a circuit and a fabric to a counted and verified plan, or to an error that says what to do."""

import json

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2
from qiskit.circuit.library import XGate

import hyperfabric_q as hq
from hyperfabric_q.errors import (
    HyperFabricError,
    InvalidValue,
    NoQuantumPath,
    NotEnoughCommunicationQubits,
    NotEnoughQubits,
    UnknownName,
    UnsupportedOperation,
)

FABRIC = hq.Fabric.line([3, 3, 2], communication_qubits=2, pair_fidelity=0.97)


def ghz(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(1, qubits):
        circuit.cx(qubit - 1, qubit)
    return circuit


def qpu(name, **options):
    return hq.NodeSignature(name, hq.HardwareType.QUANTUM_QPU, 10.0, 100.0, **options)


def test_a_plan_is_counted_and_proved():
    plan = hq.plan(ghz(7), FABRIC, seed=1)
    assert plan.ebits == sum(plan.ebits_per_link.values()) == len(plan.packets) == 2
    assert dict(plan.ebits_per_link) == {("qpu-0", "qpu-1"): 1, ("qpu-1", "qpu-2"): 1}
    assert plan.equivalent == "proved"
    assert dict(plan.capacity) == {"qpu-0": 3, "qpu-1": 3, "qpu-2": 2}
    assert all(count <= 2 for count in plan.peak_copies.values())
    assert sorted(qubit for node in plan.capacity for qubit in plan.qubits_of(node)) == list(range(7))
    assert sum(packet.gates for packet in plan.packets) >= 2


def test_a_circuit_may_come_as_text_or_file(tmp_path):
    text = qasm2.dumps(ghz(7))
    path = tmp_path / "ghz.qasm"
    path.write_text(text)
    plans = [hq.plan(source, FABRIC, seed=1) for source in (ghz(7), text, path, str(path))]
    assert len({plan.ebits for plan in plans}) == 1
    assert len({plan.homes for plan in plans}) == 1


def test_the_seed_is_reported_and_reproduces_the_plan():
    first = hq.plan(ghz(7), FABRIC)
    again = hq.plan(ghz(7), FABRIC, seed=first.seed)
    assert again.homes == first.homes
    assert again.packets == first.packets
    assert again.lowered.circuit == first.lowered.circuit


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "7"])
def test_a_seed_that_is_no_seed_is_refused(seed):
    with pytest.raises(InvalidValue, match="seed"):
        hq.plan(ghz(3), FABRIC, seed=seed)


def test_a_plan_turns_into_json():
    plan = hq.plan(ghz(7), FABRIC, seed=1)
    facts = json.loads(json.dumps(plan.to_dict()))
    assert facts["schema"] == "hyperfabric_q/plan/1"
    assert facts["ebits"] == 2
    assert facts["homes"] == list(plan.homes)


def test_a_circuit_that_fits_one_node_uses_no_pair():
    plan = hq.plan(ghz(3), FABRIC)
    assert plan.ebits == 0
    assert len(set(plan.homes)) == 1


def test_the_qubits_of_a_node_nobody_knows_are_not_none():
    with pytest.raises(UnknownName, match=r"no QPU node is called 'qpu_1'\. Did you mean 'qpu-1'"):
        hq.plan(ghz(3), FABRIC, seed=1).qubits_of("qpu_1")


# --------------------------------------------------------------------------------------------------------------- homes


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda names: dict(enumerate(names))])
def test_pinned_homes_are_kept(form):
    names = ["qpu-2", "qpu-0", "qpu-1", "qpu-0"]
    plan = hq.plan(ghz(4), FABRIC, homes=form(names))
    assert plan.homes == tuple(names)
    assert plan.equivalent == "proved"


@pytest.mark.parametrize(
    "homes",
    [
        [],
        ["qpu-0"] * 3,
        ["qpu-0"] * 5,
        {0: "qpu-0", 1: "qpu-0", 2: "qpu-0"},
        {0: "qpu-0", 1: "qpu-0", 2: "qpu-0", 9: "qpu-1"},
        {"0": "qpu-0", 1: "qpu-0", 2: "qpu-0", 3: "qpu-0"},
        {"a": "qpu-0"},
        5,
        4.0,
    ],
    ids=str,
)
def test_homes_must_name_a_node_for_every_qubit(homes):
    with pytest.raises(InvalidValue, match=r"it must name one node for each of the qubits 0\.\.3"):
        hq.plan(ghz(4), FABRIC, homes=homes)


def test_a_misspelt_home_names_the_nearest_node():
    with pytest.raises(UnknownName, match=r"'qpu_1'\. Did you mean 'qpu-1'\?"):
        hq.plan(ghz(4), FABRIC, homes=["qpu-0", "qpu-0", "qpu_1", "qpu-1"])


@pytest.mark.parametrize("name", [None, 3, ["qpu-0"]])
def test_a_home_that_is_no_name_is_refused(name):
    with pytest.raises(UnknownName):
        hq.plan(ghz(2), FABRIC, homes=["qpu-0", name])


def test_homes_that_overfill_a_node_are_refused():
    with pytest.raises(InvalidValue, match=r"4 qubits on 'qpu-0'.*that node has 3 data qubits"):
        hq.plan(ghz(4), FABRIC, homes=["qpu-0"] * 4)


def test_homes_on_nodes_that_no_link_joins_have_no_path():
    fabric = hq.Fabric(nodes=(qpu("a", compute_units=2), qpu("b", compute_units=2)))
    with pytest.raises(NoQuantumPath, match="declares one"):
        hq.plan(ghz(2), fabric, homes=["a", "b"])
    assert hq.plan(QuantumCircuit(2), fabric, homes=["a", "b"]).ebits == 0


def test_homes_across_a_node_that_cannot_relay_say_what_to_raise():
    fabric = hq.Fabric.line([1, 1, 1], communication_qubits=1, pair_fidelity=0.9)
    with pytest.raises(NotEnoughCommunicationQubits, match="Raise communication_qubits of 'qpu-1' to 2"):
        hq.plan(ghz(2), fabric, homes=["qpu-0", "qpu-2"])


# ------------------------------------------------------------------------------------------------------------ refusals


def test_too_few_qubits_are_counted():
    fabric = hq.Fabric.full([1000, 500], pair_fidelity=0.97)
    with pytest.raises(NotEnoughQubits, match=r"2000 data qubits.*1500.*500 too few") as caught:
        hq.plan(QuantumCircuit(2000), fabric)
    assert dict(caught.value.available) == {"qpu-0": 1000, "qpu-1": 500}


def test_a_fabric_without_qpu_nodes_is_too_small():
    with pytest.raises(NotEnoughQubits, match="no QPU node"):
        hq.plan(ghz(2), hq.Fabric())


def test_a_node_that_does_not_state_its_qubits_counts_only_when_it_is_not_needed():
    fabric = hq.Fabric(nodes=(qpu("a", compute_units=3), qpu("b")))
    assert set(hq.plan(ghz(3), fabric).homes) == {"a"}
    with pytest.raises(InvalidValue, match=r"compute_units of 'b' = None.*The circuit has 4 qubits"):
        hq.plan(ghz(4), fabric)
    with pytest.raises(UnknownName):
        hq.plan(ghz(2), fabric, homes=["a", "b"])


def test_quantum_links_are_never_implied():
    fabric = FABRIC.replace("links.*", pair_fidelity=None)
    with pytest.raises(NoQuantumPath, match="Quantum links are never implied"):
        hq.plan(ghz(7), fabric)


def test_more_nodes_than_a_copy_set_can_name_are_refused():
    fabric = hq.Fabric.full([1] * 63, pair_fidelity=0.9)
    with pytest.raises(InvalidValue, match="at most 62 QPU nodes"):
        hq.plan(ghz(2), fabric)


def test_what_cannot_be_distributed_is_named():
    circuit = ghz(3)
    circuit.delay(5, 0)
    with pytest.raises(UnsupportedOperation, match=r"'delay' .instruction 3"):
        hq.plan(circuit, FABRIC)


def test_an_unknown_check_is_refused():
    with pytest.raises(HyperFabricError, match="provd"):
        hq.plan(ghz(4), FABRIC, verify="provd")


def test_skipping_verification_says_so():
    assert hq.plan(ghz(7), FABRIC, verify="skipped").equivalent == "skipped"


def test_users_classical_registers_survive():
    circuit = QuantumCircuit(4, 2)
    circuit.h(0)
    circuit.cx(0, 3)
    circuit.measure([0, 3], [0, 1])
    plan = hq.plan(circuit, FABRIC)
    assert plan.lowered.circuit.cregs[0] == circuit.cregs[0]
    assert plan.equivalent == "proved"


def test_an_annotated_gate_on_many_qubits_is_planned_and_proved():
    circuit = QuantumCircuit(5)
    circuit.h(range(5))
    circuit.append(XGate().control(3, annotated=True), [0, 1, 2, 4])
    plan = hq.plan(circuit, hq.Fabric.full([3, 3]), seed=1)
    assert plan.equivalent == "proved"


def test_qubits_move_where_that_saves_pairs():
    circuit = hq.families.quantum_volume(8, seed=3)
    fabric = hq.Fabric.full([5, 5], communication_qubits=None)
    still = hq.plan(circuit, fabric, seed=1, time_limit_s=0)
    moving = hq.plan(circuit, fabric, seed=1)
    assert still.moves == 0 < moving.moves
    assert moving.ebits < still.ebits
    assert moving.equivalent == "proved"
    assert sum(packet.moves for packet in moving.packets) == moving.to_dict()["moves"]
    assert "moves the qubit" in moving.draw()
    assert "Where the qubits start" in moving.draw()


def test_the_search_gives_the_same_plan_for_the_same_seed():
    circuit = hq.families.quantum_volume(6, seed=3)
    plans = [hq.plan(circuit, hq.Fabric.full([4, 4]), seed=5, time_limit_s=0.5) for _ in range(2)]
    assert plans[0].distributed_circuit == plans[1].distributed_circuit


def test_a_bound_proves_a_chain_optimal_and_never_exceeds_a_plan():
    chain = hq.plan(hq.families.ghz(9), hq.Fabric.line([3, 3, 3]), seed=1)
    assert chain.lower_bound(time_limit_s=0).value == chain.ebits == 2
    fourier = hq.plan(hq.families.qft(6), hq.Fabric.full([3, 3]), seed=1)
    assert fourier.lower_bound(time_limit_s=5).value <= fourier.ebits


def test_a_plan_stands_on_the_clock_of_its_fabric():
    fabric = hq.Fabric.line([2, 2], communication_qubits=1).replace(
        "links.*", pair_rate_hz=1e4, pair_attempt_ns=1_000, pair_fidelity=0.95
    )
    plan = hq.plan(hq.families.ghz(4), fabric, seed=1)
    table = plan.schedule()
    assert len(table.pairs.link) == plan.ebits == 1
    assert table.makespan_ps >= 100_000_000  # one pair in a hundred attempts of a microsecond
    assert 0 < table.infidelity < 1


@pytest.mark.parametrize("limit", [-1, float("nan"), "5", True])
def test_a_time_limit_is_a_number_of_seconds(limit):
    with pytest.raises(InvalidValue, match="time_limit_s"):
        hq.plan(hq.families.ghz(4), hq.Fabric.line([2, 2]), time_limit_s=limit)


def test_the_mapping_of_any_compiler_is_scored_by_the_same_replay():
    circuit = hq.families.cuccaro_adder(3)
    fabric = hq.Fabric.full([4, 4])
    ours = hq.plan(circuit, fabric, seed=1, time_limit_s=0)
    theirs = hq.evaluate(circuit, fabric, homes=ours.homes)
    assert theirs.equivalent == "proved"
    assert theirs.ebits >= ours.ebits
    worst = hq.evaluate(circuit, fabric, homes=[f"qpu-{qubit % 2}" for qubit in range(circuit.num_qubits)])
    assert worst.ebits > theirs.ebits
    assert worst.schedule().makespan_ps >= 0


@pytest.mark.parametrize("name", ["blocks", "multilevel", "search", "exact"])
def test_a_partitioner_may_be_named(name):
    plan = hq.plan(hq.families.qft(5), hq.Fabric.full([3, 3]), seed=1, partitioner=name, time_limit_s=0.2)
    assert plan.start == name
    assert plan.equivalent == "proved"
    assert plan.ebits >= 2


def test_an_unknown_partitioner_is_refused():
    with pytest.raises(UnknownName, match="partitioner"):
        hq.plan(hq.families.ghz(4), hq.Fabric.line([2, 2]), partitioner="luck")
