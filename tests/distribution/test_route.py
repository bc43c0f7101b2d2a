"""Coupled chips: legal on every target, proved, and the same circuit in the gates of the hardware."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap

import hyperfabric_q as hq
from hyperfabric_q.convert.operations import read
from hyperfabric_q.distribution.local_figures import LocalFigures, minus_log
from hyperfabric_q.distribution.operations import operations_of
from hyperfabric_q.distribution.route import check_routed, route
from hyperfabric_q.distribution.verify import verify, without_swaps
from hyperfabric_q.errors import InvalidValue, VerificationFailed
from hyperfabric_q.families import generate

RING = [(i, (i + 1) % 6) for i in range(6)]
SHAPES = {
    "line": CouplingMap.from_line(6),
    "grid": CouplingMap.from_grid(2, 3),
    "ring": CouplingMap(RING + [(b, a) for a, b in RING]),
}
BASES = (["cz", "id", "rz", "sx", "x"], ["cx", "id", "rz", "sx", "x"], ["ecr", "id", "rz", "sx", "x"])


def backends(shape, count, *, basis=0):
    return [
        GenericBackendV2(6, basis_gates=BASES[(basis + i) % 3], coupling_map=SHAPES[shape], seed=i, control_flow=True)
        for i in range(count)
    ]


def fabric_of(machines, *, communication=2, topology="line"):
    made = hq.Fabric.from_backends(machines, topology, link="ideal", communication_qubits=communication)
    return made.replace("links.*", pair_fidelity=0.97, pair_rate_hz=1e5)


def assert_legal(plan, machines):
    """Read the native circuit against the backends' own targets, instruction by instruction."""
    found = plan.native()
    names = [node.node_id for node in plan.fabric.nodes]
    index = {qubit: wire for wire, qubit in enumerate(found.circuit.qubits)}

    def check(step, wires):
        nodes = {found.node_of[wire] for wire in wires}
        if step.name == "bell_pair":
            assert len(nodes) == 2
            for wire in wires:
                assert found.places[wire] in plan.fabric.node(found.node_of[wire]).chip.communication
            return
        assert len(nodes) == 1
        target = machines[names.index(nodes.pop())].target
        if step.name == "if_else":
            for block in step.operation.blocks:
                outer = dict(zip(block.qubits, wires, strict=True))
                for inner in block.data:
                    check(inner, [outer[qubit] for qubit in inner.qubits])
            return
        assert target.instruction_supported(step.name, tuple(found.places[wire] for wire in wires)), step

    for step in found.circuit.data:
        check(step, [index[qubit] for qubit in step.qubits])
    return found


@pytest.mark.parametrize(
    ("family", "qubits", "shape", "count", "extra"),
    [
        ("ghz", 8, "line", 2, {}),
        ("qft", 6, "grid", 3, {}),
        ("cuccaro_adder", 8, "ring", 3, {}),
        ("quantum_volume", 6, "line", 4, {"seed": 1}),
        ("hardware_efficient_ansatz", 8, "grid", 2, {"seed": 1}),
        ("qaoa_3regular", 8, "ring", 2, {"seed": 1}),
    ],
)
def test_plans_on_chips_are_proved_and_legal_for_every_target(family, qubits, shape, count, extra):
    machines = backends(shape, count)
    plan = hq.plan(generate(family, qubits=qubits, **extra), fabric_of(machines), seed=1, time_limit_s=0.2)
    assert plan.equivalent == "proved"
    found = assert_legal(plan, machines)
    assert verify(plan.program, found, mode="proved", seed=2).label == "proved", "the translated circuit is the same"


def test_a_qubit_that_moves_settles_by_a_swap_or_none_and_frees_its_communication_qubit():
    circuit = generate("quantum_volume", qubits=8, seed=3)
    plan = hq.plan(circuit, fabric_of(backends("grid", 2)), seed=3, time_limit_s=1)
    assert plan.moves > 0
    assert not any(name.endswith("_data") for name in [register.name for register in plan.routed.circuit.qregs])
    assert plan.lowered.circuit.count_ops()["swap"] == plan.moves
    assert sum(plan.swaps.values()) == plan.routed.circuit.count_ops().get("swap", 0)
    assert plan.equivalent == "proved"


@settings(deadline=None, derandomize=True, max_examples=12)
@given(data=st.data())
def test_random_circuits_with_measurements_keep_their_meaning_on_chips(data):
    qubits = data.draw(st.integers(3, 6))
    circuit = QuantumCircuit(qubits, 2)
    for _ in range(data.draw(st.integers(4, 14))):
        kind = data.draw(st.sampled_from(["cz", "cp", "h", "measure", "if", "reset"]))
        a = data.draw(st.integers(0, qubits - 1))
        b = (a + data.draw(st.integers(1, qubits - 1))) % qubits
        if kind == "cz":
            circuit.cz(a, b)
        elif kind == "cp":
            circuit.cp(data.draw(st.sampled_from([0.3, 1.1])), a, b)
        elif kind == "h":
            circuit.h(a)
        elif kind == "measure":
            circuit.measure(a, a % 2)
        elif kind == "reset":
            circuit.reset(a)
        else:
            with circuit.if_test((circuit.clbits[a % 2], 1)):
                circuit.x(a)
    communication = data.draw(st.sampled_from([1, 2]))
    shape = data.draw(st.sampled_from(sorted(SHAPES)))
    machines = backends(shape, 2)
    plan = hq.plan(circuit, fabric_of(machines, communication=communication), seed=5, time_limit_s=0)
    assert plan.equivalent == "proved"
    assert check_routed(plan.routed, plan.fabric, ebits=plan.ebits) == plan.swaps


def test_places_of_communication_qubits_are_obeyed_even_when_others_stand_there():
    """One communication qubit in the middle of a line: every pair is born there, so data must make way."""
    machine = backends("line", 2)
    fabric = fabric_of(machine, communication=[[3], [3]])
    plan = hq.plan(generate("qft", qubits=8), fabric, seed=1, time_limit_s=0.2)
    assert plan.equivalent == "proved"
    assert check_routed(plan.routed, fabric, ebits=plan.ebits)


def test_the_check_of_a_routed_circuit_refuses_what_is_not_coupled():
    plan = hq.plan(generate("ghz", qubits=8), fabric_of(backends("line", 2)), seed=1, time_limit_s=0)
    circuit = plan.routed.circuit.copy()
    circuit.cz(circuit.qubits[0], circuit.qubits[4])
    with pytest.raises(VerificationFailed, match="not coupled"):
        check_routed(replace(plan.routed, circuit=circuit), plan.fabric, ebits=plan.ebits)
    with pytest.raises(VerificationFailed, match="Bell pairs"):
        check_routed(plan.routed, plan.fabric, ebits=plan.ebits + 1)


def test_routing_is_the_same_for_the_same_seed_and_nothing_without_chips():
    plan = hq.plan(generate("qft", qubits=8), fabric_of(backends("grid", 2)), seed=4, time_limit_s=0.2)
    again, other = (route(plan.lowered, plan.fabric, seed=7, trials=3) for _ in range(2))
    assert again.circuit == other.circuit
    plain = hq.plan(generate("ghz", qubits=4), hq.Fabric.line([2, 2]), seed=1)
    assert plain.routed is plain.lowered
    assert plain.swaps == {}


def test_swaps_are_names_that_wires_exchange():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.swap(0, 2)
    circuit.cx(2, 1)
    left, now = without_swaps(read(circuit), 3)
    assert [(each.name, each.wires) for each in left] == [("h", (0,)), ("cx", (0, 1))]
    assert now == (2, 1, 0)


def test_the_clock_and_the_losses_count_the_gates_of_the_hardware():
    machines = backends("line", 2)
    fabric = fabric_of(machines)
    plan = hq.plan(generate("qft", qubits=8), fabric, seed=1, time_limit_s=0.2)
    figures = LocalFigures(fabric, plan.routed.node_of, plan.routed.places)
    expected = 0.0
    index = {qubit: wire for wire, qubit in enumerate(plan.routed.circuit.qubits)}
    for step in plan.routed.circuit.data:
        wires = [index[qubit] for qubit in step.qubits]
        node = fabric.node(plan.routed.node_of[wires[0]])
        if step.name in ("bell_pair", "reset"):
            continue
        if step.name == "measure":
            expected -= np.log1p(-node.chip.readout_error(plan.routed.places[wires[0]]))
        elif len(wires) == 2:
            times = {"cz": 1, "cx": 1, "cp": 2, "swap": 3}[step.name]
            edge = node.chip.edge_error(*(plan.routed.places[wire] for wire in wires))
            expected -= times * np.log1p(-1.25 * edge)
        else:
            expected -= np.log1p(-1.5 * node.gate_error_1q)
    assert figures.loss(plan.routed.circuit) == pytest.approx(expected, rel=1e-12)
    assert operations_of(plan.routed, fabric).gate_fidelity == pytest.approx(np.exp(-expected), rel=1e-12)
    assert minus_log(1.0) == np.inf


def test_a_run_on_chips_falls_short_of_the_ideal_by_about_what_is_predicted():
    machines = backends("line", 2)
    circuit = generate("ghz", qubits=6)
    fabric = fabric_of(machines, communication=1).replace("nodes.*", t1_us=None, t2_us=None)
    plan = hq.plan(circuit, fabric, seed=1, time_limit_s=0.2)
    figures = LocalFigures(plan.fabric, plan.routed.node_of, plan.routed.places)
    predicted = np.exp(-figures.loss(plan.routed.circuit)) * 0.97**plan.ebits
    measured = plan.run(4000, seed=2).compare().distributed_fidelity.value
    assert predicted - 0.03 < measured < 1


def test_chips_beside_plain_nodes_and_chips_coupled_one_way_have_native_circuits():
    plain = hq.Fabric.line([4, 4])
    chip = hq.NodeSignature.from_backend(backends("line", 1)[0], node_id="chip")
    link = replace(plain.links[0], a="chip", b=plain.nodes[1].node_id)
    mixed = hq.Fabric(nodes=(chip, plain.nodes[1]), links=(link,), name="mixed")
    plan = hq.plan(generate("ghz", qubits=7), mixed, seed=1, time_limit_s=0.1)
    assert verify(plan.program, plan.native(), mode="proved", seed=1).label == "proved"
    way = CouplingMap([(i, i + 1) for i in range(4)])
    machines = [GenericBackendV2(5, basis_gates=BASES[1], coupling_map=way, seed=i, control_flow=True) for i in (1, 2)]
    plan = hq.plan(generate("qft", qubits=6), fabric_of(machines), seed=1, time_limit_s=0.1)
    found = assert_legal(plan, machines)
    assert verify(plan.program, found, mode="proved", seed=2).label == "proved"


def test_a_chip_that_cannot_measure_its_communication_qubit_is_refused_by_name():
    machine = backends("line", 1)[0]
    node = hq.NodeSignature.from_backend(machine, communication_qubits=[0])
    rows = tuple(each for each in node.chip.operations if (each.name, each.qubits) != ("measure", (0,)))
    broken = replace(node, node_id="broken", chip=replace(node.chip, operations=rows))
    whole = replace(node, node_id="whole")
    link = replace(hq.Fabric.line([2, 2]).links[0], a="broken", b="whole")
    plan = hq.plan(generate("ghz", qubits=8), hq.Fabric(nodes=(broken, whole), links=(link,)), seed=1, time_limit_s=0.1)
    with pytest.raises(InvalidValue, match="broken"):
        plan.native()
