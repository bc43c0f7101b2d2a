"""A thousand vehicles that tell edge servers where they are, and get leave to drive on, a hundred times a second.

Every vehicle stands somewhere, and so does every server: light in fibre takes its time between them. Messages are of
fixed sizes, so that their times do not depend on what is in them: they are simulated by the thousand, and the driving
that the messages are about is worked out beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.fields import is_number, is_whole
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.outcome import Outcome
from hyperfabric_q.scenarios.vehicle_swarm.city import HEADINGS, City
from hyperfabric_q.scenarios.vehicle_swarm.rule import Dispatcher, moved

EDGE_SERVERS: Final = 100
_COMMAND: Final = struct.Struct("<Id")


class Command(NamedTuple):
    """Leave for one cycle: the vehicle's number, and its acceleration in m/s²."""

    vehicle: int
    acceleration: float


class Swarm:
    """A city, and the vehicles in it that have been named so far."""

    def __init__(self, city: City, slots: np.random.Generator) -> None:
        """Start without vehicles; ``slots`` draws where they begin."""
        self.city = city
        self.rows: dict[str, int] = {}
        self.street = city.street(np.empty((0, 2)))
        self._slots = slots
        self._free: list[int] = []
        self._given = 0

    def free_slot(self) -> int:
        """Return a slot that nobody has, at random among the nearest that are left."""
        if not self._free:
            count = self.city.slots
            self._free = (self._slots.permutation(count) + self._given).tolist()
            self._given += count
        return self._free.pop()

    def row(self, vehicle: hq.NodeSignature) -> int:
        """Return the number of a vehicle; one that is new stands where its metadata say, or at a place of its own."""
        if vehicle.node_id not in self.rows:
            given: Any = vehicle.metadata.get("location")
            place = self.city.slot(self.free_slot()) if given is None else _checked(vehicle.node_id, given)
            found = self.city.street(np.array([place]))
            self.street = self.street.joined(found)
            self.rows[vehicle.node_id] = len(self.rows)
        return self.rows[vehicle.node_id]


def _checked(vehicle: str, given: object) -> tuple[float, float]:
    if isinstance(given, tuple) and len(given) == 2 and all(is_number(each) and abs(each) < 1e7 for each in given):
        return float(given[0]), float(given[1])
    rule = f"the location of {vehicle!r} is metres east and north of the city's corner"
    raise InvalidValue(field="location", value=given, rule=rule, remedy="generate_random_location() makes one.")


def lay_out_city(edge_servers: int = EDGE_SERVERS) -> City:
    """Return the city in which vehicles are from now on: so many servers, 5 km apart, and a crossroads near each.

    Raises:
        InvalidValue: it is no whole number from 1 to 10,000.
    """
    if not is_whole(edge_servers) or not 1 <= edge_servers <= 10_000:
        raise InvalidValue(field="edge_servers", value=edge_servers, rule="it is a whole number from 1 to 10,000")
    world = current_world()
    rng = world.stream("vehicle_swarm")
    swarm = Swarm(City.laid_out(edge_servers, rng), rng)
    world.replace_state("vehicle_swarm", swarm)
    return swarm.city


def _swarm() -> Swarm:
    world = current_world()
    rng = world.stream("vehicle_swarm")
    return world.state("vehicle_swarm", lambda: Swarm(City.laid_out(EDGE_SERVERS, rng), rng))


def generate_random_location() -> tuple[float, float]:
    """Return a place on a lane of the city, at which no other vehicle was put: metres east and north of its corner."""
    swarm = _swarm()
    return swarm.city.slot(swarm.free_slot())


def find_nearest_edge_server(vehicle: hq.NodeSignature) -> str:
    """Return the id of the edge server that is nearest to where a vehicle is now."""
    swarm = _swarm()
    row = swarm.row(vehicle)
    place = swarm.city.places(swarm.street.at([row]))
    return server_id(int(swarm.city.nearest_server(place)[0]))


def server_id(number: int) -> str:
    """Return the node id of an edge server."""
    return f"edge-server-{number:02d}"


def collect_sensor_data(vehicle: hq.NodeSignature) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what a vehicle tells: its number, metres east and north, heading in quarter turns from north, m/s."""
    swarm = _swarm()
    row = swarm.row(vehicle)
    one = swarm.street.at([row])
    east, north = swarm.city.places(one)[0]
    return np.array([row, east, north, one.lane[0], one.speed[0]])


def calculate_swarm_coordination(results: Sequence[object]) -> list[Command]:
    """Return a command for each vehicle whose sensor data are given, in that order; then a cycle of 10 ms is driven.

    A vehicle whose data came later than their latency constraint gets no leave, and nor does one that has sent nothing:
    they brake.

    Args:
        results: of sending what ``collect_sensor_data`` returned, or these arrays themselves.

    Raises:
        InvalidValue: one is something else.
    """
    swarm = _swarm()
    told = np.array([_told(each, len(swarm.rows)) for each in results]).reshape(-1, 5)
    in_time = np.array([getattr(each, "constraint_met", None) is not False for each in results], dtype=np.bool_)
    number, lane = told[:, 0].astype(np.int64), told[:, 3].astype(np.int64)
    junction = swarm.city.street(told[:, 1:3]).junction
    along = ((told[:, 1:3] - swarm.city.junctions[junction]) * HEADINGS[lane]).sum(axis=1)
    seen = swarm.street.at(range(len(swarm.rows)))
    for column, values in zip(seen, (junction, lane, along, told[:, 4]), strict=True):
        column[number] = values
    heard = np.zeros(len(swarm.rows), dtype=np.bool_)
    heard[number] = in_time
    leave = Dispatcher(seen).orders(seen, heard)
    swarm.street = moved(swarm.street, leave)
    return [Command(row, float(leave[row])) for row in number.tolist()]


def _told(result: object, vehicles: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    given = result.value if isinstance(result, hq.TransferResult) else result
    if isinstance(given, np.ndarray) and given.shape == (5,) and given.dtype == np.float64 and np.isfinite(given).all():
        number, _, _, lane, speed = given.tolist()
        if number in range(vehicles) and lane in range(4) and speed >= 0:
            return given
    raise InvalidValue(field="results", value=given, rule="they are what collect_sensor_data returned, sent or not")


def serialize_command(command: Command) -> bytes:
    """Return a command as it is sent: 4 bytes for the vehicle's number, 8 for the acceleration."""
    return _COMMAND.pack(*command)


def play(*, size: Size) -> Outcome:
    """Return what a thousand vehicles and their servers can promise one another, and how they drive."""
    from hyperfabric_q.scenarios.vehicle_swarm.run import played  # noqa: PLC0415 - it is made of these pieces

    return played(size)
