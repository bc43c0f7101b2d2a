"""Qubits that move: the emitted circuit is the original over every branch, and no node ever holds too many."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.distribution.chapters import chapters_of, cost_in_time, occupancy
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.steps import Promote, ebits_of, steps_of
from hyperfabric_q.distribution.verify import verify as check
from hyperfabric_q.errors import NotEnoughCommunicationQubits


def random_circuit(qubits, gates, seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(gates):
        a, b = rng.choice(qubits, 2, replace=False)
        for qubit in (a, b):
            if rng.random() < 0.5:
                circuit.u(*rng.uniform(0, 6, 3), qubit)
        circuit.cp(rng.uniform(0.1, 3), a, b)
    return circuit


def random_homes(chapters, capacity, rng):
    """Homes that respect the capacity in every layer, drawn segment by segment in order of time."""
    segments, nodes = chapters.segments, len(capacity)
    held = np.zeros((nodes, chapters.layers), dtype=int)
    homes = np.zeros(len(chapters), dtype=np.int32)
    idle = np.full(segments.qubits, -1, dtype=np.int32)
    spans = [(chapters.begins[s], chapters.ends[s], s, None) for s in range(len(chapters))]
    spans += [(0, chapters.layers, None, q) for q in np.flatnonzero(chapters.idle)]
    for begin, end, segment, qubit in sorted(spans, key=lambda each: (each[0], -each[1])):
        options = [node for node in range(nodes) if (held[node, begin:end] < capacity[node]).all()]
        if not options:
            return None
        node = int(rng.choice(options))
        held[node, begin:end] += 1
        if segment is None:
            idle[qubit] = node
        else:
            homes[segment] = node
    return homes, idle


def moved(circuit, fabric, seed):
    """A random placement in time, lowered: (program, lowered, steps, model cost), or None when none was drawn."""
    program, network = rebase(circuit), network_of(fabric)
    chapters = chapters_of(program, segments_of(program))
    rng = np.random.default_rng(seed)
    for _ in range(50):
        drawn = random_homes(chapters, network.capacity, rng)
        if drawn is not None:
            break
    else:
        return None
    homes, idle = drawn
    assert (occupancy(chapters, homes, idle, len(network)) <= np.array(network.capacity)[:, None]).all()
    ends = homes[chapters.segments.gate_segments]
    sites = np.where(rng.random(len(ends)) < 0.5, ends[:, 0], ends[:, 1]).astype(np.int32)
    steps = steps_of(program, chapters, network, homes, idle, sites)
    lowered = lower(program, network, chapters.entry_homes(homes, idle), steps)
    return program, lowered, steps, cost_in_time(chapters, network, homes, sites)


@pytest.mark.parametrize("shape", ["full", "line"])
@pytest.mark.parametrize("seed", range(12))
def test_moving_qubits_changes_nothing_but_where_they_are(seed, shape, oracle):
    circuit = random_circuit(4, 10, seed)
    fabric = getattr(hq.Fabric, shape)([2, 2, 2], communication_qubits=None)
    program, lowered, steps, cost = moved(circuit, fabric, seed)
    counted = replay(lowered.circuit, fabric)
    assert counted.ebits == ebits_of(steps) <= cost
    assert check(program, lowered, mode="proved", seed=0).label == "proved"
    vector = oracle.haar(circuit.num_qubits, seed)
    got = oracle.outcomes(lowered.circuit, vector, entry=lowered.entry, exit_wires=lowered.exit, keep=0)
    assert oracle.same(oracle.outcomes(circuit, vector), got)


def test_the_sample_really_moves_and_settles():
    fabric = hq.Fabric.full([2, 2, 2], communication_qubits=None)
    kinds = [type(step) for seed in range(12) for step in moved(random_circuit(4, 10, seed), fabric, seed)[2]]
    assert kinds.count(Promote) > 20


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_limits_of_communication_qubits_hold_or_are_the_reason_of_a_refusal(limit):
    fabric = hq.Fabric.full([3, 3, 2], communication_qubits=limit)
    refused = 0
    for seed in range(20):
        try:
            program, lowered, _, _ = moved(random_circuit(6, 14, seed), fabric, seed)
        except NotEnoughCommunicationQubits:
            refused += 1
            continue
        assert max(replay(lowered.circuit, fabric).peak_copies.values()) <= limit
        assert check(program, lowered, mode="proved", seed=0).label == "proved"
    assert refused < 20


def test_full_nodes_exchange_qubits_through_their_communication_qubits():
    fabric = hq.Fabric.full([2, 2], communication_qubits=2)
    program, lowered, *_ = next(
        found
        for seed in range(200)
        if (found := moved(random_circuit(4, 8, seed), fabric, seed)) and any(isinstance(s, Promote) for s in found[2])
    )
    assert replay(lowered.circuit, fabric).data_qubits == {"qpu-0": 2, "qpu-1": 2}
    assert check(program, lowered, mode="proved", seed=0).label == "proved"
