"""What the first slice promises, end to end: a circuit and a fabric in, a counted and proved plan out."""

from collections import Counter
from itertools import product

import pytest
import stim

import hyperfabric_q as hq
from hyperfabric_q.families import (
    brickwork,
    cp_fraction,
    cuccaro_adder,
    ghz,
    graph_state,
    ising,
    pauli_gadgets,
    qaoa_3regular,
    qft,
    quantum_volume,
    w_state,
)
from hyperfabric_q.simulate.clifford import equivalent

CIRCUITS = {
    "ghz": lambda: ghz(9),
    "qft": lambda: qft(8),
    "qft with swaps": lambda: qft(6, swaps=True),
    "w state": lambda: w_state(7),
    "adder": lambda: cuccaro_adder(3),
    "ising": lambda: ising(10, 3),
    "qaoa": lambda: qaoa_3regular(8, seed=3),
    "quantum volume": lambda: quantum_volume(6, 4, seed=3),
    "cp fraction": lambda: cp_fraction(9, 8, 0.5, seed=3),
    "pauli gadgets": lambda: pauli_gadgets(7, 5, seed=3),
    "brickwork": lambda: brickwork(8, 5, seed=3),
}

FABRICS = {
    "two nodes": lambda qubits: hq.Fabric.full(shares(qubits, 2), communication_qubits=2, pair_fidelity=0.97),
    "line of three": lambda qubits: hq.Fabric.line(shares(qubits, 3), communication_qubits=2, pair_fidelity=0.97),
    "all-to-all of four": lambda qubits: hq.Fabric.full(shares(qubits, 4), pair_fidelity=0.97),
    "ring of four": lambda qubits: hq.Fabric.ring(shares(qubits, 4), communication_qubits=3, pair_fidelity=0.97),
    "all-to-all of three, one pair at a time": lambda qubits: hq.Fabric.full(
        shares(qubits, 3), communication_qubits=1, pair_fidelity=0.97
    ),
}


def shares(qubits, nodes):
    """Room for all the qubits, in equal parts."""
    return [-(-qubits // nodes)] * nodes


def pairs_in(circuit):
    """Bell pairs by link, read from the names of the registers."""
    found = Counter()
    for each in circuit.data:
        if each.operation.name == "bell_pair":
            registers = [circuit.find_bit(wire).registers[0][0].name for wire in each.qubits]
            assert all(name.endswith("_comm") for name in registers)
            found[tuple(sorted(name.removesuffix("_comm") for name in registers))] += 1
    return dict(found)


def stabilizer_form(circuit):
    """A Clifford circuit in stim, each gate by its matrix and each correction by the record of its measurement."""
    form, record, wires = stim.Circuit(), {}, {wire: index for index, wire in enumerate(circuit.qubits)}

    def gate(operation, targets):
        tableau = stim.Tableau.from_unitary_matrix(operation.to_matrix(), endian="little")
        for name, factors in ((each.name, each.targets_copy()) for each in tableau.to_circuit()):
            form.append(name, [targets[factor.value] for factor in factors])

    for each in circuit.data:
        name, targets = each.operation.name, [wires[wire] for wire in each.qubits]
        if name == "bell_pair":
            form.append("H", targets[:1])
            form.append("CX", targets)
        elif name == "measure":
            record[each.clbits[0]] = form.num_measurements
            form.append("M", targets)
        elif name == "reset":
            form.append("R", targets)
        elif name == "if_else":
            bit, value = each.operation.condition
            (inner,) = each.operation.blocks[0].data
            assert int(value) == 1
            controlled = {"x": "CX", "z": "CZ"}[inner.operation.name]
            form.append(controlled, [stim.target_rec(record[bit] - form.num_measurements), targets[0]])
        elif name != "barrier":
            gate(each.operation, targets)
    return form


CELLS = list(product(CIRCUITS, FABRICS))


def test_there_are_enough_cells():
    assert len(CELLS) >= 30
    assert all(make().num_qubits <= 10 for make in CIRCUITS.values())


@pytest.mark.parametrize(("circuit", "fabric"), CELLS)
def test_the_emitted_circuit_is_proved_and_uses_the_pairs_that_were_counted(circuit, fabric):
    circuit = CIRCUITS[circuit]()
    fabric = FABRICS[fabric](circuit.num_qubits)
    plan = hq.plan(circuit, fabric, seed=1)
    assert plan.equivalent == "proved"
    assert pairs_in(plan.lowered.circuit) == dict(plan.ebits_per_link)
    assert plan.ebits == sum(pairs_in(plan.lowered.circuit).values()) == len(plan.packets)
    assert plan.ebits > 0
    for node in fabric.nodes:
        assert len(plan.qubits_of(node.node_id)) <= node.compute_units
        assert node.communication_qubits is None or plan.peak_copies[node.node_id] <= node.communication_qubits


@pytest.mark.parametrize(
    ("circuit", "pairs"),
    [
        (lambda: ghz(200), 3),
        (lambda: graph_state(100, [(v, v + 1) for v in range(99)]), 3),
        (lambda: graph_state(100, seed=5), None),
    ],
    ids=["ghz of 200", "line graph of 100", "random graph of 100"],
)
def test_wide_stabilizer_circuits_are_proved(circuit, pairs):
    circuit = circuit()
    plan = hq.plan(circuit, hq.Fabric.full([circuit.num_qubits // 4] * 4, pair_fidelity=0.97), seed=1)
    assert plan.equivalent == "proved"
    assert pairs_in(plan.lowered.circuit) == dict(plan.ebits_per_link)
    assert pairs is None or plan.ebits == pairs
    lowered = plan.lowered
    emitted, original = stabilizer_form(lowered.circuit), stabilizer_form(circuit)
    assert equivalent(emitted, original, entry=lowered.entry, exit=lowered.exit).equivalent
    position = next(index for index, each in enumerate(emitted) if each.name in ("CX", "CZ") and "rec" in str(each))
    without = emitted[:position] + emitted[position + 1 :]
    assert not equivalent(without, original, entry=lowered.entry, exit=lowered.exit).equivalent


@pytest.mark.slow
def test_two_thousand_qubits_on_three_unequal_nodes():
    circuit = brickwork(2000, 20, seed=1)
    plan = hq.plan(circuit, hq.Fabric.full([1000, 500, 520], pair_fidelity=0.97), seed=1)
    assert plan.two_qubit_gates == circuit.count_ops()["cp"] == 19_990
    assert Counter(plan.homes).total() == 2000
    assert all(count <= plan.capacity[node] for node, count in Counter(plan.homes).items())
    assert pairs_in(plan.lowered.circuit) == dict(plan.ebits_per_link)
    assert plan.ebits <= 60
