import pytest

import hyperfabric_q as hq


@pytest.fixture(scope="session")
def adder_plan():
    """Eight qubits over a line of three nodes whose middle one passes copies on."""
    fabric = hq.Fabric.line([4, 3, 3], communication_qubits=[1, 2, 1], pair_fidelity=0.97)
    return hq.plan(hq.families.cuccaro_adder(3, a=5, b=6), fabric, seed=7)


@pytest.fixture(scope="session")
def chain_plan():
    """Six qubits in a chain over two nodes: one gate must cross."""
    return hq.plan(hq.families.ghz(6), hq.Fabric.full([3, 3]), seed=1)


@pytest.fixture(scope="session")
def local_plan():
    """A circuit that one node holds."""
    return hq.plan(hq.families.ghz(3), hq.Fabric.full([4, 4]), seed=1)


@pytest.fixture(scope="session")
def wide_plan():
    """More packets and links than a picture shows, and node ids of the greatest length."""
    nodes = tuple(
        hq.NodeSignature(
            f"{index:02d}-" + "x" * 61,
            hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=10,
            latency_ns=100,
            compute_units=1,
        )
        for index in range(30)
    )
    links = tuple(
        hq.Link(nodes[a].node_id, nodes[b].node_id, pair_fidelity=0.9) for a in range(30) for b in range(a + 1, 30)
    )
    circuit = hq.families.qaoa_3regular(30, layers=5, seed=1)
    return hq.plan(circuit, hq.Fabric(nodes=nodes, links=links), verify="skipped", seed=1)


@pytest.fixture(scope="session")
def chain_result(chain_plan):
    return chain_plan.run(200, noise="none", seed=5)
