"""A mapping of another compiler is carried out as it says, costs what it must, and is refused where it does not fit."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.given import given_placement, instruction_layers
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.place import place
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.steps import Promote, Spread, ebits_of
from hyperfabric_q.distribution.verify import verify
from hyperfabric_q.errors import InvalidValue, NoQuantumPath, NotEnoughCommunicationQubits, UnknownName
from hyperfabric_q.fabric import Fabric

A, B, C = "qpu-0", "qpu-1", "qpu-2"
FULL = Fabric.full([2, 2, 2], communication_qubits=4, pair_fidelity=0.9)


def carried_out(circuit, fabric, homes, sites=None):
    program, network = rebase(circuit), network_of(fabric)
    placement = given_placement(circuit, program, network, homes=homes, sites=sites)
    lowered = lower(program, network, placement.homes, placement.steps)
    return placement, lowered, replay(lowered.circuit, fabric), program


def star():
    """Three phases that share qubit 0: one copy of it serves two of them on one node."""
    circuit = QuantumCircuit(4)
    circuit.cp(0.3, 0, 1)
    circuit.cp(0.4, 0, 2)
    circuit.cp(0.5, 0, 3)
    return circuit


def test_fixed_homes_are_kept_and_cost_what_the_best_sites_cost():
    for homes in ([A, A, B, B], dict(enumerate([A, A, B, B])), np.array([A, A, B, B])):
        placement, lowered, counted, _ = carried_out(star(), FULL, homes)
        assert [lowered.node_of[wire] for wire in lowered.entry] == [A, A, B, B]
        assert counted.ebits == ebits_of(placement.steps) == 1
        assert dict(counted.ebits_per_link) == {(A, B): 1}


def test_given_sites_are_kept_even_where_others_are_cheaper():
    _, _, counted, _ = carried_out(star(), FULL, [A, A, B, B], {1: A, 2: A})
    assert dict(counted.ebits_per_link) == {(A, B): 2}
    _, _, counted, _ = carried_out(star(), FULL, [A, A, B, B], {2: C})
    assert counted.ebits == 3  # 0 and 3 to C, and 0 and 2 together


def test_a_qubit_moves_where_the_mapping_moves_it():
    circuit = QuantumCircuit(3)
    circuit.cz(0, 1)
    circuit.h(0)
    circuit.cz(0, 2)
    circuit.h([0, 2])
    circuit.cz(0, 2)
    layers = [[A, A, B], [B, A, B], [B, A, B], [B, A, B], [B, A, B]]
    placement, lowered, counted, program = carried_out(circuit, FULL, layers)
    assert counted.ebits == 1
    assert sum(isinstance(step, Promote) for step in placement.steps) == 1
    assert [lowered.node_of[wire] for wire in lowered.exit] == [B, A, B]
    assert verify(program, lowered, mode="proved", seed=1).label == "proved"
    assert carried_out(circuit, FULL, [A, A, B])[2].ebits == 2


def test_a_move_inside_a_segment_is_a_copy_that_the_gates_of_its_layers_run_on():
    circuit = star()
    circuit.cp(0.6, 0, 1)
    layers = [[A, A, B, B], [B, A, B, C], [C, A, B, C], [A, A, B, C]]
    placement, _, counted, _ = carried_out(circuit, FULL, layers)
    moved = {(step.qubit, step.target) for step in placement.steps if isinstance(step, Spread)}
    assert moved == {(0, 1), (0, 2)}
    assert counted.ebits == 2


def test_layers_are_the_depth_of_the_circuit_without_barriers(scramble):
    for seed in range(8):
        circuit = scramble(5, 40, np.random.default_rng(seed), clbits=2)
        layer_of, layers = instruction_layers(circuit)
        assert layers == circuit.depth()
        assert len(layer_of) == len(circuit.data)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.barrier()
    circuit.h(1)
    assert instruction_layers(circuit) == ([0, -1, 0], 1)


@pytest.mark.parametrize("make", [Fabric.full, Fabric.line])
def test_any_mapping_in_layers_is_carried_out_and_proved_or_refused_for_room(make, scramble):
    fabric = make([2, 2, 2], communication_qubits=None, pair_fidelity=0.9)
    done, refused = 0, []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        circuit = scramble(5, 16, rng)
        slots = np.array([A, A, B, B, C, C])
        layers, row = [], rng.permutation(6)
        for _ in range(circuit.depth()):
            if rng.random() < 0.4:
                i, j = rng.choice(6, size=2, replace=False)
                row = row.copy()
                row[[i, j]] = row[[j, i]]
            layers.append(slots[row[:5]].tolist())
        try:
            placement, lowered, counted, program = carried_out(circuit, fabric, layers)
        except InvalidValue as refusal:
            refused.append(str(refusal))
            continue
        done += 1
        assert counted.ebits == ebits_of(placement.steps)
        assert all(counted.data_qubits[node] <= 2 for node in (A, B, C))
        if seed < 6:
            assert verify(program, lowered, mode="auto", seed=1).label == "proved"
    assert done >= 18
    assert all("at the end" in each or "at the beginning" in each for each in refused)


def test_the_cost_of_a_fixed_mapping_in_one_layer_or_in_all_is_the_same(scramble):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        circuit = scramble(6, 30, rng)
        homes = np.array([A, A, B, B, C, C])[rng.permutation(6)].tolist()
        once = carried_out(circuit, FULL, homes)[2]
        assert carried_out(circuit, FULL, [homes] * circuit.depth())[2].ebits == once.ebits


def test_our_own_placement_given_back_costs_the_same(scramble):
    for seed in range(6):
        circuit = scramble(6, 40, np.random.default_rng(seed))
        program, network = rebase(circuit), network_of(FULL)
        segments = segments_of(program)
        ours = place(program, segments, network, seed=seed, time_limit_s=0)
        if any(isinstance(step, Promote) for step in ours.steps):
            continue  # homes in time are not in a placement
        homes = [network.names[node] for node in ours.homes]
        rows = program.origin[segments.gate_row].tolist()
        sites = {row: network.names[site] for row, site in zip(rows, ours.sites, strict=True)}
        assert carried_out(circuit, FULL, homes, sites)[2].ebits == ebits_of(ours.steps)


def test_what_does_not_fit_is_refused_with_the_reason():
    circuit = star()
    with pytest.raises(InvalidValue, match="3 qubits on 'qpu-0'"):
        carried_out(circuit, FULL, [A, A, A, B])
    with pytest.raises(InvalidValue, match="in layer 1"):
        carried_out(circuit, FULL, [[A, A, B, B], [A, A, A, B], [A, A, B, B]])
    with pytest.raises(InvalidValue, match="the circuit has 3 layers"):
        carried_out(circuit, FULL, [[A, A, B, B]] * 2)
    with pytest.raises(UnknownName, match="Did you mean 'qpu-1'"):
        carried_out(circuit, FULL, [A, A, "qpu1", B])
    for homes in ([A, A, B], {0: A}, A, 3, None, [3, 4], [A, A, B, [B]], {"0": A, 1: A, 2: B, 3: B}, iter([A] * 4)):
        with pytest.raises((InvalidValue, UnknownName)):
            carried_out(circuit, FULL, homes)
    with pytest.raises(InvalidValue, match="numbered 0 to 2"):
        carried_out(circuit, FULL, [A, A, B, B], {3: A})
    circuit.h(0)
    for sites in ({3: A}, [A], {True: A}):
        with pytest.raises(InvalidValue):
            carried_out(circuit, FULL, [A, A, B, B], sites)


def test_a_mapping_that_the_network_cannot_carry_out_is_refused():
    apart = Fabric.line([2, 2, 2], communication_qubits=0, pair_fidelity=0.9)
    with pytest.raises((NoQuantumPath, NotEnoughCommunicationQubits)):
        carried_out(star(), apart, [A, A, B, B])
    narrow = Fabric.full([2, 2, 2], communication_qubits=1, pair_fidelity=0.9)
    with pytest.raises(NotEnoughCommunicationQubits):
        carried_out(star(), narrow, [A, A, B, B], {2: C})


def test_a_circuit_without_gates_is_carried_out():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    assert carried_out(circuit, FULL, [A, B])[2].ebits == 0
    assert carried_out(circuit, FULL, [[A, B]])[2].ebits == 0
