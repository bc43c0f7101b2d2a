"""Gate sites against brute force."""

from itertools import product

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.network import UNREACHABLE
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import cost, segments_of
from hyperfabric_q.distribution.sites import allowed_sites, cover_sites, improve_sites


def instance(seed, scramble, qubits=5, gates=16, nodes=3, breaks=0.8):
    rng = np.random.default_rng(seed)
    segments = segments_of(rebase(scramble(qubits, gates, rng, breaks=breaks)))
    return segments, rng.integers(nodes, size=qubits).astype(np.int32), rng


@pytest.mark.parametrize("seed", range(40))
def test_the_cover_is_the_best_choice_between_the_two_ends(seed, net, scramble):
    segments, homes, _ = instance(seed, scramble, nodes=2 + seed % 3)
    network = net("full", [9] * 4)
    ends = homes[segments.gate_qubits]
    crossing = np.flatnonzero(ends[:, 0] != ends[:, 1])
    if len(crossing) > 9:
        pytest.skip("too many choices to try them all")
    best, trial = None, ends[:, 0].copy()
    for choice in product((0, 1), repeat=len(crossing)):
        trial[crossing] = ends[crossing, list(choice)] if len(crossing) else trial[crossing]
        price = cost(segments, network, homes, trial)
        best = price if best is None else min(best, price)
    sites = cover_sites(segments, homes)
    assert all(site in pair for site, pair in zip(sites.tolist(), ends.tolist(), strict=True))
    assert cost(segments, network, homes, sites) == best


def test_many_gates_between_the_same_two_packets_are_one_edge(net):
    """256 parallel edges: a count in one byte would wrap to no edge at all."""
    circuit = QuantumCircuit(2)
    for _ in range(256):
        circuit.cp(0.3, 0, 1)
        circuit.x(0)
    segments = segments_of(rebase(circuit))
    homes = np.array([0, 1], dtype=np.int32)
    assert len(segments.gate_row) == 256
    assert cost(segments, net("full", [1, 1]), homes, cover_sites(segments, homes)) == 1


def test_sites_of_no_gates():
    segments = segments_of(rebase(QuantumCircuit(2)))
    assert cover_sites(segments, np.array([0, 1], dtype=np.int32)).shape == (0,)


def test_gates_within_a_node_stay_there(scramble):
    segments, homes, _ = instance(3, scramble)
    same = homes[segments.gate_qubits][:, 0] == homes[segments.gate_qubits][:, 1]
    assert (cover_sites(segments, homes)[same] == homes[segments.gate_qubits][same, 0]).all()


@pytest.mark.parametrize("shape", ["full", "line", "star", "ring"])
@pytest.mark.parametrize("limit", [None, 1, 2])
def test_sweeping_never_costs_more(shape, limit, net, scramble):
    for seed in range(12):
        segments, homes, rng = instance(seed, scramble, qubits=7, gates=40, nodes=5)
        network = net(shape, [9] * 5, limit)
        start = allowed_sites(segments, network, homes, rng.integers(5, size=len(segments.gate_row)).astype(np.int32))
        price = cost(segments, network, homes, start)
        for sweeps in (1, 3):
            swept = improve_sites(segments, network, homes, start, sweeps=sweeps)
            now = cost(segments, network, homes, swept)
            assert now <= price
            price = now
            start = swept


def test_sweeping_finds_a_third_party_site(net):
    """Two packets that already reach node 2 meet there for free."""
    circuit = QuantumCircuit(4)
    for far in (2, 3):
        circuit.cp(0.1, 0, far)
        circuit.cp(0.2, 1, far)
    circuit.cp(0.3, 0, 1)
    segments = segments_of(rebase(circuit))
    homes = np.array([0, 1, 2, 2], dtype=np.int32)
    network = net("full", [9] * 3)
    start = cover_sites(segments, homes)
    assert cost(segments, network, homes, start) == 3
    swept = improve_sites(segments, network, homes, start)
    assert cost(segments, network, homes, swept) == 2
    assert swept[-1] == 2


def test_a_third_party_needs_two_communication_qubits(net):
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    segments = segments_of(rebase(circuit))
    homes, third = np.array([0, 2], dtype=np.int32), np.array([1], dtype=np.int32)
    assert allowed_sites(segments, net("full", [1] * 3, 2), homes, third).tolist() == [1]
    assert allowed_sites(segments, net("full", [1] * 3, 1), homes, third).tolist() != [1]
    assert allowed_sites(segments, net([(0, 1)], [1] * 3), homes, third).tolist() != [1]


@pytest.mark.parametrize("limits", [[1, 2, 1, 2, 1], [2, 1, 2, 2, 2], [None, 2, 2, 1, None]])
def test_allowed_sites_can_always_be_served_where_a_chain_exists(limits, net, scramble):
    for seed in range(10):
        segments, homes, rng = instance(seed, scramble, qubits=6, gates=30, nodes=5)
        network = net("ring", [9] * 5, limits)
        asked = rng.integers(5, size=len(segments.gate_row)).astype(np.int32)
        given = allowed_sites(segments, network, homes, asked)
        for gate, (a, b) in enumerate(homes[segments.gate_qubits].tolist()):
            site = int(given[gate])
            if site not in (a, b):
                assert network.room(site, 2)
            if network.hops(a, b) < UNREACHABLE:
                assert network.hops(a, site) < UNREACHABLE
                assert network.hops(b, site) < UNREACHABLE
