"""What the nodes bring to a collective, and what each of them has in the end.

Real arrays are reduced for real, in the order of the nodes (``combine``). A ``VirtualTensor`` or a number of bytes
stands for what every node brings: it has a size and no contents, and so has the result. A broadcast brings whatever
can be sent, and hands on the object itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic.collectives.combine import Array, reduce
from hyperfabric_q.traffic.collectives.schedule import Collective, Schedule, slice_edges
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.payload import Payload, VirtualTensor, payload_of

_RULE = "it is one array per node, in their order or by node id, or a VirtualTensor or a number of bytes for all"
_NUMBERS = "biufc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What is brought, as a size and a promise.

    Attributes:
        nbytes: size of the vector; in an all-gather of the whole of it.
        itemsize: bytes of an element, which is never cut.
        results: what the nodes have in the end, by a schedule of the collective.
        content: a hash of the contents, which tells apart collectives that are equal in all else.
    """

    nbytes: int
    itemsize: int
    results: Callable[[Schedule], Sequence[object]]
    content: Callable[[], str]


def contribution(collective: Collective, names: Sequence[str], data: object, data_type: DataType) -> Contribution:
    """Return what ``data`` means in a collective of ``names``.

    Raises:
        InvalidValue: it is not as many arrays as nodes, they do not fit together, or it is nothing that has a size.
    """
    if isinstance(data, int | np.integer) and not isinstance(data, bool):
        if data < 0:
            raise InvalidValue(field="data", value=data, rule="a number of bytes is at least 0")
        data = VirtualTensor((int(data),), "uint8")
    if collective is Collective.BROADCAST:
        payload = payload_of(data, data_type)
        return Contribution(
            nbytes=payload.nbytes,
            itemsize=1,
            results=lambda schedule: (payload.content,) * schedule.ranks,
            content=payload.content_hash,
        )
    if isinstance(data, Payload):
        data = data.content
    if isinstance(data, VirtualTensor):
        return _virtual(collective, len(names), data)
    return _real(collective, _arrays(names, data))


def _virtual(collective: Collective, count: int, tensor: VirtualTensor) -> Contribution:
    whole = tensor
    if collective is Collective.ALL_GATHER:
        whole = VirtualTensor((tensor.size * count,), tensor.dtype)

    def results(_: Schedule) -> Sequence[object]:
        if collective is not Collective.REDUCE_SCATTER:
            return (whole,) * count
        sizes = np.diff(slice_edges(whole.size, count)).tolist()
        shares = {size: VirtualTensor((size,), tensor.dtype) for size in set(sizes)}
        return [shares[size] for size in sizes]

    described = f"{tensor.dtype} {tensor.shape}"
    return Contribution(nbytes=whole.nbytes, itemsize=tensor.itemsize, results=results, content=lambda: described)


def _real(collective: Collective, arrays: list[Array]) -> Contribution:
    first = arrays[0]
    if collective is not Collective.ALL_GATHER and first.dtype.kind not in _NUMBERS:
        raise InvalidValue(field="data", value=str(first.dtype), rule="only numbers can be summed")
    nbytes = sum(array.nbytes for array in arrays) if collective is Collective.ALL_GATHER else first.nbytes

    def content() -> str:
        digest = hashlib.blake2b(digest_size=32)
        for array in arrays:
            digest.update(payload_of(array).content_hash().encode())
        return digest.hexdigest()

    return Contribution(
        nbytes=nbytes,
        itemsize=max(1, first.dtype.itemsize),
        results=lambda schedule: reduce(schedule, arrays),
        content=content,
    )


def _arrays(names: Sequence[str], data: object) -> list[Array]:
    rows: list[Any]
    if isinstance(data, Mapping):
        if set(data) != set(names):
            odd = sorted(map(str, set(data) ^ set(names)))[:8]
            raise InvalidValue(
                field="data", value=odd, rule="there is an entry for each node that takes part, no other"
            )
        rows = [data[name] for name in names]
    elif isinstance(data, list | tuple):
        rows = list(data)
    else:
        raise InvalidValue(field="data", value=type(data).__name__, rule=_RULE)
    if len(rows) != len(names):
        raise InvalidValue(field="data", value=len(rows), rule=f"there is an array for each of the {len(names)} nodes")
    if any(isinstance(row, np.ma.MaskedArray) for row in rows):
        raise InvalidValue(field="data", value="masked array", rule=_RULE, remedy="Send array.filled(...).")
    try:
        arrays = [np.asarray(row) for row in rows]
    except ValueError as fault:
        raise InvalidValue(field="data", value=str(fault), rule=_RULE) from None
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.hasobject:
            raise InvalidValue(field="data", value=f"{array.dtype} of {name!r}", rule=_RULE)
    return arrays
