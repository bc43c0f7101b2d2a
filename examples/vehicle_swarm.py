"""Vehicles tell the nearest edge server where they are, and get leave to drive on, a hundred times a second.

``python examples/vehicle_swarm.py --size small`` takes a second or two. ``hyperfabric-q scenario vehicle_swarm`` tells
more: distances, lost messages, and what happens when nobody asks for leave.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import hyperfabric_q as hq
from hyperfabric_q.scenarios import (
    Figure,
    Outcome,
    Verdict,
    calculate_swarm_coordination,
    collect_sensor_data,
    find_nearest_edge_server,
    generate_random_location,
    serialize_command,
    world,
)

VEHICLES = {"small": 50, "full": 1000}
CYCLES = {"small": 20, "full": 100}
EDGE_SERVERS = 100
CYCLE_S = 0.01
SENSOR_NS = 50_000


async def drive(size: str, seed: int) -> Outcome:
    """Register vehicles and servers, then repeat: tell, work out, answer, wait for the next cycle."""
    protocol = hq.HyperFabricProtocol(default_latency_constraint_ns=100_000)
    fleet = [
        hq.NodeSignature(
            node_id=f"vehicle-{number:04d}",
            hardware_type=hq.HardwareType.NEUROMORPHIC_CHIP,
            bandwidth_gbps=10,
            latency_ns=50,
            neuromorphic_neurons=100_000,
            metadata={"location": generate_random_location()},
        )
        for number in range(VEHICLES[size])
    ]
    servers = [
        hq.NodeSignature(f"edge-server-{number:02d}", hq.HardwareType.NVIDIA_A100, 200, 25)
        for number in range(EDGE_SERVERS)
    ]
    for node in (*fleet, *servers):
        protocol.register_node(node)

    slowest_ns, late, speeds = 0.0, 0, []
    for _ in range(CYCLES[size]):
        began_ns = protocol.now_ns
        told = await asyncio.gather(
            *(
                protocol.send_data(
                    source=vehicle.node_id,
                    destination=find_nearest_edge_server(vehicle),
                    data=collect_sensor_data(vehicle),
                    data_type=hq.DataType.TENSOR,
                    priority=hq.PacketPriority.ULTRA_HIGH,
                    latency_constraint_ns=SENSOR_NS,
                )
                for vehicle in fleet
            )
        )
        commands = calculate_swarm_coordination(told)
        answered = await asyncio.gather(
            *(
                protocol.send_data(
                    source=find_nearest_edge_server(vehicle),
                    destination=vehicle.node_id,
                    data=serialize_command(command),
                    data_type=hq.DataType.CONTROL_MESSAGE,
                    priority=hq.PacketPriority.ULTRA_HIGH,
                )
                for vehicle, command in zip(fleet, commands, strict=True)
            )
        )
        slowest_ns = max(slowest_ns, *(sent.latency_ns for sent in told))
        late += sum(sent.constraint_met is False for sent in (*told, *answered))
        speeds.append(sum(sent.value[4] for sent in told) / len(told))  # the fifth number is the speed
        await protocol.sleep_ns(CYCLE_S * 1e9 - (protocol.now_ns - began_ns))

    figures = (
        Figure(name="messages", value=2 * CYCLES[size] * len(fleet)),
        Figure(name="too late", value=late),
        Figure(name="slowest sensor message", value=slowest_ns / 1e3, unit="µs"),
        Figure(name="mean speed at first", value=float(speeds[0]), unit="m/s", origin="computed"),
        Figure(name="mean speed in the end", value=float(speeds[-1]), unit="m/s", origin="computed"),
    )
    verdict = Verdict(
        asked="all messages in time",
        holds=late == 0,
        because=f"The slowest takes {slowest_ns / 1e3:.3g} µs. These nodes state no place, so no way is counted.",
    )
    return Outcome(scenario="vehicle_swarm", size=size, seed=seed, figures=figures, verdicts=(verdict,))


def main() -> None:
    """Read what is asked for, drive, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=VEHICLES, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with world(seed=given.seed):
        outcome = hq.run(drive(given.size, given.seed))
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
