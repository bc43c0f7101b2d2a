"""A thousand vehicles that tell edge servers where they are, and get leave to drive on, a hundred times a second."""

from hyperfabric_q.scenarios.vehicle_swarm.pieces import (
    calculate_swarm_coordination,
    collect_sensor_data,
    find_nearest_edge_server,
    generate_random_location,
    lay_out_city,
    play,
    serialize_command,
)

__all__ = [
    "calculate_swarm_coordination",
    "collect_sensor_data",
    "find_nearest_edge_server",
    "generate_random_location",
    "lay_out_city",
    "play",
    "serialize_command",
]
