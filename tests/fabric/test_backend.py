"""Backends: a node gets the medians of a target, and nothing that the target does not say."""

from types import SimpleNamespace

import pytest
from qiskit.providers.fake_provider import GenericBackendV2

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, NodeSignature


class Target(dict):
    def __init__(self, rows, *, num_qubits=3, qubit_properties=None):
        super().__init__(rows)
        self.num_qubits, self.qubit_properties = num_qubits, qubit_properties

    @property
    def operation_names(self):
        return list(self)


def props(error, duration):
    return SimpleNamespace(error=error, duration=duration)


def backend(target, name="my backend!"):
    return SimpleNamespace(target=target, name=name)


def test_medians_are_read_in_our_units_and_virtual_gates_left_out():
    target = Target(
        {
            "rz": {(0,): props(0, 0), (1,): props(0, 0), (2,): props(0, 0)},
            "sx": {(0,): props(1e-4, 30e-9), (1,): props(3e-4, 50e-9), (2,): props(2e-4, 40e-9)},
            "cz": {(0, 1): props(0.01, 100e-9), (1, 2): props(0.03, 300e-9), (1, 0): props(float("nan"), None)},
            "measure": {(0,): props(0.02, 1e-6), (1,): props(0.04, 1e-6)},
            "reset": {(0,): props(None, 2e-6)},
            "if_else": {None: None},
            "delay": None,
        },
        qubit_properties=[SimpleNamespace(t1=100e-6, t2=300e-6), None, SimpleNamespace(t1=50e-6, t2=None)],
    )
    node = NodeSignature.from_backend(backend(target), communication_qubits=1)
    assert node.node_id == "my-backend"
    assert node.hardware_type is HardwareType.QUANTUM_QPU
    assert (node.compute_units, node.communication_qubits) == (2, 1)
    assert node.gate_error_1q == pytest.approx(2e-4)
    assert node.gate_error_2q == pytest.approx(0.02)
    assert node.readout_error == pytest.approx(0.03)
    assert node.gate_1q_ns == pytest.approx(40)
    assert node.gate_2q_ns == pytest.approx(200)
    assert (node.readout_ns, node.reset_ns) == (pytest.approx(1000), pytest.approx(2000))
    assert node.t1_us == pytest.approx(75)
    assert node.t2_us == pytest.approx(150), "T2 is capped at twice T1"


def test_a_silent_target_gives_a_node_without_figures():
    node = NodeSignature.from_backend(backend(Target({"cx": None})), node_id="bare")
    assert node == NodeSignature(
        "bare", HardwareType.QUANTUM_QPU, node.bandwidth_gbps, node.latency_ns, compute_units=2, communication_qubits=1
    )


@pytest.mark.parametrize("reserved", [3, 4, -1, True, 1.0, None, "1"])
def test_a_data_qubit_must_be_left(reserved):
    with pytest.raises(InvalidValue) as caught:
        NodeSignature.from_backend(backend(Target({})), communication_qubits=reserved)
    assert caught.value.field == "communication_qubits"


@pytest.mark.parametrize("thing", [None, 7, backend(None), backend(Target({}, num_qubits=None)), "ibm"])
def test_what_is_no_backend_is_refused(thing):
    with pytest.raises(InvalidValue) as caught:
        NodeSignature.from_backend(thing)
    assert caught.value.field == "backend"


def test_qiskit_backends_become_a_fabric_with_different_ids():
    backends = [GenericBackendV2(4, seed=1), GenericBackendV2(4, seed=2), GenericBackendV2(5, seed=3)]
    fabric = Fabric.from_backends(backends, "star", link="ideal", communication_qubits=[1, 1, 2])
    names = ["generic_backend_4q-0", "generic_backend_4q-1", "generic_backend_5q"]
    assert fabric.capacity == dict(zip(names, [3, 3, 3], strict=True))
    assert [link.ends for link in fabric.links] == [(names[0], names[1]), (names[0], names[2])]
    errors = [backends[0].target["cx"][pair].error for pair in backends[0].target["cx"]]
    assert min(errors) < fabric.nodes[0].gate_error_2q < max(errors)
    assert Fabric.from_toml(fabric.to_toml()) == fabric
