"""How many bytes spikes take as address events, and those bytes.

A spike is the address of a neuron, ⌈log2 neurons⌉ bits, and the time it fired, 32 bits in ticks of 1 µs: the time
stamp of AEDAT 2.0, the file format of jAER. Events are packed without gaps, address first, most significant bit first;
times wrap.

Forms of spikes: integers of one axis (addresses, all at time 0); rows of integers (address, time); a raster of bools,
time × neuron.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hyperfabric_q.errors import InvalidValue

TIMESTAMP_BITS: Final = 32

Array = np.ndarray[Any, Any]


def bits(neurons: int) -> int:
    """Return the bits of one event on a node of ``neurons`` neurons.

    Raises:
        InvalidValue: ``neurons`` is not a whole number of at least 1.

    >>> bits(1_000_000)
    52
    """
    given: object = neurons
    if not isinstance(given, int | np.integer) or isinstance(given, bool) or given < 1:
        raise InvalidValue(
            field="neurons", value=neurons, rule="a spiking node has a whole number of neurons, at least 1"
        )
    return (int(given) - 1).bit_length() + TIMESTAMP_BITS


def nbytes(events: int, neurons: int) -> int:
    """Return the bytes of ``events`` events, rounded up once for all of them."""
    return -(-events * bits(neurons) // 8)


def listed(shape: tuple[int, ...], kind: str) -> int | None:
    """Return how many events a list of this shape and NumPy kind holds; None when it is no list of events."""
    is_list = kind in "iu" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 2))
    return shape[0] if is_list else None


def count(data: Array, neurons: int) -> int | None:
    """Return how many events ``data`` holds, in any of the forms; None when it is in none of them. O(events).

    Raises:
        InvalidValue: an address is no neuron.
    """
    if data.dtype.kind == "b" and data.ndim == 2:
        if data.shape[1] > neurons:
            raise InvalidValue(
                field="data", value=data.shape, rule=f"a raster has at most {neurons} columns of neurons"
            )
        return int(np.count_nonzero(data))
    events = listed(data.shape, data.dtype.kind)
    if events:
        addresses = data if data.ndim == 1 else data[:, 0]
        for extreme in (int(addresses.min()), int(addresses.max())):
            if not 0 <= extreme < neurons:
                raise InvalidValue(field="data", value=extreme, rule=f"the address of a spike is in [0, {neurons})")
    return events


def pack(data: Array, neurons: int) -> memoryview:
    """Return the ``nbytes`` bytes of the events in ``data``, which ``count`` accepted."""
    if data.dtype.kind == "b":
        times, addresses = np.nonzero(data)
    elif data.ndim == 1:
        addresses, times = data, np.zeros_like(data)
    else:
        addresses, times = data[:, 0], data[:, 1]
    columns = ((addresses, bits(neurons) - TIMESTAMP_BITS), (times, TIMESTAMP_BITS))
    digits = [
        (column.astype(np.uint64)[:, None] >> np.arange(width - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
        for column, width in columns
    ]
    return np.packbits(np.concatenate(digits, axis=1).astype(np.uint8).reshape(-1)).data.toreadonly()
