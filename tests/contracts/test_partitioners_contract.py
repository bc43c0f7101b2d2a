"""What every partitioner promises, third parties' included: run over all that are registered."""

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.distribution.bounds import lower_bound
from hyperfabric_q.distribution.chapters import chapters_of, cost_in_time
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.partitioners.kind import EXACT_CELLS, partition, partitioners
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.steps import ebits_of, steps_of
from hyperfabric_q.distribution.verify import verify
from hyperfabric_q.errors import InvalidValue, NoQuantumPath, NotEnoughQubits, UnknownName
from hyperfabric_q.families import brickwork, ghz, qft

MOVES = 4_000

SHAPES = {"full": hq.Fabric.full, "line": hq.Fabric.line, "ring": hq.Fabric.ring, "star": hq.Fabric.star}

every_partitioner = pytest.mark.parametrize("name", list(partitioners))


def scrambled(qubits, gates, seed):
    """Controlled phases and breaks between random qubits; the last qubit has no gate."""
    rng, circuit = np.random.default_rng(seed), QuantumCircuit(qubits + 1)
    for _ in range(gates):
        a, b = (int(each) for each in rng.choice(qubits, size=2, replace=False))
        circuit.cp(float(rng.uniform(0.1, 3)), a, b)
        if rng.random() < 0.4:
            circuit.u(0.3, 0.5, 0.7, a)
    return circuit


class Case:
    """A circuit on a small fabric, with room for one qubit more than there are."""

    def __init__(self, circuit, shape, nodes, *, room=None):
        self.program = rebase(circuit)
        room = room or [-(-(circuit.num_qubits + 1) // nodes)] * nodes
        self.fabric = SHAPES[shape](room, pair_fidelity=0.95)
        self.network = network_of(self.fabric)
        self.chapters = chapters_of(self.program, segments_of(self.program))

    def place(self, name, *, seed=3, moves=MOVES):
        return partition(name, self.chapters, self.network, self.network.capacity, seed=seed, moves=moves)

    def cost(self, placement):
        return cost_in_time(self.chapters, self.network, placement[0], placement[2])


CASES = {
    "ghz on a line of three": lambda: Case(ghz(6), "line", 3),
    "fourier on two": lambda: Case(qft(5), "full", 2),
    "brickwork on two": lambda: Case(brickwork(4, 3, seed=1), "full", 2),
    "scrambled on three": lambda: Case(scrambled(4, 6, 5), "full", 3),
    "scrambled on a star of four": lambda: Case(scrambled(4, 6, 8), "star", 4),
    "chain on a ring of four": lambda: Case(ghz(6), "ring", 4),
    "no two-qubit gate": lambda: Case(QuantumCircuit(4), "line", 3),
    "all nodes full": lambda: Case(scrambled(4, 6, 6), "full", 2, room=[4, 1]),
}


@cache
def case_of(name):
    return CASES[name]()


@cache
def placed(case, name):
    return case_of(case).place(name)


every_case = pytest.mark.parametrize("case", CASES)


def held_by_hand(case, homes, idle_homes):
    """Most qubits at once on each node: each qubit's chain of segments walked by itself."""
    held = Counter()
    for qubit, first in enumerate(case.chapters.first_of.tolist()):
        segment = first
        for layer in range(case.chapters.layers):
            while segment >= 0 and layer >= case.chapters.ends[segment]:
                segment = int(case.chapters.next_of[segment])
            held[layer, int(homes[segment] if segment >= 0 else idle_homes[qubit])] += 1
    return held


def cheapest_tree(graph, nodes):
    """Fewest links that join ``nodes``: the smallest connected group of nodes around them, less one."""
    rest = [node for node in graph if node not in nodes]
    for mask in sorted(range(1 << len(rest)), key=int.bit_count):
        group = set(nodes) | {node for place, node in enumerate(rest) if mask >> place & 1}
        if nx.is_connected(graph.subgraph(group)):
            return len(group) - 1
    raise AssertionError("the nodes are not joined")


def cost_by_sets(case, homes, sites):
    """E-bits, counted qubit by qubit from plain sets of nodes."""
    graph = nx.Graph([(a, b) for a, near in enumerate(case.network.neighbours) for b in near])
    copies = [{int(home)} for home in homes]
    for segment, following in enumerate(case.chapters.next_of.tolist()):
        copies[segment] |= {int(homes[following])} if following >= 0 else set()
    for pair, site in zip(case.chapters.segments.gate_segments.tolist(), sites.tolist(), strict=True):
        for segment in pair:
            copies[segment].add(site)
    return sum(cheapest_tree(graph, each) for each in copies)


@every_partitioner
@every_case
def test_no_node_holds_more_than_its_capacity_in_any_layer(name, case):
    homes, idle_homes, _ = placed(case, name)
    case = case_of(case)
    held = held_by_hand(case, homes, idle_homes)
    assert sum(held.values()) == case.program.qubits * case.chapters.layers
    assert all(count <= case.network.capacity[node] for (_, node), count in held.items())


@every_partitioner
@every_case
def test_every_gate_has_a_site_and_every_qubit_a_home(name, case):
    homes, idle_homes, sites = placed(case, name)
    case = case_of(case)
    nodes = set(range(len(case.network)))
    assert (len(homes), len(sites)) == (len(case.chapters), len(case.chapters.gate_layer))
    assert {*homes.tolist(), *sites.tolist()} <= nodes
    for qubit, home in enumerate(idle_homes.tolist()):
        assert (home == -1) == (case.chapters.first_of[qubit] >= 0)
        assert home in {-1, *nodes}


@every_partitioner
@every_case
def test_the_answer_follows_from_the_seed(name, case):
    before = placed(case, name)
    again = CASES[case]()
    after = again.place(name)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert again.network == case_of(case).network


@every_partitioner
@every_case
def test_its_cost_is_what_sets_say_and_not_below_the_bound(name, case):
    placement, case = placed(case, name), case_of(case)
    assert case.cost(placement) == cost_by_sets(case, placement[0], placement[2])
    bound = lower_bound(case.chapters, case.network, case.network.capacity, time_limit_s=0.05)
    assert bound.value <= case.cost(placement)


@every_partitioner
@every_case
def test_what_it_places_is_lowered_replayed_and_proved(name, case):
    homes, idle_homes, sites = placement = placed(case, name)
    case = case_of(case)
    steps = steps_of(case.program, case.chapters, case.network, homes, idle_homes, sites)
    lowered = lower(case.program, case.network, case.chapters.entry_homes(homes, idle_homes), steps)
    counted = replay(lowered.circuit, case.fabric)
    assert counted.ebits == ebits_of(steps) == case.cost(placement)
    assert verify(case.program, lowered, mode="proved", seed=1).label == "proved"


@every_partitioner
@every_case
def test_none_beats_the_exact_one(name, case):
    assert case_of(case).cost(placed(case, "exact")) <= case_of(case).cost(placed(case, name))


@every_case
def test_more_effort_never_costs_more(case):
    prices = [case_of(case).cost(placed(case, name)) for name in ("search", "multilevel", "blocks")]
    assert prices == sorted(prices)


@pytest.mark.parametrize("case", ["fourier on two", "brickwork on two", "scrambled on three"])
def test_the_search_finds_the_best_of_tiny_cases(case):
    longer = case_of(case).place("search", moves=40_000)
    assert case_of(case).cost(longer) == case_of(case).cost(placed(case, "exact"))


# ----------------------------------------------------------------------------------------------------------- refusals


def test_the_exact_one_refuses_what_is_too_large_for_it():
    case = Case(brickwork(24, 12, seed=0), "full", 4)
    assert (len(case.chapters) + len(case.chapters.gate_layer)) * 4 > EXACT_CELLS
    with pytest.raises(InvalidValue, match=r"at most .* Use 'search'"):
        case.place("exact")


def test_the_exact_one_says_when_copies_cannot_be_passed_on():
    circuit = QuantumCircuit(4)
    for a, b in combinations(range(4), 2):
        circuit.cz(a, b)
    chapters = chapters_of(program := rebase(circuit), segments_of(program))
    network = network_of(hq.Fabric.line([1] * 4, communication_qubits=1, pair_fidelity=0.9))
    with pytest.raises(InvalidValue, match="without two communication qubits"):
        partition("exact", chapters, network, network.capacity, seed=0)


def test_a_name_nobody_registered_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="'multilevel'"):
        case_of("fourier on two").place("multilevels")


def test_too_little_room_and_split_networks_are_refused_before_anybody_is_asked():
    case = case_of("ghz on a line of three")
    with pytest.raises(NotEnoughQubits):
        partition("blocks", case.chapters, case.network, (1, 1, 1), seed=0)
    apart = replace(case.network, neighbours=((1,), (0,), ()))
    with pytest.raises(NoQuantumPath):
        partition("blocks", case.chapters, apart, apart.capacity, seed=0)


SPOILED = {
    "too many at once": (lambda homes, idle, sites: (np.zeros_like(homes), idle, sites), "holds 6 qubits"),
    "a node that is not there": (lambda homes, idle, sites: (homes, idle, sites + np.int32(9)), "among the nodes"),
    "a gate without a site": (lambda homes, idle, sites: (homes, idle, sites[1:]), "sites are no int32"),
    "floats": (lambda homes, idle, sites: (homes.astype(float), idle, sites), "homes are no int32"),
    "a list": (lambda homes, idle, sites: (homes.tolist(), idle, sites), "homes are no int32"),
    "a home for nothing": (lambda homes, idle, sites: (homes, np.zeros_like(idle), sites), "are not -1"),
}


@pytest.mark.parametrize("way", SPOILED)
def test_a_partitioner_that_breaks_a_promise_is_named(way, monkeypatch):
    case = case_of("ghz on a line of three")
    spoil, told = SPOILED[way]

    def third_party(chapters, network, capacity, *, seed, moves):
        return spoil(*partitioners["blocks"](chapters, network, capacity, seed=seed, moves=moves))

    monkeypatch.setitem(partitioners._members, "third party", third_party)
    with pytest.raises(InvalidValue, match=told) as caught:
        case.place("third party")
    assert "third party" in str(caught.value)
