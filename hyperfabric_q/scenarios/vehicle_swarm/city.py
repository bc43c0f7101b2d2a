"""A city of crossroads, the edge servers in it, and the lanes that vehicles drive on.

Vehicles drive straight on, on one of four lanes of a crossroads. Lengths are in metres, east and north of the
south-west corner; speeds in m/s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

CELL_M: Final = 5_000.0
"""Each edge server stands in the middle of a square of this side, in which there is one crossroads."""

CYCLE_S: Final = 0.01
FASTEST: Final = 50 / 3.6
SPEED_UP: Final = 3.0
BRAKE: Final = 6.0
HALF_LENGTH: Final = 2.25
HALF_WIDTH: Final = 1.0
LANE: Final = 2.0
"""From the middle of the road to that of a lane."""

GAP: Final = 0.5
EDGE: Final = LANE + HALF_WIDTH + GAP
"""How far the crossing reaches from its middle along each lane."""

FIRST_SLOT: Final = 10.0
SLOT: Final = 12.0
SLOTS: Final = 6
HEADINGS: Final = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
"""Of lanes 0 to 3: northward, eastward, southward, westward."""

ASIDE: Final = LANE * np.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, 1.0]])
"""Where a lane runs, from the middle of the crossing: on the right of the road."""


class Street(NamedTuple):
    """Where vehicles are: crossroads, lane, and how far past its middle (before it: negative); and their speeds."""

    junction: Rows
    lane: Rows
    along: Array
    speed: Array

    def at(self, rows: Sequence[int]) -> Street:
        """Return some of the vehicles."""
        return Street(self.junction[rows], self.lane[rows], self.along[rows], self.speed[rows])

    def joined(self, other: Street) -> Street:
        """Return these vehicles and, behind them, others."""
        return Street(
            np.append(self.junction, other.junction),
            np.append(self.lane, other.lane),
            np.append(self.along, other.along),
            np.append(self.speed, other.speed),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class City:
    """Edge servers on a square grid, and crossroads near them.

    Attributes:
        servers: (n, 2) where each stands.
        junctions: (n, 2) the middle of each crossroads.
    """

    servers: Array
    junctions: Array

    @classmethod
    def laid_out(cls, edge_servers: int, rng: np.random.Generator) -> City:
        """Return a city with so many servers, and a crossroads at random in the cell of each."""
        side = math.ceil(math.sqrt(edge_servers))
        number = np.arange(edge_servers)
        servers = CELL_M * (np.column_stack([number % side, number // side]).astype(np.float64) + 0.5)
        return cls(servers=servers, junctions=servers + rng.uniform(-2_300, 2_300, (edge_servers, 2)))

    @property
    def slots(self) -> int:
        """How many slots there are nearest to the crossroads."""
        return 4 * SLOTS * len(self.junctions)

    def slot(self, number: int) -> tuple[float, float]:
        """Return the place of a slot on a lane; the first ``slots`` are the nearest ones."""
        ring, number = divmod(number, self.slots)
        number, lane = divmod(number, 4)
        junction, depth = divmod(number, SLOTS)
        back = FIRST_SLOT + SLOT * (depth + SLOTS * ring)
        east, north = self.junctions[junction] + ASIDE[lane] - back * HEADINGS[lane]
        return float(east), float(north)

    def street(self, places: Array) -> Street:
        """Return places as positions on the nearest lane of the nearest crossroads, at the speed that is safe there.

        It is safe where each slot may be taken: a vehicle can stop before the next slot, or before the crossing.
        """
        places = np.atleast_2d(places)
        junction = _nearest(self.junctions, places)
        offset = places - self.junctions[junction]
        beside = np.abs(offset[:, None, :] - ASIDE) * (HEADINGS == 0)
        along = offset @ HEADINGS.T
        lane = np.argmin(beside.sum(axis=2) + 1e-3 * (along > 0), axis=1)
        along = along[np.arange(len(places)), lane]
        ahead = np.where(along > -FIRST_SLOT - SLOT / 2, -EDGE - along - HALF_LENGTH, SLOT - 2 * HALF_LENGTH - GAP)
        return Street(junction, lane, along, np.minimum(FASTEST, np.sqrt(2 * BRAKE * np.maximum(0.0, ahead - 0.1))))

    def places(self, street: Street) -> Array:
        """Return (n, 2) where vehicles are."""
        middle: Array = self.junctions[street.junction] + ASIDE[street.lane]
        result: Array = middle + street.along[:, None] * HEADINGS[street.lane]
        return result

    def nearest_server(self, places: Array) -> Rows:
        """Return the number of the server nearest to each place."""
        return _nearest(self.servers, np.atleast_2d(places))


def _nearest(of: Array, places: Array) -> Rows:
    squares = ((places[:, None, :] - of) ** 2).sum(axis=2)
    result: Rows = np.argmin(squares, axis=1).astype(np.int64)
    return result
