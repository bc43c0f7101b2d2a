"""What the ranks hold in the end, as real arrays, the same to the last bit whichever algorithm carried it.

Floating-point sums depend on their order, and every algorithm adds in another one. Here an element is always summed
in the order of ranks 0, 1, ..., N - 1 and in the type of the arrays, so that the choice of an algorithm changes times
and never values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic.collectives.schedule import Collective, Schedule, slice_edges

Array = NDArray[Any]


def reduce(schedule: Schedule, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return what each rank holds after the collective; O(ranks · elements).

    The results are read-only; ranks that hold the same share one array. A slice is a slice of the flattened vector,
    ``floor(i * n / N)`` to ``floor((i + 1) * n / N)``.

    Args:
        schedule: of which collective, between how many ranks.
        arrays: what each rank has at the start: its vector, or in an all-gather its slice; in a broadcast only the
            root's counts.

    Raises:
        InvalidValue: there are not as many arrays as ranks, or they do not fit together.
    """
    count = schedule.ranks
    if len(arrays) != count:
        raise InvalidValue(field="arrays", value=len(arrays), rule=f"there is one for each of the {count} ranks")
    if schedule.collective is Collective.BROADCAST:
        return (_frozen(np.array(arrays[schedule.root])),) * count
    if schedule.collective is Collective.ALL_GATHER:
        return (_frozen(_gathered(arrays)),) * count
    shape, kind = arrays[0].shape, arrays[0].dtype
    for rank, array in enumerate(arrays):
        if array.shape != shape or array.dtype != kind:
            rule = f"all ranks have {shape} of {kind}, as rank 0"
            raise InvalidValue(field=f"arrays[{rank}]", value=(array.shape, str(array.dtype)), rule=rule)
    total = np.array(arrays[0])
    for array in arrays[1:]:
        np.add(total, array, out=total)
    _frozen(total)
    if schedule.collective is Collective.ALL_REDUCE:
        return (total,) * count
    edges = slice_edges(total.size, count)
    flat = total.reshape(-1)
    return tuple(flat[edges[rank] : edges[rank + 1]] for rank in range(count))


def _gathered(arrays: Sequence[Array]) -> Array:
    sizes = [array.size for array in arrays]
    expected = np.diff(slice_edges(sum(sizes), len(arrays))).tolist()
    if sizes != expected or len({array.dtype for array in arrays}) > 1:
        rule = f"rank i has slice i of one vector, in sizes {expected[:8]} and so on"
        raise InvalidValue(field="arrays", value=sizes[:8], rule=rule)
    return np.concatenate([array.reshape(-1) for array in arrays])


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
