"""Small cells, all of them: every topology and limit of communication qubits is proved, or refused with the reason."""

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.errors import Infeasible, NotEnoughCommunicationQubits
from hyperfabric_q.families import brickwork, cuccaro_adder, ghz, pauli_gadgets, qaoa_3regular, qft, w_state

SHAPES = {"full": hq.Fabric.full, "line": hq.Fabric.line, "ring": hq.Fabric.ring, "star": hq.Fabric.star}

LIMITS = (None, 1, 2, 3, 4)

SIZES = ((2, 2), (3, 3), (5, 2), (6, 3), (7, 4), (8, 4), (10, 3))
"""(qubits, nodes); rooms are exact, or one qubit larger on the last node."""

FAMILIES = {
    "ghz": ghz,
    "fourier": qft,
    "brickwork": lambda qubits: brickwork(qubits, 3, seed=qubits),
    "gadgets": lambda qubits: pauli_gadgets(qubits, 4, seed=qubits),
    "w state": w_state,
}


def rooms(qubits, nodes, spare=0):
    """Room for ``qubits`` and ``spare`` more, as even as can be, the odd ones first."""
    return [(qubits + spare + nodes - 1 - node) // nodes for node in range(nodes)]


def mixed(qubits, seed):
    """A circuit with every kind of row: breaks, flips, measurements, resets, conditions, and an idle qubit at times."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, 2)
    for _ in range(3 * qubits):
        a, b = (int(each) for each in rng.choice(qubits, size=2, replace=False))
        kind, angle = rng.integers(9), float(rng.uniform(0.1, 3))
        if kind <= 2:
            circuit.cp(angle, a, b)
        elif kind == 3:
            circuit.cx(a, b)
        elif kind == 4:
            circuit.u(angle, 0.3, 0.9, a)
        elif kind == 5:
            circuit.rzz(angle, a, b)
        elif kind == 6:
            circuit.x(a)
        elif kind == 7:
            circuit.measure(a, int(rng.integers(2)))
        else:
            with circuit.if_test((circuit.clbits[int(rng.integers(2))], 1)):
                circuit.ry(angle, b)
    return circuit


def settled(circuit, fabric, *, time_limit_s=0.05, seed=1):
    """Plan, replay and prove; or return the typed refusal, which must say what is missing."""
    try:
        plan = hq.plan(circuit, fabric, time_limit_s=time_limit_s, seed=seed)
    except Infeasible as refusal:
        return refusal
    assert plan.equivalent == "proved"
    counted = replay(plan.lowered.circuit, fabric)
    assert counted.ebits == plan.ebits == sum(counted.ebits_per_link.values())
    linked = {frozenset((link.a, link.b)) for link in fabric.links}
    assert all(frozenset(link) in linked for link in counted.ebits_per_link)
    within(plan, fabric)
    return plan


def within(plan, fabric):
    """No register is larger than what its node has: a count of wires, which knows nothing of the replay."""
    sizes = {register.name: register.size for register in plan.lowered.circuit.qregs}
    for node in fabric.qpu_nodes:
        limit = node.communication_qubits
        assert sizes.get(f"{node.node_id}_data", 0) <= node.compute_units
        assert limit is None or sizes.get(f"{node.node_id}_comm", 0) <= limit


def crossable(shape, nodes, limit):
    """Whether refusing is out of place: a node on the way of a chain has room to pass a copy on."""
    return nodes == 2 or limit is None or limit > 1 or (shape == "full" and limit >= 1)


CELLS = [
    (shape, size, limit)
    for shape, size, limit in product(SHAPES, SIZES, LIMITS)
    if not (shape in ("ring", "star") and size[1] < 3)
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_cell_of_each_kind_is_proved_or_refused_with_the_reason(shape, limit):
    number = list(SHAPES).index(shape) + LIMITS.index(limit)
    qubits, nodes = ((6, 3), (7, 4))[number % 2]
    check_cell(list(FAMILIES)[number % len(FAMILIES)], shape, qubits, nodes, limit, spare=number // 2 % 2)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("shape", "size", "limit"), CELLS)
def test_every_cell_is_proved_or_refused_with_the_reason(family, shape, size, limit):
    for spare in (0, 1):
        check_cell(family, shape, *size, limit, spare=spare)


def check_cell(family, shape, qubits, nodes, limit, *, spare):
    fabric = SHAPES[shape](rooms(qubits, nodes, spare), communication_qubits=limit, pair_fidelity=0.95)
    found = settled(FAMILIES[family](qubits), fabric)
    if isinstance(found, Infeasible):
        assert not crossable(shape, nodes, limit), found
        assert isinstance(found, NotEnoughCommunicationQubits)
        assert found.node in {node.node_id for node in fabric.nodes}
        assert found.needed > found.available == limit


@pytest.mark.parametrize("seed", range(4))
def test_measurements_resets_and_conditions_in_small_cells(seed):
    shape, limit = list(SHAPES)[seed], (None, 1, 2, 3)[seed]
    found = settled(mixed(6, seed), SHAPES[shape](rooms(6, 3), communication_qubits=limit, pair_fidelity=0.9))
    assert not isinstance(found, Infeasible)


def test_a_limit_costs_pairs_and_never_saves_any():
    circuit = qaoa_3regular(8, seed=2)
    found = [
        settled(circuit, hq.Fabric.full([2] * 4, communication_qubits=limit, pair_fidelity=0.9), time_limit_s=0.2)
        for limit in (None, 4, 2, 1)
    ]
    assert found[0].ebits == min(plan.ebits for plan in found)


# ----------------------------------------------------------------------------------------------------- random circuits


@st.composite
def cells(draw):
    """A random circuit of up to 7 qubits, and a fabric it fits, exactly at times."""
    qubits = draw(st.integers(2, 7))
    seed = draw(st.integers(0, 10_000))
    nodes = draw(st.integers(2, min(4, qubits)))
    shape = draw(st.sampled_from(list(SHAPES) if nodes > 2 else ["full", "line"]))
    limits = draw(st.lists(st.sampled_from(LIMITS), min_size=nodes, max_size=nodes))
    spare = draw(st.integers(0, 2))
    return mixed(qubits, seed), SHAPES[shape](
        rooms(qubits, nodes, spare), communication_qubits=limits, pair_fidelity=0.9
    )


def check_random(cell):
    circuit, fabric = cell
    found = settled(circuit, fabric)
    if isinstance(found, Infeasible):
        assert isinstance(found, NotEnoughCommunicationQubits)
        assert fabric.node(found.node).communication_qubits < found.needed


@settings(deadline=None, derandomize=True, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(cell=cells())
def test_random_circuits_are_proved_or_refused(cell):
    check_random(cell)


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(cell=cells())
def test_two_hundred_random_circuits_are_proved_or_refused(cell):
    check_random(cell)


# ------------------------------------------------------------------------------------------------------------ Clifford


def clifford(qubits, layers, seed):
    """Random Clifford gates between qubits that are near, most of them, so that few pairs are needed."""
    rng, circuit = np.random.default_rng(seed), QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            getattr(circuit, ["h", "s", "x", "sdg", "z", "sx"][int(rng.integers(6))])(qubit)
        for a in range(layer % 2, qubits - 1, 2):
            (circuit.cx if rng.random() < 0.5 else circuit.cz)(a, a + 1)
        a, b = (int(each) for each in rng.choice(qubits, size=2, replace=False))
        circuit.cx(a, b)
    return circuit


CLIFFORD = [
    (100, 3, "full", None),
    pytest.param(60, 4, "ring", 2, marks=pytest.mark.slow),
    pytest.param(200, 4, "line", 2, marks=pytest.mark.slow),
    pytest.param(300, 4, "star", 4, marks=pytest.mark.slow),
    pytest.param(500, 2, "full", None, marks=pytest.mark.slow),
    pytest.param(500, 4, "full", 2, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("qubits", "nodes", "shape", "limit"), CLIFFORD)
def test_clifford_circuits_of_hundreds_of_qubits_are_proved(qubits, nodes, shape, limit):
    fabric = SHAPES[shape](rooms(qubits, nodes, nodes), communication_qubits=limit, pair_fidelity=0.95)
    plan = settled(clifford(qubits, 6, qubits), fabric, time_limit_s=0.2)
    assert plan.ebits > 0


def test_the_adder_of_the_examples_is_proved_on_sparse_networks():
    circuit = cuccaro_adder(3)
    for shape in ("line", "star"):
        fabric = SHAPES[shape](rooms(circuit.num_qubits, 4, 2), communication_qubits=2, pair_fidelity=0.95)
        assert not isinstance(settled(circuit, fabric), Infeasible), shape
