"""Spikes take ⌈log2 neurons⌉ + 32 bits each, and the packed bits say which neuron fired when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic import address_events
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.payload import VirtualTensor, payload_of

SPIKE = DataType.NEUROMORPHIC_SPIKE


def unpacked(blob, events, neurons):
    """Read the events back with whole-number arithmetic only."""
    width = (neurons - 1).bit_length()
    text = "".join(f"{byte:08b}" for byte in blob)
    rows = [text[start : start + width + 32] for start in range(0, events * (width + 32), width + 32)]
    return [(int(row[:width] or "0", 2), int(row[width:], 2)) for row in rows]


@pytest.mark.parametrize(
    ("neurons", "bits"), [(1, 32), (2, 33), (3, 34), (4, 34), (5, 35), (1024, 42), (1025, 43), (1_000_000, 52)]
)
def test_bits_of_one_event(neurons, bits):
    assert address_events.bits(neurons) == bits


def test_a_million_spikes_of_a_million_neurons_take_six_and_a_half_megabytes():
    assert address_events.nbytes(10**6, 10**6) == 6_500_000


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.data(), st.integers(1, 5000))
def test_packed_events_read_back(data, neurons):
    rows = data.draw(st.lists(st.tuples(st.integers(0, neurons - 1), st.integers(0, 2**32 - 1)), max_size=20))
    array = np.array(rows, dtype=np.int64).reshape(-1, 2)
    payload = payload_of(array, SPIKE, neurons=neurons)
    blob = payload.to_bytes()
    assert payload.nbytes == len(blob) == -(-len(rows) * ((neurons - 1).bit_length() + 32) // 8)
    assert unpacked(blob, len(rows), neurons) == rows


def test_a_raster_is_its_spikes():
    raster = np.zeros((5, 8), dtype=bool)
    raster[1, 3] = raster[4, 7] = True
    payload = payload_of(raster, SPIKE, neurons=8)
    assert unpacked(payload.to_bytes(), 2, 8) == [(3, 1), (7, 4)]
    assert payload.nbytes == -(-2 * 35 // 8)
    assert payload.content is raster


def test_addresses_alone_fire_at_time_0():
    payload = payload_of(np.array([2, 0, 1], dtype=np.uint8), SPIKE, neurons=3)
    assert unpacked(payload.to_bytes(), 3, 3) == [(2, 0), (0, 0), (1, 0)]


def test_virtual_spikes_are_sized_alike():
    real = payload_of(np.zeros((1000, 2), dtype=np.int32), SPIKE, neurons=100)
    virtual = payload_of(VirtualTensor((1000, 2), "int32"), SPIKE, neurons=100)
    assert virtual.nbytes == real.nbytes
    assert virtual.is_virtual


@pytest.mark.parametrize("data", [b"12345", np.zeros(7), np.zeros((3, 3), dtype=int), VirtualTensor((9,), "bfloat16")])
def test_what_lists_no_events_keeps_its_own_size(data):
    assert payload_of(data, SPIKE, neurons=10).nbytes == payload_of(data).nbytes


def test_other_data_types_are_not_spikes():
    assert payload_of(np.arange(4), DataType.TENSOR, neurons=10).nbytes == 32


@pytest.mark.parametrize("data", [np.array([0, 10]), np.array([-1]), np.zeros((2, 11), dtype=bool)])
def test_spikes_of_neurons_that_do_not_exist_are_refused(data):
    with pytest.raises(InvalidValue):
        payload_of(data, SPIKE, neurons=10)


@pytest.mark.parametrize("neurons", [0, -3, 2.0, True, "5"])
def test_an_impossible_number_of_neurons_is_refused(neurons):
    with pytest.raises(InvalidValue, match="neurons"):
        address_events.bits(neurons)
