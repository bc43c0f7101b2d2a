"""Two edges, a central store and the users of six cities, and what the ways between them take."""

from __future__ import annotations

import asyncio
from typing import Final

import hyperfabric_q as hq
from hyperfabric_q.scenarios.realtime_inference.requests import CITIES, way_ms

EDGES: Final = {"edge-nyc-01": "40.713, -74.006", "edge-sfo-01": "37.775, -122.419"}
STORE: Final = "central-model-store"
CHICAGO: Final = "41.878, -87.630"
DEADLINE_NS: Final = 1_000_000

SERVED: Final = 250_000_000
"""Parameters of the model whose answers are timed."""

LARGE: Final = 175_000_000_000
MEMORY_RATE: Final = 2.039e12
"""Bytes per second that the maker of the A100 with 80 GB states for its memory; half precision has 2 per parameter."""


def service_ms(parameters: int) -> float:
    """Return how long one token takes at least on one A100: each weight is read once."""
    return 2 * parameters / MEMORY_RATE * 1e3


def edge_network(*, edge_gbps: float = 200.0) -> hq.HyperFabricProtocol:
    """Return a live fabric of two edges, the central store, and users in six cities."""
    kind, fast = hq.HardwareType, edge_gbps
    edges = [
        hq.NodeSignature(name, kind.NVIDIA_A100, fast, 50, physical_location=place) for name, place in EDGES.items()
    ]
    store = hq.NodeSignature(STORE, kind.INTEL_GAUDI2, 400, 200, physical_location=CHICAGO)
    users = [
        hq.NodeSignature(f"user-{city}", kind.SOFTWARE_ENDPOINT, 10, 100, physical_location=place)
        for city, place in CITIES.items()
    ]
    fabric = hq.Fabric(nodes=(*edges, store, *users), name="edges")
    return hq.HyperFabricProtocol(fabric, enable_ml_routing=True, default_latency_constraint_ns=DEADLINE_NS)


async def distribute(
    protocol: hq.HyperFabricProtocol, data: object, *, codec: bool | str = True
) -> dict[str, hq.TransferResult]:
    """Return the results of sending one thing from the store to both edges at once."""
    sends = [
        protocol.send_data(
            source=STORE,
            destination=edge,
            data=data,
            data_type=hq.DataType.PARAMETER,
            priority=hq.PacketPriority.HIGH,
            compression_enabled=codec,
        )
        for edge in EDGES
    ]
    return dict(zip(EDGES, await asyncio.gather(*sends), strict=True))


def nearest_edge(city: str) -> str:
    """Return the edge to which light has the shortest way."""
    return min(EDGES, key=lambda edge: way_ms(EDGES[edge], CITIES[city]))
