"""A rule by which vehicles never collide, and driving by it.

What a vehicle would cover if it braked from now on, its own length included, is its *reach*. The rule: a vehicle gets
leave to speed up, or to keep its speed, only if its new reach ends behind the vehicle in front, and touches the
crossing only while no reach of the other axis does. Braking never lengthens a reach. So reaches that do not meet now
never meet, and a vehicle to which nobody answers brakes: what is lost or late costs time and no safety.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperfabric_q.scenarios.vehicle_swarm.city import (
    BRAKE,
    CYCLE_S,
    EDGE,
    FASTEST,
    GAP,
    HALF_LENGTH,
    HALF_WIDTH,
    SPEED_UP,
    Array,
    City,
    Mask,
    Rows,
    Street,
)


def reach_of(street: Street) -> Array:
    """Return how far along its lane each vehicle would get if it braked from now on, its front included."""
    result: Array = street.along + street.speed**2 / (2 * BRAKE) + HALF_LENGTH
    return result


class Dispatcher:
    """What is known of the vehicles where leave is given: where each was last, and the reach it was last granted.

    Of a vehicle that is not heard, both are kept as they are, so that what it may have done since is allowed for.
    """

    def __init__(self, street: Street) -> None:
        """Start from what all vehicles tell."""
        self._along = street.along
        self._reach = reach_of(street)

    def orders(self, street: Street, heard: Mask | bool = True) -> Array:  # noqa: FBT001, FBT002 - a column of yes and no
        """Return the acceleration, in m/s², for which each vehicle gets leave next; ``-BRAKE`` is no leave.

        O(n log n) for n vehicles, in arrays.
        """
        told = np.broadcast_to(np.asarray(heard), street.along.shape)
        along = self._along = np.where(told, street.along, self._along)
        reach = np.where(told, reach_of(street), self._reach)
        junction, axis = street.junction, street.lane % 2
        limit = _behind_the_next(street._replace(along=along))
        passed = along - HALF_LENGTH >= EDGE
        within = ~passed & (reach > -EDGE)
        held = np.zeros((int(junction.max(initial=0)) + 1, 2), dtype=np.bool_)
        held[junction[within], axis[within]] = True
        result = np.full(len(along), -BRAKE)
        for wanted in (np.minimum(SPEED_UP, (FASTEST - street.speed) / CYCLE_S), np.zeros(len(along))):
            asked = reach_of(moved(street, wanted))
            leave = told & (result == -BRAKE) & (asked <= limit)
            entering = leave & ~passed & ~within & (asked > -EDGE)
            leave &= ~entering | _first(street, axis, entering & ~held[junction, 1 - axis])
            entered = entering & leave
            held[junction[entered], axis[entered]] = True
            result[leave], reach[leave] = wanted[leave], asked[leave]
        self._reach = reach
        return result


def no_rule(street: Street) -> Array:
    """Return accelerations of vehicles that take no notice of one another."""
    return np.minimum(SPEED_UP, (FASTEST - street.speed) / CYCLE_S)


def _behind_the_next(street: Street) -> Array:
    """Return how far each reach may go: to the tail of the vehicle in front, less a gap."""
    lane = 4 * street.junction + street.lane
    order = np.lexsort((street.along, lane))
    limit = np.full(len(order), np.inf)
    follows = lane[order][:-1] == lane[order][1:]
    limit[order[:-1][follows]] = street.along[order[1:][follows]] - HALF_LENGTH - GAP
    return limit


def _first(street: Street, axis: Rows, asking: Mask) -> Mask:
    """Return who of those that ask may enter a crossing: the axis of the one that is nearest to it."""
    rows = np.flatnonzero(asking)
    order = rows[np.lexsort((rows, -street.along[rows], street.junction[rows]))]
    junctions, first = np.unique(street.junction[order], return_index=True)
    chosen = np.full(int(street.junction.max(initial=0)) + 1, -1, dtype=np.int64)
    chosen[junctions] = axis[order[first]]
    result: Mask = asking & (chosen[street.junction] == axis)
    return result


def moved(street: Street, acceleration: Array) -> Street:
    """Return where vehicles are one cycle later, and their speeds; one that has stopped stays."""
    braking = acceleration < 0
    seconds = np.where(braking, np.minimum(CYCLE_S, street.speed / np.where(braking, -acceleration, 1.0)), CYCLE_S)
    return street._replace(
        along=street.along + street.speed * seconds + acceleration * seconds**2 / 2,
        speed=np.maximum(0.0, street.speed + acceleration * seconds),
    )


def collided(city: City, street: Street) -> Mask:
    """Return whether each vehicle overlaps another one of its crossroads; O(n × vehicles at one crossroads)."""
    places = city.places(street)
    half = np.where((street.lane % 2 == 0)[:, None], (HALF_WIDTH, HALF_LENGTH), (HALF_LENGTH, HALF_WIDTH))
    order = np.argsort(street.junction, kind="stable")
    hit = np.zeros(len(order), dtype=np.bool_)
    for step in range(1, int(np.bincount(street.junction).max(initial=0))):
        a, b = order[:-step], order[step:]
        meets = (np.abs(places[a] - places[b]) < half[a] + half[b]).all(axis=1)
        meets &= street.junction[a] == street.junction[b]
        hit[a[meets]] = hit[b[meets]] = True
    return hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """How a drive ended: vehicles that collided, vehicles beyond the crossing, and the mean speed in m/s."""

    collided: int
    through: int
    speed: float


def drive(city: City, street: Street, cycles: int, late: tuple[Mask, Mask] | None, *, rule: bool = True) -> Driven:
    """Return how vehicles fare.

    Args:
        city: where they drive.
        street: where they begin.
        cycles: how long.
        late: (cycles, vehicles) which sensor messages and which commands came too late; None = none.
        rule: whether they ask for leave, or take no notice of one another.
    """
    dispatcher, hit, begun = Dispatcher(street), collided(city, street), street.along
    for cycle in range(cycles):
        if not rule:
            leave = no_rule(street)
        elif late is None:
            leave = dispatcher.orders(street)
        else:
            leave = np.where(late[1][cycle], -BRAKE, dispatcher.orders(street, ~late[0][cycle]))
        street = moved(street, leave)
        hit |= collided(city, street)
    speed = float((street.along - begun).mean() / (cycles * CYCLE_S))
    return Driven(collided=int(hit.sum()), through=int((street.along > EDGE).sum()), speed=speed)
