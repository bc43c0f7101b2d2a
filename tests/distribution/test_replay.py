"""The replayer counts right, and refuses circuits that hardware could not run."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction
from qiskit.circuit.library import CZGate, HGate, Measure, Reset, SwapGate

from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.lower import BellPairGate, lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.sites import allowed_sites
from hyperfabric_q.distribution.steps import Apply, Spread, steps_of
from hyperfabric_q.errors import VerificationFailed
from hyperfabric_q.fabric import Fabric


def still_steps(program, segments, network, homes, sites):
    """The steps of a placement in which no qubit moves, from one home per qubit."""
    chapters = chapters_of(program, segments)
    return steps_of(program, chapters, network, *chapters.still(homes), sites)


def emitted(circuit, fabric, homes, sites):
    program, network = rebase(circuit), network_of(fabric)
    segments, homes = segments_of(program), np.array(homes, dtype=np.int32)
    sites = allowed_sites(segments, network, homes, np.array(sites, dtype=np.int32))
    steps = still_steps(program, segments, network, homes, sites)
    return lower(program, network, homes, steps).circuit, steps, program


@pytest.mark.parametrize("make", [Fabric.full, Fabric.line, Fabric.ring, Fabric.star])
@pytest.mark.parametrize("limit", [None, 2, 3])
def test_the_count_is_that_of_the_steps(make, limit, scramble):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        fabric = make([6] * 4, communication_qubits=limit, pair_fidelity=0.9)
        circuit = scramble(6, 40, rng, clbits=2 * (seed % 2))
        out, steps, program = emitted(
            circuit, fabric, rng.integers(4, size=6), rng.integers(4, size=rebase(circuit).two_qubit_gates)
        )
        names = [node.node_id for node in fabric.nodes]
        counted = replay(out, fabric)
        links, live, peak = {}, [0] * 4, [0] * 4
        for step in steps:
            if isinstance(step, Spread):
                key = tuple(sorted((names[step.source], names[step.target])))
                links[key] = links.get(key, 0) + 1
                peak[step.source] = max(peak[step.source], live[step.source] + 1)
                live[step.target] += 1
                peak[step.target] = max(peak[step.target], live[step.target])
            elif not isinstance(step, Apply):
                live[step.node] -= 1
        assert counted.ebits == sum(links.values())
        assert dict(counted.ebits_per_link) == links
        assert dict(counted.peak_copies) == dict(zip(names, peak, strict=True))
        assert sum(counted.data_qubits.values()) == program.qubits


def test_messages_are_counted_where_a_bit_is_measured_here_and_used_there():
    circuit = QuantumCircuit(2)
    circuit.cp(0.3, 0, 1)
    out, *_ = emitted(circuit, FULL, [0, 1], [1])
    assert dict(replay(out, FULL).messages) == {("qpu-0", "qpu-1"): 1, ("qpu-1", "qpu-0"): 1}


def test_an_empty_circuit_uses_nothing():
    counted = replay(QuantumCircuit(), FULL)
    assert (counted.ebits, dict(counted.messages)) == (0, {})


# -------------------------------------------------------------------------------------------------------- corruption

FULL = Fabric.full([2, 2, 2], communication_qubits=2, pair_fidelity=0.9)
LINE = Fabric.line([2, 2, 2], communication_qubits=2, pair_fidelity=0.9)
ALONE = Fabric.full([2, 2, 2], communication_qubits=1, pair_fidelity=0.9)


def honest():
    """Two crossings over the same pair of nodes, one after the other, so that communication qubits are reused."""
    circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(1, "c"))
    circuit.cp(0.3, 0, 2)
    circuit.h(0)
    circuit.cp(0.4, 0, 2)
    circuit.cz(0, 1)
    circuit.measure(3, 0)
    out, *_ = emitted(circuit, ALONE, [0, 0, 1, 1], [1, 1, 0])
    assert replay(out, FULL).ebits == 2
    return out


def names(out):
    return [each.operation.name for each in out.data]


def nth(out, name, count=0):
    return [index for index, each in enumerate(names(out)) if each == name][count]


def qubit(out, register, index=0):
    return next(each for each in out.qregs if each.name == register)[index]


def rewired(out, index, wires):
    each = out.data[index]
    body = each.operation
    out.data[index] = CircuitInstruction(body, wires, each.clbits)


def drop(name, count=0):
    def change(out):
        del out.data[nth(out, name, count)]

    return change


def insert(position, operation, registers):
    def change(out):
        wires = [qubit(out, *each) for each in registers]
        out.data.insert(position if position >= 0 else len(out.data), CircuitInstruction(operation, wires, []))

    return change


def repeat(name, count=0):
    def change(out):
        index = nth(out, name, count)
        out.data.insert(index + 1, out.data[index])

    return change


def cross(name):
    """The same gate, its second wire on another node."""

    def change(out):
        index = nth(out, name)
        rewired(out, index, [out.data[index].qubits[0], qubit(out, "qpu-1_data")])
        if len({out.find_bit(wire).registers[0][0].name[:5] for wire in out.data[index].qubits}) == 1:
            rewired(out, index, [qubit(out, "qpu-0_data"), out.data[index].qubits[1]])

    return change


def same_node_pair(out):
    out.data.insert(0, CircuitInstruction(BellPairGate(), [qubit(out, "qpu-0_comm"), qubit(out, "qpu-0_data")], []))


def data_half(out):
    rewired(out, nth(out, "bell_pair"), [qubit(out, "qpu-0_data"), qubit(out, "qpu-1_comm")])


def correct_data_of_another_node(out):
    index = nth(out, "if_else")
    rewired(out, index, [qubit(out, "qpu-0_comm")])


def early_correction(out):
    index = nth(out, "if_else")
    each = out.data[index]
    del out.data[index]
    out.data.insert(0, each)


def measure_twice(out):
    index = nth(out, "measure")
    out.data.insert(index + 1, out.data[index])


def insert_after_pair(out):
    out.data.insert(nth(out, "bell_pair") + 1, CircuitInstruction(Reset(), [qubit(out, "qpu-1_comm")], []))


def measure_unused(out):
    out.data.insert(0, CircuitInstruction(Measure(), [qubit(out, "qpu-0_comm")], [out.clbits[-1]]))


CORRUPTIONS = {
    "a Bell pair is missing": drop("bell_pair"),
    "the second Bell pair is missing": drop("bell_pair", 1),
    "a Bell pair is made twice": repeat("bell_pair"),
    "a reset before reuse is missing": drop("reset"),
    "a reset comes while the copy lives": insert_after_pair,
    "the half is never measured": drop("measure"),
    "the copy is never measured": drop("measure", 1),
    "a half is measured twice": measure_twice,
    "a qubit that holds nothing is measured": measure_unused,
    "a correction comes before its measurement": early_correction,
    "a correction acts on a qubit that holds nothing": correct_data_of_another_node,
    "a gate reaches across nodes": cross("cz"),
    "a controlled phase reaches across nodes": cross("cp"),
    "the entangling gate of the protocol reaches across nodes": cross("cx"),
    "a swap between nodes": insert(0, SwapGate(), [("qpu-0_data", 0), ("qpu-1_data", 0)]),
    "a gate on a communication qubit with no pair": insert(0, HGate(), [("qpu-1_comm", 0)]),
    "a gate with a communication qubit with no pair": insert(0, CZGate(), [("qpu-1_data", 0), ("qpu-1_comm", 0)]),
    "a gate on a copy after it was measured": insert(-1, HGate(), [("qpu-1_comm", 0)]),
    "a pair within one node": same_node_pair,
    "a pair on a data qubit": data_half,
    "a copy that outlives the circuit": insert(-1, BellPairGate(), [("qpu-0_comm", 0), ("qpu-1_comm", 0)]),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_circuit_is_refused(name):
    out = honest()
    CORRUPTIONS[name](out)
    with pytest.raises(VerificationFailed):
        replay(out, FULL)


def test_a_barrier_may_cover_several_nodes():
    out = honest()
    out.barrier()
    assert replay(out, FULL).ebits == 2


def test_a_pair_needs_a_quantum_link():
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    out, *_ = emitted(circuit, FULL, [0, 2], [0])
    assert replay(out, FULL).ebits == 1
    with pytest.raises(VerificationFailed, match="no quantum link"):
        replay(out, LINE)
    unlinked = LINE.replace("links.*", pair_fidelity=None)
    with pytest.raises(VerificationFailed, match="no quantum link"):
        replay(honest(), unlinked)


def test_a_node_that_is_too_small_or_unsized_is_refused():
    with pytest.raises(VerificationFailed, match="2 data qubits are placed on 'qpu-0'"):
        replay(honest(), FULL.replace("nodes.qpu-0", compute_units=1))
    with pytest.raises(VerificationFailed, match="qpu-0"):
        replay(honest(), FULL.replace("nodes.qpu-0", compute_units=None))


def test_more_copies_than_communication_qubits_are_refused():
    circuit = QuantumCircuit(4)
    circuit.cp(0.3, 0, 2)
    circuit.cp(0.4, 1, 3)
    circuit.x([0, 1, 2, 3])
    circuit.cp(0.5, 0, 2)
    circuit.cp(0.6, 1, 3)
    out, *_ = emitted(circuit, FULL, [0, 0, 1, 1], [1, 1, 1, 1])
    assert replay(out, FULL).peak_copies["qpu-1"] == 2
    with pytest.raises(VerificationFailed, match="2 communication qubits are used on 'qpu-1', which has 1"):
        replay(out, FULL.replace("nodes.*", communication_qubits=1))


@pytest.mark.parametrize("register", ["ghost_data", "ghost_comm"])
def test_a_node_that_is_not_in_the_fabric_is_refused(register):
    out = honest()
    out.add_register(QuantumRegister(1, register))
    with pytest.raises(VerificationFailed, match="ghost"):
        replay(out, FULL)


def test_a_qubit_of_no_register_is_refused():
    out = honest()
    out.add_bits([QuantumRegister(1)[0]])
    with pytest.raises(VerificationFailed):
        replay(out, FULL)


def test_a_users_register_whose_name_ends_in_proto_is_the_users():
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(1, "my_proto"))
    circuit.cz(0, 1)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.x(0)
    out, *_ = emitted(circuit, FULL, [0, 1], [0])
    assert replay(out, FULL).ebits == 1
