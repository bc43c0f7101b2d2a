"""Assignments of other compilers are read as they are written, and everything else is refused, quickly."""

import json
import math

import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.assignments import LARGEST_BYTES, read_disqco, read_pytket_dqc
from hyperfabric_q.distribution.given import given_placement
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.steps import ebits_of
from hyperfabric_q.errors import CircuitRejected, FileUnreadable, InvalidValue
from hyperfabric_q.fabric import Fabric

FULL = Fabric.full([2, 2, 2], communication_qubits=4, pair_fidelity=0.9)
NODES = ["qpu-0", "qpu-1", "qpu-2"]

PYTKET_DQC = """
{"circuit": {"vertex_list": [0, 3, 4, 1, 2, 5],
  "hyperedge_list": [{"vertices": [0, 3, 4], "weight": 1}, {"vertices": [1, 3], "weight": 1},
                     {"vertices": [2, 4, 5], "weight": 1}, {"vertices": [1, 5], "weight": 1}],
  "circuit": {"bits": [], "commands": [
      {"args": [["q", [0]], ["q", [1]]], "op": {"params": ["1.0"], "type": "CU1"}},
      {"args": [["q", [1]]], "op": {"type": "H"}},
      {"args": [["q", [0]], ["q", [2]]], "op": {"params": ["-1/4"], "type": "CU1"}},
      {"args": [["q", [0]]], "op": {"params": ["0.1*-0.5"], "type": "Rz"}},
      {"args": [["q", [2]], ["q", [1]]], "op": {"params": ["0.5"], "type": "CU1"}}],
    "created_qubits": [], "discarded_qubits": [],
    "implicit_permutation": [[["q", [0]], ["q", [0]]], [["q", [1]], ["q", [1]]], [["q", [2]], ["q", [2]]]],
    "phase": "0.5", "qubits": [["q", [0]], ["q", [1]], ["q", [2]]]}},
 "placement": {"0": 0, "1": 1, "2": 2, "3": 1, "4": 2, "5": 2},
 "network": {"server_coupling": [[0, 1], [0, 2], [1, 2]],
   "server_qubits": {"0": [0, 1], "1": [2, 3], "2": [4, 5]}, "server_ebit_mem": {"0": -1, "1": -1, "2": -1}}}
"""

DISQCO = "[[0, 0, 1], [0, 0, 1], [1, 0, 1]]"


def ebits(circuit, assignment):
    program = rebase(circuit)
    placement = given_placement(circuit, program, network_of(FULL), homes=assignment.homes, sites=assignment.sites)
    return ebits_of(placement.steps)


def changed(**fields):
    """The distribution with fields of the inner circuit replaced."""
    document = json.loads(PYTKET_DQC)
    document["circuit"]["circuit"].update(fields)
    return json.dumps(document)


def test_a_distribution_of_pytket_dqc_gives_circuit_homes_and_sites():
    found = read_pytket_dqc(PYTKET_DQC, NODES)
    assert found.homes == ("qpu-0", "qpu-1", "qpu-2")
    assert dict(found.sites) == {0: "qpu-1", 2: "qpu-2", 4: "qpu-2"}
    expected = QuantumCircuit(3)
    expected.cp(math.pi, 0, 1)
    expected.h(1)
    expected.cp(-math.pi / 4, 0, 2)
    expected.rz(-0.05 * math.pi, 0)
    expected.cp(math.pi / 2, 2, 1)
    assert [(each.operation.name, each.qubits) for each in found.circuit.data] == [
        (each.operation.name, tuple(found.circuit.qubits[expected.find_bit(bit).index] for bit in each.qubits))
        for each in expected.data
    ]
    for got, want in zip(found.circuit.data, expected.data, strict=True):
        assert list(got.operation.params) == pytest.approx(list(want.operation.params), abs=1e-12)


def test_a_distribution_costs_its_steiner_trees():
    # Its own cost: {0, 1, 2} for qubit 0, two nodes for qubit 1 after its H, and the rest at home: 2 + 1.
    assert ebits(read_pytket_dqc(PYTKET_DQC, NODES).circuit, read_pytket_dqc(PYTKET_DQC, NODES)) == 3


def test_a_placement_alone_is_read_with_its_circuit(tmp_path):
    circuit = read_pytket_dqc(PYTKET_DQC, NODES).circuit
    placement = json.dumps(json.loads(PYTKET_DQC)["placement"])
    path = tmp_path / "placement.json"
    path.write_text(placement)
    for source in (placement, path, '{"placement": ' + placement + "}"):
        found = read_pytket_dqc(source, {0: "qpu-2", 1: "qpu-1", 2: "qpu-0"}, circuit=circuit)
        assert found.homes == ("qpu-2", "qpu-1", "qpu-0")
        assert found.circuit is circuit
    with pytest.raises(InvalidValue, match="circuit"):
        read_pytket_dqc(placement, NODES)


def test_an_assignment_of_disqco_gives_the_homes_of_each_layer():
    circuit = QuantumCircuit(3)
    circuit.cz(0, 1)
    circuit.h(0)
    circuit.cz(0, 2)
    for text in (DISQCO, '{"best_cost": 1, "best_assignment": ' + DISQCO + "}"):
        found = read_disqco(text, NODES)
        assert found.homes == (("qpu-0", "qpu-0", "qpu-1"),) * 2 + (("qpu-1", "qpu-0", "qpu-1"),)
        assert found.sites is None
        assert ebits(circuit, found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        "NaN",
        "[[]]",
        "[[0, 1], [0]]",
        "[[0, true]]",
        "[[0, 1.0]]",
        '[["0"]]',
        '{"best_assignment": 3}',
        "[" * 100_000,
        "[[" + "9" * 10_000 + "]]",
        '{"a": 1, "a": 2}',
        "\x80\x04K\x01.",
    ],
)
def test_what_is_no_assignment_is_refused(text):
    for reader in (read_disqco, read_pytket_dqc):
        with pytest.raises((CircuitRejected, InvalidValue)):
            reader(text, NODES)


@pytest.mark.parametrize(
    "fields",
    [
        {"qubits": []},
        {"qubits": [["q", [0]], ["q", [0]], ["q", [2]]]},
        {"qubits": [["q", [0]], ["q", [1]]]},
        {"qubits": [["q", "0"], 3, None]},
        {"commands": [{"args": [["q", [0]]], "op": {"type": "Measure"}}]},
        {"commands": [{"args": [["q", [0]]], "op": {"type": "CU1", "params": ["1"]}}]},
        {"commands": [{"args": [["q", [0]], ["q", [0]]], "op": {"type": "CU1", "params": ["1"]}}]},
        {"commands": [{"args": [["q", [0]]], "op": {"type": ["H"]}}]},
        {"commands": None},
        {"commands": [3]},
        {"implicit_permutation": [[["q", [0]], ["q", [1]]], [["q", [1]], ["q", [0]]]]},
        *(
            {"commands": [{"args": [["q", [0]]], "op": {"type": "Rz", "params": [angle]}}]}
            for angle in ("a", "1/0", "", "1e999", "__import__('os')", "1**9", 1.0, None, "9" * 10_000)
        ),
    ],
)
def test_a_circuit_that_is_not_distributed_is_refused(fields):
    with pytest.raises(CircuitRejected):
        read_pytket_dqc(changed(**fields), NODES)


def test_a_placement_that_does_not_fit_its_circuit_is_refused():
    document = json.loads(PYTKET_DQC)
    document["placement"]["6"] = 0
    with pytest.raises(CircuitRejected, match="7 vertices, the circuit 6"):
        read_pytket_dqc(json.dumps(document), NODES)
    document = json.loads(PYTKET_DQC)
    document["circuit"]["hyperedge_list"][0]["vertices"] = [0, 3, 5]
    with pytest.raises(CircuitRejected, match="hyperedge of qubit 0"):
        read_pytket_dqc(json.dumps(document), NODES)
    for vertices in ([0, 99], [0, 1, 3], [3], ["0"], None, [-1, 3]):
        document["circuit"]["hyperedge_list"] = [{"vertices": vertices}]
        with pytest.raises(CircuitRejected):
            read_pytket_dqc(json.dumps(document), NODES)


def test_a_server_without_a_node_is_refused():
    for nodes in (["qpu-0"], {0: "qpu-0"}, "qpu-0", 3):
        with pytest.raises(InvalidValue):
            read_disqco(DISQCO, nodes)
    with pytest.raises(InvalidValue):
        read_disqco("[[-1]]", NODES)


def test_files_that_cannot_be_read_or_are_too_large_are_refused(tmp_path):
    binary = tmp_path / "a.pickle"
    binary.write_bytes(b"\x80\x04K\x01.")
    for path in (tmp_path, tmp_path / "missing.json", binary):
        with pytest.raises(FileUnreadable):
            read_disqco(path, NODES)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (LARGEST_BYTES + 10))
    with pytest.raises(CircuitRejected, match="larger"):
        read_disqco(large, NODES)
    with pytest.raises(InvalidValue, match="source"):
        read_disqco(3, NODES)
