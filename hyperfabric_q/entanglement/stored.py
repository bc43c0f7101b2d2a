"""The state of a chain whose halves are stored: exact, from when each half began and ended to be kept."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q.entanglement.elementary import Path, Station
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import FloatArray
from hyperfabric_q.entanglement.swap import chain

_FIGURES = ("t1_ps", "t2_ps", "depolarising_ps", "dephasing_ps", "excited")


def memories(stations: tuple[Station, ...]) -> Memory:
    """Return the memories of several stations as one, with one lane each."""
    columns = {name: np.array([getattr(each.memory, name) for each in stations]) for name in _FIGURES}
    return Memory(**columns)


@lru_cache(maxsize=1024)
def _sides(path: Path) -> tuple[Memory, Memory, FloatArray, FloatArray]:
    stations, inner = path.stations, path.stations[1:-1]
    loss = np.array([each.depolarising for each in inner])
    flip = np.array([each.readout_error for each in inner])
    return memories(stations[:-1]), memories(stations[1:]), loss, flip


def stored_chain(path: Path, correlators: ArrayLike, left_ps: ArrayLike, right_ps: ArrayLike) -> FloatArray:
    """Return the correlators (..., 3) of chains whose Bell measurements have all been made.

    Corrections are deferred, so that each elementary pair is charged for the whole storage time of its halves, and the
    order of the measurements makes no difference (see ``memory`` and ``swap``).

    Args:
        path: n links.
        correlators: of the elementary pairs at birth, (..., n, 3).
        left_ps: how long their left halves were stored, (..., n).
        right_ps: the same of their right halves.
    """
    left, right, loss, flip = _sides(path)
    waited = wait(correlators, left, left_ps, right, right_ps)
    if path.hops == 1:
        return np.asarray(waited[..., 0, :])
    return chain(waited, depolarising=loss, readout_x=flip, readout_z=flip)
