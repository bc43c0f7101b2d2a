"""Names nobody registered: endpoints, misspellings, and nothing in strict mode."""

import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import HyperFabricWarning, ImplicitEndpointWarning, InvalidValue, UnknownName
from hyperfabric_q.fabric import Fabric, HardwareType, NodeSignature
from hyperfabric_q.traffic.endpoints import implicit_endpoints, is_implicit, misspelt, resolve

FABRIC = Fabric(nodes=tuple(NodeSignature(f"qpu-{each}", HardwareType.QUANTUM_QPU, 10, 50) for each in "abc"))


def test_a_registered_name_is_its_node():
    assert resolve(FABRIC, "qpu-a", strict=True) == (FABRIC, "qpu-a", None)


def test_a_new_name_becomes_a_software_endpoint_with_one_warning():
    fabric, node_id, warning = resolve(FABRIC, "quantum-controller")
    assert node_id == "quantum-controller"
    assert isinstance(warning, ImplicitEndpointWarning)
    assert isinstance(warning, HyperFabricWarning)
    assert "quantum-controller" in str(warning)
    made = fabric.node(node_id)
    assert made.hardware_type is HardwareType.SOFTWARE_ENDPOINT
    assert (made.bandwidth_gbps, made.latency_ns, made.data_qubits) == (10, 100, 0)
    assert implicit_endpoints(fabric) == ("quantum-controller",)
    assert fabric.qpu_nodes == FABRIC.qpu_nodes
    assert resolve(fabric, node_id) == (fabric, node_id, None)
    with pytest.warns(ImplicitEndpointWarning, match="strict=True"):
        warnings.warn(warning, stacklevel=1)


@pytest.mark.parametrize("name", ["qpu-d", "qpua", "qpu_a", "qqpu-ab", "pu-", "qpu-a12"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_name_close_to_a_registered_one_is_a_misspelling(name, strict):
    with pytest.raises(UnknownName) as caught:
        resolve(FABRIC, name, strict=strict)
    assert caught.value.known[0].startswith("qpu-")


def test_the_nearest_name_is_suggested_first():
    with pytest.raises(UnknownName, match="Did you mean 'qpu-b'") as caught:
        resolve(FABRIC, "qpu-bb")
    assert caught.value.known == ("qpu-b", "qpu-a", "qpu-c")


def test_strict_refuses_every_unregistered_name():
    with pytest.raises(UnknownName):
        resolve(FABRIC, "quantum-controller", strict=True)


def test_endpoints_may_be_close_to_each_other():
    fabric = FABRIC
    for number in range(20):
        fabric, _, warning = resolve(fabric, f"vehicle-{number:04d}")
        assert warning is not None
    assert len(implicit_endpoints(fabric)) == 20


def test_a_registered_software_endpoint_is_not_implicit():
    endpoint = NodeSignature("dashboard", HardwareType.SOFTWARE_ENDPOINT, 1, 1)
    assert not is_implicit(endpoint)
    with pytest.raises(UnknownName):
        resolve(FABRIC.with_node(endpoint), "dashbord")


@pytest.mark.parametrize("name", ["", "my laptop", "a/b", "x" * 65, 3, None, ["qpu-a"]])
@pytest.mark.parametrize("strict", [False, True])
def test_a_name_that_is_no_id_is_refused(name, strict):
    with pytest.raises(InvalidValue):
        resolve(FABRIC, name, strict=strict)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edit_distances_agree_with_the_textbook_table(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    assert misspelt(a, [b]) == ([b] if row[-1] <= 2 else [])


def test_a_name_is_compared_with_a_thousand_ids_in_no_time():
    ids = [f"gpu-h100-with-a-rather-long-name-for-a-node-{number:04d}" for number in range(1024)]
    started = time.process_time()
    assert misspelt("gpu-h100-with-a-rather-long-name-for-a-node-controller", ids) == []
    assert time.process_time() - started < 0.2
