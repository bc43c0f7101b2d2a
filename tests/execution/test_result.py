import json

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution import Result, run
from hyperfabric_q.fabric import Fabric


@pytest.fixture(scope="module")
def result(plan_of):
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "low"), ClassicalRegister(1, "high"))
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure(range(3), range(3))
    fabric = Fabric.full([2, 1], communication_qubits=1, pair_fidelity=0.9).replace("nodes.*", gate_error_2q=0.01)
    return run(plan_of(circuit, fabric, ["qpu-0", "qpu-0", "qpu-1"]), shots=2000, seed=3)


def bare_result(*, counts, registers):
    rest = {"shots": 3, "seed": 0, "noise": "none", "method": "stabilizer", "wires": 1, "plan": None, "seconds": 0.0}
    return Result(counts=counts, registers=registers, **rest)


def test_registers_are_qiskit_bit_arrays_with_aligned_shots(result):
    low, high = result.data.low.get_bitstrings(), result.data.high.get_bitstrings()
    together = [f"{b} {a}" for a, b in zip(low, high, strict=True)]
    assert {key: together.count(key) for key in set(together)} == result.counts
    assert result.data.low.num_shots == result.shots


def test_wide_registers_keep_every_bit():
    key = "1" + "0" * 70 + "11"
    wide = bare_result(counts={key: 3}, registers=(("c", 73),))
    assert wide.data.c.get_counts() == {key: 3}


def test_probabilities_have_bars_even_where_nothing_was_seen(result):
    shares = result.probabilities
    assert sum(shares[key].value for key in shares) == pytest.approx(1)
    assert list(shares) == list(result.counts)
    key = next(iter(result.counts))
    p = result.counts[key] / result.shots
    assert shares[key].stderr == pytest.approx(np.sqrt(p * (1 - p) / result.shots), rel=0.01)
    assert shares["0 01"].shots == result.shots
    assert shares["0 01"].stderr > 0
    for wrong in ("001", "0 0", "2 00", 5):
        with pytest.raises(KeyError):
            shares[wrong]


def test_measured_fidelity_says_its_kind_and_its_bar(result):
    found = result.measured_fidelity
    assert found.kind == "hellinger"
    assert 0 < found.stderr < 0.02
    # Two of three pair errors flip the target: 1 - 2/3 0.1 of the pair, a little less for the two-qubit gates.
    assert 0.85 < found.value < 1 - 2 / 3 * 0.1 + 5 * found.stderr
    assert result.measured_fidelity is found


def test_to_dict_is_json_with_a_schema(result):
    read = json.loads(json.dumps(result.to_dict()))
    assert read["schema"] == "hyperfabric_q/result/1"
    assert sum(read["counts"].values()) == read["shots"] == 2000
    assert read["measured_fidelity"]["kind"] == "hellinger"
    assert (read["ebits"], read["gamma"], read["interrupted"]) == (result.plan.ebits, 1.0, False)
    assert read["makespan_ns"] == read["shot_ns"]["mean"] == result.makespan_ns
    assert read["registers"] == [{"name": "low", "size": 2}, {"name": "high", "size": 1}]


def test_text_leads_with_the_most_frequent_outcomes(result):
    assert repr(result).startswith("<Result: 2000 shots, noise 'fabric', seed 3, counts {'")
    lines = str(result).splitlines()
    assert lines[0].startswith("2000 shots, noise fabric, seed 3")
    assert list(result.counts.values()) == sorted(result.counts.values(), reverse=True)
    assert lines[1].split()[:2] == next(iter(result.counts)).split()


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(InvalidValue, match="sum"):
        bare_result(counts={"0": 2}, registers=(("c", 1),))
