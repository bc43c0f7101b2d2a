"""The emitted circuit against the original, over every measurement branch, by a simulator of our own."""

import re

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit

import hyperfabric_q as hq
from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.sites import allowed_sites
from hyperfabric_q.distribution.steps import Release, Spread, ebits_of, steps_of
from hyperfabric_q.errors import InvalidValue, NotEnoughCommunicationQubits
from hyperfabric_q.execution.wires import compact


def still_steps(program, segments, network, homes, sites):
    """The steps of a placement in which no qubit moves, from one home per qubit."""
    chapters = chapters_of(program, segments)
    return steps_of(program, chapters, network, *chapters.still(homes), sites)


ALLOWED = {"u", "p", "x", "z", "h", "cx", "cz", "cp", "bell_pair", "measure", "reset", "barrier", "if_else"}


def emitted(circuit, network, homes, sites):
    program = rebase(circuit)
    segments, homes = segments_of(program), np.array(homes, dtype=np.int32)
    sites = np.array(sites, dtype=np.int32)
    if callable(sites) or sites.ndim == 0:
        sites = np.full(program.two_qubit_gates, int(sites), dtype=np.int32)
    steps = still_steps(program, segments, network, homes, allowed_sites(segments, network, homes, sites))
    return lower(program, network, homes, steps), steps


def agrees(circuit, lowered, oracle, seed=0):
    """Every outcome of the user's bits has the probability and the state that the user's circuit gives."""
    vector = oracle.haar(circuit.num_qubits, seed)
    bits = len(circuit.clbits)
    got = oracle.outcomes(lowered.circuit, vector, entry=lowered.entry, exit_wires=lowered.exit, keep=bits)
    return oracle.same(oracle.outcomes(circuit, vector), got)


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("shape", ["full", "line"])
@pytest.mark.parametrize("seed", range(8))
def test_random_circuits_homes_and_sites_are_exact(seed, shape, limit, net, oracle, scramble):
    rng = np.random.default_rng([seed, len(shape), limit or 0])
    qubits, nodes = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    circuit = scramble(qubits, 22, rng, clbits=2 if seed % 2 else 0)
    homes = rng.integers(nodes, size=qubits)
    sites = rng.integers(nodes, size=rebase(circuit).two_qubit_gates)
    try:
        lowered, steps = emitted(circuit, net(shape, [4] * nodes, limit), homes, sites)
    except NotEnoughCommunicationQubits:
        assert (shape, limit, nodes) == ("line", 1, 3)
        return
    assert lowered.circuit.count_ops().get("bell_pair", 0) == ebits_of(steps)
    assert agrees(circuit, lowered, oracle, seed)


def test_the_oracle_notices_a_missing_correction_and_a_wrong_angle(net, oracle):
    """The test above can fail."""
    circuit = QuantumCircuit(3)
    circuit.h([0, 1, 2])
    circuit.cp(0.7, 0, 1)
    circuit.x(0)
    circuit.cp(0.4, 0, 2)
    circuit.h(0)
    lowered, _ = emitted(circuit, net("full", [3, 3]), [0, 1, 1], [1, 1])
    assert agrees(circuit, lowered, oracle)
    rows = list(lowered.circuit.data)
    spoiled = 0
    for index, each in enumerate(rows):
        if each.operation.name in ("if_else", "cp", "x", "u"):
            lowered.circuit.data = rows[:index] + rows[index + 1 :]
            spoiled += 1
            assert not agrees(circuit, lowered, oracle), f"instruction {index} ({each.operation.name}) is not needed"
    assert spoiled >= 8


def test_a_flip_reaches_every_copy(net, oracle):
    circuit = QuantumCircuit(4)
    circuit.h([0, 1, 2, 3])
    for partner in (1, 2, 3):
        circuit.cp(0.3 * partner, 0, partner)
    circuit.y(0)
    for partner in (1, 2, 3):
        circuit.cp(0.5 * partner, 0, partner)
    lowered, steps = emitted(circuit, net("full", [1] * 4), [0, 1, 2, 3], [1, 2, 3, 1, 2, 3])
    assert ebits_of(steps) == 3
    assert agrees(circuit, lowered, oracle)


def test_a_gate_on_a_third_node_takes_two_pairs(net, oracle):
    circuit = QuantumCircuit(2)
    circuit.cp(0.9, 0, 1)
    lowered, steps = emitted(circuit, net("full", [1, 1, 1], 2), [0, 2], [1])
    assert ebits_of(steps) == 2
    assert agrees(circuit, lowered, oracle)
    gates = [each for each in lowered.circuit.data if each.operation.name == "cp"]
    assert [register_of(lowered, wire) for wire in gates[0].qubits] == ["n1_comm", "n1_comm"]


def test_a_chain_over_a_line_reuses_its_communication_qubits(net, oracle):
    circuit = QuantumCircuit(2)
    for _ in range(3):
        circuit.cp(0.9, 0, 1)
        circuit.ry(0.3, 0)
    lowered, steps = emitted(circuit, net("line", [1, 0, 1], 2), [0, 2], [2, 2, 2])
    assert ebits_of(steps) == 6
    assert {register.name: register.size for register in lowered.circuit.qregs} == {
        "n0_data": 1, "n0_comm": 2, "n1_comm": 2, "n2_data": 1, "n2_comm": 2}  # fmt: skip
    assert agrees(circuit, lowered, oracle)


def crossings(limit, net, times=6):
    """``times`` crossings of one link, one after the other, each of which needs one communication qubit at each end."""
    circuit = QuantumCircuit(2)
    for _ in range(times):
        circuit.cp(0.9, 0, 1)
        circuit.ry(0.3, 0)
    return emitted(circuit, net("full", [1, 1], limit), [0, 1], [1] * times)[0].circuit


@pytest.mark.parametrize(("limit", "used"), [(1, 1), (2, 2), (4, 2), (None, 2)])
def test_a_node_uses_up_to_twice_the_communication_qubits_it_needs_at_once(limit, used, net):
    sizes = {register.name: register.size for register in crossings(limit, net).qregs}
    assert sizes["n0_comm"] == sizes["n1_comm"] == used


def test_no_communication_qubit_stays_unused(net):
    sizes = {register.name: register.size for register in crossings(None, net, times=1).qregs}
    assert sizes["n0_comm"] == sizes["n1_comm"] == 1


def test_communication_qubits_take_turns_and_a_simulator_needs_no_more_wires_for_it(net):
    halves = [
        tuple(circuit.find_bit(wire).registers[0][1] for wire in each.qubits)
        for circuit in [crossings(2, net)]
        for each in circuit.data
        if each.operation.name == "bell_pair"
    ]
    assert halves == [(0, 0), (1, 1)] * 3
    assert compact(crossings(2, net)).num_qubits == compact(crossings(1, net)).num_qubits


def test_pairs_made_ahead_halve_the_time_of_crossings_that_wait_for_pairs():
    circuit = QuantumCircuit(2)
    for _ in range(20):
        circuit.cp(0.9, 0, 1)
        circuit.ry(0.3, [0, 1])
    spans = []
    for limit in (1, 2):
        # A pair takes 10 us, and using it as long: half of the time the link would rest.
        fabric = (
            hq.Fabric.full([1, 1], communication_qubits=limit, pair_fidelity=0.9)
            .replace("links.*", pair_rate_hz=1e5)
            .replace("nodes.*", readout_ns=4_000)
        )
        spans.append(int(hq.plan(circuit, fabric, time_limit_s=0, seed=1).schedule().makespan_ps))
    assert spans[1] <= 0.6 * spans[0]


def test_measured_and_conditional_gates_cross_nodes(net, oracle):
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "m"))
    circuit.h([0, 1])
    circuit.cp(0.4, 0, 2)
    circuit.measure(0, 0)
    circuit.cp(0.5, 0, 2)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.cp(0.6, 1, 2)
        circuit.ry(0.2, 2)
    with otherwise:
        circuit.x(0)
    circuit.measure(1, 1)
    with circuit.if_test((circuit.cregs[0], 3)):
        circuit.cz(0, 2)
        circuit.p(0.3, 1)
    circuit.reset(0)
    circuit.cp(0.7, 0, 1)
    for limit in (1, 2, None):
        lowered, _ = emitted(circuit, net("full", [1, 1, 1], limit), [0, 1, 2], [2, 2, 2, 0, 1])
        assert agrees(circuit, lowered, oracle)


# ---------------------------------------------------------------------------------------------------------- contract


def register_of(lowered, wire):
    return lowered.circuit.find_bit(wire).registers[0][0].name


@pytest.mark.parametrize("seed", range(10))
def test_the_emitted_circuit_keeps_its_contract(seed, net, scramble):
    rng = np.random.default_rng(seed)
    circuit = scramble(5, 30, rng, clbits=3)
    network = net("ring", [5] * 4, [None, 2, 3, 2])
    lowered, steps = emitted(
        circuit, network, rng.integers(4, size=5), rng.integers(4, size=rebase(circuit).two_qubit_gates)
    )
    out = lowered.circuit
    assert set(out.count_ops()) <= ALLOWED
    for index, wire in enumerate(out.qubits):
        name = register_of(lowered, wire)
        assert re.fullmatch(r"n\d_(data|comm)", name)
        assert lowered.node_of[index] == name.rsplit("_", 1)[0]
    assert all(register_of(lowered, out.qubits[index]).endswith("_data") for index in lowered.entry)
    assert lowered.entry == lowered.exit
    assert len(set(lowered.entry)) == 5
    protocol = set(out.clbits[len(circuit.clbits) :])
    written = [each.clbits[0] for each in out.data if each.operation.name == "measure" and each.clbits[0] in protocol]
    assert len(written) == len(set(written)) == len(protocol)
    assert len(protocol) == sum(isinstance(step, Spread | Release) for step in steps)
    for each in out.data:
        nodes = {register_of(lowered, wire).rsplit("_", 1)[0] for wire in each.qubits}
        assert len(nodes) == (2 if each.operation.name == "bell_pair" else 1)


def test_user_registers_come_first_with_their_names(net):
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "b"), ClassicalRegister(1, "a"))
    circuit.add_bits([Clbit()])
    circuit.cz(0, 1)
    circuit.measure([0, 1, 0], [2, 1, 3])
    lowered, _ = emitted(circuit, net("full", [1, 1]), [0, 1], [0])
    assert [(each.name, each.size) for each in lowered.circuit.cregs[:3]] == [("b", 2), ("a", 1), ("c_loose", 1)]
    assert lowered.circuit.clbits[:4] == circuit.clbits


@pytest.mark.parametrize("name", ["n0_data", "n1_comm", "n0_proto"])
def test_a_user_register_with_a_name_we_need_is_refused(name, net):
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(1, name))
    circuit.cz(0, 1)
    with pytest.raises(InvalidValue, match="Rename the register"):
        emitted(circuit, net("full", [1, 1]), [0, 1], [0])


def test_nodes_whose_names_extend_one_another_stay_apart(net, oracle):
    circuit = QuantumCircuit(2)
    circuit.cp(0.3, 0, 1)
    network = net("full", [1, 1])
    object.__setattr__(network, "names", ("a", "a_data"))
    lowered, _ = emitted(circuit, network, [0, 1], [0])
    assert set(lowered.node_of) == {"a", "a_data"}
    assert agrees(circuit, lowered, oracle)


def test_an_empty_circuit_and_idle_nodes(net):
    lowered, _ = emitted(QuantumCircuit(2), net("full", [2, 2, 2]), [2, 2], [])
    assert [register.name for register in lowered.circuit.qregs] == ["n2_data"]
    assert not lowered.circuit.data
