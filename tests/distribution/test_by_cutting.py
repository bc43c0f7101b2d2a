"""Cutting over a fabric: the parts fit their nodes, the numbers are the circuit's, and noise is the nodes'."""

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, NoCutFound, OverheadTooHigh
from hyperfabric_q.families import generate

CUTS = ("gate_cut", "wire_cut")


def test_parts_stand_on_nodes_that_hold_them_and_give_the_values_of_the_circuit():
    fabric = hq.Fabric.full([3, 6, 4])
    circuit = generate("qaoa_3regular", qubits=8, seed=1)
    placed = hq.plan(circuit, fabric, methods=CUTS, seed=1)
    rooms = {node.node_id: node.data_qubits for node in fabric.nodes}
    assert len(set(placed.nodes)) == len(placed.nodes) == placed.plan.parts
    assert all(width <= rooms[node] for width, node in zip(placed.plan.widths, placed.nodes, strict=True))
    observables = SparsePauliOp(["ZZIIIIII", "IIXIIIIX"])
    values = placed.exact(list(observables)).evs
    state = Statevector(circuit)
    assert values == pytest.approx([state.expectation_value(each).real for each in observables], abs=1e-9)
    assert placed.ebits == 0
    assert placed.overhead == pytest.approx(placed.gamma**2)


def test_a_circuit_that_fits_one_node_is_not_cut():
    placed = hq.plan(generate("ghz", qubits=4), hq.Fabric.full([2, 4]), methods=CUTS, seed=1)
    assert placed.nodes == ("qpu-1",)
    assert placed.gamma == 1


def test_links_do_not_count():
    fabric = hq.Fabric(nodes=hq.Fabric.full([3, 3]).nodes)
    assert hq.plan(generate("ghz", qubits=5), fabric, methods=("gate_cut",), seed=1).gamma == pytest.approx(3)


def test_nodes_without_errors_give_estimates_of_the_exact_values():
    placed = hq.plan(generate("ghz", qubits=5), hq.Fabric.full([3, 3]), methods=("gate_cut",), seed=1)
    found = placed.run(["ZIIIZ", "XXXXX", "ZIIII"], shots=20_000, seed=3)
    for estimate, due in zip(found, [1.0, 1.0, 0.0], strict=True):
        assert abs(estimate.value - due) < 5 * estimate.stderr + 1e-9
    again = placed.run(["ZIIIZ", "XXXXX", "ZIIII"], shots=20_000, seed=3)
    assert np.array_equal(found.evs, again.evs)


def test_readout_errors_of_the_nodes_shrink_what_is_measured():
    fabric = hq.Fabric.full([3, 3]).replace("nodes.*", readout_error=0.1)
    placed = hq.plan(generate("ghz", qubits=3), fabric, methods=CUTS, seed=1)
    assert placed.plan.parts == 1
    found = placed.run(["ZZI"], shots=20_000, seed=4)[0]
    assert abs(found.value - 0.8**2) < 5 * found.stderr


def test_noise_none_is_drawn_from_the_exact_laws():
    placed = hq.plan(generate("ghz", qubits=5), hq.Fabric.full([3, 3]), methods=CUTS, seed=1)
    found = placed.run("ZIIIZ", precision=0.02, noise="none", seed=4)[0]
    assert found.stderr <= 0.02
    assert abs(found.value - 1) < 5 * 0.02


@pytest.mark.parametrize("methods", ["gate_cut", ("gate_cut", "telegate"), (), 7, ("GATE_CUT",)])
def test_methods_that_are_none_are_refused(methods):
    with pytest.raises(InvalidValue, match="gate_cut"):
        hq.plan(generate("ghz", qubits=5), hq.Fabric.full([3, 3]), methods=methods)


def test_options_of_bell_pairs_are_refused_with_cuts():
    with pytest.raises(InvalidValue, match="Bell pairs"):
        hq.plan(generate("ghz", qubits=5), hq.Fabric.full([3, 3]), methods=CUTS, homes=["qpu-0"] * 5)


def test_hopeless_precision_and_nodes_too_small_are_refused_with_numbers():
    with pytest.raises(NoCutFound):
        hq.plan(generate("ghz", qubits=9), hq.Fabric.full([3, 3]), methods=("gate_cut",))
    placed = hq.plan(generate("qft", qubits=8), hq.Fabric.full([4, 4]), methods=("gate_cut",), seed=1, time_limit_s=1)
    with pytest.raises(OverheadTooHigh) as caught:
        placed.run("ZIIIIIII", precision=1e-4, noise="none", seed=1)
    assert caught.value.gamma > 10
    assert caught.value.needed > caught.value.allowed


@pytest.mark.parametrize(("options", "field"), [({}, "shots"), ({"shots": 100, "noise": "links"}, "noise")])
def test_runs_that_say_too_little_or_too_much_are_refused(options, field):
    placed = hq.plan(generate("ghz", qubits=5), hq.Fabric.full([3, 3]), methods=CUTS, seed=1)
    with pytest.raises(InvalidValue) as caught:
        placed.run("ZIIIZ", **options)
    assert caught.value.field == field
