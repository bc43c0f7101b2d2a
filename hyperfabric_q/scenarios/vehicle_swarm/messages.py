"""The messages of a swarm on the clock: vehicles tell where they are, servers answer.

All messages are of fixed sizes, so that their times do not depend on what is in them.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.scenarios.vehicle_swarm import pieces
from hyperfabric_q.scenarios.vehicle_swarm.city import CYCLE_S, Array, City, Mask, Rows
from hyperfabric_q.units import PS_PER_US

SENSOR_US: Final = 50
COMMAND_US: Final = 100
COMMAND_AFTER_NS: Final = 1_000_000.0
"""Into each cycle: when what was heard has been worked out."""

SENSOR_BYTES: Final = 40
COMMAND_BYTES: Final = 12

METRES_PER_DEGREE: Final = 111_194.926


def _at(place: Array) -> str:
    """Return a place as coordinates; the city lies at 0° N, 0° E, where a degree is as long either way."""
    return f"{place[1] / METRES_PER_DEGREE:.7f}, {place[0] / METRES_PER_DEGREE:.7f}"


def fabric_of(city: City, places: Array) -> hq.Fabric:
    """Return the servers, then the vehicles, each where it stands."""
    servers = [
        hq.NodeSignature(
            pieces.server_id(number), hq.HardwareType.NVIDIA_A100, 200, 25, physical_location=_at(city.servers[number])
        )
        for number in range(len(city.servers))
    ]
    vehicles = [
        hq.NodeSignature(
            f"vehicle-{number:04d}", hq.HardwareType.NEUROMORPHIC_CHIP, 10, 50, physical_location=_at(place)
        )
        for number, place in enumerate(places)
    ]
    return hq.Fabric(nodes=(*servers, *vehicles), name="vehicle swarm")


class Heard(NamedTuple):
    """(cycles, vehicles) each: how long messages took, in picoseconds."""

    sensor_ps: Rows
    command_ps: Rows

    @property
    def late(self) -> tuple[Mask, Mask]:
        """Which came too late."""
        return self.sensor_ps > SENSOR_US * PS_PER_US, self.command_ps > COMMAND_US * PS_PER_US


async def messages(protocol: hq.HyperFabricProtocol, vehicles: Rows, servers: Rows, cycles: int) -> Heard:
    """Return how long all messages of so many cycles take; all of them are one ``send_many``.

    Args:
        protocol: the fabric.
        vehicles: (n,) positions of the vehicles among its nodes.
        servers: (n,) of the server of each.
        cycles: of 10 ms.
    """
    begin = np.arange(cycles) * CYCLE_S * 1e9
    done = await protocol.send_many(
        sources=np.tile(np.concatenate([vehicles, servers]), cycles),
        destinations=np.tile(np.concatenate([servers, vehicles]), cycles),
        nbytes=np.tile(np.repeat([SENSOR_BYTES, COMMAND_BYTES], len(vehicles)), cycles),
        release_ns=np.repeat(np.column_stack([begin, begin + COMMAND_AFTER_NS]).reshape(-1), len(vehicles)),
        data_type=hq.DataType.CONTROL_MESSAGE,
        priority=hq.PacketPriority.ULTRA_HIGH,
    )
    took = done.latency_ps.reshape(cycles, 2, len(vehicles))
    return Heard(took[:, 0], took[:, 1])


async def largest_in_time(protocol: hq.HyperFabricProtocol, vehicles: Rows, servers: Rows) -> int:
    """Return the largest sensor message, in bytes, that all vehicles can send at once within the deadline."""
    low, high = 0, 1 << 17
    while high - low > 1:
        middle = (low + high) // 2
        done = await protocol.send_many(sources=vehicles, destinations=servers, nbytes=middle)
        low, high = (middle, high) if done.latency_ps.max() <= SENSOR_US * PS_PER_US else (low, middle)
    return low


async def one_by_one(protocol: hq.HyperFabricProtocol, vehicles: list[str], servers: list[str]) -> Rows:
    """Return how long single sends of all vehicles take, in picoseconds."""
    sends = (
        protocol.send_data(
            source=vehicle,
            destination=server,
            data=bytes(SENSOR_BYTES),
            data_type=hq.DataType.CONTROL_MESSAGE,
            priority=hq.PacketPriority.ULTRA_HIGH,
            latency_constraint_ns=SENSOR_US * 1000,
        )
        for vehicle, server in zip(vehicles, servers, strict=True)
    )
    return np.array([each.latency_ps for each in await asyncio.gather(*sends)])
