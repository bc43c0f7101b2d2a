import json

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution import compare, run
from hyperfabric_q.fabric import Fabric

SHOTS = 10_000


def ghz(qubits):
    circuit = QuantumCircuit(qubits, qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(range(qubits), range(qubits))
    return circuit


@pytest.fixture(scope="module")
def compared(plan_of):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.8)
    fabric = fabric.replace("nodes.qpu-0", gate_error_2q=0.02).replace("nodes.qpu-1", gate_error_2q=0.1)
    return compare(run(plan_of(ghz(2), fabric, ["qpu-0", "qpu-1"]), shots=SHOTS, seed=2))


def test_undistributed_gate_between_homes_has_the_worse_error_and_no_pair(compared):
    # One CZ of depolarising parameter 4/3 0.1 in all: half of what it scrambles lands on the odd outcomes.
    odd = sum(compared.undistributed.get(key, 0) for key in ("01", "10")) / SHOTS
    expected = 4 / 3 * 0.1 / 2
    assert odd == pytest.approx(expected, abs=5 * np.sqrt(expected / SHOTS))


def test_distribution_costs_what_its_pair_and_its_gates_cost(compared):
    # Parity survives the pair (2/3 of its errors flip it), the local CX at qpu-0 and the CZ at qpu-1.
    signs = (1 - 4 / 3 * 0.2) * (1 - 4 / 3 * 0.02) * (1 - 4 / 3 * 0.1)
    odd = sum(compared.distributed.get(key, 0) for key in ("01", "10")) / SHOTS
    expected = (1 - signs) / 2
    assert odd == pytest.approx(expected, abs=5 * np.sqrt(expected / SHOTS))
    assert compared.distributed_fidelity.value < compared.undistributed_fidelity.value < 1


@pytest.mark.parametrize("noise", ["none", "links"])
def test_without_local_noise_the_undistributed_run_is_perfect(plan_of, noise):
    fabric = Fabric.full([2, 1], communication_qubits=1, pair_fidelity=0.7).replace("nodes.*", gate_error_2q=0.1)
    result = run(plan_of(ghz(3), fabric, ["qpu-0", "qpu-0", "qpu-1"]), shots=2000, noise=noise, seed=2)
    found = compare(result)
    assert found.undistributed_fidelity.is_perfect
    assert found.distributed_fidelity.is_perfect == (noise == "none")
    assert found.undistributed != found.distributed


def test_columns_share_their_keys_when_the_circuit_measures_nothing(plan_of):
    circuit = ghz(2).remove_final_measurements(inplace=False)
    found = compare(run(plan_of(circuit, Fabric.full([1, 1]), ["qpu-0", "qpu-1"]), shots=100, seed=2))
    assert set(found.ideal) == set(found.distributed) == set(found.undistributed) == {"00", "11"}


def test_text_is_a_table_with_bars_and_the_likely_outcomes_first(compared):
    lines = str(compared).splitlines()
    assert lines[0].split() == ["outcome", "ideal", "distributed", "undistributed"]
    assert [line.split()[0] for line in lines[2:4]] == ["00", "11"]
    assert lines[-2].startswith("fidelity")
    assert lines[-2].count("±") == 2
    assert "10000 shots" in lines[-1]
    assert max(map(len, lines)) < 100
    assert compared.outcomes[:2] == ("00", "11")


def test_to_dict_is_json_with_a_schema(compared):
    read = json.loads(json.dumps(compared.to_dict()))
    assert read["schema"] == "hyperfabric_q/comparison/1"
    assert read["undistributed_fidelity"]["kind"] == "hellinger"


def test_same_result_compares_the_same(plan_of, compared):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.8)
    result = run(plan_of(ghz(2), fabric, ["qpu-0", "qpu-1"]), shots=300, seed=2)
    assert compare(result) == compare(result)
    assert result.compare() == compare(result)
    assert compare(result) != compared


def test_ideal_out_of_reach_is_refused_and_the_result_stands(plan_of):
    circuit = QuantumCircuit(30, 30)
    circuit.h(range(30))
    for turn in range(1, 30):
        circuit.cz(range(30 - turn), range(turn, 30))
    circuit.h(range(30))
    circuit.measure(range(30), range(30))
    result = run(plan_of(circuit, Fabric.full([30]), ["qpu-0"] * 30), shots=5, noise="none", seed=2)
    assert result.measured_fidelity is None
    assert "None" in repr(result.to_dict()["measured_fidelity"])
    with pytest.raises(SimulationRefused, match="ideal"):
        compare(result)
