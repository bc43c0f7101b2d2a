"""The live protocol: registrations are all or nothing, and awaitable."""

import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.errors import DuplicateName, HyperFabricError, InvalidValue, NoQuantumPath, UnknownName


def qpu(name, **options):
    return hq.NodeSignature(name, hq.HardwareType.QUANTUM_QPU, 10.0, 100.0, **{"compute_units": 2, **options})


def bell():
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in (1, 2, 3):
        circuit.cx(0, qubit)
    return circuit


@pytest.fixture
def protocol():
    made = hq.HyperFabricProtocol(seed=3)
    made.register_node(qpu("alpha"))
    made.register_node(qpu("beta"))
    return made


def test_a_protocol_starts_empty_or_from_a_fabric():
    assert hq.HyperFabricProtocol().fabric == hq.Fabric()
    fabric = hq.Fabric.line([1, 1], pair_fidelity=0.9)
    assert hq.HyperFabricProtocol(fabric).fabric is fabric


def test_registering_replaces_the_fabric_and_leaves_the_old_value_alone(protocol):
    before = protocol.fabric
    protocol.register_node(qpu("gamma"))
    assert len(before.nodes) == 2
    assert [node.node_id for node in protocol.fabric.nodes] == ["alpha", "beta", "gamma"]


async def test_registrations_may_be_awaited_or_not(protocol):
    node = qpu("gamma")
    assert await protocol.register_node(node) is node
    link = await protocol.connect("alpha", "gamma", pair_fidelity=0.9)
    assert protocol.fabric.link("gamma", "alpha") == link
    waiting = protocol.connect("beta", "gamma", pair_fidelity=0.8)
    assert protocol.fabric.link("beta", "gamma") == waiting.value
    assert await waiting == await waiting


def rejected(protocol):
    """Every registration that must fail, with its error."""
    protocol.connect("alpha", "beta", pair_fidelity=0.9)
    return {
        "node twice": (lambda: protocol.register_node(qpu("alpha")), DuplicateName),
        "not a node": (lambda: protocol.register_node("alpha"), HyperFabricError),
        "link to nowhere": (lambda: protocol.connect("alpha", "delta", pair_fidelity=0.9), UnknownName),
        "link twice": (lambda: protocol.connect("beta", "alpha", pair_fidelity=0.9), DuplicateName),
        "link to itself": (lambda: protocol.connect("alpha", "alpha", pair_fidelity=0.9), InvalidValue),
        "fidelity above one": (lambda: protocol.connect("alpha", "beta", pair_fidelity=1.1), InvalidValue),
        "fidelity not a number": (lambda: protocol.connect("alpha", "beta", pair_fidelity=float("nan")), InvalidValue),
        "faster than light": (
            lambda: protocol.connect("alpha", "beta", distance_m=1e6, latency_ns=1.0),
            InvalidValue,
        ),
        "not a zone": (lambda: protocol.create_zone("zone"), HyperFabricError),
    }


@pytest.mark.parametrize("name", sorted(rejected(hq.HyperFabricProtocol(hq.Fabric(nodes=(qpu("alpha"), qpu("beta")))))))
def test_a_rejected_registration_changes_nothing(protocol, name):
    attempt, error = rejected(protocol)[name]
    before = protocol.fabric
    with pytest.raises(error):
        attempt()
    assert protocol.fabric is before


def test_a_misspelt_node_names_the_nearest(protocol):
    with pytest.raises(UnknownName, match="Did you mean 'alpha'"):
        protocol.connect("alhpa", "beta", pair_fidelity=0.9)


def test_plans_are_made_on_the_fabric_as_it_stands(protocol):
    with pytest.raises(NoQuantumPath):
        protocol.plan(bell())
    protocol.connect("alpha", "beta", pair_fidelity=0.9)
    plan = protocol.plan(bell())
    assert plan.ebits == 1
    assert plan.fabric is protocol.fabric
    assert plan.seed == 3
    assert protocol.plan(bell(), seed=4).seed == 4


def test_running_gives_the_result_of_the_plan(protocol):
    protocol.connect("alpha", "beta", pair_fidelity=1.0)
    circuit = bell()
    circuit.measure_all()
    counts = protocol.run(circuit, shots=50).counts
    assert sum(counts.values()) == 50
    assert set(counts) <= {"0000", "1111"}


def test_homes_pass_through(protocol):
    protocol.connect("alpha", "beta", pair_fidelity=0.9)
    homes = ["beta", "alpha", "beta", "alpha"]
    assert protocol.plan(bell(), homes=homes).homes == tuple(homes)
