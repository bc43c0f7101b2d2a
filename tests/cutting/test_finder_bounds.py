"""Lower bounds of the cut finder, and its compiled searches, against other ways to the same numbers."""

import itertools
import math
import os
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.finder.bounds import floor_of
from hyperfabric_q.cutting.finder.exact_kernel import minimum_cut, sweep
from hyperfabric_q.cutting.finder.prices import WIRE, joint, joint_inverse
from hyperfabric_q.cutting.finder.slices import graph_of, read_slices


def random_circuit(qubits, gates, seed):
    random = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits - 1):
        circuit.rzz(float(random.uniform(0.2, 1.5)), qubit, qubit + 1)
    for _ in range(gates):
        a, b = (int(each) for each in random.permutation(qubits)[:2])
        circuit.rzz(float(random.uniform(0.2, 1.5)), a, b)
    return circuit


def price(slices, part, *, jointly):
    pairs = {}
    for (a, b), log_s in zip(part[slices.gates].tolist(), slices.log_s.tolist(), strict=True):
        if a != b:
            pairs.setdefault((min(a, b), max(a, b)), []).append(log_s)
    wires = sum(part[a] != part[b] for a, b in slices.wires.tolist())
    total = sum(joint(sum(each)) if jointly else sum(map(joint, each)) for each in pairs.values())
    return total + WIRE * wires


def least(slices, rooms, *, jointly, cut_wires, keep):
    """The cheapest over all assignments; a part needs its slices less its uncut wires."""
    found = math.inf
    count = len(slices) if cut_wires else slices.qubits
    for flat in itertools.product(range(len(rooms)), repeat=count):
        part = np.array(flat) if cut_wires else np.array(flat)[slices.qubit]
        widths = np.bincount(part, minlength=len(rooms))
        for a, b in slices.wires.tolist():
            widths[part[a]] -= part[a] == part[b]
        if (widths <= rooms).all() and (widths.all() or not keep):
            found = min(found, price(slices, part, jointly=jointly))
    return found


@pytest.mark.parametrize("jointly", [True, False])
@pytest.mark.parametrize("seed", range(9))
def test_floor_of_gate_cuts_is_never_above_the_cheapest(seed, jointly):
    slices = read_slices(random_circuit(6, 3, seed))
    graph = graph_of(slices, cut_gates=True, cut_wires=False, reuse=False, jointly=jointly)
    for rooms, keep in (((3, 3), False), ((4, 4), False), ((2, 2, 2), True), ((3, 1, 2), True)):
        bound = floor_of(graph).price(rooms, keep=keep)
        assert 0 < bound <= least(slices, rooms, jointly=jointly, cut_wires=False, keep=keep) + 1e-6


@pytest.mark.parametrize("jointly", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_floor_of_both_cuts_is_never_above_the_cheapest(seed, jointly):
    slices = read_slices(random_circuit(4, 2, seed))
    graph = graph_of(slices, cut_gates=True, cut_wires=True, reuse=False, jointly=jointly)
    for rooms, keep in (((3, 3), False), ((3, 3), True)):
        bound = floor_of(graph).price(rooms, keep=keep)
        assert 0 < bound <= least(slices, rooms, jointly=jointly, cut_wires=True, keep=keep) + 1e-6


def test_floor_of_equal_halves_grows_with_their_size_where_qubits_are_well_joined():
    circuit = QuantumCircuit(16)
    for a, b in nx.random_regular_graph(5, 16, seed=1).edges:
        circuit.cz(a, b)
    floor = floor_of(graph_of(read_slices(circuit), cut_gates=True, cut_wires=False, reuse=False, jointly=True))
    assert floor.price((8, 8), keep=False) > floor.price((15, 15), keep=False)
    assert floor.price((15, 15), keep=False) == pytest.approx(joint(5 * math.log(2)))


def test_joint_price_at_its_ends_and_its_inverse():
    assert joint(0.0) == 0
    assert joint(math.log(2)) == pytest.approx(2 * math.log(3))
    assert joint(5 * math.log(2)) == pytest.approx(2 * math.log(63))
    assert joint(joint_inverse(WIRE)) == pytest.approx(WIRE)
    assert joint(800.0) == pytest.approx(1600 + 2 * math.log(2))


@pytest.mark.parametrize("seed", range(5))
def test_minimum_cut_is_that_of_networkx(seed):
    random = np.random.default_rng(seed)
    weights = random.integers(0, 5, size=(9, 9)) * (random.random((9, 9)) < 0.6)
    weights = np.triu(weights, 1) + np.diag(np.ones(8, dtype=np.int64), 1)
    weights = np.ascontiguousarray(weights + weights.T, dtype=np.int64)
    graph = nx.from_numpy_array(weights)
    assert minimum_cut(weights.copy()) == nx.stoer_wagner(graph)[0]


@pytest.mark.parametrize("seed", range(5))
def test_sweep_finds_the_best_runs_of_an_order(seed):
    slices = read_slices(random_circuit(9, 6, seed))
    graph = graph_of(slices, cut_gates=True, cut_wires=False, reuse=False, jointly=False)
    rooms = np.array([3, 4, 3])
    found = np.empty(9, dtype=np.int64)
    assert sweep((*graph.arrays, rooms), np.arange(9), 0, found) >= 0
    runs = [(a, b) for a in range(4) for b in range(a, 10) if b - a <= 4 and 9 - b <= 3]
    costs = [price(slices, np.repeat([0, 1, 2], [a, b - a, 9 - b])[slices.qubit], jointly=False) for a, b in runs]
    assert price(slices, found[slices.qubit], jointly=False) == pytest.approx(min(costs))


def test_sweep_says_when_no_runs_fit():
    slices = read_slices(random_circuit(9, 6, 0))
    graph = graph_of(slices, cut_gates=True, cut_wires=False, reuse=False, jointly=False)
    assert sweep((*graph.arrays, np.array([4, 4])), np.arange(9), 0, np.empty(9, dtype=np.int64)) < 0


def test_slices_of_one_pair_are_shared_and_others_are_not():
    circuit = QuantumCircuit(3)
    for a, b in ((0, 1), (1, 0), (1, 2), (0, 1)):
        circuit.cx(a, b)
    slices = read_slices(circuit)
    assert slices.qubit.tolist() == [0, 0, 1, 1, 1, 2]
    assert slices.first_row.tolist() == [0, 3, 0, 2, 3, 0]
    assert slices.gates.tolist() == [[0, 2], [2, 0], [3, 5], [1, 4]]
    assert len(read_slices(circuit, shared=False)) == 8


SCRIPT = """
from qiskit import QuantumCircuit
from hyperfabric_q.cutting.finder import find_cuts
circuit = QuantumCircuit(9)
for a in range(9):
    for step in (1, 2, 4):
        circuit.rzz(0.1 * (a + step), a, (a * step + 1 + step) % 9) if (a * step + 1 + step) % 9 != a else None
for options in ({"reuse": True}, {"methods": ("gate_cut",)}, {"parts": 3}):
    found = find_cuts(circuit, 5, time_limit_s=0.012, **options)
    print(found.assignment.segments, found.moves, found.history, found.bound)
"""


@pytest.mark.slow
def test_plain_python_makes_the_same_moves():
    told = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        told.append(run.stdout)
    assert told[0] == told[1]
    assert told[0].count("\n") == 3
