"""The class map is the one decided, and a more urgent priority never means a less urgent class."""

from itertools import pairwise

import pytest

from hyperfabric_q.traffic.packet import DEFAULT_CLASS, DataType, PacketPriority, priority_class

DECIDED = {
    0: {"CONTROL_MESSAGE"},
    1: {"SYNDROME", "CORRECTION", "QUANTUM_STATE", "KEY"},
    2: {"NEUROMORPHIC_SPIKE"},
    3: {"PARAMETER"},
    4: {"GRADIENT"},
    5: {"TENSOR", "ACTIVATION", "QUANTUM_CIRCUIT", "GENERIC"},
}


def test_normal_priority_gives_the_class_of_the_data_type():
    found = {number: {each.name for each in DataType if priority_class(each) == number} for number in range(8)}
    assert {number: names for number, names in found.items() if names} == DECIDED


def test_each_data_type_has_a_class():
    assert set(DEFAULT_CLASS) == set(DataType)


def test_medium_is_another_name_of_normal():
    assert PacketPriority.MEDIUM is PacketPriority.NORMAL
    assert [each.name for each in PacketPriority] == ["ULTRA_HIGH", "HIGH", "NORMAL", "LOW", "BULK"]


@pytest.mark.parametrize("data_type", DataType)
def test_classes_never_fall_as_the_priority_falls(data_type):
    classes = [priority_class(data_type, each) for each in PacketPriority]
    assert all(before <= after for before, after in pairwise(classes))
    assert all(0 <= each <= 7 for each in classes)


@pytest.mark.parametrize("data_type", sorted(set(DataType) - {DataType.CONTROL_MESSAGE}))
def test_no_priority_lifts_user_data_into_class_0(data_type):
    assert min(priority_class(data_type, each) for each in PacketPriority) >= 1


@pytest.mark.parametrize(
    ("data_type", "priority", "expected"),
    [
        ("GRADIENT", "ULTRA_HIGH", 1),
        ("GRADIENT", "HIGH", 3),
        ("GRADIENT", "LOW", 5),
        ("GRADIENT", "BULK", 7),
        ("CONTROL_MESSAGE", "ULTRA_HIGH", 0),
        ("CONTROL_MESSAGE", "HIGH", 0),
        ("CONTROL_MESSAGE", "BULK", 7),
        ("TENSOR", "LOW", 6),
        ("SYNDROME", "HIGH", 1),
    ],
)
def test_known_shifts(data_type, priority, expected):
    assert priority_class(DataType[data_type], PacketPriority[priority]) == expected
