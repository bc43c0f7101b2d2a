"""Nodes: every field is judged, T2 follows the coherence time as documented, and repr and pickle give a node back."""

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import HardwareType, NodeSignature

MODEST = settings(deadline=None, derandomize=True, max_examples=150)

NUMBERS_ABOVE_ZERO = ("bandwidth_gbps", "quantum_coherence_time_us", "t1_us", "t2_us")
NUMBERS_FROM_ZERO = (
    "latency_ns",
    "memory_gb",
    "gate_1q_ns",
    "gate_2q_ns",
    "readout_ns",
    "reset_ns",
    "feedforward_ns",
    "reconfiguration_ns",
)
PROBABILITIES = ("gate_error_1q", "gate_error_2q", "readout_error")
COUNTS_FROM_ZERO = ("communication_qubits", "photonic_channels", "neuromorphic_neurons")
NUMERIC = (*NUMBERS_ABOVE_ZERO, *NUMBERS_FROM_ZERO, *PROBABILITIES, *COUNTS_FROM_ZERO, "compute_units")
NEVER = (float("nan"), float("inf"), float("-inf"), -1, -0.5, True, False, "5", b"5", [5], 1j, 10**400)


def node(**changes):
    rows = {"node_id": "qpu", "hardware_type": HardwareType.QUANTUM_QPU, "bandwidth_gbps": 10, "latency_ns": 5}
    return NodeSignature(**(rows | changes))


def test_the_first_four_fields_may_be_given_by_position():
    built = NodeSignature("vision-gpu-01", HardwareType.NVIDIA_H100, 400, 100)
    assert (built.node_id, built.bandwidth_gbps, built.latency_ns) == ("vision-gpu-01", 400, 100)
    with pytest.raises(TypeError):
        NodeSignature("vision-gpu-01", HardwareType.NVIDIA_H100, 400, 100, 80)


def test_every_numeric_field_is_in_the_list_of_this_test():
    texts = {"node_id", "hardware_type", "rack_position", "physical_location", "metadata", "chip"}
    assert {each.name for each in dataclasses.fields(NodeSignature)} - texts == set(NUMERIC)


@pytest.mark.parametrize("field", NUMERIC)
@pytest.mark.parametrize("value", NEVER, ids=lambda value: repr(value)[:12])
def test_no_numeric_field_accepts_what_is_no_finite_number_of_its_range(field, value):
    with pytest.raises(InvalidValue) as caught:
        node(**{field: value})
    assert caught.value.field == field
    assert "'qpu'" in str(caught.value)


@pytest.mark.parametrize("field", NUMERIC)
def test_zero_is_accepted_exactly_where_it_means_something(field):
    if field in NUMBERS_ABOVE_ZERO or field == "compute_units":
        with pytest.raises(InvalidValue):
            node(**{field: 0})
    else:
        assert getattr(node(**{field: 0}), field) == 0


@pytest.mark.parametrize("field", [*PROBABILITIES])
def test_probabilities_end_at_one(field):
    assert getattr(node(**{field: 1}), field) == 1
    with pytest.raises(InvalidValue):
        node(**{field: 1.0000001})


@pytest.mark.parametrize("field", [*COUNTS_FROM_ZERO, "compute_units"])
def test_counts_are_whole_numbers(field):
    assert getattr(node(**{field: 3}), field) == 3
    with pytest.raises(InvalidValue):
        node(**{field: 3.0})


@MODEST
@given(
    field=st.sampled_from([each.name for each in dataclasses.fields(NodeSignature)]),
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=80),
        st.binary(max_size=4),
        st.lists(st.integers(), max_size=3),
        st.dictionaries(st.text(max_size=3), st.floats(), max_size=3),
        st.just(object()),
    ),
)
def test_any_value_in_any_field_is_accepted_or_refused_as_an_invalid_value(field, value):
    try:
        built = node(**{field: value})
    except InvalidValue as fault:
        assert str(fault)  # noqa: PT017
    else:
        assert eval(repr(built)) == built  # noqa: S307


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "../etc",
        "a/b",
        "a\\b",
        ".hidden",
        "..",
        "-a",
        "_a",
        "a..b",
        "köln",
        "a\n",
        "a\0",
        "x" * 65,
        7,
        None,
    ],
)
def test_ids_that_could_be_paths_or_break_names_are_refused_with_the_rule(name):
    with pytest.raises(InvalidValue, match="ASCII letters"):
        node(node_id=name)


@pytest.mark.parametrize("name", ["a", "7", "gpu-h100-0001", "A.b_c-d", "x" * 64])
def test_plain_ids_are_accepted(name):
    assert node(node_id=name).node_id == name


def test_a_text_is_no_hardware_type_and_the_error_names_the_member():
    with pytest.raises(InvalidValue, match=r"HardwareType\.QUANTUM_QPU"):
        node(hardware_type="quantum_qpu")


def test_all_promised_hardware_types_exist():
    promised = "NVIDIA_H100 NVIDIA_A100 AMD_MI300X INTEL_GAUDI2 QUANTUM_QPU QUANTUM_ANNEALER NEUROMORPHIC_CHIP"
    more = "PHOTONIC_SWITCH CPU_SERVER SOFTWARE_ENDPOINT"
    assert [each.name for each in HardwareType] == f"{promised} {more}".split()


def test_t2_defaults_to_the_coherence_time_and_is_its_own_when_given():
    assert node(quantum_coherence_time_us=80).t2_us == 80
    assert node(quantum_coherence_time_us=80, t2_us=50).t2_us == 50
    assert node(t2_us=50).quantum_coherence_time_us is None
    assert node().t2_us is None


@pytest.mark.parametrize("given", [{"t2_us": 201}, {"quantum_coherence_time_us": 201}])
def test_t2_is_at_most_twice_t1_wherever_it_comes_from(given):
    with pytest.raises(InvalidValue, match="twice T1") as caught:
        node(t1_us=100, **given)
    assert caught.value.field in given
    assert node(t1_us=100, t2_us=200).t2_us == 200


def test_data_qubits_are_the_compute_units_of_a_qpu_only():
    assert node(compute_units=5).data_qubits == 5
    assert node().data_qubits is None
    assert node(hardware_type=HardwareType.NVIDIA_H100, compute_units=5).data_qubits == 0


def test_metadata_is_a_copy_that_cannot_change():
    mine = {"sensors": ["lidar"], "deep": {"n": 1}}
    built = node(metadata=mine)
    mine["sensors"].append("radar")
    mine["deep"]["n"] = 2
    assert built.metadata["sensors"] == ("lidar",)
    assert built.metadata["deep"]["n"] == 1
    with pytest.raises(TypeError):
        built.metadata["new"] = 1
    assert hash(built) == hash(node(metadata={"sensors": ["lidar"], "deep": {"n": 1}}))


def test_a_node_survives_pickle_copy_and_repr():
    built = node(metadata={"a": [1, {"b": 2.5}]}, t1_us=80, quantum_coherence_time_us=50, compute_units=3)
    assert pickle.loads(pickle.dumps(built)) == built  # noqa: S301
    assert copy.deepcopy(built) == built
    assert eval(repr(built)) == built  # noqa: S307
    assert "\n" not in repr(built)
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.compute_units = 4
