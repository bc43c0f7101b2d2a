"""Chips: couplings, places of communication qubits, and the figures of single operations."""

import pytest
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap

from hyperfabric_q.errors import FabricRejected, InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, NodeSignature
from hyperfabric_q.fabric.chip import Chip, ChipOperation, outermost, reached


def grid_backend(seed=1):
    return GenericBackendV2(6, coupling_map=CouplingMap.from_grid(2, 3), seed=seed)


def test_a_backend_gives_a_chip_with_its_couplings_and_its_figures():
    backend = grid_backend()
    node = NodeSignature.from_backend(backend, communication_qubits=[2, 5])
    assert node.chip.communication == (2, 5)
    assert (node.compute_units, node.communication_qubits) == (4, 2)
    assert node.chip.edges == ((0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5))
    target = backend.target
    for a, b in node.chip.edges:
        stated = [target["cx"][pair].error for pair in ((a, b), (b, a)) if pair in target["cx"]]
        assert node.chip.edge_error(b, a) == min(stated)
    assert node.chip.readout_error(3) == target["measure"][3,].error


def test_a_target_is_as_good_as_its_backend():
    assert NodeSignature.from_backend(grid_backend().target).chip == NodeSignature.from_backend(grid_backend()).chip


def test_a_number_of_communication_qubits_takes_the_rim_and_leaves_the_rest_joined():
    line = tuple((i, i + 1) for i in range(6))
    assert outermost(7, line, 1) == (0,)
    assert outermost(7, line, 2) == (0, 1)
    heavy = CouplingMap.from_heavy_hex(3)
    edges = tuple(sorted({(min(pair), max(pair)) for pair in heavy.get_edges()}))
    places = outermost(heavy.size(), edges, 4)
    rest = set(range(heavy.size())) - set(places)
    assert reached(edges, min(rest), places) == rest


@pytest.mark.parametrize("places", [[0, 0], [6], [-1], [True], ["1"], [0, 1, 2, 3, 4, 5]])
def test_places_that_are_not_on_the_chip_are_refused(places):
    with pytest.raises(InvalidValue):
        NodeSignature.from_backend(grid_backend(), communication_qubits=places)


def test_a_chip_in_two_pieces_is_refused_with_a_qubit_of_each():
    row = ChipOperation(name="cz", qubits=(0, 1))
    with pytest.raises(InvalidValue, match="0 and 2"):
        Chip(qubits=4, communication=(0,), operations=(row, ChipOperation(name="cz", qubits=(2, 3))))


def test_counts_that_contradict_the_chip_are_refused():
    chip = NodeSignature.from_backend(grid_backend()).chip
    with pytest.raises(InvalidValue, match="has 5"):
        NodeSignature("a", HardwareType.QUANTUM_QPU, 1, 1, compute_units=4, chip=chip)


def test_chips_survive_the_fabric_file():
    fabric = Fabric.from_backends([grid_backend(1), grid_backend(2)], "line", communication_qubits=2)
    assert Fabric.from_toml(fabric.to_toml()) == fabric
    assert fabric.nodes[0].chip != fabric.nodes[1].chip


def test_a_fault_in_a_chip_is_named_with_its_line():
    text = Fabric.from_backends([grid_backend()], "line").to_toml()
    with pytest.raises(FabricRejected, match="communication"):
        Fabric.from_toml(text.replace("communication = [0]", "communication = [9]"))
    with pytest.raises(FabricRejected, match="qubits"):
        Fabric.from_toml(text.replace("qubits = 6", "qubits = 'six'"))
