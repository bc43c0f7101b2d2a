"""The order of operations: a walk over the steps that knows only the rules of the hardware."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.chapters import chapters_of
from hyperfabric_q.distribution.network import UNREACHABLE
from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import cost, segments_of
from hyperfabric_q.distribution.sites import allowed_sites
from hyperfabric_q.distribution.steps import Apply, Release, Spread, ebits_of, steps_of
from hyperfabric_q.errors import NoQuantumPath, NotEnoughCommunicationQubits


def still_steps(program, segments, network, homes, sites):
    """The steps of a placement in which no qubit moves, from one home per qubit."""
    chapters = chapters_of(program, segments)
    return steps_of(program, chapters, network, *chapters.still(homes), sites)


ENDS = (Kind.U, Kind.RESET)


class Hardware:
    """Copies, communication qubits and the order of rows, checked step by step."""

    def __init__(self, program, network, homes):
        self.program, self.network, self.homes = program, network, homes
        self.copies = [set() for _ in homes]
        self.load = [0] * len(network)
        self.peak = [0] * len(network)
        self.applied = []

    def use(self, node, count):
        limit = self.network.communication[node]
        assert limit is None or count <= limit, f"{count} communication qubits on node {node}"
        self.peak[node] = max(self.peak[node], count)

    def present(self, qubit):
        return {int(self.homes[qubit]), *self.copies[qubit]}

    def step(self, step):
        if isinstance(step, Spread):
            assert step.source in self.present(step.qubit), "spread from a node without a copy"
            assert step.target not in self.present(step.qubit), "spread to a node that has a copy"
            assert step.target in self.network.neighbours[step.source], "spread without a link"
            self.use(step.source, self.load[step.source] + 1)
            self.load[step.target] += 1
            self.use(step.target, self.load[step.target])
            self.copies[step.qubit].add(step.target)
        elif isinstance(step, Release):
            self.copies[step.qubit].remove(step.node)
            self.load[step.node] -= 1
        else:
            self.apply(step)

    def apply(self, step):
        kind, first = self.program.kind[step.row], int(self.program.first[step.row])
        if kind == Kind.CP:
            for qubit in (first, int(self.program.second[step.row])):
                assert step.node in self.present(qubit), "a gate where a qubit is not"
        else:
            assert step.node in self.present(first)
        if kind in ENDS:
            assert not self.copies[first], "a break while copies live"
        if kind == Kind.MEASURE:
            assert step.node == self.homes[first]
        self.applied.append((step.row, step.node, frozenset(self.present(first))))

    def finish(self):
        assert not any(self.copies), "a copy outlives the circuit"
        where = {}
        for position, (row, node, present) in enumerate(self.applied):
            where.setdefault(row, []).append((position, node, present))
        assert sorted(where) == list(range(len(self.program)))
        for row, times in where.items():
            if self.program.kind[row] == Kind.X:
                assert sorted(node for _, node, _ in times) == sorted(times[0][2]), "a flip must reach every copy, once"
                assert [position for position, *_ in times] == list(range(times[0][0], times[0][0] + len(times)))
            else:
                assert len(times) == 1
        return [times[0][0] for _, times in sorted(where.items())]


def check_order(program, position):
    """Only gates that commute may have changed places."""
    for late in range(len(program)):
        for early in range(late):
            if position[early] < position[late]:
                continue
            kinds = {int(program.kind[early]), int(program.kind[late])}
            shared = {int(program.first[early]), int(program.second[early])} & {
                int(program.first[late]), int(program.second[late])} - {-1}  # fmt: skip
            assert not (shared and kinds & {Kind.U, Kind.X, Kind.RESET}), "rows that do not commute changed places"
            if Kind.MEASURE in kinds:
                assert program.condition[early] < 0, "a condition is read before, and now after, a measurement"
                assert program.condition[late] < 0, "a condition is read before its measurement"
                assert kinds == {int(Kind.MEASURE), int(Kind.CP)}, "measurements changed places"


def walked(program, network, homes, steps):
    hardware = Hardware(program, network, homes)
    for step in steps:
        hardware.step(step)
    check_order(program, hardware.finish())
    return hardware


LIMITS = [None, 1, 2, 3]


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return (
        draw(st.integers(2, 7)),
        draw(st.integers(2, 5)),
        draw(st.integers(1, 50)),
        draw(st.sampled_from(["full", "line", "ring", "star"])),
        draw(st.sampled_from(["same", "mixed"])),
        draw(st.sampled_from(LIMITS)),
        draw(st.booleans()),
        rng,
    )


@settings(deadline=None, derandomize=True, max_examples=250)
@given(case=cases())
def test_steps_obey_the_hardware(case, net, scramble):
    qubits, nodes, gates, shape, mixed, limit, dynamic, rng = case
    program = rebase(scramble(qubits, gates, rng, clbits=2 if dynamic else 0))
    segments = segments_of(program)
    limits = [LIMITS[rng.integers(4)] for _ in range(nodes)] if mixed == "mixed" else limit
    network = net(shape, [qubits] * nodes, limits)
    homes = rng.integers(nodes, size=qubits).astype(np.int32)
    asked = rng.integers(nodes, size=program.two_qubit_gates).astype(np.int32)
    sites = allowed_sites(segments, network, homes, asked)
    try:
        steps = still_steps(program, segments, network, homes, sites)
    except NotEnoughCommunicationQubits:
        assert cost(segments, network, homes, sites) >= UNREACHABLE, "refused although every chain exists"
        return
    walked(program, network, homes, steps)
    price = cost(segments, network, homes, sites)
    assert ebits_of(steps) == sum(isinstance(step, Spread) for step in steps) >= price
    if all(each is None for each in network.communication):
        assert ebits_of(steps) == price


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=3000)
@given(case=cases())
def test_steps_obey_the_hardware_in_many_more_cases(case, net, scramble):
    test_steps_obey_the_hardware.hypothesis.inner_test(case, net, scramble)


def spread_out(pairs, homes, net, limit, shape="full", nodes=None):
    circuit = QuantumCircuit(len(homes))
    for a, b in pairs:
        circuit.cp(0.1, a, b)
    program = rebase(circuit)
    segments = segments_of(program)
    network = net(shape, [9] * (nodes or max(homes) + 1), limit)
    return program, segments, network, np.array(homes, dtype=np.int32)


def test_one_copy_serves_a_whole_segment_and_goes_after_its_last_gate(net):
    program, segments, network, homes = spread_out([(0, 1), (0, 2), (0, 3)], [0, 1, 1, 1], net, None)
    steps = still_steps(program, segments, network, homes, np.full(3, 1, dtype=np.int32))
    assert steps == (Spread(0, 0, 1), Apply(0, 1), Apply(1, 1), Apply(2, 1), Release(0, 1))


def test_gates_are_pulled_forward_to_a_fresh_copy_but_not_across_a_flip(net):
    circuit = QuantumCircuit(4)
    circuit.cp(0.1, 0, 1)
    circuit.cp(0.2, 2, 3)
    circuit.cp(0.3, 0, 2)
    circuit.x(0)
    circuit.cp(0.4, 0, 3)
    program = rebase(circuit)
    network, homes = net("full", [9, 9]), np.array([0, 1, 1, 1], dtype=np.int32)
    steps = still_steps(program, segments_of(program), network, homes, np.full(4, 1, dtype=np.int32))
    rows = [
        program.angles[step.row, 0] for step in steps if isinstance(step, Apply) and program.kind[step.row] == Kind.CP
    ]
    assert rows == [0.1, 0.3, 0.2, 0.4]
    walked(program, network, homes, steps)


def test_a_full_node_gives_up_the_copy_that_is_needed_last(net):
    pairs = [(0, 2), (1, 2), (0, 3), (1, 3)]
    circuit = QuantumCircuit(4)
    for index, (a, b) in enumerate(pairs):
        circuit.cp(0.1 + index, a, b)
        circuit.x(a)  # a fence: gates cannot be pulled forward
    program = rebase(circuit)
    segments, homes = segments_of(program), np.array([0, 0, 1, 1], dtype=np.int32)
    for limit, expected in ((None, 2), (2, 2), (1, 4)):
        network = net("full", [9, 9], limit)
        steps = still_steps(program, segments, network, homes, np.full(4, 1, dtype=np.int32))
        assert ebits_of(steps) == expected
        assert max(walked(program, network, homes, steps).peak) <= (limit or 2)


def test_a_chain_releases_the_relay_when_nothing_more_needs_it(net):
    program, segments, network, homes = spread_out([(0, 1)], [0, 2], net, 2, "line", 3)
    steps = still_steps(program, segments, network, homes, np.array([2], dtype=np.int32))
    assert [step for step in steps if isinstance(step, Spread)] == [Spread(0, 0, 1), Spread(0, 1, 2)]
    walked(program, network, homes, steps)


@pytest.mark.parametrize(
    ("limits", "node", "needed"), [([1, 1, 1], "n1", 2), ([0, 2, 2], "n0", 1), ([2, 2, 0], "n2", 1)]
)
def test_a_chain_that_cannot_pass_names_the_node_that_stops_it(limits, node, needed, net):
    program, segments, network, homes = spread_out([(0, 1)], [0, 2], net, limits, "line", 3)
    with pytest.raises(NotEnoughCommunicationQubits) as caught:
        still_steps(program, segments, network, homes, np.array([2], dtype=np.int32))
    assert (caught.value.node, caught.value.needed) == (node, needed)


def test_qubits_on_unlinked_nodes_have_no_path(net):
    program, segments, network, homes = spread_out([(0, 1)], [0, 2], net, 1, [(0, 1), (2, 3)], 4)
    with pytest.raises(NoQuantumPath) as caught:
        still_steps(program, segments, network, homes, np.array([2], dtype=np.int32))
    assert (caught.value.a, caught.value.b) == (("n0", "n1"), ("n2", "n3"))
